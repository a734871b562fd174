// What an operator relies on: the packet path makes no other system calls, both back ends serve, and it ends when told.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Participant, launch, pause } from './browser.mjs';
import { Server } from './server.mjs';

let browser;
before(async () => (browser = await launch()));
after(async () => browser?.close());

function hasStrace() {
  try {
    execFileSync('strace', ['-V'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function mediaThreads(pid) {
  return readdirSync(`/proc/${pid}/task`).filter((tid) => readFileSync(`/proc/${pid}/task/${tid}/comm`, 'utf8').startsWith('media-'));
}

async function systemCalls(tids, seconds) {
  const trace = spawn('strace', ['-c', ...tids.flatMap((tid) => ['-p', tid])], { stdio: ['ignore', 'ignore', 'pipe'] });
  let table = '';
  trace.stderr.on('data', (text) => (table += text));
  await pause(seconds * 1000);
  trace.kill('SIGINT');
  await once(trace, 'exit');
  const rows = table.split('\n').map((line) => line.trim().split(/\s+/)).filter((cells) => /^\d+\.\d+$/.test(cells[0]));
  return new Map(rows.filter((cells) => cells.at(-1) !== 'total').map((cells) => [cells.at(-1), Number(cells[3])]));
}

test('a worker under load calls nothing but io_uring_enter', { timeout: 90_000, skip: hasStrace() ? false : 'strace is not installed' }, async () => {
  const server = await Server.start({ media: { io: 'io_uring', workers: 2, spread_after: 1 } });
  const ann = await Participant.join(browser, server, 'traced', 'Ann');
  const bob = await Participant.join(browser, server, 'traced', 'Bob');
  await ann.sees(1);
  await bob.sees(1);
  const calls = await systemCalls(mediaThreads(server.child.pid), 5);
  console.log([...calls].map(([name, count]) => `${name}: ${count}`).join(', '));
  assert.deepEqual([...calls.keys()], ['io_uring_enter']);
  await ann.leave();
  await bob.leave();
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});

test('the plain back end serves the same call', { timeout: 60_000 }, async () => {
  const server = await Server.start({ media: { io: 'plain' } });
  const ann = await Participant.join(browser, server, 'plain', 'Ann');
  const bob = await Participant.join(browser, server, 'plain', 'Bob');
  await ann.sees(1);
  await bob.sees(1);
  await bob.hears(1);
  await ann.leave();
  await bob.leave();
  await server.stop();
});

test('told to stop during a call, the server ends within five seconds, and starts again at once', { timeout: 60_000 }, async () => {
  const server = await Server.start();
  const ann = await Participant.join(browser, server, 'ending', 'Ann');
  await ann.until('told of the room', (state) => state.joined);
  const began = Date.now();
  assert.deepEqual(await server.stop('SIGTERM'), { code: 0, signal: null });
  assert.ok(Date.now() - began < 5_000);
  await ann.page.context().close();
  const next = await Server.start();
  await next.stop('SIGINT');
});

// Longer for a figure that is worth stating.
const IDLE_SECONDS = Number(process.env.SLUICE_IDLE_SECONDS ?? 5);

test('the server idles without work', { timeout: 60_000 + IDLE_SECONDS * 1_000 }, async () => {
  const server = await Server.start();
  await pause(2_000);
  const ticks = () => {
    const fields = readFileSync(`/proc/${server.child.pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return Number(fields[11]) + Number(fields[12]);
  };
  const before = ticks();
  await pause(IDLE_SECONDS * 1_000);
  const share = (ticks() - before) / 100 / IDLE_SECONDS;
  console.log(`idle for ${IDLE_SECONDS} s: ${((ticks() - before) * 10)} ms of CPU, ${(share * 100).toFixed(2)} % of a core, ${((await server.memory()) / 1e6).toFixed(1)} MB`);
  assert.ok(share < 0.02, `an idle server uses ${share} of a core`);
  await server.stop();
});
