/** The meeting without its page: who is here, what they send, what we send, and how it all comes back after a fault. */
import type { ClientConfig } from './config.ts';
import { roomNode } from './config.ts';
import { Emitter } from './emitter.ts';
import { receiverConstraints, type WantedTile } from './media/constraints.ts';
import type { LocalMedia } from './media/local_media.ts';
import { MediaSession } from './media/session.ts';
import { Connection } from './signalling/connection.ts';
import { parseOffer, parseSources } from './signalling/jingle.ts';
import * as ns from './signalling/ns.ts';
import type { OccupantPresence, SourceState } from './signalling/presence.ts';
import { randomHex, Room, type ChatMessage } from './signalling/room.ts';
import { turnServers } from './signalling/services.ts';
import type { VideoType } from './signalling/sources.ts';
import { StanzaError } from './signalling/stanza_error.ts';
import { el, type XmlElement } from './signalling/xml.ts';

const MACHINE_KEY = 'sluice.machine';
const REJOIN_FIRST_MS = 1_000;
const REJOIN_LIMIT_MS = 20_000;
const MEDIA_RESTARTS_LIMIT = 3;
/** A peer connection that says `failed` may yet be replaced by the offer that is on its way. */
const RESTART_FORGIVEN_MS = 60_000;
/** Presence that arrives this soon after our own join tells who was here before. */
const ARRIVAL_GRACE_MS = 1_500;

export interface Participant {
  id: string;
  name: string;
  moderator: boolean;
  sources: Map<string, SourceState>;
  /** False while the bridge hears nothing of them. */
  reachable: boolean;
  /** 0…100, by their own report. */
  quality: number;
}

export interface VideoSource {
  name: string;
  owner: string;
  videoType: VideoType;
}

export type Phase = 'connecting' | 'joining' | 'joined' | 'reconnecting' | 'ended';

export interface ConferenceEvents {
  /** Anything the page shows may have changed. */
  changed: undefined;
  arrived: Participant;
  departed: { participant: Participant; reason?: string };
  chat: ChatMessage & { name: string };
  notice: { kind: 'mediaLost' | 'mediaRestored' | 'mutedBy' | 'moderator'; name?: string };
  passwordNeeded: { wrong: boolean };
  ended: { reason: 'left' | 'kicked' | 'destroyed' | 'full' | 'lobby' | 'refused'; detail?: string };
}

export class Conference extends Emitter<ConferenceEvents> {
  readonly room: Room;
  readonly participants = new Map<string, Participant>();
  phase: Phase = 'connecting';
  session: MediaSession | null = null;
  subject = '';
  moderator = false;
  startedAt: number | null = null;
  dominantSpeaker = '';
  recentSpeakers: string[] = [];
  forwarded = new Set<string>();
  ownQuality = 100;
  lostReason = '';
  private readonly connection: Connection;
  private jid = '';
  private password: string | undefined;
  private passwordTried = false;
  private iceServers: RTCIceServer[] = [];
  private rejoins = 0;
  private rejoinTimer = 0;
  private restarts: number[] = [];
  private joinedAt = 0;
  private mediaLost = false;
  private startMutedHeeded = false;
  /** Who has shown presence in the present stay in the room. */
  private readonly present = new Set<string>();
  /** Our endpoint ids of earlier stays; the room may show them until it notices the fault. */
  private readonly formerIds = new Set<string>();
  private wanted: WantedTile[] = [];
  private sentConstraints = '';
  private constraintTimer = 0;
  readonly heightOverrides = new Map<string, number>();

  constructor(
    readonly config: ClientConfig,
    readonly roomName: string,
    displayName: string,
    readonly media: LocalMedia,
  ) {
    super();
    this.connection = new Connection(config.webSocketUrl(roomName), config.domain);
    this.room = new Room(this.connection, {
      roomJid: `${roomNode(roomName)}@${config.muc}`,
      focusJid: config.focus,
      machineUid: machineUid(),
      ssrcRewriting: config.ssrcRewriting,
      codecs: sendableCodecs(config.codecs),
    });
    this.room.displayName = displayName;
    this.listen();
  }

  get id(): string {
    return this.room.id;
  }

  start(): void {
    this.connection.open();
  }

  leave(reason: 'left' | 'kicked' | 'destroyed' | 'full' | 'lobby' | 'refused' = 'left', detail?: string): void {
    if (this.phase === 'ended') return;
    this.phase = 'ended';
    clearTimeout(this.rejoinTimer);
    this.endSession();
    this.connection.close(this.room.joined ? [this.room.leaveStanza()] : []);
    this.media.stopAll();
    this.emit('ended', { reason, ...(detail ? { detail } : {}) });
    this.emit('changed', undefined);
  }

