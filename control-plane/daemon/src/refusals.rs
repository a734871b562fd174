//! Who was not let in, and why: counters of everything between an HTTP request and a bound stream.

use std::sync::atomic::{AtomicU64, Ordering};

use xmpp::websocket::Counts;

/// Why a client was refused. Closed, so that it can label a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A page of an origin that is not listed.
    Origin,
    /// A BOSH body that is none, or of no session.
    Body,
    /// A limit of streams or BOSH sessions.
    Full,
    /// Too many logins or conference requests from one address.
    Pace,
    /// A wrong name or password.
    Login,
    /// A wrong or missing token.
    Token,
    /// A login that was not tried, after too many failures.
    LoginPace,
}

impl Reason {
    /// All of them.
    pub(crate) const ALL: [Reason; 7] = [
        Reason::Origin,
        Reason::Body,
        Reason::Full,
        Reason::Pace,
        Reason::Login,
        Reason::Token,
        Reason::LoginPace,
    ];

    /// Its name in metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Reason::Origin => "origin",
            Reason::Body => "body",
            Reason::Full => "full",
            Reason::Pace => "pace",
            Reason::Login => "login",
            Reason::Token => "token",
            Reason::LoginPace => "login_pace",
        }
    }
}

/// One counter a reason.
#[derive(Default)]
pub(crate) struct Refusals([AtomicU64; Reason::ALL.len()]);

impl Refusals {
    /// Counts one.
    pub(crate) fn count(&self, reason: Reason) {
        if let Some(counter) = self.0.get(reason as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts what the streams count, which begins at zero with the process as this does.
    pub(crate) fn take_logins(&self, counts: Counts) {
        let counts = [
            (Reason::Login, counts.failed),
            (Reason::Token, counts.tokens),
            (Reason::LoginPace, counts.paced),
        ];
        for (reason, count) in counts {
            if let Some(counter) = self.0.get(reason as usize) {
                counter.store(count, Ordering::Relaxed);
            }
        }
    }

    /// All counts with their reasons.
    pub(crate) fn read(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL
            .into_iter()
            .zip(&self.0)
            .map(|(reason, counter)| (reason, counter.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_counter() {
        let refusals = Refusals::default();
        for (times, reason) in Reason::ALL.into_iter().enumerate() {
            (0..=times).for_each(|_| refusals.count(reason));
        }
        let counts: Vec<(Reason, u64)> = refusals.read().collect();
        let expected: Vec<(Reason, u64)> = Reason::ALL.into_iter().zip(1..).collect();
        assert_eq!(counts, expected);
    }
}
