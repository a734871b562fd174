// Opens the client in Chromium against the stand-in server, checks what should hold, and takes pictures of every state.
// usage: node drive.mjs [folder for pictures]
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { dist, here, loadMock } from './load_mock.mjs';

const pictures = process.argv[2] ?? join(tmpdir(), 'sluice-web-pictures');
await mkdir(pictures, { recursive: true });
const { startMock } = await loadMock();
const wide = { width: 1440, height: 900 };
const phone = { width: 390, height: 844 };
const devices = ['--use-fake-device-for-media-stream=fps=30', '--use-fake-ui-for-media-stream'];
let failed = 0;

function check(name, good, detail) {
  if (!good) failed += 1;
  console.log(`${good ? 'ok  ' : 'FAIL'} ${name}${detail === undefined ? '' : ` (${typeof detail === 'string' ? detail : JSON.stringify(detail)})`}`);
}

async function launch(extra = devices) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: ['--no-sandbox', '--allow-loopback-in-peer-connection', '--autoplay-policy=no-user-gesture-required', '--auto-select-desktop-capture-source=Entire screen', ...extra],
  });
}

async function open(browser, url, viewport = wide, permissions = ['camera', 'microphone']) {
  const context = await browser.newContext({ viewport, permissions, deviceScaleFactor: 1, hasTouch: viewport === phone });
  const page = await context.newPage();
  page.on('pageerror', (error) => check('no page error', false, String(error)));
  await page.goto(url);
  return page;
}

/** Polls `state` of the page until `test` holds, at most `seconds`. */
async function until(page, name, test, seconds = 15) {
  for (let i = 0; i < seconds * 5; i++) {
    if (await page.evaluate(test).catch(() => false)) {
      check(name, true);
      return true;
    }
    await page.waitForTimeout(200);
  }
  check(name, false, await page.evaluate(() => window.sluice?.state()).catch(() => 'no state'));
  return false;
}

async function call() {
  const mock = await startMock(dist, here);
  const browser = await launch();
  const bridge = await browser.newPage();
  bridge.on('console', (message) => message.type() === 'error' && console.log('bridge:', message.text()));
  await bridge.goto(`${mock.url}/bridge`);
  await bridge.waitForTimeout(300);
  const ann = await open(browser, `${mock.url}/standup?join=1&name=Ann%20Lindqvist`);
  await until(ann, 'joins alone', () => window.sluice.state().joined);
  await ann.waitForTimeout(600);
  await ann.screenshot({ path: join(pictures, 'alone-wide.png') });
  const bob = await open(browser, `${mock.url}/standup?join=1&name=Bob%20Okafor`, phone);
  await until(ann, 'sees the other one’s video', () => window.sluice.state().tiles.some((tile) => tile.frames > 10 && tile.height >= 180), 25);
  await until(bob, 'both ways', () => window.sluice.state().tiles.some((tile) => tile.frames > 10));
  await until(ann, 'hears the other one', async () => (await window.sluice.stats()).inboundAudio.some((audio) => audio.source?.endsWith('-a0') && audio.totalAudioEnergy > 0));
  await until(ann, 'sends three layers', async () => (await window.sluice.stats()).outbound.filter((out) => out.kind === 'video' && out.framesEncoded > 5).map((out) => out.frameHeight).sort((a, b) => a - b).join() === '180,360,720', 20);
  await ann.screenshot({ path: join(pictures, 'pair-wide.png') });
  await bob.screenshot({ path: join(pictures, 'pair-phone.png') });
  const annId = await ann.evaluate(() => window.sluice.state().me.id);
  await senderConstraints(mock, ann, annId);
  await mutes(ann, bob);
  await sharing(ann, bob);
  await chat(ann, bob);
  await speakers(mock, ann, bob);
  await reconnection(mock, ann, bob);
  await bob.evaluate(() => window.sluice.leave());
  await until(ann, 'the other one is gone', () => window.sluice.state().participants.length === 0 && window.sluice.state().videoSources.length === 0);
  await ann.keyboard.press('?');
  await ann.waitForTimeout(250);
  await ann.screenshot({ path: join(pictures, 'help-wide.png') });
  await ann.keyboard.press('Escape');
  await ann.evaluate(() => window.sluice.leave());
  await ann.waitForTimeout(200);
  await ann.screenshot({ path: join(pictures, 'left-wide.png') });
  await browser.close();
  mock.close();
}

