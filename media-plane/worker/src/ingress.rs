//! From a datagram to a published packet: whose is it, may it be, what does it say.

use arrayvec::ArrayVec;
use contract::limits::DATAGRAM_BYTES_MAX;
use contract::{DropReason, EndpointId, Metric, Report, Timestamp};
use mesh::arena::Slot;
use mesh::mesh::Port;
use transport::{Feedback, Opened, PaddingOnly, Path};
use wire::first_byte::{self, Kind};
use wire::stun;

use crate::address_table::Route;
use crate::datagram_io::{DatagramIo, Mail};
use crate::dtls::DtlsDatagram;
use crate::fanout::Published;
use crate::mesh_message::{MeshKind, MeshMessage};
use crate::packet_parts::PacketParts;
use crate::seat::Activity;
use crate::ufrag::{self, Owner};
use crate::worker::{PUBLISHED_MAX, Worker, seat_mut};

impl Worker {
    /// Deal with each datagram of the batch, in order of arrival.
    pub(crate) fn accept_all(&mut self, received: usize, now: Timestamp, io: &mut impl DatagramIo) {
        for index in 0..received {
            if self.published.len() == PUBLISHED_MAX {
                self.fan_out_all(now, io);
            }
            let datagram = io.datagram(index);
            self.statistics.count(Metric::DatagramsReceived);
            self.statistics.add(Metric::BytesReceived, datagram.bytes.len() as u64);
            let path = Path { peer: datagram.peer, socket: datagram.socket };
            let outcome = if datagram.truncated {
                Err(DropReason::Truncated)
            } else if datagram.bytes.len() > DATAGRAM_BYTES_MAX {
                Err(DropReason::Oversize)
            } else {
                match first_byte::classify(datagram.bytes) {
                    // The common case works on the receive buffer; everything else on a copy, as it may answer.
                    Kind::Rtp => self.accept_rtp(datagram.bytes, path, now),
                    kind => {
                        let len = datagram.bytes.len();
                        self.scratch.datagram[..len].copy_from_slice(datagram.bytes);
                        self.accept_control(kind, len, path, now, io)
                    }
                }
            };
            self.settle(outcome);
        }
    }

    /// Count how a datagram ended.
    pub(crate) fn settle(&mut self, outcome: Result<Ended, DropReason>) {
        match outcome {
            Ok(Ended::Published) => self.statistics.count(Metric::PacketsPublished),
            Ok(Ended::Consumed) => self.statistics.count(Metric::DatagramsConsumed),
            Ok(Ended::HandedOver) => self.statistics.count(Metric::DatagramsHandedOver),
            Err(reason) => self.statistics.drop(reason),
        }
    }

    /// RTP, whole in `bytes`: to its owner, or opened and published.
    pub(crate) fn accept_rtp(
        &mut self,
        bytes: &[u8],
        path: Path,
        now: Timestamp,
    ) -> Result<Ended, DropReason> {
        let route = self.addresses.route(path.peer, path.socket).ok_or(DropReason::UnknownPeer)?;
        if route.worker != self.id {
            return hand_over(&mut self.port, bytes, path, route.owner());
        }
        let slot = self.take_slot().ok_or(DropReason::NoSlot)?;
        let published = self.open_and_publish(route, bytes, slot, now);
        // Whoever keeps the packet has taken a reference of his own.
        self.arena.release(slot);
        published
    }

    /// STUN, RTCP or DTLS, in the scratch copy.
    pub(crate) fn accept_control(
        &mut self,
        kind: Kind,
        len: usize,
        path: Path,
        now: Timestamp,
        io: &mut impl DatagramIo,
    ) -> Result<Ended, DropReason> {
        if kind == Kind::Stun {
            return self.accept_stun(len, path, now, io);
        }
        if kind == Kind::Unknown {
            return Err(DropReason::UnknownKind);
        }
        let route = self.addresses.route(path.peer, path.socket).ok_or(DropReason::UnknownPeer)?;
        if route.worker != self.id {
            return hand_over(&mut self.port, &self.scratch.datagram[..len], path, route.owner());
        }
        if kind == Kind::Dtls {
            return self.pass_to_handshake(route, len, path, now);
        }
        self.accept_rtcp(route, len, now, io)
    }

