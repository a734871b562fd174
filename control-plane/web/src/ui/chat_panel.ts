/** Group chat beside the stage. */
import { strings } from '../strings.ts';
import { h, smallAvatar } from './dom.ts';
import { icon } from './icons.ts';

export interface ShownMessage {
  from: string;
  name: string;
  text: string;
  time: Date;
  own: boolean;
  direct: boolean;
}

const MESSAGES_LIMIT = 500;
/** Messages of one person this close together share a heading. */
const SAME_BREATH_MS = 120_000;

export class ChatPanel {
  readonly element: HTMLElement;
  private readonly list: HTMLElement;
  private readonly empty: HTMLElement;
  private readonly input: HTMLTextAreaElement;
  private last: ShownMessage | null = null;

  constructor(onSay: (text: string) => void, onClose: () => void) {
    this.empty = h('p', { class: 'panel-empty' }, strings.chatEmpty);
    this.list = h('div', { class: 'messages', tabindex: '0', 'aria-label': strings.chat }, this.empty);
    this.input = h('textarea', { class: 'field', rows: '1', placeholder: strings.chatPlaceholder, 'aria-label': strings.chatPlaceholder, maxlength: '4000' });
    const form = h('form', { class: 'chat-form' }, this.input, h('button', { class: 'round accent', 'aria-label': strings.send }, icon('send')));
    const submit = (): void => {
      const text = this.input.value.trim();
      if (text === '') return;
      onSay(text);
      this.input.value = '';
      this.grow();
    };
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      submit();
    });
    this.input.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      submit();
    });
    this.input.addEventListener('input', () => this.grow());
    this.element = h(
      'aside',
      { class: 'panel', 'aria-label': strings.chat, hidden: true },
      h('header', {}, h('h2', {}, strings.chat), h('button', { type: 'button', class: 'round', 'aria-label': strings.close, onclick: onClose }, icon('close'))),
      this.list,
      form,
    );
  }

  add(message: ShownMessage): void {
    this.empty.remove();
    const last = this.last;
    const continued = last !== null && last.from === message.from && message.time.getTime() - last.time.getTime() < SAME_BREATH_MS && !message.direct && !last.direct;
    const atEnd = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 60;
    const time = message.time.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
    const body = h('div', { class: 'message-text' }, ...linked(message.text));
    const heading = h('div', { class: 'message-head' }, h('strong', {}, message.own ? strings.you : message.name), h('time', {}, message.direct ? `${strings.direct} · ${time}` : time));
    const avatar = smallAvatar(message.from, message.name);
    this.list.append(h('div', { class: `message${message.own ? ' own' : ''}${continued ? ' continued' : ''}` }, !continued && avatar, h('div', { class: 'message-body' }, !continued && heading, body)));
    while (this.list.childElementCount > MESSAGES_LIMIT) this.list.firstElementChild!.remove();
    this.last = message;
    if (atEnd || message.own) this.list.scrollTop = this.list.scrollHeight;
  }

  opened(): void {
    this.list.scrollTop = this.list.scrollHeight;
    this.input.focus();
  }

  private grow(): void {
    this.input.style.height = 'auto';
    this.input.style.height = `${Math.min(140, this.input.scrollHeight + 2)}px`;
  }
}

/** The text with web addresses as links; everything else stays text. */
function linked(text: string): Node[] {
  return text.split(/(https?:\/\/[^\s<>"']+)/).map((part, index) =>
    index % 2 === 1 ? h('a', { href: part, target: '_blank', rel: 'noopener noreferrer nofollow' }, part) : document.createTextNode(part),
  );
}
