//! Keeping back the packets of a frame that is not complete yet, for a loaded worker: its receivers cannot decode it before
//! its last packet anyway, and all of its packets go as one message then. Audio is never kept back.

use arrayvec::ArrayVec;
use contract::session::Media;
use contract::{Duration, SourceId, Timestamp};

use crate::fanout::Published;
use crate::worker::PUBLISHED_MAX;

/// What is kept back of the packets of a turn.
#[derive(Debug)]
pub(crate) struct Holding {
    /// The streams of the turn, from their last packets on.
    streams: ArrayVec<Stream, STREAMS_MAX>,
    /// A bit per packet that is kept back.
    held: [u64; PUBLISHED_MAX.div_ceil(64)],
    /// When the first of them must go, whatever becomes of its frame.
    pub(crate) until: Timestamp,
}

/// One encoding of a source.
#[derive(Clone, Copy, Debug)]
struct Stream {
    source: SourceId,
    encoding: u8,
    /// RTP time of the frame that is not complete; `None`: all of the stream goes.
    open: Option<u32>,
    /// Place of the first packet of that frame, with none of another frame behind it.
    from: usize,
    /// When that packet came.
    since: Timestamp,
    /// What comes before `from` goes.
    settled: bool,
}

impl Holding {
    pub(crate) fn new() -> Holding {
        Holding { streams: ArrayVec::new(), held: [0; _], until: Timestamp::NEVER }
    }

    /// Keep nothing back.
    pub(crate) fn none(&mut self) {
        if self.until != Timestamp::NEVER {
            self.held = [0; _];
            self.until = Timestamp::NEVER;
        }
    }

    /// Decide what is kept back of `list`, in order of arrival: of each video stream the packets behind the last that
    /// ended a frame, unless the first of them came `longest` ago. Streams beyond [`STREAMS_MAX`] go at once.
    pub(crate) fn judge(&mut self, list: &[Published], longest: Duration, now: Timestamp) {
        self.none();
        self.streams.clear();
        for (at, published) in list.iter().enumerate().rev() {
            self.note(at, published);
        }
        for stream in &mut self.streams {
            if now >= stream.since + longest {
                stream.open = None;
            }
        }
        for (at, published) in list.iter().enumerate() {
            if self.stream(published).is_some_and(|stream| stream.open.is_some() && at >= stream.from) {
                self.held[at / 64] |= 1 << (at % 64);
                self.until = self.until.min(published.media.arrival + longest);
            }
        }
    }

    /// Whether packet `at` of the list is kept back.
    pub(crate) fn is_held(&self, at: usize) -> bool {
        self.held.get(at / 64).is_some_and(|bits| bits >> (at % 64) & 1 == 1)
    }

    /// A packet, seen from the last to the first.
    fn note(&mut self, at: usize, published: &Published) {
        let media = &published.media;
        if media.codec.media() == Media::Audio {
            return;
        }
        // A packet sent again is late already.
        let ends = media.marker || media.retransmitted;
        let (source, encoding, since) = (media.source, media.encoding, media.arrival);
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.is_of(published)) else {
            let open = (!ends).then_some(media.timestamp);
            // Too many: what has no entry is not kept back.
            let _ = self.streams.try_push(Stream { source, encoding, open, from: at, since, settled: ends });
            return;
        };
        if stream.settled {
            return;
        }
        if stream.open != Some(media.timestamp) {
            stream.settled = true;
        } else if ends {
            // The end overtook the rest.
            (stream.open, stream.settled) = (None, true);
        } else {
            (stream.from, stream.since) = (at, since);
        }
    }

    fn stream(&self, published: &Published) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.is_of(published))
    }
}

impl Stream {
    fn is_of(&self, published: &Published) -> bool {
        self.source == published.media.source && self.encoding == published.media.encoding
    }
}

/// Streams of one turn that are told apart.
const STREAMS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use contract::session::Codec;
    use mesh::arena::Arena;

    use super::*;
    use crate::packet_parts::PacketParts;

    /// "v1:7." is a packet of source 1, frame 7, the last one; "a2:1" is audio; an "r" behind says sent again.
    fn published(text: &str, arrival: Timestamp) -> Published {
        let (source, frame) = text[1..].split_once(':').expect("a source and a frame");
        let media = conference::MediaPacket {
            source: SourceId(source.parse().expect("a number")),
            sequence: 0,
            arrival,
            ssrc: 0,
            timestamp: frame.trim_end_matches(['.', 'r']).parse().expect("a number"),
            payload_bytes: 0,
            encoding: 0,
            payload_type: 0,
            codec: if text.starts_with('v') { Codec::Vp8 } else { Codec::Opus },
            marker: frame.ends_with('.'),
            retransmitted: frame.ends_with('r'),
            audio_level: None,
            frame: Default::default(),
        };
        let slot = Arena::new(1).take().expect("one is free");
        Published::new(0, conference::SourceIndex(0), media, PacketParts::default(), slot)
    }

    fn held(packets: &str, longest: Duration, now: Timestamp) -> String {
        let list: Vec<Published> =
            packets.split(' ').map(|text| published(text, Timestamp::from_micros(1_000))).collect();
        let mut holding = Holding::new();
        holding.judge(&list, longest, now);
        (0..list.len()).map(|at| if holding.is_held(at) { 'h' } else { '-' }).collect()
    }

    #[test]
    fn packets_behind_the_last_complete_frame_wait_for_the_rest_of_theirs() {
        let longest = Duration::from_micros(500);
        let rows = [
            ("v1:1 v1:1 v1:1.", "---"),
            ("v1:1 v1:1", "hh"),
            ("v1:1 v1:1. v1:2 v1:2", "--hh"),
            ("v1:1 v2:1 v1:1. v2:1", "-h-h"),
            ("a2:1 v1:1 a2:2", "-h-"),
            // The end of frame 1 is lost: it goes when frame 2 begins.
            ("v1:1 v1:2 v1:2", "-hh"),
            // The end overtook another.
            ("v1:1 v1:1. v1:1", "---"),
            // A late packet of frame 1 does not hold up its frame, let alone frame 2.
            ("v1:1 v1:2 v1:1", "--h"),
            ("v1:1 v1:1r", "--"),
        ];
        for (packets, expected) in rows {
            assert_eq!(held(packets, longest, Timestamp::from_micros(1_499)), expected, "{packets}");
            let all_go = "-".repeat(expected.len());
            assert_eq!(held(packets, longest, Timestamp::from_micros(1_500)), all_go, "{packets}");
        }
    }
}
