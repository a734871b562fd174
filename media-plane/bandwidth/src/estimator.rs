//! The parts together: what is sent and what is heard come in, the target and the probes come out.

use contract::{Duration, Timestamp};

use crate::capacity::{Capacity, Seen};
use crate::decision::{Decision, Log, Reason};
use crate::grouping::Grouping;
use crate::loss::Loss;
use crate::queueing::Queueing;
use crate::schedule::{PAUSE_AFTER_FALL, PAUSE_FIRST, Probing, SHADOW_QUEUE_MS};
use crate::sent::{Fate, Packet, Sent};
use crate::throughput::Throughput;
use crate::trendline::{Trendline, Usage};

/// Bits per second that an estimator moves between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Before anything is known.
    pub start: u64,
    /// Never less: an audio stream and the lowest layer of a thumbnail.
    pub min: u64,
    /// Never more. Also what a receiver is taken to have that never gives feedback.
    pub max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config { start: 1_000_000, min: 30_000, max: 20_000_000 }
    }
}

/// The fixed part of a feedback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedbackHead {
    /// Of the first packet spoken of, 16 bits.
    pub base_sequence: u16,
    /// In units of 64 ms, 24 bits, signed.
    pub reference_time: i32,
}

/// Why a feedback was not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// More of them than anybody needs.
    TooMany,
    /// It speaks of nothing that was sent.
    NothingSent,
    /// Its times cannot be.
    Absurd,
}

/// Counters, for the life of the estimator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Feedback used.
    pub feedbacks: u64,
    /// Feedback not used.
    pub unusable: u64,
    /// Probes begun.
    pub probes: u64,
}

/// The bandwidth to one receiver.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Estimator {
    // What every packet touches comes first, so that it lies in few lines (`repr(C)`).
    sent: Sent,
    pub(crate) hearing: Hearing,
    pub(crate) probing: Probing,

    // Now and then.
    pub(crate) config: Config,
    throughput: Throughput,
    grouping: Grouping,
    pub(crate) trendline: Trendline,
    pub(crate) queueing: Queueing,
    loss: Loss,
    pub(crate) loss_limit: Option<f64>,
    pub(crate) capacity: Capacity,
    /// The receiver's own estimate, where nothing else is to be had.
    remb: Option<f64>,
    log: Log,
    logged: (Reason, f64),
    /// The counters.
    pub statistics: Statistics,
}

/// What is known of the feedback as such.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Hearing {
    /// Since the last feedback: when the first packet left, and how many did. First, as every packet counts here.
    pub(crate) waiting_since: Option<Timestamp>,
    waiting: u32,
    /// When the last packet left.
    pub(crate) sent_last: Timestamp,
    /// Feedbacks that may still come in this second.
    left: u32,
    second: Timestamp,
    /// The last one used.
    pub(crate) last: Option<Timestamp>,
    /// Its reference time, unwrapped; and the newest arrival told, in microseconds of the receiver's clock.
    reference: Option<i64>,
    newest_arrival: i64,
    /// The highest number that was spoken of.
    pub(crate) told: Option<u64>,
    pub(crate) round_trip: Option<Duration>,
    halved: Timestamp,
    pub(crate) deaf: bool,
}

impl Hearing {
    /// What was sent was spoken of, or never will be.
    pub(crate) fn await_nothing(&mut self) {
        (self.waiting_since, self.waiting) = (None, 0);
    }
}

impl Estimator {
    /// Everything is allocated here.
    pub fn new(config: Config, now: Timestamp) -> Estimator {
        let start = config.start.clamp(config.min, config.max) as f64;
        let mut estimator = Estimator {
            config,
            sent: Sent::new(),
            throughput: Throughput::new(),
            grouping: Grouping::default(),
            trendline: Trendline::new(),
            queueing: Queueing::default(),
            loss: Loss::new(),
            loss_limit: None,
            capacity: Capacity::new(start, now),
            hearing: Hearing {
                last: None,
                reference: None,
                newest_arrival: 0,
                told: None,
                left: FEEDBACKS_PER_SECOND,
                second: now,
                round_trip: None,
                waiting_since: None,
                waiting: 0,
                sent_last: now,
                halved: now,
                deaf: false,
            },
            probing: Probing {
                cluster: None,
                next_id: 1,
                at: now,
                pause: PAUSE_FIRST,
                possible: false,
                wanted: 0.0,
                shadow: Timestamp::ZERO,
                wake: Timestamp::NEVER,
            },
            remb: None,
            log: Log::default(),
            logged: (Reason::Start, 0.0),
            statistics: Statistics::default(),
        };
        estimator.decide(Reason::Start, now);
        estimator
    }

