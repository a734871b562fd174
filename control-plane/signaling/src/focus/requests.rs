//! What occupants ask of `room/focus`: Jingle (XEP-0166), mute requests, and the little that every entity answers.

use contract::Timestamp;
use contract::session::Media;
use xmpp::jid::BareJid;
use xmpp::{Element, ns};

use super::Focus;
use super::conference::{Conference, Participant, Session};
use super::invite::{Asked, media_sources};
use super::mute::MUTE_NAMESPACES;
use super::refusal::Refusal;
use crate::colibri2::model::{ConferenceModified, EndpointModify, TransportModify};
use crate::jingle::ns as jingle_ns;
use crate::jingle::parse::{Accept, Action, Info, Request, Terminate};
use crate::jingle::session::EndReason;
use crate::jingle::transport::Transport;
use crate::source_map::EndpointSources;

impl Focus {
    /// The result of an IQ; what else follows from it is in the output already.
    pub(super) fn request(
        &mut self,
        room: &BareJid,
        nick: &str,
        iq: &Element,
        now: Timestamp,
    ) -> Result<Element, Refusal> {
        let result =
            Element::new("iq", ns::JABBER_CLIENT).attr_if("id", iq.attribute("id")).attr("type", "result");
        let payload = iq.children().next().ok_or(Refusal::Malformed("empty request"))?;
        match (iq.attribute("type"), payload.name(), payload.ns()) {
            (Some("set"), "jingle", jingle_ns::JINGLE) => self.jingle(room, nick, payload, now)?,
            (Some("set"), "mute", namespace) if MUTE_NAMESPACES.contains(&namespace) => {
                self.mute(room, nick, payload, now)?;
            }
            (Some("get"), "ping", ns::PING) => {}
            (Some("get"), "query", ns::DISCO_INFO) => {
                let identity = Element::new("identity", ns::DISCO_INFO)
                    .attr("category", "conference")
                    .attr("type", "focus");
                let query = Element::new("query", ns::DISCO_INFO).attr_if("node", payload.attribute("node"));
                return Ok(result.with(query.with(identity)));
            }
            _ => return Err(Refusal::Unserved),
        }
        Ok(result)
    }

    fn jingle(
        &mut self,
        room: &BareJid,
        nick: &str,
        jingle: &Element,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let (_, participant) = self.seat(room, nick)?;
        let request = Request::parse(jingle, nick)?;
        let accepting = matches!(request.action, Action::Accept(_));
        check_sid(participant, &request.sid, accepting)?;
        match request.action {
            Action::Accept(accept) => self.accepted(room, nick, *accept, now),
            Action::SourceAdd(sources) => self.sources_added(room, nick, &sources, now),
            Action::SourceRemove(sources) => self.sources_removed(room, nick, &sources, now),
            Action::Terminate(terminate) => self.terminated(room, nick, &terminate, now),
            Action::Info(Info::IceRestart { bridge_session }) => {
                self.restart_ice(room, nick, bridge_session.as_deref(), now)
            }
            Action::Info(Info::IceFailed { bridge_session }) => {
                self.ice_failed(room, nick, bridge_session.as_deref(), now)
            }
            Action::Info(Info::Other) => Ok(()),
            Action::TransportInfo(transport) => {
                self.transport_told(room, nick, *transport, now);
                Ok(())
            }
        }
    }

