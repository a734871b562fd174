// Two media threads: endpoints of one room on both, and the packets that cross between them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Participant, launch, pause } from './browser.mjs';
import { Server } from './server.mjs';

let server, browser;

before(async () => {
  server = await Server.start({ media: { workers: 2, spread_after: 1 } });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

test('a room over two workers is the same room', { timeout: 120_000 }, async () => {
  const people = [];
  for (const name of ['Ann', 'Bob', 'Cleo']) people.push(await Participant.join(browser, server, 'wide', name));
  for (const person of people) await person.sees(2);
  for (const person of people) await person.hears(2);
  await pause(5_000);
  for (const worker of [0, 1]) {
    assert.ok((await server.metric('sluice_worker_packets_from_mesh_total', `worker="${worker}"`)) > 100, `worker ${worker} adopted packets`);
    assert.ok((await server.metric('sluice_worker_packets_forwarded_total', `worker="${worker}"`)) > 100);
  }
  assert.equal(await server.metric('sluice_worker_packets_lost_to_mesh_total'), 0);
  assert.equal(await server.metric('sluice_worker_allocations_total'), 0, 'a worker allocated');
  for (const person of people) await person.leave();
});
