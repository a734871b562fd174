//! What a client can do: asked once, when it joins (XEP-0030, XEP-0115).
//!
//! Answers are not shared between occupants by their caps hash. Whoever publishes somebody else's hash would choose the
//! features, and so the offer, of all that come after; one small IQ per join is cheaper than computing hashes.

use std::time::Duration;

use contract::Timestamp;
use xmpp::jid::BareJid;
use xmpp::{Element, ns, stanza};

use super::{Focus, Occupant, Timer};
use crate::jingle::features::Features;
use crate::random;

/// How long a client may take to answer.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(15);

impl Focus {
    /// Asks an occupant for its features.
    pub(super) fn discover(&mut self, occupant: &Occupant<'_>, now: Timestamp) {
        let iq = random::hex(&mut self.random, 16);
        let caps = occupant.presence.child("c", ns::CAPS);
        let node =
            caps.and_then(|caps| Some(format!("{}#{}", caps.attribute("node")?, caps.attribute("ver")?)));
        let query = Element::new("query", ns::DISCO_INFO).attr_if("node", node);
        self.tell(occupant.room, occupant.nick, stanza::iq_get(&iq, query));
        let (room, nick) = (occupant.room.clone(), occupant.nick.to_owned());
        if let Some(participant) = self.conference(&room).participant_mut(&nick) {
            participant.discovery = Some(iq.clone());
        }
        self.set_timer(now + DISCOVERY_TIMEOUT, Timer::Discovery { room, nick, iq });
    }

    /// Takes the answer, if `iq` is one.
    pub(super) fn discovered(&mut self, room: &BareJid, nick: &str, iq: &Element, now: Timestamp) {
        let conference = self.conferences.get_mut(room);
        let Some(participant) = conference.and_then(|conference| conference.participant_mut(nick)) else {
            return;
        };
        if participant.discovery.is_none() || participant.discovery.as_deref() != iq.attribute("id") {
            return;
        }
        participant.discovery = None;
        let query = iq.child("query", ns::DISCO_INFO).filter(|_| iq.attribute("type") == Some("result"));
        participant.features = Some(query.map(Features::from_query).unwrap_or_default());
        self.invite_all(room, now);
    }

    /// The client did not answer in time: it gets an offer that every client understands.
    pub(super) fn discovery_late(&mut self, room: &BareJid, nick: &str, iq: &str, now: Timestamp) {
        let conference = self.conferences.get_mut(room);
        let Some(participant) = conference.and_then(|conference| conference.participant_mut(nick)) else {
            return;
        };
        if participant.discovery.as_deref() != Some(iq) {
            return;
        }
        participant.discovery = None;
        participant.features = Some(Features::default());
        self.invite_all(room, now);
    }
}