    /// The client took the offer. Nothing changes unless all of its answer is usable.
    fn accepted(
        &mut self,
        room: &BareJid,
        nick: &str,
        accept: Accept,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if !matches!(self.seat(room, nick)?.1.session, Session::Pending(_)) {
            return Err(Refusal::OutOfOrder);
        }
        if accept.transport.credentials.is_none() || accept.transport.fingerprints.is_empty() {
            return Err(Refusal::Malformed("no ICE credentials or no DTLS fingerprint"));
        }
        self.admit_senders(room, nick, &accept.sources)?;
        let conference = self.conference_of(room)?;
        conference.sources.add(nick, &accept.sources)?;

        let sources = conference.sources.get(nick).map(media_sources).unwrap_or_default();
        if let Some(participant) = conference.participant_mut(nick) {
            participant.session = match std::mem::replace(&mut participant.session, Session::None) {
                Session::Pending(pending) => Session::Active(pending.accepted()),
                other => other,
            };
        }
        let change = EndpointModify {
            transport: Some(TransportModify { ice: Some(accept.transport), ..TransportModify::default() }),
            sources: Some(sources),
            initial_last_n: accept.initial_last_n,
            leaves_out_redundancy: !accept.takes_redundancy,
            ..EndpointModify::default()
        };
        let asked = Asked::Update { room: room.clone(), nick: nick.to_owned() };
        self.update_at_bridge(room, nick, change, asked, now);
        self.announce_to(room, nick);
        if !accept.sources.is_empty() {
            self.announce(room, nick);
        }
        Ok(())
    }

    fn sources_added(
        &mut self,
        room: &BareJid,
        nick: &str,
        sources: &EndpointSources,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.require_active(room, nick)?;
        self.admit_senders(room, nick, sources)?;
        self.conference_of(room)?.sources.add(nick, sources)?;
        self.sources_changed(room, nick, now);
        Ok(())
    }

    fn sources_removed(
        &mut self,
        room: &BareJid,
        nick: &str,
        sources: &EndpointSources,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.require_active(room, nick)?;
        self.conference_of(room)?.sources.remove(nick, sources)?;
        self.sources_changed(room, nick, now);
        Ok(())
    }

    fn sources_changed(&mut self, room: &BareJid, nick: &str, now: Timestamp) {
        let Some(conference) = self.conferences.get(room) else { return };
        let sources = conference.sources.get(nick).map(media_sources).unwrap_or_default();
        let change = EndpointModify { sources: Some(sources), ..EndpointModify::default() };
        let asked = Asked::Update { room: room.clone(), nick: nick.to_owned() };
        self.update_at_bridge(room, nick, change, asked, now);
        self.announce(room, nick);
    }

    /// The client ends its session; it may want another.
    fn terminated(
        &mut self,
        room: &BareJid,
        nick: &str,
        terminate: &Terminate,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let participant = self.seat_mut(room, nick)?;
        let named = terminate.bridge_session.as_deref();
        if named.is_some() && named != participant.bridge_session() {
            return Err(Refusal::StaleBridgeSession);
        }
        let admitted = !terminate.restart || participant.restarts.admit(now);
        participant.declined = !terminate.restart || !admitted;
        participant.end_session(EndReason::Moving);
        self.expire_at_bridge(room, nick, now);
        self.drop_sources(room, nick);
        if !admitted {
            return Err(Refusal::Limit);
        }
        self.invite_all(room, now);
        Ok(())
    }

    /// An older client says that its ICE has failed and waits: unlike one that ends its session itself, it has to be told
    /// that the old session is over before the new one is offered.
    fn ice_failed(
        &mut self,
        room: &BareJid,
        nick: &str,
        bridge_session: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let participant = self.seat_mut(room, nick)?;
        if bridge_session.is_some() && bridge_session != participant.bridge_session() {
            return Err(Refusal::StaleBridgeSession);
        }
        if !participant.restarts.admit(now) {
            return Err(Refusal::Limit);
        }
        self.reinvite(room, nick, now);
        Ok(())
    }

    /// The client wants new ICE credentials without a new session.
    fn restart_ice(
        &mut self,
        room: &BareJid,
        nick: &str,
        bridge_session: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if !self.config.ice_restart {
            return Err(Refusal::NotBuilt);
        }
        self.require_active(room, nick)?;
        let participant = self.seat_mut(room, nick)?;
        if bridge_session != participant.bridge_session() {
            return Err(Refusal::StaleBridgeSession);
        }
        if !participant.ice_restarts.admit(now) {
            return Err(Refusal::Limit);
        }
        let sid = participant.sid().unwrap_or_default().to_owned();
        let change = EndpointModify {
            transport: Some(TransportModify { ice_restart: true, ..TransportModify::default() }),
            ..EndpointModify::default()
        };
        let asked = Asked::RestartIce { room: room.clone(), nick: nick.to_owned(), sid };
        self.update_at_bridge(room, nick, change, asked, now);
        Ok(())
    }

