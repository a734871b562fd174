//! Which header extensions (RFC 8285) an outgoing packet carries, and how long they are.

use arrayvec::ArrayVec;
use contract::Timestamp;
use contract::session::{ExtensionIds, Media};
use wire::rtp::FIXED_HEADER_LEN;

use crate::send_stream::Outgoing;

/// Elements of one packet at most: one for each extension that we write.
const ELEMENTS_MAX: usize = 6;
/// Longest dependency descriptor that the two-byte form holds.
pub(crate) const DESCRIPTOR_BYTES_MAX: usize = 255;

/// The elements of one packet, ready for [`wire::rtp::Header::write`].
pub(crate) type Elements<'a> = ArrayVec<(u8, &'a [u8]), ELEMENTS_MAX>;

/// Bytes of the elements that are made here.
#[derive(Default)]
pub(crate) struct Stamps {
    transport_cc: [u8; 2],
    absolute_send_time: [u8; 3],
    audio_level: [u8; 1],
    video_orientation: [u8; 1],
}

impl Stamps {
    /// `transport_cc` is the number that the packet gets, if it gets one.
    pub(crate) fn new(packet: &Outgoing<'_>, transport_cc: Option<u16>, now: Timestamp) -> Stamps {
        Stamps {
            transport_cc: transport_cc.unwrap_or_default().to_be_bytes(),
            absolute_send_time: absolute_send_time(now),
            audio_level: [packet.audio_level.unwrap_or_default()],
            video_orientation: [packet.video_orientation.unwrap_or_default()],
        }
    }

    /// The elements in order of importance, as the last ones are left out where room ends.
    pub(crate) fn elements<'a>(
        &'a self,
        ids: &ExtensionIds,
        packet: &Outgoing<'a>,
        descriptor: Option<&'a [u8]>,
        numbered: bool,
    ) -> Elements<'a> {
        let mut elements = Elements::new();
        let mut add = |id: Option<u8>, data: Option<&'a [u8]>| {
            if let (Some(id), Some(data)) = (id, data) {
                // One push for each of six calls.
                let _ = elements.try_push((id, data));
            }
        };
        add(ids.transport_cc, numbered.then_some(&self.transport_cc[..]));
        add(ids.mid, packet.mid.map(str::as_bytes));
        add(ids.dependency_descriptor, descriptor);
        add(ids.audio_level, packet.audio_level.map(|_| &self.audio_level[..]));
        add(ids.video_orientation, packet.video_orientation.map(|_| &self.video_orientation[..]));
        let timed = ids.transport_cc.is_none();
        add(ids.absolute_send_time, timed.then_some(&self.absolute_send_time[..]));
        elements
    }
}

/// Whether packets of this medium carry a transport-wide number.
pub(crate) fn numbered(ids: &ExtensionIds, media: Media) -> bool {
    ids.transport_cc.is_some() && media == Media::Video
}

/// Seconds in 6.18 fixed point.
fn absolute_send_time(now: Timestamp) -> [u8; 3] {
    let time = (u128::from(now.as_micros()) << 18) / 1_000_000;
    let [.., a, b, c] = (time as u32).to_be_bytes();
    [a, b, c]
}

/// The length of the header with these elements, given room for all.
pub(crate) fn header_len(elements: &[(u8, &[u8])], allow_two_byte: bool) -> usize {
    let fits_one = |id: u8, data: &[u8]| (1..=14).contains(&id) && (1..=16).contains(&data.len());
    let one_byte = !allow_two_byte || elements.iter().all(|(id, data)| fits_one(*id, data));
    let len: usize = elements
        .iter()
        .map(|&(id, data)| match one_byte {
            true if fits_one(id, data) => 1 + data.len(),
            false if id != 0 && data.len() <= DESCRIPTOR_BYTES_MAX => 2 + data.len(),
            _ => 0,
        })
        .sum();
    FIXED_HEADER_LEN + if len == 0 { 0 } else { 4 + len.next_multiple_of(4) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wire::rtp::Header;

    use super::*;

    proptest! {
        #[test]
        fn the_length_foretold_is_the_length_written(
            elements in proptest::collection::vec((0u8..20, proptest::collection::vec(any::<u8>(), 0..40)), 0..6),
            allow_two_byte: bool,
        ) {
            let elements: Vec<(u8, &[u8])> = elements.iter().map(|(id, data)| (*id, &data[..])).collect();
            let header = Header { marker: false, payload_type: 1, sequence: 1, timestamp: 1, ssrc: 1 };
            let mut out = [0; 1_500];
            let written = header.write(&mut out, &elements, allow_two_byte).unwrap();
            prop_assert_eq!(header_len(&elements, allow_two_byte), written);
        }
    }

    #[test]
    fn absolute_send_time_is_24_bits_of_seconds_in_6_18() {
        assert_eq!(absolute_send_time(Timestamp::from_millis(1_000)), [0x04, 0, 0]);
        assert_eq!(absolute_send_time(Timestamp::from_millis(64_500)), [0x02, 0, 0]);
    }
}
