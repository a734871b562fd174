//! Settings: the embedded reference, then the user's file, then the environment; every value checked before anything starts.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use contract::limits::{LOCAL_ADDRESSES_MAX, WORKERS_MAX};
use worker::CipherProvider;

use self::document::Document;
use self::reader::Reader;
use crate::web_root::PAGE;

mod auth;
mod document;
mod reader;

pub(crate) use self::auth::{Auth, Jwt, KeySource, Turn};
pub(crate) use self::document::{Problem, Values};

/// The annotated reference: documentation and defaults at once.
pub(crate) const REFERENCE: &str = include_str!("reference.toml");

/// All settings, valid in themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) http: Http,
    pub(crate) media: Media,
    pub(crate) xmpp: Xmpp,
    pub(crate) auth: Auth,
    /// An external TURN server, if there is one.
    pub(crate) turn: Option<Turn>,
    pub(crate) conference: Conference,
    pub(crate) client: Client,
    pub(crate) web: Web,
    pub(crate) log: Log,
    pub(crate) doctor: Doctor,
    /// Where what must survive a restart is kept; `None` = nowhere.
    pub(crate) state_directory: Option<PathBuf>,
}

/// The `[http]` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Http {
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) listen_tls: Option<SocketAddr>,
    /// Certificate and key; both or neither.
    pub(crate) certificate: Option<(PathBuf, PathBuf)>,
    /// Web root of the client that gets certificates.
    pub(crate) challenge_folder: Option<PathBuf>,
    pub(crate) tls_min_version: TlsVersion,
    /// Seconds that browsers are to insist on HTTPS; 0 = not told.
    pub(crate) hsts_s: u64,
    pub(crate) private: SocketAddr,
    /// Whether rooms are shown at the private address.
    pub(crate) room_services: bool,
    /// Where the token is whose bearers may end meetings there.
    pub(crate) room_services_token_file: Option<PathBuf>,
    /// Without a slash at the end.
    pub(crate) public_url: Option<String>,
    pub(crate) allowed_origins: Vec<String>,
    pub(crate) connections_max: usize,
    pub(crate) connections_per_address: usize,
}

/// The least version of TLS that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsVersion {
    V1_2,
    V1_3,
}

/// The `[media]` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Media {
    pub(crate) port: u16,
    /// ICE-TCP; `None` = off.
    pub(crate) tcp_port: Option<u16>,
    pub(crate) tcp_connections_max: usize,
    pub(crate) tcp_connections_per_address: usize,
    /// Empty = discover.
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) public_addresses: Vec<PublicAddress>,
    pub(crate) loopback: bool,
    /// `None` = one per core.
    pub(crate) workers: Option<usize>,
    pub(crate) pin: bool,
    pub(crate) io: DatagramIo,
    /// `None` = try both at start.
    pub(crate) cipher_provider: Option<CipherProvider>,
    pub(crate) padding_permille: u16,
    pub(crate) hold_us: u64,
    pub(crate) hold_above_percent: u8,
    pub(crate) slots: u32,
    pub(crate) spin_us: u64,
    pub(crate) receiver_budget_bps: u64,
    pub(crate) initial_bandwidth_bps: u64,
    /// `None` = everybody is heard.
    pub(crate) loudest_audio: Option<usize>,
    pub(crate) spread_after: usize,
    pub(crate) handshake_threads: usize,
}

/// A public address in front of a local one, or of all local ones of its family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PublicAddress {
    pub(crate) local: Option<IpAddr>,
    pub(crate) public: IpAddr,
}

/// How packets move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DatagramIo {
    Auto,
    Uring,
    Plain,
}

/// The `[xmpp]` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Xmpp {
    pub(crate) domain: String,
    pub(crate) resumption: Duration,
    pub(crate) sessions_max: usize,
    pub(crate) logins_per_address: u64,
}

/// The `[conference]` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conference {
    pub(crate) rooms_max: usize,
    pub(crate) occupants_max: usize,
    pub(crate) websocket_url: Option<String>,
}

