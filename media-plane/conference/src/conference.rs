//! One conference as one worker sees it: all sources, and the receivers that live on the worker.

use contract::session::{AudioSubscription, Codec, ExtensionIds, Media, ReceiverConstraints, VideoType};
use contract::{ConferenceId, DropReason, EndpointId, SourceId, Timestamp};

use crate::endpoint::{Receiver, ReceiverIndex};
use crate::event::Event;
use crate::packet::MediaPacket;
use crate::source::{Source, SourceIndex};

/// What a replica of a conference is told at birth.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Bits per second for the video of one receiver, unless it assumes a bandwidth itself.
    pub budget: u64,
    /// Bits per second that an on-stage screen share may exceed the budget by; 0 = never.
    pub oversend: u64,
    /// At most this many video sources for a receiver, whatever it asks.
    pub last_n: Option<u16>,
    /// Heights in pixels that three encodings are taken to have until their key frames tell.
    pub default_heights: [u16; 3],
    /// Height in pixels of the only encoding of a source, until its key frames tell.
    pub single_height: u16,
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
            silence_packets: Some(4),
        }
    }
}

/// The index tables of a conference, allocated by the control plane.
#[derive(Debug, Default)]
pub struct Storage {
    sources: Vec<Option<Box<Source>>>,
    receivers: Vec<Option<Box<Receiver>>>,
}

impl Storage {
    /// Room for so many sources and receivers.
    pub fn with_capacity(sources: usize, receivers: usize) -> Storage {
        Storage { sources: Vec::with_capacity(sources), receivers: Vec::with_capacity(receivers) }
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
}

/// A replica of a conference.
#[derive(Debug)]
pub struct Conference {
    id: ConferenceId,
    config: Config,
    storage: Storage,
}

impl Conference {
    /// An empty conference. Nothing is allocated later: `storage` is filled up to its capacity.
    pub fn new(id: ConferenceId, config: Config, storage: Storage) -> Conference {
        Conference { id, config, storage }
    }

    /// Which it is.
    pub fn id(&self) -> ConferenceId {
        self.id
    }

    /// Move into larger tables; the old ones, emptied, are for the caller to free. Smaller ones come back untouched.
    pub fn reserve(&mut self, spare: Storage) -> Storage {
        spare
    }

    /// A new source. It comes back if it is known already or no room is left.
    pub fn add_source(&mut self, source: Box<Source>, now: Timestamp) -> Result<SourceIndex, Box<Source>> {
        let _ = now;
        Err(source)
    }

    /// Forget a source; it is for the caller to free.
    pub fn remove_source(&mut self, source: SourceId, now: Timestamp) -> Option<Box<Source>> {
        let _ = (source, now);
        None
    }

    /// What a source shows from now on.
    pub fn set_video_type(&mut self, source: SourceId, video_type: VideoType, now: Timestamp) {
        let _ = (source, video_type, now);
    }

    /// Where a source sits.
    pub fn source_index(&self, source: SourceId) -> Option<SourceIndex> {
        let _ = source;
        None
    }

    /// A new receiver. It comes back if it is known already or no room is left.
    pub fn add_receiver(
        &mut self,
        receiver: Box<Receiver>,
        now: Timestamp,
    ) -> Result<ReceiverIndex, Box<Receiver>> {
        let _ = now;
        Err(receiver)
    }

    /// Forget a receiver; it is for the caller to free.
    pub fn remove_receiver(&mut self, endpoint: EndpointId, now: Timestamp) -> Option<Box<Receiver>> {
        let _ = (endpoint, now);
        None
    }

    /// Where a receiver sits.
    pub fn receiver_index(&self, endpoint: EndpointId) -> Option<ReceiverIndex> {
        let _ = endpoint;
        None
    }

    /// Replace what a receiver wants to see. The former constraints come back to be freed elsewhere; so do the new
    /// ones if the receiver is gone.
    pub fn set_constraints(
        &mut self,
        endpoint: EndpointId,
        constraints: Box<ReceiverConstraints>,
        now: Timestamp,
    ) -> Box<ReceiverConstraints> {
        let _ = (endpoint, now);
        constraints
    }

