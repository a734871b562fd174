//! The generator against itself: the unit under load is replaced by a bare echo that sends each datagram to the others of
//! its room as it came. What is lost or late then is the generator's own.

use std::collections::HashMap;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrayvec::ArrayVec;
use contract::session::{Codec, ExtensionIds, Media, PayloadType, PayloadTypes, SrtpKeys, SrtpProfile};
use core_affinity::CoreId;
use nix::sys::socket::sockopt;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg, setsockopt,
};

use crate::peer::{Event, Link, Peer, PeerError, Remote, RemoteSource, Seat, SendStreams, Stay};

/// First byte of the datagram by which an endpoint tells the echo who it is: nobody's protocol.
pub const HELLO: u8 = 0xFF;

/// The echo, and the adapter for it.
pub struct Echo {
    address: SocketAddr,
    keys: SrtpKeys,
    /// What those seats of each room send that send anything, by the place of its first.
    rooms: Mutex<HashMap<u32, Vec<(u32, SendStreams)>>>,
    stop: Arc<AtomicBool>,
}

impl Echo {
    /// Starts it on a thread of its own.
    ///
    /// # Errors
    /// If there is no socket or thread to be had.
    pub fn start(core: Option<CoreId>, coalesce: bool) -> std::io::Result<Echo> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        for size in [64 << 20, 4 << 20] {
            if setsockopt(&socket, sockopt::RcvBufForce, &size).is_ok() {
                break;
            }
        }
        if coalesce {
            setsockopt(&socket, sockopt::UdpGroSegment, &true)?;
        }
        let address = socket.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        std::thread::Builder::new().name("echo".into()).spawn(move || {
            if let Some(core) = core {
                core_affinity::set_for_current(core);
            }
            echo(&socket, &stopped);
        })?;
        // The same both ways, so that whatever one seals another opens.
        let mut key = [0; 28];
        let _ = getrandom::fill(&mut key);
        let key: ArrayVec<u8, 46> = key.into_iter().collect();
        let keys = SrtpKeys { profile: SrtpProfile::AeadAes128Gcm, inbound: key.clone(), outbound: key };
        Ok(Echo { address, keys, rooms: Mutex::default(), stop })
    }

    fn others(&self, room: u32, place: u32) -> Vec<RemoteSource> {
        let Ok(rooms) = self.rooms.lock() else { return Vec::new() };
        let others = rooms.get(&room).into_iter().flatten().filter(|(other, _)| *other != place);
        others
            .flat_map(|(other, streams)| {
                let owner = Some(other.to_string());
                let audio = streams.audio.map(|ssrc| (ssrc, None, Media::Audio));
                let video = streams.video.iter().map(|(ssrc, rtx)| (*ssrc, Some(*rtx), Media::Video));
                let all: Vec<_> = audio.into_iter().chain(video).collect();
                all.into_iter().map(move |(ssrc, rtx, media)| RemoteSource {
                    ssrc,
                    rtx,
                    media,
                    owner: owner.clone(),
                })
            })
            .collect()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Peer for Echo {
    fn stay(self: Arc<Self>, mut seat: Seat) -> Stay {
        Box::pin(async move {
            seat.identify(&seat.place.to_string());
            let sends = seat.streams.audio.is_some() || !seat.streams.video.is_empty();
            if sends && let Ok(mut rooms) = self.rooms.lock() {
                rooms.entry(seat.room_begins).or_default().push((seat.place, seat.streams.clone()));
            }
            seat.connect(Remote {
                address: self.address,
                link: Link::Bare(Box::new(self.keys.clone())),
                payload_types: payload_types(),
                extensions: ExtensionIds {
                    audio_level: Some(1),
                    transport_cc: Some(5),
                    dependency_descriptor: Some(11),
                    ..ExtensionIds::default()
                },
            })?;
            let mut known = 0;
            let mut look = tokio::time::interval(Duration::from_millis(50));
            loop {
                tokio::select! {
                    event = seat.event() => match event {
                        Event::Leave => return Ok(()),
                        Event::Failed(reason) => return Err(PeerError(reason)),
                        _ => {}
                    },
                    _ = look.tick() => {
                        let others = self.others(seat.room_begins, seat.place);
                        if others.len() > known {
                            known = others.len();
                            seat.sources(others);
                        }
                    }
                }
            }
        })
    }
}

fn payload_types() -> PayloadTypes {
    let of =
        |number, codec, clock_rate, rtx| PayloadType { number, codec, clock_rate, rtx, transport_cc: true };
    [
        of(111, Codec::Opus, 48_000, None),
        of(100, Codec::Vp8, 90_000, Some(96)),
        of(101, Codec::Vp9, 90_000, Some(97)),
        of(107, Codec::H264, 90_000, Some(99)),
        of(41, Codec::Av1, 90_000, Some(42)),
    ]
    .into_iter()
    .collect()
}

/// Sends what comes to the others of its room, run by run.
fn echo(socket: &UdpSocket, stop: &AtomicBool) {
    let mut rooms: HashMap<u32, Vec<SockaddrIn>> = HashMap::new();
    let mut members: HashMap<SocketAddrV4, u32> = HashMap::new();
    let mut buffer = vec![0; 64 * 1_024];
    let mut control = nix::cmsg_space!(i32);
    let fd = socket.as_raw_fd();
    while !stop.load(Ordering::Relaxed) {
        let (len, from, segment) = {
            let mut slices = [std::io::IoSliceMut::new(&mut buffer)];
            let Ok(message) = recvmsg::<SockaddrIn>(fd, &mut slices, Some(&mut control), MsgFlags::empty())
            else {
                continue;
            };
            let segment = message.cmsgs().into_iter().flatten().find_map(|message| match message {
                ControlMessageOwned::UdpGroSegments(size) => u16::try_from(size).ok(),
                _ => None,
            });
            (message.bytes, message.address, segment)
        };
        let Some(from) = from else { continue };
        let key = SocketAddrV4::new(from.ip(), from.port());
        let run = &buffer[..len];
        match run {
            [HELLO, room @ ..] => {
                let Some(room) = room.first_chunk().copied().map(u32::from_be_bytes) else { continue };
                if members.insert(key, room).is_none() {
                    rooms.entry(room).or_default().push(from);
                }
            }
            // RTP alone; reports speak to one.
            [128..=191, second, ..] if !(192..=223).contains(second) => {
                let Some(room) = members.get(&key).and_then(|room| rooms.get(room)) else { continue };
                let segments = segment.filter(|size| usize::from(*size) < len);
                let message = segments.as_ref().map(ControlMessage::UdpGsoSegments);
                for other in room.iter().filter(|other| **other != from) {
                    let slices = [std::io::IoSlice::new(run)];
                    let _ = sendmsg(fd, &slices, message.as_slice(), MsgFlags::empty(), Some(other));
                }
            }
            _ => {}
        }
    }
}
