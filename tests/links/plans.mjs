// What happens to the links, and what the browser behind them makes of it.
import { pause } from '../e2e/browser.mjs';
import { Watch, concealed, drained, freezes, heightChanges, percentile, pictures, rates, reaches, round, usualHeight } from './figures.mjs';
import { Network } from './network.mjs';
import { received } from './page.mjs';

const CAMERA = { width: 1280, height: 720, fps: 15 };
const SMALL = { width: 640, height: 360, fps: 15 };
const QUEUE_MS = 300;
const DELAY_MS = 40;

const setHeight = (participant, source, height) => participant.ask('another height', ([name, size]) => window.sluice.setTileHeight(name, size), [source, height]);
const LISTENER = '&audio=0&video=0';

/** One sender outside, and a receiver in each namespace that asks for `heights[n]` of it. */
async function stage(network, links, heights, page = {}) {
  links.forEach((link, host) => network.link(host, link));
  const sender = await network.join(await network.browser(-1, CAMERA), 'links', 'Sender', { page: { camera: CAMERA } });
  const source = `${(await sender.state()).me.id}-v0`;
  const receivers = [];
  for (const host of links.keys()) {
    const receiver = await network.join(await network.browser(host), 'links', `Receiver ${host}`, { query: LISTENER, page });
    await receiver.until('seeing the sender', (state) => state.tiles.some((tile) => tile.source === source), 20_000);
    await setHeight(receiver, source, heights[host]);
    receivers.push(receiver);
  }
  return { sender, source, receivers };
}

/** 2.5 → 0.6 → 2.5 Mbit/s. */
export async function step({ quick }) {
  return Network.use(1, 240, async (network) => {
    const link = (rate) => ({ rate, queue: QUEUE_MS, delay: DELAY_MS });
    const { receivers: [receiver] } = await stage(network, [link(2_500_000)], [720]);
    const climbed = await reaches(receiver, 720, 60_000);
    await pause(quick ? 5_000 : 12_000);
    const watch = new Watch(receiver);
    const low = 600_000;
    const down = network.link(0, link(low));
    await pause(quick ? 20_000 : 30_000);
    const up = network.link(0, link(2_500_000));
    const again = await reaches(receiver, 720, 30_000);
    await pause(8_000);
    await watch.stop();
    await network.trace('step', watch);
    const lines = network.told(0, down, up);
    const settled = network.told(0, down + 2_000, up);
    return {
      first_full_layer_after_s: climbed === null ? null : round(climbed / 1000),
      queue_below_100ms_after_s: drained(lines, down, 100).after_s,
      queue_over_100ms_then_pct: drained(lines, down, 100).over_pct,
      overshoot_pct: round(Math.max(0, 100 * (rates(settled).most / low - 1))),
      low_utilisation_pct: round((100 * rates(settled).carried) / low),
      low_height: usualHeight(watch.between(down + 5_000, up)),
      full_layer_again_after_s: again === null ? null : round(again / 1000),
      low: freezes(watch.between(down, up)),
      high_again: freezes(watch.between(up)),
    };
  });
}

/** 1 Mbit/s and five senders side by side. */
export async function steady({ quick }) {
  return Network.use(1, 300, async (network) => {
    network.link(0, { rate: 1_000_000, queue: QUEUE_MS, delay: DELAY_MS });
    const outside = await network.browser(-1, SMALL);
    for (let number = 1; number <= 5; number++) {
      await network.join(outside, 'links', `Sender ${number}`, { query: number === 1 ? '' : '&audio=0', page: { camera: SMALL } });
    }
    const receiver = await network.join(await network.browser(0), 'links', 'Receiver', { query: LISTENER });
    await receiver.until('seeing five', (state) => state.tiles.length === 5, 30_000);
    for (const tile of (await receiver.state()).tiles) await setHeight(receiver, tile.source, 360);
    await pause(20_000);
    const watch = new Watch(receiver, 500);
    const from = Date.now();
    await pause(quick ? 30_000 : 60_000);
    await watch.stop();
    const lines = network.told(0, from);
    const minutes = (Date.now() - from) / 60_000;
    return {
      utilisation_pct: round(rates(lines).carried / 10_000),
      queue_p95_ms: percentile(lines.map((line) => line.queue_ms), 0.95),
      layer_changes_per_minute: round(heightChanges(watch.rows) / minutes),
      ...freezes(watch.rows),
    };
  });
}

