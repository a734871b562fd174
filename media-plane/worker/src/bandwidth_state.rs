//! What is known of the link to one receiver, copied out for somebody who asks why the picture is what it is.

use contract::EndpointId;

/// A copy, as of when the worker made it.
#[derive(Clone, Debug, Default)]
pub struct BandwidthState {
    /// Whose; `None` until a worker has filled it.
    pub endpoint: Option<EndpointId>,
    /// Bits per second that it may be sent.
    pub target: u64,
    /// Share lost of late, 0..=1.
    pub loss: f32,
    /// What waits on the way, milliseconds.
    pub queue_ms: u32,
    /// From sending to feedback, milliseconds.
    pub round_trip_ms: u32,
    /// Feedback used and not used, probes begun.
    pub statistics: bandwidth::Statistics,
    /// The last decisions.
    pub log: bandwidth::Log,
}

impl BandwidthState {
    /// Fill without allocating.
    pub(crate) fn copy(&mut self, endpoint: EndpointId, estimator: &bandwidth::Estimator) {
        self.endpoint = Some(endpoint);
        self.target = estimator.target();
        self.loss = estimator.loss();
        self.queue_ms = estimator.queue_ms();
        self.round_trip_ms = estimator.round_trip().unwrap_or_default().as_millis() as u32;
        self.statistics = estimator.statistics;
        self.log.clone_from(estimator.log());
    }

    /// The decisions, a line each, for people.
    pub fn lines(&self) -> Vec<String> {
        let line = |decision: &bandwidth::Decision| {
            format!(
                "{:9.3} s  {:7} kbit/s  {:<24} arriving {:7} kbit/s, queue {:4} ms, loss {:4.1}%, round trip {:4} ms",
                decision.at.as_micros() as f64 / 1e6,
                decision.target / 1_000,
                decision.reason.label(),
                decision.arriving / 1_000,
                decision.queue_ms,
                decision.loss * 100.0,
                decision.round_trip_ms,
            )
        };
        self.log.iter().map(line).collect()
    }
}
