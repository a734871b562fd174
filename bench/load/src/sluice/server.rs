//! The server by its URL: TCP or TLS, a page of it, a WebSocket.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

use crate::peer::PeerError;

/// A connection, plain or TLS.
pub(super) trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

/// Whether and how TLS is spoken.
#[derive(Clone)]
pub enum Tls {
    /// `http://`.
    Off,
    /// `https://`, the certificate is checked.
    Checked(Arc<ClientConfig>),
    /// `https://`, any certificate will do.
    Unchecked(Arc<ClientConfig>),
}

/// Where a server is.
#[derive(Clone)]
pub struct Server {
    host: String,
    address: SocketAddr,
    tls: Tls,
}

/// Names that signalling uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    /// The main domain.
    pub domain: String,
    /// Of rooms.
    pub muc: String,
    /// Of the focus.
    pub focus: String,
}

impl Server {
    /// From a URL. A self-signed certificate will do if `insecure`, or on loopback.
    ///
    /// # Errors
    /// If the URL is none, its host is not known, or there are no certificates to check against.
    pub async fn at(url: &str, insecure: bool) -> Result<Server, PeerError> {
        let wrong = |why: &str| PeerError(format!("--url {url}: {why}"));
        let (scheme, rest) =
            url.split_once("://").ok_or_else(|| wrong("it begins with http:// or https://"))?;
        let (secure, port) = match scheme {
            "http" | "ws" => (false, 80),
            "https" | "wss" => (true, 443),
            _ => return Err(wrong("only http:// and https:// are known")),
        };
        let authority = rest.split('/').next().unwrap_or_default();
        let (host, port) = match authority.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
            Some((host, number)) => (host, number.parse().map_err(|_| wrong("the port is no number"))?),
            None => (authority, port),
        };
        let host = host.trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(wrong("it names no host"));
        }
        let addresses = tokio::net::lookup_host((host.as_str(), port)).await;
        let mut addresses: Vec<SocketAddr> =
            addresses.map_err(|error| PeerError::new(&host, error))?.collect();
        // Media has an IPv4 candidate everywhere.
        addresses.sort_by_key(|address| !address.is_ipv4());
        let address = *addresses.first().ok_or_else(|| wrong("the host has no address"))?;
        let tls = match secure {
            false => Tls::Off,
            true if insecure || address.ip().is_loopback() => Tls::Unchecked(Arc::new(unchecked()?)),
            true => Tls::Checked(Arc::new(checked()?)),
        };
        Ok(Server { host, address, tls })
    }

    /// Where signalling goes.
    pub fn address(&self) -> IpAddr {
        self.address.ip()
    }

    /// Where signalling goes, with its port.
    pub fn socket_address(&self) -> SocketAddr {
        self.address
    }

    async fn connect(&self) -> Result<Box<dyn Connection>, PeerError> {
        let reach = |error: &dyn std::fmt::Display| {
            PeerError(format!("no server answers at {} ({error})", self.address))
        };
        let tcp = tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(self.address)).await;
        let tcp = tcp.map_err(|_| reach(&"timed out"))?.map_err(|error| reach(&error))?;
        let _ = tcp.set_nodelay(true);
        let (Tls::Checked(config) | Tls::Unchecked(config)) = &self.tls else { return Ok(Box::new(tcp)) };
        let name =
            ServerName::try_from(self.host.clone()).map_err(|error| PeerError::new(&self.host, error))?;
        let tls = tokio_rustls::TlsConnector::from(config.clone()).connect(name, tcp).await;
        let tls = tls.map_err(|error| {
            PeerError(format!("TLS with {}: {error}; --insecure takes any certificate", self.host))
        })?;
        Ok(Box::new(tls))
    }

    /// The names, from `config.js`.
    pub(super) async fn hosts(&self) -> Result<Hosts, PeerError> {
        let mut connection = self.connect().await?;
        let request = format!("GET /config.js HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.host);
        let failed = |error: std::io::Error| PeerError::new("reading config.js", error);
        connection.write_all(request.as_bytes()).await.map_err(failed)?;
        let mut answer = Vec::new();
        // A server that ends TLS without a goodbye has said all the same.
        let read = connection.take(PAGE_BYTES_MAX).read_to_end(&mut answer).await;
        if answer.is_empty() {
            read.map_err(failed)?;
        }
        let text = String::from_utf8_lossy(&answer);
        hosts_in(&text).ok_or_else(|| {
            PeerError(format!(
                "{} is there, but its /config.js names no hosts: not a server of ours",
                self.address
            ))
        })
    }

    /// A WebSocket at `path`.
    pub(super) async fn web_socket(
        &self,
        path: &str,
        protocol: &'static str,
    ) -> Result<WebSocketStream<Box<dyn Connection>>, PeerError> {
        let connection = self.connect().await?;
        let scheme = if matches!(self.tls, Tls::Off) { "ws" } else { "wss" };
        let url = format!("{scheme}://{}{path}", self.address);
        let failed = |error: &dyn std::fmt::Display| PeerError::new("opening the WebSocket", error);
        let mut request = url.into_client_request().map_err(|error| failed(&error))?;
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(protocol));
        let opened = tokio_tungstenite::client_async(request, connection).await;
        opened.map(|(socket, _)| socket).map_err(|error| failed(&error))
    }
}

