//! The plain back end: `recvmmsg`, `sendmmsg` and `ppoll`, for kernels without io_uring and for comparison.

use crate::options::{Datagram, OpenError, Options, SOCKETS_MAX, SendFull};
use crate::receive::{self, Arrival, BUFFER_BYTES, Batch, Buffers, HEADER_BYTES};
use crate::send::{Operation, Queue};
use crate::socket::{IPV6_BYTES, RawAddress, Sockets, errno, parse_address};
use crate::statistics::Statistics;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::time::Duration;

/// Messages of one `recvmmsg` or `sendmmsg`; more gains nothing.
const CALL_MESSAGES: usize = 64;

/// Where payloads lie in a buffer: as far in as in the ring's for IPv4.
const PAYLOAD_OFFSET: usize = HEADER_BYTES + 16;

/// Sockets, buffers and send memory, moved by system calls of their own.
pub(crate) struct Plain {
    sockets: Sockets,
    buffers: Buffers,
    /// Buffers that hold no arrival.
    free: Vec<u16>,
    batch: Batch,
    queue: Queue,
    calls: Box<Calls>,
    wake: RawFd,
    /// The socket that had no room for a send.
    blocked: Option<u8>,
    statistics: Statistics,
}

/// Argument arrays of the system calls, filled anew for each.
struct Calls {
    headers: [libc::mmsghdr; CALL_MESSAGES],
    vectors: [libc::iovec; CALL_MESSAGES],
    names: [RawAddress; CALL_MESSAGES],
    operations: [Option<Operation>; CALL_MESSAGES],
}

// SAFETY: the raw pointers in `calls` are used within one method call only, each time written before.
unsafe impl Send for Plain {}

impl Plain {
    pub(crate) fn open(options: &Options, sockets: Sockets) -> Result<Plain, OpenError> {
        let buffers = Buffers::new(options.receive_buffers)?;
        let segmentation = options.segmentation && sockets.has_segmentation();
        Ok(Plain {
            free: (0..buffers.count()).rev().collect(),
            batch: Batch::new(buffers.count()),
            buffers,
            queue: Queue::new(options.send_bytes, segmentation)?,
            calls: Calls::new(),
            wake: options.wake,
            blocked: None,
            statistics: Statistics { gso_off: u64::from(!segmentation), ..Statistics::default() },
            sockets,
        })
    }

    pub(crate) fn receive(&mut self) -> usize {
        for socket in 0..self.sockets.len() as u8 {
            // As many calls as fill all buffers, and one for a socket that gave a full call's worth.
            for _ in 0..=usize::from(self.buffers.count()) / CALL_MESSAGES {
                let wanted = self.free.len().min(CALL_MESSAGES);
                if wanted == 0 || self.receive_from(socket, wanted) < wanted {
                    break;
                }
            }
        }
        self.batch.show()
    }

