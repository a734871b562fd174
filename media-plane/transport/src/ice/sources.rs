//! What one source address may cost us: integrity checks and error answers, per second.

use core::net::SocketAddr;
use core::time::Duration;

use arrayvec::ArrayVec;
use contract::Timestamp;

/// Source addresses watched at a time: twice the live tuples of an endpoint. The longest unseen gives way, so a flood
/// of forged sources is bounded by the worker's own limit on unknown addresses, and by [`ERRORS_OF_ALL`].
const SOURCES_MAX: usize = 16;
/// Integrity checks a second for one source; a client in trouble checks every 48 ms.
const CHECKS: u16 = 50;
/// Error answers a second to one source.
const ERRORS: u16 = 5;
/// Error answers a second to all sources together.
const ERRORS_OF_ALL: u16 = 20;
const WINDOW: Duration = Duration::from_secs(1);

#[derive(Clone, Copy)]
struct Source {
    address: SocketAddr,
    since: Timestamp,
    checks: u16,
    errors: u16,
}

/// Budgets per source address, in windows of a second.
#[derive(Default)]
pub(super) struct Sources {
    sources: ArrayVec<Source, SOURCES_MAX>,
    errors_since: Timestamp,
    errors: u16,
}

impl Sources {
    /// Whether one more integrity check may be computed for this source.
    pub(super) fn check(&mut self, address: SocketAddr, now: Timestamp) -> bool {
        let source = self.entry(address, now);
        if source.checks >= CHECKS {
            return false;
        }
        source.checks += 1;
        true
    }

    /// Whether one more error answer may go to this source.
    pub(super) fn error(&mut self, address: SocketAddr, now: Timestamp) -> bool {
        if now.since(self.errors_since) >= WINDOW {
            (self.errors_since, self.errors) = (now, 0);
        }
        if self.errors >= ERRORS_OF_ALL {
            return false;
        }
        let source = self.entry(address, now);
        if source.errors >= ERRORS {
            return false;
        }
        source.errors += 1;
        self.errors += 1;
        true
    }

    fn entry(&mut self, address: SocketAddr, now: Timestamp) -> &mut Source {
        let fresh = Source { address, since: now, checks: 0, errors: 0 };
        let known = self.sources.iter().position(|source| source.address == address);
        let at = known.unwrap_or_else(|| {
            if self.sources.try_push(fresh).is_ok() {
                return self.sources.len() - 1;
            }
            let oldest = (0..self.sources.len()).min_by_key(|&i| self.sources[i].since).unwrap_or(0);
            self.sources[oldest] = fresh;
            oldest
        });
        let source = &mut self.sources[at];
        if now.since(source.since) >= WINDOW {
            *source = fresh;
        }
        source
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u16) -> SocketAddr {
        ([192, 0, 2, 1], n).into()
    }

    #[test]
    fn a_source_gets_its_share_each_second() {
        let mut sources = Sources::default();
        let count = |sources: &mut Sources, ms, f: fn(&mut Sources, SocketAddr, Timestamp) -> bool| {
            (0..1_000).filter(|_| f(sources, address(1), Timestamp::from_millis(ms))).count()
        };
        assert_eq!(count(&mut sources, 1_000, Sources::check), 50);
        assert_eq!(count(&mut sources, 1_000, Sources::error), 5);
        assert_eq!(count(&mut sources, 1_999, Sources::error), 0);
        assert_eq!(count(&mut sources, 2_000, Sources::error), 5);
        assert_eq!(count(&mut sources, 2_000, Sources::check), 50);
    }

    #[test]
    fn many_forged_sources_share_one_limit_of_errors() {
        let mut sources = Sources::default();
        let answered =
            (0..10_000u16).filter(|&n| sources.error(address(n), Timestamp::from_millis(500))).count();
        assert_eq!(answered, 20);
    }
}
