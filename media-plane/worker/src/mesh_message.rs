//! What one worker tells another: fixed records, written in place into the ring between the two.

use std::net::SocketAddr;

use conference::MediaPacket;
use contract::{ConferenceId, EndpointId, SourceId, limits};

use crate::address_table::Route;
use crate::packet_parts::PacketParts;

/// One record of a ring: a kind and, for the kinds that carry one, a packet.
#[derive(Clone, Debug)]
pub(crate) struct MeshMessage {
    pub(crate) kind: MeshKind,
    bytes: u16,
    packet: [u8; limits::DATAGRAM_BYTES_MAX],
}

/// What a record says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum MeshKind {
    /// Nothing yet: a record that was never written.
    Empty,
    /// A datagram that landed on a worker that does not own its endpoint, as it came.
    Datagram { peer: SocketAddr, socket: u8, seat: u32 },
    /// A media packet in the clear, for the receivers of its conference that live here.
    Media { conference: ConferenceId, media: MediaPacket, parts: PacketParts },
    /// An address proved itself to another worker's endpoint.
    Routed { peer: SocketAddr, socket: u8, route: Route },
    /// It no longer counts.
    Unrouted { peer: SocketAddr, socket: u8, endpoint: EndpointId },
    /// An endpoint is gone, with all its addresses.
    Left { endpoint: EndpointId },
    /// A receiver here needs a key frame of a source there.
    KeyFrame { conference: ConferenceId, source: SourceId, ssrc: u32, requester: EndpointId },
    /// The sender's clock pair, for the receivers that live here (RFC 3550 §6.4.1).
    SenderReport { conference: ConferenceId, source: SourceId, ssrc: u32, ntp: u64, rtp: u32 },
}

impl MeshMessage {
    /// Write a record without a packet.
    pub(crate) fn tell(&mut self, kind: MeshKind) {
        self.kind = kind;
        self.bytes = 0;
    }

    /// Write a record with its packet; longer ones never get this far.
    pub(crate) fn carry(&mut self, kind: MeshKind, packet: &[u8]) {
        debug_assert!(packet.len() <= limits::DATAGRAM_BYTES_MAX, "checked at the door");
        let bytes = packet.len().min(limits::DATAGRAM_BYTES_MAX);
        self.kind = kind;
        self.bytes = bytes as u16;
        self.packet[..bytes].copy_from_slice(&packet[..bytes]);
    }

    /// The packet it carries.
    pub(crate) fn packet(&self) -> &[u8] {
        &self.packet[..usize::from(self.bytes)]
    }
}

impl Default for MeshMessage {
    fn default() -> Self {
        MeshMessage { kind: MeshKind::Empty, bytes: 0, packet: [0; limits::DATAGRAM_BYTES_MAX] }
    }
}
