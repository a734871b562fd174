//! Which library seals and opens media: the configured one, or the one that a trial at start finds faster here.

use std::time::Instant;

use transport::srtp::Provider;
use transport::srtp::measure::measure;

/// What the configuration says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CipherChoice {
    /// Try both for a millisecond or two at start.
    #[default]
    Auto,
    /// This one.
    Fixed(Provider),
}

/// The library in use, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cipher {
    /// Behind AES-GCM of every endpoint that connects from now on.
    pub provider: Provider,
    /// One line for the log.
    pub reason: String,
}

impl Cipher {
    /// Settle on one; with [`CipherChoice::Auto`] this takes some milliseconds of the calling thread.
    pub(crate) fn settle(choice: CipherChoice) -> Cipher {
        let CipherChoice::Fixed(provider) = choice else { return Cipher::faster() };
        Cipher { provider, reason: "as configured".to_owned() }
    }

    fn faster() -> Cipher {
        let began = Instant::now();
        let Some(measured) = measure(|| began.elapsed()) else {
            let reason = "a trial of the other failed".to_owned();
            return Cipher { provider: Provider::default(), reason };
        };
        let costs = Provider::ALL.iter().zip(measured.nanoseconds);
        let costs: Vec<String> = costs.map(|(provider, ns)| format!("{} {ns} ns", provider.name())).collect();
        let took = began.elapsed().as_micros();
        let reason = format!("a packet to seal costs {}; tried for {took} us", costs.join(", "));
        Cipher { provider: measured.faster(), reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_configured_is_taken_and_a_trial_says_what_it_found() {
        for provider in Provider::ALL {
            assert_eq!(Cipher::settle(CipherChoice::Fixed(provider)).provider, provider);
        }
        let tried = Cipher::settle(CipherChoice::Auto);
        assert!(Provider::ALL.iter().all(|provider| tried.reason.contains(provider.name())), "{tried:?}");
    }
}
