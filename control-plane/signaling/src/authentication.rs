//! Who may start a conference where not everybody may, and the sessions by which a browser is known again, so that a
//! guest who logs in beside its call becomes a moderator in it (as the existing focus keeps them).

use std::collections::HashMap;

use contract::{Duration, Timestamp};
use xmpp::accounts::Hash;
use xmpp::credentials::Credentials;
use xmpp::jid::BareJid;

/// Who may start a conference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hosts {
    /// Everybody who is in.
    #[default]
    Everybody,
    /// Those whom a password or a token vouches for; others wait for one of them.
    Authenticated {
        /// Whether they log in at another page instead of with a password.
        external: bool,
    },
}

/// Who asks for a conference.
#[derive(Clone, Copy, Debug)]
pub struct Requester<'a> {
    /// Its address; nothing over HTTP.
    pub jid: Option<&'a BareJid>,
    /// What it has proved.
    pub credentials: &'a Credentials,
    /// Random id that the browser keeps.
    pub machine_uid: Option<&'a str>,
    /// The session that it was given earlier.
    pub session_id: Option<&'a str>,
}

/// What is told to whom it was granted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// Of its session, to be kept by the browser.
    pub session_id: Option<String>,
    /// Who it is taken for.
    pub identity: Option<String>,
}

/// Why a conference is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Somebody else has to start it.
    NotAuthorized,
    /// The session is over, or is that of another browser.
    SessionInvalid,
}

/// The sessions of all browsers.
#[derive(Debug)]
pub struct Authentication {
    hosts: Hosts,
    sessions: HashMap<String, Session>,
    /// Guests who showed a session, and which.
    shown_by: HashMap<BareJid, String>,
    seed: [u8; 32],
    issued: u64,
}

#[derive(Clone, Debug)]
struct Session {
    identity: String,
    machine_uid: String,
    expires_at: Timestamp,
}

/// Lifetime of a session, as in the existing focus.
const LIFETIME: Duration = Duration::from_secs(24 * 3_600);
/// The same where a page hands out tokens: it does so again.
const LIFETIME_EXTERNAL: Duration = Duration::from_secs(60);
/// Sessions at a time. Beyond that the one that ends first ends at once.
const SESSIONS_MAX: usize = 20_000;
/// Longest id of a machine or session that is looked at.
const ID_BYTES_MAX: usize = 128;

impl Authentication {
    /// No sessions. From `seed`, which is random, their ids are made.
    pub fn new(hosts: Hosts, seed: [u8; 32]) -> Authentication {
        Authentication { hosts, sessions: HashMap::new(), shown_by: HashMap::new(), seed, issued: 0 }
    }

    /// Who may start a conference.
    pub fn hosts(&self) -> Hosts {
        self.hosts
    }

    /// Whether `requester` may have a conference; `is_running` if it is there already, or belongs to one that is.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn authorize(
        &mut self,
        requester: Requester<'_>,
        is_running: bool,
        now: Timestamp,
    ) -> Result<Granted, Denied> {
        let Hosts::Authenticated { external } = self.hosts else { return Ok(Granted::default()) };
        let machine_uid = requester.machine_uid.filter(|id| id.len() <= ID_BYTES_MAX).unwrap_or_default();
        if requester.credentials.is_authenticated() {
            let identity = identity(requester);
            let session_id = if machine_uid.is_empty() {
                None
            } else {
                Some(self.session_for(&identity, machine_uid, external, now))
            };
            return Ok(Granted { session_id, identity: Some(identity) });
        }
        if let Some(id) = requester.session_id {
            let session = self.sessions.get(id).filter(|session| session.expires_at > now);
            let session = session.filter(|session| session.machine_uid == machine_uid);
            let identity = session.ok_or(Denied::SessionInvalid)?.identity.clone();
            if let Some(jid) = requester.jid {
                self.shown_by.insert(jid.clone(), id.to_owned());
            }
            return Ok(Granted { session_id: Some(id.to_owned()), identity: Some(identity) });
        }
        if is_running { Ok(Granted::default()) } else { Err(Denied::NotAuthorized) }
    }

    /// Whether a guest has shown a session that still holds.
    pub fn is_host(&self, jid: &BareJid, now: Timestamp) -> bool {
        let session = self.shown_by.get(jid).and_then(|id| self.sessions.get(id));
        session.is_some_and(|session| session.expires_at > now)
    }

    /// The browser logs out: its session is over for every guest that showed it.
    pub fn logout(&mut self, session_id: &str) {
        self.sessions.remove(session_id);
        self.shown_by.retain(|_, id| id != session_id);
    }

    /// `jid` is gone.
    pub fn forget(&mut self, jid: &BareJid) {
        self.shown_by.remove(jid);
    }

    /// The session of this person at this machine, prolonged, or a new one.
    fn session_for(&mut self, identity: &str, machine_uid: &str, external: bool, now: Timestamp) -> String {
        let expires_at = now.after(if external { LIFETIME_EXTERNAL } else { LIFETIME });
        let known = self.sessions.iter_mut().find(|(_, session)| {
            session.identity == identity && session.machine_uid == machine_uid && session.expires_at > now
        });
        if let Some((id, session)) = known {
            session.expires_at = expires_at;
            return id.clone();
        }
        self.make_room(now);
        let id = self.id();
        let fresh =
            Session { identity: identity.to_owned(), machine_uid: machine_uid.to_owned(), expires_at };
        self.sessions.insert(id.clone(), fresh);
        id
    }

    fn make_room(&mut self, now: Timestamp) {
        if self.sessions.len() < SESSIONS_MAX {
            return;
        }
        self.sessions.retain(|_, session| session.expires_at > now);
        if self.sessions.len() >= SESSIONS_MAX {
            let first = self.sessions.iter().min_by_key(|(_, session)| session.expires_at);
            let first = first.map(|(id, _)| id.clone());
            first.and_then(|id| self.sessions.remove(&id));
        }
        let sessions = &self.sessions;
        self.shown_by.retain(|_, id| sessions.contains_key(id));
    }

    /// An id that nobody can guess who does not know the seed.
    fn id(&mut self) -> String {
        self.issued += 1;
        let bits = Hash::Sha256.hmac(&self.seed, &self.issued.to_be_bytes());
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(bits).for_each(|(to, from)| *to = from);
        xmpp::uuid::v4(bytes)
    }
}

