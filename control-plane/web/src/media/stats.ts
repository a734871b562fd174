/** Statistics of the peer connection: for others (EndpointStats), for the connection indicator, and condensed for tests. */
import type { Peer } from './peer.ts';

export interface InboundVideo {
  source: string | null;
  ssrc: number;
  frameWidth: number;
  frameHeight: number;
  framesDecoded: number;
  framesPerSecond: number;
  framesDropped: number;
  keyFramesDecoded: number;
  freezeCount: number;
  totalFreezesDuration: number;
  pauseCount: number;
  packetsReceived: number;
  packetsLost: number;
  bytesReceived: number;
  pliCount: number;
  nackCount: number;
  jitter: number;
  decoder: string;
  codec: string;
}

export interface InboundAudio {
  source: string | null;
  ssrc: number;
  packetsReceived: number;
  packetsLost: number;
  bytesReceived: number;
  concealedSamples: number;
  /** Of these, filled in with silence: what a bridge that drops silent packets causes by design. */
  silentConcealedSamples: number;
  totalSamplesReceived: number;
  totalAudioEnergy: number;
  jitter: number;
}

export interface Outbound {
  source: string | null;
  kind: string;
  ssrc: number;
  rid: string | null;
  active: boolean;
  frameWidth: number;
  frameHeight: number;
  framesPerSecond: number;
  framesEncoded: number;
  packetsSent: number;
  bytesSent: number;
  retransmittedPacketsSent: number;
  targetBitrate: number;
  qualityLimitationReason: string;
  codec: string;
  scalabilityMode: string;
}

export interface TransportStats {
  localProtocol: string;
  localAddress: string;
  remoteAddress: string;
  remotePort: number;
  remoteType: string;
  roundTripTime: number;
  availableOutgoingBitrate: number;
  srtpCipher: string;
  dtlsCipher: string;
  dtlsState: string;
  dtlsRole: string;
  tlsVersion: string;
  bytesSent: number;
  bytesReceived: number;
}

export interface CondensedStats {
  timestamp: number;
  inboundVideo: InboundVideo[];
  inboundAudio: InboundAudio[];
  outbound: Outbound[];
  transport: TransportStats | null;
}

type Report = Record<string, unknown> & { id: string; type: string };

/** Reads getStats once; `sourceOf` names the source that an SSRC carries now. */
export async function condensedStats(peer: Peer, sourceOf: (ssrc: number) => string | null, sourceOfMid: (mid: string) => string | null): Promise<CondensedStats> {
  const all = new Map<string, Report>();
  (await peer.pc.getStats()).forEach((report: Report) => all.set(report.id, report));
  const of = (type: string, kind?: string): Report[] => [...all.values()].filter((report) => report.type === type && (kind === undefined || report.kind === kind));
  const codecOf = (report: Report): string => text(all.get(text(report.codecId))?.mimeType);
  return {
    timestamp: Date.now(),
    inboundVideo: of('inbound-rtp', 'video').map((report) => inboundVideo(report, sourceOf(number(report.ssrc)), codecOf(report))),
    inboundAudio: of('inbound-rtp', 'audio').map((report) => inboundAudio(report, sourceOf(number(report.ssrc)))),
    outbound: of('outbound-rtp').map((report) => outbound(report, sourceOfMid(text(report.mid)), codecOf(report))),
    transport: transport(all, of('transport')[0]),
  };
}

/** Turns successive readings into rates and loss. */
export class RateMeter {
  private before: CondensedStats | null = null;

  /** Null at the first reading. */
  rates(now: CondensedStats): { upload: number; download: number; lossDownload: number; lossUpload: number } | null {
    const before = this.before;
    this.before = now;
    if (before === null || now.transport === null || before.transport === null) return null;
    const seconds = (now.timestamp - before.timestamp) / 1000;
    if (seconds <= 0) return null;
    const kbps = (bytes: number): number => Math.max(0, Math.round((bytes * 8) / seconds / 1000));
    const received = sum(now, 'packetsReceived') - sum(before, 'packetsReceived');
    const lost = Math.max(0, sum(now, 'packetsLost') - sum(before, 'packetsLost'));
    const outPackets = total(now.outbound, 'packetsSent') - total(before.outbound, 'packetsSent');
    const resent = Math.max(0, total(now.outbound, 'retransmittedPacketsSent') - total(before.outbound, 'retransmittedPacketsSent'));
    return {
      upload: kbps(now.transport.bytesSent - before.transport.bytesSent),
      download: kbps(now.transport.bytesReceived - before.transport.bytesReceived),
      lossDownload: received + lost > 0 ? Math.round((100 * lost) / (received + lost)) : 0,
      lossUpload: outPackets > 0 ? Math.min(100, Math.round((100 * resent) / outPackets)) : 0,
    };
  }
}

