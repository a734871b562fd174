//! Answers to NACKs (RFC 4585 §6.2.1, RFC 4588): what was sent in which place, not the bytes.

use core::time::Duration;

use contract::Timestamp;
use contract::limits::RETRANSMISSION_AGE;
use wire::codec::Patch;
use wire::rtp::Header;

/// Times that one packet is sent again.
const RESENDS_MAX: u8 = 4;
/// Without a known round trip, a packet is sent again at most this often.
const SPACING_UNKNOWN: Duration = Duration::from_millis(20);

/// One packet that was sent and can be sent again; the bytes are in the source's cache under `token`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// As given in [`crate::Outgoing::retransmission_token`].
    pub token: u64,
    /// As sent: final SSRC, sequence number, timestamp, payload type.
    pub header: Header,
    /// As applied.
    pub patch: Patch,
    /// SRTP index on the media stream.
    pub(crate) index: u64,
    /// Padding bytes added.
    pub(crate) padding: u8,
    /// Transport-wide number in the packet.
    pub(crate) transport_cc: Option<u16>,
    /// First four bytes of the tag: a plain resend must come out the same.
    pub(crate) tag: [u8; 4],
    /// When it was sealed; also its absolute send time.
    pub(crate) sealed: Timestamp,
    /// Length on the wire.
    pub(crate) len: u16,
}

/// A record as it is kept, small because a receiver has hundreds for each stream.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Kept {
    token: u64,
    index: u64,
    sealed: Timestamp,
    patch: Patch,
    timestamp: u32,
    tag: [u8; 4],
    /// Microseconds from sealing to the last resend.
    resent_after: u32,
    /// 0 where nothing is kept.
    len: u16,
    transport_cc: u16,
    numbered: bool,
    marker: bool,
    payload_type: u8,
    padding: u8,
    /// How often it was sent again.
    resent: u8,
}

const _: () = assert!(size_of::<Kept>() <= 64, "a cache line each");

impl Kept {
    const NONE: Kept = Kept {
        token: 0,
        index: 0,
        sealed: Timestamp::ZERO,
        patch: Patch::None,
        timestamp: 0,
        tag: [0; 4],
        resent_after: 0,
        len: 0,
        transport_cc: 0,
        numbered: false,
        marker: false,
        payload_type: 0,
        padding: 0,
        resent: 0,
    };

    fn new(record: &Record) -> Kept {
        Kept {
            token: record.token,
            index: record.index,
            sealed: record.sealed,
            patch: record.patch,
            timestamp: record.header.timestamp,
            tag: record.tag,
            resent_after: 0,
            len: record.len,
            transport_cc: record.transport_cc.unwrap_or_default(),
            numbered: record.transport_cc.is_some(),
            marker: record.header.marker,
            payload_type: record.header.payload_type,
            padding: record.padding,
            resent: 0,
        }
    }

    /// Since it was sent last.
    fn waited(&self, now: Timestamp) -> Duration {
        now.since(self.sealed).saturating_sub(Duration::from_micros(u64::from(self.resent_after)))
    }

    fn record(&self, ssrc: u32) -> Record {
        let header = Header {
            marker: self.marker,
            payload_type: self.payload_type,
            sequence: self.index as u16,
            timestamp: self.timestamp,
            ssrc,
        };
        Record {
            token: self.token,
            header,
            patch: self.patch,
            index: self.index,
            padding: self.padding,
            transport_cc: self.numbered.then_some(self.transport_cc),
            tag: self.tag,
            sealed: self.sealed,
            len: self.len,
        }
    }
}

/// The last packets of one stream, by SRTP index modulo its length.
#[derive(Debug)]
pub(crate) struct History {
    kept: Box<[Kept]>,
    /// The key frame that was sent last: nothing before it is needed, and everything after it needs it.
    key_frame: Option<KeyFrame>,
}

/// A key frame that was sent.
#[derive(Clone, Copy, Debug)]
struct KeyFrame {
    /// SRTP index of its first packet.
    first: u64,
    timestamp: u32,
    /// It was found to be lost for good.
    given_up: bool,
}

