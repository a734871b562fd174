// What people do in a room beside being seen and heard. Without media, to spare the machine.
import { freshRoom, must, pause } from './group.mjs';
import { SILENT } from './tab.mjs';

export async function room(group) {
  const { base } = await group.servers.get('main');
  const name = freshRoom('room');
  const enter = (who, options) => group.join(base, name, who, { config: SILENT, ...options });
  const [ann, bob] = [await enter('Ann'), await enter('Bob')];

  await group.check('the entrance page joins', async () => {
    const pat = await enter('Pat', { config: { ...SILENT, 'prejoinConfig.enabled': true }, joins: false });
    await pat.page.locator('[data-testid="prejoin.joinMeeting"]').click({ timeout: 20_000 });
    await pat.joined();
  });
  await group.check('chat, private chat', async () => {
    await ann.say('hello all');
    await bob.ask((id) => stock.room().sendPrivateTextMessage(id, 'psst'), await ann.id());
    await bob.hears('hello all');
    await ann.until('reading it', () => stock.feature('chat').messages.some(({ message, privateMessage }) => message === 'psst' && privateMessage));
  });
  await group.check('who comes later gets history and subject', async () => {
    const subject = () => stock.feature('base/conference').subject === 'Plan B';
    await ann.ask(() => stock.room().setSubject('Plan B'));
    await bob.until('told the subject', subject);
    const late = await enter('Late');
    await late.hears('hello all');
    await late.until('told the subject', subject);
  });
  await group.check('reactions', async () => {
    await ann.page.keyboard.press('Alt+t');
    const shown = () => stock.feature('reactions').queue.length > 0 || stock.feature('chat').messages.some(({ isReaction }) => isReaction);
    await bob.until('shown a reaction', shown);
  });
  await group.check('a raised hand', async () => {
    await bob.page.keyboard.press('r');
    const raised = (id) => stock.feature('base/participants').raisedHandsQueue.map((hand) => hand.id).join() === id;
    await ann.until('shown the hand', raised, await bob.id());
  });
  await group.check('polls: made, answered, seen by who comes later', () => polls(ann, bob, enter));
  await group.check('speaker statistics', async () => {
    const known = await ann.ask(() => Object.keys(stock.room().getSpeakerStats()).length);
    must(known >= 2, `${known} are known`);
    return `${known} are known`;
  });
  await group.check('the flag of end-to-end encryption', () => encryption([ann, bob]));
}

async function polls(ann, bob, enter) {
  const voted = () => stock.feature('polls').polls.p1?.answers[0].voters?.length === 1;
  await ann.ask(() => stock.room().getPolls().createPoll('p1', 'Lunch?', [{ name: '12' }, { name: '13' }]));
  await bob.until('asked', () => 'p1' in stock.feature('polls').polls);
  await bob.ask(() => stock.room().getPolls().answerPoll('p1', [true, false]));
  await ann.until('told the vote', voted);
  const late = await enter('Later');
  await late.until('told the vote', voted);
}

/** The app switches it on in all pages when one asks, if all support it. */
async function encryption(tabs) {
  const toggle = (on) => Promise.all(tabs.map((tab) => tab.ask((wanted) => stock.room().toggleE2EE(wanted), on)));
  await toggle(true);
  await pause(3_000);
  const on = await Promise.all(tabs.map((tab) => tab.ask(() => stock.room().isE2EEEnabled())));
  await toggle(false);
  must(on.every(Boolean), on);
  return 'on in both pages';
}
