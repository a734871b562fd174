//! The media threads: each owns the sockets of its endpoints, waits for them and for the next due packet, and counts.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use contract::Timestamp;
use contract::session::{SrtpKeys, SrtpProfile};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::sync::mpsc::UnboundedSender;

use crate::clock::Clock;
use crate::endpoint::Endpoint;
use crate::handshakes;
use crate::peer::{Event, Local, Remote, RemoteSource, SendStreams};
use crate::reception::Times;
use crate::scenario::EndpointPlan;
use crate::socket::Socket;
use crate::tally::{Count, Counters, Delays, Interval, note};

/// An endpoint to open.
pub struct Opening {
    /// Its place in the run.
    pub place: u32,
    /// Number of the connection; its place for the first of an endpoint.
    pub connection: u32,
    /// Place of its room's first endpoint.
    pub room_begins: u32,
    /// What it sends.
    pub plan: EndpointPlan,
    /// Our half of the transport.
    pub local: Local,
    /// SSRCs of what it sends.
    pub streams: SendStreams,
    /// The other half.
    pub remote: Remote,
    /// Connected to the other side.
    pub socket: Arc<Socket>,
    /// To the adapter.
    pub events: UnboundedSender<Event>,
    /// When its join began.
    pub started: Timestamp,
}

/// What a media thread is told; numbers are those of connections.
pub enum Order {
    /// A new endpoint.
    Open(Box<Opening>),
    /// Its keys.
    Keys(u32, Box<SrtpKeys>),
    /// Whose media comes on which SSRC, with the owner's place if it is known.
    Sources(u32, Vec<(RemoteSource, Option<u32>)>),
    /// Height of its camera; −1 = any, 0 = off.
    Limit(u32, i32),
    /// It leaves.
    Close(u32),
    /// Counting begins anew.
    Begin,
    /// No more media is sent.
    Hush,
    /// What is still missing is lost; say the end.
    End,
}

/// What a media thread tells.
pub enum News {
    /// Counts of about a second.
    Interval(Box<Interval>),
    /// An endpoint is connected: its place, `None` for a second connection of it; SRTP profile.
    Connected(Option<u32>, SrtpProfile),
    /// The first media of an endpoint: place, since it began to join, sender's place.
    FirstMedia {
        /// Who.
        place: u32,
        /// Whose media.
        from: u32,
        /// When it began to join.
        started: Timestamp,
        /// When the media came.
        at: Timestamp,
    },
    /// Streams that flow now, of all endpoints: audio and video.
    Live(u64, u64),
    /// The thread has ended.
    Ended,
}

/// The way to a media thread.
#[derive(Clone)]
pub struct Handle(Sender<Order>);

impl Handle {
    /// Tells it; it looks at least every [`LOOK_EVERY`].
    pub fn tell(&self, order: Order) {
        // A thread that has ended needs to know nothing.
        let _ = self.0.send(order);
    }
}

/// Settings of the media threads.
#[derive(Clone, Debug)]
pub struct PumpOptions {
    /// Core to pin to.
    pub core: Option<core_affinity::CoreId>,
    /// One frame in so many is opened.
    pub sample: u32,
    /// Never wait, poll.
    pub spin: bool,
    /// Place of the first endpoint behind each room, ascending: the room of a place is found in it.
    pub room_ends: Arc<[u32]>,
}

/// Buffers that all endpoints of a thread share.
pub struct Scratch {
    /// One datagram.
    pub datagram: Box<[u8]>,
    /// One payload.
    pub payload: Box<[u8]>,
    /// A burst of sealed datagrams.
    pub run: Box<[u8]>,
}

impl Default for Scratch {
    fn default() -> Self {
        let bytes = |len: usize| vec![0; len].into_boxed_slice();
        Scratch { datagram: bytes(2_048), payload: bytes(2_048), run: bytes(64 * 1_024) }
    }
}