    /// The bridge has new credentials. Without a generation it kept the old ones and there is nothing to tell; without a
    /// transport it could not, and only a new session helps.
    pub(super) fn ice_restarted(
        &mut self,
        room: &BareJid,
        nick: &str,
        sid: &str,
        modified: ConferenceModified,
        now: Timestamp,
    ) {
        let conference = self.conferences.get(room);
        let Some(participant) = conference.and_then(|conference| conference.participant(nick)) else {
            return;
        };
        let Session::Active(active) = &participant.session else { return };
        if active.sid() != sid {
            return;
        }
        match modified.endpoints.into_iter().find_map(|endpoint| endpoint.transport) {
            Some(transport) if transport.ice.generation.is_some() => {
                let jingle = active.transport_info(&transport.ice);
                self.send_set(room, nick, jingle);
            }
            Some(_) => {}
            None => self.reinvite(room, nick, now),
        }
    }

    /// Further candidates, or the answer to an in-place ICE restart. Before acceptance there is nothing to add to.
    fn transport_told(&mut self, room: &BareJid, nick: &str, transport: Transport, now: Timestamp) {
        if self.require_active(room, nick).is_err() {
            return;
        }
        let change = EndpointModify {
            transport: Some(TransportModify { ice: Some(transport), ..TransportModify::default() }),
            ..EndpointModify::default()
        };
        let asked = Asked::Update { room: room.clone(), nick: nick.to_owned() };
        self.update_at_bridge(room, nick, change, asked, now);
    }

    fn require_active(&self, room: &BareJid, nick: &str) -> Result<(), Refusal> {
        match self.seat(room, nick)?.1.session {
            Session::Active(_) => Ok(()),
            _ => Err(Refusal::OutOfOrder),
        }
    }

    /// The conference of `room` and its participant `nick`.
    pub(super) fn seat(&self, room: &BareJid, nick: &str) -> Result<(&Conference, &Participant), Refusal> {
        let conference = self.conferences.get(room).ok_or(Refusal::NotThere)?;
        Ok((conference, conference.participant(nick).ok_or(Refusal::NotThere)?))
    }

    fn seat_mut(&mut self, room: &BareJid, nick: &str) -> Result<&mut Participant, Refusal> {
        self.conference_of(room)?.participant_mut(nick).ok_or(Refusal::NotThere)
    }

    fn conference_of(&mut self, room: &BareJid) -> Result<&mut Conference, Refusal> {
        self.conferences.get_mut(room).ok_or(Refusal::NotThere)
    }

    /// Whether `nick` may send what it does not send yet.
    fn admit_senders(&self, room: &BareJid, nick: &str, added: &EndpointSources) -> Result<(), Refusal> {
        let (conference, _) = self.seat(room, nick)?;
        let limits =
            [(Media::Audio, self.config.audio_senders_max), (Media::Video, self.config.video_senders_max)];
        for (media, limit) in limits {
            let sends = conference.sources.get(nick).is_some_and(|sources| sources.sends(media));
            if !sends && added.sends(media) && conference.sources.senders(media) >= limit {
                return Err(Refusal::Limit);
            }
        }
        Ok(())
    }
}

/// A request must be about the present session.
fn check_sid(participant: &Participant, sid: &str, accepting: bool) -> Result<(), Refusal> {
    if participant.sid() == Some(sid) {
        return Ok(());
    }
    if !participant.had(sid) {
        return Err(Refusal::NoSuchSession);
    }
    match participant.sid() {
        Some(_) if !accepting => Err(Refusal::StaleSession),
        _ => Err(Refusal::EndedSession),
    }
}
