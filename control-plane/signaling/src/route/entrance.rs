//! Who may do what by its password or token: start a conference, enter a room, moderate in it; and what is said of it
//! there.

use contract::Timestamp;
use xmpp::jid::BareJid;
use xmpp::{Element, SessionId, ns, stanza};

use super::Signaling;
use crate::admission;
use crate::authentication::{Denied, Granted, Hosts, Requester};
use crate::focus::{ConferenceAnswer, ConferenceRefusal, ConferenceRequest};
use crate::room::{Affiliation, VOUCHED};
use crate::stanza_error::Refusal;
use xmpp::credentials::Credentials;

/// Whom a request for a conference comes from.
pub(super) enum Asker<'a> {
    /// A session.
    Session(SessionId),
    /// Nobody who is connected: over HTTP, with what its token says.
    Http(&'a Credentials),
}

impl Signaling {
    /// A request for a conference, from whomever.
    pub(super) fn conference_for(
        &mut self,
        asker: &Asker<'_>,
        request: &ConferenceRequest,
        now: Timestamp,
    ) -> Result<ConferenceAnswer, ConferenceRefusal> {
        let (jid, credentials) = self.requester(asker)?;
        let (granted, mut answer) = if self.admits(&credentials, &request.room, now) {
            let granted = self.authorize(jid.as_ref(), &credentials, request, now)?;
            let answer = self.conference(request, now)?;
            if let Asker::Session(session) = asker {
                self.upgrade(*session, &request.room, now);
            }
            (granted, answer)
        } else {
            // Stock clients repeat a refused request for ever and show why a join is refused. So the token of another room is
            // told so when it joins, as by existing servers; no room is made for it.
            (Granted::default(), self.focus.ready_answer())
        };
        if let Hosts::Authenticated { external } = self.authentication.hosts() {
            answer.properties.retain(|(name, _)| name != "authentication");
            answer.properties.push(("authentication".to_owned(), "true".to_owned()));
            if external {
                answer.properties.push(("externalAuth".to_owned(), "true".to_owned()));
            }
        }
        answer.session_id = granted.session_id;
        answer.identity = granted.identity;
        Ok(answer)
    }

    /// Whether a session may enter a room that it is not in. Hosts are made owners before they are inside.
    pub(super) fn admit_by_credentials(
        &mut self,
        session: SessionId,
        address: &BareJid,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let Some(entry) = self.sessions.get(&session) else { return Ok(()) };
        if self.rooms.get(address).is_some_and(|room| room.occupant_of(session).is_some()) {
            return Ok(());
        }
        // Also where no room is: it was not made for this token.
        if !self.admits(&entry.credentials, address, now) {
            return Err(Refusal::TokenOfOtherRoom);
        }
        self.upgrade(session, address, now);
        Ok(())
    }

    /// What a session proved: when it began, and anew when its stream is resumed.
    pub(super) fn credentials_changed(
        &mut self,
        session: SessionId,
        credentials: Credentials,
        now: Timestamp,
    ) {
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        let token = credentials.token.clone();
        entry.credentials = credentials;
        for address in entry.rooms.clone() {
            let mut out = Vec::new();
            if let Some(room) = self.rooms.get_mut(&address) {
                room.token_changed(session, token.as_ref(), &mut out);
            }
            self.apply(&address, out, now);
        }
    }

    /// Whether the focus may make this session an owner for want of another: not if its token says that it does not moderate.
    pub(super) fn may_own(&self, session: SessionId) -> bool {
        let token = self.sessions.get(&session).and_then(|entry| entry.credentials.token.as_ref());
        token.is_none_or(|claims| claims.is_moderator != Some(false))
    }

    /// Takes away what clients say of their own identity and adds what is known of it.
    pub(super) fn vouch(&self, session: SessionId, presence: &mut Element) {
        presence.retain_children(|child| child.ns() != VOUCHED);
        let identity = self.sessions.get(&session).and_then(|entry| admission::identity(&entry.credentials));
        if let Some(identity) = identity {
            presence.push(Element::new("vouched", VOUCHED).with(identity));
        }
    }

