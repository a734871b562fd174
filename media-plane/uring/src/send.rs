//! Send memory: datagrams written one behind the other, grouped into segmented messages, freed as the kernel is done.
//!
//! Both back ends take messages from here. A message and its bytes belong to the kernel from `take` to `complete`;
//! nothing of them is written meanwhile. Bytes are freed in order, so a late completion holds back what came after it.

use crate::control_message::{SEGMENT_BYTES, SegmentLength};
use crate::options::{OpenError, SendFull};
use crate::region::Region;
use crate::socket::RawAddress;
use crate::statistics::Statistics;
use std::net::SocketAddr;

/// Most segments of one message: what older kernels allow; more gains little.
pub(crate) const SEGMENTS_MAX: u16 = 64;

/// Most payload bytes of one message: 65,535 less IPv4 and UDP headers.
pub(crate) const MESSAGE_BYTES_MAX: usize = 65_507;

/// Datagrams after which what is ready goes to the kernel, so that it reads them from the second-level cache.
pub(crate) const WAVE_DATAGRAMS: u32 = 64;

/// Messages that may be queued or in flight: a stall's worth of single datagrams.
const MESSAGES: u32 = 1_024;

/// First byte of a message is aligned to a cache line. As 64 divides 2,048, no message begins 16–32 bytes past a
/// 2 KiB boundary, where `rep movsb` on Zen is slow (measured: 220 ns a packet). What failed to join stays where it
/// was written, wherever that is: moving it costs more than the odd unlucky place.
const ALIGNMENT: usize = 64;

/// Refusals of segmentation with EINVAL after which it is switched off.
const REFUSALS_MAX: u8 = 8;

/// Where a message is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Being filled, or waiting for `take`.
    Ours,
    /// The kernel has it.
    InFlight,
    /// The kernel refused it, or a part of it went: `take_again` gives the next datagram.
    Again,
    /// Done with; freed when all before it are.
    Done,
}

/// One send operation, with all that the kernel reads for it.
#[repr(C)]
struct Message {
    header: libc::msghdr,
    vector: libc::iovec,
    control: SegmentLength,
    address: RawAddress,
    peer: SocketAddr,
    start: u32,
    len: u32,
    segment: u16,
    count: u16,
    /// With `singly`: datagrams already dealt with.
    position: u16,
    singly: bool,
    socket: u8,
    state: State,
}

/// What a back end hands to the kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    /// Number to complete it by.
    pub(crate) slot: u32,
    pub(crate) socket: u8,
    /// The message; valid until completion.
    pub(crate) header: *const libc::msghdr,
    /// Whether it is one datagram only: `bytes`, `len`, `address`, `address_len` say the same without the header.
    pub(crate) single: bool,
    pub(crate) bytes: *const u8,
    pub(crate) len: u32,
    pub(crate) address: *const libc::sockaddr,
    pub(crate) address_len: u32,
}

/// Queue of messages and the memory behind them.
pub(crate) struct Queue {
    memory: Region,
    capacity: usize,
    messages: Box<[Message]>,
    /// Oldest live message, next to take, and next to open; running numbers.
    head: u32,
    taken: u32,
    tail: u32,
    /// Whether message `tail` is being filled.
    open: bool,
    /// Where the next byte goes.
    write: usize,
    /// Datagrams in closed messages that are not taken yet.
    ready: u32,
    in_flight: u32,
    again: u32,
    /// Longest segment that may be grouped; 0 switches grouping off.
    segment_max: u16,
    refusals: u8,
    /// A grouped message went out.
    proven: bool,
    /// Set by the back end while the kernel takes nothing: no use to offer it each wave.
    pub(crate) stalled: bool,
}

// SAFETY: the raw pointers in `messages` point into the queue's own boxed memory and are only ever used by the kernel.
unsafe impl Send for Queue {}

impl Queue {
    /// A queue over `bytes` of memory, grouping if `segmentation`.
    pub(crate) fn new(bytes: u32, segmentation: bool) -> Result<Queue, OpenError> {
        if (bytes as usize) < MESSAGE_BYTES_MAX || bytes > 1 << 30 {
            return Err(OpenError::Size("send_bytes must be between 65,507 and 1 GiB"));
        }
        let messages = (0..MESSAGES).map(|_| Message::empty()).collect();
        Ok(Queue {
            memory: Region::new(bytes as usize)?,
            capacity: bytes as usize,
            messages,
            head: 0,
            taken: 0,
            tail: 0,
            open: false,
            write: 0,
            ready: 0,
            in_flight: 0,
            again: 0,
            segment_max: if segmentation { u16::MAX } else { 0 },
            refusals: 0,
            proven: false,
            stalled: false,
        })
    }

