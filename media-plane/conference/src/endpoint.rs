//! An endpoint as a receiver: what it asked for, what it is allotted, and the streams that go to it.

use contract::EndpointId;
use contract::session::{AudioSubscription, ReceiverConstraints};

/// Where a receiver sits in this replica; valid until it is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReceiverIndex(pub u16);

/// What a [`Receiver`] is made from.
#[derive(Clone, Copy, Debug)]
pub struct ReceiverSpec {
    /// Who.
    pub endpoint: EndpointId,
    /// Streams go out on SSRCs of ours, announced as they are assigned.
    pub ssrc_rewriting: bool,
    /// Chance, for SSRCs and first sequence numbers.
    pub seed: u64,
}

/// A receiving endpoint, built off the worker.
#[derive(Debug)]
pub struct Receiver {
    spec: ReceiverSpec,
    constraints: Box<ReceiverConstraints>,
    subscription: Box<AudioSubscription>,
}

impl Receiver {
    /// A receiver that is sent all audio and no video until it says what it wants.
    pub fn new(spec: ReceiverSpec) -> Receiver {
        Receiver { spec, constraints: Box::default(), subscription: Box::default() }
    }

    /// Who it is.
    pub fn endpoint(&self) -> EndpointId {
        self.spec.endpoint
    }

    /// Replace the constraints; the old ones are for the caller to free.
    pub fn set_constraints(&mut self, constraints: Box<ReceiverConstraints>) -> Box<ReceiverConstraints> {
        core::mem::replace(&mut self.constraints, constraints)
    }

    /// Replace the audio subscription; the old one is for the caller to free.
    pub fn set_audio_subscription(&mut self, subscription: Box<AudioSubscription>) -> Box<AudioSubscription> {
        core::mem::replace(&mut self.subscription, subscription)
    }
}
