//! Received datagrams: where their buffers lie, how the kernel describes them, and the batch of a turn.

use crate::options::{Datagram, OpenError};
use crate::region::Region;
use crate::socket::{IPV4_BYTES, IPV6_BYTES, parse_address};
use crate::statistics::Statistics;
use io_uring::types::BufRingEntry;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};

/// Bytes of one receive buffer, the kernel's own header included. A datagram of 1,500 B fits with room to spare.
pub(crate) const BUFFER_BYTES: usize = 2_048;

/// Bytes of the header that multishot `RECVMSG` writes first (`struct io_uring_recvmsg_out`): lengths of name,
/// control and payload, and flags.
pub(crate) const HEADER_BYTES: usize = 16;

/// How far before a 2 KiB boundary buffers begin, so that payloads lie at +16 (IPv4) or +28 (IPv6) past one. The copy
/// out of the kernel is slow at +48 and more (measured: 205 ns a packet), where a buffer on the boundary would put
/// IPv6 payloads close to.
const LEAD: usize = 16;

/// Most buffers of one ring: the kernel's limit.
const BUFFERS_MAX: u16 = 1 << 15;

/// Memory of the receive buffers; buffer `i` is `BUFFER_BYTES` long.
pub(crate) struct Buffers {
    memory: Region,
    count: u16,
}

impl Buffers {
    /// At least `wanted` buffers, a power of two.
    pub(crate) fn new(wanted: u16) -> Result<Buffers, OpenError> {
        if wanted == 0 || wanted > BUFFERS_MAX {
            return Err(OpenError::Size("receive_buffers must be between 1 and 32,768"));
        }
        let count = wanted.next_power_of_two();
        let memory = Region::new((usize::from(count) + 1) * BUFFER_BYTES)?;
        Ok(Buffers { memory, count })
    }

    pub(crate) fn count(&self) -> u16 {
        self.count
    }

    /// Address of buffer `id`, for the kernel.
    pub(crate) fn address(&self, id: u16) -> *mut u8 {
        self.memory.address(Buffers::start(id))
    }

    /// Bytes of buffer `id` from `offset` on.
    ///
    /// # Safety
    /// The buffer is not the kernel's to write: it was received into and not returned.
    #[inline]
    pub(crate) unsafe fn bytes(&self, id: u16, offset: usize, len: usize) -> &[u8] {
        assert!(id < self.count && offset + len <= BUFFER_BYTES);
        // SAFETY: the caller's promise.
        unsafe { self.memory.bytes(Buffers::start(id) + offset, len) }
    }

    /// The same, to write.
    ///
    /// # Safety
    /// As for [`Buffers::bytes`].
    #[inline]
    pub(crate) unsafe fn bytes_mut(&mut self, id: u16, offset: usize, len: usize) -> &mut [u8] {
        assert!(id < self.count && offset + len <= BUFFER_BYTES);
        // SAFETY: the caller's promise.
        unsafe { self.memory.bytes_mut(Buffers::start(id) + offset, len) }
    }

    fn start(id: u16) -> usize {
        (usize::from(id) + 1) * BUFFER_BYTES - LEAD
    }
}

/// One datagram of the batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) buffer: u16,
    pub(crate) offset: u16,
    pub(crate) len: u16,
    pub(crate) socket: u8,
    pub(crate) truncated: bool,
    pub(crate) peer: SocketAddr,
}

/// What arrived and was not recycled, in order of arrival.
pub(crate) struct Batch {
    arrivals: Vec<Arrival>,
    /// How many of them the worker was told of.
    shown: usize,
}

impl Batch {
    /// A batch with room for every buffer.
    pub(crate) fn new(buffers: u16) -> Batch {
        Batch { arrivals: Vec::with_capacity(usize::from(buffers)), shown: 0 }
    }

    /// Adds an arrival. There is room, as each holds a buffer.
    #[inline]
    pub(crate) fn push(&mut self, arrival: Arrival, statistics: &mut Statistics) {
        statistics.datagrams_received += 1;
        statistics.bytes_received += u64::from(arrival.len);
        statistics.truncated += u64::from(arrival.truncated);
        if self.arrivals.len() < self.arrivals.capacity() {
            self.arrivals.push(arrival);
        } else {
            debug_assert!(false, "more arrivals than buffers");
        }
    }

