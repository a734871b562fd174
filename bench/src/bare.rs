//! The bare loop: receive a burst, open each packet once, seal it for each receiver into contiguous memory, and send
//! what goes to one receiver as one segmented message. No table is consulted and nothing is remembered: the price of the
//! cryptography and of the kernel, and the floor under the production turn.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use arrayvec::ArrayVec;
use mesh::wake::{Sleeper, Wake};
use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg};

use crate::cipher::{Cipher, Provider};
use crate::options::{BATCH_MAX, Shape};
use crate::rounds::{Workload, thread_time};
use crate::sinks::Sinks;

/// How the bare loop gets and sends datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Carrier {
    /// No kernel: from memory to memory
    Memory,
    /// recvmmsg and sendmmsg
    Mmsg,
    /// One io_uring, through the crate that the product uses
    IoUring,
}

/// The loop at one shape.
pub struct Bare {
    shape: Shape,
    provider: Provider,
    sender: Cipher,
    receivers: Vec<Receiver>,
    feeder: UdpSocket,
    /// The next batch as it comes from the sender, and what it opens to.
    sealed: Vec<Vec<u8>>,
    plain: Vec<[u8; SLOT]>,
    /// Packets so far: sequence number and nonce.
    number: u64,
    engine: Engine,
    /// They receive as long as they are held.
    _sinks: Sinks,
}

struct Receiver {
    cipher: Cipher,
    address: SocketAddr,
    ssrc: u32,
}

enum Engine {
    Memory(Box<[u8]>),
    Mmsg(Box<Mmsg>),
    IoUring {
        io: Box<uring::Io>,
        /// The ring waits on its descriptor.
        _sleeper: Sleeper,
    },
}

/// Sockets and headers of the calls that take many messages.
struct Mmsg {
    socket: UdpSocket,
    buffers: Vec<[u8; SLOT]>,
    received: MultiHeaders<SockaddrIn>,
    memory: Box<[u8]>,
    /// Of the messages that wait in `memory`.
    peers: ArrayVec<Option<SockaddrIn>, WAVE>,
    sent: MultiHeaders<SockaddrIn>,
}

impl Bare {
    /// A loop with its own sockets.
    pub fn new(shape: Shape, provider: Provider, carrier: Carrier) -> Result<Bare, String> {
        let sinks = Sinks::open(shape.receivers).map_err(|error| format!("sockets on loopback: {error}"))?;
        let receiver = |(number, address): (usize, &SocketAddr)| Receiver {
            cipher: Cipher::new(provider, 1 + number),
            address: *address,
            ssrc: 1_000 + number as u32,
        };
        let receivers = sinks.addresses().iter().enumerate().map(receiver).collect();
        let engine = match carrier {
            Carrier::Memory => Engine::Memory(vec![0; WAVE * SLOT].into_boxed_slice()),
            Carrier::Mmsg => Engine::Mmsg(Box::new(Mmsg::open(shape).map_err(|error| error.to_string())?)),
            Carrier::IoUring => {
                let (io, sleeper) = open_io(uring::Choice::IoUring, true)?;
                Engine::IoUring { io: Box::new(io), _sleeper: sleeper }
            }
        };
        Ok(Bare {
            shape,
            provider,
            sender: Cipher::new(provider, 0),
            receivers,
            feeder: UdpSocket::bind("127.0.0.1:0").map_err(|error| error.to_string())?,
            sealed: vec![vec![0; shape.bytes]; shape.batch],
            plain: vec![[0; SLOT]; shape.batch],
            number: 0,
            engine,
            _sinks: sinks,
        })
    }

    fn address(&self) -> Option<SocketAddr> {
        match &self.engine {
            Engine::Memory(_) => None,
            Engine::Mmsg(mmsg) => mmsg.socket.local_addr().ok(),
            Engine::IoUring { io, .. } => Some(io.local_address(0)),
        }
    }

