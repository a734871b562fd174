//! Bringing participants onto the bridge and offering them a session; what the bridge answers.

use std::time::Duration;

use contract::Timestamp;
use contract::session::Media;
use xmpp::Element;
use xmpp::jid::BareJid;

use super::conference::Session;
use super::{Focus, Timer};
use crate::colibri2::model::{
    Capability, ConferenceModified, ConferenceModify, EndpointModify, ForceMute, MediaModify, MediaSource,
    ModifyError, Reason, Sctp, TransportModify,
};
use crate::jingle::description::Description;
use crate::jingle::features::Features;
use crate::jingle::session::{EndReason, Offer, Pending};
use crate::jingle::transport::Transport;
use crate::source_map::EndpointSources;
use crate::stanza_error::Condition;

/// What the bridge was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// To seat an endpoint.
    Allocate {
        /// Where.
        room: BareJid,
        /// Whom.
        nick: String,
        /// Which of its allocations.
        allocation: u64,
    },
    /// To change one.
    Update {
        /// Where.
        room: BareJid,
        /// Whom.
        nick: String,
    },
    /// To make new ICE credentials for the session `sid`.
    RestartIce {
        /// Where.
        room: BareJid,
        /// Whom.
        nick: String,
        /// Which session.
        sid: String,
    },
    /// To remove endpoints or the conference.
    Expire,
}

/// After a failed allocation the next is made after this, then after twice as long, and so on.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Failed allocations in a row after which a participant is left alone until it asks.
const FAILURES_MAX: u32 = 6;

impl Focus {
    /// Invites everybody who is ready and not invited, if there are enough occupants.
    pub(super) fn invite_all(&mut self, room: &BareJid, now: Timestamp) {
        self.watch_alone(room, now);
        let Some(conference) = self.conferences.get(room) else { return };
        if conference.participants.len() < self.config.participants_min {
            return;
        }
        let ready = conference.participants.iter().filter(|participant| {
            let waiting = matches!(participant.session, Session::None);
            waiting && participant.features.is_some() && !participant.declined
        });
        let ready: Vec<String> = ready.map(|participant| participant.nick.clone()).collect();
        for nick in ready {
            self.allocate(room, &nick, now);
        }
    }

    fn allocate(&mut self, room: &BareJid, nick: &str, now: Timestamp) {
        self.expire_at_bridge(room, nick, now);
        let allocation = self.number();
        let Some(conference) = self.conferences.get_mut(room) else { return };
        let forced = conference.participant(nick).map(|it| conference.forced(it)).unwrap_or_default();
        let Some(participant) = conference.participant_mut(nick) else { return };
        participant.session = Session::Allocating { allocation };
        participant.forced = forced;
        let features = participant.features.unwrap_or_default();
        let rewrites = participant.rewrites(&self.config);
        let stats_id = participant.stats_id.clone();
        let mut capabilities = vec![Capability::SourceNames];
        if rewrites {
            capabilities.push(Capability::SsrcRewriting);
            if features.mid_demux && self.config.codecs.mid {
                capabilities.push(Capability::RtpMidDemux);
            }
        }
        let endpoint = EndpointModify {
            id: nick.to_owned(),
            create: true,
            stats_id,
            capabilities,
            media: self.media(&features),
            transport: Some(TransportModify {
                ice_controlling: true,
                sctp: (self.config.sctp && features.sctp).then(Sctp::default),
                ..TransportModify::default()
            }),
            sources: Some(Vec::new()),
            force_mute: (forced != ForceMute::default()).then_some(forced),
            ..EndpointModify::default()
        };
        let Some(conference) = self.conferences.get_mut(room) else { return };
        let modify = ConferenceModify {
            meeting_id: conference.meeting_id.clone(),
            name: Some(room.to_string()),
            create: conference.at_bridge.is_empty(),
            endpoints: vec![endpoint],
            ..ConferenceModify::default()
        };
        conference.at_bridge.insert(nick.to_owned());
        let asked = Asked::Allocate { room: room.clone(), nick: nick.to_owned(), allocation };
        self.ask_bridge(asked, &modify, now);
    }

    fn media(&self, features: &Features) -> Vec<MediaModify> {
        let offered = [(features.audio, Media::Audio), (features.video, Media::Video)];
        let offered = offered.into_iter().filter(|(offered, _)| *offered);
        let descriptions = offered.map(|(_, media)| Description::offer(media, features, &self.config.codecs));
        descriptions
            .map(|description| MediaModify {
                media: description.media,
                payload_types: description.payload_types,
                extensions: description.extensions,
                allow_mixed: description.allow_mixed,
            })
            .collect()
    }

    /// Sends what changed of an endpoint to the bridge.
    pub(super) fn update_at_bridge(
        &mut self,
        room: &BareJid,
        nick: &str,
        change: EndpointModify,
        asked: Asked,
        now: Timestamp,
    ) {
        let Some(conference) = self.conferences.get(room) else { return };
        let modify = ConferenceModify {
            meeting_id: conference.meeting_id.clone(),
            endpoints: vec![EndpointModify { id: nick.to_owned(), ..change }],
            ..ConferenceModify::default()
        };
        self.ask_bridge(asked, &modify, now);
    }

