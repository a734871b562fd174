//! RTCP packets (RFC 3550 §6, RFC 4585, RFC 5104): a file each, and the compound that holds them.
//!
//! Each file has the view of a received packet and a `write` into a buffer of the caller, which answers the length
//! written or `None` if it does not fit. Writing one packet after another makes a compound.

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

#[cfg(test)]
mod tests;

use crate::octets::Output;

/// Why a compound or one of its packets cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// A header of less than four bytes, not of version 2, or longer than what is left.
    Header,
    /// More than [`compound::PACKETS_MAX`] packets.
    TooManyPackets,
    /// Padding of no bytes, or longer than the packet.
    Padding,
    /// A count or length inside a packet is larger than its data, or a value that the specification reserves.
    Body,
}

/// Most items that the five bits of a header's count can tell.
const COUNT_MAX: usize = 31;

/// Packet types (RFC 3550 §12.1, RFC 4585 §6.1).
mod packet_type {
    pub(super) const SENDER_REPORT: u8 = 200;
    pub(super) const RECEIVER_REPORT: u8 = 201;
    pub(super) const SDES: u8 = 202;
    pub(super) const BYE: u8 = 203;
    pub(super) const TRANSPORT_FEEDBACK: u8 = 205;
    pub(super) const PAYLOAD_FEEDBACK: u8 = 206;
}

/// Formats of feedback packets, in the header's place of the count.
mod format {
    pub(super) const NACK: u8 = 1;
    pub(super) const TRANSPORT_CC: u8 = 15;
    pub(super) const PLI: u8 = 1;
    pub(super) const FIR: u8 = 4;
    pub(super) const APPLICATION: u8 = 15;
}

/// Write a packet's header, its body by `body`, padding bytes to a whole word, then the length field.
fn write_packet(
    out: &mut [u8],
    packet_type: u8,
    count: u8,
    body: impl FnOnce(&mut Output<'_>) -> Option<()>,
) -> Option<usize> {
    let mut output = Output::new(out);
    output.u8(0x80 | count & 0x1F)?;
    output.u8(packet_type)?;
    output.u16(0)?;
    body(&mut output)?;
    output.align()?;
    output.set_u16(2, u16::try_from(output.len() / 4 - 1).ok()?)?;
    Some(output.len())
}

/// A list's length for the header's count.
fn count_of<T>(items: &[T]) -> Option<u8> {
    (items.len() <= COUNT_MAX).then(|| u8::try_from(items.len()).ok())?
}
