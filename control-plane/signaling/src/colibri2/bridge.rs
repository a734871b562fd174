//! The bridge of this process behind the colibri2 model: names become identities, requests become commands, reports
//! become answers and bridge-channel messages.
//!
//! Drive it by [`Bridge::modify`], [`Bridge::report`], [`Bridge::refused`], [`Bridge::association`] and
//! [`Bridge::handle_timeout`]; after each, take [`Bridge::poll_output`] until it returns `None`.

mod answers;
mod channel;
mod check;
mod endpoint;
mod report;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use contract::session::{FeedbackSsrcs, Media};
use contract::{Command, ConferenceId, EndpointId, Report, SourceId, Ssrc, Timestamp};

use super::model::{
    BridgeConfig, ConferenceModified, ConferenceModify, EndpointModified, EndpointModify, MediaSource,
    ModifyError, Reason,
};
use crate::association;
use crate::random::{self, Random};
use crate::secret;
use crate::source_map::BRIDGE_OWNER;
use crate::stanza_error::Condition;
use answers::Answers;
use endpoint::{Endpoint, Source};

/// Conferences at a time. Far more than one machine forwards; it only bounds what a flood of requests can hold.
pub const CONFERENCES_MAX: usize = 10_000;

/// What the bridge wants done, or answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// The answer to a request; in the order of requests per conference.
    Answer {
        /// As given to [`Bridge::modify`].
        request: u64,
        /// The outcome.
        answer: Result<ConferenceModified, ModifyError>,
    },
    /// An endpoint expired although nobody asked.
    EndpointExpired {
        /// Of the conference.
        meeting_id: String,
        /// Which.
        endpoint: String,
    },
    /// To the media plane.
    Command(Command),
    /// To the associations and bridge channels.
    Association(association::Command),
}

/// Numbers for the operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bridge-channel messages that could not be read.
    pub messages_refused: u64,
    /// Bridge-channel messages over the rate limit.
    pub messages_limited: u64,
    /// Transports that never connected or were lost.
    pub transports_failed: u64,
    /// DTLS handshakes that failed.
    pub handshakes_failed: u64,
    /// Endpoints that the media plane could not seat.
    pub endpoints_refused: u64,
}

/// The local bridge.
#[derive(Debug)]
pub struct Bridge {
    config: BridgeConfig,
    conferences: HashMap<ConferenceId, Conference, foldhash::fast::FixedState>,
    endpoints: HashMap<EndpointId, Endpoint, foldhash::fast::FixedState>,
    sources: HashMap<SourceId, Source, foldhash::fast::FixedState>,
    meetings: HashMap<String, ConferenceId>,
    local_ids: HashMap<String, ConferenceId>,
    deadlines: BTreeSet<(Timestamp, EndpointId)>,
    unsent: BTreeSet<EndpointId>,
    unsent_since: Timestamp,
    next_id: u64,
    draining: bool,
    counters: Counters,
    output: VecDeque<Output>,
}

#[derive(Debug)]
struct Conference {
    meeting_id: String,
    local_id: String,
    feedback: FeedbackSsrcs,
    endpoints: BTreeMap<String, EndpointId>,
    source_names: HashMap<String, SourceId>,
    speakers: Vec<EndpointId>,
    answers: Answers,
}

impl Bridge {
    /// A bridge without conferences.
    pub fn new(config: BridgeConfig) -> Bridge {
        Bridge {
            config,
            conferences: HashMap::default(),
            endpoints: HashMap::default(),
            sources: HashMap::default(),
            meetings: HashMap::new(),
            local_ids: HashMap::new(),
            deadlines: BTreeSet::new(),
            unsent: BTreeSet::new(),
            unsent_since: Timestamp::NEVER,
            next_id: 1,
            draining: false,
            counters: Counters::default(),
            output: VecDeque::new(),
        }
    }

    /// The endpoints of a conference by name; none if it is not here.
    pub(crate) fn endpoints(&self, meeting_id: &str) -> impl Iterator<Item = (&str, EndpointId)> {
        let conference = self.meetings.get(meeting_id).and_then(|id| self.conferences.get(id));
        conference
            .into_iter()
            .flat_map(|conference| &conference.endpoints)
            .map(|(name, endpoint)| (name.as_str(), *endpoint))
    }

