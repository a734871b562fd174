/** The meeting itself: stage, controls, panels, notices and keys around one conference. */
import type { ClientConfig } from '../config.ts';
import type { Conference, ConferenceEvents } from '../conference.ts';
import { writeChoice, type DeviceKind } from '../media/devices.ts';
import { strings } from '../strings.ts';
import { AudioOutput } from './audio_output.ts';
import { ChatPanel } from './chat_panel.ts';
import { DeviceFields } from './device_fields.ts';
import { askPassword, showHelp } from './dialog.ts';
import { h, setText } from './dom.ts';
import { showEndPage } from './end_page.ts';
import { icon } from './icons.ts';
import { Notices } from './notices.ts';
import { PeoplePanel } from './people_panel.ts';
import { Stage } from './stage.ts';
import { Toolbar } from './toolbar.ts';

export class MeetingPage {
  readonly stage: Stage;
  private readonly notices = new Notices();
  private readonly chat: ChatPanel;
  private readonly people: PeoplePanel;
  private readonly toolbar: Toolbar;
  private readonly devices: HTMLElement;
  private readonly audio = new AudioOutput(() => this.soundBlocked());
  private readonly clock = h('span', { class: 'clock' });
  private readonly title = h('span', { class: 'meeting-title' });
  private unread = 0;
  private soundHeld = false;
  private wasModerator = false;
  private joinedAt = performance.now();
  private queued = false;
  private readonly clockTimer: number;
  private readonly onKey = (event: KeyboardEvent): void => this.keyPressed(event);
  private readonly onHide = (): void => this.conference.leave();

  constructor(
    private readonly root: HTMLElement,
    private readonly config: ClientConfig,
    private readonly conference: Conference,
  ) {
    this.stage = new Stage(conference, () => this.copyLink());
    this.chat = new ChatPanel((text) => conference.say(text), () => this.togglePanel('chat'));
    this.people = new PeoplePanel(conference, () => this.togglePanel('people'), () => this.copyLink());
    const fields = new DeviceFields((kind, deviceId) => void this.chooseDevice(kind, deviceId));
    this.devices = h('div', { class: 'popover', role: 'dialog', 'aria-label': strings.devices, hidden: true }, h('h2', {}, strings.devices), fields.element);
    this.toolbar = new Toolbar({
      toggleAudio: () => this.toggleAudio(),
      toggleVideo: () => void conference.media.setVideoMuted(!conference.media.videoMuted),
      toggleShare: () => void conference.media.setSharing(!conference.media.sharing),
      toggleLayout: () => this.toggleLayout(),
      toggleChat: () => this.togglePanel('chat'),
      togglePeople: () => this.togglePanel('people'),
      toggleDevices: () => this.toggleDevices(fields),
      help: showHelp,
      leave: () => conference.leave(),
    });
    const head = h('header', { class: 'meeting-head' }, icon('logo'), this.title, this.clock);
    root.replaceChildren(h('div', { class: 'meeting' }, head, this.stage.element, this.chat.element, this.people.element, h('div', { class: 'toolbar-space' }, this.devices, this.toolbar.element), this.notices.element));
    document.title = `${conference.roomName} | ${config.appName}`;
    document.addEventListener('keydown', this.onKey);
    addEventListener('pagehide', this.onHide);
    this.listen();
    this.clockTimer = window.setInterval(() => this.updateClock(), 1000);
    this.update();
  }

  private listen(): void {
    const { conference } = this;
    conference.on('changed', () => this.updateSoon());
    conference.on('arrived', (participant) => this.notices.toast(strings.joinedToast(participant.name)));
    conference.on('departed', ({ participant }) => this.notices.toast(strings.leftToast(participant.name)));
    conference.on('chat', (message) => this.chatReceived(message));
    conference.on('notice', (notice) => this.noticeReceived(notice));
    conference.on('passwordNeeded', ({ wrong }) => void this.passwordNeeded(wrong));
    conference.on('ended', ({ reason, detail }) => this.end(reason, detail));
    conference.media.on('refused', ({ device, error }) => this.notices.toast(strings.refusedDevice(device, error), 'warning'));
  }

  /** Many events arrive at once; one look at the result is enough. */
  private updateSoon(): void {
    if (this.queued) return;
    this.queued = true;
    // A timer, not a frame: a hidden tab must follow too.
    setTimeout(() => {
      this.queued = false;
      if (this.conference.phase !== 'ended') this.update();
    }, 16);
  }

  private update(): void {
    const { conference } = this;
    this.stage.update();
    this.people.update();
    this.audio.update(conference.session);
    this.toolbar.update({
      audioMuted: conference.media.audioMuted,
      videoMuted: conference.media.videoMuted,
      sharing: conference.media.sharing,
      speakerLayout: this.stage.mode === 'speaker',
      chatOpen: !this.chat.element.hidden,
      peopleOpen: !this.people.element.hidden,
      devicesOpen: !this.devices.hidden,
      unread: this.unread,
      people: conference.participants.size + 1,
    });
    setText(this.title, conference.subject || conference.roomName);
    this.noticeRole();
    this.updateBanner();
    this.updateClock();
  }

  /** The role that comes with joining is no news; a later change is. */
  private noticeRole(): void {
    const { moderator, phase } = this.conference;
    if (phase !== 'joined') this.joinedAt = performance.now();
    else if (moderator && !this.wasModerator && performance.now() - this.joinedAt > 3_000) this.notices.toast(strings.nowModerator);
    this.wasModerator = moderator;
  }

