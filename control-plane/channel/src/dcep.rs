//! The Data Channel Establishment Protocol (RFC 8832): OPEN from the client, ACK from us.

/// A DATA_CHANNEL_OPEN (RFC 8832 §5.1) as far as it concerns us: the bridge channel is reliable and ordered whatever the
/// client writes into type, priority and parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Open<'a> {
    /// The channel's name.
    pub(crate) label: &'a str,
    /// The protocol spoken in it.
    pub(crate) protocol: &'a str,
}

/// Why a message is not an OPEN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DcepError {
    /// Shorter than its lengths say.
    Truncated,
    /// Bytes behind its end.
    Trailing,
    /// Another message type.
    NotOpen,
    /// Label and protocol together exceed [`NAMES_BYTES_MAX`].
    TooLong,
    /// Label or protocol is not UTF-8.
    Utf8,
}

/// Reads an OPEN.
pub(crate) fn parse_open(message: &[u8]) -> Result<Open<'_>, DcepError> {
    let (&kind, _) = message.split_first().ok_or(DcepError::Truncated)?;
    if kind != OPEN {
        return Err(DcepError::NotOpen);
    }

    let (header, names) = message.split_at_checked(OPEN_HEADER_BYTES).ok_or(DcepError::Truncated)?;
    let [.., l0, l1, p0, p1] = *header else { return Err(DcepError::Truncated) };
    let label_bytes = usize::from(u16::from_be_bytes([l0, l1]));
    let protocol_bytes = usize::from(u16::from_be_bytes([p0, p1]));
    if label_bytes + protocol_bytes > NAMES_BYTES_MAX {
        return Err(DcepError::TooLong);
    }

    let (label, rest) = names.split_at_checked(label_bytes).ok_or(DcepError::Truncated)?;
    let (protocol, rest) = rest.split_at_checked(protocol_bytes).ok_or(DcepError::Truncated)?;
    if !rest.is_empty() {
        return Err(DcepError::Trailing);
    }

    let utf8 = |bytes| core::str::from_utf8(bytes).map_err(|_| DcepError::Utf8);
    Ok(Open { label: utf8(label)?, protocol: utf8(protocol)? })
}

/// A DATA_CHANNEL_ACK (RFC 8832 §5.2).
pub(crate) const ACK_MESSAGE: [u8; 1] = [0x02];

/// Message type of DATA_CHANNEL_OPEN.
const OPEN: u8 = 0x03;

/// Type, channel type, priority, reliability parameter, label length, protocol length.
const OPEN_HEADER_BYTES: usize = 12;

/// Label and protocol of a client are 16 and 37 bytes; nobody needs more than this.
const NAMES_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn open(label: &[u8], protocol: &[u8]) -> Vec<u8> {
        let mut message = vec![0x03, 0x00, 0x00, 0x00, 0, 0, 0, 0];
        message.extend_from_slice(&(label.len() as u16).to_be_bytes());
        message.extend_from_slice(&(protocol.len() as u16).to_be_bytes());
        message.extend_from_slice(label);
        message.extend_from_slice(protocol);
        message
    }

    #[test]
    fn the_open_of_a_client_is_read() {
        let message = open(b"JVB data channel", b"http://jitsi.org/protocols/colibri");
        let expected = Open { label: "JVB data channel", protocol: "http://jitsi.org/protocols/colibri" };
        assert_eq!(parse_open(&message), Ok(expected));
    }

    #[test]
    fn lying_lengths_and_foreign_messages_are_refused() {
        let good = open(b"label", b"protocol");
        let mut longer = good.clone();
        longer[9] += 1;
        let mut shorter = good.clone();
        shorter[11] -= 1;
        let mut huge = good.clone();
        huge[8..12].copy_from_slice(&[0xff; 4]);
        let table: [(&str, &[u8], DcepError); 8] = [
            ("empty", &[], DcepError::Truncated),
            ("header only in part", &good[..11], DcepError::Truncated),
            ("label longer than the message", &longer, DcepError::Truncated),
            ("bytes left over", &shorter, DcepError::Trailing),
            ("largest lengths", &huge, DcepError::TooLong),
            ("an ACK", &ACK_MESSAGE, DcepError::NotOpen),
            ("names too long", &open(&[b'a'; 200], &[b'b'; 57]), DcepError::TooLong),
            ("not UTF-8", &open(&[0xff], b""), DcepError::Utf8),
        ];
        for (name, message, expected) in table {
            assert_eq!(parse_open(message), Err(expected), "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(message in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse_open(&message);
        }

        #[test]
        fn what_is_written_is_read(label in "[a-z]{0,100}", protocol in "[a-z]{0,100}") {
            let message = open(label.as_bytes(), protocol.as_bytes());
            prop_assert_eq!(parse_open(&message), Ok(Open { label: &label, protocol: &protocol }));
        }
    }
}
