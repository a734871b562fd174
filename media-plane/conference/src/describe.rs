//! From an authenticated packet to its [`MediaPacket`]: payload descriptors are read, numbers unwrapped, and AV1 structures
//! kept, once per packet and on the sender's worker only.

use contract::session::{Codec, ExtensionIds, Media};
use contract::{DropReason, Duration, Timestamp};
use wire::codec::av1_descriptor::{self, Structure};
use wire::codec::{Malformed, h264, vp8, vp9};
use wire::rtp::Packet;

use crate::packet::{
    DECODE_TARGETS_MAX, DependencyDescriptor, Descriptor, Frame, Indication, Layer, SPATIAL_LAYERS_MAX,
    TEMPORAL_LAYERS_MAX,
};

/// Unreadable descriptors within [`UNREADABLE_PERIOD`] after which a key frame is asked for: it brings what is missing.
const UNREADABLE_MAX: u8 = 20;

const UNREADABLE_PERIOD: Duration = Duration::from_secs(1);

/// Where frame numbers begin, so that those before the first seen are no negative numbers.
const FIRST_NUMBER: u32 = 1 << 17;

/// H.264 NAL unit types that begin an access unit: sequence parameter set and delimiter (RFC 6184, H.264 table 7-1).
const H264_BEGINNINGS: u32 = 1 << 7 | 1 << 9;

/// What is kept between the packets of one encoding.
#[derive(Debug, Default)]
pub(crate) struct Describer {
    /// The last frame number, unwrapped.
    number: Option<u32>,
    /// Timestamp of the newest frame.
    timestamp: u32,
    /// The newest key frame.
    key_frame: Option<u32>,
    structure: Structure,
    /// Decode targets that are active, a bit each.
    active: u32,
    codec: Option<Codec>,
    layer: Layer,
    descriptor: Descriptor,
    unreadable: u8,
    unreadable_since: Timestamp,
    /// Too much was unreadable: a key frame would help.
    pub(crate) key_frame_due: bool,
}

impl Describer {
    /// What a video packet says of its frame.
    pub(crate) fn frame(
        &mut self,
        packet: &Packet<'_>,
        extensions: &ExtensionIds,
        codec: Codec,
        now: Timestamp,
    ) -> Result<Frame, DropReason> {
        if codec.media() != Media::Video {
            return Err(DropReason::UnknownPayloadType);
        }
        if self.codec != Some(codec) {
            let number = self.number;
            *self = Describer { number, codec: Some(codec), ..Describer::default() };
        }
        if packet.payload().is_empty() {
            // Padding takes a sequence number, no more: it belongs to whatever frame there was.
            let (layer, descriptor) = (self.layer, self.descriptor);
            let number = self.number.unwrap_or(FIRST_NUMBER);
            return Ok(Frame { number, layer, descriptor, ..Frame::default() });
        }
        let read = self.read(packet, extensions, codec);
        let Ok(frame) = read else {
            self.note_unreadable(now);
            return Err(DropReason::Descriptor);
        };
        let bounded = usize::from(frame.layer.spatial) < SPATIAL_LAYERS_MAX
            && usize::from(frame.layer.temporal) < TEMPORAL_LAYERS_MAX;
        if !bounded {
            return Err(DropReason::Descriptor);
        }
        self.layer = frame.layer;
        self.descriptor = frame.descriptor;
        Ok(frame)
    }

    fn read(
        &mut self,
        packet: &Packet<'_>,
        extensions: &ExtensionIds,
        codec: Codec,
    ) -> Result<Frame, Malformed> {
        let dependency = extensions.dependency_descriptor.and_then(|id| packet.extension()?.find(id));
        match (codec, dependency) {
            (Codec::Av1 | Codec::H264, Some(data)) => self.read_dependency(data),
            (Codec::Vp8, _) => self.read_vp8(packet, dependency),
            (Codec::Vp9, _) => self.read_vp9(packet, dependency),
            (Codec::H264, None) => self.read_h264(packet),
            _ => Ok(self.read_av1_without_descriptor(packet)),
        }
    }