async function senderConstraints(mock, ann, id) {
  const heights = async () => (await ann.evaluate(() => window.sluice.stats())).outbound.filter((out) => out.kind === 'video' && out.active).length;
  for (const [maxHeight, expected] of [[360, 2], [180, 1], [0, 0], [-1, 3]]) {
    mock.tellBridge({ op: 'say', id, message: { colibriClass: 'SenderSourceConstraints', sourceName: `${id}-v0`, maxHeight } });
    await ann.waitForTimeout(700);
    check(`sender constraint ${maxHeight} leaves ${expected} layers`, (await heights()) === expected, await heights());
  }
  check('asks for the tile it shows', mock.heard.some((heard) => heard.message?.colibriClass === 'ReceiverVideoConstraints' && Object.values(heard.message.constraints)[0]?.maxHeight === 720));
}

async function mutes(ann, bob) {
  await ann.keyboard.press('v');
  await until(bob, 'a switched-off camera shows at the other end', () => window.sluice.state().participants[0].videoMuted);
  check('the camera is given back', await ann.evaluate(() => document.querySelector('.tile.is-mirrored') === null || document.querySelector('.is-mirrored video').srcObject === null));
  await ann.keyboard.press('m');
  await until(bob, 'a muted microphone shows at the other end', () => window.sluice.state().participants[0].audioMuted);
  await bob.waitForTimeout(400);
  await bob.screenshot({ path: join(pictures, 'muted-phone.png') });
  const before = await bob.evaluate(() => window.sluice.state().tiles[0].frames);
  await ann.keyboard.press('v');
  await ann.keyboard.press('m');
  await until(bob, 'video comes back after unmuting', () => !window.sluice.state().participants[0].videoMuted && window.sluice.state().tiles[0].frames > 5);
  void before;
}

async function sharing(ann, bob) {
  // Headless Chromium may have no screen to share: a canvas stands in for it.
  await ann.evaluate(() => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 1280, height: 720 });
    const pen = canvas.getContext('2d');
    let n = 0;
    setInterval(() => {
      pen.fillStyle = '#f7f4ec';
      pen.fillRect(0, 0, 1280, 720);
      pen.fillStyle = '#1d2733';
      pen.font = '600 54px sans-serif';
      pen.fillText('Quarterly plan', 90, 140);
      pen.font = '30px sans-serif';
      ['Finish the onboarding guide', 'Move the archive to the new store', 'Talk to ten customers', `Slide refreshed ${n++} times`].forEach((line, i) => pen.fillText(`•  ${line}`, 90, 240 + i * 70));
    }, 100);
    navigator.mediaDevices.getDisplayMedia = async () => canvas.captureStream(10);
  });
  await ann.keyboard.press('s');
  await until(bob, 'a shared screen arrives and stands on the stage', () => window.sluice.state().tiles.some((tile) => tile.source.endsWith('-v1') && tile.frames > 3 && tile.onStage), 20);
  await bob.setViewportSize(wide);
  await bob.waitForTimeout(600);
  await bob.screenshot({ path: join(pictures, 'screen-wide.png') });
  await bob.setViewportSize(phone);
  await bob.waitForTimeout(600);
  await bob.screenshot({ path: join(pictures, 'screen-phone.png') });
  await ann.keyboard.press('s');
  await until(bob, 'sharing ends', () => !window.sluice.state().tiles.some((tile) => tile.source?.endsWith('-v1')));
  await ann.keyboard.press('s');
  await until(bob, 'sharing works a second time', () => window.sluice.state().tiles.some((tile) => tile.source?.endsWith('-v1') && tile.frames > 3), 20);
  await ann.keyboard.press('s');
  await until(bob, 'sharing ends again', () => !window.sluice.state().tiles.some((tile) => tile.source?.endsWith('-v1')));
}

async function chat(ann, bob) {
  await ann.evaluate(() => window.sluice.say('Morning! The notes are at https://example.org/notes'));
  await ann.evaluate(() => window.sluice.say('Shall we start in a minute?'));
  await until(bob, 'chat counts as unread', () => document.querySelector('.count:not(.quiet)')?.textContent === '2');
  await bob.evaluate(() => window.sluice.say('Yes, just getting a coffee ☕'));
  await ann.keyboard.press('c');
  await ann.waitForTimeout(500);
  await ann.screenshot({ path: join(pictures, 'chat-wide.png') });
  check('chat is in order', await ann.evaluate(() => document.querySelectorAll('.message').length === 3 && document.querySelector('.message-text a') !== null));
  await bob.locator('button[aria-label^="Chat"]').first().click();
  await bob.waitForTimeout(400);
  await bob.screenshot({ path: join(pictures, 'chat-phone.png') });
  await bob.keyboard.press('Escape');
  await ann.keyboard.press('Escape');
  await ann.keyboard.press('p');
  await ann.waitForTimeout(400);
  await ann.screenshot({ path: join(pictures, 'people-wide.png') });
  await ann.keyboard.press('Escape');
}

