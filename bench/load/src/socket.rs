//! The UDP socket of one endpoint: connected, so that it has a 5-tuple of its own as in reality, with runs of equal
//! datagrams in one system call both ways (UDP GSO and GRO) and the kernel's arrival times.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::sockopt;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg, setsockopt};

/// How sockets are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    /// Receive coalesced runs (`UDP_GRO`).
    pub gro: bool,
    /// Send runs of equal length in one call (`UDP_SEGMENT`).
    pub gso: bool,
    /// Bytes of the receive buffer.
    pub receive_buffer: usize,
}

impl Default for SocketOptions {
    fn default() -> Self {
        SocketOptions { gro: true, gso: true, receive_buffer: RECEIVE_BUFFER_BYTES }
    }
}

/// One endpoint's socket.
#[derive(Debug)]
pub struct Socket {
    socket: UdpSocket,
    local: SocketAddr,
    gso: bool,
}

/// What one system call brought: datagrams of `segment` bytes one after another, the last may be shorter.
#[derive(Clone, Copy, Debug)]
pub struct Arrived {
    /// Bytes in all.
    pub len: usize,
    /// Length of each datagram but the last.
    pub segment: usize,
    /// When the kernel took them, microseconds of the system's time of day.
    pub wall_us: Option<i64>,
    /// Datagrams that this socket had no room for, since it was opened.
    pub dropped: Option<u32>,
}

impl Socket {
    /// Opens a socket connected to `peer`.
    ///
    /// # Errors
    /// As the system says.
    pub fn open(peer: SocketAddr, options: SocketOptions) -> io::Result<Socket> {
        let any: SocketAddr = if peer.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
        let socket = UdpSocket::bind(any)?;
        socket.connect(peer)?;
        socket.set_nonblocking(true)?;
        // Beyond the system's limit where we may, up to it where not.
        if setsockopt(&socket, sockopt::RcvBufForce, &options.receive_buffer).is_err() {
            let _ = setsockopt(&socket, sockopt::RcvBuf, &options.receive_buffer);
        }
        let _ = setsockopt(&socket, sockopt::ReceiveTimestampns, &true);
        let _ = setsockopt(&socket, sockopt::RxqOvfl, &1);
        if options.gro {
            setsockopt(&socket, sockopt::UdpGroSegment, &true)?;
        }
        let local = socket.local_addr()?;
        Ok(Socket { socket, local, gso: options.gso })
    }

    /// Where it is bound.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Its descriptor, for epoll.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Sends one datagram; false if the socket refused.
    pub fn send(&self, datagram: &[u8]) -> bool {
        self.socket.send(datagram).is_ok()
    }

    /// Sends datagrams of `segment` bytes, the last may be shorter. Calls made and datagrams refused.
    pub fn send_run(&self, run: &[u8], segment: usize) -> (u64, u64) {
        if segment == 0 || run.is_empty() {
            return (0, 0);
        }
        if !self.gso || run.len() <= segment {
            let refused = run.chunks(segment).filter(|datagram| !self.send(datagram)).count();
            return (run.len().div_ceil(segment) as u64, refused as u64);
        }
        let size = segment as u16;
        let (mut calls, mut refused) = (0, 0);
        for part in run.chunks(segment * SEGMENTS_MAX) {
            calls += 1;
            let message = [ControlMessage::UdpGsoSegments(&size)];
            let sent = sendmsg::<()>(
                self.socket.as_raw_fd(),
                &[IoSlice::new(part)],
                &message,
                MsgFlags::MSG_DONTWAIT,
                None,
            );
            if sent.is_err() {
                refused += part.len().div_ceil(segment) as u64;
            }
        }
        (calls, refused)
    }

    /// Receives what one call brings; `None` when there is nothing.
    pub fn receive(&self, buffer: &mut [u8], control: &mut Vec<u8>) -> Option<Arrived> {
        loop {
            let mut slices = [IoSliceMut::new(buffer)];
            let fd = self.socket.as_raw_fd();
            let message = match recvmsg::<()>(fd, &mut slices, Some(&mut *control), MsgFlags::MSG_DONTWAIT) {
                Ok(message) => message,
                // An ICMP answer to something that we sent; there may be datagrams behind it.
                Err(Errno::ECONNREFUSED | Errno::EINTR) => continue,
                Err(_) => return None,
            };
            let len = message.bytes;
            let mut arrived = Arrived { len, segment: len.max(1), wall_us: None, dropped: None };
            for message in message.cmsgs().into_iter().flatten() {
                match message {
                    ControlMessageOwned::UdpGroSegments(size) if size > 0 => arrived.segment = size as usize,
                    ControlMessageOwned::ScmTimestampns(at) => {
                        arrived.wall_us = Some(at.tv_sec() * 1_000_000 + at.tv_nsec() / 1_000);
                    }
                    ControlMessageOwned::RxqOvfl(dropped) => arrived.dropped = Some(dropped),
                    _ => {}
                }
            }
            return Some(arrived);
        }
    }

    /// Room for the control messages of [`Socket::receive`].
    pub fn control_space() -> Vec<u8> {
        nix::cmsg_space!(i32, nix::sys::time::TimeSpec, u32)
    }
}

/// Datagrams of one call: what every kernel with GSO takes.
const SEGMENTS_MAX: usize = 50;
/// A burst of key frames to one endpoint, and the time until its thread looks.
const RECEIVE_BUFFER_BYTES: usize = 2 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_arrives_as_its_datagrams_with_the_time() {
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        for (gso, gro) in [(true, true), (true, false), (false, true)] {
            let options = SocketOptions { gro, gso, receive_buffer: 1 << 18 };
            let socket = Socket::open(other.local_addr().unwrap(), options).unwrap();
            let run: Vec<u8> = (0..250u8).collect();
            let (calls, refused) = socket.send_run(&run, 100);
            assert_eq!((calls, refused), (if gso { 1 } else { 3 }, 0));
            let mut buffer = [0; 2_000];
            let lengths: Vec<usize> = (0..3).map(|_| other.recv(&mut buffer).unwrap()).collect();
            assert_eq!(lengths, [100, 100, 50]);
            other.send_to(&run[..80], socket.local()).unwrap();
            let arrived =
                socket.receive(&mut buffer, &mut Socket::control_space()).expect("on loopback at once");
            assert_eq!((arrived.len, arrived.segment, &buffer[..3]), (80, 80, &[0, 1, 2][..]));
            assert!(arrived.wall_us.is_some_and(|us| us > 1_600_000_000_000_000));
            assert!(socket.receive(&mut buffer, &mut Socket::control_space()).is_none());
        }
    }
}
