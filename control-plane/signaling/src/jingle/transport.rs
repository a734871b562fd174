//! The transport of a content: ICE credentials and candidates, DTLS fingerprints, bridge-channel addresses
//! (XEP-0176, XEP-0320, XEP-0343).

use std::net::{IpAddr, SocketAddr};

use contract::limits::REMOTE_CANDIDATES_MAX;
use contract::session::{Candidate, CandidateKind};
use xmpp::Element;

use super::ns;
use crate::association::{Fingerprint, Setup};

/// An ICE-UDP transport with everything that is ever put into one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transport {
    /// User fragment and password (RFC 8445 §5.3), both or none.
    pub credentials: Option<Credentials>,
    /// Counts in-place restarts; absent otherwise.
    pub generation: Option<u32>,
    /// Known so far.
    pub candidates: Vec<Candidate>,
    /// One per hash function.
    pub fingerprints: Vec<Fingerprint>,
    /// DTLS role.
    pub setup: Option<Setup>,
    /// Where the bridge channel may be opened.
    pub web_sockets: Vec<String>,
    /// SCTP port of the bridge channel.
    pub sctp_port: Option<u16>,
}

/// ICE credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User fragment.
    pub ufrag: String,
    /// Password.
    pub pwd: String,
}

impl Transport {
    /// `<transport/>`; with `<sctpmap/>` only if `data`.
    pub fn to_element(&self, data: bool) -> Element {
        let credentials = self.credentials.as_ref();
        let generation = self.generation.unwrap_or(0);
        let mut element = Element::new("transport", ns::ICE_UDP)
            .attr_if("ufrag", credentials.map(|credentials| credentials.ufrag.as_str()))
            .attr_if("pwd", credentials.map(|credentials| credentials.pwd.as_str()))
            .attr_if("ice-generation", self.generation.map(|generation| generation.to_string()));
        for url in &self.web_sockets {
            element.push(Element::new("web-socket", ns::COLIBRI).attr("url", url.as_str()));
        }
        element.push(Element::new("rtcp-mux", ns::ICE_UDP));
        for fingerprint in &self.fingerprints {
            let fingerprint = Element::new("fingerprint", ns::DTLS)
                .attr("hash", fingerprint.hash.as_str())
                .attr_if("setup", self.setup.map(Setup::name))
                .with_text(fingerprint.to_hex());
            element.push(fingerprint);
        }
        for (index, candidate) in self.candidates.iter().enumerate() {
            element.push(candidate_element(candidate, index + 1, generation));
        }
        if let (true, Some(port)) = (data, self.sctp_port) {
            let sctpmap = Element::new("sctpmap", ns::DTLS_SCTP)
                .attr("number", port.to_string())
                .attr("protocol", "webrtc-datachannel")
                .attr("streams", "1024");
            element.push(sctpmap);
        }
        element
    }

    /// Reads a client's `<transport/>`. What cannot be used, such as host names instead of addresses or unknown hash
    /// functions, is left out silently.
    pub fn parse(element: &Element) -> Transport {
        let mut transport = Transport {
            credentials: credentials(element),
            generation: element.attribute("ice-generation").and_then(|text| text.parse().ok()),
            ..Transport::default()
        };
        for child in element.children() {
            match (child.name(), child.ns()) {
                ("candidate", ns::ICE_UDP) if transport.candidates.len() < REMOTE_CANDIDATES_MAX => {
                    transport.candidates.extend(candidate(child));
                }
                ("fingerprint", ns::DTLS) if transport.fingerprints.len() < FINGERPRINTS_MAX => {
                    let hash = child.attribute("hash").unwrap_or_default();
                    if HASHES.iter().any(|known| known.eq_ignore_ascii_case(hash)) {
                        transport.fingerprints.extend(Fingerprint::parse(hash, &child.text()));
                    }
                    transport.setup = child.attribute("setup").and_then(Setup::parse).or(transport.setup);
                }
                _ => {}
            }
        }
        transport
    }

    /// Takes from `other`, the transport of a further bundled content, what is missing here.
    pub fn merge(&mut self, other: Transport) {
        self.credentials = self.credentials.take().or(other.credentials);
        self.generation = self.generation.or(other.generation);
        self.setup = self.setup.or(other.setup);
        for fingerprint in other.fingerprints {
            if !self.fingerprints.contains(&fingerprint) && self.fingerprints.len() < FINGERPRINTS_MAX {
                self.fingerprints.push(fingerprint);
            }
        }
        for candidate in other.candidates {
            if !self.candidates.contains(&candidate) && self.candidates.len() < REMOTE_CANDIDATES_MAX {
                self.candidates.push(candidate);
            }
        }
    }
}

/// Hash functions that a fingerprint may be made with.
const HASHES: [&str; 4] = ["sha-512", "sha-384", "sha-256", "sha-1"];

/// Two per known hash function: a client may list a second certificate.
const FINGERPRINTS_MAX: usize = 2 * HASHES.len();

/// RFC 8839 §5.4: 4 to 256 characters of user fragment, 22 to 256 of password, from a small alphabet.
fn credentials(element: &Element) -> Option<Credentials> {
    let ice_chars = |text: &&str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/');
    let ufrag =
        element.attribute("ufrag").filter(ice_chars).filter(|text| (4..=256).contains(&text.len()))?;
    let pwd = element.attribute("pwd").filter(ice_chars).filter(|text| (22..=256).contains(&text.len()))?;
    Some(Credentials { ufrag: ufrag.to_owned(), pwd: pwd.to_owned() })
}

