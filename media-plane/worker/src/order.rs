//! What the control thread hands to a worker and gets back. Everything that a worker needs was built before it came;
//! everything that it no longer needs goes back to be freed elsewhere.

use conference::{Receiver, Source, Storage};
use contract::session::{AudioSubscription, Candidate, ReceiverConstraints, RemoteTransport, VideoType};
use contract::{ConferenceId, EndpointId, SourceId, WorkerId};
use transport::{ReceiveStream, SendStream, srtp};

use crate::bandwidth_state::BandwidthState;
use crate::packet_cache::SourceCache;
use crate::room::{Room, RoomStorage};
use crate::seat::{Seat, SignalledStreams};
use crate::statistics::Statistics;

/// Control → worker, in order.
pub(crate) enum Order {
    /// A conference gets its first endpoint on this worker.
    OpenRoom(Box<Room>),
    /// It lost its last one.
    CloseRoom(ConferenceId),
    /// Larger tables.
    GrowRoom(ConferenceId, Box<(Storage, RoomStorage)>),
    /// The workers that have endpoints of the conference, a bit each.
    SetPeers(ConferenceId, u128),
    /// An endpoint, with its receiving side.
    Seat(Box<Seat>, Box<Receiver>),
    /// It leaves.
    Unseat {
        seat: u32,
        endpoint: EndpointId,
    },
    SetTransport {
        seat: u32,
        endpoint: EndpointId,
        remote: Box<RemoteTransport>,
    },
    AddCandidates {
        seat: u32,
        endpoint: EndpointId,
        candidates: Vec<Candidate>,
    },
    RestartIce {
        seat: u32,
        endpoint: EndpointId,
        credentials: Box<(String, String)>,
    },
    SetKeys {
        seat: u32,
        endpoint: EndpointId,
        session: Box<srtp::Session>,
    },
    /// The receiving state of what the endpoint signalled.
    SetStreams {
        seat: u32,
        endpoint: EndpointId,
        streams: Vec<Box<ReceiveStream>>,
        signalled: Box<SignalledStreams>,
    },
    /// A source of the conference, wherever its owner lives.
    AddSource {
        conference: ConferenceId,
        source: Box<Source>,
        spec: Box<SourceOwner>,
        cache: Option<Box<SourceCache>>,
    },
    RemoveSource {
        conference: ConferenceId,
        source: SourceId,
    },
    SetVideoType {
        conference: ConferenceId,
        source: SourceId,
        video_type: VideoType,
    },
    SetConstraints {
        seat: u32,
        endpoint: EndpointId,
        constraints: Box<ReceiverConstraints>,
    },
    SetAudioSubscription {
        seat: u32,
        endpoint: EndpointId,
        subscription: Box<AudioSubscription>,
    },
    SetForceMute {
        seat: u32,
        endpoint: EndpointId,
        audio: bool,
        video: bool,
    },
    LeaveOutRedundancy {
        seat: u32,
        endpoint: EndpointId,
    },
    /// Fresh state for outgoing streams, in place of what was used up.
    AddSpares {
        seat: u32,
        endpoint: EndpointId,
        spares: Vec<Box<SendStream>>,
    },
    /// Fill it and give it back.
    Count(Box<Statistics>),
    /// Fill it with what is known of the link and give it back.
    CopyBandwidth {
        seat: u32,
        endpoint: EndpointId,
        copy: Box<BandwidthState>,
    },
    /// Leave the loop.
    Stop,
}

/// Where the packets of a source come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SourceOwner {
    pub(crate) source: SourceId,
    pub(crate) endpoint: EndpointId,
    pub(crate) worker: WorkerId,
    pub(crate) seat: u32,
}

/// Worker → control: news that the control plane handles itself, and what is to be freed.
pub(crate) enum Return {
    /// Nothing was heard of an endpoint for too long: order it out.
    Silent(EndpointId),
    /// An endpoint has left; its seat is free.
    Left(WorkerId, Box<Seat>, Option<Box<Receiver>>),
    /// So many spare streams were used up.
    SparesUsed { endpoint: EndpointId, audio: u8, video: u8 },
    /// The count that was asked for.
    Counted(WorkerId, Box<Statistics>),
    /// The copy that was asked for.
    Bandwidth(Box<BandwidthState>),
    /// An order that has been carried out, with what was replaced, to be freed.
    Done(#[allow(dead_code)] Spent),
}

/// What is left of an order. Only its `Drop` matters, and where that runs.
#[allow(dead_code)]
pub(crate) enum Spent {
    Nothing,
    Room(Box<Room>),
    RoomStorage(Box<(Storage, RoomStorage)>),
    Seat(Box<Seat>, Box<Receiver>),
    Remote(Box<RemoteTransport>),
    Candidates(Vec<Candidate>),
    Credentials(Box<(String, String)>),
    Session(Option<Box<srtp::Session>>),
    Streams(Vec<Box<ReceiveStream>>, Box<SignalledStreams>),
    Source(Option<Box<Source>>, Option<Box<SourceOwner>>, Option<Box<SourceCache>>),
    Constraints(Box<ReceiverConstraints>),
    Subscription(Box<AudioSubscription>),
    Spares(Vec<Box<SendStream>>),
    SendStream(Option<Box<SendStream>>),
}
