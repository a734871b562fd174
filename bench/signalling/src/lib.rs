//! Clients that speak as stock ones do, without media, and what the kernel knows of the server that they speak to.
#![forbid(unsafe_code)]

pub mod client;
pub mod usage;
