//! Annotated packets, hostile headers, round trips, and another implementation as judge of well-formed packets.

use bytes::Bytes;
use proptest::prelude::*;
use webrtc_util::marshal::{Marshal, Unmarshal};

use super::*;
use crate::rtp_extension::{ONE_BYTE_PROFILE, TWO_BYTE_PROFILE};

#[rustfmt::skip]
const PACKET: &[u8] = &[
    0xB1, 0xE0, 0x12, 0x34, // version 2, padding, extension, one CSRC; marker, type 96; sequence
    0, 0, 0, 5, // timestamp
    0xDE, 0xAD, 0xBE, 0xEF, // SSRC
    0, 0, 0, 9, // CSRC
    0xBE, 0xDE, 0, 1, // one word of extensions
    0x50, 0x77, 0, 0, // id 5, one byte, padding
    1, 2, 3, // payload
    0, 2, // padding
];

const HEADER: Header =
    Header { marker: true, payload_type: 96, sequence: 0x1234, timestamp: 5, ssrc: 0xDEAD_BEEF };

#[test]
fn a_packet_with_all_its_parts_is_read() {
    let packet = Packet::parse(PACKET).unwrap();
    assert_eq!(packet.header(), HEADER);
    assert_eq!((packet.marker(), packet.payload_type(), packet.sequence()), (true, 96, 0x1234));
    assert_eq!((packet.timestamp(), packet.ssrc()), (5, 0xDEAD_BEEF));
    assert_eq!((packet.header_len(), packet.payload(), packet.padding_len()), (24, &[1, 2, 3][..], 2));
    assert!(packet.extensions().map(|element| (element.id, element.data)).eq([(5, &[0x77][..])]));
}

#[test]
fn the_prefix_is_read_without_a_look_at_the_padding() {
    let encrypted = [&PACKET[..24], &[0xFF, 0xFF]].concat();
    let prefix = HeaderPrefix::parse(&encrypted).unwrap();
    assert_eq!((prefix.header(), prefix.header_len()), (HEADER, 24));
    assert_eq!(prefix.extension().unwrap().find(5), Some(&[0x77][..]));
    assert_eq!((prefix.marker(), prefix.payload_type(), prefix.sequence()), (true, 96, 0x1234));
    assert_eq!((prefix.timestamp(), prefix.ssrc()), (5, 0xDEAD_BEEF));
    assert_eq!(Packet::parse(&encrypted), Err(Malformed::Padding));
}

#[test]
fn a_packet_cut_anywhere_in_its_header_is_refused() {
    for length in 0..24 {
        let expected = match length {
            0..12 => Malformed::Truncated,
            12..16 => Malformed::Csrc,
            _ => Malformed::Extension,
        };
        assert_eq!(Packet::parse(&PACKET[..length]), Err(expected), "{length}");
        assert_eq!(HeaderPrefix::parse(&PACKET[..length]), Err(expected), "{length}");
    }
}

