//! Adapters for other units, by their public interfaces alone, and how each is started for a comparison.
//!
//! [`jvb`] is told by colibri2 over REST, [`janus`] by its WebSocket API, [`livekit`] by its signalling. They know of an
//! endpoint what its plan says: sound, one video stream or simulcast, how many videos it wants.

pub mod comparison;
pub mod janus;
pub mod jvb;
pub mod launch;
pub mod livekit;
mod protobuf;
mod sdp;
mod web;

use contract::session::{Codec, ExtensionIds, PayloadType, PayloadTypes};

use crate::peer::{Event, Seat};

/// An endpoint whose product has one connection for each direction; one that sends nothing has but the second.
struct Pair {
    /// Sends, unless there is no other.
    seat: Seat,
    receiving: Option<Seat>,
}

impl Pair {
    fn new(seat: Seat) -> Pair {
        let sends = seat.plan.audio.is_some() || seat.plan.video.is_some();
        Pair { receiving: sends.then(|| seat.receiving()), seat }
    }

    /// The one that receives.
    fn receiver(&self) -> &Seat {
        self.receiving.as_ref().unwrap_or(&self.seat)
    }

    /// What happened next, on either.
    async fn event(&mut self) -> Event {
        match &mut self.receiving {
            None => self.seat.event().await,
            Some(receiving) => tokio::select! {
                event = self.seat.event() => event,
                event = receiving.event() => event,
            },
        }
    }
}

/// Payload types that we propose where the client may.
fn payload_types() -> PayloadTypes {
    let codecs = [
        (111, Codec::Opus, 48_000),
        (100, Codec::Vp8, 90_000),
        (102, Codec::Vp9, 90_000),
        (104, Codec::H264, 90_000),
        (106, Codec::Av1, 90_000),
    ];
    let of = |(number, codec, clock_rate): (u8, Codec, u32)| {
        let rtx = (codec != Codec::Opus).then_some(number + 1);
        PayloadType { number, codec, clock_rate, rtx, transport_cc: true }
    };
    codecs.into_iter().map(of).collect()
}

/// Header extensions that we propose.
fn extensions() -> ExtensionIds {
    ExtensionIds { audio_level: Some(1), transport_cc: Some(5), ..ExtensionIds::default() }
}

const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
const TRANSPORT_CC: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
