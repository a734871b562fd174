// The certificate of the HTTPS listener: changed under load, told to browsers for good (HSTS) only if it is a configured one, and not held up by slow connections.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import test from 'node:test';
import { CertificateFiles, head, secure, shown } from './certificate.mjs';
import { pause } from './browser.mjs';
import { load } from './generator.mjs';
import { Server } from './server.mjs';

// Half of B2 unless told (12 is all of it): test machines are small, and other things run on them.
const ROOMS = Number(process.env.SLUICE_B2_ROOMS ?? 6);
// It is ended as soon as all has been seen.
const SECONDS_MAX = 45;

test('a certificate is changed under B2: nothing is lost, everybody stays, old connections go on, the next one is shown the new chain', { timeout: 90_000 }, async () => {
  const files = new CertificateFiles();
  files.renew('first');
  const server = await Server.start({ http: { certificate: files.certificate, key: files.key } });
  const port = server.ports.tls;
  try {
    const run = await load('--url', `https://localhost:${port}`, '--profile', 'B2', '--rooms', String(ROOMS), '--seconds', String(SECONDS_MAX), '--join-rate', '30');
    const everybody = async () => (await server.stats()).participants === 5 * ROOMS;
    await until('all are in', everybody);
    await until('all have media', async () => (await server.metric('sluice_dtls_reached')) === 5 * ROOMS);
    // The generator's warm-up is over, so every packet from here on is in its figures.
    await pause(3_500);
    assert.equal(await shown(port), 'first');
    const old = await secure(port);
    const changes = [];
    for (const name of ['second', 'third']) {
      files.renew(name);
      const began = Date.now();
      await until(`the chain "${name}" is shown`, async () => {
        assert.match(await head(old), /^http\/1.1 200/, 'an old connection goes on');
        return (await shown(port)) === name;
      });
      changes.push(`${Date.now() - began} ms`);
    }
    assert.equal(old.getPeerCertificate().subject.CN, 'first');
    old.destroy();
    assert.ok(await everybody(), 'nobody left');
    assert.equal(run.child.exitCode, null, 'the load went on');
    await pause(1_000);
    run.child.kill('SIGINT');
    const status = await run.ended;
    assert.ok([0, 4].includes(status), run.output());
    const json = await run.json();
    const text = JSON.stringify(json, null, 1);
    console.log(`new chains shown after ${changes.join(' and ')}; ${json.packets_received} packets received, ${json.packets_lost} lost, ${json.connected} of ${5 * ROOMS} endpoints`);
    assert.equal(json.packets_lost + json.auth_failures + json.wrong_source, 0, text);
    assert.equal(json.connected, 5 * ROOMS, text);
    for (const stream of Object.values(json.streams)) assert.equal(stream.live, stream.expected, text);
    assert.equal(await server.metric('sluice_certificate_reloaded_total'), 2);
  } finally {
    await server.stop();
  }
});

test('browsers are told to use HTTPS only while the certificate is a configured one, and over HTTPS only', { timeout: 30_000 }, async () => {
  const files = new CertificateFiles();
  files.renew('real');
  for (const [settings, expected] of [
    [{ certificate: files.certificate, key: files.key }, /strict-transport-security: max-age=15552000/],
    [{ certificate: files.certificate, key: files.key, hsts_s: 0 }, null],
    [{}, null],
  ]) {
    const server = await Server.start({ http: settings });
    try {
      const socket = await secure(server.ports.tls);
      const answer = await head(socket);
      socket.destroy();
      assert.match(answer, /^http\/1.1 200/);
      if (expected) assert.match(answer, expected);
      else assert.doesNotMatch(answer, /strict-transport-security/, JSON.stringify(settings));
      const plain = await fetch(`${server.url}/config.js`);
      assert.equal(plain.headers.get('strict-transport-security'), null, 'over plain HTTP it means nothing (RFC 6797 §7.2)');
    } finally {
      await server.stop();
    }
  }
});

test('four hundred slow connections are closed in time, and a page comes quickly meanwhile', { timeout: 40_000 }, async () => {
  const server = await Server.start();
  try {
    const kinds = {
      'a head that never ends': (n) => slow(server.ports.http, 'GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ', n),
      'a TLS greeting that never ends': (n) => slow(server.ports.tls, '\x16\x03\x01\x02\x00\x01\x00', n),
      'nothing at all': (n) => slow(server.ports.http, '', n),
      'a head that never ends, over TLS': (n) => slow(server.ports.tls, 'GET / HTTP/1.1\r\nX-Slow: ', n, true),
    };
    const began = Date.now();
    const lives = Object.values(kinds).flatMap((make) => Array.from({ length: 100 }, (_, n) => make(n)));
    await pause(1_000);
    const waits = [];
    for (let n = 0; n < 5; n++) {
      const asked = performance.now();
      assert.equal((await fetch(`${server.url}/config.js?${n}`)).status, 200);
      waits.push(performance.now() - asked);
      await pause(500);
    }
    const ended = await Promise.all(lives);
    console.log(`a page meanwhile: ${Math.max(...waits).toFixed(0)} ms at most; the last slow connection was closed after ${Math.max(...ended)} ms`);
    assert.ok(Math.max(...waits) < 500, `${waits}`);
    assert.ok(Math.min(...ended) > 2_000 && Math.max(...ended) < 14_000, `between ${Math.min(...ended)} and ${Math.max(...ended)} ms`);
    assert.ok(Date.now() - began < 16_000);
    await until('none of them is counted as open', async () => (await server.metric('sluice_http_connections')) <= 2);
  } finally {
    await server.stop();
  }
});

/** A connection that says `begin` and then a byte a second; milliseconds until the server ends it. */
async function slow(port, begin, n, tls = false) {
  const socket = tls ? await secure(port) : connect(port, '127.0.0.1');
  const began = Date.now();
  socket.on('error', () => {});
  socket.write(Buffer.from(begin, 'latin1'));
  const drip = setInterval(() => begin && socket.write('x'), 1_000 + n);
  socket.resume();
  // It may end by a reset, as bytes of ours are still on their way.
  await new Promise((resolve) => socket.once('close', resolve));
  clearInterval(drip);
  return Date.now() - began;
}

/** Waits until `happened`, for twenty seconds at most. */
async function until(what, happened) {
  const deadline = Date.now() + 20_000;
  while (!(await happened())) {
    assert.ok(Date.now() < deadline, `not in time: ${what}`);
    await pause(200);
  }
}
