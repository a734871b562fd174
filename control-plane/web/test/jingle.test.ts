import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DOMParser } from '@xmldom/xmldom';
import { buildAccept, buildRestart, buildSourceChange, JingleError, parseOffer, type LocalSource } from '../src/signalling/jingle.ts';
import { buildOffer, orderPayloadTypes, parseAnswer, type Line } from '../src/signalling/sdp.ts';
import { addSimulcast, planEncodings } from '../src/media/simulcast.ts';
import { child, children, fromDom, serialise, text, type DomElementLike, type XmlElement } from '../src/signalling/xml.ts';

const parse = (xml: string): XmlElement => fromDom(new DOMParser().parseFromString(xml, 'text/xml').documentElement as unknown as DomElementLike);

const TRANSPORT = `<transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' ufrag='8hx2q' pwd='3kd9v0e5m1n7p2r4s6t8u0w2'>
  <web-socket xmlns='http://jitsi.org/protocol/colibri' url='wss://meet.example/colibri-ws/a/b/c?pwd=x'/>
  <rtcp-mux/>
  <fingerprint xmlns='urn:xmpp:jingle:apps:dtls:0' hash='sha-256' setup='actpass'>9A:1C:4E</fingerprint>
  <candidate component='1' foundation='1' generation='0' id='c1' network='0' priority='2130706431' protocol='udp' type='host' ip='203.0.113.9' port='10000'/>
  <candidate component='1' foundation='2' generation='0' id='c2' network='0' priority='1677724415' protocol='udp' type='srflx' ip='198.51.100.4' port='10000' rel-addr='10.0.0.5' rel-port='10000'/>
  <candidate component='1' foundation='3' generation='0' id='c3' network='0' priority='1000' protocol='tcp' type='host' ip='203.0.113.9' port='4443' tcptype='passive'/>
  SCTP</transport>`;
const FB = `<rtcp-fb xmlns='urn:xmpp:jingle:apps:rtp:rtcp-fb:0' type='ccm' subtype='fir'/><rtcp-fb xmlns='urn:xmpp:jingle:apps:rtp:rtcp-fb:0' type='nack'/><rtcp-fb xmlns='urn:xmpp:jingle:apps:rtp:rtcp-fb:0' type='nack' subtype='pli'/><rtcp-fb xmlns='urn:xmpp:jingle:apps:rtp:rtcp-fb:0' type='transport-cc'/>`;
const EXT = (id: number, uri: string): string => `<rtp-hdrext xmlns='urn:xmpp:jingle:apps:rtp:rtp-hdrext:0' id='${id}' uri='${uri}'/>`;
const INITIATE = `<jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' initiator='focus@auth.meet.example/focus7' sid='4f2kq'>
 <content creator='initiator' name='audio' senders='both'>
  <description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio' maxptime='60'>
   <payload-type id='111' name='opus' clockrate='48000' channels='2'><parameter name='minptime' value='10'/><parameter name='useinbandfec' value='1'/><rtcp-fb xmlns='urn:xmpp:jingle:apps:rtp:rtcp-fb:0' type='transport-cc'/></payload-type>
   ${EXT(1, 'urn:ietf:params:rtp-hdrext:ssrc-audio-level')}${EXT(10, 'urn:ietf:params:rtp-hdrext:sdes:mid')}<extmap-allow-mixed xmlns='urn:xmpp:jingle:apps:rtp:rtp-hdrext:0'/><rtcp-mux/>
  </description>${TRANSPORT.replace('SCTP', '')}</content>
 <content creator='initiator' name='video' senders='both'>
  <description xmlns='urn:xmpp:jingle:apps:rtp:1' media='video'>
   <payload-type id='41' name='AV1' clockrate='90000'>${FB}</payload-type>
   <payload-type id='100' name='VP8' clockrate='90000'>${FB}</payload-type>
   <payload-type id='107' name='H264' clockrate='90000'>${FB}<parameter name='profile-level-id' value='42e01f;level-asymmetry-allowed=1;packetization-mode=1;'/></payload-type>
   <payload-type id='42' name='rtx' clockrate='90000'><parameter name='apt' value='41'/></payload-type>
   <payload-type id='96' name='rtx' clockrate='90000'><parameter name='apt' value='100'/></payload-type>
   <payload-type id='97' name='rtx' clockrate='90000'><parameter name='apt' value='101'/></payload-type>
   ${EXT(5, 'http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01')}<rtcp-mux/>
  </description>${TRANSPORT.replace('SCTP', '')}</content>
 <content creator='initiator' name='data' senders='both'>
  <description xmlns='urn:xmpp:jingle:apps:rtp:1' media='application'><rtcp-mux/></description>
  ${TRANSPORT.replace('SCTP', `<sctpmap xmlns='urn:xmpp:jingle:transports:dtls-sctp:1' number='5000' protocol='webrtc-datachannel' streams='1024'/>`)}</content>
 <startmuted xmlns='http://jitsi.org/jitmeet/start-muted' audio='true' video='false'/>
 <bridge-session xmlns='http://jitsi.org/protocol/focus' id='d41a5f' region='eu'/>
 <json-message xmlns='http://jitsi.org/jitmeet'>{"sources":{"jvb":[[{"s":2222222,"n":"jvb-v0","m":"mixedmslabel mixedlabelvideo0"}],[],[{"s":1111111,"n":"jvb-a0","m":"mixedmslabel mixedlabelaudio0"}]]}}</json-message>
</jingle>`;