/// The first object of the script.
fn hosts_in(page: &str) -> Option<Hosts> {
    let object = page.get(page.find("config = {")? + "config = ".len()..)?;
    let config: Value = serde_json::Deserializer::from_str(object).into_iter().next()?.ok()?;
    let name = |key: &str| config["hosts"][key].as_str().map(str::to_owned);
    let domain = name("domain")?;
    let or = |key: &str, prefix: &str| name(key).unwrap_or_else(|| format!("{prefix}.{domain}"));
    let (muc, focus) = (or("muc", "conference"), or("focus", "focus"));
    Some(Hosts { domain, muc, focus })
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn checked() -> Result<ClientConfig, PeerError> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(SYSTEM_CERTIFICATES)
        .map_err(|error| PeerError(format!("{SYSTEM_CERTIFICATES}: {error}; --insecure checks nothing")))?;
    roots.add_parsable_certificates(certificates.flatten());
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| PeerError::new("TLS", error))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn unchecked() -> Result<ClientConfig, PeerError> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| PeerError::new("TLS", error))?;
    let any = Arc::new(AnyCertificate(provider()));
    Ok(builder.dangerous().with_custom_certificate_verifier(any).with_no_client_auth())
}

/// Takes any certificate; signatures are still checked.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

const SYSTEM_CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const PAGE_BYTES_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_the_script() {
        let page = "HTTP/1.1 200 OK\r\n\r\nvar config = {\"hosts\":{\"domain\":\"meet.x\",\"muc\":\"rooms.x\"}};\n(f)()";
        let hosts = Hosts { domain: "meet.x".into(), muc: "rooms.x".into(), focus: "focus.meet.x".into() };
        assert_eq!(hosts_in(page), Some(hosts));
        for page in ["", "HTTP/1.1 404 Not Found\r\n\r\n", "var config = {\"a\":1};", "var config = {broken"]
        {
            assert_eq!(hosts_in(page), None, "{page}");
        }
    }

    #[tokio::test]
    async fn wrong_urls_are_refused_with_the_reason() {
        for (url, why) in [
            ("localhost:8080", "begins with http"),
            ("ftp://x", "only http"),
            ("http://:80", "no host"),
            ("http://localhost:x", "no number"),
        ] {
            let error = Server::at(url, false).await.err().expect(url).0;
            assert!(error.contains(why), "{error}");
        }
        let server = Server::at("http://127.0.0.1:1", false).await.unwrap();
        assert!(server.hosts().await.unwrap_err().0.contains("no server answers at 127.0.0.1:1"));
        assert!(matches!(Server::at("https://127.0.0.1:1", false).await.unwrap().tls, Tls::Unchecked(_)));
    }
}
