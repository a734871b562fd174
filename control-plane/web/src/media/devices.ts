/** Microphones, cameras, speakers and screens; choices are remembered in the browser. */

export type DeviceKind = 'audioinput' | 'videoinput' | 'audiooutput';

export interface DeviceChoice {
  audioinput: string;
  videoinput: string;
  audiooutput: string;
}

const CHOICE_KEY = 'sluice.devices';

export function readChoice(): DeviceChoice {
  const none = { audioinput: '', videoinput: '', audiooutput: '' };
  try {
    return { ...none, ...(JSON.parse(localStorage.getItem(CHOICE_KEY) ?? '{}') as Partial<DeviceChoice>) };
  } catch {
    return none;
  }
}

export function writeChoice(choice: Partial<DeviceChoice>): void {
  localStorage.setItem(CHOICE_KEY, JSON.stringify({ ...readChoice(), ...choice }));
}

/** False where the page may not use devices at all (plain http from another machine). */
export function devicesAllowed(): boolean {
  return navigator.mediaDevices?.getUserMedia !== undefined;
}

export function screenShareAllowed(): boolean {
  return navigator.mediaDevices !== undefined && 'getDisplayMedia' in navigator.mediaDevices;
}

export function outputChoiceAllowed(): boolean {
  return 'setSinkId' in HTMLMediaElement.prototype;
}

export async function listDevices(kind: DeviceKind): Promise<MediaDeviceInfo[]> {
  if (!devicesAllowed()) return [];
  const devices = await navigator.mediaDevices.enumerateDevices().catch(() => []);
  return devices.filter((device) => device.kind === kind && device.deviceId !== '');
}

/** The chosen microphone, or any if the chosen one is gone; throws as getUserMedia does. */
export function openMicrophone(): Promise<MediaStreamTrack> {
  return open('audioinput', (deviceId) => ({
    audio: { ...deviceId, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
  }));
}

/** The chosen camera at up to 720p. */
export function openCamera(): Promise<MediaStreamTrack> {
  return open('videoinput', (deviceId) => ({
    video: { ...deviceId, width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } },
  }));
}

export async function openScreen(): Promise<MediaStreamTrack> {
  const stream = await navigator.mediaDevices.getDisplayMedia({
    video: { frameRate: { ideal: 15, max: 30 }, width: { max: 2560 }, height: { max: 1440 } },
    audio: false,
  });
  const track = stream.getVideoTracks()[0]!;
  track.contentHint = 'detail';
  return track;
}

async function open(kind: 'audioinput' | 'videoinput', constraints: (device: MediaTrackConstraints) => MediaStreamConstraints): Promise<MediaStreamTrack> {
  if (!devicesAllowed()) throw new DOMException('no secure context', 'SecurityError');
  const chosen = readChoice()[kind];
  let stream: MediaStream;
  try {
    stream = await navigator.mediaDevices.getUserMedia(constraints(chosen ? { deviceId: { exact: chosen } } : {}));
  } catch (error) {
    const gone = error instanceof DOMException && (error.name === 'OverconstrainedError' || error.name === 'NotFoundError');
    if (!chosen || !gone) throw error;
    stream = await navigator.mediaDevices.getUserMedia(constraints({}));
  }
  return stream.getTracks()[0]!;
}

/** Calls `onLevel` with 0…1 some twenty times a second until the returned function is called. */
export function meterLevel(track: MediaStreamTrack, onLevel: (level: number) => void): () => void {
  const audio = new AudioContext();
  const analyser = audio.createAnalyser();
  analyser.fftSize = 512;
  audio.createMediaStreamSource(new MediaStream([track])).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = window.setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    let energy = 0;
    for (const sample of samples) energy += sample * sample;
    const decibels = 10 * Math.log10(energy / samples.length + 1e-9);
    // Quiet rooms sit near -60 dB, speech peaks near -12 dB.
    onLevel(track.enabled ? Math.min(1, Math.max(0, (decibels + 60) / 48)) : 0);
  }, 50);
  return () => {
    clearInterval(timer);
    void audio.close();
  };
}
