//! The plans: what happens to the links, and what is asked of it.

use contract::{Duration, Metric, Timestamp};
use sim::{LinkSpec, World};

use crate::meeting::{CAMERA, Meeting};
use crate::seen;

/// Capacity of the low phase of [`step_down`], bits per second.
const LOW: u64 = 600_000;
/// And the queue that it may have.
const LONG_QUEUE: Duration = Duration::from_millis(100);

/// A step of capacity, down and up again.
#[derive(Clone, Copy, Debug)]
pub struct StepDown {
    /// Seconds after the step at which the queue of the low phase was last longer than 100 ms: a larger picture's key frame is one.
    pub queue_last_above_100ms_s: f64,
    /// Percent by which the busiest second of the low phase, from 2 s after the step, exceeds the capacity.
    pub overshoot_pct: f64,
    /// Seconds from the step up to the first second of full picture; infinite if it never came.
    pub full_layer_again_after_s: f64,
    /// Seconds after the step until the queue stayed below 100 ms for a whole second.
    pub queue_drained_after_s: f64,
    /// Seconds of the thirty of the low phase for which the picture stood.
    pub frozen_s: f64,
    /// The encoding that was shown most in the low phase, from 5 s after the step.
    pub low_encoding: Option<u8>,
    /// Per cent of the capacity that the link carried then.
    pub low_utilisation_pct: f64,
}

/// 2.5 Mbit/s, from second 20 on 0.6, from second 50 on 2.5 again; one sender on stage.
pub fn step_down(seed: u64) -> StepDown {
    step_of(Meeting::new(1, CAMERA, seed), 27, sim::PATIENCE, link)
}

/// The same with a sender and a receiver as Chromium was seen to be on a slow machine: large frames now and then, arrivals that differ by
/// milliseconds without any queue, and a decoder that waits for three seconds before it asks for a key frame.
pub fn browser_step_down(seed: u64) -> StepDown {
    let jittery = |rate| LinkSpec { jitter: Duration::from_millis(15), ..link(rate) };
    step_of(Meeting::of_browsers(1, BROWSER_CAMERA, seed), 13, Duration::from_secs(3), jittery)
}

/// What Chromium made of a grainy 720p camera at 15 frames a second, bits per second.
const BROWSER_CAMERA: [u64; 3] = [147_000, 484_000, 1_430_000];

/// `frames`: of a second of full picture, at least.
fn step_of(
    mut meeting: Meeting,
    frames: usize,
    patience: Duration,
    link: impl Fn(u64) -> LinkSpec,
) -> StepDown {
    let receiver = meeting.add_receiver(link(2_500_000), 0, true);
    meeting.stage(receiver, 0, 720);
    meeting.world.clients[receiver].patience = patience;
    meeting.run(20.0);
    let (down, up) = narrowed(&mut meeting, receiver, &link, LOW, 30.0);
    let world = &meeting.world;
    let (_, most) = seen::link_rates(world, receiver, &(down + Duration::from_secs(2)..up));
    let full = seen::full_layer_from(&world.clients[receiver], 11, 2, up, frames);
    let (low, settled) = (down..up, down + Duration::from_secs(5)..up);
    let (carried, _) = seen::link_rates(world, receiver, &settled);
    StepDown {
        queue_last_above_100ms_s: seen::queue_exceeds_until(world, receiver, &low, LONG_QUEUE),
        queue_drained_after_s: seen::queue_drained_after_s(world, receiver, &low, LONG_QUEUE),
        frozen_s: seen::frozen_pct(&world.clients[receiver], 11, &low) * 0.3,
        overshoot_pct: (100.0 * (most / LOW as f64 - 1.0)).max(0.0),
        low_encoding: seen::encoding_shown(&world.clients[receiver], 11, &settled),
        low_utilisation_pct: 100.0 * carried / LOW as f64,
        full_layer_again_after_s: full.map_or(f64::INFINITY, |at| at.since(up).as_secs_f64()),
    }
}

