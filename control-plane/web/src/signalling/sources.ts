/** Remote sources: their two encodings in Jingle, and the map that bridge-channel messages keep current. */
import * as ns from './ns.ts';
import { child, children, type XmlElement } from './xml.ts';

export type VideoType = 'camera' | 'desktop' | 'none';

/** One SSRC slot that the bridge may send us, labelled with the source that it carries now. */
export interface RemoteSource {
  name: string;
  owner: string;
  media: 'audio' | 'video';
  ssrc: number;
  rtx?: number;
  videoType?: VideoType;
}

/** Owner of the bridge's own feedback SSRCs, never a participant. */
export const BRIDGE_OWNER = 'jvb';

type JsonSource = { s?: unknown; n?: unknown; m?: unknown; v?: unknown };

/** `{"sources":{owner:[[video],[video groups],[audio],[audio groups]]}}`; malformed entries are skipped. */
export function parseJsonSources(json: string): RemoteSource[] {
  let root: unknown;
  try {
    root = JSON.parse(json);
  } catch {
    return [];
  }
  const owners = (root as { sources?: unknown } | null)?.sources;
  if (typeof owners !== 'object' || owners === null) return [];
  const result: RemoteSource[] = [];
  for (const [owner, lists] of Object.entries(owners)) {
    if (!Array.isArray(lists)) continue;
    result.push(...collect(owner, 'video', lists[0], lists[1]));
    result.push(...collect(owner, 'audio', lists[2], lists[3]));
  }
  return result;
}

/** `<source>` and `<ssrc-group>` children of a description. */
export function parseXmlSources(description: XmlElement): RemoteSource[] {
  const media = description.attributes.media;
  if (media !== 'audio' && media !== 'video') return [];
  const groups = children(description, 'ssrc-group').map((group) => [
    group.attributes.semantics === 'FID' ? 'f' : 's',
    ...children(group, 'source').map((source) => Number(source.attributes.ssrc)),
  ]);
  const byOwner = new Map<string, JsonSource[]>();
  for (const source of children(description, 'source', ns.SSMA)) {
    const owner = child(source, 'ssrc-info')?.attributes.owner?.split('/').pop() ?? source.attributes.name?.split('-')[0];
    if (owner === undefined) continue;
    const list = byOwner.get(owner) ?? [];
    list.push({ s: Number(source.attributes.ssrc), n: source.attributes.name, v: source.attributes.videoType === 'desktop' ? 'd' : undefined });
    byOwner.set(owner, list);
  }
  return [...byOwner].flatMap(([owner, list]) => collect(owner, media, list, groups));
}

/** Each source's first SSRC and its retransmission partner; what follows in a simulcast group is never sent to us. */
function collect(owner: string, media: 'audio' | 'video', sources: unknown, groups: unknown): RemoteSource[] {
  if (!Array.isArray(sources)) return [];
  const partner = new Map<number, number>();
  for (const group of Array.isArray(groups) ? groups : []) {
    if (Array.isArray(group) && group[0] === 'f') partner.set(Number(group[1]), Number(group[2]));
  }
  const partners = new Set(partner.values());
  const seen = new Map<string, RemoteSource>();
  for (const source of sources as JsonSource[]) {
    const ssrc = Number(source?.s);
    if (!isSsrc(ssrc) || partners.has(ssrc)) continue;
    const name = typeof source.n === 'string' ? source.n : `${owner}-${media[0]}0`;
    if (seen.has(name)) continue;
    const rtx = partner.get(ssrc);
    seen.set(name, {
      name,
      owner,
      media,
      ssrc,
      ...(rtx !== undefined && isSsrc(rtx) ? { rtx } : {}),
      ...(media === 'video' ? { videoType: source.v === 'd' ? 'desktop' : 'camera' } : {}),
    });
  }
  return [...seen.values()];
}

/** `mappedSources` of VideoSourcesMap or AudioSourcesMap; malformed entries are skipped. */
export function parseMappedSources(media: 'audio' | 'video', mapped: unknown): RemoteSource[] {
  if (!Array.isArray(mapped)) return [];
  const result: RemoteSource[] = [];
  for (const entry of mapped as Record<string, unknown>[]) {
    const ssrc = Number(entry?.ssrc);
    if (typeof entry?.source !== 'string' || !isSsrc(ssrc)) continue;
    const rtx = Number(entry.rtx ?? -1);
    result.push({
      name: entry.source,
      owner: typeof entry.owner === 'string' ? entry.owner : entry.source.split('-')[0]!,
      media,
      ssrc,
      ...(isSsrc(rtx) ? { rtx } : {}),
      ...(media === 'video' ? { videoType: videoTypeOf(entry.videoType) } : {}),
    });
  }
  return result;
}

/** Video types arrive in either case; NONE and DISABLED mean the same. */
export function videoTypeOf(value: unknown): VideoType {
  const lower = String(value ?? 'camera').toLowerCase();
  if (lower.startsWith('desktop')) return 'desktop';
  return lower === 'camera' ? 'camera' : 'none';
}

function isSsrc(value: number): boolean {
  return Number.isInteger(value) && value > 0 && value < 2 ** 32;
}

/** Which source arrives on which SSRC. A source has one SSRC at a time, an SSRC carries one source at a time. */
export class SourceMap {
  private readonly bySsrc = new Map<number, RemoteSource>();
  private readonly byName = new Map<string, RemoteSource>();

  /** Adds or re-labels; true if anything changed. */
  assign(source: RemoteSource): boolean {
    const before = this.bySsrc.get(source.ssrc);
    if (before !== undefined && before.name === source.name && before.videoType === source.videoType && before.owner === source.owner) return false;
    if (before !== undefined && this.byName.get(before.name) === before) this.byName.delete(before.name);
    const moved = this.byName.get(source.name);
    if (moved !== undefined && moved.ssrc !== source.ssrc) this.bySsrc.delete(moved.ssrc);
    this.bySsrc.set(source.ssrc, source);
    this.byName.set(source.name, source);
    return true;
  }

  removeSsrc(ssrc: number): boolean {
    const source = this.bySsrc.get(ssrc);
    if (source === undefined) return false;
    this.bySsrc.delete(ssrc);
    if (this.byName.get(source.name) === source) this.byName.delete(source.name);
    return true;
  }

  /** Forgets all sources of a participant that left; true if there were any. */
  removeOwner(owner: string): boolean {
    let removed = false;
    for (const source of [...this.bySsrc.values()]) {
      if (source.owner === owner) removed = this.removeSsrc(source.ssrc) || removed;
    }
    return removed;
  }

  ofName(name: string): RemoteSource | undefined {
    return this.byName.get(name);
  }

  ofSsrc(ssrc: number): RemoteSource | undefined {
    return this.bySsrc.get(ssrc);
  }

  all(): RemoteSource[] {
    return [...this.bySsrc.values()];
  }
}
