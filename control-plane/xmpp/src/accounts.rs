//! Local accounts: names and the salted keys by which SCRAM and PLAIN check a password (RFC 5802 §3, RFC 5803).
//!
//! Passwords themselves are nowhere. The text form is one line an account: the name, then the keys for each hash as
//! `SCRAM-SHA-1$4096:SALT$STOREDKEY:SERVERKEY` in Base64, all parted by blanks.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::num::NonZeroU32;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jid::BareJid;

/// The hash of a SCRAM mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// `SCRAM-SHA-1` (RFC 5802); the only one that browsers' clients speak.
    Sha1,
    /// `SCRAM-SHA-256` (RFC 7677).
    Sha256,
}

/// What the server keeps of a password for one hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    pub(crate) salt: Vec<u8>,
    pub(crate) iterations: NonZeroU32,
    pub(crate) stored_key: Vec<u8>,
    pub(crate) server_key: Vec<u8>,
}

/// What the server keeps of a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secrets {
    sha1: Keys,
    sha256: Keys,
}

/// All accounts.
#[derive(Clone, Debug)]
pub struct Accounts {
    by_name: BTreeMap<String, Secrets>,
    decoy: hmac::Key,
}

/// Why a line of the text form is not an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: not an account")]
pub struct MalformedLine {
    /// From 1.
    pub line: usize,
}

/// Why a name or password cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The name.
    #[error("a name has 1 to 128 letters, digits or other characters, but no blanks and none of \"&'/:<>@")]
    Name,
    /// The password.
    #[error("a password has 1 to 1,024 bytes and no control characters")]
    Password,
}

/// Iterations of a new password: the least that RFC 5802 §5.1 allows, since PLAIN makes the server compute them too.
pub const ITERATIONS: NonZeroU32 = NonZeroU32::new(4_096).expect("not zero");
/// Iterations that a line may have: fewer protect nobody, more keep the server busy at each PLAIN login.
const ITERATIONS_RANGE: std::ops::RangeInclusive<u32> = 1_000..=1_000_000;
/// Bytes of a new salt.
pub const SALT_BYTES: usize = 16;
/// Longest name.
const NAME_BYTES_MAX: usize = 128;
/// Longest password.
const PASSWORD_BYTES_MAX: usize = 1_024;

impl Hash {
    /// All, strongest first.
    pub const ALL: [Hash; 2] = [Hash::Sha256, Hash::Sha1];

    /// The name of the SASL mechanism.
    pub fn mechanism(self) -> &'static str {
        match self {
            Hash::Sha1 => "SCRAM-SHA-1",
            Hash::Sha256 => "SCRAM-SHA-256",
        }
    }

    /// The keyed hash of `text` (RFC 2104).
    pub fn hmac(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Hash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => hmac::HMAC_SHA256,
        };
        hmac::sign(&hmac::Key::new(algorithm, key), text).as_ref().to_vec()
    }

    pub(crate) fn digest(self, text: &[u8]) -> Vec<u8> {
        digest::digest(self.algorithm(), text).as_ref().to_vec()
    }

    fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Hash::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => &digest::SHA256,
        }
    }

    fn salted(self, password: &str, salt: &[u8], iterations: NonZeroU32) -> Vec<u8> {
        let algorithm = match self {
            Hash::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Hash::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
        };
        let mut salted = vec![0; self.algorithm().output_len()];
        pbkdf2::derive(algorithm, iterations, salt, password.as_bytes(), &mut salted);
        salted
    }
}

impl Keys {
    fn of(hash: Hash, password: &str, salt: &[u8], iterations: NonZeroU32) -> Keys {
        let salted = hash.salted(password, salt, iterations);
        Keys {
            salt: salt.to_vec(),
            iterations,
            stored_key: hash.digest(&hash.hmac(&salted, b"Client Key")),
            server_key: hash.hmac(&salted, b"Server Key"),
        }
    }

    fn matches(&self, hash: Hash, password: &str) -> bool {
        let tried = Keys::of(hash, password, &self.salt, self.iterations);
        verify_slices_are_equal(&tried.stored_key, &self.stored_key).is_ok()
    }

