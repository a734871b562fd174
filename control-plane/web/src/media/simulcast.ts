/** Simulcast by SSRC, as Jitsi's bridge expects it of Chromium: a SIM group of three in our own answer. */

/** Largest bitrate of each VP8 layer, lowest first, bits per second. */
const LAYER_BITRATES = [200_000, 500_000, 1_500_000];
const DESKTOP_BITRATE = 2_500_000;
export const LAYERS = 3;

/**
 * Turns the single SSRC of the m-line `mid` into three with a SIM group, each with its FID partner.
 * Chromium fixes the number of streams with the first answer that names the SSRC, even while the line only receives,
 * so lines are widened whatever their direction. Without an SSRC, or grouped already, the answer stays as it is.
 */
export function addSimulcast(sdp: string, mid: string, random: () => number): string {
  const sections = sdp.split(/(?=^m=)/m);
  const index = sections.findIndex((section) => new RegExp(`^a=mid:${mid}\\s*$`, 'm').test(section));
  const section = sections[index];
  if (section === undefined || /^a=ssrc-group:SIM /m.test(section)) return sdp;
  const first = /^a=ssrc:(\d+) /m.exec(section);
  const cname = /^a=ssrc:\d+ cname:(\S+)/m.exec(section)?.[1];
  if (first === null || cname === undefined) return sdp;

  const fid = /^a=ssrc-group:FID (\d+) (\d+)/m.exec(section);
  const used = new Set([...sdp.matchAll(/^a=ssrc:(\d+) /gm)].map((match) => Number(match[1])));
  const fresh = (): number => {
    for (;;) {
      const ssrc = 1 + Math.floor(random() * (2 ** 32 - 2));
      if (!used.has(ssrc)) {
        used.add(ssrc);
        return ssrc;
      }
    }
  };
  const layers = [[Number(fid?.[1] ?? first[1]), ...(fid ? [Number(fid[2])] : [])]];
  while (layers.length < LAYERS) layers.push(fid ? [fresh(), fresh()] : [fresh()]);

  const msid = /^a=msid:(.*?)\s*$/m.exec(section)?.[1];
  const kept = section.replace(/^a=ssrc(-group)?:.*\r?\n/gm, '');
  const added = [
    `a=ssrc-group:SIM ${layers.map((layer) => layer[0]).join(' ')}`,
    ...layers.filter((layer) => layer.length === 2).map((layer) => `a=ssrc-group:FID ${layer.join(' ')}`),
    ...layers.flat().flatMap((ssrc) => [`a=ssrc:${ssrc} cname:${cname}`, ...(msid ? [`a=ssrc:${ssrc} msid:${msid}`] : [])]),
  ];
  sections[index] = `${kept.replace(/(\r?\n)*$/, '\r\n')}${added.join('\r\n')}\r\n`;
  return sections.join('');
}

export interface EncodingPlan {
  active: boolean;
  maxBitrate: number;
  scaleResolutionDownBy?: number;
}

/**
 * Which layers to send so that nobody gets less than `maxHeight` (0: nobody wants any, -1: no limit).
 * `trackHeight` is what the camera gives; layers are its quarter, half and whole.
 */
export function planEncodings(count: number, trackHeight: number, maxHeight: number, videoType: 'camera' | 'desktop'): EncodingPlan[] {
  if (count < 1) return [];
  if (count === 1) {
    const scale = videoType === 'camera' && maxHeight > 0 && trackHeight > maxHeight ? trackHeight / maxHeight : 1;
    const maxBitrate = videoType === 'desktop' ? DESKTOP_BITRATE : LAYER_BITRATES[LAYERS - 1]!;
    return [{ active: maxHeight !== 0, maxBitrate, scaleResolutionDownBy: Math.max(1, scale) }];
  }
  return Array.from({ length: count }, (_, index) => {
    const height = trackHeight / 2 ** (count - 1 - index);
    const wanted = maxHeight < 0 || (maxHeight > 0 && (index === 0 || height <= maxHeight));
    return { active: wanted, maxBitrate: LAYER_BITRATES[index] ?? LAYER_BITRATES[LAYERS - 1]! };
  });
}
