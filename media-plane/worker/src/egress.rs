//! From a projected packet to a sealed one in send memory; and again, when a receiver missed it.

use arrayvec::ArrayVec;
use conference::Projected;
use contract::limits::DATAGRAM_BYTES_MAX;
use contract::session::Media;
use contract::{Metric, Timestamp};
use mesh::arena::{Arena, Slot};
use transport::{Outgoing, Path, Record, Repair};

use crate::address_table::Route;
use crate::datagram_io::DatagramIo;
use crate::fanout::Published;
use crate::grouping::{Grouping, OFFERS_MAX, Offer, Placed};
use crate::kept_order::KeptOrder;
use crate::packet_cache::Found;
use crate::packet_parts::PacketParts;
use crate::redundancy::{RED_BYTES_MAX, RecentAudio};
use crate::room::Room;
use crate::seat::Seat;
use crate::statistics::Statistics;
use crate::worker::{Worker, seat_mut};

/// A packet that a receiver is to get.
#[derive(Clone, Copy, Debug)]
struct Offered {
    projected: Projected,
    parts: PacketParts,
    slot: Slot,
    token: u64,
}

/// What one receiver is to get of a turn, and the plan of its messages: memory that is used again for each.
#[derive(Default)]
pub(crate) struct Outbound {
    offered: ArrayVec<Offered, OFFERS_MAX>,
    lengths: ArrayVec<Offer, OFFERS_MAX>,
    grouping: Grouping,
}

/// The way out to one receiver.
pub(crate) struct Exit<'a, I> {
    pub(crate) seat: &'a mut Seat,
    pub(crate) path: Path,
    pub(crate) outbound: &'a mut Outbound,
    pub(crate) arena: &'a Arena,
    pub(crate) statistics: &'a mut Statistics,
    /// Thousandths of what it is sent that may be padding.
    pub(crate) padding_permille: u16,
    pub(crate) now: Timestamp,
    pub(crate) io: &'a mut I,
    /// A packet could not be sealed or sent.
    pub(crate) failed: bool,
}

impl<I: DatagramIo> Exit<'_, I> {
    /// Take a packet in; it goes out with the others, at [`Exit::send`] or when they are many.
    pub(crate) fn offer(&mut self, projected: Projected, published: &Published) {
        if self.outbound.offered.is_full() {
            self.send();
        }
        if projected.anew {
            let wire::rtp::Header { ssrc, sequence, timestamp, .. } = projected.header;
            self.seat.transport.begin_anew(ssrc, sequence, timestamp);
        }
        let Published { parts, slot, .. } = *published;
        let token = Token::of(published).pack();
        self.outbound.offered.push(Offered { projected, parts, slot, token });
    }

    /// Send audio that the receiver gets other than it came: with redundancy, or without. What was taken in goes first, as order
    /// holds within a stream. False: it goes as it came.
    pub(crate) fn send_changed_audio(
        &mut self,
        projected: &Projected,
        published: &Published,
        recent: Option<&RecentAudio>,
    ) -> bool {
        if projected.media != Media::Audio || !self.seat.changes_audio(published.media.codec, self.now) {
            return false;
        }
        let mut redundant = [0; RED_BYTES_MAX];
        let payload = published.parts.payload(self.arena.bytes(published.slot));
        let instead = self.seat.audio_for(&published.media, payload, recent, &mut redundant);
        let Some((payload_type, payload)) = instead else { return false };
        self.send();
        let offered =
            Offered { projected: *projected, parts: published.parts, slot: published.slot, token: 0 };
        let header = wire::rtp::Header { payload_type, ..projected.header };
        let outgoing = Outgoing { header, payload, ..offered.outgoing(self.arena, 0) };
        let Exit { seat, now, .. } = self;
        let mut len = 0;
        let queued = self.io.send(self.path, DATAGRAM_BYTES_MAX, |out| {
            len = seat.transport.seal_rtp(&outgoing, *now, out).map_or(0, |sealed| sealed.len);
            len
        });
        if queued && len > 0 {
            self.statistics.count(Metric::PacketsForwarded);
        } else {
            self.failed = true;
        }
        true
    }

    /// Send what was taken in, in as few messages as may be.
    pub(crate) fn send(&mut self) {
        let count = self.outbound.offered.len();
        if count > 1 && !self.outbound.alike() && self.foresee() {
            let budget = &mut self.seat.padding;
            let Outbound { lengths, grouping, .. } = &mut *self.outbound;
            grouping.plan(lengths, budget);
            for place in 0..count {
                let Placed { at, padding } = self.outbound.grouping.placed(place);
                self.seal(usize::from(at), padding);
            }
        } else {
            (0..count).for_each(|at| self.seal(at, 0));
        }
        self.outbound.offered.clear();
    }

    /// Work out the lengths on the wire. False: one of them cannot be sealed.
    fn foresee(&mut self) -> bool {
        let Outbound { offered, lengths, .. } = &mut *self.outbound;
        lengths.clear();
        let mut before = None;
        for packet in offered.iter() {
            let kind = (packet.kind(), packet.projected.header.ssrc);
            let len = match before {
                Some((alike, len)) if alike == kind => len,
                _ => {
                    let outgoing = packet.outgoing(self.arena, 0);
                    let Some(len) = self.seat.transport.sealed_len(&outgoing) else { return false };
                    len
                }
            };
            before = Some((kind, len));
            let paddable = packet.projected.media == Media::Video;
            lengths.push(Offer { len: len as u16, stream: packet.projected.header.ssrc, paddable });
        }
        true
    }

    /// Seal packet `at` straight into send memory.
    fn seal(&mut self, at: usize, padding: u8) {
        let Exit { seat, outbound, statistics, now, .. } = self;
        let outgoing = outbound.offered[at].outgoing(self.arena, padding);
        let mut len = 0;
        let queued = self.io.send(self.path, DATAGRAM_BYTES_MAX, |out| {
            len = seat.transport.seal_rtp(&outgoing, *now, out).map_or(0, |sealed| sealed.len);
            len
        });
        if !queued || len == 0 {
            self.failed = true;
            return;
        }
        seat.padding.earn(len as u16, self.padding_permille);
        statistics.count(Metric::PacketsForwarded);
        if padding > 0 {
            statistics.add(Metric::PaddingBytes, u64::from(padding));
        }
    }
}

