/** One media session with the bridge: from the focus' offer to its end. Peer, bridge channel and source map move together. */
import { Emitter } from '../emitter.ts';
import { buildAccept, buildRestart, buildSourceChange, type LocalSource, type Offer } from '../signalling/jingle.ts';
import type { Room } from '../signalling/room.ts';
import type { LocalAnswer } from '../signalling/sdp.ts';
import { BRIDGE_OWNER, parseMappedSources, SourceMap, type RemoteSource } from '../signalling/sources.ts';
import { BridgeChannel, channelUrls, type BridgeMessage } from './bridge_channel.ts';
import type { LocalMedia } from './local_media.ts';
import { Peer, type OwnSlot } from './peer.ts';
import { condensedStats, connectionQuality, RateMeter, type CondensedStats } from './stats.ts';

const STATS_INTERVAL_MS = 10_000;

export interface SessionEvents {
  /** Remote sources, their tracks, or the connection state changed. */
  changed: undefined;
  dominantSpeaker: { id: string; previous: string[] };
  forwarded: string[];
  connectivity: { id: string; active: boolean };
  remoteStats: { id: string; quality: number };
  ownStats: { quality: number; rtt: number; upload: number; download: number };
  channelOpen: undefined;
  /** The session is beyond repair; the focus was asked for another. */
  failed: string;
  /** The focus gives no new session: only coming into the room again helps. */
  refused: string;
}

export interface SessionOptions {
  jid: string;
  codecs: string[];
  iceServers: RTCIceServer[];
}

export class MediaSession extends Emitter<SessionEvents> {
  readonly peer: Peer;
  readonly channel: BridgeChannel;
  readonly sources = new SourceMap();
  ice: RTCIceConnectionState = 'new';
  dtls: RTCDtlsTransportState | 'new' = 'new';
  private accepted = false;
  private ended = false;
  private failed = false;
  private signalled: LocalSource[] = [];
  private signalling: Promise<void> = Promise.resolve();
  private readonly rates = new RateMeter();
  private readonly statsTimer: number;

  constructor(
    readonly offer: Offer,
    private readonly room: Room,
    private readonly media: LocalMedia,
    private readonly options: SessionOptions,
  ) {
    super();
    this.peer = new Peer(offer, { endpoint: room.id, preferredCodecs: options.codecs, iceServers: options.iceServers });
    this.channel = new BridgeChannel(this.peer.channel, this.peer.channel === null ? channelUrls(offer.transport.webSockets, new URL(location.href)) : []);
    this.peer.on('negotiated', ({ answer, sources }) => this.negotiated(answer, sources));
    this.peer.on('state', ({ ice, dtls }) => {
      this.ice = ice;
      this.dtls = dtls;
      this.emit('changed', undefined);
    });
    this.peer.on('failed', (reason) => this.fail(reason));
    this.channel.on('open', () => this.channelOpened());
    this.channel.on('closed', () => this.emit('changed', undefined));
    this.channel.on('message', (message) => this.messageReceived(message));
    for (const slot of ['a0', 'v0', 'v1'] as const) this.peer.setTrack(slot, this.trackOf(slot));
    this.addSources(offer.sources);
    this.peer.negotiate();
    this.statsTimer = window.setInterval(() => void this.reportStats(), STATS_INTERVAL_MS);
  }

  /** Takes over a changed local track. */
  localTrackChanged(slot: OwnSlot): void {
    this.peer.setTrack(slot, this.trackOf(slot));
    if (slot !== 'a0') this.announceVideoType(slot);
  }

  addSources(sources: RemoteSource[]): void {
    const left: number[] = [];
    for (const source of sources) {
      if (source.owner === BRIDGE_OWNER || source.owner === this.room.id) continue;
      const moved = this.sources.ofName(source.name);
      this.sources.assign(source);
      if (moved !== undefined && moved.ssrc !== source.ssrc) left.push(moved.ssrc);
    }
    // Looked at only now: two sources may have changed places.
    for (const ssrc of left) if (this.sources.ofSsrc(ssrc) === undefined) this.peer.release(ssrc);
    for (const source of this.sources.all()) this.peer.receive(source);
    this.emit('changed', undefined);
  }

  removeSources(sources: RemoteSource[]): void {
    for (const source of sources) {
      if (this.sources.removeSsrc(source.ssrc)) this.peer.release(source.ssrc);
    }
    this.emit('changed', undefined);
  }

  /** Frees everything a participant sent; the bridge never says so under SSRC rewriting. */
  participantLeft(id: string): void {
    this.removeSources(this.sources.all().filter((source) => source.owner === id));
  }

  trackOfSource(name: string): MediaStreamTrack | null {
    const source = this.sources.ofName(name);
    return source === undefined ? null : this.peer.trackOf(source.ssrc);
  }

  stats(): Promise<CondensedStats> {
    return condensedStats(
      this.peer,
      (ssrc) => this.sources.ofSsrc(ssrc)?.name ?? null,
      (mid) => {
        const slot = this.peer.slotOfMid(mid);
        return slot === undefined ? null : `${this.room.id}-${slot}`;
      },
    );
  }

  end(): void {
    this.ended = true;
    clearInterval(this.statsTimer);
    this.channel.close();
    this.peer.close();
  }

