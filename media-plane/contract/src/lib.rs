//! The types that the control plane and the media plane share. No logic lives here.
//!
//! The control plane *tells* the media plane ([`Command`]) and *is told* ([`Report`]). Neither side
//! names the other; both name this crate.
#![forbid(unsafe_code)]

pub mod command;
pub mod drop_reason;
pub mod ids;
pub mod limits;
pub mod metric;
pub mod report;
pub mod session;
pub mod time;

pub use command::Command;
pub use drop_reason::DropReason;
pub use ids::{ConferenceId, EndpointId, SourceId, Ssrc, WorkerId};
pub use metric::Metric;
pub use report::Report;
pub use time::{Duration, Timestamp};