    /// Shows the worker all there is.
    pub(crate) fn show(&mut self) -> usize {
        self.shown = self.arrivals.len();
        self.shown
    }

    /// Whether something arrived that the worker was not told of.
    pub(crate) fn has_unseen(&self) -> bool {
        self.arrivals.len() > self.shown
    }

    pub(crate) fn shown(&self) -> usize {
        self.shown
    }

    pub(crate) fn len(&self) -> usize {
        self.arrivals.len()
    }

    #[inline]
    pub(crate) fn get(&self, index: usize) -> &Arrival {
        &self.arrivals[index]
    }

    /// Ends what the worker has seen, giving each one's buffer to `returned`.
    pub(crate) fn recycle(&mut self, mut returned: impl FnMut(u16)) {
        for arrival in &self.arrivals[..self.shown] {
            returned(arrival.buffer);
        }
        self.arrivals.copy_within(self.shown.., 0);
        self.arrivals.truncate(self.arrivals.len() - self.shown);
        self.shown = 0;
    }
}

/// The datagram of an arrival.
///
/// # Safety
/// The arrival is in a batch, so its buffer is not the kernel's.
#[inline]
pub(crate) unsafe fn datagram<'a>(buffers: &'a Buffers, arrival: &Arrival) -> Datagram<'a> {
    // SAFETY: the caller's promise.
    let bytes =
        unsafe { buffers.bytes(arrival.buffer, usize::from(arrival.offset), usize::from(arrival.len)) };
    Datagram { bytes, peer: arrival.peer, socket: arrival.socket, truncated: arrival.truncated }
}

/// Space for the peer's address in a buffer of multishot `RECVMSG`.
pub(crate) fn name_space(local: SocketAddr) -> usize {
    if local.is_ipv4() { IPV4_BYTES } else { IPV6_BYTES }
}

/// What the kernel's header says, checked against the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parsed {
    pub(crate) offset: u16,
    pub(crate) len: u16,
    pub(crate) truncated: bool,
    pub(crate) peer: SocketAddr,
}

/// Reads a buffer that multishot `RECVMSG` filled: header, `name_space` bytes of address, payload. `None` if there is
/// no telling what it holds; lengths that do not add up mark the datagram truncated.
#[inline]
pub(crate) fn parse(filled: &[u8], name_space: usize) -> Option<Parsed> {
    let number = |at: usize| Some(u32::from_ne_bytes(*filled.get(at..)?.first_chunk()?) as usize);
    let (name, control, payload, flags) = (number(0)?, number(4)?, number(8)?, number(12)?);
    let offset = HEADER_BYTES + name_space;
    let peer = parse_address(filled.get(HEADER_BYTES..offset)?.get(..name.min(name_space))?)?;
    let available = filled.len() - offset;
    let truncated = flags & libc::MSG_TRUNC as usize != 0 || payload > available || control != 0;
    let len = payload.min(available);
    Some(Parsed { offset: offset as u16, len: u16::try_from(len).ok()?, truncated, peer })
}

/// The ring of free buffers that the kernel takes from ("provided buffers").
pub(crate) struct BufferRing {
    entries: Region,
    mask: u16,
    tail: u16,
}

impl BufferRing {
    /// A ring holding all of `buffers`, not yet known to the kernel.
    pub(crate) fn new(buffers: &Buffers) -> Result<BufferRing, OpenError> {
        let count = buffers.count();
        let entries = Region::new(usize::from(count) * size_of::<BufRingEntry>())?;
        let mut ring = BufferRing { entries, mask: count - 1, tail: 0 };
        for id in 0..count {
            ring.add(buffers, id);
        }
        ring.publish();
        Ok(ring)
    }

    /// Address of the ring, for the kernel.
    pub(crate) fn address(&self) -> u64 {
        self.entries.address(0) as u64
    }

