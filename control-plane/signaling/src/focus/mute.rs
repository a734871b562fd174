//! Mute requests: a moderator asks the focus, the focus asks the client, the client mutes itself.

use xmpp::Element;
use xmpp::jid::BareJid;

use super::Focus;
use super::refusal::Refusal;
use crate::jingle::ns;
use crate::services::av_moderation::Kind;
use contract::Timestamp;

/// The namespaces of `<mute/>`, in the order of [`Kind::ALL`].
pub(super) const MUTE_NAMESPACES: [&str; 3] = [ns::MUTE_AUDIO, ns::MUTE_VIDEO, ns::MUTE_DESKTOP];

impl Focus {
    /// `<mute/>` from an occupant.
    pub(super) fn mute(
        &mut self,
        room: &BareJid,
        nick: &str,
        mute: &Element,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let target = mute.attribute("jid").ok_or(Refusal::Malformed("jid is missing"))?;
        let target = target.rsplit_once('/').map_or(target, |(_, resource)| resource).to_owned();
        let muted = match mute.text().trim() {
            "true" => true,
            "false" => false,
            _ => return Err(Refusal::Malformed("neither true nor false")),
        };
        let conference = self.conferences.get(room).ok_or(Refusal::NotThere)?;
        let requester = conference.participant(nick).ok_or(Refusal::UnknownOccupant)?;
        let participant = conference.participant(&target).ok_or(Refusal::UnknownOccupant)?;
        if target != nick && (!requester.moderator || !muted) {
            return Err(Refusal::NotAllowed);
        }
        if participant.service && !participant.features.is_some_and(|features| features.audio_mute) {
            return Err(Refusal::NotAllowed);
        }
        if muted && target == nick {
            // It has done so already.
            return Ok(());
        }
        if muted {
            let order =
                Element::new("mute", mute.ns()).attr("actor", format!("{room}/{nick}")).with_text("true");
            self.send_set(room, &target, order);
            return Ok(());
        }
        // Nobody else unmutes anybody; what the bridge still holds back is let through if moderators allow it.
        let kind = MUTE_NAMESPACES.into_iter().zip(Kind::ALL).find(|(namespace, _)| *namespace == mute.ns());
        if kind.is_some_and(|(_, kind)| !conference.policy.moderation.allows(kind, nick)) {
            return Err(Refusal::NotAllowed);
        }
        self.update_forced(room, now);
        Ok(())
    }
}