/** 100 is faultless; loss weighs most, then delay. */
export function connectionQuality(lossPercent: number, rttMs: number): number {
  const forLoss = Math.max(0, 100 - lossPercent * 6);
  const forDelay = rttMs <= 150 ? 100 : Math.max(40, 100 - (rttMs - 150) / 6);
  return Math.round(Math.min(forLoss, forDelay));
}

function inboundVideo(report: Report, source: string | null, codec: string): InboundVideo {
  return {
    source,
    ssrc: number(report.ssrc),
    frameWidth: number(report.frameWidth),
    frameHeight: number(report.frameHeight),
    framesDecoded: number(report.framesDecoded),
    framesPerSecond: number(report.framesPerSecond),
    framesDropped: number(report.framesDropped),
    keyFramesDecoded: number(report.keyFramesDecoded),
    freezeCount: number(report.freezeCount),
    totalFreezesDuration: number(report.totalFreezesDuration),
    pauseCount: number(report.pauseCount),
    packetsReceived: number(report.packetsReceived),
    packetsLost: number(report.packetsLost),
    bytesReceived: number(report.bytesReceived),
    pliCount: number(report.pliCount),
    nackCount: number(report.nackCount),
    jitter: number(report.jitter),
    decoder: text(report.decoderImplementation),
    codec,
  };
}

function inboundAudio(report: Report, source: string | null): InboundAudio {
  return {
    source,
    ssrc: number(report.ssrc),
    packetsReceived: number(report.packetsReceived),
    packetsLost: number(report.packetsLost),
    bytesReceived: number(report.bytesReceived),
    concealedSamples: number(report.concealedSamples),
    silentConcealedSamples: number(report.silentConcealedSamples),
    totalSamplesReceived: number(report.totalSamplesReceived),
    totalAudioEnergy: number(report.totalAudioEnergy),
    jitter: number(report.jitter),
  };
}

function outbound(report: Report, source: string | null, codec: string): Outbound {
  return {
    source,
    kind: text(report.kind),
    ssrc: number(report.ssrc),
    rid: typeof report.rid === 'string' ? report.rid : null,
    active: report.active !== false,
    frameWidth: number(report.frameWidth),
    frameHeight: number(report.frameHeight),
    framesPerSecond: number(report.framesPerSecond),
    framesEncoded: number(report.framesEncoded),
    packetsSent: number(report.packetsSent),
    bytesSent: number(report.bytesSent),
    retransmittedPacketsSent: number(report.retransmittedPacketsSent),
    targetBitrate: number(report.targetBitrate),
    qualityLimitationReason: text(report.qualityLimitationReason),
    codec,
    scalabilityMode: text(report.scalabilityMode),
  };
}

function transport(all: Map<string, Report>, report: Report | undefined): TransportStats | null {
  if (report === undefined) return null;
  const pair = all.get(text(report.selectedCandidatePairId));
  const remote = all.get(text(pair?.remoteCandidateId));
  const local = all.get(text(pair?.localCandidateId));
  return {
    localProtocol: text(local?.protocol),
    localAddress: text(local?.address),
    remoteAddress: text(remote?.address),
    remotePort: number(remote?.port),
    remoteType: text(remote?.candidateType),
    roundTripTime: number(pair?.currentRoundTripTime),
    availableOutgoingBitrate: number(pair?.availableOutgoingBitrate),
    srtpCipher: text(report.srtpCipher),
    dtlsCipher: text(report.dtlsCipher),
    dtlsState: text(report.dtlsState),
    dtlsRole: text(report.dtlsRole),
    tlsVersion: text(report.tlsVersion),
    bytesSent: number(report.bytesSent),
    bytesReceived: number(report.bytesReceived),
  };
}

function sum(stats: CondensedStats, field: 'packetsReceived' | 'packetsLost'): number {
  return total(stats.inboundVideo, field) + total(stats.inboundAudio, field);
}

function total<Field extends string>(list: Record<Field, number>[], field: Field): number {
  return list.reduce((all, item) => all + item[field], 0);
}

function number(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
