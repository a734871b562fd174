//! Media, retransmission and RTCP of one transport against another.

mod conversation;

use std::collections::HashMap;

use contract::session::{Media, SrtpProfile};
use contract::{DropReason, Duration, Timestamp};
use proptest::prelude::*;
use wire::codec::Patch;
use wire::rtp::{Header, HeaderPrefix, Packet};

use crate::config::RateLimit;
use crate::ice::Event;
use crate::receive_stream::{Opened, ReceiveStream, StreamKind};
use crate::rtcp_in::Feedback;
use crate::send_stream::{Outgoing, Repair, SendStream};
use crate::simulation::{CLIENT, Mail, SERVER, World, at, config, sessions};
use crate::transport::Transport;

const VIDEO: u32 = 0x1000;
const RTX: u32 = 0x1001;
const AUDIO: u32 = 0x2000;
const PROFILES: [SrtpProfile; 3] =
    [SrtpProfile::AeadAes128Gcm, SrtpProfile::AeadAes256Gcm, SrtpProfile::Aes128CmHmacSha1_80];

fn outgoing(ssrc: u32, sequence: u16, payload: &[u8]) -> Outgoing<'_> {
    let payload_type = if ssrc == AUDIO { 111 } else { 96 };
    Outgoing {
        header: Header { marker: false, payload_type, sequence, timestamp: 900 * u32::from(sequence), ssrc },
        payload,
        patch: Patch::None,
        structure: None,
        audio_level: (ssrc == AUDIO).then_some(0x85),
        video_orientation: None,
        dependency_descriptor: None,
        mid: None,
        padding: 0,
        retransmission_token: (ssrc != AUDIO).then_some(u64::from(sequence)),
    }
}

fn repair(payload: &[u8]) -> Repair<'_> {
    Repair {
        payload,
        structure: None,
        audio_level: None,
        video_orientation: None,
        dependency_descriptor: None,
        mid: None,
    }
}

fn receive_streams(rtx: bool) -> Vec<Box<ReceiveStream>> {
    let video = StreamKind::Media { media: Media::Video, rtx: rtx.then_some(RTX) };
    let audio = StreamKind::Media { media: Media::Audio, rtx: None };
    let mut streams =
        vec![ReceiveStream::new(VIDEO, video, 90_000), ReceiveStream::new(AUDIO, audio, 48_000)];
    if rtx {
        streams.push(ReceiveStream::new(RTX, StreamKind::Rtx { primary: VIDEO }, 90_000));
    }
    streams
}

/// The server sends to the client.
fn prepare(sides: &mut [Box<Transport>; 2], profile: SrtpProfile, rtx: bool) {
    let (server, client) = sessions(profile);
    let [sender, receiver] = sides;
    assert!(sender.set_keys(server, at(1_000)).is_none());
    assert!(receiver.set_keys(client, at(1_000)).is_none());
    let video = SendStream::new(VIDEO, rtx.then_some(RTX), Media::Video, 90_000, 256);
    assert_eq!(sender.add_send_stream(video).unwrap(), None);
    assert_eq!(sender.add_send_stream(SendStream::new(AUDIO, None, Media::Audio, 48_000, 0)).unwrap(), None);
    assert!(receiver.set_receive_streams(receive_streams(rtx)).is_empty());
}

fn pair(profile: SrtpProfile, rtx: bool) -> [Box<Transport>; 2] {
    let mut sides = [('S', true), ('C', false)].map(|(name, controlling)| {
        Transport::new(&config(name, controlling, World::server_address()), at(1_000))
    });
    prepare(&mut sides, profile, rtx);
    sides
}

fn seal(sender: &mut Transport, packet: &Outgoing<'_>, now: Timestamp) -> Vec<u8> {
    let mut out = [0; 1_500];
    let foretold = sender.sealed_len(packet);
    let sealed = sender.seal_rtp(packet, now, &mut out).unwrap();
    assert_eq!(foretold, Some(sealed.len));
    out[..sealed.len].to_vec()
}

fn open(receiver: &mut Transport, datagram: &[u8], now: Timestamp) -> Result<(Opened, Vec<u8>), DropReason> {
    let mut out = [0; 1_500];
    let opened = receiver.open_rtp(datagram, &mut out, now)?;
    Ok((opened, out[..opened.len].to_vec()))
}