/// Starts a media thread.
pub fn start(
    orders: Receiver<Order>,
    options: PumpOptions,
    clock: Clock,
    handshakes: handshakes::Handle,
    news: Sender<News>,
    stop: Arc<AtomicBool>,
) -> std::io::Result<JoinHandle<()>> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
    epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;
    let thread = Thread {
        epoll,
        timer,
        endpoints: Vec::new(),
        due: BinaryHeap::new(),
        early: HashMap::new(),
        orders,
        options,
        clock,
        handshakes,
        news,
        stop,
        scratch: Scratch::default(),
        counters: Counters::default(),
        delays: Delays::default(),
        wall_offset_us: clock.wall_offset_us(),
        waited: Duration::ZERO,
        interval_began: Instant::now(),
        measuring: false,
    };
    std::thread::Builder::new().name("media".into()).spawn(move || thread.run())
}

/// The queue of orders of a thread that is yet to be started, and the way to it.
pub fn queue() -> (Handle, Receiver<Order>) {
    let (orders_in, orders) = mpsc::channel();
    (Handle(orders_in), orders)
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    Audio,
    Video,
    Burst,
    Protocol,
}

struct Thread {
    epoll: Epoll,
    timer: TimerFd,
    /// By number of the connection.
    endpoints: Vec<Option<Box<Endpoint>>>,
    due: BinaryHeap<Reverse<(Timestamp, u32, Task)>>,
    /// Sources told before their endpoint was opened.
    early: HashMap<u32, Vec<(RemoteSource, Option<u32>)>>,
    orders: Receiver<Order>,
    options: PumpOptions,
    clock: Clock,
    handshakes: handshakes::Handle,
    news: Sender<News>,
    stop: Arc<AtomicBool>,
    scratch: Scratch,
    counters: Counters,
    delays: Delays,
    wall_offset_us: i64,
    waited: Duration,
    interval_began: Instant,
    measuring: bool,
}

impl Thread {
    fn run(mut self) {
        if let Some(core) = self.options.core {
            core_affinity::set_for_current(core);
        }
        let mut events = vec![EpollEvent::empty(); EVENTS_MAX];
        let mut buffer = vec![0; 64 * 1_024];
        let mut control = Socket::control_space();
        let mut look_at = Instant::now();
        loop {
            if Instant::now() >= look_at {
                look_at = Instant::now() + LOOK_EVERY;
                if !self.take_orders() || self.stop.load(Ordering::Relaxed) {
                    break;
                }
                self.tell_interval();
            }
            self.do_due();
            let count = self.wait(&mut events);
            for event in &events[..count] {
                if event.data() != TIMER {
                    self.receive(event.data() as u32, &mut buffer, &mut control);
                }
            }
        }
        let _ = self.news.send(News::Ended);
    }

