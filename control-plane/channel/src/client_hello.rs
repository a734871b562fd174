//! The first flight: reassembles the ClientHello (RFC 6347 §4.2.2) and decides from it which DTLS version to answer.
//!
//! The DTLS crate picks the SRTP profile, differently in each version: as 1.2 server the strongest, as 1.3 server the first the
//! client names, which for the most common browser is the one that costs most per packet. So the version is chosen here by the
//! profile that comes out of it.

use contract::session::SrtpProfile;

/// Which version to be a server of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// RFC 6347.
    Dtls12,
    /// RFC 9147.
    Dtls13,
}

/// What a datagram did to the first flight.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Not (a useful part of) a ClientHello.
    Ignored,
    /// More is to come.
    Incomplete,
    /// The whole hello is here: the version to answer and the datagrams to replay, in the order of the message.
    Complete(Version, Vec<Vec<u8>>),
    /// The whole hello is here and offers nothing that we may accept.
    Refused,
}

/// Collects the datagrams of a ClientHello that may span several, in any order.
#[derive(Debug, Default)]
pub(crate) struct FirstFlight {
    message: Vec<u8>,
    present: Vec<bool>,
    missing: usize,
    datagrams: Vec<(usize, Vec<u8>)>,
}

impl FirstFlight {
    /// Takes one datagram.
    pub(crate) fn datagram(&mut self, datagram: &[u8]) -> Progress {
        if self.datagrams.len() >= FIRST_FLIGHT_DATAGRAMS_MAX {
            // Overlapping crumbs that never add up: begin anew, the client repeats itself.
            *self = FirstFlight::default();
        }

        let mut first_offset = None;
        for fragment in Fragments(datagram) {
            if self.fragment(&fragment) {
                first_offset = first_offset.or(Some(fragment.offset));
            }
        }
        let Some(offset) = first_offset else { return Progress::Ignored };

        self.datagrams.push((offset, datagram.to_vec()));
        if self.missing > 0 {
            return Progress::Incomplete;
        }

        let Some(version) = Offer::parse(&self.message).and_then(|offer| offer.version()) else {
            return Progress::Refused;
        };
        let mut datagrams = core::mem::take(&mut self.datagrams);
        datagrams.sort_by_key(|(offset, _)| *offset);
        Progress::Complete(version, datagrams.into_iter().map(|(_, datagram)| datagram).collect())
    }

    /// Notes a fragment; false if it brought nothing new or contradicts those before.
    fn fragment(&mut self, fragment: &Fragment<'_>) -> bool {
        if self.message.is_empty() {
            self.message = vec![0; fragment.total];
            self.present = vec![false; fragment.total];
            self.missing = fragment.total;
        }
        if self.message.len() != fragment.total {
            return false;
        }

        let end = fragment.offset + fragment.body.len();
        let (Some(message), Some(present)) =
            (self.message.get_mut(fragment.offset..end), self.present.get_mut(fragment.offset..end))
        else {
            return false;
        };
        let fresh = present.iter().filter(|present| !**present).count();
        if fresh == 0 {
            return false;
        }
        message.copy_from_slice(fragment.body);
        present.fill(true);
        self.missing -= fresh;
        true
    }
}

/// Part of a ClientHello in one record.
struct Fragment<'a> {
    total: usize,
    offset: usize,
    body: &'a [u8],
}

/// The ClientHello fragments in the plaintext handshake records of a datagram.
struct Fragments<'a>(&'a [u8]);

impl<'a> Iterator for Fragments<'a> {
    type Item = Fragment<'a>;

    fn next(&mut self) -> Option<Fragment<'a>> {
        // Each pass consumes at least a record header.
        while let Some((header, rest)) = self.0.split_at_checked(RECORD_HEADER_BYTES) {
            let &[kind, _, _, e0, e1, .., l0, l1] = header else { return None };
            let length = usize::from(u16::from_be_bytes([l0, l1]));
            let (record, rest) = rest.split_at_checked(length)?;
            self.0 = rest;
            if kind != CONTENT_HANDSHAKE || [e0, e1] != [0, 0] {
                continue;
            }
            if let Some(fragment) = parse_fragment(record) {
                return Some(fragment);
            }
        }
        None
    }
}

/// The handshake header of RFC 6347 §4.2.2 and what follows, if it is the first ClientHello.
fn parse_fragment(record: &[u8]) -> Option<Fragment<'_>> {
    let (header, body) = record.split_at_checked(HANDSHAKE_HEADER_BYTES)?;
    let &[kind, t0, t1, t2, s0, s1, o0, o1, o2, f0, f1, f2] = header else { return None };
    let number = |a, b, c| u32::from_be_bytes([0, a, b, c]) as usize;
    let (total, offset, length) = (number(t0, t1, t2), number(o0, o1, o2), number(f0, f1, f2));
    if kind != CLIENT_HELLO || [s0, s1] != [0, 0] || total == 0 || total > CLIENT_HELLO_BYTES_MAX {
        return None;
    }
    if length == 0 || offset + length > total {
        return None;
    }

    Some(Fragment { total, offset, body: body.get(..length)? })
}

/// What of a ClientHello decides.
#[derive(Debug, Default)]
struct Offer {
    dtls12: bool,
    dtls13: bool,
    ecdsa_suite: bool,
    extended_master_secret: bool,
    /// In the client's order.
    profiles: Vec<SrtpProfile>,
}

