//! What is known of a client before its stream begins: from where it comes, how fast others came from there, and what its
//! URL and its token say.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use contract::Timestamp;
use serde::Deserialize;
use xmpp::credentials::Token;
use xmpp::streams;
use xmpp::websocket::Framing;

use crate::http::Public;
use crate::origin::origin;
use crate::refusals::Reason;
use crate::signaling_loop::Clock;

/// Marks the requests of the listener that speaks TLS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OverTls;

/// From where a request comes.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Whom it is counted to; `None` for this machine: a proxy here speaks for everybody.
    pub(crate) address: Option<IpAddr>,
    /// Whether nobody on the way can read along.
    pub(crate) is_confidential: bool,
    /// The folder in front of the path, which is the tenant's name.
    pub(crate) folder: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Peer, Infallible> {
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>().and_then(|peer| origin(peer.0.ip()));
        let is_confidential = address.is_none() || parts.extensions.get::<OverTls>().is_some();
        let mut segments = parts.uri.path().trim_start_matches('/').split('/');
        let folder = segments.next().filter(|_| segments.next().is_some()).map(str::to_owned);
        Ok(Peer { address, is_confidential, folder })
    }
}

/// The arguments of an XMPP connection; further ones are left alone.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ConnectionQuery {
    room: Option<String>,
    previd: Option<String>,
    token: Option<String>,
    prefix: Option<String>,
}

impl Public {
    /// Lets a client begin a stream once its turn has come, with its token checked. `None` if too many come from there.
    pub(crate) async fn enter(
        &self,
        peer: Peer,
        query: ConnectionQuery,
        headers: &HeaderMap,
        framing: Framing,
    ) -> Option<streams::Query> {
        if !self.logins.turn(peer.address).await {
            self.status.refusals.count(Reason::Pace);
            return None;
        }
        let token = match &self.verifier {
            Some(verifier) => verifier.check(query.token.as_deref().or_else(|| bearer(headers))).await,
            None => Token::Absent,
        };
        Some(streams::Query {
            framing,
            room: query.room,
            previd: query.previd,
            tenant: query.prefix.or(peer.folder).filter(|tenant| !tenant.is_empty()),
            token,
            address: peer.address,
            is_confidential: peer.is_confidential,
        })
    }
}

/// The token in the head of a request (RFC 6750 §2.1).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// Turns of those who come from one address, at a rate.
pub(crate) struct Turns {
    clock: Clock,
    cost: Duration,
    saved: Duration,
    /// Until when the turns of an address are given away.
    taken: Mutex<HashMap<IpAddr, Timestamp>>,
}

impl Turns {
    /// `per_second` turns for each address, four times as many at once.
    pub(crate) fn new(per_second: u64) -> Turns {
        let cost = Duration::from_micros(1_000_000 / per_second.max(1));
        let saved = cost * BURST.saturating_mul(u32::try_from(per_second).unwrap_or(u32::MAX));
        Turns { clock: Clock::new(), cost, saved, taken: Mutex::default() }
    }

    /// Waits for the next turn of `address`. False if it would be too long.
    pub(crate) async fn turn(&self, address: Option<IpAddr>) -> bool {
        let Some(address) = address else { return true };
        let wait = self.take(address, self.clock.now());
        match wait {
            Some(wait) => tokio::time::sleep(wait).await,
            None => return false,
        }
        true
    }

    /// How long `address` has to wait; `None` if too long, and then no turn is taken.
    fn take(&self, address: IpAddr, now: Timestamp) -> Option<Duration> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.len() >= ADDRESSES_MAX {
            taken.retain(|_, until| *until > now);
        }
        if taken.len() >= ADDRESSES_MAX && !taken.contains_key(&address) {
            return None;
        }
        let until = taken.entry(address).or_insert(now);
        let next = (*until).max(now).after(self.cost);
        let wait = next.since(now).saturating_sub(self.saved);
        if wait > WAIT_MAX {
            return None;
        }
        *until = next;
        Some(wait)
    }
}

/// Turns at once, in seconds of the rate.
const BURST: u32 = 4;
/// Longest wait; clients give up after some fifteen seconds.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Addresses with turns given away, at a time.
const ADDRESSES_MAX: usize = 50_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn turns_come_in_a_burst_then_at_the_rate_and_then_not_at_all() {
        let turns = Turns::new(10);
        let (one, two) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let waits: Vec<Option<Duration>> = (0..141).map(|_| turns.take(one, at(1_000))).collect();
        assert!(waits[..40].iter().all(|wait| *wait == Some(Duration::ZERO)), "forty at once");
        assert_eq!(waits[40], Some(Duration::from_millis(100)));
        assert_eq!(waits[139], Some(WAIT_MAX));
        assert_eq!(waits[140], None);
        assert_eq!(turns.take(two, at(1_000)), Some(Duration::ZERO), "others do not wait");
        assert_eq!(turns.take(one, at(1_100)), Some(WAIT_MAX), "who was sent away took no turn");
        assert_eq!(turns.take(one, at(60_000)), Some(Duration::ZERO));
    }

    #[test]
    fn addresses_are_forgotten_when_their_turns_are_over_and_bounded_before() {
        let turns = Turns::new(10);
        let address = |i: u32| IpAddr::from(i.to_be_bytes());
        assert!((0..ADDRESSES_MAX as u32).all(|i| turns.take(address(i), at(0)).is_some()));
        assert_eq!(turns.take(address(u32::MAX), at(0)), None);
        assert!(turns.take(address(0), at(0)).is_some(), "who is known may");
        assert!(turns.take(address(u32::MAX), at(10_000)).is_some());
        assert_eq!(turns.taken.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_token_may_stand_in_the_head() {
        for (text, expected) in [("Bearer a.b.c", Some("a.b.c")), ("Basic a", None), ("bearer", None)] {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, text.parse().unwrap());
            assert_eq!(bearer(&headers), expected, "{text}");
        }
    }
}
