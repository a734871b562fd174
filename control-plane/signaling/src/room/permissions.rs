//! What an occupant may use: what its token says, or the token of the moderator who made it one; without either, its
//! role decides. It is told in its own presence, by which clients show their buttons.

use std::sync::Arc;

use xmpp::credentials::Claims;
use xmpp::{Element, SessionId, ns};

use super::presence::Notice;
use super::{Affiliation, Occupant, Output, Room};

/// To write to everybody where the metadata restricts that.
pub(super) const SEND_GROUPCHAT: &str = "send-groupchat";
/// To create polls where the metadata restricts that.
pub(super) const CREATE_POLLS: &str = "create-polls";

/// Where an occupant's permissions come from.
#[derive(Clone, Debug, Default)]
pub(super) struct Features {
    /// Its own token.
    token: Option<Arc<Claims>>,
    /// The token of who made it a moderator.
    granted: Option<Arc<Claims>>,
}

impl Features {
    /// Of somebody who came with `token`.
    pub(super) fn of(token: Option<&Arc<Claims>>) -> Features {
        Features { token: token.cloned(), granted: None }
    }

    /// What they name; `None` if no token names any.
    fn named(&self) -> Option<&[(String, bool)]> {
        self.source().and_then(|claims| claims.features.as_deref())
    }

    fn source(&self) -> Option<&Arc<Claims>> {
        let names_some = |claims: &&Arc<Claims>| claims.features.is_some();
        self.granted.as_ref().filter(names_some).or(self.token.as_ref().filter(names_some))
    }
}

impl Occupant {
    /// Whether it may use what is called `feature`.
    pub(super) fn may(&self, feature: &str) -> bool {
        match self.features.named() {
            Some(named) => named.iter().any(|(name, value)| name == feature && *value),
            None => self.is_moderator(),
        }
    }

    /// What its own presence says of it; nothing for those who may nothing in particular.
    pub(super) fn permissions(&self) -> Option<Element> {
        let permission = |name: &str, value: bool| {
            Element::new("p", ns::JITMEET).attr("name", name).attr("val", value.to_string())
        };
        let permissions = Element::new("permissions", ns::JITMEET);
        match self.features.named() {
            Some(named) => {
                Some(permissions.with_all(named.iter().map(|(name, value)| permission(name, *value))))
            }
            None if self.is_moderator() => {
                Some(permissions.with_all(OF_MODERATORS.map(|name| permission(name, true))))
            }
            None => None,
        }
    }

    /// The affiliation is another now, by decision of somebody with the features of `actor`: who is made a moderator
    /// may what the other may, and gives it back with the office.
    pub(super) fn affiliated(&mut self, affiliation: Affiliation, actor: Option<&Features>) {
        let was_moderator = self.is_moderator();
        self.affiliation = affiliation;
        match (was_moderator, affiliation.is_moderator()) {
            (false, true) => self.features.granted = actor.and_then(Features::source).cloned(),
            (true, false) => self.features.granted = None,
            _ => {}
        }
    }
}

impl Room {
    /// The client of `session` proved something else when it resumed its stream: what it may use from now on is told to it.
    pub fn token_changed(&mut self, session: SessionId, token: Option<&Arc<Claims>>, out: &mut Vec<Output>) {
        let Some(occupant) = self.occupants.iter_mut().find(|occupant| occupant.session == Some(session))
        else {
            return;
        };
        let before = occupant.permissions();
        occupant.features.token = token.cloned();
        if occupant.permissions() == before {
            return;
        }
        if let Some(occupant) = self.occupant_of(session) {
            self.tell_itself(occupant, Notice::default(), out);
        }
    }
}

/// As the existing server grants them to moderators whose token names no features.
const OF_MODERATORS: [&str; 9] = [
    "livestreaming",
    "recording",
    "transcription",
    "outbound-call",
    CREATE_POLLS,
    SEND_GROUPCHAT,
    "flip",
    "live-translation",
    "live-translation-subscribe",
];
