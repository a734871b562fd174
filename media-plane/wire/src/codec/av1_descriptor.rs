//! The AV1 dependency descriptor header extension (RTP payload format for AV1, appendix A).

use super::Malformed;

/// Most templates of a structure: ids have six bits.
pub const TEMPLATES_MAX: usize = 64;
/// Most decode targets: their count has five bits.
pub const DECODE_TARGETS_MAX: usize = 32;
/// Most frame differences of one frame: AV1 has eight reference slots.
pub const FRAME_DIFFS_MAX: usize = 8;
/// Most spatial layers.
pub const SPATIAL_LAYERS_MAX: usize = 4;

/// What a frame depends on and is good for, be it told by template or by the packet itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameDependency {
    /// Spatial layer, 0..=3.
    pub sid: u8,
    /// Temporal layer, 0..=7.
    pub tid: u8,
    /// Decode targets (bit n: target n) that the frame is part of: all but "not present".
    pub present: u32,
    /// Targets for which the frame is a switch point ("S").
    pub switch: u32,
    /// Targets for which the frame is required ("R").
    pub required: u32,
    /// Targets for which the frame is discardable ("D").
    pub discardable: u32,
    /// Distances in frame numbers to the frames referred to; zero beyond `frame_diff_count`.
    pub frame_diffs: [u16; FRAME_DIFFS_MAX],
    /// How many of `frame_diffs` count.
    pub frame_diff_count: u8,
    /// For each chain the distance to its previous frame; zero beyond the structure's chain count.
    pub chain_diffs: [u8; DECODE_TARGETS_MAX],
}

impl FrameDependency {
    /// Distances to the frames referred to.
    pub fn frame_diffs(&self) -> &[u16] {
        self.frame_diffs.get(..usize::from(self.frame_diff_count)).unwrap_or_default()
    }
}

/// A template dependency structure: sent with key frames, needed to read what follows. Owned by the caller, some 4 KiB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    template_id_offset: u8,
    template_count: u8,
    decode_target_count: u8,
    chain_count: u8,
    max_sid: u8,
    max_tid: u8,
    templates: [FrameDependency; TEMPLATES_MAX],
    protected_by: [u8; DECODE_TARGETS_MAX],
    target_layers: [(u8, u8); DECODE_TARGETS_MAX],
    resolutions: [(u16, u16); SPATIAL_LAYERS_MAX],
    resolution_count: u8,
}

impl Default for Structure {
    fn default() -> Self {
        Self {
            template_id_offset: 0,
            template_count: 0,
            decode_target_count: 0,
            chain_count: 0,
            max_sid: 0,
            max_tid: 0,
            templates: [FrameDependency::default(); TEMPLATES_MAX],
            protected_by: [0; DECODE_TARGETS_MAX],
            target_layers: [(0, 0); DECODE_TARGETS_MAX],
            resolutions: [(0, 0); SPATIAL_LAYERS_MAX],
            resolution_count: 0,
        }
    }
}

impl Structure {
    /// Replace this structure by the one attached to a descriptor (see [`Descriptor::has_structure`]). On an error it is
    /// left empty, and no descriptor can be read with it.
    pub fn read(&mut self, data: &[u8]) -> Result<(), Malformed> {
        let _ = data;
        Err(Malformed::Truncated)
    }

    /// Id of the first template; ids run on from it modulo 64.
    pub fn template_id_offset(&self) -> u8 {
        self.template_id_offset
    }

    /// The templates, in the order of their ids.
    pub fn templates(&self) -> &[FrameDependency] {
        self.templates.get(..usize::from(self.template_count)).unwrap_or_default()
    }

    /// 1..=32; 0 in an empty structure.
    pub fn decode_target_count(&self) -> u8 {
        self.decode_target_count
    }

    /// All decode targets, bit n for target n.
    pub fn all_targets(&self) -> u32 {
        u32::MAX.checked_shr(32 - u32::from(self.decode_target_count)).unwrap_or(0)
    }

    /// 0..=32.
    pub fn chain_count(&self) -> u8 {
        self.chain_count
    }

    /// The chain that protects a decode target.
    pub fn protected_by(&self, target: u8) -> Option<u8> {
        let index = usize::from(target);
        (target < self.decode_target_count && self.chain_count > 0)
            .then(|| self.protected_by.get(index).copied())?
    }

    /// The highest (spatial, temporal) layer of a decode target.
    pub fn target_layer(&self, target: u8) -> Option<(u8, u8)> {
        let index = usize::from(target);
        (target < self.decode_target_count).then(|| self.target_layers.get(index).copied())?
    }

    /// The highest spatial layer of any template.
    pub fn max_sid(&self) -> u8 {
        self.max_sid
    }

    /// The highest temporal layer of any template.
    pub fn max_tid(&self) -> u8 {
        self.max_tid
    }

    /// Width and height of each spatial layer; empty if not told.
    pub fn resolutions(&self) -> &[(u16, u16)] {
        self.resolutions.get(..usize::from(self.resolution_count)).unwrap_or_default()
    }
}

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
        let _ = (data, known);
        Err(Malformed::Truncated)
    }
}

/// The fields to change in a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// The new frame number.
    pub frame_number: u16,
    /// Added to the template id, and to the offset of an attached structure, modulo 64.
    pub template_offset: u8,
    /// Replaces the mask of active decode targets, if the descriptor carries one.
    pub active_mask: Option<u32>,
}

/// Change a descriptor in place; its length stays. `known` as in [`Descriptor::parse`], needed if the descriptor carries
/// a mask but no structure. On an error the data is unchanged.
pub fn rewrite(data: &mut [u8], known: Option<&Structure>, change: &Rewrite) -> Result<(), Malformed> {
    let _ = (data, known, change);
    Ok(())
}
