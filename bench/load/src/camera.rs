//! Microphones and cameras: when the next packets are due, how large they are, and what is needed to send them again.

use std::collections::VecDeque;

use contract::session::{Codec, Media};
use wire::rtp::Header;

use crate::label::Label;
use crate::packetize::{Frame, LayerFrame, Piece, packetize, temporal_of};
use crate::scenario::{AudioPlan, Layer, VideoPlan};

/// RTP payload of a video packet at most, as browsers cut: with header, extensions, tag and RTX it stays below 1,250 bytes.
pub const PAYLOAD_BYTES_MAX: usize = 1_150;

/// A packet to seal: all but the label's time.
#[derive(Clone, Debug)]
pub struct Packet {
    /// RTP header.
    pub header: Header,
    /// Payload without filling.
    pub piece: Piece,
    /// What its end says.
    pub label: Label,
}

impl Packet {
    /// Writes the payload to the start of `out`; its length.
    pub fn write(&self, out: &mut [u8]) -> usize {
        let out = &mut out[..self.piece.len];
        let (head, filling) = out.split_at_mut(self.piece.head.len());
        head.copy_from_slice(&self.piece.head);
        filling.fill(FILLING);
        self.label.write(out);
        self.piece.len
    }
}

/// A microphone that never pauses.
#[derive(Debug)]
pub struct Microphone {
    plan: AudioPlan,
    endpoint: u32,
    ssrc: u32,
    payload_type: u8,
    counter: u32,
    first_sequence: u16,
    first_timestamp: u32,
}

impl Microphone {
    /// A microphone of `endpoint`.
    pub fn new(plan: AudioPlan, endpoint: u32, ssrc: u32, payload_type: u8) -> Microphone {
        // Anything but zero, and well below the wrap, so that the first roll-over comes when it is expected.
        let first_sequence = (ssrc % 20_000) as u16 + 1;
        Microphone { plan, endpoint, ssrc, payload_type, counter: 0, first_sequence, first_timestamp: ssrc }
    }

    /// Microseconds between packets.
    pub fn interval_us(&self) -> u64 {
        self.plan.packet_us
    }

    /// Its SSRC.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// RFC 6464: speaking, at a loudness that differs between endpoints and moves a little.
    pub fn level(&self) -> u8 {
        let base = 25 + (self.endpoint % 12) as u8;
        0x80 | (base + (self.counter / 25 % 5) as u8)
    }

    /// The next packet.
    pub fn next_packet(&mut self) -> Packet {
        let counter = self.counter;
        self.counter += 1;
        let ticks = (self.plan.packet_us * 48 / 1_000) as u32;
        let header = Header {
            marker: counter == 0,
            payload_type: self.payload_type,
            sequence: self.first_sequence.wrapping_add(counter as u16),
            timestamp: self.first_timestamp.wrapping_add(counter.wrapping_mul(ticks)),
            ssrc: self.ssrc,
        };
        let label = Label {
            endpoint: self.endpoint,
            media: Media::Audio,
            encoding: 0,
            counter,
            frame: counter,
            sent_us: 0,
        };
        let len = self.plan.payload_bytes.max(Label::LEN);
        // The table of contents: one frame of 20 ms, full band (RFC 6716 §3.1). A bare label has no room for it.
        let head = if len > Label::LEN { [0x78].into_iter().collect() } else { Default::default() };
        Packet { header, piece: Piece { head, len, descriptor: None, layer: 0 }, label }
    }
}

/// A camera or screen, with one stream an encoding (simulcast), or one for all layers (VP9).
#[derive(Debug)]
pub struct Camera {
    /// How it is encoded.
    pub codec: Codec,
    /// Its streams, lowest first.
    pub streams: Vec<Stream>,
    endpoint: u32,
    payload_type: u8,
    fps: f64,
    key_interval: u32,
    /// Highest layer that anybody wants; `None` = nobody wants anything.
    wanted: Option<u16>,
}

