// Bob's connection is refused for a time, Ann's is not: does he come back, how, and when? Without media, to spare the machine.
import { freshRoom, must, pause } from './group.mjs';
import { Proxy } from './proxy.mjs';
import { BRIDGED, SILENT } from './tab.mjs';

/** How long Bob has after the end of a cut, in milliseconds. */
const PATIENCE = 75_000;
/** How long a page that is not the app any more is looked at before its user loads it again. */
const UNREACHABLE = 4_000;

export async function cuts(group) {
  const { base, http } = await group.servers.get('main');
  const cut = async (length, options) => {
    const proxy = await Proxy.start(http, options);
    try {
      return await cutOff(group, base, proxy, length);
    } finally {
      await proxy.stop();
    }
  };
  for (const turn of [1, 2, 3]) await group.check(`10 s, everything refused (${turn} of 3)`, () => cut(10_000));
  await group.check('75 s, everything refused', () => cut(75_000));
  await group.check('75 s, XMPP alone refused', () => cut(75_000, { xmppOnly: true }));
}

async function cutOff(group, base, proxy, length) {
  const name = freshRoom('cut');
  const config = { ...SILENT, ...BRIDGED };
  const [ann, bob] = [await group.join(base, name, 'Ann', { config }), await group.join(proxy.base, name, 'Bob', { config })];
  await ann.sees('Bob', 30_000);
  await pause(4_000);
  await bob.ask(() => { window.samePage = true; });
  const id = await bob.id();
  const began = Date.now();
  await proxy.cut();
  await pause(3_000);
  await ann.say('while away');
  const seen = await comesBack(ann, bob, proxy, { id, began, length });
  const seconds = (since) => ((since - began) / 1000).toFixed(1);
  const gone = seen.gone === null ? '' : `; seen as gone after ${seconds(seen.gone)} s`;
  must(seen.back !== null, `not back ${PATIENCE / 1000} s after the end${gone}; on the page: ${await bob.text().catch(() => 'nothing')}`);
  const how = seen.id === id ? 'resumed' : seen.pressed ? 'joined again after its user loaded an unreachable page' : 'joined again by its own reload';
  return `${how}, ${seconds(seen.back)} s after the beginning of the cut${gone}`;
}

/** Watches both until Bob is back with what was said meanwhile, or patience ends: `{ back, gone, id, pressed }`, times or null. */
async function comesBack(ann, bob, proxy, { id, began, length }) {
  const seen = { back: null, gone: null, id: null, pressed: false };
  let mended = false;
  let reachable = Date.now();
  while (Date.now() - began < length + PATIENCE) {
    if (!mended && Date.now() - began >= length) {
      await proxy.mend();
      mended = true;
    }
    const [page, others] = [await bob.ask(state).catch(() => ({})), await ann.ask(people)];
    if (seen.gone === null && !others.some((other) => other.id === id)) seen.gone = Date.now();
    if (page.isApp) reachable = Date.now();
    const stuck = mended && Date.now() - reachable > UNREACHABLE && Date.now() - began > length + 3_000;
    if (stuck && !seen.pressed) {
      seen.pressed = true;
      bob.page.reload({ waitUntil: 'commit' }).catch(() => {});
    }
    if (mended && page.heard && others.some((other) => other.id === page.id && other.name === 'Bob')) {
      return { ...seen, back: Date.now(), id: page.id };
    }
    await pause(500);
  }
  return seen;
}

/** Runs in Bob's page: whether it is the app still, who he is in the room, whether he read what was said while he was away. */
function state() {
  const joined = !!window.APP?.conference?.isJoined?.();
  return {
    isApp: window.APP !== undefined,
    id: joined ? APP.conference.getMyUserId() : null,
    heard: joined && stock.feature('chat').messages.some(({ message }) => message === 'while away'),
  };
}

/** Runs in Ann's page. */
function people() {
  return stock.room().getParticipants().map((other) => ({ id: other.getId(), name: other.getDisplayName() }));
}
