// Conversations as text. A line is one of
//   Ann opens                 a new connection up to the bound stream; {Ann}, {Ann.bare}, {Ann.nick} are known from then on
//   Ann joins                 conference request and join, as stock clients do them; what it brings is thrown away
//   Ann > frame               Ann sends a frame; lines that are indented deeper go on with it
//   Ann < pattern             Ann gets such a frame (see match.mjs); frames before it are passed over
//   Ann <                     Ann gets nothing more for a while
//   Ann drops, Ann resumes    her socket is lost; she comes back by XEP-0198
//   Ann is cut off            the server has closed her connection
//   all forget                whatever is unread is thrown away
//   # …                       says why
// `{room}` is a room of this conversation's own, `{name}` its name.
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from './client.mjs';
import { match } from './match.mjs';

export const DOMAIN = 'meet.sluice';

export class Scenario {
  constructor(text, transport) {
    this.lines = lines(text);
    this.transport = transport;
    this.clients = new Map();
    const name = `s${Math.random().toString(36).slice(2, 10)}`;
    this.known = { name, room: `${name}@conference.${DOMAIN}`, focus: `focus.${DOMAIN}`, domain: DOMAIN };
  }

  async run() {
    try {
      for (const line of this.lines) {
        await this.line(line).catch((error) => { throw new Error(`${line}\n${error.message}`); });
      }
    } finally {
      for (const client of this.clients.values()) client.transport.drop();
    }
  }

  async line(line) {
    const [, name, rest = ''] = /^(\S+)\s*([^]*)$/.exec(line);
    if (line === 'all forget') {
      await pause(150);
      for (const client of this.clients.values()) client.inbox.length = 0;
      return;
    }
    if (rest === 'opens') return this.open(name);
    const client = this.clients.get(name);
    if (client === undefined) throw new Error(`${name} is not there`);
    if (rest === 'joins') return this.join(name, client);
    if (rest === 'drops') return client.transport.drop();
    if (rest === 'resumes') return this.resume(name, client);
    if (rest === 'is cut off') return this.ended(client);
    if (rest === '<') return this.nothing(client);
    if (rest.startsWith('> ')) return client.send(this.filled(rest.slice(2)));
    if (!rest.startsWith('< ')) throw new Error('not understood');
    const taken = await client.next(rest.slice(2), (element) => match(rest.slice(2), element, this.known));
    Object.assign(this.known, taken);
  }

  async open(name) {
    const client = new Client(name, this.transport(`room=${this.known.name}`));
    this.clients.set(name, client);
    const jid = await client.open(DOMAIN);
    Object.assign(this.known, { [name]: jid, [`${name}.bare`]: jid.split('/')[0], [`${name}.nick`]: client.nick });
  }

  async join(name, client) {
    const { room, focus } = this.known;
    client.send(`<iq xmlns='jabber:client' type='set' to='${focus}' id='c-${name}'><conference xmlns='http://jitsi.org/protocol/focus' room='${room}' machine-uid='m-${name}'/></iq>`);
    await client.next('ready', (element, text) => element.getAttribute('id') === `c-${name}` && /ready=["']true/.test(text));
    client.send(presence(room, client.nick, name));
    await client.next('own presence', (element, text) => /code=["']110["']/.test(text));
    // The room's subject ends the join; the focus asks for the client's features and the first one is made moderator.
    await client.next('the subject', (element) => element.localName === 'message');
    await pause(150);
    client.inbox.length = 0;
  }

  async resume(name, old) {
    const { resumption, jid, nick, before } = old;
    const client = new Client(name, this.transport(`room=${this.known.name}&previd=${resumption}`));
    this.clients.set(name, client);
    const outcome = await client.open(DOMAIN, { resume: { id: resumption, h: old.count() } });
    if (outcome !== 'resumed') throw new Error(`the stream was not resumed: ${outcome}`);
    Object.assign(client, { jid, nick, resumption, before: 0 });
    void before;
  }

  async nothing(client) {
    await pause(300);
    if (client.inbox.length > 0) throw new Error(`${client.name} got\n  ${client.inbox.map((frame) => frame.text).join('\n  ')}`);
  }

  async ended(client) {
    for (let i = 0; i < 50 && !client.closed; i++) await pause(100);
    if (!client.closed) throw new Error(`${client.name} is still connected`);
  }

  filled(text) {
    return text.replace(/\{([\w.]+)\}/g, (whole, name) => {
      if (!(name in this.known)) throw new Error(`${whole} is not known`);
      return this.known[name];
    });
  }
}

/** A join as the stock web app writes it, for a client that takes part in everything by default. */
export function presence(room, nick, name) {
  return `<presence xmlns='jabber:client' to='${room}/${nick}'><x xmlns='http://jabber.org/protocol/muc'/><stats-id>${name}-x</stats-id>
    <c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://jitsi.org/jitsi-meet' ver='x='/>
    <SourceInfo>{"${nick}-a0":{"muted":true},"${nick}-v0":{"muted":true}}</SourceInfo>
    <jitsi_participant_codecList>av1,vp9,vp8,h264</jitsi_participant_codecList>
    <nick xmlns='http://jabber.org/protocol/nick'>${name}</nick></presence>`;
}

function lines(text) {
  const out = [];
  for (const line of text.split('\n')) {
    if (/^\s*(#|$)/.test(line)) continue;
    if (/^\s/.test(line)) out[out.length - 1] += line.trim();
    else out.push(line.trim());
  }
  return out;
}
