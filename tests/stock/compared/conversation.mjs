// What the scripted client does: a meeting with everything that a stock client asks of a server, in the order of a real one.
import { setTimeout as pause } from 'node:timers/promises';

const DISCO = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
const FINGERPRINT = "<fingerprint xmlns='urn:xmpp:jingle:apps:dtls:0' hash='sha-256' setup='active'>4B:11:4B:11:4B:11:4B:11:4B:11:4B:11:4B:11:4B:11:4B:11:4B:11:4B:11:4B:11:4B:11:4B:11:4B:11:4B:11</fingerprint>";
const RTP = "xmlns='urn:xmpp:jingle:apps:rtp:1'";

export async function converse(s) {
  await entrance(s);
  await joining(s);
  await session(s);
  await talking(s);
  await sources(s);
  await moderation(s);
  await locked(s);
  await lobby(s);
  await services(s);
  await breakout(s);
  await errors(s);
  await leaving(s);
}

const admin = (item) => `<query xmlns='http://jabber.org/protocol/muc#admin'>${item}</query>`;
const config = (fields) => `<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>${Object.entries({ FORM_TYPE: 'http://jabber.org/protocol/muc#roomconfig', ...fields }).map(([name, value]) => `<field var='${name}'><value>${value}</value></field>`).join('')}</x></query>`;
const mute = (kind, jid) => `<mute xmlns='http://jitsi.org/jitmeet/${kind}' jid='${jid}'>true</mute>`;
const jingle = (action, sid, inner, more = '') => `<jingle xmlns='urn:xmpp:jingle:1' action='${action}' sid='${sid}'${more}>${inner}</jingle>`;
const source = (ssrc, name, msid, more = '') => `<source xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' ssrc='${ssrc}' name='${name}'${more}><parameter name='msid' value='${msid}'/></source>`;
const group = (...ssrcs) => `<ssrc-group xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' semantics='FID'>${ssrcs.map((ssrc) => `<source ssrc='${ssrc}'/>`).join('')}</ssrc-group>`;
const content = (media, inner, more = '') => `<content creator='responder' name='${media}' senders='both'><description ${RTP} media='${media}'>${inner}</description>${more}</content>`;
const json = (text) => `<json-message xmlns='http://jitsi.org/jitmeet'>${text}</json-message>`;

/** A camera and a microphone, numbered from `base`. */
function accept(client, base) {
  const transport = `<transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' ufrag='u${base}' pwd='pppppppppppppppppppppppp'>${FINGERPRINT}</transport>`;
  const audio = `<payload-type id='111' name='opus' clockrate='48000' channels='2'/><rtcp-mux/>${source(base, `${client.nick}-a0`, `${client.nick}-audio-0-1 aa-1`)}`;
  const video = `<payload-type id='100' name='VP8' clockrate='90000'/><payload-type id='96' name='rtx' clockrate='90000'><parameter name='apt' value='100'/></payload-type><rtcp-mux/>${source(base + 1, `${client.nick}-v0`, `${client.nick}-video-0-1 vv-1`, " videoType='camera'")}${source(base + 2, `${client.nick}-v0`, `${client.nick}-video-0-1 vv-1`, " videoType='camera'")}${group(base + 1, base + 2)}`;
  return jingle('session-accept', client.sid, content('audio', audio, transport) + content('video', video, transport), ` initiator='${client.service.room}/focus' responder='${client.jid}'`);
}

