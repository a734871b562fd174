//! The handle of the control plane: takes commands, gives reports, and owns everything that is built or freed.
//!
//! Contract: after each `command`, and whenever [`MediaPlane::wake_fd`] becomes readable, call
//! [`MediaPlane::poll_report`] until it gives `None`. Before waiting on the descriptor call
//! [`MediaPlane::about_to_wait`] and poll once more; afterwards [`MediaPlane::waited`].

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::PoisonError;

use contract::session::{EndpointSpec, LocalTransport, SourceSpec, VideoType};
use contract::{Command, ConferenceId, EndpointId, Metric, Report, SourceId, Timestamp, WorkerId};
use transport::srtp::Session;

use crate::bandwidth_state::BandwidthState;
use crate::chance::Chance;
use crate::cipher::Cipher;
use crate::dtls::DtlsSender;
use crate::order::{Order, Return, SourceOwner};
use crate::placement::Placement;
use crate::queues::{ControlEnd, HandshakeEnd};
use crate::room::{Room, RoomStorage};
use crate::seat::{SPARE_AUDIO_STREAMS, SPARE_VIDEO_STREAMS};
use crate::seating::{self, SOURCES_PER_PLACE, Surroundings};
use crate::statistics::Statistics;
use crate::tcp::TcpEnd;
use crate::thread::{Clock, Threads};

/// The media plane, seen from the control plane. Dropping it stops the workers.
pub struct MediaPlane {
    clock: Clock,
    chance: Chance,
    control: ControlEnd,
    handshakes: Vec<Option<HandshakeEnd>>,
    dtls: DtlsSender,
    surroundings: Surroundings,
    cipher: Cipher,
    receiver_budget: u64,
    loudest: Option<usize>,
    placement: Placement,
    endpoints: HashMap<EndpointId, Placed>,
    conferences: HashMap<ConferenceId, Gathering>,
    source_homes: HashMap<SourceId, ConferenceId>,
    ready: VecDeque<Report>,
    counts: Vec<Option<Box<Statistics>>>,
    tcp: Option<TcpEnd>,
    /// The copy that came last.
    bandwidth: Option<Box<BandwidthState>>,
    threads: Threads,
}

/// The process has no seat left for an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Which.
    pub endpoint: EndpointId,
}

/// Where an endpoint lives.
struct Placed {
    worker: WorkerId,
    seat: u32,
    conference: ConferenceId,
    sources: Vec<SourceSpec>,
    /// Its seat has state for outgoing streams.
    equipped: bool,
}

/// A conference over all workers.
struct Gathering {
    /// Endpoints on each worker.
    present: Vec<usize>,
    /// Places in the tables of each replica.
    places: usize,
    /// In the order of their numbers: replicas are built alike.
    sources: BTreeMap<SourceId, (SourceSpec, SourceOwner)>,
}

impl MediaPlane {
    pub(crate) fn new(parts: Parts) -> MediaPlane {
        let workers = parts.control.workers();
        MediaPlane {
            clock: parts.clock,
            chance: parts.chance,
            control: parts.control,
            handshakes: parts.handshakes.into_iter().map(Some).collect(),
            dtls: parts.dtls,
            surroundings: parts.surroundings,
            cipher: parts.cipher,
            receiver_budget: parts.receiver_budget,
            loudest: parts.loudest,
            placement: Placement::new(workers, parts.spread_after),
            endpoints: HashMap::new(),
            conferences: HashMap::new(),
            source_homes: HashMap::new(),
            ready: VecDeque::new(),
            bandwidth: None,
            counts: (0..workers).map(|_| None).collect(),
            tcp: parts.tcp,
            threads: parts.threads,
        }
    }

