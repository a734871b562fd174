//! The bare loop of a workload: what arrives together is opened, sealed for each receiver with his key, and what goes to
//! one receiver goes in as few messages as equal lengths allow. The same keys, addresses and arrivals as the production
//! turn has; no table is consulted and nothing is remembered.

use std::net::UdpSocket;

use contract::session::Media;
use mesh::wake::Sleeper;

use crate::bare::{header, open_io};
use crate::cipher::{Cipher, Provider};
use crate::rounds::{Workload, thread_time};
use crate::scene::{Burst, Scene};
use crate::sinks::Sinks;

/// The loop on one workload.
pub struct BareScene {
    scene: Scene,
    provider: Provider,
    /// By client: inbound and outbound, as each has keys of his own.
    ciphers: Vec<(Cipher, Cipher)>,
    passes: usize,
    /// Packets so far: sequence number and nonce.
    number: u64,
    /// What has arrived in memory, and what it opens to.
    sealed: Vec<Vec<u8>>,
    plain: Vec<[u8; SLOT]>,
    way: Way,
}

enum Way {
    Memory(Box<[u8]>),
    Kernel {
        io: Box<uring::Io>,
        feeder: UdpSocket,
        sinks: Sinks,
        /// The ring waits on its descriptor.
        _sleeper: Sleeper,
    },
}

/// A packet that arrived: its text and the length that it has on the wire.
#[derive(Clone, Copy)]
struct Arrival {
    sender: usize,
    room: usize,
    media: Media,
    bytes: usize,
}

impl BareScene {
    /// A loop of its own; `choice` of the kernel's interface, or memory alone.
    pub fn new(
        scene: Scene,
        provider: Provider,
        choice: Option<uring::Choice>,
        gso: bool,
    ) -> Result<BareScene, String> {
        let way = match choice {
            None => Way::Memory(vec![0; WAVE_BYTES].into_boxed_slice()),
            Some(choice) => {
                let (io, sleeper) = open_io(choice, gso)?;
                let feeder = UdpSocket::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
                let sinks = Sinks::open(scene.clients()).map_err(|error| error.to_string())?;
                Way::Kernel { io: Box::new(io), feeder, sinks, _sleeper: sleeper }
            }
        };
        let pair = |client| (Cipher::new(provider, 2 * client), Cipher::new(provider, 2 * client + 1));
        let ciphers = (0..scene.clients()).map(pair).collect();
        let (sealed, plain) = (Vec::new(), Vec::new());
        Ok(BareScene { scene, provider, ciphers, passes: 0, number: 0, sealed, plain, way })
    }

    /// The packets of a pass, evened out as the product is to have them.
    fn arrivals(bursts: &[Burst]) -> Vec<Arrival> {
        let of = |burst: &Burst| {
            let Burst { sender, room, media, bytes, .. } = *burst;
            std::iter::repeat_n(Arrival { sender, room, media, bytes }, burst.packets)
        };
        bursts.iter().flat_map(of).collect()
    }

