//! A received media packet, described once by its sender's worker and judged by every replica of the conference.

use contract::session::Codec;
use contract::{SourceId, Timestamp};
use wire::rtp_extension::AudioLevel;

/// Spatial layers of one encoding that are told apart. VP9 and AV1 senders produce three at most.
pub const SPATIAL_LAYERS_MAX: usize = 4;

/// Temporal layers of one encoding that are told apart: VP8 has two bits, others do not use more.
pub const TEMPORAL_LAYERS_MAX: usize = 4;

/// Decode targets of an AV1 structure that are told apart: L3T3 has nine.
pub const DECODE_TARGETS_MAX: usize = 16;

/// One authenticated media packet, described. It refers to no bytes: the worker keeps them beside it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MediaPacket {
    /// What it is part of.
    pub source: SourceId,
    /// Sequence number, extended by the count of wraps.
    pub sequence: u64,
    /// When it reached the process.
    pub arrival: Timestamp,
    /// The encoding's media SSRC; for a repaired packet not that of the RTX stream.
    pub ssrc: u32,
    /// RTP media clock.
    pub timestamp: u32,
    /// Payload without header, extensions and padding.
    pub payload_bytes: u16,
    /// Index of the encoding in the source, lowest quality first.
    pub encoding: u8,
    /// As received.
    pub payload_type: u8,
    /// What the payload type stands for.
    pub codec: Codec,
    /// RTP marker bit.
    pub marker: bool,
    /// It came by RTX, or otherwise later than it should.
    pub retransmitted: bool,
    /// RFC 6464, if the sender wrote it.
    pub audio_level: Option<AudioLevel>,
    /// Its place in a video frame; all default for audio.
    pub frame: Frame,
}

/// Which frame a packet belongs to and what the frame is for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Frame {
    /// Picture id or frame number, extended by the count of wraps; rises by one a picture within an encoding. For codecs
    /// without one, the number of timestamps seen.
    pub number: u32,
    /// Heights of the spatial layers in pixels, as far as this packet tells them (key frames); 0 = unknown.
    pub heights: [u16; SPATIAL_LAYERS_MAX],
    /// First packet of the frame (of the layer frame with VP9 and AV1).
    pub start_of_frame: bool,
    /// Last packet of the frame (of the layer frame with VP9 and AV1).
    pub end_of_frame: bool,
    /// Decoding can start here.
    pub key_frame: bool,
    /// Spatial and temporal layer.
    pub layer: Layer,
    /// What only this codec says.
    pub descriptor: Descriptor,
}

/// A layer of one encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Layer {
    /// Below [`SPATIAL_LAYERS_MAX`].
    pub spatial: u8,
    /// Below [`TEMPORAL_LAYERS_MAX`].
    pub temporal: u8,
}

/// Codec specific routing information.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Descriptor {
    /// None: audio.
    #[default]
    Opaque,
    /// Key frames are known, layers are not: H.264 (RFC 6184), or another codec without picture ids, and no dependency
    /// descriptor.
    Unlayered,
    /// RFC 7741 with a picture id.
    Vp8 {
        /// The picture id has 15 bits rather than 7.
        wide: bool,
        /// TL0PICIDX.
        tl0: Option<u8>,
        /// The Y bit: the frame depends on base layer frames only.
        sync: bool,
    },
    /// RFC 9628 with a picture id.
    Vp9 {
        /// The picture id has 15 bits rather than 7.
        wide: bool,
        /// TL0PICIDX (non-flexible mode).
        tl0: Option<u8>,
        /// The P bit: predicted from earlier pictures.
        inter_picture: bool,
        /// The D bit: predicted from the lower spatial layer of the same picture.
        inter_layer: bool,
        /// The U bit: the temporal layer may be raised here.
        switching_up: bool,
        /// The inverse of the Z bit: a higher spatial layer may refer to this one.
        upper_reference: bool,
        /// The F bit: references are told, so frames that lack theirs are noticed by the decoder.
        flexible: bool,
    },
    /// A dependency descriptor (AV1, or any codec that carries one).
    Av1(DependencyDescriptor),
}

/// What a dependency descriptor says of a frame, resolved against the structure in force, so that nobody else needs to
/// keep structures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DependencyDescriptor {
    /// Earlier frames that this one refers to: bit i = frame number minus (i + 1).
    pub references: u32,
    /// Decode target indications, two bits each (0 not present, 1 discardable, 2 switch, 3 required).
    pub indications: u32,
    /// Highest layer of each decode target: spatial in bits 2..4, temporal in bits 0..2 of a nibble.
    pub target_layers: [u8; DECODE_TARGETS_MAX / 2],
    /// Active decode targets; bit per target.
    pub active: u16,
    /// How many decode targets the structure has, at most [`DECODE_TARGETS_MAX`].
    pub targets: u8,
    /// Template id as received, 0..=63.
    pub template: u8,
    /// Template id of the structure's first template.
    pub template_offset: u8,
    /// How many templates the structure has.
    pub templates: u8,
    /// This packet carries the structure.
    pub has_structure: bool,
    /// This packet carries a mask of active decode targets.
    pub has_active: bool,
    /// It refers to a frame further back than `references` can say.
    pub far_reference: bool,
}

