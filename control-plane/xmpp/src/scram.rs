//! The server side of SCRAM (RFC 5802, RFC 7677) and the message of PLAIN (RFC 4616), without channel binding.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::accounts::{Accounts, Hash, Keys, prepare_name};

/// Why an exchange ends without success: the SASL condition (RFC 6120 §6.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The message breaks the rules of the mechanism.
    Malformed,
    /// It would act as somebody else.
    OtherIdentity,
    /// Name or password is wrong.
    NotAuthorized,
}

impl Failure {
    /// The element name of the condition.
    pub fn condition(self) -> &'static str {
        match self {
            Failure::Malformed => "malformed-request",
            Failure::OtherIdentity => "invalid-authzid",
            Failure::NotAuthorized => "not-authorized",
        }
    }
}

/// An exchange whose challenge was sent.
#[derive(Debug)]
pub struct Scram {
    hash: Hash,
    name: String,
    exists: bool,
    keys: Keys,
    channel_binding: String,
    nonce: String,
    transcript: String,
}

impl Scram {
    /// Reads the client's first message; `nonce` is random and printable, without commas. The exchange and the
    /// server's challenge.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn begin(
        accounts: &Accounts,
        hash: Hash,
        message: &[u8],
        nonce: &str,
    ) -> Result<(Scram, String), Failure> {
        let message = text(message)?;
        let (header, bare) = split_header(message)?;
        let authzid = header.1;
        let mut fields = bare.split(',');
        let name = fields.next().and_then(|field| field.strip_prefix("n=")).ok_or(Failure::Malformed)?;
        let theirs = fields.next().and_then(|field| field.strip_prefix("r=")).ok_or(Failure::Malformed)?;
        if theirs.is_empty()
            || theirs.len() > NONCE_BYTES_MAX
            || !theirs.bytes().all(|b| b.is_ascii_graphic())
        {
            return Err(Failure::Malformed);
        }
        let name = prepare_name(&unescaped(name)?).map_err(|_| Failure::NotAuthorized)?;
        if !authzid.is_empty() && prepare_name(&unescaped(authzid)?).as_ref() != Ok(&name) {
            return Err(Failure::OtherIdentity);
        }
        let (secrets, exists) = accounts.secrets(&name);
        let keys = secrets.keys(hash).clone();
        let nonce = format!("{theirs}{nonce}");
        let challenge = format!("r={nonce},s={},i={}", STANDARD.encode(&keys.salt), keys.iterations);
        let transcript = format!("{bare},{challenge}");
        let channel_binding = STANDARD.encode(header.0);
        Ok((Scram { hash, name, exists, keys, channel_binding, nonce, transcript }, challenge))
    }

    /// The account that the exchange is about.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the client's last message. What the server says with its success.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn finish(self, message: &[u8]) -> Result<String, Failure> {
        let message = text(message)?;
        let (unproven, proof) = message.rsplit_once(",p=").ok_or(Failure::Malformed)?;
        let mut fields = unproven.split(',');
        let binding = fields.next().and_then(|field| field.strip_prefix("c=")).ok_or(Failure::Malformed)?;
        let nonce = fields.next().and_then(|field| field.strip_prefix("r=")).ok_or(Failure::Malformed)?;
        let proof = STANDARD.decode(proof).map_err(|_| Failure::Malformed)?;
        if binding != self.channel_binding || nonce != self.nonce {
            return Err(Failure::Malformed);
        }
        let transcript = format!("{},{unproven}", self.transcript);
        let signature = self.hash.hmac(&self.keys.stored_key, transcript.as_bytes());
        if proof.len() != signature.len() {
            return Err(Failure::Malformed);
        }
        let client_key: Vec<u8> = proof.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        let stored_key = self.hash.digest(&client_key);
        let fits = verify_slices_are_equal(&stored_key, &self.keys.stored_key).is_ok();
        if !fits || !self.exists {
            return Err(Failure::NotAuthorized);
        }
        let verifier = self.hash.hmac(&self.keys.server_key, transcript.as_bytes());
        Ok(format!("v={}", STANDARD.encode(verifier)))
    }
}