    /// Removes an endpoint from the bridge if it is there.
    pub(super) fn expire_at_bridge(&mut self, room: &BareJid, nick: &str, now: Timestamp) {
        let Some(conference) = self.conferences.get_mut(room) else { return };
        if conference.at_bridge.remove(nick) {
            let change = EndpointModify { expire: true, ..EndpointModify::default() };
            self.update_at_bridge(room, nick, change, Asked::Expire, now);
        }
    }

    /// Removes the whole conference from the bridge if it is there.
    pub(super) fn expire_bridge_conference(&mut self, room: &BareJid, now: Timestamp) {
        let Some(conference) = self.conferences.get_mut(room) else { return };
        if conference.at_bridge.is_empty() {
            return;
        }
        conference.at_bridge.clear();
        let modify = ConferenceModify {
            meeting_id: conference.meeting_id.clone(),
            expire: true,
            ..ConferenceModify::default()
        };
        self.ask_bridge(Asked::Expire, &modify, now);
    }

    /// Takes an answer of the bridge.
    pub(super) fn bridge_answered(
        &mut self,
        request: u64,
        answer: Result<ConferenceModified, ModifyError>,
        now: Timestamp,
    ) {
        let Some(asked) = self.asked.remove(&request) else { return };
        self.bridge_refusals += u64::from(answer.is_err());
        match (asked, answer) {
            (Asked::Allocate { room, nick, allocation }, answer) => {
                let conference = self.conferences.get(&room);
                let participant = conference.and_then(|conference| conference.participant(&nick));
                // The participant may have left, or left and come back, since.
                let current = participant.is_some_and(|participant| {
                    matches!(participant.session, Session::Allocating { allocation: current } if current == allocation)
                });
                match answer {
                    _ if !current => {}
                    Ok(modified) => self.allocated(&room, &nick, modified, now),
                    Err(error) => self.allocation_failed(&room, &nick, &error, now),
                }
            }
            (Asked::RestartIce { room, nick, sid }, Ok(modified)) => {
                self.ice_restarted(&room, &nick, &sid, modified, now);
            }
            (Asked::Update { room, nick } | Asked::RestartIce { room, nick, .. }, Err(error)) => {
                self.update_failed(&room, &nick, &error, now);
            }
            (Asked::Update { .. }, Ok(_)) | (Asked::Expire, _) => {}
        }
    }

    fn allocated(&mut self, room: &BareJid, nick: &str, modified: ConferenceModified, now: Timestamp) {
        let Some(conference) = self.conferences.get_mut(room) else { return };
        conference.learn_bridge_sources(&modified.sources);
        let transport = modified.endpoints.into_iter().find_map(|endpoint| endpoint.transport);
        match transport {
            Some(transport) => self.offer(room, nick, &transport.ice),
            None => {
                self.expire_at_bridge(room, nick, now);
                if let Some(participant) = self.conference(room).participant_mut(nick) {
                    participant.session = Session::None;
                    participant.declined = true;
                }
            }
        }
    }

    fn offer(&mut self, room: &BareJid, nick: &str, transport: &Transport) {
        let Some(conference) = self.conferences.get_mut(room) else { return };
        let sources = conference.offered(nick, &self.config);
        let audio_full = conference.sources.senders(Media::Audio) >= self.config.audio_senders_max;
        let video_full = conference.sources.senders(Media::Video) >= self.config.video_senders_max;
        let (audio_muted, video_muted) = conference.starts_muted(nick);
        let (audio_muted, video_muted) = (audio_full || audio_muted, video_full || video_muted);
        let Some(participant) = conference.participant_mut(nick) else { return };
        let features = participant.features.unwrap_or_default();
        let offer = Offer {
            initiator: self.config.focus_jid.as_str(),
            features: &features,
            codecs: &self.config.codecs,
            transport,
            region: self.config.region.as_deref(),
            audio_muted,
            video_muted,
            sources: &sources,
        };
        let (pending, jingle) = Pending::initiate(&mut self.random, &offer);
        participant.session = Session::Pending(pending);
        participant.invited = true;
        participant.failures = 0;
        participant.changed.clear();
        // The bridge's own sources come first and never change within a session.
        participant.signalled = sources.into_iter().skip(1).collect();
        let id = self.send_set(room, nick, jingle);
        if let Some(participant) = self.conference(room).participant_mut(nick) {
            participant.initiate = Some(id);
        }
    }

    /// An error answer to an offer means that the client will not have it.
    pub(super) fn initiate_answered(&mut self, room: &BareJid, nick: &str, iq: &Element, now: Timestamp) {
        let conference = self.conferences.get_mut(room);
        let Some(participant) = conference.and_then(|conference| conference.participant_mut(nick)) else {
            return;
        };
        if participant.initiate.is_none() || participant.initiate.as_deref() != iq.attribute("id") {
            return;
        }
        participant.initiate = None;
        if iq.attribute("type") == Some("error") && matches!(participant.session, Session::Pending(_)) {
            participant.declined = true;
            participant.end_session(EndReason::Failed);
            self.expire_at_bridge(room, nick, now);
        }
    }

