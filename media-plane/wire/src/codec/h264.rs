//! H.264 payloads (RFC 6184 §5): NAL unit types, also inside aggregates and fragments.

use super::Malformed;
use crate::octets::{u8_at, u16_at};

/// What an H.264 packet says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The first NAL unit's type, 1..=23; inside of a STAP-A or FU-A.
    pub nal_type: u8,
    /// Bit `n` is set if a NAL unit of type `n` begins or goes on in the packet.
    pub nal_types: u32,
    /// The packet begins a key frame: an SPS, or the start of an IDR slice.
    pub is_key_frame: bool,
    /// The packet begins a NAL unit: not the middle or end of a fragmented one.
    pub starts_nal: bool,
    /// The packet ends its last NAL unit.
    pub ends_nal: bool,
    /// All NAL units have a reference count of zero: nothing refers to them.
    pub non_reference: bool,
}

impl Descriptor {
    /// Read the NAL unit headers of a payload without padding.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let first = u8_at(payload, 0).ok_or(Malformed::Truncated)?;
        match first & TYPE_MASK {
            nal_type @ 1..=23 => Ok(Self::of_unit(first, nal_type, true, true)),
            STAP_A => Self::parse_aggregate(payload),
            FU_A => {
                let header = u8_at(payload, 1).ok_or(Malformed::Truncated)?;
                let [start, end] = [0x80, 0x40].map(|bit| header & bit != 0);
                let nal_type = header & TYPE_MASK;
                // A fragment is not the whole (RFC 6184 §5.8).
                if start && end || !(1..=23).contains(&nal_type) {
                    return Err(Malformed::Invalid);
                }
                Ok(Self::of_unit(first, nal_type, start, end))
            }
            // The interleaved types belong to a packetization mode that is not negotiated.
            _ => Err(Malformed::Invalid),
        }
    }

    fn of_unit(header: u8, nal_type: u8, starts_nal: bool, ends_nal: bool) -> Self {
        Self {
            nal_type,
            nal_types: 1 << nal_type,
            is_key_frame: starts_nal && matches!(nal_type, IDR | SPS),
            starts_nal,
            ends_nal,
            non_reference: header & REFERENCE_MASK == 0,
        }
    }

    fn parse_aggregate(payload: &[u8]) -> Result<Self, Malformed> {
        let mut whole: Option<Self> = None;
        let mut at = 1;
        while at < payload.len() {
            let length = usize::from(u16_at(payload, at).ok_or(Malformed::Truncated)?);
            let unit = payload.get(at + 2..at + 2 + length).ok_or(Malformed::Truncated)?;
            let &header = unit.first().ok_or(Malformed::Invalid)?;
            let nal_type = header & TYPE_MASK;
            if !(1..=23).contains(&nal_type) {
                return Err(Malformed::Invalid);
            }
            let one = Self::of_unit(header, nal_type, true, true);
            let sum = whole.get_or_insert(one);
            sum.nal_types |= one.nal_types;
            sum.is_key_frame |= one.is_key_frame;
            sum.non_reference &= one.non_reference;
            at += 2 + length;
        }
        whole.ok_or(Malformed::Truncated)
    }
}

const TYPE_MASK: u8 = 0x1F;
const REFERENCE_MASK: u8 = 0x60;
const IDR: u8 = 5;
const SPS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_kind_of_packet_is_read() {
        /// (name, payload, type, key frame, starts, ends)
        type Row = (&'static str, &'static [u8], u8, bool, bool, bool);
        let rows: &[Row] = &[
            ("single slice", &[0x41, 0x9A], 1, false, true, true),
            ("single IDR", &[0x65, 0x88], 5, true, true, true),
            ("single SPS", &[0x67, 0x42], 7, true, true, true),
            ("single PPS", &[0x68, 0xCE], 8, false, true, true),
            ("SPS and PPS", &[0x78, 0, 2, 0x67, 0x42, 0, 1, 0x68], 7, true, true, true),
            ("SEI, then IDR", &[0x78, 0, 1, 0x06, 0, 1, 0x65], 6, true, true, true),
            ("IDR, first fragment", &[0x7C, 0x85, 0x88], 5, true, true, false),
            ("IDR, next fragment", &[0x7C, 0x05, 0x88], 5, false, false, false),
            ("IDR, last fragment", &[0x7C, 0x45, 0x88], 5, false, false, true),
            ("slice, first fragment", &[0x5C, 0x81, 0x88], 1, false, true, false),
        ];
        for (name, payload, nal_type, key, starts, ends) in rows {
            let read = Descriptor::parse(payload).unwrap();
            assert_eq!(read.nal_type, *nal_type, "{name}");
            assert_eq!((read.is_key_frame, read.starts_nal, read.ends_nal), (*key, *starts, *ends), "{name}");
            assert!(!read.non_reference || *name == "SEI, then IDR", "{name}");
        }
        let both = Descriptor::parse(&[0x78, 0, 2, 0x67, 0x42, 0, 1, 0x68]).unwrap();
        assert_eq!(both.nal_types, 1 << 7 | 1 << 8);
        assert!(Descriptor::parse(&[0x01]).unwrap().non_reference);
    }

    #[test]
    fn broken_packets_are_refused() {
        let rows: &[(&str, &[u8], Malformed)] = &[
            ("empty", &[], Malformed::Truncated),
            ("type 0", &[0x60], Malformed::Invalid),
            ("STAP-B", &[0x79, 0, 0], Malformed::Invalid),
            ("FU-B", &[0x7D, 0x85], Malformed::Invalid),
            ("type 31", &[0x7F], Malformed::Invalid),
            ("aggregate of nothing", &[0x78], Malformed::Truncated),
            ("half a length", &[0x78, 0], Malformed::Truncated),
            ("unit past the end", &[0x78, 0, 3, 0x67, 0x42], Malformed::Truncated),
            ("unit of no length", &[0x78, 0, 0], Malformed::Invalid),
            ("aggregate in aggregate", &[0x78, 0, 1, 0x78], Malformed::Invalid),
            ("fragment without header", &[0x7C], Malformed::Truncated),
            ("fragment that starts and ends", &[0x7C, 0xC5], Malformed::Invalid),
            ("fragment of a fragment", &[0x7C, 0x9C], Malformed::Invalid),
        ];
        for (name, payload, expected) in rows {
            assert_eq!(Descriptor::parse(payload), Err(*expected), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_payload_is_read_or_refused(payload in prop::collection::vec(any::<u8>(), 0..80), aggregate: bool) {
            let mut payload = payload;
            if let Some(first) = payload.first_mut().filter(|_| aggregate) {
                *first = 0x78;
            }
            if let Ok(read) = Descriptor::parse(&payload) {
                prop_assert!(read.nal_types >> read.nal_type & 1 == 1);
            }
        }
    }
}