    /// Writes and queues one datagram. Its bytes come behind those before it if the message may go on.
    #[inline]
    pub(crate) fn push(
        &mut self,
        socket: u8,
        peer: SocketAddr,
        max_len: usize,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) -> Result<(), SendFull> {
        let joining = self.may_join(socket, &peer);
        if !joining {
            self.close();
        }
        let start = self.place(joining, max_len).ok_or(SendFull)?;
        // SAFETY: `place` gives a range outside all live messages, so the kernel has no operation on it.
        let buffer = unsafe { self.memory.bytes_mut(start, max_len) };
        let len = write(buffer).min(max_len);
        if len == 0 {
            return Ok(());
        }
        if !(joining && start == self.write && self.join(len)) {
            self.close();
            self.begin(socket, peer, start, len);
        }
        self.write = start + len;
        Ok(())
    }

    /// Bytes that a datagram may have to join the open message; 0 if there is none to this peer.
    #[inline]
    pub(crate) fn room_along(&self, socket: u8, peer: &SocketAddr) -> usize {
        if self.may_join(socket, peer) { usize::from(self.message(self.tail).segment) } else { 0 }
    }

    /// Whether what is ready should go to the kernel before a datagram of `max_len` bytes to `peer` is pushed: there is
    /// a wave of it, or no room.
    #[inline]
    pub(crate) fn wants_flush(&mut self, socket: u8, peer: &SocketAddr, max_len: usize) -> bool {
        let joining = self.may_join(socket, peer);
        if !joining {
            self.close();
        }
        if self.place(joining, max_len).is_none() {
            self.close();
            return true;
        }
        self.ready >= WAVE_DATAGRAMS && !self.stalled
    }

    /// Ends the open message: it may be taken.
    #[inline]
    pub(crate) fn close(&mut self) {
        if self.open {
            self.open = false;
            self.ready += u32::from(self.message(self.tail).count);
            self.tail = self.tail.wrapping_add(1);
        }
    }

    /// The next operation for the kernel: first what must go again, then closed messages in order.
    pub(crate) fn take(&mut self) -> Option<Operation> {
        if self.again > 0 {
            return self.take_again();
        }
        if self.taken == self.tail {
            return None;
        }
        let number = self.taken;
        self.taken = self.taken.wrapping_add(1);
        self.ready -= u32::from(self.message(number).count);
        Some(self.hand_over(number))
    }

    /// Gives back an operation that was taken and not handed to the kernel. Only the last one taken.
    pub(crate) fn untake(&mut self, operation: Operation) {
        self.in_flight -= 1;
        let message = &mut self.messages[operation.slot as usize];
        if message.singly {
            message.state = State::Again;
            self.again += 1;
            return;
        }
        message.state = State::Ours;
        self.ready += u32::from(message.count);
        self.taken = self.taken.wrapping_sub(1);
    }

    /// Whether `take` has something.
    pub(crate) fn has_ready(&self) -> bool {
        self.again > 0 || self.taken != self.tail
    }

