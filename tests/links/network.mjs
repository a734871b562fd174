// Namespaces with a browser each, their links through the shaper, and a server behind it. Needs root and ip.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Participant, launch, pause } from '../e2e/browser.mjs';
import { Server, freePort } from '../e2e/server.mjs';
import { cameraFile, preparePage } from './page.mjs';

const SHAPER = process.env.SHAPER_BINARY ?? new URL('../../target/release/shaper', import.meta.url).pathname;
const run = (...words) => execFileSync(words[0], words.slice(1), { stdio: ['ignore', 'ignore', 'pipe'] });
/** Of this run alone, so that two do not meet. */
const NET = `10.${64 + (process.pid % 128)}`;
/** Of the server as clients see it: the near end of the first cable. */
const FRONT = `${NET}.1.1`;

export class Network {
  /** `hosts`: how many namespaces with a link, beside one without. */
  static async start(hosts, { config = {} } = {}) {
    const network = new Network();
    try {
      for (let number = 1; number <= hosts + 1; number++) network.addHost(number);
      const tls = await freePort();
      network.base = `https://${FRONT}:${tls}`;
      const media = { addresses: ['127.0.0.1'], public_addresses: [`127.0.0.1=${FRONT}`], tcp_port: 0, workers: 1, pin: false, spin_us: 0 };
      network.server = await Server.start({ http: { listen_tls: `${FRONT}:${tls}` }, media, ...config });
      await network.startShaper();
      // A browser that sees interfaces come up gives up what it is loading.
      await pause(1_500);
    } catch (error) {
      await network.stop();
      throw error;
    }
    return network;
  }

  constructor() {
    this.hosts = [];
    this.browsers = [];
    /** What the shaper told: `{ at, host, direction, entered, passed, dropped, queue_ms }`, `at` by our clock. */
    this.seen = [];
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
    this.shaper.on('error', () => {});
    const lines = createInterface({ input: this.shaper.stdout });
    lines.on('line', (line) => {
      const told = JSON.parse(line);
      if (told.error) throw new Error(`shaper: ${told.error}`);
      if (told.host) this.seen.push({ at: Date.now(), ...told });
    });
    await once(lines, 'line');
  }

  /** A browser in a namespace (0, 1, …), or in the one without a link (-1). `camera`: { width, height, fps }. */
  async browser(host, camera = null) {
    const wrapper = join(mkdtempSync(join(tmpdir(), 'sluice-links-')), 'chromium');
    const { space } = this.hosts.at(host);
    writeFileSync(wrapper, `#!/bin/sh\nexec ip netns exec ${space} ${process.env.CHROMIUM ?? '/usr/bin/chromium'} "$@"\n`);
    chmodSync(wrapper, 0o755);
    const browser = await launch(wrapper, camera ? [`--use-file-for-fake-video-capture=${cameraFile(camera)}`] : []);
    this.browsers.push(browser);
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
    for (const browser of this.browsers) await browser.close().catch(() => {});
    if (this.shaper) {
      this.shaper.stdin.end();
      if (this.shaper.exitCode === null) await once(this.shaper, 'exit');
    }
    await this.server?.stop();
    for (const { space, here } of this.hosts) {
      // By itself, for a process that lingers keeps the namespace and the cable in it.
      run('ip', 'link', 'delete', here);
      run('ip', 'netns', 'delete', space);
    }
  }
}
