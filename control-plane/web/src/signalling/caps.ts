/** What this client says of itself (XEP-0030, XEP-0115). */
import * as ns from './ns.ts';
import { el, type XmlElement } from './xml.ts';

export const NODE = 'https://jitsi.org/jitsi-meet';
const IDENTITY = { category: 'client', type: 'web', name: 'Sluice' };

const FEATURES = [
  ns.DISCO_INFO,
  ns.CAPS,
  'http://jitsi.org/json-encoded-sources',
  'http://jitsi.org/receive-multiple-video-streams',
  'http://jitsi.org/source-name',
  'http://jitsi.org/ssrc-rewriting-1',
  'http://jitsi.org/opus-red',
  'http://jitsi.org/tcc',
  'http://jitsi.org/remb',
  'urn:ietf:rfc:4588',
  'urn:ietf:rfc:5761',
  'urn:ietf:rfc:5888',
  'urn:xmpp:jingle:1',
  'urn:xmpp:jingle:apps:dtls:0',
  'urn:xmpp:jingle:apps:rtp:1',
  'urn:xmpp:jingle:apps:rtp:audio',
  'urn:xmpp:jingle:apps:rtp:video',
  'urn:xmpp:jingle:transports:dtls-sctp:1',
  'urn:xmpp:jingle:transports:ice-udp:1',
];

/** Our features; without SSRC rewriting the focus signals every source itself. */
export function features(ssrcRewriting: boolean): string[] {
  const absent = [...(ssrcRewriting ? [] : ['http://jitsi.org/ssrc-rewriting-1']), ...(playsRedundantAudio() ? [] : ['http://jitsi.org/opus-red'])];
  return FEATURES.filter((feature) => !absent.includes(feature)).sort();
}

/** RFC 2198, which not every browser knows. */
function playsRedundantAudio(): boolean {
  const capabilities = globalThis.RTCRtpReceiver?.getCapabilities?.('audio');
  return capabilities?.codecs.some((codec) => codec.mimeType.toLowerCase() === 'audio/red') ?? false;
}

/** The string that XEP-0115 §5.1 hashes. */
export function verificationString(list: string[]): string {
  return `${IDENTITY.category}/${IDENTITY.type}//${IDENTITY.name}<${list.map((feature) => `${feature}<`).join('')}`;
}

/** SHA-1 in base64; where the page may not hash, a fixed word that tells clients of equal features apart from others. */
export async function verification(list: string[]): Promise<string> {
  const subtle = globalThis.crypto?.subtle;
  if (subtle === undefined) return `sluice-${list.length}`;
  const digest = await subtle.digest('SHA-1', new TextEncoder().encode(verificationString(list)));
  return btoa(String.fromCharCode(...new Uint8Array(digest)));
}

export function capsElement(ver: string): XmlElement {
  return el('c', { xmlns: ns.CAPS, hash: 'sha-1', node: NODE, ver });
}

/** The answer to a disco#info query, with the node that was asked for. */
export function discoInfo(list: string[], node: string | undefined): XmlElement {
  return el(
    'query',
    { xmlns: ns.DISCO_INFO, node },
    el('identity', IDENTITY),
    list.map((feature) => el('feature', { var: feature })),
  );
}
