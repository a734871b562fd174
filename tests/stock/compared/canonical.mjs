// One stanza as lines that two services would write alike: chance, time and addresses are named, order is kept where it says something.
import { parse } from '../match.mjs';

/** Children whose order says nothing to anybody. */
const UNORDERED = new Set(['presence', 'query', 'x', 'payload-type', 'services', 'mechanisms', 'features', 'transport', 'conference', 'source', 'jingle', 'permissions']);
/** Values that are chance by their name alone. */
const CHANCE = new Set(['ssrc', 'ufrag', 'pwd', 'port', 'priority', 'foundation', 'generation', 'ip', 'sid', 'username', 'password', 'expires', 'rel-port', 'rel-addr', 'ver', 'max', 'network', 'url', 'label']);

/** `known` is a list of [text, name], the longest text first. */
export function canonical(text, known) {
  return lines(parse(text), null, known, '');
}

/** What two services' stanzas are paired by. */
export function kind(text, known) {
  const element = parse(text);
  const first = element.getAttribute('type') === 'error' ? children(element).find((child) => child.localName === 'error') : children(element)[0];
  const what = first ? `${first.localName}${first.namespaceURI === element.namespaceURI ? '' : ` ${first.namespaceURI}`}` : '';
  const own = element.getAttribute('id') ?? '';
  const action = first?.getAttribute('action') ?? '';
  const from = value('from', element.getAttribute('from') ?? '', known);
  const stanza = ['iq', 'message', 'presence'].includes(element.localName);
  // Extensions of a presence come in any order.
  const inside = element.localName === 'presence' ? '' : `${what} ${action}`;
  return `<${element.localName} ${element.getAttribute('type') ?? ''} ${own.startsWith('own-') ? own : ''} ${from}> ${stanza ? inside : ''}`.replace(/ +/g, ' ');
}

function lines(element, parent, known, indent) {
  const attributes = [...element.attributes]
    .filter(({ name, value: given }) => !/^xmlns(:|$)/.test(name) && !(name === 'xml:lang' && given === 'en') && !(element.localName === 'error' && name === 'by') && !(name === 'id' && element.localName === 'presence'))
    .map(({ name, value: given }) => `${name}="${value(name, given, known)}"`)
    .sort();
  if (element.namespaceURI !== parent?.namespaceURI) attributes.push(`xmlns="${element.namespaceURI}"`);
  const said = children(element).length === 0 || ownText(element).trim() !== '' ? text(element, known) : '';
  const open = `${indent}<${[element.localName, ...attributes].join(' ')}>${said}`;
  // What humans read in an error, and who noticed it, is each service's own.
  let inner = children(element).filter((child) => !(element.localName === 'error' && child.localName === 'text')
    // An error may bring back what it answers, or not (RFC 6120 section 8.3.1).
    && !(parent === null && element.getAttribute('type') === 'error' && element.localName === 'iq' && child.localName !== 'error')).map((child) => lines(child, element, known, `${indent}  `));
  if (UNORDERED.has(element.localName)) inner.sort((a, b) => (a.join() < b.join() ? -1 : 1));
  // Codecs come in the order of preference; what stands between them does not matter.
  if (element.localName === 'description') inner.sort((a, b) => Number(/^ *<payload/.test(b[0])) - Number(/^ *<payload/.test(a[0])) || (/^ *<payload/.test(a[0]) || a.join() === b.join() ? 0 : a.join() < b.join() ? -1 : 1));
  // How many addresses a host has is not the protocol's.
  inner = inner.filter((child, index) => !/^ *<candidate/.test(child[0]) || inner.findIndex((other) => other[0] === child[0]) === index);
  return [open, ...inner.flat()];
}

function text(element, known) {
  const raw = ownText(element).trim();
  if (element.localName === 'fingerprint') return raw === '' ? '' : '{fingerprint}';
  if (/^[{[]/.test(raw)) {
    try { return JSON.stringify(sorted(JSON.parse(raw), known)); } catch { /* not JSON after all */ }
  }
  return value('', raw, known);
}

function sorted(json, known) {
  if (Array.isArray(json)) return json.map((item) => sorted(item, known));
  if (json !== null && typeof json === 'object') {
    return Object.fromEntries(Object.entries(json).map(([key, item]) => [value('', key, known), sorted(item, known)]).sort(([a], [b]) => (a < b ? -1 : 1)));
  }
  if (typeof json === 'number') return json > 65_535 ? '{number}' : json;
  return typeof json === 'string' ? value('', json, known) : json;
}

function value(name, given, known) {
  if (CHANCE.has(name) && given !== '') return `{${name}}`;
  let out = given;
  for (const [text_, alias] of known) out = out.replaceAll(text_, alias);
  if (name === 'id' && out !== '' && !out.startsWith('own-') && !/^\d+$/.test(out)) return '{id}';
  return out
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, '{uuid}')
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '{time}')
    .replace(/\b[0-9a-f]{16,}\b/g, '{hex}')
    .replace(/\b\d{7,}\b/g, '{number}');
}

const children = (element) => [...element.childNodes].filter((node) => node.nodeType === 1);
const ownText = (element) => [...element.childNodes].filter((node) => node.nodeType === 3 || node.nodeType === 4).map((node) => node.data).join('');