const offer = parseOffer(parse(INITIATE), 'standup@conference.meet.example/focus');
const LINES: Line[] = [
  { mid: '0', kind: 'audio', send: true, remote: { ssrc: 1111111, msid: 'mixedmslabel mixedlabelaudio0' } },
  { mid: '1', kind: 'video', send: false, remote: { ssrc: 2222222, msid: 'mixedmslabel mixedlabelvideo0' } },
  { mid: '2', kind: 'application', send: true },
  { mid: '3', kind: 'video', send: false, remote: { ssrc: 7, rtx: 8, msid: 'remote-video-3 t' } },
  { mid: '4', kind: 'video', send: true },
  { mid: '5', kind: 'audio', send: false },
];

test('an offer is read whole', () => {
  assert.equal(offer.sid, '4f2kq');
  assert.deepEqual(offer.contents.map((content) => [content.name, content.media]), [['audio', 'audio'], ['video', 'video'], ['data', 'application']]);
  assert.equal(offer.transport.ufrag, '8hx2q');
  assert.deepEqual(offer.transport.fingerprints, [{ hash: 'sha-256', value: '9A:1C:4E', setup: 'actpass' }]);
  assert.equal(offer.transport.candidates.length, 3);
  assert.equal(offer.transport.sctpPort, 5000);
  assert.deepEqual(offer.transport.webSockets, ['wss://meet.example/colibri-ws/a/b/c?pwd=x']);
  assert.deepEqual(offer.startMuted, { audio: true, video: false });
  assert.equal(offer.bridgeSession, 'd41a5f');
  assert.deepEqual(offer.sources.map((source) => [source.owner, source.name, source.ssrc]), [['jvb', 'jvb-v0', 2222222], ['jvb', 'jvb-a0', 1111111]]);
});

test('what no session can be built from is refused', () => {
  for (const [name, xml] of [
    ['no sid', INITIATE.replace("sid='4f2kq'", '')],
    ['no contents', `<jingle xmlns='urn:xmpp:jingle:1' sid='x'/>`],
    ['no credentials', INITIATE.replaceAll("ufrag='8hx2q'", '')],
  ] as const) {
    assert.throws(() => parseOffer(parse(xml), 'f'), JingleError, name);
  }
});

test('m-lines stand in order with directions as the far side writes them', () => {
  const sections = buildOffer(offer, LINES, 3, ['vp8']).split(/(?=^m=)/m);
  assert.match(sections[0]!, /^o=- \d+ 3 IN IP4/m);
  assert.match(sections[0]!, /^a=group:BUNDLE 0 1 2 3 4 5\r$/m);
  const directions = sections.slice(1).map((section) => /^a=(sendrecv|sendonly|recvonly|inactive)/m.exec(section)?.[1] ?? 'none');
  assert.deepEqual(directions, ['sendrecv', 'sendonly', 'none', 'sendonly', 'recvonly', 'inactive']);
  assert.match(sections[4]!, /a=ssrc-group:FID 7 8\r\na=ssrc:7 cname:sluice\r\na=ssrc:7 msid:remote-video-3 t\r\n/);
});

test('a closed line keeps its place with port 0 and leaves the bundle', () => {
  const lines = LINES.map((line) => (line.mid === '5' ? { ...line, closed: 'asked' as const } : line));
  const sections = buildOffer(offer, lines, 1, []).split(/(?=^m=)/m);
  assert.match(sections[0]!, /^a=group:BUNDLE 0 1 2 3 4\r$/m);
  assert.match(sections[6]!, /^m=audio 0 UDP\/TLS\/RTP\/SAVPF 111\r$/m);
  assert.match(sections[6]!, /^a=inactive\r$/m);
});