impl History {
    pub(crate) fn new(packets: usize) -> History {
        let len = if packets == 0 { 0 } else { packets.next_power_of_two() };
        History { kept: vec![Kept::NONE; len].into_boxed_slice(), key_frame: None }
    }

    pub(crate) fn clear(&mut self) {
        self.kept.fill(Kept::NONE);
        self.key_frame = None;
    }

    /// A key frame begins with this index and timestamp. Those of the further layers of one picture are one.
    pub(crate) fn begin_anew(&mut self, first: u64, timestamp: u32) {
        if self.key_frame.is_none_or(|known| known.timestamp != timestamp) {
            self.key_frame = Some(KeyFrame { first, timestamp, given_up: false });
        }
    }

    /// Whether this packet of the last key frame is missed and will not be sent again: without it nothing can be decoded, so that
    /// another key frame is due. Says so once.
    pub(crate) fn give_up_key_frame(
        &mut self,
        index: u64,
        round_trip_us: Option<u32>,
        now: Timestamp,
    ) -> bool {
        let Some(at) = self.position(index) else { return false };
        let kept = &self.kept[at];
        let Some(key_frame) = self.key_frame.as_mut().filter(|known| !known.given_up) else { return false };
        if kept.len == 0 || kept.index != index || kept.timestamp != key_frame.timestamp {
            return false;
        }
        let age = now.since(kept.sealed);
        let often = kept.resent >= RESENDS_MAX && kept.waited(now) >= spacing(round_trip_us, kept.resent);
        key_frame.given_up = often || age > RETRANSMISSION_AGE;
        key_frame.given_up
    }

    pub(crate) fn insert(&mut self, record: &Record) {
        let Some(at) = self.position(record.index) else { return };
        // A late packet does not displace a newer one.
        if self.kept[at].len == 0 || self.kept[at].index < record.index {
            self.kept[at] = Kept::new(record);
        }
    }

    /// The packet with this index if it may be sent again now; it then counts as sent.
    pub(crate) fn take(
        &mut self,
        ssrc: u32,
        index: u64,
        round_trip_us: Option<u32>,
        budget: &mut Budget,
        now: Timestamp,
    ) -> Option<Record> {
        let at = self.position(index)?;
        let kept = &mut self.kept[at];
        let age = now.since(kept.sealed);
        if kept.len == 0 || kept.index != index || kept.resent >= RESENDS_MAX || age > RETRANSMISSION_AGE {
            return None;
        }
        if self.key_frame.is_some_and(|known| index < known.first)
            || kept.waited(now) < spacing(round_trip_us, kept.resent)
        {
            return None;
        }
        let vital = self.key_frame.is_some_and(|known| known.timestamp == kept.timestamp);
        if !budget.spend(kept.len, vital, now) {
            return None;
        }
        kept.resent += 1;
        // At most a second: see the age above.
        kept.resent_after = age.as_micros() as u32;
        Some(kept.record(ssrc))
    }

    /// The packet with this index, whenever it was sent; it does not count as sent again.
    pub(crate) fn get(&self, ssrc: u32, index: u64) -> Option<Record> {
        let kept = &self.kept[self.position(index)?];
        (kept.len > 0 && kept.index == index).then(|| kept.record(ssrc))
    }

    fn position(&self, index: u64) -> Option<usize> {
        (!self.kept.is_empty()).then(|| index as usize & (self.kept.len() - 1))
    }
}

/// How long a packet must have been under way before it may be sent again: the round trip, less what estimates err by.
fn spacing(round_trip_us: Option<u32>, resent: u8) -> Duration {
    match round_trip_us {
        Some(us) => {
            let us = u64::from(us);
            Duration::from_micros((us * 9 / 10).min(us.saturating_sub(5_000)))
        }
        None if resent == 0 => Duration::ZERO,
        None => SPACING_UNKNOWN,
    }
}

/// Retransmitted bytes: a fifth of what is sent, and a little at all times.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes: u64,
    since: Timestamp,
    /// Bytes a second that are earned at all times.
    floor: u64,
    /// Bytes spent, fading over some seconds, and as of when.
    spent: f64,
    faded: Timestamp,
}

