/** One room (XEP-0045): the conference request, joining, presence, chat, and the IQs that arrive through it. */
import { Emitter } from '../emitter.ts';
import { capsElement, discoInfo, features, verification } from './caps.ts';
import type { Connection } from './connection.ts';
import * as ns from './ns.ts';
import { parsePresence, presenceChildren, resourceOf, type OccupantPresence, type SourceState } from './presence.ts';
import { stanzaError, type StanzaError } from './stanza_error.ts';
import { child, children, el, text, type XmlElement } from './xml.ts';

const FOCUS_NICK = 'focus';
const READY_RETRY_LIMIT_MS = 30_000;

export interface ChatMessage {
  id: string;
  from: string;
  text: string;
  time: Date;
  own: boolean;
  /** To us alone. */
  direct: boolean;
  history: boolean;
}

export interface RoomEvents {
  joined: { id: string };
  refused: StanzaError;
  occupant: OccupantPresence;
  left: OccupantPresence;
  self: OccupantPresence;
  focusLeft: undefined;
  chat: ChatMessage;
  subject: string;
  jingle: { action: string; jingle: XmlElement; iq: XmlElement };
  muteRequest: { media: 'audio' | 'video' | 'desktop'; by: string };
}

export interface RoomOptions {
  roomJid: string;
  focusJid: string;
  machineUid: string;
  ssrcRewriting: boolean;
  codecs: string[];
}

export class Room extends Emitter<RoomEvents> {
  /** Our endpoint id: the room nickname. */
  id = '';
  joined = false;
  displayName = '';
  sources: Record<string, SourceState> = {};
  private focusUser = '';
  private ver = '';
  private toldSources = '';
  private readonly seenIds = new Set<string>();
  private readonly statsId = `${randomHex(4)}-slc`;
  private readonly features: string[];

  constructor(
    private readonly connection: Connection,
    private readonly options: RoomOptions,
  ) {
    super();
    this.features = features(options.ssrcRewriting);
    connection.on('stanza', (stanza) => this.received(stanza));
  }

  /** Asks the focus for the conference, then joins. `jid` is ours on this stream. Throws what the focus refused with. */
  async join(jid: string, password?: string): Promise<void> {
    this.joined = false;
    this.id = endpointId(jid);
    this.ver ||= await verification(this.features);
    await this.requestConference();
    this.connection.send(
      el(
        'presence',
        { xmlns: ns.CLIENT, to: `${this.options.roomJid}/${this.id}` },
        el('x', { xmlns: ns.MUC }, password ? el('password', {}, password) : null),
        this.ownChildren(),
      ),
    );
  }

  /** The unavailable presence that leaves the room. */
  leaveStanza(): XmlElement {
    this.joined = false;
    return el('presence', { xmlns: ns.CLIENT, type: 'unavailable', to: `${this.options.roomJid}/${this.id}` });
  }

  /** Sends our presence again after something in it changed. */
  update(): void {
    if (!this.joined) return;
    this.connection.send(el('presence', { xmlns: ns.CLIENT, to: `${this.options.roomJid}/${this.id}` }, this.ownChildren()));
  }

  say(body: string): void {
    const id = crypto.randomUUID?.() ?? randomHex(16);
    this.connection.send(el('message', { xmlns: ns.CLIENT, type: 'groupchat', to: this.options.roomJid, id }, el('body', {}, body)));
  }

  /** A Jingle action to the focus; resolves with its result. */
  sendJingle(jingle: XmlElement): Promise<XmlElement> {
    return this.connection.request('set', this.focusAddress, jingle, 10_000);
  }

  /** Asks the focus to mute somebody (moderators only). */
  muteOther(id: string, media: 'audio' | 'video'): Promise<XmlElement> {
    const xmlns = media === 'audio' ? ns.MUTE_AUDIO : ns.MUTE_VIDEO;
    return this.connection.request('set', this.focusAddress, el('mute', { xmlns, jid: `${this.options.roomJid}/${id}` }, 'true'));
  }

  /** Puts somebody out of the room (moderators only). */
  kick(id: string): Promise<XmlElement> {
    const item = el('item', { nick: id, role: 'none' });
    return this.connection.request('set', this.options.roomJid, el('query', { xmlns: ns.MUC_ADMIN }, item));
  }

  /** When the meeting began, by the room's own account, ms since 1970. */
  async startedAt(): Promise<number | null> {
    const answer = await this.connection.request('get', this.options.roomJid, el('query', { xmlns: ns.DISCO_INFO }));
    const form = child(child(answer, 'query', ns.DISCO_INFO), 'x', ns.DATA_FORM);
    if (form === undefined) return null;
    const field = children(form, 'field').find((candidate) => candidate.attributes.var === 'muc#roominfo_created_timestamp');
    const value = Number(text(child(field, 'value')));
    return value > 0 ? value : null;
  }

  get focusAddress(): string {
    return `${this.options.roomJid}/${FOCUS_NICK}`;
  }

  private ownChildren(): XmlElement[] {
    this.toldSources = JSON.stringify(this.sources);
    return presenceChildren({
      displayName: this.displayName,
      sources: this.sources,
      codecs: this.options.codecs,
      caps: capsElement(this.ver),
      statsId: this.statsId,
    });
  }

