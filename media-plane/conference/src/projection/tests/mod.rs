//! Projections against tables, and against modelled senders over a modelled network.

mod model;
mod tables;

use std::collections::BTreeMap;

use proptest::prelude::*;
use wire::codec::Patch;

use super::*;
use crate::packet::MediaPacket;
use crate::slots::Chance;
use model::{Kind, Network, Sender};

/// What was sent, by outgoing number.
type Sent = BTreeMap<u64, (Output, MediaPacket)>;

/// Let `ticks` frames of a sender pass a network and a projection whose target changes at random. Returns what was sent, in the
/// order of sequence numbers, and every packet that the sender made.
fn run(kind: Kind, seed: u64, ticks: u64, network: Network) -> (Sent, Vec<MediaPacket>) {
    let mut chance = Chance(seed);
    let mut sender = Sender::new(kind, chance.next());
    let mut network = network;
    let mut projection = VideoProjection::new(Continuity::new(chance.next()));
    let (mut sent, mut made) = (Sent::new(), Vec::new());
    for tick in 0..ticks {
        if chance.next().is_multiple_of(40) {
            projection.set_target(kind.random_target(&mut chance));
        }
        // A request reaches the sender a while later, and some are lost.
        if projection.key_frame_wanted().is_some() && chance.next().is_multiple_of(6) {
            sender.key_frame_due = true;
        }
        let frame = sender.tick(tick);
        made.extend(frame.iter().copied());
        for packet in network.pass(frame, &mut chance) {
            let Some(output) = projection.project(&packet) else { continue };
            let former = sent.insert(output.sequence, (output, packet));
            assert!(former.is_none(), "{} was sent twice: {former:?} {packet:?}", output.sequence);
        }
    }
    (sent, made)
}

fn pairs(sent: &Sent) -> impl Iterator<Item = [&(Output, MediaPacket); 2]> {
    sent.values().zip(sent.values().skip(1)).map(|(a, b)| [a, b])
}

/// I5 and I6 under any network: numbers rise with the source's, gaps are no wider than the source's, time does not step back.
fn check_order(sent: &Sent) -> Result<(), TestCaseError> {
    for [(a, from), (b, to)] in pairs(sent) {
        prop_assert!(!is_before(b.timestamp, a.timestamp), "time steps back\n{a:?}\n{b:?}");
        if from.encoding != to.encoding {
            prop_assert!(b.sequence - a.sequence <= 2, "a switch leaves one number free at most");
            prop_assert!(to.frame.key_frame && to.frame.start_of_frame);
            continue;
        }
        prop_assert!(to.sequence > from.sequence, "order of the source\n{from:?}\n{to:?}");
        prop_assert!(
            b.sequence - a.sequence <= to.sequence - from.sequence + 1,
            "a gap that the source did not have\n{from:?}\n{to:?}"
        );
    }
    Ok(())
}

/// Over a perfect network there is no gap at all, but where a frame was cut off by a switch.
fn check_no_gaps(sent: &Sent) -> Result<(), TestCaseError> {
    for [(a, from), (b, to)] in pairs(sent) {
        let cut = !a.marker && to.frame.key_frame && to.frame.start_of_frame;
        let expected = if cut { 1..=2 } else { 1..=1 };
        prop_assert!(expected.contains(&(b.sequence - a.sequence)), "{a:?} {from:?}\n{b:?} {to:?}");
    }
    Ok(())
}

/// VP8: picture ids rise by one a frame, TL0PICIDX by one a base frame, and all that a frame refers to was sent.
fn check_vp8(sent: &Sent, made: &[MediaPacket], perfect: bool) -> Result<(), TestCaseError> {
    let ids = |output: &Output| match output.patch {
        Patch::Vp8 { picture_id, tl0_picidx } => (picture_id.unwrap(), tl0_picidx.unwrap()),
        _ => panic!("not VP8"),
    };
    let key = |packet: &MediaPacket| (packet.encoding, packet.frame.number);
    let forwarded: std::collections::BTreeSet<_> = sent.values().map(|(_, packet)| key(packet)).collect();
    for [(a, from), (b, to)] in pairs(sent) {
        let ((id, tl0), (next, next_tl0)) = (ids(a), ids(b));
        let step = next.wrapping_sub(id) & 0x7fff;
        if key(from) == key(to) {
            prop_assert_eq!((step, tl0), (0, next_tl0));
            continue;
        }
        prop_assert!((1..0x4000).contains(&step), "picture ids rise: {} {}", id, next);
        if perfect {
            prop_assert_eq!(step, 1, "{:?}\n{:?}", from, to);
            let base = u8::from(to.frame.layer.temporal == 0);
            prop_assert_eq!(next_tl0.wrapping_sub(tl0), base);
        }
    }
    if perfect {
        for (_, packet) in sent.values() {
            for number in model::vp8_references(packet, made) {
                prop_assert!(forwarded.contains(&(packet.encoding, number)), "{:?} needs {}", packet, number);
            }
        }
    }
    Ok(())
}

