// One camera in three sizes: each receiver gets the size of its tile, and a change of size does not freeze it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Participant, launch, pause } from './browser.mjs';
import { Server } from './server.mjs';

let server, browser;

before(async () => {
  server = await Server.start();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** The decoded height of `source`, as soon as it stays the same for a second. */
async function height(person, source) {
  const picture = async () => (await person.stats()).inboundVideo.find((stream) => stream.source === source && stream.framesDecoded > 0);
  for (let tries = 0, last = 0, same = 0; tries < 60; tries++) {
    const now = (await picture())?.frameHeight ?? 0;
    same = now > 0 && now === last ? same + 1 : 0;
    last = now;
    if (same >= 5) return now;
    await pause(200);
  }
  throw new Error(`${person.name}: the picture of ${source} does not settle`);
}

async function reaches(person, source, wanted, timeout = 10_000) {
  const began = Date.now();
  while (Date.now() - began < timeout) {
    const picture = (await person.stats()).inboundVideo.find((stream) => stream.source === source && stream.framesDecoded > 0);
    if (picture?.frameHeight === wanted) return Date.now() - began;
    await pause(100);
  }
  throw new Error(`${person.name}: ${source} did not reach ${wanted}: ${JSON.stringify((await person.stats()).inboundVideo)}`);
}

test('two receivers of one simulcast camera get the layer that each asked for', { timeout: 180_000 }, async () => {
  const sender = await Participant.join(browser, server, 'layers', 'Sender');
  // One camera: three that encode three layers each take two cores whole, and stand still by themselves.
  const query = '&video=0';
  const large = await Participant.join(browser, server, 'layers', 'Large', { query });
  const small = await Participant.join(browser, server, 'layers', 'Small', { query });
  for (const person of [large, small]) {
    await person.until('seeing the camera', (state) => state.tiles.some((tile) => tile.frames > 10));
  }
  const source = `${(await sender.state()).me.id}-v0`;
  await large.page.evaluate((name) => window.sluice.setTileHeight(name, 720), source);
  await small.page.evaluate((name) => window.sluice.setTileHeight(name, 180), source);
  // The browser's own estimate has to climb first.
  console.log(`720 after ${await reaches(large, source, 720, 60_000)} ms`);
  await reaches(small, source, 180);
  console.log(`large: ${await height(large, source)}, small: ${await height(small, source)}`);

  for (const wanted of [360, 180, 720, 180, 360]) {
    const frozenBefore = freezes(await small.stats(), source);
    await small.page.evaluate(([name, size]) => window.sluice.setTileHeight(name, size), [source, wanted]);
    const took = await reaches(small, source, wanted);
    await pause(1_000);
    const frozen = freezes(await small.stats(), source) - frozenBefore;
    console.log(`small asks for ${wanted}: there after ${took} ms, frozen for ${(frozen * 1000).toFixed(0)} ms`);
    assert.ok(frozen <= 0.3, `frozen for ${frozen} s`);
  }
  assert.equal(await height(large, source), 720, 'the other receiver is not touched');
  for (const person of [sender, large, small]) await person.leave();
});

function freezes(stats, source) {
  return stats.inboundVideo.find((stream) => stream.source === source && stream.framesDecoded > 0)?.totalFreezesDuration ?? 0;
}
