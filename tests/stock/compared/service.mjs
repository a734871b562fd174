// One service under comparison: clients of it, and all that each of them was sent, step by step.
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from '../client.mjs';
import { parse } from '../match.mjs';

/** What the stock web app answers when the focus asks what it can do. */
const FEATURES = ['http://jabber.org/protocol/caps', 'http://jitsi.org/json-encoded-sources', 'http://jitsi.org/receive-multiple-video-streams', 'http://jitsi.org/remb',
  'http://jitsi.org/source-name', 'http://jitsi.org/ssrc-rewriting-1', 'http://jitsi.org/start-muted-room-metadata', 'http://jitsi.org/tcc', 'http://jitsi.org/visitors-1',
  'urn:ietf:rfc:4588', 'urn:xmpp:jingle:1', 'urn:xmpp:jingle:apps:dtls:0', 'urn:xmpp:jingle:apps:rtp:1', 'urn:xmpp:jingle:apps:rtp:audio', 'urn:xmpp:jingle:apps:rtp:video',
  'urn:xmpp:jingle:transports:dtls-sctp:1', 'urn:xmpp:jingle:transports:ice-udp:1'];

/** Milliseconds without a frame after which a step is over, and its longest. */
const QUIET = 450;
const LONGEST = 10_000;
/** Milliseconds that a client waits for the answer to its ping, which a dead stream never gives. */
const PING = 3_000;

export class Service {
  constructor(transport, domain) {
    this.transport = transport;
    this.domain = domain;
    this.name = `c${Math.random().toString(36).slice(2, 10)}`;
    this.room = `${this.name}@conference.${domain}`;
    this.focus = `focus.${domain}`;
    this.clients = new Map();
    this.steps = [];
    this.ids = 0;
    this.last = 0;
    this.known = [[this.room, '{room}'], [this.name, '{name}']];
  }

  /** From here on, what is received belongs to `title`. */
  async step(title, act) {
    const step = { title, got: [] };
    this.steps.push(step);
    this.last = Date.now();
    const started = this.last;
    await act();
    // Handled first, then delivered: what others were sent lies before the answer to their second ping.
    for (let round = 0; round < 2; round += 1) await Promise.all([...this.clients.values()].map((client) => client.handled()));
    while (Date.now() - this.last < QUIET && Date.now() - started < LONGEST) await pause(50);
  }

  async open(name, { features = FEATURES, query = `room=${this.name}` } = {}) {
    const client = new Recorded(name, this.transport(query), this, features);
    this.clients.set(name, client);
    const jid = await client.open(this.domain);
    const [bare, resource] = jid.split('/');
    this.known.push([jid, `{${name}}`], [bare, `{${name}.bare}`], [bare.split('@')[0], `{${name}.local}`], [client.nick, `{${name}.nick}`], [resource, `{${name}.resource}`]);
    this.known.sort(([a], [b]) => b.length - a.length);
    return client;
  }

  close() { for (const client of this.clients.values()) client.transport.drop(); }
}

class Recorded extends Client {
  constructor(name, transport, service, features) {
    super(name, transport);
    this.service = service;
    this.features = features;
    this.sessions = new Map();
    this.last = '';
    this.pings = 0;
    this.ponged = null;
  }

  /** Over when the server has handled all that this client sent: a stream is handled in its order. Not a part of the comparison. */
  async handled() {
    if (this.closed || this.transport.ended || this.jid === undefined) return;
    const id = `handled-${(this.pings += 1)}`;
    const answered = new Promise((resolve) => { this.ponged = { id, resolve }; });
    this.send(`<iq xmlns='jabber:client' type='get' to='${this.service.domain}' id='${id}'><ping xmlns='urn:xmpp:ping'/></iq>`);
    await Promise.race([answered, pause(PING)]);
  }

  frame(text) {
    const element = parse(text);
    if (element.localName === 'iq' && element.getAttribute('id')?.startsWith('handled-')) {
      this.received += 1;
      if (element.getAttribute('id') === this.ponged?.id) this.ponged.resolve();
      return;
    }
    if (!['r', 'a'].includes(element.localName)) {
      this.service.steps.at(-1)?.got.push({ client: this.name, text });
      this.service.last = Date.now();
    }
    super.frame(text);
    if (element.localName === 'iq' && ['get', 'set'].includes(element.getAttribute('type'))) this.answer(element);
  }

  /** As stock clients do: features to who asks for them, an acknowledgement to everything else. */
  answer(iq) {
    const [from, id] = [iq.getAttribute('from'), iq.getAttribute('id')];
    const first = [...iq.childNodes].find((node) => node.nodeType === 1);
    let inner = '';
    if (first?.localName === 'query') inner = `<query xmlns='http://jabber.org/protocol/disco#info' node='${first.getAttribute('node') ?? ''}'>${this.features.map((feature) => `<feature var='${feature}'/>`).join('')}</query>`;
    if (first?.localName === 'jingle') {
      this.sid = first.getAttribute('sid');
      const session = [...first.childNodes].find((node) => node.localName === 'bridge-session');
      this.bridge = session?.getAttribute('id') ?? this.bridge;
    }
    this.send(`<iq xmlns='jabber:client' type='result' to='${from}' id='${id}'>${inner}</iq>`);
  }

  /** An IQ with an id that both services see, and its answer. */
  async ask(type, to, inner) {
    const id = `own-${(this.service.ids += 1)}`;
    this.send(`<iq xmlns='jabber:client' type='${type}'${to ? ` to='${to}'` : ''} id='${id}'>${inner}</iq>`);
    // Who does not answer shows by the missing frame.
    return this.next('an answer', (element) => (element.getAttribute('id') === id ? element : null), 6_000).catch(() => null);
  }

  say(to, inner, type = '') { this.send(`<message xmlns='jabber:client' to='${to}'${type ? ` type='${type}'` : ''} id='own-${(this.service.ids += 1)}'>${inner}</message>`); }

  /** Waits for a session other than the one it has. */
  async offered(within = 8_000) {
    const before = this.answered;
    for (let waited = 0; waited < within && this.sid === before; waited += 50) await pause(50);
    this.answered = this.sid;
  }

  conference() {
    return this.ask('set', this.service.focus, `<conference xmlns='http://jitsi.org/protocol/focus' room='${this.service.room}' machine-uid='m-${this.name}'><property name='rtcstatsEnabled' value='false'/><property name='visitors-version' value='1'/></conference>`);
  }

  /** Presence as the stock web app writes it; `more` goes into the part that asks to join. */
  enter(more = '', room = this.service.room, nick = this.nick) {
    this.send(this.presence(`to='${room}/${nick}'`, `<x xmlns='http://jabber.org/protocol/muc'>${more}</x>`, '{}'));
  }

  presence(attributes, first, sources, more = '') {
    return `<presence xmlns='jabber:client' ${attributes}>${first}<stats-id>${this.name}-x</stats-id><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://jitsi.org/jitsi-meet' ver='${this.name}='/><SourceInfo>${sources}</SourceInfo><jitsi_participant_codecList>av1,vp9,vp8,h264</jitsi_participant_codecList><nick xmlns='http://jabber.org/protocol/nick'>${this.name}</nick>${more}</presence>`;
  }

  update(sources, more = '') { this.send(this.presence(`to='${this.service.room}/${this.nick}'`, '', JSON.stringify(sources), more)); }
}
