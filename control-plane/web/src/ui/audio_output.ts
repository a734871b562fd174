/** Plays the others' audio: one element per received SSRC. */
import type { MediaSession } from '../media/session.ts';
import { readChoice } from '../media/devices.ts';

export class AudioOutput {
  private readonly playing = new Map<number, { track: MediaStreamTrack; element: HTMLAudioElement }>();

  /** `onBlocked` is called when the browser wants a click first. */
  constructor(private readonly onBlocked: () => void) {}

  update(session: MediaSession | null): void {
    const sources = session === null ? [] : session.sources.all().filter((source) => source.media === 'audio');
    for (const [ssrc, entry] of this.playing) {
      if (sources.some((source) => source.ssrc === ssrc && session?.peer.trackOf(ssrc) === entry.track)) continue;
      entry.element.srcObject = null;
      this.playing.delete(ssrc);
    }
    for (const source of sources) {
      const track = session?.peer.trackOf(source.ssrc);
      if (!track || this.playing.has(source.ssrc)) continue;
      const element = new Audio();
      element.autoplay = true;
      element.srcObject = new MediaStream([track]);
      this.playing.set(source.ssrc, { track, element });
      this.route(element);
      this.play(element);
    }
  }

  /** After a click: starts what was held back. */
  resume(): void {
    for (const { element } of this.playing.values()) this.play(element);
  }

  /** Sends everything to the chosen speaker. */
  rerouteAll(): void {
    for (const { element } of this.playing.values()) this.route(element);
  }

  close(): void {
    this.update(null);
  }

  private play(element: HTMLAudioElement): void {
    element.play().catch((error: unknown) => {
      if (error instanceof DOMException && error.name === 'NotAllowedError') this.onBlocked();
    });
  }

  private route(element: HTMLAudioElement): void {
    const device = readChoice().audiooutput;
    if (device && 'setSinkId' in element) void element.setSinkId(device).catch(() => undefined);
  }
}
