//! What goes into signalling and what comes out of it.

use contract::{Command, EndpointId, Report};
use xmpp::credentials::Credentials;
use xmpp::jid::FullJid;
use xmpp::{Element, SessionId, Text};

use crate::association;
use crate::focus::{ConferenceAnswer, ConferenceRefusal, ConferenceRequest};

/// What came in.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "inputs are handled one at a time, never stored")]
pub enum Input {
    /// A client bound a resource.
    SessionOpened {
        /// Its session.
        session: SessionId,
        /// Its address.
        jid: FullJid,
        /// The room that its URL named.
        query_room: Option<String>,
    },
    /// What the bearer of a session has proved; comes after [`Input::SessionOpened`], and again when that changes.
    Credentials {
        /// Whose.
        session: SessionId,
        /// What.
        credentials: Credentials,
    },
    /// A client's stream ended for good.
    SessionClosed {
        /// Its session.
        session: SessionId,
    },
    /// A stanza from a client; its `from` is not trusted.
    Stanza {
        /// From whom.
        session: SessionId,
        /// What.
        stanza: Element,
    },
    /// A conference request over HTTP; answered by [`Output::ConferenceAnswer`]. Make its room by
    /// [`Signaling::room_address`](super::Signaling::room_address); others are refused.
    ConferenceRequest {
        /// Comes back with the answer.
        token: u64,
        /// What is asked.
        request: ConferenceRequest,
        /// What the token of the request proves.
        credentials: Credentials,
    },
    /// News from the media plane.
    Report(Report),
    /// News from the handshake threads and bridge-channel WebSockets.
    Association(association::Event),
    /// The media plane could not seat an endpoint.
    Refused {
        /// Whom.
        endpoint: EndpointId,
    },
}

/// What is to be done.
#[derive(Debug)]
pub enum Output {
    /// Deliver a stanza.
    Stanza {
        /// To whom.
        session: SessionId,
        /// What.
        stanza: Element,
    },
    /// Deliver a stanza that many get.
    Copy {
        /// To whom.
        session: SessionId,
        /// What.
        text: Text,
    },
    /// End a session with a stream error.
    CloseSession {
        /// Whose.
        session: SessionId,
        /// The stream error condition.
        condition: &'static str,
    },
    /// The answer to [`Input::ConferenceRequest`].
    ConferenceAnswer {
        /// Of the request.
        token: u64,
        /// What to say.
        answer: Result<ConferenceAnswer, ConferenceRefusal>,
    },
    /// To the media plane.
    Command(Command),
    /// To the handshake threads and bridge channels.
    Association(association::Command),
}