    /// Meeting and name of an endpoint.
    pub(crate) fn name_of(&self, endpoint: EndpointId) -> Option<(&str, &str)> {
        let endpoint = self.endpoints.get(&endpoint)?;
        let conference = self.conferences.get(&endpoint.conference)?;
        Some((&conference.meeting_id, &endpoint.name))
    }

    /// From now on no new conference is taken (or is again).
    pub fn set_draining(&mut self, draining: bool) {
        self.draining = draining;
    }

    /// Applies a request. It is answered by [`Output::Answer`] with the same number, at once or when the media plane
    /// has seated the endpoint. A refused request changes nothing.
    pub fn modify(&mut self, request: u64, modify: &ConferenceModify, random: &mut Random, now: Timestamp) {
        let known = self.meetings.get(&modify.meeting_id).copied();
        let full = known.and_then(|id| self.conferences.get(&id)).is_some_and(|it| it.answers.full());
        // Expiry is the way out of being full, so it is never refused.
        if full && !modify.expire && !modify.endpoints.iter().all(|endpoint| endpoint.expire) {
            let condition = Condition::ResourceConstraint;
            let error = ModifyError {
                condition,
                reason: Reason::Unspecified,
                endpoint: None,
                text: "too many requests at once",
            };
            return self.answer(None, request, Err(error));
        }
        if let Err(error) = self.check(known, modify) {
            return self.answer(known, request, Err(error));
        }
        let id = match known {
            Some(id) => id,
            None => self.create_conference(modify, random),
        };
        if modify.expire {
            self.answer(Some(id), request, Ok(ConferenceModified::default()));
            return self.expire_conference(id);
        }

        let mut modified = ConferenceModified::default();
        let mut waiting = None;
        for (index, endpoint) in modify.endpoints.iter().enumerate() {
            let (answer, awaited) = self.modify_endpoint(id, endpoint, random, now);
            waiting = waiting.or(awaited.map(|awaited| (awaited, index)));
            modified.endpoints.push(answer);
        }
        if modify.create || modify.endpoints.iter().any(|endpoint| endpoint.create) {
            modified.sources =
                self.conferences.get(&id).map(Conference::feedback_sources).unwrap_or_default();
        }
        match waiting {
            Some((endpoint, index)) => self.answer_later(id, request, modified, endpoint, index, now),
            None => self.answer(Some(id), request, Ok(modified)),
        }
        if !modify.create {
            self.expire_if_empty(id);
        }
    }

    /// News from the media plane. What clients are to be told of it goes out with the next
    /// [`Bridge::handle_timeout`], which is due at once: reports that come together make one message.
    pub fn report(&mut self, report: Report, now: Timestamp) {
        self.apply_report(report);
        if !self.unsent.is_empty() {
            self.unsent_since = self.unsent_since.min(now);
        }
    }

    /// The media plane could not seat an endpoint.
    pub fn refused(&mut self, endpoint: EndpointId) {
        self.counters.endpoints_refused += 1;
        let conference = self.endpoints.get(&endpoint).map(|endpoint| endpoint.conference);
        self.fail_awaited(
            endpoint,
            ModifyError {
                condition: Condition::ResourceConstraint,
                reason: Reason::Unspecified,
                endpoint: None,
                text: "no room for another endpoint",
            },
        );
        self.remove_endpoint(endpoint);
        if let Some(conference) = conference {
            self.expire_if_empty(conference);
        }
    }

    /// News from an association or a bridge channel.
    pub fn association(&mut self, event: association::Event, now: Timestamp) {
        self.apply_association(event, now);
    }

    /// Whether a WebSocket with this URL may open, and for whom. Takes the same time for a wrong password as for an
    /// unknown conference or endpoint.
    pub fn authorize_channel(&self, conference: &str, endpoint: &str, password: &str) -> Option<EndpointId> {
        let conference = self.local_ids.get(conference).and_then(|id| self.conferences.get(id));
        let endpoint = conference.and_then(|conference| conference.endpoints.get(endpoint));
        let endpoint = endpoint.and_then(|id| self.endpoints.get(id));
        let expected = endpoint.map_or(endpoint::NO_PASSWORD, |endpoint| endpoint.password.as_str());
        let equal = secret::equal(password.as_bytes(), expected.as_bytes());
        endpoint.filter(|_| equal).map(|endpoint| endpoint.id)
    }