    fn accept_stun(
        &mut self,
        len: usize,
        path: Path,
        now: Timestamp,
        io: &mut impl DatagramIo,
    ) -> Result<Ended, DropReason> {
        let known = self.addresses.route(path.peer, path.socket);
        if known.is_none() {
            self.stranger_budget = self.stranger_budget.checked_sub(1).ok_or(DropReason::StunRate)?;
        }
        let message =
            stun::Message::parse(&self.scratch.datagram[..len]).map_err(|_| DropReason::StunMalformed)?;
        // A check names its owner, and so does the transaction of an answer to a check of ours. Either is a hint that the
        // owner verifies.
        let owner = match message.username() {
            Some(username) => match ufrag::decode(username) {
                Some(owner) => owner,
                None => {
                    return self.self_test.answer(&message, path, &mut Mail(io)).map(|()| Ended::Consumed);
                }
            },
            None => {
                ufrag::owner_of_transaction(message.transaction_id()).ok_or(DropReason::StunUnsolicited)?
            }
        };
        if owner.worker != self.id {
            return hand_over(&mut self.port, &self.scratch.datagram[..len], path, owner);
        }
        self.stun_to_seat(owner.seat, len, path, now, io)
    }

    pub(crate) fn stun_to_seat(
        &mut self,
        number: u32,
        len: usize,
        path: Path,
        now: Timestamp,
        io: &mut impl DatagramIo,
    ) -> Result<Ended, DropReason> {
        let seat =
            self.seats.get_mut(number as usize).and_then(Option::as_deref_mut).ok_or(DropReason::StunAuth)?;
        let outcome = seat.transport.stun(&self.scratch.datagram[..len], path, now, &mut Mail(io));
        if outcome.is_ok() {
            seat.heard = now;
        }
        self.after_transport(number, now);
        outcome.map(|()| Ended::Consumed)
    }

    /// Learn what a transport has to say, and when it wants to be called again.
    pub(crate) fn after_transport(&mut self, number: u32, now: Timestamp) {
        let Some(seat) = self.seats.get_mut(number as usize).and_then(Option::as_deref_mut) else { return };
        self.deadlines.set(number, seat.transport.poll_timeout());
        let endpoint = seat.endpoint;
        let mut events = ArrayVec::<transport::Event, EVENTS_PER_CALL>::new();
        while let Some(event) = seat.transport.poll_event() {
            if events.try_push(event).is_err() {
                break;
            }
        }
        for event in events {
            self.transport_event(number, endpoint, event, now);
        }
    }

    fn transport_event(&mut self, seat: u32, endpoint: EndpointId, event: transport::Event, now: Timestamp) {
        match event {
            transport::Event::Proved(path) => {
                let route = Route { worker: self.id, seat, endpoint };
                if !self.addresses.insert(path.peer, path.socket, route) {
                    self.statistics.drop_beside(DropReason::AddressTableFull);
                    return;
                }
                self.tell_all(MeshKind::Routed { peer: path.peer, socket: path.socket, route });
            }
            transport::Event::Forgotten(path) => {
                self.addresses.remove(path.peer, path.socket, endpoint);
                self.tell_all(MeshKind::Unrouted { peer: path.peer, socket: path.socket, endpoint });
            }
            transport::Event::Connected(path) => {
                self.heard_from(seat, now);
                if let Some(seat) = seat_mut(&mut self.seats, seat, endpoint) {
                    seat.transport.path_changed(now);
                }
                self.report(Report::TransportConnected { endpoint, remote: path.peer });
            }
            transport::Event::Failed | transport::Event::ConsentLost { .. } => {
                self.report(Report::TransportFailed { endpoint });
            }
        }
    }

    fn heard_from(&mut self, seat: u32, now: Timestamp) {
        if let Some(seat) = self.seats.get_mut(seat as usize).and_then(Option::as_deref_mut) {
            seat.heard = now;
            if seat.activity == Activity::Awaited {
                seat.activity = Activity::Active;
            }
        }
    }

