// What moderators do: AV moderation, breakout rooms, the password, the lobby, roles, the end. Without media, to spare the machine.
import { freshRoom, must, pause } from './group.mjs';
import { SILENT } from './tab.mjs';

export async function moderation(group) {
  const { base } = await group.servers.get('main');
  const name = freshRoom('moderation');
  const enter = (who, options) => group.join(base, name, who, { config: SILENT, ...options });
  const [ann, bob] = [await enter('Ann'), await enter('Bob')];

  await group.check('AV moderation: on, one approved, rejected, off', () => avModeration(ann, bob));
  await group.check('breakout rooms: made, one sent there and back, removed', () => breakoutRooms(ann, bob));
  await group.check('password: asked for, wrong, right', () => password(ann, bob, enter));
  await group.check('lobby: a knock denied, a knock let in, off', () => lobby(ann, bob, enter));
  await group.check('another is made moderator', async () => {
    await ann.ask((id) => stock.room().grantOwner(id), await bob.id());
    await bob.until('moderator', () => stock.room().isModerator());
  });
  await group.check("a tenant's room of that name is another", async () => {
    const ten = await group.join(base, `acme/${name}`, 'Ten', { config: SILENT });
    must(await ten.ask(() => stock.room().getParticipants().length) === 0, 'others are in it');
  });
  await group.check('the end for all', async () => {
    await ann.ask(() => stock.room().end());
    await bob.until('out', () => !APP.conference.isJoined?.() || !APP.conference._room);
    return bob.text();
  });
}

async function avModeration(ann, bob) {
  const id = await bob.id();
  await ann.ask(() => stock.room().enableAVModeration('audio'));
  await bob.until('told that it is on', () => stock.feature('av-moderation').audioModerationEnabled);
  await ann.ask((who) => stock.room().avModerationApprove('audio', who), id);
  await bob.until('approved', () => stock.feature('av-moderation').audioUnmuteApproved);
  await ann.ask((who) => stock.room().avModerationReject('audio', who), id);
  await bob.until('rejected', () => !stock.feature('av-moderation').audioUnmuteApproved);
  await ann.ask(() => stock.room().disableAVModeration('audio'));
  await bob.until('told that it is off', () => !stock.feature('av-moderation').audioModerationEnabled);
}

async function breakoutRooms(ann, bob) {
  const send = (person, target) => ann.ask(([who, where]) => stock.room().getBreakoutRooms().sendParticipantToRoom(who, where), [person, target]);
  await ann.ask(() => stock.room().getBreakoutRooms().createBreakoutRoom('Team 1'));
  const team = await ann.until('told the room', () => stock.breakouts().find((room) => room.name === 'Team 1')?.jid);
  await bob.until('told the room', (jid) => stock.breakouts().some((room) => room.jid === jid), team);
  const address = await ann.ask(() => Object.values(stock.room().room.members).find(({ nick }) => nick === 'Bob').jid);
  await send(address, team);
  await bob.until('inside', () => stock.room()?.getBreakoutRooms()?.isBreakoutRoom() && APP.conference.isJoined());
  const there = await ann.until('told who is there', (jid) => {
    const people = Object.values(stock.breakouts().find((room) => room.jid === jid)?.participants ?? {});
    return people.find(({ displayName }) => displayName === 'Bob')?.jid;
  }, team);
  const main = await ann.ask(() => stock.breakouts().find((room) => room.isMainRoom).jid);
  await send(there, main);
  await bob.until('back', () => stock.room() && !stock.room().getBreakoutRooms().isBreakoutRoom() && APP.conference.isJoined());
  await ann.ask((jid) => stock.room().getBreakoutRooms().removeBreakoutRoom(jid), team);
  await ann.until('told that it is gone', () => stock.breakouts().length <= 1);
}

async function password(ann, bob, enter) {
  await ann.ask(() => stock.room().lock('secret'));
  await bob.until('told that it is locked', () => !!stock.feature('base/conference').locked);
  const cid = await enter('Cid', { joins: false });
  const field = cid.page.locator('input[name="lockKey"], #required-password-input');
  const answer = async (word) => {
    await field.waitFor({ timeout: 30_000 });
    await field.fill(word);
    await cid.page.keyboard.press('Enter');
  };
  await answer('nope');
  await pause(2_500);
  must(!(await cid.ask(() => APP.conference.isJoined())), 'let in with the wrong one');
  await answer('secret');
  await cid.joined();
  await ann.ask(() => stock.room().unlock());
}

async function lobby(ann, bob, enter) {
  const knock = async (who) => {
    const tab = await enter(who, { config: { ...SILENT, 'lobby.autoKnock': true }, joins: false });
    const id = await ann.until(`told that ${who} knocks`, (name) => stock.feature('lobby').knockingParticipants.find((guest) => guest.name === name)?.id, who, 40_000);
    return { tab, id };
  };
  await ann.ask(() => stock.room().enableLobby());
  await bob.until('told of the lobby', () => stock.feature('lobby').lobbyEnabled);
  const eve = await knock('Eve');
  await ann.ask((id) => stock.room().lobbyDenyAccess(id), eve.id);
  await eve.tab.until('told that she is rejected', () => /rejected/i.test(document.body.innerText));
  const shown = await eve.tab.text();
  await eve.tab.close();
  const fay = await knock('Fay');
  await ann.ask((id) => stock.room().lobbyApproveAccess(id), fay.id);
  await fay.tab.joined();
  await ann.ask(() => stock.room().disableLobby());
  await bob.until('told that it is off', () => !stock.feature('lobby').lobbyEnabled);
  return shown;
}
