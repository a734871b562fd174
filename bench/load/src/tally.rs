//! What the threads count, and the histograms of delays.

use hdrhistogram::Histogram;

/// Counts since they were last begun anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// RTP packets sent, without retransmissions.
    pub sent: u64,
    /// Bytes of these, UDP payload.
    pub sent_bytes: u64,
    /// RTP packets that came, each number of a stream once, recovered ones included.
    pub received: u64,
    /// Bytes of all RTP datagrams that came, UDP payload.
    pub received_bytes: u64,
    /// Numbers of a stream that never came.
    pub lost: u64,
    /// Numbers that came late or by retransmission.
    pub recovered: u64,
    /// Numbers that came again.
    pub duplicates: u64,
    /// Packets lost on purpose (`loss-5`).
    pub dropped_on_purpose: u64,
    /// Packets opened and looked into.
    pub opened: u64,
    /// Packets that did not authenticate.
    pub auth_failures: u64,
    /// Packets of another source than signalled, or of another room.
    pub wrong_source: u64,
    /// Packets on SSRCs that signalling never told.
    pub unannounced: u64,
    /// Packets that were nothing but padding.
    pub padding_only: u64,
    /// Bytes of RTP padding, of packets that were opened.
    pub padding_bytes: u64,
    /// Numbers asked for again.
    pub nacks_sent: u64,
    /// Key frames asked for.
    pub key_frames_asked: u64,
    /// Key frames that the other side asked for.
    pub key_frame_requests: u64,
    /// Packets sent again because the other side asked.
    pub resent: u64,
    /// RTCP datagrams sent.
    pub rtcp_sent: u64,
    /// RTCP datagrams that came.
    pub rtcp_received: u64,
    /// Datagrams that our own socket refused to send.
    pub send_refused: u64,
    /// Datagrams that our own sockets had no room for.
    pub socket_drops: u64,
    /// System calls that sent media, and the datagrams in them.
    pub sends: u64,
    /// System calls that received, each one datagram or one coalesced run.
    pub receives: u64,
    /// Datagrams in them.
    pub datagrams: u64,
}

impl Counters {
    /// Adds another thread's.
    pub fn add(&mut self, other: &Counters) {
        for (own, other) in self.all_mut().into_iter().zip(other.clone().all_mut()) {
            *own += *other;
        }
    }

    /// What rose since `before`.
    pub fn since(&self, before: &Counters) -> Counters {
        let mut difference = *self;
        for (own, before) in difference.all_mut().into_iter().zip(before.clone().all_mut()) {
            *own = own.saturating_sub(*before);
        }
        difference
    }

    fn all_mut(&mut self) -> [&mut u64; 25] {
        let Counters {
            sent,
            sent_bytes,
            received,
            received_bytes,
            lost,
            recovered,
            duplicates,
            dropped_on_purpose,
            opened,
            auth_failures,
            wrong_source,
            unannounced,
            padding_only,
            padding_bytes,
            nacks_sent,
            key_frames_asked,
            key_frame_requests,
            resent,
            rtcp_sent,
            rtcp_received,
            send_refused,
            socket_drops,
            sends,
            receives,
            datagrams,
        } = self;
        [
            sent,
            sent_bytes,
            received,
            received_bytes,
            lost,
            recovered,
            duplicates,
            dropped_on_purpose,
            opened,
            auth_failures,
            wrong_source,
            unannounced,
            padding_only,
            padding_bytes,
            nacks_sent,
            key_frames_asked,
            key_frame_requests,
            resent,
            rtcp_sent,
            rtcp_received,
            send_refused,
            socket_drops,
            sends,
            receives,
            datagrams,
        ]
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
    fn counters_add_and_subtract_field_by_field() {
        let one = Counters { sent: 5, datagrams: 7, ..Counters::default() };
        let mut both = one;
        both.add(&Counters { sent: 1, lost: 2, ..Counters::default() });
        assert_eq!((both.sent, both.lost, both.datagrams), (6, 2, 7));
        assert_eq!(both.since(&one), Counters { sent: 1, lost: 2, ..Counters::default() });
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
