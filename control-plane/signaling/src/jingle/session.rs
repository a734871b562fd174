//! One Jingle session from offer to end (XEP-0166 §4.1), as states that are consumed: what is not accepted cannot be
//! told about sources, and what has ended cannot be told anything.

use contract::session::Media;
use xmpp::{Element, ns as xmpp_ns};

use super::description::{CodecConfig, Description, media_name};
use super::features::Features;
use super::ns;
use super::sources::{OwnedSources, json_message, source_contents, source_elements};
use super::transport::Transport;
use crate::random::{self, Random};

/// What an offer is made of.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// Full address of the focus user.
    pub initiator: &'a str,
    /// What the client can do.
    pub features: &'a Features,
    /// What the server offers at all.
    pub codecs: &'a CodecConfig,
    /// Our transport, the same for all contents. With an SCTP port a data channel is offered.
    pub transport: &'a Transport,
    /// Where the bridge is.
    pub region: Option<&'a str>,
    /// Start with the microphone off.
    pub audio_muted: bool,
    /// Start with the camera off.
    pub video_muted: bool,
    /// The bridge's own sources and those that the client is to receive now.
    pub sources: &'a OwnedSources,
}

/// Offered, not accepted.
#[derive(Debug)]
pub struct Pending {
    identity: Identity,
}

/// Accepted.
#[derive(Debug)]
pub struct Active {
    identity: Identity,
}

#[derive(Debug)]
struct Identity {
    sid: String,
    bridge_session: String,
}

/// Whether sources come or go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceChange {
    /// `source-add`.
    Add,
    /// `source-remove`.
    Remove,
}

/// Why the focus ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// A new offer follows.
    Moving,
    /// Nobody else is there.
    Idle,
    /// Something about the session failed.
    Failed,
}

impl Pending {
    /// Makes an offer: a session with a fresh sid and bridge-session id, and its `session-initiate`.
    pub fn initiate(random: &mut Random, offer: &Offer<'_>) -> (Pending, Element) {
        let identity = Identity { sid: random::hex(random, 16), bridge_session: random::hex(random, 12) };
        let jingle = identity.jingle("session-initiate").attr("initiator", offer.initiator);
        let names: Vec<&str> = offer.contents().collect();
        let mut jingle = jingle.with_all(names.iter().map(|name| offer.content(name)));
        let members = names.iter().map(|name| Element::new("content", ns::GROUPING).attr("name", *name));
        jingle.push(Element::new("group", ns::GROUPING).attr("semantics", "BUNDLE").with_all(members));
        if offer.audio_muted || offer.video_muted {
            let muted = Element::new("startmuted", ns::START_MUTED)
                .attr("audio", offer.audio_muted.to_string())
                .attr("video", offer.video_muted.to_string());
            jingle.push(muted);
        }
        let bridge_session = Element::new("bridge-session", xmpp_ns::FOCUS)
            .attr("id", identity.bridge_session.as_str())
            .attr_if("region", offer.region);
        jingle.push(bridge_session);
        if offer.features.json_sources {
            jingle.push(json_message(offer.sources));
        }
        (Pending { identity }, jingle)
    }

    /// The client has accepted.
    pub fn accepted(self) -> Active {
        Active { identity: self.identity }
    }

    /// The session id.
    pub fn sid(&self) -> &str {
        &self.identity.sid
    }

    /// The id that names this allocation on the bridge to the client.
    pub fn bridge_session(&self) -> &str {
        &self.identity.bridge_session
    }

    /// The focus ends the session before it was accepted: its `session-terminate`.
    pub fn ended(self, reason: EndReason) -> Element {
        self.identity.terminate(reason)
    }
}

impl Active {
    /// The session id.
    pub fn sid(&self) -> &str {
        &self.identity.sid
    }

    /// The id that names this allocation on the bridge to the client.
    pub fn bridge_session(&self) -> &str {
        &self.identity.bridge_session
    }

    /// `source-add` or `source-remove`, as JSON or as XML.
    pub fn sources(&self, change: SourceChange, sources: &OwnedSources, json: bool) -> Element {
        let jingle = self.identity.jingle(match change {
            SourceChange::Add => "source-add",
            SourceChange::Remove => "source-remove",
        });
        match json {
            true => jingle.with(json_message(sources)),
            false => jingle.with_all(source_contents(sources)),
        }
    }

    /// `transport-info` with our new transport after an in-place ICE restart. Clients ignore one without generation.
    pub fn transport_info(&self, transport: &Transport) -> Element {
        let content = Element::new("content", ns::JINGLE)
            .attr("creator", "initiator")
            .attr("name", "audio")
            .with(transport.to_element(false));
        self.identity.jingle("transport-info").with(content)
    }

    /// The focus ends the session: its `session-terminate`.
    pub fn ended(self, reason: EndReason) -> Element {
        self.identity.terminate(reason)
    }
}

impl Identity {
    fn jingle(&self, action: &str) -> Element {
        Element::new("jingle", ns::JINGLE).attr("action", action).attr("sid", self.sid.as_str())
    }

    fn terminate(&self, reason: EndReason) -> Element {
        let (name, text) = match reason {
            EndReason::Moving => ("success", "moving"),
            EndReason::Idle => ("expired", "Idle session timeout"),
            EndReason::Failed => ("general-error", "jingle session failed"),
        };
        let reason = Element::new("reason", ns::JINGLE)
            .with(Element::new(name, ns::JINGLE))
            .with(Element::new("text", ns::JINGLE).with_text(text));
        self.jingle("session-terminate").with(reason)
    }
}

impl Offer<'_> {
    fn contents(&self) -> impl Iterator<Item = &'static str> {
        let contents = [
            (self.features.audio, AUDIO),
            (self.features.video, VIDEO),
            (self.features.sctp && self.transport.sctp_port.is_some(), DATA),
        ];
        contents.into_iter().filter(|(offered, _)| *offered).map(|(_, name)| name)
    }

    fn content(&self, name: &str) -> Element {
        let description = match name {
            AUDIO => self.description(Media::Audio),
            VIDEO => self.description(Media::Video),
            _ => Element::new("description", ns::RTP)
                .attr("media", "application")
                .with(Element::new("rtcp-mux", ns::RTP)),
        };
        Element::new("content", ns::JINGLE)
            .attr("creator", "initiator")
            .attr("name", name)
            .attr("senders", "both")
            .with(description)
            .with(self.transport.to_element(name == DATA))
    }

    fn description(&self, media: Media) -> Element {
        let element = Description::offer(media, self.features, self.codecs).to_element();
        match self.features.json_sources {
            true => element,
            false => element.with_all(source_elements(self.sources, media)),
        }
    }
}

const AUDIO: &str = media_name(Media::Audio);
const VIDEO: &str = media_name(Media::Video);
const DATA: &str = "data";
