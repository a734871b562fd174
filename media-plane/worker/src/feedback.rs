//! What receivers ask for, carried to where the sender lives; and what the conference wants told.

use arrayvec::ArrayVec;
use conference::Event;
use contract::{EndpointId, Metric, Report, SourceId, Ssrc, Timestamp};

use crate::address_table::Route;
use crate::datagram_io::DatagramIo;
use crate::ingress::Wanted;
use crate::mesh_message::MeshKind;
use crate::order::{Return, Spent};
use crate::worker::{Worker, seat_mut};

impl Worker {
    /// One item of a receiver's RTCP.
    pub(crate) fn answer_feedback(
        &mut self,
        from: Route,
        item: Wanted,
        now: Timestamp,
        io: &mut impl DatagramIo,
    ) {
        match item {
            Wanted::Packet { ssrc, sequence } => self.retransmit(from, ssrc, sequence, now, io),
            Wanted::KeyFrame { ssrc } => self.key_frame_for(from, ssrc, now),
            Wanted::Protection { fraction } => {
                if let Some(seat) = seat_mut(&mut self.seats, from.seat, from.endpoint) {
                    seat.note_loss(fraction, now);
                }
            }
            Wanted::Bandwidth => self.note_bandwidth(from.seat, now),
            Wanted::Clocks { ssrc, ntp, rtp } => {
                let Some(seat) = seat_mut(&mut self.seats, from.seat, from.endpoint) else { return };
                let Some(stream) = seat.stream(ssrc) else { return };
                let room = seat.room;
                self.pass_clocks(room, stream.source, ssrc, ntp, rtp, now);
                self.pass_clocks_on(room, stream.source, ssrc, ntp, rtp);
            }
        }
    }

    /// A receiver cannot decode what it gets on `ssrc`.
    pub(crate) fn key_frame_for(&mut self, from: Route, ssrc: u32, now: Timestamp) {
        let Some(seat) = seat_mut(&mut self.seats, from.seat, from.endpoint) else { return };
        let (number, receiver) = (seat.room, seat.receiver);
        let Some(room) = self.rooms[number as usize].as_deref() else { return };
        if let Some((source, original)) = room.conference.source_of_feedback(receiver, ssrc) {
            self.request_key_frame(number, source, original, Some(from.endpoint), now);
        }
    }

    /// Ask the sender of `source` for a key frame on `ssrc`, or pass the wish to the worker where it lives. A requester's
    /// wishes are limited on his own worker and once more where the sender lives; without one they have been limited.
    pub(crate) fn request_key_frame(
        &mut self,
        number: u32,
        source: SourceId,
        ssrc: u32,
        requester: Option<EndpointId>,
        now: Timestamp,
    ) {
        let Some(room) = self.rooms[number as usize].as_deref_mut() else { return };
        let Some(owner) =
            room.conference.source_index(source).and_then(|at| room.source(at)).map(|s| s.owner)
        else {
            return;
        };
        if let Some(requester) = requester
            && !room.conference.key_frame_wanted(source, ssrc, requester, now)
        {
            return;
        }
        if owner.worker != self.id {
            let requester = requester.unwrap_or(owner.endpoint);
            let kind = MeshKind::KeyFrame { conference: room.id, source, ssrc, requester };
            let sent = self.port.send(usize::from(owner.worker.0), |message| message.tell(kind));
            if sent.is_err() {
                self.statistics.count(Metric::PacketsLostToMesh);
            }
            return;
        }
        if let Some(seat) = seat_mut(&mut self.seats, owner.seat, owner.endpoint) {
            seat.transport.request_key_frame(ssrc, now);
            self.deadlines.set(owner.seat, seat.transport.poll_timeout());
            self.statistics.count(Metric::KeyFrameRequests);
        }
    }

    /// Translate a sender's clocks for each receiver here.
    pub(crate) fn pass_clocks(
        &mut self,
        number: u32,
        source: SourceId,
        ssrc: u32,
        ntp: u64,
        rtp: u32,
        now: Timestamp,
    ) {
        let Worker { rooms, seats, .. } = self;
        let Some(room) = rooms[number as usize].as_deref_mut() else { return };
        let Some(index) = room.conference.source_index(source) else { return };
        for receiver in (0..room.receiver_places()).map(conference::ReceiverIndex) {
            let Some(seat) =
                room.seat(receiver).and_then(|seat| seats.get_mut(seat as usize)?.as_deref_mut())
            else {
                continue;
            };
            let translated = room.conference.translate_sender_report(receiver, index, ssrc, ntp, rtp);
            if let Some((out_ssrc, ntp, rtp)) = translated {
                seat.transport.sender_report(out_ssrc, ntp, rtp, now);
            }
        }
    }

