// How a client gets in, by clients that are not ours: Strophe.js in Chromium over BOSH and WebSocket, coturn with our
// credentials.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { launch } from './browser.mjs';
import { BINARY, Server, freePort, freeUdpPort } from './server.mjs';

const STROPHE = new URL('node_modules/strophe.js/dist/strophe.umd.js', import.meta.url).pathname;
let browser;
before(async () => (browser = await launch()));
after(async () => browser?.close());

/** A page of the server's own origin with Strophe.js in it. */
async function pageWithStrophe(server) {
  const context = await browser.newContext({ bypassCSP: true });
  const page = await context.newPage();
  await page.goto(`${server.url}/config.js`);
  await page.addScriptTag({ path: STROPHE });
  return page;
}

/** Connects and answers the last status, the address and what a failure said. */
function connect(page, url, jid, password) {
  return page.evaluate(
    ([url, jid, password]) =>
      new Promise((resolve) => {
        const { Strophe } = window.strophe ?? window;
        const connection = new Strophe.Connection(url);
        let failure = '';
        connection.rawInput = (text) => { if (text.includes('<failure')) failure = text; };
        window.connection = connection;
        const ends = [Strophe.Status.CONNECTED, Strophe.Status.AUTHFAIL, Strophe.Status.CONNFAIL];
        connection.connect(jid, password, (status) => {
          if (ends.includes(status)) resolve({ ok: status === Strophe.Status.CONNECTED, jid: connection.jid, failure });
        });
      }),
    [url, jid, password],
  );
}

/** Sends an IQ and answers what came back, as text. */
function ask(page, to, type, payload) {
  return page.evaluate(
    ([to, type, payload]) =>
      new Promise((resolve) => {
        const { $iq } = window.strophe ?? window;
        const iq = $iq({ to, type });
        iq.cnode(new DOMParser().parseFromString(payload, 'text/xml').documentElement);
        const answered = (answer) => resolve(answer?.outerHTML ?? 'timeout');
        window.connection.sendIQ(iq, answered, answered, 5_000);
      }),
    [to, type, payload],
  );
}

const conference = (room) => `<conference xmlns="http://jitsi.org/protocol/focus" room="${room}@conference.meet.sluice" machine-uid="m"/>`;

