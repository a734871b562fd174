//! What moderators decided about who may send: the bridge discards the rest, clients are asked to mute.

use contract::Timestamp;
use xmpp::Element;
use xmpp::jid::BareJid;

use super::Focus;
use super::conference::{Conference, Participant};
use super::invite::Asked;
use crate::colibri2::model::{EndpointModify, ForceMute};
use crate::jingle::ns;
use crate::services::av_moderation::{AvModeration, Kind};

/// Who may send what in one conference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SendPolicy {
    /// Who may unmute.
    pub moderation: AvModeration,
    /// Whether who comes in starts without sound, and without picture.
    pub start_muted: (bool, bool),
}

impl Focus {
    /// Moderators changed the policy. Who sends a kind that is moderated from now on is asked to mute, `actor` (a
    /// nickname) excepted; who may not unmute is muted at the bridge.
    pub fn policy_changed(
        &mut self,
        room: &BareJid,
        policy: SendPolicy,
        actor: Option<&str>,
        now: Timestamp,
    ) {
        let Some(conference) = self.conferences.get_mut(room) else { return };
        let before = std::mem::replace(&mut conference.policy, policy);
        let policy = &conference.policy.moderation;
        let started =
            Kind::ALL.into_iter().filter(|kind| policy.is_on(*kind) && !before.moderation.is_on(*kind));
        let started: Vec<Kind> = started.collect();
        let asked = conference
            .participants
            .iter()
            .filter(|participant| actor != Some(participant.nick.as_str()) && !participant.is_exempt());
        let asked: Vec<String> = asked.map(|participant| participant.nick.clone()).collect();
        for kind in started {
            for nick in &asked {
                self.send_set(room, nick, Element::new("mute", namespace(kind)).with_text("true"));
            }
        }
        self.update_forced(room, now);
        self.drain(now);
    }

    /// Tells the bridge whom it should mute and does not yet, and the reverse.
    pub(super) fn update_forced(&mut self, room: &BareJid, now: Timestamp) {
        let Some(conference) = self.conferences.get_mut(room) else { return };
        let mut changes = Vec::new();
        for index in 0..conference.participants.len() {
            let Some(participant) = conference.participants.get(index) else { continue };
            let forced = conference.forced(participant);
            let at_bridge = conference.at_bridge.contains(&participant.nick);
            let Some(participant) = conference.participants.get_mut(index).filter(|it| it.forced != forced)
            else {
                continue;
            };
            participant.forced = forced;
            if at_bridge {
                changes.push((participant.nick.clone(), forced));
            }
        }
        for (nick, forced) in changes {
            let change = EndpointModify { force_mute: Some(forced), ..EndpointModify::default() };
            let asked = Asked::Update { room: room.clone(), nick: nick.clone() };
            self.update_at_bridge(room, &nick, change, asked, now);
        }
    }
}

impl Conference {
    /// What the bridge discards of a participant. It knows one kind of video, so either of camera and screen lets both
    /// through.
    pub(super) fn forced(&self, participant: &Participant) -> ForceMute {
        let allows = |kind| self.policy.moderation.allows(kind, &participant.nick);
        if participant.is_exempt() {
            return ForceMute::default();
        }
        ForceMute { audio: !allows(Kind::Audio), video: !allows(Kind::Video) && !allows(Kind::Desktop) }
    }
}

impl Participant {
    /// Recorders and gateways that cannot unmute again are left alone.
    pub(super) fn is_exempt(&self) -> bool {
        self.service && !self.features.is_some_and(|features| features.audio_mute)
    }
}

fn namespace(kind: Kind) -> &'static str {
    match kind {
        Kind::Audio => ns::MUTE_AUDIO,
        Kind::Video => ns::MUTE_VIDEO,
        Kind::Desktop => ns::MUTE_DESKTOP,
    }
}