#[test]
fn media_arrives_with_the_extensions_of_its_receiver_and_without_padding() {
    for profile in PROFILES {
        let [mut sender, mut receiver] = pair(profile, true);
        let payload: Vec<u8> = (0..1_000).map(|i| i as u8).collect();
        let video = Outgoing {
            padding: 7,
            mid: Some("v0"),
            video_orientation: Some(1),
            dependency_descriptor: Some(&[0x80; 23]),
            ..outgoing(VIDEO, 65_535, &payload)
        };
        let (opened, plain) = open(&mut receiver, &seal(&mut sender, &video, at(1_000)), at(1_020)).unwrap();
        let packet = Packet::parse(&plain).unwrap();
        assert_eq!((packet.payload(), packet.padding_len()), (&payload[..], 0));
        assert_eq!(packet.header(), video.header);
        let block = packet.extension().unwrap();
        assert_eq!(block.find(5), Some(&[0, 1][..]), "transport-cc starts at 1");
        assert_eq!(block.find(4), Some(&b"v0"[..]));
        assert_eq!(block.find(11), Some(&[1][..]));
        assert_eq!(block.find(9), Some(&[0x80; 23][..]));
        assert_eq!(block.find(3), None, "no absolute send time beside transport-cc");
        assert_eq!((opened.extended_sequence, opened.retransmitted), (65_535, false));

        let audio = outgoing(AUDIO, 3, &payload[..80]);
        let (opened, plain) = open(&mut receiver, &seal(&mut sender, &audio, at(1_000)), at(1_020)).unwrap();
        let packet = Packet::parse(&plain).unwrap();
        assert_eq!(packet.extension().unwrap().find(1), Some(&[0x85][..]));
        assert_eq!(packet.extension().unwrap().find(5), None, "audio carries no transport-wide number");
        assert_eq!(opened.payload_type, 111);

        let next = outgoing(VIDEO, 0, &payload);
        let (opened, _) = open(&mut receiver, &seal(&mut sender, &next, at(1_000)), at(1_020)).unwrap();
        assert_eq!(opened.extended_sequence, 65_536);
    }
}

#[test]
fn what_is_not_as_it_must_be_is_dropped_for_its_own_reason() {
    let [mut sender, mut receiver] = pair(SrtpProfile::AeadAes128Gcm, true);
    let good = seal(&mut sender, &outgoing(VIDEO, 5, &[1; 100]), at(1_000));
    let with = |change: fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        bytes
    };
    let rows: &[(Vec<u8>, DropReason)] = &[
        (with(|b| b[0] = 0x40), DropReason::RtpMalformed),
        (with(|b| b.truncate(11)), DropReason::RtpMalformed),
        (with(|b| b[11] = 0x55), DropReason::UnknownSource),
        (with(|b| b[1] = 55), DropReason::UnknownPayloadType),
        (with(|b| b[1] = 97), DropReason::UnknownPayloadType),
        (with(|b| b[3] ^= 1), DropReason::SrtpAuth),
        (with(|b| b[40] ^= 1), DropReason::SrtpAuth),
        (with(|b| b.truncate(30)), DropReason::SrtpShort),
    ];
    for (bytes, reason) in rows {
        assert_eq!(open(&mut receiver, bytes, at(1_000)).map(drop), Err(*reason));
    }
    assert!(open(&mut receiver, &good, at(1_000)).is_ok(), "nothing was learnt from any of them");
    assert_eq!(open(&mut receiver, &good, at(1_000)).map(drop), Err(DropReason::SrtpReplay));
    let bare = config('X', true, World::server_address());
    let mut keyless = Transport::new(&bare, at(0));
    assert_eq!(open(&mut keyless, &good, at(0)).map(drop), Err(DropReason::NoKeys));
}

#[test]
fn every_length_of_every_shape_is_survived() {
    for profile in PROFILES {
        let [_, mut receiver] = pair(profile, true);
        for ssrc in [VIDEO, RTX] {
            for first in [0x80, 0xA0, 0x90, 0x85, 0xB3] {
                for payload_type in [96, 97] {
                    for len in 0..=80usize {
                        let mut bytes = [0u8; 80];
                        (bytes[0], bytes[1]) = (first, payload_type);
                        bytes[8..12].copy_from_slice(&ssrc.to_be_bytes());
                        for room in [0, 11, 12, 13, len, 1_500] {
                            let mut out = [0; 1_500];
                            let result = receiver.open_rtp(&bytes[..len], &mut out[..room], at(1_000));
                            assert!(result.is_err());
                        }
                        let result = receiver.open_rtcp(&bytes[..len], &mut [0; 80], at(1_000), |_| {});
                        assert!(result.is_err());
                    }
                }
            }
        }
    }
}

