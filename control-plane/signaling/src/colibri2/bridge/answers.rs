//! Answers in the order of the requests, although some wait for the media plane.

use std::collections::VecDeque;
use std::time::Duration;

use contract::session::LocalTransport;
use contract::{ConferenceId, EndpointId, Timestamp};

use super::{Bridge, Conference, Output};
use crate::colibri2::model::{ConferenceModified, ModifyError, Reason, TransportModified};
use crate::stanza_error::Condition;

/// How long the media plane may take to seat an endpoint. A focus gives up at 15 s.
const READY_TIMEOUT: Duration = Duration::from_secs(10);

/// The unanswered requests of one conference, oldest first.
#[derive(Debug, Default)]
pub(super) struct Answers(VecDeque<Answer>);

#[derive(Debug)]
struct Answer {
    request: u64,
    answer: Result<ConferenceModified, ModifyError>,
    awaited: Option<Awaited>,
}

#[derive(Clone, Copy, Debug)]
struct Awaited {
    endpoint: EndpointId,
    /// Where in the answer its transport goes.
    index: usize,
    deadline: Timestamp,
}

impl Bridge {
    /// Answers a request after those before it.
    pub(super) fn answer(
        &mut self,
        conference: Option<ConferenceId>,
        request: u64,
        answer: Result<ConferenceModified, ModifyError>,
    ) {
        match conference.and_then(|id| self.conferences.get_mut(&id)) {
            Some(conference) => conference.answers.0.push_back(Answer { request, answer, awaited: None }),
            None => return self.output.push_back(Output::Answer { request, answer }),
        }
        if let Some(id) = conference {
            self.release_answers(id);
        }
    }

    /// Answers a request when `endpoint` is ready: its transport goes into the endpoint number `index` of the answer.
    pub(super) fn answer_later(
        &mut self,
        conference: ConferenceId,
        request: u64,
        modified: ConferenceModified,
        endpoint: EndpointId,
        index: usize,
        now: Timestamp,
    ) {
        let awaited = Awaited { endpoint, index, deadline: now + READY_TIMEOUT };
        let Some(it) = self.conferences.get_mut(&conference) else { return };
        it.answers.0.push_back(Answer { request, answer: Ok(modified), awaited: Some(awaited) });
        self.deadlines.insert((awaited.deadline, conference));
    }

    /// The endpoint has a transport now.
    pub(super) fn endpoint_ready(&mut self, id: EndpointId, local: LocalTransport) {
        let Some(endpoint) = self.endpoints.get_mut(&id) else { return };
        endpoint.local = Some(local);
        let (conference, sctp) = (endpoint.conference, endpoint.sctp());
        let Some(ice) = self.transport_of(id) else { return };
        if let Some(answer) = self.conferences.get_mut(&conference).and_then(|it| it.answers.awaiting(id)) {
            let awaited = answer.awaited.take();
            if let (Ok(modified), Some(awaited)) = (&mut answer.answer, awaited)
                && let Some(endpoint) = modified.endpoints.get_mut(awaited.index)
            {
                endpoint.transport = Some(TransportModified { ice, sctp });
            }
        }
        self.release_answers(conference);
    }

    /// The endpoint will never be ready: what waits for it is answered with `error`.
    pub(super) fn fail_awaited(&mut self, id: EndpointId, error: ModifyError) {
        let Some(conference) = self.endpoints.get(&id).map(|endpoint| endpoint.conference) else { return };
        while let Some(answer) = self.conferences.get_mut(&conference).and_then(|it| it.answers.awaiting(id))
        {
            answer.awaited = None;
            answer.answer = Err(error.clone());
        }
        self.release_answers(conference);
    }

    /// Gives up on what the media plane has not done in time.
    pub(super) fn give_up_late_answers(&mut self, now: Timestamp) {
        while let Some((at, conference)) = self.deadlines.first().copied()
            && at <= now
        {
            self.deadlines.pop_first();
            let late: Vec<EndpointId> =
                self.conferences.get(&conference).map(|it| it.answers.late(now)).unwrap_or_default();
            for endpoint in late {
                let text = "the media plane does not answer";
                let condition = Condition::ServiceUnavailable;
                self.fail_awaited(
                    endpoint,
                    ModifyError { condition, reason: Reason::Unspecified, endpoint: None, text },
                );
                self.expire_endpoint(endpoint);
            }
            self.expire_if_empty(conference);
        }
    }

    fn release_answers(&mut self, id: ConferenceId) {
        let Some(conference) = self.conferences.get_mut(&id) else { return };
        let released = conference.release();
        self.output.extend(released);
    }
}

impl Conference {
    fn release(&mut self) -> Vec<Output> {
        let mut released = Vec::new();
        while self.answers.0.front().is_some_and(|answer| answer.awaited.is_none()) {
            if let Some(Answer { request, answer, .. }) = self.answers.0.pop_front() {
                released.push(Output::Answer { request, answer });
            }
        }
        released
    }
}

impl Answers {
    fn awaiting(&mut self, id: EndpointId) -> Option<&mut Answer> {
        self.0.iter_mut().find(|answer| answer.awaited.is_some_and(|awaited| awaited.endpoint == id))
    }

    fn late(&self, now: Timestamp) -> Vec<EndpointId> {
        let awaited = self.0.iter().filter_map(|answer| answer.awaited);
        awaited.filter(|awaited| awaited.deadline <= now).map(|awaited| awaited.endpoint).collect()
    }
}
