use proptest::prelude::*;

use super::*;

fn video(stream: u32, len: u16) -> Offer {
    Offer { len, stream, paddable: true }
}

fn audio(stream: u32, len: u16) -> Offer {
    Offer { len, stream, paddable: false }
}

fn rich() -> PaddingBudget {
    let mut budget = PaddingBudget::default();
    (0..100).for_each(|_| budget.earn(1_200, 10));
    budget
}

/// Lengths on the wire, in order.
fn lengths(offers: &[Offer], placed: &[Placed]) -> Vec<u16> {
    placed.iter().map(|placed| offers[usize::from(placed.at)].len + u16::from(placed.padding)).collect()
}

/// Messages as the send queue forms them of these lengths: equal ones together, a shorter one ends the message.
fn messages(lengths: &[u16]) -> usize {
    let mut count = 0;
    let mut open = None;
    for &len in lengths {
        match open {
            Some(segment) if len == segment => {}
            Some(segment) if len < segment => open = None,
            _ => {
                count += 1;
                open = Some(len);
            }
        }
    }
    count
}

#[test]
fn frames_are_evened_out_and_single_packets_ride_along() {
    let rows: &[(&str, Vec<Offer>, &[u16])] = &[
        ("one", vec![video(1, 900)], &[900]),
        ("equal", vec![video(1, 900), video(1, 900)], &[900, 900]),
        ("longer last", [1_087, 1_087, 1_088, 1_088].map(|len| video(1, len)).to_vec(), &[1_088; 4]),
        ("shorter last", [1_000, 1_000, 990].map(|len| video(1, len)).to_vec(), &[1_000, 1_000, 990]),
        ("in the middle", [1_000, 990, 1_000].map(|len| video(1, len)).to_vec(), &[1_000, 1_000, 1_000]),
        ("much shorter first", [600, 1_000].map(|len| video(1, len)).to_vec(), &[600, 1_000]),
        (
            "thumbnails",
            [700, 900, 400, 300].map(|len| video(u32::from(len), len)).to_vec(),
            &[900, 700, 400, 300],
        ),
        ("audio rides", vec![audio(2, 120), video(1, 1_100), video(1, 1_101)], &[1_101, 1_101, 120]),
        ("audio is not padded", vec![audio(1, 119), audio(2, 120), audio(3, 118)], &[119, 120, 118]),
        ("equal audio", vec![audio(1, 119), audio(2, 119), audio(3, 119)], &[119; 3]),
    ];
    for (name, offers, expected) in rows {
        let mut grouping = Grouping::default();
        let planned = grouping.plan(offers, &mut rich());
        assert_eq!(messages(&lengths(offers, planned)), messages(expected), "{name}");
        assert_eq!(lengths(offers, planned), *expected, "{name}");
    }
}

#[test]
fn without_budget_nothing_is_padded() {
    let offers = [1_087, 1_087, 1_088, 1_088].map(|len| video(1, len));
    let mut grouping = Grouping::default();
    let planned = grouping.plan(&offers, &mut PaddingBudget::default());
    assert!(planned.iter().all(|placed| placed.padding == 0), "{planned:?}");
    // Two runs, each in order.
    assert_eq!(lengths(&offers, planned), [1_087, 1_087, 1_088, 1_088]);
}

proptest! {
    #[test]
    fn every_packet_goes_once_in_the_order_of_its_stream_and_no_plan_needs_more_messages_than_none(
        packets in proptest::collection::vec((0u32..4, 80u16..1_200, any::<bool>(), 0u16..3), 1..OFFERS_MAX),
        earned in 0u32..60,
    ) {
        // Streams 0 and 1 are audio; lengths cluster around a few values.
        let offers: Vec<Offer> = packets
            .iter()
            .map(|&(stream, len, clustered, jitter)| {
                let len = if clustered { len / 300 * 300 + 100 + jitter } else { len };
                Offer { len, stream, paddable: stream > 1 }
            })
            .collect();
        let mut budget = PaddingBudget::default();
        (0..earned).for_each(|_| budget.earn(1_200, 10));
        let before = budget;
        let mut grouping = Grouping::default();
        let planned = grouping.plan(&offers, &mut budget).to_vec();
        let mut seen: Vec<u8> = planned.iter().map(|placed| placed.at).collect();
        for stream in 0..4 {
            let of_stream = seen.iter().filter(|at| offers[usize::from(**at)].stream == stream);
            prop_assert!(of_stream.is_sorted());
        }
        seen.sort_unstable();
        prop_assert!(seen.iter().copied().eq(0..offers.len() as u8));
        let padding: u32 = planned.iter().map(|placed| u32::from(placed.padding)).sum();
        prop_assert!(padding * 1_000 <= before.saved);
        prop_assert_eq!(budget.saved, before.saved - padding * 1_000);
        for placed in &planned {
            prop_assert!(placed.padding == 0 || offers[usize::from(placed.at)].paddable);
            prop_assert!(u16::from(placed.padding) <= PADDING_MAX);
        }
        let plain: Vec<u16> = offers.iter().map(|offer| offer.len).collect();
        prop_assert!(messages(&lengths(&offers, &planned)) <= messages(&plain));
    }
}
