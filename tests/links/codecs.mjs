// Every codec and way to layer it, by the browser's own encoders: a receiver asks for more and less, fifty times each. By itself the
// client ends layers that nobody wants, so each change waits for an encoder to begin anew; with `all` they are sent all the time, and
// a change is what the server makes of it.
import { pause } from '../e2e/browser.mjs';
import { Watch, drift, freezes, growth, percentile, reaches, round } from './figures.mjs';
import { Network } from './network.mjs';
import { received } from './page.mjs';

/** Before the changes: what the machine freezes by itself. */
const REST_MS = 10_000;

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

/** A row for each mode; `only`: those whose name contains it; `height`: of the camera; `all`: every layer is sent all the time. */
export async function codecs({ quick, only = '', switches = quick ? 10 : 50, height = 720, all = false }) {
  const rows = [];
  for (const [codec, layers] of MODES) {
    if (!`${codec} ${layers ?? 'own'}`.toLowerCase().includes(only.toLowerCase())) continue;
    const row = await one(codec, layers, { switches, height, all }).catch((error) => ({ failed: String(error.message).split('\n')[0] }));
    rows.push({ codec, layers: layers ?? 'as the client does', ...row });
    console.error(JSON.stringify(rows.at(-1)));
  }
  return rows;
}

async function one(codec, layers, { switches, height, all }) {
  const camera = { width: (height * 16) / 9, height, fps: 15 };
  // Each change may take six seconds.
  return Network.use(0, 120 + switches * 7, async (network) => {
    const browser = await network.browser(-1, camera);
    const probe = await network.join(browser, 'codecs', 'Sender', { page: { camera, codec, layers, all } });
    const able = await probe.ask('its codecs', (name) => RTCRtpSender.getCapabilities('video').codecs.some((known) => known.mimeType === `video/${name}`), codec);
    if (!able) return { left_out: 'this browser has no such encoder' };
    const source = `${(await probe.state()).me.id}-v0`;
    const receiver = await network.join(browser, 'codecs', 'Receiver', { query: '&audio=0&video=0', page: { together: true } });
    const ask = (height) => receiver.ask('another height', ([name, size]) => window.sluice.setTileHeight(name, size), [source, height]);
    await receiver.until('seeing the sender', (state) => state.tiles.some((tile) => tile.source === source), 20_000);
    const heights = layers === 'L1T3' ? [height] : [height / 4, height / 2, height];
    await ask(height);
    const climbed = await reaches(receiver, height, 60_000);
    if (climbed === null) return { failed: `never reached ${height}`, sent: await sent(probe) };
    await pause(3_000);
    const still = new Watch(receiver);
    await pause(REST_MS);
    await still.stop();
    const plan = Array.from({ length: switches }, (_, at) => heights[[0, 2, 1, 0, 1, 2][at % 6] % heights.length]);
    const before = await keyFrames(probe);
    const watch = new Watch(receiver);
    const took = [];
    let wrong = 0;
    for (const wanted of plan) {
      await ask(wanted);
      const after = await reaches(receiver, wanted, 6_000);
      if (after === null) wrong += 1;
      else took.push(after);
      await pause(400);
    }
    await watch.stop();
    await network.trace(`codecs-${codec}-${layers ?? 'own'}`, watch);
    const after = await keyFrames(probe);
    return {
      climbed_s: round(climbed / 1000),
      switches: plan.length,
      never_reached: wrong,
      switch_ms_median: percentile(took, 0.5),
      switch_ms_max: Math.max(0, ...took),
      at_rest_freezes_per_minute: freezes(still.rows).freezes_per_minute,
      ...freezes(watch.rows),
      nacks: growth(watch.rows, 'video', 'nackCount'),
      streams_begun: new Set(watch.rows.flatMap((row) => row.video.map((stream) => stream.ssrc))).size,
      sender_asked_for_key_frames: after.asked - before.asked,
      sender_key_frames: after.made - before.made,
      ...drift(watch.rows),
      sent: await sent(probe),
    };
  });
}

/** Key frames that the sender's encoders made, and those that it was asked for, of all streams. */
async function keyFrames(participant) {
  const sum = (streams, field) => streams.reduce((total, stream) => total + (stream[field] ?? 0), 0);
  const { outbound } = await received(participant);
  return { made: sum(outbound, 'keyFramesEncoded'), asked: sum(outbound, 'pliCount') + sum(outbound, 'firCount') };
}

/** What the sender's encoders say they make. */
async function sent(participant) {
  const row = await received(participant);
  return row.outbound
    .filter((stream) => stream.active !== false)
    .map((stream) => `${row.codecs[stream.codecId] ?? '?'} ${stream.frameHeight ?? 0}p ${round(stream.framesPerSecond ?? 0)} fps ${stream.scalabilityMode ?? ''} ${stream.encoderImplementation ?? ''} ${stream.qualityLimitationReason ?? ''}`);
}
