//! One media thread's state. It owns its endpoints, the replicas of their conferences, and the packet slots.

use std::collections::HashMap;
use std::sync::Arc;

use contract::limits::DATAGRAM_BYTES_MAX;
use contract::{ConferenceId, EndpointId, Metric, Report, Timestamp, WorkerId};
use mesh::arena::Arena;
use mesh::mesh::Port;
use mesh::wake::Waker;
use transport::ice::SelfTest;

use crate::address_table::AddressTable;
use crate::config::Sending;
use crate::datagram_io::DatagramIo;
use crate::deadlines::Deadlines;
use crate::egress::Outbound;
use crate::fanout::Published;
use crate::holding::Holding;
use crate::kept_order::KeptOrder;
use crate::load::Load;
use crate::mesh_message::MeshMessage;
use crate::order::{Return, Spent};
use crate::overload::Ladder;
use crate::placement::SEATS_PER_WORKER;
use crate::queues::WorkerEnd;
use crate::room::Room;
use crate::seat::Seat;
use crate::statistics::Statistics;
use crate::timers::Sweep;

/// The state of one worker. Everything in it was allocated before its thread began, or came with an order.
pub struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) arena: Arena,
    /// The packets in the caches of all rooms, oldest first.
    pub(crate) kept: KeptOrder,
    pub(crate) addresses: AddressTable,
    pub(crate) seats: Vec<Option<Box<Seat>>>,
    /// When each seat's transport wants to be called.
    pub(crate) deadlines: Deadlines,
    pub(crate) rooms: Vec<Option<Box<Room>>>,
    /// When each room's conference wants to be called.
    pub(crate) room_deadlines: Deadlines,
    pub(crate) room_numbers: HashMap<ConferenceId, u32, foldhash::fast::FixedState>,
    /// Packets of this turn, still to be offered to receivers.
    pub(crate) published: Vec<Published>,
    /// Their order in the fan-out: (room, place in `published`). Empty between turns.
    pub(crate) fan_out_order: Vec<(u32, u16)>,
    pub(crate) sending: Sending,
    pub(crate) holding: Holding,
    pub(crate) load: Load,
    /// For one receiver at a time.
    pub(crate) outbound: Box<Outbound>,
    /// A copy of a datagram that needs more than a look: STUN, RTCP.
    pub(crate) scratch: Box<Scratch>,
    pub(crate) port: Port<MeshMessage>,
    pub(crate) end: WorkerEnd,
    /// Wakers of the other workers, by number.
    pub(crate) peers: Arc<[Waker]>,
    pub(crate) statistics: Statistics,
    pub(crate) ladder: Ladder,
    pub(crate) sweep: Sweep,
    /// STUN from unknown addresses that may still be looked at in this sweep interval.
    pub(crate) stranger_budget: u32,
    /// Answers checks that are for no endpoint.
    pub(crate) self_test: SelfTest,
    pub(crate) reported: bool,
    pub(crate) dtls_passed: bool,
    pub(crate) stopping: bool,
}

/// Room for the datagram and for what it decrypts to.
pub(crate) struct Scratch {
    pub(crate) datagram: [u8; DATAGRAM_BYTES_MAX],
    pub(crate) plaintext: [u8; DATAGRAM_BYTES_MAX],
}

/// What a worker is made from.
pub(crate) struct WorkerParts {
    pub(crate) id: WorkerId,
    pub(crate) slots: u32,
    pub(crate) sending: Sending,
    pub(crate) port: Port<MeshMessage>,
    pub(crate) end: WorkerEnd,
    pub(crate) peers: Arc<[Waker]>,
}