    fn pass_to_handshake(
        &mut self,
        route: Route,
        len: usize,
        path: Path,
        now: Timestamp,
    ) -> Result<Ended, DropReason> {
        let seat = seat_mut(&mut self.seats, route.seat, route.endpoint).ok_or(DropReason::Misrouted)?;
        seat.heard = now;
        seat.dtls_path = Some(path);
        let datagram = DtlsDatagram::new(route.endpoint, route.seat, &self.scratch.datagram[..len]);
        let (queue, _) = &self.end.handshakes[seat.handshake_thread];
        queue.push(datagram).map_err(|_| DropReason::DtlsQueueFull)?;
        self.dtls_passed = true;
        Ok(Ended::Consumed)
    }

    fn accept_rtcp(
        &mut self,
        route: Route,
        len: usize,
        now: Timestamp,
        io: &mut impl DatagramIo,
    ) -> Result<Ended, DropReason> {
        let seat = seat_mut(&mut self.seats, route.seat, route.endpoint).ok_or(DropReason::Misrouted)?;
        let scratch = &mut *self.scratch;
        let mut wanted = ArrayVec::<Wanted, WANTED_PER_COMPOUND>::new();
        let mut overflow = false;
        seat.transport.open_rtcp(&scratch.datagram[..len], &mut scratch.plaintext, now, |feedback| {
            if let Some(item) = Wanted::of(feedback) {
                overflow |= wanted.try_push(item).is_err();
            }
        })?;
        seat.heard = now;
        if overflow {
            self.statistics.drop_beside(DropReason::WorkLimit);
        }
        for item in wanted {
            self.answer_feedback(route, item, now, io);
        }
        self.after_transport(route.seat, now);
        Ok(Ended::Consumed)
    }

    fn open_and_publish(
        &mut self,
        route: Route,
        datagram: &[u8],
        slot: Slot,
        now: Timestamp,
    ) -> Result<Ended, DropReason> {
        let seat = seat_mut(&mut self.seats, route.seat, route.endpoint).ok_or(DropReason::Misrouted)?;
        let opened = seat.transport.open_rtp(datagram, self.arena.bytes_mut(slot), now);
        // A packet brings reports forward and moves nothing else: agent and estimator are not looked at.
        self.deadlines.bring_forward(route.seat, seat.transport.reports_due());
        seat.heard = if opened.is_ok() { now } else { seat.heard };
        let padding = seat.transport.padding_only().filter(|_| opened.is_err());
        if let Some(padding) = padding {
            self.publish_padding(route, padding, slot, now);
        }
        let opened = opened?;
        let published = self.described(route, slot, Authentic::from(opened), now)?;
        let media = &published.media;
        if media.frame.key_frame && media.frame.start_of_frame {
            self.statistics.count(Metric::KeyFramesReceived);
        }
        self.publish(published, now);
        Ok(Ended::Published)
    }

    /// The packet in `slot`, as its conference reads it.
    fn described(
        &mut self,
        route: Route,
        slot: Slot,
        opened: Authentic,
        now: Timestamp,
    ) -> Result<Published, DropReason> {
        let seat = seat_mut(&mut self.seats, route.seat, route.endpoint).ok_or(DropReason::Misrouted)?;
        let stream = seat.stream(opened.ssrc).ok_or(DropReason::UnknownSource)?;
        if seat.force_muted(stream.media) {
            return Err(DropReason::ForceMuted);
        }
        let codec = seat.codec(opened.payload_type).ok_or(DropReason::UnknownPayloadType)?;
        let number = seat.room;
        let room = self.rooms[number as usize].as_deref_mut().ok_or(DropReason::UnknownSource)?;
        let source = room.conference.source_index(stream.source).ok_or(DropReason::UnknownSource)?;
        let bytes = &self.arena.bytes(slot)[..opened.len];
        let packet = wire::rtp::Packet::parse(bytes).map_err(|_| DropReason::RtpMalformed)?;
        let media = room.conference.describe(
            source,
            stream.encoding,
            &packet,
            opened.extended_sequence,
            &seat.extensions,
            codec,
            opened.retransmitted,
            now,
        )?;
        let parts = PacketParts::of(&packet, bytes, &seat.extensions);
        Ok(Published::new(number, source, media, parts, slot))
    }

