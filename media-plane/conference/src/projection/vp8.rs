//! VP8 (RFC 7741): picture ids without gaps of ours, temporal layers taken out whole.

use wire::codec::Patch;

use super::{Continuity, Frames, Verdict};
use crate::packet::{Layer, MediaPacket, TEMPORAL_LAYERS_MAX};

/// The state of one encoding's forwarding.
#[derive(Clone, Debug)]
pub(crate) struct Vp8 {
    picture_offset: u32,
    tl0_offset: u8,
    /// Whether the latest frame of each temporal layer was forwarded; `None` before the first.
    latest: [Option<bool>; TEMPORAL_LAYERS_MAX],
}

impl Vp8 {
    /// Begin with a key frame.
    pub(crate) fn new(packet: &MediaPacket, tl0: Option<u8>, last: &Continuity) -> Vp8 {
        let mut vp8 = Vp8 { picture_offset: 0, tl0_offset: 0, latest: [None; TEMPORAL_LAYERS_MAX] };
        vp8.rebase(packet, last);
        vp8.tl0_offset = last.tl0.wrapping_add(1).wrapping_sub(tl0.unwrap_or(0));
        vp8
    }

    /// Count on from the last picture id sent; nothing is taken out yet.
    pub(crate) fn rebase(&mut self, packet: &MediaPacket, last: &Continuity) {
        self.picture_offset = last.picture_id.wrapping_add(1).wrapping_sub(packet.frame.number);
    }

    /// A frame above the base layer refers to the latest frames of all layers up to its own, unless it says (`sync`) that it
    /// needs the base layer alone.
    pub(crate) fn judge(&mut self, packet: &MediaPacket, limit: Layer, sync: bool, newest: bool) -> Verdict {
        let layer = usize::from(packet.frame.layer.temporal).min(TEMPORAL_LAYERS_MAX - 1);
        if packet.frame.key_frame && newest {
            self.latest = [None; TEMPORAL_LAYERS_MAX];
        }
        let intact = sync || self.latest[..=layer].iter().skip(1).all(|latest| *latest != Some(false));
        let forward = layer == 0 || (packet.frame.layer.temporal <= limit.temporal && intact);
        if newest {
            self.latest[layer] = Some(forward);
        }
        Verdict { forward, key_frame: false }
    }

    pub(crate) fn patch(
        &self,
        packet: &MediaPacket,
        tl0: Option<u8>,
        frames: &Frames,
        leads: bool,
        last: &mut Continuity,
    ) -> Patch {
        let removed = frames.removed_before(u64::from(packet.frame.number)) as u32;
        let picture_id = packet.frame.number.wrapping_sub(removed).wrapping_add(self.picture_offset);
        let tl0_picidx = tl0.map(|tl0| tl0.wrapping_add(self.tl0_offset));
        if leads {
            last.picture_id = picture_id;
            last.tl0 = tl0_picidx.unwrap_or(last.tl0);
        }
        Patch::Vp8 { picture_id: Some((picture_id & 0x7fff) as u16), tl0_picidx }
    }
}