/// One encoded stream.
#[derive(Debug)]
pub struct Stream {
    /// Media SSRC.
    pub ssrc: u32,
    layers: Vec<Layer>,
    counter: u32,
    frames: u32,
    since_key: u32,
    tl0: u8,
    key_wanted: bool,
    first_sequence: u16,
    first_timestamp: u32,
    /// What may be asked for again: token and packet, oldest first.
    kept: VecDeque<(u64, Packet)>,
}

impl Camera {
    /// A camera of `endpoint`; `ssrcs` has one for each stream.
    pub fn new(plan: &VideoPlan, endpoint: u32, ssrcs: &[u32], payload_type: u8) -> Camera {
        let layers: Vec<Vec<Layer>> = match plan.codec {
            Codec::Vp9 => vec![plan.layers.clone()],
            _ => plan.layers.iter().map(|layer| vec![*layer]).collect(),
        };
        let streams = layers.into_iter().zip(ssrcs).map(|(layers, ssrc)| Stream::new(*ssrc, layers));
        let fps = plan.layers.last().map_or(30.0, |layer| layer.fps);
        Camera {
            codec: plan.codec,
            streams: streams.collect(),
            endpoint,
            payload_type,
            fps,
            key_interval: (plan.key_interval_s * fps) as u32,
            wanted: Some(u16::MAX),
        }
    }

    /// Streams that a plan has, each with an SSRC of its own.
    pub fn stream_count(plan: &VideoPlan) -> usize {
        if plan.codec == Codec::Vp9 { 1 } else { plan.layers.len() }
    }

    /// Microseconds between frames.
    pub fn interval_us(&self) -> u64 {
        (1e6 / self.fps) as u64
    }

    /// Make the next frame on `ssrc` a key frame.
    pub fn request_key_frame(&mut self, ssrc: u32) {
        self.streams.iter_mut().filter(|s| s.ssrc == ssrc).for_each(|s| s.key_wanted = true);
    }

    /// The other side wants no more than this height; −1 = any, 0 = nothing. What was off begins with a key frame.
    pub fn limit(&mut self, max_height: i32) {
        let wanted = match max_height {
            0 => None,
            height if height < 0 => Some(u16::MAX),
            height => Some(u16::try_from(height).unwrap_or(u16::MAX)),
        };
        if wanted > self.wanted {
            self.streams.iter_mut().for_each(|stream| stream.key_wanted = true);
        }
        self.wanted = wanted;
    }

    /// The packets of the next frame of every stream, lowest first. `random` varies the sizes.
    pub fn next_frame(&mut self, random: &mut impl FnMut() -> u64, out: &mut Vec<Packet>) {
        let Some(limit) = self.wanted else {
            self.streams.iter_mut().for_each(|stream| stream.skip());
            return;
        };
        for (at, stream) in self.streams.iter_mut().enumerate() {
            // As browsers do: a layer above the wanted height is off; the lowest is on as long as anything is wanted.
            if at > 0 && stream.layers.first().is_some_and(|layer| layer.height > limit) {
                stream.skip();
                continue;
            }
            let due = self.key_interval > 0 && stream.since_key + 1 >= self.key_interval;
            stream.key_wanted |= due;
            stream.next_frame(self.codec, (self.endpoint, at as u8), self.payload_type, limit, random, out);
        }
    }

    /// Remember a packet for retransmission under `token`.
    pub fn keep(&mut self, token: u64, packet: Packet) {
        let Some(stream) = self.streams.iter_mut().find(|s| s.ssrc == packet.header.ssrc) else { return };
        if stream.kept.len() == KEPT_MAX {
            stream.kept.pop_front();
        }
        stream.kept.push_back((token, packet));
    }

    /// The packet kept under `token`.
    pub fn kept(&self, ssrc: u32, token: u64) -> Option<&Packet> {
        let stream = self.streams.iter().find(|stream| stream.ssrc == ssrc)?;
        let at = stream.kept.binary_search_by_key(&token, |(token, _)| *token).ok()?;
        stream.kept.get(at).map(|(_, packet)| packet)
    }
}

