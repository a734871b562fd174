//! The descriptor of one packet (appendix A.8.1, A.8.3): read with the structure that its stream last sent.

use super::bits::Reader;
use super::{EXTENDED_BITS, FrameDependency, Structure, TEMPLATE_ID_MASK};
use crate::codec::Malformed;

/// What the descriptor of one packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// First packet of its frame.
    pub start_of_frame: bool,
    /// Last packet of its frame.
    pub end_of_frame: bool,
    /// 0..=63, as on the wire.
    pub template_id: u8,
    /// Counts frames of all layers.
    pub frame_number: u16,
    /// A structure is attached: a key frame. [`Structure::read`] takes it.
    pub has_structure: bool,
    /// The mask of active decode targets, if told; with a structure and no mask, all targets.
    pub active_mask: Option<u32>,
    /// What the frame depends on.
    pub dependency: FrameDependency,
    /// Width and height of this frame, if the structure tells.
    pub resolution: Option<(u16, u16)>,
}

impl Descriptor {
    /// Read the extension's data. `known` is the last structure of the stream; a descriptor with a structure attached
    /// does without.
    pub fn parse(data: &[u8], known: Option<&Structure>) -> Result<Self, Malformed> {
        let mandatory = Mandatory::parse(data)?;
        let mut reader = Reader::new(data, EXTENDED_BITS);
        if mandatory.has_structure {
            let mut attached = Structure::default();
            attached.fill(&mut reader)?;
            return Layout::read(&mandatory, &attached, reader).map(|layout| layout.descriptor);
        }
        let known = known.ok_or(Malformed::UnknownStructure)?;
        Layout::read(&mandatory, known, reader).map(|layout| layout.descriptor)
    }
}

/// What can be read of a descriptor without any structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mandatory {
    /// First packet of its frame.
    pub start_of_frame: bool,
    /// Last packet of its frame.
    pub end_of_frame: bool,
    /// 0..=63, as on the wire.
    pub template_id: u8,
    /// Counts frames of all layers.
    pub frame_number: u16,
    /// A structure is attached.
    pub has_structure: bool,
    /// A mask of active decode targets is there.
    pub has_active_mask: bool,
    has_custom_indications: bool,
    has_custom_frame_diffs: bool,
    has_custom_chain_diffs: bool,
}

impl Mandatory {
    /// Read the first three bytes, and the flags if there are more.
    pub fn parse(data: &[u8]) -> Result<Self, Malformed> {
        let [first, high, low, rest @ ..] = data else { return Err(Malformed::Truncated) };
        let flags = rest.first().copied().unwrap_or(0);
        let [has_structure, has_active_mask, indications, frame_diffs, chain_diffs] =
            [0x80, 0x40, 0x20, 0x10, 0x08].map(|bit| flags & bit != 0);
        Ok(Self {
            start_of_frame: first & 0x80 != 0,
            end_of_frame: first & 0x40 != 0,
            template_id: first & TEMPLATE_ID_MASK,
            frame_number: u16::from_be_bytes([*high, *low]),
            has_structure,
            has_active_mask,
            has_custom_indications: indications,
            has_custom_frame_diffs: frame_diffs,
            has_custom_chain_diffs: chain_diffs,
        })
    }
}

/// A descriptor with the places of what may be rewritten.
pub(super) struct Layout {
    pub(super) descriptor: Descriptor,
    /// Where the mask is, or would be.
    pub(super) mask_at: usize,
    /// Where all fields end and zero padding begins.
    pub(super) end: usize,
}

impl Layout {
    /// Read what follows the flags and an attached structure.
    pub(super) fn read(
        mandatory: &Mandatory,
        structure: &Structure,
        mut reader: Reader<'_>,
    ) -> Result<Self, Malformed> {
        let mut dependency = *structure.template(mandatory.template_id).ok_or(Malformed::UnknownStructure)?;
        let mask_at = reader.at();
        let mut active_mask = mandatory.has_structure.then(|| structure.all_targets());
        if mandatory.has_active_mask {
            active_mask = Some(reader.bits(u32::from(structure.decode_target_count()))?);
        }
        if mandatory.has_custom_indications {
            dependency.read_indications(&mut reader, structure.decode_target_count())?;
        }
        if mandatory.has_custom_frame_diffs {
            dependency.read_frame_diffs(&mut reader)?;
        }
        if mandatory.has_custom_chain_diffs {
            dependency.read_chain_diffs(&mut reader, structure.chain_count())?;
        }
        let descriptor = Descriptor {
            start_of_frame: mandatory.start_of_frame,
            end_of_frame: mandatory.end_of_frame,
            template_id: mandatory.template_id,
            frame_number: mandatory.frame_number,
            has_structure: mandatory.has_structure,
            active_mask,
            dependency,
            resolution: structure.resolutions().get(usize::from(dependency.sid)).copied(),
        };
        Ok(Self { descriptor, mask_at, end: reader.at() })
    }
}
