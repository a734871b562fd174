//! A row per packet: what comes in, what goes out.

use contract::Timestamp;
use wire::codec::Patch;

use crate::packet::tests::{audio, video};
use crate::packet::{DependencyDescriptor, Descriptor, Indication, Layer, MediaPacket};
use crate::projection::audio::{AudioContinuity, AudioProjection};
use crate::projection::{Continuity, Target, VideoProjection};

/// A stream whose next packet has sequence number 1,001, timestamp 5,000, picture id 301 and TL0PICIDX 21.
fn begun() -> Continuity {
    let mut continuity = Continuity::new(0);
    continuity.sequence = 1_000;
    continuity.timestamp = 5_000;
    continuity.picture_id = 300;
    continuity.tl0 = 20;
    continuity.frame_number = 300;
    continuity.next_template = 10;
    continuity
}

fn target(encoding: u8, spatial: u8, temporal: u8) -> Option<Target> {
    Some(Target { encoding, layer: Layer { spatial, temporal } })
}

/// A packet of a frame: b = begins, e = ends, k = key.
fn packet(encoding: u8, sequence: u64, number: u32, flags: &str, descriptor: Descriptor) -> MediaPacket {
    let mut packet = video(sequence, Timestamp::from_millis(u64::from(number) * 33));
    packet.encoding = encoding;
    packet.timestamp = number * 3_000;
    packet.frame.number = number;
    packet.frame.start_of_frame = flags.contains('b');
    packet.frame.end_of_frame = flags.contains('e');
    packet.frame.key_frame = flags.contains('k');
    packet.marker = flags.contains('e');
    packet.frame.descriptor = descriptor;
    packet
}

fn vp8(encoding: u8, sequence: u64, number: u32, flags: &str, temporal: u8, tl0: u8) -> MediaPacket {
    let descriptor = Descriptor::Vp8 { wide: true, tl0: Some(tl0), sync: flags.contains('y') };
    let mut packet = packet(encoding, sequence, number, flags, descriptor);
    packet.frame.layer.temporal = temporal;
    packet
}

#[test]
fn vp8_temporal_layers_are_taken_out_without_a_trace() {
    let mut projection = VideoProjection::new(begun());
    projection.set_target(target(0, 0, 1));
    // sequence, picture id, flags, temporal layer, TL0PICIDX -> sequence, picture id, TL0PICIDX
    let rows = [
        (50, 7, "be", 0, 3, None),                   // nothing to begin with
        (51, 8, "bk", 0, 4, Some((1_001, 301, 21))), // the key frame
        (52, 8, "ek", 0, 4, Some((1_002, 301, 21))),
        (53, 9, "be", 2, 4, None), // above the target
        (54, 10, "bey", 1, 4, Some((1_003, 302, 21))),
        (55, 11, "b", 2, 4, None),
        (57, 11, "e", 2, 4, None), // 56 was lost, of the same frame
        (58, 12, "be", 0, 5, Some((1_004, 303, 22))),
        (60, 14, "be", 0, 6, Some((1_006, 305, 23))), // 59, the whole of picture 13, is missing
        (59, 13, "be", 1, 5, Some((1_005, 304, 22))), // and comes late
        (59, 13, "be", 1, 5, None),                   // twice
        (50, 7, "be", 0, 3, None),                    // from before the beginning
        (56, 11, "", 2, 4, None),                     // late, of a frame that was taken out
    ];
    for (sequence, number, flags, temporal, tl0, expected) in rows {
        let output = projection.project(&vp8(0, sequence, number, flags, temporal, tl0));
        let got = output.map(|output| match output.patch {
            Patch::Vp8 { picture_id, tl0_picidx } => {
                (output.sequence, picture_id.unwrap(), tl0_picidx.unwrap())
            }
            other => panic!("{other:?}"),
        });
        assert_eq!(got, expected, "{sequence}");
    }
}

