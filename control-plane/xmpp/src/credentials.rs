//! What a client proves of itself: its address, the token in its URL, the password of an account.

use std::net::IpAddr;
use std::sync::Arc;

use crate::accounts::Accounts;

/// How one signs in at a virtual host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignIn {
    /// As anybody, by ANONYMOUS.
    #[default]
    Anonymous,
    /// By ANONYMOUS with a token in the URL.
    Token {
        /// Whether one may come without, as a guest. A wrong token is refused all the same.
        optional: bool,
    },
    /// With the password of an account, by SCRAM or, where nobody can listen, PLAIN.
    Accounts,
}

/// A virtual host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its domain.
    pub name: String,
    /// How one signs in.
    pub sign_in: SignIn,
}

/// The token of a connection, checked before the stream begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Token {
    /// None came.
    #[default]
    Absent,
    /// It holds.
    Valid(Arc<Claims>),
    /// It does not; the text is for people.
    Invalid(&'static str),
}

/// What a valid token says of its bearer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// The room that may be joined; `*` is any. `None` only where tokens need not name one.
    pub room: Option<String>,
    /// Whether the room is a pattern.
    pub room_is_pattern: bool,
    /// Whom the token is for: a tenant, a domain, or `*`.
    pub subject: Option<String>,
    /// What is known of the user, such as `id`, `name`, `email` and `avatar`, in the order of the token.
    pub user: Vec<(String, String)>,
    /// The group of the user.
    pub group: Option<String>,
    /// What the user may use, if the token says so.
    pub features: Option<Vec<(String, bool)>>,
    /// Whether the user moderates; `None` if the token does not say.
    pub is_moderator: Option<bool>,
    /// Seconds since 1970 at which the token ends.
    pub expires_unix_s: Option<u64>,
}

/// What a session proved when it signed in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Whether it knows the password of the account that is its address.
    pub is_account: bool,
    /// The claims of its token.
    pub token: Option<Arc<Claims>>,
    /// The tenant of its URL.
    pub tenant: Option<String>,
}

impl Credentials {
    /// Whether somebody vouches for the bearer, by a password or a token.
    pub fn is_authenticated(&self) -> bool {
        self.is_account || self.token.is_some()
    }
}

/// What a stream is to know of the connection that it runs over, and of the server.
#[derive(Clone, Debug)]
pub struct Entrance {
    /// The virtual hosts, the main domain first.
    pub hosts: Arc<[Host]>,
    /// The accounts at the moment of the login.
    pub accounts: Arc<Accounts>,
    /// From where the client comes; `None` for this machine.
    pub address: Option<IpAddr>,
    /// Whether nobody on the way can read along, so that PLAIN may be offered.
    pub is_confidential: bool,
    /// Its token.
    pub token: Token,
}