/// The link carries `low` bits per second for `seconds`, then 2.5 Mbit/s for twenty: when it fell and when it rose.
fn narrowed(
    meeting: &mut Meeting,
    receiver: usize,
    link: impl Fn(u64) -> LinkSpec,
    low: u64,
    seconds: f64,
) -> (Timestamp, Timestamp) {
    let down = meeting.world.now();
    meeting.world.set_link(receiver, link(low));
    meeting.run(seconds);
    let up = meeting.world.now();
    meeting.world.set_link(receiver, link(2_500_000));
    meeting.run(20.0);
    trace(&mut meeting.world, receiver);
    (down, up)
}

/// Seconds until a picture is shown again, after twenty in which the link carried only `low` bits per second.
pub fn starved(seed: u64, low: u64) -> f64 {
    let mut meeting = Meeting::new(1, CAMERA, seed);
    let receiver = meeting.add_receiver(link(2_500_000), 0, true);
    meeting.stage(receiver, 0, 720);
    meeting.run(10.0);
    let (_, up) = narrowed(&mut meeting, receiver, link, low, 20.0);
    seen::picture_after_s(&meeting.world.clients[receiver], 11, up)
}

/// A steady link.
#[derive(Clone, Copy, Debug)]
pub struct Steady {
    /// Percent of the capacity that audio, video and repair take; what was sent to probe is left out.
    pub utilisation_pct: f64,
    /// Over all five streams together.
    pub layer_changes_per_minute: f64,
    /// Pictures that stood for more than half a second.
    pub freezes: usize,
}

/// 1 Mbit/s and five senders side by side; measured after 20 s of settling, for `seconds`.
pub fn steady(seed: u64, seconds: u32) -> Steady {
    let mut meeting = Meeting::new(5, CAMERA, seed);
    let receiver = meeting.add_receiver(link(1_000_000), 360, true);
    meeting.run(20.0);
    let (start, probes) = (meeting.world.now(), probe_bits(&meeting.world));
    meeting.run(f64::from(seconds));
    let span = start..meeting.world.now();
    let probes = (probe_bits(&meeting.world) - probes) / f64::from(seconds);
    let (carried, _) = seen::link_rates(&meeting.world, receiver, &span);
    trace(&mut meeting.world, receiver);
    let client = &meeting.world.clients[receiver];
    Steady {
        utilisation_pct: (carried - probes) / 10_000.0,
        layer_changes_per_minute: seen::layer_changes(client, &span) as f64 * 60.0 / f64::from(seconds),
        freezes: seen::freezes(client, &span).0,
    }
}

/// A link that loses packets.
#[derive(Clone, Copy, Debug)]
pub struct Lossy {
    /// Percent of audio frames that came neither themselves nor by redundancy.
    pub audio_lost_pct: f64,
    /// Pictures that stood for more than half a second, a minute.
    pub video_freezes_per_minute: f64,
    /// The longest of them, seconds.
    pub longest_freeze_s: f64,
    /// Per cent of the time that they took together, on stage.
    pub frozen_pct: f64,
}

/// 4 Mbit/s with random loss of `percent`, two senders; with or without repair.
pub fn lossy(seed: u64, percent: f64, repairs: bool, seconds: u32) -> Lossy {
    let mut meeting = Meeting::new(2, CAMERA, seed);
    let delay = Duration::from_millis(40);
    let spec = LinkSpec { loss: percent / 100.0, delay, ..link(4_000_000) };
    let receiver = meeting.add_receiver(spec, 0, repairs);
    meeting.stage(receiver, 0, 720);
    meeting.run(10.0);
    let start = meeting.world.now();
    meeting.run(f64::from(seconds));
    let span = start..meeting.world.now();
    trace(&mut meeting.world, receiver);
    let client = &meeting.world.clients[receiver];
    let (freezes, longest) = seen::freezes(client, &span);
    Lossy {
        audio_lost_pct: seen::audio_lost(client, 10, &span),
        video_freezes_per_minute: freezes as f64 * 60.0 / f64::from(seconds),
        longest_freeze_s: longest,
        frozen_pct: seen::frozen_pct(client, 11, &span),
    }
}