    /// Orders that wait; false when there can be no more.
    fn take_orders(&mut self) -> bool {
        loop {
            match self.orders.try_recv() {
                Ok(order) => self.order(order),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn order(&mut self, order: Order) {
        let now = self.clock.now();
        match order {
            Order::Open(opening) => self.open(&opening, now),
            Order::Keys(connection, keys) => {
                let Some(endpoint) = self.endpoint(connection) else { return };
                endpoint.set_keys(&keys, now);
                let news = News::Connected(endpoint.first_of(), keys.profile);
                let _ = self.news.send(news);
                self.schedule(connection, &[Task::Audio, Task::Video, Task::Protocol]);
            }
            Order::Sources(connection, sources) => match self.endpoint(connection) {
                Some(endpoint) => endpoint.sources(sources, now),
                None => self.early.entry(connection).or_default().extend(sources),
            },
            Order::Limit(connection, max_height) => {
                if let Some(endpoint) = self.endpoint(connection) {
                    endpoint.limit_camera(max_height);
                }
            }
            Order::Close(connection) => {
                if let Some(endpoint) = self.endpoints.get_mut(connection as usize).and_then(Option::take) {
                    let _ = self.epoll.delete(endpoint.socket.fd());
                }
            }
            Order::Begin => {
                self.endpoints.iter_mut().flatten().for_each(|endpoint| endpoint.reception.begin_window());
                (self.counters, self.waited) = (Counters::default(), Duration::ZERO);
                self.delays.clear();
                (self.interval_began, self.measuring) = (Instant::now(), true);
            }
            Order::Hush => {
                let (mut audio, mut video) = (0, 0);
                for endpoint in self.endpoints.iter_mut().flatten() {
                    let live = endpoint.reception.live(now);
                    (audio, video) = (audio + live.0 as u64, video + live.1 as u64);
                    endpoint.hush();
                }
                let _ = self.news.send(News::Live(audio, video));
            }
            Order::End => {
                for endpoint in self.endpoints.iter_mut().flatten() {
                    endpoint.reception.give_up(now, true, &mut self.counters);
                }
                self.interval_began -= INTERVAL;
                self.tell_interval();
                self.stop.store(true, Ordering::Relaxed);
            }
        }
    }

    fn open(&mut self, opening: &Opening, now: Timestamp) {
        let connection = opening.connection;
        let at = self.options.room_ends.partition_point(|end| *end <= opening.place);
        let end = self.options.room_ends.get(at).copied().unwrap_or(u32::MAX);
        let mut bytes = [0; 8];
        let _ = getrandom::fill(&mut bytes);
        let random = u64::from_be_bytes(bytes);
        let made = Endpoint::new(opening, opening.room_begins..end, self.options.sample, random, now);
        let endpoint = match made {
            Ok(endpoint) => endpoint,
            Err(reason) => {
                let _ = opening.events.send(Event::Failed(reason));
                return;
            }
        };
        if self.endpoints.len() <= connection as usize {
            self.endpoints.resize_with(connection as usize + 1, || None);
        }
        let event = EpollEvent::new(EpollFlags::EPOLLIN, u64::from(connection));
        if let Err(error) = self.epoll.add(endpoint.socket.fd(), event) {
            let _ = opening.events.send(Event::Failed(error.to_string()));
            return;
        }
        if let Some(profile) = endpoint.profile {
            let _ = self.news.send(News::Connected(endpoint.first_of(), profile));
        }
        let mut endpoint = Box::new(endpoint);
        endpoint.sources(self.early.remove(&connection).unwrap_or_default(), now);
        self.endpoints[connection as usize] = Some(endpoint);
        self.schedule(connection, &[Task::Audio, Task::Video, Task::Protocol]);
    }

    fn endpoint(&mut self, connection: u32) -> Option<&mut Endpoint> {
        self.endpoints.get_mut(connection as usize)?.as_deref_mut()
    }

    /// Entries of the heap are checked when they come up; stale ones are passed over.
    fn schedule(&mut self, connection: u32, tasks: &[Task]) {
        for task in tasks {
            let Some(endpoint) = self.endpoints.get_mut(connection as usize).and_then(Option::as_deref_mut)
            else {
                return;
            };
            let at = due_of(endpoint, *task);
            if *task == Task::Protocol {
                // Timers move often; only one entry is the right one.
                if at >= endpoint.protocol_at {
                    continue;
                }
                endpoint.protocol_at = at;
            }
            if at != Timestamp::NEVER {
                self.due.push(Reverse((at, connection, *task)));
            }
        }
    }

    /// What is due, as long as sockets can wait.
    fn do_due(&mut self) {
        for _ in 0..DUE_MAX {
            let now = self.clock.now();
            let Some(Reverse((at, connection, task))) = self.due.peek().copied() else { return };
            if at > now {
                return;
            }
            self.due.pop();
            let Some(endpoint) = self.endpoints.get_mut(connection as usize).and_then(Option::as_deref_mut)
            else {
                continue;
            };
            if task == Task::Protocol {
                if at != endpoint.protocol_at {
                    continue;
                }
                endpoint.protocol_at = Timestamp::NEVER;
            }
            if due_of(endpoint, task) > now {
                // Put off since, or done already: its own entry comes later.
                if task == Task::Protocol {
                    self.schedule(connection, &[task]);
                }
                continue;
            }
            let Thread { scratch, counters, delays, .. } = self;
            match task {
                Task::Audio => endpoint.send_audio(now, scratch, counters, delays),
                Task::Video => endpoint.send_video(now, scratch, counters, delays),
                Task::Burst => endpoint.send_burst(now, scratch, counters),
                Task::Protocol => {
                    let events = endpoint.handle_timeout(now, scratch, counters);
                    self.ice(connection, events);
                }
            }
            let more: &[Task] = if task == Task::Video { &[Task::Video, Task::Burst] } else { &[task] };
            self.schedule(connection, more);
        }
    }

    fn ice(&mut self, connection: u32, events: Vec<transport::Event>) {
        for event in events {
            match event {
                // The path is good: DTLS may begin. Later changes of path find it done.
                transport::Event::Connected(_) => self.handshakes.tell(handshakes::Order::Begin(connection)),
                transport::Event::Failed | transport::Event::ConsentLost { .. } => {
                    if let Some(endpoint) = self.endpoint(connection) {
                        endpoint.tell(Event::Failed("ICE: no path to the other side".into()));
                    }
                }
                transport::Event::Proved(_) | transport::Event::Forgotten(_) => {}
            }
        }
    }

    /// Waits for sockets until something is due; the number of events.
    fn wait(&mut self, events: &mut [EpollEvent]) -> usize {
        let now = self.clock.now();
        let next = self.due.peek().map_or(Timestamp::NEVER, |Reverse((at, ..))| *at);
        let idle = next.since(now).min(LOOK_EVERY);
        if self.options.spin || idle.is_zero() {
            return self.epoll.wait(events, EpollTimeout::ZERO).unwrap_or(0);
        }
        let began = Instant::now();
        let at = Expiration::OneShot(TimeSpec::nanoseconds(idle.as_nanos() as i64));
        let _ = self.timer.set(at, TimerSetTimeFlags::empty());
        let count = self.epoll.wait(events, EpollTimeout::NONE).unwrap_or(0);
        self.waited += began.elapsed();
        count
    }

    fn receive(&mut self, connection: u32, buffer: &mut [u8], control: &mut Vec<u8>) {
        let Some(endpoint) = self.endpoints.get_mut(connection as usize).and_then(Option::as_deref_mut)
        else {
            return;
        };
        let Some(arrived) = endpoint.socket.clone().receive(buffer, control) else { return };
        let now = self.clock.now();
        let wall = arrived.wall_us.map(|us| Timestamp::from_micros((us - self.wall_offset_us).max(0) as u64));
        let times = Times { arrived: wall.unwrap_or(now).min(now), now };
        note(&mut self.delays.read_late, now.since(times.arrived).as_micros() as u64);
        self.counters[Count::Receives] += 1;
        if let Some(dropped) = arrived.dropped {
            self.counters[Count::SocketDrops] += endpoint.note_dropped(dropped);
        }
        let first = endpoint.reception.first_media.is_none();
        let mut events = Vec::new();
        for datagram in buffer[..arrived.len].chunks(arrived.segment) {
            self.counters[Count::Datagrams] += 1;
            let Thread { scratch, counters, delays, handshakes, .. } = self;
            let news = endpoint.receive(datagram, times, scratch, handshakes, counters, delays);
            events.extend(news);
        }
        if first && let Some((at, from)) = endpoint.reception.first_media {
            let started = endpoint.started;
            let place = endpoint.place;
            let _ = self.news.send(News::FirstMedia { place, from, started, at });
        }
        if endpoint.poll_timeout() < endpoint.protocol_at {
            self.schedule(connection, &[Task::Protocol]);
        }
        self.ice(connection, events);
    }

    fn tell_interval(&mut self) {
        let lasted = self.interval_began.elapsed();
        if lasted < INTERVAL {
            return;
        }
        let busy = 1.0 - self.waited.as_secs_f64() / lasted.as_secs_f64().max(1e-9);
        let interval = Interval {
            counters: self.counters,
            delays: self.delays.clone(),
            busy: busy.clamp(0.0, 1.0),
            measured: self.measuring,
        };
        (self.counters, self.waited, self.interval_began) =
            (Counters::default(), Duration::ZERO, Instant::now());
        self.delays.clear();
        self.wall_offset_us = self.clock.wall_offset_us();
        let _ = self.news.send(News::Interval(Box::new(interval)));
    }
}

fn due_of(endpoint: &Endpoint, task: Task) -> Timestamp {
    match task {
        Task::Audio => endpoint.next_audio,
        Task::Video => endpoint.next_video,
        Task::Burst => endpoint.next_burst,
        Task::Protocol => endpoint.poll_timeout(),
    }
}

/// Orders wait no longer than this, and counts are told no later.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// Counts are told about this often.
const INTERVAL: Duration = Duration::from_millis(1_000);
/// The timer's mark among the numbers of connections.
const TIMER: u64 = u64::MAX;
/// Ready sockets of one wait.
const EVENTS_MAX: usize = 256;
/// Due packets before sockets are looked at again.
const DUE_MAX: usize = 64;
