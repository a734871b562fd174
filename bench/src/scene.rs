//! The workloads: who sits where, and what arrives together.

use contract::session::Media;

/// A workload by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scene {
    /// As in the table and in JSON.
    pub name: &'static str,
    /// Rooms.
    pub rooms: usize,
    /// Participants of each.
    pub people: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// One sender's frame of so many packets arrives; all lengths equal, or as encoders cut frames.
    Frame { packets: usize, bytes: usize, uneven: bool },
    /// In some rooms a video frame arrives, and with it, in these or in others, a packet of audio. Rooms and senders take
    /// turns.
    Meetings { at_once: usize, packets: usize, audio_elsewhere: bool },
    /// Some speakers of one room, a packet each, of slightly different lengths.
    Speakers { speakers: usize },
}

/// Packets of one sender that arrive together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// Number of the room.
    pub room: usize,
    /// Number of the client.
    pub sender: usize,
    /// Audio or video.
    pub media: Media,
    /// How many.
    pub packets: usize,
    /// Bytes of each datagram as sent on, tag included.
    pub bytes: usize,
    /// The first half is one byte shorter.
    pub uneven: bool,
}

impl Burst {
    /// Bytes of packet `at`.
    pub fn bytes_of(&self, at: usize) -> usize {
        self.bytes - usize::from(self.uneven && at < self.packets / 2)
    }
}

impl Scene {
    /// One sender, `receivers` receivers, `packets` equal packets of `bytes` at once.
    pub const fn big_room(packets: usize, receivers: usize, bytes: usize) -> Scene {
        let kind = Kind::Frame { packets, bytes, uneven: false };
        Scene { name: "big-room", rooms: 1, people: receivers + 1, kind }
    }

    /// As [`Scene::big_room`], frames cut as encoders do: lengths differ by one byte.
    pub const UNEVEN: Scene = Scene {
        name: "uneven",
        rooms: 1,
        people: 51,
        kind: Kind::Frame { packets: 4, bytes: VIDEO_BYTES, uneven: true },
    };

    /// Twelve rooms of five who all send, four rooms at once.
    pub const B2: Scene = Scene {
        name: "B2",
        rooms: 12,
        people: 5,
        kind: Kind::Meetings { at_once: 4, packets: 3, audio_elsewhere: false },
    };

    /// Two thousand rooms of two, sixteen rooms at once.
    pub const TWO_PERSON: Scene = Scene {
        name: "two-person",
        rooms: 2_000,
        people: 2,
        kind: Kind::Meetings { at_once: 16, packets: 3, audio_elsewhere: true },
    };

    /// Eight rooms of two, all at once: what of two-person rooms is not for their number.
    pub const TWO_PERSON_FEW: Scene = Scene {
        name: "two-person-few",
        rooms: 16,
        people: 2,
        kind: Kind::Meetings { at_once: 16, packets: 3, audio_elsewhere: true },
    };

    /// Fifty in a room, three of them speaking.
    pub const AUDIO: Scene =
        Scene { name: "audio", rooms: 1, people: 50, kind: Kind::Speakers { speakers: 3 } };

    /// All of `speed`.
    pub const ALL: [Scene; 6] = [
        Scene::big_room(8, 50, VIDEO_BYTES),
        Scene::B2,
        Scene::TWO_PERSON,
        Scene::TWO_PERSON_FEW,
        Scene::AUDIO,
        Scene::UNEVEN,
    ];

    /// Clients in all; those of a room stand together.
    pub fn clients(&self) -> usize {
        self.rooms * self.people
    }

    /// Whether a client ever sends.
    pub fn sends(&self, client: usize) -> bool {
        match self.kind {
            Kind::Frame { .. } => client == 0,
            Kind::Meetings { .. } => true,
            Kind::Speakers { speakers } => client < speakers,
        }
    }

    /// What arrives in pass `number`; bursts of one room stand together.
    pub fn bursts(&self, number: usize) -> Vec<Burst> {
        let audio = |room: usize, sender: usize, bytes: usize| Burst {
            room,
            sender,
            media: Media::Audio,
            packets: 1,
            bytes,
            uneven: false,
        };
        match self.kind {
            Kind::Frame { packets, bytes, uneven } => {
                vec![Burst { room: 0, sender: 0, media: Media::Video, packets, bytes, uneven }]
            }
            Kind::Meetings { at_once, packets, audio_elsewhere } => {
                let mut bursts = Vec::new();
                for at in number * at_once..(number + 1) * at_once {
                    let (room, person) = (at % self.rooms, at / self.rooms % self.people);
                    let sender = room * self.people + person;
                    let (media, bytes) = (Media::Video, VIDEO_BYTES);
                    bursts.push(Burst { room, sender, media, packets, bytes, uneven: false });
                    let room = if audio_elsewhere { (room + self.rooms / 2) % self.rooms } else { room };
                    let speaker = room * self.people + (person + 1) % self.people;
                    bursts.push(audio(room, speaker, AUDIO_BYTES));
                }
                bursts.sort_by_key(|burst| burst.room);
                bursts
            }
            Kind::Speakers { speakers } => {
                let bytes = |speaker: usize| AUDIO_BYTES + (number * 7 + speaker * 13) % 24;
                (0..speakers).map(|speaker| audio(0, speaker, bytes(speaker))).collect()
            }
        }
    }

    /// Passes after which every sender has sent everything once.
    pub fn cycle(&self) -> usize {
        match self.kind {
            Kind::Frame { .. } | Kind::Speakers { .. } => 1,
            Kind::Meetings { at_once, .. } => self.clients().div_ceil(at_once),
        }
    }

    /// Microseconds between two passes, by which senders have the rates of real ones: 30 frames a second, 50 packets of
    /// audio; a lone sender as fast as he is let.
    pub fn interval_us(&self) -> usize {
        match self.kind {
            Kind::Frame { packets, bytes, .. } => {
                (packets * bytes * 8 / BITS_PER_MICROSECOND).max(packets * 1_000_000 / PACKETS_PER_SECOND)
            }
            Kind::Meetings { .. } => (1_000_000 / 30 / self.cycle()).max(1),
            Kind::Speakers { .. } => 20_000,
        }
    }

    /// Those who get a burst.
    pub fn receivers(&self, burst: &Burst) -> impl Iterator<Item = usize> + use<> {
        let (first, sender) = (burst.room * self.people, burst.sender);
        (first..first + self.people).filter(move |client| *client != sender)
    }

    /// Datagrams sent in a pass.
    pub fn sent(&self, bursts: &[Burst]) -> u64 {
        bursts.iter().map(|burst| (burst.packets * (self.people - 1)) as u64).sum()
    }
}

/// Below the 20 Mbit/s and 2,000 packets a second that an endpoint may send.
const BITS_PER_MICROSECOND: usize = 18;
const PACKETS_PER_SECOND: usize = 1_800;
/// Of a full packet as browsers send it, forwarded.
const VIDEO_BYTES: usize = 1_216;
/// Opus at 32 kbit/s.
const AUDIO_BYTES: usize = 120;
