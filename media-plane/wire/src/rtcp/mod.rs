//! RTCP packets (RFC 3550 §6, RFC 4585, RFC 5104): a file each, and the compound that holds them.

pub mod bye;
pub mod compound;
pub mod fir;
pub mod nack;
pub mod pli;
pub mod receiver_report;
pub mod remb;
pub mod sdes;
pub mod sender_report;
pub mod transport_cc;

/// Why a compound or one of its packets cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// A header of less than four bytes, not of version 2, or longer than what is left.
    Header,
    /// More than [`compound::PACKETS_MAX`] packets.
    TooManyPackets,
    /// Padding before the last packet, or longer than it.
    Padding,
    /// A count or length inside a packet is larger than its data.
    Body,
}