/// The `[client]` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) app_name: String,
    pub(crate) tagline: Option<String>,
    pub(crate) logo: Option<PathBuf>,
    /// As in CSS: `#rrggbb`.
    pub(crate) accent: Option<String>,
    pub(crate) links: Vec<Link>,
    pub(crate) options: serde_json::Map<String, serde_json::Value>,
}

/// A link on the pages of the built-in client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) text: String,
    /// `https://`, `http://` or `mailto:`.
    pub(crate) url: String,
}

/// The `[web]` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Web {
    /// `None` = the built-in client.
    pub(crate) root: Option<PathBuf>,
    pub(crate) config_overrides: Option<PathBuf>,
    pub(crate) interface_config_overrides: Option<PathBuf>,
    /// Source expressions of Content Security Policy.
    pub(crate) frame_ancestors: Vec<String>,
}

/// The `[log]` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) json: bool,
    pub(crate) level: String,
}

/// The `[doctor]` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Doctor {
    pub(crate) stun_servers: Vec<String>,
    /// Empty = not asked.
    pub(crate) ntp_server: String,
}

impl Config {
    /// Reads `file`, if one is given, and `environment` (name and value) over the reference.
    ///
    /// # Errors
    /// All problems found, not just the first.
    pub(crate) fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Config, Vec<Problem>> {
        Config::parse(&file_text(file)?, environment)
    }

