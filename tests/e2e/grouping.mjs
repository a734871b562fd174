// How many packets of real senders go to the kernel as one, with and without padding and held frames, and whether a Chromium and a
// Firefox receiver decode unharmed.
//
//   node tests/e2e/grouping.mjs [--senders N] [--seconds S] [--json FILE]      (some three minutes; SLUICE_BINARY as in the other tests)
//
// Each mode has a server of its own with one media thread. Senders are Chromium pages with 640x360 and grain in the picture, 2.5 Mbit/s each in
// two layers; they ask for no picture themselves. Firefox gathers no loopback candidates, so media goes over this machine's address.
// Needs chromium and firefox-esr (FIREFOX names another), and a machine with little else to do.
import { writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { parseArgs } from 'node:util';
import playwright from 'playwright-core';
import { cameraFile } from '../links/page.mjs';
import { Participant, launch, pause } from './browser.mjs';
import { Server } from './server.mjs';

const MODES = [
  ['neither', { padding_permille: 0, hold_us: 0 }],
  ['padding', { padding_permille: 10, hold_us: 0 }],
  ['padding, frames held', { padding_permille: 10, hold_us: 500, hold_above_percent: 0 }],
];
const HEIGHT = 360;
// Of the small layer and of the large one.
const RATES = [150_000, 2_350_000];
const WARM_UP_MS = 15_000;
const LOOK_EVERY_MS = 500;
const COUNTERS = ['datagrams_sent', 'sends', 'bytes_sent', 'padding_bytes', 'packets_held', 'packets_forwarded'];

/** Debian's Firefox by WebDriver BiDi, which playwright-core can speak with it. */
function launchFirefox() {
  const preferences = { 'media.navigator.streams.fake': true, 'media.navigator.permission.disabled': true, 'media.autoplay.default': 0 };
  return playwright._bidiFirefox.launch({ executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr', headless: true, firefoxUserPrefs: preferences, timeout: 180_000 });
}

/** Runs in a sender's page: the rates of its layers are ours. */
function setRates(rates) {
  const setParameters = RTCRtpSender.prototype.setParameters;
  RTCRtpSender.prototype.setParameters = function (parameters) {
    if (this.track?.kind === 'video') parameters.encodings.forEach((encoding, at) => (encoding.maxBitrate = rates[Math.min(at, rates.length - 1)]));
    return setParameters.call(this, parameters);
  };
}

async function sender(browser, server, number) {
  const prepare = (page) => page.addInitScript(setRates, RATES);
  return Participant.join(browser, server, 'grouping', `Sender ${number}`, { prepare });
}

async function receiver(browser, server, name, options) {
  const person = await Participant.join(browser, server, 'grouping', name, options);
  await person.page.evaluate(async () => {
    await window.sluice.setVideoMuted(true);
    await window.sluice.setAudioMuted(true);
  });
  return person;
}

/** `height` of the cameras of all `sources`, whatever the tiles measure. */
const want = (person, sources, height) =>
  person.page.evaluate(([names, wanted]) => names.forEach((name) => window.sluice.setTileHeight(name, wanted)), [sources, height]);

async function counters(server) {
  const values = await Promise.all(COUNTERS.map((name) => server.metric(`sluice_worker_${name}_total`)));
  return Object.fromEntries(COUNTERS.map((name, at) => [name, values[at]]));
}

const pictures = async (person, sources) => (await person.stats()).inboundVideo.filter((stream) => sources.includes(stream.source) && stream.framesDecoded > 0);
const total = (streams, field) => streams.reduce((sum, stream) => sum + stream[field], 0);
const difference = (after, before) => Object.fromEntries(Object.keys(after).map((key) => [key, after[key] - before[key]]));

/** Looks at a receiver until `end`: half seconds in which a picture stood still. */
async function standstills(person, sources, end) {
  let still = 0;
  let frames = new Map();
  while (Date.now() < end) {
    const streams = await pictures(person, sources);
    still += streams.filter((stream) => stream.framesDecoded === frames.get(stream.ssrc)).length;
    frames = new Map(streams.map((stream) => [stream.ssrc, stream.framesDecoded]));
    await pause(LOOK_EVERY_MS);
  }
  return still;
}

async function watched(person, sources, seconds, end) {
  const before = await pictures(person, sources);
  const still = await standstills(person, sources, end);
  const after = await pictures(person, sources);
  const more = (field) => total(after, field) - total(before, field);
  return {
    receiver: person.name,
    pictures: after.length,
    height: Math.min(...after.map((stream) => stream.frameHeight)),
    frames_per_second: more('framesDecoded') / seconds / sources.length,
    still_half_seconds: still,
    freezes: more('freezeCount'),
    frozen_s: more('totalFreezesDuration'),
    nacks: more('nackCount'),
    plis: more('pliCount'),
  };
}

async function measure(browsers, address, [mode, media], { senders, seconds }) {
  const server = await Server.start({ media: { addresses: [address], workers: 1, pin: false, ...media } });
  try {
    const sending = [];
    for (let number = 1; number <= senders; number++) sending.push(await sender(browsers.sending, server, number));
    // Firefox grants by its preferences, not by the protocol.
    const receiving = [await receiver(browsers.sending, server, 'Chromium'), await receiver(browsers.firefox, server, 'Firefox', { permissions: [] })];
    const sources = await Promise.all(sending.map(async (person) => `${(await person.state()).me.id}-v0`));
    await Promise.all(sending.map((person) => want(person, sources, 0)));
    await Promise.all(receiving.map((person) => want(person, sources, HEIGHT)));
    await pause(WARM_UP_MS);
    const before = await counters(server);
    const end = Date.now() + seconds * 1000;
    const watching = await Promise.all(receiving.map((person) => watched(person, sources, seconds, end)));
    const sent = difference(await counters(server), before);
    const figures = {
      mode,
      segments_per_send: sent.datagrams_sent / sent.sends,
      padding_percent: (100 * sent.padding_bytes) / sent.bytes_sent,
      padding_bytes: sent.padding_bytes,
      packets_held: sent.packets_held,
      mbit_per_second: (sent.bytes_sent * 8) / seconds / 1e6,
      receivers: watching,
    };
    for (const person of [...sending, ...receiving]) await person.leave();
    return figures;
  } finally {
    await server.stop();
  }
}

function line({ mode, segments_per_send, padding_percent, mbit_per_second, receivers }) {
  const own = `${mode.padEnd(22)} ${segments_per_send.toFixed(2).padStart(6)} ${padding_percent.toFixed(3).padStart(8)}% ${mbit_per_second.toFixed(1).padStart(7)}`;
  const seen = receivers.map(
    (it) =>
      `${it.receiver}: ${it.frames_per_second.toFixed(1)} frames/s of ${it.height}p, still ${it.still_half_seconds / 2} s, frozen ${it.frozen_s.toFixed(2)} s, NACK ${it.nacks}, PLI ${it.plis}`,
  );
  return `${own}   ${seen.join(' | ')}`;
}

async function main() {
  const { values } = parseArgs({ options: { senders: { type: 'string', default: '2' }, seconds: { type: 'string', default: '15' }, json: { type: 'string' } } });
  const options = { senders: Number(values.senders), seconds: Number(values.seconds) };
  const address = Object.values(networkInterfaces()).flat().find((it) => !it.internal && it.family === 'IPv4')?.address;
  if (address === undefined) throw new Error('this machine has no address beyond loopback, and Firefox gathers no candidates on that');
  const camera = cameraFile({ width: 640, height: HEIGHT, fps: 30 });
  const browsers = { sending: await launch(undefined, [`--use-file-for-fake-video-capture=${camera}`]), firefox: await launchFirefox() };
  const results = [];
  try {
    console.log('mode                   segments  padding  Mbit/s');
    for (const mode of MODES) {
      results.push(await measure(browsers, address, mode, options));
      console.log(line(results.at(-1)));
    }
  } finally {
    await browsers.sending.close();
    await browsers.firefox.close();
  }
  if (values.json) writeFileSync(values.json, `${JSON.stringify(results, null, 2)}\n`);
}

await main();
