import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DOMParser } from '@xmldom/xmldom';
import { heightFor, receiverConstraints } from '../src/media/constraints.ts';
import { channelUrls } from '../src/media/bridge_channel.ts';
import { connectionQuality } from '../src/media/stats.ts';
import { parseJsonSources, parseMappedSources, parseXmlSources, SourceMap, type RemoteSource } from '../src/signalling/sources.ts';
import { parsePresence, presenceChildren } from '../src/signalling/presence.ts';
import { verificationString } from '../src/signalling/caps.ts';
import { endpointId } from '../src/signalling/room.ts';
import { interpret, normaliseRoom, roomNode } from '../src/config.ts';
import { el, fromDom, serialise, type DomElementLike, type XmlElement } from '../src/signalling/xml.ts';

const parse = (xml: string): XmlElement => fromDom(new DOMParser().parseFromString(xml, 'text/xml').documentElement as unknown as DomElementLike);
const video = (name: string, ssrc: number, rtx?: number): RemoteSource => ({ name, owner: name.split('-')[0]!, media: 'video', ssrc, ...(rtx ? { rtx } : {}), videoType: 'camera' });

test('compact JSON sources are read with partners and video types', () => {
  const json = '{"sources":{"e5f60718":[[{"s":3001,"n":"e5f60718-v0","m":"x"},{"s":3002,"n":"e5f60718-v0","m":"x"},{"s":3101,"n":"e5f60718-v1","m":"y","v":"d"},{"s":3102,"n":"e5f60718-v1","m":"y","v":"d"}],[["f",3001,3002],["f",3101,3102]],[{"s":4001,"n":"e5f60718-a0","m":"z"}]]}}';
  assert.deepEqual(parseJsonSources(json).map((s) => [s.name, s.media, s.ssrc, s.rtx ?? 0, s.videoType ?? '']), [
    ['e5f60718-v0', 'video', 3001, 3002, 'camera'],
    ['e5f60718-v1', 'video', 3101, 3102, 'desktop'],
    ['e5f60718-a0', 'audio', 4001, 0, ''],
  ]);
});

test('malformed sources are skipped, never thrown at', () => {
  for (const json of ['', 'null', '[]', '{"sources":5}', '{"sources":{"a":7}}', '{"sources":{"a":[[null,{"s":"x"},{"s":-1},{"s":4294967296}]]}}']) {
    assert.deepEqual(parseJsonSources(json), [], json);
  }
  for (const mapped of [undefined, 'x', [null], [{ source: 'a-v0' }], [{ source: 5, ssrc: 1 }]]) assert.deepEqual(parseMappedSources('video', mapped), []);
});

test('XML sources take their owner from ssrc-info', () => {
  const description = parse(`<description xmlns='urn:xmpp:jingle:apps:rtp:1' media='video'>
    <source xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' ssrc='31' name='b-v0' videoType='desktop'><ssrc-info xmlns='http://jitsi.org/jitmeet' owner='room@muc/bob'/></source>
    <source xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' ssrc='32' name='b-v0' videoType='desktop'><ssrc-info xmlns='http://jitsi.org/jitmeet' owner='room@muc/bob'/></source>
    <ssrc-group xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' semantics='FID'><source ssrc='31'/><source ssrc='32'/></ssrc-group></description>`);
  assert.deepEqual(parseXmlSources(description), [{ name: 'b-v0', owner: 'bob', media: 'video', ssrc: 31, rtx: 32, videoType: 'desktop' }]);
});

test('mapped sources of the bridge channel: letter case, missing retransmission', () => {
  assert.deepEqual(parseMappedSources('video', [{ source: 'c-v0', owner: 'c', ssrc: 5, rtx: -1, videoType: 'CAMERA' }, { source: 'c-v1', owner: 'c', ssrc: 6, rtx: 7, videoType: 'DESKTOP_HIGH_FPS' }]).map((s) => [s.ssrc, s.rtx, s.videoType]), [
    [5, undefined, 'camera'],
    [6, 7, 'desktop'],
  ]);
});

