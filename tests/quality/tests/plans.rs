//! The plans under one seed each, held to what is asked of them.

use quality::plans;

#[test]
fn a_step_down_drains_soon_and_a_step_up_brings_the_full_picture_back() {
    // In the last meeting the probe finds hardly more than the full picture and its key frame take.
    for seed in [1, 2, 3, 20] {
        let step = plans::step_down(seed);
        assert!(step.queue_drained_after_s <= 2.0, "seed {seed}: {step:?}");
        assert!(step.low_encoding == Some(1) && step.low_utilisation_pct >= 60.0, "seed {seed}: {step:?}");
        assert!(step.overshoot_pct <= 20.0, "seed {seed}: {step:?}");
        assert!(step.full_layer_again_after_s <= 10.0, "seed {seed}: {step:?}");
    }
}

#[test]
fn a_step_down_holds_with_the_frames_and_the_patience_of_a_browser() {
    let mut middle = 0;
    // Without the second, which is not at its full picture when the link falls: docs/open-points.md.
    for seed in [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12] {
        let step = plans::browser_step_down(seed);
        assert!(step.queue_drained_after_s <= 2.0, "seed {seed}: {step:?}");
        assert!(step.overshoot_pct <= 20.0, "seed {seed}: {step:?}");
        assert!(step.full_layer_again_after_s <= 10.0, "seed {seed}: {step:?}");
        assert!(step.frozen_s <= 2.0, "seed {seed}: {step:?}");
        middle += usize::from(step.low_encoding == Some(1));
    }
    assert!(middle >= 9, "360 lines most of the time in {middle} of 11 meetings");
}

#[test]
fn a_steady_link_is_used_without_flapping_or_freezing() {
    // In the last two, layers were raised and lowered in turns while 360 lines came at the full frame rate only.
    for seed in [1, 20, 24] {
        let steady = plans::steady(seed, 60);
        assert!(steady.utilisation_pct >= 85.0, "seed {seed}: {steady:?}");
        assert!(steady.layer_changes_per_minute <= 1.0, "seed {seed}: {steady:?}");
        assert_eq!(steady.freezes, 0, "seed {seed}: {steady:?}");
    }
}

#[test]
fn lost_audio_is_repeated_and_lost_video_sent_again() {
    for (percent, audio_max) in [(5.0, 0.1), (10.0, 0.5), (20.0, 3.0)] {
        let lossy = plans::lossy(1, percent, true, 30);
        assert!(lossy.audio_lost_pct <= audio_max, "{percent}%: {lossy:?}");
        let bare = plans::lossy(1, percent, false, 30);
        assert!(bare.audio_lost_pct > percent * 0.5, "redundancy is what brings it: {bare:?}");
        assert!(lossy.frozen_pct * 5.0 < bare.frozen_pct, "{percent}%: {lossy:?} {bare:?}");
    }
}

#[test]
fn networks_that_lose_in_bursts_reorder_or_change_keep_what_is_asked_of_them() {
    for (name, seeds) in [("N5", 1..5), ("N6", 1..2), ("N7", 1..2), ("N8", 1..2), ("N10", 1..2)] {
        for seed in seeds {
            let breaches = quality::profiles::breaches(name, &quality::profiles::run(name, seed));
            assert!(breaches.is_empty(), "seed {seed}: {breaches:?}");
        }
    }
}

#[test]
fn a_link_of_200_kbit_s_carries_a_voice_and_the_smallest_picture_in_every_meeting() {
    // In the last three the queue of the first seconds stood for good while layers left no room for what was sent again.
    for seed in [1, 2, 3, 4, 5, 6, 14, 24, 26] {
        let slow = plans::slow_link(seed, 200);
        assert!(slow.frozen_pct <= 5.0 && slow.audio_lost_pct <= 1.0, "seed {seed}: {slow:?}");
    }
}

#[test]
fn where_no_picture_fits_beside_a_voice_the_voice_is_not_lost_to_trying() {
    for seed in [1, 2, 3] {
        let slow = plans::slow_link(seed, 150);
        assert!(slow.audio_lost_pct <= 1.5, "seed {seed}: {slow:?}");
    }
}

#[test]
fn a_link_that_loses_a_tenth_by_chance_is_used() {
    let trace = quality::foreign::traces().into_iter().find(|trace| trace.name == "2 Mbit/s, 10% lost");
    let [(_, ours), (_, theirs)] = quality::foreign::compare(&trace.expect("it is one of them"), 1);
    assert!(ours.utilisation_pct >= 83.0 && ours.queue_p95_ms < theirs.queue_p95_ms, "{ours:?} {theirs:?}");
}

#[test]
fn beside_another_estimator_ours_keeps_the_shorter_queue_and_drains_it_sooner() {
    let trace = &quality::foreign::traces()[0];
    let [(_, ours), (_, theirs)] = quality::foreign::compare(trace, 1);
    assert!(ours.queue_p95_ms < theirs.queue_p95_ms, "{ours:?} {theirs:?}");
    assert!(ours.drained_after_s <= Some(2.0), "{ours:?}");
    assert!(ours.utilisation_pct >= 80.0, "{ours:?}");
}

#[test]
fn each_of_twelve_links_carries_what_it_can_whatever_the_others_carry() {
    let rows = plans::mixed_links(1);
    let short = rows.iter().filter(|row| row.got_height < row.best_possible_height).count();
    assert!(rows.iter().all(|row| row.got_height <= row.tile_height.max(180)), "{rows:#?}");
    assert!(short <= 1, "{rows:#?}");
}

#[test]
fn picture_and_sound_stay_together_over_twenty_changes_of_layer() {
    let drift = plans::lip_sync(1, 20);
    assert!(drift <= 40.0, "{drift} ms");
}

#[test]
fn a_receiver_that_lies_about_arrivals_harms_nobody_else() {
    for (number, clock) in plans::CLOCKS.into_iter().enumerate() {
        let (shown, freezes, unusable) = plans::beside_a_liar(1, clock);
        assert_eq!((shown, freezes), (Some(2), 0), "clock {number}");
        assert!(number != 1 || unusable > 0, "what cannot be is counted");
    }
}

#[test]
fn a_picture_comes_back_after_a_link_that_carried_a_voice_alone() {
    // In the third meeting the last packets of the picture are all lost, and nobody says so.
    for (seed, low) in [(1, 120_000), (2, 80_000), (3, 40_000)] {
        let after = plans::starved(seed, low);
        assert!(after <= 10.0, "seed {seed}, {low} bit/s: {after} s");
    }
}
