//! The adapter for Sluice, and for whatever speaks the same: XMPP over a WebSocket (RFC 7395), a conference request, a room
//! (XEP-0045), a Jingle session (XEP-0166) with sources, and the bridge channel on a data channel.
//!
//! It is a stock client's conversation, without what shapes neither media nor load: no statistics, no chat.

mod bridge_channel;
mod jingle;
mod server;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use contract::session::Media;
use serde_json::json;
use xmpp::Element;

pub use server::{Hosts, Server, Tls};

use crate::peer::{Event, Link, Peer, PeerError, Remote, RemoteSource, Seat, Stay};
use jingle::Offer;
use stream::Stream;

/// The product at one URL.
pub struct Sluice {
    server: Server,
    hosts: Hosts,
    /// Streams come on SSRCs of the bridge, told on the bridge channel (`ssrc-rewriting-1`), as stock clients ask.
    rewriting: bool,
}

impl Sluice {
    /// Finds out the names that signalling uses.
    ///
    /// # Errors
    /// If the server cannot be reached, with the reason.
    pub async fn find(server: Server, rewriting: bool) -> Result<Sluice, PeerError> {
        let hosts = server.hosts().await?;
        Ok(Sluice { server, hosts, rewriting })
    }
}

impl Peer for Sluice {
    fn stay(self: Arc<Self>, seat: Seat) -> Stay {
        Box::pin(async move { Session::join(&self, seat).await?.stay().await })
    }
}

/// One endpoint in a room.
struct Session<'a> {
    sluice: &'a Sluice,
    seat: Seat,
    stream: Stream,
    /// Endpoint id and nickname.
    id: String,
    room: String,
    /// The Jingle session, once offered.
    sid: Option<String>,
    channel_open: bool,
    /// The stage was not known when constraints were sent.
    stage_unknown: bool,
}