    /// Carry out a command. Only [`Command::CreateEndpoint`] can be refused.
    pub fn command(&mut self, command: Command) -> Result<(), Refused> {
        match command {
            Command::CreateEndpoint(spec) => return self.create_endpoint(&spec),
            Command::SetTransport { endpoint, remote } => {
                self.order_seat(endpoint, |seat| Order::SetTransport {
                    seat,
                    endpoint,
                    remote: Box::new(remote),
                });
            }
            Command::AddCandidates { endpoint, candidates } => {
                self.order_seat(endpoint, |seat| Order::AddCandidates { seat, endpoint, candidates });
            }
            Command::RestartIce { endpoint } => self.restart_ice(endpoint),
            Command::SetKeys { endpoint, keys } => {
                // Keys of a wrong length cannot come from a handshake; without keys the endpoint simply never gets media.
                let Ok(session) = Session::with_provider(&keys, self.cipher.provider) else {
                    return Ok(());
                };
                self.equip(endpoint);
                self.order_seat(endpoint, |seat| Order::SetKeys { seat, endpoint, session });
            }
            Command::SetSources { endpoint, sources } => self.set_sources(endpoint, sources),
            Command::SetVideoType { source, video_type } => self.set_video_type(source, video_type),
            Command::SetConstraints { endpoint, constraints } => {
                let constraints = Box::new(constraints);
                self.order_seat(endpoint, |seat| Order::SetConstraints { seat, endpoint, constraints });
            }
            Command::SetAudioSubscription { endpoint, subscription } => {
                let subscription = Box::new(subscription);
                self.order_seat(endpoint, |seat| Order::SetAudioSubscription {
                    seat,
                    endpoint,
                    subscription,
                });
            }
            Command::SetForceMute { endpoint, audio, video } => {
                self.order_seat(endpoint, |seat| Order::SetForceMute { seat, endpoint, audio, video });
            }
            Command::LeaveOutRedundancy { endpoint } => {
                self.order_seat(endpoint, |seat| Order::LeaveOutRedundancy { seat, endpoint });
            }
            Command::ExpireEndpoint { endpoint } => {
                self.expire(endpoint, contract::report::ExpiryReason::Command)
            }
        }
        Ok(())
    }

    /// The next piece of news.
    pub fn poll_report(&mut self) -> Option<Report> {
        for worker in 0..self.control.workers() {
            while let Some(back) = self.control.take_return(worker) {
                self.settle(back);
            }
        }
        self.control.flush();
        self.ready.pop_front().or_else(|| self.control.take_report())
    }

    /// Becomes readable when a report waits and [`MediaPlane::about_to_wait`] was called before.
    pub fn wake_fd(&self) -> RawFd {
        self.control.sleeper.fd()
    }

    /// Ask to be woken by the next report. Poll once more after this, then wait.
    pub fn about_to_wait(&self) {
        self.control.sleeper.about_to_sleep();
    }

    /// Polling again; no wake-up is needed. The caller has read the descriptor.
    pub fn waited(&self) {
        self.control.sleeper.awake();
    }

    /// The queue of DTLS datagrams for handshake thread `number`; once.
    pub fn take_handshake_end(&mut self, number: usize) -> Option<HandshakeEnd> {
        self.handshakes.get_mut(number)?.take()
    }

    /// The queues between the workers and the thread of ICE-TCP connections; once.
    pub fn take_tcp_end(&mut self) -> Option<TcpEnd> {
        self.tcp.take()
    }

    /// Sends DTLS datagrams to clients.
    pub fn dtls_sender(&self) -> DtlsSender {
        self.dtls.clone()
    }

    /// Microseconds since the start, on the clock of the workers.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// How datagrams are moved: the back end of each worker, and why it is not io_uring if it is not.
    pub fn backends(&self) -> &[(uring::Backend, Option<String>)] {
        &self.threads.backends
    }

    /// The library behind AES-GCM, and why that one.
    pub fn cipher(&self) -> &Cipher {
        &self.cipher
    }

