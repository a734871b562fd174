//! Typed, checked access to a [`Document`]. Problems are collected, so that a user sees all at once.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use toml::Value;

use super::PublicAddress;
use super::document::{Document, Problem};

pub(crate) struct Reader<'a> {
    document: &'a Document,
    problems: Vec<Problem>,
    read: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(document: &'a Document) -> Reader<'a> {
        Reader { document, problems: Vec::new(), read: BTreeSet::new() }
    }

    /// What was found. A key that nobody read would be a promise that nobody keeps.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        debug_assert!(
            self.document.keys().all(|key| self.read.contains(key)),
            "a key of the reference is not used"
        );
        self.problems
    }

    pub(crate) fn problem(&mut self, key: &str, message: &str) {
        self.problems.push(self.document.problem(key, message));
    }

    pub(crate) fn text(&mut self, key: &str) -> String {
        self.value(key).as_str().unwrap_or_default().to_owned()
    }

    /// A file or folder; `None` for `""`.
    pub(crate) fn path(&mut self, key: &str) -> Option<PathBuf> {
        Some(self.text(key)).filter(|text| !text.is_empty()).map(PathBuf::from)
    }

    pub(crate) fn flag(&mut self, key: &str) -> bool {
        self.value(key).as_bool().unwrap_or_default()
    }

    /// A whole number within `range`.
    pub(crate) fn integer(&mut self, key: &str, range: RangeInclusive<u64>) -> u64 {
        let number = self.value(key).as_integer().and_then(|number| u64::try_from(number).ok());
        match number.filter(|number| range.contains(number)) {
            Some(number) => number,
            None => {
                self.problem(key, &format!("must be between {} and {}", range.start(), range.end()));
                *range.start()
            }
        }
    }

    /// One of a few names.
    pub(crate) fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> T {
        let text = self.text(key);
        if let Some((_, chosen)) = choices.iter().find(|(name, _)| *name == text) {
            return *chosen;
        }
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        self.problem(key, &format!("must be one of {}", names.join(", ")));
        choices[0].1
    }

    /// An address with a port; `None` for `""`.
    pub(crate) fn address(&mut self, key: &str) -> Option<SocketAddr> {
        let text = self.text(key);
        if text.is_empty() {
            return None;
        }
        let address = text.parse().ok();
        if address.is_none() {
            self.problem(key, "must be an IP address and a port, such as \"0.0.0.0:8080\" or \"[::]:8080\"");
        }
        // Something stands in for the malformed one, so that no second problem is made of the first.
        address.or(Some(SocketAddr::from(([127, 0, 0, 1], 0))))
    }

    /// A URL with one of `schemes`, without slashes at its end; `None` for `""`.
    pub(crate) fn url(&mut self, key: &str, schemes: &[&str]) -> Option<String> {
        let text = self.text(key);
        if text.is_empty() {
            return None;
        }
        let host = schemes.iter().find_map(|scheme| text.strip_prefix(scheme));
        let plain =
            |host: &str| !host.is_empty() && !host.starts_with('/') && !host.contains(char::is_whitespace);
        if !host.is_some_and(plain) {
            self.problem(key, &format!("must be a URL that begins with {}", schemes.join(" or ")));
        }
        Some(text.trim_end_matches('/').to_owned())
    }

    /// A name for this server: letters, digits, hyphens, dots.
    pub(crate) fn domain(&mut self, key: &str) -> String {
        let text = self.text(key);
        let label = |label: &str| {
            let characters = label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            !label.is_empty() && label.len() <= 63 && characters
        };
        if text.len() > 200 || !text.split('.').all(label) {
            self.problem(key, "must be a domain name in lower case, such as \"meet.example\"");
        }
        text
    }

    pub(crate) fn texts(&mut self, key: &str) -> Vec<String> {
        let items = self.value(key).as_array().map(Vec::as_slice).unwrap_or_default();
        let texts: Vec<String> = items.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        if texts.len() < items.len() {
            self.problem(key, "must hold texts in quotes only");
        }
        texts
    }

    pub(crate) fn ip_addresses(&mut self, key: &str) -> Vec<IpAddr> {
        let texts = self.texts(key);
        let mut addresses = Vec::new();
        for text in texts {
            match text.parse() {
                Ok(address) => addresses.push(address),
                Err(_) => self.problem(key, &format!("\"{text}\" is not an IP address")),
            }
        }
        addresses
    }

    pub(crate) fn public_addresses(&mut self, key: &str) -> Vec<PublicAddress> {
        let texts = self.texts(key);
        let mut addresses = Vec::new();
        for text in texts {
            match parse_public(&text) {
                Some(address) => addresses.push(address),
                None => self.problem(
                    key,
                    &format!("\"{text}\" is neither a public IP address nor LOCAL=PUBLIC of one family"),
                ),
            }
        }
        addresses
    }

    /// A table whose keys are not ours to know.
    pub(crate) fn free_table(&mut self, key: &str) -> serde_json::Map<String, serde_json::Value> {
        match serde_json::to_value(self.value(key)) {
            Ok(serde_json::Value::Object(map)) => map,
            _ => {
                self.problem(key, "must be a table of plain values");
                serde_json::Map::new()
            }
        }
    }

    /// Directives of a log filter.
    pub(crate) fn log_level(&mut self, key: &str) -> String {
        let text = self.text(key);
        if tracing_subscriber::EnvFilter::try_new(&text).is_err() {
            self.problem(
                key,
                "must be error, warn, info, debug or trace, or directives such as \"info,signaling=debug\"",
            );
        }
        text
    }

    fn value(&mut self, key: &str) -> &'a Value {
        self.read.insert(key.to_owned());
        self.document.value(key)
    }
}

fn parse_public(text: &str) -> Option<PublicAddress> {
    let (local, public) = match text.split_once('=') {
        Some((local, public)) => (Some(local.trim().parse::<IpAddr>().ok()?), public),
        None => (None, text),
    };
    let public: IpAddr = public.trim().parse().ok()?;
    let one_family = local.is_none_or(|local| local.is_ipv4() == public.is_ipv4());
    one_family.then_some(PublicAddress { local, public })
}