test('a slot that is re-labelled loses its old source, a source that moves leaves its old slot', () => {
  const map = new SourceMap();
  assert.equal(map.assign(video('ann-v0', 1)), true);
  assert.equal(map.assign(video('ann-v0', 1)), false);
  assert.equal(map.assign(video('bob-v0', 1)), true);
  assert.equal(map.ofName('ann-v0'), undefined);
  assert.equal(map.ofSsrc(1)?.name, 'bob-v0');
  map.assign(video('bob-v0', 2));
  assert.equal(map.ofSsrc(1), undefined);
  assert.equal(map.ofName('bob-v0')?.ssrc, 2);
  assert.deepEqual(map.all().map((s) => s.ssrc), [2]);
});

test('swapping two slots in one map ends with both sources in place', () => {
  const map = new SourceMap();
  map.assign(video('ann-v0', 1));
  map.assign(video('bob-v0', 2));
  map.assign(video('bob-v0', 1));
  map.assign(video('ann-v0', 2));
  assert.deepEqual([map.ofName('ann-v0')?.ssrc, map.ofName('bob-v0')?.ssrc], [2, 1]);
});

test('a participant that leaves takes all its sources along', () => {
  const map = new SourceMap();
  for (const source of [video('ann-v0', 1), video('ann-v1', 2), video('bob-v0', 3)]) map.assign(source);
  assert.equal(map.removeOwner('ann'), true);
  assert.equal(map.removeOwner('ann'), false);
  assert.deepEqual(map.all().map((s) => s.name), ['bob-v0']);
});

test('heights follow the tiles', () => {
  for (const [pixels, kind, expected] of [[0, 'camera', 0], [90, 'camera', 180], [240, 'camera', 180], [260, 'camera', 360], [482, 'camera', 360], [500, 'camera', 720], [2000, 'camera', 720], [100, 'desktop', 2160]] as const) {
    assert.equal(heightFor(pixels, kind), expected, `${kind} of ${pixels}`);
  }
});

test('only shown sources are asked for; overrides win; order does not matter', () => {
  const tiles = [
    { source: 'b-v0', videoType: 'camera' as const, pixels: 150, onStage: false },
    { source: 'a-v1', videoType: 'desktop' as const, pixels: 700, onStage: true },
  ];
  const message = receiverConstraints(tiles, -1, new Map([['b-v0', 720]]));
  assert.deepEqual(message, {
    colibriClass: 'ReceiverVideoConstraints',
    lastN: -1,
    defaultConstraints: { maxHeight: 0 },
    constraints: { 'a-v1': { maxHeight: 2160 }, 'b-v0': { maxHeight: 720 } },
    onStageSources: ['a-v1'],
    selectedSources: [],
  });
  assert.equal(JSON.stringify(receiverConstraints([...tiles].reverse(), -1).constraints), JSON.stringify(receiverConstraints(tiles, -1).constraints));
});

test('SourceInfo is read for its own sender only; absent means muted; old elements still count', () => {
  const presence = (inner: string): XmlElement => parse(`<presence xmlns='jabber:client' from='r@muc/ann'>${inner}<x xmlns='http://jabber.org/protocol/muc#user'><item role='moderator' affiliation='owner' jid='u@d/r'/><status code='110'/></x></presence>`);
  const now = parsePresence(presence(`<SourceInfo>{"ann-a0":{"muted":false},"ann-v1":{"muted":false,"videoType":"desktop"},"ann-v0":{},"bob-a0":{"muted":false}}</SourceInfo><nick xmlns='http://jabber.org/protocol/nick'> Ann </nick>`))!;
  assert.deepEqual([...now.sources], [['ann-a0', { muted: false }], ['ann-v1', { muted: false, videoType: 'desktop' }], ['ann-v0', { muted: true, videoType: 'camera' }]]);
  assert.deepEqual([now.displayName, now.role, now.statusCodes, now.realJid], ['Ann', 'moderator', [110], 'u@d/r']);
  const old = parsePresence(presence('<audiomuted>false</audiomuted><videomuted>true</videomuted>'))!;
  assert.deepEqual([...old.sources], [['ann-a0', { muted: false }], ['ann-v0', { muted: true, videoType: 'camera' }]]);
  assert.equal(parsePresence(presence('<SourceInfo>{nonsense</SourceInfo>'))!.sources.size, 0);
});

