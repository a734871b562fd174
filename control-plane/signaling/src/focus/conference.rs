//! What the focus knows of one conference and of each participant in it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use contract::Timestamp;
use contract::session::Media;
use xmpp::jid::{BareJid, FullJid};
use xmpp::{Element, ns};

use super::config::FocusConfig;
use super::{ConferenceRequest, Occupant, SendPolicy};
use crate::colibri2::model::{ForceMute, MediaSource};
use crate::jingle::features::Features;
use crate::jingle::session::{Active, EndReason, Pending};
use crate::jingle::sources::{OwnedSources, bridge_sources};
use crate::source_map::{BRIDGE_OWNER, EndpointSources, SourceMap};

/// One conference.
#[derive(Debug)]
pub(super) struct Conference {
    pub(super) room: BareJid,
    pub(super) meeting_id: String,
    /// In the order of joining.
    pub(super) participants: Vec<Participant>,
    pub(super) sources: SourceMap,
    /// The bridge's own sources while the conference is on the bridge.
    pub(super) bridge_sources: EndpointSources,
    /// Endpoints that the bridge has, or was asked to have.
    pub(super) at_bridge: BTreeSet<String>,
    /// The participants after so many start without sound.
    pub(super) start_audio_muted: Option<usize>,
    /// The participants after so many start without picture.
    pub(super) start_video_muted: Option<usize>,
    /// When it ends unless somebody joins.
    pub(super) empty_at: Timestamp,
    /// When its sessions end unless somebody joins.
    pub(super) alone_at: Timestamp,
    /// What clients were last told in the focus' presence: too many audio senders, too many video senders.
    pub(super) limits: (bool, bool),
    /// Who may send what.
    pub(super) policy: SendPolicy,
    /// It stays though nobody is in it.
    pub(super) kept: bool,
    /// It is that of a breakout room.
    pub(super) breakout: bool,
}

/// One occupant.
#[derive(Debug)]
pub(super) struct Participant {
    pub(super) nick: String,
    pub(super) stats_id: Option<String>,
    pub(super) moderator: bool,
    /// A recorder, a gateway: never made an owner.
    pub(super) service: bool,
    /// Known after discovery.
    pub(super) features: Option<Features>,
    /// Id of the discovery IQ under way.
    pub(super) discovery: Option<String>,
    pub(super) session: Session,
    /// Id of the `session-initiate` under way.
    pub(super) initiate: Option<String>,
    /// Sids that were; the latest last.
    former: VecDeque<String>,
    /// Its sources as told to the client so far, by owner. Empty with SSRC rewriting.
    pub(super) signalled: BTreeMap<String, EndpointSources>,
    /// Owners whose sources changed since.
    pub(super) changed: BTreeSet<String>,
    pub(super) restarts: RestartLimit,
    /// Those in place have a budget of their own: a client whose path stays closed asks for both within seconds, and an error to
    /// the one for a new session makes it load its page anew.
    pub(super) ice_restarts: RestartLimit,
    pub(super) invited: bool,
    /// It ended its session and did not ask for another.
    pub(super) declined: bool,
    /// Allocations that failed in a row.
    pub(super) failures: u32,
    /// What the bridge was told to discard of it.
    pub(super) forced: ForceMute,
}

/// Where the Jingle session of a participant stands.
#[derive(Debug)]
pub(super) enum Session {
    /// There is none.
    None,
    /// The bridge was asked.
    Allocating {
        /// Tells this allocation from those before.
        allocation: u64,
    },
    /// Offered.
    Pending(Pending),
    /// Accepted.
    Active(Active),
}

/// Sids that are remembered per participant to tell a late request from a wrong one.
const FORMER_SIDS_MAX: usize = 4;

impl Conference {
    pub(super) fn new(room: BareJid, meeting_id: String) -> Conference {
        Conference {
            room,
            meeting_id,
            participants: Vec::new(),
            sources: SourceMap::new(),
            bridge_sources: EndpointSources::default(),
            at_bridge: BTreeSet::new(),
            start_audio_muted: None,
            start_video_muted: None,
            empty_at: Timestamp::NEVER,
            alone_at: Timestamp::NEVER,
            limits: (false, false),
            policy: SendPolicy::default(),
            kept: false,
            breakout: false,
        }
    }

