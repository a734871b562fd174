//! Carrying out orders, between packets: what was built comes in, what is no longer needed goes back.

use conference::{Receiver, Source};
use contract::{ConferenceId, EndpointId, Metric, Timestamp};
use transport::srtp::Session;
use transport::{ReceiveStream, SendStream};

use crate::datagram_io::DatagramIo;
use crate::order::{Order, Return, SourceOwner, Spent};
use crate::packet_cache::SourceCache;
use crate::room::{Room, RoomSource};
use crate::seat::{Seat, SignalledStreams};
use crate::worker::{Worker, seat_mut};

impl Worker {
    /// Carry out the orders that wait; how many. A bounded number a turn: media goes on between them.
    pub(crate) fn apply_orders(&mut self, now: Timestamp, io: &mut impl DatagramIo) -> usize {
        let mut count = 0;
        while count < ORDERS_PER_TURN {
            let Some(order) = self.end.orders.pop() else { break };
            count += 1;
            self.statistics.count(Metric::CommandsApplied);
            let spent = self.apply(order, now, io);
            self.spent(spent);
        }
        count
    }

    fn apply(&mut self, order: Order, now: Timestamp, io: &mut impl DatagramIo) -> Spent {
        match order {
            Order::OpenRoom(room) => self.open_room(room, now),
            Order::CloseRoom(conference) => self.close_room(conference),
            Order::GrowRoom(conference, tables) => self.grow_room(conference, tables),
            Order::SetPeers(conference, peers) => {
                if let Some(room) = self.room_mut(conference) {
                    room.peers = peers;
                }
                Spent::Nothing
            }
            Order::Seat(seat, receiver) => self.seat(seat, receiver, now, io),
            Order::Unseat { seat, endpoint } => self.unseat(seat, endpoint, now, io),
            Order::AddSource { conference, source, spec, cache } => {
                self.add_source(conference, source, spec, cache, now, io)
            }
            Order::RemoveSource { conference, source } => self.remove_source(conference, source, now, io),
            Order::SetVideoType { conference, source, video_type } => {
                if let Some(room) = self.room_mut(conference) {
                    room.conference.set_video_type(source, video_type, now);
                }
                self.events_of(conference, now, io);
                Spent::Nothing
            }
            Order::Count(mut copy) => {
                self.count_into(&mut copy);
                self.give_back(Return::Counted(self.id, copy));
                Spent::Nothing
            }
            Order::Stop => {
                self.stopping = true;
                Spent::Nothing
            }
            to_seat => self.apply_to_seat(to_seat, now, io),
        }
    }

    fn apply_to_seat(&mut self, order: Order, now: Timestamp, io: &mut impl DatagramIo) -> Spent {
        match order {
            Order::SetTransport { seat, endpoint, remote } => {
                self.with_transport(seat, endpoint, now, |seat| {
                    // Refused credentials change nothing: no check will ever succeed and the endpoint expires.
                    let _ = seat.transport.set_remote(&remote.ufrag, &remote.pwd, &remote.candidates, now);
                });
                Spent::Remote(remote)
            }
            Order::AddCandidates { seat, endpoint, candidates } => {
                self.with_transport(seat, endpoint, now, |seat| {
                    seat.transport.add_candidates(&candidates, now);
                });
                Spent::Candidates(candidates)
            }
            Order::RestartIce { seat, endpoint, credentials } => {
                self.with_transport(seat, endpoint, now, |seat| {
                    let _ = seat.transport.restart_ice(&credentials.0, &credentials.1, now);
                });
                Spent::Credentials(credentials)
            }
            Order::SetKeys { seat, endpoint, session } => self.set_keys(seat, endpoint, session, now),
            Order::SetStreams { seat, endpoint, streams, signalled } => {
                self.set_streams(seat, endpoint, streams, signalled)
            }
            Order::SetConstraints { seat, endpoint, constraints } => {
                let Some(room) = self.room_of(seat, endpoint) else { return Spent::Constraints(constraints) };
                let former = room.conference.set_constraints(endpoint, constraints, now);
                let conference = room.id;
                self.events_of(conference, now, io);
                Spent::Constraints(former)
            }
            Order::SetAudioSubscription { seat, endpoint, subscription } => {
                let Some(room) = self.room_of(seat, endpoint) else {
                    return Spent::Subscription(subscription);
                };
                let former = room.conference.set_audio_subscription(endpoint, subscription, now);
                let conference = room.id;
                self.events_of(conference, now, io);
                Spent::Subscription(former)
            }
            Order::SetForceMute { seat, endpoint, audio, video } => {
                if let Some(seat) = seat_mut(&mut self.seats, seat, endpoint) {
                    (seat.force_mute_audio, seat.force_mute_video) = (audio, video);
                }
                Spent::Nothing
            }
            Order::LeaveOutRedundancy { seat, endpoint } => {
                if let Some(seat) = seat_mut(&mut self.seats, seat, endpoint) {
                    seat.leave_out_redundancy();
                }
                Spent::Nothing
            }
            Order::CopyBandwidth { seat, endpoint, mut copy } => {
                if let Some(seat) = seat_mut(&mut self.seats, seat, endpoint) {
                    copy.copy(endpoint, seat.transport.bandwidth());
                }
                self.give_back(Return::Bandwidth(copy));
                Spent::Nothing
            }
            Order::AddSpares { seat, endpoint, spares } => self.add_spares(seat, endpoint, spares),
            _ => Spent::Nothing,
        }
    }