    /// Where to log in.
    pub(super) fn login_url(&mut self, session: SessionId, iq: &Element, asked: &Element) {
        let room = asked.attribute("room").and_then(|room| self.room_address(room));
        let Some(room) = room else { return self.refuse(session, iq, Refusal::Malformed) };
        let name = room.node().map(|name| name.to_string()).unwrap_or_default();
        let url = match &self.config.login_url {
            Some(url) => url.replace("{room}", &name),
            None => format!("./{name}?login=true"),
        };
        let mut answer = Element::new("login-url", ns::FOCUS).attr("url", url).attr("room", room.as_str());
        for kept in ["machine-uid", "popup"] {
            answer = answer.attr_if(kept, asked.attribute(kept));
        }
        self.send(session, stanza::iq_result(iq).with(answer));
    }

    /// The browser's session ends.
    pub(super) fn logout(&mut self, session: SessionId, iq: &Element, asked: &Element) {
        let Some(id) = asked.attribute("session-id") else {
            return self.refuse(session, iq, Refusal::Malformed);
        };
        self.authentication.logout(id);
        self.send(session, stanza::iq_result(iq).with(Element::new("logout", ns::FOCUS)));
    }

    /// The address of who asks, if it is connected, and what it proved.
    fn requester(&self, asker: &Asker<'_>) -> Result<(Option<BareJid>, Credentials), ConferenceRefusal> {
        match asker {
            Asker::Http(credentials) => Ok((None, (*credentials).clone())),
            Asker::Session(session) => {
                let entry = self.sessions.get(session).ok_or(ConferenceRefusal::NotAuthorized)?;
                Ok((Some(entry.jid.to_bare()), entry.credentials.clone()))
            }
        }
    }

    fn authorize(
        &mut self,
        jid: Option<&BareJid>,
        credentials: &Credentials,
        request: &ConferenceRequest,
        now: Timestamp,
    ) -> Result<Granted, ConferenceRefusal> {
        let requester = Requester {
            jid,
            credentials,
            machine_uid: request.machine_uid.as_deref(),
            session_id: request.session_id.as_deref(),
        };
        // A breakout room belongs to a conference that somebody was let start.
        let is_part = self.breakouts.main(&request.room).is_some();
        let is_running = is_part || self.rooms.contains_key(&request.room);
        self.authentication.authorize(requester, is_running, now).map_err(|denied| match denied {
            Denied::NotAuthorized => ConferenceRefusal::NotAuthorized,
            Denied::SessionInvalid => ConferenceRefusal::SessionInvalid,
        })
    }

    /// Makes a session an owner of a room, if it is a host.
    fn upgrade(&mut self, session: SessionId, address: &BareJid, now: Timestamp) {
        let Some(entry) = self.sessions.get(&session) else { return };
        let jid = entry.jid.to_bare();
        let is_guarded = matches!(self.authentication.hosts(), Hosts::Authenticated { .. });
        let by_token =
            entry.credentials.token.as_ref().map(|claims| claims.is_moderator.unwrap_or(is_guarded));
        let is_host =
            entry.credentials.is_account || by_token == Some(true) || self.authentication.is_host(&jid, now);
        // Lobbies and breakout rooms take their moderators from the main room.
        let is_main = self.domains.is_muc(address.domain().as_str());
        if !is_host || !is_main {
            return;
        }
        let (clock, mut out) = (self.clock(now), Vec::new());
        let Some(room) = self.rooms.get_mut(address) else { return };
        room.affiliate(&jid, Affiliation::Owner, None, None, clock, &mut out);
        self.apply(address, out, now);
    }

    /// Whether a token holds and is for this room; for a breakout room, for the main room that it belongs to.
    fn admits(&self, credentials: &Credentials, room: &BareJid, now: Timestamp) -> bool {
        if admission::has_ended(credentials, self.clock(now).unix_ms) {
            return false;
        }
        let room = self.breakouts.main(room).unwrap_or(room);
        let main = self.domains.main.as_str();
        let prefix = room.domain().as_str().strip_suffix(main).and_then(|rest| rest.strip_suffix('.'));
        let tenant = prefix.and_then(|prefix| prefix.split_once('.')).map(|(_, tenant)| tenant);
        admission::admits(credentials, self.config.token_rules, room, main, tenant)
    }
}
