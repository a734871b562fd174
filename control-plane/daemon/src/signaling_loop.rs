//! The one thread that owns streams, rooms, focus and the media plane's handle: everything else sends it messages.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::session::{Candidate, SrtpKeys};
use contract::{Command, EndpointId, Report, Timestamp};
use signaling::association::{self, ChannelKind, Event};
use signaling::focus::{ConferenceAnswer, ConferenceRefusal, ConferenceRequest};
use signaling::{Input, SessionId, Signaling};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use worker::MediaPlane;
use xmpp::accounts::Accounts;
use xmpp::credentials::Credentials;
use xmpp::streams::Query;
use xmpp::{ConnectionId, Frame, Streams, streams};

use crate::channels::{ChannelId, Channels, Route, ToChannel};
use crate::handshake::Threads;
use crate::outbox::{Outbox, ToConnection};
use crate::refusals::Reason;
use crate::room_services::RoomRequest;
use crate::status::{Rates, Sample, Seat, Status, WorkerSample};
use crate::wake::WakeUp;

mod endpoints;
mod intake;

use self::endpoints::{Endpoint, Endpoints};
pub(crate) use self::intake::{Handle, queue};

/// What the loop is told.
pub(crate) enum Message {
    /// An XMPP WebSocket opened.
    Connected { connection: ConnectionId, query: Query, sender: Outbox, accepted: oneshot::Sender<bool> },
    /// A frame came in; it gives back its room in the queue when it was taken.
    Frame { connection: ConnectionId, frame: Frame, _room: OwnedSemaphorePermit },
    /// The socket is gone.
    Lost { connection: ConnectionId },
    /// A conference request over HTTP.
    ConferenceRequest {
        request: ConferenceRequest,
        credentials: Credentials,
        reply: oneshot::Sender<Result<ConferenceAnswer, ConferenceRefusal>>,
    },
    /// May this bridge-channel WebSocket open, and for whom?
    AuthorizeChannel {
        conference: String,
        endpoint: String,
        password: String,
        reply: oneshot::Sender<Option<EndpointId>>,
    },
    /// It opened.
    ChannelOpened { endpoint: EndpointId, channel: ChannelId, sender: mpsc::Sender<ToChannel> },
    /// A message on it.
    ChannelText { endpoint: EndpointId, text: String },
    /// It is gone.
    ChannelClosed { endpoint: EndpointId, channel: ChannelId },
    /// From a handshake thread.
    Association(Event),
    /// From a handshake thread: verified keys.
    Keys { endpoint: EndpointId, keys: SrtpKeys },
    /// From the private pages about rooms.
    Rooms(RoomRequest),
    /// From now on these accounts sign in.
    Accounts(Arc<Accounts>),
    /// Where clients are told to reach us from now on.
    Candidates(Vec<Candidate>),
    /// The machine has got these addresses; those that media now receives on come back.
    NewAddresses { addresses: Vec<SocketAddr>, reply: oneshot::Sender<Vec<SocketAddr>> },
    /// Limits that hold from now on.
    Limits { rooms_max: usize, occupants_max: usize },
    /// Close everything and end.
    Stop { done: oneshot::Sender<()> },
}

