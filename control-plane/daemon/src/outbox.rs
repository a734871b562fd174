//! What waits to be sent to one client: bounded by bytes, because a join of a large room is one burst of thousands of frames.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::mpsc;
use xmpp::Text;

/// To the task of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ToConnection {
    /// Send one text frame.
    Frame(Text),
    /// The stream is over: close.
    Close,
}

/// Where frames go in; dropping it ends the task.
#[derive(Debug)]
pub(crate) struct Outbox {
    sender: mpsc::UnboundedSender<ToConnection>,
    shared: Arc<Shared>,
}

/// Where they come out.
#[derive(Debug)]
pub(crate) struct Waiting {
    receiver: mpsc::UnboundedReceiver<ToConnection>,
    shared: Arc<Shared>,
}

/// What both ends know.
#[derive(Debug, Default)]
struct Shared {
    /// Bytes that wait.
    waiting: AtomicUsize,
    is_authenticated: AtomicBool,
}

/// The client does not read, or is gone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overfull;

/// Both ends.
pub(crate) fn outbox() -> (Outbox, Waiting) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let shared = Arc::<Shared>::default();
    (Outbox { sender, shared: shared.clone() }, Waiting { receiver, shared })
}

impl Outbox {
    /// Puts one more in.
    ///
    /// # Errors
    /// [`Overfull`] if more than [`BYTES_WAITING_MAX`] wait already, or nobody takes them any more.
    pub(crate) fn send(&self, message: ToConnection) -> Result<(), Overfull> {
        if self.shared.waiting.load(Ordering::Relaxed) > BYTES_WAITING_MAX {
            return Err(Overfull);
        }
        self.shared.waiting.fetch_add(weight(&message), Ordering::Relaxed);
        self.sender.send(message).map_err(|_| Overfull)
    }

    /// The client has authenticated. To be called before it is told so: from then on it may send longer frames.
    pub(crate) fn authenticated(&self) {
        self.shared.is_authenticated.store(true, Ordering::Release);
    }
}

impl Waiting {
    /// The next one; `None` once the other end is gone.
    pub(crate) async fn recv(&mut self) -> Option<ToConnection> {
        self.receiver.recv().await.inspect(|message| self.taken(message))
    }

    /// The next one if there is one.
    pub(crate) fn try_recv(&mut self) -> Option<ToConnection> {
        self.receiver.try_recv().ok().inspect(|message| self.taken(message))
    }

    /// Whether the client has authenticated.
    pub(crate) fn is_authenticated(&self) -> bool {
        self.shared.is_authenticated.load(Ordering::Acquire)
    }

    fn taken(&self, message: &ToConnection) {
        self.shared.waiting.fetch_sub(weight(message), Ordering::Relaxed);
    }
}

/// Bytes that a message holds while it waits, its place in the queue included.
fn weight(message: &ToConnection) -> usize {
    match message {
        ToConnection::Frame(text) => text.own_bytes() + PLACE_BYTES,
        ToConnection::Close => PLACE_BYTES,
    }
}

/// Bytes that may wait for a client that does not read; then the connection is given up, and the session may be resumed.
/// The largest offers have hundreds of kilobytes; of what is shared with other clients, only the copy's own bytes count, so
/// that a room of thousands fits.
const BYTES_WAITING_MAX: usize = 2 * 1_024 * 1_024;

/// One place in the queue.
const PLACE_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use xmpp::{Element, Recipient};

    use super::*;

    #[test]
    fn a_client_that_does_not_read_is_given_up_at_a_number_of_bytes() {
        let (outbox, mut waiting) = outbox();
        let frame = || ToConnection::Frame("x".repeat(1_024).into());
        let taken = (0..10_000).take_while(|_| outbox.send(frame()).is_ok()).count();
        assert!((1_800..2_048).contains(&taken), "{taken}");
        waiting.try_recv();
        waiting.try_recv();
        assert_eq!(outbox.send(frame()), Ok(()));
        drop(waiting);
        assert_eq!(outbox.send(ToConnection::Close), Err(Overfull));
    }

    #[test]
    fn the_presences_of_a_room_of_thousands_fit() {
        let (outbox, _waiting) = outbox();
        let presence = Element::new("presence", "jabber:client").with_text("x".repeat(2_000));
        let (shared, to) = (xmpp::Shared::of(&presence), Recipient::new("ann@meet.example/r"));
        assert!((0..5_000).all(|_| outbox.send(ToConnection::Frame(shared.to(&to))).is_ok()));
    }
}
