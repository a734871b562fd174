//! How often passwords may be tried: by one address and at one account (RFC 6120 §6.4.4).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use contract::{Duration, Timestamp};

/// Failed attempts, as credits that come back with time. Success costs nothing.
#[derive(Debug, Default)]
pub struct Attempts {
    by_address: HashMap<IpAddr, Failures>,
    by_account: HashMap<String, Failures>,
}

/// Failures so far; each is forgiven after a while.
#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    forgiven_at: Timestamp,
}

/// Failures in a row from one address, or one IPv6 network of a household.
const ADDRESS_FAILURES_MAX: u32 = 10;
/// Failures in a row at one account, from wherever. More than for an address: strangers must not easily lock people out.
const ACCOUNT_FAILURES_MAX: u32 = 30;
/// After this, one failure is forgiven: six guesses a minute find no decent password.
const FORGIVEN_EVERY: Duration = Duration::from_secs(10);
/// Addresses and accounts remembered each. Beyond that, those longest quiet are forgotten.
const REMEMBERED_MAX: usize = 10_000;

impl Attempts {
    /// Whether a password may be tried now. Connections without an address come from this machine.
    pub fn admit(&mut self, address: Option<IpAddr>, account: &str, now: Timestamp) -> bool {
        let address = address.map(network);
        let of_address = address.map_or(0, |address| count(&mut self.by_address, &address, now));
        let of_account = count(&mut self.by_account, account, now);
        of_address < ADDRESS_FAILURES_MAX && of_account < ACCOUNT_FAILURES_MAX
    }

    /// A password was wrong.
    pub fn failed(&mut self, address: Option<IpAddr>, account: &str, now: Timestamp) {
        if let Some(address) = address {
            add(&mut self.by_address, network(address), now);
        }
        add(&mut self.by_account, account.to_owned(), now);
    }
}

/// Failures not yet forgiven.
fn count<K, Q>(failures: &mut HashMap<K, Failures>, key: &Q, now: Timestamp) -> u32
where
    K: std::hash::Hash + Eq + std::borrow::Borrow<Q>,
    Q: std::hash::Hash + Eq + ?Sized,
{
    let Some(entry) = failures.get_mut(key) else { return 0 };
    while entry.count > 0 && entry.forgiven_at <= now {
        entry.count -= 1;
        entry.forgiven_at = entry.forgiven_at.after(FORGIVEN_EVERY);
    }
    let count = entry.count;
    if count == 0 {
        failures.remove(key);
    }
    count
}

fn add<K: std::hash::Hash + Eq + Clone>(failures: &mut HashMap<K, Failures>, key: K, now: Timestamp) {
    if failures.len() >= REMEMBERED_MAX && !failures.contains_key(&key) {
        failures.retain(|_, entry| entry.forgiven_at > now);
    }
    if failures.len() >= REMEMBERED_MAX && !failures.contains_key(&key) {
        let quietest = failures.iter().min_by_key(|(_, entry)| entry.forgiven_at).map(|(key, _)| key.clone());
        quietest.and_then(|key| failures.remove(&key));
    }
    let entry = failures.entry(key).or_insert(Failures { count: 0, forgiven_at: Timestamp::ZERO });
    if entry.count == 0 {
        entry.forgiven_at = now.after(FORGIVEN_EVERY);
    }
    entry.count = entry.count.saturating_add(1);
}

/// One household or office has one IPv4 address, and 2^64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn ip(text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }

    #[test]
    fn an_address_has_ten_failures_and_then_one_every_ten_seconds() {
        let mut attempts = Attempts::default();
        for _ in 0..10 {
            assert!(attempts.admit(ip("192.0.2.1"), "ann", at(0)));
            attempts.failed(ip("192.0.2.1"), "ann", at(0));
        }
        assert!(!attempts.admit(ip("192.0.2.1"), "bob", at(9)), "whichever account");
        assert!(attempts.admit(ip("192.0.2.2"), "ann", at(9)), "others may");
        assert!(attempts.admit(ip("192.0.2.1"), "bob", at(10)));
        attempts.failed(ip("192.0.2.1"), "bob", at(10));
        assert!(!attempts.admit(ip("192.0.2.1"), "bob", at(19)));
    }

    #[test]
    fn an_account_is_guarded_against_many_addresses() {
        let mut attempts = Attempts::default();
        for i in 0..30_u32 {
            attempts.failed(Some(IpAddr::from([192, 0, 2, i as u8])), "ann", at(0));
        }
        assert!(!attempts.admit(ip("198.51.100.1"), "ann", at(1)));
        assert!(attempts.admit(ip("198.51.100.1"), "bob", at(1)));
        assert!(attempts.admit(ip("198.51.100.1"), "ann", at(10)));
    }

    #[test]
    fn a_whole_ipv6_network_counts_as_one() {
        let mut attempts = Attempts::default();
        for i in 0..10 {
            attempts.failed(ip(&format!("2001:db8::{i}")), "ann", at(0));
        }
        assert!(!attempts.admit(ip("2001:db8::ffff"), "bob", at(0)));
        assert!(attempts.admit(ip("2001:db8:0:1::1"), "bob", at(0)));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_forgotten() {
        let mut attempts = Attempts::default();
        for i in 0..REMEMBERED_MAX as u32 + 500 {
            attempts.failed(Some(IpAddr::from(i.to_be_bytes())), &i.to_string(), at(0));
        }
        assert_eq!(attempts.by_address.len(), REMEMBERED_MAX);
        assert_eq!(attempts.by_account.len(), REMEMBERED_MAX);
        attempts.failed(ip("192.0.2.1"), "ann", at(60));
        assert_eq!(attempts.by_address.len(), 1, "what is forgiven is forgotten");
    }
}
