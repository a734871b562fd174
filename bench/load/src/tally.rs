//! What the threads count, and the histograms of delays.

use std::ops::{Index, IndexMut};

use hdrhistogram::Histogram;

macro_rules! counts {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Something that is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Count { $($(#[doc = $doc])+ $name,)+ }

        impl Count {
            /// All, in the order of their discriminants.
            pub const ALL: &'static [Count] = &[$(Count::$name,)+];
            /// How many there are.
            pub const COUNT: usize = Count::ALL.len();
        }
    };
}

counts! {
    /// RTP packets sent, without retransmissions.
    Sent,
    /// Bytes of these, UDP payload.
    SentBytes,
    /// RTP packets that came, each number of a stream once, recovered ones included.
    Received,
    /// Bytes of all RTP datagrams that came, UDP payload.
    ReceivedBytes,
    /// Numbers of a stream that never came.
    Lost,
    /// Numbers that came late or by retransmission.
    Recovered,
    /// Numbers that came again.
    Duplicates,
    /// Packets lost on purpose (`loss-5`).
    DroppedOnPurpose,
    /// Packets opened and looked into.
    Opened,
    /// Packets that did not authenticate.
    AuthFailures,
    /// Packets of another source than signalled, or of another room.
    WrongSource,
    /// Packets on SSRCs that signalling never told.
    Unannounced,
    /// Packets that were nothing but padding.
    PaddingOnly,
    /// Bytes of RTP padding, of packets that were opened.
    PaddingBytes,
    /// Numbers asked for again.
    NacksSent,
    /// Key frames asked for.
    KeyFramesAsked,
    /// Key frames that the other side asked for.
    KeyFrameRequests,
    /// Packets sent again because the other side asked.
    Resent,
    /// RTCP datagrams sent.
    RtcpSent,
    /// RTCP datagrams that came.
    RtcpReceived,
    /// Datagrams that our own socket refused to send.
    SendRefused,
    /// Datagrams that our own sockets had no room for.
    SocketDrops,
    /// System calls that sent media, and the datagrams in them.
    Sends,
    /// System calls that received, each one datagram or one coalesced run.
    Receives,
    /// Datagrams in them.
    Datagrams,
}

/// Counts since they were last begun anew, one for each [`Count`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters([u64; Count::COUNT]);

impl Counters {
    /// Adds another thread's.
    pub fn add(&mut self, other: &Counters) {
        for (own, other) in self.0.iter_mut().zip(other.0) {
            *own += other;
        }
    }

    /// What rose since `before`.
    pub fn since(&self, before: &Counters) -> Counters {
        let mut difference = *self;
        for (own, before) in difference.0.iter_mut().zip(before.0) {
            *own = own.saturating_sub(before);
        }
        difference
    }
}

impl Index<Count> for Counters {
    type Output = u64;

    fn index(&self, count: Count) -> &u64 {
        &self.0[count as usize]
    }
}

impl IndexMut<Count> for Counters {
    fn index_mut(&mut self, count: Count) -> &mut u64 {
        &mut self.0[count as usize]
    }
}

/// A histogram of microseconds, 1 µs to 60 s, three digits.
pub type Micros = Histogram<u32>;

/// An empty histogram.
pub fn micros() -> Micros {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are in order")
}

/// Notes a value; what is out of range counts as the bound.
pub fn note(histogram: &mut Micros, us: u64) {
    histogram.saturating_record(us.max(1));
}

/// The delays that threads measure.
#[derive(Clone, Debug)]
pub struct Delays {
    /// From sending to arrival, audio packets.
    pub audio: Micros,
    /// From sending the last packet of a frame to the arrival of the whole frame.
    pub frame: Micros,
    /// From sending to arrival, video packets.
    pub video: Micros,
    /// From when a packet was due to when it was handed to the socket.
    pub late: Micros,
    /// From arrival at the socket to when it was read.
    pub read_late: Micros,
}

impl Default for Delays {
    fn default() -> Self {
        Delays { audio: micros(), frame: micros(), video: micros(), late: micros(), read_late: micros() }
    }
}

impl Delays {
    /// Adds another thread's.
    pub fn add(&mut self, other: &Delays) {
        for (own, other) in [
            (&mut self.audio, &other.audio),
            (&mut self.frame, &other.frame),
            (&mut self.video, &other.video),
            (&mut self.late, &other.late),
            (&mut self.read_late, &other.read_late),
        ] {
            // Both have the same bounds.
            let _ = own.add(other);
        }
    }

    /// Begins anew.
    pub fn clear(&mut self) {
        for own in [&mut self.audio, &mut self.frame, &mut self.video, &mut self.late, &mut self.read_late] {
            own.reset();
        }
    }

    /// Audio packets and frame completions together: what a listener and a viewer wait for.
    pub fn experienced(&self) -> Micros {
        let mut both = self.audio.clone();
        let _ = both.add(&self.frame);
        both
    }
}

/// What one thread saw in one interval, about a second.
#[derive(Clone, Debug)]
pub struct Interval {
    /// Counts within it.
    pub counters: Counters,
    /// Delays within it.
    pub delays: Delays,
    /// Share of the interval that the thread was not waiting.
    pub busy: f64,
    /// It lies within the measurement.
    pub measured: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_add_and_subtract_one_by_one() {
        let of = |counts: &[(Count, u64)]| {
            let mut counters = Counters::default();
            counts.iter().for_each(|(count, value)| counters[*count] = *value);
            counters
        };
        let one = of(&[(Count::Sent, 5), (Count::Datagrams, 7)]);
        let other = of(&[(Count::Sent, 1), (Count::Lost, 2)]);
        let mut both = one;
        both.add(&other);
        assert_eq!(both, of(&[(Count::Sent, 6), (Count::Lost, 2), (Count::Datagrams, 7)]));
        assert_eq!((both.since(&one), one.since(&both)[Count::Sent]), (other, 0));
    }

    #[test]
    fn delays_of_two_threads_are_one_histogram() {
        let (mut one, mut two) = (Delays::default(), Delays::default());
        note(&mut one.audio, 100);
        note(&mut two.frame, 300);
        note(&mut two.audio, 0);
        one.add(&two);
        assert_eq!((one.audio.len(), one.experienced().len()), (2, 3));
        one.clear();
        assert!(one.experienced().is_empty());
    }
}
