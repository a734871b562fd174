//! What a room tells about itself (XEP-0045 §6.4 and §15.5).

use xmpp::{Element, ns};

use super::{Kind, Room};
use crate::disco;

impl Room {
    /// The `disco#info` answer. Fields that do not apply are left out: clients take any text, even `0`, for true.
    pub(super) fn info(&self) -> Element {
        let name = self.jid.node().map(|node| node.as_str()).unwrap_or_default();
        let secured =
            if self.settings.password().is_some() { "muc_passwordprotected" } else { "muc_unsecured" };
        let mut form = Element::new("x", ns::DATA_FORMS)
            .attr("type", "result")
            .with(field("FORM_TYPE", ns::MUC_ROOMINFO).attr("type", "hidden"))
            .with(field("muc#roominfo_meetingId", &self.meeting_id));
        if let Some(created) = self.created_unix_ms {
            form.push(field("muc#roominfo_created_timestamp", &created.to_string()));
        }
        if let Some(lobby) = self.lobby() {
            form.push(field("muc#roominfo_lobbyroom", lobby.as_str()));
        }
        if let Kind::Breakout { main } = &self.kind {
            form.push(field("muc#roominfo_isbreakout", "1"));
            form.push(field("muc#roominfo_breakout_main_room", main.as_str()));
        }
        let open = if self.settings.is_members_only() { "muc_membersonly" } else { "muc_open" };
        Element::new("query", ns::DISCO_INFO)
            .with(disco::identity("conference", "text", name))
            .with_all(FEATURES.into_iter().chain([open, secured]).map(disco::feature))
            .with(form)
    }
}

/// What holds for every room (XEP-0045 §15.3, XEP-0410 §3.2).
const FEATURES: [&str; 6] =
    [ns::MUC, "muc_nonanonymous", "muc_hidden", "muc_temporary", "muc_unmoderated", ns::MUC_SELF_PING];

/// A form field with one value (XEP-0004 §3.2).
pub(super) fn field(var: &str, value: &str) -> Element {
    Element::new("field", ns::DATA_FORMS)
        .attr("var", var)
        .with(Element::new("value", ns::DATA_FORMS).with_text(value))
}
