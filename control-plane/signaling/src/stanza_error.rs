//! The one place where a refusal becomes a stanza error (RFC 6120 §8.3).

pub use xmpp::error::Condition;
