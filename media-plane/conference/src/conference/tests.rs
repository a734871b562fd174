//! Scenarios: a small conference, packets in, events and packets out.

use contract::session::{AudioSubscription, Codec, Encoding, ExtensionIds, SourceSpec, VideoConstraint};
use contract::{DropReason, Ssrc};

use super::*;
use crate::ReceiverSpec;
use crate::packet::MediaPacket;
use crate::packet::tests::{audio, video};

const MICROPHONE: SourceId = SourceId(11);
const CAMERA: SourceId = SourceId(12);
const SENDER: EndpointId = EndpointId(1);
const VIEWER: EndpointId = EndpointId(2);
const CAMERA_SSRC: u32 = 1_200;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn spec(source: SourceId, owner: EndpointId, media: Media, encodings: u32) -> SourceSpec {
    let first = source.0 as u32 * 100;
    let encoding = |at| Encoding { ssrc: Ssrc(first + at), rtx: Some(Ssrc(first + 50 + at)) };
    SourceSpec {
        source,
        owner,
        media,
        video_type: VideoType::Camera,
        encodings: (0..encodings).map(encoding).collect(),
    }
}

fn add_source(conference: &mut Conference, spec: &SourceSpec) -> SourceIndex {
    conference.add_source(Box::new(Source::new(spec)), at(0)).unwrap()
}

fn add_receiver(conference: &mut Conference, endpoint: EndpointId, ssrc_rewriting: bool) -> ReceiverIndex {
    let receiver = Receiver::new(ReceiverSpec { endpoint, ssrc_rewriting, seed: endpoint.0 });
    conference.add_receiver(Box::new(receiver), at(0)).unwrap()
}

/// One sender with microphone and camera of three encodings; sender and viewer receive.
fn conference(config: Config, rewriting: bool) -> Conference {
    let mut conference = Conference::new(ConferenceId(1), config, Storage::with_capacity(16, 128));
    add_source(&mut conference, &spec(MICROPHONE, SENDER, Media::Audio, 1));
    add_source(&mut conference, &spec(CAMERA, SENDER, Media::Video, 3));
    add_receiver(&mut conference, SENDER, rewriting);
    add_receiver(&mut conference, VIEWER, rewriting);
    conference
}

fn watch(conference: &mut Conference, who: EndpointId, max_height: u16, now: Timestamp) {
    let default = VideoConstraint { max_height };
    let constraints = ReceiverConstraints { default, ..ReceiverConstraints::default() };
    conference.set_constraints(who, Box::new(constraints), now);
}

fn events(conference: &mut Conference, now: Timestamp) -> Vec<Event> {
    for _ in 0..100 {
        if conference.poll_timeout() > now {
            break;
        }
        conference.handle_timeout(now);
    }
    assert!(conference.poll_timeout() > now, "timeouts end");
    core::iter::from_fn(|| conference.poll_event()).take(1_000).collect()
}

fn viewer(conference: &Conference) -> ReceiverIndex {
    conference.receiver_index(VIEWER).unwrap()
}

fn spoken(sequence: u64, level: u8) -> MediaPacket {
    let ssrc = MICROPHONE.0 as u32 * 100;
    MediaPacket { source: MICROPHONE, ssrc, ..audio(sequence, level) }
}

/// A frame of one packet of the camera, each 33 ms; frame 0 of every 30 is a key frame.
fn seen(encoding: u8, frame: u64, bytes: u16) -> MediaPacket {
    let mut packet = video(frame, at(frame * 33));
    packet.source = CAMERA;
    packet.encoding = encoding;
    packet.ssrc = CAMERA_SSRC + u32::from(encoding);
    packet.payload_bytes = bytes;
    packet.frame.key_frame = frame.is_multiple_of(30);
    packet
}

/// Let a packet pass: noted, events taken, offered to the viewer.
fn pass(conference: &mut Conference, packet: &MediaPacket) -> (Vec<Event>, Option<Projected>) {
    let source = conference.note(packet).unwrap();
    let news = events(conference, packet.arrival);
    let receiver = viewer(conference);
    (news, conference.project(receiver, source, packet))
}

