//! What is due: transports, conferences, and twice a second the sweep over activity and kept packets.

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
        for seat in 0..self.deadlines.len() {
            if self.deadlines[seat] <= now {
                any = true;
                self.call_transport(seat as u32, now, io);
            }
        }
        for room in 0..self.rooms.len() {
            let Some(entry) = self.rooms[room].as_deref_mut() else { continue };
            if entry.conference.poll_timeout() <= now {
                any = true;
                entry.conference.handle_timeout(now);
                self.conference_events(room as u32, now, io);
            }
        }
        if self.next_sweep <= now {
            self.next_sweep = now + SWEEP_INTERVAL;
            self.stranger_budget = STRANGERS_PER_SWEEP;
            self.sweep(now);
        }
        any
    }

    fn call_transport(&mut self, number: u32, now: Timestamp, io: &mut impl DatagramIo) {
        if let Some(seat) = self.seats[number as usize].as_deref_mut() {
            let before = seat.transport.statistics();
            seat.transport.handle_timeout(now, &mut Mail(io));
            let after = seat.transport.statistics();
            self.statistics.add(Metric::ChecksSent, after.checks_sent - before.checks_sent);
            self.statistics.add(Metric::NacksSent, after.nacks_sent - before.nacks_sent);
            self.after_transport(number, now);
        } else {
            self.deadlines[number as usize] = Timestamp::NEVER;
        }
    }

    fn sweep(&mut self, now: Timestamp) {
        for seat in 0..self.seats.len() {
            let Some(entry) = self.seats[seat].as_deref_mut() else { continue };
            let change = activity_change(entry, now);
            if let Some((endpoint, activity)) = change {
                self.tell_activity(endpoint, activity);
            }
        }
        let Worker { rooms, arena, .. } = self;
        // Low on slots: keep half as long, so that fresh packets find room.
        let low = arena.free() < arena.slots() / 8;
        let age = if low { RETRANSMISSION_AGE / 4 } else { RETRANSMISSION_AGE };
        for cache in rooms.iter_mut().flatten().flat_map(|room| room.caches()) {
            cache.release_older_than(age, now, arena);
        }
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

/// Half a second, as the existing bridge checks connectivity.
const SWEEP_INTERVAL: Duration = Duration::from_millis(500);
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

        fn wake(&mut self, _: std::os::fd::RawFd) {}
    }

    #[test]
    fn strangers_are_looked_at_from_the_first_turn_on_up_to_the_rate() {
        static NOW: AtomicU64 = AtomicU64::new(0);
        let config = Config { slots: 8, ..Config::default() };
        let (_media_plane, mut workers) =
            MediaPlane::simulate(&config, &NOW).expect("eventfds are to be had");
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