async function entrance(s) {
  await s.step('Ann opens a stream', () => s.open('Ann'));
  const ann = s.clients.get('Ann');
  for (const to of [s.domain, s.focus, `conference.${s.domain}`, `lobby.${s.domain}`, `speakerstats.${s.domain}`]) {
    await s.step(`disco#info of ${to.replace(s.domain, '')}`, () => ann.ask('get', to, DISCO));
  }
  await s.step('disco#info of lobby with the node that stock clients name', () => ann.ask('get', `lobby.${s.domain}`, "<query xmlns='http://jabber.org/protocol/disco#info' node='lobbyrooms'/>"));
  await s.step('disco#info of breakout with the node that stock clients name', () => ann.ask('get', `breakout.${s.domain}`, "<query xmlns='http://jabber.org/protocol/disco#info' node='breakout_rooms'/>"));
  await s.step('disco#items of the domain', () => ann.ask('get', s.domain, "<query xmlns='http://jabber.org/protocol/disco#items'/>"));
  await s.step('external services', () => ann.ask('get', s.domain, "<services xmlns='urn:xmpp:extdisco:2'/>"));
  await s.step('ping', () => ann.ask('get', s.domain, "<ping xmlns='urn:xmpp:ping'/>"));
  await s.step('session of old clients', () => ann.ask('set', s.domain, "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>"));
  await s.step('something unknown to the domain', () => ann.ask('get', s.domain, "<query xmlns='urn:example:unknown'/>"));
  await s.step('join of a room before anybody asked the focus', async () => { await ann.enter('', `${s.name}x@conference.${s.domain}`); });
}

async function joining(s) {
  const ann = s.clients.get('Ann');
  await s.step('Ann asks for the conference', () => ann.conference());
  await s.step('Ann joins', () => ann.enter());
  await s.step('Ann asks for the room', () => ann.ask('get', s.room, DISCO));
  await s.step('disco#items of the room', () => ann.ask('get', s.room, "<query xmlns='http://jabber.org/protocol/disco#items'/>"));
  await s.step('Bob opens a stream', () => s.open('Bob'));
  const bob = s.clients.get('Bob');
  await s.step('Bob, outside, asks for the room', () => bob.ask('get', s.room, DISCO));
  await s.step('Bob asks for the conference', () => bob.conference());
  await s.step('Bob joins: both get an offer', async () => {
    bob.enter();
    await Promise.all([ann.offered(), bob.offered()]);
  });
  await s.step('Bob joins again, as after a lost answer', () => bob.enter());
}

async function session(s) {
  const [ann, bob] = ['Ann', 'Bob'].map((name) => s.clients.get(name));
  await s.step('Ann accepts with camera and microphone', () => ann.ask('set', `${s.room}/focus`, accept(ann, 1_000_001)));
  await s.step('Bob accepts', () => bob.ask('set', `${s.room}/focus`, accept(bob, 2_000_001)));
  await s.step('Ann trickles a candidate', () => ann.ask('set', `${s.room}/focus`, jingle('transport-info', ann.sid, "<content creator='responder' name='audio'><transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' ufrag='u1000001' pwd='pppppppppppppppppppppppp'><candidate component='1' foundation='1' generation='0' id='c1' ip='127.0.0.1' network='0' port='50000' priority='1' protocol='udp' type='host'/></transport></content>")));
  await s.step('a session-info with nothing in it', () => ann.ask('set', `${s.room}/focus`, jingle('session-info', ann.sid, '')));
  await s.step('an action of a session that is not there', () => ann.ask('set', `${s.room}/focus`, jingle('source-add', 'nosuchsid', content('audio', source(77, `${ann.nick}-a1`, 'x y')))));
  await s.step('an unknown action', () => ann.ask('set', `${s.room}/focus`, jingle('description-info', ann.sid, '')));
}

