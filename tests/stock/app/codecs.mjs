// Each codec over the bridge, and what happens to it when somebody comes who does not have it.
import { freshRoom, must } from './group.mjs';
import { BRIDGED } from './tab.mjs';

const CODECS = ['VP8', 'VP9', 'H264', 'AV1'];

export async function codecs(group) {
  const { base } = await group.servers.get('main');
  const preferring = (codec) => ({ ...BRIDGED, 'videoQuality.codecPreferenceOrder': [codec] });
  for (const codec of CODECS) {
    await group.check(`${codec} over the bridge`, async () => {
      const name = freshRoom(codec.toLowerCase());
      await group.join(base, name, 'Ann', { config: preferring(codec) });
      const bob = await group.join(base, name, 'Bob', { config: preferring(codec) });
      const flow = await bob.flowing('bridge');
      must(flow.codecs.includes(`in video/${codec}`), flow);
      return flow.codecs;
    });
  }
  await group.check('a client that has VP8 only joins: all send what it has', async () => {
    const name = freshRoom('weak');
    await group.join(base, name, 'Ann', { config: BRIDGED });
    const bob = await group.join(base, name, 'Bob', { config: BRIDGED });
    const before = (await bob.flowing('bridge')).codecs;
    const old = await group.join(base, name, 'Old', { config: preferring('VP8') });
    const seen = await old.flowing('bridge');
    const after = (await bob.flowing('bridge')).codecs;
    must(seen.codecs.includes('in video/VP8') && after.includes('out video/VP8'), { before, after, old: seen.codecs });
    return { before, after, old: seen.codecs };
  });
}
