//! What occupants ask of the services, and what these tell the room: moderation of senders, metadata, polls, speaker
//! statistics. The sender of a command is whoever its session is in the room.

use serde_json::Value;
use xmpp::Element;

use super::permissions::CREATE_POLLS;
use super::presence::send;
use super::{Clock, FOCUS_NICK, Kind, Occupant, Output, Room, Sender};
use crate::services::av_moderation::{self, AvModeration};
use crate::services::json;
use crate::services::polls::Person;
use crate::stanza_error::Refusal;

impl Room {
    /// Who may unmute.
    pub fn moderation(&self) -> &AvModeration {
        &self.moderation
    }

    /// Whether who comes in starts without sound, and without picture.
    pub fn start_muted(&self) -> (bool, bool) {
        (self.metadata.is("startMuted", "audio"), self.metadata.is("startMuted", "video"))
    }

    /// `<av_moderation/>`: a moderator switches moderation of one kind, or lets somebody unmute, or no longer.
    pub(crate) fn moderate(
        &mut self,
        sender: Sender<'_>,
        command: &Element,
        out: &mut Vec<Output>,
    ) -> Result<(), Refusal> {
        let actor = self.moderator(sender)?.nick.clone();
        let kind = command.attribute("mediaType").and_then(av_moderation::Kind::parse);
        let kind = kind.ok_or(Refusal::Malformed)?;
        match (
            command.attribute("enable"),
            command.attribute("jidToWhitelist"),
            command.attribute("jidToBlacklist"),
        ) {
            (Some("true"), ..) => self.start_moderation(kind, &actor, out),
            (Some("false"), ..) => self.stop_moderation(kind, &actor, out),
            (None, Some(address), _) => {
                let nick = self.nick_of(address)?;
                let is_on = self.moderation.is_on(kind);
                let is_new = self.moderation.allow(kind, &nick);
                if is_new || !is_on {
                    self.tell_verdict(kind, &nick, true, is_on, out);
                }
            }
            (None, None, Some(address)) => {
                let nick = self.nick_of(address)?;
                if self.moderation.disallow(kind, &nick) {
                    self.tell_verdict(kind, &nick, false, true, out);
                }
            }
            _ => return Err(Refusal::Malformed),
        }
        Ok(())
    }

    /// `<room_metadata/>`: a moderator sets a key.
    pub(crate) fn set_metadata(
        &mut self,
        sender: Sender<'_>,
        command: &Element,
        out: &mut Vec<Output>,
    ) -> Result<(), Refusal> {
        self.moderator(sender)?;
        let Some(key) = self.metadata.take(&command.text())? else { return Ok(()) };
        self.broadcast_metadata(out);
        if key == "startMuted" {
            out.push(Output::Policy { actor: None });
        }
        Ok(())
    }

    /// A command about polls.
    pub(crate) fn poll(
        &mut self,
        sender: Sender<'_>,
        message: &Element,
        out: &mut Vec<Output>,
    ) -> Result<(), Refusal> {
        let occupant = self.occupant_of(sender.session).ok_or(Refusal::NotAnOccupant)?;
        let command = json::of(message).ok_or(Refusal::Malformed)?;
        let asks = command.get("command").and_then(Value::as_str) == Some("new-poll");
        if asks && self.metadata.is("permissions", "pollCreationRestricted") && !occupant.may(CREATE_POLLS) {
            return Err(Refusal::PollsRestricted);
        }
        let name = occupant.display_name().unwrap_or_default();
        let person = Person { nick: occupant.nick.clone(), name };
        if let Some(told) = self.polls.take(&person, &command)? {
            let message = json::message(&self.domains.polls, None, &told);
            self.broadcast(&message, out);
        }
        Ok(())
    }

    /// `<speakerstats/>` or `<faceLandmarks/>`: a client tells about itself.
    pub(crate) fn speak(
        &mut self,
        sender: Sender<'_>,
        report: &Element,
        clock: Clock,
    ) -> Result<(), Refusal> {
        let nick = self.occupant_of(sender.session).ok_or(Refusal::NotAnOccupant)?.nick.clone();
        if report.name() == "speakerstats" {
            self.speakers.speaks(&nick, report.attribute("silence") == Some("true"), clock.now);
            return Ok(());
        }
        let number = |name: &str| report.attribute(name).and_then(|text| text.parse::<f64>().ok());
        let expression = report.attribute("faceExpression").ok_or(Refusal::Malformed)?;
        let duration = number("duration").ok_or(Refusal::Malformed)?;
        let timestamp = number("timestamp").unwrap_or(clock.unix_ms as f64);
        self.speakers.face(&nick, expression, duration as u64, timestamp as u64);
        Ok(())
    }

    /// The metadata as it is, for a newcomer; it comes before the presence that ends the join.
    pub(super) fn tell_metadata(&self, newcomer: &Occupant, out: &mut Vec<Output>) {
        if let Some(message) = self.metadata_message() {
            send(newcomer, message, out);
        }
    }

    /// The metadata changed.
    pub(super) fn broadcast_metadata(&self, out: &mut Vec<Output>) {
        if let Some(message) = self.metadata_message() {
            self.broadcast(&message, out);
        }
    }

