//! What a worker counts and how it is read: plain numbers that it owns, copied out on request into a box that the
//! reader supplied.

use conference::Heights;
use contract::session::SrtpProfile;
use contract::{ConferenceId, EndpointId};
use contract::{DropReason, Metric};
use hdrhistogram::Histogram;

/// Counters and distributions of one worker.
#[derive(Clone, Debug)]
pub struct Statistics {
    counters: [u64; Metric::COUNT],
    drops: [u64; DropReason::COUNT],
    /// What ended beside the accounting of datagrams: copies from the mesh, table entries.
    beside: [u64; DropReason::COUNT],
    /// Microseconds from the arrival of a batch to the hand-over of all it caused to the kernel.
    pub box_delay_us: Histogram<u64>,
    /// Microseconds of a turn that had work.
    pub turn_us: Histogram<u64>,
    pub(crate) received_at_last_turn: u64,
    /// Endpoints seated.
    pub endpoints: u64,
    /// Conferences with an endpoint here.
    pub conferences: u64,
    /// What is given up for want of time, as the number of the step; 0 for nothing.
    pub shedding: u64,
    /// Packet slots in use.
    pub slots_held: u64,
    /// Packet slots in all.
    pub slots: u64,
    /// The endpoints seated, as many as the reader made room for.
    pub by_endpoint: Vec<EndpointStatistics>,
}

/// One endpoint as its worker sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EndpointStatistics {
    /// Which.
    pub endpoint: EndpointId,
    /// Where.
    pub conference: ConferenceId,
    /// Whether it goes by ICE-TCP, and whether by IPv6; `None` while no path is nominated.
    pub path: Option<(bool, bool)>,
    /// Heard from lately.
    pub active: bool,
    /// Of its keys; `None` before the handshake.
    pub profile: Option<SrtpProfile>,
    /// Microseconds; `None` before the first measurement.
    pub round_trip_us: Option<u32>,
    /// Share that it lost of what was sent to it, 0..=1.
    pub loss_outbound: f32,
    /// Share lost of what it sent, 0..=1.
    pub loss_inbound: f32,
    /// Microseconds.
    pub jitter_us: u32,
    /// RTP bytes from it.
    pub bytes_received: u64,
    /// RTP bytes to it.
    pub bytes_sent: u64,
    /// RTP packets from it.
    pub packets_received: u64,
    /// RTP packets to it.
    pub packets_sent: u64,
    /// Of those, again.
    pub packets_retransmitted: u64,
    /// Videos that it is sent, by height.
    pub heights: Heights,
}

impl Statistics {
    /// All zero; allocates its histograms, so made off the worker.
    pub fn new() -> Statistics {
        let histogram =
            || Histogram::new_with_bounds(1, LONGEST_US, 2).expect("bounds are constants in the valid range");
        Statistics {
            counters: [0; Metric::COUNT],
            drops: [0; DropReason::COUNT],
            beside: [0; DropReason::COUNT],
            box_delay_us: histogram(),
            turn_us: histogram(),
            received_at_last_turn: 0,
            endpoints: 0,
            conferences: 0,
            shedding: 0,
            slots_held: 0,
            slots: 0,
            by_endpoint: Vec::new(),
        }
    }

    /// With room for `endpoints`: a worker fills it without allocating.
    pub fn with_room(endpoints: usize) -> Statistics {
        Statistics { by_endpoint: Vec::with_capacity(endpoints), ..Statistics::new() }
    }

    /// The value of a counter.
    pub fn counter(&self, metric: Metric) -> u64 {
        self.counters[metric as usize]
    }

    /// Datagrams and packets that ended for `reason`.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops[reason as usize] + self.beside[reason as usize]
    }

    /// All drops together.
    pub fn dropped_total(&self) -> u64 {
        self.drops.iter().chain(&self.beside).sum()
    }

    /// Accounting: every datagram that came in was published, consumed, handed over or dropped.
    pub fn balanced(&self) -> bool {
        let came = self.counter(Metric::DatagramsReceived) + self.counter(Metric::DatagramsAdopted);
        let went = self.counter(Metric::PacketsPublished)
            + self.counter(Metric::DatagramsConsumed)
            + self.counter(Metric::DatagramsHandedOver)
            + self.drops.iter().sum::<u64>();
        came == went
    }

    pub(crate) fn count(&mut self, metric: Metric) {
        self.counters[metric as usize] += 1;
    }

    pub(crate) fn add(&mut self, metric: Metric, amount: u64) {
        self.counters[metric as usize] += amount;
    }

    pub(crate) fn set(&mut self, metric: Metric, value: u64) {
        self.counters[metric as usize] = value;
    }

    /// A datagram ended for `reason`.
    pub(crate) fn drop(&mut self, reason: DropReason) {
        self.drops[reason as usize] += 1;
    }

    /// Something beside a datagram ended for `reason`: it takes no part in the accounting of datagrams.
    pub(crate) fn drop_beside(&mut self, reason: DropReason) {
        self.beside[reason as usize] += 1;
    }

    /// Copy into `to` without allocating: both histograms have the same bounds.
    pub(crate) fn copy_to(&self, to: &mut Statistics) {
        to.counters = self.counters;
        to.drops = self.drops;
        to.beside = self.beside;
        for (own, copy) in [(&self.box_delay_us, &mut to.box_delay_us), (&self.turn_us, &mut to.turn_us)] {
            copy.reset();
            // Cannot fail: the bounds are equal.
            let _ = copy.add(own);
        }
        to.endpoints = self.endpoints;
        to.conferences = self.conferences;
        to.shedding = self.shedding;
        to.slots_held = self.slots_held;
        to.slots = self.slots;
    }
}

impl Default for Statistics {
    fn default() -> Self {
        Statistics::new()
    }
}

/// Delays are recorded up to a second; what is longer counts as a second.
const LONGEST_US: u64 = 1_000_000;
