//! An endpoint's place on a worker: its transport, what it signalled, and where its receiving side sits.

use arrayvec::ArrayVec;
use conference::{Heights, ReceiverIndex};
use contract::limits::SSRCS_PER_ENDPOINT_MAX;
use contract::session::{Codec, ExtensionIds, Media, PayloadTypes};
use contract::{ConferenceId, EndpointId, SourceId, Timestamp};
use transport::{Path, SendStream, Transport};

use crate::grouping::PaddingBudget;
use crate::statistics::EndpointStatistics;

/// One endpoint on its worker. Built and freed on the control thread.
#[repr(C)]
pub(crate) struct Seat {
    // What every packet touches comes first, so that it lies in few lines (`repr(C)`).
    pub(crate) endpoint: EndpointId,
    pub(crate) index: u32,
    /// Place of its room on the worker, and of its receiver in the room; set when it is seated.
    pub(crate) room: u32,
    pub(crate) receiver: ReceiverIndex,
    pub(crate) transport: Box<Transport>,
    pub(crate) signalled: Box<SignalledStreams>,
    /// Last packet or consent.
    pub(crate) heard: Timestamp,
    pub(crate) force_mute_audio: bool,
    pub(crate) force_mute_video: bool,
    pub(crate) extensions: ExtensionIds,
    /// RTP padding that it may be sent.
    pub(crate) padding: PaddingBudget,
    /// Its audio is sent with redundancy until then.
    pub(crate) protected_until: Timestamp,
    /// Its link was found full, and gets no redundancy until then.
    pub(crate) full_until: Timestamp,
    /// How far back the frames lie that are sent once more.
    pub(crate) protection: &'static [u64],
    pub(crate) payload_types: PayloadTypes,

    // Now and then.
    pub(crate) conference: ConferenceId,
    /// State for outgoing streams that are yet to begin.
    pub(crate) spares: Spares,
    /// Streams that began when there was no spare, until there is one.
    pub(crate) unbegun: ArrayVec<(u32, Option<u32>, Media), STREAMS_UNBEGUN_MAX>,
    /// The handshake thread that has its DTLS association.
    pub(crate) handshake_thread: usize,
    pub(crate) activity: Activity,
    /// Where the last DTLS datagram came from: answers go there until a path is selected.
    pub(crate) dtls_path: Option<Path>,
    /// The bandwidth that its conference was told, bits per second.
    pub(crate) bandwidth_told: u64,
    /// Its probes and unusable feedbacks that were counted.
    pub(crate) probes_counted: u64,
    pub(crate) unusable_counted: u64,
}

impl Seat {
    /// What is told of it; copied out. Its conference knows the `heights`.
    pub(crate) fn statistics(&self, heights: Heights) -> EndpointStatistics {
        let counted = self.transport.statistics();
        let selected = self.transport.selected();
        EndpointStatistics {
            endpoint: self.endpoint,
            conference: self.conference,
            path: selected.map(|path| (crate::tcp::is_tcp(path.socket), path.peer.is_ipv6())),
            active: self.activity == Activity::Active,
            profile: counted.profile,
            round_trip_us: counted.round_trip_us,
            loss_outbound: counted.loss_outbound,
            loss_inbound: counted.loss_inbound,
            jitter_us: counted.jitter_us,
            bytes_received: counted.bytes_received,
            bytes_sent: counted.bytes_sent,
            packets_received: counted.packets_received,
            packets_sent: counted.packets_sent,
            packets_retransmitted: counted.packets_retransmitted,
            heights,
        }
    }
}

/// What others are told of an endpoint's connectivity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    /// Never heard of: a grace period runs.
    Awaited,
    Active,
    Inactive,
    /// Reported as silent for good; waits to be ordered out.
    Silent,
}

/// Outgoing stream state, by kind: audio streams keep no packets for retransmission and are much smaller.
#[derive(Default)]
pub(crate) struct Spares {
    pub(crate) audio: ArrayVec<Box<SendStream>, SPARE_AUDIO_STREAMS>,
    pub(crate) video: ArrayVec<Box<SendStream>, SPARE_VIDEO_STREAMS>,
}

/// The SSRCs that an endpoint may send on.
pub(crate) type SignalledStreams = ArrayVec<SignalledStream, SSRCS_PER_ENDPOINT_MAX>;

/// What an endpoint's media SSRC carries. RTX arrives unwrapped and needs no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SignalledStream {
    pub(crate) ssrc: u32,
    pub(crate) source: SourceId,
    pub(crate) encoding: u8,
    pub(crate) media: Media,
}

impl Seat {
    /// What the endpoint sends on `ssrc`.
    pub(crate) fn stream(&self, ssrc: u32) -> Option<SignalledStream> {
        self.signalled.iter().find(|stream| stream.ssrc == ssrc).copied()
    }

    /// The codec behind a payload type.
    pub(crate) fn codec(&self, payload_type: u8) -> Option<Codec> {
        self.payload_types
            .iter()
            .find(|signalled| signalled.number == payload_type)
            .map(|signalled| signalled.codec)
    }

    /// Whether a moderator silenced this kind of media.
    pub(crate) fn force_muted(&self, media: Media) -> bool {
        match media {
            Media::Audio => self.force_mute_audio,
            Media::Video => self.force_mute_video,
        }
    }
}

/// All slots of a receiver.
const STREAMS_UNBEGUN_MAX: usize = contract::limits::VIDEO_SLOTS_MAX + contract::limits::AUDIO_SLOTS_MAX;
/// Enough for the streams that can begin between two visits of the control thread.
pub(crate) const SPARE_AUDIO_STREAMS: usize = 8;
/// As above; a video stream's record of sent packets is large.
pub(crate) const SPARE_VIDEO_STREAMS: usize = 4;
