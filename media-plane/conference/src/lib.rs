//! Who gets what: sources, receivers, their constraints, the allocation of layers, and the projection of each source
//! into one continuous stream per receiver.
//!
//! One [`Conference`] is one conference as one worker sees it: all sources, but only the receivers that live on that
//! worker. Each such replica is given every packet as a [`MediaPacket`] and comes to its own conclusions. There are no
//! sockets and no keys here; time and chance are arguments.
#![forbid(unsafe_code)]

mod conference;
mod endpoint;
mod event;
mod packet;
mod source;

pub use conference::{Conference, Config, Projected, Storage};
pub use endpoint::{Receiver, ReceiverIndex, ReceiverSpec};
pub use event::Event;
pub use packet::{
    DECODE_TARGETS_MAX, DependencyDescriptor, Descriptor, Frame, Layer, MediaPacket, SPATIAL_LAYERS_MAX,
    TEMPORAL_LAYERS_MAX,
};
pub use source::{Source, SourceIndex};
