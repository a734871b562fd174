//! What a conference has to say to its worker.

use arrayvec::ArrayVec;
use contract::limits::{PREVIOUS_SPEAKERS_MAX, VIDEO_SLOTS_MAX};
use contract::session::Media;
use contract::{EndpointId, SourceId};

/// News from a conference. Built when asked for, from what changed since; nothing is queued, so nothing is lost.
#[derive(Clone, Debug, PartialEq)]
// A list inline, not boxed: a worker does not allocate.
#[allow(clippy::large_enum_variant)]
pub enum Event {
    /// Ask the sender for a key frame (RFC 4585 §6.3.1). Already rate limited.
    KeyFrameNeeded {
        /// Of what.
        source: SourceId,
        /// Its media SSRC as signalled by the sender.
        ssrc: u32,
    },
    /// The video sources that a receiver is sent changed.
    Forwarded {
        /// The receiver.
        receiver: EndpointId,
        /// Complete.
        sources: ArrayVec<SourceId, VIDEO_SLOTS_MAX>,
    },
    /// With SSRC rewriting: `source` reaches the receiver on `ssrc` from now on.
    Mapped {
        /// The receiver.
        receiver: EndpointId,
        /// What it is sent.
        source: SourceId,
        /// Audio or video slot.
        media: Media,
        /// The slot's media SSRC.
        ssrc: u32,
        /// The slot's RTX SSRC (video).
        rtx: Option<u32>,
    },
    /// The largest height that any receiver of this replica wants of a video source changed.
    Demand {
        /// The source.
        source: SourceId,
        /// Pixels; 0 = nobody wants it; [`contract::session::VideoConstraint::UNLIMITED`] = no limit.
        max_height: u16,
    },
    /// What everything that a receiver wants would take changed: there is no use in probing for more.
    Ideal {
        /// The receiver.
        receiver: EndpointId,
        /// Sum over the best layers that it may have.
        bits_per_second: u64,
    },
    /// The dominant speaker changed.
    DominantSpeaker {
        /// Who; `None` while nobody has spoken.
        endpoint: Option<EndpointId>,
        /// Those before, newest first.
        previous: ArrayVec<EndpointId, PREVIOUS_SPEAKERS_MAX>,
    },
    /// Without SSRC rewriting: nothing is sent on an outgoing SSRC for now. The transport keeps the numbers used, as they
    /// must never repeat (RFC 3711 §9.1), and nothing else; [`Event::SendStream`] comes again before the stream goes on.
    StreamEnded {
        /// To whom it went.
        receiver: EndpointId,
        /// The media SSRC.
        ssrc: u32,
    },
    /// An outgoing SSRC is about to be used: the transport makes room for it. Said once for each SSRC that has not ended.
    SendStream {
        /// To whom.
        receiver: EndpointId,
        /// The media SSRC.
        ssrc: u32,
        /// The SSRC of its retransmissions (RFC 4588).
        rtx: Option<u32>,
        /// Audio or video.
        media: Media,
        /// RTP clock in Hz.
        clock: u32,
    },
}