test('the preferred codec stands first, orphaned retransmission types are left out', () => {
  const video = buildOffer(offer, LINES, 1, ['vp8', 'av1']).split(/(?=^m=)/m)[2]!;
  assert.match(video, /^m=video 9 UDP\/TLS\/RTP\/SAVPF 100 41 107 42 96\r$/m);
  assert.deepEqual(orderPayloadTypes(offer.contents[1]!.payloadTypes, ['h264']).map((payload) => payload.id).slice(0, 3), [107, 41, 100]);
});

test('parameters become one format line without a trailing semicolon', () => {
  const sdp = buildOffer(offer, LINES, 1, []);
  assert.match(sdp, /^a=fmtp:107 profile-level-id=42e01f;level-asymmetry-allowed=1;packetization-mode=1\r$/m);
  assert.match(sdp, /^a=fmtp:111 minptime=10;useinbandfec=1\r$/m);
});

test('candidates keep their related address and TCP type; MID is not negotiated', () => {
  const sdp = buildOffer(offer, LINES, 1, []);
  assert.match(sdp, /typ srflx raddr 10\.0\.0\.5 rport 10000 generation 0\r/);
  assert.match(sdp, / tcp 1000 203\.0\.113\.9 4443 typ host tcptype passive generation 0\r/);
  assert.doesNotMatch(sdp, /sdes:mid/);
});

const ANSWER = [
  'v=0', 'o=- 1 2 IN IP4 127.0.0.1', 's=-', 't=0 0', 'a=group:BUNDLE 0 1 2',
  'm=audio 9 UDP/TLS/RTP/SAVPF 111', 'a=ice-ufrag:Zk4+', 'a=ice-pwd:o1W', 'a=fingerprint:sha-256 4B:11:07', 'a=setup:active', 'a=mid:0',
  'a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level', 'a=sendrecv', 'a=msid:- track-a', 'a=rtpmap:111 opus/48000/2', 'a=rtcp-fb:111 transport-cc', 'a=fmtp:111 minptime=10;useinbandfec=1', 'a=ssrc:4001 cname:c',
  'm=video 9 UDP/TLS/RTP/SAVPF 100 96', 'a=ice-ufrag:Zk4+', 'a=ice-pwd:o1W', 'a=fingerprint:sha-256 4B:11:07', 'a=setup:active', 'a=mid:1',
  'a=sendrecv', 'a=msid:- track-v', 'a=rtpmap:100 VP8/90000', 'a=rtcp-fb:100 nack pli', 'a=rtpmap:96 rtx/90000', 'a=fmtp:96 apt=100', 'a=ssrc-group:FID 5001 5002', 'a=ssrc:5001 cname:c', 'a=ssrc:5002 cname:c',
  'm=application 9 UDP/DTLS/SCTP webrtc-datachannel', 'a=ice-ufrag:Zk4+', 'a=ice-pwd:o1W', 'a=fingerprint:sha-256 4B:11:07', 'a=setup:active', 'a=mid:2', 'a=sctp-port:5000', '',
].join('\r\n');

test('an answer is widened to three layers, each with its retransmission partner, once', () => {
  let next = 0;
  const widened = addSimulcast(ANSWER, '1', () => (next += 0.1));
  const line = parseAnswer(widened).lines[1]!;
  assert.equal(line.ssrcs.length, 6);
  const sim = line.groups.find((group) => group.semantics === 'SIM')!;
  const fid = line.groups.filter((group) => group.semantics === 'FID');
  assert.equal(sim.ssrcs[0], 5001);
  assert.deepEqual(fid.map((group) => group.ssrcs[0]), sim.ssrcs);
  assert.deepEqual(fid[0]!.ssrcs, [5001, 5002]);
  assert.equal(new Set(line.ssrcs).size, 6);
  assert.equal(addSimulcast(widened, '1', Math.random), widened);
  assert.match(widened, /m=application/);
});

test('a line that only receives is widened too, one without an SSRC is not', () => {
  const receiving = ANSWER.replace('a=mid:1\r\na=sendrecv', 'a=mid:1\r\na=recvonly');
  assert.match(addSimulcast(receiving, '1', Math.random), /ssrc-group:SIM/);
  const silent = ANSWER.replace(/a=ssrc(-group)?:.*5\d\d\d.*\r\n/g, '');
  assert.equal(addSimulcast(silent, '1', Math.random), silent);
});