impl Budget {
    /// A fifth of a second at 2.5 Mbit/s.
    const BYTES_MAX: u64 = 64_000;
    /// A fifth of what the link carries for half a second, from bits to bytes.
    const SAVED: u64 = 80;
    /// But no more than a fifth of what a narrow link carries, from bits to bytes.
    const FLOOR_PART: u64 = 40;
    /// Some packets at all times.
    const SAVED_BYTES_MIN: u64 = 4_000;
    /// 100 kbit/s, so that slow streams are repaired at all.
    const FLOOR_BYTES_PER_SECOND: u64 = 12_500;
    /// Seconds over which what was spent fades.
    const FADES_OVER: f64 = 3.0;

    pub(crate) fn new(now: Timestamp) -> Budget {
        let floor = Self::FLOOR_BYTES_PER_SECOND;
        Budget { bytes: Self::BYTES_MAX / 4, since: now, floor, spent: 0.0, faded: now }
    }

    /// Bits per second that went into retransmissions of late.
    pub(crate) fn rate(&self, now: Timestamp) -> u64 {
        (self.faded_spending(now) * 8.0 / Self::FADES_OVER) as u64
    }

    fn faded_spending(&self, now: Timestamp) -> f64 {
        self.spent * (-now.since(self.faded).as_secs_f64() / Self::FADES_OVER).exp()
    }

    /// A first transmission earns a fifth of its length.
    pub(crate) fn earn(&mut self, len: usize) {
        self.bytes = (self.bytes + len as u64 / 5).min(Self::BYTES_MAX);
    }

    /// What the link carries, in bits per second: what was saved before on a better link is not spent at once on this one.
    pub(crate) fn limit(&mut self, target: u64) {
        self.bytes = self.bytes.min((target / Self::SAVED).max(Self::SAVED_BYTES_MIN));
        self.floor = (target / Self::FLOOR_PART).min(Self::FLOOR_BYTES_PER_SECOND);
    }

