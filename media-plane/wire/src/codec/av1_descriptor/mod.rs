//! The AV1 dependency descriptor header extension (RTP payload format for AV1, appendix A).

mod bits;
mod descriptor;
mod rewrite;
mod structure;

#[cfg(test)]
mod tests;

pub use descriptor::{Descriptor, Mandatory};
pub use rewrite::{Rewrite, rewrite, rewrite_into};
pub use structure::{FrameDependency, Structure};

/// Most templates of a structure: ids have six bits.
pub const TEMPLATES_MAX: usize = 64;
/// Most decode targets: their count has five bits.
pub const DECODE_TARGETS_MAX: usize = 32;
/// Most frame differences of one frame: AV1 has eight reference slots.
pub const FRAME_DIFFS_MAX: usize = 8;
/// Most spatial layers.
pub const SPATIAL_LAYERS_MAX: usize = 4;
/// Most temporal layers.
pub const TEMPORAL_LAYERS_MAX: usize = 8;

/// Bits of the fields that every descriptor has; a descriptor of just these has no others.
const MANDATORY_BITS: usize = 24;
/// Where an attached structure or a mask begins: after five flags.
const EXTENDED_BITS: usize = MANDATORY_BITS + 5;
/// Template ids have six bits.
const TEMPLATE_ID_MASK: u8 = 0x3F;
