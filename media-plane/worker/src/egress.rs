//! From a projected packet to a sealed one in send memory; and again, when a receiver missed it.

use conference::Projected;
use contract::limits::DATAGRAM_BYTES_MAX;
use contract::session::Media;
use contract::{Metric, Timestamp};
use transport::{Outgoing, Path, Repair};

use crate::address_table::Route;
use crate::datagram_io::DatagramIo;
use crate::fanout::Published;
use crate::seat::Seat;
use crate::worker::{Worker, seat_mut};

/// Seal a packet for the endpoint of `seat` straight into send memory. False: it could not be sealed or sent.
pub(crate) fn send(
    seat: &mut Seat,
    path: Path,
    projected: &Projected,
    published: &Published,
    bytes: &[u8],
    now: Timestamp,
    io: &mut impl DatagramIo,
) -> bool {
    let parts = &published.parts;
    let outgoing = Outgoing {
        header: projected.header,
        payload: parts.payload(bytes),
        patch: projected.patch,
        structure: None,
        audio_level: parts.audio_level,
        video_orientation: parts.video_orientation,
        dependency_descriptor: parts.descriptor(bytes),
        mid: None,
        padding: 0,
        retransmission_token: (projected.media == Media::Video).then(|| Token::of(published).pack()),
    };
    let mut sealed = false;
    let queued = io.send(path, DATAGRAM_BYTES_MAX, |out| {
        let result = seat.transport.seal_rtp(&outgoing, now, out);
        sealed = result.is_some();
        result.map_or(0, |sealed| sealed.len)
    });
    queued && sealed
}

impl Worker {
    /// A receiver misses a packet: send it again if it is still here and the transport agrees.
    pub(crate) fn retransmit(
        &mut self,
        route: Route,
        ssrc: u32,
        sequence: u16,
        now: Timestamp,
        io: &mut impl DatagramIo,
    ) {
        let Worker { seats, rooms, arena, statistics, .. } = self;
        let Some(seat) = seat_mut(seats, route.seat, route.endpoint) else { return };
        let Some(path) = seat.transport.selected() else { return };
        let Some(record) = seat.transport.nacked(ssrc, sequence, now) else { return };
        let token = Token::unpack(record.token);
        let cached = rooms[seat.room as usize]
            .as_deref_mut()
            .and_then(|room| room.cache(conference::SourceIndex(token.source)))
            .and_then(|cache| cache.get(token.encoding, token.sequence, now));
        let Some(cached) = cached else {
            statistics.count(Metric::RetransmissionsMissed);
            return;
        };
        let bytes = arena.bytes(cached.slot);
        let repair = Repair {
            payload: cached.parts.payload(bytes),
            structure: None,
            audio_level: cached.parts.audio_level,
            video_orientation: cached.parts.video_orientation,
            dependency_descriptor: cached.parts.descriptor(bytes),
            mid: None,
        };
        let mut len = 0;
        let queued = io.send(path, DATAGRAM_BYTES_MAX, |out| {
            len = seat.transport.seal_rtx(&record, &repair, now, out).map_or(0, |sealed| sealed.len);
            len
        });
        if queued && len > 0 {
            statistics.count(Metric::PacketsRetransmitted);
            statistics.count(Metric::PacketsForwarded);
        }
    }
}

/// Where a sent packet is found again: what the transport's record carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Token {
    source: u16,
    encoding: u8,
    sequence: u64,
}

impl Token {
    fn of(published: &Published) -> Token {
        Token {
            source: published.source.0,
            encoding: published.media.encoding,
            sequence: published.media.sequence,
        }
    }

    /// 16 bits source, 8 bits encoding, 40 bits extended sequence number: 50 years at 700 packets a second.
    fn pack(self) -> u64 {
        u64::from(self.source) << 48 | u64::from(self.encoding) << 40 | self.sequence & SEQUENCE_MASK
    }

    fn unpack(token: u64) -> Token {
        Token { source: (token >> 48) as u16, encoding: (token >> 40) as u8, sequence: token & SEQUENCE_MASK }
    }
}

const SEQUENCE_MASK: u64 = (1 << 40) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_gives_back_what_was_packed() {
        for token in [
            Token { source: 0, encoding: 0, sequence: 0 },
            Token { source: u16::MAX, encoding: 2, sequence: SEQUENCE_MASK },
            Token { source: 7, encoding: 1, sequence: 65_536 },
        ] {
            assert_eq!(Token::unpack(token.pack()), token);
        }
    }
}