/// Name and password of a PLAIN message: exactly two NULs, and an identity to act as that is empty or the same.
///
/// # Errors
/// [`Failure`].
pub fn read_plain(message: &[u8]) -> Result<(String, String), Failure> {
    let message = text(message)?;
    let mut parts = message.split('\0');
    let parts = [parts.next(), parts.next(), parts.next(), parts.next()];
    let [Some(authzid), Some(name), Some(password), None] = parts else { return Err(Failure::Malformed) };
    let name = prepare_name(name).map_err(|_| Failure::NotAuthorized)?;
    // Clients write the identity as a bare address or as a name.
    let other = authzid.split('@').next().unwrap_or_default();
    if !other.is_empty() && prepare_name(other).as_ref() != Ok(&name) {
        return Err(Failure::OtherIdentity);
    }
    Ok((name, password.to_owned()))
}

fn text(message: &[u8]) -> Result<&str, Failure> {
    let text = std::str::from_utf8(message).map_err(|_| Failure::Malformed)?;
    if text.len() > MESSAGE_BYTES_MAX { Err(Failure::Malformed) } else { Ok(text) }
}

/// The GS2 header and the identity in it, and what follows (RFC 5802 §7).
fn split_header(message: &str) -> Result<((&str, &str), &str), Failure> {
    let mut fields = message.splitn(3, ',');
    let (flag, authzid) = (fields.next(), fields.next());
    let bare = fields.next().ok_or(Failure::Malformed)?;
    // `y`: the client could bind to the channel and believes that we cannot, which is right.
    if !matches!(flag, Some("n" | "y")) {
        return Err(Failure::Malformed);
    }
    let authzid = match authzid {
        Some("") => "",
        Some(field) => field.strip_prefix("a=").ok_or(Failure::Malformed)?,
        None => return Err(Failure::Malformed),
    };
    let header = message.get(..message.len() - bare.len()).ok_or(Failure::Malformed)?;
    Ok(((header, authzid), bare))
}

/// A name without the escapes of commas and equals signs.
fn unescaped(name: &str) -> Result<String, Failure> {
    let mut rest = name.split('=');
    let mut plain = rest.next().unwrap_or_default().to_owned();
    for part in rest {
        let (c, tail) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(tail), _) => (',', tail),
            (_, Some(tail)) => ('=', tail),
            _ => return Err(Failure::Malformed),
        };
        plain.push(c);
        plain.push_str(tail);
    }
    Ok(plain)
}

