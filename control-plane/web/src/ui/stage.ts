/** The stage: which tiles there are, in which order, and where they stand. */
import type { Conference, VideoSource } from '../conference.ts';
import type { WantedTile } from '../media/constraints.ts';
import { strings } from '../strings.ts';
import { h, setText } from './dom.ts';
import { icon } from './icons.ts';
import { automaticMode, gridArrangement, pairArrangement, speakerArrangement, type Arrangement, type Mode } from './layout.ts';
import { Tile, type TileModel } from './tile.ts';

const SELF = 'self';
const SELF_SCREEN = 'self-screen';
/** A tile that waits for its picture looks again this often. */
const REFRESH_MS = 1_000;

export class Stage {
  readonly element: HTMLElement;
  readonly tiles = new Map<string, Tile>();
  /** What the user asked for; null is the automatic choice. */
  private chosen: Mode | null = null;
  private pinned = '';
  private lastSpeaker = '';
  private page = 0;
  private screens = 0;
  private readonly area: HTMLElement;
  private readonly pager: HTMLElement;
  private readonly pageLabel: HTMLElement;
  private readonly invitation: HTMLElement;
  private readonly observer: ResizeObserver;
  private readonly refreshTimer: number;

  constructor(
    private readonly conference: Conference,
    onCopyLink: () => void,
  ) {
    this.area = h('div', { class: 'tiles' });
    this.pageLabel = h('span', { class: 'page-label' });
    this.pager = h(
      'div',
      { class: 'pager', hidden: true },
      h('button', { type: 'button', class: 'round', 'aria-label': strings.previousPage, onclick: () => this.turn(-1) }, icon('left')),
      this.pageLabel,
      h('button', { type: 'button', class: 'round', 'aria-label': strings.nextPage, onclick: () => this.turn(1) }, icon('right')),
    );
    this.invitation = h(
      'div',
      { class: 'invitation', hidden: true },
      h('h2', {}, strings.alone),
      h('p', {}, strings.aloneHint),
      h('button', { type: 'button', class: 'button primary', onclick: onCopyLink }, icon('link'), strings.copyLink),
    );
    this.element = h('main', { class: 'stage', 'aria-label': 'Participants' }, this.area, this.invitation, this.pager);
    this.observer = new ResizeObserver(() => this.update());
    this.observer.observe(this.area);
    this.refreshTimer = window.setInterval(() => this.update(), REFRESH_MS);
  }

  get mode(): Mode {
    if (this.pinned !== '') return 'speaker';
    return this.chosen ?? automaticMode(this.screens);
  }

  toggleMode(): void {
    this.chosen = this.mode === 'grid' ? 'speaker' : 'grid';
    this.pinned = '';
    this.page = 0;
    this.update();
  }

  close(): void {
    this.observer.disconnect();
    clearInterval(this.refreshTimer);
    for (const tile of this.tiles.values()) tile.remove();
  }

  update(): void {
    const models = this.models();
    const screens = models.filter((model) => model.screen && !model.local).length;
    // A screen that appears or goes away makes the automatic choice count again.
    if (screens !== this.screens) this.chosen = null;
    this.screens = screens;
    if (this.pinned !== '' && !models.some((model) => model.key === this.pinned)) this.pinned = '';
    this.synchronise(models);
    this.arrange(models);
    this.invitation.hidden = this.conference.participants.size > 0 || this.conference.phase !== 'joined';
  }

  private turn(by: number): void {
    this.page += by;
    this.update();
  }

  private togglePin(key: string): void {
    this.pinned = this.pinned === key ? '' : key;
    this.page = 0;
    this.update();
  }

  private models(): TileModel[] {
    const { conference } = this;
    const { media, session } = conference;
    const common = { reachable: true, paused: false, speaking: false, pinnable: conference.participants.size > 0 };
    const self: TileModel = {
      ...common,
      key: SELF,
      owner: conference.id || SELF,
      source: `${conference.id}-v0`,
      name: conference.room.displayName,
      local: true,
      screen: false,
      track: media.camera,
      videoOn: media.camera !== null,
      audioMuted: media.audioMuted,
      speaking: conference.dominantSpeaker === conference.id,
      quality: conference.ownQuality,
      pinned: this.pinned === SELF,
    };
    const models = [self];
    const videoOf = new Map<string, VideoSource[]>();
    for (const video of conference.remoteVideo()) videoOf.set(video.owner, [...(videoOf.get(video.owner) ?? []), video]);
    for (const participant of conference.participants.values()) {
      const videos = videoOf.get(participant.id) ?? [];
      const camera = videos.find((video) => video.videoType === 'camera');
      const person: TileModel = {
        ...common,
        key: participant.id,
        owner: participant.id,
        source: camera?.name ?? null,
        name: participant.name,
        local: false,
        screen: false,
        track: camera === undefined ? null : (session?.trackOfSource(camera.name) ?? null),
        videoOn: camera !== undefined,
        audioMuted: conference.audioMuted(participant.id),
        speaking: conference.dominantSpeaker === participant.id,
        reachable: participant.reachable,
        paused: camera !== undefined && session !== null && !conference.forwarded.has(camera.name),
        quality: participant.quality,
        pinned: this.pinned === participant.id,
      };
      models.push(person);
      for (const screen of videos.filter((video) => video.videoType === 'desktop')) {
        models.push({
          ...person,
          key: screen.name,
          source: screen.name,
          name: strings.screenOf(participant.name),
          screen: true,
          track: session?.trackOfSource(screen.name) ?? null,
          videoOn: true,
          speaking: false,
          paused: session !== null && !conference.forwarded.has(screen.name),
          quality: 100,
          pinned: this.pinned === screen.name,
        });
      }
    }
    if (media.screen !== null) {
      models.push({ ...self, key: SELF_SCREEN, source: `${conference.id}-v1`, name: strings.yourScreen, screen: true, track: media.screen, videoOn: true, speaking: false, pinned: this.pinned === SELF_SCREEN });
    }
    return models;
  }