    /// A sequence number that carried padding alone: the datagram ends here, but projections must close the gap.
    fn publish_padding(&mut self, route: Route, padding: PaddingOnly, slot: Slot, now: Timestamp) {
        if let Ok(published) = self.described(route, slot, Authentic::from(padding), now) {
            self.publish(published, now);
        }
    }

    /// Tell every other worker.
    pub(crate) fn tell_all(&mut self, kind: MeshKind) {
        for worker in (0..self.port.workers()).filter(|worker| *worker != usize::from(self.id.0)) {
            if self.port.send(worker, |message| message.tell(kind)).is_err() {
                self.statistics.count(Metric::PacketsLostToMesh);
            }
        }
    }
}

/// Pass a datagram to the worker of the seat that it is for.
fn hand_over(
    port: &mut Port<MeshMessage>,
    bytes: &[u8],
    path: Path,
    owner: Owner,
) -> Result<Ended, DropReason> {
    let kind = MeshKind::Datagram { peer: path.peer, socket: path.socket, seat: owner.seat };
    let sent = port.send(usize::from(owner.worker.0), |message| message.carry(kind, bytes));
    sent.map(|()| Ended::HandedOver).map_err(|_| DropReason::MeshFull)
}

/// A packet of a known stream, or the header of one that carried padding alone.
#[derive(Clone, Copy)]
struct Authentic {
    ssrc: u32,
    extended_sequence: u64,
    /// Header and payload.
    len: usize,
    payload_type: u8,
    retransmitted: bool,
}

impl From<Opened> for Authentic {
    fn from(opened: Opened) -> Authentic {
        let Opened { ssrc, extended_sequence, len, payload_type, retransmitted, .. } = opened;
        Authentic { ssrc, extended_sequence, len, payload_type, retransmitted }
    }
}

impl From<PaddingOnly> for Authentic {
    fn from(padding: PaddingOnly) -> Authentic {
        let PaddingOnly { ssrc, extended_sequence, header_len, payload_type } = padding;
        Authentic { ssrc, extended_sequence, len: header_len, payload_type, retransmitted: false }
    }
}

/// How a datagram ended, if not as a drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Published,
    Consumed,
    HandedOver,
}

/// What RTCP asks of this worker, free of borrowed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    KeyFrame {
        ssrc: u32,
    },
    Packet {
        ssrc: u32,
        sequence: u16,
    },
    Clocks {
        ssrc: u32,
        ntp: u64,
        rtp: u32,
    },
    /// A share was lost, in 1/256: audio may need redundancy.
    Protection {
        fraction: u8,
    },
    /// To tell the conference what the link carries.
    Bandwidth,
}

impl Wanted {
    fn of(feedback: Feedback<'_>) -> Option<Wanted> {
        match feedback {
            Feedback::KeyFrameRequest { ssrc } => Some(Wanted::KeyFrame { ssrc }),
            Feedback::Nack { ssrc, sequence } => Some(Wanted::Packet { ssrc, sequence }),
            Feedback::SenderReport { ssrc, ntp, rtp } => Some(Wanted::Clocks { ssrc, ntp, rtp }),
            Feedback::TransportCc(_) | Feedback::Remb { .. } => Some(Wanted::Bandwidth),
            Feedback::ReceiverLoss { fraction, .. } => {
                (fraction > 0).then_some(Wanted::Protection { fraction })
            }
            Feedback::Bye { .. } => None,
        }
    }
}

/// News of one transport between two looks.
const EVENTS_PER_CALL: usize = 16;
/// Items of one compound packet that are acted on: a NACK names 17 packets per item.
const WANTED_PER_COMPOUND: usize = 256;
