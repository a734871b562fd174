//! The handshake thread: associations keyed by endpoint, fed by the media plane's queue, as the daemon does it.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use channel::{Association, Certificate, FailReason, Fingerprint, Output};
use contract::session::SrtpKeys;
use contract::{EndpointId, Timestamp};
use worker::{Clock, DtlsSender, HandshakeEnd};

/// What the thread is told.
pub(crate) enum Order {
    /// An endpoint will come.
    Create(EndpointId),
    /// The certificate that its signalling names, and whether it waits for our hello (`passive`, RFC 5763 §5).
    SetRemote(EndpointId, Fingerprint, bool),
    /// A message on its bridge channel.
    Send(EndpointId, String),
    /// The server is over.
    Stop,
}

/// What the thread tells.
pub(crate) enum News {
    /// The handshake is over.
    Keys(EndpointId, SrtpKeys),
    /// The bridge channel is there.
    ChannelOpened(EndpointId),
    /// A message on it.
    Text(EndpointId, String),
    /// The association failed.
    Failed(EndpointId, FailReason),
}

/// One thread's state.
pub(crate) struct Thread {
    pub(crate) end: HandshakeEnd,
    pub(crate) orders: Receiver<Order>,
    pub(crate) news: Sender<News>,
    pub(crate) datagrams: DtlsSender,
    pub(crate) certificate: Certificate,
    pub(crate) clock: Clock,
}

impl Thread {
    /// Until the server stops.
    pub(crate) fn run(self) {
        let mut associations = HashMap::new();
        loop {
            let now = self.clock.now();
            while let Some(datagram) = self.end.pop() {
                if let Some(association) = associations.get_mut(&datagram.endpoint) {
                    Association::datagram(association, datagram.bytes(), now);
                    self.settle(association);
                }
            }
            for association in associations.values_mut() {
                if association.poll_timeout() <= now {
                    association.handle_timeout(now);
                    self.settle(association);
                }
            }
            match self.orders.recv_timeout(PAUSE) {
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(order) => self.order(order, &mut associations, now),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn order(&self, order: Order, associations: &mut HashMap<EndpointId, Association>, now: Timestamp) {
        let endpoint = match order {
            Order::Create(endpoint) => {
                associations.insert(endpoint, Association::new(endpoint, &self.certificate, now));
                return;
            }
            Order::SetRemote(endpoint, fingerprint, passive) => {
                let Some(association) = associations.get_mut(&endpoint) else { return };
                association.set_remote_fingerprints(&[fingerprint], now);
                if passive {
                    association.connect(now);
                }
                endpoint
            }
            Order::Send(endpoint, text) => {
                let Some(association) = associations.get_mut(&endpoint) else { return };
                association.send_text(&text, now).expect("the test sends on an open channel");
                endpoint
            }
            Order::Stop => return,
        };
        if let Some(association) = associations.get_mut(&endpoint) {
            self.settle(association);
        }
    }

    /// Carry out what an association wants. A test that ended early no longer listens: news to it may be lost.
    fn settle(&self, association: &mut Association) {
        let endpoint = association.endpoint();
        while let Some(output) = association.poll_output() {
            let news = match output {
                Output::Datagram(datagram) => {
                    self.datagrams.send(endpoint, &datagram);
                    continue;
                }
                Output::Keys(keys) => News::Keys(endpoint, keys),
                Output::ChannelOpened => News::ChannelOpened(endpoint),
                Output::Text(text) => News::Text(endpoint, text),
                Output::Failed(reason) => News::Failed(endpoint, reason),
                Output::ChannelClosed | Output::Closed => continue,
            };
            let _ = self.news.send(news);
        }
    }
}

/// Between two looks at the queue: short against every timer of a handshake.
const PAUSE: Duration = Duration::from_millis(1);
