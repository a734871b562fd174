//! One XMPP stream over a WebSocket, from `<open/>` to the bound resource (RFC 7395, RFC 6120 §6 and §7).

use contract::Timestamp;
use jid::{BareJid, FullJid};

use crate::attempts::Attempts;
use crate::credentials::{Credentials, Entrance, SignIn, Token};
use crate::error::stream_error;
use crate::frame::{Frame, frame_bytes_max};
use crate::parse::ParseError;
use crate::scram::Scram;
use crate::{Element, ns, stanza};

mod sasl;

/// The WebSocket subprotocol that must be offered and echoed (RFC 7395 §3.1).
pub const SUBPROTOCOL: &str = "xmpp";
/// Bytes of a frame before authentication (the floor of RFC 6120 §13.12).
pub const UNAUTHENTICATED_FRAME_BYTES_MAX: usize = 10_000;
/// The closing frame, letter for letter: clients compare the string.
pub const CLOSE_FRAME: &str = r#"<close xmlns="urn:ietf:params:xml:ns:xmpp-framing" />"#;

/// Who a stream will be once it has authenticated: drawn before it starts, so that the stream needs no chance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The stream id of the `<open/>` answers; unguessable.
    pub stream_id: String,
    /// The local part of the address that SASL ANONYMOUS yields.
    pub localpart: String,
    /// The resource that binding yields.
    pub resource: String,
    /// The server's part of the nonce of SCRAM; unguessable, printable, without commas.
    pub nonce: String,
}

/// What one frame led to, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Send this frame.
    Frame(String),
    /// SASL ended well; the stream is this account now.
    Authenticated(BareJid),
    /// A resource was bound; from now on stanzas flow. Comes before the frame that says so.
    Bound(FullJid),
    /// The client wants to take up an earlier stream instead of binding (XEP-0198 §5).
    Resume(Element),
    /// A stream management element other than `<resume/>` on a bound stream.
    Management(Element),
    /// A stanza on a bound stream.
    Stanza(Element),
    /// The stream is over in both directions; close the socket once everything is sent.
    Close {
        /// Whether the client asked for it, which also ends its session.
        by_client: bool,
    },
}

/// The server side of one stream.
#[derive(Debug)]
pub struct Stream {
    entrance: Entrance,
    host: String,
    sign_in: SignIn,
    identity: Identity,
    is_account: bool,
    exchange: Option<Scram>,
    framing: Framing,
    state: State,
    failures: u8,
}

/// What all logins share: who failed before, how many did, and the time.
#[derive(Debug)]
pub struct Logins<'a> {
    /// Who failed before.
    pub attempts: &'a mut Attempts,
    /// Counters, for metrics.
    pub counts: &'a mut Counts,
    /// Now.
    pub now: Timestamp,
}

/// Logins that did not succeed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Wrong names and passwords, and exchanges that break the rules.
    pub failed: u64,
    /// Tokens that were wrong or missing.
    pub tokens: u64,
    /// Not even tried, after too many failures.
    pub paced: u64,
}

/// What carries the frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// A WebSocket.
    #[default]
    WebSocket,
    /// HTTP requests ([`crate::bosh`]): nothing is lost between them, so stream management is not offered.
    Bosh,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing was said yet.
    Start,
    /// Features with SASL mechanisms were sent.
    Authenticating,
    /// SASL succeeded; the client opens its stream anew.
    Restarting,
    /// Features with binding were sent.
    Binding,
    /// Stanzas flow.
    Bound,
    /// Nothing more is read or written.
    Closed,
}

impl Stream {
    /// A stream to one of the virtual hosts of `entrance`; the first one speaks when the client named none.
    pub fn new(entrance: Entrance, identity: Identity, framing: Framing) -> Stream {
        let host = entrance.hosts.first().map(|host| host.name.clone()).unwrap_or_default();
        Stream {
            entrance,
            host,
            sign_in: SignIn::default(),
            identity,
            is_account: false,
            exchange: None,
            framing,
            state: State::Start,
            failures: 0,
        }
    }

    /// Whether SASL has succeeded.
    pub fn is_authenticated(&self) -> bool {
        matches!(self.state, State::Restarting | State::Binding | State::Bound)
    }

    /// Whether a resource is bound or an earlier stream was taken up.
    pub fn is_bound(&self) -> bool {
        self.state == State::Bound
    }

    /// Whether the client has not even opened the stream.
    pub fn is_silent(&self) -> bool {
        self.state == State::Start
    }

    /// The account of an authenticated stream.
    pub fn account(&self) -> Option<BareJid> {
        let address = format!("{}@{}", self.identity.localpart, self.host);
        if self.is_authenticated() { BareJid::new(&address).ok() } else { None }
    }

    /// What an authenticated stream has proved; the tenant is not its to know.
    pub fn credentials(&self) -> Credentials {
        let token = match (&self.entrance.token, self.sign_in) {
            (Token::Valid(claims), SignIn::Token { .. }) => Some(claims.clone()),
            _ => None,
        };
        Credentials { is_account: self.is_account, token, tenant: None }
    }

    /// The earlier stream was found: this one continues it and needs no binding.
    pub fn resumed(&mut self) {
        self.state = State::Bound;
    }