#[test]
fn audio_reaches_all_but_its_sender_after_its_stream_was_announced() {
    let mut conference = conference(Config::default(), false);
    let packet = spoken(1, 30);
    let source = conference.note(&packet).unwrap();
    let receivers: Vec<_> = conference.interested(source).collect();
    assert_eq!(receivers, [viewer(&conference)]);
    assert!(conference.project(receivers[0], source, &packet).is_none(), "not announced yet");
    let news = events(&mut conference, at(20));
    let announced = Event::SendStream {
        receiver: VIEWER,
        ssrc: 1_100,
        rtx: Some(1_150),
        media: Media::Audio,
        clock: 48_000,
    };
    assert_eq!(news, [announced]);
    let projected = conference.project(receivers[0], source, &packet).unwrap();
    assert_eq!(projected.header.ssrc, 1_100);
    let own = conference.receiver_index(SENDER).unwrap();
    assert!(conference.project(own, source, &packet).is_none());
}

#[test]
fn silence_is_left_out_and_the_numbers_close() {
    let mut conference = conference(Config::default(), true);
    let mut last = None;
    let mut passed = Vec::new();
    for sequence in 1..=20 {
        let level = if (5..15).contains(&sequence) { 127 } else { 30 };
        let Some(projected) = pass(&mut conference, &spoken(sequence, level)).1 else { continue };
        assert!(last.is_none_or(|last| projected.sequence == last + 1));
        last = Some(projected.sequence);
        passed.push(sequence);
    }
    assert_eq!(passed, [1, 2, 3, 4, 5, 6, 7, 8, 15, 16, 17, 18, 19, 20]);
}

#[test]
fn an_excluded_source_is_not_heard_and_comes_back_without_a_gap() {
    let mut conference = conference(Config::default(), true);
    let first = pass(&mut conference, &spoken(1, 30)).1.unwrap();
    let exclude = AudioSubscription { exclude: vec![MICROPHONE], ..AudioSubscription::default() };
    conference.set_audio_subscription(VIEWER, Box::new(exclude), at(30));
    assert!(pass(&mut conference, &spoken(2, 30)).1.is_none());
    conference.set_audio_subscription(VIEWER, Box::default(), at(50));
    let next = pass(&mut conference, &spoken(9, 30)).1.unwrap();
    assert_eq!(next.sequence, first.sequence + 1);
    assert_eq!(next.header.timestamp, first.header.timestamp.wrapping_add(8 * 960));
}

#[test]
fn without_constraints_no_video_is_sent_and_nobody_asks_for_any() {
    let mut conference = conference(Config::default(), false);
    for frame in 0..40 {
        let (news, projected) = pass(&mut conference, &seen(0, frame, 1_000));
        assert!(projected.is_none() && news.is_empty(), "{news:?}");
    }
}

#[test]
fn video_comes_with_a_key_frame_on_the_primary_ssrc() {
    let mut conference = conference(Config::default(), false);
    watch(&mut conference, VIEWER, 720, at(1));
    let news = events(&mut conference, at(1));
    let wants = |event: &Event| matches!(event, Event::KeyFrameNeeded { source: CAMERA, ssrc: 1_202 });
    assert!(news.iter().any(wants), "of the highest encoding: {news:?}");
    assert!(news.contains(&Event::Demand { source: CAMERA, max_height: 720 }));
    assert!(news.contains(&Event::Forwarded { receiver: VIEWER, sources: [CAMERA].into_iter().collect() }));
    let stream =
        |event: &Event| matches!(event, Event::SendStream { ssrc: CAMERA_SSRC, rtx: Some(1_250), .. });
    assert!(news.iter().any(stream), "{news:?}");

    let mut encodings = Vec::new();
    for frame in 25..100 {
        for encoding in 0..3 {
            let packet = seen(encoding, frame, 1_000);
            if let Some(projected) = pass(&mut conference, &packet).1 {
                assert_eq!(projected.header.ssrc, CAMERA_SSRC);
                encodings.push((frame, encoding));
            }
        }
    }
    assert_eq!(encodings[..4], [(30, 0), (30, 1), (30, 2), (31, 2)]);
    assert!(encodings[3..].iter().all(|(_, encoding)| *encoding == 2));

    watch(&mut conference, VIEWER, 0, at(4_000));
    let news = events(&mut conference, at(4_000));
    assert!(news.contains(&Event::Demand { source: CAMERA, max_height: 0 }), "{news:?}");
    assert_eq!(conference.heights(viewer(&conference)), Heights::default());
    let source = conference.source_index(CAMERA).unwrap();
    assert_eq!(conference.interested(source).count(), 0);
}

