// Starts the built server on ports of its own and reads its private pages.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { createSocket } from 'node:dgram';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const BINARY = process.env.SLUICE_BINARY ?? new URL('../../target/release/sluice', import.meta.url).pathname;

export async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}

export async function freeUdpPort(wanted = 0) {
  const probe = createSocket('udp4').bind(wanted, '127.0.0.1');
  const failed = await new Promise((resolve) => probe.once('listening', () => resolve(false)).once('error', () => resolve(true)));
  if (failed) return freeUdpPort(0);
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}

export class Server {
  /** Those whose process has not ended. */
  static alive = new Set();

  /** `settings`: { section: { key: value } } over the test's defaults. */
  static async start(settings = {}) {
    const ports = { http: await freePort(), tls: await freePort(), private: await freePort(), media: await freeUdpPort(10000) };
    const merged = {
      http: { listen: `127.0.0.1:${ports.http}`, listen_tls: `127.0.0.1:${ports.tls}`, private: `127.0.0.1:${ports.private}`, ...settings.http },
      media: { port: ports.media, addresses: ['127.0.0.1'], ...settings.media },
      ...Object.fromEntries(Object.entries(settings).filter(([section]) => !['http', 'media'].includes(section))),
    };
    const folder = await mkdtemp(join(tmpdir(), 'sluice-e2e-'));
    const config = join(folder, 'sluice.toml');
    await writeFile(config, toml(merged));
    const child = spawn(BINARY, ['serve', '--config', config], { stdio: ['ignore', 'pipe', 'pipe'] });
    const server = new Server(child, ports);
    await server.ready();
    return server;
  }

  constructor(child, ports) {
    this.child = child;
    this.ports = ports;
    this.output = '';
    this.url = `http://localhost:${ports.http}`;
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (this.output += text));
    Server.alive.add(this);
    this.exited = once(child, 'exit').then(([code, signal]) => {
      Server.alive.delete(this);
      return { code, signal };
    });
  }

  async ready() {
    const deadline = Date.now() + 10_000;
    while (Date.now() < deadline) {
      if (this.child.exitCode !== null) throw new Error(`the server ended at once:\n${this.output}`);
      const answer = await fetch(`http://127.0.0.1:${this.ports.private}/about/health`, { signal: AbortSignal.timeout(5_000) }).catch(() => null);
      if (answer?.status === 200) return;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    throw new Error(`the server did not get ready:\n${this.output}`);
  }

  async get(path) {
    const answer = await fetch(`http://127.0.0.1:${this.ports.private}${path}`, { signal: AbortSignal.timeout(10_000) });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.text();
  }

  /** Sum of a counter over its labels, optionally of those lines that contain every one of `labels`. */
  async metric(name, ...labels) {
    const page = await this.get('/metrics');
    return page
      .split('\n')
      .filter((line) => line.startsWith(name) && /[ {]/.test(line[name.length] ?? '') && labels.every((label) => line.includes(label)))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }

  async stats() {
    return JSON.parse(await this.get('/colibri/stats'));
  }

  /** Resident memory in bytes. */
  async memory() {
    const status = await readFile(`/proc/${this.child.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)[1]) * 1024;
  }

  async stop(signal = 'SIGTERM') {
    this.child.kill(signal);
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 15_000);
    const exit = await this.exited;
    clearTimeout(timer);
    return exit;
  }
}

function toml(settings) {
  const value = (v) => (Array.isArray(v) ? `[${v.map(value).join(', ')}]` : typeof v === 'string' ? JSON.stringify(v) : String(v));
  return Object.entries(settings)
    .map(([section, keys]) => `[${section}]\n${Object.entries(keys).map(([key, v]) => `${key} = ${value(v)}`).join('\n')}\n`)
    .join('\n');
}
