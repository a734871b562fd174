/** The XMPP stream over a WebSocket (RFC 7395): strophe, with pings (XEP-0199) and reconnection. */
import { Strophe } from 'strophe.js';
import { Emitter } from '../emitter.ts';
import * as ns from './ns.ts';
import { StanzaError, stanzaError } from './stanza_error.ts';
import { el, fromDom, serialise, type DomElementLike, type XmlElement } from './xml.ts';

const PING_INTERVAL_MS = 10_000;
const PING_TIMEOUT_MS = 5_000;
const PINGS_LOST_LIMIT = 2;
const IQ_TIMEOUT_MS = 15_000;
const CONNECT_TIMEOUT_MS = 12_000;
const RETRY_FIRST_MS = 800;
const RETRY_LIMIT_MS = 15_000;

export interface ConnectionEvents {
  /** A stream is up; the JID is fresh each time. */
  connected: { jid: string };
  /** The stream went away; a new one will be tried in `retryInMs`. */
  lost: { reason: string; retryInMs: number };
  stanza: XmlElement;
}

type StropheConnection = InstanceType<typeof Strophe.Connection>;

export class Connection extends Emitter<ConnectionEvents> {
  private stream: StropheConnection | null = null;
  private up = false;
  private closed = false;
  private attempts = 0;
  private lastHeard = 0;
  private pingsLost = 0;
  private retryTimer = 0;
  private pingTimer = 0;
  private connectTimer = 0;
  private nextId = 1;
  private readonly pending = new Map<string, { resolve: (answer: XmlElement) => void; reject: (error: StanzaError) => void; timer: number }>();
  private readonly onOnline = (): void => this.retryNow();

  constructor(
    private readonly url: string,
    private readonly domain: string,
  ) {
    super();
  }

  open(): void {
    this.closed = false;
    globalThis.addEventListener('online', this.onOnline);
    this.connect();
  }

  /** Ends the stream for good, after `last` stanzas were written. */
  close(last: XmlElement[] = []): void {
    for (const stanza of last) this.send(stanza);
    this.closed = true;
    globalThis.removeEventListener('online', this.onOnline);
    clearTimeout(this.retryTimer);
    const stream = this.stream;
    this.detach('closed');
    if (stream !== null) {
      stream.flush();
      stream.disconnect('leaving');
    }
  }

  get isUp(): boolean {
    return this.up;
  }

  send(stanza: XmlElement): void {
    if (this.stream === null || !this.up) return;
    this.stream.send(new DOMParser().parseFromString(serialise(stanza), 'text/xml').documentElement);
  }

  /** Sends an IQ of `type` and waits for its answer. */
  request(type: 'get' | 'set', to: string, payload: XmlElement, timeoutMs = IQ_TIMEOUT_MS): Promise<XmlElement> {
    const id = `s${this.nextId++}`;
    return new Promise((resolve, reject) => {
      if (!this.up) {
        reject(new StanzaError('disconnected', ''));
        return;
      }
      const timer = window.setTimeout(() => this.settle(id, new StanzaError('timeout', `no answer from ${to}`)), timeoutMs);
      this.pending.set(id, { resolve, reject, timer });
      this.send(el('iq', { xmlns: ns.CLIENT, type, to, id }, payload));
    });
  }

  answer(iq: XmlElement, ...payload: XmlElement[]): void {
    this.send(el('iq', { xmlns: ns.CLIENT, type: 'result', to: iq.attributes.from, id: iq.attributes.id }, payload));
  }

  refuse(iq: XmlElement, errorType: string, condition: string, ...extra: XmlElement[]): void {
    this.send(
      el(
        'iq',
        { xmlns: ns.CLIENT, type: 'error', to: iq.attributes.from, id: iq.attributes.id },
        el('error', { type: errorType }, el(condition, { xmlns: ns.STANZAS }), extra),
      ),
    );
  }

  /** Skips what is left of a retry delay. */
  retryNow(): void {
    if (this.closed || this.stream !== null) return;
    clearTimeout(this.retryTimer);
    this.connect();
  }