    /// When it ends because nobody is in it; `None` if it does not.
    pub(super) fn ends_at(&self) -> Option<Timestamp> {
        (!self.kept).then_some(self.empty_at)
    }

    /// Takes what a conference request says about the conference.
    pub(super) fn configure(&mut self, request: &ConferenceRequest) {
        for (name, value) in &request.properties {
            match name.as_str() {
                "startAudioMuted" => self.start_audio_muted = value.parse().ok(),
                "startVideoMuted" => self.start_video_muted = value.parse().ok(),
                _ => {}
            }
        }
    }

    pub(super) fn participant(&self, nick: &str) -> Option<&Participant> {
        self.participants.iter().find(|participant| participant.nick == nick)
    }

    pub(super) fn participant_mut(&mut self, nick: &str) -> Option<&mut Participant> {
        self.participants.iter_mut().find(|participant| participant.nick == nick)
    }

    /// Takes the bridge's own sources from an answer that has some.
    pub(super) fn learn_bridge_sources(&mut self, sources: &[MediaSource]) {
        let ssrc = |media| sources.iter().find(|source| source.media == media)?.ssrcs.first().copied();
        if let (Some(audio), Some(video)) = (ssrc(Media::Audio), ssrc(Media::Video)) {
            self.bridge_sources = bridge_sources(audio, video);
            self.sources.reserve([audio, video]);
        }
    }

    /// What `nick` may be told of the sources of `owner`.
    pub(super) fn visible(&self, nick: &str, owner: &str, config: &FocusConfig) -> EndpointSources {
        let features =
            self.participant(nick).and_then(|participant| participant.features).unwrap_or_default();
        let Some(sources) = self.sources.get(owner).filter(|_| owner != nick) else {
            return EndpointSources::default();
        };
        let sources = sources.only(|media| match media {
            Media::Audio => features.audio,
            Media::Video => features.video,
        });
        if config.strip_simulcast { sources.without_simulcast() } else { sources }
    }

    /// The sources in an offer to `nick`: the bridge's own first, then those of others unless the bridge channel
    /// tells them.
    pub(super) fn offered(&self, nick: &str, config: &FocusConfig) -> OwnedSources {
        let mut offered = vec![(BRIDGE_OWNER.to_owned(), self.bridge_sources.clone())];
        if self.participant(nick).is_some_and(|participant| participant.rewrites(config)) {
            return offered;
        }
        for (owner, _) in self.sources.iter() {
            let sources = self.visible(nick, owner, config);
            if !sources.is_empty() {
                offered.push((owner.to_owned(), sources));
            }
        }
        offered
    }

    /// Whether `nick` starts without sound, and without picture: it may not send, or it is new and moderators decided so
    /// or enough others may start with them.
    pub(super) fn starts_muted(&self, nick: &str) -> (bool, bool) {
        let Some((index, participant)) =
            self.participants.iter().enumerate().find(|(_, participant)| participant.nick == nick)
        else {
            return (false, false);
        };
        let is_new = !participant.invited;
        let beyond = |limit: Option<usize>| limit.is_some_and(|limit| index >= limit);
        let (forced, policy) = (self.forced(participant), self.policy.start_muted);
        (
            forced.audio || (is_new && (policy.0 || beyond(self.start_audio_muted))),
            forced.video || (is_new && (policy.1 || beyond(self.start_video_muted))),
        )
    }

    /// The children of the focus' presence.
    pub(super) fn properties(&self) -> Vec<Element> {
        let mut properties =
            vec![("support-terminate-restart", "true"), ("visitors-enabled", "false"), ("bridge-count", "1")];
        if self.limits.0 {
            properties.push(("audio-limit-reached", "true"));
        }
        if self.limits.1 {
            properties.push(("video-limit-reached", "true"));
        }
        let properties = properties
            .into_iter()
            .map(|(key, value)| Element::new("property", ns::FOCUS).attr("key", key).attr("value", value));
        vec![
            Element::new("versions", ns::JITMEET)
                .with(Element::new("component", ns::JITMEET).attr("name", "focus").with_text("1.0")),
            Element::new("conference-properties", ns::FOCUS).with_all(properties),
        ]
    }
}

