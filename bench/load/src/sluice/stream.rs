//! An XMPP stream on a WebSocket (RFC 7395): opened, signed in anonymously, bound.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use xmpp::Element;

use super::server::{Connection, Hosts, Server};
use crate::peer::PeerError;

/// A bound stream.
pub(super) struct Stream {
    socket: WebSocketStream<Box<dyn Connection>>,
    jid: String,
    /// Came while an answer was awaited.
    early: std::collections::VecDeque<String>,
}

impl Stream {
    /// Connects, signs in and binds.
    pub(super) async fn connect(server: &Server, hosts: &Hosts, room: &str) -> Result<Stream, PeerError> {
        let socket = server.web_socket(&format!("/xmpp-websocket?room={room}"), "xmpp").await?;
        let mut stream = Stream { socket, jid: String::new(), early: Default::default() };
        let open = format!(
            "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='{}' version='1.0'/>",
            hosts.domain
        );
        stream.send(open.clone()).await?;
        stream.until("<stream:features").await?;
        stream.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>".into()).await?;
        stream.until("<success").await?;
        stream.send(open).await?;
        stream.until("<stream:features").await?;
        let bind = "<iq xmlns='jabber:client' type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
        let bound = stream.request(bind, "bind").await?;
        let jid = bound.child("bind", BIND).and_then(|bind| bind.child("jid", BIND)).map(Element::text);
        stream.jid = jid.ok_or_else(|| PeerError("bind: the server gave no address".into()))?;
        Ok(stream)
    }

    /// Our address.
    pub(super) fn jid(&self) -> &str {
        &self.jid
    }

    /// Sends a frame.
    pub(super) async fn send(&mut self, frame: String) -> Result<(), PeerError> {
        self.socket.send(Message::text(frame)).await.map_err(|error| PeerError::new("XMPP", error))
    }

    /// The next frame.
    pub(super) async fn next(&mut self) -> Result<String, PeerError> {
        match self.early.pop_front() {
            Some(frame) => Ok(frame),
            None => self.read().await,
        }
    }

    /// Sends an IQ and waits for its answer. What comes in between is kept for [`Stream::next`].
    pub(super) async fn request(&mut self, iq: &str, id: &str) -> Result<Element, PeerError> {
        self.send(iq.to_owned()).await?;
        let answer = async {
            loop {
                let frame = self.read().await?;
                if frame.starts_with("<iq") {
                    let stanza = parse(&frame)?;
                    let answers = matches!(stanza.attribute("type"), Some("result" | "error"));
                    if answers && stanza.attribute("id") == Some(id) {
                        return match stanza.attribute("type") {
                            Some("error") => Err(PeerError(format!("{id}: {}", super::error_of(&frame)))),
                            _ => Ok(stanza),
                        };
                    }
                }
                self.early.push_back(frame);
            }
        };
        tokio::time::timeout(ANSWER_WITHIN, answer)
            .await
            .map_err(|_| PeerError(format!("{id}: no answer")))?
    }

    /// Says goodbye.
    pub(super) async fn close(mut self) {
        let _ = self.send("<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>".into()).await;
        let _ = self.socket.close(None).await;
    }

    async fn until(&mut self, start: &str) -> Result<(), PeerError> {
        let read = async {
            loop {
                let frame = self.read().await?;
                if frame.starts_with(start) {
                    return Ok(());
                }
                if frame.starts_with("<failure")
                    || frame.starts_with("<stream:error")
                    || frame.starts_with("<close")
                {
                    return Err(PeerError(format!("XMPP: refused: {frame}")));
                }
            }
        };
        tokio::time::timeout(ANSWER_WITHIN, read)
            .await
            .map_err(|_| PeerError(format!("XMPP: no {start}>")))?
    }

    async fn read(&mut self) -> Result<String, PeerError> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
                Some(Ok(Message::Close(_))) | None => {
                    return Err(PeerError("XMPP: the server closed the connection".into()));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(PeerError::new("XMPP", error)),
            }
        }
    }
}

/// Reads a stanza.
pub(super) fn parse(text: &str) -> Result<Element, PeerError> {
    xmpp::parse_within(text, STANZA_BYTES_MAX)
        .map_err(|error| PeerError::new("a stanza of the server", error))
}

const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
/// Signalling under a storm of joins is slow; what takes longer has failed.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// An offer in a large room without SSRC rewriting has hundreds of kilobytes.
const STANZA_BYTES_MAX: usize = 8 << 20;
