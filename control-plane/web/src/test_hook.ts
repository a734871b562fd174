/** `window.sluice`: what automated tests read and do. Plain data only. */
import type { Conference } from './conference.ts';
import type { CondensedStats } from './media/stats.ts';
import type { Stage } from './ui/stage.ts';

declare global {
  interface Window {
    sluice?: ReturnType<typeof testHook>;
  }
}

export function testHook(conference: Conference, stage: Stage) {
  return {
    state() {
      const { session, media } = conference;
      return {
        phase: conference.phase,
        joined: conference.phase === 'joined',
        room: conference.roomName,
        me: { id: conference.id, name: conference.room.displayName, audioMuted: media.audioMuted, videoMuted: media.videoMuted, sharing: media.sharing, moderator: conference.moderator },
        participants: [...conference.participants.values()].map((participant) => ({
          id: participant.id,
          name: participant.name,
          moderator: participant.moderator,
          audioMuted: conference.audioMuted(participant.id),
          videoMuted: conference.videoMuted(participant.id),
          reachable: participant.reachable,
          sources: Object.fromEntries(participant.sources),
        })),
        /** Of others only; `width` and `height` are of the decoded picture. */
        tiles: [...stage.tiles.values()]
          .filter((tile) => tile.model !== null && !tile.model.local)
          .map((tile) => ({
            source: tile.model!.source,
            owner: tile.model!.owner,
            width: tile.video.videoWidth,
            height: tile.video.videoHeight,
            frames: tile.frames(),
            shown: tile.rect !== null,
            box: tile.rect === null ? null : { width: Math.round(tile.rect.width), height: Math.round(tile.rect.height) },
            onStage: tile.element.classList.contains('is-large'),
          })),
        layout: stage.mode,
        dominantSpeaker: conference.dominantSpeaker,
        forwarded: [...conference.forwarded],
        audioSources: session?.sources.all().filter((source) => source.media === 'audio') ?? [],
        videoSources: session?.sources.all().filter((source) => source.media === 'video') ?? [],
        connection: {
          ice: session?.ice ?? 'none',
          dtls: session?.peer.dtlsState ?? 'none',
          channel: session === null ? 'none' : session.channel.isOpen ? session.channel.kind : 'closed',
          sid: session?.offer.sid ?? null,
        },
      };
    },
    async stats(): Promise<CondensedStats | null> {
      return (await conference.session?.stats()) ?? null;
    },
    /** Asks for this height of a source whatever its tile measures. */
    setTileHeight(source: string, height: number): void {
      conference.setHeightOverride(source, height);
    },
    setAudioMuted: (muted: boolean) => conference.media.setAudioMuted(muted),
    setVideoMuted: (muted: boolean) => conference.media.setVideoMuted(muted),
    setSharing: (on: boolean) => conference.media.setSharing(on),
    say: (text: string) => conference.say(text),
    dropConnection: () => conference.dropConnection(),
    leave: () => conference.leave(),
  };
}
