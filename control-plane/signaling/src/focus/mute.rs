//! Mute requests: a moderator asks the focus, the focus asks the client, the client mutes itself.

use xmpp::Element;
use xmpp::jid::BareJid;

use super::Focus;
use super::refusal::Refusal;
use crate::colibri2::model::{ConferenceModify, EndpointModify, ForceMute};
use crate::focus::invite::Asked;
use crate::jingle::ns;
use contract::Timestamp;

/// The namespaces of `<mute/>`; each is a kind of source.
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
        if muted {
            let order =
                Element::new("mute", mute.ns()).attr("actor", format!("{room}/{nick}")).with_text("true");
            self.send_set(room, &target, order);
            return Ok(());
        }
        // Without a moderation policy everybody may speak: whatever the bridge still holds back is let through.
        if conference.at_bridge.contains(nick) {
            let endpoint = EndpointModify {
                id: nick.to_owned(),
                force_mute: Some(ForceMute::default()),
                ..EndpointModify::default()
            };
            let modify = ConferenceModify {
                meeting_id: conference.meeting_id.clone(),
                endpoints: vec![endpoint],
                ..ConferenceModify::default()
            };
            let asked = Asked::Update { room: room.clone(), nick: nick.to_owned() };
            self.ask_bridge(asked, &modify, now);
        }
        Ok(())
    }
}