impl Worker {
    pub(crate) fn new(parts: WorkerParts) -> Worker {
        let places = SEATS_PER_WORKER as usize;
        Worker {
            id: parts.id,
            arena: Arena::new(parts.slots),
            kept: KeptOrder::new(parts.slots),
            addresses: AddressTable::new(),
            seats: Vec::with_capacity(places),
            deadlines: Deadlines::new(places),
            rooms: Vec::with_capacity(places),
            room_deadlines: Deadlines::new(places),
            room_numbers: HashMap::with_capacity_and_hasher(
                2 * places,
                foldhash::fast::FixedState::default(),
            ),
            published: Vec::with_capacity(PUBLISHED_MAX),
            fan_out_order: Vec::with_capacity(PUBLISHED_MAX),
            sending: parts.sending,
            holding: Holding::new(),
            load: Load::default(),
            outbound: Box::default(),
            scratch: Box::new(Scratch {
                datagram: [0; DATAGRAM_BYTES_MAX],
                plaintext: [0; DATAGRAM_BYTES_MAX],
            }),
            port: parts.port,
            end: parts.end,
            peers: parts.peers,
            statistics: Statistics::new(),
            ladder: Ladder::new(),
            sweep: Sweep::default(),
            stranger_budget: crate::timers::STRANGERS_PER_SWEEP,
            self_test: SelfTest::new(),
            reported: false,
            dtls_passed: false,
            stopping: false,
        }
    }

    /// Which one it is.
    pub fn id(&self) -> WorkerId {
        self.id
    }

    /// Its counters so far.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// A slot for a packet, if need be that of the oldest one kept for retransmission.
    pub(crate) fn take_slot(&mut self) -> Option<mesh::arena::Slot> {
        self.kept.take_slot(&mut self.arena)
    }

    /// The room of a conference.
    pub(crate) fn room_number(&self, conference: ConferenceId) -> Option<u32> {
        self.room_numbers.get(&conference).copied()
    }

    /// Tell the control plane; a full queue is counted.
    pub(crate) fn report(&mut self, report: Report) {
        self.reported = true;
        if self.end.reports.push(report).is_err() {
            self.statistics.count(Metric::ReportsLost);
        }
    }

    /// Give back what is to be handled or freed by the control thread. The queue has room for all that can be out; if
    /// it were full the remains would be freed here, late rather than lost.
    pub(crate) fn give_back(&mut self, back: Return) {
        self.reported = true;
        if self.end.returns.push(back).is_err() {
            self.statistics.count(Metric::ReportsLost);
        }
    }

    /// Give back the remains of an order.
    pub(crate) fn spent(&mut self, spent: Spent) {
        if !matches!(spent, Spent::Nothing) {
            self.give_back(Return::Done(spent));
        }
    }

    /// When this worker has something to do though nothing arrives.
    pub fn poll_timeout(&self) -> Timestamp {
        let sweep = if self.room_numbers.is_empty() { Timestamp::NEVER } else { self.sweep.next };
        self.deadlines.next().min(self.room_deadlines.next()).min(sweep).min(self.holding.until)
    }

    /// Whether nothing waits for this worker: the check before it sleeps.
    pub fn is_idle(&self) -> bool {
        self.end.orders.is_empty() && self.end.dtls_out.is_empty() && self.port.is_empty()
    }

    /// It was told to leave the loop.
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Publish to other threads what this turn wrote for them, and wake those that sleep.
    pub(crate) fn publish_to_threads(&mut self, io: &mut impl DatagramIo) {
        let Worker { port, peers, end, .. } = self;
        port.publish_each(|to| {
            if let Some(fd) = peers[to].claim() {
                io.wake(fd);
            }
        });
        if std::mem::take(&mut self.reported)
            && let Some(fd) = end.control.claim()
        {
            io.wake(fd);
        }
        if std::mem::take(&mut self.dtls_passed) {
            for (_, waker) in &end.handshakes {
                if let Some(fd) = waker.claim() {
                    io.wake(fd);
                }
            }
        }
    }
}

/// The seat `number`, if `endpoint` sits there.
pub(crate) fn seat_mut(
    seats: &mut [Option<Box<Seat>>],
    number: u32,
    endpoint: EndpointId,
) -> Option<&mut Seat> {
    seats.get_mut(number as usize)?.as_deref_mut().filter(|seat| seat.endpoint == endpoint)
}

/// Packets published between two fan-outs; more arrive in one turn only under overload, and then fan out in several
/// goes.
pub(crate) const PUBLISHED_MAX: usize = 512;
