/** SDP of the local negotiation (RFC 8829): the offer we hand to our own RTCPeerConnection, and what its answer says. */
import type { Content, Fingerprint, HeaderExtension, Offer, PayloadType } from './jingle.ts';

export type MediaKind = 'audio' | 'video' | 'application';

/** One m-line of the session. Lines are only ever appended, closed and recycled, never removed. */
export interface Line {
  mid: string;
  kind: MediaKind;
  /** We may send on it. */
  send: boolean;
  /** The SSRC that we receive on it, if any. */
  remote?: { ssrc: number; rtx?: number; msid: string };
  /** Rejected with port 0: `asked` until a round has said so, then `done` and free to be recycled. */
  closed?: 'asked' | 'done';
}

export interface AnsweredMedia {
  payloadTypes: PayloadType[];
  headerExtensions: HeaderExtension[];
}

export interface AnsweredLine {
  mid: string;
  kind: MediaKind;
  sending: boolean;
  ssrcs: number[];
  groups: { semantics: 'SIM' | 'FID'; ssrcs: number[] }[];
}

/** What session-accept needs of our local description. */
export interface LocalAnswer {
  ufrag: string;
  pwd: string;
  fingerprint: Fingerprint;
  setup: string;
  media: Partial<Record<MediaKind, AnsweredMedia>>;
  lines: AnsweredLine[];
}

/** Extensions that we leave out: sources are told apart by SSRC, and a forwarded MID would name the sender's m-line. */
const UNUSED_EXTENSIONS = ['urn:ietf:params:rtp-hdrext:sdes:mid', 'urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id', 'urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id'];

/** The offer for `setRemoteDescription`; `version` must grow with each call in a session. */
export function buildOffer(offer: Offer, lines: Line[], version: number, preferredCodecs: string[]): string {
  const sdp = [
    'v=0',
    `o=- 1923518516 ${version} IN IP4 0.0.0.0`,
    's=-',
    't=0 0',
    `a=group:BUNDLE ${lines.filter((line) => line.closed === undefined).map((line) => line.mid).join(' ')}`,
    'a=msid-semantic: WMS *',
  ];
  for (const line of lines) {
    const content = offer.contents.find((candidate) => candidate.media === line.kind);
    if (content !== undefined) sdp.push(...mediaSection(offer, content, line, preferredCodecs));
  }
  return sdp.join('\r\n') + '\r\n';
}

/** Reads a local answer; throws if it has no transport. */
export function parseAnswer(sdp: string): LocalAnswer {
  const [session = '', ...sections] = sdp.split(/\r?\n(?=m=)/);
  const transport = [...sections, session].find((section) => field(section, 'ice-ufrag'));
  const print = field(transport ?? '', 'fingerprint') ?? field(session, 'fingerprint');
  if (transport === undefined || print === undefined) throw new Error('local description without transport');
  const [hash = 'sha-256', value = ''] = print.split(' ');
  const setup = field(transport, 'setup') ?? 'active';
  const answer: LocalAnswer = {
    ufrag: field(transport, 'ice-ufrag')!,
    pwd: field(transport, 'ice-pwd') ?? '',
    fingerprint: { hash, value, setup },
    setup,
    media: {},
    lines: [],
  };
  for (const section of sections) {
    const kind = /^m=(\w+)/.exec(section)?.[1] as MediaKind;
    answer.lines.push(answeredLine(kind, section));
    answer.media[kind] ??= answeredMedia(kind, section);
  }
  return answer;
}

/** Payload types with the preferred codecs first, and each codec's retransmission type kept. */
export function orderPayloadTypes(payloadTypes: PayloadType[], preferred: string[]): PayloadType[] {
  const rank = (payload: PayloadType): number => {
    const index = preferred.indexOf(payload.name.toLowerCase());
    if (payload.name.toLowerCase() === 'rtx') return preferred.length + 1;
    return index < 0 ? preferred.length : index;
  };
  return payloadTypes.map((payload, index) => ({ payload, index })).sort((a, b) => rank(a.payload) - rank(b.payload) || a.index - b.index).map(({ payload }) => payload);
}

/** A retransmission type whose codec is not offered makes the browser refuse the whole offer. */
function withoutOrphans(payloadTypes: PayloadType[]): PayloadType[] {
  return payloadTypes.filter((payload) => {
    if (payload.name.toLowerCase() !== 'rtx') return true;
    const apt = payload.parameters.find((parameter) => parameter.name === 'apt');
    return payloadTypes.some((other) => String(other.id) === apt?.value);
  });
}

function mediaSection(offer: Offer, content: Content, line: Line, preferred: string[]): string[] {
  const transport = offer.transport;
  const usable = withoutOrphans(content.payloadTypes);
  const payloads = line.kind === 'video' ? orderPayloadTypes(usable, preferred) : usable;
  const head =
    line.kind === 'application'
      ? 'm=application 9 UDP/DTLS/SCTP webrtc-datachannel'
      : `m=${line.kind} ${line.closed === undefined ? 9 : 0} UDP/TLS/RTP/SAVPF ${payloads.map((payload) => payload.id).join(' ')}`;
  const sdp = [head, 'c=IN IP4 0.0.0.0', 'a=rtcp:9 IN IP4 0.0.0.0', `a=mid:${line.mid}`];
  sdp.push(`a=ice-ufrag:${transport.ufrag}`, `a=ice-pwd:${transport.pwd}`, 'a=ice-options:trickle');
  for (const print of transport.fingerprints) sdp.push(`a=fingerprint:${print.hash} ${print.value}`);
  sdp.push(`a=setup:${transport.fingerprints[0]?.setup ?? 'actpass'}`);
  for (const candidate of transport.candidates) sdp.push(candidateLine(candidate));
  if (line.kind === 'application') return [...sdp, `a=sctp-port:${transport.sctpPort ?? 5000}`, 'a=max-message-size:262144'];

  sdp.push(`a=${offeredDirection(line)}`, 'a=rtcp-mux');
  if (content.extmapAllowMixed) sdp.push('a=extmap-allow-mixed');
  for (const extension of content.headerExtensions) {
    if (!UNUSED_EXTENSIONS.includes(extension.uri)) sdp.push(`a=extmap:${extension.id} ${extension.uri}`);
  }
  for (const payload of payloads) sdp.push(...payloadLines(payload));
  if (line.remote !== undefined) sdp.push(...remoteSourceLines(line.remote));
  return sdp;
}

