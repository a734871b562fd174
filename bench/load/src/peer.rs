//! The seam between the generator and the product under load: what an adapter is given, and what it has to say.
//!
//! An adapter is one [`Peer`]: a type with one asynchronous function that plays one endpoint from its joining to its
//! leaving. It gets a [`Seat`] and
//!
//! 1. says who the endpoint is, once signalling told or it chose ([`Seat::identify`]);
//! 2. signals what the seat sends: its SSRCs ([`Seat::streams`]), ICE credentials and fingerprint ([`Seat::local`]);
//! 3. gives the other side's half ([`Seat::connect`]): one address, ICE credentials, fingerprint, who begins DTLS, payload
//!    types and header extensions, and whether to open a data channel;
//! 4. tells which SSRC carries whose media as soon as signalling tells ([`Seat::sources`]); packets of another endpoint on
//!    such an SSRC count as `wrong_source`;
//! 5. answers [`Event`]s until [`Event::Leave`], then leaves.
//!
//! Nothing of media, ICE, DTLS or SCTP is the adapter's concern. Products that send and receive on connections of their own
//! (Janus, LiveKit) get a second one by [`Seat::receiving`]. [`crate::sluice`] is the example, [`crate::peers`] has the others.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use contract::Timestamp;
use contract::session::{Codec, ExtensionIds, Media, PayloadTypes, SrtpKeys};
use tokio::sync::mpsc;

use crate::camera::Camera;
use crate::clock::Clock;
use crate::handshakes;
use crate::pump;
use crate::scenario::EndpointPlan;
use crate::socket::{Socket, SocketOptions};

/// A product under load.
pub trait Peer: Send + Sync {
    /// Plays one endpoint. Returns when it has left; an error is a failed join, or a session that ended early.
    fn stay(self: Arc<Self>, seat: Seat) -> Stay;
}

/// The future of [`Peer::stay`].
pub type Stay = Pin<Box<dyn Future<Output = Result<(), PeerError>> + Send>>;

/// Why an endpoint could not join or stay; the text is for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PeerError(pub String);

impl PeerError {
    /// From anything that can be shown, with what was being done.
    pub fn new(doing: &str, cause: impl std::fmt::Display) -> PeerError {
        PeerError(format!("{doing}: {cause}"))
    }
}

/// News from below, for the adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// ICE and DTLS are done; media flows both ways.
    Connected,
    /// The data channel is open.
    ChannelOpened,
    /// A message on it.
    ChannelText(String),
    /// ICE or DTLS failed or ended.
    Failed(String),
    /// The run is over: leave.
    Leave,
}

/// Our half of the transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// ICE user fragment.
    pub ufrag: String,
    /// ICE password.
    pub pwd: String,
    /// SHA-256 of our certificate, in the usual pairs of digits.
    pub fingerprint: String,
}

/// SSRCs of what the seat sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SendStreams {
    /// Of the microphone.
    pub audio: Option<u32>,
    /// Of each video stream and of its retransmissions; lowest encoding first.
    pub video: Vec<(u32, u32)>,
}

/// How the endpoint gets to the other side.
#[derive(Clone, Debug)]
pub enum Link {
    /// ICE, then DTLS.
    Negotiated {
        /// ICE user fragment.
        ufrag: String,
        /// ICE password.
        pwd: String,
        /// Hash name and digits of the certificate's fingerprints; one must match.
        fingerprints: Vec<(String, String)>,
        /// We send the ClientHello.
        dtls_active: bool,
        /// We are the controlling ICE agent.
        ice_controlling: bool,
        /// Open the data channel with this label and protocol.
        channel: Option<(String, String)>,
    },
    /// Nothing but SRTP, with these keys; for the self-check.
    Bare(Box<SrtpKeys>),
}

/// The other side's half.
#[derive(Clone, Debug)]
pub struct Remote {
    /// Where it takes media.
    pub address: SocketAddr,
    /// How to get there.
    pub link: Link,
    /// Its payload types.
    pub payload_types: PayloadTypes,
    /// Its header extensions.
    pub extensions: ExtensionIds,
}

/// Whose media an SSRC carries, as signalled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteSource {
    /// Media SSRC.
    pub ssrc: u32,
    /// SSRC of its retransmissions.
    pub rtx: Option<u32>,
    /// Audio or video.
    pub media: Media,
    /// Who sends it, as in [`Seat::identify`]; `None` if signalling does not tell.
    pub owner: Option<String>,
}

