/** The Jingle session as typed values (XEP-0166, 0167, 0176, 0293, 0294, 0320, 0338, 0339): read the offer, write our answers. */
import type { LocalAnswer } from './sdp.ts';
import * as ns from './ns.ts';
import { parseJsonSources, parseXmlSources, type RemoteSource } from './sources.ts';
import { child, children, el, text, type XmlElement } from './xml.ts';

export interface FeedbackType {
  type: string;
  subtype?: string;
}

export interface PayloadType {
  id: number;
  name: string;
  clockrate: number;
  channels?: number;
  /** In order; a parameter without a name carries a bare value. */
  parameters: { name?: string; value: string }[];
  feedback: FeedbackType[];
}

export interface HeaderExtension {
  id: number;
  uri: string;
}

export interface Candidate {
  foundation: string;
  component: number;
  protocol: string;
  priority: number;
  ip: string;
  port: number;
  type: string;
  relatedAddress?: string;
  relatedPort?: number;
  tcpType?: string;
}

export interface Fingerprint {
  hash: string;
  value: string;
  setup: string;
}

export interface Transport {
  ufrag: string;
  pwd: string;
  fingerprints: Fingerprint[];
  candidates: Candidate[];
  webSockets: string[];
  sctpPort?: number;
}

export interface Content {
  name: string;
  media: 'audio' | 'video' | 'application';
  payloadTypes: PayloadType[];
  headerExtensions: HeaderExtension[];
  extmapAllowMixed: boolean;
}

/** A session-initiate. One transport serves all contents (they are bundled). */
export interface Offer {
  sid: string;
  /** The occupant that sent it: `room@muc/focus`. */
  from: string;
  contents: Content[];
  transport: Transport;
  sources: RemoteSource[];
  startMuted: { audio: boolean; video: boolean };
  bridgeSession?: string;
  region?: string;
}

/** One of our own sources: all SSRCs of one name. */
export interface LocalSource {
  name: string;
  media: 'audio' | 'video';
  videoType?: 'camera' | 'desktop';
  msid: string;
  ssrcs: number[];
  groups: { semantics: 'SIM' | 'FID'; ssrcs: number[] }[];
}

export class JingleError extends Error {}

/** Reads `<jingle action='session-initiate'>`; throws a JingleError on what no session can be built from. */
export function parseOffer(jingle: XmlElement, from: string): Offer {
  const sid = jingle.attributes.sid;
  if (!sid) throw new JingleError('session without sid');
  const contentElements = children(jingle, 'content');
  const contents: Content[] = [];
  for (const element of contentElements) {
    const content = parseContent(element);
    if (content !== null) contents.push(content);
  }
  if (contents.length === 0) throw new JingleError('session without contents');

  const startMuted = child(jingle, 'startmuted', ns.START_MUTED);
  const bridge = child(jingle, 'bridge-session', ns.FOCUS);
  return {
    sid,
    from,
    contents,
    transport: parseTransports(contentElements),
    sources: parseSources(jingle),
    startMuted: { audio: startMuted?.attributes.audio === 'true', video: startMuted?.attributes.video === 'true' },
    ...(bridge?.attributes.id ? { bridgeSession: bridge.attributes.id } : {}),
    ...(bridge?.attributes.region ? { region: bridge.attributes.region } : {}),
  };
}

/** The sources of a session-initiate, source-add or source-remove, from compact JSON and from XML. */
export function parseSources(jingle: XmlElement): RemoteSource[] {
  const json = child(jingle, 'json-message', ns.JITMEET);
  const sources = json === undefined ? [] : parseJsonSources(text(json));
  for (const content of children(jingle, 'content')) {
    const description = child(content, 'description', ns.RTP);
    if (description !== undefined) sources.push(...parseXmlSources(description));
  }
  return sources;
}