    /// Whether some of what is ready may come back at once to go again: datagrams of a refused message do, and the
    /// first grouped message may.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.again > 0 || (!self.proven && self.segment_max > 0 && self.has_ready())
    }

    /// Operations the kernel has.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Ends an operation with the kernel's result: bytes sent, or a negative errno.
    pub(crate) fn complete(&mut self, slot: u32, result: i32, statistics: &mut Statistics) {
        let Some(message) = self.messages.get_mut(slot as usize) else { return };
        if message.state != State::InFlight {
            debug_assert!(false, "completed an operation that is not in flight");
            return;
        }
        self.in_flight -= 1;
        let datagrams = if message.singly { 1 } else { u64::from(message.count) };
        let refused = !message.singly
            && message.count > 1
            && matches!(-result, libc::EIO | libc::EINVAL | libc::EMSGSIZE | libc::EOPNOTSUPP);
        if refused {
            // Segmentation was refused, or something else is wrong with it: single datagrams will tell.
            message.singly = true;
            message.position = 0;
            message.state = State::Again;
            self.again += 1;
            statistics.gso_refused += 1;
            if result == -libc::EIO {
                self.segment_max = 0;
                statistics.gso_off = 1;
            }
            return;
        }
        if let Ok(bytes) = u64::try_from(result) {
            statistics.sends += 1;
            statistics.segments += datagrams;
            statistics.bytes_sent += bytes;
            self.proven |= datagrams > 1;
        } else {
            statistics.send_errors += 1;
            statistics.segments_lost += datagrams;
        }
        if !message.singly {
            message.state = State::Done;
            return self.release();
        }
        let blame = message.position == 0 && result >= 0;
        let segment = message.segment;
        message.position += 1;
        message.state = State::Done;
        if message.position < message.count {
            message.state = State::Again;
            self.again += 1;
        }
        if blame {
            self.blame_segmentation(segment, statistics);
        }
        self.release();
    }

    /// A datagram went singly that segmentation refused, so it was segmentation: do it no more for this length, and
    /// after some refusals not at all.
    fn blame_segmentation(&mut self, segment: u16, statistics: &mut Statistics) {
        self.refusals = self.refusals.saturating_add(1);
        self.segment_max = self.segment_max.min(segment.saturating_sub(1));
        if self.refusals >= REFUSALS_MAX {
            self.segment_max = 0;
        }
        if self.segment_max == 0 {
            statistics.gso_off = 1;
        }
    }

    fn take_again(&mut self) -> Option<Operation> {
        let mut number = self.head;
        while number != self.taken {
            if self.message(number).state == State::Again {
                self.again -= 1;
                return Some(self.hand_over(number));
            }
            number = number.wrapping_add(1);
        }
        debug_assert!(false, "again counts messages that are not there");
        self.again = 0;
        None
    }

    /// Makes message `number` the kernel's, all of it or, singly, its next datagram.
    fn hand_over(&mut self, number: u32) -> Operation {
        self.in_flight += 1;
        let slot = number % MESSAGES;
        let message = &mut self.messages[slot as usize];
        message.state = State::InFlight;
        let (mut offset, mut len) = (message.start as usize, message.len);
        let single = message.singly || message.count == 1;
        if message.singly {
            let done = u32::from(message.position) * u32::from(message.segment);
            offset += done as usize;
            len = (message.len - done).min(u32::from(message.segment));
        }
        let bytes = self.memory.address(offset);
        message.vector = libc::iovec { iov_base: bytes.cast(), iov_len: len as usize };
        message.header.msg_name = message.address.as_mut_ptr().cast();
        message.header.msg_namelen = message.address.len;
        message.header.msg_iov = &raw mut message.vector;
        message.header.msg_iovlen = 1;
        message.header.msg_control =
            if single { std::ptr::null_mut() } else { (&raw mut message.control).cast() };
        message.header.msg_controllen = if single { 0 } else { SEGMENT_BYTES };
        Operation {
            slot,
            socket: message.socket,
            header: &raw const message.header,
            single,
            bytes,
            len,
            address: message.address.as_ptr().cast(),
            address_len: message.address.len,
        }
    }

    #[inline]
    fn may_join(&self, socket: u8, peer: &SocketAddr) -> bool {
        if !self.open {
            return false;
        }
        let message = self.message(self.tail);
        let room = message.len as usize + usize::from(message.segment) <= MESSAGE_BYTES_MAX;
        room && message.socket == socket && message.peer == *peer && message.segment <= self.segment_max
    }

    /// Appends `len` bytes, already in place, to the open message, if its rules allow.
    #[inline]
    fn join(&mut self, len: usize) -> bool {
        let message = &mut self.messages[(self.tail % MESSAGES) as usize];
        let segment = usize::from(message.segment);
        if len > segment {
            return false;
        }
        message.len += len as u32;
        message.count += 1;
        if len < segment || message.count == SEGMENTS_MAX {
            self.close();
        }
        true
    }

    #[inline]
    fn begin(&mut self, socket: u8, peer: SocketAddr, start: usize, len: usize) {
        let message = &mut self.messages[(self.tail % MESSAGES) as usize];
        message.address = RawAddress::from(peer);
        message.peer = peer;
        message.control = SegmentLength::new(len as u16);
        message.start = start as u32;
        message.len = len as u32;
        message.segment = len as u16;
        message.count = 1;
        message.position = 0;
        message.singly = false;
        message.socket = socket;
        message.state = State::Ours;
        self.open = true;
    }

    /// Where `max_len` bytes may be written: right behind the open message if `joining`, else aligned; `None` if there
    /// is no room, in memory or for one message more.
    #[inline]
    fn place(&self, joining: bool, max_len: usize) -> Option<usize> {
        if max_len > MESSAGE_BYTES_MAX {
            return None;
        }
        let live = self.tail.wrapping_sub(self.head) + u32::from(self.open);
        if live >= MESSAGES {
            return None;
        }
        let start = if joining { self.write } else { self.write.next_multiple_of(ALIGNMENT) };
        if live == 0 {
            return (start + max_len <= self.capacity).then_some(start);
        }
        let oldest = self.message(self.head).start as usize;
        // Full and empty are told apart by never letting the write offset reach the oldest message from behind.
        if self.write <= oldest {
            return (start + max_len < oldest).then_some(start);
        }
        if start + max_len <= self.capacity {
            return Some(start);
        }
        (max_len < oldest).then_some(0)
    }

    /// Frees the done messages at the front; an empty queue begins at its warm start again.
    fn release(&mut self) {
        while self.head != self.taken && self.message(self.head).state == State::Done {
            self.head = self.head.wrapping_add(1);
        }
        if self.head == self.tail && !self.open {
            (self.head, self.taken, self.tail, self.write) = (0, 0, 0, 0);
        }
    }

    #[inline]
    fn message(&self, number: u32) -> &Message {
        &self.messages[(number % MESSAGES) as usize]
    }
}

impl Message {
    fn empty() -> Message {
        Message {
            // SAFETY: a msghdr of zeros is valid: null pointers and zero lengths.
            header: unsafe { std::mem::zeroed() },
            vector: libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 },
            control: SegmentLength::new(0),
            address: RawAddress::EMPTY,
            peer: SocketAddr::from(([0, 0, 0, 0], 0)),
            start: 0,
            len: 0,
            segment: 0,
            count: 0,
            position: 0,
            singly: false,
            socket: 0,
            state: State::Done,
        }
    }
}

#[cfg(test)]
mod tests;