#[test]
fn small_sealed_packets_of_every_length_come_back() {
    for profile in PROFILES {
        let [mut sender, mut receiver] = pair(profile, true);
        let payload = [0xEE; 64];
        // Once on the media stream, once repaired.
        let first = seal(&mut sender, &outgoing(VIDEO, 0, &[1]), at(1_000));
        open(&mut receiver, &first, at(1_000)).unwrap();
        let mut out = [0; 1_500];
        for len in 1..64u16 {
            let payload = &payload[..usize::from(len)];
            let direct = seal(&mut sender, &outgoing(VIDEO, 2 * len, payload), at(1_000));
            assert_eq!(
                open(&mut receiver, &direct, at(1_000)).unwrap().1.len(),
                direct.len() - sender_tag(profile)
            );
            let lost = seal(&mut sender, &outgoing(VIDEO, 2 * len - 1, payload), at(1_000));
            assert!(!lost.is_empty());
            let record = sender.nacked(VIDEO, 2 * len - 1, at(1_100)).unwrap();
            let sealed = sender.seal_rtx(&record, &repair(payload), at(1_100), &mut out).unwrap();
            let (opened, plain) = open(&mut receiver, &out[..sealed.len], at(1_120)).unwrap();
            assert_eq!(Packet::parse(&plain).unwrap().payload(), payload);
            assert!(opened.retransmitted);
        }
    }
}

fn sender_tag(profile: SrtpProfile) -> usize {
    if profile == SrtpProfile::Aes128CmHmacSha1_80 { 10 } else { 16 }
}

#[test]
fn a_retransmission_comes_out_as_the_packet_that_it_repairs() {
    for profile in PROFILES {
        let [mut sender, mut receiver] = pair(profile, true);
        let mut out = [0; 1_500];
        open(&mut receiver, &seal(&mut sender, &outgoing(VIDEO, 65_534, &[1; 50]), at(1_000)), at(1_000))
            .unwrap();
        let mut lost = outgoing(VIDEO, 65_535, &[2; 50]);
        lost.header.marker = true;
        let late = seal(&mut sender, &lost, at(1_000));
        open(&mut receiver, &seal(&mut sender, &outgoing(VIDEO, 0, &[3; 50]), at(1_000)), at(1_000)).unwrap();

        let record = sender.nacked(VIDEO, 65_535, at(1_050)).unwrap();
        assert_eq!(record.token, 65_535);
        let sealed = sender.seal_rtx(&record, &repair(&[2; 50]), at(1_050), &mut out).unwrap();
        assert_eq!(sealed.transport_cc, Some(4));
        let prefix = HeaderPrefix::parse(&out[..sealed.len]).unwrap();
        assert_eq!((prefix.ssrc(), prefix.payload_type(), prefix.sequence()), (RTX, 97, 1));
        let repaired = out[..sealed.len].to_vec();
        let (opened, plain) = open(&mut receiver, &repaired, at(1_070)).unwrap();
        assert_eq!(
            (opened.ssrc, opened.extended_sequence, opened.payload_type, opened.retransmitted),
            (VIDEO, 65_535, 96, true)
        );
        let packet = Packet::parse(&plain).unwrap();
        assert_eq!(packet.header(), lost.header);
        assert_eq!(packet.payload(), [2; 50]);

        assert_eq!(open(&mut receiver, &repaired, at(1_071)).map(drop), Err(DropReason::SrtpReplay));
        assert_eq!(open(&mut receiver, &late, at(1_072)).map(drop), Err(DropReason::Duplicate));
        assert!(sender.nacked(VIDEO, 1, at(1_080)).is_none(), "never sent");
        assert!(sender.nacked(AUDIO, 1, at(1_080)).is_none(), "audio is not kept");
    }
}

#[test]
fn without_rtx_the_very_same_datagram_is_sent_again_and_no_other() {
    for profile in PROFILES {
        let [mut sender, mut receiver] = pair(profile, false);
        let packet = Outgoing { padding: 3, ..outgoing(VIDEO, 9, &[7; 80]) };
        let first = seal(&mut sender, &packet, at(1_000));
        let mut out = [0; 1_500];
        let turned = Repair { video_orientation: Some(1), ..repair(&[7; 80]) };
        let rows =
            [(1_100, repair(&[7; 80]), true), (1_200, repair(&[8; 80]), false), (1_300, turned, false)];
        for (ms, packet, same) in rows {
            let record = sender.nacked(VIDEO, 9, at(ms)).unwrap();
            let sealed = sender.seal_rtx(&record, &packet, at(ms), &mut out);
            assert_eq!(sealed.map(|sealed| out[..sealed.len].to_vec()), same.then(|| first.clone()));
            assert!(same || out.iter().all(|byte| *byte == 0), "what repeats a nonce does not survive");
        }
        assert!(open(&mut receiver, &first, at(1_200)).is_ok());
    }
}

