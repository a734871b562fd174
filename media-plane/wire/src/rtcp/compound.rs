//! Compound RTCP (RFC 3550 §6.1, reduced size RFC 5506): the packets of one datagram, one after another.

use super::{
    Malformed, bye::Bye, fir::Fir, format, nack::Nack, packet_type, pli::Pli,
    receiver_report::ReceiverReport, remb::Remb, sdes::Sdes, sender_report::SenderReport,
    transport_cc::TransportCc,
};
use crate::octets::u16_at;

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
        /// As on the wire.
        packet_type: u8,
        /// The five bits of count or format.
        count: u8,
    },
}

/// Iterate over the packets of a decrypted datagram. A packet whose inside is malformed is an error and the next one
/// follows; an error of the outside (`Header`, `Padding`, `TooManyPackets`) is the last item.
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
        if self.rest.is_empty() {
            return None;
        }
        self.count += 1;
        let outside =
            if self.count > PACKETS_MAX { Err(Malformed::TooManyPackets) } else { split(self.rest) };
        match outside {
            Ok(split) => {
                self.rest = split.rest;
                Some(read(split.packet_type, split.count, split.body))
            }
            Err(malformed) => {
                self.rest = &[];
                Some(Err(malformed))
            }
        }
    }
}

struct Split<'a> {
    packet_type: u8,
    count: u8,
    body: &'a [u8],
    rest: &'a [u8],
}

/// Take the first packet off a compound: what follows its header, without padding.
fn split(bytes: &[u8]) -> Result<Split<'_>, Malformed> {
    let [first, packet_type, ..] = *bytes else { return Err(Malformed::Header) };
    if first >> 6 != 2 {
        return Err(Malformed::Header);
    }
    let end = 4 * (usize::from(u16_at(bytes, 2).ok_or(Malformed::Header)?) + 1);
    let (Some(mut body), Some(rest)) = (bytes.get(4..end), bytes.get(end..)) else {
        return Err(Malformed::Header);
    };
    if first & 0x20 != 0 {
        // RFC 3550 §6.4.1 wants only the last packet padded, by whole words. Chromium pads each transport-wide feedback by
        // one to three bytes to the next word and counts just those, so the rule here is only that padding fits.
        let padding = body.last().map_or(0, |&last| usize::from(last));
        if padding == 0 {
            return Err(Malformed::Padding);
        }
        let kept = body.len().checked_sub(padding).ok_or(Malformed::Padding)?;
        body = body.get(..kept).ok_or(Malformed::Padding)?;
    }
    Ok(Split { packet_type, count: first & 0x1F, body, rest })
}

fn read(packet_type: u8, count: u8, body: &[u8]) -> Result<Packet<'_>, Malformed> {
    let packet = match (packet_type, count) {
        (packet_type::SENDER_REPORT, _) => SenderReport::parse(count, body).map(Packet::SenderReport),
        (packet_type::RECEIVER_REPORT, _) => ReceiverReport::parse(count, body).map(Packet::ReceiverReport),
        (packet_type::SDES, _) => Sdes::parse(count, body).map(Packet::Sdes),
        (packet_type::BYE, _) => Bye::parse(count, body).map(Packet::Bye),
        (packet_type::TRANSPORT_FEEDBACK, format::NACK) => Nack::parse(body).map(Packet::Nack),
        (packet_type::TRANSPORT_FEEDBACK, format::TRANSPORT_CC) => {
            TransportCc::parse(body).map(Packet::TransportCc)
        }
        (packet_type::PAYLOAD_FEEDBACK, format::PLI) => Pli::parse(body).map(Packet::Pli),
        (packet_type::PAYLOAD_FEEDBACK, format::FIR) => Fir::parse(body).map(Packet::Fir),
        (packet_type::PAYLOAD_FEEDBACK, format::APPLICATION) if Remb::is_named(body) => {
            Remb::parse(body).map(Packet::Remb)
        }
        _ => Some(Packet::Unknown { packet_type, count }),
    };
    packet.ok_or(Malformed::Body)
}
