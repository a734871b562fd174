//! What the media plane is told. Commands to one endpoint are applied in the order in which they were given.

use crate::ids::{EndpointId, SourceId};
use crate::session::{
    AudioSubscription, Candidate, EndpointSpec, ReceiverConstraints, RemoteTransport, SourceSpec, SrtpKeys,
    VideoType,
};

/// An instruction to the media plane. One about an endpoint or source that is gone does nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Seat an endpoint. Answered by [`crate::Report::EndpointReady`].
    CreateEndpoint(Box<EndpointSpec>),
    /// The client's ICE credentials and candidates; checks begin.
    SetTransport {
        /// Whose.
        endpoint: EndpointId,
        /// What the client answered.
        remote: RemoteTransport,
    },
    /// Further remote candidates.
    AddCandidates {
        /// Whose.
        endpoint: EndpointId,
        /// In addition to those known.
        candidates: Vec<Candidate>,
    },
    /// New local credentials for an in-place ICE restart (RFC 8445 §9). Answered by [`crate::Report::EndpointReady`].
    RestartIce {
        /// Whose.
        endpoint: EndpointId,
    },
    /// Keys from a finished, fingerprint-checked handshake; media may flow.
    SetKeys {
        /// Whose.
        endpoint: EndpointId,
        /// Both directions.
        keys: SrtpKeys,
    },
    /// All sources of an endpoint; replaces the former list.
    SetSources {
        /// Whose.
        endpoint: EndpointId,
        /// Complete.
        sources: Vec<SourceSpec>,
    },
    /// What a video source shows now; also mute and unmute.
    SetVideoType {
        /// Which.
        source: SourceId,
        /// Now.
        video_type: VideoType,
    },
    /// What a receiver wants to see.
    SetConstraints {
        /// The receiver.
        endpoint: EndpointId,
        /// Complete.
        constraints: ReceiverConstraints,
    },
    /// What a receiver wants to hear.
    SetAudioSubscription {
        /// The receiver.
        endpoint: EndpointId,
        /// Complete.
        subscription: AudioSubscription,
    },
    /// Discard what an endpoint sends.
    SetForceMute {
        /// Whose.
        endpoint: EndpointId,
        /// Its audio.
        audio: bool,
        /// Its video.
        video: bool,
    },
    /// Send an endpoint no redundant audio (RFC 2198): its answer left out what it was offered.
    LeaveOutRedundancy {
        /// The receiver.
        endpoint: EndpointId,
    },
    /// Remove an endpoint. Answered by [`crate::Report::EndpointExpired`].
    ExpireEndpoint {
        /// Which.
        endpoint: EndpointId,
    },
}