/// What a frame is to a decode target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Indication {
    /// Not part of it.
    #[default]
    NotPresent,
    /// Part of it, and nothing refers to it.
    Discardable,
    /// Decoding of the target can begin here, given the frames referred to.
    Switch,
    /// Needed.
    Required,
}

impl DependencyDescriptor {
    /// What the frame is to `target`.
    pub fn indication(&self, target: u8) -> Indication {
        match self.indications.checked_shr(2 * u32::from(target)).unwrap_or(0) & 3 {
            0 => Indication::NotPresent,
            1 => Indication::Discardable,
            2 => Indication::Switch,
            _ => Indication::Required,
        }
    }

    /// Set what the frame is to `target`; nothing for targets beyond [`DECODE_TARGETS_MAX`].
    pub fn set_indication(&mut self, target: u8, indication: Indication) {
        if usize::from(target) < DECODE_TARGETS_MAX {
            let shift = 2 * u32::from(target);
            self.indications = self.indications & !(3 << shift) | (indication as u32) << shift;
        }
    }

    /// The highest layer of `target`.
    pub fn layer_of(&self, target: u8) -> Layer {
        let pair = self.target_layers.get(usize::from(target / 2)).copied().unwrap_or(0);
        let nibble = if target.is_multiple_of(2) { pair } else { pair >> 4 };
        Layer { spatial: nibble >> 2 & 3, temporal: nibble & 3 }
    }

    /// Set the highest layer of `target`, cut to what a nibble holds.
    pub fn set_layer_of(&mut self, target: u8, layer: Layer) {
        if let Some(pair) = self.target_layers.get_mut(usize::from(target / 2)) {
            let nibble = layer.spatial.min(3) << 2 | layer.temporal.min(3);
            *pair = if target.is_multiple_of(2) { *pair & 0xf0 | nibble } else { *pair & 0x0f | nibble << 4 };
        }
    }

    /// The active decode target with the highest layer within `limit`; the lowest active one if none is.
    pub fn best_target(&self, limit: Layer) -> Option<u8> {
        let active = (0..self.targets)
            .filter(|target| self.active & 1u16.checked_shl(u32::from(*target)).unwrap_or(0) != 0);
        let within = |layer: Layer| layer.spatial <= limit.spatial && layer.temporal <= limit.temporal;
        let best = active
            .clone()
            .filter(|target| within(self.layer_of(*target)))
            .max_by_key(|target| self.layer_of(*target));
        best.or_else(|| active.min_by_key(|target| self.layer_of(*target)))
    }

    /// The decode targets, as a mask, whose layers are not above those of `target`.
    pub fn targets_within(&self, target: u8) -> u16 {
        let limit = self.layer_of(target);
        let mut mask = 0;
        for each in 0..self.targets.min(DECODE_TARGETS_MAX as u8) {
            let layer = self.layer_of(each);
            if layer.spatial <= limit.spatial && layer.temporal <= limit.temporal {
                mask |= 1 << each;
            }
        }
        mask
    }
}

const _: () = assert!(size_of::<MediaPacket>() <= 96);

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A plain video packet: one frame a packet, a millisecond a number.
    pub(crate) fn video(sequence: u64, arrival: Timestamp) -> MediaPacket {
        MediaPacket {
            source: SourceId(1),
            sequence,
            arrival,
            ssrc: 0x1111,
            timestamp: sequence as u32 * 3_000,
            payload_bytes: 1_000,
            encoding: 0,
            payload_type: 96,
            codec: Codec::H264,
            marker: true,
            retransmitted: false,
            audio_level: None,
            frame: Frame {
                number: sequence as u32,
                start_of_frame: true,
                end_of_frame: true,
                descriptor: Descriptor::Unlayered,
                ..Frame::default()
            },
        }
    }

    /// A plain audio packet of 20 ms.
    pub(crate) fn audio(sequence: u64, level: u8) -> MediaPacket {
        MediaPacket {
            timestamp: sequence as u32 * 960,
            payload_bytes: 80,
            payload_type: 111,
            codec: Codec::Opus,
            marker: false,
            audio_level: Some(AudioLevel { voice: level < 127, level }),
            frame: Frame::default(),
            ..video(sequence, Timestamp::from_millis(sequence * 20))
        }
    }

    #[test]
    fn decode_targets_are_chosen_by_layer_among_the_active() {
        let mut descriptor = DependencyDescriptor { targets: 4, active: 0b1111, ..Default::default() };
        for (target, spatial, temporal) in [(0, 1, 1), (1, 1, 0), (2, 0, 1), (3, 0, 0)] {
            descriptor.set_layer_of(target, Layer { spatial, temporal });
        }
        let best = |descriptor: &DependencyDescriptor, spatial, temporal| {
            descriptor.best_target(Layer { spatial, temporal })
        };
        assert_eq!(best(&descriptor, 3, 3), Some(0));
        assert_eq!(best(&descriptor, 1, 0), Some(1));
        assert_eq!(best(&descriptor, 0, 3), Some(2));
        descriptor.active = 0b0011;
        assert_eq!(best(&descriptor, 0, 3), Some(1), "nothing within: the lowest active");
        descriptor.active = 0;
        assert_eq!(best(&descriptor, 3, 3), None);
        assert_eq!(descriptor.targets_within(2), 0b1100);
    }
}
