//! How often a bridge-channel password may be guessed: ten failures a minute from one place, then no answer but "later".

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::origin::origin;

/// Failures of the last minute.
#[derive(Default)]
pub(crate) struct Guesses(Mutex<HashMap<String, Failures>>);

#[derive(Clone, Copy)]
struct Failures {
    since: Instant,
    count: u32,
}

impl Guesses {
    /// Whether somebody at `peer` may try the password of `endpoint` now. A proxy on this machine speaks for everybody: then
    /// failures are counted by endpoint.
    pub(crate) fn admit(&self, peer: IpAddr, endpoint: &str, now: Instant) -> bool {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = failures.get(&place(peer, endpoint));
        known.is_none_or(|known| known.count < FAILURES_MAX || now.duration_since(known.since) >= WINDOW)
    }

    /// It was wrong.
    pub(crate) fn failed(&self, peer: IpAddr, endpoint: &str, now: Instant) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= PLACES_MAX {
            failures.retain(|_, known| now.duration_since(known.since) < WINDOW);
        }
        let place = place(peer, endpoint);
        if failures.len() >= PLACES_MAX && !failures.contains_key(&place) {
            // More places than that within a minute: forgetting them all costs the least.
            failures.clear();
        }
        let known = failures.entry(place).or_insert(Failures { since: now, count: 0 });
        if now.duration_since(known.since) >= WINDOW {
            *known = Failures { since: now, count: 0 };
        }
        known.count += 1;
    }
}

fn place(peer: IpAddr, endpoint: &str) -> String {
    match origin(peer) {
        Some(origin) => origin.to_string(),
        None => endpoint.chars().take(ENDPOINT_CHARS_MAX).collect(),
    }
}

const FAILURES_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// A megabyte or so.
const PLACES_MAX: usize = 10_000;
/// Endpoint ids have eight; what is longer is a guess at something else.
const ENDPOINT_CHARS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_failures_a_minute_are_let_through_from_each_place() {
        let guesses = Guesses::default();
        let now = Instant::now();
        let table: [(&str, &str, &str); 4] = [
            ("192.0.2.1", "a", "192.0.2.2"),
            ("2001:db8::1", "a", "2001:db8:0:1::1"),
            // Over a socket for both families.
            ("::ffff:192.0.2.8", "a", "::ffff:192.0.2.9"),
            ("127.0.0.1", "b", "192.0.2.3"),
        ];
        for (peer, endpoint, other) in table {
            let (peer, other): (IpAddr, IpAddr) = (peer.parse().unwrap(), other.parse().unwrap());
            for _ in 0..10 {
                assert!(guesses.admit(peer, endpoint, now));
                guesses.failed(peer, endpoint, now);
            }
            assert!(!guesses.admit(peer, endpoint, now + Duration::from_secs(59)), "{peer}");
            assert!(guesses.admit(other, endpoint, now), "{other}");
            assert!(guesses.admit(peer, endpoint, now + Duration::from_secs(60)), "{peer}");
        }
        let neighbour: IpAddr = "2001:db8::2".parse().unwrap();
        assert!(!guesses.admit(neighbour, "x", now), "one network of one customer");
        assert!(guesses.admit("127.0.0.1".parse().unwrap(), "c", now), "by a proxy, another endpoint");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let guesses = Guesses::default();
        let now = Instant::now();
        for number in 0..3 * PLACES_MAX as u32 {
            guesses.failed(IpAddr::from(number.to_be_bytes()), "x", now);
        }
        assert!(guesses.0.lock().unwrap().len() <= PLACES_MAX);
    }
}