impl Offer {
    /// Reads a ClientHello body (RFC 5246 §7.4.1.2 with the cookie of RFC 6347 §4.2.1).
    fn parse(body: &[u8]) -> Option<Offer> {
        let mut reader = Reader(body);
        reader.take(2 + 32)?;
        let session_bytes = reader.u8()?;
        reader.take(session_bytes)?;
        let cookie_bytes = reader.u8()?;
        reader.take(cookie_bytes)?;
        let suites_bytes = reader.u16()?;
        let suites = reader.take(suites_bytes)?;
        let compression_bytes = reader.u8()?;
        reader.take(compression_bytes)?;

        let mut offer = Offer { dtls12: true, ..Offer::default() };
        offer.ecdsa_suite = pairs(suites).any(|suite| ECDSA_SUITES_12.contains(&suite));
        let extensions_bytes = reader.u16()?;
        let mut extensions = Reader(reader.take(extensions_bytes)?);
        while let Some(kind) = extensions.u16() {
            let length = extensions.u16()?;
            offer.extension(kind, extensions.take(length)?);
        }
        Some(offer)
    }

    fn extension(&mut self, kind: usize, value: &[u8]) {
        let mut reader = Reader(value);
        match kind {
            EXTENSION_USE_SRTP => {
                let list = reader.u16().and_then(|length| reader.take(length)).unwrap_or_default();
                self.profiles = pairs(list).filter_map(profile).collect();
            }
            EXTENSION_SUPPORTED_VERSIONS => {
                let list = reader.u8().and_then(|length| reader.take(length)).unwrap_or_default();
                self.dtls12 = pairs(list).any(|version| version == VERSION_12);
                self.dtls13 = pairs(list).any(|version| version == VERSION_13);
            }
            EXTENSION_EXTENDED_MASTER_SECRET => self.extended_master_secret = true,
            _ => {}
        }
    }

    /// The version out of which the cheaper profile comes; the newer one if it is the same.
    fn version(&self) -> Option<Version> {
        let in_12 = self.profiles.iter().copied().min_by_key(|profile| preference_of_dtls12(*profile));
        let in_12 = in_12.filter(|_| self.dtls12 && self.ecdsa_suite && self.extended_master_secret);
        let in_13 = self.profiles.first().copied().filter(|_| self.dtls13);
        match (in_12, in_13) {
            (None, None) => None,
            (Some(_), None) => Some(Version::Dtls12),
            (None, Some(_)) => Some(Version::Dtls13),
            (Some(in_12), Some(in_13)) if cost(in_12) < cost(in_13) => Some(Version::Dtls12),
            (Some(_), Some(_)) => Some(Version::Dtls13),
        }
    }
}

/// The order in which the 1.2 server of the DTLS crate picks.
fn preference_of_dtls12(profile: SrtpProfile) -> u8 {
    match profile {
        SrtpProfile::AeadAes256Gcm => 0,
        SrtpProfile::AeadAes128Gcm => 1,
        SrtpProfile::Aes128CmHmacSha1_80 => 2,
    }
}

/// The order of cost per packet.
fn cost(profile: SrtpProfile) -> u8 {
    match profile {
        SrtpProfile::AeadAes128Gcm => 0,
        SrtpProfile::AeadAes256Gcm => 1,
        SrtpProfile::Aes128CmHmacSha1_80 => 2,
    }
}

/// The profile of an id (RFC 5764 §4.1.2, RFC 7714 §14.2).
fn profile(id: [u8; 2]) -> Option<SrtpProfile> {
    match id {
        [0, 1] => Some(SrtpProfile::Aes128CmHmacSha1_80),
        [0, 7] => Some(SrtpProfile::AeadAes128Gcm),
        [0, 8] => Some(SrtpProfile::AeadAes256Gcm),
        _ => None,
    }
}

fn pairs(bytes: &[u8]) -> impl Iterator<Item = [u8; 2]> {
    bytes.as_chunks::<2>().0.iter().copied()
}

/// Consumes bytes from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<usize> {
        self.take(1).map(|bytes| bytes.iter().fold(0, |_, byte| usize::from(*byte)))
    }

    fn u16(&mut self) -> Option<usize> {
        self.take(2).map(|bytes| bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }
}

/// A hello with a post-quantum key share is some 1,500 bytes.
const CLIENT_HELLO_BYTES_MAX: usize = 16 * 1_024;

/// Datagrams kept of a first flight: 16 KiB at the smallest path MTU that anybody reports.
const FIRST_FLIGHT_DATAGRAMS_MAX: usize = 32;

const RECORD_HEADER_BYTES: usize = 13;
const HANDSHAKE_HEADER_BYTES: usize = 12;
const CONTENT_HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const EXTENSION_USE_SRTP: usize = 14;
const EXTENSION_EXTENDED_MASTER_SECRET: usize = 23;
const EXTENSION_SUPPORTED_VERSIONS: usize = 43;
const VERSION_12: [u8; 2] = [0xfe, 0xfd];
const VERSION_13: [u8; 2] = [0xfe, 0xfc];

/// ECDHE_ECDSA with AES-128-GCM, AES-256-GCM, ChaCha20-Poly1305: what our certificate can serve in 1.2.
const ECDSA_SUITES_12: [[u8; 2]; 3] = [[0xc0, 0x2b], [0xc0, 0x2c], [0xcc, 0xa9]];

#[cfg(test)]
mod tests;
