/** Modal dialogues on the browser's own dialog element, which keeps focus inside and gives it back. */
import { strings } from '../strings.ts';
import { h } from './dom.ts';
import { icon } from './icons.ts';

function open(title: string, body: Node[], className = ''): HTMLDialogElement {
  const close = h('button', { type: 'button', class: 'round', 'aria-label': strings.close }, icon('close'));
  const dialog = h('dialog', { class: `dialog ${className}`, 'aria-label': title }, h('header', {}, h('h2', {}, title), close), ...body);
  close.addEventListener('click', () => dialog.close());
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

export function showHelp(): void {
  const known = document.querySelector<HTMLDialogElement>('dialog.help');
  if (known !== null) {
    known.close();
    return;
  }
  const rows = strings.shortcuts.map(([key, meaning]) => h('div', { class: 'shortcut' }, h('dt', {}, h('kbd', {}, key)), h('dd', {}, meaning)));
  open(strings.help, [h('dl', {}, rows)], 'help');
}

/** Resolves with the password, or null if the dialogue was closed. */
export function askPassword(wrong: boolean): Promise<string | null> {
  return new Promise((resolve) => {
    let given: string | null = null;
    const input = h('input', { type: 'password', class: 'field', autocomplete: 'off', required: true, 'aria-label': strings.passwordLabel, 'aria-invalid': wrong ? 'true' : null });
    const form = h('form', { class: 'password-form' }, wrong && h('p', { class: 'warning', role: 'alert' }, strings.passwordWrong), input, h('button', { class: 'button primary' }, strings.enter));
    const dialog = open(strings.passwordTitle, [form]);
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      given = input.value;
      dialog.close();
    });
    dialog.addEventListener('close', () => resolve(given));
    input.focus();
  });
}