/// VP9 over a perfect network: all that a layer frame refers to was sent, and the marker ends each picture.
fn check_vp9(sent: &Sent) -> Result<(), TestCaseError> {
    let key = |packet: &MediaPacket| (packet.frame.number, packet.frame.layer.spatial);
    let forwarded: std::collections::BTreeSet<_> = sent.values().map(|(_, packet)| key(packet)).collect();
    for (_, packet) in sent.values() {
        let (number, spatial) = key(packet);
        let Descriptor::Vp9 { inter_picture, inter_layer, .. } = packet.frame.descriptor else { panic!() };
        if inter_picture {
            let back = model::vp9_reference(packet);
            prop_assert!(forwarded.contains(&(number - back, spatial)), "{packet:?}");
        }
        if inter_layer {
            prop_assert!(forwarded.contains(&(number, spatial - 1)), "{packet:?}");
        }
    }
    for [(a, from), (_, to)] in pairs(sent) {
        prop_assert_eq!(a.marker, from.frame.number != to.frame.number, "{:?}\n{:?}", from, to);
    }
    Ok(())
}

/// AV1 over a perfect network: frame numbers rise, and all that a frame refers to was sent.
fn check_av1(sent: &Sent) -> Result<(), TestCaseError> {
    let key = |packet: &MediaPacket| (packet.encoding, packet.frame.number);
    let forwarded: std::collections::BTreeSet<_> = sent.values().map(|(_, packet)| key(packet)).collect();
    for (_, packet) in sent.values() {
        let Descriptor::Av1(descriptor) = packet.frame.descriptor else { panic!() };
        for back in (1..=32).filter(|back| descriptor.references & 1 << (back - 1) != 0) {
            prop_assert!(forwarded.contains(&(packet.encoding, packet.frame.number - back)), "{packet:?}");
        }
    }
    for [(a, from), (b, to)] in pairs(sent) {
        let number = |output: &Output| match output.patch {
            Patch::Av1 { frame_number, .. } => frame_number,
            _ => panic!("not AV1"),
        };
        let step = number(b).wrapping_sub(number(a));
        prop_assert_eq!(step == 0, key(from) == key(to));
        prop_assert!(step < 0x8000);
    }
    Ok(())
}

fn check_kind(kind: Kind, sent: &Sent, made: &[MediaPacket], perfect: bool) -> Result<(), TestCaseError> {
    check_order(sent)?;
    if perfect {
        check_no_gaps(sent)?;
    }
    match kind {
        Kind::Vp8 => check_vp8(sent, made, perfect),
        Kind::Vp9 { .. } if perfect => check_vp9(sent),
        Kind::Av1 { .. } if perfect => check_av1(sent),
        _ => Ok(()),
    }
}

const KINDS: [Kind; 6] = [
    Kind::Vp8,
    Kind::Unlayered,
    Kind::Vp9 { key_svc: true },
    Kind::Vp9 { key_svc: false },
    Kind::Av1 { key_svc: true },
    Kind::Av1 { key_svc: false },
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn over_a_perfect_network_the_stream_is_continuous_and_decodable(seed: u64) {
        for kind in KINDS {
            let (sent, made) = run(kind, seed, 300, Network::default());
            check_kind(kind, &sent, &made, true)?;
        }
    }

    #[test]
    fn over_a_bad_network_numbers_rise_and_gaps_are_the_sources_own(
        seed: u64,
        loss in 0u64..30,
        late in 0u64..30,
    ) {
        for kind in KINDS {
            let (sent, made) = run(kind, seed, 300, Network::new(loss, late));
            check_kind(kind, &sent, &made, false)?;
        }
    }
}

#[test]
fn a_hundred_thousand_packets_keep_the_order() {
    for (at, kind) in KINDS.into_iter().enumerate() {
        let (sent, made) = run(kind, at as u64, 17_000, Network::new(3, 5));
        assert!(made.len() >= 100_000, "{kind:?} {}", made.len());
        assert!(sent.len() * 20 >= made.len(), "{kind:?} {} of {}", sent.len(), made.len());
        check_kind(kind, &sent, &made, false).unwrap();
    }
}

#[test]
fn most_of_what_is_wanted_is_sent_over_a_perfect_network() {
    for kind in KINDS {
        let (sent, made) = run(kind, 11, 3_000, Network::default());
        assert!(sent.len() * 8 >= made.len(), "{kind:?} {} of {}", sent.len(), made.len());
    }
}