impl Stream {
    fn new(ssrc: u32, layers: Vec<Layer>) -> Stream {
        Stream {
            ssrc,
            layers,
            counter: 0,
            frames: 0,
            since_key: 0,
            tl0: 0,
            key_wanted: true,
            first_sequence: (ssrc % 20_000) as u16 + 1,
            first_timestamp: ssrc,
            kept: VecDeque::new(),
        }
    }

    /// Time goes by, nothing is sent.
    fn skip(&mut self) {
        self.frames += 1;
    }

    fn next_frame(
        &mut self,
        codec: Codec,
        (endpoint, encoding): (u32, u8),
        payload_type: u8,
        limit: u16,
        random: &mut impl FnMut() -> u64,
        out: &mut Vec<Packet>,
    ) {
        let key = std::mem::take(&mut self.key_wanted);
        self.since_key = if key { 0 } else { self.since_key + 1 };
        let temporal = temporal_of(codec, self.since_key);
        self.tl0 = self.tl0.wrapping_add(u8::from(temporal == 0));
        let number = self.frames;
        self.frames += 1;
        let share = size_share(codec, key, temporal, random());
        let layers: Vec<LayerFrame> = self
            .layers
            .iter()
            .enumerate()
            .filter(|(at, layer)| *at == 0 || layer.height <= limit)
            .map(|(_, layer)| LayerFrame {
                bytes: (f64::from(layer.bitrate) / 8.0 / layer.fps * share) as usize,
                width: layer.width,
                height: layer.height,
            })
            .collect();
        let Some(top) = layers.last().copied() else { return };
        let frame = Frame {
            key,
            number,
            temporal,
            tl0: self.tl0,
            since_key: self.since_key,
            width: top.width,
            height: top.height,
        };
        let pieces = packetize(codec, &frame, &layers, PAYLOAD_BYTES_MAX);
        let last = pieces.len().saturating_sub(1);
        let ticks = (90_000.0 / self.layers[0].fps) as u32;
        for (at, piece) in pieces.into_iter().enumerate() {
            let header = Header {
                marker: at == last,
                payload_type,
                sequence: self.first_sequence.wrapping_add(self.counter as u16),
                timestamp: self.first_timestamp.wrapping_add(number.wrapping_mul(ticks)),
                ssrc: self.ssrc,
            };
            let encoding = encoding.max(piece.layer);
            let media = Media::Video;
            let label = Label { endpoint, media, encoding, counter: self.counter, frame: number, sent_us: 0 };
            out.push(Packet { header, piece, label });
            self.counter += 1;
        }
    }
}

/// Size of a frame against the mean: key frames are several times larger, layers that are referred to more are larger,
/// and all vary by a fifth.
fn size_share(codec: Codec, key: bool, temporal: u8, random: u64) -> f64 {
    let vary = 0.8 + 0.4 * (random % 1_024) as f64 / 1_024.0;
    let share = match (key, codec, temporal) {
        (true, ..) => KEY_FRAME_SHARE,
        (_, Codec::Vp8, 0) => 1.6,
        (_, Codec::Vp8, _) => 0.8,
        (_, Codec::Vp9 | Codec::Av1, 0) => 1.2,
        (_, Codec::Vp9 | Codec::Av1, _) => 0.8,
        _ => 1.0,
    };
    share * vary
}

