/** Entry: `/` is the start page, `/{room}` a meeting; `?join=1&name=Ann` goes straight in. */
import './app.css';
import { normaliseRoom, readConfig } from './config.ts';
import { Conference } from './conference.ts';
import { LocalMedia } from './media/local_media.ts';
import { ownName, rememberRoom } from './rooms.ts';
import { strings } from './strings.ts';
import { testHook } from './test_hook.ts';
import { applyAccent } from './ui/branding.ts';
import { MeetingPage } from './ui/meeting_page.ts';
import { showPreview } from './ui/preview_page.ts';
import { showStartPage } from './ui/start_page.ts';

async function main(): Promise<void> {
  const root = document.getElementById('app')!;
  const config = readConfig();
  applyAccent(config);
  const room = roomOfPath(location.pathname);
  if (room === '') {
    showStartPage(root, config);
    return;
  }
  const parameters = new URLSearchParams(location.search);
  const media = new LocalMedia();
  const straight = parameters.get('join') === '1';
  const name = straight ? parameters.get('name')?.trim() || ownName() || strings.defaultName : await showPreview(root, config, room, media);

  const conference = new Conference(config, room, name, media);
  const page = new MeetingPage(root, config, conference);
  window.sluice = testHook(conference, page.stage);
  rememberRoom(room);
  conference.start();
  if (straight) await openDevices(media, parameters, config);
}

/** Without the preview the devices open while we join; `audio=0` and `video=0` leave them closed. */
async function openDevices(media: LocalMedia, parameters: URLSearchParams, config: ReturnType<typeof readConfig>): Promise<void> {
  if (parameters.get('audio') !== '0') {
    await media.setAudioMuted(false);
    if (config.startAudioMuted) await media.setAudioMuted(true);
  }
  if (parameters.get('video') !== '0' && !config.startVideoMuted) await media.setVideoMuted(false);
}

function roomOfPath(path: string): string {
  const last = path.split('/').filter(Boolean).pop() ?? '';
  try {
    return normaliseRoom(decodeURIComponent(last));
  } catch {
    return normaliseRoom(last);
  }
}

void main();
