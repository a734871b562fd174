//! What the clients of a workload send: VP8 in one encoding, and Opus, sealed as browsers do.

use arrayvec::ArrayVec;
use contract::session::{Encoding, Media, SourceSpec, SrtpKeys, VideoType};
use contract::{EndpointId, SourceId, Ssrc};
use transport::srtp::Session;

use crate::scene::Burst;

/// One client's camera and microphone.
pub struct Sender {
    session: Box<Session>,
    endpoint: u64,
    video_index: u64,
    audio_index: u64,
    picture: u16,
    audio_frame: u32,
    /// The next frame is a key frame.
    pub key: bool,
}

impl Sender {
    /// The keys are the server's view: what it expects inbound is what we send.
    pub fn new(endpoint: EndpointId, keys: &SrtpKeys) -> Result<Sender, String> {
        let own = SrtpKeys {
            profile: keys.profile,
            inbound: keys.outbound.clone(),
            outbound: keys.inbound.clone(),
        };
        let session = Session::new(&own).map_err(|_| "keys of a wrong length")?;
        let endpoint = endpoint.0;
        Ok(Sender {
            session,
            endpoint,
            video_index: 0,
            audio_index: 0,
            picture: 0,
            audio_frame: 0,
            key: true,
        })
    }

    /// What it signals.
    pub fn sources(&self) -> Vec<SourceSpec> {
        let owner = EndpointId(self.endpoint);
        let source = |number: u64, media, ssrc: u32, rtx: Option<u32>| {
            let mut encodings = ArrayVec::new();
            encodings.push(Encoding { ssrc: Ssrc(ssrc), rtx: rtx.map(Ssrc) });
            let source = SourceId(self.endpoint * 10 + number);
            SourceSpec { source, owner, media, video_type: VideoType::Camera, encodings }
        };
        let video = self.ssrc(Media::Video);
        vec![
            source(0, Media::Audio, self.ssrc(Media::Audio), None),
            source(1, Media::Video, video, Some(video + 1)),
        ]
    }

    fn ssrc(&self, media: Media) -> u32 {
        0x4000_0000 + self.endpoint as u32 * 10 + if media == Media::Video { 1 } else { 0 }
    }

    /// The datagrams of a burst.
    pub fn datagrams(&mut self, burst: &Burst) -> Vec<Vec<u8>> {
        match burst.media {
            Media::Audio => {
                self.audio_frame = self.audio_frame.wrapping_add(960);
                vec![self.audio(burst.bytes)]
            }
            Media::Video => {
                self.picture = (self.picture + 1) & 0x7FFF;
                let packet = |at| self.video(burst.bytes_of(at), at == 0, at + 1 == burst.packets);
                (0..burst.packets).map(packet).collect()
            }
        }
    }

    /// With the extension for levels (RFC 6464), speaking at -30 dB.
    fn audio(&mut self, bytes: usize) -> Vec<u8> {
        self.audio_index += 1;
        let mut datagram = vec![0x90, 111];
        datagram.extend_from_slice(&(self.audio_index as u16).to_be_bytes());
        datagram.extend_from_slice(&self.audio_frame.to_be_bytes());
        datagram.extend_from_slice(&self.ssrc(Media::Audio).to_be_bytes());
        datagram.extend_from_slice(&[0xBE, 0xDE, 0, 1, 1 << 4, 0x80 | 30, 0, 0]);
        self.seal(datagram, bytes, Media::Audio, self.audio_index)
    }

    /// A packet of the frame, with a transport-wide number.
    fn video(&mut self, bytes: usize, first: bool, last: bool) -> Vec<u8> {
        self.video_index += 1;
        let sequence = (self.video_index as u16).to_be_bytes();
        let timestamp = (u32::from(self.picture) * 3_000).to_be_bytes();
        let mut datagram = vec![0x90, if last { 0x80 | 100 } else { 100 }];
        datagram.extend_from_slice(&sequence);
        datagram.extend_from_slice(&timestamp);
        datagram.extend_from_slice(&self.ssrc(Media::Video).to_be_bytes());
        datagram.extend_from_slice(&[0xBE, 0xDE, 0, 1, 5 << 4 | 1, sequence[0], sequence[1], 0]);
        // RFC 7741 §4.2: picture id, TL0PICIDX, TID; §4.3: frame tag, and with key frames the size.
        let [high, low] = self.picture.to_be_bytes();
        let begins = u8::from(first) << 4;
        datagram.extend_from_slice(&[0x80 | begins, 0xE0, 0x80 | high, low, self.picture as u8, 0x20]);
        if first {
            datagram.extend_from_slice(&[u8::from(!self.key) | 0x10, 0, 0]);
        }
        if first && self.key {
            datagram.extend_from_slice(&[0x9D, 0x01, 0x2A, 0x00, 0x05, 0xD0, 0x02]);
        }
        self.seal(datagram, bytes, Media::Video, self.video_index)
    }

    fn seal(&self, mut datagram: Vec<u8>, bytes: usize, media: Media, index: u64) -> Vec<u8> {
        let len = bytes - self.session.rtp_overhead();
        datagram.resize(bytes, 0xAB);
        let sealed = self.session.seal_rtp(self.ssrc(media), index, &mut datagram, HEADER, len);
        debug_assert_eq!(sealed, Some(bytes), "the tag fits");
        datagram
    }
}

/// Fixed header, and an extension block of one word.
pub const HEADER: usize = 20;