#[test]
fn with_rewriting_the_receiver_is_told_the_slot_and_feedback_finds_back() {
    let mut conference = conference(Config::default(), true);
    watch(&mut conference, VIEWER, 180, at(1));
    let news = events(&mut conference, at(1));
    let slot = news.iter().find_map(|event| match event {
        Event::Mapped { receiver: VIEWER, source: CAMERA, media: Media::Video, ssrc, rtx } => {
            Some((*ssrc, *rtx))
        }
        _ => None,
    });
    let (ssrc, rtx) = slot.unwrap();
    assert!(rtx.is_some() && rtx != Some(ssrc));
    let projected = pass(&mut conference, &seen(0, 30, 1_000)).1.unwrap();
    assert_eq!(projected.header.ssrc, ssrc);
    let receiver = viewer(&conference);
    assert_eq!(conference.source_of_feedback(receiver, ssrc), Some((CAMERA, CAMERA_SSRC)));
    assert_eq!(conference.source_of_feedback(receiver, ssrc ^ 1), None, "a stream it was never sent");
    let own = conference.receiver_index(SENDER).unwrap();
    assert_eq!(conference.source_of_feedback(own, ssrc), None);
}

#[test]
fn the_sender_report_of_the_forwarded_encoding_fits_the_projected_clock() {
    let mut conference = conference(Config::default(), false);
    watch(&mut conference, VIEWER, 180, at(1));
    events(&mut conference, at(1));
    let packet = seen(0, 30, 1_000);
    let projected = pass(&mut conference, &packet).1.unwrap();
    let (receiver, source) = (viewer(&conference), conference.source_index(CAMERA).unwrap());
    let translated =
        conference.translate_sender_report(receiver, source, CAMERA_SSRC, 7, packet.timestamp + 90);
    assert_eq!(translated, Some((CAMERA_SSRC, 7, projected.header.timestamp.wrapping_add(90))));
    let other = conference.translate_sender_report(receiver, source, CAMERA_SSRC + 1, 7, 0);
    assert_eq!(other, None, "not what is forwarded");
}

#[test]
fn a_hundred_receivers_asking_at_once_reach_the_sender_five_times_a_second() {
    let mut conference = conference(Config::default(), false);
    for id in 10..110 {
        add_receiver(&mut conference, EndpointId(id), false);
        watch(&mut conference, EndpointId(id), 720, at(0));
    }
    events(&mut conference, at(0));
    let mut granted = 0;
    for ms in (1_000..2_000).step_by(10) {
        for id in 10..110 {
            granted += u32::from(conference.key_frame_wanted(CAMERA, CAMERA_SSRC, EndpointId(id), at(ms)));
        }
    }
    assert_eq!(granted, 5);
    assert!(!conference.key_frame_wanted(CAMERA, 77, VIEWER, at(9_000)), "no such encoding");
    assert!(!conference.key_frame_wanted(SourceId(99), CAMERA_SSRC, VIEWER, at(9_000)));
}

