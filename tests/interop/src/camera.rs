//! Model cameras: for each codec the smallest payloads that are valid, with a label in each packet that says what it is.

use sim::video::{Encoder, Label};

/// What a camera sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    /// Three simulcast encodings with three temporal layers each.
    Vp8,
    /// Three spatial and two temporal layers on one SSRC.
    Vp9,
    /// Parameter sets and fragmented IDR slices, no layers.
    H264,
    /// One spatial and two temporal layers, with dependency descriptors.
    Av1,
}

impl Picture {
    /// Its payload type.
    pub fn payload_type(self) -> u8 {
        match self {
            Picture::Vp8 => 96,
            Picture::Vp9 => 98,
            Picture::H264 => 127,
            Picture::Av1 => 45,
        }
    }
}

/// One packet to send.
#[derive(Clone, Debug)]
pub struct Written {
    /// On this stream.
    pub ssrc: u32,
    /// Extended sequence number.
    pub sequence: u64,
    /// RTP timestamp.
    pub timestamp: u32,
    /// Last packet of the picture.
    pub marker: bool,
    /// Descriptor and body.
    pub payload: Vec<u8>,
    /// Dependency descriptor.
    pub descriptor: Option<Vec<u8>>,
}

/// A camera.
pub struct Camera {
    picture: Picture,
    source: u64,
    simulcast: Vec<Encoder>,
    single: Single,
    extended: Vec<u64>,
}

/// An encoder with one SSRC.
struct Single {
    ssrc: u32,
    sequence: u64,
    timestamp: u32,
    frame: u32,
    since_key: u32,
    tl0: u8,
    key_frame_wanted: bool,
}

impl Camera {
    /// A camera whose streams begin with `ssrc`.
    pub fn new(picture: Picture, source: u64, ssrc: u32) -> Camera {
        let simulcast: Vec<Encoder> = match picture {
            Picture::Vp8 => (0..3).map(|e| Encoder::new(ssrc + e, e as u8, u64::from(ssrc + e))).collect(),
            _ => Vec::new(),
        };
        let extended = vec![0; simulcast.len()];
        // Near the wraps of sequence number and timestamp.
        let single = Single {
            ssrc,
            sequence: 65_400,
            timestamp: u32::MAX - 90_000,
            frame: 0,
            since_key: 0,
            tl0: 250,
            key_frame_wanted: true,
        };
        Camera { picture, source, simulcast, single, extended }
    }

    /// Its SSRCs, lowest encoding first.
    pub fn ssrcs(&self) -> Vec<u32> {
        match self.picture {
            Picture::Vp8 => self.simulcast.iter().map(|encoder| encoder.ssrc).collect(),
            _ => vec![self.single.ssrc],
        }
    }

    /// Its payload type.
    pub fn payload_type(&self) -> u8 {
        self.picture.payload_type()
    }

    /// Make the next frame of a stream a key frame.
    pub fn request_key_frame(&mut self, ssrc: u32) {
        for encoder in self.simulcast.iter_mut().filter(|encoder| encoder.ssrc == ssrc) {
            encoder.key_frame_wanted = true;
        }
        self.single.key_frame_wanted |= self.single.ssrc == ssrc;
    }

    /// The packets of the next picture.
    pub fn next_picture(&mut self) -> Vec<Written> {
        let source = self.source;
        match self.picture {
            Picture::Vp8 => self.simulcast_picture(),
            Picture::Vp9 => self.single.vp9(source),
            Picture::H264 => self.single.h264(source),
            Picture::Av1 => self.single.av1(source),
        }
    }

    fn simulcast_picture(&mut self) -> Vec<Written> {
        let mut written = Vec::new();
        for (encoder, extended) in self.simulcast.iter_mut().zip(&mut self.extended) {
            for (header, payload) in encoder.frame(self.source) {
                if *extended == 0 {
                    *extended = u64::from(header.sequence);
                } else {
                    *extended += u64::from(header.sequence.wrapping_sub(*extended as u16));
                }
                written.push(Written {
                    ssrc: header.ssrc,
                    sequence: *extended,
                    timestamp: header.timestamp,
                    marker: header.marker,
                    payload,
                    descriptor: None,
                });
            }
        }
        written
    }
}

impl Single {
    /// Whether this is a key frame, and its temporal layer of two.
    fn begin(&mut self) -> (bool, u8) {
        let key = std::mem::take(&mut self.key_frame_wanted);
        self.frame += 1;
        self.since_key = if key { 0 } else { self.since_key + 1 };
        let temporal = (self.since_key % 2) as u8;
        self.timestamp = self.timestamp.wrapping_add(3_000);
        if temporal == 0 {
            self.tl0 = self.tl0.wrapping_add(1);
        }
        (key, temporal)
    }

    fn packet(&mut self, mut payload: Vec<u8>, label: Label, descriptor: Option<Vec<u8>>) -> Written {
        label.write(&mut payload);
        payload.resize(payload.len().max(500), 0xAB);
        self.sequence += 1;
        Written {
            ssrc: self.ssrc,
            sequence: self.sequence,
            timestamp: self.timestamp,
            marker: label.last,
            payload,
            descriptor,
        }
    }

