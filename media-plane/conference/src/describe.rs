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