#[test]
fn vp8_temporal_layers_rise_only_where_nothing_left_out_is_needed() {
    let mut projection = VideoProjection::new(begun());
    projection.set_target(target(0, 0, 0));
    // target layer, picture id, flags, temporal layer -> forwarded
    let rows = [
        (0, 1, "bek", 0, true),
        (0, 2, "be", 2, false),
        (0, 3, "be", 1, false),
        (2, 4, "be", 2, false), // refers to pictures 2 and 3
        (2, 5, "be", 0, true),
        (2, 6, "bey", 2, true), // refers to 5 alone
        (2, 7, "be", 1, false), // refers to 3
        (2, 8, "bey", 1, true),
        (2, 9, "be", 2, true),
        (0, 10, "be", 1, false),
        (0, 11, "be", 0, true),
    ];
    for (temporal, number, flags, layer, expected) in rows {
        projection.set_target(target(0, 0, temporal));
        let output = projection.project(&vp8(0, u64::from(number), number, flags, layer, 0));
        assert_eq!(output.is_some(), expected, "picture {number}");
    }
}

#[test]
fn vp8_encodings_are_switched_at_key_frames_only() {
    let mut projection = VideoProjection::new(begun());
    projection.set_target(target(0, 0, 2));
    // target, encoding, sequence, picture id, flags -> sequence, timestamp; whether a key frame is wanted then
    let rows = [
        (0, 0, 10, 1, "bek", Some((1_001, 5_000)), false),
        (2, 2, 900, 41, "be", None, true),
        (2, 0, 11, 2, "be", Some((1_002, 8_000)), true),
        (2, 1, 500, 21, "bek", Some((1_003, 65_000)), true), // nearer; by the clock 19 frames passed
        (2, 0, 12, 3, "be", None, true),
        (2, 2, 901, 42, "bk", Some((1_004, 128_000)), false),
        (2, 1, 501, 22, "be", None, false),
        (2, 1, 502, 23, "bek", None, false), // a key frame of another encoding
        (1, 2, 903, 43, "be", Some((1_006, 131_000)), true), // 902 is missing
        (1, 1, 504, 44, "bk", Some((1_007, 134_000)), false),
        (1, 1, 503, 24, "e", None, false),
        (0, 0, 60, 45, "bek", Some((1_009, 137_000)), false), // a place is left for the rest of the frame before
    ];
    for (encoding, from, sequence, number, flags, expected, wants) in rows {
        if projection.target() != target(encoding, 0, 2) {
            projection.set_target(target(encoding, 0, 2));
        }
        let mut packet = vp8(from, sequence, number, flags, 0, 0);
        packet.marker = packet.frame.end_of_frame;
        let output = projection.project(&packet);
        assert_eq!(output.map(|output| (output.sequence, output.timestamp)), expected, "{from}: {sequence}");
        assert_eq!(projection.key_frame_wanted().is_some(), wants, "{from}: {sequence}");
    }
}

#[test]
fn a_key_frame_that_comes_after_its_successors_asks_for_them_again() {
    let mut projection = VideoProjection::new(begun());
    projection.set_target(target(0, 0, 2));
    assert!(projection.project(&vp8(0, 12, 6, "be", 0, 0)).is_none());
    let late = projection.project(&vp8(0, 11, 5, "bek", 0, 0)).expect("it can begin");
    assert!(late.replay, "6 was let go already");
    let again = projection.project(&vp8(0, 12, 6, "be", 0, 0)).expect("offered again");
    assert_eq!((again.sequence, again.replay), (late.sequence + 1, false));
}

#[test]
fn a_key_frame_that_comes_much_too_late_is_no_place_to_begin() {
    let mut projection = VideoProjection::new(begun());
    projection.set_target(target(0, 0, 2));
    assert!(projection.project(&vp8(0, 11 + crate::REPLAY_MAX, 6, "be", 0, 0)).is_none());
    assert!(projection.project(&vp8(0, 11, 5, "bek", 0, 0)).is_none(), "more followed than is remembered");
    assert!(projection.project(&vp8(0, 200, 7, "bek", 0, 0)).is_some_and(|output| !output.replay));
}