    /// The addresses that media sockets are bound to.
    pub fn local_addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.surroundings.local.iter().copied().filter(|address| !address.ip().is_unspecified())
    }

    /// Takes up an address that the machine got after the start. False if no socket is left for it: it needs a restart then.
    ///
    /// # Errors
    /// Somebody else has it, or it is gone again.
    pub fn add_local_address(&mut self, address: SocketAddr) -> Result<bool, uring::OpenError> {
        let given = uring::Twin::give_address(&mut self.threads.twins, address)?;
        let place = given.and_then(|socket| self.surroundings.local.get_mut(usize::from(socket)));
        Ok(place.map(|place| *place = address).is_some())
    }

    /// What endpoints to come, and ICE restarts, are told to reach us at: public addresses may change, and local ones come
    /// and go among those that sockets are bound to.
    pub fn set_candidates(&mut self, candidates: Vec<contract::session::Candidate>) {
        self.surroundings.candidates = candidates;
    }

    /// Ask every worker for its counters; they arrive with later polls and are read by [`MediaPlane::statistics`].
    pub fn request_statistics(&mut self) {
        for worker in 0..self.control.workers() {
            let here =
                self.endpoints.values().filter(|placed| usize::from(placed.worker.0) == worker).count();
            let spare = Box::new(Statistics::with_room(here));
            self.control.order(worker, Order::Count(spare));
        }
    }

    /// The latest counters, by worker; `None` before the first answer.
    pub fn statistics(&self) -> impl Iterator<Item = Option<&Statistics>> {
        self.counts.iter().map(|count| count.as_deref())
    }

    /// Ask for what is known of the link to a receiver; it arrives with a later poll. False if there is no such receiver.
    pub fn request_bandwidth(&mut self, endpoint: EndpointId) -> bool {
        let known = self.endpoints.contains_key(&endpoint);
        self.order_seat(endpoint, |seat| Order::CopyBandwidth { seat, endpoint, copy: Box::default() });
        known
    }

    /// The copy that came last, once.
    pub fn take_bandwidth(&mut self) -> Option<Box<BandwidthState>> {
        self.bandwidth.take()
    }

    /// When each worker last began a turn or went to sleep; for health checks.
    pub fn last_turns(&self) -> impl Iterator<Item = Timestamp> + '_ {
        self.threads
            .beats
            .iter()
            .map(|beat| Timestamp::from_micros(beat.load(std::sync::atomic::Ordering::Relaxed)))
    }

    /// Wake every worker, so that a health check sees it move.
    pub fn poke(&self) {
        for waker in self.control.wakers() {
            waker.wake();
        }
    }

    fn create_endpoint(&mut self, spec: &EndpointSpec) -> Result<(), Refused> {
        let refused = Refused { endpoint: spec.endpoint };
        if self.endpoints.contains_key(&spec.endpoint) {
            return Err(refused);
        }
        let workers = self.control.workers();
        let present =
            self.conferences.get(&spec.conference).map_or_else(|| vec![0; workers], |c| c.present.clone());
        if present.iter().sum::<usize>() >= contract::limits::ENDPOINTS_PER_CONFERENCE_MAX {
            return Err(refused);
        }
        let (worker, seat) = self.placement.place(&present).ok_or(refused)?;
        self.open_place(spec.conference, worker);
        let MediaPlane { chance, surroundings, clock, .. } = self;
        let credentials = seating::credentials(worker, seat, chance);
        let (built, receiver) =
            seating::seat(spec, (worker, seat), &credentials, surroundings, chance, clock.now());
        self.seats_of_dtls().insert(spec.endpoint, (worker, seat));
        let placed =
            Placed { worker, seat, conference: spec.conference, sources: Vec::new(), equipped: false };
        self.endpoints.insert(spec.endpoint, placed);
        self.control.order(usize::from(worker.0), Order::Seat(built, receiver));
        self.announce_credentials(spec.endpoint, credentials);
        Ok(())
    }

    /// Gives the seat of `endpoint` its state for outgoing streams. Nothing is sent before there are keys, and most of what
    /// a seat takes is this: who is only in the room, or never gets through, does without.
    fn equip(&mut self, endpoint: EndpointId) {
        let Some(placed) = self.endpoints.get_mut(&endpoint) else { return };
        if !std::mem::replace(&mut placed.equipped, true) {
            let spares = seating::send_streams(SPARE_AUDIO_STREAMS, SPARE_VIDEO_STREAMS);
            self.order_seat(endpoint, |seat| Order::AddSpares { seat, endpoint, spares });
        }
    }

    /// Make room for one more endpoint of `conference` on `worker`.
    fn open_place(&mut self, conference: ConferenceId, worker: WorkerId) {
        let workers = self.control.workers();
        let gathering = self.conferences.entry(conference).or_insert_with(|| Gathering {
            present: vec![0; workers],
            places: FIRST_PLACES,
            sources: BTreeMap::new(),
        });
        let at = usize::from(worker.0);
        let is_new_here = gathering.present[at] == 0;
        gathering.present[at] += 1;
        let endpoints: usize = gathering.present.iter().sum();
        let places = gathering.places.max(endpoints.next_power_of_two());
        if places > gathering.places {
            gathering.places = places;
            for other in
                (0..workers).filter(|other| gathering.present[*other] > 0 && !(is_new_here && *other == at))
            {
                self.control.order(other, grow_room(conference, places));
            }
        }
        if !is_new_here {
            return;
        }
        let replica = seating::conference(conference, self.receiver_budget, self.loudest, places);
        let tables = RoomStorage::with_capacity(SOURCES_PER_PLACE * places, places);
        self.control.order(at, Order::OpenRoom(Box::new(Room::new(replica, tables))));
        for (spec, owner) in gathering.sources.values() {
            self.control.order(at, add_source(conference, spec, *owner));
        }
        self.tell_peers(conference);
    }

    fn restart_ice(&mut self, endpoint: EndpointId) {
        let Some(placed) = self.endpoints.get(&endpoint) else { return };
        let credentials = seating::credentials(placed.worker, placed.seat, &mut self.chance);
        let boxed = Box::new(credentials.clone());
        self.order_seat(endpoint, |seat| Order::RestartIce { seat, endpoint, credentials: boxed });
        self.announce_credentials(endpoint, credentials);
    }

    fn announce_credentials(&mut self, endpoint: EndpointId, (ufrag, pwd): (String, String)) {
        let candidates = self.surroundings.candidates.clone();
        let transport = Box::new(LocalTransport { ufrag, pwd, candidates });
        self.ready.push_back(Report::EndpointReady { endpoint, transport });
    }

    fn set_sources(&mut self, endpoint: EndpointId, sources: Vec<SourceSpec>) {
        let Some(placed) = self.endpoints.get_mut(&endpoint) else { return };
        let former = std::mem::replace(&mut placed.sources, sources.clone());
        let (worker, seat, conference) = (placed.worker, placed.seat, placed.conference);
        for gone in former.iter().filter(|old| !sources.iter().any(|new| same_streams(old, new))) {
            self.remove_source(conference, gone.source);
        }
        let (streams, signalled) = seating::streams(&sources);
        self.control.order(usize::from(worker.0), Order::SetStreams { seat, endpoint, streams, signalled });
        for new in sources {
            match former.iter().find(|old| same_streams(old, &new)) {
                Some(old) if old.video_type == new.video_type => {}
                Some(_) => self.set_video_type(new.source, new.video_type),
                None => {
                    let owner = SourceOwner { source: new.source, endpoint, worker, seat };
                    self.insert_source(conference, new, owner);
                }
            }
        }
    }

    fn insert_source(&mut self, conference: ConferenceId, spec: SourceSpec, owner: SourceOwner) {
        let Some(gathering) = self.conferences.get_mut(&conference) else { return };
        self.source_homes.insert(spec.source, conference);
        // Tables are sized by endpoints; one that signals more sources than usual makes them grow as if it were several.
        let needed = (gathering.sources.len() + 1).div_ceil(SOURCES_PER_PLACE).next_power_of_two();
        let grows = needed > gathering.places;
        gathering.places = gathering.places.max(needed);
        let places = gathering.places;
        for worker in (0..gathering.present.len()).filter(|worker| gathering.present[*worker] > 0) {
            if grows {
                self.control.order(worker, grow_room(conference, places));
            }
            self.control.order(worker, add_source(conference, &spec, owner));
        }
        gathering.sources.insert(spec.source, (spec, owner));
    }

    fn remove_source(&mut self, conference: ConferenceId, source: SourceId) {
        self.source_homes.remove(&source);
        let Some(gathering) = self.conferences.get_mut(&conference) else { return };
        if gathering.sources.remove(&source).is_some() {
            self.order_replicas(conference, || Order::RemoveSource { conference, source });
        }
    }

    fn set_video_type(&mut self, source: SourceId, video_type: VideoType) {
        let Some(conference) = self.source_homes.get(&source).copied() else { return };
        if let Some((spec, _)) =
            self.conferences.get_mut(&conference).and_then(|c| c.sources.get_mut(&source))
        {
            spec.video_type = video_type;
        }
        self.order_replicas(conference, || Order::SetVideoType { conference, source, video_type });
    }

    fn expire(&mut self, endpoint: EndpointId, reason: contract::report::ExpiryReason) {
        let Some(placed) = self.endpoints.remove(&endpoint) else { return };
        self.seats_of_dtls().remove(&endpoint);
        for source in &placed.sources {
            self.remove_source(placed.conference, source.source);
        }
        let at = usize::from(placed.worker.0);
        self.control.order(at, Order::Unseat { seat: placed.seat, endpoint });
        if let Some(gathering) = self.conferences.get_mut(&placed.conference) {
            gathering.present[at] -= 1;
            if gathering.present[at] == 0 {
                self.control.order(at, Order::CloseRoom(placed.conference));
            }
            if gathering.present.iter().all(|count| *count == 0) {
                self.conferences.remove(&placed.conference);
            } else {
                self.tell_peers(placed.conference);
            }
        }
        self.ready.push_back(Report::EndpointExpired { endpoint, reason });
    }

    /// Deal with what a worker gave back; most of it is just to be dropped here rather than there.
    fn settle(&mut self, back: Return) {
        match back {
            Return::Silent(endpoint) => self.expire(endpoint, contract::report::ExpiryReason::Inactive),
            Return::Left(worker, seat, receiver) => {
                self.placement.vacate(worker, seat.index);
                drop((seat, receiver));
            }
            Return::SparesUsed { endpoint, audio, video } => {
                let spares = seating::send_streams(usize::from(audio), usize::from(video));
                self.order_seat(endpoint, |seat| Order::AddSpares { seat, endpoint, spares });
            }
            Return::Bandwidth(copy) => self.bandwidth = Some(copy),
            Return::Counted(worker, mut statistics) => {
                // Asked here, as a worker makes no such calls.
                if let Some(twin) = self.threads.twins.get(usize::from(worker.0)) {
                    statistics.set(Metric::ReceiveOverflows, twin.kernel_drops());
                }
                self.counts[usize::from(worker.0)] = Some(statistics);
            }
            Return::Done(spent) => drop(spent),
        }
    }

    fn tell_peers(&mut self, conference: ConferenceId) {
        let Some(gathering) = self.conferences.get(&conference) else { return };
        let present = gathering.present.iter().enumerate().filter(|(_, count)| **count > 0);
        let peers = present.fold(0u128, |peers, (worker, _)| peers | 1 << worker);
        self.order_replicas(conference, || Order::SetPeers(conference, peers));
    }

    fn order_seat(&mut self, endpoint: EndpointId, order: impl FnOnce(u32) -> Order) {
        if let Some(placed) = self.endpoints.get(&endpoint) {
            self.control.order(usize::from(placed.worker.0), order(placed.seat));
        }
    }

    fn order_replicas(&mut self, conference: ConferenceId, order: impl Fn() -> Order) {
        let Some(gathering) = self.conferences.get(&conference) else { return };
        for worker in (0..gathering.present.len()).filter(|worker| gathering.present[*worker] > 0) {
            self.control.order(worker, order());
        }
    }

    fn seats_of_dtls(&self) -> std::sync::MutexGuard<'_, HashMap<EndpointId, (WorkerId, u32)>> {
        self.dtls.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for MediaPlane {
    fn drop(&mut self) {
        for worker in 0..self.control.workers() {
            self.control.order(worker, Order::Stop);
        }
        self.control.flush();
        self.threads.join();
    }
}