    /// RFC 9628 §4.2: three layer frames with I, L, B, E; non-flexible mode.
    fn vp9(&mut self, source: u64) -> Vec<Written> {
        let (key, temporal) = self.begin();
        let [high, low] = ((self.frame as u16).wrapping_add(0x7FF0) & 0x7FFF | 0x8000).to_be_bytes();
        let frame = self.frame;
        (0..3u8)
            .map(|spatial| {
                let structure = key && spatial == 0;
                let flags = 0xAC | u8::from(!key) << 6 | u8::from(structure) << 1 | u8::from(spatial == 2);
                // U everywhere: higher layers refer to nothing but the picture before.
                let layer = temporal << 5 | 0x10 | spatial << 1 | u8::from(spatial > 0);
                let mut payload = vec![flags, high, low, layer, self.tl0];
                if structure {
                    payload.extend_from_slice(VP9_STRUCTURE);
                }
                let (first, last) = (spatial == 0, spatial == 2);
                let label = Label { source, frame, encoding: 0, temporal, key, first, last };
                self.packet(payload, label, None)
            })
            .collect()
    }

    /// RFC 6184: a STAP-A of parameter sets and the label as SEI, then an IDR slice in two FU-A; or one slice.
    fn h264(&mut self, source: u64) -> Vec<Written> {
        let (key, _) = self.begin();
        let label =
            |first, last| Label { source, frame: self.frame, encoding: 0, temporal: 0, key, first, last };
        if !key {
            let whole = label(true, true);
            return vec![self.packet(vec![0x41, 0x9A], whole, None)];
        }
        let mut sets = vec![0x78];
        for unit in [H264_SPS, H264_PPS] {
            sets.extend_from_slice(&(unit.len() as u16).to_be_bytes());
            sets.extend_from_slice(unit);
        }
        // The label and the filling behind it are the body of the SEI.
        let body = 500 - sets.len() - 2;
        sets.extend_from_slice(&(body as u16).to_be_bytes());
        sets.push(0x06);
        let labels = [label(true, false), label(false, false), label(false, true)];
        let starts = [sets, vec![0x7C, 0x85, 0x88], vec![0x7C, 0x45, 0x88]];
        starts.into_iter().zip(labels).map(|(start, label)| self.packet(start, label, None)).collect()
    }

    /// An aggregation header, an OBU_FRAME, and the descriptor beside it; key frames in two packets.
    fn av1(&mut self, source: u64) -> Vec<Written> {
        let (key, temporal) = self.begin();
        let frame = self.frame;
        let template = if key { 5 } else { 6 + u32::from(temporal) };
        let packets = if key { 2 } else { 1 };
        (0..packets)
            .map(|packet| {
                let (first, last) = (packet == 0, packet + 1 == packets);
                let mut bits = Bits::default();
                bits.push(u32::from(first), 1);
                bits.push(u32::from(last), 1);
                bits.push(template, 6);
                bits.push(frame & 0xFFFF, 16);
                if key && first {
                    AV1_STRUCTURE.iter().for_each(|digits| bits.digits(digits));
                }
                let continues = u8::from(!first) << 7 | u8::from(!last) << 6;
                let payload = vec![continues | 0x10 | u8::from(key && first) << 3, 0x30];
                let label = Label { source, frame, encoding: 0, temporal, key, first, last };
                self.packet(payload, label, Some(bits.bytes()))
            })
            .collect()
    }
}

/// Bits, most significant first.
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn push(&mut self, value: u32, count: u32) {
        self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
    }

    fn digits(&mut self, digits: &str) {
        digits.chars().filter(|digit| *digit != ' ').for_each(|digit| self.0.push(digit == '1'));
    }

    fn bytes(&self) -> Vec<u8> {
        let byte = |bits: &[bool]| {
            bits.iter().enumerate().fold(0, |sum, (at, bit)| sum | u8::from(*bit) << (7 - at))
        };
        self.0.chunks(8).map(byte).collect()
    }
}

/// Three spatial layers with sizes; a group of two pictures, both U: TID 0 refers to two before, TID 1 to the one before.
#[rustfmt::skip]
const VP9_STRUCTURE: &[u8] = &[
    0x58,
    0x01, 0x40, 0x00, 0xB4,
    0x02, 0x80, 0x01, 0x68,
    0x05, 0x00, 0x02, 0xD0,
    0x02, 0x14, 0x02, 0x34, 0x01,
];

/// Constrained baseline, level 3.1.
const H264_SPS: &[u8] = &[0x67, 0x42, 0xE0, 0x1F, 0x8C, 0x8D, 0x40, 0x28, 0x02, 0xDD, 0x08];
const H264_PPS: &[u8] = &[0x68, 0xCE, 0x3C, 0x80];

/// L1T2, as the dependency descriptor's appendix writes it: one chain, 320x180, and a mask with both targets active.
const AV1_STRUCTURE: &[&str] = &[
    "11000",               // structure and active targets follow
    "000101 00001",        // template offset 5, two targets
    "00 01 11",            // layers of the templates: 0/0, 0/0, 0/1
    "10 10 10 10 00 01",   // targets of each template: SS SS -D
    "0 1 0001 0 1 0000 0", // differences: none, 2, 1
    "10",                  // one chain
    "0000 0010 0001",      // chain differences
    "1",                   // resolutions
    "0000000100111111 0000000010110011",
    "11", // active targets
];
