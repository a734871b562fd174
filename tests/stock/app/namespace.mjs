// A network namespace with a cable to this machine, a browser's command in it, and UDP that can be closed. Needs root, ip and nft.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { relay } from './relay.mjs';

const RELAY = new URL('relay.mjs', import.meta.url).pathname;
/** Of this run alone, so that two do not meet. */
const NET = `10.${64 + (process.pid % 128)}.250`;
const run = (...words) => execFileSync(words[0], words.slice(1), { stdio: ['ignore', 'ignore', 'pipe'] });

export class Namespace {
  /** Why there can be none, or null. */
  static missing() {
    if (process.getuid() !== 0) return 'left out, as network namespaces need root';
    const absent = ['ip', 'nft'].find((program) => spawnSync(program, ['-V']).error);
    return absent === undefined ? null : `left out, as there is no ${absent}`;
  }

  static async make() {
    const namespace = new Namespace();
    try {
      namespace.connect();
    } catch (error) {
      namespace.remove();
      throw error;
    }
    await pause(1_500);
    return namespace;
  }

  constructor() {
    this.name = `sluice-stock-${process.pid}`;
    this.cable = `st${process.pid % 10_000_000}a`;
    /** This machine, as the namespace sees it. */
    this.host = `${NET}.1`;
    this.relays = [];
    /** Ports that are on its localhost. */
    this.brought = new Set();
  }

  connect() {
    const inner = `st${process.pid % 10_000_000}b`;
    run('ip', 'netns', 'add', this.name);
    run('ip', 'link', 'add', this.cable, 'type', 'veth', 'peer', 'name', inner, 'netns', this.name);
    this.inside('sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1');
    run('ip', 'address', 'add', `${this.host}/30`, 'dev', this.cable);
    run('ip', 'link', 'set', this.cable, 'up');
    this.inside('ip', 'address', 'add', `${NET}.2/30`, 'dev', inner);
    this.inside('ip', 'link', 'set', inner, 'up');
    this.inside('ip', 'link', 'set', 'lo', 'up');
  }

  inside(...words) {
    return run('ip', 'netns', 'exec', this.name, ...words);
  }

  /** A program that starts Chromium inside. */
  chromium() {
    const wrapper = join(tmpdir(), 'chromium-inside');
    writeFileSync(wrapper, `#!/bin/sh\nexec ip netns exec ${this.name} ${process.env.CHROMIUM ?? '/usr/bin/chromium'} "$@"\n`);
    chmodSync(wrapper, 0o755);
    return wrapper;
  }

  /** Has what listens on this machine's localhost at `port` on the namespace's localhost, too. */
  async bring(port) {
    if (this.brought.has(port)) return;
    this.brought.add(port);
    this.relays.push(await relay({ host: this.host, port }, { host: '127.0.0.1', port }));
    const child = spawn('ip', ['netns', 'exec', this.name, process.execPath, RELAY, String(port), this.host, String(port)], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.relays.push({ close: () => child.kill('SIGKILL') });
    await once(child.stdout, 'data');
  }

  /** Drops UDP of both directions from now on. */
  closeUdp() {
    const chain = (hook) => `chain ${hook} { type filter hook ${hook} priority 0; meta l4proto udp drop; };`;
    this.inside('nft', `table inet closed { ${chain('input')} ${chain('output')} }`);
  }

  openUdp() {
    try {
      this.inside('nft', 'delete', 'table', 'inet', 'closed');
    } catch {
      // It was open.
    }
  }

  remove() {
    for (const one of this.relays) one.close();
    // By itself, for a process that lingers keeps the namespace and the cable in it.
    for (const words of [['link', 'delete', this.cable], ['netns', 'delete', this.name]]) spawnSync('ip', words, { stdio: 'ignore' });
  }
}
