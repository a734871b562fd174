//! Members-only rooms and the lobbies before them: who may come in, who waits, and who sees whom while waiting.

use serde_json::json;
use xmpp::jid::BareJid;
use xmpp::{Element, ns};

use super::owner::Settings;
use super::{Affiliation, Kind, Occupant, Output, Room, Sender};
use crate::services::json;
use crate::stanza_error::Refusal;

impl Room {
    /// The lobby before this room, if there is one.
    pub fn lobby(&self) -> Option<BareJid> {
        if !self.settings.is_members_only() {
            return None;
        }
        let domain = self.domains.lobby_of(self.jid.domain().as_str())?;
        BareJid::new(&format!("{}@{domain}", self.jid.node()?)).ok()
    }

    /// Lets the account `jid` in from now on.
    pub fn make_member(&mut self, jid: &BareJid) {
        if self.affiliation(jid) == Affiliation::None && self.affiliations.len() < super::AFFILIATIONS_MAX {
            self.affiliations.insert(jid.clone(), Affiliation::Member);
        }
    }

    /// Tells everybody what became of somebody in the lobby: `event` is one that clients know, `occupant` the address
    /// in the lobby, `by` the moderator's nickname.
    pub fn notify_lobby(
        &self,
        event: &str,
        occupant: &str,
        name: Option<&str>,
        by: &str,
        out: &mut Vec<Output>,
    ) {
        let value = json!({ "type": NOTIFY, "event": event, "value": occupant, "name": name });
        self.say_as(by, json::element(&value), out);
    }

    /// Applies what an owner submitted and tells everybody.
    pub(super) fn configure(
        &mut self,
        settings: Settings,
        actor: &str,
        out: &mut Vec<Output>,
    ) -> Result<(), Refusal> {
        let (was, is) = (self.settings.is_members_only(), settings.is_members_only());
        if is && self.kind != Kind::Main {
            return Err(Refusal::NotBuilt);
        }
        self.settings = settings;
        if was == is {
            self.announce_configuration(out);
            return Ok(());
        }
        if is {
            let inside: Vec<BareJid> = self.occupants.iter().map(|occupant| occupant.jid.to_bare()).collect();
            inside.iter().for_each(|jid| self.make_member(jid));
            for occupant in &mut self.occupants {
                if occupant.affiliation == Affiliation::None {
                    occupant.affiliation = Affiliation::Member;
                    occupant.shown.take();
                }
            }
        }
        // The lobby is there before anybody is told of it.
        out.push(if is { Output::LobbyOpened } else { Output::LobbyClosed });
        self.announce_configuration(out);
        let value = json!({ "type": NOTIFY, "event": "LOBBY-ENABLED", "value": is });
        self.say_as(actor, json::element(&value), out);
        if self.metadata.set("lobbyEnabled", is.into()) {
            self.broadcast_metadata(out);
        }
        Ok(())
    }

    /// What somebody comes into a members-only room as. The password makes a member.
    pub(super) fn member(
        &mut self,
        sender: Sender<'_>,
        join: &Element,
        affiliation: Affiliation,
        knows_password: bool,
    ) -> Result<Affiliation, Refusal> {
        if affiliation != Affiliation::None {
            return Ok(affiliation);
        }
        if knows_password {
            self.make_member(&sender.jid.to_bare());
            return Ok(Affiliation::Member);
        }
        let is_named = join.child("nick", ns::NICK).is_some_and(|nick| !nick.text().trim().is_empty());
        Err(if is_named { Refusal::MembersOnly } else { Refusal::NameRequired })
    }

    /// Refuses a join so that the client asks for a name or waits in the lobby.
    pub(super) fn refuse_into_lobby(
        &self,
        sender: Sender<'_>,
        join: &Element,
        refusal: Refusal,
        out: &mut Vec<Output>,
    ) {
        let mut error = refusal.element();
        let address = self.lobby().map(|lobby| lobby.to_string()).unwrap_or_default();
        // Older clients look for the second one, which stands beside the error.
        let mut beside = None;
        if refusal == Refusal::NameRequired {
            error.set_attribute("code", "406");
            error.push(Element::new("displayname-required", ns::JITMEET).attr("lobby", "true"));
        } else {
            error.set_attribute("code", "407");
            error.push(Element::new("lobbyroom", ns::JITMEET).with_text(address.as_str()));
            beside = Some(Element::new("lobbyroom", ns::JABBER_CLIENT).with_text(address.as_str()));
        }
        let answer = xmpp::stanza::error_answer(join, error).with_all(beside);
        let stanza = answer.attr("to", sender.jid.as_str());
        out.push(Output::Refused { session: sender.session, stanza });
    }

    /// Whether `viewer` is shown the presence of `occupant`: in a lobby, moderators see who waits, and nobody else sees
    /// anybody.
    pub(super) fn sees(&self, viewer: &Occupant, occupant: &Occupant) -> bool {
        let is_lobby = matches!(self.kind, Kind::Lobby { .. });
        !is_lobby || viewer.nick == occupant.nick || (viewer.is_moderator() && !occupant.is_moderator())
    }

    /// Whether `listener` gets what `speaker` says: in a lobby, one of them is a moderator.
    pub(super) fn hears(&self, listener: &Occupant, speaker: &Occupant) -> bool {
        let is_lobby = matches!(self.kind, Kind::Lobby { .. });
        !is_lobby || listener.is_moderator() || speaker.is_moderator()
    }

    /// Somebody is about to be thrown out of this room: if it is a lobby, the main room will want to know.
    pub(super) fn note_denial(&self, nick: &str, by: xmpp::SessionId, out: &mut Vec<Output>) {
        let Some(denied) = self.occupant(nick).filter(|_| matches!(self.kind, Kind::Lobby { .. })) else {
            return;
        };
        out.push(Output::Denied { occupant: self.address(nick), name: denied.display_name(), by });
    }

    /// Sends everybody a groupchat message with `child` as if from the occupant `nick`.
    fn say_as(&self, nick: &str, child: Element, out: &mut Vec<Output>) {
        let message = Element::new("message", ns::JABBER_CLIENT)
            .attr("type", "groupchat")
            .attr("from", self.address(nick))
            .with(child);
        self.broadcast(&message, out);
    }
}

/// The `type` of messages about the lobby.
const NOTIFY: &str = "lobby-notify";
