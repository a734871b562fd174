//! One conference as one worker sees it: all sources, and the receivers that live on the worker.

use arrayvec::ArrayVec;
use contract::limits::{ENDPOINTS_PER_CONFERENCE_MAX, PREVIOUS_SPEAKERS_MAX};
use contract::session::{AudioSubscription, Media, ReceiverConstraints, VideoType};
use contract::{ConferenceId, EndpointId, SourceId, Timestamp};

use crate::allotment::Schedule;
use crate::constraints::{is_heard, prepare_constraints, prepare_subscription};
use crate::endpoint::{Allotted, Receiver, ReceiverIndex};
use crate::event::Event;
use crate::heights::Heights;
use crate::index_set::IndexSet;
use crate::loudest::Loudest;
use crate::shedding::Shedding;
use crate::source::{ReceiverSet, Source, SourceIndex};
use crate::speech::Speech;

/// Sources of one conference that a replica can hold: each endpoint sends audio, camera and screen, and some to spare.
pub const SOURCES_PER_CONFERENCE_MAX: usize = 4 * ENDPOINTS_PER_CONFERENCE_MAX;

/// A bit per source of a replica.
pub(crate) type SourceSet = IndexSet<{ SOURCES_PER_CONFERENCE_MAX.div_ceil(64) }>;

/// What a replica of a conference is told at birth.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Bits per second for the video of one receiver, unless it assumes a bandwidth itself or its link is known.
    pub budget: u64,
    /// Bits per second that an on-stage screen share may exceed the budget by; 0 = never.
    pub oversend: u64,
    /// At most this many video sources for a receiver, whatever it asks.
    pub last_n: Option<u16>,
    /// Heights in pixels that three encodings are taken to have until their key frames tell.
    pub default_heights: [u16; 3],
    /// Height in pixels of the only encoding of a source, until its key frames tell.
    pub single_height: u16,
    /// Of audio, only so many of the loudest sources are forwarded, and the dominant speaker; `None` forwards all. What a receiver
    /// asks for by name is always forwarded.
    pub loudest: Option<usize>,
    /// Forward so many silent packets in a row and drop the rest; `None` forwards all.
    pub silence_packets: Option<u8>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            budget: 20_000_000,
            oversend: 500_000,
            last_n: None,
            default_heights: [180, 360, 720],
            single_height: 720,
            loudest: None,
            silence_packets: Some(4),
        }
    }
}

/// The index tables of a conference, allocated by the control plane.
#[derive(Debug, Default)]
pub struct Storage {
    pub(crate) sources: Vec<Option<Box<Source>>>,
    pub(crate) receivers: Vec<Option<Box<Receiver>>>,
    /// Sorted by id.
    source_ids: Vec<(SourceId, u16)>,
    receiver_ids: Vec<(EndpointId, u16)>,
    /// Video sources, the most important first.
    pub(crate) order: Vec<u16>,
}

impl Storage {
    /// Room for so many sources and receivers, cut to what a conference can hold.
    pub fn with_capacity(sources: usize, receivers: usize) -> Storage {
        let sources = sources.min(SOURCES_PER_CONFERENCE_MAX);
        let receivers = receivers.min(ENDPOINTS_PER_CONFERENCE_MAX);
        Storage {
            sources: Vec::with_capacity(sources),
            receivers: Vec::with_capacity(receivers),
            source_ids: Vec::with_capacity(sources),
            receiver_ids: Vec::with_capacity(receivers),
            order: Vec::with_capacity(sources),
        }
    }

    /// Sources and receivers that there is room for.
    pub fn capacity(&self) -> (usize, usize) {
        let sources = self.sources.capacity().min(self.source_ids.capacity()).min(self.order.capacity());
        let receivers = self.receivers.capacity().min(self.receiver_ids.capacity());
        (sources.min(SOURCES_PER_CONFERENCE_MAX), receivers.min(ENDPOINTS_PER_CONFERENCE_MAX))
    }
}

/// A packet as one receiver is to get it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Projected {
    /// Outgoing sequence number, extended; `header.sequence` is its low half.
    pub sequence: u64,
    /// The outgoing fixed header.
    pub header: wire::rtp::Header,
    /// What must change besides the header.
    pub patch: wire::codec::Patch,
    /// Audio or video.
    pub media: Media,
    /// The stream begins with this packet, which came late: offer the up to [`REPLAY_MAX`] packets of the same encoding that
    /// follow it once more, in order; they were refused before.
    pub replay: bool,
    /// A key frame of the stream begins with this packet: of what was sent before nothing is needed any more.
    pub anew: bool,
}

