// The bundled load generator against the built server: every packet arrives, authentic and from the right source.
import assert from 'node:assert/strict';
import test from 'node:test';
import { load } from './generator.mjs';
import { Server } from './server.mjs';

test('under B2 nothing is lost, forged or mistaken', async () => {
  const server = await Server.start();
  try {
    // Half of B2: test machines are small, and other things run on them.
    const run = await load('--url', server.url, '--profile', 'B2', '--rooms', '6', '--seconds', '10', '--join-rate', '20');
    const status = await run.ended;
    assert.ok([0, 4].includes(status), run.output());
    const json = await run.json();
    const text = JSON.stringify(json, null, 1);
    assert.equal(json.connected, 30, text);
    assert.equal(json.packets_lost, 0, text);
    assert.equal(json.auth_failures, 0, text);
    assert.equal(json.wrong_source, 0, text);
    assert.deepEqual(json.streams, { audio: { live: 120, expected: 120 }, video: { live: 120, expected: 120 } }, text);
    assert.ok(json.packets_received > 10 * 30 * 4 * 100, text);
    assert.ok(json.packets_opened > json.packets_received / 20, text);
    assert.match(json.cipher, /^AEAD_AES_(128|256)_GCM$/, text);
    assert.equal(json.server.pid, server.child.pid, text);
    assert.ok(json.delay_us.p50 > 0 && json.delay_us.p50 <= json.delay_us.p99 && json.delay_us.p99 <= json.delay_us.max, text);
  } finally {
    await server.stop();
  }
});

test('an interrupted run gives a valid report of what there was', async () => {
  const server = await Server.start();
  try {
    const run = await load('--url', server.url, '--profile', 'custom', '--layers', '3', '--codec', 'vp9', '--seconds', '60', '--warm-up', '0.5');
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    run.child.kill('SIGINT');
    const status = await run.ended;
    assert.ok([0, 4].includes(status), run.output());
    const json = await run.json();
    assert.equal(json.partial, true);
    assert.ok(json.seconds > 0.5 && json.seconds < 30 && json.packets_received > 0, JSON.stringify(json));
    assert.equal(json.packets_lost + json.auth_failures + json.wrong_source, 0, JSON.stringify(json));
  } finally {
    await server.stop();
  }
});

test('impossible settings and an absent server are refused with the reason', async () => {
  for (const [options, expected, reason] of [
    [['--profile', 'nonsense'], 2, /there is no profile/],
    [['--participants', '1'], 2, /alone in a room/],
    [['--url', 'http://127.0.0.1:1'], 1, /no server answers at 127\.0\.0\.1:1/],
  ]) {
    const run = await load(...options);
    assert.equal(await run.ended, expected, run.output());
    assert.match(run.output(), reason);
  }
});
