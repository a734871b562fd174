/**
 * The peer connection to the bridge. The focus offers once; after that every change (a source comes or goes,
 * a camera is switched on) is a local round: an offer written by us from the m-lines, answered by the browser.
 */
import { Emitter } from '../emitter.ts';
import type { LocalSource, Offer } from '../signalling/jingle.ts';
import { buildOffer, parseAnswer, type Line, type LocalAnswer } from '../signalling/sdp.ts';
import { BRIDGE_OWNER, type RemoteSource } from '../signalling/sources.ts';
import { addSimulcast, planEncodings } from './simulcast.ts';

/** Our own sources, by the suffix of their names. */
export type OwnSlot = 'a0' | 'v0' | 'v1';

export interface PeerOptions {
  endpoint: string;
  preferredCodecs: string[];
  iceServers: RTCIceServer[];
}

export interface PeerEvents {
  /** A round is done; `sources` is the full list of what we now signal. */
  negotiated: { answer: LocalAnswer; sources: LocalSource[] };
  state: { ice: RTCIceConnectionState; dtls: RTCDtlsTransportState | 'new' };
  failed: string;
}

const CHANNEL_LABEL = 'JVB data channel';
const CHANNEL_PROTOCOL = 'http://jitsi.org/protocols/colibri';
/** Lines of our own, by mid; remote sources get lines after these. */
const AUDIO_MID = '0';
const VIDEO_MID = '1';
const DATA_MID = '2';

interface OwnTrack {
  slot: OwnSlot;
  mid: string;
  track: MediaStreamTrack | null;
  msid: string;
  /** As the bridge last asked for it. */
  maxHeight: number;
}

export class Peer extends Emitter<PeerEvents> {
  readonly pc: RTCPeerConnection;
  readonly channel: RTCDataChannel | null;
  private readonly lines: Line[] = [];
  private readonly own = new Map<OwnSlot, OwnTrack>();
  /** SSRCs that the last finished round covers. */
  private receiving = new Set<number>();
  private version = 1;
  private nextMid = Number(DATA_MID) + 1;
  private dirty = false;
  private running = false;
  private closed = false;
  private encodingWork: Promise<void> = Promise.resolve();

  constructor(
    readonly offer: Offer,
    private readonly options: PeerOptions,
  ) {
    super();
    this.pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle', iceServers: options.iceServers });
    const offersData = offer.contents.some((content) => content.media === 'application');
    this.channel = offersData ? this.pc.createDataChannel(CHANNEL_LABEL, { protocol: CHANNEL_PROTOCOL }) : null;
    this.addBaseLines();
    this.pc.oniceconnectionstatechange = () => this.stateChanged();
    this.pc.onconnectionstatechange = () => this.stateChanged();
  }

  /** Sets what a slot of ours sends; a first track opens its m-line, a null track keeps it open and silent. */
  setTrack(slot: OwnSlot, track: MediaStreamTrack | null): void {
    const own = this.own.get(slot);
    if (own === undefined && track === null) return;
    if (own === undefined) {
      const mid = slot === 'a0' ? AUDIO_MID : slot === 'v0' ? VIDEO_MID : this.appendLine('video').mid;
      const media = slot === 'a0' ? 'audio' : 'video';
      const msid = `${this.options.endpoint}-${media}-${slot.slice(1)}-1 ${crypto.randomUUID?.() ?? String(Math.random()).slice(2)}-1`;
      this.own.set(slot, { slot, mid, track, msid, maxHeight: -1 });
      this.lines.find((line) => line.mid === mid)!.send = true;
      this.negotiate();
      return;
    }
    own.track = track;
    void this.sender(own)?.replaceTrack(track).then(() => this.applyEncodings(own), () => this.negotiate());
  }

  /** What the bridge wants of one of our video slots: 0 stops it, -1 is no limit. */
  limit(slot: OwnSlot, maxHeight: number): void {
    const own = this.own.get(slot);
    if (own === undefined) return;
    own.maxHeight = maxHeight;
    this.applyEncodings(own);
  }

