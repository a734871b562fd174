//! The handshake threads: they own the DTLS associations, so that a storm of joins costs the media threads a copy a datagram.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use channel::{Association, Certificate, Output};
use contract::session::SrtpKeys;
use contract::{EndpointId, Timestamp};
use signaling::association::{ChannelKind, Command, Event, Fingerprint, Setup};
use tokio::sync::mpsc;
use worker::{DtlsSender, HandshakeEnd};

use crate::pace::Pace;
use crate::signaling_loop::{Clock, Handle, Message};
use crate::status::Status;
use crate::wake::WakeUp;

/// Where orders to the threads go in. Endpoints are dealt to threads by number, as the media plane deals their datagrams.
pub(crate) struct Threads {
    orders: Vec<mpsc::Sender<Command>>,
}

impl Threads {
    /// Starts one thread for each end of the media plane.
    pub(crate) fn start(
        ends: Vec<HandshakeEnd>,
        datagrams: &DtlsSender,
        certificate: &Certificate,
        signaling: &Handle,
        status: &Arc<Status>,
        clock: Clock,
    ) -> std::io::Result<Threads> {
        let mut orders = Vec::new();
        let threads = ends.len().max(1);
        for (number, end) in ends.into_iter().enumerate() {
            let (sender, receiver) = mpsc::channel(ORDERS_WAITING_MAX);
            let thread = Thread {
                half_open: 0,
                half_open_max: HALF_OPEN_MAX / threads,
                associations: HashMap::new(),
                deadlines: BTreeSet::new(),
                pace: Pace::new(HANDSHAKES_PER_SECOND, BURST),
                datagrams: datagrams.clone(),
                certificate: certificate.clone(),
                signaling: signaling.clone(),
                status: Arc::clone(status),
                clock,
            };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            std::thread::Builder::new()
                .name(format!("handshake-{number}"))
                .spawn(move || runtime.block_on(thread.run(end, receiver)))?;
            orders.push(sender);
        }
        Ok(Threads { orders })
    }

    /// Passes on an order; false if the thread is so far behind that it takes no more.
    pub(crate) fn order(&self, command: Command) -> bool {
        let (Command::Create { endpoint }
        | Command::SetRemote { endpoint, .. }
        | Command::Send { endpoint, .. }
        | Command::Expire { endpoint }) = command;
        let count = self.orders.len().max(1) as u64;
        let thread = usize::try_from(endpoint.0 % count).unwrap_or(0);
        self.orders.get(thread).is_some_and(|orders| orders.try_send(command).is_ok())
    }
}

/// One thread's state.
struct Thread {
    /// Handshakes that have begun and not finished.
    half_open: usize,
    half_open_max: usize,
    associations: HashMap<EndpointId, Held>,
    deadlines: BTreeSet<(Timestamp, EndpointId)>,
    pace: Pace,
    datagrams: DtlsSender,
    certificate: Certificate,
    signaling: Handle,
    status: Arc<Status>,
    clock: Clock,
}

struct Held {
    association: Association,
    deadline: Timestamp,
    begun: bool,
    established: bool,
    /// A datagram of the peer came: its media path works.
    reached: bool,
    messages: Pace,
}

impl Thread {
    async fn run(mut self, end: HandshakeEnd, mut orders: mpsc::Receiver<Command>) {
        let wake = match WakeUp::new(end.wake_fd()) {
            Ok(wake) => wake,
            Err(error) => return tracing::error!(%error, "cannot watch the media plane"),
        };
        loop {
            end.about_to_wait();
            let more = self.take_datagrams(&end).await;
            if more {
                end.waited();
                continue;
            }

            let due = self.deadlines.first().map_or(Timestamp::NEVER, |(at, _)| *at);
            tokio::select! {
                order = orders.recv() => {
                    end.waited();
                    let Some(order) = order else { return };
                    self.order(order).await;
                    // A burst of joins is a burst of orders.
                    for _ in 0..BATCH_MAX {
                        let Ok(order) = orders.try_recv() else { break };
                        self.order(order).await;
                    }
                }
                () = wake.woken() => end.waited(),
                () = self.clock.sleep_until(due) => {
                    end.waited();
                    self.expire_deadlines().await;
                }
            }
        }
    }

    /// Takes a batch; true if there may be more.
    async fn take_datagrams(&mut self, end: &HandshakeEnd) -> bool {
        for _ in 0..BATCH_MAX {
            let Some(datagram) = end.pop() else { return false };
            self.datagram(datagram.endpoint, datagram.bytes()).await;
        }
        true
    }