    /// Bits per second that the receiver may be sent, IP and UDP headers included.
    pub fn target(&self) -> u64 {
        if self.hearing.deaf {
            return self.remb.map_or(self.config.max, |remb| self.clamped(remb));
        }
        self.clamped(self.capacity.target.min(self.loss_limit.unwrap_or(f64::INFINITY)))
    }

    /// Bits per second by the delay alone, whatever is lost.
    pub fn target_by_delay(&self) -> u64 {
        if self.hearing.deaf { self.target() } else { self.clamped(self.capacity.target) }
    }

    /// The last decisions.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Share lost of late, 0..=1.
    pub fn loss(&self) -> f32 {
        self.loss.average() as f32
    }

    /// What waits on the way, in milliseconds.
    pub fn queue_ms(&self) -> u32 {
        self.queueing.queue_ms().max(0.0) as u32
    }

    /// From sending to feedback, as short as it was seen of late.
    pub fn round_trip(&self) -> Option<Duration> {
        self.hearing.round_trip
    }

    /// What everything that the receiver asks for would take, in bits per second: no more is probed for. And whether
    /// there is a stream that probes can be sent on.
    pub fn set_wanted(&mut self, bits_per_second: u64, can_probe: bool, now: Timestamp) {
        self.probing.wanted = bits_per_second as f64;
        self.probing.possible = can_probe;
        self.plan_wake(now);
    }

    /// Whether there was a stream for probes when that was told last.
    pub fn can_probe(&self) -> bool {
        self.probing.possible
    }

    /// There is one now.
    pub fn allow_probes(&mut self, now: Timestamp) {
        self.probing.possible = true;
        self.plan_wake(now);
    }

    /// A packet left; `bytes` as a UDP payload.
    pub fn note_sent(&mut self, number: u64, bytes: usize, now: Timestamp) {
        let bytes = (bytes + LINK_HEADERS).min(usize::from(u16::MAX)) as u16;
        let cluster = self.probing.cluster.as_mut().filter(|cluster| cluster.is_sending());
        let probe = cluster.map_or(0, |cluster| {
            cluster.note_sent(number, bytes);
            cluster.id
        });
        self.sent.insert(number, Packet { sent: now, bytes, probe, fate: Fate::UnderWay });
        self.hearing.waiting += 1;
        self.hearing.sent_last = now;
        if self.hearing.waiting_since.is_none() {
            self.hearing.waiting_since = Some(now);
            self.plan_wake(now);
        }
    }

    /// A feedback: for each number from `head.base_sequence` on the time since the one that arrived before it, in units
    /// of 250 µs, or none for lost.
    pub fn feedback(
        &mut self,
        head: FeedbackHead,
        statuses: impl Iterator<Item = (u16, Option<i16>)>,
        now: Timestamp,
    ) -> Result<(), Unusable> {
        let outcome = self.hear(head, statuses, now);
        match outcome {
            Ok(()) => self.statistics.feedbacks += 1,
            Err(_) => self.statistics.unusable += 1,
        }
        outcome
    }

    /// The receiver's own estimate (draft-alvestrand-rmcat-remb-03): used while there is no other feedback.
    pub fn remb(&mut self, bits_per_second: u64, now: Timestamp) {
        self.remb = Some(bits_per_second.min(self.config.max) as f64);
        if self.hearing.deaf {
            self.decide(Reason::Remb, now);
        }
    }

    /// When [`Estimator::handle_timeout`] and [`Estimator::probe_due`] want to be called.
    pub fn poll_timeout(&self) -> Timestamp {
        self.probing.wake
    }

