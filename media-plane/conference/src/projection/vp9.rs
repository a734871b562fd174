//! VP9 (RFC 9628): spatial and temporal layers of one encoding, taken out by the layer frame. Picture ids keep the gaps
//! that taking out leaves, which the codec allows.

use wire::codec::Patch;

use super::{Continuity, Target, Verdict};
use crate::packet::{Descriptor, Layer, MediaPacket, SPATIAL_LAYERS_MAX};

/// The state of one encoding's forwarding.
#[derive(Clone, Debug)]
pub(crate) struct Vp9 {
    picture_offset: u32,
    tl0_offset: u8,
    /// The highest spatial layer that is forwarded now.
    spatial: u8,
    /// The highest temporal layer that is forwarded now.
    temporal: u8,
    /// The picture that `forwarded` is about.
    picture: u32,
    is_key_picture: bool,
    /// Whether the layer frame of this picture was forwarded, by spatial layer.
    forwarded: [bool; SPATIAL_LAYERS_MAX],
    /// Whether nothing of a spatial layer was left out since its last start.
    chain: [bool; SPATIAL_LAYERS_MAX],
}

/// Layer frames in the order of decoding.
pub(crate) fn frame_key(packet: &MediaPacket) -> u64 {
    u64::from(packet.frame.number) * SPATIAL_LAYERS_MAX as u64 + spatial(packet) as u64
}

impl Vp9 {
    /// Begin with a key picture.
    pub(crate) fn new(packet: &MediaPacket, tl0: Option<u8>, last: &Continuity) -> Vp9 {
        let mut vp9 = Vp9 {
            picture_offset: 0,
            tl0_offset: last.tl0.wrapping_add(1).wrapping_sub(tl0.unwrap_or(0)),
            spatial: 0,
            temporal: 0,
            picture: packet.frame.number.wrapping_sub(1),
            is_key_picture: false,
            forwarded: [false; SPATIAL_LAYERS_MAX],
            chain: [false; SPATIAL_LAYERS_MAX],
        };
        vp9.rebase(packet, last);
        vp9
    }

    /// Count on from the last picture id sent.
    pub(crate) fn rebase(&mut self, packet: &MediaPacket, last: &Continuity) {
        self.picture_offset = last.picture_id.wrapping_add(1).wrapping_sub(packet.frame.number);
    }

    /// Forward what is decodable of the highest wanted spatial layer and what it needs of those below.
    pub(crate) fn judge(&mut self, packet: &MediaPacket, limit: Layer, newest: bool) -> Verdict {
        let Descriptor::Vp9 { inter_picture, inter_layer, upper_reference, switching_up, flexible, .. } =
            packet.frame.descriptor
        else {
            return Verdict::default();
        };
        let (layer, at) = (packet.frame.layer, spatial(packet));
        if !newest {
            let needed = layer.spatial == self.spatial || layer.spatial < self.spatial && upper_reference;
            return Verdict { forward: needed && layer.temporal <= self.temporal, key_frame: false };
        }
        if packet.frame.number != self.picture {
            self.picture = packet.frame.number;
            self.forwarded = [false; SPATIAL_LAYERS_MAX];
            self.is_key_picture = !inter_picture;
            if self.is_key_picture {
                // The sender may have changed its layers: climb as far as they go.
                self.spatial = 0;
            }
        }
        // Temporal layers rise where later pictures are said not to need those left out.
        self.temporal = self.temporal.min(limit.temporal);
        if flexible || self.is_key_picture {
            self.temporal = limit.temporal;
        }
        if layer.temporal > self.temporal {
            return Verdict::default();
        }
        if switching_up {
            self.temporal = limit.temporal;
        }

        let below = at.checked_sub(1).is_none_or(|below| self.forwarded[below]);
        let decodable = (!inter_picture || self.chain[at]) && (!inter_layer || below);
        let wanted = layer.spatial <= limit.spatial || layer.spatial <= self.spatial;
        let rises = (self.spatial..=limit.spatial).contains(&layer.spatial);
        let falls = layer.spatial == limit.spatial;
        let forward =
            decodable && wanted && (rises || falls || layer.spatial == self.spatial || upper_reference);
        if forward && (rises || falls) {
            self.spatial = layer.spatial;
        }
        self.forwarded[at] = forward;
        self.chain[at] = forward;
        Verdict { forward, key_frame: layer.spatial == limit.spatial && !forward }
    }

    /// The last packet of the highest layer that will be forwarded of this picture.
    pub(crate) fn ends_picture(&self, packet: &MediaPacket, target: Target) -> bool {
        let highest = match self.is_key_picture && packet.frame.number == self.picture {
            true if packet.encoding == target.encoding => target.layer.spatial,
            true => return false,
            false => self.spatial,
        };
        packet.frame.end_of_frame && packet.frame.layer.spatial == highest
    }

    pub(crate) fn patch(
        &self,
        packet: &MediaPacket,
        tl0: Option<u8>,
        leads: bool,
        last: &mut Continuity,
    ) -> Patch {
        let picture_id = packet.frame.number.wrapping_add(self.picture_offset);
        let tl0_picidx = tl0.map(|tl0| tl0.wrapping_add(self.tl0_offset));
        if leads {
            last.picture_id = picture_id;
            last.tl0 = tl0_picidx.unwrap_or(last.tl0);
        }
        Patch::Vp9 { picture_id: Some((picture_id & 0x7fff) as u16), tl0_picidx }
    }
}

fn spatial(packet: &MediaPacket) -> usize {
    usize::from(packet.frame.layer.spatial).min(SPATIAL_LAYERS_MAX - 1)
}
