//! What other workers have for this one.

use contract::{DropReason, Metric, Timestamp};
use transport::Path;
use wire::first_byte::{self, Kind};

use crate::datagram_io::DatagramIo;
use crate::fanout::Published;
use crate::mesh_message::{MeshKind, MeshMessage};
use crate::worker::{PUBLISHED_MAX, Worker};

impl Worker {
    /// Take in what other workers published; how many records.
    pub(crate) fn adopt_from_mesh(&mut self, now: Timestamp, io: &mut impl DatagramIo) -> usize {
        // Records are read in place while the worker writes to the same port.
        let mut inbox = self.port.take_inbox();
        let mut count = 0;
        for _ in 0..GOES_PER_TURN {
            let taken = inbox.receive_each(PUBLISHED_MAX / 2, |_, message| self.adopt(message, now, io));
            count += taken;
            if taken < PUBLISHED_MAX / 2 {
                break;
            }
        }
        self.port.put_inbox(inbox);
        count
    }

    fn adopt(&mut self, message: &mut MeshMessage, now: Timestamp, io: &mut impl DatagramIo) {
        match message.kind {
            MeshKind::Empty => {}
            MeshKind::Datagram { peer, socket, seat } => {
                self.statistics.count(Metric::DatagramsAdopted);
                let path = Path { peer, socket };
                self.adopt_datagram(message.packet(), path, seat, now, io);
            }
            MeshKind::Media { conference, media, parts } => {
                let Some(room) = self.room_number(conference) else { return };
                let Some(slot) = self.take_slot() else {
                    self.statistics.drop_beside(DropReason::NoSlot);
                    return;
                };
                let packet = message.packet();
                self.arena.bytes_mut(slot)[..packet.len()].copy_from_slice(packet);
                self.statistics.count(Metric::PacketsFromMesh);
                if self.published.len() == PUBLISHED_MAX {
                    self.fan_out_all(now, io);
                }
                // The index is set when the conference has been asked.
                let source = conference::SourceIndex(0);
                self.keep(Published::new(room, source, media, parts, slot), now);
                self.arena.release(slot);
            }
            MeshKind::Routed { peer, socket, route } => {
                if !self.addresses.insert(peer, socket, route) {
                    self.statistics.drop_beside(DropReason::AddressTableFull);
                }
            }
            MeshKind::Unrouted { peer, socket, endpoint } => self.addresses.remove(peer, socket, endpoint),
            MeshKind::Left { endpoint } => self.addresses.remove_endpoint(endpoint),
            MeshKind::KeyFrame { conference, source, ssrc, requester } => {
                if let Some(room) = self.room_number(conference) {
                    self.request_key_frame(room, source, ssrc, Some(requester), now);
                }
            }
            MeshKind::SenderReport { conference, source, ssrc, ntp, rtp } => {
                if let Some(room) = self.room_number(conference) {
                    self.pass_clocks(room, source, ssrc, ntp, rtp, now);
                }
            }
        }
    }

    fn adopt_datagram(
        &mut self,
        bytes: &[u8],
        path: Path,
        seat: u32,
        now: Timestamp,
        io: &mut impl DatagramIo,
    ) {
        let ended = match first_byte::classify(bytes) {
            Kind::Rtp
                if self
                    .addresses
                    .route(path.peer, path.socket)
                    .is_none_or(|route| route.worker == self.id) =>
            {
                self.accept_rtp(bytes, path, now)
            }
            // The endpoint moved on while the datagram was on its way: it is not sent around again.
            Kind::Rtp => Err(DropReason::Misrouted),
            kind => {
                self.scratch.datagram[..bytes.len()].copy_from_slice(bytes);
                match kind {
                    Kind::Stun => self.stun_to_seat(seat, bytes.len(), path, now, io),
                    _ if self
                        .addresses
                        .route(path.peer, path.socket)
                        .is_some_and(|route| route.worker != self.id) =>
                    {
                        Err(DropReason::Misrouted)
                    }
                    _ => self.accept_control(kind, bytes.len(), path, now, io),
                }
            }
        };
        self.settle(ended);
    }
}

/// Rounds of reading the rings in one turn: what comes faster waits in them for the next.
const GOES_PER_TURN: usize = 4;
