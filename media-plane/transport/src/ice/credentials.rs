//! ICE credentials (RFC 8445 §5.3) in fixed storage, with the integrity key expanded once (RFC 8489 §9.1).

use arrayvec::ArrayString;
use contract::Timestamp;
use wire::stun::{Integrity, Message};

use super::Refused;
use crate::srtp::provider::Mac;

/// Longest user fragment and password (RFC 8445 §5.3).
const BYTES_MAX: usize = 256;
/// Shortest user fragment.
const UFRAG_BYTES_MIN: usize = 4;
/// Shortest password: 128 bits in base 64.
const PWD_BYTES_MIN: usize = 22;

/// One side's user fragment and password. Not printable.
pub(super) struct Credentials {
    ufrag: ArrayString<BYTES_MAX>,
    key: Mac,
}

impl Credentials {
    pub(super) fn new(ufrag: &str, pwd: &str) -> Result<Credentials, Refused> {
        if ufrag.len() < UFRAG_BYTES_MIN || pwd.len() < PWD_BYTES_MIN || pwd.len() > BYTES_MAX {
            return Err(Refused::Credentials);
        }
        let ufrag = ArrayString::from(ufrag).map_err(|_| Refused::Credentials)?;
        Ok(Credentials { ufrag, key: Mac::new(pwd.as_bytes()) })
    }

    pub(super) fn ufrag(&self) -> &str {
        &self.ufrag
    }

    pub(super) fn sign(&self, parts: &[&[u8]]) -> [u8; 20] {
        self.key.sign(parts)
    }

    pub(super) fn verify(&self, message: &Message<'_>) -> Integrity {
        message.verify(|parts| self.key.sign(parts))
    }
}

/// The credentials between two restarts (RFC 8445 §9).
pub(super) struct Generation {
    /// Rises by one with each restart.
    pub(super) number: u32,
    pub(super) local: Credentials,
    pub(super) remote: Option<Credentials>,
}

/// The generation before a restart, while both hold.
pub(super) struct Previous {
    pub(super) generation: Generation,
    /// Before the cut-over: when the restart is given up. After it: when these credentials die.
    pub(super) until: Timestamp,
    pub(super) cut_over: bool,
}
