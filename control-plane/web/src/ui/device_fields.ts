/** The three device choices, for the preview and for the menu in the meeting. */
import { listDevices, outputChoiceAllowed, readChoice, type DeviceKind } from '../media/devices.ts';
import { strings } from '../strings.ts';
import { h } from './dom.ts';

const LABELS: Record<DeviceKind, string> = {
  audioinput: strings.microphone,
  videoinput: strings.camera,
  audiooutput: strings.speaker,
};

export class DeviceFields {
  readonly element: HTMLElement;
  private readonly selects = new Map<DeviceKind, HTMLSelectElement>();
  private readonly refresh = (): void => void this.update();

  constructor(onChoose: (kind: DeviceKind, deviceId: string) => void) {
    this.element = h('div', { class: 'device-fields' });
    for (const kind of ['audioinput', 'videoinput', 'audiooutput'] as const) {
      if (kind === 'audiooutput' && !outputChoiceAllowed()) continue;
      const select = h('select', { class: 'field', onchange: () => onChoose(kind, select.value) });
      this.selects.set(kind, select);
      this.element.append(h('label', { class: 'device-field' }, h('span', {}, LABELS[kind]), select));
    }
    navigator.mediaDevices?.addEventListener('devicechange', this.refresh);
    this.refresh();
  }

  async update(): Promise<void> {
    const choice = readChoice();
    for (const [kind, select] of this.selects) {
      const devices = await listDevices(kind);
      const options = devices.map((device, index) => h('option', { value: device.deviceId }, device.label || `${LABELS[kind]} ${index + 1}`));
      select.disabled = devices.length === 0;
      const none = devices.length === 0 && kind !== 'audiooutput';
      const first = devices.some((device) => device.deviceId === 'default') ? [] : [h('option', { value: '' }, none ? strings.noDevice : strings.systemDefault)];
      select.replaceChildren(...first, ...options);
      if (devices.some((device) => device.deviceId === choice[kind])) select.value = choice[kind];
    }
  }

  close(): void {
    navigator.mediaDevices?.removeEventListener('devicechange', this.refresh);
  }
}