test('Strophe.js connects, pings and leaves over BOSH', async (t) => {
  const server = await Server.start();
  t.after(() => server.stop());
  const page = await pageWithStrophe(server);
  const { ok, jid } = await connect(page, `${server.url}/http-bind?room=standup`, 'meet.sluice');
  assert.ok(ok, 'connected');
  assert.match(jid, /^[0-9a-f-]{36}@meet\.sluice\//);
  assert.match(await ask(page, 'meet.sluice', 'get', '<ping xmlns="urn:xmpp:ping"/>'), /type="result"/);
  assert.match(await ask(page, 'focus.meet.sluice', 'set', conference('standup')), /ready="true"/);
  // Nothing happens for a while: the request is held, then the answer to the next ping comes all the same.
  await pause(3_000);
  assert.match(await ask(page, 'meet.sluice', 'get', '<ping xmlns="urn:xmpp:ping"/>'), /type="result"/);
  await page.evaluate(() => window.connection.disconnect('done'));
  for (let i = 0; i < 50 && (await server.metric('sluice_sessions')) > 0; i += 1) await pause(100);
  assert.equal(await server.metric('sluice_sessions'), 0);
});

function user(file, command, name, password = '') {
  return spawnSync(BINARY, ['user', command, ...(name ? [name] : []), '--file', file], { input: `${password}\n`, encoding: 'utf8' });
}

test('accounts sign in by SCRAM, guests wait for them, and changes of the file are noticed', async (t) => {
  const file = join(await mkdtemp(join(tmpdir(), 'sluice-users-')), 'users');
  assert.equal(user(file, 'add', 'ann', 'pencil').status, 0);
  assert.notEqual(user(file, 'add', 'ann', 'other').status, 0, 'she is there already');
  assert.equal(user(file, 'list').stdout, 'ann\n');
  const server = await Server.start({ auth: { mode: 'accounts', guests: true, users_file: file } });
  t.after(() => server.stop());
  const socket = `${server.url.replace('http', 'ws')}/xmpp-websocket?room=standup`;

  const guest = await pageWithStrophe(server);
  assert.ok((await connect(guest, socket, 'guest.meet.sluice')).ok, 'guests come in');
  const waiting = await ask(guest, 'focus.meet.sluice', 'set', conference('standup'));
  assert.match(waiting, /not-authorized/);
  assert.match(waiting, /type="auth"/);

  assert.equal((await connect(await pageWithStrophe(server), socket, 'ann@meet.sluice', 'wrong')).ok, false);
  const host = await pageWithStrophe(server);
  const signedIn = await connect(host, socket, 'ann@meet.sluice', 'pencil');
  assert.ok(signedIn.ok, `by SCRAM: ${signedIn.failure}`);
  assert.match(signedIn.jid, /^ann@meet\.sluice\//);
  const granted = await ask(host, 'focus.meet.sluice', 'set', conference('standup'));
  assert.match(granted, /ready="true"/);
  assert.match(granted, /session-id="[0-9a-f-]{36}"/);
  assert.match(granted, /identity="ann@meet.sluice"/);
  assert.match(await ask(guest, 'focus.meet.sluice', 'set', conference('standup')), /ready="true"/);

  assert.equal(user(file, 'add', 'bob', 'crayon').status, 0);
  await pause(2_500);
  const bob = await connect(await pageWithStrophe(server), `${server.url}/http-bind`, 'bob@meet.sluice', 'crayon');
  assert.ok(bob.ok, `over BOSH: ${bob.failure}`);
  assert.ok((await server.metric('sluice_clients_refused_total', 'reason="login"')) >= 1);
});

test('coturn takes the credentials that clients are given', { skip: spawnSync('turnserver', ['--version']).error && 'coturn is not installed' }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-turn-'));
  const secret = join(folder, 'secret');
  await writeFile(secret, 'a secret of both\n');
  const port = await freeUdpPort(0);
  const turn = spawn('turnserver', ['-n', '--use-auth-secret', '--static-auth-secret=a secret of both', '--realm=turn.example', `--listening-port=${port}`, '--listening-ip=127.0.0.1', '--relay-ip=127.0.0.1', '--min-port=21900', '--max-port=21960', '--no-tls', '--no-dtls', '--no-cli', '--allow-loopback-peers', `--pidfile=${join(folder, 'pid')}`, `--userdb=${join(folder, 'db')}`, '--log-file=stdout'], { stdio: 'ignore' });
  t.after(() => turn.kill('SIGKILL'));
  const server = await Server.start({ turn: { host: '127.0.0.1', port, secret_file: secret } });
  t.after(() => server.stop());
  const page = await pageWithStrophe(server);
  assert.ok((await connect(page, `${server.url}/http-bind`, 'meet.sluice')).ok);
  const services = await ask(page, 'meet.sluice', 'get', '<services xmlns="urn:xmpp:extdisco:2"/>');
  const service = services.match(/<service [^>]*type="turn"[^>]*>/)[0];
  const [username, password] = ['username', 'password'].map((name) => service.match(new RegExp(`${name}="([^"]*)"`))[1]);
  await pause(500);
  const allocate = (password) =>
    spawnSync('timeout', ['20', 'turnutils_uclient', '-y', '-n', '3', '-m', '1', '-p', String(port), '-u', username, '-w', password, '127.0.0.1'], { encoding: 'utf8' });
  const good = allocate(password);
  assert.match(good.stdout, /Total lost packets 0/, good.stdout + good.stderr);
  const bad = allocate('guess');
  assert.doesNotMatch(bad.stdout, /Total lost packets 0 /, 'a wrong password');
});