    /// Replace what a receiver wants to hear; as [`Conference::set_constraints`].
    pub fn set_audio_subscription(
        &mut self,
        endpoint: EndpointId,
        subscription: Box<AudioSubscription>,
        now: Timestamp,
    ) -> Box<AudioSubscription> {
        let _ = (endpoint, now);
        subscription
    }

    /// On the sender's worker: read what an authenticated packet says of itself. Stateful per encoding (numbers are
    /// unwrapped, AV1 structures are kept), so each packet goes through here once, in the order of arrival.
    #[allow(clippy::too_many_arguments)]
    pub fn describe(
        &mut self,
        source: SourceIndex,
        encoding: u8,
        packet: &wire::rtp::Packet<'_>,
        sequence: u64,
        extensions: &ExtensionIds,
        codec: Codec,
        retransmitted: bool,
        now: Timestamp,
    ) -> Result<MediaPacket, DropReason> {
        let _ = (source, encoding, packet, sequence, extensions, codec, retransmitted, now);
        Err(DropReason::UnknownSource)
    }

    /// On every replica, once a packet and before it is projected: rates, heights, speech. Returns where the source
    /// sits here, or `None` if it is not known (any more).
    pub fn note(&mut self, packet: &MediaPacket) -> Option<SourceIndex> {
        self.source_index(packet.source)
    }

    /// All receivers.
    pub fn receivers(&self) -> impl Iterator<Item = ReceiverIndex> + '_ {
        (0..self.storage.receivers.len()).map(|at| ReceiverIndex(at as u16))
    }

    /// Who sits at `receiver`.
    pub fn endpoint(&self, receiver: ReceiverIndex) -> Option<EndpointId> {
        Some(self.storage.receivers.get(usize::from(receiver.0))?.as_ref()?.endpoint())
    }

    /// The receivers that packets of a source may go to; all others need not be asked.
    pub fn interested(&self, source: SourceIndex) -> impl Iterator<Item = ReceiverIndex> + '_ {
        let _ = source;
        core::iter::empty()
    }

    /// Whether `receiver` is among the interested in `source`.
    pub fn is_interested(&self, source: SourceIndex, receiver: ReceiverIndex) -> bool {
        let _ = (source, receiver);
        false
    }

    /// Whether a packet is for a receiver, and as what. `source` is what [`Conference::note`] returned for it.
    pub fn project(
        &mut self,
        receiver: ReceiverIndex,
        source: SourceIndex,
        packet: &MediaPacket,
    ) -> Option<Projected> {
        let _ = (receiver, source, packet);
        None
    }

    /// A sender report (RFC 3550 §6.4.1) of `ssrc`, as the receiver must see it: (outgoing SSRC, NTP, RTP timestamp). `None`
    /// unless `ssrc` is the encoding that the receiver is being sent.
    pub fn translate_sender_report(
        &mut self,
        receiver: ReceiverIndex,
        source: SourceIndex,
        ssrc: u32,
        ntp: u64,
        rtp: u32,
    ) -> Option<(u32, u64, u32)> {
        let _ = (receiver, source, ssrc, ntp, rtp);
        None
    }

    /// Whose stream a receiver means by `ssrc`: the source, and the original SSRC to ask (the encoding it is being sent,
    /// or is to be sent).
    pub fn source_of_feedback(&self, receiver: ReceiverIndex, ssrc: u32) -> Option<(SourceId, u32)> {
        let _ = (receiver, ssrc);
        None
    }

    /// Whether a key-frame request may go to the sender now. `requester` is who wants it.
    pub fn key_frame_wanted(
        &mut self,
        source: SourceId,
        ssrc: u32,
        requester: EndpointId,
        now: Timestamp,
    ) -> bool {
        let _ = (source, ssrc, requester, now);
        false
    }

    /// When [`Conference::handle_timeout`] wants to be called; [`Timestamp::NEVER`] if not at all.
    pub fn poll_timeout(&self) -> Timestamp {
        Timestamp::NEVER
    }

    /// Do what is due: speech decisions, allocations. Bounded work; call again if the timeout is still past.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let _ = now;
    }

    /// The next piece of news. Call until `None` after each turn.
    pub fn poll_event(&mut self) -> Option<Event> {
        let _ = &self.config;
        let _ = &self.storage.sources;
        None
    }
}
