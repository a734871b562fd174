/** Stanza errors (RFC 6120 §8.3). */
import * as ns from './ns.ts';
import { child, children, text, type XmlElement } from './xml.ts';

/** An error answer to one of our IQs, or its absence (condition `timeout`). */
export class StanzaError extends Error {
  constructor(
    readonly condition: string,
    readonly text: string,
    readonly element?: XmlElement,
  ) {
    super(text || condition);
  }
}

/** The condition and text of an error stanza. */
export function stanzaError(stanza: XmlElement): StanzaError {
  const error = child(stanza, 'error');
  const condition = error === undefined ? undefined : children(error).find((node) => node.name !== 'text' && node.attributes.xmlns === ns.STANZAS);
  return new StanzaError(condition?.name ?? 'undefined-condition', text(child(error, 'text')), error);
}
