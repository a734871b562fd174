//! AV1, and any codec with a dependency descriptor: frames are forwarded by decode target; frame numbers and template ids
//! go on over switches.

use wire::codec::Patch;

use super::{Continuity, Frames, Verdict};
use crate::packet::{DependencyDescriptor, Indication, Layer, MediaPacket};
use crate::projection::window::Place;

/// The state of one encoding's forwarding.
#[derive(Clone, Debug)]
pub(crate) struct Av1 {
    frame_offset: u32,
    template_offset: u8,
    /// The decode target that is forwarded; `None` until one could be chosen.
    decode_target: Option<u8>,
    /// Highest spatial layer of the decode target.
    spatial: u8,
}

impl Av1 {
    /// Begin with a key frame.
    pub(crate) fn new(
        packet: &MediaPacket,
        descriptor: &DependencyDescriptor,
        last: &Continuity,
        limit: Layer,
    ) -> Av1 {
        let decode_target = descriptor.best_target(limit);
        let mut av1 = Av1 {
            frame_offset: 0,
            template_offset: last.next_template.wrapping_sub(descriptor.template_offset) & 63,
            decode_target,
            spatial: decode_target.map_or(0, |target| descriptor.layer_of(target).spatial),
        };
        av1.rebase(packet, last);
        av1
    }

    /// Count on from the last frame number sent.
    pub(crate) fn rebase(&mut self, packet: &MediaPacket, last: &Continuity) {
        self.frame_offset = last.frame_number.wrapping_add(1).wrapping_sub(packet.frame.number);
    }

    /// Forward what the decode target needs; turn to the wanted one where the sender says that decoding can.
    pub(crate) fn judge(
        &mut self,
        packet: &MediaPacket,
        descriptor: &DependencyDescriptor,
        limit: Layer,
        frames: &Frames,
        newest: bool,
    ) -> Verdict {
        let Some(wanted) = descriptor.best_target(limit) else { return Verdict::default() };
        let mut key_frame = false;
        if newest && (packet.frame.key_frame || descriptor.has_structure) {
            self.choose(descriptor, wanted);
        } else if newest && self.decode_target != Some(wanted) {
            let switches = descriptor.indication(wanted) == Indication::Switch
                && !descriptor.far_reference
                && Self::references_kept(packet, descriptor, frames);
            if switches {
                self.choose(descriptor, wanted);
            }
            // Another spatial layer may never be told to switch; temporal layers are, at the next base frame.
            key_frame = !switches && descriptor.layer_of(wanted).spatial != self.spatial;
        }
        let Some(current) = self.decode_target else { return Verdict { forward: false, key_frame: true } };
        Verdict { forward: descriptor.indication(current) != Indication::NotPresent, key_frame }
    }

    fn choose(&mut self, descriptor: &DependencyDescriptor, target: u8) {
        self.decode_target = Some(target);
        self.spatial = descriptor.layer_of(target).spatial;
    }

    /// Whether all frames that this one refers to were forwarded.
    fn references_kept(packet: &MediaPacket, descriptor: &DependencyDescriptor, frames: &Frames) -> bool {
        let mut bits = descriptor.references;
        while bits != 0 {
            let back = u64::from(bits.trailing_zeros()) + 1;
            bits &= bits - 1;
            let referred = u64::from(packet.frame.number).wrapping_sub(back);
            if frames.place(referred) != Place::Kept {
                return false;
            }
        }
        true
    }

    /// The last packet of the decode target's highest spatial layer.
    pub(crate) fn ends_picture(&self, packet: &MediaPacket) -> bool {
        packet.frame.end_of_frame && packet.frame.layer.spatial == self.spatial
    }

    pub(crate) fn patch(
        &self,
        packet: &MediaPacket,
        descriptor: &DependencyDescriptor,
        leads: bool,
        last: &mut Continuity,
    ) -> Patch {
        let frame_number = packet.frame.number.wrapping_add(self.frame_offset);
        if leads {
            last.frame_number = frame_number;
        }
        if leads && descriptor.has_structure {
            let first = descriptor.template_offset.wrapping_add(self.template_offset);
            last.next_template = first.wrapping_add(descriptor.templates) & 63;
        }
        let rewrites_mask = descriptor.has_structure && descriptor.has_active;
        let active_mask = self
            .decode_target
            .filter(|_| rewrites_mask)
            .map(|target| u32::from(descriptor.active & descriptor.targets_within(target)));
        Patch::Av1 {
            frame_number: frame_number as u16,
            template_offset: self.template_offset,
            active_mask: active_mask.filter(|mask| *mask != 0),
        }
    }
}
