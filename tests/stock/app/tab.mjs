// A tab of the stock web app, and what the app says of itself.
import { setTimeout as pause } from 'node:timers/promises';
import { launch as launchChromium } from '../../e2e/browser.mjs';

/** Chromium with fake devices; fewer pictures a second than elsewhere, as up to four people share a machine with their browser. */
export function launch(executable) {
  return launchChromium(executable, ['--use-fake-device-for-media-stream=fps=15', '--ignore-certificate-errors']);
}

/** Settings of the app for people who bring no media. */
export const SILENT = { startWithVideoMuted: true, startWithAudioMuted: true };
/** … who use the bridge though they are two. */
export const BRIDGED = { 'p2p.enabled': false };

export class Tab {
  /** `config`: settings of the app, as its address takes them; `token`: a JWT. */
  static async open(browser, address, name, { config = {}, token = null } = {}) {
    const context = await browser.newContext({ viewport: { width: 1000, height: 640 }, permissions: ['camera', 'microphone'], ignoreHTTPSErrors: true });
    const page = await context.newPage();
    await page.addInitScript(shorten);
    const tab = new Tab(page, name);
    const settings = Object.entries(config).map(([key, value]) => `&config.${key}=${JSON.stringify(value)}`).join('');
    await page.goto(`${address}${token === null ? '' : `?jwt=${token}`}#userInfo.displayName="${name}"${settings}`, { waitUntil: 'domcontentloaded' });
    return tab;
  }

  constructor(page, name) {
    this.page = page;
    this.name = name;
    /** Stays open when the check is over that opened it. */
    this.kept = false;
    /** Addresses of the WebSockets that were opened. */
    this.sockets = [];
    page.on('websocket', (socket) => this.sockets.push(socket.url()));
    /** The last errors that the app wrote to its console. */
    this.errors = [];
    page.on('console', (message) => message.type() === 'error' && (this.errors = [...this.errors.slice(-3), message.text().slice(0, 200)]));
  }

  /** What `question`, run in the page, answers. */
  ask(question, argument) {
    return this.page.evaluate(question, argument);
  }

  /** Waits until `question`, run in the page, answers something that is true, and gives that. */
  async until(what, question, argument, within = 20_000) {
    const deadline = Date.now() + within;
    let last;
    while (Date.now() < deadline) {
      // A page that loads itself anew has no answer for a while.
      last = await this.ask(question, argument).catch((error) => void (last = error.message));
      if (last) return last;
      await pause(250);
    }
    const page = await this.text().catch(() => 'nothing');
    throw new Error(`${this.name}: not ${what} in ${within} ms; on the page: ${page}; last errors: ${this.errors.join(' | ') || 'none'}`);
  }

  joined(within = 30_000) {
    return this.until('joined', () => window.APP?.conference?.isJoined?.(), null, within);
  }

  id() {
    return this.ask(() => APP.conference.getMyUserId());
  }

  /** The beginning of what a person reads on the page. */
  async text() {
    return (await this.ask(() => document.body.innerText.slice(0, 600))).replace(/\s+/g, ' ').slice(0, 250);
  }

  say(text) {
    return this.ask((said) => stock.room().sendTextMessage(said), text);
  }

  hears(text, within) {
    return this.until(`hearing "${text}"`, (said) => stock.feature('chat').messages.some(({ message }) => message === said), text, within);
  }

  /** Waits until there is another participant of that name. */
  sees(name, within) {
    return this.until(`seeing ${name}`, (wanted) => stock.room().getParticipants().some((other) => other.getDisplayName() === wanted), name, within);
  }

  isAlone(within) {
    return this.until('alone', () => stock.room().getParticipants().length === 0, null, within);
  }

  isDirect(within = 30_000) {
    return this.until('with the other directly', () => stock.room().isP2PActive(), null, within);
  }

  isBridged(within) {
    return this.until('on the bridge', () => !stock.room().isP2PActive(), null, within);
  }

  /** What came in during `milliseconds`: pictures decoded by way, packets of audio; and the codecs so far. */
  async flows(milliseconds = 2_500) {
    const before = await this.ask(sessions);
    await pause(milliseconds);
    const now = await this.ask(sessions);
    const risen = (way, what) => (now[way]?.[what] ?? 0) - (before[way]?.[what] ?? 0);
    return {
      direct: now.direct?.active ?? false,
      p2p: risen('p2p', 'pictures'),
      bridge: risen('bridge', 'pictures'),
      audio: risen('p2p', 'packets') + risen('bridge', 'packets'),
      codecs: [...new Set([...(now.p2p?.codecs ?? []), ...(now.bridge?.codecs ?? [])])],
    };
  }

  /** Waits until pictures come that way. */
  async flowing(way, within = 40_000) {
    const deadline = Date.now() + within;
    let flow;
    do {
      flow = await this.flows(1_500);
      if (flow[way] > 3) return flow;
    } while (Date.now() < deadline);
    throw new Error(`${this.name}: no pictures by ${way}: ${JSON.stringify(flow)}`);
  }

  async close() {
    await this.page.context().close().catch(() => {});
  }
}

/** Runs in the page before anything else: short names for what is asked again and again. */
function shorten() {
  window.stock = {
    room: () => APP.conference._room,
    feature: (name) => APP.store.getState()[`features/${name}`],
    breakouts: () => Object.values(APP.store.getState()['features/breakout-rooms'].rooms),
  };
}

/** Runs in the page: of either session the pictures and packets so far, and the codecs of both directions. */
async function sessions() {
  const room = stock.room();
  const told = { direct: { active: room.isP2PActive() } };
  for (const [way, session] of [['p2p', room.p2pJingleSession], ['bridge', room.jvbJingleSession]]) {
    const connection = session?.peerconnection?.peerconnection;
    if (!connection) continue;
    const sum = { pictures: 0, packets: 0, codecs: [] };
    const reports = new Map();
    (await connection.getStats()).forEach((report) => reports.set(report.id, report));
    for (const report of reports.values()) {
      const { type, kind } = report;
      const codec = reports.get(report.codecId)?.mimeType;
      if (type === 'inbound-rtp' && kind === 'audio') sum.packets += report.packetsReceived;
      if (type === 'inbound-rtp' && kind === 'video' && report.framesDecoded) {
        sum.pictures += report.framesDecoded;
        sum.codecs.push(`in ${codec}`);
      }
      if (type === 'outbound-rtp' && kind === 'video' && report.packetsSent) sum.codecs.push(`out ${codec}`);
    }
    told[way] = sum;
  }
  return told;
}
