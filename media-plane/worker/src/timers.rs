//! What is due: transports, conferences, and the sweep over activity and kept packets, twice a second over each.

use std::ops::Range;

use contract::limits::{ENDPOINT_TIMEOUT, RETRANSMISSION_AGE};
use contract::{Duration, EndpointId, Metric, Report, Timestamp};

use crate::datagram_io::{DatagramIo, Mail};
use crate::order::Return;
use crate::seat::{Activity, Seat};
use crate::worker::Worker;

impl Worker {
    /// Call whoever asked to be called by now. True if there was anyone.
    pub(crate) fn expire_timers(&mut self, now: Timestamp, io: &mut impl DatagramIo) -> bool {
        let mut any = false;
        let mut from = 0;
        while let Some(seat) = self.deadlines.due(from, now) {
            any = true;
            self.call_transport(seat, now, io);
            from = seat + 1;
        }
        let mut from = 0;
        while let Some(room) = self.room_deadlines.due(from, now) {
            any = true;
            if let Some(entry) = self.rooms[room as usize].as_deref_mut() {
                entry.conference.handle_timeout(now);
            }
            self.conference_events(room, now, io);
            from = room + 1;
        }
        if self.sweep.next <= now {
            self.sweep_on(now);
        }
        any
    }

    /// Learn when a room's conference wants to be called.
    pub(crate) fn note_deadline_of_room(&mut self, number: u32) {
        let room = self.rooms.get(number as usize).and_then(Option::as_deref);
        let time = room.map_or(Timestamp::NEVER, |room| room.conference.poll_timeout());
        self.room_deadlines.set(number, time);
    }

    /// Whether no conference and no transport wants to be called earlier than is known here.
    pub(crate) fn deadlines_hold(&self) -> bool {
        let mut seats = self.seats.iter().enumerate();
        let seats_hold = seats.all(|(number, seat)| {
            let known = self.deadlines.get(number as u32);
            seat.as_deref().is_none_or(|seat| seat.transport.poll_timeout() >= known)
        });
        let mut rooms = self.rooms.iter().enumerate();
        let rooms_hold = rooms.all(|(number, room)| {
            let known = self.room_deadlines.get(number as u32);
            room.as_deref().is_none_or(|room| room.conference.poll_timeout() >= known)
        });
        seats_hold && rooms_hold
    }

    fn call_transport(&mut self, number: u32, now: Timestamp, io: &mut impl DatagramIo) {
        if let Some(seat) = self.seats[number as usize].as_deref_mut() {
            let (checks, nacks) = seat.transport.asked();
            seat.transport.handle_timeout(now, &mut Mail(io));
            let (checks_then, nacks_then) = seat.transport.asked();
            self.statistics.add(Metric::ChecksSent, checks_then - checks);
            self.statistics.add(Metric::NacksSent, nacks_then - nacks);
            self.send_probe(number, now, io);
            self.note_bandwidth(number, now);
            self.after_transport(number, now);
        } else {
            self.deadlines.set(number, Timestamp::NEVER);
        }
    }

    /// The next slice of the sweep: as many seats and rooms as cost no one a noticeable delay.
    fn sweep_on(&mut self, now: Timestamp) {
        let places = self.seats.len().max(self.rooms.len());
        let slices = places.div_ceil(SLICE_PLACES).max(1);
        if self.sweep.slice >= slices {
            self.sweep.slice = 0;
        }
        if self.sweep.slice == 0 {
            self.sweep.count += 1;
            self.mind_load(now);
            self.stranger_budget = STRANGERS_PER_SWEEP;
        }
        let begin = self.sweep.slice * SLICE_PLACES;
        self.sweep_places(begin..begin + SLICE_PLACES, now);
        self.sweep.slice += 1;
        self.sweep.next = now + SWEEP_INTERVAL / slices as u32;
    }

    fn sweep_places(&mut self, places: Range<usize>, now: Timestamp) {
        let of = |count: usize| places.start.min(count)..places.end.min(count);
        for seat in of(self.seats.len()) {
            let Some(entry) = self.seats[seat].as_deref_mut() else { continue };
            // Each receiver in its turn, so that reports do not come all at once.
            if self.sweep.count % SWEEPS_PER_REPORT == seat as u64 % SWEEPS_PER_REPORT
                && entry.bandwidth_told > 0
            {
                let (endpoint, bits_per_second) = (entry.endpoint, entry.bandwidth_told);
                self.report(Report::Bandwidth { endpoint, bits_per_second });
            }
            let Some(entry) = self.seats[seat].as_deref_mut() else { continue };
            let change = activity_change(entry, now);
            if let Some((endpoint, activity)) = change {
                self.tell_activity(endpoint, activity);
            }
        }
        // What is forgotten here would be called late rather than never.
        for room in of(self.rooms.len()) {
            self.note_deadline_of_room(room as u32);
        }
        self.kept.release_older_than(RETRANSMISSION_AGE, now, RELEASED_PER_SLICE, &mut self.arena);
    }