  retryNow(): void {
    this.connection.retryNow();
  }

  /** Cuts the signalling stream as a network fault would (tests). */
  dropConnection(): void {
    this.connection.drop('test');
  }

  join(password: string): void {
    this.password = password;
    this.passwordTried = true;
    this.joinRoom();
  }

  say(text: string): void {
    this.room.say(text);
  }

  nameOf(id: string): string {
    return id === this.id ? this.room.displayName : (this.participants.get(id)?.name ?? '');
  }

  /** All video that others have switched on. */
  remoteVideo(): VideoSource[] {
    const list: VideoSource[] = [];
    for (const participant of this.participants.values()) {
      for (const [name, state] of participant.sources) {
        if (!/-v\d+$/.test(name) || state.muted) continue;
        const videoType = this.session?.sources.ofName(name)?.videoType;
        list.push({ name, owner: participant.id, videoType: state.videoType === 'desktop' || videoType === 'desktop' ? 'desktop' : 'camera' });
      }
    }
    return list;
  }

  audioMuted(id: string): boolean {
    if (id === this.id) return this.media.audioMuted;
    return this.participants.get(id)?.sources.get(`${id}-a0`)?.muted ?? true;
  }

  videoMuted(id: string): boolean {
    if (id === this.id) return this.media.videoMuted;
    return this.participants.get(id)?.sources.get(`${id}-v0`)?.muted ?? true;
  }

  /** The tiles that are on the screen; asks the bridge for them once things settle. */
  show(tiles: WantedTile[]): void {
    this.wanted = tiles;
    // Not restarted by each call: a lively meeting must not put this off for ever.
    if (this.constraintTimer !== 0) return;
    this.constraintTimer = window.setTimeout(() => {
      this.constraintTimer = 0;
      this.sendConstraints(false);
    }, 80);
  }

  setHeightOverride(source: string, height: number): void {
    this.heightOverrides.set(source, height);
    this.sendConstraints(false);
  }

  private listen(): void {
    this.connection.on('connected', ({ jid }) => {
      this.jid = jid;
      void turnServers(this.connection, this.config.domain).then((servers) => (this.iceServers = servers));
      this.joinRoom();
    });
    this.connection.on('lost', ({ reason }) => this.streamLost(reason));
    this.room.on('joined', () => this.roomJoined());
    this.room.on('self', (presence) => this.selfChanged(presence));
    this.room.on('refused', (error) => this.joinRefused(error));
    this.room.on('occupant', (presence) => this.occupantChanged(presence));
    this.room.on('left', (presence) => this.occupantLeft(presence));
    this.room.on('focusLeft', () => this.rejoinLater('focus left'));
    this.room.on('subject', (subject) => {
      this.subject = subject;
      this.emit('changed', undefined);
    });
    this.room.on('chat', (message) => this.emit('chat', { ...message, name: this.nameOf(message.from) }));
    this.room.on('jingle', ({ action, jingle, iq }) => this.jingleReceived(action, jingle, iq));
    this.room.on('muteRequest', ({ media, by }) => {
      if (media === 'audio') void this.media.setAudioMuted(true);
      else if (media === 'video') void this.media.setVideoMuted(true);
      else void this.media.setSharing(false);
      this.emit('notice', { kind: 'mutedBy', name: this.nameOf(by) });
    });
    this.media.on('changed', ({ slot }) => {
      this.session?.localTrackChanged(slot);
      this.refreshOwnSources();
      this.room.update();
      this.emit('changed', undefined);
    });
  }

  private joinRoom(): void {
    if (this.phase === 'ended' || !this.connection.isUp) return;
    if (this.phase === 'connecting') this.phase = 'joining';
    this.emit('changed', undefined);
    const jid = this.jid;
    // The endpoint id follows from the JID; the room sets it before anything is awaited.
    const before = this.room.id;
    const joining = this.room.join(jid, this.password);
    if (before !== '' && before !== this.room.id) this.formerIds.add(before);
    this.refreshOwnSources();
    joining.catch((error: unknown) => {
      if (jid !== this.jid || !this.connection.isUp) return;
      if (error instanceof StanzaError && error.condition === 'not-authorized') this.leave('refused', error.text || error.condition);
      else this.rejoinLater(String(error));
    });
  }