/// Packets of an encoding that [`Projected::replay`] may ask for again.
pub const REPLAY_MAX: u64 = crate::projection::REPLAY_MAX;

/// A replica of a conference.
///
/// The order of a turn: [`Conference::describe`] what came from local senders, [`Conference::note`] every packet, take all
/// events, then [`Conference::project`]. Nothing is projected onto an outgoing SSRC before its [`Event::SendStream`] was taken.
#[derive(Debug)]
#[repr(C)]
pub struct Conference {
    // What every packet touches comes first, so that it lies in few lines (`repr(C)`).
    pub(crate) storage: Storage,
    pub(crate) source_news: SourceSet,
    pub(crate) receiver_news: ReceiverSet,
    speaker_news: bool,
    pub(crate) config: Config,

    // Now and then.
    id: ConferenceId,
    pub(crate) speech: Speech,
    pub(crate) schedule: Schedule,
    pub(crate) shedding: Shedding,
    pub(crate) loudest: Loudest,
    /// Former dominant speakers, newest first.
    previous: ArrayVec<EndpointId, PREVIOUS_SPEAKERS_MAX>,
    dominant: Option<EndpointId>,
    /// How often the dominant speaker changed.
    changes: u64,
}

impl Conference {
    /// An empty conference. Nothing is allocated later: `storage` is filled up to its capacity.
    pub fn new(id: ConferenceId, config: Config, storage: Storage) -> Conference {
        Conference {
            id,
            config,
            storage,
            speech: Speech::new(),
            schedule: Schedule::default(),
            shedding: Shedding::Nothing,
            loudest: Loudest::default(),
            source_news: SourceSet::default(),
            receiver_news: ReceiverSet::default(),
            speaker_news: false,
            previous: ArrayVec::new(),
            dominant: None,
            changes: 0,
        }
    }

    /// Which it is.
    pub fn id(&self) -> ConferenceId {
        self.id
    }

    /// The index tables; their [`Storage::capacity`] says when larger ones are due.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Whether neither sources nor receivers are left.
    pub fn is_empty(&self) -> bool {
        self.storage.source_ids.is_empty() && self.storage.receiver_ids.is_empty()
    }

    /// Move into larger tables; the old ones, emptied, are for the caller to free. Smaller ones come back untouched.
    pub fn reserve(&mut self, mut spare: Storage) -> Storage {
        let (now, then) = (self.storage.capacity(), spare.capacity());
        if then.0 < now.0 || then.1 < now.1 || spare.sources.len() + spare.receivers.len() > 0 {
            return spare;
        }
        core::mem::swap(&mut self.storage, &mut spare);
        self.storage.sources.append(&mut spare.sources);
        self.storage.receivers.append(&mut spare.receivers);
        self.storage.source_ids.append(&mut spare.source_ids);
        self.storage.receiver_ids.append(&mut spare.receiver_ids);
        self.storage.order.append(&mut spare.order);
        spare
    }

    /// A new source. It comes back if it is known already or no room is left.
    pub fn add_source(&mut self, source: Box<Source>, now: Timestamp) -> Result<SourceIndex, Box<Source>> {
        let place = self.storage.source_ids.binary_search_by_key(&source.id, |entry| entry.0);
        let Err(at) = place else { return Err(source) };
        let Some(index) = free_seat(&mut self.storage.sources, self.storage.source_ids.capacity()) else {
            return Err(source);
        };
        self.storage.source_ids.insert(at, (source.id, index));
        let (owner, media) = (source.owner, source.media);
        let same = self.storage.sources.iter().flatten().filter(|other| other.owner == owner);
        let spoke = same.map(|other| other.spoke).max().unwrap_or(0);
        if let Some(seat) = self.storage.sources.get_mut(usize::from(index)) {
            seat.insert(source).spoke = spoke;
        }
        match media {
            Media::Audio => self.invite_audio(index),
            Media::Video => {
                self.schedule.order_is_stale = true;
                self.schedule_all(now);
            }
        }
        Ok(SourceIndex(index))
    }

