//! The thread of DTLS associations: handshakes take a millisecond of CPU each and must not delay media.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use crate::association::{Association, Certificate, Output};
use crate::peer::Event;
use crate::pump;
use crate::socket::Socket;

/// An association to prepare.
pub struct Opening {
    /// Number of its connection.
    pub connection: u32,
    /// Where it sends.
    pub socket: Arc<Socket>,
    /// Of the other side.
    pub fingerprints: Vec<(String, String)>,
    /// We send the ClientHello.
    pub active: bool,
    /// Label and protocol of the data channel.
    pub channel: Option<(String, String)>,
    /// To the adapter.
    pub events: UnboundedSender<Event>,
    /// To the endpoint's media thread.
    pub pump: pump::Handle,
}

/// What the thread is told.
pub enum Order {
    /// Prepare an association.
    Open(Box<Opening>),
    /// There is a path: begin.
    Begin(u32),
    /// A datagram came.
    Datagram(u32, Vec<u8>),
    /// Send a message on the data channel.
    Text(u32, String),
    /// The endpoint leaves.
    Close(u32),
}

/// The way to the thread.
#[derive(Clone)]
pub struct Handle(Sender<Order>);

impl Handle {
    /// Tells it.
    pub fn tell(&self, order: Order) {
        // A thread that has ended needs to know nothing.
        let _ = self.0.send(order);
    }
}

/// Starts the thread on a core, or anywhere. It ends with the last handle.
pub fn start(
    certificate: Certificate,
    core: Option<core_affinity::CoreId>,
) -> std::io::Result<(Handle, JoinHandle<()>)> {
    let (orders_in, orders) = mpsc::channel();
    let thread = Thread { certificate, orders, live: HashMap::new(), due: BinaryHeap::new() };
    let join = std::thread::Builder::new().name("dtls".into()).spawn(move || {
        if let Some(core) = core {
            core_affinity::set_for_current(core);
        }
        thread.run();
    })?;
    Ok((Handle(orders_in), join))
}

struct Thread {
    certificate: Certificate,
    orders: Receiver<Order>,
    live: HashMap<u32, Live>,
    due: BinaryHeap<Reverse<(Instant, u32)>>,
}

struct Live {
    association: Association,
    opening: Box<Opening>,
    begun: bool,
    /// The entry of the heap that counts.
    due: Option<Instant>,
}

impl Thread {
    fn run(mut self) {
        loop {
            let now = Instant::now();
            let idle = self.due.peek().map_or(IDLE, |Reverse((at, _))| at.saturating_duration_since(now));
            match self.orders.recv_timeout(idle.min(IDLE)) {
                Ok(order) => self.order(order),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let now = Instant::now();
            while let Some(Reverse((at, connection))) = self.due.peek().copied() {
                if at > now {
                    break;
                }
                self.due.pop();
                if self.live.get(&connection).is_some_and(|live| live.due == Some(at)) {
                    self.with(connection, |association, now| association.handle_timeout(now));
                }
            }
        }
    }

    fn order(&mut self, order: Order) {
        match order {
            Order::Open(opening) => {
                let (fingerprints, channel) = (opening.fingerprints.clone(), opening.channel.clone());
                let association = Association::new(
                    &self.certificate,
                    fingerprints,
                    opening.active,
                    channel,
                    Instant::now(),
                );
                let live = Live { association, begun: false, due: None, opening };
                self.live.insert(live.opening.connection, live);
            }
            Order::Begin(connection) => {
                let Some(live) = self.live.get_mut(&connection) else { return };
                if !std::mem::replace(&mut live.begun, true) {
                    self.with(connection, |association, now| association.handle_timeout(now));
                }
            }
            Order::Datagram(connection, datagram) => {
                self.with(connection, |association, now| association.datagram(&datagram, now));
            }
            Order::Text(connection, text) => {
                self.with(connection, |association, now| association.send_text(&text, now))
            }
            Order::Close(connection) => drop(self.live.remove(&connection)),
        }
    }

    fn with(&mut self, connection: u32, act: impl FnOnce(&mut Association, Instant)) {
        let Some(live) = self.live.get_mut(&connection) else { return };
        act(&mut live.association, Instant::now());
        let mut failed = false;
        for output in live.association.take_outputs() {
            match output {
                Output::Datagram(datagram) => drop(live.opening.socket.send(&datagram)),
                Output::Keys(keys) => live.opening.pump.tell(pump::Order::Keys(connection, Box::new(keys))),
                Output::ChannelOpened => drop(live.opening.events.send(Event::ChannelOpened)),
                Output::Text(text) => drop(live.opening.events.send(Event::ChannelText(text))),
                Output::Failed(reason) => {
                    failed = true;
                    let _ = live.opening.events.send(Event::Failed(reason));
                }
            }
        }
        if failed {
            self.live.remove(&connection);
            return;
        }
        let due = live.association.poll_timeout();
        if due != live.due {
            live.due = due;
            self.due.extend(due.map(|at| Reverse((at, connection))));
        }
    }
}

/// Without anything due, look up this often.
const IDLE: Duration = Duration::from_secs(1);