    /// Begin and end probes, and mind silence.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.probing.wake > now {
            return;
        }
        self.mind_silence(now);
        self.mind_rest(now);
        self.end_probe(now);
        self.begin_probe(now);
        self.plan_wake(now);
    }

    /// Bytes that ought to be sent now beside the media, 0 for none: retransmissions, or padding. Ask until it says 0.
    pub fn probe_due(&mut self, now: Timestamp) -> usize {
        let Some(cluster) = self.probing.cluster.as_mut().filter(|cluster| cluster.is_sending()) else {
            return 0;
        };
        let (bytes, _) = cluster.due(now);
        self.plan_wake(now);
        bytes as usize
    }

    /// The numbers begin anew, or the path is another: what was measured says nothing of it. The target stays.
    pub fn restart(&mut self, now: Timestamp) {
        self.forget_times();
        self.loss.clear();
        self.hearing.told = None;
        self.probing.cluster = None;
        self.plan_wake(now);
    }

    fn hear(
        &mut self,
        head: FeedbackHead,
        statuses: impl Iterator<Item = (u16, Option<i16>)>,
        now: Timestamp,
    ) -> Result<(), Unusable> {
        if now.since(self.hearing.second) >= Duration::from_secs(1) {
            (self.hearing.second, self.hearing.left) = (now, FEEDBACKS_PER_SECOND);
        }
        self.hearing.left = self.hearing.left.checked_sub(1).ok_or(Unusable::TooMany)?;
        let reference = self.reference_us(head.reference_time);
        self.check_clock(reference, now)?;
        let mut heard = Heard { newest_arrival: i64::MIN, ..Heard::default() };
        let mut arrival_us = reference;
        for (sequence, delta) in statuses.take(STATUSES_MAX) {
            if let Some(delta) = delta {
                arrival_us += i64::from(delta) * TICK_US;
            }
            self.hear_of(sequence, delta.map(|_| arrival_us), now, &mut heard);
        }
        if heard.known == 0 {
            return Err(Unusable::NothingSent);
        }
        self.hearing.last = Some(now);
        self.hearing.await_nothing();
        if core::mem::take(&mut self.hearing.deaf) {
            self.decide(Reason::Start, now);
        }
        if heard.arrived > 0 {
            self.hearing.newest_arrival = self.hearing.newest_arrival.max(heard.newest_arrival);
            let losing = self.loss.average() >= MUCH_LOST;
            self.queueing.note(heard.least_delay.unwrap_or_default(), losing, now);
        }
        self.hearing.round_trip = match (heard.round_trip, self.hearing.round_trip) {
            (Some(sample), Some(known)) => Some((known * 7 + sample.min(ROUND_TRIP_MAX)) / 8),
            (sample, known) => sample.map(|sample| sample.min(ROUND_TRIP_MAX)).or(known),
        };
        self.conclude(now);
        Ok(())
    }

    /// One packet by the receiver's word.
    fn hear_of(&mut self, sequence: u16, arrival: Option<i64>, now: Timestamp, heard: &mut Heard) {
        let Some(number) = self.sent.unwrap(sequence) else { return };
        let Some(packet) = self.sent.get_mut(number) else { return };
        heard.known += 1;
        self.hearing.told = Some(self.hearing.told.map_or(number, |told| told.max(number)));
        let Packet { sent, bytes, probe, fate } = *packet;
        match (fate, arrival) {
            (Fate::UnderWay, None) => {
                packet.fate = Fate::Lost;
                self.loss.note(bytes, false, sent);
            }
            (Fate::UnderWay | Fate::Lost, Some(arrival)) => {
                packet.fate = Fate::Arrived;
                match fate {
                    Fate::Lost => self.loss.forgive(bytes),
                    _ => self.loss.note(bytes, true, sent),
                }
                heard.arrived += 1;
                heard.newest_arrival = heard.newest_arrival.max(arrival);
                let delay = arrival - sent.as_micros() as i64;
                heard.least_delay = Some(heard.least_delay.map_or(delay, |least| least.min(delay)));
                let round_trip = now.since(sent);
                heard.round_trip = Some(heard.round_trip.map_or(round_trip, |least| least.min(round_trip)));
                self.throughput.note(arrival, sent.as_micros() as i64, bytes);
                if let Some(step) = self.grouping.note(sent, arrival) {
                    self.trendline.note(&step);
                }
                if let Some(cluster) = self.probing.cluster.as_mut().filter(|cluster| cluster.id == probe) {
                    cluster.note_arrived(sent, arrival, bytes);
                }
            }
            // Said before; who contradicts himself is believed once.
            _ => {}
        }
    }

    /// What follows from a feedback.
    fn conclude(&mut self, now: Timestamp) {
        let seen = self.seen();
        let before = self.capacity.target;
        let own_doing = now < self.probing.shadow && seen.queue_ms < SHADOW_QUEUE_MS;
        let reason = match self.trendline.usage() {
            Usage::Over if own_doing => None,
            // Delays vary, but some packets come as soon as ever: no queue, only jitter.
            Usage::Over if !self.queueing.is_queue() => self.capacity.calm(&seen, now),
            Usage::Over => self.capacity.over(&seen, now),
            // A full queue grows no more: what it cannot take is lost.
            Usage::Normal | Usage::Under
                if seen.queue_ms >= FULL_QUEUE_MS
                    && self.loss.average() >= FULL_QUEUE_LOSS
                    && !self.capacity.is_draining() =>
            {
                self.capacity.over(&seen, now)
            }
            Usage::Normal | Usage::Under => self.capacity.calm(&seen, now),
        };
        self.capacity.target = self.bounded(self.capacity.target);
        if reason == Some(Reason::Overuse) && self.capacity.target < before * 0.75 {
            // It fell: look soon whether it was for a moment only.
            self.probing.pause = PAUSE_FIRST;
            self.probing.at = now + PAUSE_AFTER_FALL;
        }
        if let Some(reason) = reason {
            self.decide(reason, now);
        }
        let limited = self.loss_limit.is_some();
        self.loss_limit = self.loss.update(self.capacity.target, seen.arriving);
        match (limited, self.loss_limit.is_some()) {
            (_, true) => self.decide(Reason::Loss, now),
            (true, false) => self.decide(Reason::LossOver, now),
            (false, false) => {}
        }
        self.end_probe(now);
        self.begin_probe(now);
        self.plan_wake(now);
    }

    fn seen(&self) -> Seen {
        Seen {
            // Slow streams have too few packets in a short time.
            short: [ARRIVING_SHORT_US, ARRIVING_US, ARRIVING_LONG_US]
                .into_iter()
                .find_map(|window| self.throughput.over(window)),
            arriving: self.arriving(),
            queue_ms: self.queueing.queue_ms(),
            noise_ms: self.queueing.noise_ms(),
            round_trip: self.hearing.round_trip.unwrap_or(ROUND_TRIP_UNKNOWN),
            can_probe: self.probing.possible,
        }
    }

    fn arriving(&self) -> Option<f64> {
        self.throughput.over(ARRIVING_US).map(|rate| rate.arriving)
    }

    /// Without feedback nothing is known: less and less is sent, or what is configured if there never was any.
    fn mind_silence(&mut self, now: Timestamp) {
        let Some(since) = self.hearing.waiting_since.filter(|since| now.since(*since) >= SILENCE) else {
            return;
        };
        if self.statistics.feedbacks == 0 {
            if !self.hearing.deaf && self.hearing.waiting >= DEAF_AFTER && now.since(since) >= DEAF {
                self.hearing.deaf = true;
                self.decide(if self.remb.is_some() { Reason::Remb } else { Reason::NoFeedback }, now);
            }
        } else if now.since(self.hearing.halved) >= SILENCE {
            self.hearing.halved = now;
            self.capacity.halve();
            self.capacity.target = self.bounded(self.capacity.target);
            self.decide(Reason::Silence, now);
        }
    }

    /// Microseconds of a reference time on the receiver's clock, which wraps each 12 days.
    fn reference_us(&mut self, reference: i32) -> i64 {
        let unwrapped = match self.hearing.reference {
            None => i64::from(reference),
            Some(known) => {
                let step = (i64::from(reference) - known) & 0xFF_FFFF;
                known + if step >= 1 << 23 { step - (1 << 24) } else { step }
            }
        };
        self.hearing.reference = Some(unwrapped);
        unwrapped * REFERENCE_US
    }

    /// A clock that ran ahead or back since the last feedback makes all differences void.
    fn check_clock(&mut self, reference: i64, now: Timestamp) -> Result<(), Unusable> {
        let Some(last) = self.hearing.last else { return Ok(()) };
        let elapsed = now.since(last).as_micros() as i64;
        let theirs = reference - self.hearing.newest_arrival;
        if theirs > elapsed + CLOCK_AHEAD_US || theirs < -CLOCK_BACK_US {
            self.forget_times();
            self.decide(Reason::Absurd, now);
            return Err(Unusable::Absurd);
        }
        Ok(())
    }

    fn forget_times(&mut self) {
        self.throughput.clear();
        self.grouping.clear();
        self.trendline = Trendline::new();
        self.queueing.clear();
        // The next one begins anew.
        self.hearing.reference = None;
        self.hearing.last = None;
        self.hearing.newest_arrival = 0;
    }

    pub(crate) fn bounded(&self, target: f64) -> f64 {
        target.clamp(self.config.min as f64, self.config.max as f64)
    }

    fn clamped(&self, target: f64) -> u64 {
        self.bounded(target) as u64
    }

    /// Write a decision down, unless it only repeats the last one.
    pub(crate) fn decide(&mut self, reason: Reason, now: Timestamp) {
        let target = self.target() as f64;
        let repeats = matches!(reason, Reason::Growth | Reason::Loss | Reason::Burst | Reason::Absurd);
        if repeats && self.logged.0 == reason && (target / self.logged.1.max(1.0) - 1.0).abs() < 0.1 {
            return;
        }
        self.logged = (reason, target);
        self.log.push(Decision {
            at: now,
            reason,
            target: target as u64,
            arriving: self.arriving().unwrap_or(0.0) as u64,
            queue_ms: self.queue_ms(),
            loss: self.loss(),
            round_trip_ms: self.hearing.round_trip.unwrap_or_default().as_millis() as u32,
        });
    }
}