    #[inline]
    pub(crate) fn datagram(&self, index: usize) -> Datagram<'_> {
        // SAFETY: the kernel writes buffers only within `receive_from`.
        unsafe { receive::datagram(&self.buffers, self.batch.get(index)) }
    }

    #[inline]
    pub(crate) fn bytes_mut(&mut self, index: usize) -> &mut [u8] {
        let arrival = *self.batch.get(index);
        let (offset, len) = (usize::from(arrival.offset), usize::from(arrival.len));
        // SAFETY: as in `datagram`.
        unsafe { self.buffers.bytes_mut(arrival.buffer, offset, len) }
    }

    pub(crate) fn shown(&self) -> usize {
        self.batch.shown()
    }

    pub(crate) fn recycle(&mut self) {
        self.batch.recycle(|id| self.free.push(id));
    }

    #[inline]
    pub(crate) fn send(
        &mut self,
        socket: u8,
        peer: SocketAddr,
        max_len: usize,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) -> Result<(), SendFull> {
        if !self.sockets.reaches(socket, &peer) {
            self.statistics.unreachable();
            return Ok(());
        }
        if self.queue.wants_flush(socket, &peer, max_len) {
            self.flush();
        }
        self.statistics.queued(self.queue.push(socket, peer, max_len, write))
    }

    pub(crate) fn submit(&mut self) {
        self.queue.close();
        self.flush();
    }

    pub(crate) fn submit_and_wait(&mut self, timeout: Option<Duration>) {
        self.submit();
        if timeout == Some(Duration::ZERO) {
            return;
        }
        self.wait(timeout);
    }

    #[inline]
    pub(crate) fn room_along(&self, socket: u8, peer: &SocketAddr) -> usize {
        self.queue.room_along(socket, peer)
    }

    pub(crate) fn wake(&mut self, eventfd: RawFd) {
        self.statistics.system_calls += 1;
        write_eventfd(eventfd);
    }

    pub(crate) fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    pub(crate) fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// Receives at most `wanted` datagrams into free buffers and gives how many came.
    fn receive_from(&mut self, socket: u8, wanted: usize) -> usize {
        let room = BUFFER_BYTES - PAYLOAD_OFFSET;
        let first = self.free.len() - wanted;
        for (index, buffer) in self.free[first..].iter().rev().enumerate() {
            let base = self.buffers.address(*buffer).wrapping_add(PAYLOAD_OFFSET);
            self.calls.vectors[index] = libc::iovec { iov_base: base.cast(), iov_len: room };
            let name = self.calls.names[index].as_mut_ptr();
            let vector = &raw mut self.calls.vectors[index];
            let header = &mut self.calls.headers[index].msg_hdr;
            *header = empty_header();
            header.msg_name = name.cast();
            header.msg_namelen = IPV6_BYTES as u32;
            header.msg_iov = vector;
            header.msg_iovlen = 1;
        }
        // JUSTIFICATION: one call for many datagrams; std has one call for one.
        // SAFETY: the first `wanted` headers name free buffers, addresses and vectors that are ours and live on.
        let received = unsafe {
            libc::recvmmsg(
                self.sockets.fd(socket),
                self.calls.headers.as_mut_ptr(),
                wanted as u32,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        self.statistics.system_calls += 1;
        let Ok(received) = usize::try_from(received) else {
            let quiet = matches!(errno(), libc::EAGAIN | libc::EINTR);
            self.statistics.receive_errors += u64::from(!quiet);
            return 0;
        };
        for index in 0..received {
            let Some(buffer) = self.free.pop() else { break };
            let header = &self.calls.headers[index];
            let truncated = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 || header.msg_len as usize > room;
            let len = (header.msg_len as usize).min(room) as u16;
            let name = self.calls.names[index].bytes();
            let Some(peer) = parse_address(&name[..(header.msg_hdr.msg_namelen as usize).min(IPV6_BYTES)])
            else {
                self.statistics.receive_errors += 1;
                self.free.insert(0, buffer);
                continue;
            };
            let offset = PAYLOAD_OFFSET as u16;
            self.batch.push(Arrival { buffer, offset, len, socket, truncated, peer }, &mut self.statistics);
        }
        received
    }

    /// Hands what is ready to the kernel, in order, until a socket has no room.
    fn flush(&mut self) {
        self.queue.stalled = false;
        self.blocked = None;
        while self.blocked.is_none() {
            let (socket, count) = self.gather();
            if count == 0 {
                return;
            }
            self.send_gathered(socket, count);
        }
        self.queue.stalled = true;
        self.statistics.stalled += 1;
    }

    /// Takes operations of one socket into the argument arrays.
    fn gather(&mut self) -> (u8, usize) {
        let (mut socket, mut count) = (0, 0);
        while count < CALL_MESSAGES {
            let Some(operation) = self.queue.take() else { break };
            if count > 0 && operation.socket != socket {
                self.queue.untake(operation);
                break;
            }
            socket = operation.socket;
            // SAFETY: the header is the queue's and valid until completion.
            self.calls.headers[count].msg_hdr = unsafe { *operation.header };
            self.calls.operations[count] = Some(operation);
            count += 1;
        }
        (socket, count)
    }

    fn send_gathered(&mut self, socket: u8, count: usize) {
        let mut done = 0;
        while done < count {
            // JUSTIFICATION: one call for many messages, each of many segments; std has one call for one datagram.
            // SAFETY: headers `done..count` are copies of the queue's, whose bytes and addresses stay until completion.
            let sent = unsafe {
                libc::sendmmsg(
                    self.sockets.fd(socket),
                    self.calls.headers.as_mut_ptr().add(done),
                    (count - done) as u32,
                    libc::MSG_DONTWAIT,
                )
            };
            self.statistics.system_calls += 1;
            if let Ok(sent) = usize::try_from(sent) {
                for index in done..done + sent {
                    self.complete(index, self.calls.headers[index].msg_len as i32);
                }
                done += sent;
                continue;
            }
            match errno() {
                libc::EINTR => {}
                libc::EAGAIN => {
                    self.blocked = Some(socket);
                    for index in (done..count).rev() {
                        if let Some(operation) = self.calls.operations[index].take() {
                            self.queue.untake(operation);
                        }
                    }
                    return;
                }
                errno => {
                    self.complete(done, -errno);
                    done += 1;
                }
            }
        }
    }

    fn complete(&mut self, index: usize, result: i32) {
        if let Some(operation) = self.calls.operations[index].take() {
            self.queue.complete(operation.slot, result, &mut self.statistics);
        }
    }

    /// Waits for a datagram, a wake-up, or room for what is queued.
    fn wait(&mut self, timeout: Option<Duration>) {
        let count = self.sockets.len();
        let mut watched = [libc::pollfd { fd: self.wake, events: libc::POLLIN, revents: 0 }; SOCKETS_MAX + 1];
        for socket in 0..count as u8 {
            let room = if self.blocked == Some(socket) { libc::POLLOUT } else { 0 };
            watched[1 + usize::from(socket)].fd = self.sockets.fd(socket);
            watched[1 + usize::from(socket)].events = libc::POLLIN | room;
        }
        let timespec = timeout.map(|timeout| libc::timespec {
            tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        let timespec = timespec.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the array holds `count + 1` entries and lives through the call, as does the time.
        unsafe { libc::ppoll(watched.as_mut_ptr(), count as libc::nfds_t + 1, timespec, std::ptr::null()) };
        self.statistics.system_calls += 1;
        if watched[0].revents & libc::POLLIN != 0 {
            self.statistics.woken += 1;
            self.statistics.system_calls += 1;
            read_eventfd(self.wake);
        }
    }
}

impl Calls {
    fn new() -> Box<Calls> {
        let vector = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        Box::new(Calls {
            headers: [libc::mmsghdr { msg_hdr: empty_header(), msg_len: 0 }; CALL_MESSAGES],
            vectors: [vector; CALL_MESSAGES],
            names: [RawAddress::EMPTY; CALL_MESSAGES],
            operations: [None; CALL_MESSAGES],
        })
    }
}

fn empty_header() -> libc::msghdr {
    // SAFETY: a msghdr of zeros is valid: null pointers and zero lengths.
    unsafe { std::mem::zeroed() }
}

/// Adds one to an eventfd. A full counter means that a wake-up is pending, so the result says nothing.
pub(crate) fn write_eventfd(eventfd: RawFd) {
    let one = 1u64;
    // SAFETY: eight bytes of ours are read.
    unsafe { libc::write(eventfd, (&raw const one).cast(), size_of::<u64>()) };
}

fn read_eventfd(eventfd: RawFd) {
    let mut count = 0u64;
    // SAFETY: eight bytes of ours are written.
    unsafe { libc::read(eventfd, (&raw mut count).cast(), size_of::<u64>()) };
}