    fn read_vp8(&mut self, packet: &Packet<'_>, dependency: Option<&[u8]>) -> Result<Frame, Malformed> {
        let read = vp8::Descriptor::parse(packet.payload())?;
        let start_of_frame = read.is_start_of_frame();
        let heights = heights(read.resolution.as_slice());
        let Some(id) = read.picture_id else {
            if let Some(data) = dependency {
                return self.read_dependency(data);
            }
            let number = self.number_by_timestamp(packet).0;
            let key_frame = self.is_key_frame(number, read.is_key_frame);
            return Ok(Frame {
                number,
                heights,
                start_of_frame,
                end_of_frame: packet.marker(),
                key_frame,
                descriptor: Descriptor::Unlayered,
                ..Frame::default()
            });
        };
        let number = self.unwrap(u32::from(id.value), if id.wide { 15 } else { 7 });
        let key_frame = self.is_key_frame(number, read.is_key_frame);
        Ok(Frame {
            number,
            heights,
            start_of_frame,
            end_of_frame: packet.marker(),
            key_frame,
            layer: Layer { spatial: 0, temporal: read.tid.unwrap_or(0) },
            descriptor: Descriptor::Vp8 {
                wide: id.wide,
                tl0: read.tl0_picidx.map(|tl0| tl0.value),
                sync: read.layer_sync,
            },
        })
    }

    fn read_vp9(&mut self, packet: &Packet<'_>, dependency: Option<&[u8]>) -> Result<Frame, Malformed> {
        let read = vp9::Descriptor::parse(packet.payload())?;
        let inter_layer = read.layer.is_some_and(|layer| layer.inter_layer);
        let key_frame = !read.inter_picture && !inter_layer && read.sid() == 0;
        let sizes = read.structure.and_then(|structure| structure.sizes);
        let mut frame = Frame {
            heights: sizes.map_or([0; SPATIAL_LAYERS_MAX], |sizes| heights(&sizes)),
            start_of_frame: read.start_of_frame,
            end_of_frame: read.end_of_frame,
            key_frame,
            layer: Layer { spatial: read.sid(), temporal: read.tid() },
            ..Frame::default()
        };
        let Some(id) = read.picture_id else {
            if let Some(data) = dependency {
                return self.read_dependency(data);
            }
            frame.number = self.number_by_timestamp(packet).0;
            frame.layer = Layer::default();
            frame.descriptor = Descriptor::Unlayered;
            return Ok(frame);
        };
        frame.number = self.unwrap(u32::from(id.value), if id.wide { 15 } else { 7 });
        frame.descriptor = Descriptor::Vp9 {
            wide: id.wide,
            tl0: read.tl0_picidx.map(|tl0| tl0.value),
            inter_picture: read.inter_picture,
            inter_layer,
            switching_up: read.layer.is_some_and(|layer| layer.switching_up),
            upper_reference: !read.not_reference_for_upper,
            flexible: read.flexible,
        };
        Ok(frame)
    }

    fn read_h264(&mut self, packet: &Packet<'_>) -> Result<Frame, Malformed> {
        let read = h264::Descriptor::parse(packet.payload())?;
        let (number, first) = self.number_by_timestamp(packet);
        let key_frame = self.is_key_frame(number, read.is_key_frame);
        Ok(Frame {
            number,
            start_of_frame: first || read.nal_types & H264_BEGINNINGS != 0,
            end_of_frame: packet.marker(),
            key_frame,
            descriptor: Descriptor::Unlayered,
            ..Frame::default()
        })
    }

    /// The aggregation header tells where a coded video sequence begins: N; and Z, that the packet goes on with an OBU.
    fn read_av1_without_descriptor(&mut self, packet: &Packet<'_>) -> Frame {
        let header = packet.payload().first().copied().unwrap_or(0);
        let (number, first) = self.number_by_timestamp(packet);
        let key_frame = self.is_key_frame(number, header & 0x08 != 0);
        Frame {
            number,
            start_of_frame: first && header & 0x80 == 0,
            end_of_frame: packet.marker(),
            key_frame,
            descriptor: Descriptor::Unlayered,
            ..Frame::default()
        }
    }

    fn read_dependency(&mut self, data: &[u8]) -> Result<Frame, Malformed> {
        let read = av1_descriptor::Descriptor::parse(data, Some(&self.structure))?;
        if read.has_structure {
            self.structure.read(data)?;
        }
        if usize::from(self.structure.decode_target_count()) > DECODE_TARGETS_MAX {
            return Err(Malformed::TooLarge);
        }
        let number = self.unwrap(u32::from(read.frame_number), 16);
        let dependency = &read.dependency;
        let begins = read.has_structure && dependency.frame_diff_count == 0;
        let key_frame = self.is_key_frame(number, begins);
        let descriptor = self.resolve(&read);
        let told = if read.has_structure { self.structure.resolutions() } else { &[] };
        Ok(Frame {
            number,
            heights: heights(told),
            start_of_frame: read.start_of_frame,
            end_of_frame: read.end_of_frame,
            key_frame,
            layer: Layer { spatial: dependency.sid, temporal: dependency.tid },
            descriptor: Descriptor::Av1(descriptor),
        })
    }

