//! A row per packet.
