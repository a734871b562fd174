/** Building page elements without a framework. */

type Child = Node | string | null | undefined | false;
type Listener = (event: never) => void;

/**
 * An element with attributes, listeners (`onclick: f`) and children.
 * `true` writes an empty attribute; false, null and undefined leave it out.
 */
export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Record<string, string | number | boolean | null | undefined | Listener> = {},
  ...children: (Child | Child[])[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === 'function') element.addEventListener(name.slice(2), value as EventListener);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  for (const child of children.flat()) if (child !== null && child !== undefined && child !== false) element.append(child);
  return element;
}

/** Sets an attribute only if it differs, so that assistive technology hears of real changes alone. */
export function setAttribute(element: Element, name: string, value: string | null): void {
  if (element.getAttribute(name) === value) return;
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** A stable colour for an identity, as a hue in degrees. */
export function hueOf(id: string): number {
  let hash = 2166136261;
  for (const char of id) hash = Math.imul(hash ^ char.codePointAt(0)!, 16777619);
  // Ids that differ in one digit should not look alike.
  hash = Math.imul(hash ^ (hash >>> 15), 2246822519);
  hash = Math.imul(hash ^ (hash >>> 13), 3266489917);
  return ((hash ^ (hash >>> 16)) >>> 0) % 360;
}

/** The round sign of a person; not read out, the name stands beside it. */
export function smallAvatar(id: string, name: string): HTMLElement {
  const avatar = h('div', { class: 'avatar tiny', 'aria-hidden': 'true' }, initials(name));
  // Through the object model: a strict content policy forbids style attributes.
  avatar.style.setProperty('--hue', String(hueOf(id)));
  return avatar;
}

/** At most two letters. */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/).filter(Boolean);
  const letters = words.length > 1 ? [words[0]!, words[words.length - 1]!] : words;
  return letters.map((word) => [...word][0]!.toUpperCase()).join('') || '?';
}
