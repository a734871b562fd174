//! What the host should look like, as data with reasons, and what is off; reads through a closure and changes nothing.
#![forbid(unsafe_code)]

mod check;
mod host;
mod profile;

pub use check::{Current, Finding, check};
pub use host::{HOST, Setting, Unit, Wanted, Weight};
pub use profile::render;
