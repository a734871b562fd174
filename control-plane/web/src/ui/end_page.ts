/** After the meeting: what happened, and the way back. */
import type { ClientConfig } from '../config.ts';
import type { ConferenceEvents } from '../conference.ts';
import { strings } from '../strings.ts';
import { links, logo } from './branding.ts';
import { h } from './dom.ts';
import { addressOf } from './start_page.ts';

export function showEndPage(root: HTMLElement, config: ClientConfig, room: string, reason: ConferenceEvents['ended']['reason'], detail?: string): void {
  const title = h('h1', { tabindex: '-1' }, strings.endedTitle[reason]);
  root.replaceChildren(
    h(
      'div',
      { class: 'start' },
      h('header', { class: 'brand' }, logo(config), h('span', {}, config.appName)),
      h(
        'main',
        { class: 'start-main end-main' },
        title,
        h('p', { class: 'hint' }, strings.endedHint[reason]),
        detail && h('p', { class: 'hint detail' }, detail),
        h('div', { class: 'end-actions' }, h('a', { class: 'button primary', href: addressOf(room) }, strings.rejoin), h('a', { class: 'button', href: '/' }, strings.backToStart)),
      ),
      ...links(config),
    ),
  );
  title.focus();
}
