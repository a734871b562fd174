//! Whole conferences under a seed. A failing run prints its seed; the same seed fails again.

use contract::session::VideoConstraint;
use contract::{Command, DropReason, Duration, Metric, Report};
use sim::{Faults, World};

/// Every stream of every client is continuous, and there are as many as there should be.
fn check_streams(world: &World, seed: u64) {
    for client in &world.clients {
        for (ssrc, stream) in &client.streams {
            let breaches = stream.breaches();
            assert!(
                breaches.is_empty(),
                "seed {seed}, client {}, ssrc {ssrc}: {breaches:#?}",
                client.endpoint
            );
        }
    }
}

fn receives(world: &World, client: usize, source: u64) -> usize {
    let streams = world.clients[client].streams.values();
    streams
        .filter(|stream| stream.last().is_some_and(|last| last.label.source == source))
        .map(|s| s.len())
        .sum()
}

fn run(workers: usize, faults: Faults, rewriting: bool, seed: u64) -> World {
    let mut world = World::new(workers, faults, seed);
    for _ in 0..3 {
        world.join(1, true, 720, rewriting);
    }
    world.run(Duration::from_secs(10));
    world
}

#[test]
fn a_worker_short_of_slots_forgets_the_oldest_packets_and_drops_none() {
    let config = worker::Config { workers: Some(1), slots: 48, ..worker::Config::default() };
    let mut world = World::with_config(config, Faults::NONE, 1);
    for _ in 0..3 {
        world.join(1, true, 720, true);
    }
    world.run(Duration::from_secs(5));
    check_streams(&world, 1);
    assert_eq!(world.count(|statistics| statistics.dropped(DropReason::NoSlot)), 0);
    assert!(receives(&world, 0, 21) > 300, "{} packets", receives(&world, 0, 21));
}

#[test]
fn three_participants_hear_and_see_each_other_on_one_worker() {
    for rewriting in [true, false] {
        let world = run(1, Faults::NONE, rewriting, 1);
        check_streams(&world, 1);
        for client in 0..3 {
            assert!(world.clients[client].connected());
            for other in (0..3u64).filter(|other| *other != client as u64) {
                let audio = receives(&world, client, (other + 1) * 10);
                let video = receives(&world, client, (other + 1) * 10 + 1);
                assert!(
                    audio > 400,
                    "rewriting {rewriting}: client {client} hears {audio} packets of {other}"
                );
                assert!(
                    video > 800,
                    "rewriting {rewriting}: client {client} sees {video} packets of {other}"
                );
            }
            let own = receives(&world, client, (client as u64 + 1) * 10);
            assert_eq!(own, 0, "nobody hears himself");
        }
    }
}

#[test]
fn a_conference_over_two_workers_gives_the_same() {
    let world = run(2, Faults::NONE, true, 2);
    check_streams(&world, 2);
    assert!(world.count(|s| s.counter(Metric::PacketsFromMesh)) > 1_000, "packets crossed the mesh");
    assert!(world.count(|s| s.counter(Metric::DatagramsHandedOver)) > 100, "datagrams were handed over");
    assert_eq!(world.count(|s| s.counter(Metric::PacketsLostToMesh)), 0);
    for client in 0..3 {
        for other in (0..3u64).filter(|other| *other != client as u64) {
            assert!(receives(&world, client, (other + 1) * 10) > 400);
            assert!(receives(&world, client, (other + 1) * 10 + 1) > 800);
        }
    }
}

#[test]
fn bad_lines_lose_frames_but_never_continuity() {
    for seed in 10..30 {
        let faults = Faults {
            delay: Duration::from_millis(20),
            jitter: Duration::from_millis(30),
            loss: 0.05,
            duplication: 0.02,
            corruption: 0.005,
        };
        let mut world = run(1 + seed as usize % 2, faults, seed % 3 != 0, seed);
        check_streams(&world, seed);
        for client in 0..3 {
            for other in (0..3u64).filter(|other| *other != client as u64) {
                let video = receives(&world, client, (other + 1) * 10 + 1);
                let why = if video > 300 { Vec::new() } else { world.bandwidth_log(client) };
                assert!(
                    video > 300,
                    "seed {seed}: client {client} sees {video} packets of {other}: {why:#?}"
                );
            }
            let frames: usize =
                world.clients[client].streams.values().map(|stream| stream.complete_frames()).sum();
            assert!(frames > 600, "seed {seed}: client {client} got {frames} frames");
        }
        assert!(
            world.count(|s| s.counter(Metric::PacketsRetransmitted)) > 0,
            "seed {seed}: losses were repaired"
        );
    }
}

#[test]
fn redundant_audio_goes_to_those_who_lose_packets_and_take_it() {
    let faults = Faults { loss: 0.1, ..Faults::NONE };
    let mut world = World::new(1, faults, 21);
    for _ in 0..3 {
        world.join(1, false, 0, true);
    }
    world.tell(Command::LeaveOutRedundancy { endpoint: world.clients[0].endpoint });
    world.run(Duration::from_secs(10));
    let recovered: Vec<usize> = world.clients.iter().map(|client| client.recovered.len()).collect();
    assert!(recovered[0] == 0 && recovered[1] > 100 && recovered[2] > 100, "{recovered:?}");
    assert!(receives(&world, 0, 20) > 300, "the voice comes without it");
}

