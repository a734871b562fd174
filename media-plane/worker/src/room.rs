//! A conference on a worker: its replica, the seats of its receivers, and the packets kept for them.

use conference::{Conference, ReceiverIndex, SourceIndex};
use contract::ConferenceId;

use crate::order::SourceOwner;
use crate::packet_cache::SourceCache;

/// The part of a conference that lives on one worker.
#[repr(C)]
pub(crate) struct Room {
    // What every packet touches comes first, so that it lies in few lines (`repr(C)`).
    pub(crate) id: ConferenceId,
    /// Workers with endpoints of this conference, a bit each, this one included.
    pub(crate) peers: u128,
    storage: RoomStorage,
    pub(crate) conference: Conference,
    // Now and then.
}

/// Tables beside those of the conference, in the same order.
#[derive(Default)]
pub(crate) struct RoomStorage {
    sources: Vec<Option<RoomSource>>,
    seats: Vec<Option<u32>>,
}

/// A source as the worker sees it.
pub(crate) struct RoomSource {
    pub(crate) owner: SourceOwner,
    pub(crate) cache: Option<Box<SourceCache>>,
}

impl RoomStorage {
    /// Room for so many sources and receivers.
    pub(crate) fn with_capacity(sources: usize, receivers: usize) -> RoomStorage {
        RoomStorage { sources: Vec::with_capacity(sources), seats: Vec::with_capacity(receivers) }
    }
}

impl Room {
    /// An empty room; `storage` has the capacities of the conference's own tables.
    pub(crate) fn new(conference: Conference, storage: RoomStorage) -> Room {
        Room { id: conference.id(), conference, peers: 0, storage }
    }

    /// Move into larger tables and give back the old ones.
    pub(crate) fn grow(&mut self, mut spare: RoomStorage) -> RoomStorage {
        if spare.sources.capacity() >= self.storage.sources.len()
            && spare.seats.capacity() >= self.storage.seats.len()
        {
            spare.sources.append(&mut self.storage.sources);
            spare.seats.append(&mut self.storage.seats);
            std::mem::swap(&mut self.storage, &mut spare);
        }
        spare
    }

    /// The source at `index`.
    pub(crate) fn source(&self, index: SourceIndex) -> Option<&RoomSource> {
        self.storage.sources.get(usize::from(index.0))?.as_ref()
    }

    /// The packets kept of the source at `index`.
    pub(crate) fn cache(&mut self, index: SourceIndex) -> Option<&mut SourceCache> {
        self.storage.sources.get_mut(usize::from(index.0))?.as_mut()?.cache.as_deref_mut()
    }

    /// Every cache, for ageing.
    pub(crate) fn caches(&mut self) -> impl Iterator<Item = &mut SourceCache> {
        self.storage.sources.iter_mut().flatten().filter_map(|source| source.cache.as_deref_mut())
    }

    /// Note who owns the source that the conference put at `index`. The source comes back if there is no room.
    pub(crate) fn set_source(&mut self, index: SourceIndex, source: RoomSource) -> Option<RoomSource> {
        set(&mut self.storage.sources, usize::from(index.0), source)
    }

    /// Forget the source at `index`.
    pub(crate) fn take_source(&mut self, index: SourceIndex) -> Option<RoomSource> {
        self.storage.sources.get_mut(usize::from(index.0))?.take()
    }

    /// The seat of a receiver.
    pub(crate) fn seat(&self, receiver: ReceiverIndex) -> Option<u32> {
        *self.storage.seats.get(usize::from(receiver.0))?
    }

    /// Note the seat of the receiver that the conference put at `receiver`. False: no room.
    pub(crate) fn set_seat(&mut self, receiver: ReceiverIndex, seat: u32) -> bool {
        set(&mut self.storage.seats, usize::from(receiver.0), seat).is_none()
    }

    /// Forget the seat of a receiver.
    pub(crate) fn clear_seat(&mut self, receiver: ReceiverIndex) {
        if let Some(seat) = self.storage.seats.get_mut(usize::from(receiver.0)) {
            *seat = None;
        }
    }

    /// Number of places for receivers; some may be empty.
    pub(crate) fn receiver_places(&self) -> u16 {
        self.storage.seats.len() as u16
    }
}

/// Put `value` at `index`, extending within the capacity only: a worker does not allocate.
fn set<T>(table: &mut Vec<Option<T>>, index: usize, value: T) -> Option<T> {
    if index >= table.capacity() {
        return Some(value);
    }
    while table.len() <= index {
        table.push(None);
    }
    table[index] = Some(value);
    None
}
