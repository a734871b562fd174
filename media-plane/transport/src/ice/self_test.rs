//! Answers connectivity checks (RFC 8445 §7.3) to nobody's endpoint, under a password that everybody knows: so that a browser or
//! `sluice doctor` can see whether media reaches this server, before there is a meeting.

use contract::DropReason;
use wire::stun::{Class, Integrity, Message, Writer};

use super::credentials::Credentials;
use crate::path::{Outbox, Path};

/// User fragment of the self-test. No endpoint's is this long or this short.
pub const SELF_TEST_UFRAG: &str = "selftest";

/// Its password. Public: all it opens is an answer that says from where the question came.
pub const SELF_TEST_PWD: &str = "selftestselftestselftest";

/// The other end of a self-test. Holds no state per asker.
pub struct SelfTest {
    credentials: Credentials,
}

impl SelfTest {
    /// Expands the key once.
    pub fn new() -> SelfTest {
        let credentials = Credentials::new(SELF_TEST_UFRAG, SELF_TEST_PWD);
        SelfTest { credentials: credentials.expect("both are constants of the right length") }
    }

    /// Answers a check that is for the self-test; never with more bytes than it has.
    ///
    /// # Errors
    /// It is for somebody else, not authentic, or no request.
    pub fn answer(&self, message: &Message<'_>, path: Path, out: &mut impl Outbox) -> Result<(), DropReason> {
        if message.local_ufrag() != Some(SELF_TEST_UFRAG) {
            return Err(DropReason::StunAuth);
        }
        if !message.is_binding() || message.class() != Class::Request || !message.has_fingerprint() {
            return Err(DropReason::StunUnsolicited);
        }
        if !matches!(self.credentials.verify(message), Integrity::Right) {
            return Err(DropReason::StunAuth);
        }
        out.datagram(path, message.bytes().len(), |buffer| {
            Writer::new(buffer, Class::Success, message.transaction_id())
                .xor_mapped_address(path.peer)
                .integrity(|parts| self.credentials.sign(parts))
                .fingerprint()
                .finish()
                .unwrap_or(0)
        });
        Ok(())
    }
}

/// Writes the check of an asker into `buffer`; how many bytes it has.
pub fn question(transaction_id: [u8; 12], buffer: &mut [u8; QUESTION_BYTES_MAX]) -> usize {
    let SelfTest { credentials } = SelfTest::new();
    Writer::new(buffer, Class::Request, transaction_id)
        .username(SELF_TEST_UFRAG, "doctor")
        .priority(1)
        .ice_controlling(1)
        .integrity(|parts| credentials.sign(parts))
        .fingerprint()
        .finish()
        .unwrap_or(0)
}

/// Room for a question.
pub const QUESTION_BYTES_MAX: usize = 256;

impl Default for SelfTest {
    fn default() -> Self {
        SelfTest::new()
    }
}

impl core::fmt::Debug for SelfTest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SelfTest")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps what is sent.
    #[derive(Default)]
    struct Sent(Vec<Vec<u8>>);

    impl Outbox for Sent {
        fn datagram(&mut self, _: Path, max_len: usize, write: impl FnOnce(&mut [u8]) -> usize) -> bool {
            let mut buffer = vec![0; max_len];
            let len = write(&mut buffer);
            buffer.truncate(len);
            self.0.push(buffer);
            true
        }
    }

    fn check(ufrag: &str, pwd: &str, class: Class) -> Vec<u8> {
        let credentials = Credentials::new(ufrag, pwd).unwrap();
        let mut buffer = [0; 256];
        let len = Writer::new(&mut buffer, class, [7; 12])
            .username(ufrag, "asker")
            .priority(1)
            .ice_controlling(9)
            .integrity(|parts| credentials.sign(parts))
            .fingerprint()
            .finish()
            .unwrap();
        buffer[..len].to_vec()
    }

    #[test]
    fn only_an_authentic_check_for_the_self_test_is_answered_and_with_no_more_than_it_asked() {
        let table = [
            (SELF_TEST_UFRAG, SELF_TEST_PWD, Class::Request, true),
            (SELF_TEST_UFRAG, "anotherpasswordof24bytes", Class::Request, false),
            (SELF_TEST_UFRAG, SELF_TEST_PWD, Class::Success, false),
            (SELF_TEST_UFRAG, SELF_TEST_PWD, Class::Indication, false),
            ("someoneelse", SELF_TEST_PWD, Class::Request, false),
        ];
        for peer in ["192.0.2.1:4000", "[2001:db8::1]:4000"] {
            for (ufrag, pwd, class, expected) in table {
                let question = check(ufrag, pwd, class);
                let message = Message::parse(&question).unwrap();
                let path = Path { peer: peer.parse().unwrap(), socket: 0 };
                let mut sent = Sent::default();
                let answered = SelfTest::new().answer(&message, path, &mut sent);
                assert_eq!(answered.is_ok(), expected, "{ufrag} {pwd} {class:?}");
                assert_eq!(sent.0.len(), usize::from(expected));
                let Some(answer) = sent.0.first() else { continue };
                assert!(answer.len() <= question.len() && !answer.is_empty());
                let answer = Message::parse(answer).unwrap();
                assert_eq!(answer.xor_mapped_address(), Some(path.peer));
                assert_eq!(answer.transaction_id(), [7; 12]);
            }
        }
    }
}
