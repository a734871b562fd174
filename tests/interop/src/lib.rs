//! A foreign WebRTC stack (str0m) as client of the media plane: real threads, real sockets on loopback, the production DTLS
//! associations between them. Signalling is left out: its commands are given directly.
//!
//! A [`Call`] is a [`Server`] and its [`Client`]s, driven by the thread of the test.
#![forbid(unsafe_code)]

pub mod call;
pub mod camera;
pub mod client;
mod handshakes;
pub mod openssl;
pub mod server;

pub use call::{Call, Joining, Setting};
pub use camera::Picture;
pub use client::Client;
pub use server::Server;
