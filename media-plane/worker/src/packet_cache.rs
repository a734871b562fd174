//! The plaintext packets of the last second, one cache a source encoding, shared by all receivers on the worker.
//!
//! The slots are held by [`KeptOrder`], which lets packets go by age or when the arena runs low; what is overwritten here goes at
//! once.

use arrayvec::ArrayVec;
use conference::MediaPacket;
use contract::{Timestamp, limits};
use mesh::arena::{Arena, Slot};

use crate::kept_order::{KeptNumber, KeptOrder};
use crate::packet_parts::PacketParts;
use crate::redundancy::RecentAudio;

/// A packet kept for retransmission.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cached {
    pub(crate) sequence: u64,
    pub(crate) kept: KeptNumber,
    pub(crate) parts: PacketParts,
}

/// Where its bytes are, and what they mean.
pub(crate) type Found = (Slot, PacketParts);

/// The caches of one source, an encoding each. Built off the worker.
#[derive(Debug)]
pub(crate) struct SourceCache {
    encodings: ArrayVec<Box<[Option<Cached>]>, { limits::ENCODINGS_PER_SOURCE_MAX }>,
    /// What the latest packets said of themselves, for offering them again.
    recent: ArrayVec<Box<[Option<MediaPacket>]>, { limits::ENCODINGS_PER_SOURCE_MAX }>,
    /// The last frames of an audio source, which is not retransmitted but repeated.
    pub(crate) audio: Option<RecentAudio>,
}

impl SourceCache {
    /// For an audio source: only the last frames are kept.
    pub(crate) fn of_audio() -> SourceCache {
        SourceCache { audio: Some(RecentAudio::new()), ..SourceCache::new(0) }
    }

    /// For a video source of `encodings` encodings.
    pub(crate) fn new(encodings: usize) -> SourceCache {
        let encodings = encodings.min(limits::ENCODINGS_PER_SOURCE_MAX);
        SourceCache {
            encodings: (0..encodings).map(|_| vec![None; PACKETS].into_boxed_slice()).collect(),
            recent: (0..encodings).map(|_| vec![None; RECENT].into_boxed_slice()).collect(),
            audio: None,
        }
    }

    /// Note a kept packet. What stood in its place is let go.
    pub(crate) fn insert(&mut self, encoding: u8, cached: Cached, kept: &mut KeptOrder, arena: &mut Arena) {
        let ring = self.encodings.get_mut(usize::from(encoding));
        let gone = match ring {
            Some(ring) => ring[cached.sequence as usize % PACKETS].replace(cached),
            None => Some(cached),
        };
        if let Some(gone) = gone {
            kept.let_go(gone.kept, arena);
        }
    }

    /// Remember what a packet said of itself.
    pub(crate) fn remember(&mut self, media: &MediaPacket) {
        if let Some(ring) = self.recent.get_mut(usize::from(media.encoding)) {
            ring[media.sequence as usize % RECENT] = Some(*media);
        }
    }

    /// A recent packet with what it said of itself.
    pub(crate) fn recent(
        &self,
        encoding: u8,
        sequence: u64,
        kept: &KeptOrder,
        now: Timestamp,
    ) -> Option<(MediaPacket, Found)> {
        let media = self.recent.get(usize::from(encoding))?[sequence as usize % RECENT];
        let media = media.filter(|media| media.sequence == sequence)?;
        Some((media, self.get(encoding, sequence, kept, now)?))
    }

    /// The packet, if it is still here and not too old.
    pub(crate) fn get(&self, encoding: u8, sequence: u64, kept: &KeptOrder, now: Timestamp) -> Option<Found> {
        let place = self.encodings.get(usize::from(encoding))?[sequence as usize % PACKETS];
        let cached = place.filter(|cached| cached.sequence == sequence)?;
        Some((kept.slot(cached.kept, limits::RETRANSMISSION_AGE, now)?, cached.parts))
    }

    /// Let everything go: the source is gone.
    pub(crate) fn clear(&mut self, kept: &mut KeptOrder, arena: &mut Arena) {
        for place in self.encodings.iter_mut().flatten() {
            if let Some(gone) = place.take() {
                kept.let_go(gone.kept, arena);
            }
        }
    }
}

/// Packets an encoding: one second at 4 Mbit/s of 1,000 B packets.
const PACKETS: usize = 512;
/// Packets an encoding that can be offered again to a projection that begins late.
const RECENT: usize = conference::REPLAY_MAX as usize;
