//! The media threads: one per core, each with its own sockets, ring, endpoints and packet slots.
//!
//! [`MediaPlane`] is the handle that the control plane holds. A [`Worker`] is one thread's state; its `turn` is one pass
//! of the loop, the same on a ring and in the simulator. A packet's way: `ingress` → `fanout` → `egress`; beside it
//! `mesh_in` (what other workers pass on), `feedback` (what receivers ask for), `timers` and `apply` (orders).
#![forbid(unsafe_code)]
// Streams are boxed one by one: they move into and out of transports as boxes, without copying them or allocating.
#![allow(clippy::vec_box)]

mod address_table;
mod apply;
mod bandwidth_state;
mod chance;
mod cipher;
mod config;
mod datagram_io;
mod deadlines;
mod dtls;
mod egress;
mod fanout;
mod feedback;
mod grouping;
mod holding;
mod ingress;
mod kept_order;
mod load;
mod media_plane;
mod mesh_in;
mod mesh_message;
mod order;
mod overload;
mod packet_cache;
mod packet_parts;
mod placement;
mod probing;
mod queues;
mod redundancy;
mod room;
mod seat;
mod seating;
mod statistics;
mod tcp;
mod thread;
mod timers;
mod turn;
mod ufrag;
mod worker;
mod worker_io;

pub use bandwidth_state::BandwidthState;
pub use cipher::{Cipher, CipherChoice};
pub use conference::Heights;
pub use config::{Config, Sending};
pub use datagram_io::DatagramIo;
pub use dtls::{DtlsDatagram, DtlsSender};
pub use media_plane::{MediaPlane, Refused};
pub use queues::HandshakeEnd;
pub use statistics::{EndpointStatistics, Statistics};
pub use tcp::{TcpDatagram, TcpEnd};
pub use thread::{Clock, StartError};
pub use transport::srtp::Provider as CipherProvider;
pub use uring::{Backend, Choice as BackendChoice};
pub use worker::Worker;