    /// Forget a source; it is for the caller to free.
    pub fn remove_source(&mut self, source: SourceId, now: Timestamp) -> Option<Box<Source>> {
        let at = self.storage.source_ids.binary_search_by_key(&source, |entry| entry.0).ok()?;
        let (_, index) = self.storage.source_ids.remove(at);
        let removed = self.storage.sources.get_mut(usize::from(index))?.take()?;
        for (at, seat) in self.storage.receivers.iter_mut().enumerate() {
            let Some(receiver) = seat else { continue };
            receiver.audio.release(index);
            receiver.video.release(index);
            // Without rewriting its streams have ended.
            self.receiver_news.insert(at as u16);
            let before = receiver.wanted.len();
            receiver.wanted.retain(|wanted| wanted.source != index);
            if receiver.wanted.len() != before {
                receiver.forwarded_changed = true;
            }
        }
        self.source_news.remove(index);
        self.loudest.forget(index);
        if self.speech.dominant() == Some(index) {
            self.speech.forget(index);
            self.note_speaker(now);
        }
        if removed.media == Media::Video {
            self.schedule.order_is_stale = true;
            self.schedule_all(now);
        }
        Some(removed)
    }

    /// What a source shows from now on.
    pub fn set_video_type(&mut self, source: SourceId, video_type: VideoType, now: Timestamp) {
        let Some(state) = self.source_index(source).and_then(|index| self.source_mut(index.0)) else {
            return;
        };
        if !state.set_video_type(video_type) {
            return;
        }
        self.schedule.order_is_stale = true;
        self.schedule_all(now);
    }

    /// Where a source sits.
    pub fn source_index(&self, source: SourceId) -> Option<SourceIndex> {
        let at = self.storage.source_ids.binary_search_by_key(&source, |entry| entry.0).ok()?;
        self.storage.source_ids.get(at).map(|entry| SourceIndex(entry.1))
    }

    /// A new receiver. It comes back if it is known already or no room is left.
    pub fn add_receiver(
        &mut self,
        receiver: Box<Receiver>,
        now: Timestamp,
    ) -> Result<ReceiverIndex, Box<Receiver>> {
        let place = self.storage.receiver_ids.binary_search_by_key(&receiver.endpoint, |entry| entry.0);
        let Err(at) = place else { return Err(receiver) };
        let Some(index) = free_seat(&mut self.storage.receivers, self.storage.receiver_ids.capacity()) else {
            return Err(receiver);
        };
        self.storage.receiver_ids.insert(at, (receiver.endpoint, index));
        if let Some(seat) = self.storage.receivers.get_mut(usize::from(index)) {
            *seat = Some(receiver);
        }
        self.subscribe(index);
        self.schedule_one(index, now);
        Ok(ReceiverIndex(index))
    }

    /// Forget a receiver; it is for the caller to free.
    pub fn remove_receiver(&mut self, endpoint: EndpointId, now: Timestamp) -> Option<Box<Receiver>> {
        let at = self.storage.receiver_ids.binary_search_by_key(&endpoint, |entry| entry.0).ok()?;
        let (_, index) = self.storage.receiver_ids.remove(at);
        let removed = self.storage.receivers.get_mut(usize::from(index))?.take()?;
        for source in self.storage.sources.iter_mut().flatten() {
            source.interested.remove(index);
        }
        self.receiver_news.remove(index);
        self.schedule.forget(index);
        self.schedule.note_demand(now);
        Some(removed)
    }

    /// Where a receiver sits.
    pub fn receiver_index(&self, endpoint: EndpointId) -> Option<ReceiverIndex> {
        let at = self.storage.receiver_ids.binary_search_by_key(&endpoint, |entry| entry.0).ok()?;
        self.storage.receiver_ids.get(at).map(|entry| ReceiverIndex(entry.1))
    }

    /// Replace what a receiver wants to see. The former constraints come back to be freed elsewhere; so do the new
    /// ones if the receiver is gone.
    pub fn set_constraints(
        &mut self,
        endpoint: EndpointId,
        mut constraints: Box<ReceiverConstraints>,
        now: Timestamp,
    ) -> Box<ReceiverConstraints> {
        let Some(index) = self.receiver_index(endpoint) else { return constraints };
        let Some(receiver) = self.receiver_mut(index.0) else { return constraints };
        prepare_constraints(&mut constraints);
        let former = core::mem::replace(&mut receiver.constraints, constraints);
        self.schedule_one(index.0, now);
        former
    }

    /// What is given up for everybody here, as the box has too much to do.
    pub fn set_shedding(&mut self, shedding: Shedding, now: Timestamp) {
        if core::mem::replace(&mut self.shedding, shedding) != shedding {
            self.schedule_all(now);
        }
    }

