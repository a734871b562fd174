// A stand-in server: static files, a minimal XMPP room with a focus, and a bridge that is a browser page. For looking at the client only.
import { DOMParser } from '@xmldom/xmldom';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { randomUUID } from 'node:crypto';
import { WebSocketServer } from 'ws';
import { child, children, el, fromDom, serialise, text } from '../../src/signalling/xml.ts';
import * as ns from '../../src/signalling/ns.ts';

const types = { html: 'text/html', js: 'text/javascript', css: 'text/css' };

/** Starts on a loopback port; `options.fake` names occupants without media that are always there. */
export async function startMock(dist, here, options = {}) {
  const state = { sessions: new Set(), rooms: new Map(), bridge: null, heard: [], accepts: [], sourceAdds: [], presences: [], minimum: options.minimum ?? 2, fake: options.fake ?? [], password: options.password, socketChannel: options.socketChannel, waiting: new Map() };
  const server = http.createServer((request, response) => void serve(request, response, dist, here));
  const xmpp = new WebSocketServer({ noServer: true, handleProtocols: () => 'xmpp' });
  const bridge = new WebSocketServer({ noServer: true });
  server.on('upgrade', (request, socket, head) => {
    if (request.url.startsWith('/colibri-ws/')) {
      bridge.handleUpgrade(request, socket, head, (ws) => {
        const id = new URL(request.url, 'http://x').pathname.split('/').pop();
        ws.on('message', (data) => state.heard.push({ id, message: JSON.parse(String(data)), socket: true }));
        ws.send(JSON.stringify({ colibriClass: 'ServerHello' }));
      });
    } else if (request.url.startsWith('/mock-bridge')) bridge.handleUpgrade(request, socket, head, (ws) => bridgeConnected(state, ws));
    else xmpp.handleUpgrade(request, socket, head, (ws) => clientConnected(state, ws, request));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  state.port = server.address().port;
  state.url = `http://localhost:${state.port}`;
  state.close = () => server.close();
  state.drop = () => [...state.sessions].forEach((session) => session.ws.terminate());
  /** The focus goes away and forgets everybody; a rejoin finds it again. */
  state.focusLeaves = () => {
    for (const members of state.rooms.values()) for (const session of [...members.values()]) send(session, el('presence', { xmlns: ns.CLIENT, type: 'unavailable', from: `${session.room}/focus`, to: session.jid }, el('x', { xmlns: ns.MUC_USER }, el('item', { affiliation: 'owner', role: 'none' }))));
  };
  state.tellBridge = (message) => state.bridge?.send(JSON.stringify(message));
  return state;
}

async function serve(request, response, dist, here) {
  const path = new URL(request.url, 'http://x').pathname;
  if (path === '/config.js') {
    response.setHeader('content-type', 'text/javascript');
    response.end("var config = { hosts: { domain: 'meet.example', muc: 'conference.meet.example' }, websocket: '/xmpp-websocket' };");
    return;
  }
  const file = path === '/bridge' ? `${here}/bridge.html` : /\.(js|css)$/.test(path) ? dist + path : `${dist}/index.html`;
  const body = await readFile(file).catch(() => null);
  response.statusCode = body === null ? 404 : 200;
  response.setHeader('content-type', types[file.split('.').pop()] ?? 'text/plain');
  response.end(body ?? 'not found');
}

function clientConnected(state, ws, request) {
  const session = { ws, jid: '', authenticated: false, query: new URL(request.url, 'http://x').searchParams.get('room') };
  state.sessions.add(session);
  ws.on('message', (data) => frame(state, session, fromDom(new DOMParser().parseFromString(String(data), 'text/xml').documentElement)));
  ws.on('close', () => {
    state.sessions.delete(session);
    leave(state, session);
  });
}

function send(session, stanza) {
  if (session.ws.readyState === 1) session.ws.send(typeof stanza === 'string' ? stanza : serialise(stanza));
}

function frame(state, session, stanza) {
  switch (stanza.name) {
    case 'open': {
      send(session, `<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" from="meet.example" id="${randomUUID()}" version="1.0"/>`);
      const inner = session.authenticated ? "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>" : "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>ANONYMOUS</mechanism></mechanisms>";
      send(session, `<stream:features xmlns:stream="http://etherx.jabber.org/streams">${inner}</stream:features>`);
      break;
    }
    case 'auth':
      session.authenticated = true;
      send(session, '<success xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>');
      break;
    case 'close':
      send(session, '<close xmlns="urn:ietf:params:xml:ns:xmpp-framing" />');
      session.ws.close();
      break;
    case 'iq':
      iq(state, session, stanza);
      break;
    case 'presence':
      presence(state, session, stanza);
      break;
    case 'message':
      for (const other of roomOf(state, session)?.values() ?? []) send(other, { ...stanza, attributes: { ...stanza.attributes, from: `${session.room}/${session.nick}`, to: other.jid } });
      break;
  }
}

function iq(state, session, stanza) {
  const { type, id, to } = stanza.attributes;
  if (type === 'result' || type === 'error') return;
  const answer = (...payload) => send(session, el('iq', { xmlns: ns.CLIENT, type: 'result', id, from: to, to: session.jid }, payload));
  if (child(stanza, 'bind')) {
    session.jid = `${randomUUID()}@meet.example/r${Math.floor(Math.random() * 1e6)}`;
    answer(el('bind', { xmlns: 'urn:ietf:params:xml:ns:xmpp-bind' }, el('jid', {}, session.jid)));
  } else if (child(stanza, 'conference')) {
    answer(el('conference', { xmlns: ns.FOCUS, room: child(stanza, 'conference').attributes.room, ready: 'true', focusjid: 'focus@auth.meet.example' }));
  } else if (child(stanza, 'jingle')) {
    answer();
    jingle(state, session, child(stanza, 'jingle'));
  } else answer(...(child(stanza, 'query') ? [el('query', { xmlns: ns.DISCO_INFO })] : []));
}

function roomOf(state, session) {
  return state.rooms.get(session.room);
}

function presence(state, session, stanza) {
  if (!stanza.attributes.to) return;
  const [room, nick] = stanza.attributes.to.split('/');
  if (stanza.attributes.type === 'unavailable') {
    leave(state, session);
    return;
  }
  const join = child(stanza, 'x', ns.MUC);
  if (join && state.password && text(child(join, 'password')) !== state.password) {
    send(session, el('presence', { xmlns: ns.CLIENT, type: 'error', from: stanza.attributes.to, to: session.jid }, el('error', { type: 'auth' }, el('not-authorized', { xmlns: ns.STANZAS }))));
    return;
  }
  const members = state.rooms.get(room) ?? new Map();
  state.rooms.set(room, members);
  session.children = children(stanza).filter((c) => c.name !== 'x');
  session.room = room;
  session.nick = nick;
  state.presences.push({ nick, xml: serialise(stanza) });
  const isNew = !members.has(nick);
  members.set(nick, session);
  const shown = (who, to, self) => el('presence', { xmlns: ns.CLIENT, from: `${room}/${who.nick}`, to: to.jid }, who.children, el('x', { xmlns: ns.MUC_USER }, el('item', { affiliation: who.first ? 'owner' : 'none', role: who.first ? 'moderator' : 'participant', jid: who.jid }), self && el('status', { code: '110' })));
  if (isNew) {
    session.first = members.size === 1;
    send(session, shown({ nick: 'focus', jid: 'focus@auth.meet.example/f', children: [] }, session));
    for (const fake of state.fake) send(session, shown({ ...fake, jid: `${fake.nick}@meet.example/x`, children: [el('nick', { xmlns: ns.NICK }, fake.name), el('SourceInfo', {}, JSON.stringify(fake.sources ?? {}))] }, session));
    for (const other of members.values()) if (other !== session) send(session, shown(other, session));
  }
  for (const other of members.values()) if (other !== session) send(other, shown(session, other));
  send(session, shown(session, session, true));
  if (isNew) invite(state, members);
}

function leave(state, session) {
  const members = roomOf(state, session);
  if (members?.get(session.nick) !== session) return;
  members.delete(session.nick);
  for (const other of [...members.values(), session]) send(other, el('presence', { xmlns: ns.CLIENT, type: 'unavailable', from: `${session.room}/${session.nick}`, to: other.jid }, el('x', { xmlns: ns.MUC_USER }, el('item', { affiliation: 'none', role: 'none' }), other === session && el('status', { code: '110' }))));
  if (session.invited) state.tellBridge({ op: 'expire', id: session.nick });
  session.invited = false;
  session.room = undefined;
}

function invite(state, members) {
  if (!state.bridge || members.size < state.minimum) return;
  for (const session of members.values()) {
    if (session.invited) continue;
    session.invited = true;
    state.waiting.set(session.nick, session);
    state.tellBridge({ op: 'create', id: session.nick });
  }
}

function bridgeConnected(state, ws) {
  state.bridge = ws;
  ws.on('message', (data) => {
    const message = JSON.parse(String(data));
    if (message.op === 'created') offer(state, state.waiting.get(message.id), message.sdp);
    else state.heard.push(message);
  });
}

/** The bridge page's own SDP offer as a session-initiate. */
function offer(state, session, sdp) {
  const field = (name) => sdp.match(new RegExp(`^a=${name}:(.*?)\\s*$`, 'm'))?.[1];
  const [hash, print] = field('fingerprint').split(' ');
  const candidates = [...sdp.matchAll(/^a=candidate:(\S+) (\d) (\S+) (\d+) (\S+) (\d+) typ (\S+)(?:.*tcptype (\S+))?/gm)].map((m) =>
    el('candidate', { foundation: m[1], component: m[2], protocol: m[3], priority: m[4], ip: m[5], port: m[6], type: m[7], tcptype: m[8], generation: '0', id: randomUUID(), network: '0' }),
  );
  const transport = (extra) => el('transport', { xmlns: ns.ICE_UDP, ufrag: field('ice-ufrag'), pwd: field('ice-pwd') }, el('rtcp-mux'), el('fingerprint', { xmlns: ns.DTLS, hash, setup: 'actpass' }, print), candidates, extra);
  const socket = state.socketChannel && el('web-socket', { xmlns: ns.COLIBRI, url: `wss://localhost:1/colibri-ws/one/two/${session.nick}?pwd=x` });
  const contents = sdp.split(/(?=^m=)/m).slice(1).filter((section) => !state.socketChannel || !section.startsWith('m=application')).map((section) => {
    const media = section.match(/^m=(\w+)/)[1];
    if (media === 'application') return el('content', { creator: 'initiator', name: 'data', senders: 'both' }, el('description', { xmlns: ns.RTP, media }), transport(el('sctpmap', { xmlns: ns.SCTP, number: '5000', protocol: 'webrtc-datachannel', streams: '1024' })));
    const payloads = [...section.matchAll(/^a=rtpmap:(\d+) ([^/]+)\/(\d+)(?:\/(\d+))?/gm)].filter((m) => /^(opus|VP8|VP9|rtx)$/.test(m[2])).map((m) => {
      const fmtp = section.match(new RegExp(`^a=fmtp:${m[1]} (.*?)\\s*$`, 'm'))?.[1] ?? '';
      const fb = [...section.matchAll(new RegExp(`^a=rtcp-fb:${m[1]} (\\S+)(?: (\\S+))?`, 'gm'))].map((f) => el('rtcp-fb', { xmlns: ns.RTCP_FB, type: f[1], subtype: f[2] }));
      return el('payload-type', { id: m[1], name: m[2], clockrate: m[3], channels: m[4] }, fmtp.split(';').filter(Boolean).map((p) => el('parameter', { name: p.split('=')[0], value: p.split('=')[1] })), fb);
    });
    const extensions = [...section.matchAll(/^a=extmap:(\d+) (\S+)/gm)].map((m) => el('rtp-hdrext', { xmlns: ns.RTP_HDREXT, id: m[1], uri: m[2] }));
    return el('content', { creator: 'initiator', name: media, senders: 'both' }, el('description', { xmlns: ns.RTP, media }, payloads, extensions, el('extmap-allow-mixed', { xmlns: ns.RTP_HDREXT }), el('rtcp-mux')), transport(socket || undefined));
  });
  const sources = { sources: { jvb: [[{ s: 2222222, n: 'jvb-v0', m: 'mixedmslabel mixedlabelvideo0' }], [], [{ s: 1111111, n: 'jvb-a0', m: 'mixedmslabel mixedlabelaudio0' }]] } };
  const jingle = el('jingle', { xmlns: ns.JINGLE, action: 'session-initiate', initiator: 'focus@auth.meet.example/f', sid: randomUUID() }, contents, el('group', { xmlns: ns.GROUPING, semantics: 'BUNDLE' }), el('bridge-session', { xmlns: ns.FOCUS, id: randomUUID(), region: 'here' }), el('json-message', { xmlns: ns.JITMEET }, JSON.stringify(sources)));
  send(session, el('iq', { xmlns: ns.CLIENT, type: 'set', id: randomUUID(), from: `${session.room}/focus`, to: session.jid }, jingle));
}

function jingle(state, session, element) {
  const { action } = element.attributes;
  const sources = [];
  for (const content of children(element, 'content')) {
    const description = child(content, 'description');
    if (!description) continue;
    const byName = new Map();
    for (const source of children(description, 'source')) {
      const entry = byName.get(source.attributes.name) ?? { name: source.attributes.name, videoType: source.attributes.videoType, ssrcs: [] };
      entry.ssrcs.push(Number(source.attributes.ssrc));
      byName.set(entry.name, entry);
    }
    const groups = children(description, 'ssrc-group').map((g) => [g.attributes.semantics, ...children(g, 'source').map((s) => Number(s.attributes.ssrc))]);
    for (const entry of byName.values()) {
      const sim = groups.find((g) => g[0] === 'SIM' && entry.ssrcs.includes(g[1]));
      entry.layer = sim ? sim[2] : entry.ssrcs[0];
      entry.rtx = groups.find((g) => g[0] === 'FID' && g[1] === entry.layer)?.[2];
      sources.push(entry);
    }
  }
  if (action === 'session-accept') {
    state.accepts.push({ nick: session.nick, xml: serialise(element), sources });
    const transport = child(children(element, 'content')[0], 'transport');
    const print = child(transport, 'fingerprint');
    state.tellBridge({ op: 'accept', id: session.nick, sources, transport: { ufrag: transport.attributes.ufrag, pwd: transport.attributes.pwd, hash: print.attributes.hash, fingerprint: text(print) } });
  } else if (action === 'source-add' || action === 'source-remove') {
    state.sourceAdds.push({ nick: session.nick, action, xml: serialise(element) });
    state.tellBridge({ op: action === 'source-add' ? 'add' : 'remove', id: session.nick, sources });
  } else if (action === 'session-terminate') {
    state.sourceAdds.push({ nick: session.nick, action, xml: serialise(element) });
    state.tellBridge({ op: 'expire', id: session.nick });
    setTimeout(() => {
      state.waiting.set(session.nick, session);
      state.tellBridge({ op: 'create', id: session.nick });
    }, 300);
  }
}