async function talking(s) {
  const [ann, bob] = ['Ann', 'Bob'].map((name) => s.clients.get(name));
  await s.step('Bob is unmuted, as both sources say', () => bob.update({ [`${bob.nick}-a0`]: { muted: false }, [`${bob.nick}-v0`]: { muted: false } }));
  await s.step('Bob mutes himself and raises a hand', () => bob.update({ [`${bob.nick}-a0`]: { muted: true }, [`${bob.nick}-v0`]: { muted: false } }, '<jitsi_participant_raisedHand>1</jitsi_participant_raisedHand>'));
  await s.step('Bob shows what is said of him by the server', () => bob.update({}, "<identity><user><name>Boss</name></user></identity><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='owner' role='moderator'/></x><region xmlns='http://jitsi.org/jitsi-meet' id='x'/>"));
  await s.step('chat', () => ann.say(s.room, '<body>hello &amp; 👋</body>', 'groupchat'));
  await s.step('private chat', () => ann.say(`${s.room}/${bob.nick}`, "<body>psst</body><x xmlns='http://jabber.org/protocol/muc#user'/>", 'chat'));
  await s.step('reaction', () => bob.say(s.room, "<reactions xmlns='urn:xmpp:reactions:0' id='own-x'><reaction>👍</reaction></reactions>", 'groupchat'));
  await s.step('chat to nobody', () => ann.say(`${s.room}/nobody`, '<body>psst</body>', 'chat'));
  await s.step('subject by a moderator', () => ann.say(s.room, '<subject>Weekly</subject>', 'groupchat'));
  await s.step('subject by somebody else', () => bob.say(s.room, '<subject>Mine</subject>', 'groupchat'));
  await s.step('a message to all without a type', () => bob.say(s.room, json('{"type":"x"}')));
  await s.step('a question between the two', () => ann.ask('get', `${s.room}/${bob.nick}`, DISCO));
  await s.step('a question to nobody', () => ann.ask('get', `${s.room}/nobody`, DISCO));
  await s.step('a ping of oneself in the room', () => ann.ask('get', `${s.room}/${ann.nick}`, "<ping xmlns='urn:xmpp:ping'/>"));
  await s.step('a ping of the focus', () => ann.ask('get', `${s.room}/focus`, "<ping xmlns='urn:xmpp:ping'/>"));
}

async function sources(s) {
  const [ann, bob] = ['Ann', 'Bob'].map((name) => s.clients.get(name));
  const focus = `${s.room}/focus`;
  const screen = source(2_000_011, `${bob.nick}-v1`, `${bob.nick}-video-1-1 ww-1`, " videoType='desktop'") + source(2_000_012, `${bob.nick}-v1`, `${bob.nick}-video-1-1 ww-1`, " videoType='desktop'") + group(2_000_011, 2_000_012);
  await s.step('Bob shares his screen', () => bob.ask('set', focus, jingle('source-add', bob.sid, content('video', screen))));
  await s.step('and once more', () => bob.ask('set', focus, jingle('source-add', bob.sid, content('video', screen))));
  await s.step("Bob adds a source of Ann's", () => bob.ask('set', focus, jingle('source-add', bob.sid, content('video', source(1_000_001, `${bob.nick}-v2`, `${bob.nick}-video-2-1 xx-1`)))));
  await s.step('Bob adds a source without a stream', () => bob.ask('set', focus, jingle('source-add', bob.sid, content('video', `<source xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' ssrc='2000033' name='${bob.nick}-v3'/>`))));
  await s.step('Bob adds nothing', () => bob.ask('set', focus, jingle('source-add', bob.sid, content('video', ''))));
  await s.step('Cyd, without SSRC rewriting, comes', async () => {
    const cyd = await s.open('Cyd', { features: ['http://jitsi.org/json-encoded-sources', 'http://jitsi.org/receive-multiple-video-streams', 'http://jitsi.org/source-name', 'http://jitsi.org/tcc', 'urn:ietf:rfc:4588', 'urn:xmpp:jingle:apps:rtp:audio', 'urn:xmpp:jingle:apps:rtp:video', 'urn:xmpp:jingle:transports:dtls-sctp:1'] });
    await cyd.conference();
    await cyd.enter();
    await cyd.offered();
  });
  const cyd = s.clients.get('Cyd');
  await s.step('Cyd accepts', () => cyd.ask('set', focus, accept(cyd, 3_000_001)));
  await s.step('Bob stops sharing', () => bob.ask('set', focus, jingle('source-remove', bob.sid, content('video', screen))));
  await s.step('Bob stops sharing again', () => bob.ask('set', focus, jingle('source-remove', bob.sid, content('video', screen))));
  await s.step('Ann removes her microphone', () => ann.ask('set', focus, jingle('source-remove', ann.sid, content('audio', source(1_000_001, `${ann.nick}-a0`, `${ann.nick}-audio-0-1 aa-1`)))));
  await s.step('Ann adds it again', () => ann.ask('set', focus, jingle('source-add', ann.sid, content('audio', source(1_000_001, `${ann.nick}-a0`, `${ann.nick}-audio-0-1 aa-1`)))));
}