  /** Receives on one more SSRC; a known SSRC needs nothing. */
  receive(source: RemoteSource): void {
    if (this.lines.some((line) => line.remote?.ssrc === source.ssrc)) return;
    const line = this.recycledLine(source.media) ?? this.appendLine(source.media);
    const label = `remote-${source.media}-${line.mid}`;
    line.remote = { ssrc: source.ssrc, ...(source.rtx === undefined ? {} : { rtx: source.rtx }), msid: `${label} ${label}-${source.ssrc}` };
    this.negotiate();
  }

  /** Closes the line of an SSRC; its place is free for the next source after one more round. */
  release(ssrc: number): void {
    const line = this.lines.find((candidate) => candidate.remote?.ssrc === ssrc && !candidate.send);
    if (line === undefined) return;
    delete line.remote;
    line.closed = 'asked';
    this.negotiate();
  }

  /**
   * The track that plays an SSRC, once its line is negotiated. Not sooner: an element that is given the track of a
   * re-used line before Chromium has moved it to the new SSRC stays black.
   */
  trackOf(ssrc: number): MediaStreamTrack | null {
    if (!this.receiving.has(ssrc)) return null;
    const line = this.lines.find((candidate) => candidate.remote?.ssrc === ssrc);
    return this.transceiver(line?.mid)?.receiver.track ?? null;
  }

  /** The slot that sends on a transceiver's mid, for statistics. */
  slotOfMid(mid: string | undefined): OwnSlot | undefined {
    return [...this.own.values()].find((own) => own.mid === mid)?.slot;
  }

  /** Starts a round; changes made during a round make one more. */
  negotiate(): void {
    this.dirty = true;
    if (!this.running && !this.closed) void this.run();
  }

  close(): void {
    this.closed = true;
    this.pc.oniceconnectionstatechange = null;
    this.pc.onconnectionstatechange = null;
    this.pc.close();
  }

  get dtlsState(): RTCDtlsTransportState | 'new' {
    return this.pc.getTransceivers().find((t) => t.receiver.transport)?.receiver.transport?.state ?? 'new';
  }

  private addBaseLines(): void {
    for (const kind of ['audio', 'video', 'application'] as const) {
      if (!this.offer.contents.some((content) => content.media === kind)) continue;
      const mid = kind === 'audio' ? AUDIO_MID : kind === 'video' ? VIDEO_MID : DATA_MID;
      // The bridge's own SSRC gives the line a far side; nothing of it is played.
      const feedback = this.offer.sources.find((source) => source.owner === BRIDGE_OWNER && source.media === kind);
      const msid = `mixedmslabel mixedlabel${kind}0`;
      this.lines.push({ mid, kind, send: kind === 'application', ...(feedback ? { remote: { ssrc: feedback.ssrc, msid } } : {}) });
    }
  }

  /**
   * A closed line under a new mid, and so with a new track (RFC 8829 §5.2.2). Chromium decodes a new SSRC on a line that
   * was only paused, but its old track never shows it.
   */
  private recycledLine(kind: 'audio' | 'video'): Line | undefined {
    const line = this.lines.find((candidate) => candidate.kind === kind && candidate.closed === 'done');
    if (line === undefined) return undefined;
    delete line.closed;
    line.mid = String(this.nextMid++);
    return line;
  }

  private appendLine(kind: 'audio' | 'video'): Line {
    const line: Line = { mid: String(this.nextMid++), kind, send: false };
    this.lines.push(line);
    return line;
  }

  private async run(): Promise<void> {
    this.running = true;
    try {
      while (this.dirty && !this.closed) {
        this.dirty = false;
        await this.round();
      }
    } catch (error) {
      if (!this.closed) this.emit('failed', String(error));
    } finally {
      this.running = false;
    }
  }

  private async round(): Promise<void> {
    const offered = this.lines.map((line) => line.remote?.ssrc).filter((ssrc) => ssrc !== undefined);
    const closing = this.lines.filter((line) => line.closed === 'asked');
    const sdp = buildOffer(this.offer, this.lines, this.version++, this.options.preferredCodecs);
    await this.pc.setRemoteDescription({ type: 'offer', sdp });
    for (const own of this.own.values()) await this.openSender(own);
    const answer = await this.pc.createAnswer();
    await this.setAnswer(answer.sdp ?? '');
    if (this.closed) return;
    this.receiving = new Set(offered);
    for (const line of closing) line.closed = 'done';
    for (const own of this.own.values()) this.applyEncodings(own);
    const parsed = parseAnswer(this.pc.localDescription!.sdp);
    this.emit('negotiated', { answer: parsed, sources: this.localSources(parsed) });
  }