  private async requestConference(): Promise<void> {
    const request = el(
      'conference',
      { xmlns: ns.FOCUS, room: this.options.roomJid, 'machine-uid': this.options.machineUid },
      el('property', { name: 'rtcstatsEnabled', value: 'false' }),
    );
    for (let delay = 1000; ; delay = Math.min(READY_RETRY_LIMIT_MS, delay * 2)) {
      const answer = child(await this.connection.request('set', this.options.focusJid, request), 'conference', ns.FOCUS);
      this.focusUser = answer?.attributes.focusjid ?? this.focusUser;
      if (answer?.attributes.ready === 'true') return;
      await new Promise((resolve) => setTimeout(resolve, delay));
    }
  }

  private received(stanza: XmlElement): void {
    const from = stanza.attributes.from ?? '';
    if (stanza.name === 'iq') this.iqReceived(stanza);
    if (!from.startsWith(this.options.roomJid)) return;
    if (stanza.name === 'presence') this.presenceReceived(stanza);
    if (stanza.name === 'message') this.messageReceived(stanza);
  }

  private presenceReceived(stanza: XmlElement): void {
    if (stanza.attributes.type === 'error') {
      if (!this.joined) this.emit('refused', stanzaError(stanza));
      return;
    }
    const presence = parsePresence(stanza);
    if (presence === null || child(stanza, 'ignore', 'http://jitsi.org/jitmeet/') !== undefined) return;
    if (presence.id === this.id) {
      const first = !this.joined && presence.available;
      if (first) this.joined = true;
      this.emit('self', presence);
      if (!first) return;
      this.emit('joined', { id: this.id });
      // A device may have opened while the join was on its way.
      if (JSON.stringify(this.sources) !== this.toldSources) this.update();
      return;
    }
    if (this.isFocus(presence)) {
      if (!presence.available) this.emit('focusLeft', undefined);
      return;
    }
    this.emit(presence.available ? 'occupant' : 'left', presence);
  }

  private isFocus(presence: OccupantPresence): boolean {
    if (presence.id === FOCUS_NICK) return true;
    return this.focusUser !== '' && (presence.realJid ?? '').startsWith(`${this.focusUser}/`);
  }

  private messageReceived(stanza: XmlElement): void {
    const from = resourceOf(stanza.attributes.from ?? '');
    const type = stanza.attributes.type;
    const subject = child(stanza, 'subject');
    const body = text(child(stanza, 'body'));
    if (type === 'groupchat' && subject !== undefined && body === '') {
      this.emit('subject', text(subject));
      return;
    }
    if (body === '' || from === '' || (type !== 'groupchat' && type !== 'chat')) return;
    const id = stanza.attributes.id ?? randomHex(8);
    const stamp = child(stanza, 'delay', ns.DELAY)?.attributes.stamp;
    // After a rejoin the room repeats its history.
    if (this.seenIds.has(`${from}/${id}`)) return;
    this.seenIds.add(`${from}/${id}`);
    const time = stamp === undefined ? new Date() : new Date(stamp);
    this.emit('chat', { id, from, text: body, time, own: from === this.id, direct: type === 'chat', history: stamp !== undefined });
  }

  private iqReceived(iq: XmlElement): void {
    const jingle = child(iq, 'jingle', ns.JINGLE);
    if (jingle !== undefined) {
      if (iq.attributes.from !== this.focusAddress) {
        // A peer-to-peer session, which this client never takes part in.
        this.connection.refuse(iq, 'cancel', 'service-unavailable');
        return;
      }
      this.emit('jingle', { action: jingle.attributes.action ?? '', jingle, iq });
      return;
    }
    const query = child(iq, 'query', ns.DISCO_INFO);
    if (query !== undefined && iq.attributes.type === 'get') {
      this.connection.answer(iq, discoInfo(this.features, query.attributes.node));
      return;
    }
    const mute = children(iq, 'mute')[0];
    if (mute !== undefined && iq.attributes.from === this.focusAddress) {
      this.connection.answer(iq);
      const media = mute.attributes.xmlns === ns.MUTE_AUDIO ? 'audio' : mute.attributes.xmlns === ns.MUTE_DESKTOP ? 'desktop' : 'video';
      if (text(mute) === 'true') this.emit('muteRequest', { media, by: resourceOf(mute.attributes.actor ?? '') });
      return;
    }
    if (child(iq, 'ping', ns.PING) !== undefined) this.connection.answer(iq);
    else this.connection.refuse(iq, 'cancel', 'service-unavailable');
  }
}

/** The first eight characters of an anonymous localpart if they are hex digits (so that it outlives a resumption), else random. */
export function endpointId(jid: string): string {
  const start = jid.split('@')[0]!.slice(0, 8).toLowerCase();
  return jid.includes('@') && /^[0-9a-f]{8}$/.test(start) ? start : randomHex(4);
}

export function randomHex(bytes: number): string {
  return [...crypto.getRandomValues(new Uint8Array(bytes))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