#[test]
fn a_receiver_changes_its_layer_on_key_frames_and_nobody_else_is_touched() {
    let mut world = World::new(1, Faults::NONE, 3);
    let sender = world.join(1, true, 0, true);
    let (switching, steady) = (world.join(1, false, 180, true), world.join(1, false, 720, true));
    world.run(Duration::from_secs(5));
    for height in [720, 180, 360, 180, 720] {
        world.want(switching, height);
        world.run(Duration::from_secs(5));
        let streams = world.clients[switching].streams.values();
        let seen = streams.filter_map(|stream| stream.last()).find(|last| last.picture.is_some());
        let encoding = seen.map(|last| last.label.encoding);
        let expected = [(180, 0), (360, 1), (720, 2)]
            .iter()
            .find(|(of, _)| *of == height)
            .map(|(_, encoding)| *encoding);
        assert_eq!(encoding, expected, "at height {height}");
    }
    check_streams(&world, 3);
    let video =
        world.clients[steady].streams.values().find(|s| s.last().is_some_and(|l| l.picture.is_some()));
    assert!(
        video.expect("it receives video").switches() <= 2,
        "the steady receiver only climbed at the start"
    );
    let _ = sender;
}

#[test]
fn an_endpoint_that_falls_silent_is_shown_inactive_and_then_expires() {
    let mut world = World::new(1, Faults::NONE, 4);
    let (gone, _) = (world.join(1, true, 180, true), world.join(1, true, 180, true));
    world.run(Duration::from_secs(5));
    world.clients[gone].alive = false;
    world.run(Duration::from_secs(20));
    let endpoint = world.clients[gone].endpoint;
    assert!(world.reports.contains(&Report::Connectivity { endpoint, active: false }));
    world.run(Duration::from_secs(60));
    let expired =
        |report: &Report| matches!(report, Report::EndpointExpired { endpoint: of, .. } if *of == endpoint);
    assert!(world.reports.iter().any(expired));
}

#[test]
fn strangers_and_forgers_are_counted_and_harm_nobody() {
    use sim::network::To;
    let mut world = World::new(1, Faults::NONE, 5);
    for _ in 0..2 {
        world.join(1, true, 720, true);
    }
    world.run(Duration::from_secs(2));
    let mut chance = sim::Chance::new(99);
    let stranger = "198.51.100.7:5555".parse().expect("an address");
    let known = world.clients[0].address;
    for _ in 0..2_000 {
        let length = 1 + chance.below(1_600) as usize;
        let junk: Vec<u8> = (0..length).map(|_| chance.bits() as u8).collect();
        let forged = [&[0x80, 100], junk.as_slice()].concat();
        let now = world.now();
        world.network.send(To::Server(stranger), junk.clone(), now, &mut chance);
        world.network.send(To::Server(known), junk, now, &mut chance);
        world.network.send(To::Server(known), forged, now, &mut chance);
        world.run(Duration::from_millis(1));
    }
    world.run(Duration::from_secs(3));
    check_streams(&world, 5);
    assert!(world.count(|s| s.dropped(DropReason::UnknownPeer)) > 100);
    assert!(world.count(|s| s.dropped(DropReason::Oversize)) > 10);
    for client in 0..2u64 {
        assert!(receives(&world, client as usize, (2 - client) * 10) > 300, "the call goes on");
    }
}

#[test]
fn slots_come_back_when_everybody_has_left() {
    let mut world = World::new(2, Faults::NONE, 6);
    for _ in 0..4 {
        world.join(1, true, VideoConstraint::UNLIMITED, true);
    }
    world.run(Duration::from_secs(3));
    for client in 0..4 {
        world.leave(client);
    }
    world.run(Duration::from_secs(3));
    world.media_plane.request_statistics();
    world.run(Duration::from_secs(1));
    let held: u64 = world.media_plane.statistics().flatten().map(|statistics| statistics.slots_held).sum();
    assert_eq!(held, 0, "every packet slot is free again");
}

#[test]
fn a_sender_that_has_bandwidth_for_its_lowest_layer_only_is_seen_in_it() {
    for seed in 40..46 {
        let mut world = World::new(1, Faults::NONE, seed);
        let sender = world.join(1, true, 0, true);
        let first = world.join(1, false, 360, true);
        for layer in if seed % 2 == 0 { 1..3 } else { 2..3 } {
            world.clients[sender].camera[layer].active = false;
        }
        world.run(Duration::from_millis(200 * (seed - 39)));
        // The upper layers stop; who comes later has never seen them.
        for layer in 1..3 {
            world.clients[sender].camera[layer].active = false;
        }
        world.run(Duration::from_millis(300 * (seed - 40)));
        let late = world.join(1, false, 720, true);
        world.run(Duration::from_secs(4));
        for receiver in [first, late] {
            let before = receives(&world, receiver, 11);
            world.run(Duration::from_secs(2));
            let seen = receives(&world, receiver, 11) - before;
            assert!(seen > 40, "seed {seed}: receiver {receiver} sees {seen} packets in 2 s");
        }
        check_streams(&world, seed);
    }
}
