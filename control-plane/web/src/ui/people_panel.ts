/** Who is in the meeting. */
import type { Conference } from '../conference.ts';
import { strings } from '../strings.ts';
import { h, setText, smallAvatar } from './dom.ts';
import { icon } from './icons.ts';

export class PeoplePanel {
  readonly element: HTMLElement;
  private readonly list: HTMLElement;
  private readonly title: HTMLElement;
  private shown = '';

  constructor(
    private readonly conference: Conference,
    onClose: () => void,
    onCopyLink: () => void,
  ) {
    this.title = h('h2', {}, strings.people);
    this.list = h('ul', { class: 'people' });
    this.element = h(
      'aside',
      { class: 'panel', 'aria-label': strings.people, hidden: true },
      h('header', {}, this.title, h('button', { type: 'button', class: 'round', 'aria-label': strings.close, onclick: onClose }, icon('close'))),
      this.list,
      h('footer', {}, h('button', { type: 'button', class: 'button', onclick: onCopyLink }, icon('link'), strings.copyLink)),
    );
  }

  update(): void {
    if (this.element.hidden) return;
    const { conference } = this;
    const people = [
      { id: conference.id, name: conference.room.displayName, own: true, moderator: conference.moderator },
      ...[...conference.participants.values()].map((participant) => ({ ...participant, own: false })),
    ].map((person) => ({ ...person, audioMuted: conference.audioMuted(person.id), videoMuted: conference.videoMuted(person.id), speaking: conference.dominantSpeaker === person.id }));
    // Rebuilt only when something in it differs, so that focus and hover survive.
    const now = JSON.stringify([conference.moderator, people.map(({ id, name, moderator, audioMuted, videoMuted, speaking }) => [id, name, moderator, audioMuted, videoMuted, speaking])]);
    if (now === this.shown) return;
    this.shown = now;
    setText(this.title, `${strings.people} (${people.length})`);
    this.list.replaceChildren(
      ...people.map((person) =>
        h(
          'li',
          { class: person.speaking && !person.audioMuted ? 'is-speaking' : null },
          smallAvatar(person.id, person.name),
          h('div', { class: 'person' }, h('span', { class: 'person-name' }, person.own ? `${person.name} (${strings.you})` : person.name), person.moderator && h('span', { class: 'person-role' }, strings.moderator)),
          conference.moderator && !person.own && h('span', { class: 'person-actions' }, this.actions(person.id, person.name, person.audioMuted)),
          h('span', { class: `person-state${person.audioMuted ? ' off' : ''}`, role: 'img', 'aria-label': person.audioMuted ? strings.micOff : strings.microphone }, icon(person.audioMuted ? 'micOff' : 'mic')),
          h('span', { class: `person-state${person.videoMuted ? ' off' : ''}`, role: 'img', 'aria-label': person.videoMuted ? strings.camOff : strings.camera }, icon(person.videoMuted ? 'cameraOff' : 'camera')),
        ),
      ),
    );
  }

  private actions(id: string, name: string, audioMuted: boolean): HTMLElement[] {
    const { room } = this.conference;
    const ignore = (): void => undefined;
    const mute = h('button', { type: 'button', class: 'round small', 'aria-label': strings.muteOther(name), title: strings.muteOther(name), onclick: () => void room.muteOther(id, 'audio').catch(ignore) }, icon('micOff'));
    const remove = h('button', { type: 'button', class: 'round small', 'aria-label': strings.removeOther(name), title: strings.removeOther(name), onclick: () => void room.kick(id).catch(ignore) }, icon('remove'));
    return audioMuted ? [remove] : [mute, remove];
  }
}
