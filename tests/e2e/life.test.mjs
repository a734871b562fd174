// A running server is changed, and nobody in a call notices: certificate, settings, log level, drain.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Participant, launch, pause } from './browser.mjs';
import { CertificateFiles, shown } from './certificate.mjs';
import { Server } from './server.mjs';

const files = new CertificateFiles();
let browser, server;

const post = async (path, body = '') => {
  const answer = await fetch(`http://127.0.0.1:${server.ports.private}${path}`, { method: 'POST', body });
  return { status: answer.status, text: await answer.text() };
};

before(async () => {
  files.renew('one');
  server = await Server.start({ http: { certificate: files.certificate, key: files.key }, log: { format: 'json' } });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  if (server?.child.exitCode === null) await server.stop();
});

test('a certificate is changed in mid-call, and wrong settings are refused', { timeout: 90_000 }, async () => {
  const base = `https://localhost:${server.ports.tls}`;
  const ann = await Participant.join(browser, server, 'swap', 'Ann', { base });
  const bob = await Participant.join(browser, server, 'swap', 'Bob', { base });
  await ann.sees(1);
  await bob.sees(1);
  assert.equal(await shown(server.ports.tls), 'one');
  assert.match((await fetch(`http://localhost:${server.ports.http}/`)).headers.get('strict-transport-security') ?? 'none', /none/, 'not over plain HTTP');
  const before = (await ann.stats()).inboundVideo[0].framesDecoded;
  const session = (await ann.state()).connection.sid;

  files.renew('two');
  const began = Date.now();
  while ((await shown(server.ports.tls)) !== 'two') {
    assert.ok(Date.now() - began < 15_000, 'the new chain was never shown');
    await pause(250);
  }
  console.log(`the new chain is shown after ${Date.now() - began} ms`);
  writeFileSync(files.certificate, 'no certificate');
  server.child.kill('SIGHUP');
  await pause(1_000);
  assert.equal(await shown(server.ports.tls), 'two');
  assert.ok((await server.metric('sluice_certificate_refused_total')) >= 1);
  files.renew('three');

  const file = server.child.spawnargs.at(-1);
  const good = readFileSync(file, 'utf8');
  writeFileSync(file, `${good}\n[conference]\nrooms_maxx = 3\n`);
  const wrong = await post('/reload');
  assert.equal(wrong.status, 422);
  assert.match(wrong.text, /rooms_max/);
  assert.ok((await server.metric('sluice_settings_refused_total')) >= 1);
  writeFileSync(file, `${good}\n[conference]\noccupants_max = 7\n[client]\napp_name = "Weir"\n`);
  const outcome = JSON.parse((await post('/reload')).text);
  assert.deepEqual(outcome.changed.sort(), ['client.app_name', 'conference.occupants_max']);
  assert.match(await (await fetch(`${server.url}/config.js`)).text(), /Weir/);
  assert.equal((await post('/log/level', 'debug')).status, 200);
  assert.equal((await post('/log/level', '=!')).status, 400);

  await pause(2_000);
  const now = (await ann.stats()).inboundVideo[0];
  assert.ok(now.framesDecoded - before > 60, 'the picture went on');
  assert.equal((await ann.state()).connection.sid, session, 'in the same session');
  assert.equal((await ann.state()).joined, true);
  const line = server.output.split('\n').find((text) => text.includes('media has a path'));
  const fields = JSON.parse(line).fields;
  assert.match(fields.conference, /^swap@/);
  assert.ok(fields.id && fields.endpoint, 'the log names conference and endpoint');
  await ann.leave();
  await bob.leave();
});

test('a drain cuts nobody off, lets people into what goes on, and ends when nobody is left', { timeout: 90_000 }, async () => {
  const ask = async (room) => {
    const body = JSON.stringify({ room: `${room}@conference.meet.sluice` });
    const answer = await fetch(`${server.url}/conference-request/v1`, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
    return { status: answer.status, text: await answer.text() };
  };
  const ann = await Participant.join(browser, server, 'last', 'Ann');
  const bob = await Participant.join(browser, server, 'last', 'Bob');
  await ann.sees(1);
  server.child.kill('SIGUSR1');
  await pause(300);
  const refused = await ask('another');
  assert.equal(refused.status, 503);
  assert.match(refused.text, /no new conferences/);
  const cleo = await Participant.join(browser, server, 'last', 'Cleo');
  await cleo.sees(2);
  await ann.sees(2);
  for (const person of [ann, bob, cleo]) await person.leave();
  const began = Date.now();
  const exit = await Promise.race([server.exited, pause(30_000)]);
  assert.deepEqual(exit, { code: 0, signal: null });
  console.log(`ended ${Date.now() - began} ms after the last one left`);
});
