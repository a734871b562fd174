//! What an estimator costs: nanoseconds a packet sent, and a packet heard of, at feedbacks of so many packets.

use std::hint::black_box;
use std::time::Instant;

use bandwidth::{Config, Estimator, FeedbackHead};
use contract::{Duration, Timestamp};

/// Packets of each run.
const PACKETS: u64 = 1_000_000;

fn main() {
    for per_feedback in [5u64, 13, 25, 50] {
        let mut now = Timestamp::from_millis(1_000);
        let mut estimator = Estimator::new(Config::default(), now);
        let (mut sending, mut hearing) = (0.0, 0.0);
        let mut number = 1u64;
        while number < PACKETS {
            let first = number;
            let start = Instant::now();
            for _ in 0..per_feedback {
                now = now + Duration::from_micros(3_800);
                estimator.note_sent(number, 1_200, now);
                number += 1;
            }
            sending += start.elapsed().as_secs_f64();
            let arrived = now + Duration::from_millis(40);
            let head = FeedbackHead {
                base_sequence: first as u16,
                reference_time: (arrived.as_millis() / 64) as i32 & 0x7F_FFFF,
            };
            let start = Instant::now();
            let statuses = (first..number).map(|number| (number as u16, Some(15)));
            let _ = black_box(estimator.feedback(head, statuses, arrived));
            hearing += start.elapsed().as_secs_f64();
        }
        let nanoseconds = |seconds: f64| seconds * 1e9 / number as f64;
        println!(
            "{per_feedback:3} packets a feedback: {:6.1} ns a packet sent, {:6.1} ns a packet heard of, target {} kbit/s",
            nanoseconds(sending),
            nanoseconds(hearing),
            estimator.target() / 1_000
        );
    }
}
