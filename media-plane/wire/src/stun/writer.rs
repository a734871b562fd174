//! Writing a STUN Binding message (RFC 8489 §6.1) into a buffer of the caller.

use core::net::{IpAddr, SocketAddr};

use super::crc32::crc32;
use super::{ATTRIBUTE_HEADER_LEN, BINDING, COOKIE, Class, FINGERPRINT_XOR, HEADER_LEN, attribute};
use crate::octets::Output;

/// Longest reason phrase that we write; the RFC allows 127 characters.
const REASON_LEN_MAX: usize = 127;

/// Writes a Binding message. Attributes are written in the order of the calls; a call that does not fit, has an illegal
/// value, or comes after the integrity (but the fingerprint) makes [`Writer::finish`] answer `None`.
pub struct Writer<'a> {
    output: Output<'a>,
    transaction_id: [u8; 12],
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Integrity is written.
    Sealed,
    /// The fingerprint is written.
    Closed,
    Failed,
}

impl<'a> Writer<'a> {
    /// Begin a Binding message of this class at the start of `out`.
    pub fn new(out: &'a mut [u8], class: Class, transaction_id: [u8; 12]) -> Self {
        let class_bits = match class {
            Class::Request => 0x0000,
            Class::Indication => 0x0010,
            Class::Success => 0x0100,
            Class::Error => 0x0110,
        };
        let writer = Self { output: Output::new(out), transaction_id, state: State::Open };
        writer.step(|output| {
            output.u16(BINDING | class_bits)?;
            output.u16(0)?;
            output.u32(COOKIE)?;
            output.put(&transaction_id)
        })
    }

    /// USERNAME of a check we send: `peer's ufrag:our ufrag`.
    pub fn username(self, remote_ufrag: &str, local_ufrag: &str) -> Self {
        self.attribute(attribute::USERNAME, &[remote_ufrag.as_bytes(), b":", local_ufrag.as_bytes()])
    }

    /// PRIORITY.
    pub fn priority(self, priority: u32) -> Self {
        self.attribute(attribute::PRIORITY, &[&priority.to_be_bytes()])
    }

    /// USE-CANDIDATE.
    pub fn use_candidate(self) -> Self {
        self.attribute(attribute::USE_CANDIDATE, &[])
    }

    /// ICE-CONTROLLING with our tie-breaker.
    pub fn ice_controlling(self, tie_breaker: u64) -> Self {
        self.attribute(attribute::ICE_CONTROLLING, &[&tie_breaker.to_be_bytes()])
    }

    /// ICE-CONTROLLED with our tie-breaker.
    pub fn ice_controlled(self, tie_breaker: u64) -> Self {
        self.attribute(attribute::ICE_CONTROLLED, &[&tie_breaker.to_be_bytes()])
    }

    /// XOR-MAPPED-ADDRESS.
    pub fn xor_mapped_address(self, address: SocketAddr) -> Self {
        let port = (address.port() ^ (COOKIE >> 16) as u16).to_be_bytes();
        let cookie = COOKIE.to_be_bytes();
        let transaction_id = self.transaction_id;
        match address.ip() {
            IpAddr::V4(ip) => {
                let mixed = u32::from(ip) ^ COOKIE;
                self.attribute(attribute::XOR_MAPPED_ADDRESS, &[&[0, 1], &port, &mixed.to_be_bytes()])
            }
            IpAddr::V6(ip) => {
                let mut mixed = ip.octets();
                let mask = cookie.iter().chain(&transaction_id);
                mixed.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
                self.attribute(attribute::XOR_MAPPED_ADDRESS, &[&[0, 2], &port, &mixed])
            }
        }
    }

    /// ERROR-CODE, 300..=699, with a reason of at most 127 bytes.
    pub fn error_code(mut self, code: u16, reason: &str) -> Self {
        let (Ok(class @ 3..=6), Ok(number)) = (u8::try_from(code / 100), u8::try_from(code % 100)) else {
            self.state = State::Failed;
            return self;
        };
        if reason.len() > REASON_LEN_MAX {
            self.state = State::Failed;
            return self;
        }
        self.attribute(attribute::ERROR_CODE, &[&[0, 0, class, number], reason.as_bytes()])
    }

    /// UNKNOWN-ATTRIBUTES of a 420 answer, with at most [`super::UNKNOWN_MAX`] types.
    pub fn unknown_attributes(mut self, types: &[u16]) -> Self {
        let mut list = [0; 2 * super::UNKNOWN_MAX];
        let Some(value) = list.get_mut(..2 * types.len()) else {
            self.state = State::Failed;
            return self;
        };
        value.chunks_exact_mut(2).zip(types).for_each(|(at, kind)| at.copy_from_slice(&kind.to_be_bytes()));
        self.attribute(attribute::UNKNOWN_ATTRIBUTES, &[value])
    }

    /// MESSAGE-INTEGRITY; `hmac` as in [`super::Message::verify`]. Not called if the message has failed already.
    pub fn integrity(mut self, hmac: impl FnOnce(&[&[u8]]) -> [u8; 20]) -> Self {
        if self.state != State::Open {
            self.state = State::Failed;
            return self;
        }
        let mut written = self.step(|output| {
            // The length field already counts the attribute to come (RFC 8489 §14.5).
            set_length(output, output.len() + ATTRIBUTE_HEADER_LEN + 20)?;
            let digest = hmac(&[output.written()]);
            put_attribute(output, attribute::MESSAGE_INTEGRITY, &[&digest])
        });
        if written.state == State::Open {
            written.state = State::Sealed;
        }
        written
    }

    /// FINGERPRINT; nothing may follow.
    pub fn fingerprint(mut self) -> Self {
        if !matches!(self.state, State::Open | State::Sealed) {
            self.state = State::Failed;
            return self;
        }
        let mut written = self.step(|output| {
            set_length(output, output.len() + ATTRIBUTE_HEADER_LEN + 4)?;
            let sum = crc32(output.written()) ^ FINGERPRINT_XOR;
            put_attribute(output, attribute::FINGERPRINT, &[&sum.to_be_bytes()])
        });
        if written.state != State::Failed {
            written.state = State::Closed;
        }
        written
    }

    /// The length of the message, or `None` if any call failed.
    pub fn finish(self) -> Option<usize> {
        (self.state != State::Failed).then(|| self.output.len())
    }

    fn attribute(mut self, kind: u16, parts: &[&[u8]]) -> Self {
        if self.state != State::Open {
            self.state = State::Failed;
            return self;
        }
        self.step(|output| {
            put_attribute(output, kind, parts)?;
            set_length(output, output.len())
        })
    }

    fn step(mut self, write: impl FnOnce(&mut Output<'a>) -> Option<()>) -> Self {
        if self.state != State::Failed && write(&mut self.output).is_none() {
            self.state = State::Failed;
        }
        self
    }
}

fn put_attribute(output: &mut Output<'_>, kind: u16, parts: &[&[u8]]) -> Option<()> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    output.u16(kind)?;
    output.u16(u16::try_from(length).ok()?)?;
    parts.iter().try_for_each(|part| output.put(part))?;
    output.align()
}

/// Set the header's length as if the message had `len` bytes.
fn set_length(output: &mut Output<'_>, len: usize) -> Option<()> {
    output.set_u16(2, u16::try_from(len.checked_sub(HEADER_LEN)?).ok()?)
}
