//! Words between signalling and the DTLS associations and bridge channels of the process: what to set up, what happened.

use contract::EndpointId;
use contract::session::SrtpProfile;

/// A certificate fingerprint (RFC 8122 §5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// Hash function as SDP spells it, such as `sha-256`.
    pub hash: String,
    /// The digest itself.
    pub value: Vec<u8>,
}

/// Longest digest of a known hash function (SHA-512).
const DIGEST_BYTES_MAX: usize = 64;

impl Fingerprint {
    /// Parses the digest from upper- or lower-case hexadecimal pairs joined by colons; `None` if it is not one.
    pub fn parse(hash: &str, value: &str) -> Option<Fingerprint> {
        let mut bytes = Vec::new();
        for pair in value.trim().split(':') {
            let digits = pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
            if !digits || bytes.len() == DIGEST_BYTES_MAX {
                return None;
            }
            bytes.push(u8::from_str_radix(pair, 16).ok()?);
        }
        Some(Fingerprint { hash: hash.to_ascii_lowercase(), value: bytes })
    }

    /// The digest as upper-case hexadecimal pairs joined by colons.
    pub fn to_hex(&self) -> String {
        let pairs: Vec<String> = self.value.iter().map(|byte| format!("{byte:02X}")).collect();
        pairs.join(":")
    }
}

/// Who starts the DTLS handshake (RFC 5763 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Setup {
    /// The describing side sends the ClientHello.
    Active,
    /// The describing side waits for the ClientHello.
    Passive,
    /// Either; only in an offer.
    ActPass,
}

impl Setup {
    /// Reads the SDP spelling.
    pub fn parse(text: &str) -> Option<Setup> {
        match text {
            "active" => Some(Setup::Active),
            "passive" => Some(Setup::Passive),
            "actpass" => Some(Setup::ActPass),
            _ => None,
        }
    }

    /// The SDP spelling.
    pub const fn name(self) -> &'static str {
        match self {
            Setup::Active => "active",
            Setup::Passive => "passive",
            Setup::ActPass => "actpass",
        }
    }
}

/// What a bridge channel runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChannelKind {
    /// SCTP over DTLS (RFC 8831).
    DataChannel,
    /// A WebSocket to this process (RFC 6455).
    WebSocket,
}

/// An instruction to the associations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Prepare a DTLS association; we are the server, the offer says `actpass`.
    Create {
        /// For whom.
        endpoint: EndpointId,
    },
    /// What the client answered about its certificate.
    SetRemote {
        /// Whose.
        endpoint: EndpointId,
        /// All that it listed; the strongest known hash must match.
        fingerprints: Vec<Fingerprint>,
        /// Its role.
        setup: Setup,
    },
    /// A bridge-channel message, on whichever channel was used last.
    Send {
        /// To whom.
        endpoint: EndpointId,
        /// One JSON object.
        text: String,
    },
    /// Close the association and all channels of an endpoint.
    Expire {
        /// Whose.
        endpoint: EndpointId,
    },
}

/// News from the associations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The handshake is done and the keys are with the media plane.
    Connected {
        /// Whose.
        endpoint: EndpointId,
        /// What was negotiated.
        profile: SrtpProfile,
    },
    /// The handshake failed or timed out.
    Failed {
        /// Whose.
        endpoint: EndpointId,
        /// For the operator.
        reason: String,
    },
    /// A bridge channel is open.
    ChannelOpened {
        /// Whose.
        endpoint: EndpointId,
        /// Over what.
        kind: ChannelKind,
    },
    /// A bridge-channel message came in.
    ChannelText {
        /// From whom.
        endpoint: EndpointId,
        /// As received; at most 64 KiB are looked at.
        text: String,
    },
    /// A bridge channel is gone.
    ChannelClosed {
        /// Whose.
        endpoint: EndpointId,
        /// Over what.
        kind: ChannelKind,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read_in_either_case_and_written_in_upper_case() {
        let read = Fingerprint::parse("SHA-256", "9a:1C:00:ff").expect("a well-formed digest");
        assert_eq!(read, Fingerprint { hash: "sha-256".into(), value: vec![0x9a, 0x1c, 0, 0xff] });
        assert_eq!(read.to_hex(), "9A:1C:00:FF");
    }

    #[test]
    fn malformed_fingerprints_are_refused() {
        for bad in ["", "9", "9A:", ":9A", "9A:1", "9A:+1", "9A 1C", &"00:".repeat(70)] {
            assert_eq!(Fingerprint::parse("sha-256", bad), None, "{bad:?}");
        }
    }
}