  private updateBanner(): void {
    const { phase } = this.conference;
    if (phase === 'reconnecting') this.notices.setBanner(strings.reconnecting, true, { label: strings.retryNow, run: () => this.conference.retryNow() });
    else if (phase === 'connecting' || phase === 'joining') this.notices.setBanner(strings.connecting);
    else if (this.soundHeld) this.notices.setBanner(strings.soundBlocked, false, { label: strings.soundOn, run: () => this.releaseSound() });
    else this.notices.setBanner(null);
  }

  private updateClock(): void {
    const { startedAt } = this.conference;
    if (startedAt === null) return;
    const seconds = Math.max(0, Math.floor((Date.now() - startedAt) / 1000));
    const two = (value: number): string => String(value).padStart(2, '0');
    const hours = Math.floor(seconds / 3600);
    setText(this.clock, `${hours > 0 ? `${hours}:` : ''}${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`);
  }

  private chatReceived(message: ConferenceEvents['chat']): void {
    const name = message.name || strings.defaultName;
    this.chat.add({ from: message.from, name, text: message.text, time: message.time, own: message.own, direct: message.direct });
    if (message.own || message.history) return;
    this.notices.say(strings.chatFrom(name, message.text));
    if (!this.chat.element.hidden) return;
    this.unread += 1;
    this.updateSoon();
  }

  private noticeReceived(notice: ConferenceEvents['notice']): void {
    if (notice.kind === 'mediaLost') this.notices.toast(strings.mediaLost, 'warning');
    if (notice.kind === 'mediaRestored') this.notices.toast(strings.mediaRestored);
    if (notice.kind === 'mutedBy') this.notices.toast(strings.mutedBy(notice.name ?? ''));
  }

  private async passwordNeeded(wrong: boolean): Promise<void> {
    const password = await askPassword(wrong);
    if (password === null) this.conference.leave();
    else this.conference.join(password);
  }

  private toggleAudio(): void {
    const { media } = this.conference;
    void media.setAudioMuted(!media.audioMuted);
  }

  private toggleLayout(): void {
    this.stage.toggleMode();
    this.update();
  }

  private togglePanel(which: 'chat' | 'people'): void {
    const [panel, other] = which === 'chat' ? [this.chat.element, this.people.element] : [this.people.element, this.chat.element];
    other.hidden = true;
    panel.hidden = !panel.hidden;
    this.root.firstElementChild?.classList.toggle('has-panel', !panel.hidden);
    if (which === 'chat' && !panel.hidden) {
      this.unread = 0;
      this.chat.opened();
    }
    this.update();
  }

  private toggleDevices(fields: DeviceFields): void {
    this.devices.hidden = !this.devices.hidden;
    if (!this.devices.hidden) void fields.update().then(() => this.devices.querySelector('select')?.focus());
    else this.toolbar.devicesButton.focus();
    this.update();
  }

  private async chooseDevice(kind: DeviceKind, deviceId: string): Promise<void> {
    if (kind === 'audioinput') await this.conference.media.chooseMicrophone(deviceId);
    else if (kind === 'videoinput') await this.conference.media.chooseCamera(deviceId);
    else {
      writeChoice({ audiooutput: deviceId });
      this.audio.rerouteAll();
    }
  }

  private soundBlocked(): void {
    this.soundHeld = true;
    this.updateBanner();
  }

  private releaseSound(): void {
    this.soundHeld = false;
    this.audio.resume();
    this.updateBanner();
  }

  private copyLink(): void {
    const link = `${location.origin}${location.pathname}`;
    const done = (): void => this.notices.toast(strings.linkCopied);
    void (navigator.clipboard?.writeText(link) ?? Promise.reject(new Error('no clipboard'))).then(done, () => this.notices.toast(link));
  }

  private keyPressed(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.key === 'Escape') {
      this.closeTop();
      return;
    }
    const target = event.target as HTMLElement;
    if (target.closest('input, textarea, select, dialog') !== null && event.key !== '?') return;
    if (target.closest('input, textarea') !== null) return;
    const { media } = this.conference;
    const actions: Record<string, () => void> = {
      m: () => this.toggleAudio(),
      v: () => void media.setVideoMuted(!media.videoMuted),
      s: () => void media.setSharing(!media.sharing),
      g: () => this.toggleLayout(),
      c: () => this.togglePanel('chat'),
      p: () => this.togglePanel('people'),
      '?': showHelp,
    };
    const action = actions[event.key.toLowerCase()];
    if (action === undefined) return;
    event.preventDefault();
    action();
  }

  private closeTop(): void {
    if (!this.devices.hidden) {
      this.devices.hidden = true;
      this.toolbar.devicesButton.focus();
    } else if (!this.chat.element.hidden) this.togglePanel('chat');
    else if (!this.people.element.hidden) this.togglePanel('people');
    this.update();
  }

  private end(reason: ConferenceEvents['ended']['reason'], detail?: string): void {
    document.removeEventListener('keydown', this.onKey);
    removeEventListener('pagehide', this.onHide);
    clearInterval(this.clockTimer);
    this.stage.close();
    this.audio.close();
    showEndPage(this.root, this.config, this.conference.roomName, reason, detail);
  }
}