    fn parse(hash: Hash, text: &str) -> Option<Keys> {
        let (parameters, keys) = text.strip_prefix(hash.mechanism())?.strip_prefix('$')?.split_once('$')?;
        let (iterations, salt) = parameters.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        let decode = |text: &str| STANDARD.decode(text).ok();
        let right = |key: &Vec<u8>| key.len() == hash.algorithm().output_len();
        Some(Keys {
            salt: decode(salt).filter(|salt| !salt.is_empty())?,
            iterations: iterations
                .parse()
                .ok()
                .filter(|n: &NonZeroU32| ITERATIONS_RANGE.contains(&n.get()))?,
            stored_key: decode(stored_key).filter(right)?,
            server_key: decode(server_key).filter(right)?,
        })
    }

    fn write(&self, hash: Hash, out: &mut String) {
        let [salt, stored, server] =
            [&self.salt, &self.stored_key, &self.server_key].map(|bytes| STANDARD.encode(bytes));
        // Writing to a text cannot fail.
        let _ = write!(out, " {}${}:{salt}${stored}:{server}", hash.mechanism(), self.iterations);
    }
}

impl Secrets {
    /// What to keep of `password`; the salts are random.
    ///
    /// # Errors
    /// [`Unusable::Password`].
    pub fn of(password: &str, salts: [[u8; SALT_BYTES]; 2]) -> Result<Secrets, Unusable> {
        let password = prepared(password).ok_or(Unusable::Password)?;
        let [sha1, sha256] = salts;
        Ok(Secrets {
            sha1: Keys::of(Hash::Sha1, &password, &sha1, ITERATIONS),
            sha256: Keys::of(Hash::Sha256, &password, &sha256, ITERATIONS),
        })
    }

    pub(crate) fn keys(&self, hash: Hash) -> &Keys {
        match hash {
            Hash::Sha1 => &self.sha1,
            Hash::Sha256 => &self.sha256,
        }
    }
}

impl Accounts {
    /// No accounts. From `secret`, which is random, salts are made up for names that nobody has, so that nobody learns
    /// which names there are.
    pub fn new(secret: [u8; 32]) -> Accounts {
        Accounts { by_name: BTreeMap::new(), decoy: hmac::Key::new(hmac::HMAC_SHA256, &secret) }
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// [`MalformedLine`] with the first line that is neither an account nor a comment.
    pub fn parse(text: &str, secret: [u8; 32]) -> Result<Accounts, MalformedLine> {
        let mut accounts = Accounts::new(secret);
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, secrets) = parse_line(line).ok_or(MalformedLine { line: number + 1 })?;
            accounts.by_name.insert(name, secrets);
        }
        Ok(accounts)
    }

    /// The text form, in the order of names.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (name, secrets) in &self.by_name {
            text.push_str(name);
            secrets.sha1.write(Hash::Sha1, &mut text);
            secrets.sha256.write(Hash::Sha256, &mut text);
            text.push('\n');
        }
        text
    }

    /// The names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Whether there is an account of this name, in its prepared form.
    pub fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Adds an account or gives it another password.
    pub fn put(&mut self, name: String, secrets: Secrets) {
        self.by_name.insert(name, secrets);
    }

    /// Removes an account; false if there was none.
    pub fn remove(&mut self, name: &str) -> bool {
        self.by_name.remove(name).is_some()
    }

    /// Whether `password` is that of the account `name`. Takes as long for a name that nobody has.
    pub fn verify(&self, name: &str, password: &str) -> bool {
        let (secrets, exists) = self.secrets(name);
        let prepared = prepared(password);
        let matches = secrets.sha256.matches(Hash::Sha256, prepared.as_deref().unwrap_or_default());
        matches && exists && prepared.is_some()
    }

    /// The keys of `name`, or keys that no password fits, and whether the account exists.
    pub(crate) fn secrets(&self, name: &str) -> (Secrets, bool) {
        if let Some(secrets) = self.by_name.get(name) {
            return (secrets.clone(), true);
        }
        let seed = hmac::sign(&self.decoy, name.as_bytes());
        let keys = |hash: Hash, salt: &[u8]| {
            let length = hash.algorithm().output_len();
            // All zero: nobody finds a password whose hash it is, and the outcome does not hang on it either.
            Keys {
                salt: salt.to_vec(),
                iterations: ITERATIONS,
                stored_key: vec![0; length],
                server_key: vec![0; length],
            }
        };
        let (one, two) = seed.as_ref().split_at(SALT_BYTES);
        (Secrets { sha1: keys(Hash::Sha1, one), sha256: keys(Hash::Sha256, two) }, false)
    }
}

