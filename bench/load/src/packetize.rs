//! RTP payloads of video frames: descriptors as browsers write them, and bodies of the right size without pictures in them.
//!
//! VP8 (RFC 7741), VP9 (RFC 9628), H264 (RFC 6184), AV1 (its RTP payload specification, with dependency descriptors).
//! A payload is a head, filling, and a [`crate::label::Label`] at its end. Only heads are kept for retransmission.

use arrayvec::ArrayVec;
use contract::session::Codec;

/// Longest head: a STAP-A of parameter sets, or a VP9 descriptor with structure.
pub const HEAD_BYTES_MAX: usize = 48;
/// Longest dependency descriptor: with structure.
pub const DESCRIPTOR_BYTES_MAX: usize = 40;

/// One packet's payload, still without filling and label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// First bytes.
    pub head: ArrayVec<u8, HEAD_BYTES_MAX>,
    /// Bytes in all, head and label included.
    pub len: usize,
    /// Dependency descriptor (AV1).
    pub descriptor: Option<ArrayVec<u8, DESCRIPTOR_BYTES_MAX>>,
    /// Spatial layer, where layers share a stream.
    pub layer: u8,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Depends on none.
    pub key: bool,
    /// Frames of the stream before it.
    pub number: u32,
    /// Temporal layer.
    pub temporal: u8,
    /// Frames of temporal layer 0 before it or with it.
    pub tl0: u8,
    /// Frames since the last key frame.
    pub since_key: u32,
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
}

/// Temporal layer of the frame that many after a key frame.
pub fn temporal_of(codec: Codec, since_key: u32) -> u8 {
    match codec {
        // L1T3 of libwebrtc: 0 2 1 2.
        Codec::Vp8 => [0, 2, 1, 2][since_key as usize % 4],
        Codec::Vp9 | Codec::Av1 => (since_key % 2) as u8,
        _ => 0,
    }
}

/// Cuts one frame of `bytes` into pieces of at most `piece_bytes_max`, nearly equal. `layers` are the sizes of spatial
/// layers in bytes, width and height (VP9 only; others have one).
pub fn packetize(codec: Codec, frame: &Frame, layers: &[LayerFrame], piece_bytes_max: usize) -> Vec<Piece> {
    match codec {
        Codec::Vp8 => vp8(frame, layers, piece_bytes_max),
        Codec::Vp9 => vp9(frame, layers, piece_bytes_max),
        Codec::H264 => h264(frame, layers, piece_bytes_max),
        Codec::Av1 => av1(frame, layers, piece_bytes_max),
        Codec::Opus | Codec::Red | Codec::TelephoneEvent => Vec::new(),
    }
}

/// One spatial layer of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerFrame {
    /// Payload bytes.
    pub bytes: usize,
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
}

/// Lengths that differ by one byte at most, as browsers cut (limits: one byte's spread within a frame).
fn cut(bytes: usize, most: usize) -> impl Iterator<Item = usize> + Clone {
    let bytes = bytes.max(PIECE_BYTES_MIN);
    let count = bytes.div_ceil(most);
    (0..count).map(move |at| bytes / count + usize::from(at < bytes % count))
}

fn piece(head: &[u8], len: usize) -> Piece {
    let head: ArrayVec<u8, HEAD_BYTES_MAX> = head.iter().copied().take(HEAD_BYTES_MAX).collect();
    let len = len.max(head.len() + crate::label::Label::LEN);
    Piece { head, len, descriptor: None, layer: 0 }
}