/** `<jingle action='session-accept'>` out of the local description and our sources. */
export function buildAccept(offer: Offer, responder: string, answer: LocalAnswer, sources: LocalSource[]): XmlElement {
  const mediaContents = offer.contents.filter((content) => answer.media[content.media] !== undefined);
  return el(
    'jingle',
    { xmlns: ns.JINGLE, action: 'session-accept', initiator: offer.from, responder, sid: offer.sid },
    el(
      'group',
      { xmlns: ns.GROUPING, semantics: 'BUNDLE' },
      mediaContents.map((content) => el('content', { name: content.name })),
    ),
    mediaContents.map((content) => acceptedContent(content, offer, answer, sources)),
  );
}

/** `<jingle action='source-add'>` or `source-remove`, one content per media type. */
export function buildSourceChange(action: 'source-add' | 'source-remove', offer: Offer, sources: LocalSource[]): XmlElement {
  const contents: XmlElement[] = [];
  for (const media of ['audio', 'video'] as const) {
    const ofMedia = sources.filter((source) => source.media === media);
    if (ofMedia.length === 0) continue;
    contents.push(el('content', { name: media }, el('description', { xmlns: ns.RTP, media }, sourceElements(ofMedia))));
  }
  return el('jingle', { xmlns: ns.JINGLE, action, initiator: offer.from, sid: offer.sid }, contents);
}

/** `<jingle action='session-terminate'>` that asks the focus for a fresh session. */
export function buildRestart(offer: Offer): XmlElement {
  return el(
    'jingle',
    { xmlns: ns.JINGLE, action: 'session-terminate', sid: offer.sid, initiator: offer.from },
    el('reason', {}, el('connectivity-error'), el('text', {}, 'ICE FAILED')),
    offer.bridgeSession !== undefined &&
      el('bridge-session', { xmlns: ns.FOCUS, id: offer.bridgeSession, restart: 'true' }),
  );
}

function parseContent(element: XmlElement): Content | null {
  const description = child(element, 'description', ns.RTP);
  const media = description?.attributes.media ?? element.attributes.name;
  const kind = media === 'data' ? 'application' : media;
  if (kind !== 'audio' && kind !== 'video' && kind !== 'application') return null;
  const content: Content = {
    name: element.attributes.name ?? kind,
    media: kind,
    payloadTypes: [],
    headerExtensions: [],
    extmapAllowMixed: false,
  };
  if (description === undefined) return content;
  content.payloadTypes = children(description, 'payload-type').map(parsePayloadType);
  content.headerExtensions = children(description, 'rtp-hdrext').map((extension) => ({
    id: Number(extension.attributes.id),
    uri: extension.attributes.uri ?? '',
  }));
  content.extmapAllowMixed = child(description, 'extmap-allow-mixed') !== undefined;
  return content;
}

function parsePayloadType(element: XmlElement): PayloadType {
  const channels = element.attributes.channels;
  return {
    id: Number(element.attributes.id),
    name: element.attributes.name ?? '',
    clockrate: Number(element.attributes.clockrate ?? 90000),
    ...(channels ? { channels: Number(channels) } : {}),
    parameters: children(element, 'parameter').map((parameter) => ({
      ...(parameter.attributes.name ? { name: parameter.attributes.name } : {}),
      value: parameter.attributes.value ?? '',
    })),
    feedback: children(element, 'rtcp-fb').map((feedback) => ({
      type: feedback.attributes.type ?? '',
      ...(feedback.attributes.subtype ? { subtype: feedback.attributes.subtype } : {}),
    })),
  };
}

