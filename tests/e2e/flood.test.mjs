// Junk and unauthenticated STUN from strangers during a call: counted, never answered more than it costs, and nobody notices.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { constants, setPriority } from 'node:os';
import { after, before, test } from 'node:test';
import { Participant, launch, pause } from './browser.mjs';
import { Server } from './server.mjs';

const SECONDS = 5;
let server, browser;

before(async () => {
  server = await Server.start();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/**
 * Strangers have machines of their own: here the generator takes what the browsers leave of the cores.
 * Sends `rate` datagrams a second that `make` gives, from `ports` sockets, for a while; bytes out and bytes that came back.
 */
async function flood(port, ports, rate, make) {
  setPriority(constants.priority.PRIORITY_LOW);
  const sockets = [];
  let sent = 0, bytesOut = 0, bytesBack = 0;
  for (let n = 0; n < ports; n++) {
    const socket = createSocket('udp4').bind(0, '127.0.0.1');
    await once(socket, 'listening');
    socket.on('message', (message) => (bytesBack += message.length));
    sockets.push(socket);
  }
  const began = Date.now();
  for (let elapsed = 0; elapsed < SECONDS * 1000; elapsed = Date.now() - began) {
    for (const due = Math.min((rate * elapsed) / 1000, sent + 1_000); sent < due; sent++) {
      const datagram = make();
      sockets[sent % ports].send(datagram, port, '127.0.0.1');
      bytesOut += datagram.length;
    }
    await pause(1);
  }
  await pause(500);
  sockets.forEach((socket) => socket.close());
  return { sent, bytesOut, bytesBack };
}

/** A binding request (RFC 8489 §5) with this USERNAME and a MESSAGE-INTEGRITY that is wrong. */
function check(username) {
  const name = Buffer.alloc(Math.ceil(username.length / 4) * 4);
  name.write(username);
  const header = Buffer.alloc(20);
  header.writeUInt16BE(0x0001, 0);
  header.writeUInt16BE(4 + name.length + 24, 2);
  header.writeUInt32BE(0x2112a442, 4);
  randomBytes(12).copy(header, 8);
  const attribute = (type, length) => Buffer.from([type >> 8, type & 255, length >> 8, length & 255]);
  return Buffer.concat([header, attribute(0x0006, username.length), name, attribute(0x0008, 20), randomBytes(20)]);
}

test('a call goes on under junk and forged checks from strangers', { timeout: 120_000 }, async () => {
  const ann = await Participant.join(browser, server, 'storm', 'Ann');
  let ufrag;
  const offered = ({ payload }) => (ufrag ??= /action=.session-initiate.*?ufrag=.([^'"]+)/s.exec(payload)?.[1]);
  const prepare = (page) => page.on('websocket', (socket) => socket.on('framereceived', offered));
  // One camera: two browsers that encode three layers each leave nothing of two cores to a generator.
  const bob = await Participant.join(browser, server, 'storm', 'Bob', { prepare, query: '&video=0' });
  await bob.sees(1);
  // A small picture, so that the camera's other layers rest: on slow cores they left the generator none, and it them.
  await bob.page.evaluate((name) => window.sluice.setTileHeight(name, 180), `${(await ann.state()).me.id}-v0`);
  const junk = Array.from({ length: 64 }, () => randomBytes(200));
  const kinds = {
    junk: { rate: 50_000, make: () => junk[Math.floor(Math.random() * junk.length)] },
    'checks of nobody': { rate: 20_000, make: () => check(`${randomBytes(5).toString('hex')}:peer`) },
    'checks of a seat that exists, with a wrong tag': { rate: 20_000, make: () => check(`${ufrag}:peer`) },
  };
  const seen = async () => {
    const { inboundVideo } = await bob.stats();
    const sum = (field) => inboundVideo.reduce((total, stream) => total + stream[field], 0);
    return { frames: sum('framesDecoded'), packets: sum('packetsReceived'), lost: sum('packetsLost') };
  };
  for (const [kind, { rate, make }] of Object.entries(kinds)) {
    const before = await seen();
    const { sent, bytesOut, bytesBack } = await flood(server.ports.media, 50, rate, make);
    const now = await seen();
    const [decoded, packets, lost] = ['frames', 'packets', 'lost'].map((field) => now[field] - before[field]);
    console.log(`${kind}: ${Math.round(sent / SECONDS)} datagrams/s, ${bytesBack} bytes back for ${bytesOut}; ` +
      `${(decoded / (SECONDS + 0.5)).toFixed(1)} frames/s meanwhile, ${lost} of ${packets} packets lost`);
    assert.ok(bytesBack <= bytesOut / 100, `${kind}: an amplifier: ${bytesBack} of ${bytesOut}`);
    assert.ok(decoded / SECONDS > 15, `${kind}: ${decoded} frames in ${SECONDS} s`);
    assert.ok(lost <= packets / 50, `${kind}: ${lost} of ${packets} packets lost`);
  }
  assert.ok(ufrag, 'the offer names no ufrag');
  const debug = JSON.parse(await server.get('/debug'));
  assert.ok(debug.workers.every((worker) => worker.statistics.accounting_balanced), 'a datagram vanished');
  assert.ok((await server.metric('sluice_worker_drops_total')) > 1_000);
  const cleo = await Participant.join(browser, server, 'storm', 'Cleo');
  await cleo.until('seeing Ann', (state) => state.tiles.some((tile) => tile.frames > 10));
  for (const person of [ann, bob, cleo]) await person.leave();
});