#[test]
fn padding_alone_is_noted_and_named() {
    let [mut sender, mut receiver] = pair(SrtpProfile::AeadAes128Gcm, true);
    open(&mut receiver, &seal(&mut sender, &outgoing(VIDEO, 1, &[1; 9]), at(1_000)), at(1_000)).unwrap();
    let padding = Outgoing { padding: 200, ..outgoing(VIDEO, 2, &[]) };
    let datagram = seal(&mut sender, &padding, at(1_000));
    assert_eq!(open(&mut receiver, &datagram, at(1_000)).map(drop), Err(DropReason::PaddingOnly));
    let padding = receiver.padding_only().expect("it came on the media stream");
    assert_eq!((padding.ssrc, padding.extended_sequence), (VIDEO, 2));
    assert_eq!(receiver.padding_only(), None);
}

#[test]
fn a_sender_beyond_its_share_is_cut_before_any_crypto() {
    let mut limited = config('C', false, World::client_address());
    limited.rate_limit = RateLimit { packets: 100, bits: 20_000_000 };
    let mut sides = [
        Transport::new(&config('S', true, World::server_address()), at(1_000)),
        Transport::new(&limited, at(1_000)),
    ];
    prepare(&mut sides, SrtpProfile::AeadAes128Gcm, true);
    let [sender, receiver] = &mut sides;
    let results: Vec<_> = (0..150u16)
        .map(|sequence| {
            let datagram = seal(sender, &outgoing(VIDEO, sequence, &[1; 9]), at(1_000));
            open(receiver, &datagram, at(1_000)).map(drop)
        })
        .collect();
    assert!(results[..100].iter().all(Result::is_ok));
    assert!(results[100..].iter().all(|result| *result == Err(DropReason::EndpointRate)));
}

#[test]
fn streams_that_stay_keep_their_state_when_the_list_changes() {
    let [mut sender, mut receiver] = pair(SrtpProfile::AeadAes128Gcm, true);
    let datagram = seal(&mut sender, &outgoing(VIDEO, 1, &[1; 9]), at(1_000));
    open(&mut receiver, &datagram, at(1_000)).unwrap();
    let back = receiver.set_receive_streams(receive_streams(true));
    assert_eq!(back.len(), 3);
    assert_eq!(open(&mut receiver, &datagram, at(1_000)).map(drop), Err(DropReason::SrtpReplay));
    receiver.set_receive_streams(Vec::new());
    assert_eq!(open(&mut receiver, &datagram, at(1_000)).map(drop), Err(DropReason::UnknownSource));
}

#[test]
fn an_outgoing_ssrc_goes_on_where_it_was_left_and_is_never_shared() {
    let [mut sender, mut receiver] = pair(SrtpProfile::AeadAes128Gcm, true);
    seal(&mut sender, &outgoing(VIDEO, 100, &[1; 9]), at(1_000));
    for (ssrc, rtx) in [(VIDEO, None), (RTX, None), (3, Some(VIDEO)), (3, Some(RTX))] {
        let stream = SendStream::new(ssrc, rtx, Media::Video, 90_000, 0);
        assert!(sender.add_send_stream(stream).is_err(), "{ssrc} {rtx:?} is in use");
    }
    let mut former = sender.remove_send_stream(VIDEO).unwrap();
    for (ssrc, rtx) in [(RTX, None), (3, Some(VIDEO)), (3, Some(RTX)), (VIDEO, None)] {
        let stream = SendStream::new(ssrc, rtx, Media::Video, 90_000, 0);
        assert!(sender.add_send_stream(stream).is_err(), "{ssrc} {rtx:?} was used otherwise");
    }
    former.assign(VIDEO, Some(RTX));
    assert_eq!(sender.add_send_stream(former).unwrap(), Some(100));
    let mut out = [0; 1_500];
    for sequence in [99, 100] {
        assert!(sender.seal_rtp(&outgoing(VIDEO, sequence, &[2; 9]), at(1_000), &mut out).is_none());
    }
    let next = seal(&mut sender, &outgoing(VIDEO, 101, &[2; 9]), at(1_000));
    assert!(open(&mut receiver, &next, at(1_000)).is_ok());
    // With slots of our own, new SSRCs are refused before an old one would be forgotten.
    let taken = (0..10_000u32)
        .take_while(|n| {
            let added = sender.add_send_stream(SendStream::new(100_000 + n, None, Media::Audio, 48_000, 0));
            sender.remove_send_stream(100_000 + n);
            added.is_ok()
        })
        .count();
    assert!((64..256).contains(&taken), "{taken}");
}