/// What one of twelve receivers got.
#[derive(Clone, Copy, Debug)]
pub struct Mixed {
    /// Its link.
    pub link_kbps: u64,
    /// What it asked for.
    pub tile_height: u16,
    /// What it was shown most in the last ten seconds; 0 for nothing.
    pub got_height: u16,
    /// The highest layer that its link carries beside the audio.
    pub best_possible_height: u16,
}

/// A link as slow as a voice and the smallest picture.
#[derive(Clone, Copy, Debug)]
pub struct Slow {
    /// Per cent of a minute in which the picture stood for more than half a second.
    pub frozen_pct: f64,
    /// Per cent of the voice that was lost.
    pub audio_lost_pct: f64,
}

/// Twelve receivers with twelve links and three tile sizes in one room.
pub fn mixed_links(seed: u64) -> Vec<Mixed> {
    let mut meeting = Meeting::new(1, CAMERA, seed);
    let mut wanted = Vec::new();
    for (at, kbps) in
        [200, 300, 400, 600, 800, 1_000, 1_500, 2_000, 2_500, 3_000, 5_000, 10_000].into_iter().enumerate()
    {
        let height = [720, 360, 180][at % 3];
        let spec = LinkSpec { delay: Duration::from_millis(20 + 10 * at as u64), ..link(kbps * 1_000) };
        let receiver = meeting.add_receiver(spec, 0, true);
        meeting.stage(receiver, 0, height);
        wanted.push((receiver, kbps, height));
    }
    meeting.run(30.0);
    let start = meeting.world.now();
    meeting.run(10.0);
    let span = start..meeting.world.now();
    for (receiver, kbps, _) in &wanted {
        if seen::encoding_shown(&meeting.world.clients[*receiver], 11, &span).is_none() {
            println!("nothing was shown over {kbps} kbit/s");
            trace(&mut meeting.world, *receiver);
        }
    }
    let of = |(receiver, link_kbps, tile_height): (usize, u64, u16)| {
        let got = seen::encoding_shown(&meeting.world.clients[receiver], 11, &span);
        // A link filled to the brim carries no encoder: each exceeds its rate now and then.
        let room = (link_kbps * 950).saturating_sub(AUDIO);
        let fits = |encoding: &usize| on_link(CAMERA[*encoding]) <= room && 180 << *encoding <= tile_height;
        let best = (0..3).rev().find(fits).unwrap_or(0);
        let got_height = got.map_or(0, |encoding| 180 << encoding);
        Mixed { link_kbps, tile_height, got_height, best_possible_height: 180 << best }
    };
    wanted.into_iter().map(of).collect()
}

/// The most that pictures are off the sound over `switches` changes of layer, in milliseconds.
pub fn lip_sync(seed: u64, switches: usize) -> f64 {
    let mut meeting = Meeting::new(1, CAMERA, seed);
    let receiver = meeting.add_receiver(link(10_000_000), 0, true);
    meeting.stage(receiver, 0, 720);
    meeting.run(5.0);
    let start = meeting.world.now();
    for switch in 0..switches {
        meeting.stage(receiver, 0, [180, 720, 360][switch % 3]);
        meeting.run(1.7);
    }
    let client = &meeting.world.clients[receiver];
    let changes: usize = client.streams.values().map(sim::received::Stream::switches).sum();
    assert!(changes >= switches, "{changes} changes of layer only");
    seen::lip_sync_drift_ms(client, 10, 11, &(start..meeting.world.now()))
}

/// Clocks of receivers that lie: one that stands, one that leaps an hour ahead, one that runs back and forth, one that runs away.
pub const CLOCKS: [fn(Timestamp, u64) -> Timestamp; 4] = [
    |_, _| Timestamp::from_millis(5_000),
    |now, count| if count.is_multiple_of(50) { now + Duration::from_secs(3_600) } else { now },
    |now, count| Timestamp::from_micros(now.as_micros() / (1 + count % 7)),
    |now, count| now + Duration::from_millis(count * 3),
];