#[test]
fn what_the_budget_lowered_is_not_raised_within_two_seconds() {
    let config = Config { budget: 600_000, oversend: 0, ..Config::default() };
    let mut conference = conference(config, false);
    watch(&mut conference, VIEWER, 720, at(1));
    let receiver = viewer(&conference);
    let target = |conference: &Conference| {
        let seat = conference.storage.receivers[usize::from(receiver.0)].as_ref().unwrap();
        let source = conference.source_index(CAMERA).unwrap();
        seat.video.of_source(source.0).and_then(|slot| slot.projection.target()).map(|target| target.encoding)
    };
    let mut changes: Vec<(u64, Option<u8>)> = Vec::new();
    for frame in 0..600 {
        // Encoding 2 needs too much for ten seconds, and then little.
        let large = if frame < 300 { 5_000 } else { 500 };
        for (encoding, bytes) in [(0, 300), (1, 1_000), (2, large)] {
            pass(&mut conference, &seen(encoding, frame, bytes));
            let now = target(&conference);
            let mut heights = Heights::default();
            now.into_iter().for_each(|encoding| heights.0[usize::from(encoding)] += 1);
            assert_eq!(conference.heights(receiver), heights, "{now:?}");
            if changes.last().map(|change| change.1) != Some(now) {
                changes.push((frame * 33, now));
            }
        }
    }
    let settled = changes.iter().rev().take(2).map(|change| change.1).collect::<Vec<_>>();
    assert_eq!(settled, [Some(2), Some(1)], "{changes:?}");
    for pair in changes.windows(2) {
        let raised = pair[1].1 > pair[0].1 && pair[0].0 > 1_000;
        assert!(!raised || pair[1].0 - pair[0].0 >= 2_000, "{changes:?}");
    }
}

#[test]
fn a_source_that_goes_leaves_no_trace() {
    let mut conference = conference(Config::default(), true);
    watch(&mut conference, VIEWER, 180, at(1));
    events(&mut conference, at(1));
    assert!(conference.remove_source(CAMERA, at(2)).is_some());
    let news = events(&mut conference, at(100));
    assert!(news.contains(&Event::Forwarded { receiver: VIEWER, sources: ArrayVec::new() }), "{news:?}");
    assert!(conference.note(&seen(0, 30, 100)).is_none());
    assert!(conference.remove_source(CAMERA, at(3)).is_none());
    add_source(&mut conference, &spec(SourceId(40), SENDER, Media::Video, 1));
    let news = events(&mut conference, at(200));
    let mapped = |event: &Event| matches!(event, Event::Mapped { source: SourceId(40), .. });
    assert!(news.iter().any(mapped), "the seat and the slot are used again: {news:?}");
    assert!(conference.remove_receiver(VIEWER, at(201)).is_some());
    let news = events(&mut conference, at(300));
    assert_eq!(news, [Event::Demand { source: SourceId(40), max_height: 0 }]);

    // The last receiver goes, too.
    watch(&mut conference, SENDER, 360, at(400));
    add_source(&mut conference, &spec(SourceId(41), VIEWER, Media::Video, 1));
    assert!(
        events(&mut conference, at(500)).contains(&Event::Demand { source: SourceId(41), max_height: 360 })
    );
    conference.remove_receiver(SENDER, at(501));
    let news = events(&mut conference, at(501));
    assert_eq!(news, [Event::Demand { source: SourceId(41), max_height: 0 }]);
}

#[test]
fn tables_are_filled_to_their_capacity_and_can_be_exchanged_for_larger_ones() {
    let mut conference = Conference::new(ConferenceId(1), Config::default(), Storage::with_capacity(2, 1));
    let sources = conference.storage().capacity().0;
    for id in 0..sources {
        add_source(&mut conference, &spec(SourceId(id as u64), SENDER, Media::Video, 1));
    }
    let one_more = || Box::new(Source::new(&spec(SourceId(900), SENDER, Media::Video, 1)));
    assert!(conference.add_source(one_more(), at(0)).is_err());
    let small = conference.reserve(Storage::with_capacity(1, 1));
    assert_eq!(small.capacity(), (1, 1), "comes back");
    let former = conference.reserve(Storage::with_capacity(64, 64));
    assert_eq!(former.capacity().0, sources);
    assert!(former.sources.is_empty());
    assert!(conference.add_source(one_more(), at(0)).is_ok());
    assert!(conference.add_source(one_more(), at(0)).is_err(), "known already");
    assert!(conference.source_index(SourceId(0)).is_some());
}

#[test]
fn who_speaks_becomes_dominant_and_first_in_order() {
    let mut conference = conference(Config::default(), false);
    add_source(&mut conference, &spec(SourceId(21), VIEWER, Media::Audio, 1));
    let mut speakers = Vec::new();
    for sequence in 0..200 {
        for (source, speaks) in [(MICROPHONE, sequence < 100), (SourceId(21), sequence >= 100)] {
            let level = if speaks && sequence % 100 > 20 { 30 } else { 95 };
            let packet = MediaPacket { source, ..audio(sequence, level) };
            for event in pass(&mut conference, &packet).0 {
                if let Event::DominantSpeaker { endpoint, previous } = event {
                    speakers.push((endpoint, previous.to_vec()));
                }
            }
        }
    }
    assert_eq!(speakers, [(Some(SENDER), vec![]), (Some(VIEWER), vec![SENDER])]);
    assert_eq!(conference.dominant_speaker(), Some(VIEWER));
}