#[test]
fn after_a_suspension_it_takes_a_key_frame_and_the_clock_has_gone_on() {
    let mut projection = VideoProjection::new(begun());
    projection.set_target(target(0, 0, 2));
    assert!(projection.project(&vp8(0, 1, 1, "bek", 0, 0)).is_some());
    projection.set_target(None);
    assert!(projection.project(&vp8(0, 2, 2, "be", 0, 0)).is_none());
    projection.set_target(target(0, 0, 2));
    assert_eq!(projection.key_frame_wanted(), Some(0));
    assert!(projection.project(&vp8(0, 90, 90, "be", 0, 0)).is_none());
    let output = projection.project(&vp8(0, 91, 91, "bek", 0, 0)).unwrap();
    assert_eq!((output.sequence, output.timestamp), (1_002, 5_000 + 90 * 3_000));
}

#[test]
fn an_absurd_jump_waits_for_a_key_frame_and_closes_the_gap() {
    let mut projection = VideoProjection::new(begun());
    projection.set_target(target(0, 0, 2));
    assert!(projection.project(&vp8(0, 1, 1, "bek", 0, 0)).is_some());
    assert!(projection.project(&vp8(0, 1 << 40, 2, "be", 0, 0)).is_none());
    assert_eq!(projection.key_frame_wanted(), Some(0));
    assert_eq!(projection.project(&vp8(0, (1 << 40) + 9, 3, "bek", 0, 0)).unwrap().sequence, 1_002);
    // Picture ids alone may jump: they are counted anew.
    let output = projection.project(&vp8(0, (1 << 40) + 10, 90_000, "be", 0, 0)).unwrap();
    assert!(matches!(output.patch, Patch::Vp8 { picture_id: Some(303), .. }), "{output:?}");
}

#[test]
fn padding_is_taken_out() {
    let mut projection = VideoProjection::new(begun());
    projection.set_target(target(0, 0, 2));
    projection.project(&vp8(0, 1, 1, "bek", 0, 0));
    let mut padding = vp8(0, 2, 1, "", 0, 0);
    padding.payload_bytes = 0;
    assert!(projection.project(&padding).is_none());
    assert_eq!(projection.project(&vp8(0, 3, 2, "be", 0, 0)).unwrap().sequence, 1_002);
}

#[test]
fn another_codec_on_the_same_ssrc_begins_at_its_key_frame_and_continues() {
    let mut projection = VideoProjection::new(begun());
    projection.set_target(target(0, 0, 2));
    projection.project(&vp8(0, 1, 1, "bek", 0, 0));
    assert!(projection.project(&packet(0, 2, 2, "be", Descriptor::Unlayered)).is_none());
    assert_eq!(projection.key_frame_wanted(), Some(0));
    assert_eq!(projection.project(&packet(0, 3, 3, "bek", Descriptor::Unlayered)).unwrap().sequence, 1_002);
}

#[test]
fn h264_encodings_are_switched_at_idr_frames() {
    let mut projection = VideoProjection::new(begun());
    projection.set_target(target(1, 0, 0));
    // encoding, sequence, frame, flags -> sequence, marker
    let rows = [
        (0, 1, 1, "be", None),
        (0, 2, 2, "bk", Some((1_001, false))), // lower than wanted is better than nothing
        (0, 3, 2, "ek", Some((1_002, true))),
        (1, 71, 2, "be", None),
        (1, 72, 3, "bk", Some((1_003, false))),
        (0, 4, 3, "be", None),
        (1, 73, 3, "ek", Some((1_004, true))),
        (1, 75, 4, "e", Some((1_006, true))),
        (1, 74, 4, "b", Some((1_005, false))),
    ];
    for (encoding, sequence, number, flags, expected) in rows {
        let output = projection.project(&packet(encoding, sequence, number, flags, Descriptor::Unlayered));
        assert_eq!(output.map(|output| (output.sequence, output.marker)), expected, "{encoding}: {sequence}");
    }
}

