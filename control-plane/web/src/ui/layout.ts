/** Where tiles go: pure geometry, in CSS pixels. */

export interface Rect {
  x: number;
  y: number;
  width: number;
  height: number;
}

export type Mode = 'grid' | 'speaker';

export interface Arrangement {
  /** The large tile, if any. */
  stage: Rect | null;
  /** One per tile that fits on this page. */
  tiles: Rect[];
  /** How many tiles a page holds. */
  capacity: number;
}

const GAP = 10;
/** Faces look right between these shapes. */
const WIDEST = 16 / 9;
const NARROWEST = 3 / 4;
const SMALLEST_TILE = { width: 150, height: 110 };
const LARGEST_PAGE = 25;
const STRIP = { wide: 216, narrow: 92 };

/** The automatic choice: a shared screen is read large, people are seen together. */
export function automaticMode(screens: number): Mode {
  return screens > 0 ? 'speaker' : 'grid';
}

/** Equal tiles as large as the area allows, last row centred. */
export function gridArrangement(count: number, width: number, height: number): Arrangement {
  const capacity = gridCapacity(width, height);
  const shown = Math.min(count, capacity);
  if (shown === 0) return { stage: null, tiles: [], capacity };
  let best = { columns: 1, width: 0, height: 0 };
  for (let columns = 1; columns <= shown; columns++) {
    const rows = Math.ceil(shown / columns);
    const size = fit((width - GAP * (columns - 1)) / columns, (height - GAP * (rows - 1)) / rows);
    if (size.width * size.height > best.width * best.height * 1.001) best = { columns, ...size };
  }
  return { stage: null, tiles: place(shown, best.columns, best.width, best.height, width, height), capacity };
}

/** One large tile and a strip: beside it in a wide area, below it in a tall one. */
export function speakerArrangement(count: number, width: number, height: number): Arrangement {
  const wide = width >= height * 1.15 && width >= 640;
  if (wide) {
    const strip = Math.min(STRIP.wide, width * 0.24);
    const tileHeight = strip / WIDEST;
    const capacity = Math.max(1, Math.floor((height + GAP) / (tileHeight + GAP)));
    const shown = Math.min(count, capacity);
    const stageWidth = shown > 0 ? width - strip - GAP : width;
    const top = (height - (shown * (tileHeight + GAP) - GAP)) / 2;
    const tiles = Array.from({ length: shown }, (_, index) => ({ x: stageWidth + GAP, y: top + index * (tileHeight + GAP), width: strip, height: tileHeight }));
    return { stage: { x: 0, y: 0, width: stageWidth, height }, tiles, capacity };
  }
  const stripHeight = Math.min(STRIP.narrow, height * 0.22);
  const tileWidth = stripHeight * 1.2;
  const capacity = Math.max(1, Math.floor((width + GAP) / (tileWidth + GAP)));
  const shown = Math.min(count, capacity);
  const stageHeight = shown > 0 ? height - stripHeight - GAP : height;
  const left = (width - (shown * (tileWidth + GAP) - GAP)) / 2;
  const tiles = Array.from({ length: shown }, (_, index) => ({ x: left + index * (tileWidth + GAP), y: stageHeight + GAP, width: tileWidth, height: stripHeight }));
  return { stage: { x: 0, y: 0, width, height: stageHeight }, tiles, capacity };
}

/** Two people: the other one fills the area, we are a small picture in its corner. */
export function pairArrangement(width: number, height: number): Arrangement {
  const portrait = height > width;
  const small = portrait ? { width: Math.min(120, width * 0.3), height: Math.min(160, width * 0.4) } : { width: Math.min(256, width * 0.24), height: Math.min(144, width * 0.135) };
  const inset = portrait ? 12 : 18;
  return {
    stage: { x: 0, y: 0, width, height },
    tiles: [{ x: width - small.width - inset, y: height - small.height - inset, ...small }],
    capacity: 1,
  };
}

function gridCapacity(width: number, height: number): number {
  const columns = Math.max(1, Math.floor((width + GAP) / (SMALLEST_TILE.width + GAP)));
  const rows = Math.max(1, Math.floor((height + GAP) / (SMALLEST_TILE.height + GAP)));
  return Math.min(LARGEST_PAGE, columns * rows);
}

function fit(width: number, height: number): { width: number; height: number } {
  if (width <= 0 || height <= 0) return { width: 0, height: 0 };
  if (width / height > WIDEST) return { width: height * WIDEST, height };
  if (width / height < NARROWEST) return { width, height: width / NARROWEST };
  return { width, height };
}

function place(count: number, columns: number, tileWidth: number, tileHeight: number, width: number, height: number): Rect[] {
  const rows = Math.ceil(count / columns);
  const top = (height - (rows * (tileHeight + GAP) - GAP)) / 2;
  return Array.from({ length: count }, (_, index) => {
    const row = Math.floor(index / columns);
    const inRow = row === rows - 1 ? count - row * columns : columns;
    const left = (width - (inRow * (tileWidth + GAP) - GAP)) / 2;
    return { x: left + (index % columns) * (tileWidth + GAP), y: top + row * (tileHeight + GAP), width: tileWidth, height: tileHeight };
  });
}