test('our presence tells mute states, codecs and name', () => {
  const xml = presenceChildren({ displayName: 'A & B', sources: { 'x-a0': { muted: true }, 'x-v1': { muted: false, videoType: 'desktop' } }, codecs: ['vp8', 'vp9'], caps: el('c'), statsId: 's' }).map(serialise).join('');
  assert.match(xml, /<SourceInfo>\{&quot;x-a0&quot;:\{&quot;muted&quot;:true\},&quot;x-v1&quot;:\{&quot;muted&quot;:false,&quot;videoType&quot;:&quot;desktop&quot;\}\}<\/SourceInfo>/);
  assert.match(xml, /<jitsi_participant_codecList>vp8,vp9<\/jitsi_participant_codecList>/);
  assert.match(xml, /<nick xmlns="http:\/\/jabber.org\/protocol\/nick">A &amp; B<\/nick>/);
});

test('the endpoint id follows an anonymous JID', () => {
  assert.equal(endpointId('0C7F12ab-1111-2222@meet.example/r'), '0c7f12ab');
  assert.match(endpointId('alice@meet.example/r'), /^[0-9a-f]{8}$/);
});

test('capabilities hash the string that the specification names', () => {
  assert.equal(verificationString(['a', 'b']), 'client/web//Sluice<a<b<');
});

test('the WebSocket address: absent, relative, absolute', () => {
  const page = new URL('https://meet.example:8443/standup?join=1');
  for (const [websocket, expected] of [
    [undefined, 'wss://meet.example:8443/xmpp-websocket?room=standup'],
    ['/x', 'wss://meet.example:8443/x?room=standup'],
    ['wss://other.example/xmpp-websocket', 'wss://other.example/xmpp-websocket?room=standup'],
    ['//other.example/xmpp-websocket', 'wss://other.example/xmpp-websocket?room=standup'],
  ] as const) {
    assert.equal(interpret(websocket === undefined ? {} : { websocket }, page).webSocketUrl('standup'), expected);
  }
  assert.equal(interpret({}, new URL('http://localhost:8080/a')).webSocketUrl('a'), 'ws://localhost:8080/xmpp-websocket?room=a');
  assert.equal(interpret({ hosts: { domain: 'd', muc: 'm' } }, page).focus, 'focus.d');
});

test('room names are brought to one form', () => {
  assert.equal(normaliseRoom('  Café Team '), 'café-team');
  assert.equal(roomNode('café'), 'caf%c3%a9');
});

test('the bridge channel tries the page’s own server first when it is the same machine', () => {
  const page = new URL('http://localhost:8080/room');
  assert.deepEqual(channelUrls(['wss://localhost:8443/colibri-ws/a?pwd=1'], page), ['ws://localhost:8080/colibri-ws/a?pwd=1', 'wss://localhost:8443/colibri-ws/a?pwd=1']);
  assert.equal(channelUrls(['wss://bridge.example/colibri-ws/a?pwd=1'], page)[0], 'wss://bridge.example/colibri-ws/a?pwd=1');
});

test('quality falls with loss and with delay', () => {
  assert.equal(connectionQuality(0, 20), 100);
  assert.ok(connectionQuality(5, 20) < 80);
  assert.ok(connectionQuality(0, 400) < connectionQuality(0, 200));
  assert.equal(connectionQuality(50, 20), 0);
});