/** The direction as the far side would write it. */
function offeredDirection(line: Line): string {
  if (line.send) return line.remote !== undefined ? 'sendrecv' : 'recvonly';
  return line.remote !== undefined ? 'sendonly' : 'inactive';
}

function remoteSourceLines(remote: { ssrc: number; rtx?: number; msid: string }): string[] {
  const ssrcs = remote.rtx === undefined ? [remote.ssrc] : [remote.ssrc, remote.rtx];
  return [
    `a=msid:${remote.msid}`,
    ...(remote.rtx === undefined ? [] : [`a=ssrc-group:FID ${remote.ssrc} ${remote.rtx}`]),
    ...ssrcs.flatMap((ssrc) => [`a=ssrc:${ssrc} cname:sluice`, `a=ssrc:${ssrc} msid:${remote.msid}`]),
  ];
}

function payloadLines(payload: PayloadType): string[] {
  const channels = payload.channels !== undefined && payload.channels > 1 ? `/${payload.channels}` : '';
  const lines = [`a=rtpmap:${payload.id} ${payload.name}/${payload.clockrate}${channels}`];
  const format = payload.parameters
    .map((parameter) => (parameter.name ? `${parameter.name}=${parameter.value}` : parameter.value))
    .join(';')
    .replace(/;+$/, '');
  if (format) lines.push(`a=fmtp:${payload.id} ${format}`);
  for (const feedback of payload.feedback) {
    lines.push(`a=rtcp-fb:${payload.id} ${feedback.type}${feedback.subtype ? ` ${feedback.subtype}` : ''}`);
  }
  return lines;
}

function candidateLine(candidate: Offer['transport']['candidates'][number]): string {
  let line = `a=candidate:${candidate.foundation} ${candidate.component} ${candidate.protocol} ${candidate.priority} ${candidate.ip} ${candidate.port} typ ${candidate.type}`;
  if (candidate.relatedAddress !== undefined) line += ` raddr ${candidate.relatedAddress} rport ${candidate.relatedPort ?? 9}`;
  if (candidate.tcpType !== undefined) line += ` tcptype ${candidate.tcpType}`;
  return `${line} generation 0`;
}

function answeredLine(kind: MediaKind, section: string): AnsweredLine {
  const ssrcs: number[] = [];
  for (const match of section.matchAll(/^a=ssrc:(\d+) /gm)) {
    const ssrc = Number(match[1]);
    if (!ssrcs.includes(ssrc)) ssrcs.push(ssrc);
  }
  const groups = [...section.matchAll(/^a=ssrc-group:(SIM|FID) ([\d ]+)/gm)].map((match) => ({
    semantics: match[1] as 'SIM' | 'FID',
    ssrcs: match[2]!.trim().split(/\s+/).map(Number),
  }));
  return { mid: field(section, 'mid') ?? '', kind, sending: /^a=(sendrecv|sendonly)\s*$/m.test(section), ssrcs, groups };
}

function answeredMedia(kind: MediaKind, section: string): AnsweredMedia {
  if (kind === 'application') return { payloadTypes: [], headerExtensions: [] };
  const ids = /^m=\w+ \d+ \S+ (.*)$/m.exec(section)?.[1]?.trim().split(' ').map(Number) ?? [];
  const payloadTypes = ids.map((id) => answeredPayload(section, id)).filter((payload) => payload !== null);
  const headerExtensions = [...section.matchAll(/^a=extmap:(\d+)(?:\/\w+)? (\S+)/gm)].map((match) => ({ id: Number(match[1]), uri: match[2]! }));
  return { payloadTypes, headerExtensions };
}

function answeredPayload(section: string, id: number): PayloadType | null {
  const map = new RegExp(`^a=rtpmap:${id} ([^/\\s]+)/(\\d+)(?:/(\\d+))?`, 'm').exec(section);
  if (map === null) return null;
  const format = new RegExp(`^a=fmtp:${id} (.*?)\\s*$`, 'm').exec(section)?.[1] ?? '';
  return {
    id,
    name: map[1]!,
    clockrate: Number(map[2]),
    ...(map[3] ? { channels: Number(map[3]) } : {}),
    parameters: format.split(';').map((part) => part.trim()).filter(Boolean).map((part) => {
      const [name = '', ...rest] = part.split('=');
      return rest.length === 0 ? { value: part } : { name, value: rest.join('=') };
    }),
    feedback: [...section.matchAll(new RegExp(`^a=rtcp-fb:${id} (\\S+)(?: (\\S+))?`, 'gm'))].map((match) => ({
      type: match[1]!,
      ...(match[2] ? { subtype: match[2] } : {}),
    })),
  };
}

function field(section: string, name: string): string | undefined {
  return new RegExp(`^a=${name}:(.*?)\\s*$`, 'm').exec(section)?.[1];
}