/// What one feedback said.
#[derive(Default)]
struct Heard {
    known: u32,
    arrived: u32,
    newest_arrival: i64,
    least_delay: Option<i64>,
    round_trip: Option<Duration>,
}

/// IPv4 and UDP headers: 20 and 8 bytes.
const LINK_HEADERS: usize = 28;
/// Statuses of one feedback that are looked at: as many as packets are remembered.
const STATUSES_MAX: usize = crate::sent::SENT_MAX;
/// Feedbacks of a second: browsers send 10 to 50.
const FEEDBACKS_PER_SECOND: u32 = 200;
/// A queue of this length that does not grow is full if this share is lost.
const FULL_QUEUE_MS: f64 = 100.0;
const FULL_QUEUE_LOSS: f64 = 0.02;
/// From this share on, what is lost may be what a full queue cannot take.
const MUCH_LOST: f64 = 0.2;
/// Unit of arrival times, and of reference times.
const TICK_US: i64 = 250;
const REFERENCE_US: i64 = 64_000;
/// The receiver's clock may run ahead by this much between two feedbacks, and back by so much: reordered feedback.
const CLOCK_AHEAD_US: i64 = 10_000_000;
const CLOCK_BACK_US: i64 = 5_000_000;
/// Windows of what arrives: short to see a fall, longer for all else.
const ARRIVING_SHORT_US: i64 = 200_000;
const ARRIVING_US: i64 = 500_000;
const ARRIVING_LONG_US: i64 = 1_000_000;
/// Round trips: before the first is known, and at most.
pub(crate) const ROUND_TRIP_UNKNOWN: Duration = Duration::from_millis(150);
const ROUND_TRIP_MAX: Duration = Duration::from_secs(3);
/// Packets under way and no word of them for so long is silence.
pub(crate) const SILENCE: Duration = Duration::from_secs(1);
/// No word at all of so many packets in this time: there will be none.
const DEAF: Duration = Duration::from_secs(2);
const DEAF_AFTER: u32 = 50;