fn candidate(element: &Element) -> Option<Candidate> {
    let kind = match element.attribute("type")? {
        "host" => CandidateKind::Host,
        "srflx" => CandidateKind::ServerReflexive,
        "prflx" => CandidateKind::PeerReflexive,
        "relay" => CandidateKind::Relayed,
        _ => return None,
    };
    let tcp = match element.attribute("protocol")? {
        protocol if protocol.eq_ignore_ascii_case("udp") => false,
        protocol if protocol.eq_ignore_ascii_case("tcp") => true,
        _ => return None,
    };
    if element.attribute("component").is_some_and(|component| component != "1") {
        return None;
    }
    let address = address(element, "ip", "port")?;
    let priority = element.attribute("priority").and_then(|text| text.parse().ok()).unwrap_or(0);
    Some(Candidate { address, kind, priority, related: self::address(element, "rel-addr", "rel-port"), tcp })
}

fn address(element: &Element, ip: &str, port: &str) -> Option<SocketAddr> {
    let ip: IpAddr = element.attribute(ip)?.parse().ok()?;
    Some(SocketAddr::new(ip, element.attribute(port)?.parse().ok()?))
}

fn candidate_element(candidate: &Candidate, number: usize, generation: u32) -> Element {
    let kind = match candidate.kind {
        CandidateKind::Host => "host",
        CandidateKind::ServerReflexive => "srflx",
        CandidateKind::PeerReflexive => "prflx",
        CandidateKind::Relayed => "relay",
    };
    Element::new("candidate", ns::ICE_UDP)
        .attr("component", "1")
        .attr("foundation", number.to_string())
        .attr("generation", generation.to_string())
        .attr("id", format!("c{number}"))
        .attr("network", "0")
        .attr("priority", candidate.priority.to_string())
        .attr("protocol", if candidate.tcp { "tcp" } else { "udp" })
        .attr_if("tcptype", candidate.tcp.then_some("passive"))
        .attr("type", kind)
        .attr("ip", candidate.address.ip().to_string())
        .attr("port", candidate.address.port().to_string())
        .attr_if("rel-addr", candidate.related.map(|related| related.ip().to_string()))
        .attr_if("rel-port", candidate.related.map(|related| related.port().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Transport {
        Transport::parse(&xmpp::parse(text).expect("well-formed"))
    }

    #[test]
    fn an_offered_transport_is_written_as_clients_expect_it() {
        let transport = Transport {
            credentials: Some(Credentials { ufrag: "8hx2q".into(), pwd: "3kd9v0e5m1n7p2r4s6t8u0w2".into() }),
            candidates: vec![Candidate {
                address: "198.51.100.4:10000".parse().expect("an address"),
                kind: CandidateKind::ServerReflexive,
                priority: 1_677_724_415,
                related: Some("10.0.0.5:10000".parse().expect("an address")),
                tcp: false,
            }],
            fingerprints: vec![Fingerprint { hash: "sha-256".into(), value: vec![0x9A, 0x1C] }],
            setup: Some(Setup::ActPass),
            web_sockets: vec!["wss://meet.example/colibri-ws/a/b/c?pwd=d".into()],
            sctp_port: Some(5_000),
            generation: None,
        };
        let common = "<transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' ufrag='8hx2q' pwd='3kd9v0e5m1n7p2r4s6t8u0w2'>\
            <web-socket xmlns='http://jitsi.org/protocol/colibri' url='wss://meet.example/colibri-ws/a/b/c?pwd=d'/><rtcp-mux/>\
            <fingerprint xmlns='urn:xmpp:jingle:apps:dtls:0' hash='sha-256' setup='actpass'>9A:1C</fingerprint>\
            <candidate component='1' foundation='1' generation='0' id='c1' network='0' priority='1677724415' protocol='udp' \
            type='srflx' ip='198.51.100.4' port='10000' rel-addr='10.0.0.5' rel-port='10000'/>";
        let sctpmap = "<sctpmap xmlns='urn:xmpp:jingle:transports:dtls-sctp:1' number='5000' protocol='webrtc-datachannel' streams='1024'/>";
        assert_eq!(transport.to_element(false).to_string(), format!("{common}</transport>"));
        assert_eq!(transport.to_element(true).to_string(), format!("{common}{sctpmap}</transport>"));
    }

    #[test]
    fn useless_parts_of_an_answer_are_left_out() {
        let transport = parse(
            "<transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' ufrag='Zk4+' pwd='o1W45678901234567890ab'>\
             <fingerprint xmlns='urn:xmpp:jingle:apps:dtls:0' hash='sha-256' setup='active'>4B:11</fingerprint>\
             <fingerprint xmlns='urn:xmpp:jingle:apps:dtls:0' hash='sha-256'>zz</fingerprint>\
             <candidate component='1' priority='1' protocol='udp' type='host' ip='abc.local' port='9'/>\
             <candidate component='1' priority='7' protocol='udp' type='host' ip='192.0.2.1' port='9'/>\
             <candidate component='2' priority='7' protocol='udp' type='host' ip='192.0.2.1' port='9'/>\
             <unknown xmlns='x'/></transport>",
        );
        assert_eq!(transport.credentials.map(|credentials| credentials.ufrag).as_deref(), Some("Zk4+"));
        assert_eq!((transport.fingerprints.len(), transport.candidates.len()), (1, 1));
        assert_eq!(transport.setup, Some(Setup::Active));
    }

    #[test]
    fn credentials_outside_the_grammar_are_none() {
        for (ufrag, pwd) in
            [("abc", "o1W45678901234567890ab"), ("abcd", "short"), ("ab d", "o1W45678901234567890ab")]
        {
            let element = Element::new("transport", ns::ICE_UDP).attr("ufrag", ufrag).attr("pwd", pwd);
            assert_eq!(Transport::parse(&element).credentials, None, "{ufrag} {pwd}");
        }
    }
}
