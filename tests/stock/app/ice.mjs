// ICE that fails for real: Ann's browser is in a network namespace where UDP is dropped both ways for a time; then the path opens.
import { freshRoom, must, pause } from './group.mjs';
import { BRIDGED } from './tab.mjs';

/** How long it may take from the beginning to a connection, in milliseconds. */
const PATIENCE = 110_000;

export async function ice(group) {
  const { namespace, servers } = group;
  const [outside, inside] = [await group.browser(), await group.browser(namespace.chromium())];
  const fails = async (kind, config, closed = null) => {
    const { base, http } = await servers.get(kind, namespace.host);
    await namespace.bring(http);
    const name = freshRoom('ice');
    const bob = await group.join(base, name, 'Bob', { browser: outside, config: { ...BRIDGED, ...config } });
    const ann = await group.join(base, name, 'Ann', { browser: inside, config: { ...BRIDGED, ...config } });
    for (const tab of [ann, bob]) await tab.flowing('bridge');
    await ann.ask(() => { window.samePage = true; });
    const before = await ann.ask(path);
    const seen = await closeAndOpen(namespace, ann, before, closed);
    for (const tab of [ann, bob]) await tab.flowing('bridge');
    must(await ann.ask(() => window.samePage === true), { ...seen, page: 'loaded anew' });
    return { ...seen, ...compared(before, await ann.ask(path)) };
  };
  const place = { enableIceRestart: true };
  await group.check('a restart in place', async () => {
    const seen = await fails('ice', place);
    must(seen.session === 'the same' && seen.credentials === 'new', seen);
    return seen;
  });
  await group.check('a new session, where restarts are off', async () => {
    const seen = await fails('ice_without_restart', { enableIceRestart: false });
    must(seen.session === 'new', seen);
    return seen;
  });
  await group.check('closed for 60 s, longer than a restart in place tries', () => fails('ice', place, 60_000));
}

/**
 * Closes UDP until ICE has failed for good (or a restart has begun), or for `closed` milliseconds; gives when it opened and when
 * there was a connection again, in seconds. Throws where there is none.
 */
async function closeAndOpen(namespace, ann, before, closed) {
  const began = Date.now();
  const seconds = () => Number(((Date.now() - began) / 1000).toFixed(1));
  let opened = null;
  namespace.closeUdp();
  try {
    while (Date.now() - began < PATIENCE) {
      const now = await ann.ask(path).catch(() => ({}));
      const { session, credentials } = compared(before, now);
      const changed = session === 'new' || credentials === 'new';
      const due = closed === null ? now.ice === 'failed' || changed : Date.now() - began >= closed;
      if (opened === null && due) {
        await pause(500);
        namespace.openUdp();
        opened = seconds();
      }
      if (opened !== null && seconds() > opened + 3 && changed && /connected|completed/.test(now.ice)) return { opened, back: seconds() };
      await pause(300);
    }
  } finally {
    namespace.openUdp();
  }
  throw new Error(`not connected again ${PATIENCE / 1000} s after UDP was closed (opened after ${opened ?? 'never'}): ${JSON.stringify(await ann.ask(path))}`);
}

/** Runs in the page: the session with the bridge, the state of its ICE and the bridge's credentials. */
function path() {
  const session = stock.room()?.jvbJingleSession;
  const connection = session?.peerconnection?.peerconnection;
  return { sid: session?.sid, ice: connection?.iceConnectionState, ufrag: /ice-ufrag:(\S+)/.exec(connection?.remoteDescription?.sdp ?? '')?.[1] };
}

function compared(before, now) {
  const is = (old, value) => (value === undefined ? 'none' : value === old ? 'the same' : 'new');
  return { session: is(before.sid, now.sid), credentials: is(before.ufrag, now.ufrag) };
}
