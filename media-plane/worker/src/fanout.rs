//! Offering published packets to receivers, batched by receiver, so that what goes to one peer can share a send.

use conference::{MediaPacket, ReceiverIndex, SourceIndex};
use contract::{Metric, Timestamp};
use mesh::arena::Slot;

use crate::datagram_io::{DatagramIo, Mail};
use crate::egress::Exit;
use crate::mesh_message::MeshKind;
use crate::packet_cache::Cached;
use crate::packet_parts::PacketParts;
use crate::room::Room;
use crate::worker::Worker;

/// A packet of this turn. Holds a reference to its slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Published {
    pub(crate) room: u32,
    pub(crate) source: SourceIndex,
    pub(crate) media: MediaPacket,
    pub(crate) parts: PacketParts,
    pub(crate) slot: Slot,
    /// It was kept back for the rest of its frame.
    held: bool,
}

impl Published {
    pub(crate) fn new(
        room: u32,
        source: SourceIndex,
        media: MediaPacket,
        parts: PacketParts,
        slot: Slot,
    ) -> Published {
        Published { room, source, media, parts, slot, held: false }
    }
}

/// The packets of one room in a turn, in order of arrival.
#[derive(Clone, Copy)]
struct Batch<'a> {
    list: &'a [Published],
    /// (Room, place in the list).
    order: &'a [(u32, u16)],
}

impl<'a> Batch<'a> {
    fn iter(self) -> impl Iterator<Item = &'a Published> {
        self.order.iter().map(move |(_, at)| &self.list[usize::from(*at)])
    }
}

impl Worker {
    /// On the sender's worker: note a packet, pass it to the other workers of its conference, and keep it for the
    /// receivers here.
    pub(crate) fn publish(&mut self, published: Published, now: Timestamp) {
        let Some(room) = self.rooms[published.room as usize].as_deref_mut() else { return };
        let bytes = &self.arena.bytes(published.slot)[..published.parts.packet_len()];
        let kind = MeshKind::Media { conference: room.id, media: published.media, parts: published.parts };
        let own = 1u128 << self.id.0;
        let mut others = room.peers & !own;
        while others != 0 {
            let worker = others.trailing_zeros() as usize;
            others &= others - 1;
            let passed = self.port.send(worker, |message| message.carry(kind, bytes));
            self.statistics.count(if passed.is_ok() {
                Metric::PacketsToMesh
            } else {
                Metric::PacketsLostToMesh
            });
        }
        self.keep(published, now);
    }

    /// On every worker with receivers: note a packet and keep it until the fan-out of this turn, and for
    /// retransmission.
    pub(crate) fn keep(&mut self, mut published: Published, now: Timestamp) {
        let Worker { rooms, arena, kept, published: list, .. } = self;
        let Some(room) = rooms[published.room as usize].as_deref_mut() else { return };
        let Some(source) = room.conference.note(&published.media) else { return };
        published.source = source;
        if let Some(cache) = room.cache(source) {
            if let Some(audio) = &mut cache.audio {
                audio.note(&published.media, published.parts.payload(arena.bytes(published.slot)));
            } else {
                let cached = Cached {
                    sequence: published.media.sequence,
                    kept: kept.keep(published.slot, now, arena),
                    parts: published.parts,
                };
                cache.insert(published.media.encoding, cached, kept, arena);
                cache.remember(&published.media);
            }
        }
        arena.retain(published.slot);
        list.push(published);
    }

    /// Offer the packets of this turn to the receivers of their rooms, and let go of them; but a loaded worker keeps
    /// incomplete frames for the next turns. True if any went.
    pub(crate) fn fan_out(&mut self, now: Timestamp, io: &mut impl DatagramIo) -> bool {
        if self.published.is_empty() {
            return false;
        }
        if self.load.is_above(self.sending.hold_above_percent) {
            self.holding.judge(&self.published, self.sending.hold, now);
        } else {
            self.holding.none();
        }
        self.fan_out_released(now, io)
    }

    /// The same, and nothing is kept.
    pub(crate) fn fan_out_all(&mut self, now: Timestamp, io: &mut impl DatagramIo) {
        self.holding.none();
        self.fan_out_released(now, io);
    }