  private synchronise(models: TileModel[]): void {
    for (const [key, tile] of this.tiles) {
      if (models.some((model) => model.key === key)) continue;
      tile.remove();
      this.tiles.delete(key);
    }
    for (const model of models) {
      let tile = this.tiles.get(model.key);
      if (tile === undefined) {
        tile = new Tile((key) => this.togglePin(key));
        this.tiles.set(model.key, tile);
        this.area.append(tile.element);
      }
      tile.update(model);
    }
  }

  private arrange(models: TileModel[]): void {
    const { clientWidth: width, clientHeight: height } = this.area;
    if (width === 0 || height === 0) return;
    const remote = models.filter((model) => !model.local);
    const pair = this.mode === 'grid' && remote.length === 1 && models.length === 2;
    const large = pair ? remote[0]! : this.mode === 'speaker' ? this.largeTile(models) : null;
    const rest = this.ordered(models.filter((model) => model !== large), this.mode);
    const arrangement = pair ? pairArrangement(width, height) : large !== null ? speakerArrangement(rest.length, width, height) : gridArrangement(rest.length, width, height);

    const pages = Math.max(1, Math.ceil(rest.length / arrangement.capacity));
    this.page = Math.min(Math.max(0, this.page), pages - 1);
    const shown = rest.slice(this.page * arrangement.capacity, (this.page + 1) * arrangement.capacity);
    const exact = pages > 1 ? this.again(shown.length, width, height, large !== null) : arrangement;
    for (const model of models) {
      const index = shown.indexOf(model);
      const rect = model === large ? exact.stage : index >= 0 ? (exact.tiles[index] ?? null) : null;
      const tile = this.tiles.get(model.key)!;
      tile.place(rect, model === large);
      tile.element.classList.toggle('is-corner', pair && model.local);
    }
    this.pager.hidden = pages === 1;
    setText(this.pageLabel, `${this.page + 1} / ${pages}`);
    this.conference.show(this.wanted(models, large));
  }

  private again(count: number, width: number, height: number, large: boolean): Arrangement {
    return large ? speakerArrangement(count, width, height) : gridArrangement(count, width, height);
  }

  /** A pinned tile, else a shared screen, else who speaks, else who spoke last, else anyone but us. */
  private largeTile(models: TileModel[]): TileModel {
    const speaker = models.find((model) => !model.local && !model.screen && model.owner === this.conference.dominantSpeaker);
    if (speaker !== undefined) this.lastSpeaker = speaker.key;
    return (
      models.find((model) => model.key === this.pinned) ??
      models.findLast((model) => model.screen && !model.local) ??
      speaker ??
      models.find((model) => model.key === this.lastSpeaker) ??
      models.find((model) => !model.local) ??
      models[0]!
    );
  }

  /** In order of arrival; where not all fit, recent speakers come first. */
  private ordered(models: TileModel[], mode: Mode): TileModel[] {
    const { clientWidth: width, clientHeight: height } = this.area;
    const capacity = (mode === 'grid' ? gridArrangement : speakerArrangement)(models.length, width, height).capacity;
    if (models.length <= capacity) return models;
    const rank = (model: TileModel): number => {
      if (model.local) return -1;
      const index = this.conference.recentSpeakers.indexOf(model.owner);
      return index < 0 ? 1000 : index;
    };
    return models.map((model, index) => ({ model, index })).sort((a, b) => rank(a.model) - rank(b.model) || a.index - b.index).map(({ model }) => model);
  }

  private wanted(models: TileModel[], large: TileModel | null): WantedTile[] {
    const scale = Math.min(2, window.devicePixelRatio || 1);
    const wanted: WantedTile[] = [];
    for (const model of models) {
      const rect = this.tiles.get(model.key)?.rect;
      if (model.local || model.source === null || rect === null || rect === undefined) continue;
      // A picture fills its tile: the side that is cut off counts too.
      const pixels = Math.max(rect.height, (rect.width * 9) / 16) * scale;
      wanted.push({ source: model.source, videoType: model.screen ? 'desktop' : 'camera', pixels, onStage: model === large });
    }
    return wanted;
  }
}
