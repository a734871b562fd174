//! Payload descriptors of the video codecs: what a forwarder must know of a packet and change in it, never pixels.

pub mod av1_descriptor;
pub mod h264;
mod patch;
pub mod vp8;
pub mod vp9;

pub use patch::Patch;

/// Why a descriptor cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It ends too early.
    Truncated,
    /// A value that the specification forbids or that contradicts another.
    Invalid,
    /// It needs a structure (or a template of it) that is not known.
    UnknownStructure,
    /// Larger than our fixed tables.
    TooLarge,
}

/// A picture id with its width and place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureId {
    /// 7 or 15 bits.
    pub value: u16,
    /// Whether it has 15 bits.
    pub wide: bool,
    /// Where it begins in the payload.
    pub offset: usize,
}

/// A TL0PICIDX with its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tl0PicIdx {
    /// Counts the frames of temporal layer 0.
    pub value: u8,
    /// Where it lies in the payload.
    pub offset: usize,
}
