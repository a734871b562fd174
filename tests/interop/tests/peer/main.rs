//! str0m as client of the media plane.

mod conference;
