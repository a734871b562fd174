// An independent client library, strophe.js, against the real listener: somebody else's code judges framing, SASL, binding and rooms.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { $iq, $msg, $pres, Strophe } from 'strophe.js';
import { Server } from '../e2e/server.mjs';
import { DOMAIN } from './scenario.mjs';

let server;
before(async () => { server = await Server.start({ media: { workers: 1, pin: false } }); });
after(async () => { await server.stop(); });

class Person {
  static async connect(service) {
    const person = new Person();
    person.connection = new Strophe.Connection(service);
    person.stanzas = [];
    person.connection.rawInput = (text) => person.stanzas.push(text);
    await new Promise((connected, failed) => {
      person.connection.connect(DOMAIN, null, (status, condition) => {
        if (status === Strophe.Status.CONNECTED) connected();
        if ([Strophe.Status.CONNFAIL, Strophe.Status.AUTHFAIL, Strophe.Status.ERROR].includes(status)) failed(new Error(`${status} ${condition}`));
      });
    });
    person.nick = person.connection.jid.slice(0, 8);
    return person;
  }

  ask(iq) { return new Promise((done, failed) => this.connection.sendIQ(iq, done, (error) => failed(new Error(error ? Strophe.serialize(error) : 'no answer')), 5_000)); }

  /** Resolves with the next stanza called `name` for which `test` holds. */
  hears(name, test) {
    return new Promise((heard, failed) => {
      const timer = setTimeout(() => failed(new Error(`no ${name}; got\n${this.stanzas.join('\n')}`)), 5_000);
      this.connection.addHandler((stanza) => {
        if (!test(stanza)) return true;
        clearTimeout(timer);
        heard(stanza);
        return false;
      }, null, name);
    });
  }

  async join(room) {
    const conference = await this.ask($iq({ type: 'set', to: `focus.${DOMAIN}` }).c('conference', { xmlns: 'http://jitsi.org/protocol/focus', room }));
    assert.equal(conference.getElementsByTagName('conference')[0].getAttribute('ready'), 'true');
    const inside = this.hears('presence', (presence) => presence.getAttribute('from') === `${room}/${this.nick}` && Strophe.serialize(presence).includes('110'));
    this.connection.send($pres({ to: `${room}/${this.nick}` }).c('x', { xmlns: 'http://jabber.org/protocol/muc' }));
    await inside;
  }
}

// Its BOSH needs a browser; the scenarios speak that.
test('strophe.js meets itself in a room', { timeout: 30_000 }, async () => {
  const service = `${server.url.replace('http', 'ws')}/xmpp-websocket?room=strophe`;
  const room = `strophe@conference.${DOMAIN}`;
  const [ann, bob] = [await Person.connect(service), await Person.connect(service)];
  await ann.join(room);
  const seen = ann.hears('presence', (presence) => presence.getAttribute('from') === `${room}/${bob.nick}`);
  await bob.join(room);
  await seen;

  const said = 'déjà <vu> & "more" 👋';
  const heard = bob.hears('message', (message) => message.getElementsByTagName('body').length > 0);
  ann.connection.send($msg({ to: room, type: 'groupchat' }).c('body').t(said));
  assert.equal(Strophe.getText((await heard).getElementsByTagName('body')[0]), Strophe.xmlescape(said));

  const pong = await ann.ask($iq({ type: 'get', to: DOMAIN }).c('ping', { xmlns: 'urn:xmpp:ping' }));
  assert.equal(pong.getAttribute('type'), 'result');
  await assert.rejects(ann.ask($iq({ type: 'get', to: DOMAIN }).c('query', { xmlns: 'jabber:iq:roster' })), /service-unavailable/);

  const gone = ann.hears('presence', (presence) => presence.getAttribute('type') === 'unavailable' && presence.getAttribute('from') === `${room}/${bob.nick}`);
  bob.connection.disconnect();
  await gone;
  ann.connection.disconnect();
});