    /// Gives buffer `id` to the kernel, from `publish` on.
    #[inline]
    pub(crate) fn add(&mut self, buffers: &Buffers, id: u16) {
        let entry = self.entry(self.tail & self.mask);
        // JUSTIFICATION: the ring is memory shared with the kernel; there is no safe type for it.
        // SAFETY: in bounds by the mask, aligned (16-byte entries from a page's start). The kernel reads an entry only
        // below the published tail, and this one is above. Fields are set one by one, as the tail shares entry 0.
        unsafe {
            (*entry).set_addr(buffers.address(id) as u64);
            (*entry).set_len(BUFFER_BYTES as u32);
            (*entry).set_bid(id);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    /// Lets the kernel see the buffers added.
    #[inline]
    pub(crate) fn publish(&mut self) {
        // SAFETY: `tail` gives a field of entry 0, aligned for u16, and only this thread writes it; the kernel reads
        // it with acquire, which the release here pairs with.
        unsafe {
            let tail = BufRingEntry::tail(self.entry(0)).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }

    fn entry(&self, index: u16) -> *mut BufRingEntry {
        self.entries.address(usize::from(index) * size_of::<BufRingEntry>()).cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::RawAddress;

    fn forged(name: u32, control: u32, payload: u32, flags: u32, address: &str, bytes: &[u8]) -> Vec<u8> {
        let address: SocketAddr = address.parse().expect("an address");
        let mut buffer: Vec<u8> =
            [name, control, payload, flags].iter().flat_map(|n| n.to_ne_bytes()).collect();
        buffer.extend_from_slice(&RawAddress::from(address).bytes()[..name_space(address)]);
        buffer.extend_from_slice(bytes);
        buffer
    }

    #[test]
    fn the_kernels_header_is_believed_only_as_far_as_the_buffer_goes() {
        let (v4, v6) = ("192.0.2.1:9", "[2001:db8::1]:9");
        // name, control, payload, flags, peer, bytes present -> len, truncated
        let rows = [
            (16, 0, 5, 0, v4, 5, Some((5, false))),
            (28, 0, 5, 0, v6, 5, Some((5, false))),
            (16, 0, 0, 0, v4, 0, Some((0, false))),
            (16, 0, 5, libc::MSG_TRUNC as u32, v4, 5, Some((5, true))),
            (16, 0, 6, 0, v4, 5, Some((5, true))),
            (16, 0, u32::MAX, 0, v4, 5, Some((5, true))),
            (16, 8, 5, 0, v4, 5, Some((5, true))),
            (16, 0, 3, 0, v4, 5, Some((3, false))),
            (0, 0, 5, 0, v4, 5, None),
            (7, 0, 5, 0, v4, 5, None),
        ];
        for (name, control, payload, flags, peer, present, expected) in rows {
            let buffer = forged(name, control, payload, flags, peer, &vec![1; present]);
            let space = name_space(peer.parse().expect("an address"));
            let parsed = parse(&buffer, space);
            assert_eq!(parsed.map(|p| (p.len, p.truncated)), expected, "{name} {control} {payload} {flags}");
            if let Some(parsed) = parsed {
                assert_eq!(usize::from(parsed.offset), HEADER_BYTES + space);
                assert_eq!(parsed.peer, peer.parse().expect("an address"));
            }
        }
    }

    #[test]
    fn a_completion_shorter_than_its_header_is_refused() {
        let whole = forged(16, 0, 0, 0, "192.0.2.1:9", &[]);
        for len in 0..whole.len() {
            assert_eq!(parse(&whole[..len], 16), None, "{len} bytes");
        }
    }

    #[test]
    fn payloads_avoid_the_slow_offsets_of_the_copy() {
        let buffers = Buffers::new(4).expect("memory");
        for (id, space) in [(0, IPV4_BYTES), (3, IPV4_BYTES), (0, IPV6_BYTES), (3, IPV6_BYTES)] {
            let payload = buffers.address(id) as usize + HEADER_BYTES + space;
            assert!(payload % 2_048 <= 40, "payload at {}", payload % 2_048);
        }
    }

    #[test]
    fn recycling_ends_what_was_shown_and_keeps_what_came_later() {
        let mut batch = Batch::new(4);
        let mut statistics = Statistics::default();
        let arrival = |buffer| Arrival {
            buffer,
            offset: 32,
            len: 1,
            socket: 0,
            truncated: false,
            peer: SocketAddr::from(([127, 0, 0, 1], 1)),
        };
        batch.push(arrival(7), &mut statistics);
        batch.push(arrival(8), &mut statistics);
        assert_eq!(batch.show(), 2);
        batch.push(arrival(9), &mut statistics);
        let mut returned = Vec::new();
        batch.recycle(|buffer| returned.push(buffer));
        assert_eq!(returned, [7, 8]);
        assert!(batch.has_unseen());
        assert_eq!((batch.show(), batch.get(0).buffer), (1, 9));
    }
}
