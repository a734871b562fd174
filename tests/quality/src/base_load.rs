//! The base load B2 on one worker in memory, with receivers that give feedback: what estimation and allocation cost of it is
//! counted by `bench/estimation`.

use contract::{Duration, Metric};
use sim::{Faults, World};

/// Rooms, and people in each; everybody sends.
const ROOMS: u64 = 12;
const PEOPLE: u64 = 5;
/// Bits per second of each camera, in one encoding.
const CAMERA: u64 = 1_000_000;
/// Until everybody is connected, the estimates have found that everything fits, and all is forwarded.
const SETTLING: Duration = Duration::from_secs(6);

/// The rooms, settled.
pub fn settled(seed: u64) -> World {
    let mut world = World::new(1, Faults::NONE, seed);
    for number in 0..ROOMS * PEOPLE {
        let at = world.join(1 + number / PEOPLE, true, 720, true);
        for (layer, encoder) in world.clients[at].camera.iter_mut().enumerate() {
            (encoder.rate, encoder.active) = (Some(CAMERA), layer == 0);
        }
        // Cameras are not in step.
        world.run(Duration::from_millis(7));
    }
    world.run(SETTLING);
    world
}

/// Some seconds of it, in which nothing but the worker's turns counts under the name of [`sim::world::counted_turn`]. Packets forwarded a
/// second.
pub fn run(world: &mut World, seconds: u32) -> f64 {
    let forwarded = |world: &World| world.count(|counts| counts.counter(Metric::PacketsForwarded));
    let before = forwarded(world);
    world.count_turns = true;
    world.run(Duration::from_secs(u64::from(seconds)));
    world.count_turns = false;
    (forwarded(world) - before) as f64 / f64::from(seconds)
}
