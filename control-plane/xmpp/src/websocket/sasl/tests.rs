use std::sync::Arc;

use contract::Timestamp;

use super::*;
use crate::accounts::{Accounts, Secrets};
use crate::attempts::Attempts;
use crate::credentials::{Claims, Entrance};
use crate::websocket::tests::{entrance, stream_of};
use crate::websocket::{Counts, Framing};

const OPEN: &str = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.example' version='1.0'/>";
const SUCCESS: &str = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";

/// A stream and what its logins share.
struct Login {
    stream: Stream,
    attempts: Attempts,
    counts: Counts,
}

impl Login {
    fn to(sign_in: SignIn, change: impl FnOnce(&mut Entrance)) -> Login {
        let mut entrance = entrance(&[("meet.example", sign_in)]);
        let mut accounts = Accounts::new([7; 32]);
        accounts.put("ann".to_owned(), Secrets::of("pencil", [[1; 16], [2; 16]]).expect("usable"));
        entrance.accounts = Arc::new(accounts);
        change(&mut entrance);
        let mut login = Login {
            stream: stream_of(entrance, Framing::WebSocket),
            attempts: Attempts::default(),
            counts: Counts::default(),
        };
        login.say(OPEN);
        login
    }

    /// The last frame that `text` leads to.
    fn say(&mut self, text: &str) -> String {
        let mut out = Vec::new();
        let mut logins =
            Logins { attempts: &mut self.attempts, counts: &mut self.counts, now: Timestamp::ZERO };
        self.stream.frame(text, &mut logins, &mut out);
        let mut frames = out.into_iter().filter_map(|event| match event {
            Event::Frame(text) => Some(text),
            _ => None,
        });
        frames.next_back().unwrap_or_default()
    }

    fn auth(&mut self, mechanism: &str, message: &[u8]) -> String {
        let message = if message.is_empty() { "=".to_owned() } else { STANDARD.encode(message) };
        self.say(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{message}</auth>"
        ))
    }

    fn respond(&mut self, message: &str) -> String {
        let message = STANDARD.encode(message);
        self.say(&format!("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{message}</response>"))
    }
}

fn failure(content: &str) -> String {
    format!("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{content}</failure>")
}

