//! str0m as client of the media plane.

mod channel;
mod conference;
mod feedback;
mod flood;
mod ice;
mod refused;