    async fn datagram(&mut self, endpoint: EndpointId, bytes: &[u8]) {
        let now = self.clock.now();
        let Some(held) = self.associations.get_mut(&endpoint) else { return };
        if !held.reached {
            held.reached = true;
            self.status.handshakes.reached();
        }
        if !held.begun {
            // The first flight costs nothing to repeat, and clients do.
            if self.half_open >= self.half_open_max || !self.pace.admit(now) {
                self.status.handshakes.paced();
                return;
            }
            held.begun = true;
            self.half_open += 1;
        }
        held.association.datagram(bytes, now);
        self.settle(endpoint, now).await;
    }

    async fn order(&mut self, command: Command) {
        let now = self.clock.now();
        match command {
            Command::Create { endpoint } => {
                let association = Association::new(endpoint, &self.certificate, now);
                let held = Held {
                    association,
                    deadline: Timestamp::NEVER,
                    begun: false,
                    established: false,
                    reached: false,
                    messages: MESSAGES,
                };
                self.status.handshakes.created();
                if let Some(former) = self.associations.insert(endpoint, held) {
                    self.half_open -= usize::from(former.begun && !former.established);
                    self.deadlines.remove(&(former.deadline, endpoint));
                    self.status.handshakes.removed(former.reached);
                }
            }
            Command::SetRemote { endpoint, fingerprints, setup } => {
                let Some(held) = self.associations.get_mut(&endpoint) else { return };
                let fingerprints: Vec<_> = fingerprints.into_iter().map(into_channel).collect();
                held.association.set_remote_fingerprints(&fingerprints, now);
                if setup == Setup::Passive {
                    self.half_open += usize::from(!held.begun);
                    held.begun = true;
                    held.association.connect(now);
                }
                self.settle(endpoint, now).await;
            }
            Command::Send { endpoint, text } => {
                let Some(held) = self.associations.get_mut(&endpoint) else { return };
                match held.association.send_text(&text, now) {
                    Ok(()) => self.status.channels.sent(),
                    Err(_) => self.status.channels.unsent(),
                }
                self.settle(endpoint, now).await;
            }
            Command::Expire { endpoint } => {
                if let Some(held) = self.associations.get_mut(&endpoint) {
                    held.association.close(now);
                }
                self.settle(endpoint, now).await;
                self.remove(endpoint);
            }
        }
    }

    async fn expire_deadlines(&mut self) {
        let now = self.clock.now();
        while let Some((at, endpoint)) = self.deadlines.first().copied() {
            if at > now {
                return;
            }
            self.deadlines.pop_first();
            let Some(held) = self.associations.get_mut(&endpoint) else { continue };
            held.deadline = Timestamp::NEVER;
            held.association.handle_timeout(now);
            self.settle(endpoint, now).await;
        }
    }

    /// Carries out what an association wants and notes its next deadline.
    async fn settle(&mut self, endpoint: EndpointId, now: Timestamp) {
        let mut over = false;
        loop {
            let Some(held) = self.associations.get_mut(&endpoint) else { return };
            let Some(output) = held.association.poll_output() else { break };
            let event = match output {
                Output::Datagram(datagram) => {
                    self.datagrams.send(endpoint, &datagram);
                    continue;
                }
                Output::Keys(keys) => {
                    self.keys(endpoint, keys).await;
                    continue;
                }
                Output::ChannelOpened => Event::ChannelOpened { endpoint, kind: ChannelKind::DataChannel },
                Output::Text(_) if !held.messages.admit(now) => {
                    self.status.channels.limited();
                    continue;
                }
                Output::Text(text) => Event::ChannelText { endpoint, text },
                Output::ChannelClosed => Event::ChannelClosed { endpoint, kind: ChannelKind::DataChannel },
                Output::Closed => {
                    over = true;
                    Event::Failed { endpoint, reason: "closed by the client".to_owned() }
                }
                Output::Failed(reason) => {
                    over = true;
                    self.status.handshakes.failed();
                    tracing::info!(%endpoint, %reason, "DTLS failed");
                    Event::Failed { endpoint, reason: reason.to_string() }
                }
            };
            self.tell(Message::Association(event)).await;
        }
        if over {
            self.remove(endpoint);
            return;
        }

        let Some(held) = self.associations.get_mut(&endpoint) else { return };
        let mut deadline = held.association.poll_timeout();
        if deadline != Timestamp::NEVER {
            // One that is due already comes a little later, not at once: nothing may spin here.
            deadline = deadline.max(now + TIMER_RESOLUTION);
        }
        self.deadlines.remove(&(held.deadline, endpoint));
        held.deadline = deadline;
        if deadline != Timestamp::NEVER {
            self.deadlines.insert((deadline, endpoint));
        }
    }