/// Longest message of an exchange: two names and a password of the largest size.
const MESSAGE_BYTES_MAX: usize = 4 * 1_024;
/// Longest nonce of a client; theirs have some thirty bytes.
const NONCE_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::Secrets;

    /// The account `user` with the password `pencil` and the salts of the examples in RFC 5802 §5 and RFC 7677 §3.
    fn accounts() -> Accounts {
        let text = "user SCRAM-SHA-1$4096:QSXCR+Q6sek8bf92$6dlGYMOdZcOPutkcNY8U2g7vK9Y=:D+CSWLOshSulAsxiupA+qs2/fTE= \
             SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
             wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
        Accounts::parse(text, [0; 32]).expect("well-formed")
    }

    #[test]
    fn the_examples_of_the_standards_come_out() {
        let rows = [
            (
                Hash::Sha1,
                "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
                "3rfcNHYJY1ZVvWVs7j",
                "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
                "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
                "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
            ),
            (
                Hash::Sha256,
                "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
                "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
                "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
                "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                 p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
                "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
            ),
        ];
        for (hash, first, nonce, challenge, last, success) in rows {
            let (scram, sent) = Scram::begin(&accounts(), hash, first.as_bytes(), nonce).expect("begun");
            assert_eq!(sent, challenge);
            assert_eq!(scram.name(), "user");
            assert_eq!(scram.finish(last.as_bytes()).as_deref(), Ok(success));
        }
    }

    #[test]
    fn first_messages_that_break_the_rules_are_refused() {
        let long = format!("n,,n=user,r={}", "x".repeat(300));
        let rows: [(&[u8], Failure); 12] = [
            (b"", Failure::Malformed),
            (b"n,,", Failure::Malformed),
            (b"p=tls-unique,,n=user,r=x", Failure::Malformed),
            (b"n,,m=ext,n=user,r=x", Failure::Malformed),
            (b"n,,n=user", Failure::Malformed),
            (b"n,,n=user,r=", Failure::Malformed),
            (b"n,,n=us=er,r=x", Failure::Malformed),
            (b"n,b=user,n=user,r=x", Failure::Malformed),
            (b"n,,n=\xff,r=x", Failure::Malformed),
            (long.as_bytes(), Failure::Malformed),
            (b"n,a=admin,n=user,r=x", Failure::OtherIdentity),
            (b"n,,n=,r=x", Failure::NotAuthorized),
        ];
        for (message, expected) in rows {
            let result = Scram::begin(&accounts(), Hash::Sha1, message, "n").map(|_| ());
            assert_eq!(result, Err(expected), "{}", String::from_utf8_lossy(message));
        }
        assert!(Scram::begin(&accounts(), Hash::Sha1, b"y,a=user,n=user,r=x", "n").is_ok());
    }

    #[test]
    fn last_messages_with_another_nonce_binding_or_proof_are_refused() {
        let rows = [
            ("", Failure::Malformed),
            ("c=biws,r=xn", Failure::Malformed),
            ("c=eSws,r=xn,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", Failure::Malformed),
            ("c=biws,r=x,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", Failure::Malformed),
            ("c=biws,r=xn,p=", Failure::Malformed),
            ("c=biws,r=xn,p=AAAA", Failure::Malformed),
            ("c=biws,r=xn,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", Failure::NotAuthorized),
        ];
        for (message, expected) in rows {
            let (scram, _) = Scram::begin(&accounts(), Hash::Sha1, b"n,,n=user,r=x", "n").expect("begun");
            assert_eq!(scram.finish(message.as_bytes()), Err(expected), "{message}");
        }
    }

    #[test]
    fn a_name_that_nobody_has_is_challenged_like_any_other_and_never_let_in() {
        let (scram, challenge) = Scram::begin(&accounts(), Hash::Sha1, b"n,,n=bob,r=x", "n").expect("begun");
        assert!(challenge.starts_with("r=xn,s=") && challenge.ends_with(",i=4096"), "{challenge}");
        // Even a proof that fits the keys made up for it.
        let unproven = "c=biws,r=xn";
        let transcript = format!("n=bob,r=x,{challenge},{unproven}");
        let signature = Hash::Sha1.hmac(&scram.keys.stored_key, transcript.as_bytes());
        let last = format!("{unproven},p={}", STANDARD.encode(signature));
        assert_eq!(scram.finish(last.as_bytes()), Err(Failure::NotAuthorized));
    }

    #[test]
    fn plain_has_two_separators_and_one_identity() {
        let name_and_password = |message: &[u8]| read_plain(message);
        let ok = |name: &str, password: &str| Ok((name.to_owned(), password.to_owned()));
        type Row<'a> = (&'a [u8], Result<(String, String), Failure>);
        let rows: [Row<'_>; 9] = [
            (b"\0ann\0pencil", ok("ann", "pencil")),
            (b"ann\0ann\0pencil", ok("ann", "pencil")),
            (b"ann@meet.example\0Ann\0pencil", ok("ann", "pencil")),
            (b"bob\0ann\0pencil", Err(Failure::OtherIdentity)),
            (b"ann\0pencil", Err(Failure::Malformed)),
            (b"\0ann\0pencil\0", Err(Failure::Malformed)),
            (b"\0\0pencil", Err(Failure::NotAuthorized)),
            (b"\0ann\0\xff", Err(Failure::Malformed)),
            (b"", Err(Failure::Malformed)),
        ];
        for (message, expected) in rows {
            assert_eq!(name_and_password(message), expected, "{}", String::from_utf8_lossy(message));
        }
    }

    #[test]
    fn keys_made_of_a_password_fit_the_examples() {
        let mut salt = [0; 16];
        salt.copy_from_slice(&STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("Base64"));
        let made = Secrets::of("pencil", [[0; 16], salt]).expect("usable");
        assert_eq!(made.keys(Hash::Sha256), accounts().secrets("user").0.keys(Hash::Sha256));
    }
}
