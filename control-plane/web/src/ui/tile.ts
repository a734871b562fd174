/** One person or one shared screen on the stage. */
import { strings } from '../strings.ts';
import { h, hueOf, initials, setAttribute, setText } from './dom.ts';
import { icon } from './icons.ts';
import type { Rect } from './layout.ts';

export interface TileModel {
  key: string;
  owner: string;
  /** The source it shows; null while there is none. */
  source: string | null;
  name: string;
  local: boolean;
  screen: boolean;
  track: MediaStreamTrack | null;
  videoOn: boolean;
  audioMuted: boolean;
  speaking: boolean;
  reachable: boolean;
  /** Switched on, wanted, but withheld by the bridge. */
  paused: boolean;
  quality: number;
  pinned: boolean;
  pinnable: boolean;
}

/** How long a wanted picture may stay away before the tile says so. */
const PAUSE_SHOWN_AFTER_MS = 3_000;

export class Tile {
  readonly element: HTMLElement;
  readonly video: HTMLVideoElement;
  model: TileModel | null = null;
  rect: Rect | null = null;
  private readonly avatar: HTMLElement;
  private readonly name: HTMLElement;
  private readonly badges: HTMLElement;
  private readonly notice: HTMLElement;
  private readonly pin: HTMLButtonElement;
  private track: MediaStreamTrack | null = null;
  private live = false;
  private pausedSince = 0;

  constructor(onPin: (key: string) => void) {
    this.video = h('video', { autoplay: true, playsinline: true, tabindex: '-1', 'aria-hidden': 'true' });
    this.video.muted = true;
    this.avatar = h('div', { class: 'avatar', 'aria-hidden': 'true' });
    this.name = h('span', { class: 'tile-name' });
    this.badges = h('span', { class: 'tile-badges' });
    this.notice = h('div', { class: 'tile-notice', hidden: true });
    this.pin = h('button', { class: 'tile-pin', type: 'button', onclick: () => this.model && onPin(this.model.key) }, icon('pin'));
    const plate = h('div', { class: 'tile-plate' }, this.badges, this.name);
    this.element = h('article', { class: 'tile', role: 'group' }, this.video, h('div', { class: 'avatar-space' }, this.avatar), this.notice, plate, this.pin);
  }

  update(model: TileModel): void {
    this.model = model;
    this.attach(model.videoOn ? model.track : null);
    const showing = model.videoOn && this.track !== null && this.live;
    const classes = this.element.classList;
    classes.toggle('has-video', showing);
    classes.toggle('is-screen', model.screen);
    classes.toggle('is-mirrored', model.local && !model.screen);
    classes.toggle('is-speaking', model.speaking && !model.audioMuted);
    classes.toggle('is-unreachable', !model.reachable);
    const shownName = model.local && !model.screen ? strings.you : model.name;
    setText(this.name, shownName);
    setText(this.avatar, initials(model.name));
    const hue = String(hueOf(model.owner));
    if (this.element.style.getPropertyValue('--hue') !== hue) this.element.style.setProperty('--hue', hue);
    this.updateBadges(model);
    this.updateNotice(model);
    const described = [shownName];
    if (!model.screen && model.audioMuted) described.push(strings.micOff);
    if (!model.screen && !model.videoOn) described.push(strings.camOff);
    setAttribute(this.element, 'aria-label', described.join(', '));
    setAttribute(this.element, 'data-key', model.key);
    this.pin.hidden = !model.pinnable;
    setAttribute(this.pin, 'aria-label', model.pinned ? strings.unpin(shownName) : strings.pin(shownName));
    setAttribute(this.pin, 'aria-pressed', String(model.pinned));
  }

  place(rect: Rect | null, large: boolean): void {
    this.rect = rect;
    this.element.hidden = rect === null;
    if (rect === null) return;
    const style = this.element.style;
    style.left = `${rect.x}px`;
    style.top = `${rect.y}px`;
    style.width = `${rect.width}px`;
    style.height = `${rect.height}px`;
    style.setProperty('--avatar', `${Math.round(Math.min(rect.width, rect.height, 360) * 0.36)}px`);
    this.element.classList.toggle('is-large', large);
    this.element.classList.toggle('is-small', rect.width < 200);
  }

  /** Frames put on the screen so far. */
  frames(): number {
    return this.video.getVideoPlaybackQuality?.().totalVideoFrames ?? 0;
  }

  remove(): void {
    this.video.srcObject = null;
    this.element.remove();
  }

  private attach(track: MediaStreamTrack | null): void {
    if (track === this.track) return;
    this.track = track;
    this.live = false;
    this.video.srcObject = track === null ? null : new MediaStream([track]);
    if (track === null) return;
    void this.video.play().catch(() => undefined);
    const shown = (): void => {
      if (this.track !== track) return;
      this.live = true;
      if (this.model !== null) this.update(this.model);
    };
    // The first real frame, not the first black one.
    if ('requestVideoFrameCallback' in this.video) this.video.requestVideoFrameCallback(shown);
    else (this.video as HTMLVideoElement).addEventListener('loadeddata', shown, { once: true });
  }

  private updateBadges(model: TileModel): void {
    const wanted = [model.screen ? 'share' : model.audioMuted ? 'micOff' : '', model.quality < 40 ? 'signal' : ''].filter(Boolean).join(' ');
    if (this.badges.dataset.shown === wanted) return;
    this.badges.dataset.shown = wanted;
    this.badges.replaceChildren(
      ...(wanted.includes('share') ? [icon('share')] : []),
      ...(wanted.includes('micOff') ? [h('span', { class: 'badge-muted', title: strings.micOff }, icon('micOff'))] : []),
      ...(wanted.includes('signal') ? [h('span', { class: 'badge-poor', title: strings.poorConnection }, icon('signal'))] : []),
    );
  }

  private updateNotice(model: TileModel): void {
    const now = performance.now();
    if (!model.paused) this.pausedSince = 0;
    else if (this.pausedSince === 0) this.pausedSince = now;
    const paused = this.pausedSince > 0 && now - this.pausedSince > PAUSE_SHOWN_AFTER_MS;
    const text = !model.reachable ? strings.unreachable : paused ? strings.lowBandwidth : '';
    this.notice.hidden = text === '';
    setText(this.notice, text);
  }
}
