//! Questions why a receiver is sent what it is sent: asked over the private HTTP, answered by the signalling loop within about a
//! second.

use std::sync::{Mutex, MutexGuard, PoisonError};

use contract::EndpointId;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use worker::BandwidthState;

/// Questions that may wait: people ask them, one at a time.
const WAITING_MAX: usize = 32;

/// The questions that wait.
#[derive(Default)]
pub(crate) struct BandwidthQueries(Mutex<Vec<(EndpointId, oneshot::Sender<Value>)>>);

impl BandwidthQueries {
    /// Ask; `None` if too many wait. The answer does not come if there is no such endpoint.
    pub(crate) fn ask(&self, endpoint: EndpointId) -> Option<oneshot::Receiver<Value>> {
        let mut waiting = self.waiting();
        waiting.retain(|(_, reply)| !reply.is_closed());
        if waiting.len() >= WAITING_MAX {
            return None;
        }
        let (reply, answer) = oneshot::channel();
        waiting.push((endpoint, reply));
        Some(answer)
    }

    /// Ask the media plane by `request`; it says false of endpoints that are not there.
    pub(crate) fn request(&self, mut request: impl FnMut(EndpointId) -> bool) {
        self.waiting().retain(|(endpoint, _)| request(*endpoint));
    }

    /// An answer came.
    pub(crate) fn answer(&self, state: &BandwidthState) {
        let mut waiting = self.waiting();
        while let Some(at) = waiting.iter().position(|(endpoint, _)| Some(*endpoint) == state.endpoint) {
            let (_, reply) = waiting.swap_remove(at);
            // Who asked may have gone.
            let _ = reply.send(page(state));
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<(EndpointId, oneshot::Sender<Value>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn page(state: &BandwidthState) -> Value {
    json!({
        "endpoint": state.endpoint.map(|endpoint| endpoint.0),
        "target_bps": state.target,
        "loss": state.loss,
        "queue_ms": state.queue_ms,
        "round_trip_ms": state.round_trip_ms,
        "feedbacks": state.statistics.feedbacks,
        "feedbacks_unusable": state.statistics.unusable,
        "probes": state.statistics.probes,
        "decisions": state.lines(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reaches_all_who_asked_and_unknown_endpoints_end_the_wait() {
        let queries = BandwidthQueries::default();
        let ask = |number| queries.ask(EndpointId(number)).expect("there is room");
        let (mut first, mut second, mut unknown) = (ask(1), ask(1), ask(2));
        queries.request(|endpoint| endpoint == EndpointId(1));
        assert!(matches!(unknown.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
        queries.answer(&BandwidthState {
            endpoint: Some(EndpointId(1)),
            target: 77,
            ..BandwidthState::default()
        });
        for answer in [&mut first, &mut second] {
            assert_eq!(answer.try_recv().expect("answered")["target_bps"], 77);
        }
        let waiting: Vec<_> = (0..WAITING_MAX).map(|_| ask(1)).collect();
        assert!(queries.ask(EndpointId(1)).is_none());
        drop(waiting);
        assert!(queries.ask(EndpointId(1)).is_some(), "who went away takes no room");
    }
}