    /// The next batch leaves the sender. Not measured.
    fn feed(&mut self) -> io::Result<()> {
        let address = self.address();
        let payload = [0xAB; SLOT];
        let len = self.shape.bytes - HEADER - self.provider.tag_bytes();
        for (at, sealed) in self.sealed.iter_mut().enumerate() {
            let number = self.number + at as u64;
            self.sender.seal(number, &header(number, 1), &payload[..len], sealed);
            if let Some(address) = address {
                self.feeder.send_to(sealed, address)?;
            }
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<(), String> {
        let Bare { shape, sender, receivers, sealed, plain, number, engine, .. } = self;
        let first = *number;
        let open = |at: usize, datagram: &[u8], plain: &mut [u8]| {
            sender.open(first + at as u64, datagram, HEADER, plain).ok_or("a packet did not open".to_owned())
        };
        let text = shape.bytes - HEADER - self.provider.tag_bytes();
        match engine {
            Engine::Memory(memory) => {
                for (at, (datagram, plain)) in sealed.iter().zip(plain.iter_mut()).enumerate() {
                    open(at, datagram, plain)?;
                }
                let mut write = 0;
                for receiver in receivers.iter() {
                    for (at, plain) in plain.iter().enumerate() {
                        if write + shape.bytes > memory.len() {
                            write = 0;
                        }
                        write += receiver.seal(first + at as u64, &plain[..text], &mut memory[write..]);
                    }
                }
            }
            Engine::Mmsg(mmsg) => {
                mmsg.receive(plain, open)?;
                mmsg.send_all(*shape, receivers, plain, first, text)?;
            }
            Engine::IoUring { io, .. } => {
                let mut arrived = 0;
                for _ in 0..LOOKS_MAX {
                    io.submit();
                    arrived = io.receive();
                    if arrived >= shape.batch {
                        break;
                    }
                }
                if arrived != shape.batch {
                    return Err(format!("{arrived} of {} packets arrived", shape.batch));
                }
                for (at, plain) in plain.iter_mut().enumerate() {
                    open(at, io.datagram(at).bytes, plain)?;
                }
                io.recycle();
                for receiver in receivers.iter() {
                    for (at, plain) in plain.iter().enumerate() {
                        let seal = |out: &mut [u8]| receiver.seal(first + at as u64, &plain[..text], out);
                        io.send(0, receiver.address, shape.bytes, seal).map_err(|_| "no room to send")?;
                    }
                }
                if io.statistics().send_errors > 0 {
                    return Err("the kernel refused to send".to_owned());
                }
            }
        }
        *number += shape.batch as u64;
        Ok(())
    }
}

impl Workload for Bare {
    fn name(&self) -> String {
        let carrier = match self.engine {
            Engine::Memory(_) => "memory",
            Engine::Mmsg(_) => "mmsg",
            Engine::IoUring { .. } => "io_uring",
        };
        format!("bare, {carrier}, {}", self.provider.label())
    }

    fn pass(&mut self) -> Result<(u64, u64), String> {
        self.feed().map_err(|error| error.to_string())?;
        let began = thread_time();
        self.turn()?;
        Ok((self.shape.sent(), thread_time() - began))
    }
}

impl Receiver {
    fn seal(&self, number: u64, payload: &[u8], out: &mut [u8]) -> usize {
        self.cipher.seal(number, &header(number, self.ssrc), payload, out)
    }
}

impl Mmsg {
    fn open(shape: Shape) -> io::Result<Mmsg> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_nonblocking(true)?;
        let control = (shape.batch > 1).then(|| cmsg_space!(u16));
        Ok(Mmsg {
            socket,
            buffers: vec![[0; SLOT]; shape.batch],
            received: MultiHeaders::preallocate(BATCH_MAX, None),
            memory: vec![0; (WAVE + BATCH_MAX) * SLOT].into_boxed_slice(),
            peers: ArrayVec::new(),
            sent: MultiHeaders::preallocate(WAVE, control),
        })
    }

    fn receive(
        &mut self,
        plain: &mut [[u8; SLOT]],
        open: impl Fn(usize, &[u8], &mut [u8]) -> Result<usize, String>,
    ) -> Result<(), String> {
        let mut lens = ArrayVec::<usize, BATCH_MAX>::new();
        {
            let (socket, flags) = (self.socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
            let mut slices: Vec<[IoSliceMut<'_>; 1]> =
                self.buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
            let received = recvmmsg(socket, &mut self.received, slices.iter_mut(), flags, None);
            let received = received.map_err(|error| format!("recvmmsg: {error}"))?;
            lens.extend(received.map(|message| message.bytes));
        }
        if lens.len() != plain.len() {
            return Err(format!("{} of {} packets arrived", lens.len(), plain.len()));
        }
        for (at, ((buffer, len), plain)) in self.buffers.iter().zip(lens).zip(plain).enumerate() {
            open(at, &buffer[..len], plain)?;
        }
        Ok(())
    }

    /// A message a receiver, in waves of at most [`WAVE`] datagrams, which stay in the second-level cache.
    fn send_all(
        &mut self,
        shape: Shape,
        receivers: &[Receiver],
        plain: &[[u8; SLOT]],
        first: u64,
        text: usize,
    ) -> Result<(), String> {
        let mut write = 0;
        for receiver in receivers {
            for (at, plain) in plain.iter().enumerate() {
                write += receiver.seal(first + at as u64, &plain[..text], &mut self.memory[write..]);
            }
            let SocketAddr::V4(address) = receiver.address else { return Err("sinks are IPv4".to_owned()) };
            self.peers.push(Some(SockaddrIn::from(address)));
            if (self.peers.len() + 1) * shape.batch > WAVE {
                self.flush(shape, write)?;
                write = 0;
            }
        }
        self.flush(shape, write)
    }

    fn flush(&mut self, shape: Shape, end: usize) -> Result<(), String> {
        if self.peers.is_empty() {
            return Ok(());
        }
        let slices: ArrayVec<[IoSlice<'_>; 1], WAVE> = self.memory[..end]
            .chunks(shape.batch * shape.bytes)
            .map(|message| [IoSlice::new(message)])
            .collect();
        let segment = shape.bytes as u16;
        let segmented = [ControlMessage::UdpGsoSegments(&segment)];
        let control = if shape.batch > 1 { &segmented[..] } else { &[] };
        let socket = self.socket.as_raw_fd();
        let sent = sendmmsg(socket, &mut self.sent, &slices, &self.peers, control, MsgFlags::empty());
        let sent = sent.map_err(|error| format!("sendmmsg: {error}"))?.count();
        if sent != self.peers.len() {
            return Err(format!("{sent} of {} messages were sent", self.peers.len()));
        }
        self.peers.clear();
        Ok(())
    }
}

/// A back end of the product on a loopback port, and the wake-up that must live as long.
pub fn open_io(choice: uring::Choice, gso: bool) -> Result<(uring::Io, Sleeper), String> {
    let (sleeper, _waker) = Wake::pair().map_err(|error| error.to_string())?;
    let mut options = uring::Options::new(vec![SocketAddr::from(([127, 0, 0, 1], 0))], sleeper.fd());
    options.backend = choice;
    options.segmentation = gso;
    let mut io = uring::Io::open(options).map_err(|error| error.to_string())?;
    io.start_on_this_thread().map_err(|error| error.to_string())?;
    Ok((io, sleeper))
}

/// RTP without extensions (RFC 3550 §5.1).
pub(crate) fn header(number: u64, ssrc: u32) -> [u8; HEADER] {
    let mut header = [0x80; HEADER];
    header[1] = 100;
    header[2..4].copy_from_slice(&(number as u16).to_be_bytes());
    header[4..8].copy_from_slice(&(number as u32).to_be_bytes());
    header[8..].copy_from_slice(&ssrc.to_be_bytes());
    header
}

const HEADER: usize = 12;
/// Room for a datagram.
const SLOT: usize = 1_536;
/// Datagrams sealed before they are sent.
const WAVE: usize = 64;
/// Looks for a batch that was sent to ourselves.
const LOOKS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loop_takes_batches_through() {
        let shape = Shape { batch: 3, receivers: 30, bytes: 700 };
        for carrier in [Carrier::Memory, Carrier::Mmsg, Carrier::IoUring] {
            for provider in [Provider::AwsLcGcm, Provider::RingGcm, Provider::AwsLcSha1, Provider::None] {
                let mut bare = match Bare::new(shape, provider, carrier) {
                    Err(_) if carrier == Carrier::IoUring => continue,
                    bare => bare.expect("loopback sockets"),
                };
                for _ in 0..20 {
                    let (sent, _) = bare.pass().expect("done");
                    assert_eq!(sent, 90);
                }
            }
        }
    }
}
