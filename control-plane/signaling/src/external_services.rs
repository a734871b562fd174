//! External services: where clients find STUN and TURN servers, and passwords for them that end (XEP-0215, and the REST
//! scheme of coturn's `use-auth-secret`).

use std::time::Duration;

use xmpp::accounts::Hash;
use xmpp::{Element, base64};

/// A TURN server beside us that shares a secret with us.
#[derive(Clone, PartialEq, Eq)]
pub struct TurnServer {
    /// Its host.
    pub host: String,
    /// Its port for UDP and TCP, and for STUN.
    pub port: u16,
    /// Its port for TLS.
    pub tls_port: Option<u16>,
    /// The secret.
    pub secret: Vec<u8>,
    /// How long a password holds.
    pub lifetime: Duration,
}

impl std::fmt::Debug for TurnServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TurnServer")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// `<services/>` in the version `ns` of the protocol. `unix_ms`: now, since 1970. Without a server the list is empty: calls
/// run over the bridge, whose candidates are in the offer.
pub(crate) fn services(ns: &str, server: Option<&TurnServer>, unix_ms: u64) -> Element {
    let services = Element::new("services", ns);
    let Some(server) = server else { return services };
    let expires = (unix_ms / 1_000).saturating_add(server.lifetime.as_secs());
    let (username, password) = credentials(server, expires);
    let service = |kind: &str, port: u16, transport: &str| {
        Element::new("service", ns)
            .attr("type", kind)
            .attr("host", server.host.as_str())
            .attr("port", port.to_string())
            .attr("transport", transport)
    };
    let restricted = |service: Element| {
        service
            .attr("username", username.as_str())
            .attr("password", password.as_str())
            .attr("expires", crate::room::stamp(expires.saturating_mul(1_000)))
            .attr("restricted", "1")
    };
    services
        .with(service("stun", server.port, "udp"))
        .with(restricted(service("turn", server.port, "udp")))
        .with(restricted(service("turn", server.port, "tcp")))
        .with_all(server.tls_port.map(|port| restricted(service("turns", port, "tcp"))))
}

/// The name is the end, the password is its keyed hash.
fn credentials(server: &TurnServer, expires_unix_s: u64) -> (String, String) {
    let username = expires_unix_s.to_string();
    let password = base64(&Hash::Sha1.hmac(&server.secret, username.as_bytes()));
    (username, password)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(tls_port: Option<u16>) -> TurnServer {
        TurnServer {
            host: "turn.example".into(),
            port: 3478,
            tls_port,
            secret: b"north".to_vec(),
            lifetime: Duration::from_secs(86_400),
        }
    }

    #[test]
    fn passwords_are_those_that_the_turn_server_computes() {
        // printf 1800086400 | openssl dgst -sha1 -hmac north -binary | base64
        let (username, password) = credentials(&server(None), 1_800_086_400);
        assert_eq!((username.as_str(), password.as_str()), ("1800086400", "/sfTIxP6tenIPleGUPBCfSCF4iI="));
    }

    #[test]
    fn every_transport_is_listed_with_the_time_when_its_password_ends() {
        let text = services("urn:xmpp:extdisco:2", Some(&server(Some(443))), 1_800_000_000_500).to_string();
        let expected = [
            "<service type='stun' host='turn.example' port='3478' transport='udp'/>",
            "<service type='turn' host='turn.example' port='3478' transport='udp' username='1800086400' password='",
            "<service type='turn' host='turn.example' port='3478' transport='tcp' username='",
            "<service type='turns' host='turn.example' port='443' transport='tcp' username='",
            "expires='2027-01-16T08:00:00.000Z' restricted='1'/>",
        ];
        for part in expected {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(
            services("urn:xmpp:extdisco:1", None, 0).to_string(),
            "<services xmlns='urn:xmpp:extdisco:1'/>"
        );
        let without_tls = services("urn:xmpp:extdisco:2", Some(&server(None)), 0).to_string();
        assert!(!without_tls.contains("turns"), "{without_tls}");
    }
}