/// An RTP packet: payload type 96, sequence 7, timestamp 9,000, SSRC 1,200.
fn rtp(marker: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80, 96 | u8::from(marker) << 7, 0, 7, 0, 0, 0x23, 0x28, 0, 0, 4, 0xb0];
    bytes.extend_from_slice(payload);
    bytes
}

#[test]
fn packets_are_described_by_their_payload_descriptors() {
    let mut conference = conference(Config::default(), false);
    let source = conference.source_index(CAMERA).unwrap();
    let extensions = ExtensionIds::default();
    let mut describe = |codec, payload: &[u8]| {
        let bytes = rtp(true, payload);
        let packet = wire::rtp::Packet::parse(&bytes).unwrap();
        conference.describe(source, 0, &packet, 7, &extensions, codec, false, at(5))
    };
    // VP8: extended, start of partition 0; picture id 15 bit, TL0PICIDX, temporal id; key frame 640 x 360.
    let key =
        [0x90, 0xe0, 0x80, 0x05, 0x09, 0x20, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01, 0, 0];
    let packet = describe(Codec::Vp8, &key).unwrap();
    assert!(packet.frame.key_frame && packet.frame.start_of_frame && packet.frame.end_of_frame);
    assert_eq!(packet.frame.heights[0], 360);
    let number = packet.frame.number;
    // The next picture: layer 2, layer sync.
    let delta = [0x90, 0xe0, 0x80, 0x06, 0x09, 0xa0, 0x11, 0, 0];
    let packet = describe(Codec::Vp8, &delta).unwrap();
    assert_eq!((packet.frame.number, packet.frame.layer.temporal), (number + 1, 2));
    assert!(!packet.frame.key_frame);
    assert!(matches!(
        packet.frame.descriptor,
        crate::Descriptor::Vp8 { tl0: Some(9), sync: true, wide: true }
    ));
    // A wrap of the picture id, and one from before it.
    for (id, expected) in [(0x7fff_u16, -6_i64), (0x0004, -1)] {
        let [high, low] = (id | 0x8000).to_be_bytes();
        let packet = describe(Codec::Vp8, &[0x90, 0xe0, high, low, 0x09, 0xa0, 0x11, 0, 0]).unwrap();
        assert_eq!(i64::from(packet.frame.number) - i64::from(number), expected);
    }
    // H.264: an SPS begins a key frame, a slice does not.
    let packet = describe(Codec::H264, &[0x67, 0x42, 0, 0x1f]).unwrap();
    assert!(packet.frame.key_frame && packet.frame.start_of_frame);
    // Nothing but padding.
    let packet = describe(Codec::Vp8, &[]).unwrap();
    assert_eq!(packet.payload_bytes, 0);
    // Cut off.
    assert_eq!(describe(Codec::Vp8, &[0x90]), Err(DropReason::Descriptor));
    assert_eq!(describe(Codec::Opus, &key), Err(DropReason::UnknownPayloadType));
}

#[test]
fn a_stream_that_stays_unreadable_makes_a_key_frame_wanted() {
    let mut conference = conference(Config::default(), false);
    let source = conference.source_index(CAMERA).unwrap();
    let bytes = rtp(true, &[0x90]);
    let packet = wire::rtp::Packet::parse(&bytes).unwrap();
    for sequence in 0..20 {
        let read = conference.describe(
            source,
            1,
            &packet,
            sequence,
            &ExtensionIds::default(),
            Codec::Vp8,
            false,
            at(sequence),
        );
        assert_eq!(read, Err(DropReason::Descriptor));
        let asked = conference.poll_event();
        let expected = Event::KeyFrameNeeded { source: CAMERA, ssrc: CAMERA_SSRC + 1 };
        assert_eq!(asked, (sequence == 19).then_some(expected));
    }
}
