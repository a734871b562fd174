//! What waits to be sent to one client: bounded by bytes, because a join of a large room is one burst of thousands of frames.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
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
pub(crate) struct Outbox(Arc<Shared>);

/// Where they come out.
#[derive(Debug)]
pub(crate) struct Waiting(Arc<Shared>);

/// What both ends know.
#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// The queue is no longer empty, or the other end is gone.
    changed: Notify,
    is_authenticated: AtomicBool,
}

/// A queue that holds memory only while something waits: most clients are quiet most of the time, and a channel would
/// keep several kilobytes for each.
#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<ToConnection>,
    /// Bytes that wait.
    bytes: usize,
    /// One end is gone.
    is_closed: bool,
}

/// The client does not read, or is gone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overfull;

/// Both ends.
pub(crate) fn outbox() -> (Outbox, Waiting) {
    let shared = Arc::<Shared>::default();
    (Outbox(Arc::clone(&shared)), Waiting(shared))
}

impl Outbox {
    /// Puts one more in.
    ///
    /// # Errors
    /// [`Overfull`] if more than [`BYTES_WAITING_MAX`] wait already, or nobody takes them any more.
    pub(crate) fn send(&self, message: ToConnection) -> Result<(), Overfull> {
        let mut queue = self.0.queue();
        if queue.is_closed || queue.bytes > BYTES_WAITING_MAX {
            return Err(Overfull);
        }
        queue.bytes += weight(&message);
        queue.messages.push_back(message);
        let is_first = queue.messages.len() == 1;
        drop(queue);
        if is_first {
            self.0.changed.notify_one();
        }
        Ok(())
    }

    /// The client has authenticated. To be called before it is told so: from then on it may send longer frames.
    pub(crate) fn authenticated(&self) {
        self.0.is_authenticated.store(true, Ordering::Release);
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.0.queue().is_closed = true;
        self.0.changed.notify_one();
    }
}

impl Waiting {
    /// The next one; `None` once the other end is gone and nothing waits any more. Nothing is lost if it is not waited for.
    pub(crate) async fn recv(&mut self) -> Option<ToConnection> {
        loop {
            {
                let mut queue = self.0.queue();
                let next = queue.take();
                if next.is_some() || queue.is_closed {
                    return next;
                }
            }
            self.0.changed.notified().await;
        }
    }

    /// The next one if there is one.
    pub(crate) fn try_recv(&mut self) -> Option<ToConnection> {
        self.0.queue().take()
    }

    /// Whether the client has authenticated.
    pub(crate) fn is_authenticated(&self) -> bool {
        self.0.is_authenticated.load(Ordering::Acquire)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        *queue = Queue { is_closed: true, ..Queue::default() };
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn take(&mut self) -> Option<ToConnection> {
        let message = self.messages.pop_front()?;
        self.bytes -= weight(&message);
        if self.messages.is_empty() && self.messages.capacity() > PLACES_KEPT {
            self.messages = VecDeque::new();
        }
        Some(message)
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

/// Places that an empty queue keeps.
const PLACES_KEPT: usize = 8;

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
    fn a_burst_leaves_no_memory_behind() {
        let (outbox, mut waiting) = outbox();
        (0..1_000).for_each(|_| outbox.send(ToConnection::Frame("x".into())).unwrap());
        assert_eq!(std::iter::from_fn(|| waiting.try_recv()).count(), 1_000);
        let queue = outbox.0.queue();
        assert!(
            queue.messages.capacity() <= PLACES_KEPT && queue.bytes == 0,
            "{}",
            queue.messages.capacity()
        );
    }

    #[tokio::test]
    async fn frames_come_in_order_and_after_the_last_the_end() {
        let (outbox, mut waiting) = outbox();
        let taker = tokio::spawn(async move {
            let mut taken = Vec::new();
            while let Some(message) = waiting.recv().await {
                taken.push(message);
            }
            taken
        });
        let frame = |number: usize| ToConnection::Frame(number.to_string().into());
        for number in 0..100 {
            outbox.send(frame(number)).unwrap();
            if number % 7 == 0 {
                tokio::task::yield_now().await;
            }
        }
        drop(outbox);
        assert_eq!(taker.await.unwrap(), (0..100).map(frame).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn who_waits_learns_that_the_other_end_is_gone() {
        let (outbox, mut waiting) = outbox();
        let taker = tokio::spawn(async move { waiting.recv().await });
        tokio::task::yield_now().await;
        drop(outbox);
        let told = tokio::time::timeout(Duration::from_secs(5), taker).await;
        assert_eq!(told.expect("it is told").unwrap(), None);
    }

    #[test]
    fn the_presences_of_a_room_of_thousands_fit() {
        let (outbox, _waiting) = outbox();
        let presence = Element::new("presence", "jabber:client").with_text("x".repeat(2_000));
        let (shared, to) = (xmpp::Shared::of(&presence), Recipient::new("ann@meet.example/r"));
        assert!((0..5_000).all(|_| outbox.send(ToConnection::Frame(shared.to(&to))).is_ok()));
    }
}
