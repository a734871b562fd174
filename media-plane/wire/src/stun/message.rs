//! Reading a STUN message (RFC 8489 §6.3): all or nothing, in one pass, nothing copied but small values.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::crc32::crc32;
use super::{ATTRIBUTE_HEADER_LEN, BINDING, COOKIE, Class, FINGERPRINT_XOR, HEADER_LEN, attribute};
use crate::octets::{u8_at, u16_at, u32_at, u64_at};

/// Longest message that we read; those of ICE are far shorter, and longer ones would cost a flood's victim more.
pub const MESSAGE_LEN_MAX: usize = 1_280;
/// Most attributes that we read in one message; ICE uses ten.
pub const ATTRIBUTES_MAX: usize = 32;
/// Most unknown comprehension-required attributes that are remembered for a 420 answer.
pub const UNKNOWN_MAX: usize = 16;
/// RFC 8489 §14.3: fewer than 509 bytes of text.
const USERNAME_LEN_MAX: usize = 508;
const INTEGRITY_LEN: usize = 20;

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

/// A received message. Attributes after MESSAGE-INTEGRITY, but FINGERPRINT, do not exist (RFC 8489 §14.5). Of an
/// attribute that comes twice the first counts (§14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        let mut message = Self::header(datagram)?;
        // Set by either form of integrity: what follows is not covered.
        let mut sealed = false;
        let mut at = HEADER_LEN;
        let mut count = 0;
        while at < datagram.len() {
            count += 1;
            if count > ATTRIBUTES_MAX {
                return Err(Malformed::TooManyAttributes);
            }
            if message.has_fingerprint {
                return Err(Malformed::Fingerprint);
            }
            let (kind, value, next) = attribute_at(datagram, at).ok_or(Malformed::Attribute)?;
            match kind {
                attribute::FINGERPRINT => message.check_fingerprint(at, value)?,
                _ if sealed => {}
                attribute::MESSAGE_INTEGRITY => {
                    if value.len() != INTEGRITY_LEN {
                        return Err(Malformed::Attribute);
                    }
                    message.integrity_at = Some(at);
                    sealed = true;
                }
                attribute::MESSAGE_INTEGRITY_SHA256 => sealed = true,
                _ => message.take(kind, value).ok_or(Malformed::Attribute)?,
            }
            at = next;
        }
        Ok(message)
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
        self.method == BINDING
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
        let (Some(kind), Some(covered), Some((_, received, end))) =
            (self.bytes.get(..2), self.bytes.get(4..at), attribute_at(self.bytes, at))
        else {
            return Integrity::Wrong;
        };
        // The length field is taken as if the message ended with this attribute (RFC 8489 §14.5).
        let Ok(length) = u16::try_from(end.saturating_sub(HEADER_LEN)) else { return Integrity::Wrong };
        let computed = hmac(&[kind, &length.to_be_bytes(), covered]);
        // Every byte is looked at, so that the time taken tells nothing of where the first difference lies.
        let difference = computed.iter().zip(received).fold(0, |sum, (a, b)| sum | (a ^ b));
        if difference == 0 && received.len() == computed.len() { Integrity::Right } else { Integrity::Wrong }
    }

    fn header(datagram: &'a [u8]) -> Result<Self, Malformed> {
        if datagram.len() > MESSAGE_LEN_MAX {
            return Err(Malformed::TooLong);
        }
        let (Some(kind), Some(length), Some(COOKIE)) =
            (u16_at(datagram, 0), u16_at(datagram, 2), u32_at(datagram, 4))
        else {
            return Err(Malformed::Header);
        };
        let length = usize::from(length);
        if kind & 0xC000 != 0 || length % 4 != 0 || HEADER_LEN + length != datagram.len() {
            return Err(Malformed::Header);
        }
        let transaction_id = *datagram.get(8..).and_then(<[u8]>::first_chunk).ok_or(Malformed::Header)?;
        // The two class bits lie between those of the method (RFC 8489 §5, figure 3).
        let class = match (kind & 0x0100 != 0, kind & 0x0010 != 0) {
            (false, false) => Class::Request,
            (false, true) => Class::Indication,
            (true, false) => Class::Success,
            (true, true) => Class::Error,
        };
        Ok(Self {
            bytes: datagram,
            class,
            method: kind & 0x000F | (kind & 0x00E0) >> 1 | (kind & 0x3E00) >> 2,
            transaction_id,
            username: None,
            priority: None,
            use_candidate: false,
            ice_controlling: None,
            ice_controlled: None,
            xor_mapped_address: None,
            error_code: None,
            integrity_at: None,
            has_fingerprint: false,
            unknown: [0; UNKNOWN_MAX],
            unknown_len: 0,
        })
    }

    /// Note an attribute that is covered (or that no integrity follows); `None` if its value is malformed.
    fn take(&mut self, kind: u16, value: &'a [u8]) -> Option<()> {
        match kind {
            attribute::USERNAME => {
                let text = core::str::from_utf8(value).ok().filter(|text| text.len() <= USERNAME_LEN_MAX)?;
                self.username.get_or_insert(text);
            }
            attribute::PRIORITY => {
                self.priority.get_or_insert(exact(value, 4).and_then(|value| u32_at(value, 0))?);
            }
            attribute::USE_CANDIDATE => {
                exact(value, 0)?;
                self.use_candidate = true;
            }
            attribute::ICE_CONTROLLING => {
                self.ice_controlling.get_or_insert(exact(value, 8).and_then(|value| u64_at(value, 0))?);
            }
            attribute::ICE_CONTROLLED => {
                self.ice_controlled.get_or_insert(exact(value, 8).and_then(|value| u64_at(value, 0))?);
            }
            attribute::XOR_MAPPED_ADDRESS => {
                let address = xor_address(value, &self.transaction_id)?;
                self.xor_mapped_address.get_or_insert(address);
            }
            attribute::ERROR_CODE => {
                self.error_code.get_or_insert(error_code(value)?);
            }
            // Known, and of no use to us.
            attribute::MAPPED_ADDRESS
            | attribute::UNKNOWN_ATTRIBUTES
            | attribute::REALM
            | attribute::NONCE
            | attribute::OPTIONAL_FROM.. => {}
            _ => self.note_unknown(kind),
        }
        Some(())
    }

    fn note_unknown(&mut self, kind: u16) {
        if self.unknown_required().contains(&kind) {
            return;
        }
        if let Some(slot) = self.unknown.get_mut(self.unknown_len) {
            *slot = kind;
            self.unknown_len += 1;
        }
    }

    fn check_fingerprint(&mut self, at: usize, value: &[u8]) -> Result<(), Malformed> {
        let covered = self.bytes.get(..at).ok_or(Malformed::Fingerprint)?;
        let received = exact(value, 4).and_then(|value| u32_at(value, 0)).ok_or(Malformed::Fingerprint)?;
        // It must be last, so that the header's length is the one that was summed.
        if at + ATTRIBUTE_HEADER_LEN + 4 != self.bytes.len() || received != crc32(covered) ^ FINGERPRINT_XOR {
            return Err(Malformed::Fingerprint);
        }
        self.has_fingerprint = true;
        Ok(())
    }
}

