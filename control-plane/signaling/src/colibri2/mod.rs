//! Driving a bridge by typed colibri2 values: the same for the one in this process and for remote ones.

pub mod bridge;
pub mod model;

pub use bridge::Bridge;
pub use model::{ConferenceModified, ConferenceModify, ModifyError};
