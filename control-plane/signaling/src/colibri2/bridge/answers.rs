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

/// Requests of one conference that may wait behind one that waits. A stuck media plane is given up long before.
pub(super) const ANSWERS_MAX: usize = 10_000;

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
        self.deadlines.insert((awaited.deadline, endpoint));
    }

    /// The endpoint has a transport now.
    pub(super) fn endpoint_ready(&mut self, id: EndpointId, local: LocalTransport) {
        let Some(endpoint) = self.endpoints.get_mut(&id) else { return };
        endpoint.local = Some(local);
        let (conference, sctp) = (endpoint.conference, endpoint.sctp());
        let Some(ice) = self.transport_of(id) else { return };
        let answer = self.conferences.get_mut(&conference).and_then(|it| it.answers.awaiting(id));
        if let Some(answer) = answer
            && let Some(awaited) = answer.awaited.take()
        {
            self.deadlines.remove(&(awaited.deadline, id));
            if let Ok(modified) = &mut answer.answer
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
            if let Some(awaited) = answer.awaited.take() {
                self.deadlines.remove(&(awaited.deadline, id));
            }
            answer.answer = Err(error.clone());
        }
        self.release_answers(conference);
    }

    /// Gives up on what the media plane has not done in time.
    pub(super) fn give_up_late_answers(&mut self, now: Timestamp) {
        while let Some((at, id)) = self.deadlines.first().copied()
            && at <= now
        {
            self.deadlines.pop_first();
            let Some(endpoint) = self.endpoints.get(&id) else { continue };
            let (conference, seated) = (endpoint.conference, endpoint.local.is_some());
            if seated {
                // Only an ICE restart is late: the answer without transport says so, and the old transport stays.
                self.release_without_transport(id, conference);
                continue;
            }
            let error = ModifyError {
                condition: Condition::ServiceUnavailable,
                reason: Reason::Unspecified,
                endpoint: None,
                text: "the media plane does not answer",
            };
            self.fail_awaited(id, error);
            self.expire_endpoint(id);
            self.expire_if_empty(conference);
        }
    }

    fn release_without_transport(&mut self, id: EndpointId, conference: ConferenceId) {
        if let Some(answer) = self.conferences.get_mut(&conference).and_then(|it| it.answers.awaiting(id)) {
            answer.awaited = None;
        }
        self.release_answers(conference);
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
    /// Whether no more may wait.
    pub(super) fn full(&self) -> bool {
        self.0.len() >= ANSWERS_MAX
    }

    fn awaiting(&mut self, id: EndpointId) -> Option<&mut Answer> {
        self.0.iter_mut().find(|answer| answer.awaited.is_some_and(|awaited| awaited.endpoint == id))
    }
}
