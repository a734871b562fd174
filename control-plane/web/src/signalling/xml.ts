/** A small XML tree: built with `el`, written with `serialise`, read from the DOM with `fromDom`. */

export type XmlNode = XmlElement | string;

export interface XmlElement {
  name: string;
  attributes: Record<string, string>;
  children: XmlNode[];
}

/** The part of the DOM that `fromDom` reads; the browser's and a test parser's elements both fit. */
export interface DomElementLike {
  readonly nodeType: number;
  readonly nodeName: string;
  readonly localName?: string | null;
  readonly namespaceURI?: string | null;
  readonly nodeValue?: string | null;
  readonly attributes?: ArrayLike<{ name: string; value: string }>;
  readonly childNodes: ArrayLike<unknown>;
}

type AttributeValue = string | number | boolean | null | undefined;

/** An element; attributes that are null or undefined, and children that are null or false, are left out. */
export function el(
  name: string,
  attributes: Record<string, AttributeValue> = {},
  ...children: (XmlNode | XmlNode[] | null | undefined | false)[]
): XmlElement {
  const kept: Record<string, string> = {};
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) kept[key] = String(value);
  }
  const nodes: XmlNode[] = [];
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) nodes.push(...child);
    else nodes.push(child);
  }
  return { name, attributes: kept, children: nodes };
}

/** Without prefixes: every element carries the `xmlns` it was given. */
export function serialise(node: XmlNode): string {
  if (typeof node === 'string') return escapeXml(node);
  let head = `<${node.name}`;
  for (const [key, value] of Object.entries(node.attributes)) head += ` ${key}="${escapeXml(value)}"`;
  if (node.children.length === 0) return `${head}/>`;
  return `${head}>${node.children.map(serialise).join('')}</${node.name}>`;
}

/** Copies a DOM element; every element gets its namespace as an explicit `xmlns` attribute. */
export function fromDom(dom: DomElementLike): XmlElement {
  const element: XmlElement = { name: dom.localName ?? dom.nodeName, attributes: {}, children: [] };
  if (dom.namespaceURI) element.attributes.xmlns = dom.namespaceURI;
  const attributes = dom.attributes ?? [];
  for (let i = 0; i < attributes.length; i++) {
    const attribute = attributes[i]!;
    if (attribute.name !== 'xmlns' && !attribute.name.startsWith('xmlns:')) element.attributes[attribute.name] = attribute.value;
  }
  for (let i = 0; i < dom.childNodes.length; i++) {
    const node = dom.childNodes[i] as DomElementLike;
    if (node.nodeType === 1) element.children.push(fromDom(node));
    else if (node.nodeType === 3 || node.nodeType === 4) element.children.push(node.nodeValue ?? '');
  }
  return element;
}

/** First child element of that name; of that namespace too when `xmlns` is given. */
export function child(parent: XmlElement | undefined, name: string, xmlns?: string): XmlElement | undefined {
  return parent === undefined ? undefined : children(parent, name, xmlns)[0];
}

export function children(parent: XmlElement, name?: string, xmlns?: string): XmlElement[] {
  return parent.children.filter(
    (node): node is XmlElement =>
      typeof node !== 'string' &&
      (name === undefined || node.name === name) &&
      (xmlns === undefined || node.attributes.xmlns === xmlns),
  );
}

export function text(element: XmlElement | undefined): string {
  if (element === undefined) return '';
  return element.children.map((node) => (typeof node === 'string' ? node : '')).join('');
}

export function escapeXml(value: string): string {
  return value
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/"/g, '&quot;')
    .replace(/'/g, '&apos;')
    // Control characters are not XML 1.0 and would end the stream.
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '');
}
