/** The bridge channel: colibri JSON messages over the offered data channel, else over a WebSocket. */
import { Emitter } from '../emitter.ts';

const RETRY_FIRST_MS = 1_000;
const RETRY_LIMIT_MS = 60_000;

export interface BridgeMessage {
  colibriClass: string;
  [field: string]: unknown;
}

export interface BridgeChannelEvents {
  open: undefined;
  closed: undefined;
  message: BridgeMessage;
}

export class BridgeChannel extends Emitter<BridgeChannelEvents> {
  private socket: WebSocket | null = null;
  private attempts = 0;
  private retryTimer = 0;
  private ended = false;

  /** `channel` wins; without it `urls` are tried in turn until `close`. */
  constructor(
    private readonly channel: RTCDataChannel | null,
    private readonly urls: string[],
  ) {
    super();
    if (channel === null) {
      if (urls.length > 0) this.connect();
      return;
    }
    channel.onopen = () => this.emit('open', undefined);
    channel.onclose = () => this.emit('closed', undefined);
    channel.onmessage = (event: MessageEvent) => this.received(event.data);
  }

  get kind(): 'datachannel' | 'websocket' | 'none' {
    if (this.channel !== null) return 'datachannel';
    return this.urls.length > 0 ? 'websocket' : 'none';
  }

  get isOpen(): boolean {
    return this.channel?.readyState === 'open' || this.socket?.readyState === WebSocket.OPEN;
  }

  /** Sends if open; what matters is sent again when the channel opens. */
  send(message: BridgeMessage): void {
    const text = JSON.stringify(message);
    if (this.channel?.readyState === 'open') this.channel.send(text);
    else if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(text);
  }

  close(): void {
    this.ended = true;
    clearTimeout(this.retryTimer);
    this.socket?.close(1000);
    this.channel?.close();
  }

  private connect(): void {
    const socket = new WebSocket(this.urls[this.attempts % this.urls.length]!);
    this.socket = socket;
    socket.onopen = () => {
      this.attempts = 0;
      this.emit('open', undefined);
    };
    socket.onmessage = (event: MessageEvent) => this.received(event.data);
    socket.onclose = () => {
      this.emit('closed', undefined);
      if (this.ended) return;
      const delay = Math.min(RETRY_LIMIT_MS, RETRY_FIRST_MS * 2 ** this.attempts);
      this.attempts += 1;
      this.retryTimer = window.setTimeout(() => this.connect(), delay);
    };
  }

  private received(data: unknown): void {
    if (typeof data !== 'string') return;
    let message: unknown;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    if (typeof (message as BridgeMessage | null)?.colibriClass === 'string') this.emit('message', message as BridgeMessage);
  }
}

/** The offered addresses and, where the page came by another name or scheme, the same path at the page's own server. */
export function channelUrls(offered: string[], page: URL): string[] {
  const urls: string[] = [];
  for (const address of offered) {
    const own = new URL(address);
    own.protocol = page.protocol === 'https:' ? 'wss:' : 'ws:';
    own.host = page.host;
    const sameHost = new URL(address).hostname === page.hostname;
    // The page's own server first when it is the same machine: no second certificate to accept.
    for (const url of sameHost ? [own.href, address] : [address, own.href]) if (!urls.includes(url)) urls.push(url);
  }
  return urls;
}