/// The last message of a client that knows `password`, by the other side of the same formulas.
fn proof(hash: Hash, first_bare: &str, challenge: &str, password: &str) -> String {
    let field = |name: &str| {
        challenge.split(',').find_map(|field| field.strip_prefix(name)).expect("in the challenge").to_owned()
    };
    let salt: [u8; 16] = STANDARD.decode(field("s=")).expect("Base64").try_into().expect("16 bytes");
    let unproven = format!("c=biws,r={}", field("r="));
    let transcript = format!("{first_bare},{challenge},{unproven}");
    let mut salted = vec![0; hash.digest(b"").len()];
    let algorithm = match hash {
        Hash::Sha1 => aws_lc_rs::pbkdf2::PBKDF2_HMAC_SHA1,
        Hash::Sha256 => aws_lc_rs::pbkdf2::PBKDF2_HMAC_SHA256,
    };
    let iterations = field("i=").parse().expect("a number");
    aws_lc_rs::pbkdf2::derive(algorithm, iterations, &salt, password.as_bytes(), &mut salted);
    let client_key = hash.hmac(&salted, b"Client Key");
    let signature = hash.hmac(&hash.digest(&client_key), transcript.as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
    format!("{unproven},p={}", STANDARD.encode(proof))
}

fn scram(login: &mut Login, hash: Hash, name: &str, password: &str) -> String {
    let first = format!("n={name},r=client");
    let challenge = login.auth(hash.mechanism(), format!("n,,{first}").as_bytes());
    let challenge = crate::parse(&challenge).expect("a challenge").text();
    let challenge = String::from_utf8(STANDARD.decode(challenge).expect("Base64")).expect("text");
    login.respond(&proof(hash, &first, &challenge, password))
}

#[test]
fn mechanisms_are_those_of_the_host_and_plain_needs_a_way_that_nobody_reads() {
    let rows = [
        (SignIn::Anonymous, true, "ANONYMOUS"),
        (SignIn::Token { optional: false }, false, "ANONYMOUS"),
        (SignIn::Accounts, true, "SCRAM-SHA-256 SCRAM-SHA-1 PLAIN"),
        (SignIn::Accounts, false, "SCRAM-SHA-256 SCRAM-SHA-1"),
    ];
    for (sign_in, is_confidential, expected) in rows {
        let mut login = Login::to(sign_in, |entrance| entrance.is_confidential = is_confidential);
        assert_eq!(login.stream.mechanisms().join(" "), expected);
        if !expected.contains("PLAIN") {
            assert_eq!(login.auth("PLAIN", b"\0ann\0pencil"), failure("<invalid-mechanism/>"));
        }
        if !expected.contains("ANONYMOUS") {
            assert_eq!(login.auth("ANONYMOUS", b""), failure("<invalid-mechanism/>"));
        }
    }
}

#[test]
fn the_right_password_makes_the_stream_its_account_by_each_mechanism() {
    for hash in Hash::ALL {
        let mut login = Login::to(SignIn::Accounts, |_| {});
        let success = scram(&mut login, hash, "Ann", "pencil");
        assert!(success.starts_with("<success ") && success.len() > SUCCESS.len(), "{success}");
        assert_eq!(login.stream.account().expect("signed in").as_str(), "ann@meet.example");
        assert!(login.stream.credentials().is_account);
    }
    let mut login = Login::to(SignIn::Accounts, |_| {});
    assert_eq!(login.auth("PLAIN", b"\0ann\0pencil"), SUCCESS);
    assert_eq!(login.stream.account().expect("signed in").as_str(), "ann@meet.example");
}

#[test]
fn wrong_passwords_unknown_names_and_broken_messages_are_refused_alike_and_counted() {
    let mut login = Login::to(SignIn::Accounts, |_| {});
    assert_eq!(scram(&mut login, Hash::Sha1, "ann", "pen"), failure("<not-authorized/>"));
    assert_eq!(scram(&mut login, Hash::Sha1, "bob", "pencil"), failure("<not-authorized/>"));
    let end = login.auth("PLAIN", b"\0ann\0pen");
    assert_eq!(end, crate::websocket::CLOSE_FRAME, "three failures end the stream");
    assert_eq!(login.counts.failed, 3);

    let mut login = Login::to(SignIn::Accounts, |_| {});
    let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>no Base64!</auth>";
    assert_eq!(login.say(auth), failure("<malformed-request/>"));
    assert_eq!(login.respond("c=biws,r=x,p=AAAA"), failure("<malformed-request/>"), "without a challenge");
}

#[test]
fn after_too_many_failures_the_right_password_has_to_wait_too() {
    let mut login = Login::to(SignIn::Accounts, |entrance| entrance.address = "192.0.2.1".parse().ok());
    for _ in 0..10 {
        login.attempts.failed("192.0.2.1".parse().ok(), "bob", Timestamp::ZERO);
    }
    let refused = login.auth("PLAIN", b"\0ann\0pencil");
    assert!(refused.contains("<temporary-auth-failure/><text>"), "{refused}");
    let refused = login.auth("SCRAM-SHA-1", b"n,,n=ann,r=client");
    assert!(refused.contains("<temporary-auth-failure/>"), "{refused}");
    assert_eq!((login.counts.paced, login.counts.failed), (2, 0));
}

#[test]
fn an_exchange_can_be_given_up_and_begun_anew() {
    let mut login = Login::to(SignIn::Accounts, |_| {});
    assert!(login.auth("SCRAM-SHA-1", b"n,,n=ann,r=client").starts_with("<challenge "));
    assert_eq!(login.say("<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"), failure("<aborted/>"));
    assert!(scram(&mut login, Hash::Sha256, "ann", "pencil").starts_with("<success "));
}

#[test]
fn a_token_decides_at_hosts_that_ask_for_one_in_the_words_that_clients_match() {
    let claims = Arc::new(Claims { room: Some("*".to_owned()), ..Claims::default() });
    let required = SignIn::Token { optional: false };
    let optional = SignIn::Token { optional: true };
    let wrong = Token::Invalid("token expired");
    let rows = [
        (required, Token::Absent, Err("token required"), false),
        (required, wrong.clone(), Err("token expired"), false),
        (required, Token::Valid(claims.clone()), Ok(()), true),
        (optional, Token::Absent, Ok(()), false),
        (optional, wrong.clone(), Err("token expired"), false),
        (optional, Token::Valid(claims.clone()), Ok(()), true),
        (SignIn::Anonymous, wrong, Ok(()), false),
        (SignIn::Anonymous, Token::Valid(claims), Ok(()), false),
    ];
    for (sign_in, token, expected, has_claims) in rows {
        let mut login = Login::to(sign_in, |entrance| entrance.token = token.clone());
        let answer = login.auth("ANONYMOUS", b"");
        match expected {
            Ok(()) => assert_eq!(answer, SUCCESS, "{token:?}"),
            Err(text) => {
                assert_eq!(answer, failure(&format!("<not-allowed/><text>{text}</text>")));
                assert_eq!(login.counts.tokens, 1);
            }
        }
        assert_eq!(login.stream.credentials().token.is_some(), has_claims, "{sign_in:?} {token:?}");
    }
}
