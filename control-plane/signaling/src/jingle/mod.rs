//! Jingle sessions between the focus and its occupants (XEP-0166, XEP-0167, XEP-0176, XEP-0320, XEP-0339).

pub mod description;
pub mod features;
pub mod ns;
pub mod parse;
pub mod session;
pub mod sources;
pub mod transport;
