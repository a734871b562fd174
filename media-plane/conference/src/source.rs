//! A source as a replica sees it: its encodings, their layers and rates, and who is interested.

use contract::SourceId;
use contract::session::{SourceSpec, VideoType};

/// Where a source sits in this replica; valid until it is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceIndex(pub u16);

/// A source, built off the worker.
#[derive(Debug)]
pub struct Source {
    spec: SourceSpec,
}

impl Source {
    /// A source as signalled, nothing of it seen yet.
    pub fn new(spec: &SourceSpec) -> Source {
        Source { spec: spec.clone() }
    }

    /// Its identity.
    pub fn id(&self) -> SourceId {
        self.spec.source
    }

    /// What it shows from now on.
    pub fn set_video_type(&mut self, video_type: VideoType) {
        self.spec.video_type = video_type;
    }
}