/// p = predicted from earlier pictures, d = from the layer below, u = a higher layer may refer to it.
fn vp9(sequence: u64, number: u32, spatial: u8, flags: &str) -> MediaPacket {
    let descriptor = Descriptor::Vp9 {
        wide: true,
        tl0: Some(9),
        inter_picture: flags.contains('p'),
        inter_layer: flags.contains('d'),
        switching_up: false,
        upper_reference: flags.contains('u'),
        flexible: false,
    };
    let mut packet = packet(0, sequence, number, "be", descriptor);
    packet.frame.layer.spatial = spatial;
    packet.frame.key_frame = spatial == 0 && !flags.contains('p');
    packet.marker = spatial == 2;
    packet
}

#[test]
fn vp9_key_svc_keeps_one_spatial_layer_between_key_pictures() {
    let mut projection = VideoProjection::new(begun());
    // target, sequence, picture, spatial layer, flags -> sequence, marker; key frame wanted
    let rows = [
        (1, 1, 1, 0, "u", Some((1_001, false)), false),
        (1, 2, 1, 1, "du", Some((1_002, true)), false), // ends the picture for this receiver
        (1, 3, 1, 2, "d", None, false),
        (1, 4, 2, 0, "p", None, false), // not needed by layer 1
        (1, 5, 2, 1, "p", Some((1_003, true)), false),
        (1, 6, 2, 2, "p", None, false),
        (2, 8, 3, 1, "p", Some((1_005, true)), false), // 7 was lost
        (2, 9, 3, 2, "p", None, true),                 // layer 2 was never begun
        (2, 10, 4, 0, "u", Some((1_006, false)), false),
        (2, 11, 4, 1, "du", Some((1_007, false)), false),
        (2, 12, 4, 2, "d", Some((1_008, true)), false),
        (0, 13, 5, 0, "p", Some((1_009, true)), false), // layer 0 is intact just after the key picture
        (0, 14, 5, 1, "p", None, false),
        (0, 15, 5, 2, "p", None, false),
    ];
    for (spatial, sequence, number, layer, flags, expected, wants) in rows {
        if projection.target() != target(0, spatial, 0) {
            projection.set_target(target(0, spatial, 0));
        }
        let output = projection.project(&vp9(sequence, number, layer, flags));
        assert_eq!(output.map(|output| (output.sequence, output.marker)), expected, "{sequence}");
        assert_eq!(projection.key_frame_wanted().is_some(), wants, "{sequence}");
    }
}

#[test]
fn vp9_picture_ids_go_on_and_keep_the_sources_gaps() {
    let mut projection = VideoProjection::new(begun());
    projection.set_target(target(0, 2, 0));
    let ids: Vec<_> = [(1, 100, ""), (2, 101, "p"), (3, 103, "p")]
        .into_iter()
        .map(|(sequence, number, flags)| {
            let output = projection.project(&vp9(sequence, number, 0, flags)).unwrap();
            match output.patch {
                Patch::Vp9 { picture_id, tl0_picidx } => (picture_id.unwrap(), tl0_picidx.unwrap()),
                other => panic!("{other:?}"),
            }
        })
        .collect();
    assert_eq!(ids, [(301, 21), (302, 21), (304, 21)]);
}

