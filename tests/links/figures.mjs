// Figures from what a browser reported and the shaper saw.
import { pause } from '../e2e/browser.mjs';
import { received } from './page.mjs';

/** Reads a receiver's statistics each `every` ms until stopped; `rows` of page.mjs's `received`. */
export class Watch {
  constructor(participant, every = 250) {
    this.name = participant.name;
    this.rows = [];
    this.running = true;
    this.work = (async () => {
      while (this.running) {
        const row = await received(participant).catch(() => null);
        if (row !== null) this.rows.push(row);
        await pause(every);
      }
    })();
  }

  async stop() {
    this.running = false;
    await this.work;
    if (this.rows.length === 0) throw new Error(`${this.name}: no statistics while it was watched`);
  }

  between(from, to = Infinity) {
    return this.rows.filter((row) => row.at >= from && row.at < to);
  }
}

/** The streams of a row that carry pictures. */
export const pictures = (row) => row.video.filter((stream) => (stream.framesDecoded ?? 0) > 0);

/** How much counters of all streams grew over rows; an SSRC that came in between counts from nothing. */
export function growth(rows, kind, field) {
  const first = new Map(rows[0]?.[kind].map((stream) => [stream.ssrc, stream[field] ?? 0]));
  return (rows.at(-1)?.[kind] ?? []).reduce((sum, stream) => sum + Math.max(0, (stream[field] ?? 0) - (first.get(stream.ssrc) ?? 0)), 0);
}

/** Freezes a minute, their time, what decoders dropped and asked for. */
export function freezes(rows) {
  const seconds = (rows.at(-1).at - rows[0].at) / 1000;
  return {
    freezes: growth(rows, 'video', 'freezeCount'),
    freezes_per_minute: round((growth(rows, 'video', 'freezeCount') * 60) / seconds),
    frozen_s: round(growth(rows, 'video', 'totalFreezesDuration')),
    frames_decoded: growth(rows, 'video', 'framesDecoded'),
    frames_dropped: growth(rows, 'video', 'framesDropped'),
    key_frames_asked_for: growth(rows, 'video', 'pliCount') + growth(rows, 'video', 'firCount'),
  };
}

/** Share of sound that was made up and not silence, in per cent. */
export function concealed(rows) {
  const total = growth(rows, 'audio', 'totalSamplesReceived');
  const made = growth(rows, 'audio', 'concealedSamples') - growth(rows, 'audio', 'silentConcealedSamples');
  return total === 0 ? null : round((100 * made) / total, 2);
}

/** Changes of the decoded height from one row to the next, over all streams. */
export function heightChanges(rows) {
  let changes = 0;
  const last = new Map();
  for (const row of rows) {
    for (const stream of pictures(row)) {
      if (last.has(stream.ssrc) && last.get(stream.ssrc) !== stream.frameHeight) changes += 1;
      last.set(stream.ssrc, stream.frameHeight);
    }
  }
  return changes;
}

/** The height shown most often. */
export function usualHeight(rows) {
  const counts = new Map();
  for (const height of rows.flatMap(pictures).map((stream) => stream.frameHeight)) counts.set(height, (counts.get(height) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? 0;
}

/** Waits until the only picture has this height, and gives the milliseconds; null when it does not come. */
export async function reaches(participant, height, timeout) {
  const began = Date.now();
  while (Date.now() - began < timeout) {
    if (pictures(await received(participant)).some((stream) => stream.frameHeight === height && stream.framesPerSecond > 0)) return Date.now() - began;
    await pause(50);
  }
  return null;
}

/** Bits per second that passed a link, by the shaper's lines; and the most that entered within a second. */
export function rates(lines) {
  if (lines.length < 2) return { carried: 0, most: 0 };
  const seconds = (lines.at(-1).at_ms - lines[0].at_ms) / 1000;
  const most = lines.map((line, at) => lines.slice(Math.max(0, at - 9), at + 1).reduce((sum, other) => sum + other.entered * 8, 0));
  return { carried: lines.slice(1).reduce((sum, line) => sum + line.passed * 8, 0) / seconds, most: Math.max(...most) };
}

/**
 * Seconds from `from` until the queue stayed below `limit` ms for a whole second first, and the share of lines with a longer
 * one after that: key frames, for nothing paces them.
 */
export function drained(lines, from, limit) {
  const late = (line) => line.queue_ms > limit;
  const at = lines.findIndex((_, index) => index + 10 <= lines.length && !lines.slice(index, index + 10).some(late));
  if (at < 0) return { after_s: null, over_pct: 100 };
  const rest = lines.slice(at);
  return { after_s: round((lines[at].at - from) / 1000, 2), over_pct: round((100 * rest.filter(late).length) / rest.length) };
}

export function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length === 0 ? 0 : sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}

/** Milliseconds by which picture and sound are apart at each reading, as the browser plays them. */
function skews(rows) {
  return rows.flatMap((row) => {
    const sound = row.audio.find((stream) => stream.estimatedPlayoutTimestamp && stream.packetsReceived > 0);
    const picture = pictures(row).find((stream) => stream.estimatedPlayoutTimestamp);
    return sound && picture ? [picture.estimatedPlayoutTimestamp - sound.estimatedPlayoutTimestamp] : [];
  });
}

/** How far sound and picture drift from what they mostly are apart. */
export function drift(rows) {
  const apart = skews(rows);
  if (apart.length === 0) return { skew_readings: 0 };
  const middle = percentile(apart, 0.5);
  const off = apart.map((value) => Math.abs(value - middle));
  return {
    skew_readings: apart.length,
    skew_ms_median: round(middle),
    skew_drift_ms_p95: round(percentile(off, 0.95)),
    skew_drift_ms_max: round(Math.max(...off)),
  };
}

export const round = (value, digits = 1) => Math.round(value * 10 ** digits) / 10 ** digits;
