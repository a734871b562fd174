//! Receivers that cost as little as a kernel allows: sockets on loopback whose filter drops all but STUN, and which take
//! segmented messages whole, so that no segmentation is done for them.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, SockFilter, Socket, Type};

/// One socket a receiver, each with an address of its own.
#[derive(Debug)]
pub struct Sinks {
    sockets: Vec<UdpSocket>,
    addresses: Vec<SocketAddr>,
}

impl Sinks {
    /// So many.
    pub fn open(count: usize) -> io::Result<Sinks> {
        let mut sinks = Sinks { sockets: Vec::new(), addresses: Vec::new() };
        for number in 0..count {
            let address = SocketAddr::from(([127, 0, 1 + (number / 250) as u8, 1 + (number % 250) as u8], 0));
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
            socket.bind(&address.into())?;
            socket.attach_filter(&STUN_ALONE)?;
            socket.set_nonblocking(true)?;
            setsockopt(&socket, sockopt::UdpGroSegment, &true)?;
            let socket = UdpSocket::from(socket);
            sinks.addresses.push(socket.local_addr()?);
            sinks.sockets.push(socket);
        }
        Ok(sinks)
    }

    /// Where they are.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The socket of a receiver.
    pub fn socket(&self, number: usize) -> &UdpSocket {
        &self.sockets[number]
    }
}

/// Classic BPF over the UDP datagram: the first byte of its payload is below 4 with STUN alone (RFC 7983).
const STUN_ALONE: [SockFilter; 4] = [
    SockFilter::new(LOAD_BYTE, 0, 0, 8),
    SockFilter::new(JUMP_IF_AT_LEAST, 1, 0, 4),
    SockFilter::new(RETURN, 0, 0, u32::MAX),
    SockFilter::new(RETURN, 0, 0, 0),
];
/// BPF_LD | BPF_B | BPF_ABS.
const LOAD_BYTE: u16 = 0x30;
/// BPF_JMP | BPF_JGE | BPF_K.
const JUMP_IF_AT_LEAST: u16 = 0x35;
/// BPF_RET | BPF_K.
const RETURN: u16 = 0x06;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stun_arrives_and_media_does_not() {
        let sinks = Sinks::open(1).expect("loopback sockets");
        let sender = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        for first in [0u8, 1, 3, 4, 20, 128, 200] {
            sender.send_to(&[first; 40], sinks.addresses()[0]).expect("sent");
        }
        let mut buffer = [0; 100];
        let arrived: Vec<u8> =
            std::iter::from_fn(|| sinks.socket(0).recv(&mut buffer).ok().map(|_| buffer[0])).collect();
        assert_eq!(arrived, [0, 1, 3]);
    }
}
