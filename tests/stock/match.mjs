// XML patterns: every element, attribute and text of the pattern must be in the frame; what else the frame holds is free.
//
// `*` in a value stands for any text; `{name}` for a value known from before; `{?name}` takes the value for later.
// `not=''` on an element of a pattern: no such element may be there.
import { DOMParser } from '@xmldom/xmldom';

export function parse(text) {
  const parser = new DOMParser({ onError: (level, message) => { throw new Error(`${level}: ${message} in ${text}`); } });
  return parser.parseFromString(text, 'text/xml').documentElement;
}

/** Null if it does not match, otherwise the values taken. */
export function match(pattern, frame, known) {
  const taken = {};
  return matches(parse(pattern), frame, known, taken) ? taken : null;
}

function matches(pattern, element, known, taken) {
  if (pattern.localName !== element.localName) return false;
  // A pattern without a declaration of its own leaves the namespace open.
  if (pattern.hasAttribute('xmlns') && pattern.getAttribute('xmlns') !== element.namespaceURI) return false;
  for (const { name, value } of [...pattern.attributes]) {
    if (name === 'xmlns' || name === 'not') continue;
    if (!element.hasAttribute(name) || !fits(value, element.getAttribute(name), known, taken)) return false;
  }
  const text = ownText(pattern).trim();
  if (text !== '' && !fits(text, ownText(element), known, taken)) return false;
  return children(pattern).every((child) => {
    const found = children(element).some((candidate) => matches(child, candidate, known, taken));
    return child.hasAttribute('not') ? !found : found;
  });
}

function fits(pattern, value, known, taken) {
  let source = '';
  const names = [];
  for (const piece of pattern.split(/(\*|\{\??[\w.]+\})/)) {
    const name = /^\{(\??)([\w.]+)\}$/.exec(piece);
    if (piece === '*') source += '[^]*';
    else if (name === null) source += escaped(piece);
    else if (name[1] === '?') {
      names.push(name[2]);
      source += '([^]*)';
    } else {
      if (!(name[2] in known)) throw new Error(`{${name[2]}} is not known`);
      source += escaped(known[name[2]]);
    }
  }
  const found = new RegExp(`^${source}$`).exec(value);
  names.forEach((name, index) => { if (found !== null) taken[name] = found[index + 1]; });
  return found !== null;
}

const escaped = (text) => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
const children = (element) => [...element.childNodes].filter((node) => node.nodeType === 1);
const ownText = (element) => [...element.childNodes].filter((node) => node.nodeType === 3 || node.nodeType === 4).map((node) => node.data).join('');

/** Stock clients compare tag names and literal `xmlns` attributes: no prefix but `stream:`, a declaration wherever the namespace changes. */
export function written(element, parent = null) {
  const wrong = [];
  if (element.prefix && element.prefix !== 'stream') wrong.push(`<${element.tagName}> has a prefix`);
  const declared = element.getAttribute(element.prefix ? `xmlns:${element.prefix}` : 'xmlns');
  if (element.namespaceURI !== parent?.namespaceURI && declared !== element.namespaceURI) wrong.push(`<${element.tagName}> does not declare its namespace`);
  return wrong.concat(...children(element).map((child) => written(child, element)));
}