    /// All that others need of the structure goes into the packet.
    fn resolve(&mut self, read: &av1_descriptor::Descriptor) -> DependencyDescriptor {
        let (dependency, structure) = (&read.dependency, &self.structure);
        let mut descriptor = DependencyDescriptor {
            targets: structure.decode_target_count(),
            template: read.template_id,
            template_offset: structure.template_id_offset(),
            templates: structure.templates().len() as u8,
            has_structure: read.has_structure,
            has_active: read.active_mask.is_some(),
            ..DependencyDescriptor::default()
        };
        for target in 0..descriptor.targets {
            let bit = 1u32 << target;
            let indication = match () {
                () if dependency.switch & bit != 0 => Indication::Switch,
                () if dependency.required & bit != 0 => Indication::Required,
                () if dependency.discardable & bit != 0 => Indication::Discardable,
                () => Indication::NotPresent,
            };
            descriptor.set_indication(target, indication);
            if let Some((spatial, temporal)) = structure.target_layer(target) {
                descriptor.set_layer_of(target, Layer { spatial, temporal });
            }
        }
        for diff in dependency.frame_diffs() {
            match diff.checked_sub(1).and_then(|back| 1u32.checked_shl(u32::from(back))) {
                Some(bit) => descriptor.references |= bit,
                None => descriptor.far_reference = true,
            }
        }
        let all = structure.all_targets();
        if let Some(mask) = read.active_mask {
            self.active = mask;
        } else if read.has_structure {
            self.active = all;
        }
        descriptor.active = (self.active & all) as u16;
        descriptor
    }

    /// Extend a number of so many bits to the one nearest to the last.
    fn unwrap(&mut self, value: u32, bits: u32) -> u32 {
        let modulus = 1u32 << bits;
        let Some(last) = self.number else {
            let number = FIRST_NUMBER + value;
            self.number = Some(number);
            return number;
        };
        let ahead = value.wrapping_sub(last) & (modulus - 1);
        let behind = modulus - ahead;
        if ahead < modulus / 2 || last < behind {
            let number = last.wrapping_add(ahead);
            self.number = Some(number);
            return number;
        }
        last - behind
    }

    /// For codecs without numbers: one for each timestamp. Also whether the packet is the first seen of the newest.
    fn number_by_timestamp(&mut self, packet: &Packet<'_>) -> (u32, bool) {
        let Some(last) = self.number else {
            self.number = Some(FIRST_NUMBER);
            self.timestamp = packet.timestamp();
            return (FIRST_NUMBER, true);
        };
        if packet.timestamp() == self.timestamp {
            return (last, false);
        }
        if (packet.timestamp().wrapping_sub(self.timestamp) as i32) < 0 {
            return (last.saturating_sub(1), false);
        }
        self.timestamp = packet.timestamp();
        let number = last.wrapping_add(1);
        self.number = Some(number);
        (number, true)
    }

    /// Only the first packet tells; the others of the frame are recognised by its number.
    fn is_key_frame(&mut self, number: u32, told: bool) -> bool {
        if told {
            self.key_frame = Some(number);
        }
        self.key_frame == Some(number)
    }

    fn note_unreadable(&mut self, now: Timestamp) {
        if now.since(self.unreadable_since) > UNREADABLE_PERIOD {
            self.unreadable_since = now;
            self.unreadable = 0;
        }
        self.unreadable = self.unreadable.saturating_add(1);
        if self.unreadable >= UNREADABLE_MAX {
            self.unreadable = 0;
            self.key_frame_due = true;
        }
    }
}