/// The house's clock over the system's monotonic one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn new() -> Clock {
        Clock(Instant::now())
    }

    pub(crate) fn now(self) -> Timestamp {
        Timestamp::from_micros(u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Waits until `at`; for ever if it is [`Timestamp::NEVER`].
    pub(crate) async fn sleep_until(self, at: Timestamp) {
        match self.0.checked_add(Duration::from_micros(at.as_micros())).filter(|_| at != Timestamp::NEVER) {
            Some(at) => tokio::time::sleep_until(at.into()).await,
            None => std::future::pending().await,
        }
    }
}

/// The loop's state.
pub(crate) struct SignalingLoop {
    clock: Clock,
    streams: Streams,
    signaling: Signaling,
    media: Option<MediaPlane>,
    handshakes: Option<Threads>,
    connections: HashMap<ConnectionId, Outbox>,
    sessions: HashSet<SessionId>,
    channels: Channels,
    requests: HashMap<u64, oneshot::Sender<Result<ConferenceAnswer, ConferenceRefusal>>>,
    requests_made: u64,
    sampled_at: Timestamp,
    endpoints: Endpoints,
    status: Arc<Status>,
}

impl SignalingLoop {
    /// A loop around `streams` and `signaling`. Without a media plane, endpoints are refused; so are tests of everything else.
    pub(crate) fn new(
        clock: Clock,
        streams: Streams,
        signaling: Signaling,
        media: Option<MediaPlane>,
        handshakes: Option<Threads>,
        status: Arc<Status>,
    ) -> SignalingLoop {
        SignalingLoop {
            clock,
            streams,
            signaling,
            media,
            handshakes,
            connections: HashMap::new(),
            sessions: HashSet::new(),
            channels: Channels::default(),
            requests: HashMap::new(),
            requests_made: 0,
            sampled_at: Timestamp::ZERO,
            endpoints: Endpoints::default(),
            status,
        }
    }

    /// Runs until told to stop or until nobody is left to tell anything.
    pub(crate) async fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        let wake = self.media.as_ref().map(|media| WakeUp::new(media.wake_fd())).transpose();
        let wake = match wake {
            Ok(wake) => wake,
            Err(error) => return tracing::error!(%error, "cannot watch the media plane"),
        };
        self.sample();
        loop {
            if let Some(media) = &self.media {
                media.about_to_wait();
            }
            self.take_reports();
            self.settle();

            let due = self.due();
            tokio::select! {
                message = messages.recv() => {
                    let Some(message) = message else { return };
                    let mut next = Some(message);
                    let mut taken = 0;
                    while let Some(message) = next {
                        if let Message::Stop { done } = message {
                            self.stop();
                            let _ = done.send(());
                            return;
                        }
                        self.take(message);
                        self.settle();
                        taken += 1;
                        next = if taken < BATCH_MAX { messages.try_recv().ok() } else { None };
                    }
                }
                () = woken(wake.as_ref()) => {}
                () = self.clock.sleep_until(due) => {}
            }
            if let Some(media) = &self.media {
                media.waited();
            }
            self.take_timeouts();
        }
    }

    fn due(&self) -> Timestamp {
        let sample = self.sampled_at + SAMPLE_EVERY;
        self.streams.poll_timeout().min(self.signaling.poll_timeout()).min(sample)
    }

    fn take_timeouts(&mut self) {
        let now = self.clock.now();
        if self.streams.poll_timeout() <= now {
            self.streams.handle_timeout(now);
        }
        if self.signaling.poll_timeout() <= now {
            self.signaling.handle_timeout(now);
        }
        if self.sampled_at + SAMPLE_EVERY <= now {
            self.sample();
        }
    }

    fn take_reports(&mut self) {
        let now = self.clock.now();
        for _ in 0..REPORTS_MAX {
            let report = self.media.as_mut().and_then(MediaPlane::poll_report);
            if let Some(state) = self.media.as_mut().and_then(MediaPlane::take_bandwidth) {
                self.status.bandwidth.answer(&state);
            }
            let Some(report) = report else { return };
            self.note(&report);
            self.signaling.handle(Input::Report(report), now);
            self.settle();
        }
    }

    /// What the log and the pages for operators are told of a report.
    fn note(&mut self, report: &Report) {
        self.status.totals.note(report);
        match report {
            Report::EndpointReady { endpoint, .. } => {
                let names = names(&self.signaling, *endpoint);
                self.endpoints.ready(*endpoint, names);
            }
            Report::EndpointExpired { endpoint, reason } => {
                self.channels.expire(*endpoint);
                let Endpoint { conference, id, .. } = self.endpoints.expired(*endpoint);
                tracing::info!(conference, id, %endpoint, ?reason, "an endpoint left the media plane");
            }
            Report::TransportConnected { endpoint, remote } => {
                let (conference, id) = names(&self.signaling, *endpoint);
                tracing::info!(conference, id, %endpoint, ipv6 = remote.is_ipv6(), "media has a path");
            }
            Report::TransportFailed { endpoint } => {
                let (conference, id) = names(&self.signaling, *endpoint);
                tracing::info!(conference, id, %endpoint, "media has no path");
            }
            Report::ForwardedSources { endpoint, sources } => {
                if let Some(endpoint) = self.endpoints.get_mut(*endpoint) {
                    endpoint.forwarded = sources.len();
                }
            }
            Report::Bandwidth { endpoint, bits_per_second } => {
                if let Some(endpoint) = self.endpoints.get_mut(*endpoint) {
                    endpoint.bandwidth = Some(*bits_per_second);
                }
            }
            _ => {}
        }
    }

    fn take(&mut self, message: Message) {
        let now = self.clock.now();
        self.signaling.set_draining(self.status.draining());
        match message {
            Message::Connected { connection, query, sender, accepted } => {
                let taken = self.streams.connected(connection, query, now).is_ok();
                if taken {
                    self.connections.insert(connection, sender);
                } else {
                    self.status.refusals.count(Reason::Full);
                }
                let _ = accepted.send(taken);
            }
            Message::Frame { connection, frame, _room } => self.streams.frame(connection, frame, now),
            Message::Lost { connection } => {
                self.connections.remove(&connection);
                self.streams.lost(connection, now);
            }
            Message::ConferenceRequest { request, credentials, reply } => {
                self.requests_made += 1;
                let token = self.requests_made;
                self.requests.insert(token, reply);
                self.signaling.handle(Input::ConferenceRequest { token, request, credentials }, now);
            }
            Message::AuthorizeChannel { conference, endpoint, password, reply } => {
                let focus = self.signaling.focus();
                let _ = reply.send(focus.authorize_channel(&conference, &endpoint, &password));
            }
            Message::ChannelOpened { endpoint, channel, sender } => {
                self.channels.web_socket_opened(endpoint, channel, sender);
                self.channel_event(Event::ChannelOpened { endpoint, kind: ChannelKind::WebSocket }, now);
            }
            Message::ChannelText { endpoint, text } => {
                self.channels.used(endpoint, ChannelKind::WebSocket);
                self.status.channels.received();
                self.channel_event(Event::ChannelText { endpoint, text }, now);
            }
            Message::ChannelClosed { endpoint, channel } => {
                if self.channels.web_socket_closed(endpoint, channel) {
                    self.channel_event(Event::ChannelClosed { endpoint, kind: ChannelKind::WebSocket }, now);
                }
            }
            Message::Association(event) => {
                self.note_data_channel(&event);
                self.channel_event(event, now);
            }
            Message::Keys { endpoint, keys } => self.command(Command::SetKeys { endpoint, keys }),
            Message::Rooms(request) => request.answer(&mut self.signaling, now),
            Message::Accounts(accounts) => self.streams.set_accounts(accounts),
            Message::Candidates(candidates) => {
                if let Some(media) = &mut self.media {
                    media.set_candidates(candidates);
                }
            }
            Message::NewAddresses { addresses, reply } => {
                // Who asked may have gone.
                let _ = reply.send(self.add_addresses(addresses));
            }
            Message::Limits { rooms_max, occupants_max } => {
                self.signaling.set_limits(rooms_max, occupants_max);
            }
            Message::Stop { .. } => {}
        }
    }

    /// Those of `addresses` that media sockets could be given.
    fn add_addresses(&mut self, mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
        let Some(media) = &mut self.media else { return Vec::new() };
        addresses.retain(|address| match media.add_local_address(*address) {
            Ok(added) => added,
            Err(error) => {
                tracing::warn!(%address, %error, "media cannot use a new address of this machine");
                false
            }
        });
        addresses
    }

    fn note_data_channel(&mut self, event: &Event) {
        match event {
            Event::ChannelOpened { endpoint, .. } => self.channels.data_channel(*endpoint, true),
            Event::ChannelClosed { endpoint, .. } => self.channels.data_channel(*endpoint, false),
            Event::ChannelText { endpoint, .. } => {
                self.channels.used(*endpoint, ChannelKind::DataChannel);
                self.status.channels.received();
            }
            Event::Failed { endpoint, .. } => self.channels.data_channel(*endpoint, false),
            Event::Connected { .. } => {}
        }
    }

    fn channel_event(&mut self, event: Event, now: Timestamp) {
        self.signaling.handle(Input::Association(event), now);
    }

    /// Carries out everything that is to be done, and what follows from it.
    fn settle(&mut self) {
        loop {
            let now = self.clock.now();
            if let Some(output) = self.streams.poll_output() {
                self.streams_output(output, now);
            } else if let Some(output) = self.signaling.poll_output() {
                self.signaling_output(output, now);
            } else {
                return;
            }
        }
    }

    fn streams_output(&mut self, output: streams::Output, now: Timestamp) {
        match output {
            streams::Output::Frame { connection, text } => {
                let Some(sender) = self.connections.get(&connection) else { return };
                if sender.send(ToConnection::Frame(text)).is_err() {
                    // It does not read, or is gone: dropping the sender ends its task. The session may be resumed.
                    self.connections.remove(&connection);
                    self.streams.lost(connection, now);
                }
            }
            streams::Output::Close { connection } => {
                if let Some(sender) = self.connections.remove(&connection) {
                    let _ = sender.send(ToConnection::Close);
                }
            }
            streams::Output::Authenticated { connection } => {
                if let Some(sender) = self.connections.get(&connection) {
                    sender.authenticated();
                }
            }
            streams::Output::SessionOpened { session, jid, query_room } => {
                self.sessions.insert(session);
                self.signaling.handle(Input::SessionOpened { session, jid, query_room }, now);
            }
            streams::Output::Credentials { session, credentials } => {
                self.signaling.handle(Input::Credentials { session, credentials }, now);
            }
            streams::Output::Stanza { session, stanza } => {
                self.signaling.handle(Input::Stanza { session, stanza }, now);
            }
            streams::Output::SessionClosed { session } => {
                self.sessions.remove(&session);
                self.signaling.handle(Input::SessionClosed { session }, now);
            }
        }
    }

    fn signaling_output(&mut self, output: signaling::Output, now: Timestamp) {
        match output {
            signaling::Output::Stanza { session, stanza } => self.streams.deliver(session, &stanza),
            signaling::Output::Copy { session, text } => self.streams.deliver(session, text),
            signaling::Output::CloseSession { session, condition } => {
                self.streams.close_session(session, condition, now);
            }
            signaling::Output::ConferenceAnswer { token, answer } => {
                if let Some(reply) = self.requests.remove(&token) {
                    let _ = reply.send(answer);
                }
            }
            signaling::Output::Command(command) => self.command(command),
            signaling::Output::Association(command) => self.association(command, now),
        }
    }

    fn command(&mut self, command: Command) {
        let now = self.clock.now();
        let refused = match (&mut self.media, command) {
            (Some(media), command) => media.command(command).err().map(|refused| refused.endpoint),
            (None, Command::CreateEndpoint(spec)) => Some(spec.endpoint),
            (None, _) => None,
        };
        if let Some(endpoint) = refused {
            tracing::warn!(%endpoint, "no seat left for an endpoint");
            self.signaling.handle(Input::Refused { endpoint }, now);
        }
    }

    fn association(&mut self, command: association::Command, now: Timestamp) {
        if let association::Command::Send { endpoint, text } = &command {
            match self.channels.send(*endpoint, text) {
                Route::DataChannel => {}
                Route::WebSocket { sent: true } => return self.status.channels.sent(),
                Route::WebSocket { sent: false } | Route::None => return self.status.channels.unsent(),
            }
        }
        if let association::Command::Expire { endpoint } = &command {
            self.channels.expire(*endpoint);
        }
        let essential = !matches!(command, association::Command::Send { .. });
        let endpoint = match &command {
            association::Command::Create { endpoint }
            | association::Command::SetRemote { endpoint, .. }
            | association::Command::Send { endpoint, .. }
            | association::Command::Expire { endpoint } => *endpoint,
        };
        let taken = self.handshakes.as_ref().is_some_and(|threads| threads.order(command));
        if taken {
            return;
        }
        if essential && self.handshakes.is_some() {
            tracing::warn!(%endpoint, "the handshake threads are too far behind");
            let reason = "handshake threads are too far behind".to_owned();
            self.signaling.handle(Input::Association(Event::Failed { endpoint, reason }), now);
        } else if !essential {
            self.status.channels.unsent();
        }
    }

    /// Copies what others may read. The counters of the workers are those they gave since the last time.
    fn sample(&mut self) {
        self.sampled_at = self.clock.now();
        self.status.refusals.take_logins(self.streams.counts());
        let workers = self.media.as_mut().map(|media| {
            let now = media.now();
            let silent = media.last_turns().map(|turn| now.since(turn).saturating_sub(SAMPLE_EVERY));
            let workers: Vec<WorkerSample> = silent
                .zip(media.statistics())
                .map(|(silent_for, statistics)| WorkerSample { silent_for, statistics: statistics.cloned() })
                .collect();
            media.request_statistics();
            self.status.bandwidth.request(|endpoint| media.request_bandwidth(endpoint));
            media.poke();
            workers
        });
        let workers = workers.unwrap_or_default();
        let seats = self.seats(&workers);
        self.status.put(Sample {
            at: Instant::now(),
            taken: true,
            signaling: self.signaling.snapshot(),
            workers,
            rates: Rates::default(),
            seats,
        });
    }

    /// What the workers said of their endpoints, by the names that people know.
    fn seats(&self, workers: &[WorkerSample]) -> Vec<Seat> {
        let focus = self.signaling.focus();
        let counted = workers.iter().enumerate().flat_map(|(number, worker)| {
            let endpoints = worker.statistics.iter().flat_map(|statistics| &statistics.by_endpoint);
            endpoints.map(move |statistics| (number, *statistics))
        });
        let mut seats: Vec<Seat> = counted
            .filter_map(|(worker, statistics)| {
                let (room, id) = focus.seat_of(statistics.endpoint)?;
                let endpoint = self.endpoints.get(statistics.endpoint);
                let (forwarded, estimate_bps) =
                    endpoint.map(|endpoint| (endpoint.forwarded, endpoint.bandwidth)).unwrap_or_default();
                let room = room.node().map(|node| node.as_str().to_owned()).unwrap_or_default();
                Some(Seat { room, id: id.to_owned(), worker, forwarded, estimate_bps, statistics })
            })
            .collect();
        seats.sort_by(|one, two| (&one.room, &one.id).cmp(&(&two.room, &two.id)));
        seats
    }

    /// Tells every client that the server goes down (RFC 6120 §4.9.3.20).
    fn stop(&mut self) {
        let now = self.clock.now();
        for session in self.sessions.drain().collect::<Vec<_>>() {
            self.streams.close_session(session, "system-shutdown", now);
        }
        self.settle();
        self.connections.clear();
    }
}

/// Completes when the media plane has something to say; never without one.
async fn woken(wake: Option<&WakeUp>) {
    match wake {
        Some(wake) => wake.woken().await,
        None => std::future::pending().await,
    }
}

/// Room and nickname of an endpoint, for the log; empty if it is gone.
fn names(signaling: &Signaling, endpoint: EndpointId) -> (&str, &str) {
    let seat = signaling.focus().seat_of(endpoint);
    seat.map_or(("", ""), |(room, id)| (room.as_str(), id))
}

/// Messages taken before reports and timers have their turn.
const BATCH_MAX: usize = 64;

/// Reports taken before messages have their turn.
const REPORTS_MAX: usize = 256;

/// How old health and metrics may be.
pub(crate) const SAMPLE_EVERY: Duration = Duration::from_secs(1);