/// What [`MediaPlane`] is put together from.
pub(crate) struct Parts {
    pub(crate) clock: Clock,
    pub(crate) chance: Chance,
    pub(crate) control: ControlEnd,
    pub(crate) handshakes: Vec<HandshakeEnd>,
    pub(crate) dtls: DtlsSender,
    pub(crate) surroundings: Surroundings,
    pub(crate) cipher: Cipher,
    pub(crate) receiver_budget: u64,
    pub(crate) loudest: Option<usize>,
    pub(crate) spread_after: usize,
    pub(crate) tcp: Option<TcpEnd>,
    pub(crate) threads: Threads,
}

/// Larger tables for a room, for so many endpoints.
fn grow_room(conference: ConferenceId, places: usize) -> Order {
    let storage = conference::Storage::with_capacity(SOURCES_PER_PLACE * places, places);
    let tables = (storage, RoomStorage::with_capacity(SOURCES_PER_PLACE * places, places));
    Order::GrowRoom(conference, Box::new(tables))
}

fn add_source(conference: ConferenceId, spec: &SourceSpec, owner: SourceOwner) -> Order {
    let (source, cache) = seating::source(spec);
    Order::AddSource { conference, source, spec: Box::new(owner), cache }
}

/// Whether a source goes on as it was, but for what it shows.
fn same_streams(old: &SourceSpec, new: &SourceSpec) -> bool {
    old.source == new.source && old.media == new.media && old.encodings == new.encodings
}

/// Places in the tables of a fresh replica: most conferences are small.
const FIRST_PLACES: usize = 4;
