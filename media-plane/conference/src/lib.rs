//! Who gets what: sources, receivers, their constraints, the allocation of layers, and the projection of each source
//! into one continuous stream per receiver.
//!
//! One [`Conference`] is one conference as one worker sees it: all sources, but only the receivers that live on that
//! worker. Each such replica is given every packet as a [`MediaPacket`] and comes to its own conclusions. There are no
//! sockets and no keys here; time and chance are arguments.
#![forbid(unsafe_code)]

mod allocation;
mod allotment;
mod conference;
mod constraints;
mod describe;
mod endpoint;
mod event;
mod forwarder;
mod heights;
mod index_set;
mod key_frame;
mod layer;
mod loudest;
mod packet;
mod prioritize;
mod projection;
mod shedding;
mod slots;
mod source;
mod speech;

pub use conference::{Conference, Config, Projected, REPLAY_MAX, SOURCES_PER_CONFERENCE_MAX, Storage};
pub use endpoint::{Receiver, ReceiverIndex, ReceiverSpec};
pub use event::Event;
pub use heights::Heights;
pub use packet::{
    DECODE_TARGETS_MAX, DependencyDescriptor, Descriptor, Frame, Indication, Layer, MediaPacket,
    SPATIAL_LAYERS_MAX, TEMPORAL_LAYERS_MAX,
};
pub use shedding::Shedding;
pub use source::{Source, SourceIndex};