/// L1T2: target 0 is both layers, target 1 the base alone.
fn av1(encoding: u8, sequence: u64, number: u32, temporal: u8, flags: &str) -> MediaPacket {
    // The base layer refers two frames back, the upper layer one.
    let references = if flags.contains('k') { 0 } else { 0b10 >> temporal };
    let mut descriptor = DependencyDescriptor {
        targets: 2,
        active: 0b11,
        template_offset: 60,
        templates: 3,
        has_structure: flags.contains('k'),
        has_active: flags.contains('k'),
        references,
        ..Default::default()
    };
    descriptor.set_layer_of(0, Layer { spatial: 0, temporal: 1 });
    descriptor.set_layer_of(1, Layer { spatial: 0, temporal: 0 });
    let base = temporal == 0;
    descriptor.set_indication(0, if base { Indication::Switch } else { Indication::Discardable });
    descriptor.set_indication(1, if base { Indication::Switch } else { Indication::NotPresent });
    let mut packet = packet(encoding, sequence, number, flags, Descriptor::Av1(descriptor));
    packet.frame.layer.temporal = temporal;
    packet
}

#[test]
fn av1_frame_numbers_and_templates_go_on_over_a_switch() {
    let mut projection = VideoProjection::new(begun());
    // target encoding and temporal layer; encoding, sequence, frame, layer, flags -> sequence, frame number, template offset
    let rows = [
        (0, 0, 0, 1, 500, 0, "bek", Some((1_001, 301, 14))), // 60 + 14 = 10 modulo 64
        (0, 0, 0, 2, 501, 1, "be", None),
        (0, 0, 0, 3, 502, 0, "be", Some((1_002, 303, 14))), // numbers keep the gap
        (1, 1, 0, 4, 503, 1, "be", None),
        (1, 1, 1, 77, 40, 0, "bek", Some((1_003, 304, 17))), // three templates were in use
        (1, 1, 0, 5, 504, 0, "be", None),
        (1, 1, 1, 78, 41, 1, "be", Some((1_004, 305, 17))),
    ];
    for (wanted, temporal, encoding, sequence, number, layer, flags, expected) in rows {
        if projection.target() != target(wanted, 0, temporal) {
            projection.set_target(target(wanted, 0, temporal));
        }
        let output = projection.project(&av1(encoding, sequence, number, layer, flags));
        let got = output.map(|output| match output.patch {
            Patch::Av1 { frame_number, template_offset, .. } => {
                (output.sequence, frame_number, template_offset)
            }
            other => panic!("{other:?}"),
        });
        assert_eq!(got, expected, "{encoding}: {sequence}");
    }
}

#[test]
fn av1_tells_the_receiver_which_decode_targets_remain() {
    for (temporal, mask) in [(1, 0b11), (0, 0b10)] {
        let mut projection = VideoProjection::new(begun());
        projection.set_target(target(0, 0, temporal));
        let output = projection.project(&av1(0, 1, 500, 0, "bek")).unwrap();
        assert!(
            matches!(output.patch, Patch::Av1 { active_mask: Some(got), .. } if got == mask),
            "{output:?}"
        );
    }
}

#[test]
fn audio_is_shifted_to_where_the_stream_stood() {
    let mut continuity = AudioContinuity::new(0);
    continuity.sequence = 1_000;
    continuity.timestamp = 5_000;
    let mut projection = AudioProjection::new(continuity);
    // sequence, dropped as silence before -> sequence, timestamp
    let rows = [
        (50, 3, Some((1_001, 5_000))),
        (51, 3, Some((1_002, 5_960))),
        (54, 5, Some((1_003, 8_840))),
        (56, 5, Some((1_005, 10_760))),
        (55, 5, Some((1_004, 9_800))),
        (55, 5, None),
        (49, 3, None),
    ];
    for (sequence, removed, expected) in rows {
        assert_eq!(projection.project(&audio(sequence, 30), removed), expected, "{sequence}");
    }
    projection.pause();
    assert_eq!(
        projection.project(&audio(100, 30), 5),
        Some((1_006, 5_000 + 50 * 960)),
        "no gap, but the time"
    );
    projection.reset();
    let mut other = audio(7, 30);
    other.arrival = Timestamp::from_millis(100 * 20 + 40);
    assert_eq!(projection.project(&other, 0), Some((1_007, 53_000 + 1_920)), "another source, by the clock");
}
