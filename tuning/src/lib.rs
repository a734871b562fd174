//! What the host should look like, as data with reasons: what is off, what would be changed, and changing it so that it can be undone.
#![forbid(unsafe_code)]

mod apply;
mod card;
mod check;
mod host;
mod plan;
mod processor;
mod profile;
mod system;
mod target;

pub use apply::{ApplyError, Change, Changes, Journal, Reverted, apply, revert};
pub use check::{Current, Finding, check};
pub use host::{HOST, Setting, Unit, Wanted, Weight};
pub use plan::{Advice, Plan, Profile, Step, plan};
pub use profile::render;
pub use system::{System, ThisHost};
pub use target::Target;
