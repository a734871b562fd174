//! What a forwarded packet costs, in CPU time of one thread: the bare loop that does nothing but what physics asks for,
//! and the production turn at the same batch shape, both measured in one run and in alternation.
//!
//! A batch shape is B packets of one stream, arriving together, for each of N receivers.
#![forbid(unsafe_code)]

pub mod bare;
pub mod bare_scene;
pub mod cipher;
pub mod connected;
pub mod flat_io;
pub mod options;
pub mod production;
pub mod rounds;
pub mod scene;
pub mod senders;
pub mod sinks;
pub mod table;
