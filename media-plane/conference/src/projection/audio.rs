//! Audio for one receiver: the source's numbering, less the silence that was dropped for all, shifted to where the outgoing
//! stream stood.

use contract::Timestamp;

use crate::packet::MediaPacket;
use crate::projection::is_before;

/// RTP ticks of a 20 ms packet at 48 kHz.
const PACKET_TICKS: u32 = 960;

/// Longest pause that moves the timestamp on; half the range of a timestamp is 12 hours.
const PAUSE_MAX_MS: u64 = 3_600_000;

/// How many packets a late one may lie back.
const LATE_MAX: u64 = 64;

/// What was last sent on an outgoing audio stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AudioContinuity {
    /// The highest sent; before the first packet, one below the number to begin with.
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    pub(crate) at: Timestamp,
    pub(crate) started: bool,
}

impl AudioContinuity {
    /// A stream nothing was sent on; as in video the first number is low.
    pub(crate) fn new(chance: u64) -> AudioContinuity {
        AudioContinuity {
            sequence: chance & 0x7fff,
            timestamp: (chance >> 16) as u32,
            at: Timestamp::ZERO,
            started: false,
        }
    }
}

/// The projection of an audio source for one receiver.
#[derive(Clone, Debug)]
pub(crate) struct AudioProjection {
    pub(crate) continuity: AudioContinuity,
    /// Forwarding without a break; else the next packet is put right after the last sent.
    running: bool,
    /// The clock offset belongs to the present source.
    same_source: bool,
    sequence_offset: u64,
    timestamp_offset: u32,
    /// The source's number of the first packet since forwarding began.
    floor: u64,
    /// The highest number of the source that was forwarded.
    highest: u64,
    /// Bit n: the packet n below `highest` was forwarded.
    seen: u64,
}

impl AudioProjection {
    /// A projection that continues where `continuity` ended.
    pub(crate) fn new(continuity: AudioContinuity) -> AudioProjection {
        AudioProjection {
            continuity,
            running: false,
            same_source: false,
            sequence_offset: 0,
            timestamp_offset: 0,
            floor: 0,
            highest: 0,
            seen: 0,
        }
    }

    /// Forget the source, not the outgoing stream.
    pub(crate) fn reset(&mut self) {
        *self = AudioProjection::new(self.continuity);
    }

    /// Packets are being left out that nobody counted: continue without a gap when they come back.
    pub(crate) fn pause(&mut self) {
        self.running = false;
    }

    /// What must be added to the source's timestamps, once something was sent.
    pub(crate) fn timestamp_offset(&self) -> Option<u32> {
        self.same_source.then_some(self.timestamp_offset)
    }

    /// The outgoing sequence number and timestamp. `removed` is how many packets of the source were dropped for all before
    /// this one.
    pub(crate) fn project(&mut self, packet: &MediaPacket, removed: u64) -> Option<(u64, u32)> {
        if !self.running {
            self.start(packet, removed);
        }
        let newest = self.mark(packet.sequence)?;
        let sequence = packet.sequence.wrapping_sub(removed).wrapping_add(self.sequence_offset);
        if newest
            && is_before(packet.timestamp.wrapping_add(self.timestamp_offset), self.continuity.timestamp)
        {
            self.timestamp_offset = self.next_timestamp(packet.arrival).wrapping_sub(packet.timestamp);
        }
        let timestamp = packet.timestamp.wrapping_add(self.timestamp_offset);
        if newest {
            self.continuity = AudioContinuity { sequence, timestamp, at: packet.arrival, started: true };
        }
        Some((sequence, timestamp))
    }

    fn start(&mut self, packet: &MediaPacket, removed: u64) {
        let next = self.continuity.sequence.wrapping_add(1);
        self.sequence_offset = next.wrapping_sub(packet.sequence.wrapping_sub(removed));
        if !self.same_source {
            self.timestamp_offset = self.next_timestamp(packet.arrival).wrapping_sub(packet.timestamp);
        }
        self.floor = packet.sequence;
        self.highest = packet.sequence;
        self.seen = 0;
        self.running = true;
        self.same_source = true;
    }

    fn next_timestamp(&self, now: Timestamp) -> u32 {
        let last = &self.continuity;
        if !last.started {
            return last.timestamp;
        }
        let elapsed = (now.since(last.at).as_millis() as u64).min(PAUSE_MAX_MS) as u32;
        last.timestamp.wrapping_add(elapsed.wrapping_mul(48).max(PACKET_TICKS))
    }

    /// Whether the packet is the newest; `None` if it was forwarded before or comes too late.
    fn mark(&mut self, number: u64) -> Option<bool> {
        if number < self.floor {
            return None;
        }
        if number > self.highest {
            let step = number - self.highest;
            self.seen = if step < LATE_MAX { self.seen << step } else { 0 } | 1;
            self.highest = number;
            return Some(true);
        }
        let back = self.highest - number;
        if back >= LATE_MAX || self.seen & 1 << back != 0 {
            return None;
        }
        self.seen |= 1 << back;
        Some(back == 0)
    }
}
