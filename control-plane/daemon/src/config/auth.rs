//! The sections on who gets in: `[auth]`, `[jwt]`, `[turn]`.

use std::path::PathBuf;
use std::time::Duration;

use xmpp::credentials::SignIn;

use super::reader::Reader;
use crate::token::claims::Rules;
use crate::token::fetch::is_key_url;
use crate::token::jws::Algorithm;

/// The `[auth]` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Auth {
    /// How one signs in at the main domain.
    pub(crate) sign_in: SignIn,
    /// Whether there is a domain for those who cannot, where they wait for those who can.
    pub(crate) guests: bool,
    pub(crate) users_file: PathBuf,
    /// Only where one signs in by token.
    pub(crate) jwt: Option<Jwt>,
}

/// The `[jwt]` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Jwt {
    pub(crate) rules: Rules,
    pub(crate) keys: KeySource,
    /// Whether the subject must be the tenant, or the domain for those without.
    pub(crate) verify_domain: bool,
    pub(crate) login_url: Option<String>,
}

/// Where the keys of tokens are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// One secret in a file.
    Secret(PathBuf),
    /// Public keys in files, each with the key id that it is for.
    Files(Vec<(Option<String>, PathBuf)>),
    /// A server with one file a key.
    Server(String),
    /// A key set.
    Set(String),
}

/// The `[turn]` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// 0 = no TURN over TLS.
    pub(crate) tls_port: u16,
    pub(crate) secret_file: PathBuf,
    pub(crate) lifetime: Duration,
}

/// How one signs in, by name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Anonymous,
    Accounts,
    Token,
}

pub(super) fn read_auth(reader: &mut Reader<'_>) -> Auth {
    let mode = reader.choice(
        "auth.mode",
        &[("anonymous", Mode::Anonymous), ("accounts", Mode::Accounts), ("token", Mode::Token)],
    );
    let guests = reader.flag("auth.guests");
    if guests && mode == Mode::Anonymous {
        reader.problem("auth.guests", "means nothing while auth.mode is \"anonymous\": everybody is a guest");
    }
    let jwt = read_jwt(reader, mode == Mode::Token);
    let optional = reader.flag("jwt.allow_empty");
    Auth {
        sign_in: match mode {
            Mode::Anonymous => SignIn::Anonymous,
            Mode::Accounts => SignIn::Accounts,
            Mode::Token => SignIn::Token { optional },
        },
        guests,
        users_file: PathBuf::from(reader.text("auth.users_file")),
        jwt,
    }
}

fn read_jwt(reader: &mut Reader<'_>, is_used: bool) -> Option<Jwt> {
    let rules = Rules {
        algorithm: reader.choice("jwt.algorithm", &Algorithm::NAMES),
        issuers: reader.texts("jwt.issuers"),
        audiences: reader.texts("jwt.audiences"),
        require_room: reader.flag("jwt.require_room"),
        require_expiry: reader.flag("jwt.require_expiry"),
        leeway_s: reader.integer("jwt.leeway_s", 0..=60),
    };
    let keys = read_keys(reader, rules.algorithm, is_used);
    let verify_domain = reader.flag("jwt.verify_domain");
    let login_url = reader.url("jwt.login_url", &["https://", "http://"]);
    if is_used && rules.issuers.is_empty() {
        reader.problem(
            "jwt.issuers",
            "is empty: no token would be accepted. Name the issuers, or \"*\" for any",
        );
    }
    keys.map(|keys| Jwt { rules, keys, verify_domain, login_url })
}

fn read_keys(reader: &mut Reader<'_>, algorithm: Algorithm, is_used: bool) -> Option<KeySource> {
    let secret = reader.text("jwt.secret_file");
    let files = reader.texts("jwt.public_keys");
    let urls = ["jwt.key_server", "jwt.jwks_url"].map(|key| {
        let url = reader.text(key);
        if !url.is_empty() && !is_key_url(&url) {
            reader.problem(key, "must be a URL that begins with https:// (http:// on this machine only)");
        }
        url
    });
    if !is_used {
        return None;
    }
    let [server, set] = urls;
    let files = files.iter().map(|text| match text.split_once('=') {
        Some((kid, path)) => (Some(kid.trim().to_owned()), PathBuf::from(path.trim())),
        None => (None, PathBuf::from(text)),
    });
    let files: Vec<(Option<String>, PathBuf)> = files.collect();
    let sources = [
        (!secret.is_empty()).then(|| ("jwt.secret_file", KeySource::Secret(PathBuf::from(&secret)))),
        (!files.is_empty()).then_some(("jwt.public_keys", KeySource::Files(files))),
        (!server.is_empty()).then_some(("jwt.key_server", KeySource::Server(server))),
        (!set.is_empty()).then_some(("jwt.jwks_url", KeySource::Set(set))),
    ];
    let mut sources: Vec<(&str, KeySource)> = sources.into_iter().flatten().collect();
    let Some((key, source)) = sources.pop() else {
        let missing = "is \"token\", but no key is named: set one of jwt.secret_file, jwt.public_keys, jwt.key_server, \
                       jwt.jwks_url";
        reader.problem("auth.mode", missing);
        return None;
    };
    if let Some((other, _)) = sources.pop() {
        reader.problem(key, &format!("and {other} are both set: tokens have one source of keys"));
    }
    if algorithm.is_symmetric() != matches!(source, KeySource::Secret(_)) {
        let fitting = if algorithm.is_symmetric() { "has a shared secret" } else { "has public keys" };
        reader.problem(
            key,
            &format!("does not go with jwt.algorithm = \"{}\", which {fitting}", algorithm.name()),
        );
    }
    Some(source)
}

pub(super) fn read_turn(reader: &mut Reader<'_>) -> Option<Turn> {
    let host = reader.text("turn.host");
    let turn = Turn {
        port: reader.integer("turn.port", 1..=65_535) as u16,
        tls_port: reader.integer("turn.tls_port", 0..=65_535) as u16,
        secret_file: PathBuf::from(reader.text("turn.secret_file")),
        lifetime: Duration::from_secs(reader.integer("turn.lifetime_s", 60..=604_800)),
        host,
    };
    if turn.host.is_empty() {
        return None;
    }
    if turn.secret_file.as_os_str().is_empty() {
        reader.problem("turn.secret_file", "is empty, but turn.host needs the secret of the TURN server");
    }
    Some(turn)
}