    async fn keys(&mut self, endpoint: EndpointId, keys: SrtpKeys) {
        if let Some(held) = self.associations.get_mut(&endpoint)
            && !std::mem::replace(&mut held.established, true)
        {
            self.half_open -= usize::from(held.begun);
        }
        let profile = keys.profile;
        self.status.handshakes.established(profile);
        tracing::debug!(%endpoint, profile = profile.name(), "DTLS finished");
        self.tell(Message::Keys { endpoint, keys }).await;
        self.tell(Message::Association(Event::Connected { endpoint, profile })).await;
    }

    /// Waits if signalling is behind. It never waits for this thread, so that cannot be for ever.
    async fn tell(&self, message: Message) {
        let _ = self.signaling.send(message).await;
    }

    fn remove(&mut self, endpoint: EndpointId) {
        let Some(held) = self.associations.remove(&endpoint) else { return };
        self.half_open -= usize::from(held.begun && !held.established);
        self.deadlines.remove(&(held.deadline, endpoint));
        self.status.handshakes.removed(held.reached);
    }
}

fn into_channel(fingerprint: Fingerprint) -> channel::Fingerprint {
    channel::Fingerprint { hash: fingerprint.hash, value: fingerprint.value }
}

/// A handshake takes some 0.4 ms of a core: this many leave most of it to those who are through.
const HANDSHAKES_PER_SECOND: u64 = 500;

/// Handshakes that may begin at once: a class that comes in together.
const BURST: u64 = 200;

/// Handshakes that have begun and not finished, of all threads: some tens of kilobytes each, for thirty seconds at most.
const HALF_OPEN_MAX: usize = 2_000;

/// Bridge-channel messages of one client. More are dropped: SCTP offers no way to read one client more slowly than it sends.
const MESSAGES: Pace = Pace::new(50, 100);

/// No timer here needs to be finer.
const TIMER_RESOLUTION: Duration = Duration::from_millis(1);

/// Datagrams or orders taken before the other kind has its turn.
const BATCH_MAX: usize = 64;

/// Orders that may wait: each is small, and a room of 2,000 that expires is 2,000 of them.
const ORDERS_WAITING_MAX: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(half_open_max: usize) -> (Thread, worker::MediaPlane) {
        let config = worker::Config {
            workers: Some(1),
            pin: false,
            local: vec![std::net::SocketAddr::from(([127, 0, 0, 1], 0))],
            io: worker::BackendChoice::Plain,
            slots: 1_024,
            spin_us: 0,
            ..worker::Config::default()
        };
        let media = worker::MediaPlane::start(&config).unwrap();
        // Nobody listens: a handshake thread must not care.
        let (signaling, _) = crate::signaling_loop::queue();
        let thread = Thread {
            half_open: 0,
            half_open_max,
            associations: HashMap::new(),
            deadlines: BTreeSet::new(),
            pace: Pace::new(HANDSHAKES_PER_SECOND, BURST),
            datagrams: media.dtls_sender(),
            certificate: Certificate::generate().unwrap(),
            signaling,
            status: Arc::new(Status::new()),
            clock: Clock::new(),
        };
        (thread, media)
    }

    #[tokio::test]
    async fn handshakes_beyond_the_limit_wait_until_one_ends() {
        let (mut thread, _media) = thread(2);
        let endpoints: Vec<EndpointId> = (1..=3).map(EndpointId).collect();
        for endpoint in &endpoints {
            thread.order(Command::Create { endpoint: *endpoint }).await;
            thread.datagram(*endpoint, &[22]).await;
        }
        let begun = |thread: &Thread| -> Vec<bool> {
            endpoints.iter().filter_map(|endpoint| Some(thread.associations.get(endpoint)?.begun)).collect()
        };
        assert_eq!((begun(&thread), thread.half_open), (vec![true, true, false], 2));
        assert_eq!(thread.status.handshakes.read().1, 1, "it is counted");
        thread.order(Command::Create { endpoint: endpoints[0] }).await;
        assert_eq!(thread.half_open, 1, "a new association in place of one gives its place back");
        thread.datagram(endpoints[2], &[22]).await;
        assert_eq!(begun(&thread), vec![false, true, true]);
        for endpoint in &endpoints {
            thread.order(Command::Expire { endpoint: *endpoint }).await;
        }
        assert_eq!((thread.half_open, thread.associations.len(), thread.deadlines.len()), (0, 0, 0));
    }
}
