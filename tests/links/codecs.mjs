// Every codec and way to layer it, by the browser's own encoders: a receiver asks for more and less, fifty times each.
import { pause } from '../e2e/browser.mjs';
import { Watch, freezes, growth, percentile, reaches, round, skews } from './figures.mjs';
import { Network } from './network.mjs';
import { received } from './page.mjs';

const CAMERA = { width: 1280, height: 720, fps: 15 };

export const MODES = [
  ['VP8', null],
  ['VP8', 'simulcast'],
  ['H264', null],
  ['VP9', 'simulcast'],
  ['VP9', 'L3T3_KEY'],
  ['VP9', 'L3T3'],
  ['AV1', 'simulcast'],
  ['AV1', 'L3T3_KEY'],
  ['AV1', 'L3T3'],
  ['AV1', 'L1T3'],
];

/** A row for each mode; `only`: those whose name contains it. */
export async function codecs({ quick, only = '', switches = quick ? 10 : 50 }) {
  const rows = [];
  for (const [codec, layers] of MODES) {
    if (!`${codec} ${layers ?? 'own'}`.toLowerCase().includes(only.toLowerCase())) continue;
    const row = await one(codec, layers, switches).catch((error) => ({ failed: String(error.message).split('\n')[0] }));
    rows.push({ codec, layers: layers ?? 'as the client does', ...row });
    console.error(JSON.stringify(rows.at(-1)));
  }
  return rows;
}

async function one(codec, layers, switches) {
  const network = await Network.start(0);
  try {
    const browser = await network.browser(-1, CAMERA);
    const probe = await network.join(browser, 'codecs', 'Sender', { page: { camera: CAMERA, codec, layers } });
    const able = await probe.page.evaluate((name) => RTCRtpSender.getCapabilities('video').codecs.some((known) => known.mimeType === `video/${name}`), codec);
    if (!able) return { left_out: 'this browser has no such encoder' };
    const source = `${(await probe.state()).me.id}-v0`;
    // It sends sound, for without a round trip of its own a browser does not say when it plays what.
    const receiver = await network.join(browser, 'codecs', 'Receiver', { query: '&video=0' });
    const ask = (height) => receiver.page.evaluate(([name, size]) => window.sluice.setTileHeight(name, size), [source, height]);
    await receiver.until('seeing the sender', (state) => state.tiles.some((tile) => tile.source === source), 20_000);
    const heights = layers === 'L1T3' ? [720] : [180, 360, 720];
    await ask(720);
    const climbed = await reaches(receiver, 720, 60_000);
    if (climbed === null) return { failed: 'never reached 720', sent: await sent(probe) };
    await pause(3_000);
    const plan = Array.from({ length: switches }, (_, at) => heights[[0, 2, 1, 0, 1, 2][at % 6] % heights.length]);
    const asked = await keyFrames(probe);
    const watch = new Watch(receiver);
    const took = [];
    let wrong = 0;
    for (const height of plan) {
      await ask(height);
      const after = await reaches(receiver, height, 6_000);
      if (after === null) wrong += 1;
      else took.push(after);
      await pause(400);
    }
    await watch.stop();
    const apart = skews(watch.rows);
    const middle = percentile(apart, 0.5);
    return {
      climbed_s: round(climbed / 1000),
      switches: plan.length,
      never_reached: wrong,
      switch_ms_median: percentile(took, 0.5),
      switch_ms_max: Math.max(0, ...took),
      ...freezes(watch.rows),
      nacks: growth(watch.rows, 'video', 'nackCount'),
      streams_begun: new Set(watch.rows.flatMap((row) => row.video.map((stream) => stream.ssrc))).size,
      sender_key_frames: (await keyFrames(probe)) - asked,
      skew_readings: apart.length,
      skew_ms_median: round(middle),
      skew_drift_ms_p95: round(percentile(apart.map((value) => Math.abs(value - middle)), 0.95)),
      skew_drift_ms_max: round(Math.max(0, ...apart.map((value) => Math.abs(value - middle)))),
      sent: await sent(probe),
    };
  } finally {
    await network.stop();
  }
}

async function keyFrames(participant) {
  return (await received(participant)).outbound.reduce((sum, stream) => sum + (stream.keyFramesEncoded ?? 0), 0);
}

/** What the sender's encoders say they make. */
async function sent(participant) {
  const row = await received(participant);
  return row.outbound
    .filter((stream) => stream.active !== false)
    .map((stream) => `${row.codecs[stream.codecId] ?? '?'} ${stream.frameHeight ?? 0}p ${round(stream.framesPerSecond ?? 0)} fps ${stream.scalabilityMode ?? ''} ${stream.encoderImplementation ?? ''} ${stream.qualityLimitationReason ?? ''}`);
}