fn vp8(frame: &Frame, layers: &[LayerFrame], most: usize) -> Vec<Piece> {
    let [high, low] = (frame.number as u16 & 0x7FFF | 0x8000).to_be_bytes();
    let bytes: usize = layers.iter().map(|layer| layer.bytes).sum();
    let lengths = cut(bytes, most).enumerate();
    // Y: no frame of layer 1 or 2 refers to another of its own layer in this pattern's first half.
    let sync = u8::from(frame.temporal > 0 && frame.since_key % 4 < 3) << 5;
    let non_reference = u8::from(frame.temporal == 2) << 5;
    lengths
        .map(|(at, len)| {
            let first = 0x80 | non_reference | u8::from(at == 0) << 4;
            let mut head: ArrayVec<u8, 32> = ArrayVec::new();
            head.extend([first, 0xE0, high, low, frame.tl0, frame.temporal << 6 | sync]);
            if at == 0 {
                // Frame tag (RFC 6386 §9.1): P, version 0, shown.
                head.extend([0x10 | u8::from(!frame.key), 0x02, 0x00]);
                if frame.key {
                    head.extend([0x9D, 0x01, 0x2A]);
                    head.extend(frame.width.to_le_bytes());
                    head.extend(frame.height.to_le_bytes());
                }
            }
            piece(&head, len)
        })
        .collect()
}

fn vp9(frame: &Frame, layers: &[LayerFrame], most: usize) -> Vec<Piece> {
    let [high, low] = (frame.number as u16 & 0x7FFF | 0x8000).to_be_bytes();
    let top = layers.len().saturating_sub(1);
    let mut pieces = Vec::new();
    for (spatial, layer) in layers.iter().enumerate() {
        let count = cut(layer.bytes, most).count();
        for (at, len) in cut(layer.bytes, most).enumerate() {
            let (begins, ends) = (at == 0, at + 1 == count);
            let structure = frame.key && spatial == 0 && begins;
            // I, P, L, B, E, V, Z; non-flexible mode.
            let flags = 0xA0
                | u8::from(!frame.key) << 6
                | u8::from(begins) << 3
                | u8::from(ends) << 2
                | u8::from(structure) << 1
                | u8::from(spatial == top);
            // U everywhere: higher layers refer to nothing but the picture before.
            let indices = frame.temporal << 5 | 0x10 | (spatial as u8) << 1 | u8::from(spatial > 0);
            let mut head: ArrayVec<u8, HEAD_BYTES_MAX> = ArrayVec::new();
            head.extend([flags, high, low, indices, frame.tl0]);
            if structure {
                // N_S, Y, G; sizes; a group of two pictures: TID 0 refers to two before, TID 1 to the one before.
                head.push((top as u8) << 5 | 0x18);
                for layer in layers {
                    head.extend(layer.width.to_be_bytes());
                    head.extend(layer.height.to_be_bytes());
                }
                head.extend([0x02, 0x14, 0x02, 0x34, 0x01]);
            }
            pieces.push(Piece { layer: spatial as u8, ..piece(&head, len) });
        }
    }
    pieces
}

fn h264(frame: &Frame, layers: &[LayerFrame], most: usize) -> Vec<Piece> {
    let bytes: usize = layers.iter().map(|layer| layer.bytes).sum();
    let mut pieces = Vec::new();
    if frame.key {
        // Parameter sets, and a SEI that holds the label.
        let mut head: ArrayVec<u8, HEAD_BYTES_MAX> = ArrayVec::new();
        head.push(STAP_A);
        for unit in [H264_SPS, H264_PPS] {
            head.extend((unit.len() as u16).to_be_bytes());
            head.extend(unit.iter().copied());
        }
        head.extend((SEI_BYTES as u16).to_be_bytes());
        head.push(0x06);
        let len = head.len() - 1 + SEI_BYTES;
        pieces.push(piece(&head, len));
    }
    let (reference, kind) = if frame.key { (0x60, 5) } else { (0x40, 1) };
    let lengths = cut(bytes, most);
    let count = lengths.clone().count();
    if count == 1 && !frame.key {
        pieces.push(piece(&[reference | kind, 0x9A], bytes.max(PIECE_BYTES_MIN)));
        return pieces;
    }
    // A fragment is not the whole (RFC 6184 §5.8): two at least.
    let lengths: Vec<usize> = if count == 1 {
        cut(bytes.max(2 * PIECE_BYTES_MIN), bytes.div_ceil(2).max(PIECE_BYTES_MIN)).collect()
    } else {
        lengths.collect()
    };
    let last = lengths.len() - 1;
    for (at, len) in lengths.iter().enumerate() {
        let header = u8::from(at == 0) << 7 | u8::from(at == last) << 6 | kind;
        pieces.push(piece(&[reference | FU_A, header, 0x88], *len));
    }
    pieces
}

