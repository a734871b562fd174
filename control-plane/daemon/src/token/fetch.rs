//! Fetching keys: one GET over HTTPS, small, soon or not at all.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Fetches from key servers.
pub(crate) struct Fetcher {
    tls: Arc<ClientConfig>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("not an https URL")]
    Url,
    #[error("no answer in time")]
    Late,
    #[error("cannot connect: {0}")]
    Connect(std::io::Error),
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
    #[error("status {0}")]
    Status(StatusCode),
    #[error("the answer is too long")]
    TooLong,
}

/// What came.
pub(crate) struct Fetched {
    pub(crate) body: Bytes,
    /// How long it may be kept, if the answer says so.
    pub(crate) max_age: Option<Duration>,
}

impl Fetcher {
    /// A fetcher that trusts the certificate authorities of the system.
    pub(crate) fn new() -> Fetcher {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Fetcher { tls: Arc::new(tls) }
    }

    /// The body at `url`. Redirections are not followed.
    pub(crate) async fn get(&self, url: &str) -> Result<Fetched, FetchError> {
        let url: Uri = url.parse().map_err(|_| FetchError::Url)?;
        tokio::time::timeout(WITHIN, self.get_from(&url)).await.map_err(|_| FetchError::Late)?
    }

    async fn get_from(&self, url: &Uri) -> Result<Fetched, FetchError> {
        let host = url.host().ok_or(FetchError::Url)?;
        let is_tls = match url.scheme_str() {
            Some("https") => true,
            // Nobody reads along on this machine.
            Some("http") if is_local(host) => false,
            _ => return Err(FetchError::Url),
        };
        let port = url.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((bare, port)).await.map_err(FetchError::Connect)?;
        if !is_tls {
            return request(stream, url).await;
        }
        let name = ServerName::try_from(bare.to_owned()).map_err(|_| FetchError::Url)?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await;
        request(stream.map_err(FetchError::Connect)?, url).await
    }
}

/// Whether `url` is one that keys may come from.
pub(crate) fn is_key_url(url: &str) -> bool {
    let Ok(url) = url.parse::<Uri>() else { return false };
    match (url.scheme_str(), url.host()) {
        (Some("https"), Some(_)) => true,
        (Some("http"), Some(host)) => is_local(host),
        _ => false,
    }
}

fn is_local(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

async fn request<S>(stream: S, url: &Uri) -> Result<Fetched, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driving = tokio::spawn(connection);
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let authority = url.authority().map(|authority| authority.as_str()).unwrap_or_default();
    let request = Request::get(path)
        .header(header::HOST, authority)
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| FetchError::Url)?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    if status != StatusCode::OK {
        driving.abort();
        return Err(FetchError::Status(status));
    }
    let max_age = max_age(response.headers());
    let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
    driving.abort();
    let body = body.map_err(|_| FetchError::TooLong)?.to_bytes();
    Ok(Fetched { body, max_age })
}

/// `max-age` of `Cache-Control` (RFC 9111 §5.2.2.1).
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let control = headers.get(header::CACHE_CONTROL)?.to_str().ok()?;
    let seconds = control.split(',').find_map(|part| part.trim().strip_prefix("max-age="))?;
    seconds.trim_matches('"').parse().ok().map(Duration::from_secs)
}

/// Whoever signs in waits for it.
pub(crate) const WITHIN: Duration = Duration::from_secs(5);
/// A key set of a large provider has some ten kilobytes.
const BODY_BYTES_MAX: usize = 64 * 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_https_or_from_this_machine() {
        let table = [
            ("https://keys.example/", true),
            ("https://keys.example:8443/a/b?c", true),
            ("http://127.0.0.1:21990/", true),
            ("http://localhost/", true),
            ("http://[::1]:80/", true),
            ("http://keys.example/", false),
            ("ftp://keys.example/", false),
            ("/etc/passwd", false),
            ("https://", false),
            ("", false),
        ];
        for (url, allowed) in table {
            assert_eq!(is_key_url(url), allowed, "{url}");
        }
    }

    #[test]
    fn answers_say_how_long_they_last() {
        let table = [
            ("max-age=60", Some(60)),
            ("public, max-age=3600, must-revalidate", Some(3_600)),
            ("no-store", None),
            ("max-age=x", None),
        ];
        for (text, seconds) in table {
            let mut headers = HeaderMap::new();
            headers.insert(header::CACHE_CONTROL, text.parse().unwrap());
            assert_eq!(max_age(&headers), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