/// Type, value and the place of the next attribute; all of it, padding too, lies inside the message.
fn attribute_at(bytes: &[u8], at: usize) -> Option<(u16, &[u8], usize)> {
    let kind = u16_at(bytes, at)?;
    let length = usize::from(u16_at(bytes, at + 2)?);
    let start = at + ATTRIBUTE_HEADER_LEN;
    let next = start + length.next_multiple_of(4);
    if next > bytes.len() {
        return None;
    }
    Some((kind, bytes.get(start..start + length)?, next))
}

fn exact(value: &[u8], length: usize) -> Option<&[u8]> {
    (value.len() == length).then_some(value)
}

/// RFC 8489 §14.2.
fn xor_address(value: &[u8], transaction_id: &[u8; 12]) -> Option<SocketAddr> {
    let port = u16_at(value, 2)? ^ (COOKIE >> 16) as u16;
    let ip: IpAddr = match (u8_at(value, 1)?, value.len()) {
        (1, 8) => Ipv4Addr::from(u32_at(value, 4)? ^ COOKIE).into(),
        (2, 20) => {
            let mut mask = [0; 16];
            mask.get_mut(..4)?.copy_from_slice(&COOKIE.to_be_bytes());
            mask.get_mut(4..)?.copy_from_slice(transaction_id);
            let mixed: [u8; 16] = *value.get(4..)?.first_chunk()?;
            Ipv6Addr::from(u128::from_be_bytes(mixed) ^ u128::from_be_bytes(mask)).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// RFC 8489 §14.8.
fn error_code(value: &[u8]) -> Option<u16> {
    let class = u16::from(u8_at(value, 2)? & 7);
    let number = u16::from(u8_at(value, 3)?);
    ((3..=6).contains(&class) && number < 100).then_some(class * 100 + number)
}
