//! Annotated feedback, hostile chunks, and a model of what must come out.

use proptest::prelude::*;

use super::*;
use crate::rtcp::compound::{Packet, iterate};

const FEEDBACK: Feedback =
    Feedback { sender_ssrc: 1, media_ssrc: 2, base_sequence: 65_534, reference_time: 100, feedback_count: 7 };
/// The reference time in ticks.
const ORIGIN: i64 = 25_600;

/// Chunks and deltas after fixed fields that promise `count` statuses.
fn packet(count: u16, rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x8F, 205, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0xFF, 0xFE];
    bytes.extend(count.to_be_bytes());
    bytes.extend([0, 0, 100, 7]);
    bytes.extend(rest);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes[3] = u8::try_from(bytes.len() / 4 - 1).unwrap();
    bytes
}

fn read(bytes: &[u8]) -> Option<Vec<(u16, Option<i16>)>> {
    match iterate(bytes).next() {
        Some(Ok(Packet::TransportCc(feedback))) => {
            assert_eq!((feedback.sender_ssrc(), feedback.media_ssrc()), (1, 2));
            assert_eq!((feedback.reference_time(), feedback.feedback_count()), (100, 7));
            Some(feedback.statuses().map(|status| (status.sequence, status.delta)).collect())
        }
        Some(Err(_)) => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_kind_of_chunk_is_read() {
    #[rustfmt::skip]
    let bytes = packet(24, &[
        0x20, 0x02, // run of two: small
        0b1010_0000, 0b0000_0001, // one bit each: first and last of 14 received
        0b1101_1000, 0b0000_0001, // two bits each: small, large, then five that end in small
        0x00, 0x01, // run of one: not received
        1, 2, 3, 4, 5, // small
        0xFF, 0xFE, // large: -2
        6, // small
    ]);
    let seen = read(&bytes).unwrap();
    let received: Vec<_> = seen.iter().filter_map(|(sequence, delta)| Some((*sequence, (*delta)?))).collect();
    assert_eq!(seen.len(), 24);
    assert_eq!(received, [(65_534, 1), (65_535, 2), (0, 3), (13, 4), (14, 5), (15, -2), (20, 6)]);
}

#[test]
fn counts_and_chunks_that_ask_for_more_than_there_is_are_malformed() {
    let rows: &[(&str, u16, &[u8])] = &[
        ("no chunk", 1, &[]),
        ("chunks too few", 10_000, &[0x1F, 0xFF, 0, 0]),
        ("a delta too few", 3, &[0x20, 0x03]),
        ("half a large delta", 4, &[0x40, 0x04, 0, 0, 0, 0, 0, 0]),
        ("reserved symbol in a run", 1, &[0x60, 0x01, 0, 0, 0, 0]),
        ("reserved symbol in a vector", 1, &[0xF0, 0x00, 0, 0, 0, 0]),
        ("a run of nothing", 1, &[0x20, 0x00, 0x20, 0x01, 0, 0]),
        ("more than we walk", STATUSES_MAX + 1, &[0x1F, 0xFF, 0x1F, 0xFF]),
    ];
    for (name, count, rest) in rows {
        let bytes = packet(*count, rest);
        assert_eq!(read(&bytes), None, "{name}");
    }
    assert_eq!(read(&packet(STATUSES_MAX, &[0x1F, 0xFF, 0x1F, 0xFF])).unwrap().len(), 8_192);
    assert_eq!(read(&packet(0, &[])).unwrap(), []);
}

#[test]
fn reserved_symbols_beyond_the_count_do_no_harm() {
    assert_eq!(read(&packet(1, &[0b1101_1111, 0xFF, 9, 0])).unwrap(), [(65_534, Some(9))]);
}

#[test]
fn a_negative_reference_time_is_sign_extended() {
    let mut bytes = packet(0, &[]);
    bytes[16..19].copy_from_slice(&[0xFF, 0xFF, 0xFF]);
    let Some(Ok(Packet::TransportCc(feedback))) = iterate(&bytes).next() else { panic!("no feedback") };
    assert_eq!(feedback.reference_time(), -1);
}

#[test]
fn a_feedback_is_written_byte_by_byte() {
    let arrivals = [Some(ORIGIN + 1), None, Some(ORIGIN + 401), Some(ORIGIN + 400)];
    let mut out = [0; 64];
    let written = write(&mut out, &FEEDBACK, &arrivals).unwrap();
    assert_eq!(written, Written { len: 28, statuses: 4 });
    #[rustfmt::skip]
    assert_eq!(out[..28], [
        0x8F, 205, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2, // header, sender, media
        0xFF, 0xFE, 0, 4, 0, 0, 100, 7, // base, four statuses, reference time, count
        0b1101_0010, 0b1000_0000, // two bits each: small, none, large, large
        1, // +1
        1, 144, // +400
        0xFF, 0xFF, // -1
        0, // padding
    ]);
}

#[test]
fn writing_stops_at_a_delta_that_does_not_fit() {
    let mut out = [0; 64];
    let far = [Some(ORIGIN), None, Some(ORIGIN + 32_768)];
    assert_eq!(write(&mut out, &FEEDBACK, &far).unwrap().statuses, 2);
    assert_eq!(write(&mut out, &FEEDBACK, &[Some(ORIGIN + 32_767)]).unwrap().statuses, 1);
    assert_eq!(write(&mut out, &FEEDBACK, &[Some(ORIGIN - 32_769)]), None);
    assert_eq!(write(&mut out, &FEEDBACK, &[Some(i64::MIN)]), None);
    assert_eq!(write(&mut out, &FEEDBACK, &[]), None);
    let extreme = Feedback { reference_time: i64::MAX, ..FEEDBACK };
    assert_eq!(write(&mut out, &extreme, &[Some(i64::MIN)]), None);
}

#[test]
fn writing_stops_at_the_end_of_every_buffer() {
    let arrivals: Vec<_> = (0..200).map(|n| (n % 5 != 0).then_some(ORIGIN + n * 37 % 1_000)).collect();
    let mut statuses = 0;
    for length in 0..400 {
        let mut out = vec![0; length];
        let Some(written) = write(&mut out, &FEEDBACK, &arrivals) else {
            assert!(length < 24, "{length}");
            continue;
        };
        assert!(written.len <= length && written.statuses >= statuses, "{length}");
        statuses = written.statuses;
        assert_eq!(read(&out[..written.len]).unwrap().len(), statuses);
    }
    assert_eq!(statuses, 200);
}

#[test]
fn a_long_run_takes_one_chunk() {
    let arrivals: Vec<_> = (0..1_000).map(|n| Some(ORIGIN + n)).collect();
    let mut out = [0; 1_200];
    let written = write(&mut out, &FEEDBACK, &arrivals).unwrap();
    assert_eq!(written, Written { len: 1_024, statuses: 1_000 });
    let none = vec![None; 9_000];
    assert_eq!(write(&mut out, &FEEDBACK, &none).unwrap(), Written { len: 24, statuses: 8_192 });
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        steps in prop::collection::vec(
            prop_oneof![
                3 => Just(None), 6 => (0i64..256).prop_map(Some), 1 => (-40_000i64..40_000).prop_map(Some)
            ], 1..300),
        room in 24usize..700, repeat in 1usize..20,
    ) {
        let mut at = ORIGIN;
        let arrivals: Vec<Option<i64>> = steps
            .iter()
            .flat_map(|step| core::iter::repeat_n(*step, if step.is_none() { repeat } else { 1 }))
            .map(|step| { at += step?; Some(at) })
            .collect();
        let mut out = vec![0; room];
        let Some(written) = write(&mut out, &FEEDBACK, &arrivals) else {
            let first = arrivals.first().copied().flatten().unwrap_or(ORIGIN) - ORIGIN;
            prop_assert!(i16::try_from(first).is_err());
            return Ok(());
        };
        let seen = read(&out[..written.len]).unwrap();
        prop_assert_eq!(seen.len(), written.statuses);
        let mut last = ORIGIN;
        for (index, (sequence, delta)) in seen.iter().enumerate() {
            prop_assert_eq!(*sequence, FEEDBACK.base_sequence.wrapping_add(u16::try_from(index).unwrap()));
            let arrival = delta.map(|delta| { last += i64::from(delta); last });
            prop_assert_eq!(arrival, arrivals[index]);
        }
    }

    #[test]
    fn any_chunks_are_read_or_refused(count: u16, rest in prop::collection::vec(any::<u8>(), 0..100)) {
        if let Some(seen) = read(&packet(count % 300, &rest)) {
            prop_assert_eq!(seen.len(), usize::from(count % 300));
        }
    }
}