    /// What arrives leaves its senders. Not measured.
    fn feed(&mut self, arrivals: &[Arrival]) -> Result<(), String> {
        self.sealed.resize(arrivals.len().max(self.sealed.len()), Vec::new());
        self.plain.resize(arrivals.len().max(self.plain.len()), [0; SLOT]);
        let payload = [0xAB; SLOT];
        for (at, arrival) in arrivals.iter().enumerate() {
            let number = self.number + at as u64;
            let sealed = &mut self.sealed[at];
            sealed.resize(arrival.bytes, 0);
            let text = &payload[..arrival.bytes - HEADER - self.provider.tag_bytes()];
            self.ciphers[arrival.sender].0.seal(number, &header(number, 1), text, sealed);
            if let Way::Kernel { io, feeder, .. } = &self.way {
                feeder.send_to(sealed, io.local_address(0)).map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    fn turn(&mut self, arrivals: &[Arrival]) -> Result<(), String> {
        let BareScene { scene, provider, ciphers, number, sealed, plain, way, .. } = self;
        let first = *number;
        let open = |at: usize, datagram: &[u8], plain: &mut [u8]| {
            let cipher = &ciphers[arrivals[at].sender].0;
            cipher.open(first + at as u64, datagram, HEADER, plain).ok_or("a packet did not open")
        };
        match way {
            Way::Memory(_) => {
                for at in 0..arrivals.len() {
                    open(at, &sealed[at], &mut plain[at])?;
                }
            }
            Way::Kernel { io, .. } => {
                let mut arrived = 0;
                for _ in 0..LOOKS_MAX {
                    io.submit();
                    arrived = io.receive();
                    if arrived >= arrivals.len() {
                        break;
                    }
                }
                if arrived != arrivals.len() {
                    return Err(format!("{arrived} of {} packets arrived", arrivals.len()));
                }
                for (at, plain) in plain.iter_mut().enumerate().take(arrived) {
                    open(at, io.datagram(at).bytes, plain)?;
                }
                io.recycle();
            }
        }
        let mut write = 0;
        let mut begin = 0;
        for of_room in arrivals.chunk_by(|a, b| a.room == b.room) {
            let of_this_room = of_room[0].room * scene.people;
            for (receiver, (_, cipher)) in ciphers.iter().enumerate().skip(of_this_room).take(scene.people) {
                // Video first: audio rides along as the shorter last segment.
                for media in [Media::Video, Media::Audio] {
                    for (at, arrival) in of_room.iter().enumerate() {
                        if arrival.sender == receiver || arrival.media != media {
                            continue;
                        }
                        let number = first + (begin + at) as u64;
                        let text = &plain[begin + at][..arrival.bytes - HEADER - provider.tag_bytes()];
                        let seal =
                            |out: &mut [u8]| cipher.seal(number, &header(number, receiver as u32), text, out);
                        match way {
                            Way::Memory(memory) => {
                                write = if write + SLOT > memory.len() { 0 } else { write };
                                write += seal(&mut memory[write..]);
                            }
                            Way::Kernel { io, sinks, .. } => {
                                let sent = io.send(0, sinks.addresses()[receiver], arrival.bytes, seal);
                                sent.map_err(|_| "no room to send")?;
                            }
                        }
                    }
                }
            }
            begin += of_room.len();
        }
        if let Way::Kernel { io, .. } = way {
            io.submit();
            if io.statistics().send_errors > 0 {
                return Err("the kernel refused to send".to_owned());
            }
        }
        *number += arrivals.len() as u64;
        Ok(())
    }
}

impl Workload for BareScene {
    fn name(&self) -> String {
        let way = match &self.way {
            Way::Memory(_) => "memory",
            Way::Kernel { io, .. } => io.backend().label(),
        };
        format!("bare, {way}, {}", self.provider.label())
    }

    fn pass(&mut self) -> Result<(u64, u64), String> {
        let bursts = self.scene.bursts(self.passes);
        self.passes += 1;
        let arrivals = BareScene::arrivals(&bursts);
        self.feed(&arrivals)?;
        let began = thread_time();
        self.turn(&arrivals)?;
        Ok((self.scene.sent(&bursts), thread_time() - began))
    }

    fn per_send(&self) -> Option<f64> {
        let Way::Kernel { io, .. } = &self.way else { return None };
        let statistics = io.statistics();
        (statistics.sends > 0).then(|| statistics.segments as f64 / statistics.sends as f64)
    }
}

/// RTP without extensions.
const HEADER: usize = 12;
/// Room for a datagram.
const SLOT: usize = 1_536;
/// Memory that is sealed into before it is used again: 64 datagrams.
const WAVE_BYTES: usize = 64 * SLOT;
/// Looks for a batch that was sent to ourselves.
const LOOKS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_is_taken_through() {
        for scene in [Scene::B2, Scene::AUDIO, Scene::UNEVEN] {
            for choice in [None, Some(uring::Choice::Plain)] {
                let mut bare =
                    BareScene::new(scene, Provider::RingGcm, choice, true).expect("loopback sockets");
                for _ in 0..40 {
                    assert!(bare.pass().expect("taken through").0 > 0);
                }
            }
        }
    }
}