#[test]
fn new_keys_start_new_indices_and_the_same_keys_are_refused() {
    let [mut sender, mut receiver] = pair(SrtpProfile::AeadAes128Gcm, true);
    for sequence in [65_535, 0, 1] {
        let datagram = seal(&mut sender, &outgoing(VIDEO, sequence, &[1; 9]), at(1_000));
        open(&mut receiver, &datagram, at(1_000)).unwrap();
    }
    let (same, _) = sessions(SrtpProfile::AeadAes128Gcm);
    assert!(sender.set_keys(same, at(1_000)).is_some());
    let mut out = [0; 1_500];
    assert!(sender.seal_rtp(&outgoing(VIDEO, 1, &[3; 9]), at(1_000), &mut out).is_none(), "still used");
    let (server, client) = sessions(SrtpProfile::AeadAes256Gcm);
    assert!(sender.set_keys(server, at(1_000)).is_some());
    assert!(receiver.set_keys(client, at(1_000)).is_some());
    let datagram = seal(&mut sender, &outgoing(VIDEO, 2, &[1; 9]), at(1_000));
    let (opened, _) = open(&mut receiver, &datagram, at(1_000)).unwrap();
    assert_eq!(opened.extended_sequence, 65_538, "the numbering told onwards goes on");
    assert_eq!(sender.statistics().profile, Some(SrtpProfile::AeadAes256Gcm));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever is asked, no two different datagrams share SSRC and index. All streams stay within one roll-over.
    #[test]
    fn no_nonce_is_used_for_two_datagrams(
        rtx: bool,
        steps in proptest::collection::vec((0u8..8, 0u16..300, any::<u8>()), 300),
    ) {
        let [mut sender, _] = pair(SrtpProfile::AeadAes128Gcm, rtx);
        let mut used: HashMap<(u32, u16), Vec<u8>> = HashMap::new();
        let (mut now, mut head) = (1_000u64, 1_000u16);
        for (kind, step, fill) in steps {
            now += 30;
            let mut out = [0; 1_500];
            let payload = [fill; 40];
            let sealed = match kind {
                0 => {
                    let former = sender.remove_send_stream(VIDEO).unwrap();
                    drop(former);
                    let fresh = SendStream::new(VIDEO, rtx.then_some(RTX), Media::Video, 90_000, 256);
                    sender.add_send_stream(fresh).unwrap();
                    None
                }
                1 | 2 => sender
                    .nacked(VIDEO, head.wrapping_sub(step % 20), at(now))
                    .and_then(|record| sender.seal_rtx(&record, &repair(&payload), at(now), &mut out)),
                3 => sender.seal_rtp(&outgoing(VIDEO, head.wrapping_sub(step), &payload), at(now), &mut out),
                _ => {
                    head += 1 + step % 4;
                    sender.seal_rtp(&outgoing(VIDEO, head, &payload), at(now), &mut out)
                }
            };
            if let Some(sealed) = sealed {
                let datagram = out[..sealed.len].to_vec();
                let prefix = HeaderPrefix::parse(&datagram).unwrap();
                let before = used.insert((prefix.ssrc(), prefix.sequence()), datagram.clone());
                prop_assert!(before.is_none_or(|before| before == datagram));
            }
        }
    }

    /// Loss, reordering and wraps: what the estimate of RFC 3711 can follow is opened, with the sender's own number.
    #[test]
    fn packets_open_whenever_the_roll_over_can_be_estimated(
        start in 0u64..70_000,
        steps in proptest::collection::vec((1u64..3_000, 0usize..6, 0u8..4), 100),
    ) {
        let [mut sender, mut receiver] = pair(SrtpProfile::AeadAes128Gcm, true);
        let mut number = start & 0xFFFF;
        let offset = 0;
        let mut held: Vec<(usize, u64, Vec<u8>)> = Vec::new();
        let mut first = true;
        for (step, delay, loss) in steps {
            let datagram = seal(&mut sender, &outgoing(VIDEO, number as u16, &[1; 20]), at(1_000));
            // The first one arrives, as everything is measured from it.
            if loss != 0 || first {
                held.push((if first { 0 } else { delay }, number + offset, datagram));
            }
            first = false;
            let due: Vec<_> = held.extract_if(.., |(delay, ..)| *delay == 0).collect();
            held.iter_mut().for_each(|(delay, ..)| *delay -= 1);
            for (_, expected, datagram) in due {
                match open(&mut receiver, &datagram, at(1_000)) {
                    Ok((opened, _)) => prop_assert_eq!(opened.extended_sequence, expected),
                    // Later by more than the window: refused as such, never misread.
                    Err(reason) => prop_assert_eq!(reason, DropReason::SrtpReplay),
                }
            }
            number += step;
        }
    }
}

