//! Telling participants about the sources of others, where the bridge channel does not.

use contract::session::Media;
use xmpp::jid::BareJid;

use super::conference::Session;
use super::{Focus, Output};
use crate::jingle::session::SourceChange;
use crate::jingle::sources::OwnedSources;

impl Focus {
    /// The sources of `owner` changed: those who must know are told, or will be when they accept.
    pub(super) fn announce(&mut self, room: &BareJid, owner: &str) {
        let Some(conference) = self.conferences.get_mut(room) else { return };
        let mut receivers = Vec::new();
        for participant in &mut conference.participants {
            let offered = matches!(participant.session, Session::Pending(_) | Session::Active(_));
            if participant.nick == owner || !offered || participant.rewrites(&self.config) {
                continue;
            }
            participant.changed.insert(owner.to_owned());
            receivers.push(participant.nick.clone());
        }
        for receiver in receivers {
            self.announce_to(room, &receiver);
        }
        self.announce_limits(room);
    }

    /// Tells a participant all that changed since it was told last. An addition that was taken back in between is
    /// never mentioned.
    pub(super) fn announce_to(&mut self, room: &BareJid, nick: &str) {
        let Some(conference) = self.conferences.get_mut(room) else { return };
        let Some(participant) = conference.participant_mut(nick) else { return };
        if !matches!(participant.session, Session::Active(_)) || participant.changed.is_empty() {
            return;
        }
        let (mut removed, mut added): (OwnedSources, OwnedSources) = Default::default();
        for owner in std::mem::take(&mut participant.changed) {
            let wanted = conference.visible(nick, &owner, &self.config);
            let Some(participant) = conference.participant_mut(nick) else { return };
            let told = participant.signalled.remove(&owner).unwrap_or_default();
            removed.push((owner.clone(), told.minus(&wanted)));
            added.push((owner.clone(), wanted.minus(&told)));
            if !wanted.is_empty() {
                participant.signalled.insert(owner, wanted);
            }
        }
        removed.retain(|(_, sources)| !sources.is_empty());
        added.retain(|(_, sources)| !sources.is_empty());

        let Some(participant) = conference.participant(nick) else { return };
        let Session::Active(active) = &participant.session else { return };
        let json = participant.features.unwrap_or_default().json_sources;
        let stanzas: Vec<_> = [(SourceChange::Remove, removed), (SourceChange::Add, added)]
            .into_iter()
            .filter(|(_, sources)| !sources.is_empty())
            .map(|(change, sources)| active.sources(change, &sources, json))
            .collect();
        for stanza in stanzas {
            self.send_set(room, nick, stanza);
        }
    }

    /// Tells everyone when no more senders are taken, so that they do not offer to unmute.
    fn announce_limits(&mut self, room: &BareJid) {
        let Some(conference) = self.conferences.get_mut(room) else { return };
        let limits = (
            conference.sources.senders(Media::Audio) >= self.config.audio_senders_max,
            conference.sources.senders(Media::Video) >= self.config.video_senders_max,
        );
        if conference.limits != limits {
            conference.limits = limits;
            let children = conference.properties();
            self.output.push_back(Output::Presence { room: room.clone(), children });
        }
    }
}