/// Key frames of a talking head are four to six times the mean.
const KEY_FRAME_SHARE: f64 = 5.0;
/// A second of 5 Mbit/s.
const KEPT_MAX: usize = 512;
/// No start code, no marker of any codec.
const FILLING: u8 = 0xA5;

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(codec: Codec) -> VideoPlan {
        let layer = |width, height, bitrate| Layer { width, height, bitrate, fps: 30.0 };
        let layers = vec![layer(320, 180, 200_000), layer(640, 360, 500_000), layer(1_280, 720, 2_500_000)];
        VideoPlan { codec, screen: false, layers, key_interval_s: 0.0 }
    }

    fn random() -> impl FnMut() -> u64 {
        let mut state = 1u64;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state >> 40
        }
    }

    #[test]
    fn a_camera_sends_its_bitrate_in_streams_without_gaps() {
        for codec in [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1] {
            let ssrcs = [1, 2, 3];
            let mut camera = Camera::new(&plan(codec), 5, &ssrcs, 100);
            let (mut packets, mut random) = (Vec::new(), random());
            for _ in 0..300 {
                camera.next_frame(&mut random, &mut packets);
            }
            let bits: usize = packets.iter().map(|packet| packet.piece.len * 8).sum();
            let rate = bits as f64 / 10.0;
            assert!((2_900_000.0..3_800_000.0).contains(&rate), "{codec:?}: {rate}");
            for ssrc in ssrcs.iter().take(Camera::stream_count(&plan(codec))) {
                let of: Vec<_> = packets.iter().filter(|packet| packet.header.ssrc == *ssrc).collect();
                for pair in of.windows(2) {
                    assert_eq!(pair[1].header.sequence, pair[0].header.sequence.wrapping_add(1));
                    let same = pair[1].header.timestamp == pair[0].header.timestamp;
                    assert_eq!(same, !pair[0].header.marker, "{codec:?}");
                    assert_eq!(pair[1].label.counter, pair[0].label.counter + 1);
                }
            }
        }
    }

    #[test]
    fn what_nobody_wants_is_not_sent_and_comes_back_with_a_key_frame() {
        let mut camera = Camera::new(&plan(Codec::Vp8), 5, &[1, 2, 3], 100);
        let (mut packets, mut random) = (Vec::new(), random());
        camera.next_frame(&mut random, &mut packets);
        camera.limit(180);
        packets.clear();
        camera.next_frame(&mut random, &mut packets);
        assert!(packets.iter().all(|packet| packet.header.ssrc == 1));
        camera.limit(0);
        packets.clear();
        camera.next_frame(&mut random, &mut packets);
        assert!(packets.is_empty());
        camera.limit(720);
        camera.next_frame(&mut random, &mut packets);
        for ssrc in 1..=3 {
            let first = packets.iter().find(|packet| packet.header.ssrc == ssrc).expect("it is on again");
            assert_eq!(first.piece.head[6] & 1, 0, "a key frame");
        }
    }

    #[test]
    fn a_kept_packet_is_found_until_many_newer_ones_came() {
        let mut camera = Camera::new(&plan(Codec::H264), 5, &[1, 2, 3], 100);
        let (mut packets, mut random) = (Vec::new(), random());
        while packets.len() < KEPT_MAX + 10 {
            camera.next_frame(&mut random, &mut packets);
        }
        let of_first: Vec<Packet> = packets.into_iter().filter(|packet| packet.header.ssrc == 1).collect();
        for (token, packet) in of_first.iter().enumerate() {
            camera.keep(token as u64, packet.clone());
        }
        assert_eq!(camera.kept(1, 3).map(|packet| packet.label.counter), Some(3));
        assert!(camera.kept(2, 3).is_none() && camera.kept(1, 1 << 40).is_none());
        let mut payload = [0; 1_500];
        let len = of_first[0].write(&mut payload);
        assert_eq!(Label::read(&payload[..len]).map(|label| label.counter), Some(0));
    }

    #[test]
    fn a_microphone_counts_on() {
        let mut microphone = Microphone::new(AudioPlan::default(), 1, 77, 111);
        let (one, two) = (microphone.next_packet(), microphone.next_packet());
        assert_eq!(two.header.sequence, one.header.sequence + 1);
        assert_eq!(two.header.timestamp, one.header.timestamp + 960);
        assert_eq!((one.header.marker, two.header.marker), (true, false));
        assert_eq!(one.piece.len, 80);
        let bare = AudioPlan { payload_bytes: 10, ..AudioPlan::default() };
        assert_eq!(Microphone::new(bare, 1, 77, 111).next_packet().piece.len, Label::LEN);
    }
}
