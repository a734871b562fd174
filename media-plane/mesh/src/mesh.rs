//! A ring from every worker to every other, so that no two threads ever write to one.

use crate::spsc::{Consumer, Full, Producer, ring};

/// Builds the rings between workers.
pub struct Mesh;

/// One worker's ends of the rings: it writes to every other worker and reads from every other worker.
pub struct Port<T> {
    worker: usize,
    /// By receiving worker; `None` for itself.
    senders: Vec<Option<Producer<T>>>,
    inbox: Inbox<T>,
}

/// The receiving half of a [`Port`].
pub struct Inbox<T> {
    /// By sending worker; `None` for itself.
    receivers: Vec<Option<Consumer<T>>>,
    /// The worker that `receive_each` begins with, so that none is always served last.
    first: usize,
}

impl Mesh {
    /// Rings of `capacity` records between `workers` workers; port `i` goes to worker `i`.
    pub fn ports<T: Default + Send>(workers: usize, capacity: usize) -> Vec<Port<T>> {
        let mut ports: Vec<Port<T>> = (0..workers)
            .map(|worker| Port {
                worker,
                senders: (0..workers).map(|_| None).collect(),
                inbox: Inbox { receivers: (0..workers).map(|_| None).collect(), first: 0 },
            })
            .collect();
        for from in 0..workers {
            for to in (0..workers).filter(|to| *to != from) {
                let (producer, consumer) = ring(capacity);
                ports[from].senders[to] = Some(producer);
                ports[to].inbox.receivers[from] = Some(consumer);
            }
        }
        ports
    }
}

impl<T> Port<T> {
    /// The worker whose port this is.
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// Number of workers of the mesh, this one included.
    pub fn workers(&self) -> usize {
        self.senders.len()
    }

    /// The ring towards worker `to`; `None` for this worker itself and for workers that do not exist.
    #[inline]
    pub fn sender(&mut self, to: usize) -> Option<&mut Producer<T>> {
        self.senders.get_mut(to)?.as_mut()
    }

    /// Lets `write` fill the next record towards worker `to`. [`Full`] also if there is no such other worker.
    #[inline]
    pub fn send(&mut self, to: usize, write: impl FnOnce(&mut T)) -> Result<(), Full> {
        self.sender(to).ok_or(Full)?.push_with(write)
    }

    /// Publishes what was written towards every worker and calls `published` with each that has something new, for
    /// example to wake it. Once a turn.
    #[inline]
    pub fn publish_each(&mut self, mut published: impl FnMut(usize)) {
        for (to, sender) in self.senders.iter_mut().enumerate() {
            if sender.as_mut().is_some_and(Producer::publish) {
                published(to);
            }
        }
    }

    /// Takes the receiving half out, so that records can be read in place while answers are written. The port is left
    /// without; give it back with [`Port::put_inbox`].
    pub fn take_inbox(&mut self) -> Inbox<T> {
        std::mem::replace(&mut self.inbox, Inbox { receivers: Vec::new(), first: 0 })
    }

    /// Puts the receiving half back.
    pub fn put_inbox(&mut self, inbox: Inbox<T>) {
        self.inbox = inbox;
    }

    /// See [`Inbox::receive_each`].
    #[inline]
    pub fn receive_each(&mut self, max: usize, read: impl FnMut(usize, &mut T)) -> usize {
        self.inbox.receive_each(max, read)
    }

    /// Whether nothing published waits for this worker: the check before sleeping.
    pub fn is_empty(&self) -> bool {
        self.inbox.receivers.iter().flatten().all(Consumer::is_empty)
    }
}

impl<T> Inbox<T> {
    /// Lets `read` see at most `max` records that came from other workers, with the worker each came from; in order
    /// per sender, senders in turn. Gives how many there were.
    #[inline]
    pub fn receive_each(&mut self, max: usize, mut read: impl FnMut(usize, &mut T)) -> usize {
        let workers = self.receivers.len();
        let mut count = 0;
        for step in 0..workers {
            let from = (self.first + step) % workers;
            if let Some(receiver) = &mut self.receivers[from] {
                count += receiver.drain(max - count, |record| read(from, record));
            }
        }
        self.first = (self.first + 1) % workers.max(1);
        count
    }
}
