/** What we ask the bridge to send: exactly the heights of the tiles that are shown. */
import type { VideoType } from '../signalling/sources.ts';
import type { BridgeMessage } from './bridge_channel.ts';

export interface WantedTile {
  source: string;
  videoType: VideoType;
  /** Height of the picture on the screen, in device pixels. */
  pixels: number;
  onStage: boolean;
}

/** Layers of a camera. */
const HEIGHTS = [180, 360, 720];
/** A screen is sent in one size; asking for less would only let the bridge withhold it. */
const DESKTOP_HEIGHT = 2160;

/** The smallest layer that fills the tile without looking soft. */
export function heightFor(pixels: number, videoType: VideoType): number {
  if (pixels <= 0) return 0;
  if (videoType === 'desktop') return DESKTOP_HEIGHT;
  // A picture may be stretched by a third before the next layer is worth its price.
  return HEIGHTS.find((height) => pixels <= height * 1.34) ?? HEIGHTS[HEIGHTS.length - 1]!;
}

/** The message for a set of tiles; `overrides` replaces heights by source name (tests). */
export function receiverConstraints(tiles: WantedTile[], lastN: number, overrides: ReadonlyMap<string, number> = new Map()): BridgeMessage {
  const constraints: Record<string, { maxHeight: number }> = {};
  for (const tile of [...tiles].sort((a, b) => a.source.localeCompare(b.source))) {
    constraints[tile.source] = { maxHeight: overrides.get(tile.source) ?? heightFor(tile.pixels, tile.videoType) };
  }
  return {
    colibriClass: 'ReceiverVideoConstraints',
    lastN,
    defaultConstraints: { maxHeight: 0 },
    constraints,
    onStageSources: tiles.filter((tile) => tile.onStage).map((tile) => tile.source),
    selectedSources: tiles.filter((tile) => !tile.onStage && tile.videoType === 'desktop').map((tile) => tile.source),
  };
}