    fn set_keys(&mut self, seat: u32, endpoint: EndpointId, session: Box<Session>, now: Timestamp) -> Spent {
        let Some(entry) = seat_mut(&mut self.seats, seat, endpoint) else {
            return Spent::Session(Some(session));
        };
        let former = entry.transport.set_keys(session, now);
        self.after_transport(seat, now);
        Spent::Session(former)
    }

    fn open_room(&mut self, room: Box<Room>, now: Timestamp) -> Spent {
        let free = self.rooms.iter().position(Option::is_none);
        if free.is_none() && self.rooms.len() == self.rooms.capacity() {
            return Spent::Room(room);
        }
        let number = free.unwrap_or_else(|| {
            self.rooms.push(None);
            self.rooms.len() - 1
        });
        self.room_numbers.insert(room.id, number as u32);
        self.rooms[number] = Some(room);
        if let Some(room) = &mut self.rooms[number] {
            room.conference.set_shedding(self.ladder.step, now);
        }
        self.note_deadline_of_room(number as u32);
        Spent::Nothing
    }

    fn close_room(&mut self, conference: ConferenceId) -> Spent {
        let Some(number) = self.room_numbers.remove(&conference) else { return Spent::Nothing };
        let Some(mut room) = self.rooms[number as usize].take() else { return Spent::Nothing };
        self.note_deadline_of_room(number);
        for cache in room.caches() {
            cache.clear(&mut self.kept, &mut self.arena);
        }
        Spent::Room(room)
    }

    fn grow_room(
        &mut self,
        conference: ConferenceId,
        mut tables: Box<(conference::Storage, crate::room::RoomStorage)>,
    ) -> Spent {
        if let Some(room) = self.room_mut(conference) {
            tables.0 = room.conference.reserve(std::mem::take(&mut tables.0));
            tables.1 = room.grow(std::mem::take(&mut tables.1));
        }
        Spent::RoomStorage(tables)
    }

    fn seat(
        &mut self,
        mut seat: Box<Seat>,
        receiver: Box<Receiver>,
        now: Timestamp,
        io: &mut impl DatagramIo,
    ) -> Spent {
        let number = seat.index as usize;
        let conference = seat.conference;
        let room_number = self.room_number(conference);
        let Some(room) = self.room_mut(conference) else { return Spent::Seat(seat, receiver) };
        let at = match room.conference.add_receiver(receiver, now) {
            Ok(at) => at,
            Err(receiver) => return Spent::Seat(seat, receiver),
        };
        room.set_seat(at, seat.index);
        seat.receiver = at;
        seat.room = room_number.unwrap_or_default();
        while self.seats.len() <= number && self.seats.len() < self.seats.capacity() {
            self.seats.push(None);
        }
        if let Some(place) = self.seats.get_mut(number) {
            self.deadlines.set(seat.index, seat.transport.poll_timeout());
            *place = Some(seat);
        }
        self.note_bandwidth(number as u32, now);
        self.events_of(conference, now, io);
        Spent::Nothing
    }

    fn unseat(
        &mut self,
        number: u32,
        endpoint: EndpointId,
        now: Timestamp,
        io: &mut impl DatagramIo,
    ) -> Spent {
        let Some(place) = self.seats.get_mut(number as usize) else { return Spent::Nothing };
        let Some(seat) = place.take_if(|seat| seat.endpoint == endpoint) else { return Spent::Nothing };
        self.deadlines.set(number, Timestamp::NEVER);
        self.addresses.remove_endpoint(endpoint);
        let mut receiver = None;
        if let Some(room) = self.room_mut(seat.conference) {
            receiver = room.conference.remove_receiver(endpoint, now);
            room.clear_seat(seat.receiver);
        }
        self.tell_all(crate::mesh_message::MeshKind::Left { endpoint });
        self.events_of(seat.conference, now, io);
        self.give_back(Return::Left(self.id, seat, receiver));
        Spent::Nothing
    }

    fn set_streams(
        &mut self,
        number: u32,
        endpoint: EndpointId,
        streams: Vec<Box<ReceiveStream>>,
        mut signalled: Box<SignalledStreams>,
    ) -> Spent {
        let Some(seat) = seat_mut(&mut self.seats, number, endpoint) else {
            return Spent::Streams(streams, signalled);
        };
        std::mem::swap(&mut seat.signalled, &mut signalled);
        Spent::Streams(seat.transport.set_receive_streams(streams), signalled)
    }