/// Who is asking, as the client shows it.
fn identity(requester: Requester<'_>) -> String {
    let field = |name: &str| {
        let claims = requester.credentials.token.as_ref()?;
        claims.user.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone())
    };
    let named = ["email", "id", "name"].into_iter().find_map(field);
    named.or_else(|| requester.jid.map(BareJid::to_string)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn authentication() -> Authentication {
        Authentication::new(Hosts::Authenticated { external: false }, [1; 32])
    }

    fn jid(name: &str) -> BareJid {
        BareJid::new(&format!("{name}@meet.example")).expect("an address")
    }

    /// Asks as `name`, by password or as a guest.
    fn ask(
        authentication: &mut Authentication,
        (name, is_account): (&str, bool),
        machine_uid: &str,
        session_id: Option<&str>,
        is_running: bool,
        now: Timestamp,
    ) -> Result<Granted, Denied> {
        let (jid, credentials) = (jid(name), Credentials { is_account, ..Credentials::default() });
        let requester = Requester {
            jid: Some(&jid),
            credentials: &credentials,
            machine_uid: Some(machine_uid),
            session_id,
        };
        authentication.authorize(requester, is_running, now)
    }

    #[test]
    fn guests_wait_until_the_conference_is_there() {
        let mut authentication = authentication();
        assert_eq!(
            ask(&mut authentication, ("g", false), "m", None, false, at(0)),
            Err(Denied::NotAuthorized)
        );
        assert_eq!(ask(&mut authentication, ("g", false), "m", None, true, at(0)), Ok(Granted::default()));
        assert!(!authentication.is_host(&jid("g"), at(0)));
        let mut open = Authentication::new(Hosts::Everybody, [1; 32]);
        assert_eq!(ask(&mut open, ("g", false), "m", None, false, at(0)), Ok(Granted::default()));
    }

    #[test]
    fn a_session_makes_a_guest_in_the_same_browser_a_host_until_logout() {
        let mut authentication = authentication();
        let granted = ask(&mut authentication, ("ann", true), "m", None, false, at(0)).expect("granted");
        assert_eq!(granted.identity.as_deref(), Some("ann@meet.example"));
        let id = granted.session_id.expect("a session");
        let again = ask(&mut authentication, ("ann", true), "m", None, false, at(1)).expect("granted");
        assert_eq!(again.session_id.as_deref(), Some(id.as_str()), "one session a browser");
        let other = ask(&mut authentication, ("ann", true), "n", None, false, at(1)).expect("granted");
        assert_ne!(other.session_id.as_deref(), Some(id.as_str()));

        let shown = ask(&mut authentication, ("g", false), "m", Some(&id), false, at(2)).expect("granted");
        assert_eq!(shown.identity.as_deref(), Some("ann@meet.example"));
        assert!(authentication.is_host(&jid("g"), at(2)));
        authentication.logout(&id);
        assert!(!authentication.is_host(&jid("g"), at(2)));
        assert_eq!(
            ask(&mut authentication, ("g", false), "m", Some(&id), true, at(2)),
            Err(Denied::SessionInvalid)
        );
    }

    #[test]
    fn sessions_of_other_browsers_unknown_ones_and_old_ones_are_invalid() {
        let mut authentication = authentication();
        let granted = ask(&mut authentication, ("ann", true), "m", None, false, at(0)).expect("granted");
        let id = granted.session_id.expect("a session");
        let rows =
            [("n", id.as_str(), at(1)), ("m", "guess", at(1)), ("", &id, at(1)), ("m", &id, at(86_400))];
        for (machine_uid, id, now) in rows {
            let result = ask(&mut authentication, ("g", false), machine_uid, Some(id), true, now);
            assert_eq!(result, Err(Denied::SessionInvalid), "{machine_uid} {id}");
        }
    }

    #[test]
    fn sessions_are_bounded() {
        let mut authentication = authentication();
        for i in 0..SESSIONS_MAX as u64 + 10 {
            let id = authentication.id();
            let session =
                Session { identity: String::new(), machine_uid: "m".into(), expires_at: at(100 + i) };
            authentication.make_room(at(0));
            authentication.sessions.insert(id, session);
        }
        assert_eq!(authentication.sessions.len(), SESSIONS_MAX);
        authentication.make_room(at(1_000_000));
        assert_eq!(authentication.sessions.len(), 0);
    }
}