    /// What the link of a receiver carries, in bits per second. It is allotted anew if that may change anything.
    pub fn set_bandwidth(&mut self, receiver: ReceiverIndex, bits_per_second: u64, now: Timestamp) {
        let Some(state) = self.receiver_mut(receiver.0) else { return };
        state.bandwidth = Some(bits_per_second);
        let Allotted { budget, spent, ideal } = state.allotted;
        // More than enough stays more than enough; of less, some percent may be worth a layer.
        let enough = bits_per_second >= ideal && budget >= ideal;
        let small = bits_per_second.abs_diff(budget) <= budget / BANDWIDTH_STEP && bits_per_second >= spent;
        if !enough && !small {
            self.schedule_one(receiver.0, now);
        }
    }

    /// Replace what a receiver wants to hear; as [`Conference::set_constraints`].
    pub fn set_audio_subscription(
        &mut self,
        endpoint: EndpointId,
        mut subscription: Box<AudioSubscription>,
        _now: Timestamp,
    ) -> Box<AudioSubscription> {
        let Some(index) = self.receiver_index(endpoint) else { return subscription };
        let Some(receiver) = self.receiver_mut(index.0) else { return subscription };
        prepare_subscription(&mut subscription);
        let former = core::mem::replace(&mut receiver.subscription, subscription);
        self.subscribe(index.0);
        former
    }