/// Who is who in a run: identities by their place in it. Places are those of the whole run.
#[derive(Debug, Default)]
pub struct Roster {
    places: Mutex<HashMap<String, u32>>,
    names: Mutex<HashMap<u32, String>>,
}

impl Roster {
    /// The endpoint with this identity.
    pub fn place(&self, identity: &str) -> Option<u32> {
        self.places.lock().ok()?.get(identity).copied()
    }

    /// The identity of this endpoint, if it has one yet.
    pub fn identity(&self, place: u32) -> Option<String> {
        self.names.lock().ok()?.get(&place).cloned()
    }

    fn note(&self, identity: &str, place: u32) {
        if let (Ok(mut places), Ok(mut names)) = (self.places.lock(), self.names.lock()) {
            places.insert(identity.to_owned(), place);
            names.insert(place, identity.to_owned());
        }
    }
}

/// What all seats of a run share.
pub struct Shared {
    /// Who is who.
    pub roster: Roster,
    /// The clock of the run.
    pub clock: Clock,
    /// Orders to each media thread; a connection's is its number modulo theirs.
    pub pumps: Vec<pump::Handle>,
    /// Number of the next connection beyond the first of each endpoint, which has the endpoint's place.
    pub connections: AtomicU32,
    /// The handshake thread.
    pub handshakes: handshakes::Handle,
    /// How sockets are opened.
    pub sockets: SocketOptions,
    /// Our certificate's fingerprint.
    pub fingerprint: String,
    /// When signalling first gave an endpoint the other side's half.
    pub first_offer: OnceLock<Instant>,
}

/// One endpoint, as its adapter holds it. Dropping it ends the endpoint.
pub struct Seat {
    /// Its place in the run.
    pub place: u32,
    /// The room's name.
    pub room: String,
    /// Place of the room's first endpoint.
    pub room_begins: u32,
    /// What it sends and wants.
    pub plan: EndpointPlan,
    /// Our half of the transport.
    pub local: Local,
    /// SSRCs of what it sends.
    pub streams: SendStreams,
    /// Number of this connection in the run.
    connection: u32,
    shared: Arc<Shared>,
    events: mpsc::UnboundedReceiver<Event>,
    events_in: mpsc::UnboundedSender<Event>,
    started: Timestamp,
}

impl Seat {
    /// A seat, and the way to tell it things.
    pub fn new(
        place: u32,
        room: &str,
        room_begins: u32,
        plan: EndpointPlan,
        shared: &Arc<Shared>,
    ) -> (Seat, mpsc::UnboundedSender<Event>) {
        let (events_in, events) = mpsc::unbounded_channel();
        let seat = Seat {
            place,
            room: room.to_owned(),
            room_begins,
            local: local(place, &shared.fingerprint),
            streams: send_streams(&plan, place),
            plan,
            connection: place,
            shared: shared.clone(),
            events,
            events_in: events_in.clone(),
            started: shared.clock.now(),
        };
        (seat, events_in)
    }

    /// A second connection of the same endpoint, which sends nothing, for products that have one for each direction. It
    /// gets no [`Event::Leave`].
    pub fn receiving(&self) -> Seat {
        let (events_in, events) = mpsc::unbounded_channel();
        let connection = self.shared.connections.fetch_add(1, Ordering::Relaxed);
        Seat {
            place: self.place,
            room: self.room.clone(),
            room_begins: self.room_begins,
            plan: EndpointPlan { audio: None, video: None, ..self.plan.clone() },
            local: local(connection, &self.shared.fingerprint),
            streams: SendStreams::default(),
            connection,
            shared: self.shared.clone(),
            events,
            events_in,
            started: self.started,
        }
    }

    /// Says who the endpoint is: the name that others are told as the owner of its sources.
    pub fn identify(&self, identity: &str) {
        self.shared.roster.note(identity, self.place);
    }

    /// Identity of the endpoint that this one has on stage, if it has one and that one is known yet.
    pub fn on_stage(&self) -> Option<String> {
        let stage = self.plan.wants.stage?;
        self.shared.roster.identity(self.room_begins + stage as u32)
    }

