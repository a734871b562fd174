/** The start page: a name for the meeting, and the ones before. */
import type { ClientConfig } from '../config.ts';
import { normaliseRoom } from '../config.ts';
import { forgetRoom, recentRooms, suggestedRoom } from '../rooms.ts';
import { strings } from '../strings.ts';
import { links, logo } from './branding.ts';
import { h } from './dom.ts';
import { icon } from './icons.ts';

export function showStartPage(root: HTMLElement, config: ClientConfig): void {
  const suggestion = suggestedRoom();
  const input = h('input', { id: 'room', class: 'field', type: 'text', placeholder: suggestion, autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false', maxlength: '120', 'aria-describedby': 'start-hint' });
  const form = h(
    'form',
    { class: 'start-form' },
    h('label', { for: 'room' }, strings.roomLabel),
    h('div', { class: 'start-row' }, input, h('button', { class: 'button primary' }, strings.start)),
    h('p', { id: 'start-hint', class: 'hint' }, strings.startHint),
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    location.assign(addressOf(input.value || suggestion));
  });
  const recent = h('section', { class: 'recent', 'aria-label': strings.recent });
  fillRecent(recent);
  root.replaceChildren(
    h(
      'div',
      { class: 'start' },
      h('header', { class: 'brand' }, logo(config), h('span', {}, config.appName)),
      h('main', { class: 'start-main' }, h('h1', {}, config.tagline ?? strings.tagline), form, recent),
      ...links(config),
    ),
  );
  document.title = config.appName;
  if (matchMedia('(pointer: fine)').matches) input.focus();
}

/** The page of a meeting. */
export function addressOf(room: string): string {
  return `/${encodeURIComponent(normaliseRoom(room).replaceAll('/', '-'))}`;
}

function fillRecent(section: HTMLElement): void {
  const rooms = recentRooms();
  section.hidden = rooms.length === 0;
  const entry = ({ room, at }: { room: string; at: number }): HTMLElement => {
    const forget = h('button', { type: 'button', class: 'round small', 'aria-label': strings.forget(room), title: strings.forget(room) }, icon('close'));
    forget.addEventListener('click', () => {
      forgetRoom(room);
      fillRecent(section);
    });
    return h('li', {}, h('a', { href: addressOf(room) }, h('span', { class: 'recent-room' }, room), h('time', {}, whenOf(at))), forget);
  };
  section.replaceChildren(h('h2', {}, strings.recent), h('ul', {}, rooms.map(entry)));
}

function whenOf(at: number): string {
  const days = Math.floor((new Date().setHours(0, 0, 0, 0) - new Date(at).setHours(0, 0, 0, 0)) / 86_400_000);
  if (days < 7) {
    const day = new Intl.RelativeTimeFormat('en', { numeric: 'auto' }).format(-days, 'day');
    return day.charAt(0).toUpperCase() + day.slice(1);
  }
  return new Date(at).toLocaleDateString('en', { day: 'numeric', month: 'short' });
}