#[test]
fn padding_takes_one_byte_to_the_whole_payload() {
    let fixed = [0xA0, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1];
    /// (what follows the fixed header, lengths of payload and padding)
    type Row = (&'static [u8], Result<(usize, usize), Malformed>);
    let rows: &[Row] = &[
        (&[], Err(Malformed::Padding)),
        (&[0], Err(Malformed::Padding)),
        (&[1], Ok((0, 1))),
        (&[2], Err(Malformed::Padding)),
        (&[0, 0, 3], Ok((0, 3))),
        (&[0, 0, 4], Err(Malformed::Padding)),
        (&[9, 0, 2], Ok((1, 2))),
        (&[9, 9, 255], Err(Malformed::Padding)),
    ];
    for (body, expected) in rows {
        let bytes = [&fixed[..], body].concat();
        let read = Packet::parse(&bytes).map(|packet| (packet.payload().len(), packet.padding_len()));
        assert_eq!(read, *expected, "{body:?}");
    }
}

#[test]
fn only_version_2_is_read() {
    for first in [0x00, 0x40, 0xC0] {
        let mut bytes = PACKET.to_vec();
        bytes[0] = first | 0x31;
        assert_eq!(Packet::parse(&bytes), Err(Malformed::Version));
    }
}

#[test]
fn every_short_length_with_every_first_byte_is_read_or_refused() {
    for first in 0..=255u8 {
        for length in 0..=80 {
            for fill in [0, 1, 0x10, 0xFF] {
                let mut bytes = vec![fill; length];
                if let Some(slot) = bytes.first_mut() {
                    *slot = first;
                }
                if let Ok(packet) = Packet::parse(&bytes) {
                    let parts = packet.header_len() + packet.payload().len() + packet.padding_len();
                    assert_eq!(parts, length);
                    packet.extensions().for_each(drop);
                }
            }
        }
    }
}

#[test]
fn the_form_follows_from_the_elements() {
    let long = [7; 17];
    /// (name, elements, two-byte form allowed, what follows the fixed header)
    type Row<'a> = (&'a str, &'a [(u8, &'a [u8])], bool, &'a [u8]);
    let two_byte_long = [&[0x10, 0, 0, 5, 1, 17][..], &long, &[0]].concat();
    let rows: &[Row<'_>] = &[
        ("no extension", &[], true, &[]),
        ("one-byte", &[(1, &[9]), (14, &[8, 7])], true, &[0xBE, 0xDE, 0, 2, 0x10, 9, 0xE1, 8, 7, 0, 0, 0]),
        ("two-byte for an id", &[(15, &[9])], true, &[0x10, 0, 0, 1, 15, 1, 9, 0]),
        ("two-byte for a length", &[(1, &long)], true, &two_byte_long),
        ("two-byte for no length", &[(1, &[])], true, &[0x10, 0, 0, 1, 1, 0, 0, 0]),
        (
            "left out if not allowed",
            &[(15, &[9]), (2, &[8]), (1, &long)],
            false,
            &[0xBE, 0xDE, 0, 1, 0x20, 8, 0, 0],
        ),
        ("all left out", &[(15, &[9])], false, &[]),
        ("id 0 is none", &[(0, &[9])], true, &[]),
    ];
    for (name, elements, allow_two_byte, expected) in rows {
        let mut out = [0xFF; 64];
        let length = HEADER.write(&mut out, elements, *allow_two_byte).unwrap();
        assert_eq!(out[12..length], **expected, "{name}");
        assert_eq!(out[0] & 0x10 != 0, !expected.is_empty(), "{name}");
        assert_eq!(Packet::parse(&out[..length]).unwrap().header(), HEADER, "{name}");
    }
}

#[test]
fn extensions_that_do_not_fit_are_left_out_and_the_packet_is_not() {
    let elements: &[(u8, &[u8])] = &[(1, &[1]), (2, &[2; 16]), (3, &[3])];
    for length in 0..60 {
        let mut out = vec![0; length];
        let written = HEADER.write(&mut out, elements, true);
        if length < FIXED_HEADER_LEN {
            assert_eq!(written, None);
            continue;
        }
        let packet = Packet::parse(&out[..written.unwrap()]).unwrap();
        let ids: Vec<u8> = packet.extensions().map(|element| element.id).collect();
        let expected: &[u8] = match length {
            ..20 => &[],
            // Both small ones take one word together; the long one with the first takes five, and all take six.
            20..36 => &[1, 3],
            36..40 => &[1, 2],
            40.. => &[1, 2, 3],
        };
        assert_eq!(ids, expected, "{length}");
    }
}

fn header() -> impl Strategy<Value = Header> {
    (any::<bool>(), 0u8..128, any::<u16>(), any::<u32>(), any::<u32>()).prop_map(
        |(marker, payload_type, sequence, timestamp, ssrc)| Header {
            marker,
            payload_type,
            sequence,
            timestamp,
            ssrc,
        },
    )
}

