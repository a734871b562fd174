//! A model camera: VP8 simulcast with temporal layers, and packets that say what they are.

use wire::rtp::Header;

use crate::Chance;

/// What the body of each model packet says: from this a receiver knows what it really got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Source number, unique in the run.
    pub source: u64,
    /// Frames since the camera began.
    pub frame: u32,
    /// Simulcast encoding.
    pub encoding: u8,
    /// Temporal layer.
    pub temporal: u8,
    /// Key frame.
    pub key: bool,
    /// First and last packet of its frame.
    pub first: bool,
    /// Last packet of its frame.
    pub last: bool,
}

impl Label {
    /// Bytes of a label.
    pub const LEN: usize = 24;

    /// Append to a payload.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"SLUICE!!");
        out.extend_from_slice(&self.source.to_be_bytes());
        out.extend_from_slice(&self.frame.to_be_bytes());
        out.extend_from_slice(&[
            self.encoding,
            self.temporal,
            u8::from(self.key),
            u8::from(self.first) | u8::from(self.last) << 1,
        ]);
    }

    /// Read from a payload behind its descriptor.
    pub fn read(body: &[u8]) -> Option<Label> {
        let at = body.windows(8).position(|window| window == b"SLUICE!!")?;
        let label = body.get(at + 8..at + Label::LEN)?;
        Some(Label {
            source: u64::from_be_bytes(label[..8].try_into().ok()?),
            frame: u32::from_be_bytes(label[8..12].try_into().ok()?),
            encoding: label[12],
            temporal: label[13],
            key: label[14] != 0,
            first: label[15] & 1 != 0,
            last: label[15] & 2 != 0,
        })
    }
}

/// One encoding of a model camera.
#[derive(Clone, Debug)]
pub struct Encoder {
    /// Media SSRC.
    pub ssrc: u32,
    encoding: u8,
    sequence: u16,
    timestamp: u32,
    picture_id: u16,
    tl0: u8,
    frame: u32,
    ticks: u32,
    /// Frames for which the rate is exceeded.
    busy: u32,
    packets_per_frame: usize,
    /// The next frame must be a key frame.
    pub key_frame_wanted: bool,
    /// Frames are produced (the client obeys its sender constraints).
    pub active: bool,
    /// Bits per second, with frames of unequal size and key frames five times as large; `None` for frames all alike.
    pub rate: Option<u64>,
    /// With a rate: as a browser was seen to encode on a slow machine.
    pub browser: bool,
    chance: Chance,
}

impl Encoder {
    /// An encoding whose numbers begin at arbitrary places, near their wraps.
    pub fn new(ssrc: u32, encoding: u8, seed: u64) -> Encoder {
        Encoder {
            ssrc,
            encoding,
            sequence: 65_000u16.wrapping_add(seed as u16 & 1_023),
            timestamp: u32::MAX - (seed as u32 & 0xF_FFFF),
            picture_id: 0x7F00 | (seed as u16 & 0xFF),
            tl0: seed as u8,
            frame: 0,
            ticks: 0,
            busy: 0,
            packets_per_frame: 1 << encoding,
            key_frame_wanted: true,
            active: true,
            rate: None,
            browser: false,
            chance: Chance::new(seed),
        }
    }

    /// The packets of the next frame: header and plaintext payload each.
    pub fn frame(&mut self, source: u64) -> Vec<(Header, Vec<u8>)> {
        if self.browser {
            self.ticks += 1;
            // 15 frames a second.
            if self.ticks.is_multiple_of(2) {
                self.timestamp = self.timestamp.wrapping_add(3_000);
                return Vec::new();
            }
        }
        let key = std::mem::take(&mut self.key_frame_wanted);
        let temporal = if key { 0 } else { [0u8, 2, 1, 2][self.frame as usize % 4] };
        self.frame += 1;
        self.picture_id = (self.picture_id + 1) & 0x7FFF;
        if temporal == 0 {
            self.tl0 = self.tl0.wrapping_add(1);
        }
        self.timestamp = self.timestamp.wrapping_add(3_000);
        let (packets, length) = match self.rate {
            Some(rate) if self.browser => self.browser_shape(rate, key, temporal),
            Some(rate) => self.shape(rate, key, temporal),
            None if key => (self.packets_per_frame * 2, 600 + 200 * usize::from(self.encoding)),
            None => (self.packets_per_frame, 600 + 200 * usize::from(self.encoding)),
        };
        (0..packets)
            .map(|packet| self.packet(source, key, temporal, (packet == 0, packet + 1 == packets), length))
            .collect()
    }

    /// Packets and bytes of each, of a frame of an encoder at this rate: of the three temporal layers the base has 40%, the middle
    /// one 20% and the highest, half of the frames, 40%; frames differ by a quarter.
    fn shape(&mut self, rate: u64, key: bool, temporal: u8) -> (usize, usize) {
        let share = match (key, temporal) {
            (true, _) => 5.0,
            (_, 0) => 1.6,
            _ => 0.8,
        };
        let noise = 0.75 + self.chance.below(1_000) as f64 / 2_000.0;
        let bytes = (rate as f64 / 8.0 / 30.0 * share * noise) as usize;
        let packets = bytes.div_ceil(1_100).max(1);
        (packets, (bytes / packets).max(80))
    }

    /// The same of Chromium's VP8 at 15 frames a second, of a picture that changes as a whole every two seconds or so: that frame takes
    /// four times as much as others, a key frame three times; and the encoder then exceeds its rate for half a second.
    fn browser_shape(&mut self, rate: u64, key: bool, temporal: u8) -> (usize, usize) {
        let changes = self.chance.below(30) == 0;
        if key {
            self.busy = 8;
        }
        let busy = if self.busy > 0 { 1.3 } else { 1.0 };
        self.busy = self.busy.saturating_sub(1);
        let share = match (key, changes, temporal) {
            (true, _, _) => 3.0,
            (_, true, _) => 4.0,
            (_, _, 0) => 1.5 * busy,
            _ => 0.7 * busy,
        };
        let noise = 0.5 + self.chance.below(1_000) as f64 / 1_000.0;
        let bytes = (rate as f64 / 8.0 / 15.0 * share * noise) as usize;
        let packets = bytes.div_ceil(1_180).max(1);
        (packets, (bytes / packets).max(80))
    }

    fn packet(
        &mut self,
        source: u64,
        key: bool,
        temporal: u8,
        (first, last): (bool, bool),
        length: usize,
    ) -> (Header, Vec<u8>) {
        let [high, low] = self.picture_id.to_be_bytes();
        let mut payload =
            vec![0x80 | u8::from(first) << 4, 0xE0, 0x80 | high, low, self.tl0, temporal << 6 | 0x20];
        if first {
            // RFC 7741 §4.3: frame tag, and for key frames start code, width and height.
            payload.extend_from_slice(&[u8::from(!key) | 0x10, 0, 0]);
            if key {
                let height = 180u16 << self.encoding;
                let width = 320u16 << self.encoding;
                payload.extend_from_slice(&[0x9D, 0x01, 0x2A]);
                payload.extend_from_slice(&width.to_le_bytes());
                payload.extend_from_slice(&height.to_le_bytes());
            }
        }
        Label { source, frame: self.frame, encoding: self.encoding, temporal, key, first, last }
            .write(&mut payload);
        payload.resize(length, 0xAB);
        self.sequence = self.sequence.wrapping_add(1);
        let header = Header {
            marker: last,
            payload_type: 100,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
        };
        (header, payload)
    }
}