/// What an honest receiver is shown beside a hostile one whose feedback claims these arrival times: its encoding, and freezes;
/// and how many feedbacks were found unusable.
pub fn beside_a_liar(seed: u64, clock: fn(Timestamp, u64) -> Timestamp) -> (Option<u8>, usize, u64) {
    let mut meeting = Meeting::new(2, CAMERA, seed);
    let honest = meeting.add_receiver(link(2_500_000), 0, true);
    let liar = meeting.add_receiver(link(800_000), 0, true);
    meeting.world.clients[liar].arrival_clock = Some(clock);
    meeting.stage(honest, 0, 720);
    meeting.stage(liar, 0, 720);
    meeting.run(10.0);
    let start = meeting.world.now();
    meeting.run(10.0);
    let span = start..meeting.world.now();
    let client = &meeting.world.clients[honest];
    let unusable = meeting.world.count(|statistics| statistics.counter(Metric::FeedbackUnusable));
    (seen::encoding_shown(client, 11, &span), seen::freezes(client, &span).0, unusable)
}

/// A voice and a camera over a link that hardly carries them, for a minute after 20 s of settling.
pub fn slow_link(seed: u64, kbps: u64) -> Slow {
    let mut meeting = Meeting::new(1, CAMERA, seed);
    let receiver = meeting.add_receiver(link(kbps * 1_000), 0, true);
    meeting.stage(receiver, 0, 180);
    meeting.run(20.0);
    let start = meeting.world.now();
    meeting.run(60.0);
    let span = start..meeting.world.now();
    trace(&mut meeting.world, receiver);
    let client = &meeting.world.clients[receiver];
    Slow {
        frozen_pct: seen::frozen_pct(client, 11, &span),
        audio_lost_pct: seen::audio_lost(client, 10, &span),
    }
}

fn link(rate: u64) -> LinkSpec {
    LinkSpec::of_rate(rate)
}

/// A layer's rate with headers, tags and repair of packets of 1,100 bytes.
fn on_link(rate: u64) -> u64 {
    rate + rate / 16
}

/// One speaking audio stream on the link, bits per second, with reports.
const AUDIO: u64 = 65_000;

fn probe_bits(world: &World) -> f64 {
    let (bytes, packets) = (Metric::ProbeBytes, Metric::ProbePackets);
    let count = |metric| world.count(|statistics| statistics.counter(metric));
    (count(bytes) + 28 * count(packets)) as f64 * 8.0
}

/// With SLUICE_TRACE in the environment: what went over a link and what was shown, second by second.
fn trace(world: &mut World, client: usize) {
    if std::env::var_os("SLUICE_TRACE").is_none() {
        return;
    }
    let link = world.network.link(world.clients[client].address).expect("it has a link");
    let end = world.now().as_millis() / 1_000;
    for second in 0..end {
        let span = Timestamp::from_millis(second * 1_000)..Timestamp::from_millis(second * 1_000 + 1_000);
        let inside: Vec<_> = link.entries.iter().filter(|entry| span.contains(&entry.at)).collect();
        let bits: u64 = inside.iter().filter(|entry| entry.own).map(|entry| u64::from(entry.bytes) * 8).sum();
        let wait = inside.iter().map(|entry| entry.wait.as_millis()).max().unwrap_or(0);
        let dropped = inside.iter().filter(|entry| entry.dropped).count();
        let mut layers = Vec::new();
        for stream in world.clients[client].streams.values() {
            let labels =
                stream.packets().map(|(_, packet)| packet).filter(|packet| span.contains(&packet.at));
            let layer = labels.map(|packet| (packet.label.encoding, packet.label.temporal)).max();
            layers.extend(layer);
        }
        eprintln!(
            "{second:4} s {:6} kbit/s, queue {wait:4} ms, {dropped:3} dropped, layers {layers:?}",
            bits / 1_000
        );
    }
    for line in world.bandwidth_log(client) {
        eprintln!("{line}");
    }
}
