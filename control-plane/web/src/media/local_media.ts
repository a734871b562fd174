/** Our own microphone, camera and screen: what is on, and the tracks behind it. */
import { Emitter } from '../emitter.ts';
import { openCamera, openMicrophone, openScreen, writeChoice } from './devices.ts';

export interface LocalMediaEvents {
  /** A track came, went, or was switched. */
  changed: { slot: 'a0' | 'v0' | 'v1' };
  /** A device could not be opened. */
  refused: { device: 'microphone' | 'camera' | 'screen'; error: string };
}

export class LocalMedia extends Emitter<LocalMediaEvents> {
  microphone: MediaStreamTrack | null = null;
  camera: MediaStreamTrack | null = null;
  screen: MediaStreamTrack | null = null;
  audioMuted = true;
  private closed = false;

  get videoMuted(): boolean {
    return this.camera === null;
  }

  get sharing(): boolean {
    return this.screen !== null;
  }

  /** Opens the microphone on first use; afterwards muting only disables the track. */
  async setAudioMuted(muted: boolean): Promise<void> {
    if (!muted && this.microphone === null) {
      try {
        this.useMicrophone(await openMicrophone());
      } catch (error) {
        this.emit('refused', { device: 'microphone', error: nameOf(error) });
        return;
      }
    }
    this.audioMuted = muted || this.microphone === null;
    if (this.microphone !== null) this.microphone.enabled = !this.audioMuted;
    this.emit('changed', { slot: 'a0' });
  }

  /** Muting gives the camera back (its light goes out); unmuting opens it again. */
  async setVideoMuted(muted: boolean): Promise<void> {
    if (muted) {
      this.camera?.stop();
      this.camera = null;
      this.emit('changed', { slot: 'v0' });
      return;
    }
    if (this.camera !== null) return;
    try {
      this.useCamera(await openCamera());
    } catch (error) {
      this.emit('refused', { device: 'camera', error: nameOf(error) });
    }
  }

  async setSharing(on: boolean): Promise<void> {
    if (!on) {
      this.screen?.stop();
      this.screen = null;
      this.emit('changed', { slot: 'v1' });
      return;
    }
    if (this.screen !== null) return;
    try {
      const track = await openScreen();
      if (this.discarded(track)) return;
      track.onended = () => void this.setSharing(false);
      this.screen = track;
      this.emit('changed', { slot: 'v1' });
    } catch (error) {
      // Closing the browser's own dialogue is no fault.
      if (nameOf(error) !== 'NotAllowedError') this.emit('refused', { device: 'screen', error: nameOf(error) });
    }
  }

  async chooseMicrophone(deviceId: string): Promise<void> {
    writeChoice({ audioinput: deviceId });
    if (this.microphone === null) return;
    this.microphone.stop();
    this.microphone = null;
    const muted = this.audioMuted;
    await this.setAudioMuted(false);
    if (muted) await this.setAudioMuted(true);
  }

  async chooseCamera(deviceId: string): Promise<void> {
    writeChoice({ videoinput: deviceId });
    if (this.camera === null) return;
    this.camera.stop();
    this.camera = null;
    await this.setVideoMuted(false);
  }

  stopAll(): void {
    this.closed = true;
    for (const track of [this.microphone, this.camera, this.screen]) track?.stop();
    this.microphone = this.camera = this.screen = null;
  }

  private useMicrophone(track: MediaStreamTrack): void {
    if (this.discarded(track)) return;
    // An unplugged device ends its track.
    track.onended = () => {
      this.microphone = null;
      this.audioMuted = true;
      this.emit('changed', { slot: 'a0' });
      this.emit('refused', { device: 'microphone', error: 'ended' });
    };
    this.microphone = track;
  }

  /** A device that opened only after we left. */
  private discarded(track: MediaStreamTrack): boolean {
    if (this.closed) track.stop();
    return this.closed;
  }

  private useCamera(track: MediaStreamTrack): void {
    if (this.discarded(track)) return;
    track.contentHint = 'motion';
    track.onended = () => {
      this.camera = null;
      this.emit('changed', { slot: 'v0' });
      this.emit('refused', { device: 'camera', error: 'ended' });
    };
    this.camera = track;
    this.emit('changed', { slot: 'v0' });
  }
}

function nameOf(error: unknown): string {
  return error instanceof DOMException ? error.name : String(error);
}
