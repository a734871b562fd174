/** The row of controls at the foot of the meeting. */
import { screenShareAllowed } from '../media/devices.ts';
import { strings } from '../strings.ts';
import { h, setAttribute, setText } from './dom.ts';
import { icon, type IconName } from './icons.ts';

export interface ToolbarActions {
  toggleAudio(): void;
  toggleVideo(): void;
  toggleShare(): void;
  toggleLayout(): void;
  toggleChat(): void;
  togglePeople(): void;
  toggleDevices(): void;
  help(): void;
  leave(): void;
}

export interface ToolbarState {
  audioMuted: boolean;
  videoMuted: boolean;
  sharing: boolean;
  speakerLayout: boolean;
  chatOpen: boolean;
  peopleOpen: boolean;
  devicesOpen: boolean;
  unread: number;
  people: number;
}

export class Toolbar {
  readonly element: HTMLElement;
  readonly devicesButton: HTMLButtonElement;
  private readonly audio = control('mic', 'M');
  private readonly video = control('camera', 'V');
  private readonly share = control('share', 'S');
  private readonly layout = control('grid', 'G');
  private readonly chat = control('chat', 'C');
  private readonly people = control('people', 'P');
  private readonly devices = control('settings', '');
  private readonly helpButton = control('help', '?');
  private readonly unread = h('span', { class: 'count', hidden: true });
  private readonly peopleCount = h('span', { class: 'count quiet' });

  constructor(actions: ToolbarActions) {
    const leave = h('button', { type: 'button', class: 'control leave', 'aria-label': strings.leave, title: strings.leave, onclick: () => actions.leave() }, icon('leave'));
    this.audio.button.addEventListener('click', () => actions.toggleAudio());
    this.video.button.addEventListener('click', () => actions.toggleVideo());
    this.share.button.addEventListener('click', () => actions.toggleShare());
    this.layout.button.addEventListener('click', () => actions.toggleLayout());
    this.chat.button.addEventListener('click', () => actions.toggleChat());
    this.people.button.addEventListener('click', () => actions.togglePeople());
    this.devices.button.addEventListener('click', () => actions.toggleDevices());
    this.helpButton.button.addEventListener('click', () => actions.help());
    this.chat.button.append(this.unread);
    this.people.button.append(this.peopleCount);
    this.devicesButton = this.devices.button;
    this.share.button.hidden = !screenShareAllowed();
    this.helpButton.button.classList.add('wide-only');
    this.layout.set('grid', strings.layoutSpeaker, null);
    this.devices.set('settings', strings.devices, null);
    this.helpButton.set('help', strings.help, null);
    this.element = h(
      'div',
      { class: 'toolbar', role: 'group', 'aria-label': 'Meeting controls' },
      h('div', { class: 'control-group' }, this.audio.button, this.video.button, this.share.button),
      h('div', { class: 'control-group' }, this.layout.button, this.chat.button, this.people.button, this.devices.button, this.helpButton.button),
      leave,
    );
  }

  update(state: ToolbarState): void {
    this.audio.set(state.audioMuted ? 'micOff' : 'mic', state.audioMuted ? strings.unmute : strings.mute, null);
    this.audio.button.classList.toggle('is-off', state.audioMuted);
    this.video.set(state.videoMuted ? 'cameraOff' : 'camera', state.videoMuted ? strings.startVideo : strings.stopVideo, null);
    this.video.button.classList.toggle('is-off', state.videoMuted);
    this.share.set('share', state.sharing ? strings.stopShare : strings.share, state.sharing);
    this.layout.set(state.speakerLayout ? 'grid' : 'speaker', state.speakerLayout ? strings.layoutGrid : strings.layoutSpeaker, null);
    this.chat.set('chat', state.unread > 0 ? `${strings.chat}, ${strings.unread(state.unread)}` : strings.chat, state.chatOpen);
    this.people.set('people', `${strings.people}, ${strings.peopleCount(state.people)}`, state.peopleOpen);
    this.devices.set('settings', strings.devices, state.devicesOpen);
    this.unread.hidden = state.unread === 0;
    setText(this.unread, state.unread > 99 ? '99+' : String(state.unread));
    setText(this.peopleCount, String(state.people));
  }
}

interface Control {
  button: HTMLButtonElement;
  /** `pressed` null: a plain action whose label says what it will do. */
  set(name: IconName, label: string, pressed: boolean | null): void;
}

function control(name: IconName, key: string): Control {
  const holder = h('span', { class: 'control-icon' }, icon(name));
  const button = h('button', { type: 'button', class: 'control', 'aria-keyshortcuts': key || null }, holder);
  let shown = name;
  return {
    button,
    set(next, label, pressed) {
      if (next !== shown) {
        shown = next;
        holder.replaceChildren(icon(next));
      }
      setAttribute(button, 'aria-label', label);
      setAttribute(button, 'title', key ? `${label} (${key})` : label);
      if (pressed !== null) setAttribute(button, 'aria-pressed', String(pressed));
    },
  };
}
