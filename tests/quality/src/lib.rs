//! What receivers get over bad links, in virtual time: the production turn, model clients that give feedback, repair and freeze,
//! and bottlenecks in front of them. Each plan gives figures; the binary prints them, the tests hold them.
#![forbid(unsafe_code)]

pub mod base_load;
pub mod figures;
pub mod foreign;
pub mod meeting;
pub mod plans;
pub mod profiles;
pub mod seen;