    fn allocation_failed(&mut self, room: &BareJid, nick: &str, error: &ModifyError, now: Timestamp) {
        let Some(conference) = self.conferences.get_mut(room) else { return };
        // What the bridge has and should not have is expired below.
        let conflict = error.condition == Condition::Conflict;
        if !conflict {
            conference.at_bridge.remove(nick);
        }
        let Some(participant) = conference.participant_mut(nick) else { return };
        participant.session = Session::None;
        participant.failures += 1;
        // What is wrong with the request itself would be wrong again.
        let hopeless = matches!(error.condition, Condition::BadRequest | Condition::FeatureNotImplemented);
        if hopeless || participant.failures > FAILURES_MAX {
            participant.declined = true;
            return;
        }
        let at = now + RETRY_AFTER * (1 << (participant.failures - 1));
        if conflict || error.reason == Reason::ConferenceNotFound {
            self.lost_bridge(room, now);
        }
        self.set_timer(at, Timer::Invite(room.clone()));
    }

    fn update_failed(&mut self, room: &BareJid, nick: &str, error: &ModifyError, now: Timestamp) {
        match error.reason {
            Reason::UnknownEndpoint => self.reinvite(room, nick, now),
            Reason::ConferenceNotFound => {
                self.lost_bridge(room, now);
                self.invite_all(room, now);
            }
            // Whatever else the bridge dislikes came from this participant, and stays with it.
            _ => {
                let conference = self.conferences.get_mut(room);
                let Some(participant) = conference.and_then(|it| it.participant_mut(nick)) else { return };
                participant.declined = true;
                if let Some(farewell) = participant.end_session(EndReason::Failed) {
                    self.send_set(room, nick, farewell);
                }
                self.drop_sources(room, nick);
                self.expire_at_bridge(room, nick, now);
            }
        }
    }

    /// The bridge and we disagree about the conference: all of it is taken from the bridge, everybody gets a new offer.
    fn lost_bridge(&mut self, room: &BareJid, now: Timestamp) {
        self.expire_bridge_conference(room, now);
        let Some(conference) = self.conferences.get(room) else { return };
        let nicks: Vec<String> =
            conference.participants.iter().map(|participant| participant.nick.clone()).collect();
        for nick in nicks {
            self.end_at_client(room, &nick);
        }
    }

    /// The bridge dropped an endpoint by itself. If its occupant is still there, it gets a new offer.
    pub(super) fn endpoint_lost(&mut self, meeting_id: &str, nick: &str, now: Timestamp) {
        let Some(room) = self.meetings.get(meeting_id).cloned() else { return };
        if let Some(conference) = self.conferences.get_mut(&room) {
            conference.at_bridge.remove(nick);
        }
        self.reinvite(&room, nick, now);
    }

    /// Ends a session, to begin another.
    pub(super) fn reinvite(&mut self, room: &BareJid, nick: &str, now: Timestamp) {
        self.end_at_client(room, nick);
        self.expire_at_bridge(room, nick, now);
        self.invite_all(room, now);
    }

    fn end_at_client(&mut self, room: &BareJid, nick: &str) {
        let conference = self.conferences.get_mut(room);
        let Some(participant) = conference.and_then(|conference| conference.participant_mut(nick)) else {
            return;
        };
        let farewell = participant.end_session(EndReason::Moving);
        if let Some(farewell) = farewell {
            self.send_set(room, nick, farewell);
        }
        self.drop_sources(room, nick);
    }

    /// A participant stays without a session: the others are told that its sources are gone.
    pub(super) fn drop_sources(&mut self, room: &BareJid, nick: &str) {
        let Some(conference) = self.conferences.get_mut(room) else { return };
        if !conference.sources.remove_owner(nick).is_empty() {
            self.announce(room, nick);
        }
    }
}

/// The sources of an endpoint as the bridge is told, one per name.
pub(super) fn media_sources(sources: &EndpointSources) -> Vec<MediaSource> {
    let mut told: Vec<MediaSource> = Vec::new();
    for source in &sources.sources {
        match told.iter_mut().find(|known| known.id == source.name) {
            Some(known) => known.ssrcs.push(source.ssrc),
            None => told.push(MediaSource {
                media: source.media,
                id: source.name.clone(),
                synthetic: false,
                video_type: source.video_type,
                ssrcs: vec![source.ssrc],
                groups: Vec::new(),
            }),
        }
    }
    for group in &sources.groups {
        let owner = told.iter_mut().find(|known| group.ssrcs.iter().all(|ssrc| known.ssrcs.contains(ssrc)));
        if let Some(known) = owner {
            known.groups.push(group.clone());
        }
    }
    told
}