async function moderation(s) {
  const [ann, bob, cyd] = ['Ann', 'Bob', 'Cyd'].map((name) => s.clients.get(name));
  const focus = `${s.room}/focus`;
  for (const kind of ['audio', 'video', 'desktop']) await s.step(`Ann mutes Bob: ${kind}`, () => ann.ask('set', focus, mute(kind, `${s.room}/${bob.nick}`)));
  await s.step('Bob mutes Ann', () => bob.ask('set', focus, mute('audio', `${s.room}/${ann.nick}`)));
  await s.step('Bob mutes himself through the focus', () => bob.ask('set', focus, mute('audio', `${s.room}/${bob.nick}`)));
  await s.step('Ann mutes nobody', () => ann.ask('set', focus, mute('audio', `${s.room}/nobody`)));
  await s.step('Ann unmutes Bob', () => ann.ask('set', focus, mute('audio', `${s.room}/${bob.nick}`).replace('>true<', '>false<')));
  await s.step('Bob grants himself', () => bob.ask('set', s.room, admin(`<item affiliation='owner' jid='${bob.jid.split('/')[0]}'/>`)));
  await s.step('Ann grants Bob', () => ann.ask('set', s.room, admin(`<item affiliation='owner' jid='${bob.jid.split('/')[0]}'/>`)));
  await s.step('Ann takes it back', () => ann.ask('set', s.room, admin(`<item affiliation='member' jid='${bob.jid.split('/')[0]}'/>`)));
  await s.step('Bob kicks Cyd', () => bob.ask('set', s.room, admin(`<item nick='${cyd.nick}' role='none'/>`)));
  await s.step('Ann kicks the focus', () => ann.ask('set', s.room, admin("<item nick='focus' role='none'/>")));
  await s.step('Ann kicks nobody', () => ann.ask('set', s.room, admin("<item nick='nobody' role='none'/>")));
  await s.step('Ann kicks Cyd', () => ann.ask('set', s.room, admin(`<item nick='${cyd.nick}' role='none'><reason>be nice</reason></item>`)));
  await s.step('Cyd, outside, chats', () => cyd.say(s.room, '<body>still here</body>', 'groupchat'));
  await s.step('Ann lists the members', () => ann.ask('get', s.room, admin("<item affiliation='owner'/>")));
}

async function locked(s) {
  const [ann, bob, cyd] = ['Ann', 'Bob', 'Cyd'].map((name) => s.clients.get(name));
  await s.step("Bob asks for the room's form", () => bob.ask('get', s.room, "<query xmlns='http://jabber.org/protocol/muc#owner'/>"));
  await s.step("Ann asks for the room's form", () => ann.ask('get', s.room, "<query xmlns='http://jabber.org/protocol/muc#owner'/>"));
  await s.step('Ann sets a password', () => ann.ask('set', s.room, config({ 'muc#roomconfig_roomsecret': 's3cret', 'muc#roomconfig_passwordprotectedroom': '1', 'muc#roomconfig_whois': 'anyone' })));
  await s.step('the room with a password', () => ann.ask('get', s.room, DISCO));
  await s.step('Cyd without it', () => cyd.enter());
  await s.step('Cyd with a wrong one', () => cyd.enter('<password>wrong</password>'));
  await s.step('Cyd with the right one', () => cyd.enter('<password>s3cret</password>'));
  await s.step('Bob sets a password', () => bob.ask('set', s.room, config({ 'muc#roomconfig_roomsecret': 'x' })));
  await s.step('Ann takes it away', () => ann.ask('set', s.room, config({ 'muc#roomconfig_roomsecret': '', 'muc#roomconfig_passwordprotectedroom': '0', 'muc#roomconfig_whois': 'anyone' })));
  await s.step('Cyd leaves', () => cyd.send(`<presence xmlns='jabber:client' type='unavailable' to='${s.room}/${cyd.nick}'/>`));
}