  /** Drops the stream as a network would; for tests and for a stream that no longer answers. */
  drop(reason: string): void {
    const stream = this.stream;
    if (stream === null) return;
    this.lose(reason);
    try {
      stream.disconnect(reason);
    } catch {
      // The socket may be past all use; it is abandoned either way.
    }
  }

  private connect(): void {
    const stream = new Strophe.Connection(this.url, { mechanisms: [Strophe.SASLAnonymous] });
    this.stream = stream;
    stream.connect(this.domain, '', (status: number, condition?: string | null) => this.statusChanged(stream, status, condition ?? ''));
    this.connectTimer = window.setTimeout(() => {
      if (this.stream === stream && !this.up) this.drop('no answer');
    }, CONNECT_TIMEOUT_MS);
  }

  private statusChanged(stream: StropheConnection, status: number, condition: string): void {
    if (stream !== this.stream) return;
    switch (status) {
      case Strophe.Status.CONNECTED:
        this.started(stream);
        break;
      case Strophe.Status.CONNFAIL:
      case Strophe.Status.AUTHFAIL:
      case Strophe.Status.CONNTIMEOUT:
      case Strophe.Status.DISCONNECTED:
      case Strophe.Status.ERROR:
        this.lose(condition || 'disconnected');
        break;
      default:
        break;
    }
  }

  private started(stream: StropheConnection): void {
    clearTimeout(this.connectTimer);
    this.up = true;
    this.attempts = 0;
    this.pingsLost = 0;
    this.lastHeard = performance.now();
    stream.addHandler((stanza: Element) => {
      if (stream === this.stream) this.received(fromDom(stanza as unknown as DomElementLike));
      return true;
    }, null, null, null);
    this.pingTimer = window.setInterval(() => void this.ping(), PING_INTERVAL_MS);
    this.emit('connected', { jid: stream.jid });
  }

  private received(stanza: XmlElement): void {
    this.lastHeard = performance.now();
    const type = stanza.attributes.type;
    if (stanza.name === 'iq' && (type === 'result' || type === 'error')) {
      const id = stanza.attributes.id ?? '';
      this.settle(id, type === 'result' ? stanza : stanzaError(stanza));
      return;
    }
    this.emit('stanza', stanza);
  }

  private settle(id: string, outcome: XmlElement | StanzaError): void {
    const waiting = this.pending.get(id);
    if (waiting === undefined) return;
    this.pending.delete(id);
    clearTimeout(waiting.timer);
    if (outcome instanceof StanzaError) waiting.reject(outcome);
    else waiting.resolve(outcome);
  }

  private async ping(): Promise<void> {
    if (performance.now() - this.lastHeard < PING_INTERVAL_MS - 500) return;
    const stream = this.stream;
    try {
      await this.request('get', this.domain, el('ping', { xmlns: ns.PING }), PING_TIMEOUT_MS);
      this.pingsLost = 0;
    } catch (error) {
      // An error answer is an answer.
      if (!(error instanceof StanzaError) || error.condition !== 'timeout' || stream !== this.stream) return;
      this.pingsLost += 1;
      if (this.pingsLost >= PINGS_LOST_LIMIT) this.drop('no answer to pings');
    }
  }

  private lose(reason: string): void {
    this.detach(reason);
    if (this.closed) return;
    const delay = Math.min(RETRY_LIMIT_MS, RETRY_FIRST_MS * 2 ** this.attempts) * (0.75 + Math.random() / 2);
    this.attempts += 1;
    this.emit('lost', { reason, retryInMs: delay });
    this.retryTimer = window.setTimeout(() => this.retryNow(), delay);
  }

  private detach(reason: string): void {
    this.stream = null;
    this.up = false;
    clearInterval(this.pingTimer);
    clearTimeout(this.connectTimer);
    for (const id of [...this.pending.keys()]) this.settle(id, new StanzaError('disconnected', reason));
  }
}
