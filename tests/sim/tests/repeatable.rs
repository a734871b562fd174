//! The same meeting under the same seed is the same to the last datagram: a failure can be looked at again.

use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};

use contract::Duration;
use sim::{Faults, LinkSpec, World};

/// Three senders over two workers; two of them behind bad links that change, one with a decoder that asks for key frames.
fn meeting(seed: u64) -> World {
    let faults = Faults { jitter: Duration::from_millis(5), loss: 0.02, ..Faults::NONE };
    let mut world = World::new(2, faults, seed);
    for _ in 0..3 {
        world.join(1, true, 720, true);
    }
    for client in &mut world.clients {
        client.looks = true;
    }
    for (client, rate) in [(0, 300_000), (1, 1_500_000)] {
        world.set_link(client, LinkSpec { loss: 0.05, burst: 4.0, ..LinkSpec::of_rate(rate) });
    }
    world.run(Duration::from_secs(8));
    world.set_link(0, LinkSpec::of_rate(2_000_000));
    world.rebind(1);
    world.leave(2);
    world.run(Duration::from_secs(7));
    world
}

/// A line for each thing that was seen, in order.
fn record(world: &mut World) -> Vec<String> {
    let mut lines = Vec::new();
    let mut note = |of: &str, what: &dyn Debug| lines.push(format!("{of}: {what:?}"));
    for (at, client) in world.clients.iter().enumerate() {
        for (ssrc, stream) in &client.streams {
            stream.packets().for_each(|packet| note(&format!("client {at}, {ssrc}"), &packet));
        }
        client.reports.iter().for_each(|report| note(&format!("client {at}, report"), report));
        client.recovered.iter().for_each(|frame| note(&format!("client {at}, recovered"), frame));
        note(&format!("client {at}, refused"), &client.refused);
        for entry in world.network.link(client.address).into_iter().flat_map(|link| &link.entries) {
            note(&format!("link {at}"), entry);
        }
    }
    world.reports.iter().for_each(|report| note("report", report));
    for client in 0..2 {
        world.bandwidth_log(client).iter().for_each(|line| note(&format!("bandwidth {client}"), line));
    }
    note("datagrams", &world.network.digest());
    lines
}

#[test]
fn a_meeting_is_the_same_twice_under_one_seed() {
    for seed in [1, 2] {
        let (first, second) = (record(&mut meeting(seed)), record(&mut meeting(seed)));
        let parts = first.iter().zip(&second).find(|(one, other)| one != other);
        assert_eq!(parts, None, "seed {seed}: where they part");
        assert_eq!(first.len(), second.len(), "seed {seed}");
        assert!(first.len() > 10_000, "seed {seed}: {} things happened", first.len());
    }
    let of = |seed| {
        let mut hasher = DefaultHasher::new();
        record(&mut meeting(seed)).hash(&mut hasher);
        hasher.finish()
    };
    assert_ne!(of(1), of(2), "another seed is another meeting");
}