    fn fan_out_released(&mut self, now: Timestamp, io: &mut impl DatagramIo) -> bool {
        let mut list = std::mem::take(&mut self.published);
        let mut order = std::mem::take(&mut self.fan_out_order);
        let released = list.iter().enumerate().filter(|(at, _)| !self.holding.is_held(*at));
        order.extend(released.map(|(at, published)| (published.room, at as u16)));
        let any = !order.is_empty();
        // Rooms together, within them in order of arrival. Of one room alone it is sorted already, which costs a look.
        order.sort_unstable();
        for of_room in order.chunk_by(|a, b| a.0 == b.0) {
            let number = of_room[0].0;
            self.conference_events(number, now, io);
            self.fan_out_room(number, Batch { list: &list, order: of_room }, now, io);
        }
        let mut at = 0;
        list.retain_mut(|published| {
            let held = self.holding.is_held(at);
            at += 1;
            if !held {
                self.arena.release(published.slot);
            } else if !published.held {
                published.held = true;
                self.statistics.count(Metric::PacketsHeld);
                // Its conference has noted it already.
                self.note_deadline_of_room(published.room);
            }
            held
        });
        order.clear();
        (self.published, self.fan_out_order) = (list, order);
        any
    }

    fn fan_out_room(&mut self, number: u32, packets: Batch<'_>, now: Timestamp, io: &mut impl DatagramIo) {
        let places = self.rooms[number as usize].as_deref().map_or(0, Room::receiver_places);
        for receiver in (0..places).map(ReceiverIndex) {
            self.fan_out_to(number, receiver, packets, now, io);
        }
        // Projections may have found out that they need a key frame.
        self.conference_events(number, now, io);
    }

    fn fan_out_to(
        &mut self,
        number: u32,
        receiver: ReceiverIndex,
        packets: Batch<'_>,
        now: Timestamp,
        io: &mut impl DatagramIo,
    ) {
        let Worker { rooms, seats, arena, kept, statistics, outbound, sending, .. } = self;
        let Some(room) = rooms[number as usize].as_deref_mut() else { return };
        // Most packets of a large room are for few, and none for its sender: those others' transports stay out of the cache.
        if !packets.iter().any(|published| room.conference.is_interested(published.source, receiver)) {
            return;
        }
        let Some(seat) = room.seat(receiver).and_then(|seat| seats.get_mut(seat as usize)?.as_deref_mut())
        else {
            return;
        };
        let Some(path) = seat.transport.usable().filter(|_| seat.transport.has_keys()) else { return };
        let mut exit = Exit {
            seat,
            path,
            outbound,
            arena,
            statistics,
            padding_permille: sending.padding_permille,
            now,
            io,
            failed: false,
        };
        let mut offer = |room: &mut Room, published: &Published| {
            let projected = room.conference.project(receiver, published.source, &published.media)?;
            let recent = room.cache(published.source).and_then(|cache| cache.audio.as_ref());
            if !exit.send_changed_audio(&projected, published, recent) {
                exit.offer(projected, published);
            }
            Some(projected.replay)
        };
        for published in packets.iter() {
            if !room.conference.is_interested(published.source, receiver)
                || offer(room, published) != Some(true)
            {
                continue;
            }
            // The stream begins with a packet that came late: those behind it get their chance now.
            let encoding = published.media.encoding;
            for sequence in (1..conference::REPLAY_MAX).map(|step| published.media.sequence + step) {
                let again = room
                    .cache(published.source)
                    .and_then(|cache| cache.recent(encoding, sequence, kept, now));
                if let Some((media, (slot, parts))) = again {
                    offer(room, &Published { media, parts, slot, ..*published });
                }
            }
        }
        exit.send();
        let stream_missing = exit.failed;
        if seat.transport.goes_along(now) {
            seat.transport.send_along(path, io.room_along(path), now, &mut Mail(io));
            self.deadlines.set(seat.index, seat.transport.poll_timeout());
        }
        self.deadlines.bring_forward(seat.index, seat.transport.take_answers_due());
        if stream_missing {
            // The conference has a stream to announce, or the transport is out of room for one.
            self.conference_events(number, now, io);
        }
    }
}