  private trackOf(slot: OwnSlot): MediaStreamTrack | null {
    if (slot === 'a0') return this.media.microphone;
    return slot === 'v0' ? this.media.camera : this.media.screen;
  }

  /** Accepts after the first round, signals what differs after later ones; one stanza at a time, in order. */
  private negotiated(answer: LocalAnswer, sources: LocalSource[]): void {
    this.emit('changed', undefined);
    this.signalling = this.signalling.then(async () => {
      if (this.ended) return;
      const before = this.signalled;
      this.signalled = sources;
      if (!this.accepted) {
        this.accepted = true;
        await this.room.sendJingle(buildAccept(this.offer, this.options.jid, answer, sources));
        return;
      }
      const gone = before.filter((source) => !sources.some((now) => sameSource(now, source)));
      const added = sources.filter((source) => !before.some((old) => sameSource(old, source)));
      if (gone.length > 0) await this.room.sendJingle(buildSourceChange('source-remove', this.offer, gone));
      if (added.length > 0) await this.room.sendJingle(buildSourceChange('source-add', this.offer, added));
    }).catch((error: unknown) => {
      console.warn('session signalling refused', error);
      // A refused accept leaves no session to repair.
      if (!this.ended && this.signalled.length === sources.length && this.ice === 'new') this.fail(String(error));
    });
  }

  private channelOpened(): void {
    for (const slot of ['v0', 'v1'] as const) this.announceVideoType(slot);
    this.emit('channelOpen', undefined);
    this.emit('changed', undefined);
  }

  private announceVideoType(slot: 'v0' | 'v1'): void {
    const on = this.trackOf(slot) !== null;
    const videoType = !on ? 'none' : slot === 'v1' ? 'desktop' : 'camera';
    this.channel.send({ colibriClass: 'SourceVideoTypeMessage', sourceName: `${this.room.id}-${slot}`, videoType });
  }

  private messageReceived(message: BridgeMessage): void {
    switch (message.colibriClass) {
      case 'VideoSourcesMap':
        this.addSources(parseMappedSources('video', message.mappedSources));
        break;
      case 'AudioSourcesMap':
        this.addSources(parseMappedSources('audio', message.mappedSources));
        break;
      case 'SenderSourceConstraints':
        this.senderConstrained(message);
        break;
      case 'ForwardedSources':
        if (Array.isArray(message.forwardedSources)) this.emit('forwarded', message.forwardedSources.map(String));
        break;
      case 'DominantSpeakerEndpointChangeEvent':
        this.emit('dominantSpeaker', {
          id: message.silence === true ? '' : String(message.dominantSpeakerEndpoint ?? ''),
          previous: Array.isArray(message.previousSpeakers) ? message.previousSpeakers.map(String) : [],
        });
        break;
      case 'EndpointConnectivityStatusChangeEvent':
        this.emit('connectivity', { id: String(message.endpoint ?? ''), active: String(message.active) === 'true' });
        break;
      case 'EndpointStats':
        if (typeof message.connectionQuality === 'number') this.emit('remoteStats', { id: String(message.from ?? ''), quality: message.connectionQuality });
        break;
      default:
        break;
    }
  }

  private senderConstrained(message: BridgeMessage): void {
    const { sourceName, maxHeight } = message;
    if (typeof sourceName !== 'string' || typeof maxHeight !== 'number') return;
    for (const slot of ['v0', 'v1'] as const) {
      if (sourceName === `${this.room.id}-${slot}`) this.peer.limit(slot, maxHeight);
    }
  }

  private async reportStats(): Promise<void> {
    if (this.ice !== 'connected' && this.ice !== 'completed') return;
    const stats = await this.stats().catch(() => null);
    const rates = stats === null ? null : this.rates.rates(stats);
    if (stats === null || rates === null || this.ended) return;
    const rtt = Math.round((stats.transport?.roundTripTime ?? 0) * 1000);
    const loss = Math.max(rates.lossDownload, rates.lossUpload);
    const quality = connectionQuality(loss, rtt);
    const largest = stats.outbound.filter((stream) => stream.active && stream.kind === 'video').sort((a, b) => b.frameHeight - a.frameHeight)[0];
    this.channel.send({
      colibriClass: 'EndpointStats',
      bitrate: { upload: rates.upload, download: rates.download },
      packetLoss: { total: loss, download: rates.lossDownload, upload: rates.lossUpload },
      connectionQuality: quality,
      jvbRTT: rtt,
      ...(largest ? { maxEnabledResolution: { width: largest.frameWidth, height: largest.frameHeight } } : {}),
      ...(this.offer.region ? { serverRegion: this.offer.region } : {}),
    });
    this.emit('ownStats', { quality, rtt, upload: rates.upload, download: rates.download });
  }

  private fail(reason: string): void {
    if (this.ended || this.failed) return;
    this.failed = true;
    void this.room.sendJingle(buildRestart(this.offer)).catch(() => this.emit('refused', reason));
    this.emit('failed', reason);
  }
}

function sameSource(a: LocalSource, b: LocalSource): boolean {
  return a.name === b.name && a.ssrcs.join() === b.ssrcs.join();
}
