/** The deployment's `config.js`, reduced to what this client reads. */

interface StockConfig {
  hosts?: { domain?: string; muc?: string; focus?: string };
  websocket?: string;
  focusUserJid?: string;
  channelLastN?: number;
  startWithAudioMuted?: boolean;
  startWithVideoMuted?: boolean;
  flags?: { ssrcRewritingEnabled?: boolean };
  videoQuality?: { codecPreferenceOrder?: string[] };
  sluice?: { appName?: string; tagline?: string | null; logo?: string | null; accent?: string | null; links?: Link[]; codecPreferenceOrder?: string[] };
}

/** Shown at the foot of the start page and of the last page. */
export interface Link {
  text: string;
  url: string;
}

export interface ClientConfig {
  appName: string;
  tagline: string | null;
  /** Address of a picture in place of ours. */
  logo: string | null;
  /** `#rrggbb`. */
  accent: string | null;
  links: Link[];
  domain: string;
  muc: string;
  focus: string;
  /** `-1`: no limit. */
  lastN: number;
  startAudioMuted: boolean;
  startVideoMuted: boolean;
  ssrcRewriting: boolean;
  /** Lower case, most wanted first. */
  codecs: string[];
  webSocketUrl: (room: string) => string;
}

export function readConfig(): ClientConfig {
  return interpret((globalThis as { config?: StockConfig }).config ?? {}, new URL(location.href));
}

export function interpret(config: StockConfig, page: URL): ClientConfig {
  const domain = config.hosts?.domain ?? page.hostname;
  const codecs = config.sluice?.codecPreferenceOrder ?? ['VP8', 'VP9', 'H264', 'AV1'];
  return {
    appName: config.sluice?.appName ?? 'Sluice',
    tagline: config.sluice?.tagline ?? null,
    logo: config.sluice?.logo ?? null,
    accent: config.sluice?.accent ?? null,
    links: config.sluice?.links ?? [],
    domain,
    muc: config.hosts?.muc ?? `conference.${domain}`,
    focus: config.hosts?.focus ?? `focus.${domain}`,
    lastN: config.channelLastN ?? -1,
    startAudioMuted: config.startWithAudioMuted === true,
    startVideoMuted: config.startWithVideoMuted === true,
    ssrcRewriting: config.flags?.ssrcRewritingEnabled !== false,
    codecs: codecs.map((codec) => codec.toLowerCase()),
    webSocketUrl: (room) => webSocketUrl(config.websocket, room, page),
  };
}

/** A relative or absent address means the server of this page, by the same security. */
function webSocketUrl(configured: string | undefined, room: string, page: URL): string {
  const url = new URL(configured ?? '/xmpp-websocket', page);
  if (url.protocol === 'http:') url.protocol = 'ws:';
  if (url.protocol === 'https:') url.protocol = 'wss:';
  url.searchParams.set('room', room);
  url.hash = '';
  return url.href;
}

/** Room names are compared in lower case and in one Unicode form. */
export function normaliseRoom(name: string): string {
  return name.normalize('NFKC').trim().toLowerCase().replace(/\s+/g, '-');
}

/** The room's JID node: percent-encoded, lower case. */
export function roomNode(room: string): string {
  return encodeURIComponent(room).toLowerCase();
}