async function lobby(s) {
  const [ann, cyd] = ['Ann', 'Cyd'].map((name) => s.clients.get(name));
  const lobbyRoom = `${s.name}@lobby.${s.domain}`;
  await s.step('Ann opens a lobby', () => ann.ask('set', s.room, config({ 'muc#roomconfig_membersonly': 'true' })));
  await s.step('the room with a lobby', () => ann.ask('get', s.room, DISCO));
  await s.step('Ann enters the lobby', () => ann.send(`<presence xmlns='jabber:client' to='${lobbyRoom}/${ann.nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>`));
  await s.step('Cyd is sent to the lobby', () => cyd.enter());
  await s.step('Cyd knocks', () => cyd.send(`<presence xmlns='jabber:client' to='${lobbyRoom}/${cyd.nick}'><x xmlns='http://jabber.org/protocol/muc'/><nick xmlns='http://jabber.org/protocol/nick'>Cyd</nick><email>cyd@example.org</email></presence>`));
  await s.step('Cyd changes the name', () => cyd.send(`<presence xmlns='jabber:client' to='${lobbyRoom}/${cyd.nick}'><nick xmlns='http://jabber.org/protocol/nick'>Cydney</nick></presence>`));
  await s.step('Ann writes into the lobby', () => ann.say(`${lobbyRoom}/${cyd.nick}`, '<body>who are you?</body>', 'chat'));
  await s.step('Ann lets Cyd in', () => ann.say(s.room, `<x xmlns='http://jabber.org/protocol/muc#user'><invite to='${cyd.jid}'/></x>`));
  await s.step('Cyd leaves the lobby and joins', async () => {
    cyd.send(`<presence xmlns='jabber:client' type='unavailable' to='${lobbyRoom}/${cyd.nick}'/>`);
    await pause(100);
    await cyd.enter();
  });
  await s.step('Dan knocks', async () => {
    const dan = await s.open('Dan');
    await dan.enter();
    await pause(150);
    dan.send(`<presence xmlns='jabber:client' to='${lobbyRoom}/${dan.nick}'><x xmlns='http://jabber.org/protocol/muc'/><nick xmlns='http://jabber.org/protocol/nick'>Dan</nick></presence>`);
  });
  const dan = s.clients.get('Dan');
  await s.step('Ann turns Dan away', () => ann.ask('set', lobbyRoom, admin(`<item nick='${dan.nick}' role='none'/>`)));
  await s.step('Dan knocks again', () => dan.send(`<presence xmlns='jabber:client' to='${lobbyRoom}/${dan.nick}'><x xmlns='http://jabber.org/protocol/muc'/><nick xmlns='http://jabber.org/protocol/nick'>Dan</nick></presence>`));
  await s.step('Ann closes the lobby while Dan waits', () => ann.ask('set', s.room, config({ 'muc#roomconfig_membersonly': 'false' })));
}