impl<'a> Session<'a> {
    async fn join(sluice: &'a Sluice, seat: Seat) -> Result<Session<'a>, PeerError> {
        let mut stream = Stream::connect(&sluice.server, &sluice.hosts, &seat.room).await?;
        let id = stream.jid().split(['-', '@']).next().unwrap_or_default().to_owned();
        seat.identify(&id);
        let room = format!("{}@{}", seat.room, sluice.hosts.muc);
        let request = format!(
            "<iq xmlns='jabber:client' type='set' to='{}' id='conference'><conference xmlns='http://jitsi.org/protocol/focus' \
             room='{room}' machine-uid='load-{id}'/></iq>",
            sluice.hosts.focus
        );
        let mut ready = false;
        for _ in 0..REQUESTS_MAX {
            let answer = stream.request(&request, "conference").await?;
            let conference = answer.child("conference", "http://jitsi.org/protocol/focus");
            ready = conference.and_then(|answer| answer.attribute("ready")) == Some("true");
            if ready {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        if !ready {
            return Err(PeerError("conference request: never ready".into()));
        }
        let session =
            Session { sluice, seat, stream, id, room, sid: None, channel_open: false, stage_unknown: false };
        Ok(session)
    }

    async fn stay(mut self) -> Result<(), PeerError> {
        let presence = self.presence();
        self.stream.send(presence).await?;
        let mut look = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                stanza = self.stream.next() => self.stanza(&stanza?).await?,
                event = self.seat.event() => match event {
                    Event::Leave => break,
                    Event::Failed(reason) => return Err(PeerError(reason)),
                    Event::Connected => {}
                    Event::ChannelOpened => {
                        self.channel_open = true;
                        self.ask();
                        if let Some(video) = &self.seat.plan.video {
                            self.seat.send_text(bridge_channel::video_type(&self.id, video.screen));
                        }
                    }
                    Event::ChannelText(text) => self.bridge_said(&text),
                },
                _ = look.tick() => if self.stage_unknown {
                    self.ask();
                },
            }
        }
        let gone =
            format!("<presence xmlns='jabber:client' to='{}/{}' type='unavailable'/>", self.room, self.id);
        self.stream.send(gone).await?;
        self.stream.close().await;
        Ok(())
    }

    /// What a client tells the room of itself.
    fn presence(&self) -> String {
        let Session { room, id, seat, .. } = self;
        let screen = seat.plan.video.as_ref().is_some_and(|video| video.screen);
        let kind = if screen { "desktop" } else { "camera" };
        let mut sources = serde_json::Map::new();
        sources.insert(format!("{id}-a0"), json!({ "muted": seat.plan.audio.is_none() }));
        sources.insert(format!("{id}-v0"), json!({ "muted": seat.plan.video.is_none(), "videoType": kind }));
        // Clients alike are asked for their features once.
        let version = if self.sluice.rewriting { "cmV3cml0aW5n" } else { "cGxhaW4" };
        let text = |name: &str, text: String| Element::new(name, CLIENT).with_text(text);
        let presence = Element::new("presence", CLIENT)
            .attr("to", format!("{room}/{id}"))
            .with(Element::new("x", "http://jabber.org/protocol/muc"))
            .with(
                Element::new("c", "http://jabber.org/protocol/caps")
                    .attr("hash", "sha-1")
                    .attr("node", "https://example.org/load")
                    .attr("ver", version),
            )
            .with(text("SourceInfo", serde_json::Value::Object(sources).to_string()))
            .with(text("jitsi_participant_codecList", "av1,vp9,vp8,h264".to_owned()))
            .with(Element::new("nick", NICK).with_text(format!("Load {}", seat.place)));
        presence.to_string()
    }

    async fn stanza(&mut self, text: &str) -> Result<(), PeerError> {
        // Most of what comes in a large room is presence of others, which changes nothing here.
        if text.starts_with("<presence") {
            return match text.contains("type='error'") {
                true => Err(PeerError(format!("the room refused: {}", error_of(text)))),
                false => Ok(()),
            };
        }
        if !text.starts_with("<iq") {
            return Ok(());
        }
        let stanza = stream::parse(text)?;
        match stanza.attribute("type") {
            Some("get" | "set") => self.asked(&stanza).await,
            Some("error") if stanza.attribute("id") == Some("accept") => {
                Err(PeerError(format!("the answer was refused: {}", error_of(text))))
            }
            _ => Ok(()),
        }
    }

    /// A request: answered at once, then acted upon.
    async fn asked(&mut self, stanza: &Element) -> Result<(), PeerError> {
        let mut answer = Element::new("iq", "jabber:client")
            .attr("type", "result")
            .attr("id", stanza.attribute("id").unwrap_or_default())
            .attr_if("to", stanza.attribute("from"));
        if stanza.child("query", DISCO_INFO).is_some() {
            let mut query = Element::new("query", DISCO_INFO);
            let rewriting = self.sluice.rewriting.then_some("http://jitsi.org/ssrc-rewriting-1");
            for feature in FEATURES.iter().copied().chain(rewriting) {
                query.push(Element::new("feature", DISCO_INFO).attr("var", feature));
            }
            answer.push(query);
        }
        self.stream.send(answer.to_string()).await?;
        let Some(jingle) = stanza.child("jingle", jingle::JINGLE) else { return Ok(()) };
        match jingle.attribute("action") {
            Some("session-initiate") => self.offered(jingle, stanza.attribute("from")).await,
            Some("source-add") => {
                self.seat.sources(jingle::sources(jingle));
                Ok(())
            }
            Some("session-terminate") => Err(PeerError("the focus ended the session".into())),
            _ => Ok(()),
        }
    }

    async fn offered(&mut self, jingle: &Element, from: Option<&str>) -> Result<(), PeerError> {
        if self.sid.is_some() {
            return Err(PeerError("a second session was offered".into()));
        }
        let offer = Offer::read(jingle)?;
        let address = offer.address(self.sluice.server.address())?;
        let channel = offer.data_channel.then(|| (CHANNEL_LABEL.to_owned(), CHANNEL_PROTOCOL.to_owned()));
        self.seat.sources(jingle::sources(jingle));
        let accept =
            jingle::accept(&offer, &self.seat, &self.id, self.stream.jid(), from.unwrap_or_default());
        self.sid = Some(offer.sid.clone());
        self.seat.connect(Remote {
            address,
            link: Link::Negotiated {
                ufrag: offer.ufrag,
                pwd: offer.pwd,
                fingerprints: offer.fingerprints,
                dtls_active: true,
                ice_controlling: false,
                channel,
            },
            payload_types: offer.payload_types,
            extensions: offer.extensions,
        })?;
        self.stream.send(accept).await
    }

    /// Tells the bridge what to send.
    fn ask(&mut self) {
        if !self.channel_open {
            return;
        }
        let stage = self.seat.on_stage();
        self.stage_unknown = self.seat.plan.wants.stage.is_some() && stage.is_none();
        self.seat.send_text(bridge_channel::constraints(&self.seat.plan.wants, stage.as_deref()));
    }

    fn bridge_said(&mut self, text: &str) {
        match bridge_channel::read(text) {
            Some(bridge_channel::Said::Sources(media, sources)) => {
                let sources = sources.into_iter().map(|source| RemoteSource {
                    ssrc: source.ssrc,
                    rtx: source.rtx.filter(|_| media == Media::Video),
                    media,
                    owner: Some(source.owner),
                });
                self.seat.sources(sources.collect());
            }
            Some(bridge_channel::Said::Limit { source, max_height })
                if source == format!("{}-v0", self.id) =>
            {
                self.seat.limit_camera(max_height);
            }
            Some(bridge_channel::Said::Limit { .. }) | None => {}
        }
    }
}

/// The condition and text of an error stanza, or all of it.
fn error_of(text: &str) -> String {
    let Ok(stanza) = xmpp::parse(text) else { return text.to_owned() };
    let Some(error) = stanza.children().find(|child| child.name() == "error") else { return text.to_owned() };
    let said: Vec<String> = error
        .children()
        .map(|child| if child.name() == "text" { child.text() } else { child.name().to_owned() })
        .collect();
    said.join(", ")
}

const CLIENT: &str = "jabber:client";
const NICK: &str = "http://jabber.org/protocol/nick";
const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
/// What a stock client says that it can.
const FEATURES: [&str; 7] = [
    "urn:xmpp:jingle:apps:rtp:audio",
    "urn:xmpp:jingle:apps:rtp:video",
    "urn:xmpp:jingle:transports:dtls-sctp:1",
    "urn:xmpp:jingle:transports:ice-udp:1",
    "urn:ietf:rfc:4588",
    "http://jitsi.org/tcc",
    "http://jitsi.org/json-encoded-sources",
];
const CHANNEL_LABEL: &str = "JVB data channel";
const CHANNEL_PROTOCOL: &str = "http://jitsi.org/protocols/colibri";
const REQUESTS_MAX: usize = 20;