impl Participant {
    pub(super) fn new(occupant: &Occupant<'_>, config: &FocusConfig) -> Participant {
        let mut participant = Participant {
            nick: occupant.nick.to_owned(),
            stats_id: None,
            moderator: occupant.moderator,
            service: is_service(occupant.presence, occupant.real_jid, config),
            features: None,
            discovery: None,
            session: Session::None,
            initiate: None,
            former: VecDeque::new(),
            signalled: BTreeMap::new(),
            changed: BTreeSet::new(),
            restarts: RestartLimit::default(),
            ice_restarts: RestartLimit::default(),
            invited: false,
            declined: false,
            failures: 0,
            forced: ForceMute::default(),
        };
        participant.take_presence(occupant);
        participant
    }

    pub(super) fn take_presence(&mut self, occupant: &Occupant<'_>) {
        self.moderator = occupant.moderator;
        self.stats_id = occupant.presence.child("stats-id", ns::JABBER_CLIENT).map(Element::text);
    }

    /// Whether the client learns sources from the bridge channel only.
    pub(super) fn rewrites(&self, config: &FocusConfig) -> bool {
        config.ssrc_rewriting && self.features.is_some_and(|features| features.ssrc_rewriting)
    }

    pub(super) fn sid(&self) -> Option<&str> {
        match &self.session {
            Session::Pending(pending) => Some(pending.sid()),
            Session::Active(active) => Some(active.sid()),
            Session::None | Session::Allocating { .. } => None,
        }
    }

    pub(super) fn bridge_session(&self) -> Option<&str> {
        match &self.session {
            Session::Pending(pending) => Some(pending.bridge_session()),
            Session::Active(active) => Some(active.bridge_session()),
            Session::None | Session::Allocating { .. } => None,
        }
    }

    pub(super) fn had(&self, sid: &str) -> bool {
        self.former.iter().any(|former| former == sid)
    }

    /// Forgets the session; its `session-terminate` if there was one to terminate.
    pub(super) fn end_session(&mut self, reason: EndReason) -> Option<Element> {
        if let Some(sid) = self.sid().map(str::to_owned) {
            if self.former.len() == FORMER_SIDS_MAX {
                self.former.pop_front();
            }
            self.former.push_back(sid);
        }
        self.signalled.clear();
        self.changed.clear();
        self.initiate = None;
        match std::mem::replace(&mut self.session, Session::None) {
            Session::Pending(pending) => Some(pending.ended(reason)),
            Session::Active(active) => Some(active.ended(reason)),
            Session::None | Session::Allocating { .. } => None,
        }
    }
}

/// Recorders and telephone gateways say so in their presence, or are in a domain of their own.
fn is_service(presence: &Element, real_jid: &FullJid, config: &FocusConfig) -> bool {
    let hidden = config.hidden_domain.as_deref() == Some(real_jid.domain().as_str());
    let features = presence.child("features", ns::JABBER_CLIENT);
    let names = ["http://jitsi.org/protocol/jigasi", "http://jitsi.org/protocol/jibri"];
    let gateway = features.is_some_and(|features| {
        features.children().any(|feature| feature.attribute("var").is_some_and(|var| names.contains(&var)))
    });
    hidden || gateway
}

/// How often a client may ask for a new session, or for new ICE credentials.
#[derive(Debug, Default)]
pub(super) struct RestartLimit(VecDeque<Timestamp>);

/// Shortest time between two restarts of one participant.
const RESTART_INTERVAL: Duration = Duration::from_secs(5);

/// Restarts of one participant per minute.
const RESTARTS_PER_MINUTE: usize = 5;

impl RestartLimit {
    /// Whether one more restart may happen now.
    pub(super) fn admit(&mut self, now: Timestamp) -> bool {
        self.0.retain(|at| now.since(*at) < Duration::from_secs(60));
        let soon = self.0.back().is_some_and(|last| now.since(*last) < RESTART_INTERVAL);
        if soon || self.0.len() >= RESTARTS_PER_MINUTE {
            return false;
        }
        self.0.push_back(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_are_five_seconds_apart_and_five_a_minute() {
        let mut limit = RestartLimit::default();
        let admitted: Vec<u64> =
            (0..60).filter(|second| limit.admit(Timestamp::from_millis(second * 1_000))).collect();
        assert_eq!(admitted, [0, 5, 10, 15, 20]);
        assert!(limit.admit(Timestamp::from_millis(60_000)));
    }
}