    fn add_source(
        &mut self,
        conference: ConferenceId,
        source: Box<Source>,
        owner: Box<SourceOwner>,
        cache: Option<Box<SourceCache>>,
        now: Timestamp,
        io: &mut impl DatagramIo,
    ) -> Spent {
        let Some(room) = self.room_mut(conference) else {
            return Spent::Source(Some(source), Some(owner), cache);
        };
        let at = match room.conference.add_source(source, now) {
            Ok(at) => at,
            Err(source) => return Spent::Source(Some(source), Some(owner), cache),
        };
        let refused = room.set_source(at, RoomSource { owner: *owner, cache });
        self.events_of(conference, now, io);
        Spent::Source(None, Some(owner), refused.and_then(|source| source.cache))
    }

    fn remove_source(
        &mut self,
        conference: ConferenceId,
        source: contract::SourceId,
        now: Timestamp,
        io: &mut impl DatagramIo,
    ) -> Spent {
        // Packets of this turn may still refer to it.
        self.fan_out_all(now, io);
        let Some(number) = self.room_number(conference) else { return Spent::Nothing };
        let Worker { rooms, arena, kept, .. } = self;
        let Some(room) = rooms[number as usize].as_deref_mut() else { return Spent::Nothing };
        let Some(at) = room.conference.source_index(source) else { return Spent::Nothing };
        let gone = room.conference.remove_source(source, now);
        let mut cache = room.take_source(at).and_then(|source| source.cache);
        if let Some(cache) = &mut cache {
            cache.clear(kept, arena);
        }
        self.events_of(conference, now, io);
        Spent::Source(gone, None, cache)
    }

    fn add_spares(&mut self, number: u32, endpoint: EndpointId, mut spares: Vec<Box<SendStream>>) -> Spent {
        use contract::session::Media;
        let Some(seat) = seat_mut(&mut self.seats, number, endpoint) else { return Spent::Spares(spares) };
        while let Some(stream) = spares.pop() {
            let refused = match stream.media() {
                Media::Audio => seat.spares.audio.try_push(stream).err().map(|error| error.element()),
                Media::Video => seat.spares.video.try_push(stream).err().map(|error| error.element()),
            };
            if let Some(stream) = refused {
                spares.push(stream);
                break;
            }
        }
        let (room, unbegun) = (seat.room, core::mem::take(&mut seat.unbegun));
        for (ssrc, rtx, media) in unbegun {
            self.begin_stream(room, endpoint, ssrc, rtx, media);
        }
        Spent::Spares(spares)
    }

    /// DTLS datagrams from the handshake threads, out to their clients; how many.
    pub(crate) fn send_dtls(&mut self, io: &mut impl DatagramIo) -> usize {
        let mut count = 0;
        while count < DTLS_PER_TURN {
            let Some(datagram) = self.end.dtls_out.pop() else { break };
            count += 1;
            let Some(seat) = seat_mut(&mut self.seats, datagram.seat(), datagram.endpoint) else { continue };
            let path = seat.transport.selected().or(seat.dtls_path).or(seat.transport.usable());
            if let Some(path) = path {
                let bytes = datagram.bytes();
                io.send(path, bytes.len(), |out| {
                    out[..bytes.len()].copy_from_slice(bytes);
                    bytes.len()
                });
            }
        }
        count
    }

    fn count_into(&mut self, copy: &mut crate::statistics::Statistics) {
        self.statistics.endpoints = self.seats.iter().flatten().count() as u64;
        self.statistics.conferences = self.room_numbers.len() as u64;
        self.statistics.slots = self.arena.slots() as u64;
        self.statistics.slots_held = self.arena.held() as u64;
        self.statistics.copy_to(copy);
        copy.by_endpoint.clear();
        for seat in self.seats.iter().flatten() {
            if copy.by_endpoint.len() == copy.by_endpoint.capacity() {
                break;
            }
            let room = self.rooms.get(seat.room as usize).and_then(Option::as_deref);
            let heights = room.map(|room| room.conference.heights(seat.receiver)).unwrap_or_default();
            copy.by_endpoint.push(seat.statistics(heights));
        }
    }

    fn with_transport(
        &mut self,
        number: u32,
        endpoint: EndpointId,
        now: Timestamp,
        act: impl FnOnce(&mut Seat),
    ) {
        if let Some(seat) = seat_mut(&mut self.seats, number, endpoint) {
            act(seat);
            self.after_transport(number, now);
        }
    }

    fn room_mut(&mut self, conference: ConferenceId) -> Option<&mut Room> {
        let number = self.room_number(conference)?;
        self.rooms[number as usize].as_deref_mut()
    }

    fn room_of(&mut self, seat: u32, endpoint: EndpointId) -> Option<&mut Room> {
        let room = seat_mut(&mut self.seats, seat, endpoint)?.room;
        self.rooms[room as usize].as_deref_mut()
    }

    fn events_of(&mut self, conference: ConferenceId, now: Timestamp, io: &mut impl DatagramIo) {
        if let Some(number) = self.room_number(conference) {
            self.conference_events(number, now, io);
        }
    }
}

/// Orders carried out in one turn: a join is about five.
const ORDERS_PER_TURN: usize = 64;
/// DTLS datagrams sent in one turn.
const DTLS_PER_TURN: usize = 64;
