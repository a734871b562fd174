//! What a receiver's link carries: told to its conference, and probed by repeating what was sent.

use contract::limits::DATAGRAM_BYTES_MAX;
use contract::{EndpointId, Metric, Timestamp};

use crate::datagram_io::DatagramIo;
use crate::egress::{Resent, kept_packet, resend};
use crate::worker::{Worker, seat_mut};

impl Worker {
    /// Tell the conference of `number`'s seat what its link carries, if that changed.
    pub(crate) fn note_bandwidth(&mut self, number: u32, now: Timestamp) {
        let Worker { seats, rooms, statistics, .. } = self;
        let Some(seat) = seats.get_mut(number as usize).and_then(Option::as_deref_mut) else { return };
        let counts = seat.transport.bandwidth().statistics;
        let probes = counts.probes - std::mem::replace(&mut seat.probes_counted, counts.probes);
        let unusable = counts.unusable - std::mem::replace(&mut seat.unusable_counted, counts.unusable);
        statistics.add(Metric::BandwidthProbes, probes);
        statistics.add(Metric::FeedbackUnusable, unusable);
        let bandwidth = seat.transport.bandwidth();
        // What is sent again takes its part of what the link carries: layers that took it too would keep a narrow one full, and so
        // losing. The limit by loss has that in it.
        let left = bandwidth.target_by_delay().saturating_sub(seat.transport.repair_rate(now));
        let target = bandwidth.target().min(left);
        let lost = (seat.transport.bandwidth().loss() * 256.0) as u8;
        seat.note_loss(lost, now);
        if target.abs_diff(seat.bandwidth_told) <= seat.bandwidth_told / SAME {
            return;
        }
        seat.bandwidth_told = target;
        let number = seat.room;
        if let Some(room) = rooms.get_mut(number as usize).and_then(Option::as_deref_mut) {
            room.conference.set_bandwidth(seat.receiver, target, now);
            self.note_deadline_of_room(number);
        }
    }

    /// What a receiver wants takes so much: its transport probes for no more.
    pub(crate) fn set_wanted(
        &mut self,
        room: u32,
        receiver: EndpointId,
        bits_per_second: u64,
        now: Timestamp,
    ) {
        let Worker { seats, rooms, deadlines, .. } = self;
        let Some(room) = rooms[room as usize].as_deref() else { return };
        let number = room.conference.receiver_index(receiver).and_then(|at| room.seat(at));
        let Some(number) = number else { return };
        if let Some(seat) = seat_mut(seats, number, receiver) {
            seat.transport.set_wanted(bits_per_second, now);
            deadlines.set(number, seat.transport.poll_timeout());
        }
    }

    /// Send what a bandwidth probe asks for: packets sent before, or padding.
    pub(crate) fn send_probe(&mut self, number: u32, now: Timestamp, io: &mut impl DatagramIo) {
        for _ in 0..PACKETS_PER_CALL {
            let Some(seat) = self.seats.get_mut(number as usize).and_then(Option::as_deref_mut) else {
                return;
            };
            if seat.transport.probe_due(now) == 0 {
                return;
            }
            let len = self.send_repeated(number, now, io).or_else(|| self.send_padding(number, now, io));
            let Some(len) = len else { return };
            self.statistics.count(Metric::ProbePackets);
            self.statistics.add(Metric::ProbeBytes, len as u64);
        }
    }

    fn send_repeated(&mut self, number: u32, now: Timestamp, io: &mut impl DatagramIo) -> Option<usize> {
        let Worker { seats, rooms, arena, kept, .. } = self;
        let seat = seats.get_mut(number as usize)?.as_deref_mut()?;
        let path = seat.transport.selected()?;
        let record = seat.transport.probe_record()?;
        let found = kept_packet(rooms, seat.room, &record, kept, now);
        match resend(seat, found, arena, &record, path, now, io) {
            Resent::Sent(len) => Some(len),
            Resent::Gone | Resent::Refused => None,
        }
    }

    fn send_padding(&mut self, number: u32, now: Timestamp, io: &mut impl DatagramIo) -> Option<usize> {
        let seat = self.seats.get_mut(number as usize)?.as_deref_mut()?;
        let path = seat.transport.selected()?;
        let mut len = 0;
        let queued = io.send(path, DATAGRAM_BYTES_MAX, |out| {
            len = seat.transport.seal_padding(now, out).map_or(0, |sealed| sealed.len);
            len
        });
        (queued && len > 0).then_some(len)
    }
}

/// A bandwidth that differs by no more than this part is not told again.
const SAME: u64 = 100;
/// Packets of a probe in one call; more are due only after a pause of the whole worker, and then wait for the next turn.
const PACKETS_PER_CALL: usize = 16;
