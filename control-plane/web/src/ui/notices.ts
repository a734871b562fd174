/** What the page tells in passing: toasts, the banner, and the words that only screen readers hear. */
import { h, setText } from './dom.ts';
import { icon } from './icons.ts';
import { strings } from '../strings.ts';

const TOAST_MS = 4_500;
const TOASTS_LIMIT = 4;

export class Notices {
  readonly element: HTMLElement;
  private readonly toasts: HTMLElement;
  private readonly polite: HTMLElement;
  private readonly banner: HTMLElement;
  private readonly bannerText: HTMLElement;
  private readonly bannerAction: HTMLButtonElement;
  private action: (() => void) | null = null;

  constructor() {
    this.toasts = h('div', { class: 'toasts' });
    this.polite = h('div', { class: 'for-readers', 'aria-live': 'polite', role: 'log' });
    this.bannerText = h('span', {});
    this.bannerAction = h('button', { type: 'button', class: 'button small', onclick: () => this.action?.() });
    this.banner = h('div', { class: 'banner', role: 'alert', hidden: true }, h('span', { class: 'spinner', 'aria-hidden': 'true' }), this.bannerText, this.bannerAction);
    this.element = h('div', { class: 'notices' }, this.banner, this.toasts, this.polite);
  }

  /** Shown for a moment and read out. */
  toast(text: string, kind: 'info' | 'warning' = 'info'): void {
    this.say(text);
    const close = h('button', { type: 'button', class: 'toast-close', 'aria-label': strings.close }, icon('close'));
    const toast = h('div', { class: `toast ${kind}` }, h('span', {}, text), close);
    const remove = (): void => toast.remove();
    close.addEventListener('click', remove);
    this.toasts.append(toast);
    while (this.toasts.childElementCount > TOASTS_LIMIT) this.toasts.firstElementChild!.remove();
    setTimeout(remove, kind === 'warning' ? TOAST_MS * 2 : TOAST_MS);
  }

  /** Read out only. */
  say(text: string): void {
    this.polite.append(h('p', {}, text));
    while (this.polite.childElementCount > 5) this.polite.firstElementChild!.remove();
  }

  /** A lasting condition; null takes it away. */
  setBanner(text: string | null, busy = true, action?: { label: string; run: () => void }): void {
    this.banner.hidden = text === null;
    this.banner.classList.toggle('is-busy', busy);
    setText(this.bannerText, text ?? '');
    this.bannerAction.hidden = action === undefined;
    if (action !== undefined) setText(this.bannerAction, action.label);
    this.action = action?.run ?? null;
  }
}
