// Who may come in: tokens, and accounts with guests who wait for a host. Without media, to spare the machine.
import { freshRoom, must } from './group.mjs';
import { HOST } from './servers.mjs';
import { SILENT } from './tab.mjs';

export async function login(group) {
  const { servers } = group;
  // Not of a word that the page may show for another reason.
  const name = freshRoom('gate');
  const { base } = await servers.get('tokens');
  const enter = (room, token, joins) => group.join(base, room, 'Nobody', { config: SILENT, token, joins });

  await group.check('a token gives name and role', async () => {
    await enter(name, servers.token(name, { name: 'Ann Token', moderator: true }));
    const bob = await enter(name, servers.token('*', { name: 'Bob Token', moderator: false }));
    const moderates = () => stock.room().getParticipants().some((other) => other.getDisplayName() === 'Ann Token' && other.isModerator());
    await bob.until('seeing Ann moderate', moderates);
    must(!(await bob.ask(() => stock.room().isModerator())), 'Bob moderates');
  });
  const refused = async (room, token, said) => {
    const cid = await enter(room, token, false);
    await cid.until('told why', (words) => new RegExp(words, 'i').test(document.body.innerText), said);
    must(!(await cid.ask(() => APP.conference.isJoined())), 'let in');
    return cid.text();
  };
  await group.check('a token of another room is refused, and the page says so', async () => {
    const shown = await refused(`wrong${name}`, servers.token(name, { name: 'Cid' }), 'not allowed');
    // The token itself is good: it is the room that is refused.
    must(!/authentication failed/i.test(shown), shown);
    return shown;
  });
  await group.check('an expired token is refused, and the page says so', () => refused(name, servers.token(name, { name: 'Cid' }, { exp: 1e9 }), 'expired'));
  await group.check('a guest waits, the host logs in, the guest is let in', () => guests(group, name));
}

async function guests(group, name) {
  const { base } = await group.servers.get('accounts');
  const wait = async (who) => {
    const tab = await group.join(base, name, who, { config: SILENT, joins: false });
    await tab.until('waiting', () => /waiting for|I am the host|Log-?in/i.test(document.body.innerText), null, 30_000);
    return tab;
  };
  const guest = await wait('Guest');
  const shown = await guest.text();
  const host = await wait('Host');
  await host.page.getByText(/I am the host|Log-?in/i).last().click();
  await host.page.locator('input[name="username"]').fill(HOST.address, { timeout: 10_000 });
  await host.page.locator('input[name="password"]').fill(HOST.password);
  await host.page.keyboard.press('Enter');
  await host.joined();
  await guest.joined();
  must(await host.ask(() => stock.room().isModerator()), 'the host does not moderate');
  return shown;
}