    fn tell_activity(&mut self, endpoint: EndpointId, activity: Activity) {
        match activity {
            Activity::Silent => self.give_back(Return::Silent(endpoint)),
            Activity::Active => self.report(Report::Connectivity { endpoint, active: true }),
            Activity::Inactive => self.report(Report::Connectivity { endpoint, active: false }),
            Activity::Awaited => {}
        }
    }
}

/// What has become of an endpoint since the last sweep, if it is news.
fn activity_change(seat: &mut Seat, now: Timestamp) -> Option<(EndpointId, Activity)> {
    let silent = now.since(seat.heard);
    let next = match seat.activity {
        Activity::Silent => return None,
        Activity::Awaited if silent > FIRST_PACKET_TIMEOUT => Activity::Silent,
        Activity::Awaited => return None,
        _ if silent > ENDPOINT_TIMEOUT => Activity::Silent,
        _ if silent > INACTIVE_AFTER => Activity::Inactive,
        _ => Activity::Active,
    };
    let changed = next != seat.activity;
    seat.activity = next;
    changed.then_some((seat.endpoint, next))
}

/// Where the sweep over seats and rooms is.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    /// When it goes on.
    pub(crate) next: Timestamp,
    slice: usize,
    /// How many have begun.
    count: u64,
}

/// Seats and rooms looked at in one go: some ten microseconds.
const SLICE_PLACES: usize = 512;
/// Kept packets let go in one go: some fifty microseconds. What is over gives way when its slot is needed.
const RELEASED_PER_SLICE: usize = 4_096;
/// Half a second, as the existing bridge checks connectivity.
const SWEEP_INTERVAL: Duration = Duration::from_millis(500);
/// A receiver's bandwidth is reported each 10 s.
const SWEEPS_PER_REPORT: u64 = 20;
/// STUN messages from unknown addresses that one worker looks at between two sweeps: 20,000 a second.
pub(crate) const STRANGERS_PER_SWEEP: u32 = 10_000;
/// An endpoint without packets or consent for so long is shown as inactive.
const INACTIVE_AFTER: Duration = Duration::from_secs(8);
/// An endpoint that never came is given up.
const FIRST_PACKET_TIMEOUT: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use contract::DropReason;
    use transport::Path;

    use super::*;
    use crate::{Config, MediaPlane};

    /// Brings the same datagram from a stranger, so many times, once.
    struct Strangers(usize);

    impl DatagramIo for Strangers {
        fn receive(&mut self) -> usize {
            std::mem::take(&mut self.0)
        }

        fn datagram(&self, _index: usize) -> uring::Datagram<'_> {
            let peer = std::net::SocketAddr::from(([192, 0, 2, 9], 9));
            uring::Datagram { bytes: &[0; 20], peer, socket: 0, truncated: false }
        }

        fn recycle(&mut self) {}

        fn send(&mut self, _: Path, _: usize, _: impl FnOnce(&mut [u8]) -> usize) -> bool {
            false
        }

        fn room_along(&self, _: Path) -> usize {
            0
        }

        fn wake(&mut self, _: std::os::fd::RawFd) {}
    }

    #[test]
    fn strangers_are_looked_at_from_the_first_turn_on_up_to_the_rate() {
        static NOW: AtomicU64 = AtomicU64::new(0);
        let config = Config { slots: 8, ..Config::default() };
        let (_media_plane, mut workers) =
            MediaPlane::simulate(&config, &NOW, 1).expect("eventfds are to be had");
        let worker = &mut workers[0];
        let most = STRANGERS_PER_SWEEP as usize;
        worker.turn(Timestamp::from_millis(1), &mut Strangers(most));
        assert_eq!(worker.statistics().dropped(DropReason::StunRate), 0);
        // The first turn began a period; within it nobody else but so many.
        worker.turn(Timestamp::from_millis(2), &mut Strangers(most + 7));
        assert_eq!(worker.statistics().dropped(DropReason::StunRate), 7);
        worker.turn(Timestamp::from_millis(3), &mut Strangers(1));
        assert_eq!(worker.statistics().dropped(DropReason::StunRate), 8);
    }
}
