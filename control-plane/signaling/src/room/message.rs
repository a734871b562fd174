//! Chat, JSON messages and the subject (XEP-0045 §7.4, §7.5 and §8.1).

use serde_json::Value;
use xmpp::{Element, Shared, ns};

use super::occupant::is_of_server;
use super::permissions::SEND_GROUPCHAT;
use super::presence::{copy, send};
use super::{Clock, Kind, Occupant, Output, Room, Sender, is_too_large, refuse};
use crate::stanza_error::Refusal;

impl Room {
    /// A message to this room or to one of its occupants.
    pub fn message(&mut self, sender: Sender<'_>, stanza: &Element, clock: Clock, out: &mut Vec<Output>) {
        let nick = stanza.attribute("to").and_then(|to| to.split_once('/')).map(|(_, nick)| nick.to_owned());
        let result = match (nick, stanza.attribute("type")) {
            (_, Some("error")) => Ok(()),
            (Some(nick), Some("chat" | "normal") | None) => self.private(sender, &nick, stanza, out),
            (None, Some("groupchat")) => self.groupchat(sender, stanza, clock, out),
            _ => Err(Refusal::Malformed),
        };
        if let Err(refusal) = result {
            refuse(sender, stanza, refusal, out);
        }
    }

    fn private(
        &self,
        sender: Sender<'_>,
        nick: &str,
        stanza: &Element,
        out: &mut Vec<Output>,
    ) -> Result<(), Refusal> {
        let from = self.occupant_of(sender.session).ok_or(Refusal::NotAnOccupant)?;
        let to = self.occupant(nick).filter(|to| self.hears(to, from)).ok_or(Refusal::NoSuchOccupant)?;
        if let Some(message) = self.relayed(from, stanza)? {
            // Clients tell by it that a room has passed the message on (XEP-0045 §7.5).
            send(to, message.with(Element::new("x", ns::MUC_USER)), out);
        }
        Ok(())
    }

    fn groupchat(
        &mut self,
        sender: Sender<'_>,
        stanza: &Element,
        clock: Clock,
        out: &mut Vec<Output>,
    ) -> Result<(), Refusal> {
        let from = self.occupant_of(sender.session).ok_or(Refusal::NotAnOccupant)?;
        let Some(message) = self.relayed(from, stanza)? else { return Ok(()) };
        let has_body = message.child("body", ns::JABBER_CLIENT).is_some();
        let is_subject = message.child("subject", ns::JABBER_CLIENT).is_some() && !has_body;
        if is_subject && !from.is_moderator() {
            return Err(Refusal::NotAModerator);
        }
        if has_body && self.metadata.is("permissions", "groupChatRestricted") && !from.may(SEND_GROUPCHAT) {
            return Err(Refusal::ChatRestricted);
        }
        let name = from.display_name();
        let from = from.nick.clone();
        self.broadcast_from(&from, &message, out);
        if is_subject {
            self.subject = Some(message);
        } else if has_body && !matches!(self.kind, Kind::Lobby { .. }) {
            self.history.keep(&message, self.jid.as_str(), name.as_deref(), clock.unix_ms);
        }
        Ok(())
    }

    /// Sends `message` of the occupant `nick` to all who may hear it, itself included.
    fn broadcast_from(&self, nick: &str, message: &Element, out: &mut Vec<Output>) {
        let Some(from) = self.occupant(nick) else { return };
        let hearing = self.occupants.iter().filter(|occupant| self.hears(occupant, from));
        let shared = Shared::of(message);
        hearing.for_each(|occupant| copy(occupant, &shared, out));
    }

    /// Sends `message` to everybody.
    pub(crate) fn broadcast(&self, message: &Element, out: &mut Vec<Output>) {
        let shared = Shared::of(message);
        self.occupants.iter().for_each(|occupant| copy(occupant, &shared, out));
    }

    /// The server says `subject` for the room, as in breakout rooms, whose name it is.
    pub fn name(&mut self, subject: &str, out: &mut Vec<Output>) {
        let message = Element::new("message", ns::JABBER_CLIENT)
            .attr("type", "groupchat")
            .attr("from", self.jid.as_str())
            .with(Element::new("subject", ns::JABBER_CLIENT).with_text(subject));
        self.broadcast(&message, out);
        self.subject = Some(message);
    }

    /// The subject.
    pub fn subject(&self) -> Option<String> {
        Some(self.subject.as_ref()?.child("subject", ns::JABBER_CLIENT)?.text())
    }

    /// Tells everybody that the room's configuration is another now (status 104): clients then ask for it.
    pub(super) fn announce_configuration(&self, out: &mut Vec<Output>) {
        let changed = Element::new("status", ns::MUC_USER).attr("code", "104");
        let message = Element::new("message", ns::JABBER_CLIENT)
            .attr("type", "groupchat")
            .attr("from", self.jid.as_str())
            .with(Element::new("x", ns::MUC_USER).with(changed));
        self.broadcast(&message, out);
    }

    /// `stanza` as the occupant `from` may say it: under its own address, without what only a server may add.
    /// `None` if nobody may hear it.
    fn relayed(&self, from: &Occupant, stanza: &Element) -> Result<Option<Element>, Refusal> {
        if is_too_large(stanza) {
            return Err(Refusal::TooLarge);
        }
        if stanza.children().any(is_transcription) {
            return Ok(None);
        }
        let mut message = Element::new("message", ns::JABBER_CLIENT)
            .attr_if("type", stanza.attribute("type"))
            .attr_if("id", stanza.attribute("id"))
            .attr_if("xml:lang", stanza.attribute("xml:lang"))
            .attr("from", self.address(&from.nick));
        for child in stanza.children().filter(|child| !is_by_server(child)) {
            // Clients send replies without the namespace that they look for.
            if child.is("reply", ns::JABBER_CLIENT) {
                message.push(Element::new("reply", ns::REPLY).attr_if("to", child.attribute("to")));
            } else {
                message.push(child.clone());
            }
        }
        Ok(Some(message))
    }
}

fn is_by_server(child: &Element) -> bool {
    let is_muc = child.name() == "x" && matches!(child.ns(), ns::MUC | ns::MUC_USER);
    is_muc || is_of_server(child) || matches!(child.name(), "nick" | "display-name")
}

/// Transcriptions are believed, so only a transcriber may send them; there is none yet.
fn is_transcription(child: &Element) -> bool {
    if !child.is("json-message", ns::JITMEET) {
        return false;
    }
    let json: Value = serde_json::from_str(&child.text()).unwrap_or_default();
    let kind = json.get("type").and_then(Value::as_str);
    matches!(kind, Some("transcription-result" | "translation-result"))
}
