//! The bridge channel: JSON messages between an endpoint's client and the bridge, and what the bridge keeps per
//! endpoint to speak them.

pub mod constraints;
pub mod json;
pub mod message;
pub mod rate;

use std::collections::{BTreeMap, BTreeSet};

use contract::session::Media;
use contract::{SourceId, Ssrc, Timestamp};

use crate::association::ChannelKind;
use constraints::{AudioSelection, VideoSelection};
use rate::RateLimit;

/// Messages per second that one endpoint may send, and how many at once.
const MESSAGES_PER_SECOND: u32 = 50;
const MESSAGES_BURST: u32 = 100;

/// Messages per second that one endpoint may send to all others, and how many at once.
const BROADCASTS_PER_SECOND: u32 = 10;
const BROADCASTS_BURST: u32 = 20;

/// A slot of a receiver with SSRC rewriting: which source reaches it on which SSRCs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// What is sent.
    pub source: SourceId,
    /// Audio or video.
    pub media: Media,
    /// RTX SSRC.
    pub rtx: Option<Ssrc>,
}

/// What an endpoint has not been told yet.
#[derive(Clone, Debug, Default)]
pub struct Unsent {
    /// New or re-used slots, by their SSRC.
    pub slots: BTreeSet<Ssrc>,
    /// Own sources whose demand changed.
    pub demands: BTreeSet<SourceId>,
    /// The forwarded sources changed.
    pub forwarded: bool,
}

/// The bridge channel of one endpoint.
#[derive(Clone, Debug)]
pub struct Channel {
    data_channels: u8,
    web_sockets: u8,
    messages: RateLimit,
    broadcasts: RateLimit,
    /// What it wants to see, by name.
    pub video: VideoSelection,
    /// What it wants to hear, by name; everything until it says.
    pub audio: Option<AudioSelection>,
    /// Its slots, by SSRC. The media plane has at most 50 per media type.
    pub slots: BTreeMap<Ssrc, Slot>,
    /// The video sources that it is being sent.
    pub forwarded: Vec<SourceId>,
    /// To be told with the next flush.
    pub unsent: Unsent,
}

impl Channel {
    /// A channel that is not open yet.
    pub fn new(now: Timestamp) -> Channel {
        Channel {
            data_channels: 0,
            web_sockets: 0,
            messages: RateLimit::new(MESSAGES_PER_SECOND, MESSAGES_BURST, now),
            broadcasts: RateLimit::new(BROADCASTS_PER_SECOND, BROADCASTS_BURST, now),
            video: VideoSelection::default(),
            audio: None,
            slots: BTreeMap::new(),
            forwarded: Vec::new(),
            unsent: Unsent::default(),
        }
    }

    /// Whether messages can be sent.
    pub fn is_open(&self) -> bool {
        self.data_channels > 0 || self.web_sockets > 0
    }

    /// One of the two transports opened or closed. A WebSocket that replaces another may open before the other closes,
    /// so they are counted.
    pub fn set_open(&mut self, kind: ChannelKind, open: bool) {
        let count = match kind {
            ChannelKind::DataChannel => &mut self.data_channels,
            ChannelKind::WebSocket => &mut self.web_sockets,
        };
        *count = if open { count.saturating_add(1) } else { count.saturating_sub(1) };
    }

    /// Whether one more message may come in now.
    pub fn admit_message(&mut self, now: Timestamp) -> bool {
        self.messages.admit(now)
    }

    /// Whether one more message may go to everyone now.
    pub fn admit_broadcast(&mut self, now: Timestamp) -> bool {
        self.broadcasts.admit(now)
    }
}