    /// Connects to the other side, and says from where. [`Event::Connected`] follows, or [`Event::Failed`].
    ///
    /// # Errors
    /// If no socket can be opened, or a codec of the plan is not among the payload types.
    pub fn connect(&self, remote: Remote) -> Result<SocketAddr, PeerError> {
        if let Some(video) = &self.plan.video
            && !remote.payload_types.iter().any(|known| known.codec == video.codec)
        {
            return Err(PeerError(format!("{:?} was not offered", video.codec)));
        }
        self.shared.first_offer.get_or_init(Instant::now);
        let socket = Socket::open(remote.address, self.shared.sockets)
            .map_err(|error| PeerError::new("opening a media socket", error))?;
        let (local, socket) = (socket.local(), Arc::new(socket));
        if let Link::Negotiated { fingerprints, dtls_active, channel, .. } = &remote.link {
            let opening = handshakes::Opening {
                connection: self.connection,
                socket: socket.clone(),
                fingerprints: fingerprints.clone(),
                active: *dtls_active,
                channel: channel.clone(),
                events: self.events_in.clone(),
                pump: self.pump().clone(),
            };
            self.shared.handshakes.tell(handshakes::Order::Open(Box::new(opening)));
        }
        let opening = pump::Opening {
            place: self.place,
            connection: self.connection,
            plan: self.plan.clone(),
            local: self.local.clone(),
            streams: self.streams.clone(),
            remote,
            socket,
            events: self.events_in.clone(),
            room_begins: self.room_begins,
            started: self.started,
        };
        self.pump().tell(pump::Order::Open(Box::new(opening)));
        Ok(local)
    }

    /// Tells whose media arrives on which SSRC. Additive; an SSRC told again is re-assigned.
    pub fn sources(&self, sources: Vec<RemoteSource>) {
        let known = sources.into_iter().map(|source| {
            let owner = source.owner.as_deref().and_then(|owner| self.shared.roster.place(owner));
            (source, owner)
        });
        self.pump().tell(pump::Order::Sources(self.connection, known.collect()));
    }

    /// The other side wants the camera at no more than this height; −1 = any, 0 = not at all.
    pub fn limit_camera(&self, max_height: i32) {
        self.pump().tell(pump::Order::Limit(self.connection, max_height));
    }

    /// Sends a message on the data channel.
    pub fn send_text(&self, text: String) {
        self.shared.handshakes.tell(handshakes::Order::Text(self.connection, text));
    }

    /// What happened next.
    pub async fn event(&mut self) -> Event {
        self.events.recv().await.unwrap_or(Event::Leave)
    }

    fn pump(&self) -> &pump::Handle {
        &self.shared.pumps[self.connection as usize % self.shared.pumps.len()]
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.pump().tell(pump::Order::Close(self.connection));
        self.shared.handshakes.tell(handshakes::Order::Close(self.connection));
    }
}

/// Our half of the transport of a connection.
fn local(connection: u32, fingerprint: &str) -> Local {
    Local {
        ufrag: format!("L{connection:06}{}", random_text(6)),
        pwd: random_text(24),
        fingerprint: fingerprint.to_owned(),
    }
}

/// Letters and digits by the system's chance.
pub fn random_text(len: usize) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = vec![0; len];
    // Without the system's chance the text is still valid; two alike are then refused by the other side.
    let _ = getrandom::fill(&mut bytes);
    bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()
}

/// SSRCs that no two endpoints of a run share: sixteen to each place, under a start by chance.
fn send_streams(plan: &EndpointPlan, place: u32) -> SendStreams {
    static START: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    let start = START.get_or_init(|| {
        let mut bytes = [0; 4];
        let _ = getrandom::fill(&mut bytes);
        u32::from_be_bytes(bytes) & 0x3FFF_FFF0 | 0x4000_0000
    });
    let mut next = start + place * 16;
    let mut take = || {
        next += 1;
        next
    };
    let audio = plan.audio.map(|_| take());
    let count = plan.video.as_ref().map_or(0, Camera::stream_count);
    SendStreams { audio, video: (0..count).map(|_| (take(), take())).collect() }
}

/// Encoding name in SDP, Jingle and colibri2 (RFC 8866 §6.6).
pub(crate) fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::Opus => "opus",
        Codec::Red => "red",
        Codec::TelephoneEvent => "telephone-event",
        Codec::Vp8 => "VP8",
        Codec::Vp9 => "VP9",
        Codec::H264 => "H264",
        Codec::Av1 => "AV1",
    }
}