    /// The next thing to do, until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.output.pop_front()
    }

    /// When [`Bridge::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Timestamp {
        self.deadlines.first().map_or(Timestamp::NEVER, |(at, _)| *at).min(self.unsent_since)
    }

    /// Tells clients what changed, and gives up on what the media plane has not done in time.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.unsent_since <= now {
            self.unsent_since = Timestamp::NEVER;
            self.flush();
        }
        self.give_up_late_answers(now);
    }

    /// How many conferences and endpoints there are.
    pub fn size(&self) -> (usize, usize) {
        (self.conferences.len(), self.endpoints.len())
    }

    /// Numbers for the operator.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn create_conference(&mut self, modify: &ConferenceModify, random: &mut Random) -> ConferenceId {
        let id = ConferenceId(self.fresh());
        let audio = random::ssrc(random, 0);
        let conference = Conference {
            meeting_id: modify.meeting_id.clone(),
            local_id: random::hex(random, 16),
            feedback: FeedbackSsrcs { audio: Ssrc(audio), video: Ssrc(random::ssrc(random, audio)) },
            endpoints: BTreeMap::new(),
            source_names: HashMap::new(),
            speakers: Vec::new(),
            answers: Answers::default(),
        };
        self.meetings.insert(conference.meeting_id.clone(), id);
        self.local_ids.insert(conference.local_id.clone(), id);
        self.conferences.insert(id, conference);
        id
    }

    fn modify_endpoint(
        &mut self,
        conference: ConferenceId,
        modify: &EndpointModify,
        random: &mut Random,
        now: Timestamp,
    ) -> (EndpointModified, Option<EndpointId>) {
        let mut answer = EndpointModified { id: modify.id.clone(), ..EndpointModified::default() };
        let known = self.conferences.get(&conference).and_then(|it| it.endpoints.get(&modify.id)).copied();
        if modify.expire {
            answer.expire = true;
            if let Some(id) = known {
                self.expire_endpoint(id);
            }
            return (answer, None);
        }
        if modify.create {
            let id = self.create_endpoint(conference, modify, random, now);
            return (answer, Some(id));
        }
        let Some(id) = known else { return (answer, None) };
        let awaited = self.update_endpoint(id, modify, &mut answer);
        (answer, awaited.then_some(id))
    }

    fn expire_conference(&mut self, id: ConferenceId) {
        let endpoints: Vec<EndpointId> =
            self.conferences.get(&id).map(|it| it.endpoints.values().copied().collect()).unwrap_or_default();
        for endpoint in endpoints {
            self.expire_endpoint(endpoint);
        }
        self.expire_if_empty(id);
    }

    fn expire_if_empty(&mut self, id: ConferenceId) {
        if self.conferences.get(&id).is_none_or(|conference| !conference.endpoints.is_empty()) {
            return;
        }
        if let Some(conference) = self.conferences.remove(&id) {
            self.meetings.remove(&conference.meeting_id);
            self.local_ids.remove(&conference.local_id);
        }
    }

    fn fresh(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    fn command(&mut self, command: Command) {
        self.output.push_back(Output::Command(command));
    }

    fn tell_association(&mut self, command: association::Command) {
        self.output.push_back(Output::Association(command));
    }
}

impl Conference {
    fn feedback_sources(&self) -> Vec<MediaSource> {
        let source = |media, letter: char, ssrc: Ssrc| MediaSource {
            media,
            id: format!("{BRIDGE_OWNER}-{letter}0"),
            synthetic: false,
            video_type: contract::session::VideoType::Camera,
            ssrcs: vec![ssrc.0],
            groups: Vec::new(),
        };
        vec![source(Media::Audio, 'a', self.feedback.audio), source(Media::Video, 'v', self.feedback.video)]
    }
}

#[cfg(test)]
mod tests;
