//! Where the parts of a plaintext packet lie in its slot: found once by the sender's worker, used for every receiver.

use contract::session::ExtensionIds;
use wire::rtp::Packet;

/// Offsets into a plaintext RTP packet. Header extensions have the sender's ids, which the receivers' workers need not
/// know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PacketParts {
    payload: Span,
    descriptor: Option<Span>,
    /// Raw byte of RFC 6464.
    pub(crate) audio_level: Option<u8>,
    /// Raw byte of 3GPP TS 26.114.
    pub(crate) video_orientation: Option<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Span {
    start: u16,
    end: u16,
}

impl PacketParts {
    /// Find the parts of `packet`, which lies at the start of `bytes`.
    pub(crate) fn of(packet: &Packet<'_>, bytes: &[u8], ids: &ExtensionIds) -> PacketParts {
        let start = packet.header_len();
        let mut parts = PacketParts {
            payload: Span { start: start as u16, end: (start + packet.payload().len()) as u16 },
            ..PacketParts::default()
        };
        for element in packet.extensions() {
            let id = Some(element.id);
            if id == ids.audio_level {
                parts.audio_level = element.data.first().copied();
            } else if id == ids.video_orientation {
                parts.video_orientation = element.data.first().copied();
            } else if id == ids.dependency_descriptor {
                parts.descriptor = span_within(bytes, element.data);
            }
        }
        parts
    }

    /// The payload, padding removed.
    pub(crate) fn payload<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        self.payload.of(bytes)
    }

    /// The dependency descriptor, if the packet carries one.
    pub(crate) fn descriptor<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        self.descriptor.map(|span| span.of(bytes))
    }

    /// What the length on the wire follows from, for packets of one medium to one receiver.
    #[inline]
    pub(crate) fn shape(&self) -> (u16, u16, bool, bool) {
        let descriptor = self.descriptor.map_or(0, Span::len);
        (self.payload.len(), descriptor, self.audio_level.is_some(), self.video_orientation.is_some())
    }

    /// Bytes of the packet up to the end of its payload.
    pub(crate) fn packet_len(&self) -> usize {
        usize::from(self.payload.end)
    }
}

impl Span {
    fn len(self) -> u16 {
        self.end - self.start
    }

    fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(usize::from(self.start)..usize::from(self.end)).unwrap_or_default()
    }
}

/// Where `part`, a slice of `whole`, lies in it.
fn span_within(whole: &[u8], part: &[u8]) -> Option<Span> {
    let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    let end = start + part.len();
    (end <= whole.len()).then_some(Span { start: start as u16, end: end as u16 })
}
