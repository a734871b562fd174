//! The look of the built-in client: name, tagline, logo, accent colour and links, as the `[client]` settings have them.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::{Value, json};

use crate::config::Client;

/// What `config.js` tells the client under `sluice`.
pub(crate) fn of_client(client: &Client) -> Value {
    let links: Vec<Value> =
        client.links.iter().map(|link| json!({ "text": link.text, "url": link.url })).collect();
    json!({
        "appName": client.app_name,
        "tagline": client.tagline,
        "logo": client.logo.as_ref().map(|_| LOGO),
        "accent": client.accent,
        "links": links,
    })
}

/// The logo, read once: a page that changes while people meet helps nobody.
///
/// # Errors
/// Says which file cannot be read, is too large, or is no picture.
pub(crate) fn router(client: &Client) -> Result<Router, String> {
    let Some(path) = &client.logo else { return Ok(Router::new()) };
    let media_type = media_type(path)
        .ok_or_else(|| format!("client.logo: {} is no .svg, .png, .webp or .jpg file", path.display()))?;
    let bytes = std::fs::read(path)
        .map_err(|error| format!("client.logo: cannot read {}: {error}", path.display()))?;
    if bytes.len() > LOGO_BYTES_MAX {
        return Err(format!(
            "client.logo: {} has {} bytes, at most {LOGO_BYTES_MAX} are served",
            path.display(),
            bytes.len()
        ));
    }
    let bytes: Arc<[u8]> = bytes.into();
    let serve = async move || {
        let headers = [
            (header::CONTENT_TYPE, media_type),
            (header::CACHE_CONTROL, "max-age=3600"),
            // A drawing may hold scripts; opened by itself it must not run them here.
            (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; sandbox"),
        ];
        (headers, bytes.to_vec()).into_response()
    };
    Ok(Router::new().route(LOGO, get(serve)))
}

fn media_type(path: &Path) -> Option<&'static str> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "svg" => Some("image/svg+xml"),
        "png" => Some("image/png"),
        "webp" => Some("image/webp"),
        "jpg" | "jpeg" => Some("image/jpeg"),
        _ => None,
    }
}

const LOGO: &str = "/branding/logo";

/// Every page loads it.
const LOGO_BYTES_MAX: usize = 256 * 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn client(text: &str) -> Client {
        Config::parse(&format!("[client]\n{text}"), []).unwrap().client
    }

    #[test]
    fn the_client_is_told_what_is_set_and_nothing_else() {
        assert_eq!(
            of_client(&client("")),
            json!({ "appName": "Sluice", "tagline": null, "logo": null, "accent": null, "links": [] })
        );
        let told = of_client(&client(
            "app_name = 'Meet'\ntagline = 'Talk'\nlogo = '/x/logo.svg'\naccent = '#Ff8800'\nlinks = ['Imprint=https://example.org/i?a=b']",
        ));
        let link = json!({ "text": "Imprint", "url": "https://example.org/i?a=b" });
        assert_eq!(
            told,
            json!({ "appName": "Meet", "tagline": "Talk", "logo": "/branding/logo", "accent": "#Ff8800", "links": [link] })
        );
    }

    #[test]
    fn wrong_looks_are_refused_with_the_key() {
        for (text, key) in [
            ("accent = 'red'", "client.accent"),
            ("accent = '#12345'", "client.accent"),
            ("links = ['Imprint']", "client.links"),
            ("links = ['Run=javascript:alert(1)']", "client.links"),
        ] {
            let problems = Config::parse(&format!("[client]\n{text}"), []).unwrap_err();
            assert_eq!(problems[0].key.as_deref(), Some(key), "{text}");
        }
        for file in ["/nowhere/logo.svg", "/etc/passwd"] {
            let problem = router(&client(&format!("logo = '{file}'"))).unwrap_err();
            assert!(problem.contains("client.logo") && problem.contains(file), "{problem}");
        }
    }
}
