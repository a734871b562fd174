// Chromium pages with fake devices, and what they see.
import { setTimeout as pause } from 'node:timers/promises';
import { chromium } from 'playwright-core';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** A browser whose process can be killed: `{ browser, kill }`. */
export async function launchToKill() {
  const server = await chromium.launchServer({ executablePath: CHROMIUM, headless: true, args: ARGUMENTS });
  return { browser: await chromium.connect(server.wsEndpoint()), kill: () => server.kill() };
}

export function launch(executable = CHROMIUM, more = [], settings = {}) {
  return chromium.launch({ executablePath: executable, headless: true, args: [...ARGUMENTS, ...more], ...settings });
}

/** What comes of `work`; an error that names `what` was waited for when nothing has after `ms`. */
export function within(ms, what, work) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`${what}: nothing came within ${ms / 1000} s`)), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

export const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--use-fake-device-for-media-stream=fps=30',
  '--use-fake-ui-for-media-stream',
  '--auto-accept-this-tab-capture',
  '--auto-select-desktop-capture-source=Entire screen',
  '--autoplay-policy=no-user-gesture-required',
  '--allow-loopback-in-peer-connection',
  '--disable-features=WebRtcHideLocalIpsWithMdns',
];

const NETWORK_CHANGED = 'net::ERR_NETWORK_CHANGED';

/** A page that does not answer for so long, in ms, never will: Playwright itself would wait for ever. */
const ANSWER_MS = 20_000;

export class Participant {
  /** Opens a page in the room and waits until it has joined. `query` goes into the address, `prepare` gets the page before it loads. */
  static async join(browser, server, room, name, { query = '', viewport = { width: 960, height: 600 }, base = server.url, permissions = ['camera', 'microphone'], prepare } = {}) {
    const context = await within(ANSWER_MS, `${name}: a context of the browser`, browser.newContext({ viewport, permissions, ignoreHTTPSErrors: true }));
    const page = await within(ANSWER_MS, `${name}: a page`, context.newPage());
    const participant = new Participant(page, name);
    await prepare?.(page);
    await participant.open(`${base}/${room}?join=1&name=${encodeURIComponent(name)}${query}`);
    await participant.until('joined', (state) => state.joined);
    return participant;
  }

  constructor(page, name) {
    this.page = page;
    this.name = name;
    this.log = [];
    page.on('console', (message) => this.log.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => this.log.push(`error: ${error.stack}`));
  }

  /** Loads the page; again where Chromium gave up because an interface of this machine came or went, as tests beside this one make them. */
  async open(address) {
    for (let tries = 0; tries < 3; tries++) {
      const gaveUp = await this.page.goto(address).then(() => this.log.some((line) => line.includes(NETWORK_CHANGED)), (error) => {
        if (!error.message.includes(NETWORK_CHANGED)) throw error;
        return true;
      });
      if (!gaveUp || (await this.state()) !== null) return;
    }
  }

  /** What a function gives in the page; `what` it is asked for stands in the error when the page does not answer. */
  ask(what, work, argument) {
    return within(ANSWER_MS, `${this.name}: ${what}`, this.page.evaluate(work, argument));
  }

  state() {
    return this.ask('state', () => window.sluice?.state() ?? null);
  }

  stats() {
    return this.ask('statistics', () => window.sluice?.stats() ?? null);
  }

  /** Waits until `test(state)` holds and gives how long it took in milliseconds. */
  async until(what, test, timeout = 15_000) {
    const began = Date.now();
    let state = null;
    while (Date.now() - began < timeout) {
      state = await this.state();
      if (state !== null && (await test(state))) return Date.now() - began;
      await pause(50);
    }
    throw new Error(`${this.name}: not ${what} after ${timeout} ms\n${JSON.stringify(state, null, 1)}\n${this.log.slice(-30).join('\n')}`);
  }

  /** Waits until there are exactly `count` others and the picture of each has moved since. */
  async sees(count, timeout = 15_000) {
    const first = new Map();
    return this.until(`seeing ${count} others`, (state) => {
      const moving = state.tiles.filter((tile) => tile.frames > (first.get(tile.source) ?? Infinity));
      for (const tile of state.tiles) if (!first.has(tile.source)) first.set(tile.source, tile.frames);
      return state.tiles.length === count && moving.length === count;
    }, timeout);
  }

  /** Waits until audio of at least `count` others arrives and is not silence. */
  async hears(count, timeout = 15_000) {
    let energy = new Map();
    const began = Date.now();
    while (Date.now() - began < timeout) {
      const audio = (await this.stats())?.inboundAudio ?? [];
      const rising = audio.filter((stream) => stream.totalAudioEnergy > (energy.get(stream.ssrc) ?? Infinity));
      energy = new Map(audio.map((stream) => [stream.ssrc, stream.totalAudioEnergy]));
      if (rising.length >= count) return Date.now() - began;
      await pause(500);
    }
    throw new Error(`${this.name}: does not hear ${count} others: ${JSON.stringify((await this.stats())?.inboundAudio)}`);
  }

  async leave() {
    await this.page.evaluate(() => window.sluice.leave());
    await this.page.context().close();
  }
}

export { pause };
