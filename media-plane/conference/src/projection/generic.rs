//! Video whose layers are not known: H.264 (RFC 6184) without dependency descriptor, VP8 without picture ids, anything
//! unparsed. One encoding at a time, all of it; turned over at key frames where they are known.

/// Nothing to keep beside the common numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Generic;
