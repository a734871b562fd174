//! Why the target is what it is: the last decisions, for somebody who asks.

use contract::Timestamp;

/// Decisions remembered: some minutes of a restless link.
pub const DECISIONS_MAX: usize = 64;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $label:literal,)+) => {
        /// Why a decision was taken.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[doc = $doc])+ $name,)+ }

        impl Reason {
            /// In a few words, for people.
            pub const fn label(self) -> &'static str {
                match self { $(Reason::$name => $label,)+ }
            }
        }
    };
}

reasons! {
    /// The first word on the matter.
    Start = "start",
    /// The delay rises: less is sent until the queue has drained.
    Overuse = "queue grows",
    /// The delay rose for a moment, at a rate that the link is known to carry: nothing changed.
    Burst = "burst, held",
    /// The queue has drained: up to what the link was seen to carry.
    Drained = "queue drained",
    /// Media alone proved more.
    Growth = "carried more",
    /// The loss speaks for a lower limit.
    Loss = "loss limits",
    /// The loss no longer limits.
    LossOver = "loss over",
    /// A probe arrived as fast as it was sent.
    ProbeCarried = "probe carried",
    /// A probe arrived more slowly than it was sent: that is the capacity.
    ProbeSaturated = "probe saturated the link",
    /// Too little of a probe came back to tell.
    ProbeLost = "probe unanswered",
    /// Nothing was heard for long.
    Silence = "no feedback",
    /// Feedback came again, and of no queue: up to what was sent before the silence.
    Heard = "heard again",
    /// There never was feedback: the receiver gets what is configured.
    NoFeedback = "never any feedback",
    /// What the receiver itself estimates.
    Remb = "receiver's estimate",
    /// The receiver's clock jumped, or it reports what cannot be: begun anew.
    Absurd = "absurd feedback",
}

/// One decision, with what it was based on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: Reason,
    /// The target from then on, bits per second.
    pub target: u64,
    /// What was arriving, bits per second.
    pub arriving: u64,
    /// What waited on the way, milliseconds.
    pub queue_ms: u32,
    /// Share lost, 0..=1.
    pub loss: f32,
    /// Round trip, milliseconds.
    pub round_trip_ms: u32,
}

/// The last decisions, in a ring.
#[derive(Clone, Debug, Default)]
pub struct Log {
    decisions: arrayvec::ArrayVec<Decision, DECISIONS_MAX>,
    oldest: usize,
    /// All ever taken.
    pub count: u64,
}

impl Log {
    pub(crate) fn push(&mut self, decision: Decision) {
        self.count += 1;
        if let Err(full) = self.decisions.try_push(decision) {
            self.decisions[self.oldest] = full.element();
            self.oldest = (self.oldest + 1) % DECISIONS_MAX;
        }
    }

    /// Oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Decision> {
        let (newer, older) = self.decisions.split_at(self.oldest.min(self.decisions.len()));
        older.iter().chain(newer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_decisions_are_kept_in_order() {
        let mut log = Log::default();
        for ms in 0..100 {
            log.push(Decision {
                at: Timestamp::from_millis(ms),
                reason: Reason::Growth,
                target: 0,
                arriving: 0,
                queue_ms: 0,
                loss: 0.0,
                round_trip_ms: 0,
            });
        }
        let times: Vec<_> = log.iter().map(|decision| decision.at.as_millis()).collect();
        assert_eq!(times, (36..100).collect::<Vec<_>>());
        assert_eq!(log.count, 100);
    }
}