  /** Comes back into the room on the same stream. */
  private rejoinLater(reason: string): void {
    if (this.phase === 'ended') return;
    console.info('rejoining:', reason);
    if (this.room.joined) this.connection.send(this.room.leaveStanza());
    this.phase = 'reconnecting';
    this.lostReason = reason;
    this.present.clear();
    this.endSession();
    this.emit('changed', undefined);
    const delay = Math.min(REJOIN_LIMIT_MS, REJOIN_FIRST_MS * 2 ** this.rejoins);
    this.rejoins += 1;
    clearTimeout(this.rejoinTimer);
    this.rejoinTimer = window.setTimeout(() => this.joinRoom(), delay);
  }

  private streamLost(reason: string): void {
    if (this.phase === 'ended') return;
    clearTimeout(this.rejoinTimer);
    this.room.joined = false;
    this.present.clear();
    this.lostReason = reason;
    if (this.phase !== 'connecting') this.phase = 'reconnecting';
    this.emit('changed', undefined);
  }

  private roomJoined(): void {
    const again = this.phase === 'reconnecting';
    this.phase = 'joined';
    this.rejoins = 0;
    this.joinedAt = performance.now();
    if (again) this.endSession();
    this.room.startedAt().then(
      (at) => {
        this.startedAt = at ?? this.startedAt ?? Date.now();
        this.emit('changed', undefined);
      },
      () => (this.startedAt ??= Date.now()),
    );
    // Those who were here before a fault and are not here now never said goodbye.
    if (again) this.dropAbsent();
    this.emit('changed', undefined);
  }

  private dropAbsent(): void {
    for (const participant of [...this.participants.values()]) {
      if (this.present.has(participant.id)) continue;
      this.participants.delete(participant.id);
    }
  }

  private selfChanged(presence: OccupantPresence): void {
    if (presence.available) {
      const moderator = presence.role === 'moderator';
      if (moderator !== this.moderator) {
        this.moderator = moderator;
        this.emit('changed', undefined);
      }
      return;
    }
    if (presence.destroyed !== undefined) this.leave('destroyed', presence.destroyed);
    else if (presence.statusCodes.includes(307)) this.leave('kicked', presence.reason);
    else if (this.phase === 'joined') this.rejoinLater('put out of the room');
  }

  private joinRefused(error: StanzaError): void {
    switch (error.condition) {
      case 'not-authorized':
        this.emit('passwordNeeded', { wrong: this.passwordTried });
        break;
      case 'registration-required':
        this.leave('lobby', error.text);
        break;
      case 'service-unavailable':
        this.leave('full', error.text);
        break;
      case 'forbidden':
        this.leave('refused', error.text || 'forbidden');
        break;
      default:
        if (this.rejoins >= 5) this.leave('refused', error.text || error.condition);
        else this.rejoinLater(error.text || error.condition);
    }
  }

  private occupantChanged(presence: OccupantPresence): void {
    if (this.formerIds.has(presence.id)) return;
    this.present.add(presence.id);
    const known = this.participants.get(presence.id);
    const participant: Participant = known ?? { id: presence.id, name: '', moderator: false, sources: new Map(), reachable: true, quality: 100 };
    participant.name = presence.displayName || `Guest ${presence.id.slice(0, 4)}`;
    participant.moderator = presence.role === 'moderator';
    participant.sources = presence.sources;
    if (known === undefined) {
      this.participants.set(presence.id, participant);
      if (this.room.joined && performance.now() - this.joinedAt > ARRIVAL_GRACE_MS) this.emit('arrived', participant);
    }
    this.emit('changed', undefined);
  }

  private occupantLeft(presence: OccupantPresence): void {
    const participant = this.participants.get(presence.id);
    if (participant === undefined) return;
    this.participants.delete(presence.id);
    this.present.delete(presence.id);
    this.session?.participantLeft(presence.id);
    if (this.dominantSpeaker === presence.id) this.dominantSpeaker = '';
    this.emit('departed', { participant, ...(presence.reason ? { reason: presence.reason } : {}) });
    this.emit('changed', undefined);
  }

  private jingleReceived(action: string, jingle: XmlElement, iq: XmlElement): void {
    if (action === 'session-initiate') {
      this.connection.answer(iq);
      this.startSession(jingle, iq.attributes.from ?? '');
      return;
    }
    const session = this.session;
    if (session === null || jingle.attributes.sid !== session.offer.sid) {
      this.connection.refuse(iq, 'cancel', 'item-not-found', el('unknown-session', { xmlns: ns.JINGLE_ERRORS }));
      return;
    }
    this.connection.answer(iq);
    if (action === 'source-add') session.addSources(parseSources(jingle));
    else if (action === 'source-remove') session.removeSources(parseSources(jingle));
    // Alone in the room, or moved to another bridge: the next offer comes by itself.
    else if (action === 'session-terminate') this.endSession();
  }