/// L1T2. Frames are numbered per stream; the template tells the temporal layer.
fn av1(frame: &Frame, layers: &[LayerFrame], most: usize) -> Vec<Piece> {
    let bytes: usize = layers.iter().map(|layer| layer.bytes).sum();
    let lengths = cut(bytes, most);
    let count = lengths.clone().count();
    let template = if frame.key { 5 } else { 6 + u32::from(frame.temporal) };
    lengths
        .enumerate()
        .map(|(at, len)| {
            let (first, last) = (at == 0, at + 1 == count);
            let mut bits = Bits::default();
            bits.push(u32::from(first), 1);
            bits.push(u32::from(last), 1);
            bits.push(template, 6);
            bits.push(frame.number & 0xFFFF, 16);
            if frame.key && first {
                AV1_STRUCTURE.iter().for_each(|digits| bits.digits(digits));
                bits.push(u32::from(frame.width) - 1, 16);
                bits.push(u32::from(frame.height) - 1, 16);
                bits.digits("11");
            }
            // Aggregation header: Z, Y, one element, N.
            let header =
                u8::from(!first) << 7 | u8::from(!last) << 6 | 0x10 | u8::from(frame.key && first) << 3;
            // OBU_FRAME without a size field.
            let head: &[u8] = if first { &[header, 0x30] } else { &[header] };
            Piece { descriptor: Some(bits.bytes()), ..piece(head, len) }
        })
        .collect()
}

/// Bits, most significant first.
#[derive(Default)]
struct Bits {
    bytes: ArrayVec<u8, DESCRIPTOR_BYTES_MAX>,
    used: usize,
}

impl Bits {
    fn push(&mut self, value: u32, count: u32) {
        for bit in (0..count).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.len() - 1;
            self.bytes[last] |= ((value >> bit & 1) as u8) << (7 - self.used % 8);
            self.used += 1;
        }
    }

    fn digits(&mut self, digits: &str) {
        digits.chars().filter(|digit| *digit != ' ').for_each(|digit| self.push(u32::from(digit == '1'), 1));
    }

    fn bytes(self) -> ArrayVec<u8, DESCRIPTOR_BYTES_MAX> {
        self.bytes
    }
}

/// The smallest piece: any head that is not a key frame's, and a label.
const PIECE_BYTES_MIN: usize = 48;
const STAP_A: u8 = 0x78;
const FU_A: u8 = 28;
/// NAL unit of supplemental information: header, some filling, the label.
const SEI_BYTES: usize = 40;
/// Constrained baseline, level 3.1.
const H264_SPS: &[u8] = &[0x67, 0x42, 0xE0, 0x1F, 0x8C, 0x8D, 0x40, 0x28, 0x02, 0xDD, 0x08];
const H264_PPS: &[u8] = &[0x68, 0xCE, 0x3C, 0x80];

/// L1T2 (appendix A of the AV1 RTP specification): one chain; the resolution follows, then a mask with both targets active.
const AV1_STRUCTURE: &[&str] = &[
    "11000",               // structure and active targets follow
    "000101 00001",        // template offset 5, two targets
    "00 01 11",            // layers of the templates: 0/0, 0/0, 0/1
    "10 10 10 10 00 01",   // targets of each template: SS SS -D
    "0 1 0001 0 1 0000 0", // differences: none, 2, 1
    "10",                  // one chain
    "0000 0010 0001",      // chain differences
    "1",                   // resolutions
];

#[cfg(test)]
mod tests;
