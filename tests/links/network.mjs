// Namespaces with a browser each, their links through the shaper, and a server behind it. Needs root and ip.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Participant, launch, pause, within } from '../e2e/browser.mjs';
import { Server, freePort } from '../e2e/server.mjs';
import { cameraFile, preparePage } from './page.mjs';

const SHAPER = process.env.SHAPER_BINARY ?? new URL('../../target/release/shaper', import.meta.url).pathname;
const run = (...words) => execFileSync(words[0], words.slice(1), { stdio: ['ignore', 'ignore', 'pipe'] });
const output = (...words) => execFileSync(words[0], words.slice(1), { encoding: 'utf8' });
/** Of this run alone, so that two do not meet. */
const NET = `10.${64 + (process.pid % 128)}`;
/** Of the server as clients see it: the near end of the first cable. */
const FRONT = `${NET}.1.1`;

export class Network {
  /**
   * What comes of `work(network)`, with so many namespaces with a link beside one without. Everything is taken down after it, also
   * where the shaper, the server or a browser ends under way, where it takes longer than `seconds`, or by SIGINT and SIGTERM.
   */
  static async use(hosts, seconds, work) {
    const network = new Network();
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => network.broke(new Error(`ended by ${signal}`)));
    try {
      const all = network.start(hosts).then(() => work(network));
      return await within(seconds * 1_000, 'the whole plan', Promise.race([all, network.broken]));
    } finally {
      await network.stop();
    }
  }

  async start(hosts) {
    for (let number = 1; number <= hosts + 1; number++) this.addHost(number);
    const tls = await freePort();
    this.base = `https://${FRONT}:${tls}`;
    const media = { addresses: ['127.0.0.1'], public_addresses: [`127.0.0.1=${FRONT}`], tcp_port: 0, workers: 1, pin: false, spin_us: 0 };
    this.server = await Server.start({ http: { listen_tls: `${FRONT}:${tls}` }, media });
    this.server.exited.then(({ code, signal }) => this.broke(new Error(`the server ended by itself (${code ?? signal}):\n${this.server.output}`)));
    await this.startShaper();
    // A browser that sees interfaces come up gives up what it is loading.
    await pause(1_500);
  }

  constructor() {
    this.hosts = [];
    this.browsers = [];
    /** What the shaper told: `{ at, host, direction, entered, passed, dropped, queue_ms }`, `at` by our clock. */
    this.seen = [];
    /** Fails with the first thing that goes wrong where nobody waits for it. */
    this.broken = new Promise((_, fail) => (this.broke = fail));
    this.broken.catch(() => {});
  }

  addHost(number) {
    const space = `sluice-links-${process.pid}-${number}`;
    const [here, there] = [`sk${process.pid % 100000}x${number}a`, `sk${process.pid % 100000}x${number}b`];
    const [near, address] = [`${NET}.${number}.1`, `${NET}.${number}.2`];
    const inside = (...words) => run('ip', 'netns', 'exec', space, ...words);
    run('ip', 'netns', 'add', space);
    this.hosts.push({ space, address, here });
    run('ip', 'link', 'add', here, 'type', 'veth', 'peer', 'name', there, 'netns', space);
    inside('sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1');
    run('ip', 'address', 'add', `${near}/30`, 'dev', here);
    run('ip', 'link', 'set', here, 'up');
    inside('ip', 'link', 'set', 'lo', 'up');
    inside('ip', 'address', 'add', `${address}/30`, 'dev', there);
    inside('ip', 'link', 'set', there, 'up');
    inside('ip', 'route', 'add', 'default', 'via', near);
  }

  async startShaper() {
    const port = this.server.ports.media;
    this.shaper = spawn(SHAPER, [`${FRONT}:${port}`, `127.0.0.1:${port}`], { stdio: ['pipe', 'pipe', 'inherit'] });
    // Asked for now: whoever ended by a signal has no exit code and does not end again.
    this.shaperEnded = once(this.shaper, 'exit');
    this.shaperEnded.then(
      ([code, signal]) => this.broke(new Error(`the shaper ended by itself (${code ?? signal})`)),
      (error) => this.broke(new Error(`the shaper did not start: ${error.message}`)),
    );
    this.shaper.stdin.on('error', () => {});
    const lines = createInterface({ input: this.shaper.stdout });
    lines.on('line', (line) => {
      const told = JSON.parse(line);
      if (told.error) this.broke(new Error(`shaper: ${told.error}`));
      if (told.host) this.seen.push({ at: Date.now(), ...told });
    });
    await within(5_000, 'the first line of the shaper', once(lines, 'line'));
  }

  /** A browser in a namespace (0, 1, …), or in the one without a link (-1). `camera`: { width, height, fps }. */
  async browser(host, camera = null) {
    const wrapper = join(mkdtempSync(join(tmpdir(), 'sluice-links-')), 'chromium');
    const { space } = this.hosts.at(host);
    writeFileSync(wrapper, `#!/bin/sh\nexec ip netns exec ${space} ${process.env.CHROMIUM ?? '/usr/bin/chromium'} "$@"\n`);
    chmodSync(wrapper, 0o755);
    const more = camera ? [`--use-file-for-fake-video-capture=${cameraFile(camera)}`] : [];
    // By a signal we close them ourselves, and take the namespaces down after.
    const browser = await launch(wrapper, more, { handleSIGINT: false, handleSIGTERM: false });
    this.browsers.push(browser);
    browser.on('disconnected', () => this.broke(new Error(`the browser of host ${host} ended by itself`)));
    return browser;
  }

  /** Joins; `page` is what page.mjs prepares. */
  async join(browser, room, name, { page = {}, ...options } = {}) {
    return Participant.join(browser, this.server, room, name, { base: this.base, prepare: (target) => preparePage(target, page), ...options });
  }

  /** Sets a host's link; rates in bits per second, times in milliseconds. Null: none of its limits. */
  link(host, down, up = { delay: down.delay ?? 0 }) {
    const words = (settings) => Object.entries(settings).map(([key, value]) => `${key}=${value}`).join(' ');
    const { address } = this.hosts[host];
    this.shaper.stdin.write(`set ${address} down ${words(down)}\nset ${address} up ${words(up)}\n`);
    return Date.now();
  }

  rebind(host) {
    this.shaper.stdin.write(`rebind ${this.hosts[host].address}\n`);
  }

  /** What the shaper told of a host's link from `from` to `to`. */
  told(host, from, to = Infinity, direction = 'down') {
    const { address } = this.hosts[host];
    return this.seen.filter((line) => line.host === address && line.direction === direction && line.at >= from && line.at < to);
  }

  /** With LINKS_TRACE in the environment, a folder: writes there what the shaper saw, the browser told and the server decided. */
  async trace(name, watch) {
    const folder = process.env.LINKS_TRACE;
    if (!folder) return;
    const decisions = [];
    // Endpoints are numbered as they join.
    for (let endpoint = 1; endpoint <= 8; endpoint++) decisions.push(await this.server.get(`/debug?endpoint=${endpoint}`).catch(() => null));
    writeFileSync(join(folder, `${name}.json`), JSON.stringify({ seen: this.seen, rows: watch.rows, decisions }));
  }

  async stop() {
    await Promise.all(this.browsers.map((browser) => within(10_000, 'a browser to close', browser.close()).catch(complain)));
    if (this.shaper) {
      this.shaper.stdin.end();
      await within(5_000, 'the shaper to end', this.shaperEnded).catch((error) => complain(error) || this.shaper.kill('SIGKILL'));
    }
    await this.server?.stop();
    for (const { space, here } of this.hosts) {
      // A browser that did not close.
      for (const left of output('ip', 'netns', 'pids', space).split(/\s+/).filter(Boolean)) process.kill(Number(left), 'SIGKILL');
      // By itself, for a process that lingers keeps the namespace and the cable in it.
      run('ip', 'link', 'delete', here);
      run('ip', 'netns', 'delete', space);
    }
  }
}

function complain(error) {
  console.error(error.message);
}
