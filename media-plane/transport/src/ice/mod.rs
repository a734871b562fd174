//! ICE (RFC 8445): one full agent, one stream, one component, with consent (RFC 7675) and moving peers.

mod agent;
mod answer;
pub mod candidate;
mod check;
mod credentials;
mod nomination;
mod self_test;
mod sources;
#[cfg(test)]
mod tests;

use contract::Timestamp;

pub(crate) use agent::Agent;
pub use self_test::{QUESTION_BYTES_MAX, SELF_TEST_PWD, SELF_TEST_UFRAG, SelfTest, question};

use crate::path::Path;

/// Credentials or a restart that were refused; nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A length outside RFC 8445 §5.3.
    Credentials,
    /// More than five restarts in a minute.
    TooOften,
}

/// News from the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// This path proved our credentials: datagrams of its peer address belong to this transport from now on.
    Proved(Path),
    /// This path is given up: its peer address belongs to nobody.
    Forgotten(Path),
    /// This path was nominated: the first one, and each later change.
    Connected(Path),
    /// No pair was ever nominated in time. A later check may still connect.
    Failed,
    /// No authenticated answer for [`contract::limits::CONSENT_TIMEOUT`]: nothing may be sent until
    /// [`Event::Connected`] comes again (RFC 7675 §5.1).
    ConsentLost {
        /// When the last answer came.
        last_heard: Timestamp,
    },
}