async function services(s) {
  const [ann, bob] = ['Ann', 'Bob'].map((name) => s.clients.get(name));
  const at = (name) => `${name}.${s.domain}`;
  await s.step('Bob turns AV moderation on', () => bob.say(at('avmoderation'), "<av_moderation enable='true' mediaType='audio'/>"));
  await s.step('Ann turns AV moderation on', () => ann.say(at('avmoderation'), "<av_moderation enable='true' mediaType='audio'/>"));
  await s.step('Ann lets Bob speak', () => ann.say(at('avmoderation'), `<av_moderation mediaType='audio' jidToWhitelist='${s.room}/${bob.nick}'/>`));
  await s.step('Ann takes that back', () => ann.say(at('avmoderation'), `<av_moderation mediaType='audio' jidToBlacklist='${s.room}/${bob.nick}'/>`));
  await s.step('Ann turns it off', () => ann.say(at('avmoderation'), "<av_moderation enable='false' mediaType='audio'/>"));
  await s.step('Ann makes a poll', () => ann.say(at('polls'), json('{"type":"polls","command":"new-poll","pollId":"k3x","question":"Lunch?","answers":[{"name":"12"},{"name":"13"}]}'), 'chat'));
  await s.step('Bob votes', () => bob.say(at('polls'), json('{"type":"polls","command":"answer-poll","pollId":"k3x","answers":[true,false]}'), 'chat'));
  await s.step('Bob votes in no poll', () => bob.say(at('polls'), json('{"type":"polls","command":"answer-poll","pollId":"nope","answers":[true,false]}'), 'chat'));
  await s.step('Ann sets metadata', () => ann.say(at('metadata'), `<room_metadata xmlns='http://jitsi.org/jitmeet' room='${s.room}'>{"key":"startMuted","data":{"audio":true,"video":false}}</room_metadata>`));
  await s.step('Bob sets metadata', () => bob.say(at('metadata'), `<room_metadata xmlns='http://jitsi.org/jitmeet' room='${s.room}'>{"key":"startMuted","data":{"audio":false}}</room_metadata>`));
  await s.step('Bob speaks', () => bob.say(at('speakerstats'), `<speakerstats xmlns='http://jitsi.org/jitmeet' room='${s.room}' silence='false'/>`));
  await s.step('Eve comes late', async () => {
    const eve = await s.open('Eve');
    await eve.conference();
    await eve.enter();
    await eve.offered();
  });
  await s.step('Bob ends the meeting', () => bob.say(at('endconference'), '<end_conference/>'));
}

async function breakout(s) {
  const [ann, bob] = ['Ann', 'Bob'].map((name) => s.clients.get(name));
  const at = `breakout.${s.domain}`;
  await s.step('Bob adds a breakout room', () => bob.say(at, "<breakout_rooms type='features/breakout-rooms/add' subject='Mine'/>"));
  let room = null;
  await s.step('Ann adds a breakout room', async () => {
    ann.inbox.length = 0;
    ann.say(at, "<breakout_rooms type='features/breakout-rooms/add' subject='Team 1'/>");
    room = await ann.next('the rooms', (element, text) => new RegExp(`([0-9a-z-]+@breakout[^"&]*)`).exec(text)?.[1], 3_000).catch(() => `none@${at}`);
    s.known.unshift([room, '{team}'], [room.split('@')[0], '{team.local}']);
  });
  await s.step('Ann names it anew', () => ann.say(at, `<breakout_rooms type='features/breakout-rooms/rename' breakoutRoomJid='${room}' subject='Team A'/>`));
  await s.step('Ann sends Bob there', () => ann.say(at, `<breakout_rooms type='features/breakout-rooms/move-to-room' participantJid='${bob.jid}' roomJid='${room}'/>`));
  await s.step('Bob goes', async () => {
    bob.send(`<presence xmlns='jabber:client' type='unavailable' to='${s.room}/${bob.nick}'><status>switch_room</status></presence>`);
    await bob.ask('set', s.focus, `<conference xmlns='http://jitsi.org/protocol/focus' room='${room}' machine-uid='m-Bob'/>`);
    await bob.enter('', room);
  });
  await s.step('Bob asks for the breakout room', () => bob.ask('get', room, DISCO));
  await s.step('Ann removes it', () => ann.say(at, `<breakout_rooms type='features/breakout-rooms/remove' breakoutRoomJid='${room}'/>`));
  await s.step('Bob comes back', () => bob.enter());
}