function parseTransports(contents: XmlElement[]): Transport {
  const transports = contents.map((content) => child(content, 'transport', ns.ICE_UDP)).filter((t) => t !== undefined);
  const first = transports.find((transport) => transport.attributes.ufrag);
  if (first === undefined) throw new JingleError('session without ICE credentials');
  const result: Transport = {
    ufrag: first.attributes.ufrag!,
    pwd: first.attributes.pwd ?? '',
    fingerprints: children(first, 'fingerprint').map((fingerprint) => ({
      hash: fingerprint.attributes.hash ?? 'sha-256',
      value: text(fingerprint).trim(),
      setup: fingerprint.attributes.setup ?? 'actpass',
    })),
    candidates: children(first, 'candidate').map(parseCandidate),
    webSockets: [],
  };
  for (const transport of transports) {
    for (const socket of children(transport, 'web-socket')) {
      const url = socket.attributes.url;
      if (url && !result.webSockets.includes(url)) result.webSockets.push(url);
    }
    const sctp = child(transport, 'sctpmap');
    if (sctp !== undefined) result.sctpPort = Number(sctp.attributes.number ?? 5000);
  }
  return result;
}

function parseCandidate(element: XmlElement): Candidate {
  const a = element.attributes;
  return {
    foundation: a.foundation ?? '1',
    component: Number(a.component ?? 1),
    protocol: (a.protocol ?? 'udp').toLowerCase(),
    priority: Number(a.priority ?? 0),
    ip: a.ip ?? '',
    port: Number(a.port ?? 0),
    type: a.type ?? 'host',
    ...(a['rel-addr'] ? { relatedAddress: a['rel-addr'], relatedPort: Number(a['rel-port'] ?? 9) } : {}),
    ...(a.tcptype ? { tcpType: a.tcptype } : {}),
  };
}

function acceptedContent(content: Content, offer: Offer, answer: LocalAnswer, sources: LocalSource[]): XmlElement {
  const accepted = answer.media[content.media]!;
  const transport = el(
    'transport',
    { xmlns: ns.ICE_UDP, ufrag: answer.ufrag, pwd: answer.pwd },
    content.media === 'application' &&
      el('sctpmap', {
        xmlns: ns.SCTP,
        number: offer.transport.sctpPort ?? 5000,
        protocol: 'webrtc-datachannel',
        streams: '0',
      }),
    el('fingerprint', { xmlns: ns.DTLS, hash: answer.fingerprint.hash, setup: answer.setup }, answer.fingerprint.value),
  );
  const attributes = { creator: 'responder', name: content.name, senders: 'both' };
  if (content.media === 'application') return el('content', attributes, transport);

  const description = el(
    'description',
    { xmlns: ns.RTP, media: content.media },
    accepted.payloadTypes.map(payloadTypeElement),
    sourceElements(sources.filter((source) => source.media === content.media)),
    el('rtcp-mux'),
    accepted.headerExtensions.map((extension) => el('rtp-hdrext', { xmlns: ns.RTP_HDREXT, id: extension.id, uri: extension.uri })),
    content.extmapAllowMixed && el('extmap-allow-mixed', { xmlns: ns.RTP_HDREXT }),
  );
  return el('content', attributes, description, transport);
}

function payloadTypeElement(payload: PayloadType): XmlElement {
  return el(
    'payload-type',
    { id: payload.id, name: payload.name, clockrate: payload.clockrate, channels: payload.channels },
    payload.parameters.map((parameter) => el('parameter', { name: parameter.name, value: parameter.value })),
    payload.feedback.map((feedback) => el('rtcp-fb', { xmlns: ns.RTCP_FB, type: feedback.type, subtype: feedback.subtype })),
  );
}

function sourceElements(sources: LocalSource[]): XmlElement[] {
  const elements: XmlElement[] = [];
  for (const source of sources) {
    for (const ssrc of source.ssrcs) {
      elements.push(
        el(
          'source',
          { xmlns: ns.SSMA, ssrc, name: source.name, videoType: source.videoType },
          el('parameter', { name: 'msid', value: source.msid }),
        ),
      );
    }
  }
  for (const source of sources) {
    for (const group of source.groups) {
      elements.push(
        el(
          'ssrc-group',
          { xmlns: ns.SSMA, semantics: group.semantics },
          group.ssrcs.map((ssrc) => el('source', { xmlns: ns.SSMA, ssrc })),
        ),
      );
    }
  }
  return elements;
}