test('session-accept carries transport, codecs, sources and groups as a bridge expects them', () => {
  const answer = parseAnswer(addSimulcast(ANSWER, '1', Math.random));
  const video = answer.lines[1]!;
  const sources: LocalSource[] = [
    { name: 'a1b2c3d4-a0', media: 'audio', msid: 'a1b2c3d4-audio-0-1 t-1', ssrcs: [4001], groups: [] },
    { name: 'a1b2c3d4-v0', media: 'video', videoType: 'camera', msid: 'a1b2c3d4-video-0-1 t-1', ssrcs: video.ssrcs, groups: video.groups },
  ];
  // Through text and back, as on the wire.
  const accept = parse(serialise(buildAccept(offer, 'me@meet.example/r', answer, sources)));
  assert.equal(accept.attributes.action, 'session-accept');
  assert.equal(accept.attributes.initiator, 'standup@conference.meet.example/focus');
  const [group] = children(accept, 'group');
  assert.deepEqual(children(group!).map((content) => content.attributes.name), ['audio', 'video', 'data']);
  const [audioContent, videoContent, dataContent] = children(accept, 'content');
  assert.equal(child(dataContent, 'description'), undefined);
  assert.equal(child(child(dataContent, 'transport'), 'sctpmap')?.attributes.number, '5000');
  const print = child(child(videoContent, 'transport'), 'fingerprint')!;
  assert.deepEqual([print.attributes.setup, print.attributes.hash, text(print)], ['active', 'sha-256', '4B:11:07']);
  const description = child(videoContent, 'description', 'urn:xmpp:jingle:apps:rtp:1')!;
  assert.deepEqual(children(description, 'payload-type').map((payload) => payload.attributes.id), ['100', '96']);
  const elements = children(description, 'source', 'urn:xmpp:jingle:apps:rtp:ssma:0');
  assert.equal(elements.length, 6);
  assert.ok(elements.every((source) => source.attributes.name === 'a1b2c3d4-v0' && source.attributes.videoType === 'camera' && child(source, 'parameter')?.attributes.value === 'a1b2c3d4-video-0-1 t-1'));
  assert.deepEqual(children(description, 'ssrc-group').map((g) => [g.attributes.semantics, children(g).length]), [['SIM', 3], ['FID', 2], ['FID', 2], ['FID', 2]]);
  const opus = children(child(audioContent, 'description')!, 'payload-type')[0]!;
  assert.deepEqual([opus.attributes.name, opus.attributes.clockrate, opus.attributes.channels], ['opus', '48000', '2']);
});

test('source-add names one content per kind; a restart names the bridge session', () => {
  const screen: LocalSource = { name: 'a1b2c3d4-v1', media: 'video', videoType: 'desktop', msid: 'x y', ssrcs: [1, 2], groups: [{ semantics: 'FID', ssrcs: [1, 2] }] };
  const add = buildSourceChange('source-add', offer, [screen]);
  assert.deepEqual(children(add, 'content').map((content) => content.attributes.name), ['video']);
  assert.match(serialise(add), /videoType="desktop"/);
  const restart = serialise(buildRestart(offer));
  assert.match(restart, /<bridge-session xmlns="http:\/\/jitsi\.org\/protocol\/focus" id="d41a5f" restart="true"\/>/);
});

test('layers follow what the bridge asks for', () => {
  for (const [count, track, max, active] of [
    [3, 720, -1, [true, true, true]],
    [3, 720, 720, [true, true, true]],
    [3, 720, 540, [true, true, false]],
    [3, 720, 360, [true, true, false]],
    [3, 720, 180, [true, false, false]],
    [3, 720, 90, [true, false, false]],
    [3, 720, 0, [false, false, false]],
    [1, 720, 0, [false]],
  ] as const) {
    assert.deepEqual(planEncodings(count, track, max, 'camera').map((plan) => plan.active), active, `${count} layers of ${track} at ${max}`);
  }
  assert.equal(planEncodings(1, 720, 360, 'camera')[0]!.scaleResolutionDownBy, 2);
  assert.equal(planEncodings(1, 1080, 180, 'desktop')[0]!.scaleResolutionDownBy, 1);
});

test('text that would break XML is escaped, control characters are dropped', () => {
  assert.equal(serialise({ name: 'body', attributes: { a: `"'` }, children: ['<&>\u0001\n'] }), '<body a="&quot;&apos;">&lt;&amp;&gt;\n</body>');
});
