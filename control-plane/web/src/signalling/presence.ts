/** Room presence (XEP-0045) as typed values. */
import * as ns from './ns.ts';
import { videoTypeOf, type VideoType } from './sources.ts';
import { child, children, el, text, type XmlElement } from './xml.ts';

export interface SourceState {
  muted: boolean;
  videoType?: VideoType;
}

/** What one presence says of an occupant. */
export interface OccupantPresence {
  id: string;
  available: boolean;
  displayName: string;
  role: string;
  affiliation: string;
  realJid?: string;
  statusCodes: number[];
  /** By source name; only names that begin with the occupant's own id. */
  sources: Map<string, SourceState>;
  codecs: string[];
  kickedBy?: string;
  reason?: string;
  destroyed?: string;
}

export interface OwnPresence {
  displayName: string;
  sources: Record<string, SourceState>;
  codecs: string[];
  caps: XmlElement;
  statsId: string;
}

export function parsePresence(stanza: XmlElement): OccupantPresence | null {
  const id = resourceOf(stanza.attributes.from ?? '');
  if (id === '') return null;
  const user = child(stanza, 'x', ns.MUC_USER);
  const item = child(user, 'item');
  const destroy = child(user, 'destroy');
  const actor = child(item, 'actor')?.attributes.nick;
  const reason = text(child(item, 'reason')) || text(child(stanza, 'status'));
  return {
    id,
    available: stanza.attributes.type !== 'unavailable',
    displayName: text(child(stanza, 'nick', ns.NICK)).trim(),
    role: item?.attributes.role ?? 'none',
    affiliation: item?.attributes.affiliation ?? 'none',
    ...(item?.attributes.jid ? { realJid: item.attributes.jid } : {}),
    statusCodes: user === undefined ? [] : children(user, 'status').map((status) => Number(status.attributes.code)),
    sources: sourceStates(id, stanza),
    codecs: text(child(stanza, 'jitsi_participant_codecList')).toLowerCase().split(',').filter(Boolean),
    ...(actor ? { kickedBy: actor } : {}),
    ...(reason ? { reason } : {}),
    ...(destroy === undefined ? {} : { destroyed: text(child(destroy, 'reason')) }),
  };
}

/** The children of our own presence; a join adds `<x xmlns='…muc'>` in front. */
export function presenceChildren(own: OwnPresence): XmlElement[] {
  const sourceInfo: Record<string, unknown> = {};
  for (const [name, state] of Object.entries(own.sources)) {
    sourceInfo[name] = state.videoType === 'desktop' ? { muted: state.muted, videoType: 'desktop' } : { muted: state.muted };
  }
  return [
    el('stats-id', {}, own.statsId),
    own.caps,
    el('SourceInfo', {}, JSON.stringify(sourceInfo)),
    el('jitsi_participant_codecList', {}, own.codecs.join(',')),
    el('nick', { xmlns: ns.NICK }, own.displayName),
  ];
}

export function resourceOf(jid: string): string {
  const slash = jid.indexOf('/');
  return slash < 0 ? '' : jid.slice(slash + 1);
}

/** SourceInfo, with the older `audiomuted` and `videomuted` for clients that send nothing else. */
function sourceStates(id: string, stanza: XmlElement): Map<string, SourceState> {
  const states = new Map<string, SourceState>();
  const info = text(child(stanza, 'SourceInfo'));
  let parsed: unknown = null;
  try {
    parsed = info ? JSON.parse(info) : null;
  } catch {
    parsed = null;
  }
  if (typeof parsed === 'object' && parsed !== null) {
    for (const [name, state] of Object.entries(parsed as Record<string, { muted?: unknown; videoType?: unknown } | null>)) {
      if (!name.startsWith(`${id}-`) || state === null) continue;
      const isVideo = /-v\d+$/.test(name);
      states.set(name, { muted: state.muted !== false, ...(isVideo ? { videoType: videoTypeOf(state.videoType) } : {}) });
    }
    return states;
  }
  const audio = child(stanza, 'audiomuted');
  const video = child(stanza, 'videomuted');
  if (audio !== undefined) states.set(`${id}-a0`, { muted: text(audio) !== 'false' });
  if (video !== undefined) states.set(`${id}-v0`, { muted: text(video) !== 'false', videoType: videoTypeOf(text(child(stanza, 'videoType')) || 'camera') });
  return states;
}
