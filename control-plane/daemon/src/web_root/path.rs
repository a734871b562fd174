//! Which file or page of a stock web app an HTTP path means.

/// What a path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A file of the app, or nothing.
    File(String),
    /// A file of the app if there is one, otherwise the page of the room with this name.
    FileOrRoom(String),
    /// The page of the app.
    Page,
    /// Nothing that the app has.
    Nowhere,
}

/// A path, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The first folder, if it is none of the app's own.
    pub(crate) tenant: Option<Tenant>,
    /// What is wanted under it.
    pub(crate) target: Target,
}

/// One of several organisations on one server: `/{tenant}/{room}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tenant {
    /// As it stands in paths.
    pub(crate) folder: String,
    /// As it stands in addresses of rooms: lower case, with `_` for dots.
    pub(crate) label: String,
}

impl Tenant {
    /// `None` for what cannot be a label of a domain name, or is too long for one.
    pub(crate) fn parse(folder: &str) -> Option<Tenant> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let fits = !folder.is_empty() && folder.len() <= LABEL_BYTES_MAX;
        let starts = folder.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if !fits || !starts || !folder.bytes().all(allowed) || folder.ends_with('-') {
            return None;
        }
        Some(Tenant { folder: folder.to_owned(), label: folder.replace('.', "_").to_ascii_lowercase() })
    }
}

impl Asked {
    /// Takes the path of a URL apart. What climbs out of its folder, hides or does not decode leads nowhere.
    pub(crate) fn parse(path: &str) -> Asked {
        let nowhere = Asked { tenant: None, target: Target::Nowhere };
        let Some(path) = decoded(path) else { return nowhere };
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let (last, folders) = segments.split_last().map_or(("", [].as_slice()), |(last, rest)| (*last, rest));
        if !folders.iter().all(|folder| is_plain(folder)) || !(last.is_empty() || is_plain(last)) {
            return nowhere;
        }
        match segments.as_slice() {
            [] | [""] => Asked { tenant: None, target: Target::Page },
            [first, ..] if FOLDERS.contains(first) || *first == CACHE_BREAKER => {
                Asked { tenant: None, target: within(&segments) }
            }
            [name] => Asked { tenant: None, target: within(&[name]) },
            [first, rest @ ..] => match Tenant::parse(first) {
                Some(tenant) => Asked { tenant: Some(tenant), target: within(rest) },
                None => nowhere,
            },
        }
    }
}

/// What is wanted below the tenant's folder.
fn within(segments: &[&str]) -> Target {
    match segments {
        [""] => Target::Page,
        ["external_api.js"] | ["v1", "_external_api.js"] => Target::File(EXTERNAL_API.to_owned()),
        // `/v1/_cdn/{version}/…` is a way to name files that may be kept for ever.
        [CACHE_BREAKER, "_cdn", _, rest @ ..] if rest.first().is_some_and(|it| FOLDERS.contains(it)) => {
            Target::File(rest.join("/"))
        }
        [first, _, ..] if FOLDERS.contains(first) => Target::File(segments.join("/")),
        [name] if !FOLDERS.contains(name) => Target::FileOrRoom((*name).to_owned()),
        _ => Target::Nowhere,
    }
}

/// Percent-decoded, if that is text without control characters and backslashes.
fn decoded(path: &str) -> Option<String> {
    let bytes = path.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits = path.get(at..at + 2)?;
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        out.push(u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?);
        at += 2;
    }
    // A slash that was hidden by its code would make a folder out of a name.
    let hidden_slash = path.to_ascii_lowercase().contains("%2f");
    let text = String::from_utf8(out).ok()?;
    let odd = text.chars().any(|c| c.is_control() || c == '\\');
    (text.starts_with('/') && !odd && !hidden_slash).then_some(text)
}

/// A name that stays in its folder and is not hidden; `.well-known` (RFC 8615) is public by its nature.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && (!name.starts_with('.') || name == ".well-known") && name.len() <= NAME_BYTES_MAX
}

/// Folders of the app; names that no tenant can have.
pub(crate) const FOLDERS: [&str; 8] =
    ["libs", "css", "static", "images", "fonts", "lang", "sounds", ".well-known"];

/// First folder of paths with a version in them.
const CACHE_BREAKER: &str = "v1";

/// The script for pages that embed a meeting.
const EXTERNAL_API: &str = "libs/external_api.min.js";

/// Longest label of a domain name (RFC 1035 §2.3.4).
const LABEL_BYTES_MAX: usize = 63;

/// Longest file name that file systems take.
const NAME_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> Target {
        Target::File(path.to_owned())
    }

    #[test]
    fn paths_lead_to_files_rooms_and_pages() {
        let room = |name: &str| Target::FileOrRoom(name.to_owned());
        let table = [
            ("/", None, Target::Page),
            ("/standup", None, room("standup")),
            ("/caf%C3%A9", None, room("café")),
            ("/libs/app.bundle.min.js", None, file("libs/app.bundle.min.js")),
            ("/static/pwa/icons/192.png", None, file("static/pwa/icons/192.png")),
            ("/.well-known/assetlinks.json", None, file(".well-known/assetlinks.json")),
            ("/external_api.js", None, file("libs/external_api.min.js")),
            ("/v1/_external_api.js", None, file("libs/external_api.min.js")),
            ("/v1/_cdn/1234/libs/x.js", None, file("libs/x.js")),
            ("/acme/", Some("acme"), Target::Page),
            ("/acme/standup", Some("acme"), room("standup")),
            ("/Acme.Corp/standup", Some("acme_corp"), room("standup")),
            ("/acme/libs/x.js", Some("acme"), file("libs/x.js")),
            ("/acme/external_api.js", Some("acme"), file("libs/external_api.min.js")),
            ("/acme/pwa-worker.js", Some("acme"), room("pwa-worker.js")),
            ("/acme/a/b", Some("acme"), Target::Nowhere),
        ];
        for (path, tenant, target) in table {
            let asked = Asked::parse(path);
            assert_eq!(asked.tenant.map(|tenant| tenant.label).as_deref(), tenant, "{path}");
            assert_eq!(asked.target, target, "{path}");
        }
    }

    #[test]
    fn what_climbs_hides_or_does_not_decode_leads_nowhere() {
        let table = [
            "/../etc/passwd",
            "/libs/../../etc/passwd",
            "/libs/%2e%2e/%2e%2e/etc/passwd",
            "/libs/..%2f..%2fetc/passwd",
            "/libs%2fx.js",
            "/libs/..\\x",
            "/libs//x.js",
            "/.git/config",
            "/libs/.htaccess",
            "/.env",
            "/%00",
            "/libs/x%0a",
            "/%ff",
            "/%2",
            "/%+1",
            "/we!rd/room",
            "/-/room",
        ];
        for path in table {
            assert_eq!(Asked::parse(path).target, Target::Nowhere, "{path}");
        }
        assert_eq!(Asked::parse(&format!("/{}", "x".repeat(256))).target, Target::Nowhere);
        assert_eq!(Tenant::parse(&"x".repeat(64)), None);
    }
}
