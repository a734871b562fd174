// Ways to the server that a stock client takes when told: BOSH, the bridge channel over WebSocket, SSRCs as they were sent.
import { freshRoom, must } from './group.mjs';
import { BRIDGED, SILENT } from './tab.mjs';

export async function connection(group) {
  const { base, secureBase } = await group.servers.get('main');
  await group.check('BOSH: join, chat, pictures over the bridge', async () => {
    const name = freshRoom('bosh');
    const config = { ...BRIDGED, preferBosh: true };
    const [ann, bob] = [await group.join(base, name, 'Ann', { config }), await group.join(base, name, 'Bob', { config })];
    await ann.say('by bosh');
    await bob.hears('by bosh');
    const { bridge, audio } = await bob.flowing('bridge');
    const streams = ann.sockets.filter((url) => url.includes('xmpp-websocket'));
    must(streams.length === 0, `a WebSocket was opened as well: ${streams}`);
    return { bridge, audio };
  });
  await group.check('BOSH over HTTPS: a tab that closes says goodbye', async () => {
    const name = freshRoom('beacon');
    const ann = await group.join(secureBase, name, 'Ann', { config: SILENT });
    const bob = await group.join(secureBase, name, 'Bob', { config: { ...SILENT, preferBosh: true } });
    await ann.sees('Bob');
    const began = Date.now();
    await bob.page.goto('about:blank');
    // Without its goodbye it would be gone after 60 s.
    await ann.isAlone(20_000);
    return `gone after ${Date.now() - began} ms`;
  });
  await group.check('SSRC rewriting off for one, on for the other', async () => {
    const name = freshRoom('rewriting');
    const ann = await group.join(base, name, 'Ann', { config: { ...BRIDGED, 'flags.ssrcRewritingEnabled': false } });
    const bob = await group.join(base, name, 'Bob', { config: BRIDGED });
    return { off: (await ann.flowing('bridge')).bridge, on: (await bob.flowing('bridge')).bridge };
  });
  await group.check('the bridge channel over WebSocket', () => channel(group));
}

async function channel(group) {
  const { base } = await group.servers.get('channel');
  const name = freshRoom('channel');
  const config = { ...BRIDGED, 'bridgeChannel.preferSctp': false };
  const [ann, bob] = [await group.join(base, name, 'Ann', { config }), await group.join(base, name, 'Bob', { config })];
  await ann.until('on a channel', () => stock.room().rtc._channel?.isOpen());
  const mode = await ann.ask(() => stock.room().rtc._channel._mode);
  must(mode === 'websocket' && ann.sockets.some((url) => url.includes('/colibri-ws/')), `the channel's mode is ${mode}`);
  const { bridge } = await bob.flowing('bridge');
  return { mode, bridge };
}
