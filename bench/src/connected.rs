//! What connected sockets gain in sending, and what they cost in receiving: each receiver may have a socket of its own,
//! bound to the one public port and connected to him; a datagram from anyone else walks past all of these first.

use std::io::IoSlice;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn, sendmsg};
use socket2::{Domain, SockFilter, Socket, Type};

use crate::rounds::{Workload, thread_time};
use crate::sinks::Sinks;

/// Sends `batch` datagrams to each receiver as one message, the first `connected` of them by sockets of their own.
pub struct ConnectedSend {
    batch: usize,
    bytes: usize,
    connected: usize,
    sockets: Vec<UdpSocket>,
    shared: UdpSocket,
    peers: Vec<SockaddrIn>,
    memory: Vec<u8>,
    /// They receive as long as they are held.
    _sinks: Sinks,
}

impl ConnectedSend {
    /// To `receivers` receivers.
    pub fn new(batch: usize, receivers: usize, bytes: usize, connected: usize) -> Result<Self, String> {
        let sinks = Sinks::open(receivers).map_err(|error| error.to_string())?;
        let shared = on_port(0, None).map_err(|error| error.to_string())?;
        let port = shared.local_addr().map_err(|error| error.to_string())?.port();
        let own = sinks.addresses().iter().take(connected).map(|peer| on_port(port, Some(*peer)));
        let sockets = own.collect::<std::io::Result<Vec<_>>>().map_err(|error| error.to_string())?;
        let v4 = |address: &SocketAddr| match address {
            SocketAddr::V4(address) => Some(SockaddrIn::from(*address)),
            SocketAddr::V6(_) => None,
        };
        let peers = sinks.addresses().iter().filter_map(v4).collect();
        let memory = vec![0x80; batch * bytes];
        Ok(ConnectedSend { batch, bytes, connected, sockets, shared, peers, memory, _sinks: sinks })
    }
}

impl Workload for ConnectedSend {
    fn name(&self) -> String {
        format!("send, {} of {} connected", self.connected, self.peers.len())
    }

    fn pass(&mut self) -> Result<(u64, u64), String> {
        let segment = self.bytes as u16;
        let segmented = [ControlMessage::UdpGsoSegments(&segment)];
        let control = if self.batch > 1 { &segmented[..] } else { &[] };
        let slices = [IoSlice::new(&self.memory)];
        let began = thread_time();
        for (number, peer) in self.peers.iter().enumerate() {
            let own = self.sockets.get(number);
            let socket = own.unwrap_or(&self.shared).as_raw_fd();
            let peer = own.is_none().then_some(peer);
            sendmsg(socket, &slices, control, MsgFlags::empty(), peer).map_err(|error| error.to_string())?;
        }
        Ok(((self.batch * self.peers.len()) as u64, thread_time() - began))
    }
}

/// Receives datagrams from an address that nobody is connected to, beside `connected` connected sockets.
pub struct Stray {
    connected: usize,
    to: SocketAddr,
    feeder: UdpSocket,
    _sockets: Vec<UdpSocket>,
}

impl Stray {
    /// With so many connected sockets on the port.
    pub fn new(connected: usize) -> Result<Stray, String> {
        let shared = on_port(0, None).map_err(|error| error.to_string())?;
        let to = shared.local_addr().map_err(|error| error.to_string())?;
        let peer = |number: usize| {
            SocketAddr::from(([127, 1, (number >> 8) as u8, number as u8], 9_000 + (number >> 16) as u16))
        };
        let mut sockets = vec![shared];
        for number in 0..connected {
            let socket = on_port(to.port(), Some(peer(number))).map_err(|error| error.to_string())?;
            sockets.push(socket);
        }
        let feeder = UdpSocket::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        Ok(Stray { connected, to, feeder, _sockets: sockets })
    }
}

impl Workload for Stray {
    fn name(&self) -> String {
        format!("stray datagram, {} connected", self.connected)
    }

    fn pass(&mut self) -> Result<(u64, u64), String> {
        let began = thread_time();
        for _ in 0..DATAGRAMS {
            self.feeder.send_to(&[0; 100], self.to).map_err(|error| error.to_string())?;
        }
        Ok((DATAGRAMS, thread_time() - began))
    }
}

/// A socket that drops what arrives; with port 0 the first on its port.
fn on_port(port: u16, peer: Option<SocketAddr>) -> std::io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    // BPF_RET | BPF_K with nothing to keep.
    socket.attach_filter(&[SockFilter::new(0x06, 0, 0, 0)])?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], port)).into())?;
    if let Some(peer) = peer {
        socket.connect(&peer.into())?;
    }
    Ok(UdpSocket::from(socket))
}

/// Datagrams of one pass.
const DATAGRAMS: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_leave_by_either_kind_of_socket() {
        for connected in [0, 3, 5] {
            let mut send = ConnectedSend::new(2, 5, 300, connected).expect("loopback sockets");
            assert_eq!(send.pass().expect("sent").0, 10);
            assert_eq!(Stray::new(connected).expect("loopback sockets").pass().expect("sent").0, DATAGRAMS);
        }
    }
}
