//! Annotated packets, round trips, and hostile compounds.

use proptest::prelude::*;

use super::compound::{Packet, iterate};
use super::sender_report::{ReportBlock, SenderInfo};
use super::*;

fn only(bytes: &[u8]) -> Packet<'_> {
    let mut packets = iterate(bytes);
    let packet = packets.next().unwrap().unwrap();
    assert!(packets.next().is_none());
    packet
}

/// The numbers that a compound's items stand for, so that everything in them is walked.
fn walk_all(bytes: &[u8]) -> usize {
    iterate(bytes)
        .map(|packet| match packet {
            Ok(Packet::SenderReport(report)) => report.report_blocks().count(),
            Ok(Packet::ReceiverReport(report)) => report.report_blocks().count(),
            Ok(Packet::Sdes(sdes)) => sdes.chunks().count(),
            Ok(Packet::Bye(bye)) => bye.ssrcs().count(),
            Ok(Packet::Nack(nack)) => nack.sequences().count(),
            Ok(Packet::TransportCc(feedback)) => {
                let count = feedback.statuses().count();
                assert_eq!(count, usize::from(feedback.status_count()), "checked at parsing");
                count
            }
            Ok(Packet::Fir(fir)) => fir.entries().count(),
            Ok(Packet::Remb(remb)) => remb.ssrcs().count(),
            Ok(Packet::Pli(_) | Packet::Unknown { .. }) | Err(_) => 1,
        })
        .sum()
}

#[test]
fn a_sender_report_with_sdes_is_read() {
    #[rustfmt::skip]
    let bytes = [
        0x81, 200, 0, 12, // one report block, 13 words
        0, 0, 0, 1, // sender
        0xE0, 0, 0, 1, 0x80, 0, 0, 0, // NTP
        0, 0, 0, 2, // RTP time
        0, 0, 0, 3, 0, 0, 0, 4, // packets, octets
        0, 0, 0, 5, // block: stream
        0x40, 0xFF, 0xFF, 0xFE, // a quarter lost, -2 in all
        0, 1, 0, 7, // cycle 1, sequence 7
        0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0, 10, // jitter, last report, delay
        0x81, 202, 0, 3, // one chunk
        0, 0, 0, 1, 1, 3, b'a', b'b', b'c', 0, 0, 0, // CNAME "abc"
    ];
    let mut packets = iterate(&bytes);
    let Some(Ok(Packet::SenderReport(report))) = packets.next() else { panic!("no sender report") };
    let info = SenderInfo {
        ssrc: 1,
        ntp_time: 0xE000_0001_8000_0000,
        rtp_timestamp: 2,
        packet_count: 3,
        octet_count: 4,
    };
    assert_eq!(report.info(), info);
    let block = ReportBlock {
        ssrc: 5,
        fraction_lost: 0x40,
        cumulative_lost: -2,
        highest_sequence: 0x1_0007,
        jitter: 8,
        last_sender_report: 9,
        delay_since_last: 10,
    };
    assert!(report.report_blocks().eq([block]));
    let Some(Ok(Packet::Sdes(sdes))) = packets.next() else { panic!("no SDES") };
    assert!(sdes.chunks().eq([sdes::Chunk { ssrc: 1, cname: Some(b"abc") }]));
    assert!(packets.next().is_none());

    let mut out = [0; 80];
    let length = sender_report::write(&mut out, &info, &[block]).unwrap();
    let more = sdes::write(&mut out[length..], 1, "abc").unwrap();
    assert_eq!(out[..length + more], bytes);
}

#[test]
fn a_nack_tells_its_first_number_and_those_of_the_mask() {
    #[rustfmt::skip]
    let bytes = [
        0x81, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2,
        0xFF, 0xFE, 0x80, 0x05, // 65534, then +1, +3, +16
        0x00, 0x20, 0x00, 0x00, // 32
    ];
    let Packet::Nack(nack) = only(&bytes) else { panic!("no NACK") };
    assert_eq!((nack.sender_ssrc(), nack.media_ssrc()), (1, 2));
    assert!(nack.sequences().eq([65_534, 65_535, 1, 14, 32]));
    let mut out = [0; 40];
    let length = nack::write(&mut out, 1, 2, &[65_534, 65_535, 1, 14, 32]).unwrap();
    assert_eq!(out[..length], bytes);
    assert_eq!(nack::write(&mut out, 1, 2, &[]), None);
    assert_eq!(nack::write(&mut out[..19], 1, 2, &[1, 18]), None);
}