async function speakers(mock, ann, bob) {
  const id = await bob.evaluate(() => window.sluice.state().me.id);
  mock.tellBridge({ op: 'broadcast', message: { colibriClass: 'DominantSpeakerEndpointChangeEvent', dominantSpeakerEndpoint: id, previousSpeakers: [] } });
  await until(ann, 'the speaker is marked', () => document.querySelector('.tile.is-speaking') !== null);
  await ann.locator('button[aria-label^="Devices"]').click();
  await ann.waitForTimeout(400);
  await ann.screenshot({ path: join(pictures, 'devices-wide.png') });
  await ann.keyboard.press('Escape');
}

async function reconnection(mock, ann, bob) {
  const before = await ann.evaluate(() => window.sluice.state());
  mock.drop();
  await until(ann, 'a lost connection shows', () => !document.querySelector('.banner').hidden);
  await ann.screenshot({ path: join(pictures, 'reconnecting-wide.png') });
  await until(ann, 'comes back by itself', () => window.sluice.state().joined && window.sluice.state().participants.length === 1, 20);
  await until(ann, 'media comes back with a new session', () => window.sluice.state().connection.ice === 'connected' && window.sluice.state().tiles.some((tile) => tile.frames > 10), 25);
  const after = await ann.evaluate(() => window.sluice.state());
  check('under a new session', before.connection.sid !== after.connection.sid);
  await until(bob, 'at the other end too', () => window.sluice.state().tiles.length === 1 && window.sluice.state().tiles[0].frames > 10, 25);
}

/** The bridge forgets us without a word; then the focus leaves. */
async function faults() {
  const mock = await startMock(dist, here);
  const browser = await launch();
  const bridge = await browser.newPage();
  await bridge.goto(`${mock.url}/bridge`);
  await bridge.waitForTimeout(300);
  const ann = await open(browser, `${mock.url}/storm?join=1&name=Ann`);
  const bob = await open(browser, `${mock.url}/storm?join=1&name=Bob`);
  await until(ann, 'call stands', () => window.sluice.state().tiles.some((tile) => tile.frames > 10), 25);
  const before = await ann.evaluate(() => window.sluice.state());
  mock.tellBridge({ op: 'expire', id: before.me.id });
  await until(ann, 'ICE failure asks for a new session', `window.sluice.state().connection.sid !== ${JSON.stringify(before.connection.sid)} && window.sluice.state().connection.ice === 'connected'`, 70);
  check('by session-terminate with restart', mock.sourceAdds.some((sent) => sent.action === 'session-terminate' && sent.xml.includes('restart="true"')));
  check('without leaving the room', (await ann.evaluate(() => window.sluice.state().me.id)) === before.me.id);
  await until(ann, 'video is back', () => window.sluice.state().tiles.some((tile) => tile.frames > 10), 25);
  const seen = mock.presences.length;
  mock.focusLeaves();
  await until(ann, 'comes back after the focus left', () => window.sluice.state().joined && window.sluice.state().connection.ice === 'connected' && window.sluice.state().tiles.some((tile) => tile.frames > 10), 25);
  check('by joining again', mock.presences.length > seen);
  void bob;
  await browser.close();
  mock.close();
}

/** Without a data channel in the offer: the WebSocket, at the page's own server although the address names another port. */
async function socketChannel() {
  const mock = await startMock(dist, here, { socketChannel: true, minimum: 1 });
  const browser = await launch();
  const bridge = await browser.newPage();
  await bridge.goto(`${mock.url}/bridge`);
  await bridge.waitForTimeout(300);
  const ann = await open(browser, `${mock.url}/socket?join=1&name=Ann`);
  await until(ann, 'media and WebSocket channel', () => window.sluice.state().connection.ice === 'connected' && window.sluice.state().connection.channel === 'websocket', 20);
  await ann.waitForTimeout(300);
  check('constraints and video type over it', ['ReceiverVideoConstraints', 'SourceVideoTypeMessage'].every((kind) => mock.heard.some((heard) => heard.socket && heard.message.colibriClass === kind)));
  await browser.close();
  mock.close();
}