  private startSession(jingle: XmlElement, from: string): void {
    this.endSession();
    let session: MediaSession;
    try {
      const offer = parseOffer(jingle, from);
      session = new MediaSession(offer, this.room, this.media, { jid: this.jid, codecs: this.config.codecs, iceServers: this.iceServers });
    } catch (error) {
      console.error('offer not usable', error);
      return;
    }
    this.session = session;
    session.on('changed', () => {
      if ((session.ice === 'connected' || session.ice === 'completed') && this.mediaLost) {
        this.mediaLost = false;
        this.emit('notice', { kind: 'mediaRestored' });
      }
      this.emit('changed', undefined);
    });
    session.on('channelOpen', () => this.sendConstraints(true));
    session.on('dominantSpeaker', ({ id, previous }) => {
      this.dominantSpeaker = id;
      this.recentSpeakers = [id, ...previous].filter(Boolean);
      this.emit('changed', undefined);
    });
    session.on('forwarded', (names) => {
      this.forwarded = new Set(names);
      this.emit('changed', undefined);
    });
    session.on('connectivity', ({ id, active }) => this.withParticipant(id, (participant) => (participant.reachable = active)));
    session.on('remoteStats', ({ id, quality }) => this.withParticipant(id, (participant) => (participant.quality = quality)));
    session.on('ownStats', ({ quality }) => {
      this.ownQuality = quality;
      this.emit('changed', undefined);
    });
    session.on('failed', (reason) => this.sessionFailed(session, reason));
    session.on('refused', (reason) => {
      // By now the session has been let go of; no other has come in its place.
      if (this.session === null && this.mediaLost) this.rejoinLater(reason);
    });
    this.startMuted(session.offer.startMuted);
    this.emit('changed', undefined);
  }

  /** The room's rule for newcomers counts once: a renewed session must not silence anyone. */
  private startMuted(muted: { audio: boolean; video: boolean }): void {
    if (this.startMutedHeeded) return;
    this.startMutedHeeded = true;
    if (muted.audio) void this.media.setAudioMuted(true);
    if (muted.video) void this.media.setVideoMuted(true);
  }

  /** The focus was asked for a new session; after a few in a minute the whole stay is renewed. */
  private sessionFailed(session: MediaSession, reason: string): void {
    if (session !== this.session) return;
    this.endSession();
    this.mediaLost = true;
    this.emit('notice', { kind: 'mediaLost' });
    const now = performance.now();
    this.restarts = [...this.restarts.filter((at) => now - at < RESTART_FORGIVEN_MS), now];
    if (this.restarts.length > MEDIA_RESTARTS_LIMIT) {
      this.restarts = [];
      this.rejoinLater(reason);
    }
  }

  private endSession(): void {
    this.session?.end();
    this.session = null;
    this.forwarded = new Set();
    this.sentConstraints = '';
    this.emit('changed', undefined);
  }

  private withParticipant(id: string, change: (participant: Participant) => void): void {
    const participant = this.participants.get(id);
    if (participant === undefined) return;
    change(participant);
    this.emit('changed', undefined);
  }

  private sendConstraints(always: boolean): void {
    if (this.session === null || !this.session.channel.isOpen) return;
    const message = receiverConstraints(this.wanted, this.config.lastN, this.heightOverrides);
    const text = JSON.stringify(message);
    if (!always && text === this.sentConstraints) return;
    this.sentConstraints = text;
    this.session.channel.send(message);
  }

  private refreshOwnSources(): void {
    const id = this.room.id;
    if (id === '') return;
    this.room.sources = {
      [`${id}-a0`]: { muted: this.media.audioMuted },
      [`${id}-v0`]: { muted: this.media.videoMuted },
      ...(this.media.sharing ? { [`${id}-v1`]: { muted: false, videoType: 'desktop' } } : {}),
    };
  }
}

/** A random name for this browser, kept. */
function machineUid(): string {
  const known = localStorage.getItem(MACHINE_KEY);
  if (known) return known;
  const fresh = randomHex(16);
  localStorage.setItem(MACHINE_KEY, fresh);
  return fresh;
}

function sendableCodecs(preferred: string[]): string[] {
  const able = new Set(RTCRtpSender.getCapabilities?.('video')?.codecs.map((codec) => codec.mimeType.slice(6).toLowerCase()) ?? ['vp8']);
  return preferred.filter((codec) => able.has(codec));
}