    /// Tells an occupant that just came in what the services know.
    pub(super) fn brief(&mut self, nick: &str, clock: Clock, out: &mut Vec<Output>) {
        if matches!(self.kind, Kind::Lobby { .. }) {
            return;
        }
        self.speakers.joined(nick);
        let Some(newcomer) = self.occupant(nick) else { return };
        let spoken = self.speakers.told(clock.now);
        let told = [(&self.domains.speaker_stats, spoken), (&self.domains.polls, self.polls.history())];
        for (from, value) in told {
            if let Some(value) = value {
                send(newcomer, json::message(from, None, &value), out);
            }
        }
        for kind in av_moderation::Kind::ALL.into_iter().filter(|kind| self.moderation.is_on(*kind)) {
            let state = self.moderation.state(kind, self.jid.as_str(), FOCUS_NICK);
            send(newcomer, json::message(&self.domains.av_moderation, None, &state), out);
        }
        if newcomer.is_moderator() {
            self.moderator_made(nick, out);
        }
    }

    /// The occupant `nick` is a moderator now: whatever is moderated, it may send.
    pub(super) fn moderator_made(&mut self, nick: &str, out: &mut Vec<Output>) {
        let mut changed = false;
        for kind in av_moderation::Kind::ALL {
            if self.moderation.allow(kind, nick) {
                changed = true;
                self.tell_moderators(kind, false, out);
            }
        }
        if changed {
            out.push(Output::Policy { actor: None });
        }
    }

    /// Older clients say in a moderator's presence who starts muted.
    pub(super) fn take_start_muted(&mut self, at: usize, out: &mut Vec<Output>) {
        let Some(occupant) = self.occupants.get(at).filter(|occupant| occupant.is_moderator()) else {
            return;
        };
        let Some(policy) = occupant.presence.child("startmuted", START_MUTED) else { return };
        let asked = ["audio", "video"].map(|media| (media, policy.attribute(media) == Some("true")));
        let mut changed = false;
        for (media, muted) in asked {
            if self.metadata.is("startMuted", media) != muted {
                changed |= self.metadata.set_entry("startMuted", media, Some(muted.into()));
            }
        }
        if changed {
            self.broadcast_metadata(out);
            out.push(Output::Policy { actor: None });
        }
    }

    fn start_moderation(&mut self, kind: av_moderation::Kind, actor: &str, out: &mut Vec<Output>) {
        let moderators =
            self.occupants.iter().filter(|occupant| occupant.is_moderator() && occupant.session.is_some());
        if !self.moderation.start(kind, actor, moderators.map(|occupant| occupant.nick.clone())) {
            return;
        }
        if let Some(before) = self.metadata.entry("startMuted", kind.name()) {
            self.before_moderation.insert(kind.name(), before.clone());
        }
        if self.metadata.set_entry("startMuted", kind.name(), Some(true.into())) {
            self.broadcast_metadata(out);
        }
        self.broadcast_moderation(kind, actor, out);
        self.tell_moderators(kind, false, out);
        out.push(Output::Policy { actor: Some(actor.to_owned()) });
    }

    fn stop_moderation(&mut self, kind: av_moderation::Kind, actor: &str, out: &mut Vec<Output>) {
        if !self.moderation.stop(kind) {
            return;
        }
        let before = self.before_moderation.remove(kind.name());
        if self.metadata.set_entry("startMuted", kind.name(), before) {
            self.broadcast_metadata(out);
        }
        self.broadcast_moderation(kind, actor, out);
        out.push(Output::Policy { actor: Some(actor.to_owned()) });
    }

    fn broadcast_moderation(&self, kind: av_moderation::Kind, actor: &str, out: &mut Vec<Output>) {
        let state = self.moderation.state(kind, self.jid.as_str(), actor);
        self.broadcast(&json::message(&self.domains.av_moderation, None, &state), out);
    }

    fn tell_moderators(&self, kind: av_moderation::Kind, removed: bool, out: &mut Vec<Output>) {
        let lists = self.moderation.whitelists(kind, self.jid.as_str(), removed);
        let message = json::message(&self.domains.av_moderation, None, &lists);
        let moderators = self.occupants.iter().filter(|occupant| occupant.is_moderator());
        moderators.for_each(|moderator| send(moderator, message.clone(), out));
    }

    /// Somebody may unmute now, or may no longer. While the kind is not moderated this asks it to unmute, no more.
    fn tell_verdict(
        &self,
        kind: av_moderation::Kind,
        nick: &str,
        approved: bool,
        is_on: bool,
        out: &mut Vec<Output>,
    ) {
        if is_on {
            self.tell_moderators(kind, !approved, out);
            out.push(Output::Policy { actor: None });
        }
        if let Some(occupant) = self.occupant(nick).filter(|occupant| !is_on || !occupant.is_moderator()) {
            let verdict = AvModeration::verdict(kind, self.jid.as_str(), approved);
            send(occupant, json::message(&self.domains.av_moderation, None, &verdict), out);
        }
    }

    fn metadata_message(&self) -> Option<Element> {
        Some(json::message(&self.domains.metadata, Some(self.jid.as_str()), &self.metadata.told()?))
    }

    /// The nickname in the address of an occupant of this room.
    fn nick_of(&self, address: &str) -> Result<String, Refusal> {
        let (room, nick) = address.split_once('/').ok_or(Refusal::BadAddress)?;
        if !room.eq_ignore_ascii_case(self.jid.as_str()) {
            return Err(Refusal::NoSuchOccupant);
        }
        let occupant = self.occupant(nick).filter(|occupant| occupant.session.is_some());
        Ok(occupant.ok_or(Refusal::NoSuchOccupant)?.nick.clone())
    }
}

/// Who starts muted, in a moderator's presence and in an offer.
const START_MUTED: &str = crate::jingle::ns::START_MUTED;