#[test]
fn feedback_about_the_streams_of_others_is_passed_over() {
    let [mut sender, mut receiver] = pair(SrtpProfile::AeadAes128Gcm, true);
    let mut plain = [0; 400];
    let mut len = wire::rtcp::receiver_report::write(&mut plain, 5, &[]).unwrap();
    for ssrc in [VIDEO, 0x9999] {
        let pli = wire::rtcp::pli::Pli { sender_ssrc: 5, media_ssrc: ssrc };
        len += wire::rtcp::pli::write(&mut plain[len..], &pli).unwrap();
        len += wire::rtcp::nack::write(&mut plain[len..], 5, ssrc, &[1, 2]).unwrap();
        len += wire::rtcp::bye::write(&mut plain[len..], &[ssrc]).unwrap();
    }
    let (_, client) = sessions(SrtpProfile::AeadAes128Gcm);
    let sealed = client.seal_rtcp(1_000, &mut plain, len).unwrap();
    let mut seen = Vec::new();
    let mut scratch = [0; 400];
    sender
        .open_rtcp(&plain[..sealed], &mut scratch, at(1_000), |feedback| seen.push(format!("{feedback:?}")))
        .unwrap();
    let expected = [
        format!("KeyFrameRequest {{ ssrc: {VIDEO} }}"),
        format!("Nack {{ ssrc: {VIDEO}, sequence: 1 }}"),
        format!("Nack {{ ssrc: {VIDEO}, sequence: 2 }}"),
    ];
    assert_eq!(seen, expected, "a BYE for a stream of ours is not the peer's to send");
    assert!(receiver.open_rtcp(&plain[..sealed], &mut scratch, at(1_000), |_| {}).is_err(), "its own keys");
}

#[test]
fn nothing_is_reported_without_a_path() {
    let [mut sender, _] = pair(SrtpProfile::AeadAes128Gcm, true);
    seal(&mut sender, &outgoing(VIDEO, 1, &[1; 9]), at(1_000));
    let mut mail = Mail::default();
    for ms in 0..2_000 {
        if sender.poll_timeout() <= at(1_000 + ms) {
            sender.handle_timeout(at(1_000 + ms), &mut mail);
            assert!(sender.poll_timeout() > at(1_000 + ms));
        }
    }
    assert!(mail.0.is_empty());
    assert_eq!(sender.poll_event(), None::<Event>);
}

proptest! {
    #[test]
    fn no_bytes_do_harm(
        first in prop_oneof![Just(0u8), Just(1), Just(0x80), Just(0x90), Just(0xB0), any::<u8>()],
        rest in proptest::collection::vec(any::<u8>(), 0..120),
        ssrc in prop_oneof![Just(VIDEO), Just(RTX), Just(AUDIO), any::<u32>()],
    ) {
        let [_, mut receiver] = pair(SrtpProfile::AeadAes128Gcm, true);
        let mut bytes = vec![first];
        bytes.extend(rest);
        if bytes.len() >= 12 {
            bytes[8..12].copy_from_slice(&ssrc.to_be_bytes());
        }
        let path = crate::path::Path { peer: World::client_address(), socket: 3 };
        let mut out = [0; 1_500];
        prop_assert!(receiver.stun(&bytes, path, at(1_000), &mut Mail::default()).is_err());
        prop_assert!(receiver.open_rtp(&bytes, &mut out, at(1_000)).is_err());
        let result = receiver.open_rtcp(&bytes, &mut out, at(1_000), |_| {});
        prop_assert!(result.is_err());
        prop_assert!(!receiver.proved(path));
    }
}
