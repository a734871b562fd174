//! The VP9 payload descriptor (RFC 9628 §4.2).

use super::{Malformed, PictureId, Tl0PicIdx};

/// Most spatial layers that a scalability structure names.
pub const SPATIAL_LAYERS_MAX: usize = 8;
/// Most references that a frame in flexible mode lists.
pub const REFERENCES_MAX: usize = 3;

/// What a VP9 packet says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// P: refers to an earlier picture.
    pub inter_picture: bool,
    /// F: flexible mode.
    pub flexible: bool,
    /// B: first packet of its layer frame.
    pub start_of_frame: bool,
    /// E: last packet of its layer frame.
    pub end_of_frame: bool,
    /// Z: no higher spatial layer refers to this layer frame.
    pub not_reference_for_upper: bool,
    /// The picture's number, shared by its layer frames, if told.
    pub picture_id: Option<PictureId>,
    /// Layer indices, if told (L).
    pub layer: Option<Layer>,
    /// The count of base layer pictures; in non-flexible mode with layer indices.
    pub tl0_picidx: Option<Tl0PicIdx>,
    /// Distances in pictures to those referred to; flexible mode; zero beyond `reference_count`.
    pub references: [u8; REFERENCES_MAX],
    /// How many of `references` count.
    pub reference_count: u8,
    /// The scalability structure, if the packet carries one (V).
    pub structure: Option<ScalabilityStructure>,
    /// Bytes of the descriptor.
    pub header_len: usize,
}

/// Layer indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Temporal, 0..=7.
    pub tid: u8,
    /// U: a receiver may switch up to this temporal layer here.
    pub switching_up: bool,
    /// Spatial, 0..=7.
    pub sid: u8,
    /// D: refers to the spatial layer below of the same picture.
    pub inter_layer: bool,
}

/// The scalability structure; the picture group is checked and skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScalabilityStructure {
    /// 1..=8.
    pub spatial_layers: u8,
    /// Width and height of each layer, if told; zero beyond `spatial_layers`.
    pub sizes: Option<[(u16, u16); SPATIAL_LAYERS_MAX]>,
    /// Pictures in the described group; 0 without one.
    pub group_len: u8,
}

impl Descriptor {
    /// Read the descriptor at the start of a payload without padding.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let _ = payload;
        Err(Malformed::Truncated)
    }

    /// Spatial layer, 0 if not told.
    pub fn sid(&self) -> u8 {
        self.layer.map_or(0, |layer| layer.sid)
    }

    /// Temporal layer, 0 if not told.
    pub fn tid(&self) -> u8 {
        self.layer.map_or(0, |layer| layer.tid)
    }

    /// The packet begins a layer frame that refers to nothing: decoding can start here.
    pub fn is_key_frame(&self) -> bool {
        self.start_of_frame && !self.inter_picture && !self.layer.is_some_and(|layer| layer.inter_layer)
    }
}
