/** The look that the operator chose: logo, accent colour, links. */
import type { ClientConfig } from '../config.ts';
import { h } from './dom.ts';
import { icon } from './icons.ts';

/** The operator's picture, or ours. Its name stands beside it, so it needs no text of its own. */
export function logo(config: ClientConfig): Element {
  return config.logo === null ? icon('logo') : h('img', { class: 'logo', src: config.logo, alt: '' });
}

/** Links at the foot of a page; nothing where there are none. */
export function links(config: ClientConfig): HTMLElement[] {
  if (config.links.length === 0) return [];
  return [h('footer', { class: 'links' }, ...config.links.map((link) => h('a', { href: link.url, rel: 'noopener', target: '_blank' }, link.text)))];
}

/** Puts the accent colour in place, with the text on it dark or light, whichever can be read. */
export function applyAccent(config: ClientConfig, root: HTMLElement = document.documentElement): void {
  if (config.accent === null) return;
  root.style.setProperty('--accent', config.accent);
  root.style.setProperty('--accent-strong', config.accent);
  root.style.setProperty('--on-accent', luminance(config.accent) > 0.18 ? '#000000' : '#ffffff');
}

/** Relative luminance (WCAG 2.2) of `#rrggbb`; 0.18 is where black and white text are equally far. */
export function luminance(colour: string): number {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const share = parseInt(colour.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