impl Outbound {
    /// Whether all packets will be of one length: so it is with the inner packets of frames, and mostly.
    fn alike(&self) -> bool {
        self.offered.windows(2).all(|pair| pair[0].kind() == pair[1].kind())
    }
}

impl Offered {
    /// What the length on the wire follows from.
    fn kind(&self) -> ((u16, u16, bool, bool), Media) {
        (self.parts.shape(), self.projected.media)
    }

    fn outgoing<'a>(&self, arena: &'a Arena, padding: u8) -> Outgoing<'a> {
        let (parts, bytes) = (&self.parts, arena.bytes(self.slot));
        Outgoing {
            header: self.projected.header,
            payload: parts.payload(bytes),
            patch: self.projected.patch,
            structure: None,
            audio_level: parts.audio_level,
            video_orientation: parts.video_orientation,
            dependency_descriptor: parts.descriptor(bytes),
            mid: None,
            padding,
            retransmission_token: (self.projected.media == Media::Video).then_some(self.token),
        }
    }
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
        let Worker { seats, rooms, arena, kept, statistics, .. } = self;
        let Some(seat) = seat_mut(seats, route.seat, route.endpoint) else { return };
        let Some(path) = seat.transport.selected() else { return };
        let Some(record) = seat.transport.nacked(ssrc, sequence, now) else {
            if seat.transport.key_frame_lost(ssrc, sequence, now) {
                self.key_frame_for(route, ssrc, now);
            }
            return;
        };
        let found = kept_packet(rooms, seat.room, &record, kept, now);
        match resend(seat, found, arena, &record, path, now, io) {
            Resent::Gone => statistics.count(Metric::RetransmissionsMissed),
            Resent::Refused => {}
            Resent::Sent(_) => {
                statistics.count(Metric::PacketsRetransmitted);
                statistics.count(Metric::PacketsForwarded);
            }
        }
    }
}

/// What became of a packet that was to be sent again.
pub(crate) enum Resent {
    /// Its plaintext is not kept any more.
    Gone,
    /// The transport would not seal it, or the network had no room.
    Refused,
    /// So many bytes.
    Sent(usize),
}

/// The packet of `record`, if it is still kept in its room.
pub(crate) fn kept_packet(
    rooms: &mut [Option<Box<Room>>],
    room: u32,
    record: &Record,
    kept: &KeptOrder,
    now: Timestamp,
) -> Option<Found> {
    let token = Token::unpack(record.token);
    let room = rooms.get_mut(room as usize)?.as_deref_mut()?;
    let cache = room.cache(conference::SourceIndex(token.source))?;
    cache.get(token.encoding, token.sequence, kept, now)
}

/// Send the packet of `record` again, on the RTX stream where there is one: for a NACK, or as a part of a probe.
pub(crate) fn resend(
    seat: &mut Seat,
    found: Option<Found>,
    arena: &Arena,
    record: &Record,
    path: Path,
    now: Timestamp,
    io: &mut impl DatagramIo,
) -> Resent {
    let Some((slot, parts)) = found else { return Resent::Gone };
    let bytes = arena.bytes(slot);
    let repair = Repair {
        payload: parts.payload(bytes),
        structure: None,
        audio_level: parts.audio_level,
        video_orientation: parts.video_orientation,
        dependency_descriptor: parts.descriptor(bytes),
        mid: None,
    };
    let mut len = 0;
    let queued = io.send(path, DATAGRAM_BYTES_MAX, |out| {
        len = seat.transport.seal_rtx(record, &repair, now, out).map_or(0, |sealed| sealed.len);
        len
    });
    if queued && len > 0 { Resent::Sent(len) } else { Resent::Refused }
}

/// Where a sent packet is found again: what the transport's record carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) source: u16,
    pub(crate) encoding: u8,
    pub(crate) sequence: u64,
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

    pub(crate) fn unpack(token: u64) -> Token {
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