    /// All receivers.
    pub fn receivers(&self) -> impl Iterator<Item = ReceiverIndex> + '_ {
        let seats = self.storage.receivers.iter().enumerate();
        seats.filter(|(_, seat)| seat.is_some()).map(|(at, _)| ReceiverIndex(at as u16))
    }

    /// Who sits at `receiver`.
    pub fn endpoint(&self, receiver: ReceiverIndex) -> Option<EndpointId> {
        Some(self.storage.receivers.get(usize::from(receiver.0))?.as_ref()?.endpoint)
    }

    /// The videos that go to `receiver`, by height; as allotted last, so that asking costs nothing.
    pub fn heights(&self, receiver: ReceiverIndex) -> Heights {
        let seat = self.storage.receivers.get(usize::from(receiver.0));
        seat.and_then(Option::as_deref).map_or_else(Heights::default, |receiver| receiver.heights)
    }

    /// The source that sits at `source`.
    pub fn source(&self, source: SourceIndex) -> Option<&Source> {
        self.storage.sources.get(usize::from(source.0))?.as_deref()
    }

    /// The receivers that packets of a source may go to; all others need not be asked.
    pub fn interested(&self, source: SourceIndex) -> impl Iterator<Item = ReceiverIndex> + '_ {
        self.source(source).into_iter().flat_map(|source| source.interested.iter()).map(ReceiverIndex)
    }

    /// Whether `receiver` is among the interested in `source`.
    pub fn is_interested(&self, source: SourceIndex, receiver: ReceiverIndex) -> bool {
        self.source(source).is_some_and(|source| source.interested.contains(receiver.0))
    }

    /// Whether anybody of this replica is interested in `source`.
    pub fn is_wanted(&self, source: SourceIndex) -> bool {
        self.source(source).is_some_and(|source| !source.interested.is_empty())
    }

    /// The dominant speaker.
    pub fn dominant_speaker(&self) -> Option<EndpointId> {
        self.dominant
    }

    /// When [`Conference::handle_timeout`] wants to be called; [`Timestamp::NEVER`] if not at all.
    pub fn poll_timeout(&self) -> Timestamp {
        self.schedule.timeout(!self.storage.receiver_ids.is_empty()).min(self.speech.timeout())
    }

    /// Do what is due: speech decisions, allocations. Bounded work; call again if the timeout is still past.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.speech.timeout() <= now {
            let seats = self.storage.sources.iter_mut().enumerate();
            let audio = seats.filter_map(|(at, seat)| {
                let source = seat.as_mut().filter(|source| source.media == Media::Audio)?;
                Some((at as u16, &mut source.speaker))
            });
            if self.speech.decide(now, audio) {
                self.note_speaker(now);
            }
        }
        if self.schedule.timeout(!self.storage.receiver_ids.is_empty()) <= now {
            self.allot(now);
        }
    }

    /// The next piece of news. Call until `None`, between [`Conference::note`] and [`Conference::project`] of a turn.
    pub fn poll_event(&mut self) -> Option<Event> {
        if core::mem::take(&mut self.speaker_news) {
            return Some(Event::DominantSpeaker { endpoint: self.dominant, previous: self.previous.clone() });
        }
        while let Some(index) = self.source_news.next_from(0) {
            if let Some(event) = self.source_mut(index).and_then(source_event) {
                return Some(event);
            }
            self.source_news.remove(index);
        }
        while let Some(index) = self.receiver_news.next_from(0) {
            if let Some(event) = self.receiver_mut(index).and_then(Receiver::poll_event) {
                return Some(event);
            }
            self.receiver_news.remove(index);
        }
        None
    }

    pub(crate) fn source_mut(&mut self, index: u16) -> Option<&mut Source> {
        self.storage.sources.get_mut(usize::from(index))?.as_deref_mut()
    }

    pub(crate) fn receiver_mut(&mut self, index: u16) -> Option<&mut Receiver> {
        self.storage.receivers.get_mut(usize::from(index))?.as_deref_mut()
    }

    /// Work out who is interested in a new audio source.
    fn invite_audio(&mut self, index: u16) {
        let Some(source) = self.storage.sources.get_mut(usize::from(index)).and_then(Option::as_deref_mut)
        else {
            return;
        };
        for (at, seat) in self.storage.receivers.iter().enumerate() {
            let Some(receiver) = seat else { continue };
            let heard = receiver.endpoint != source.owner && is_heard(&receiver.subscription, source.id);
            source.interested.set(at as u16, heard);
        }
        source.slots_missing = true;
    }

    /// Work out which audio sources a receiver is interested in.
    fn subscribe(&mut self, index: u16) {
        let Some(receiver) =
            self.storage.receivers.get_mut(usize::from(index)).and_then(Option::as_deref_mut)
        else {
            return;
        };
        for (at, seat) in self.storage.sources.iter_mut().enumerate() {
            let Some(source) = seat.as_mut().filter(|source| source.media == Media::Audio) else { continue };
            let heard = receiver.endpoint != source.owner && is_heard(&receiver.subscription, source.id);
            source.interested.set(index, heard);
            source.slots_missing |= heard;
            source.named |= receiver.subscription.include.binary_search(&source.id).is_ok();
            if let Some(slot) = receiver.audio.of_source_mut(at as u16).filter(|_| !heard) {
                slot.projection.pause();
            }
        }
    }

    /// The detector came to another result.
    fn note_speaker(&mut self, now: Timestamp) {
        let index = self.speech.dominant();
        let endpoint = index.and_then(|index| self.source_mut(index)).map(|source| source.owner);
        if endpoint == self.dominant {
            return;
        }
        if let Some(former) = core::mem::replace(&mut self.dominant, endpoint) {
            self.previous.retain(|held| *held != former);
            if self.previous.is_full() {
                self.previous.pop();
            }
            self.previous.insert(0, former);
        }
        self.previous.retain(|held| Some(*held) != endpoint);
        self.changes += 1;
        for source in self.storage.sources.iter_mut().flatten() {
            if Some(source.owner) == endpoint {
                source.spoke = self.changes;
            }
        }
        self.speaker_news = true;
        self.schedule.order_is_stale = true;
        self.schedule_all(now);
    }
}

/// A bandwidth that differs by no more than this part is taken for the same.
const BANDWIDTH_STEP: u64 = 40;

/// The index of an empty seat; the table grows within its capacity only.
fn free_seat<T>(seats: &mut Vec<Option<T>>, ids: usize) -> Option<u16> {
    if let Some(at) = seats.iter().position(Option::is_none) {
        return Some(at as u16);
    }
    let full = seats.len() == seats.capacity() || seats.len() >= ids || seats.len() > usize::from(u16::MAX);
    if full {
        return None;
    }
    seats.push(None);
    Some((seats.len() - 1) as u16)
}

/// What there is to say of a source.
fn source_event(source: &mut Source) -> Option<Event> {
    let id = source.id;
    if let Some(encoding) = source.encodings.iter_mut().find(|encoding| encoding.key_frame_due) {
        encoding.key_frame_due = false;
        return Some(Event::KeyFrameNeeded { source: id, ssrc: encoding.ssrc });
    }
    let max_height = source.demand;
    let told = core::mem::replace(&mut source.demand_told, max_height);
    (told != max_height).then_some(Event::Demand { source: id, max_height })
}

#[cfg(test)]
mod tests;
