//! How much one receiver's link carries: an estimate from its transport-wide feedback
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01), in the lineage of Google congestion control
//! (draft-ietf-rmcat-gcc-02).
//!
//! Numbers, times and sizes come in as arguments; a target in bits per second and requests for probes come out. After
//! construction nothing allocates. What a receiver says of itself is bounded and can harm nobody but that receiver.
//!
//! How it differs from its ancestors: an SFU sends layers, not a stream of any rate, so that there is rarely enough
//! traffic to see how much *more* would fit, and growing in the dark ends in layers that flap. Here the target grows only to what was
//! proved, by media or by a short probe, and the capacity once seen under overuse is remembered until a probe refutes it.
#![forbid(unsafe_code)]

mod capacity;
mod decision;
mod estimator;
mod grouping;
mod loss;
mod probe;
mod queueing;
mod schedule;
mod sent;
mod throughput;
mod trendline;

pub use decision::{DECISIONS_MAX, Decision, Log, Reason};
pub use estimator::{Config, Estimator, FeedbackHead, Statistics, Unusable};