    /// What is `vital` is sent even where the budget is spent, and takes what is left of it.
    fn spend(&mut self, len: u16, vital: bool, now: Timestamp) -> bool {
        let earned = now.since(self.since).as_micros() as u64 * self.floor / 1_000_000;
        if earned > 0 {
            self.bytes = (self.bytes + earned).min(Self::BYTES_MAX);
            self.since = now;
        }
        if self.bytes < u64::from(len) && !vital {
            return false;
        }
        self.bytes = self.bytes.saturating_sub(u64::from(len));
        (self.spent, self.faded) = (self.faded_spending(now) + f64::from(len), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn record(index: u64, at: Timestamp) -> Record {
        let header =
            Header { marker: false, payload_type: 96, sequence: index as u16, timestamp: 0, ssrc: 1 };
        Record {
            token: index,
            header,
            patch: Patch::None,
            index,
            padding: 0,
            transport_cc: None,
            tag: [0; 4],
            sealed: at,
            len: 1_000,
        }
    }

    #[test]
    fn a_packet_is_sent_again_once_a_round_trip_and_four_times_in_all() {
        let mut history = History::new(16);
        let mut budget = Budget::new(ms(0));
        history.insert(&record(3, ms(0)));
        let times: Vec<u64> = (0..2_000)
            .filter(|&at| history.take(1, 3, Some(100_000), &mut budget, ms(at)).is_some())
            .collect();
        assert_eq!(times, [90, 180, 270, 360]);
    }

    #[test]
    fn before_a_key_frame_nothing_is_needed_and_the_key_frame_is_sent_whatever_the_budget_says() {
        let mut history = History::new(16);
        let mut budget = Budget { bytes: 500, floor: 0, ..Budget::new(ms(0)) };
        for index in 3..7 {
            history.insert(&Record {
                header: Header { timestamp: 90 * (index as u32 / 2), ..record(0, ms(0)).header },
                ..record(index, ms(0))
            });
        }
        // Packets 4 and 5 are the key frame; a further layer of the same picture changes nothing.
        history.begin_anew(4, 180);
        history.begin_anew(5, 180);
        let mut taken = |index, at| history.take(1, index, Some(50_000), &mut budget, ms(at)).is_some();
        assert_eq!([3, 4, 5, 6].map(|index| taken(index, 100)), [false, true, true, false]);
        assert!(!taken(4, 120), "once a round trip");
        assert_eq!([200, 300, 400, 500].map(|at| taken(4, at)), [true, true, true, false]);
    }

    #[test]
    fn a_key_frame_that_cannot_be_sent_again_is_given_up_once() {
        let mut history = History::new(16);
        for index in 3..6 {
            history.insert(&record(index, ms(0)));
        }
        assert!(!history.give_up_key_frame(3, None, ms(2_000)), "no key frame is known");
        history.begin_anew(3, 0);
        assert!(!history.give_up_key_frame(4, None, ms(900)), "it may still come");
        assert!(!history.give_up_key_frame(9, None, ms(2_000)), "never sent");
        assert!(history.give_up_key_frame(4, None, ms(1_001)));
        assert!(!history.give_up_key_frame(5, None, ms(1_002)));
        history.insert(&Record {
            header: Header { timestamp: 90, ..record(0, ms(0)).header },
            ..record(7, ms(1_100))
        });
        history.begin_anew(7, 90);
        let mut budget = Budget::new(ms(1_100));
        let times =
            (1_100..1_600).filter(|at| history.take(1, 7, Some(50_000), &mut budget, ms(*at)).is_some());
        let last = times.last().unwrap_or_default();
        assert!(!history.give_up_key_frame(7, Some(50_000), ms(last + 10)), "the last one is under way");
        assert!(history.give_up_key_frame(7, Some(50_000), ms(last + 60)));
    }

    #[test]
    fn a_packet_of_more_than_a_second_ago_is_gone() {
        let mut history = History::new(16);
        let mut budget = Budget::new(ms(0));
        history.insert(&record(3, ms(0)));
        assert!(history.take(1, 3, None, &mut budget, ms(1_001)).is_none());
        assert!(history.take(1, 3, None, &mut budget, ms(1_000)).is_some());
        assert!(history.take(1, 4, None, &mut budget, ms(1_000)).is_none(), "never sent");
    }

    #[test]
    fn newer_packets_displace_older_ones_and_not_the_reverse() {
        let mut history = History::new(16);
        let mut budget = Budget::new(ms(0));
        history.insert(&record(17, ms(0)));
        history.insert(&record(1, ms(0)));
        assert!(history.take(1, 1, None, &mut budget, ms(1)).is_none());
        assert!(history.take(1, 17, None, &mut budget, ms(1)).is_some());
        let mut none = History::new(0);
        none.insert(&record(1, ms(0)));
        assert!(none.take(1, 1, None, &mut budget, ms(1)).is_none());
    }

    #[test]
    fn what_retransmissions_take_is_told_and_fades() {
        let mut budget = Budget::new(ms(0));
        for at in (0..20_000).step_by(100) {
            budget.earn(10_000);
            assert!(budget.spend(1_000, false, ms(at)));
        }
        let rate = budget.rate(ms(20_000));
        assert!((74_000..86_000).contains(&rate), "{rate} of 80,000");
        assert!(budget.rate(ms(35_000)) < 1_000);
    }

    #[test]
    fn retransmissions_stay_within_a_fifth_of_the_rate() {
        let mut budget = Budget::new(ms(0));
        let (mut sent, mut resent) = (0u64, 0u64);
        for at in 0..10_000 {
            budget.earn(1_000);
            sent += 1_000;
            while budget.spend(1_000, false, ms(at)) {
                resent += 1_000;
            }
        }
        let floor = Budget::BYTES_MAX + 10 * Budget::FLOOR_BYTES_PER_SECOND;
        assert!(resent <= sent / 5 + floor, "{resent} of {sent}");
        assert!(resent >= sent / 5, "{resent} of {sent}");
    }
}
