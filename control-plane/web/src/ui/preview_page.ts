/** Before joining: how we will look and sound. */
import type { ClientConfig } from '../config.ts';
import { listDevices, meterLevel, writeChoice, type DeviceKind } from '../media/devices.ts';
import type { LocalMedia } from '../media/local_media.ts';
import { ownName, rememberName } from '../rooms.ts';
import { strings } from '../strings.ts';
import { DeviceFields } from './device_fields.ts';
import { h, hueOf, initials, setAttribute, setText } from './dom.ts';
import { logo } from './branding.ts';
import { icon } from './icons.ts';

/** Resolves with the chosen name once the user joins; devices stay open in `media`. */
export async function showPreview(root: HTMLElement, config: ClientConfig, room: string, media: LocalMedia): Promise<string> {
  const page = new Preview(root, config, room, media);
  return page.joined;
}

class Preview {
  readonly joined: Promise<string>;
  private readonly video = h('video', { autoplay: true, playsinline: true });
  private readonly avatar = h('div', { class: 'avatar', 'aria-hidden': 'true' });
  private readonly off = h('p', { class: 'preview-off' }, strings.cameraOff);
  private readonly frame: HTMLElement;
  private readonly audioButton = h('button', { type: 'button', class: 'control' });
  private readonly videoButton = h('button', { type: 'button', class: 'control' });
  private readonly bar = h('div', { class: 'meter-bar' });
  private readonly notice = h('p', { class: 'preview-notice', role: 'status', hidden: true });
  private readonly fields: DeviceFields;
  private readonly name: HTMLInputElement;
  private metered: MediaStreamTrack | null = null;
  private stopMeter: (() => void) | null = null;
  private readonly refused = new Map<string, string>();
  private readonly listeners: (() => void)[] = [];

  constructor(
    root: HTMLElement,
    private readonly config: ClientConfig,
    room: string,
    private readonly media: LocalMedia,
  ) {
    this.video.muted = true;
    this.fields = new DeviceFields((kind, deviceId) => void this.choose(kind, deviceId));
    this.name = h('input', { id: 'name', class: 'field', type: 'text', value: ownName(), placeholder: strings.namePlaceholder, autocomplete: 'name', maxlength: '60' });
    this.frame = h('div', { class: 'preview-frame' }, this.video, this.avatar, this.off, h('div', { class: 'preview-controls' }, this.audioButton, this.videoButton));
    const meter = h('div', { class: 'meter', role: 'img', 'aria-label': strings.micLevel }, icon('mic'), h('div', { class: 'meter-track' }, this.bar));
    const form = h(
      'form',
      { class: 'preview-form' },
      h('h1', {}, strings.previewTitle),
      h('p', { class: 'preview-room' }, room),
      h('label', { for: 'name' }, strings.nameLabel),
      this.name,
      this.fields.element,
      this.notice,
      h('button', { class: 'button primary large' }, strings.join),
    );
    this.joined = new Promise((resolve) => {
      form.addEventListener('submit', (event) => {
        event.preventDefault();
        const name = this.name.value.trim();
        if (name !== '') rememberName(name);
        this.close();
        resolve(name || strings.defaultName);
      });
    });
    this.audioButton.addEventListener('click', () => void media.setAudioMuted(!media.audioMuted));
    this.videoButton.addEventListener('click', () => void media.setVideoMuted(!media.videoMuted));
    this.name.addEventListener('input', () => this.update());
    this.listeners.push(media.on('changed', () => this.update()));
    this.listeners.push(
      media.on('refused', ({ device, error }) => {
        this.refused.set(device, error);
        this.update();
      }),
    );
    root.replaceChildren(
      h('div', { class: 'preview' }, h('header', { class: 'brand' }, h('a', { href: '/', class: 'brand-link' }, logo(config), h('span', {}, config.appName))), h('main', { class: 'preview-main' }, h('div', { class: 'preview-side' }, this.frame, meter), form)),
    );
    document.title = `${room} | ${config.appName}`;
    this.update();
    void this.openDevices();
  }

  private async openDevices(): Promise<void> {
    await this.media.setAudioMuted(false);
    if (this.config.startAudioMuted) await this.media.setAudioMuted(true);
    if (!this.config.startVideoMuted) await this.media.setVideoMuted(false);
    // Names of devices are known only now.
    await this.fields.update();
  }

  private async choose(kind: DeviceKind, deviceId: string): Promise<void> {
    if (kind === 'audioinput') await this.media.chooseMicrophone(deviceId);
    else if (kind === 'videoinput') await this.media.chooseCamera(deviceId);
    else writeChoice({ audiooutput: deviceId });
    if ((await listDevices(kind)).length === 0) this.update();
  }

  private update(): void {
    const { media } = this;
    const track = media.camera;
    const shown = (this.video.srcObject as MediaStream | null)?.getVideoTracks()[0] ?? null;
    if (shown !== track) this.video.srcObject = track === null ? null : new MediaStream([track]);
    this.frame.classList.toggle('has-video', track !== null);
    const name = this.name.value.trim();
    setText(this.avatar, initials(name || '?'));
    this.avatar.style.setProperty('--hue', String(hueOf(name)));
    set(this.audioButton, media.audioMuted, icon(media.audioMuted ? 'micOff' : 'mic'), media.audioMuted ? strings.unmute : strings.mute);
    set(this.videoButton, media.videoMuted, icon(media.videoMuted ? 'cameraOff' : 'camera'), media.videoMuted ? strings.startVideo : strings.stopVideo);
    if (media.microphone !== null) this.refused.delete('microphone');
    if (media.camera !== null) this.refused.delete('camera');
    const problems = [...this.refused].map(([device, error]) => strings.refusedDevice(device, error));
    if (this.refused.size === 2) problems.push(strings.receiveOnly);
    this.notice.hidden = problems.length === 0;
    setText(this.notice, problems.map((problem) => problem.replace(/([^.])$/, '$1.')).join(' '));
    this.meter();
  }

  private meter(): void {
    if (this.media.microphone === this.metered) return;
    this.stopMeter?.();
    this.metered = this.media.microphone;
    this.bar.style.transform = 'scaleX(0)';
    this.stopMeter = this.metered === null ? null : meterLevel(this.metered, (level) => (this.bar.style.transform = `scaleX(${level.toFixed(3)})`));
  }

  private close(): void {
    this.stopMeter?.();
    this.fields.close();
    for (const off of this.listeners) off();
    this.video.srcObject = null;
  }
}

function set(button: HTMLButtonElement, off: boolean, content: SVGElement, label: string): void {
  button.classList.toggle('is-off', off);
  setAttribute(button, 'aria-label', label);
  setAttribute(button, 'title', label);
  button.replaceChildren(content);
}
