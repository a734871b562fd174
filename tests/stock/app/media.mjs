// Pictures and voices: two directly, three over the bridge, and back; the screen, mutes, a kick.
import { freshRoom, must, pause } from './group.mjs';

export async function media(group) {
  const { base } = await group.servers.get('main');
  const name = freshRoom('media');
  const enter = (who) => group.join(base, name, who);
  const [ann, bob] = [await enter('Ann'), await enter('Bob')];
  let third;

  await group.check('two see each other directly', async () => {
    for (const tab of [ann, bob]) await tab.isDirect();
    const flows = [await ann.flowing('p2p'), await bob.flowing('p2p')];
    must(flows.every(({ audio }) => audio > 0), flows);
    return flows;
  });
  await group.check('three see each other over the bridge', async () => {
    third = await enter('Cid');
    third.kept = true;
    await ann.isBridged();
    const flows = [];
    for (const tab of [ann, bob, third]) flows.push(await tab.flowing('bridge'));
    must(flows.every(({ direct }) => !direct), flows);
    return flows.map(({ bridge, audio, codecs }) => ({ bridge, audio, codecs }));
  });
  await group.check('the screen: shown, seen by both, ended', () => screen(ann, [bob, third]));
  await group.check('mutes of audio and video are seen by others', () => mutes(ann, bob));
  await group.check('a moderator mutes another', async () => {
    const id = await bob.id();
    await ann.ask((who) => stock.room().muteParticipant(who, 'audio'), id);
    await bob.until('muted', () => APP.conference.isLocalAudioMuted());
    await third.until('seeing it', (who) => stock.room().getParticipantById(who).isAudioMuted(), id);
  });
  await group.check('the third is kicked; two are direct again', async () => {
    await ann.ask((who) => stock.room().kickParticipant(who, 'bye'), await third.id());
    await third.until('out', () => !APP.conference.isJoined());
    const shown = await third.text();
    await third.close();
    await ann.isDirect();
    await ann.flowing('p2p');
    return shown;
  });
  await group.check('another comes and leaves; two are direct again', async () => {
    const dan = await enter('Dan');
    await ann.isBridged();
    await dan.flowing('bridge');
    // As by the button: a tab that dies without its goodbye is waited for.
    await dan.ask(() => void APP.conference.hangup(false));
    await ann.isDirect();
  });
}

async function screen(ann, others) {
  const id = await ann.id();
  const shown = (who) => stock.room().getParticipantById(who)?.getTracks().some((track) => track.getVideoType?.() === 'desktop' && !track.isMuted());
  const ended = (who) => !stock.room().getParticipantById(who)?.getTracks().some((track) => track.getVideoType?.() === 'desktop' && !track.isMuted());
  await ann.page.keyboard.press('d');
  await pause(500);
  for (const tab of others) await tab.until('shown the screen', shown, id);
  await ann.page.keyboard.press('d');
  for (const tab of others) await tab.until('told of its end', ended, id);
}

async function mutes(ann, bob) {
  const id = await ann.id();
  for (const kind of ['Audio', 'Video']) {
    for (const muted of [true, false]) {
      await ann.ask(([what, on]) => APP.conference[`mute${what}`](on), [kind, muted]);
      const seen = ([who, what, on]) => stock.room().getParticipantById(who)[`is${what}Muted`]() === on;
      await bob.until(`seeing ${kind} ${muted ? 'muted' : 'unmuted'}`, seen, [id, kind, muted]);
    }
  }
}
