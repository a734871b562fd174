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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_one_worker_sends_another_receives_with_its_name() {
        let mut ports = Mesh::ports::<u32>(3, 4);
        for (from, port) in ports.iter_mut().enumerate() {
            for to in 0..3usize {
                let sent = port.send(to, |record| *record = (10 * from + to) as u32);
                assert_eq!(sent.is_ok(), from != to, "nobody sends to itself");
            }
            let mut told = Vec::new();
            port.publish_each(|to| told.push(to));
            assert_eq!(told, (0..3).filter(|to| *to != from).collect::<Vec<_>>());
        }
        for (to, port) in ports.iter_mut().enumerate() {
            assert_eq!((port.worker(), port.workers()), (to, 3));
            assert!(!port.is_empty());
            let mut seen = Vec::new();
            let count = port.receive_each(10, |from, record| seen.push((from, *record)));
            seen.sort_unstable();
            let expected: Vec<(usize, u32)> =
                (0..3).filter(|from| *from != to).map(|from| (from, (10 * from + to) as u32)).collect();
            assert_eq!((count, seen), (2, expected));
            assert!(port.is_empty());
        }
    }

    #[test]
    fn nothing_is_seen_before_it_is_published_and_a_full_ring_says_so() {
        let mut ports = Mesh::ports::<u8>(2, 2);
        assert_eq!(ports[0].send(1, |record| *record = 1), Ok(()));
        assert_eq!(ports[0].send(1, |record| *record = 2), Ok(()));
        assert_eq!(ports[0].send(1, |record| *record = 3), Err(Full));
        assert_eq!(ports[0].send(9, |_| ()), Err(Full));
        assert_eq!(ports[1].receive_each(10, |_, _| ()), 0);
        ports[0].publish_each(|_| ());
        assert_eq!(ports[1].receive_each(10, |_, _| ()), 2);
    }

    #[test]
    fn a_small_share_goes_to_each_sender_in_turn() {
        let mut ports = Mesh::ports::<u8>(3, 4);
        for from in [0, 1] {
            for _ in 0..2 {
                ports[from].send(2, |_| ()).expect("room");
            }
            ports[from].publish_each(|_| ());
        }
        let mut seen = Vec::new();
        for _ in 0..6 {
            ports[2].receive_each(1, |from, _| seen.push(from));
        }
        assert_eq!(seen.len(), 4);
        assert!(seen[..2].contains(&0) && seen[..2].contains(&1), "{seen:?}");
    }

    #[test]
    fn an_inbox_taken_out_is_read_while_answers_are_written() {
        let mut ports = Mesh::ports::<u8>(2, 4);
        ports[0].send(1, |record| *record = 7).expect("room");
        ports[0].publish_each(|_| ());
        let mut inbox = ports[1].take_inbox();
        let port = &mut ports[1];
        inbox.receive_each(4, |from, record| port.send(from, |answer| *answer = *record + 1).expect("room"));
        ports[1].put_inbox(inbox);
        ports[1].publish_each(|_| ());
        let mut answers = Vec::new();
        ports[0].receive_each(4, |from, record| answers.push((from, *record)));
        assert_eq!(answers, [(1, 8)]);
    }
}