    /// Takes one frame and appends what it led to.
    pub fn frame(&mut self, frame: impl Into<Frame>, logins: &mut Logins<'_>, out: &mut Vec<Event>) {
        if self.state == State::Closed {
            return;
        }
        let element = match frame.into().within(frame_bytes_max(self.is_authenticated())) {
            Ok(element) => element,
            Err(ParseError::NotWellFormed) => return self.fail("not-well-formed", out),
            Err(ParseError::Restricted) => return self.fail("restricted-xml", out),
            Err(ParseError::TooLarge) => return self.fail("policy-violation", out),
        };
        if element.is("close", ns::FRAMING) {
            return self.close(true, out);
        }
        match self.state {
            State::Start | State::Restarting => self.open(&element, out),
            State::Authenticating => self.authenticate(&element, logins, out),
            State::Binding => self.bind(element, out),
            State::Bound => self.bound(element, out),
            State::Closed => {}
        }
    }

    /// Ends the stream with the error `condition` (RFC 6120 §4.9.3).
    pub fn fail(&mut self, condition: &str, out: &mut Vec<Event>) {
        if self.state == State::Closed {
            return;
        }
        if self.state == State::Start {
            // A client only reads errors of a stream that was opened (RFC 7395 §3.4).
            out.push(Event::Frame(self.opening()));
        }
        out.push(Event::Frame(stream_error(condition).to_string()));
        self.close(false, out);
    }

    fn close(&mut self, by_client: bool, out: &mut Vec<Event>) {
        self.state = State::Closed;
        out.push(Event::Frame(CLOSE_FRAME.to_owned()));
        out.push(Event::Close { by_client });
    }

    fn open(&mut self, element: &Element, out: &mut Vec<Event>) {
        if !element.is("open", ns::FRAMING) {
            return self.fail("invalid-namespace", out);
        }
        if element.attribute("version") != Some("1.0") {
            return self.fail("unsupported-version", out);
        }
        let asked = element.attribute("to").unwrap_or_default();
        let host = self.entrance.hosts.iter().find(|host| host.name.eq_ignore_ascii_case(asked));
        let Some(host) = host else { return self.fail("host-unknown", out) };
        if self.state == State::Restarting {
            if host.name != self.host {
                return self.fail("host-unknown", out);
            }
            self.state = State::Binding;
        } else {
            self.host = host.name.clone();
            self.sign_in = host.sign_in;
            self.state = State::Authenticating;
        }
        out.push(Event::Frame(self.opening()));
        out.push(Event::Frame(self.features().to_string()));
    }

    fn bind(&mut self, element: Element, out: &mut Vec<Event>) {
        if element.ns() == ns::SM {
            if element.name() == "resume" && self.framing == Framing::WebSocket {
                return out.push(Event::Resume(element));
            }
            let refusal =
                Element::new("failed", ns::SM).with(Element::new("unexpected-request", ns::STANZA_ERRORS));
            return out.push(Event::Frame(refusal.to_string()));
        }
        let is_bind = element.is("iq", ns::JABBER_CLIENT)
            && element.attribute("type") == Some("set")
            && element.child("bind", ns::BIND).is_some();
        if !is_bind {
            return self.fail("not-authorized", out);
        }
        let address = format!("{}@{}/{}", self.identity.localpart, self.host, self.identity.resource);
        let Ok(jid) = FullJid::new(&address) else {
            return self.fail("internal-server-error", out);
        };
        self.state = State::Bound;
        let bound =
            Element::new("bind", ns::BIND).with(Element::new("jid", ns::BIND).with_text(jid.as_str()));
        let result = Element::new("iq", ns::JABBER_CLIENT)
            .attr("type", "result")
            .attr_if("id", element.attribute("id"))
            .with(bound);
        out.push(Event::Bound(jid));
        out.push(Event::Frame(result.to_string()));
    }

    fn bound(&mut self, element: Element, out: &mut Vec<Event>) {
        if element.ns() == ns::SM && self.framing == Framing::Bosh {
            let refusal = Element::new("feature-not-implemented", ns::STANZA_ERRORS);
            out.push(Event::Frame(Element::new("failed", ns::SM).with(refusal).to_string()));
        } else if element.ns() == ns::SM {
            out.push(Event::Management(element));
        } else if stanza::is_stanza(&element) {
            out.push(Event::Stanza(element));
        } else {
            self.fail("unsupported-stanza-type", out);
        }
    }

    fn opening(&self) -> String {
        Element::new("open", ns::FRAMING)
            .attr("from", self.host.as_str())
            .attr("id", self.identity.stream_id.as_str())
            .attr("version", "1.0")
            .attr("xml:lang", "en")
            .to_string()
    }

    fn features(&self) -> Element {
        let features = Element::new("features", ns::STREAM);
        if self.state == State::Binding {
            // `session` is left out: offering it costs the client one more round trip.
            let management = (self.framing == Framing::WebSocket).then(|| Element::new("sm", ns::SM));
            return features.with(Element::new("bind", ns::BIND)).with_all(management);
        }
        let mechanisms = self.mechanisms().into_iter();
        let mechanisms = mechanisms.map(|name| Element::new("mechanism", ns::SASL).with_text(name));
        features.with(Element::new("mechanisms", ns::SASL).with_all(mechanisms))
    }
}

#[cfg(test)]
mod tests;
