//! Packet slots of one thread, and the rings and wake-ups between threads.
#![allow(unsafe_code)]

pub mod arena;
pub mod mesh;
mod primitive;
pub mod spsc;
pub mod steady;
pub mod wake;

pub use arena::{Arena, SLOT_BYTES, Slot};
pub use mesh::{Inbox, Mesh, Port};
pub use spsc::Full;
pub use wake::{Sleeper, Wake, Waker};