  private async openSender(own: OwnTrack): Promise<void> {
    const transceiver = this.transceiver(own.mid);
    if (transceiver === undefined) return;
    const receives = this.lines.find((line) => line.mid === own.mid)?.remote !== undefined;
    const direction = receives ? 'sendrecv' : 'sendonly';
    if (transceiver.direction !== direction) transceiver.direction = direction;
    if (transceiver.sender.track !== own.track) await transceiver.sender.replaceTrack(own.track);
  }

  private async setAnswer(plain: string): Promise<void> {
    const widened = this.wantsSimulcast() ? addSimulcast(plain, VIDEO_MID, Math.random) : plain;
    try {
      await this.pc.setLocalDescription({ type: 'answer', sdp: widened });
    } catch (error) {
      if (widened === plain) throw error;
      // A browser that takes no widened answer sends one layer.
      await this.pc.setLocalDescription({ type: 'answer', sdp: plain });
    }
  }

  /** SSRC simulcast is for VP8 and H264; the others send one stream with spatial layers. */
  private wantsSimulcast(): boolean {
    if (navigator.userAgent.includes('Firefox')) return false;
    return ['vp8', 'h264'].includes(this.sendCodec());
  }

  private sendCodec(): string {
    const offered = this.offer.contents.find((content) => content.media === 'video')?.payloadTypes.map((payload) => payload.name.toLowerCase()) ?? [];
    return this.options.preferredCodecs.find((codec) => offered.includes(codec)) ?? offered[0] ?? 'vp8';
  }

  private localSources(answer: LocalAnswer): LocalSource[] {
    const sources: LocalSource[] = [];
    for (const own of this.own.values()) {
      const line = answer.lines.find((candidate) => candidate.mid === own.mid);
      if (line === undefined || !line.sending || line.ssrcs.length === 0) continue;
      sources.push({
        name: `${this.options.endpoint}-${own.slot}`,
        media: own.slot === 'a0' ? 'audio' : 'video',
        ...(own.slot === 'a0' ? {} : { videoType: own.slot === 'v1' ? ('desktop' as const) : ('camera' as const) }),
        msid: own.msid,
        ssrcs: line.ssrcs,
        groups: line.groups,
      });
    }
    return sources;
  }

  private applyEncodings(own: OwnTrack): void {
    if (own.slot === 'a0') return;
    this.encodingWork = this.encodingWork.then(() => this.setEncodings(own)).catch((error: unknown) => {
      if (!this.closed) console.warn('encodings not set', error);
    });
  }

  private async setEncodings(own: OwnTrack): Promise<void> {
    const sender = this.sender(own);
    if (sender === undefined || this.closed) return;
    const parameters = sender.getParameters();
    if (!parameters.encodings || parameters.encodings.length === 0) return;
    const height = own.track?.getSettings().height ?? 720;
    const videoType = own.slot === 'v1' ? 'desktop' : 'camera';
    const plan = planEncodings(parameters.encodings.length, height, own.maxHeight, videoType);
    plan.forEach((wanted, index) => Object.assign(parameters.encodings[index]!, wanted));
    if (plan.length === 1 && own.slot === 'v0' && ['vp9', 'av1'].includes(this.sendCodec())) {
      Object.assign(parameters.encodings[0]!, { scalabilityMode: 'L3T3_KEY' });
    }
    parameters.degradationPreference = videoType === 'desktop' ? 'maintain-resolution' : 'balanced';
    await sender.setParameters(parameters);
  }

  private sender(own: OwnTrack): RTCRtpSender | undefined {
    return this.transceiver(own.mid)?.sender;
  }

  private transceiver(mid: string | undefined): RTCRtpTransceiver | undefined {
    return mid === undefined ? undefined : this.pc.getTransceivers().find((transceiver) => transceiver.mid === mid);
  }

  private stateChanged(): void {
    this.emit('state', { ice: this.pc.iceConnectionState, dtls: this.dtlsState });
    if (this.pc.connectionState === 'failed' || this.pc.iceConnectionState === 'failed') this.emit('failed', 'ice');
  }
}