    /// Pass a sender's clocks to the other workers of its conference.
    fn pass_clocks_on(&mut self, number: u32, source: SourceId, ssrc: u32, ntp: u64, rtp: u32) {
        let Some(room) = self.rooms[number as usize].as_deref() else { return };
        let kind = MeshKind::SenderReport { conference: room.id, source, ssrc, ntp, rtp };
        let others = room.peers & !(1u128 << self.id.0);
        for worker in (0..self.port.workers()).filter(|worker| others & 1 << worker != 0) {
            if self.port.send(worker, |message| message.tell(kind)).is_err() {
                self.statistics.count(Metric::PacketsLostToMesh);
            }
        }
    }

    /// Carry out, pass on or report what a conference has to say, and learn when it wants to be called: to be called
    /// after whatever changes a conference.
    pub(crate) fn conference_events(&mut self, number: u32, now: Timestamp, io: &mut impl DatagramIo) {
        let _ = io;
        for _ in 0..EVENTS_PER_CALL {
            let Some(room) = self.rooms[number as usize].as_deref_mut() else { return };
            let conference = room.id;
            match room.conference.poll_event() {
                None => break,
                Some(Event::KeyFrameNeeded { source, ssrc }) => {
                    self.request_key_frame(number, source, ssrc, None, now)
                }
                Some(Event::SendStream { receiver, ssrc, rtx, media, clock }) => {
                    let _ = clock;
                    self.begin_stream(number, receiver, ssrc, rtx, media);
                }
                Some(Event::StreamEnded { receiver, ssrc }) => self.end_stream(number, receiver, ssrc),
                Some(Event::Forwarded { receiver, sources }) => {
                    self.report(Report::ForwardedSources { endpoint: receiver, sources });
                }
                Some(Event::Mapped { receiver, source, media, ssrc, rtx }) => {
                    let (ssrc, rtx) = (Ssrc(ssrc), rtx.map(Ssrc));
                    self.report(Report::SourceMapped { endpoint: receiver, source, media, ssrc, rtx });
                }
                Some(Event::Demand { source, max_height }) => {
                    self.report(Report::SourceDemand { worker: self.id, source, max_height });
                }
                Some(Event::Ideal { receiver, bits_per_second }) => {
                    self.set_wanted(number, receiver, bits_per_second, now);
                }
                Some(Event::DominantSpeaker { endpoint, previous }) => {
                    // Every replica hears all audio and comes to the same decision; the lowest worker tells.
                    if room.peers.trailing_zeros() == u32::from(self.id.0) {
                        self.report(Report::DominantSpeaker { conference, endpoint, previous });
                    }
                }
            }
        }
        self.note_deadline_of_room(number);
    }

    /// A stream of `receiver` carries nothing for now: its records and counts go back to be freed.
    fn end_stream(&mut self, number: u32, receiver: EndpointId, ssrc: u32) {
        let Worker { rooms, seats, .. } = self;
        let Some(room) = rooms[number as usize].as_deref() else { return };
        let seat = room.conference.receiver_index(receiver).and_then(|at| room.seat(at));
        let Some(seat) = seat.and_then(|seat| seat_mut(seats, seat, receiver)) else { return };
        seat.unbegun.retain(|unbegun| unbegun.0 != ssrc);
        let former = seat.transport.remove_send_stream(ssrc);
        self.spent(Spent::SendStream(former));
    }

    /// Give the transport of `receiver` a stream for a new outgoing SSRC, from the spares of its seat.
    pub(crate) fn begin_stream(
        &mut self,
        number: u32,
        receiver: EndpointId,
        ssrc: u32,
        rtx: Option<u32>,
        media: contract::session::Media,
    ) {
        use contract::session::Media;
        let Worker { rooms, seats, .. } = self;
        let Some(room) = rooms[number as usize].as_deref() else { return };
        let seat = room.conference.receiver_index(receiver).and_then(|at| room.seat(at));
        let Some(seat) = seat.and_then(|seat| seat_mut(seats, seat, receiver)) else { return };
        let spare = match media {
            Media::Audio => seat.spares.audio.pop(),
            Media::Video => seat.spares.video.pop(),
        };
        let Some(mut stream) = spare else {
            // Many begin at once: the control thread brings more.
            seat.unbegun.retain(|unbegun| unbegun.0 != ssrc);
            let _ = seat.unbegun.try_push((ssrc, rtx, media));
            return;
        };
        let mut back = ArrayVec::<Spent, 2>::new();
        let former = seat.transport.remove_send_stream(ssrc);
        back.push(Spent::SendStream(former));
        stream.assign(ssrc, rtx);
        if let Err(refused) = seat.transport.add_send_stream(stream) {
            back.push(Spent::SendStream(Some(refused)));
        }
        let (audio, video) = if media == Media::Audio { (1, 0) } else { (0, 1) };
        self.give_back(Return::SparesUsed { endpoint: receiver, audio, video });
        for spent in back {
            self.spent(spent);
        }
    }
}

/// News of one conference in one go; the rest comes with the next turn.
const EVENTS_PER_CALL: usize = 256;