fn elements(
    ids: std::ops::RangeInclusive<u8>,
    lengths: std::ops::Range<usize>,
) -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    prop::collection::vec((ids, prop::collection::vec(any::<u8>(), lengths)), 0..6)
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        header in header(), one_byte in elements(1..=14, 1..17), two_byte in elements(1..=255, 0..40),
        payload in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        for (list, allow_two_byte) in [(&one_byte, false), (&one_byte, true), (&two_byte, true)] {
            let borrowed: Vec<(u8, &[u8])> = list.iter().map(|(id, data)| (*id, &data[..])).collect();
            let mut out = [0xFF; 600];
            let length = header.write(&mut out, &borrowed, allow_two_byte).unwrap();
            let bytes = [&out[..length], &payload].concat();
            let packet = Packet::parse(&bytes).unwrap();
            prop_assert_eq!(packet.header(), header);
            prop_assert_eq!(packet.payload(), &payload[..]);
            prop_assert!(packet.extensions().map(|element| (element.id, element.data)).eq(borrowed));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..200), version: bool) {
        if let Some(first) = bytes.first_mut().filter(|_| version) {
            *first = *first & 0x3F | 0x80;
        }
        if let Ok(packet) = Packet::parse(&bytes) {
            prop_assert_eq!(packet.header_len() + packet.payload().len() + packet.padding_len(), bytes.len());
            packet.extensions().for_each(drop);
        }
    }

    #[test]
    fn another_implementation_reads_what_we_write(
        header in header(), one_byte in elements(1..=14, 1..17), payload in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let borrowed: Vec<(u8, &[u8])> = one_byte.iter().map(|(id, data)| (*id, &data[..])).collect();
        let mut out = [0; 300];
        let length = header.write(&mut out, &borrowed, false).unwrap();
        let mut buffer = Bytes::from([&out[..length], &payload].concat());
        let packet = ::rtp::packet::Packet::unmarshal(&mut buffer).unwrap();
        prop_assert_eq!(packet.header.ssrc, header.ssrc);
        prop_assert_eq!(packet.header.sequence_number, header.sequence);
        prop_assert_eq!(packet.header.timestamp, header.timestamp);
        prop_assert_eq!((packet.header.marker, packet.header.payload_type), (header.marker, header.payload_type));
        prop_assert_eq!(&packet.payload[..], &payload[..]);
        let theirs: Vec<(u8, &[u8])> = packet.header.extensions.iter().map(|e| (e.id, &e.payload[..])).collect();
        prop_assert_eq!(theirs, borrowed);
    }

    #[test]
    fn we_read_what_another_implementation_writes(
        header in header(), csrc in prop::collection::vec(any::<u32>(), 0..15),
        list in elements(1..=14, 1..17), two_byte: bool, payload in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let mut list = list;
        list.sort_by_key(|element| element.0);
        list.dedup_by_key(|element| element.0);
        let extensions: Vec<_> = list
            .iter()
            .map(|(id, data)| ::rtp::header::Extension { id: *id, payload: Bytes::from(data.clone()) })
            .collect();
        let theirs = ::rtp::packet::Packet {
            header: ::rtp::header::Header {
                version: 2,
                extension: !extensions.is_empty(),
                extension_profile: if two_byte { TWO_BYTE_PROFILE } else { ONE_BYTE_PROFILE },
                extensions,
                marker: header.marker,
                payload_type: header.payload_type,
                sequence_number: header.sequence,
                timestamp: header.timestamp,
                ssrc: header.ssrc,
                csrc: csrc.clone(),
                ..Default::default()
            },
            payload: Bytes::from(payload.clone()),
        };
        let bytes = theirs.marshal().unwrap();
        let packet = Packet::parse(&bytes).unwrap();
        prop_assert_eq!(packet.header(), header);
        prop_assert_eq!(packet.payload(), &payload[..]);
        let read: Vec<(u8, &[u8])> = packet.extensions().map(|element| (element.id, element.data)).collect();
        let expected: Vec<(u8, &[u8])> = list.iter().map(|(id, data)| (*id, &data[..])).collect();
        prop_assert_eq!(read, expected);
    }
}
