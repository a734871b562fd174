//! Configuration and destruction of a room by its owners (XEP-0045 §10).

use xmpp::{Element, ns, stanza};

use super::info::field;
use super::presence::send;
use super::{Kind, Output, Room, Sender};
use crate::stanza_error::Refusal;

/// What owners may change.
#[derive(Debug, Default)]
pub(super) struct Settings {
    secret: String,
    protected: bool,
    members_only: bool,
}

impl Settings {
    /// The password that a join must bring.
    pub(super) fn password(&self) -> Option<&str> {
        (self.protected && !self.secret.is_empty()).then_some(self.secret.as_str())
    }

    /// Whether others than members wait in the lobby.
    pub(super) fn is_members_only(&self) -> bool {
        self.members_only
    }

    /// The settings after a form was submitted. What the form leaves out keeps its value: clients that switch
    /// something else do not know the password.
    fn submitted(&self, form: &Element) -> Result<Settings, Refusal> {
        let secret = value(form, "muc#roomconfig_roomsecret").unwrap_or_else(|| self.secret.clone());
        if secret.len() > PASSWORD_BYTES_MAX {
            return Err(Refusal::Malformed);
        }
        if value(form, "muc#roomconfig_whois").is_some_and(|whois| whois != WHOIS) {
            return Err(Refusal::NotBuilt);
        }
        let protected = boolean(form, "muc#roomconfig_passwordprotectedroom")?;
        let protected =
            protected.unwrap_or(if secret == self.secret { self.protected } else { !secret.is_empty() });
        let members_only = boolean(form, "muc#roomconfig_membersonly")?.unwrap_or(self.members_only);
        Ok(Settings { protected: protected && !secret.is_empty(), secret, members_only })
    }
}

impl Room {
    /// Answers a `muc#owner` query; the result's payload.
    pub(super) fn owner(
        &mut self,
        sender: Sender<'_>,
        iq: &Element,
        query: &Element,
        out: &mut Vec<Output>,
    ) -> Result<Element, Refusal> {
        let actor = self.moderator(sender)?.nick.clone();
        if matches!(self.kind, Kind::Lobby { .. }) {
            return Err(Refusal::NotBuilt);
        }
        let is_get = stanza::kind(iq) == Some(stanza::Kind::Iq(stanza::IqType::Get));
        if is_get {
            return Ok(self.form());
        }
        if let Some(destroy) = query.child("destroy", ns::MUC_OWNER) {
            let reason = destroy.child("reason", ns::MUC_OWNER).map(Element::text);
            self.destroy(reason.as_deref(), destroy.attribute("jid"), out);
            return Ok(Element::new("query", ns::MUC_OWNER));
        }
        let form = query.child("x", ns::DATA_FORMS).ok_or(Refusal::Malformed)?;
        match form.attribute("type") {
            Some("submit") => {
                let settings = self.settings.submitted(form)?;
                self.configure(settings, &actor, out)?;
            }
            Some("cancel") => {}
            _ => return Err(Refusal::Malformed),
        }
        Ok(Element::new("query", ns::MUC_OWNER))
    }

    /// Ends the room: everybody is out. `alternative` is a room to go to instead.
    pub fn destroy(&mut self, reason: Option<&str>, alternative: Option<&str>, out: &mut Vec<Output>) {
        let mut destroy = Element::new("destroy", ns::MUC_USER).attr_if("jid", alternative);
        if let Some(reason) = reason {
            destroy.push(Element::new("reason", ns::MUC_USER).with_text(reason));
        }
        self.waiting.clear();
        self.over = true;
        for occupant in std::mem::take(&mut self.occupants) {
            let item = Element::new("item", ns::MUC_USER)
                .attr("affiliation", occupant.affiliation.name())
                .attr("role", "none")
                .attr("jid", occupant.jid.as_str());
            let own = Element::new("status", ns::MUC_USER).attr("code", "110");
            let x = Element::new("x", ns::MUC_USER).with(item).with(destroy.clone()).with(own);
            let presence = Element::new("presence", ns::JABBER_CLIENT)
                .attr("type", "unavailable")
                .attr("from", self.address(&occupant.nick))
                .with(x);
            send(&occupant, presence, out);
            if let Some(session) = occupant.session {
                out.push(Output::Left { nick: occupant.nick, session });
            }
        }
    }

    /// Whether the room was destroyed.
    pub fn is_over(&self) -> bool {
        self.over
    }

    fn form(&self) -> Element {
        let fields = [
            ("FORM_TYPE", "hidden", ns::MUC_ROOMCONFIG),
            ("muc#roomconfig_roomsecret", "text-private", self.settings.secret.as_str()),
            ("muc#roomconfig_passwordprotectedroom", "boolean", number(self.settings.protected)),
            ("muc#roomconfig_membersonly", "boolean", number(self.settings.members_only)),
            ("muc#roomconfig_whois", "list-single", WHOIS),
            ("muc#roominfo_meetingId", "text-single", self.meeting_id.as_str()),
        ];
        let fields = fields.map(|(var, kind, value)| field(var, value).attr("type", kind));
        let form = Element::new("x", ns::DATA_FORMS).attr("type", "form").with_all(fields);
        Element::new("query", ns::MUC_OWNER).with(form)
    }
}

fn value(form: &Element, var: &str) -> Option<String> {
    let field = form.children_named("field", ns::DATA_FORMS).find(|f| f.attribute("var") == Some(var))?;
    Some(field.child("value", ns::DATA_FORMS).map(Element::text).unwrap_or_default())
}

fn boolean(form: &Element, var: &str) -> Result<Option<bool>, Refusal> {
    match value(form, var).as_deref() {
        None => Ok(None),
        Some("1" | "true") => Ok(Some(true)),
        Some("0" | "false" | "") => Ok(Some(false)),
        Some(_) => Err(Refusal::Malformed),
    }
}

fn number(value: bool) -> &'static str {
    if value { "1" } else { "0" }
}

/// Real addresses are visible to anyone; nothing else is served.
const WHOIS: &str = "anyone";
/// Longest room password.
const PASSWORD_BYTES_MAX: usize = 256;
