// Servers of the run, each started when it is first asked for, with the stock web app in place of the built-in client.
import { execFileSync } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BINARY, Server, freePort, freeUdpPort } from '../../e2e/server.mjs';

/** As no person wants it, but a test: straight into the room, small pictures, soon direct again, nothing asked of others. */
const OVERRIDES = `config.prejoinConfig = { enabled: false };
config.disableDeepLinking = true;
config.analytics = {};
config.p2p = Object.assign(config.p2p || {}, { enabled: true, backToP2PDelay: 2 });
config.constraints = { video: { height: { ideal: 180, max: 180, min: 180 } } };
config.disableThirdPartyRequests = true;
config.gravatarBaseURL = '/none';
config.testing = Object.assign(config.testing || {}, { testMode: true });
`;

/** Who may begin a meeting where accounts are needed. */
export const HOST = { name: 'ann', address: 'ann@meet.sluice', password: 'correct horse' };

/** What each server has beside the web app: `(servers, ports)` to `{ settings, overrides }`. */
const KINDS = {
  main: () => ({}),
  channel: (servers, { http }) => ({ settings: { conference: { websocket_url: `ws://localhost:${http}/colibri-ws/default` } } }),
  tokens: (servers) => ({ settings: { auth: { mode: 'token' }, jwt: { secret_file: servers.secretFile(), issuers: ['app'], audiences: ['jitsi'] } } }),
  accounts: (servers) => ({ settings: { auth: { mode: 'accounts', guests: true, users_file: servers.usersFile() } } }),
  ice: () => ({}),
  ice_without_restart: () => ({ overrides: 'config.enableIceRestart = false;\n' }),
};

export class Servers {
  constructor(webRoot, folder) {
    Object.assign(this, { webRoot, folder });
    this.started = new Map();
    this.turn = Promise.resolve();
    this.secret = randomBytes(32).toString('base64url');
  }

  /** The server of that kind: `{ http, tls }` ports and `base` address. `address`: where it takes media. */
  get(kind, address = '127.0.0.1') {
    if (!this.started.has(kind)) {
      // One after the other, so that two do not find the same port free.
      const start = this.turn.then(() => this.start(kind, address));
      this.turn = start.catch(() => {});
      this.started.set(kind, start);
    }
    return this.started.get(kind);
  }

  async start(kind, address) {
    const ports = { http: await freePort(), tls: await freePort() };
    const { settings = {}, overrides = '' } = KINDS[kind](this, ports);
    const file = join(this.folder, `${kind}.js`);
    writeFileSync(file, OVERRIDES + overrides);
    await Server.start({
      http: { listen: `127.0.0.1:${ports.http}`, listen_tls: `127.0.0.1:${ports.tls}` },
      media: { port: await freeUdpPort(), tcp_port: 0, addresses: [address] },
      web: { root: this.webRoot, config_overrides: file },
      ...settings,
    });
    return { ...ports, base: `http://localhost:${ports.http}`, secureBase: `https://localhost:${ports.tls}` };
  }

  secretFile() {
    const file = join(this.folder, 'secret');
    writeFileSync(file, this.secret, { mode: 0o600 });
    return file;
  }

  usersFile() {
    const file = join(this.folder, 'users');
    execFileSync(BINARY, ['user', 'add', HOST.name, '--file', file], { input: `${HOST.password}\n`, stdio: ['pipe', 'ignore', 'inherit'] });
    return file;
  }

  /** A token for a room and a user; `claims` go beside. */
  token(room, user, claims = {}) {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const hour = Math.floor(Date.now() / 1000) + 3600;
    const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ iss: 'app', aud: 'jitsi', sub: '*', room, exp: hour, context: { user }, ...claims })}`;
    return `${signed}.${createHmac('sha256', this.secret).update(signed).digest('base64url')}`;
  }

  kill() {
    for (const server of Server.alive) server.child.kill('SIGKILL');
  }
}