/// The name as addresses hold it (RFC 7622 §3.3).
///
/// # Errors
/// [`Unusable::Name`].
pub fn prepare_name(name: &str) -> Result<String, Unusable> {
    let blank = |c: char| c.is_whitespace() || c.is_control();
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(blank) || name.starts_with('#') {
        return Err(Unusable::Name);
    }
    let address = BareJid::new(&format!("{name}@localhost")).map_err(|_| Unusable::Name)?;
    let name = address.node().map(|node| node.to_string()).ok_or(Unusable::Name)?;
    if name.is_empty() || name.contains('@') { Err(Unusable::Name) } else { Ok(name) }
}

fn parse_line(line: &str) -> Option<(String, Secrets)> {
    let mut fields = line.split_ascii_whitespace();
    let name = prepare_name(fields.next()?).ok()?;
    let sha1 = Keys::parse(Hash::Sha1, fields.next()?)?;
    let sha256 = Keys::parse(Hash::Sha256, fields.next()?)?;
    fields.next().is_none().then_some((name, Secrets { sha1, sha256 }))
}

/// The password in the form that all ways of typing it lead to (RFC 4013).
fn prepared(password: &str) -> Option<String> {
    let prepared = stringprep::saslprep(password).ok()?;
    (1..=PASSWORD_BYTES_MAX).contains(&prepared.len()).then(|| prepared.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        let mut accounts = Accounts::new([7; 32]);
        let secrets = Secrets::of("pencil", [*b"salt of sixteen.", [2; 16]]).expect("usable");
        accounts.put("ann".to_owned(), secrets);
        accounts
    }

    #[test]
    fn the_text_form_is_read_back_as_it_was_written() {
        let written = accounts().to_text();
        assert!(written.starts_with("ann SCRAM-SHA-1$4096:"), "{written}");
        assert!(!written.contains("pencil"));
        let read = Accounts::parse(&format!("# people\n\n{written}"), [7; 32]).expect("well-formed");
        assert_eq!(read.to_text(), written);
        assert!(read.verify("ann", "pencil"));
    }

    #[test]
    fn only_the_right_password_of_the_right_account_fits() {
        let accounts = accounts();
        let rows = [
            ("ann", "pencil", true),
            ("ann", "Pencil", false),
            ("ann", "", false),
            ("ann", "pencil\0", false),
            ("bob", "pencil", false),
            ("", "", false),
        ];
        for (name, password, fits) in rows {
            assert_eq!(accounts.verify(name, password), fits, "{name} {password:?}");
        }
        assert!(accounts.verify("ann", "pen\u{AD}cil"), "a soft hyphen is nothing (RFC 4013 §2.1)");
    }

    #[test]
    fn lines_that_are_no_accounts_are_named() {
        let good = accounts().to_text();
        let rows = [
            "ann".to_owned(),
            good.replace("$4096:", "$0:"),
            good.replace("$4096:", "$99999999:"),
            good.replace("SCRAM-SHA-1$", "SCRAM-SHA-2$"),
            format!("{} more", good.trim()),
            good.replacen("ann ", "a@b ", 1),
        ];
        for text in rows {
            let result = Accounts::parse(&format!("{good}{text}"), [7; 32]).map(|_| ());
            assert_eq!(result, Err(MalformedLine { line: 2 }), "{text}");
        }
    }

    #[test]
    fn names_are_prepared_as_addresses_are() {
        let rows = [("Ann", Some("ann")), ("ann", Some("ann")), ("Ä", Some("ä"))];
        for (name, expected) in rows {
            assert_eq!(prepare_name(name).ok().as_deref(), expected);
        }
        for name in ["", "a b", "a@b", "a/b", "#a", "a\n", "<a>", &"x".repeat(129)] {
            assert_eq!(prepare_name(name), Err(Unusable::Name), "{name}");
        }
    }

    #[test]
    fn a_name_that_nobody_has_always_has_the_same_salt() {
        let (accounts, others) = (accounts(), Accounts::new([8; 32]));
        let salt = |accounts: &Accounts, name: &str| accounts.secrets(name).0.keys(Hash::Sha1).salt.clone();
        assert_eq!(salt(&accounts, "bob"), salt(&accounts, "bob"));
        assert_ne!(salt(&accounts, "bob"), salt(&accounts, "cid"));
        assert_ne!(salt(&accounts, "bob"), salt(&others, "bob"));
    }
}
