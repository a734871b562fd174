//! What rooms offer beside presence and chat.

pub mod av_moderation;
pub(crate) mod breakout_rooms;
pub(crate) mod json;
pub(crate) mod metadata;
pub(crate) mod polls;
pub(crate) mod speaker_stats;
