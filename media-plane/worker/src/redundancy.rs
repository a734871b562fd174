//! Redundant audio (RFC 2198) by the receiver's need: added where packets are lost, taken away where it is not spoken.

use conference::MediaPacket;
use contract::session::Codec;
use contract::{Duration, Timestamp};
use wire::red::{self, Red};

use crate::seat::Seat;

/// How far back the frames lie that are sent once more, the farthest first, by what the link carries in bits per second at least:
/// with the first row five packets in a row must be lost before anything is, with the last two.
const DISTANCES: [(u64, &[u64]); 3] = [(1_500_000, &[4, 2, 1]), (300_000, &[2, 1]), (0, &[1])];
const DISTANCES_MAX: usize = 3;
/// Of frames up to this length three go beside the newest.
const SHORT: usize = 200;
/// Frames remembered; some to spare for reordering.
const REMEMBERED: usize = 8;
/// Longer frames are not repeated: music in stereo has other needs than speech.
const FRAME_BYTES_MAX: usize = 320;
/// Most bytes of a payload with redundancy.
pub(crate) const RED_BYTES_MAX: usize = 1_100;
/// From this share lost on, in 1/256, redundancy is added: two percent.
const LOSS_MIN: u8 = 5;
/// And for so long after.
const PROTECTED_FOR: Duration = Duration::from_secs(30);
/// With a longer queue, in milliseconds, the link is full.
const QUEUE_MS_MAX: u32 = 100;
/// And counts as full for so long after: its queue trembles about its length, and what it lost counts for as long.
const FULL_FOR: Duration = Duration::from_secs(8);

/// The last frames of an audio source.
#[derive(Debug)]
pub(crate) struct RecentAudio {
    frames: [Frame; REMEMBERED],
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    sequence: u64,
    timestamp: u32,
    payload_type: u8,
    len: u16,
    bytes: [u8; FRAME_BYTES_MAX],
}

impl RecentAudio {
    pub(crate) fn new() -> RecentAudio {
        let none = Frame { sequence: 0, timestamp: 0, payload_type: 0, len: 0, bytes: [0; FRAME_BYTES_MAX] };
        RecentAudio { frames: [none; REMEMBERED] }
    }

    /// A packet with its payload.
    pub(crate) fn note(&mut self, media: &MediaPacket, payload: &[u8]) {
        let frame = &mut self.frames[media.sequence as usize % REMEMBERED];
        let fits = media.codec == Codec::Opus && payload.len() <= FRAME_BYTES_MAX;
        frame.len = if fits { payload.len() as u16 } else { 0 };
        (frame.sequence, frame.timestamp) = (media.sequence, media.timestamp);
        frame.payload_type = media.payload_type;
        if fits {
            frame.bytes[..payload.len()].copy_from_slice(payload);
        }
    }

    /// The payload with frames before it, this far back each; its length.
    fn protect(
        &self,
        media: &MediaPacket,
        payload: &[u8],
        distances: &[u64],
        out: &mut [u8],
    ) -> Option<usize> {
        let mut older: [(u8, u16, &[u8]); DISTANCES_MAX] = [(0, 0, &[]); DISTANCES_MAX];
        let mut count = 0;
        // Of long frames three do not fit into a packet.
        let skipped = if payload.len() > SHORT { distances.len().saturating_sub(2) } else { 0 };
        for back in distances.iter().skip(skipped).take(DISTANCES_MAX) {
            let Some(sequence) = media.sequence.checked_sub(*back) else { continue };
            let frame = &self.frames[sequence as usize % REMEMBERED];
            let offset = media.timestamp.wrapping_sub(frame.timestamp);
            if frame.sequence != sequence || frame.len == 0 || offset == 0 || offset > 0x3FFF {
                continue;
            }
            older[count] = (frame.payload_type, offset as u16, &frame.bytes[..usize::from(frame.len)]);
            count += 1;
        }
        red::write(out, &older[..count], media.payload_type, payload)
    }
}

impl Seat {
    /// The receiver lost this share, in 1/256. On a link that is full, redundancy would only add to what is lost. The target by
    /// delay alone says how wide it is: loss lowers the other, and that is when a voice needs redundancy most.
    pub(crate) fn note_loss(&mut self, fraction: u8, now: Timestamp) {
        let bandwidth = self.transport.bandwidth();
        if bandwidth.queue_ms() > QUEUE_MS_MAX {
            self.protected_until = self.protected_until.min(now);
            self.full_until = now + FULL_FOR;
        } else if fraction >= LOSS_MIN && now >= self.full_until {
            self.protected_until = now + PROTECTED_FOR;
            self.protection = distances(bandwidth.target_by_delay());
        }
    }

    /// Whether audio of this codec goes to the receiver other than it came.
    pub(crate) fn changes_audio(&self, codec: Codec, now: Timestamp) -> bool {
        match codec {
            Codec::Opus => now < self.protected_until,
            Codec::Red => self.red().is_none(),
            _ => false,
        }
    }

    /// What the receiver gets instead of an audio payload, if it can be had: payload type, and the bytes, maybe in `out`.
    pub(crate) fn audio_for<'a>(
        &self,
        media: &MediaPacket,
        payload: &'a [u8],
        recent: Option<&RecentAudio>,
        out: &'a mut [u8],
    ) -> Option<(u8, &'a [u8])> {
        if media.codec == Codec::Red {
            let primary = Red::parse(payload).ok()?.primary();
            return Some((primary.payload_type, &payload[primary.range]));
        }
        let number = self.red()?;
        let len = recent?.protect(media, payload, self.protection, out)?;
        Some((number, &out[..len]))
    }

    /// The receiver was offered redundant audio and does not take it.
    pub(crate) fn leave_out_redundancy(&mut self) {
        self.payload_types.retain(|signalled| signalled.codec != Codec::Red);
    }

    /// The payload type of redundant audio, if it is spoken.
    fn red(&self) -> Option<u8> {
        self.payload_types.iter().find(|signalled| signalled.codec == Codec::Red).map(|red| red.number)
    }
}

/// Which frames are sent once more over a link that carries so much: a narrow one has hardly room for a voice beside a picture.
fn distances(carries: u64) -> &'static [u64] {
    DISTANCES.iter().find(|(least, _)| carries >= *least).map_or(&[], |(_, distances)| distances)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrower_a_link_the_less_redundancy() {
        for (carries, frames) in [(1_500_000, 3), (1_000_000, 2), (300_000, 2), (200_000, 1), (50_000, 1)] {
            assert_eq!(distances(carries).len(), frames, "{carries}");
        }
    }
}
