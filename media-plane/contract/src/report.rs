//! What the media plane tells. Every value is inline: a worker builds it without allocating.

use core::net::SocketAddr;

use arrayvec::ArrayVec;

use crate::ids::{ConferenceId, EndpointId, SourceId, Ssrc, WorkerId};
use crate::limits::{PREVIOUS_SPEAKERS_MAX, VIDEO_SLOTS_MAX};
use crate::session::{LocalTransport, Media};

/// News from the media plane.
#[derive(Clone, Debug, PartialEq)]
// Inline on purpose: a worker may not allocate, and the queue that they pass through is allocated once.
#[allow(clippy::large_enum_variant)]
pub enum Report {
    /// An endpoint is seated (or has new credentials): this goes into the offer.
    EndpointReady {
        /// Which.
        endpoint: EndpointId,
        /// Our half of its transport.
        transport: Box<LocalTransport>,
    },
    /// A pair was nominated; DTLS and media may use it. Again after each change of path.
    TransportConnected {
        /// Whose.
        endpoint: EndpointId,
        /// The client's address.
        remote: SocketAddr,
    },
    /// No check ever succeeded, or consent was lost for good. The endpoint remains until expired by command.
    TransportFailed {
        /// Whose.
        endpoint: EndpointId,
    },
    /// Packets or consent stopped (or came back): `EndpointConnectivityStatusChangeEvent`.
    Connectivity {
        /// Whose.
        endpoint: EndpointId,
        /// Heard from lately.
        active: bool,
    },
    /// The dominant speaker changed.
    DominantSpeaker {
        /// Where.
        conference: ConferenceId,
        /// Who; `None` while nobody has spoken.
        endpoint: Option<EndpointId>,
        /// Those before, newest first.
        previous: ArrayVec<EndpointId, PREVIOUS_SPEAKERS_MAX>,
    },
    /// The video sources that a receiver is being sent changed.
    ForwardedSources {
        /// The receiver.
        endpoint: EndpointId,
        /// Complete.
        sources: ArrayVec<SourceId, VIDEO_SLOTS_MAX>,
    },
    /// With SSRC rewriting: from now on `source` reaches the receiver on `ssrc`.
    SourceMapped {
        /// The receiver.
        endpoint: EndpointId,
        /// What it is sent.
        source: SourceId,
        /// Audio or video slot.
        media: Media,
        /// The slot's media SSRC.
        ssrc: Ssrc,
        /// The slot's RTX SSRC (video).
        rtx: Option<Ssrc>,
    },
    /// The largest height that any receiver on `worker` wants of a source changed. The maximum over workers goes to the
    /// sender as `SenderSourceConstraints`.
    SourceDemand {
        /// Where the receivers live.
        worker: WorkerId,
        /// What they want.
        source: SourceId,
        /// Pixels; 0 = nobody wants it; [`crate::session::VideoConstraint::UNLIMITED`] = no limit.
        max_height: u16,
    },
    /// The bandwidth to a receiver, every 10 s: `ConnectionStats`.
    Bandwidth {
        /// The receiver.
        endpoint: EndpointId,
        /// Bits per second.
        bits_per_second: u64,
    },
    /// An endpoint is gone, by command or because nothing came from it for [`crate::limits::ENDPOINT_TIMEOUT`].
    EndpointExpired {
        /// Which.
        endpoint: EndpointId,
        /// Why.
        reason: ExpiryReason,
    },
}

/// Why an endpoint left the media plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExpiryReason {
    /// It was told to.
    Command,
    /// Nothing was heard from it.
    Inactive,
}