/** 4 Mbit/s that loses 5, 10 and 20%, with repair and without. */
export async function loss({ quick }) {
  const result = {};
  for (const repair of [true, false]) {
    await Network.use(1, 300, async (network) => {
      const link = (share) => ({ rate: 4_000_000, queue: QUEUE_MS, delay: DELAY_MS, loss: share });
      const { receivers: [receiver] } = await stage(network, [link(0)], [720], { repair });
      await reaches(receiver, 720, 40_000);
      for (const percent of [5, 10, 20]) {
        network.link(0, link(percent / 100), { delay: DELAY_MS, loss: 0 });
        await pause(5_000);
        const watch = new Watch(receiver);
        const from = Date.now();
        await pause(quick ? 15_000 : 30_000);
        await watch.stop();
        (result[percent] ??= {})[repair ? 'repaired' : 'bare'] = {
          audio_concealed_pct: concealed(watch.rows),
          usual_height: usualHeight(watch.rows),
          carried_kbps: round(rates(network.told(0, from)).carried / 1000, 0),
          ...freezes(watch.rows),
        };
      }
    });
  }
  return result;
}

/** Four receivers of one camera, each with a link and a tile of its own. */
export async function mixed({ quick }) {
  const kbps = [300, 800, 1_500, 4_000];
  const tiles = [720, 720, 360, 720];
  return Network.use(kbps.length, 300, async (network) => {
    const links = kbps.map((rate, host) => ({ rate: rate * 1000, queue: QUEUE_MS, delay: 20 + 20 * host }));
    const { receivers, sender } = await stage(network, links, tiles);
    await pause(quick ? 20_000 : 30_000);
    const watches = receivers.map((receiver) => new Watch(receiver, 500));
    await pause(15_000);
    await Promise.all(watches.map((watch) => watch.stop()));
    await network.trace('mixed', watches[0]);
    const sent = (await sender.stats()).outbound.filter((stream) => stream.kind === 'video' && stream.frameHeight > 0);
    const encoded = sent.map((stream) => ({ height: stream.frameHeight, kbps: round(stream.targetBitrate / 1000, 0) })).sort((a, b) => a.height - b.height);
    return {
      encoded,
      receivers: kbps.map((link, host) => {
        // As the sender encodes: with a sixteenth for headers, and a voice.
        const fits = encoded.filter(({ height, kbps: rate }) => height <= tiles[host] && rate * 1.0625 + 65 <= link * 0.95);
        return {
          link_kbps: link,
          tile_height: tiles[host],
          got_height: usualHeight(watches[host].rows),
          best_possible_height: fits.at(-1)?.height ?? encoded[0]?.height ?? 0,
          queue_p95_ms: percentile(network.told(host, watches[host].rows[0].at).map((line) => line.queue_ms), 0.95),
          ...freezes(watches[host].rows),
        };
      }),
    };
  });
}

/** Nothing passes for a while, and translators that forget the receiver: seconds until the picture moves again. */
export async function outages({ quick }) {
  return Network.use(1, 300, async (network) => {
    const link = { rate: 10_000_000, queue: QUEUE_MS, delay: DELAY_MS };
    const { receivers: [receiver] } = await stage(network, [link], [360]);
    await reaches(receiver, 360, 40_000);
    const { id } = (await receiver.state()).me;
    const result = {};
    for (const seconds of quick ? [0.5, 3, 10] : [0.5, 3, 10, 25]) {
      network.link(0, { ...link, loss: 1 }, { delay: DELAY_MS, loss: 1 });
      await pause(seconds * 1_000);
      network.link(0, link);
      result[`picture_after_${seconds}_s_of_outage`] = await movesAfter(receiver, 20_000);
      await pause(5_000);
    }
    for (const count of [1, 2]) {
      network.rebind(0);
      await pause(300);
      result[`picture_after_rebinding_${count}_s`] = await movesAfter(receiver, 20_000);
      await pause(5_000);
    }
    const { joined, me } = await receiver.state();
    return { ...result, same_session: joined && me.id === id };
  });
}

/** Seconds until one more frame is decoded; null when none is. */
async function movesAfter(participant, timeout) {
  const frames = async () => pictures(await received(participant)).reduce((sum, stream) => sum + stream.framesDecoded, 0);
  const [began, before] = [Date.now(), await frames()];
  while (Date.now() - began < timeout) {
    if ((await frames()) > before) return round((Date.now() - began) / 1000, 2);
    await pause(50);
  }
  return null;
}