/** Many people without media: layouts. */
async function crowd() {
  const names = ['Ann Lindqvist', 'Bob Okafor', 'Carla Mendes', 'Deniz Yılmaz', 'Eva Novák', 'Farid Haddad', 'Grace Kim', 'Hiro Tanaka', 'Ines Rossi', 'Jonas Weber', 'Kavya Rao', 'Liam O’Brien'];
  for (const [count, label] of [[5, 'six'], [12, 'thirteen']]) {
    const fake = names.slice(0, count).map((name, i) => ({ nick: `00000${(0xa00 + i).toString(16)}`, name, sources: { [`00000${(0xa00 + i).toString(16)}-a0`]: { muted: i % 3 !== 0 } } }));
    const mock = await startMock(dist, here, { fake, minimum: 99 });
    const browser = await launch();
    const page = await open(browser, `${mock.url}/planning?join=1&name=Maya`);
    await until(page, `${count} others in the grid`, `window.sluice.state().tiles.length === ${count}`);
    await page.waitForTimeout(700);
    await page.screenshot({ path: join(pictures, `grid-${label}-wide.png`) });
    await page.keyboard.press('g');
    await page.waitForTimeout(500);
    await page.screenshot({ path: join(pictures, `speaker-${label}-wide.png`) });
    await page.keyboard.press('g');
    await page.setViewportSize(phone);
    await page.waitForTimeout(600);
    await page.screenshot({ path: join(pictures, `grid-${label}-phone.png`) });
    await page.keyboard.press('g');
    await page.waitForTimeout(500);
    await page.screenshot({ path: join(pictures, `speaker-${label}-phone.png`) });
    await browser.close();
    mock.close();
  }
}

async function pages() {
  const mock = await startMock(dist, here, { password: 'open', minimum: 99 });
  const browser = await launch();
  for (const [viewport, label] of [[wide, 'wide'], [phone, 'phone']]) {
    const page = await open(browser, mock.url, viewport);
    await page.evaluate(() => localStorage.setItem('sluice.recent', JSON.stringify([{ room: 'design-review', at: Date.now() }, { room: 'weekly-standup', at: Date.now() - 86400000 }, { room: 'book-club', at: Date.now() - 86400000 * 12 }])));
    await page.reload();
    await page.waitForTimeout(300);
    await page.screenshot({ path: join(pictures, `start-${label}.png`) });
    await page.goto(`${mock.url}/design-review`);
    await page.waitForTimeout(1500);
    await page.locator('#name').fill('Maya Ito');
    await page.screenshot({ path: join(pictures, `preview-${label}.png`), fullPage: false });
    await page.locator('form button.primary').click();
    await page.waitForSelector('dialog');
    await page.waitForTimeout(300);
    await page.screenshot({ path: join(pictures, `password-${label}.png`) });
    await page.locator('dialog input').fill('open');
    await page.keyboard.press('Enter');
    await until(page, `joins with the password (${label})`, () => window.sluice?.state().joined);
    await page.context().close();
  }
  const page = await open(browser, mock.url);
  const seen = [];
  for (let i = 0; i < 4; i++) {
    await page.keyboard.press('Tab');
    seen.push(await page.evaluate(() => document.activeElement?.tagName));
  }
  check('tab reaches the controls', seen.includes('BUTTON') || seen.includes('INPUT'), seen);
  await browser.close();
  mock.close();
}

/** No devices at all: joins to watch and listen. */
async function withoutDevices() {
  const mock = await startMock(dist, here);
  const browser = await launch([]);
  const bridge = await browser.newPage();
  await bridge.goto(`${mock.url}/bridge`);
  await bridge.waitForTimeout(300);
  const preview = await open(browser, `${mock.url}/quiet`, wide, []);
  await preview.waitForTimeout(1200);
  await preview.screenshot({ path: join(pictures, 'no-devices-preview-wide.png') });
  const one = await open(browser, `${mock.url}/quiet?join=1&name=Watcher`, wide, []);
  const two = await open(browser, `${mock.url}/quiet?join=1&name=Listener`, wide, []);
  await until(one, 'joins without devices', () => window.sluice.state().joined && window.sluice.state().me.audioMuted);
  await until(two, 'media session without devices', () => window.sluice.state().connection.ice === 'connected' && window.sluice.state().connection.channel === 'datachannel', 20);
  check('signals no sources', mock.accepts.every((accept) => accept.sources.length === 0));
  await one.screenshot({ path: join(pictures, 'no-devices-wide.png') });
  await browser.close();
  mock.close();
}

for (const part of process.env.PARTS?.split(',') ?? ['pages', 'crowd', 'call', 'faults', 'socketChannel', 'withoutDevices']) {
  console.log(`-- ${part}`);
  await { pages, crowd, call, faults, socketChannel, withoutDevices }[part]();
}
console.log(failed === 0 ? `all good; pictures in ${pictures}` : `${failed} failed; pictures in ${pictures}`);
process.exit(failed === 0 ? 0 : 1);
