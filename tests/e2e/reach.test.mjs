// A network that lets no UDP through: media goes by TCP, and by UDP again as soon as it may. Needs root, ip and nft.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Participant, launch, pause } from './browser.mjs';
import { Server, freePort } from './server.mjs';

const SPACE = `sluice-e2e-${process.pid}`;
const OURS = { v4: '10.97.41.1', v6: 'fd97:41::1' };
const THEIRS = { v4: '10.97.41.2', v6: 'fd97:41::2' };
const run = (...words) => execFileSync(words[0], words.slice(1), { stdio: ['ignore', 'ignore', 'pipe'] });
const inside = (...words) => run('ip', 'netns', 'exec', SPACE, ...words);

/** A namespace behind a cable of its own, and a browser inside; why not, if not. */
function network() {
  try {
    run('nft', '--version');
    run('ip', 'netns', 'add', SPACE);
  } catch (error) {
    return `no network namespace to be had (root, ip and nft are needed): ${String(error.message).split('\n')[0]}`;
  }
  const [here, there] = [`sl${process.pid % 100000}a`, `sl${process.pid % 100000}b`];
  run('ip', 'link', 'add', here, 'type', 'veth', 'peer', 'name', there, 'netns', SPACE);
  run('ip', 'address', 'add', `${OURS.v4}/30`, 'dev', here);
  run('ip', '-6', 'address', 'add', `${OURS.v6}/64`, 'dev', here, 'nodad');
  run('ip', 'link', 'set', here, 'up');
  inside('ip', 'link', 'set', 'lo', 'up');
  inside('ip', 'address', 'add', `${THEIRS.v4}/30`, 'dev', there);
  inside('ip', '-6', 'address', 'add', `${THEIRS.v6}/64`, 'dev', there, 'nodad');
  inside('ip', 'link', 'set', there, 'up');
  return false;
}

const skip = network();
let browser, outside, server, base;

before(async () => {
  if (skip) return;
  const tls = await freePort();
  const media = { addresses: [OURS.v4], tcp_port: await freePort() };
  server = await Server.start({ http: { listen_tls: `${OURS.v4}:${tls}` }, media });
  base = `https://${OURS.v4}:${tls}`;
  const wrapper = join(mkdtempSync(join(tmpdir(), 'sluice-e2e-')), 'chromium');
  writeFileSync(wrapper, `#!/bin/sh\nexec ip netns exec ${SPACE} ${process.env.CHROMIUM ?? '/usr/bin/chromium'} "$@"\n`);
  chmodSync(wrapper, 0o755);
  outside = await launch();
  browser = await launch(wrapper);
});

after(async () => {
  await browser?.close();
  await outside?.close();
  await server?.stop();
  // The cable goes with it.
  if (!skip) run('ip', 'netns', 'delete', SPACE);
});

/** How the selected pair of a page goes: "udp" or "tcp", and the server's address in it. */
async function route(participant) {
  const stats = await participant.stats();
  return `${stats.transport.localProtocol} ${stats.transport.remoteAddress}`;
}

test('without UDP a call goes by TCP, and with UDP back a new one by UDP', { timeout: 120_000, skip }, async () => {
  inside('nft', 'add table inet wall; add chain inet wall out { type filter hook output priority 0; }; add rule inet wall out meta l4proto udp drop');
  const options = { base };
  const bob = await Participant.join(outside, server, 'reach', 'Bob', options);
  const began = Date.now();
  const ann = await Participant.join(browser, server, 'reach', 'Ann', options);
  await ann.sees(1);
  console.log(`a picture by TCP after ${Date.now() - began} ms`);
  await ann.hears(1);
  await bob.sees(1);
  await bob.hears(1);
  assert.equal(await route(ann), `tcp ${OURS.v4}`);
  assert.equal(await route(bob), `udp ${OURS.v4}`);
  assert.ok((await server.metric('sluice_tcp_proved_total')) >= 1);
  await pause(3_000);
  assert.equal(await server.metric('sluice_tcp_datagrams_lost_inbound_total'), 0);
  assert.equal(await server.metric('sluice_worker_allocations_total'), 0, 'a worker allocated');
  await ann.leave();

  inside('nft', 'delete table inet wall');
  const again = await Participant.join(browser, server, 'reach', 'Ann', options);
  await again.sees(1);
  await bob.sees(1);
  assert.equal(await route(again), `udp ${OURS.v4}`);
  await again.leave();
  await bob.leave();
});

test('a client that has IPv6 only gets its media by IPv6', { timeout: 60_000, skip }, async () => {
  const tls = await freePort();
  const v6 = await Server.start({ http: { listen_tls: `[${OURS.v6}]:${tls}` }, media: { addresses: [OURS.v6], tcp_port: await freePort() } });
  try {
    const options = { base: `https://[${OURS.v6}]:${tls}` };
    const ann = await Participant.join(browser, v6, 'six', 'Ann', options);
    const bob = await Participant.join(browser, v6, 'six', 'Bob', options);
    await ann.sees(1);
    await bob.sees(1);
    await ann.hears(1);
    assert.equal(await route(ann), `udp ${OURS.v6}`);
    await ann.leave();
    await bob.leave();
  } finally {
    await v6.stop();
  }
});