/// Heights of the spatial layers: the shorter sides, since constraints do not know of portrait format.
fn heights(sizes: &[(u16, u16)]) -> [u16; SPATIAL_LAYERS_MAX] {
    let mut heights = [0; SPATIAL_LAYERS_MAX];
    for (height, (x, y)) in heights.iter_mut().zip(sizes) {
        *height = *x.min(y);
    }
    heights
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTENSIONS: ExtensionIds = ExtensionIds {
        audio_level: None,
        absolute_send_time: None,
        transport_cc: None,
        mid: None,
        rid: None,
        dependency_descriptor: Some(12),
        video_orientation: None,
        allow_mixed: true,
    };

    /// Start, not end, template 5, frame 258, with a structure: L1T2, two decode targets, one chain, 320 x 180.
    const KEY_FRAME: &[&str] = &[
        "1 0 000101 0000000100000010",
        "10000",
        "000101 00001",        // template offset 5, two targets
        "00 01 11",            // layers of the templates: 0/0, 0/0, 0/1
        "10 10 10 10 00 01",   // targets of each template: SS SS -D
        "0 1 0001 0 1 0000 0", // differences: none, 2, 1
        "10",                  // one chain
        "0000 0010 0001",      // chain differences
        "1",
        "0000000100111111 0000000010110011",
    ];

    fn bytes(text: &[&str]) -> Vec<u8> {
        let digits: Vec<u8> =
            text.iter().flat_map(|line| line.bytes()).filter(|digit| *digit != b' ').collect();
        let byte =
            |bits: &[u8]| bits.iter().enumerate().fold(0, |sum, (at, bit)| sum | (bit - b'0') << (7 - at));
        digits.chunks(8).map(byte).collect()
    }

    /// A packet with a dependency descriptor in the two-byte form (RFC 8285 §4.3).
    fn rtp(descriptor: &[u8]) -> Vec<u8> {
        let mut block = vec![12, descriptor.len() as u8];
        block.extend_from_slice(descriptor);
        block.resize(block.len().next_multiple_of(4), 0);
        let mut packet = vec![0x90, 45, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0x10, 0, 0, (block.len() / 4) as u8];
        packet.extend_from_slice(&block);
        packet.extend_from_slice(&[0; 10]);
        packet
    }

    fn frame(describer: &mut Describer, descriptor: &[u8]) -> Result<Frame, DropReason> {
        let bytes = rtp(descriptor);
        let packet = Packet::parse(&bytes).unwrap();
        describer.frame(&packet, &EXTENSIONS, Codec::Av1, Timestamp::ZERO)
    }

    fn resolved(frame: &Frame) -> DependencyDescriptor {
        match frame.descriptor {
            Descriptor::Av1(descriptor) => descriptor,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_structure_is_kept_and_resolved_into_every_packet() {
        let mut describer = Describer::default();
        let key = frame(&mut describer, &bytes(KEY_FRAME)).unwrap();
        assert!(key.key_frame && key.start_of_frame && !key.end_of_frame);
        assert_eq!(key.heights, [180, 0, 0, 0]);
        let descriptor = resolved(&key);
        assert_eq!((descriptor.targets, descriptor.templates, descriptor.template_offset), (2, 3, 5));
        assert_eq!(descriptor.layer_of(1), Layer { spatial: 0, temporal: 1 });
        assert_eq!((descriptor.active, descriptor.references), (0b11, 0));

        // The rest of the key frame, which repeats no structure: template 5, frame 258.
        let rest = frame(&mut describer, &[0x45, 0x01, 0x02]).unwrap();
        assert!(rest.key_frame && !rest.start_of_frame && rest.end_of_frame);
        assert_eq!(rest.number, key.number);

        // Template 7, frame 259: the upper temporal layer, which refers to the frame before.
        let upper = frame(&mut describer, &[0xc7, 0x01, 0x03]).unwrap();
        assert!(!upper.key_frame);
        assert_eq!((upper.number, upper.layer.temporal), (key.number + 1, 1));
        let descriptor = resolved(&upper);
        assert_eq!(descriptor.indication(0), Indication::NotPresent);
        assert_eq!(descriptor.indication(1), Indication::Discardable);
        assert_eq!((descriptor.references, descriptor.active), (0b1, 0b11));
    }

    #[test]
    fn without_its_structure_a_frame_is_not_guessed_at() {
        let mut describer = Describer::default();
        assert_eq!(frame(&mut describer, &[0xc7, 0x01, 0x03]), Err(DropReason::Descriptor));
    }

    #[test]
    fn numbers_are_extended_to_the_nearest() {
        let mut describer = Describer::default();
        let numbers = [65_534, 65_535, 0, 65_533, 3, 32_000, 64_700].map(|value| describer.unwrap(value, 16));
        let first = FIRST_NUMBER + 65_534;
        assert_eq!(numbers.map(|number| number as i64 - i64::from(first)), [0, 1, 2, -1, 5, 32_002, 64_702]);
    }
}
