//! The SASL negotiation of a stream (RFC 6120 §6): ANONYMOUS with or without a token, SCRAM and PLAIN.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Event, Logins, State, Stream};
use crate::accounts::Hash;
use crate::credentials::{SignIn, Token};
use crate::error::sasl_failure;
use crate::scram::{Failure, Scram, read_plain};
use crate::{Element, ns};

/// Failed SASL exchanges after which the stream ends.
const EXCHANGES_MAX: u8 = 3;

/// How far an exchange came.
enum Step {
    /// The server asks this.
    Challenge(String),
    /// It ended well, as this account; the server adds this.
    Account(String, Option<String>),
    /// It ended well, as nobody in particular.
    Anonymous,
    /// It ended badly, with this condition and text.
    Refused(&'static str, Option<&'static str>),
}

impl From<Failure> for Step {
    fn from(failure: Failure) -> Step {
        Step::Refused(failure.condition(), None)
    }
}

impl Stream {
    /// What may be chosen from, best first.
    pub(super) fn mechanisms(&self) -> Vec<&'static str> {
        match self.sign_in {
            SignIn::Anonymous | SignIn::Token { .. } => vec!["ANONYMOUS"],
            SignIn::Accounts => {
                let plain = self.entrance.is_confidential.then_some("PLAIN");
                Hash::ALL.map(Hash::mechanism).into_iter().chain(plain).collect()
            }
        }
    }

    /// An element of the negotiation.
    pub(super) fn authenticate(&mut self, element: &Element, logins: &mut Logins<'_>, out: &mut Vec<Event>) {
        if element.ns() != ns::SASL {
            return self.fail("not-authorized", out);
        }
        let exchange = self.exchange.take();
        let step = match (element.name(), exchange) {
            ("auth", _) => self.begin(element, logins),
            ("response", Some(exchange)) => self.finish(exchange, element, logins),
            ("abort", _) => Step::Refused("aborted", None),
            _ => Step::from(Failure::Malformed),
        };
        match step {
            Step::Challenge(text) => {
                let challenge = Element::new("challenge", ns::SASL).with_text(STANDARD.encode(text));
                out.push(Event::Frame(challenge.to_string()));
            }
            Step::Account(name, data) => {
                self.identity.localpart = name;
                self.is_account = true;
                self.succeed(data, out);
            }
            Step::Anonymous => self.succeed(None, out),
            Step::Refused(condition, text) => {
                self.failures += 1;
                out.push(Event::Frame(sasl_failure(condition, text).to_string()));
                if self.failures >= EXCHANGES_MAX {
                    self.fail("policy-violation", out);
                }
            }
        }
    }

    fn succeed(&mut self, data: Option<String>, out: &mut Vec<Event>) {
        self.state = State::Restarting;
        let Some(account) = self.account() else { return self.fail("internal-server-error", out) };
        let success = Element::new("success", ns::SASL);
        let success = match data {
            Some(data) => success.with_text(STANDARD.encode(data)),
            None => success,
        };
        out.push(Event::Authenticated(account));
        out.push(Event::Frame(success.to_string()));
    }

    fn begin(&mut self, element: &Element, logins: &mut Logins<'_>) -> Step {
        let mechanism = element.attribute("mechanism").unwrap_or_default();
        if !self.mechanisms().contains(&mechanism) {
            return Step::Refused("invalid-mechanism", None);
        }
        let hash = Hash::ALL.into_iter().find(|hash| hash.mechanism() == mechanism);
        match (mechanism, hash) {
            ("ANONYMOUS", _) => self.admit_bearer(logins),
            ("PLAIN", _) => self.check_plain(element, logins),
            (_, Some(hash)) => self.begin_scram(hash, element, logins),
            (_, None) => Step::Refused("invalid-mechanism", None),
        }
    }

    /// ANONYMOUS: at a host for bearers of tokens, the token of the URL decides.
    fn admit_bearer(&self, logins: &mut Logins<'_>) -> Step {
        let text = match (self.sign_in, &self.entrance.token) {
            (SignIn::Token { optional: false }, Token::Absent) => "token required",
            (SignIn::Token { .. }, Token::Invalid(text)) => text,
            _ => return Step::Anonymous,
        };
        logins.counts.tokens += 1;
        Step::Refused("not-allowed", Some(text))
    }

    fn check_plain(&self, element: &Element, logins: &mut Logins<'_>) -> Step {
        let credentials = message(element).and_then(|message| read_plain(&message));
        let (name, password) = match credentials {
            Ok(credentials) => credentials,
            Err(failure) => {
                logins.counts.failed += 1;
                return failure.into();
            }
        };
        if !self.admit_attempt(&name, logins) {
            return PACED;
        }
        if self.entrance.accounts.verify(&name, &password) {
            return Step::Account(name, None);
        }
        self.failed(&name, logins);
        Failure::NotAuthorized.into()
    }

    fn begin_scram(&mut self, hash: Hash, element: &Element, logins: &mut Logins<'_>) -> Step {
        let begun = message(element)
            .and_then(|message| Scram::begin(&self.entrance.accounts, hash, &message, &self.identity.nonce));
        match begun {
            Ok((scram, _)) if !self.admit_attempt(scram.name(), logins) => PACED,
            Ok((scram, challenge)) => {
                self.exchange = Some(scram);
                Step::Challenge(challenge)
            }
            Err(failure) => {
                logins.counts.failed += 1;
                failure.into()
            }
        }
    }

    fn finish(&self, exchange: Scram, element: &Element, logins: &mut Logins<'_>) -> Step {
        let name = exchange.name().to_owned();
        match message(element).and_then(|message| exchange.finish(&message)) {
            Ok(verifier) => Step::Account(name, Some(verifier)),
            Err(failure) => {
                self.failed(&name, logins);
                failure.into()
            }
        }
    }

    fn admit_attempt(&self, name: &str, logins: &mut Logins<'_>) -> bool {
        let admitted = logins.attempts.admit(self.entrance.address, name, logins.now);
        logins.counts.paced += u64::from(!admitted);
        admitted
    }

    fn failed(&self, name: &str, logins: &mut Logins<'_>) {
        logins.counts.failed += 1;
        logins.attempts.failed(self.entrance.address, name, logins.now);
    }
}

/// Too many failures before this one.
const PACED: Step =
    Step::Refused("temporary-auth-failure", Some("too many failed logins, try again in a minute"));

/// The message in an element of the negotiation; `=` stands for an empty one (RFC 6120 §6.4.2).
fn message(element: &Element) -> Result<Vec<u8>, Failure> {
    let text = element.text();
    match text.trim() {
        "=" => Ok(Vec::new()),
        text => STANDARD.decode(text).map_err(|_| Failure::Malformed),
    }
}

#[cfg(test)]
mod tests;
