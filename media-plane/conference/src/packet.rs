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
    /// None: audio, or video that could not be told apart further.
    #[default]
    Opaque,
    /// RFC 6184 without dependency descriptor: key frames are known, layers are not.
    H264,
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

const _: () = assert!(size_of::<MediaPacket>() <= 104);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_packet_stays_within_a_cache_line_and_a_half() {
        assert!(size_of::<MediaPacket>() <= 96, "{}", size_of::<MediaPacket>());
    }
}