    /// As [`Config::load`], with the values by key.
    pub(crate) fn load_values(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(Config, Values), Vec<Problem>> {
        let environment: Vec<_> = environment.into_iter().collect();
        let text = file_text(file)?;
        let config = Config::parse(&text, environment.iter().cloned())?;
        let mut document = Document::reference();
        document.merge_text(&text);
        document.merge_environment(environment);
        Ok((config, document.into_values()))
    }

    /// As [`Config::load`], from text.
    pub(crate) fn parse(
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Config, Vec<Problem>> {
        let mut document = Document::reference();
        let mut problems = document.merge_text(text);
        problems.extend(document.merge_environment(environment));
        if !problems.is_empty() {
            return Err(problems);
        }

        let mut reader = Reader::new(&document);
        let config = Config::read(&mut reader);
        let problems = reader.into_problems();
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    fn read(reader: &mut Reader<'_>) -> Config {
        Config {
            http: read_http(reader),
            media: read_media(reader),
            xmpp: Xmpp {
                domain: reader.domain("xmpp.domain"),
                resumption: Duration::from_secs(reader.integer("xmpp.resumption_s", 0..=3_600)),
                sessions_max: reader.integer("xmpp.sessions_max", 1..=1_000_000) as usize,
                logins_per_address: reader.integer("xmpp.logins_per_address", 1..=100_000),
            },
            auth: auth::read_auth(reader),
            turn: auth::read_turn(reader),
            conference: Conference {
                rooms_max: reader.integer("conference.rooms_max", 1..=1_000_000) as usize,
                occupants_max: reader.integer("conference.occupants_max", 2..=100_000) as usize,
                websocket_url: reader.url("conference.websocket_url", &["ws://", "wss://"]),
            },
            client: read_client(reader),
            web: read_web(reader),
            log: Log {
                json: reader.choice("log.format", &[("text", false), ("json", true)]),
                level: reader.log_level("log.level"),
            },
            doctor: Doctor {
                stun_servers: reader.texts("doctor.stun_servers"),
                ntp_server: reader.text("doctor.ntp_server"),
            },
            state_directory: state_directory(&reader.text("state.directory")),
        }
    }
}

fn file_text(file: Option<&Path>) -> Result<String, Vec<Problem>> {
    let Some(path) = file else { return Ok(String::new()) };
    std::fs::read_to_string(path).map_err(|error| {
        let message = format!("cannot read {}: {error}", path.display());
        vec![Problem { key: None, line: None, message }]
    })
}

fn read_http(reader: &mut Reader<'_>) -> Http {
    let certificate = match (reader.text("http.certificate"), reader.text("http.key")) {
        (certificate, key) if certificate.is_empty() && key.is_empty() => None,
        (certificate, key) if !certificate.is_empty() && !key.is_empty() => {
            Some((PathBuf::from(certificate), PathBuf::from(key)))
        }
        (certificate, _) => {
            let missing = if certificate.is_empty() { "http.certificate" } else { "http.key" };
            reader.problem(missing, "is empty, but certificate and key go together");
            None
        }
    };
    let private = reader.address("http.private").unwrap_or_else(|| {
        reader.problem("http.private", "must be an address and port, such as \"127.0.0.1:8888\"");
        SocketAddr::from(([127, 0, 0, 1], 0))
    });
    let insecure = reader.flag("http.insecure_private");
    if !private.ip().is_loopback() && !insecure {
        reader.problem(
            "http.private",
            "is not a loopback address; these pages have no authentication. Set http.insecure_private = true if a \
             firewall protects them",
        );
    }
    let listen = reader.address("http.listen");
    let listen_tls = reader.address("http.listen_tls");
    if listen.is_none() && listen_tls.is_none() {
        reader.problem("http.listen", "and http.listen_tls are both \"\": nobody could connect");
    }
    if listen_tls.is_none() && certificate.is_some() {
        reader.problem("http.certificate", "is given, but http.listen_tls is \"\": nobody would see it");
    }

    let room_services = reader.flag("http.room_services");
    let room_services_token_file = Some(PathBuf::from(reader.text("http.room_services_token_file")))
        .filter(|path| !path.as_os_str().is_empty());
    if room_services_token_file.is_some() && !room_services {
        reader.problem("http.room_services_token_file", "is given, but http.room_services is false");
    }

    Http {
        listen,
        listen_tls,
        certificate,
        challenge_folder: Some(PathBuf::from(reader.text("http.challenge_folder")))
            .filter(|path| !path.as_os_str().is_empty()),
        tls_min_version: reader
            .choice("http.tls_min_version", &[("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3)]),
        hsts_s: reader.integer("http.hsts_s", 0..=63_072_000),
        private,
        room_services,
        room_services_token_file,
        public_url: reader.url("http.public_url", &["http://", "https://"]),
        allowed_origins: reader.texts("http.allowed_origins"),
        connections_max: reader.integer("http.connections_max", 1..=1_000_000) as usize,
        connections_per_address: reader.integer("http.connections_per_address", 1..=1_000_000) as usize,
    }
}

fn read_client(reader: &mut Reader<'_>) -> Client {
    let accent = Some(reader.text("client.accent")).filter(|text| !text.is_empty());
    let is_colour = |text: &String| {
        text.len() == 7 && text.starts_with('#') && text[1..].bytes().all(|digit| digit.is_ascii_hexdigit())
    };
    if accent.as_ref().is_some_and(|text| !is_colour(text)) {
        reader.problem("client.accent", "must be a colour such as \"#2dd4bf\"");
    }
    let mut links = Vec::new();
    for text in reader.texts("client.links") {
        match text.split_once('=') {
            Some((text, url))
                if ["https://", "http://", "mailto:"].iter().any(|kind| url.starts_with(kind)) =>
            {
                links.push(Link { text: text.to_owned(), url: url.to_owned() });
            }
            _ => reader
                .problem("client.links", "must hold texts such as \"Imprint=https://example.org/imprint\""),
        }
    }
    Client {
        app_name: reader.text("client.app_name"),
        tagline: Some(reader.text("client.tagline")).filter(|text| !text.is_empty()),
        logo: Some(PathBuf::from(reader.text("client.logo"))).filter(|path| !path.as_os_str().is_empty()),
        accent,
        links,
        options: reader.free_table("client.options"),
    }
}

fn read_media(reader: &mut Reader<'_>) -> Media {
    let addresses = reader.ip_addresses("media.addresses");
    if addresses.len() > LOCAL_ADDRESSES_MAX {
        reader.problem("media.addresses", &format!("has more than {LOCAL_ADDRESSES_MAX} addresses"));
    }
    Media {
        port: reader.integer("media.port", 1..=65_535) as u16,
        tcp_port: Some(reader.integer("media.tcp_port", 0..=65_535) as u16).filter(|port| *port > 0),
        tcp_connections_max: reader.integer("media.tcp_connections_max", 1..=100_000) as usize,
        tcp_connections_per_address: reader.integer("media.tcp_connections_per_address", 1..=100_000)
            as usize,
        addresses,
        public_addresses: reader.public_addresses("media.public_addresses"),
        loopback: reader.flag("media.loopback"),
        workers: Some(reader.integer("media.workers", 0..=WORKERS_MAX as u64) as usize)
            .filter(|count| *count > 0),
        pin: reader.flag("media.pin"),
        io: reader.choice(
            "media.io",
            &[("auto", DatagramIo::Auto), ("io_uring", DatagramIo::Uring), ("plain", DatagramIo::Plain)],
        ),
        cipher_provider: reader.choice(
            "media.cipher_provider",
            &[("auto", None), ("aws-lc", Some(CipherProvider::AwsLc)), ("ring", Some(CipherProvider::Ring))],
        ),
        padding_permille: reader.integer("media.padding_permille", 0..=100) as u16,
        hold_us: reader.integer("media.hold_us", 0..=10_000),
        hold_above_percent: reader.integer("media.hold_above_percent", 0..=100) as u8,
        slots: reader.integer("media.slots", 1_024..=1_048_576) as u32,
        spin_us: reader.integer("media.spin_us", 0..=1_000_000),
        receiver_budget_bps: reader.integer("media.receiver_budget_bps", 100_000..=10_000_000_000),
        initial_bandwidth_bps: reader.integer("media.initial_bandwidth_bps", 30_000..=10_000_000_000),
        loudest_audio: Some(reader.integer("media.loudest_audio", 0..=16) as usize)
            .filter(|count| *count > 0),
        spread_after: reader.integer("media.spread_after", 1..=100_000) as usize,
        handshake_threads: reader.integer("media.handshake_threads", 1..=16) as usize,
    }
}

fn read_web(reader: &mut Reader<'_>) -> Web {
    let root = reader.path("web.root");
    if root.as_ref().is_some_and(|root| !root.join(PAGE).is_file()) {
        reader.problem("web.root", "must be a folder with the index.html of a Jitsi Meet web app in it");
    }
    let mut script = |key| {
        let path = reader.path(key);
        if path.as_ref().is_some_and(|path| !path.is_file()) {
            reader.problem(key, "must be a file");
        }
        path
    };
    let (config_overrides, interface_config_overrides) =
        (script("web.config_overrides"), script("web.interface_config_overrides"));
    let frame_ancestors = reader.texts("web.frame_ancestors");
    // They go into a header, where these would end the directive or the line.
    if frame_ancestors.iter().any(|source| {
        source.is_empty() || source.contains([';', ',']) || !source.bytes().all(|b| b.is_ascii_graphic())
    }) {
        reader.problem(
            "web.frame_ancestors",
            "must hold sources such as \"*\", \"'self'\" or \"https://portal.example.org\"",
        );
    }
    Web { root, config_overrides, interface_config_overrides, frame_ancestors }
}

/// The configured folder, else the service manager's, else the user's own (XDG base directories).
fn state_directory(configured: &str) -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let of_service = variable("STATE_DIRECTORY").filter(|path| path.is_absolute());
    let of_user = || {
        Some(
            variable("XDG_STATE_HOME")
                .or_else(|| Some(variable("HOME")?.join(".local/state")))?
                .join("sluice"),
        )
    };
    Some(PathBuf::from(configured))
        .filter(|path| !path.as_os_str().is_empty())
        .or(of_service)
        .or_else(of_user)
}

#[cfg(test)]
mod tests;