async function errors(s) {
  const [ann, bob] = ['Ann', 'Bob'].map((name) => s.clients.get(name));
  await s.step('a question to another by the real address', () => ann.ask('get', bob.jid, DISCO));
  await s.step('a message to another by the real address', () => ann.say(bob.jid, '<body>hi</body>', 'chat'));
  await s.step('a question to a bare address', () => ann.ask('get', bob.jid.split('/')[0], DISCO));
  await s.step('a question to a domain elsewhere', () => ann.ask('get', 'example.org', DISCO));
  await s.step('a service that is not there', () => ann.ask('get', `nothing.${s.domain}`, DISCO));
  await s.step('a room that is not there', () => ann.ask('get', `nothing@conference.${s.domain}`, DISCO));
  await s.step('a join under the name of another', () => bob.enter('', s.room, ann.nick));
  await s.step('a message to a room where one is not', () => ann.say(`nothing@conference.${s.domain}`, '<body>hi</body>', 'groupchat'));
  await s.step('presence to nobody', () => ann.send("<presence xmlns='jabber:client'/>"));
  await s.step('a stanza in the name of another', () => ann.send(`<message xmlns='jabber:client' from='${bob.jid}' to='${s.room}' type='groupchat' id='own-forged'><body>forged</body></message>`));
  await s.step('a conference request without a room', () => ann.ask('set', s.focus, "<conference xmlns='http://jitsi.org/protocol/focus'/>"));
  await s.step('a conference request for a room elsewhere', () => ann.ask('set', s.focus, "<conference xmlns='http://jitsi.org/protocol/focus' room='a@conference.example.org'/>"));
  await s.step('a logout without a session', () => ann.ask('set', s.focus, "<logout xmlns='http://jitsi.org/protocol/focus' session-id='x'/>"));
  await s.step('a login URL', () => ann.ask('get', s.focus, `<login-url xmlns='http://jitsi.org/protocol/focus' room='${s.room}'/>`));
  await s.step('a recorder', () => ann.ask('set', `${s.room}/focus`, "<jibri xmlns='http://jitsi.org/protocol/jibri' action='start' recording_mode='file'/>"));
  await s.step('a call out', () => ann.ask('set', `${s.room}/focus`, "<dial xmlns='urn:xmpp:rayo:1' from='fromnumber' to='+1'/>"));
}

async function leaving(s) {
  const [ann, bob, eve] = ['Ann', 'Bob', 'Eve'].map((name) => s.clients.get(name));
  const focus = `${s.room}/focus`;
  await s.step('Ann says that ICE has failed', async () => {
    await ann.ask('set', focus, jingle('session-info', ann.sid, `<ice-state xmlns='http://jitsi.org/protocol/focus'>failed</ice-state><bridge-session xmlns='http://jitsi.org/protocol/focus' id='${ann.bridge}'/>`));
    await ann.offered(3_000);
  });
  await s.step('Ann accepts it', () => ann.ask('set', focus, accept(ann, 4_000_001)));
  await s.step('Ann accepts twice', () => ann.ask('set', focus, accept(ann, 4_000_001)));
  await s.step('Ann asks for a new session', () => ann.ask('set', focus, jingle('session-terminate', ann.sid, `<reason><connectivity-error/><text>ICE FAILED</text></reason><bridge-session xmlns='http://jitsi.org/protocol/focus' id='${ann.bridge}' restart='true'/>`)));
  await s.step('and at once another', () => ann.ask('set', focus, jingle('session-terminate', ann.sid, `<reason><connectivity-error/><text>ICE FAILED</text></reason><bridge-session xmlns='http://jitsi.org/protocol/focus' id='${ann.bridge}' restart='true'/>`)));
  await s.step('Eve ends the session only', () => eve.ask('set', focus, jingle('session-terminate', eve.sid, '<reason><success/></reason>')));
  await s.step('Eve is cut off', () => eve.transport.drop());
  await s.step('Bob leaves', () => bob.send(`<presence xmlns='jabber:client' type='unavailable' to='${s.room}/${bob.nick}'/>`));
  await s.step('Cyd closes the stream', () => s.clients.get('Cyd').send("<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"));
  await s.step('Ann ends the meeting', () => ann.say(`endconference.${s.domain}`, '<end_conference/>'));
  await s.step('Ann closes the stream', () => ann.send("<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"));
}
