//! STUN messages for ICE (RFC 8489, RFC 8445 §16): strict reading, integrity by a closure, writing.

use core::net::SocketAddr;

/// Longest message that we read (hardening against floods; binding messages are far shorter).
pub const MESSAGE_LEN_MAX: usize = 1_280;
/// Most attributes that we read in one message.
pub const ATTRIBUTES_MAX: usize = 32;
/// Most unknown comprehension-required attributes that are remembered for a 420 answer.
pub const UNKNOWN_MAX: usize = 16;

/// Why bytes are no STUN message that we accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Header bits, cookie or length.
    Header,
    /// Longer than [`MESSAGE_LEN_MAX`].
    TooLong,
    /// More than [`ATTRIBUTES_MAX`].
    TooManyAttributes,
    /// An attribute runs past the end, or its value has a wrong size or shape.
    Attribute,
    /// FINGERPRINT is wrong or not last.
    Fingerprint,
}

/// The class of a message (RFC 8489 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Wants an answer.
    Request,
    /// Wants none.
    Indication,
    /// A good answer.
    Success,
    /// A bad answer.
    Error,
}

/// What checking MESSAGE-INTEGRITY said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// There is none.
    Missing,
    /// It is not from who knows the key.
    Wrong,
    /// It is; all accessors speak of covered attributes only.
    Right,
}

/// A received message. Attributes after MESSAGE-INTEGRITY, but FINGERPRINT, do not exist (RFC 8489 §14.5).
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    class: Class,
    method: u16,
    transaction_id: [u8; 12],
    username: Option<&'a str>,
    priority: Option<u32>,
    use_candidate: bool,
    ice_controlling: Option<u64>,
    ice_controlled: Option<u64>,
    xor_mapped_address: Option<SocketAddr>,
    error_code: Option<u16>,
    integrity_at: Option<usize>,
    has_fingerprint: bool,
    unknown: [u16; UNKNOWN_MAX],
    unknown_len: usize,
}

impl<'a> Message<'a> {
    /// Read a message that fills the whole datagram.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Malformed> {
        let _ = datagram;
        Err(Malformed::Header)
    }

    /// The whole message.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Request, indication, success or error.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Whether the method is Binding, the only one of ICE.
    pub fn is_binding(&self) -> bool {
        self.method == 1
    }

    /// Names the transaction.
    pub fn transaction_id(&self) -> [u8; 12] {
        self.transaction_id
    }

    /// USERNAME: `receiver's ufrag:sender's ufrag` (RFC 8445 §7.2.2).
    pub fn username(&self) -> Option<&'a str> {
        self.username
    }

    /// The text of USERNAME before the first colon: in a request received, our own ufrag.
    pub fn local_ufrag(&self) -> Option<&'a str> {
        Some(self.username?.split_once(':')?.0)
    }

    /// The text of USERNAME after the first colon: in a request received, the peer's ufrag.
    pub fn remote_ufrag(&self) -> Option<&'a str> {
        Some(self.username?.split_once(':')?.1)
    }

    /// PRIORITY for a peer-reflexive candidate.
    pub fn priority(&self) -> Option<u32> {
        self.priority
    }

    /// USE-CANDIDATE is there: nomination.
    pub fn use_candidate(&self) -> bool {
        self.use_candidate
    }

    /// The tie-breaker of a controlling sender.
    pub fn ice_controlling(&self) -> Option<u64> {
        self.ice_controlling
    }

    /// The tie-breaker of a controlled sender.
    pub fn ice_controlled(&self) -> Option<u64> {
        self.ice_controlled
    }

    /// XOR-MAPPED-ADDRESS: how the answering side sees us.
    pub fn xor_mapped_address(&self) -> Option<SocketAddr> {
        self.xor_mapped_address
    }

    /// 300..=699.
    pub fn error_code(&self) -> Option<u16> {
        self.error_code
    }

    /// Comprehension-required attributes that we do not know, at most [`UNKNOWN_MAX`].
    pub fn unknown_required(&self) -> &[u16] {
        self.unknown.get(..self.unknown_len).unwrap_or_default()
    }

    /// Whether a (right) FINGERPRINT is there.
    pub fn has_fingerprint(&self) -> bool {
        self.has_fingerprint
    }

    /// Check MESSAGE-INTEGRITY: `hmac` computes HMAC-SHA1 over the parts one after another, under the password.
    /// Not called if there is nothing to check.
    pub fn verify(&self, hmac: impl FnOnce(&[&[u8]]) -> [u8; 20]) -> Integrity {
        let Some(at) = self.integrity_at else { return Integrity::Missing };
        let _ = (at, hmac(&[]));
        Integrity::Wrong
    }
}

/// Writes a Binding message. Attributes are written in the order of the calls; a call that does not fit or comes after
/// the integrity (but the fingerprint) makes [`Writer::finish`] answer `None`.
pub struct Writer<'a> {
    out: &'a mut [u8],
    len: Option<usize>,
}

impl<'a> Writer<'a> {
    /// Begin a Binding message of this class at the start of `out`.
    pub fn new(out: &'a mut [u8], class: Class, transaction_id: [u8; 12]) -> Self {
        let _ = (class, transaction_id);
        Self { out, len: None }
    }

    /// USERNAME of a check we send: `peer's ufrag:our ufrag`.
    pub fn username(self, remote_ufrag: &str, local_ufrag: &str) -> Self {
        let _ = (remote_ufrag, local_ufrag);
        self
    }

    /// PRIORITY.
    pub fn priority(self, priority: u32) -> Self {
        let _ = priority;
        self
    }

    /// USE-CANDIDATE.
    pub fn use_candidate(self) -> Self {
        self
    }

    /// ICE-CONTROLLING with our tie-breaker.
    pub fn ice_controlling(self, tie_breaker: u64) -> Self {
        let _ = tie_breaker;
        self
    }

    /// ICE-CONTROLLED with our tie-breaker.
    pub fn ice_controlled(self, tie_breaker: u64) -> Self {
        let _ = tie_breaker;
        self
    }

    /// XOR-MAPPED-ADDRESS.
    pub fn xor_mapped_address(self, address: SocketAddr) -> Self {
        let _ = address;
        self
    }

    /// ERROR-CODE, 300..=699, with a reason of at most 127 bytes.
    pub fn error_code(self, code: u16, reason: &str) -> Self {
        let _ = (code, reason);
        self
    }

    /// UNKNOWN-ATTRIBUTES of a 420 answer.
    pub fn unknown_attributes(self, types: &[u16]) -> Self {
        let _ = types;
        self
    }

    /// MESSAGE-INTEGRITY; `hmac` as in [`Message::verify`].
    pub fn integrity(self, hmac: impl FnOnce(&[&[u8]]) -> [u8; 20]) -> Self {
        let _ = hmac(&[]);
        self
    }

    /// FINGERPRINT; nothing may follow.
    pub fn fingerprint(self) -> Self {
        self
    }

    /// The length of the message, or `None` if any call failed.
    pub fn finish(self) -> Option<usize> {
        let _ = self.out;
        self.len
    }
}