#[test]
fn key_frame_requests_round_trip() {
    let mut out = [0; 40];
    let asked = pli::Pli { sender_ssrc: 1, media_ssrc: 2 };
    let length = pli::write(&mut out, &asked).unwrap();
    assert_eq!(out[..length], [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
    let Packet::Pli(read) = only(&out[..length]) else { panic!("no PLI") };
    assert_eq!(read, asked);

    let entries = [fir::Entry { ssrc: 3, sequence: 255 }, fir::Entry { ssrc: 4, sequence: 0 }];
    let length = fir::write(&mut out, 1, &entries).unwrap();
    #[rustfmt::skip]
    assert_eq!(
        out[..length],
        [0x84, 206, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3, 255, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0]
    );
    let Packet::Fir(read) = only(&out[..length]) else { panic!("no FIR") };
    assert!(read.sender_ssrc() == 1 && read.entries().eq(entries));
    assert_eq!(fir::write(&mut out, 1, &[]), None);
}

#[test]
fn a_remb_is_read_and_its_bitrate_saturates() {
    #[rustfmt::skip]
    let mut bytes = [
        0x8F, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B',
        1, 0x0B, 0xD0, 0x90, // one stream, exponent 2, mantissa 0x3D090: 1 Mbit/s
        0, 0, 0, 9,
    ];
    let Packet::Remb(remb) = only(&bytes) else { panic!("no REMB") };
    assert_eq!((remb.sender_ssrc(), remb.bitrate_bps()), (1, 1_000_000));
    assert!(remb.ssrcs().eq([9]));
    let mut out = [0; 24];
    assert_eq!(remb::write(&mut out, 1, 1_000_000, &[9]), Some(24));
    let Packet::Remb(written) = only(&out) else { panic!("no REMB") };
    assert_eq!(written.bitrate_bps(), 1_000_000);

    let rows: &[([u8; 3], u64)] = &[
        ([0xFF, 0xFF, 0xFF], u64::MAX),
        ([0xFC, 0, 0], 0),
        ([0xFC, 0, 1], 1 << 63),
        ([0xFC, 0, 2], u64::MAX),
        ([0, 0, 1], 1),
    ];
    for (scaled, expected) in rows {
        bytes[17..20].copy_from_slice(scaled);
        let Packet::Remb(remb) = only(&bytes) else { panic!("no REMB") };
        assert_eq!(remb.bitrate_bps(), *expected, "{scaled:?}");
    }
    bytes[16] = 2;
    assert_eq!(iterate(&bytes).next().unwrap().unwrap_err(), Malformed::Body, "count above the data");
    bytes[12] = b'X';
    assert!(matches!(only(&bytes), Packet::Unknown { packet_type: 206, count: 15 }));
}

#[test]
fn a_malformed_inside_is_skipped_and_a_malformed_outside_ends_the_walk() {
    #[rustfmt::skip]
    let bytes = [
        0x82, 201, 0, 1, 0, 0, 0, 1, // two blocks promised, none there
        0x80, 204, 0, 0, // application-defined: unknown
        0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, // PLI
        0x40, 206, 0, 0, // version 1
        0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2,
    ];
    let seen: Vec<_> = iterate(&bytes).collect();
    assert!(matches!(
        seen[..],
        [
            Err(Malformed::Body),
            Ok(Packet::Unknown { packet_type: 204, count: 0 }),
            Ok(Packet::Pli(_)),
            Err(Malformed::Header)
        ]
    ));
}

#[test]
fn the_outside_is_checked() {
    let rows: &[(&str, &[u8], Malformed)] = &[
        ("one byte", &[0x80], Malformed::Header),
        ("three bytes", &[0x80, 201, 0], Malformed::Header),
        ("longer than the datagram", &[0x80, 201, 0, 2, 0, 0, 0, 1], Malformed::Header),
        ("no padding", &[0xA0, 201, 0, 1, 0, 0, 0, 0], Malformed::Padding),
        ("padding without a body", &[0xA0, 201, 0, 0], Malformed::Padding),
        ("padding into the header", &[0xA0, 201, 0, 1, 0, 0, 0, 8], Malformed::Padding),
    ];
    for (name, bytes, expected) in rows {
        assert_eq!(iterate(bytes).next().unwrap().unwrap_err(), *expected, "{name}");
    }
    let padded = [0xA0, 201, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4];
    assert!(matches!(only(&padded), Packet::ReceiverReport(report) if report.ssrc() == 1));
}

#[test]
fn feedback_padded_as_chromium_does_it_is_read() {
    // As captured: P set, three bytes of padding to the next word, the last of them says 3.
    let captured = [
        0xAF, 0xCD, 0x00, 0x06, 0x06, 0xE9, 0x22, 0x4B, 0x62, 0x50, 0xCB,
        0xC2, // header, sender, media SSRC
        0x00, 0x03, 0x00, 0x03, 0x01, 0x33, 0x4D, 0x01, // base 3, three statuses, reference time, count
        0x20, 0x03, 0x74, 0x00, 0x00, // one run of small deltas, then the deltas
        0x00, 0x00, 0x03, // padding
    ];
    let Packet::TransportCc(feedback) = only(&captured) else { panic!("not read as feedback") };
    assert_eq!(feedback.statuses().filter_map(|status| status.delta).collect::<Vec<_>>(), [0x74, 0, 0]);
}

#[test]
fn a_compound_has_at_most_64_packets() {
    let bytes = [0x80, 204, 0, 0].repeat(compound::PACKETS_MAX);
    assert_eq!(iterate(&bytes).filter(Result::is_ok).count(), 64);
    let bytes = [0x80, 204, 0, 0].repeat(200);
    let seen: Vec<_> = iterate(&bytes).collect();
    assert_eq!(seen.len(), 65);
    assert!(matches!(seen[64], Err(Malformed::TooManyPackets)));
}

#[test]
fn counts_above_the_data_are_malformed() {
    for packet_type in [200, 201, 202, 203, 205, 206] {
        for count in 0..32u8 {
            for words in 0..20u8 {
                let mut bytes = vec![0x80 | count, packet_type, 0, words];
                bytes.resize(4 + 4 * usize::from(words), 0xFF);
                walk_all(&bytes);
            }
        }
    }
    let bye = [0x82, 203, 0, 1, 0, 0, 0, 1];
    assert_eq!(iterate(&bye).next().unwrap().unwrap_err(), Malformed::Body);
    let sdes_item_past_the_end = [0x81, 202, 0, 2, 0, 0, 0, 1, 1, 3, b'a', b'b'];
    assert_eq!(iterate(&sdes_item_past_the_end).next().unwrap().unwrap_err(), Malformed::Body);
    let sdes_without_end = [0x81, 202, 0, 2, 0, 0, 0, 1, 1, 2, b'a', b'b'];
    assert_eq!(iterate(&sdes_without_end).next().unwrap().unwrap_err(), Malformed::Body);
}

#[test]
fn a_bye_may_give_a_reason() {
    let bytes = [0x81, 203, 0, 2, 0, 0, 0, 7, 3, b'b', b'y', b'e'];
    let Packet::Bye(bye) = only(&bytes) else { panic!("no BYE") };
    assert!(bye.ssrcs().eq([7]));
    let mut out = [0; 16];
    assert_eq!(bye::write(&mut out, &[7]), Some(8));
    assert_eq!(out[..8], [0x81, 203, 0, 1, 0, 0, 0, 7]);
    assert_eq!(bye::write(&mut [0; 400], &[0; 32]), None, "five bits of count");
}

fn report_block() -> impl Strategy<Value = ReportBlock> {
    (any::<u32>(), any::<u8>(), -0x80_0000i32..0x80_0000, any::<[u32; 4]>()).prop_map(
        |(
            ssrc,
            fraction_lost,
            cumulative_lost,
            [highest_sequence, jitter, last_sender_report, delay_since_last],
        )| {
            ReportBlock {
                ssrc,
                fraction_lost,
                cumulative_lost,
                highest_sequence,
                jitter,
                last_sender_report,
                delay_since_last,
            }
        },
    )
}

proptest! {
    #[test]
    fn any_bytes_are_walked_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        walk_all(&bytes);
    }

    #[test]
    fn any_packets_with_good_outsides_are_walked_to_an_end(
        packets in prop::collection::vec(
            (any::<u8>(), 198u8..208, prop::collection::vec(any::<[u8; 4]>(), 0..12)), 1..6),
    ) {
        let mut bytes = Vec::new();
        for (count, packet_type, words) in &packets {
            bytes.extend([0x80 | count & 0x1F, *packet_type, 0, u8::try_from(words.len()).unwrap()]);
            bytes.extend(words.concat());
        }
        prop_assert_eq!(iterate(&bytes).count(), packets.len());
        walk_all(&bytes);
    }

    #[test]
    fn reports_round_trip(ssrc: u32, blocks in prop::collection::vec(report_block(), 0..=31), ntp_time: u64) {
        let mut out = [0; 1_000];
        let length = receiver_report::write(&mut out, ssrc, &blocks).unwrap();
        let Packet::ReceiverReport(report) = only(&out[..length]) else { panic!("no receiver report") };
        prop_assert_eq!(report.ssrc(), ssrc);
        prop_assert!(report.report_blocks().eq(blocks.iter().copied()));

        let info = SenderInfo { ssrc, ntp_time, rtp_timestamp: 1, packet_count: 2, octet_count: 3 };
        let length = sender_report::write(&mut out, &info, &blocks).unwrap();
        let Packet::SenderReport(report) = only(&out[..length]) else { panic!("no sender report") };
        prop_assert_eq!(report.info(), info);
        prop_assert!(report.report_blocks().eq(blocks.iter().copied()));
        for shorter in 0..length {
            prop_assert_eq!(sender_report::write(&mut out[..shorter], &info, &blocks), None);
        }
    }

    #[test]
    fn nacks_round_trip(start: u16, steps in prop::collection::vec(1u16..40, 1..100)) {
        let sequences: Vec<u16> = steps.iter().scan(start, |at, step| { *at = at.wrapping_add(*step); Some(*at) }).collect();
        let mut out = [0; 1_000];
        let length = nack::write(&mut out, 1, 2, &sequences).unwrap();
        let Packet::Nack(nack) = only(&out[..length]) else { panic!("no NACK") };
        prop_assert!(nack.sequences().eq(sequences));
    }

    #[test]
    fn a_remb_loses_less_than_its_mantissa_can_hold(bitrate: u64, ssrcs in prop::collection::vec(any::<u32>(), 0..10)) {
        let mut out = [0; 100];
        let length = remb::write(&mut out, 5, bitrate, &ssrcs).unwrap();
        let Packet::Remb(remb) = only(&out[..length]) else { panic!("no REMB") };
        prop_assert!(remb.bitrate_bps() <= bitrate && bitrate - remb.bitrate_bps() <= bitrate >> 17);
        prop_assert!(remb.ssrcs().eq(ssrcs));
    }

    #[test]
    fn an_sdes_round_trips(ssrc: u32, cname in "[ -~]{0,60}") {
        let mut out = [0; 100];
        let length = sdes::write(&mut out, ssrc, &cname).unwrap();
        let Packet::Sdes(sdes) = only(&out[..length]) else { panic!("no SDES") };
        let expected = sdes::Chunk { ssrc, cname: Some(cname.as_bytes()) };
        prop_assert!(sdes.chunks().eq([expected]));
    }
}
