//! The io_uring back end: one ring, one thread, one system call a turn for both directions.

use crate::options::{Datagram, OpenError, Options, SOCKETS_MAX, SendFull, StartError};
use crate::probe::{self, Finding};
use crate::receive::{self, Arrival, BUFFER_BYTES, Batch, BufferRing, Buffers};
use crate::restriction;
use crate::send::{Operation, Queue};
use crate::socket::{Sockets, errno};
use crate::statistics::Statistics;
use io_uring::types::{CancelBuilder, Fd, Fixed};
use io_uring::{IoUring, cqueue, opcode, squeue};
use std::mem::{ManuallyDrop, MaybeUninit};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::thread::{self, ThreadId};
use std::time::Duration;

/// Entries of the submission queue: two waves of single datagrams and all else of a turn.
const SUBMISSIONS: u32 = 256;

/// Submission entries kept free of sends, for receives, wake-ups and the cancel.
const RESERVE: usize = 64;

/// Rounds of submitting in one call, so that no loop depends on what the kernel answers.
const ROUNDS_MAX: usize = 256;

/// Completions copied out of the completion queue at once.
const REAPED_AT_ONCE: usize = 32;

/// The one group of provided buffers.
const GROUP: u16 = 0;

/// Rounds of cancelling and reaping at the end; a millisecond each at most.
const DRAIN_ROUNDS: usize = 200;

/// Kinds of operations, in the upper half of `user_data`; the lower half is the socket or the slot.
const RECEIVE: u32 = 1;
const SEND: u32 = 2;
const WATCH: u32 = 3;
const WAKE: u32 = 4;
const CANCEL: u32 = 5;

/// What the kernel reads or writes until the operations that name it are complete.
struct KernelMemory {
    buffers: Buffers,
    buffer_ring: BufferRing,
    queue: Queue,
    /// One per socket: how much room for the address each buffer has.
    receive_headers: Box<[libc::msghdr]>,
    /// What a wake-up writes.
    one: Box<u64>,
}

/// One io_uring and the sockets in it.
pub(crate) struct Ring {
    ring: ManuallyDrop<IoUring>,
    memory: ManuallyDrop<KernelMemory>,
    sockets: Sockets,
    batch: Batch,
    armed: [bool; SOCKETS_MAX],
    watching: bool,
    /// Something arrived or woke us since the worker last looked.
    news: bool,
    /// Operations other than sends whose last completion is outstanding.
    pending: u32,
    /// Sends in the submission queue.
    queued: u32,
    /// Entries of the submission queue that complete at once: sends and wake-ups.
    immediate: u32,
    started: Option<ThreadId>,
    /// Index of the registered ring descriptor.
    registered: Option<u32>,
    statistics: Statistics,
}

// SAFETY: the only raw pointers are in `receive_headers`, null all of them, and in the queue, which is Send.
unsafe impl Send for KernelMemory {}

impl Ring {
    /// Makes a disabled, restricted ring with its buffers and files. If it is refused, the sockets come back for the
    /// other back end.
    pub(crate) fn open(options: &Options, sockets: Sockets) -> Result<Ring, (Sockets, RingError)> {
        match Ring::prepare(options, &sockets) {
            Err(error) => Err((sockets, error)),
            Ok((ring, memory)) => Ok(Ring {
                batch: Batch::new(memory.buffers.count()),
                statistics: Statistics {
                    gso_off: u64::from(!(options.segmentation && sockets.has_segmentation())),
                    ..Statistics::default()
                },
                ring: ManuallyDrop::new(ring),
                memory: ManuallyDrop::new(memory),
                sockets,
                armed: [false; SOCKETS_MAX],
                watching: false,
                news: false,
                pending: 0,
                queued: 0,
                immediate: 0,
                started: None,
                registered: None,
            }),
        }
    }

    fn prepare(options: &Options, sockets: &Sockets) -> Result<(IoUring, KernelMemory), RingError> {
        if let Some(finding) = probe::findings().into_iter().next() {
            return Err(RingError::Kernel(finding));
        }
        let buffers = Buffers::new(options.receive_buffers)?;
        let buffer_ring = BufferRing::new(&buffers)?;
        let queue = Queue::new(options.send_bytes, options.segmentation && sockets.has_segmentation())?;
        let completions = (SUBMISSIONS * 2 + u32::from(buffers.count()) * 2).next_power_of_two();
        let ring = step("io_uring_setup", || {
            IoUring::builder()
                .setup_r_disabled()
                .setup_single_issuer()
                .setup_defer_taskrun()
                .setup_submit_all()
                .setup_cqsize(completions)
                .dontfork()
                .build(SUBMISSIONS)
        })?;
        let mut files: Vec<RawFd> = (0..sockets.len() as u8).map(|socket| sockets.fd(socket)).collect();
        files.push(options.wake);
        let submitter = ring.submitter();
        step("register files", || submitter.register_files(&files))?;
        step("register receive buffers", || {
            // SAFETY: the entries are page-aligned, `count` of them, and outlive the ring (see `Drop`).
            unsafe {
                submitter.register_buf_ring_with_flags(buffer_ring.address(), buffers.count(), GROUP, 0)
            }
        })?;
        step("register restrictions", || restriction::restrict(&submitter))?;
        let receive_headers = sockets.local().iter().map(|local| receive_header(*local)).collect();
        Ok((ring, KernelMemory { buffers, buffer_ring, queue, receive_headers, one: Box::new(1) }))
    }

    /// Enables the ring for the calling thread and arms it.
    pub(crate) fn start(&mut self) -> Result<(), StartError> {
        if self.started.is_some() {
            return Ok(());
        }
        self.registered = Some(register_ring_fd(self.ring.as_raw_fd())?);
        self.started = Some(thread::current().id());
        let enabled = self.ring.submitter().register_enable_rings();
        enabled.map_err(|error| StartError {
            step: "enable the ring",
            errno: error.raw_os_error().unwrap_or(0),
        })?;
        self.arm();
        self.enter(0, true, None);
        Ok(())
    }

    pub(crate) fn receive(&mut self) -> usize {
        self.reap();
        self.news = false;
        self.batch.show()
    }

    #[inline]
    pub(crate) fn datagram(&self, index: usize) -> Datagram<'_> {
        // SAFETY: it is in the batch.
        unsafe { receive::datagram(&self.memory.buffers, self.batch.get(index)) }
    }

    #[inline]
    pub(crate) fn bytes_mut(&mut self, index: usize) -> &mut [u8] {
        let arrival = *self.batch.get(index);
        let (offset, len) = (usize::from(arrival.offset), usize::from(arrival.len));
        // SAFETY: it is in the batch, so its buffer is not the kernel's.
        unsafe { self.memory.buffers.bytes_mut(arrival.buffer, offset, len) }
    }

    pub(crate) fn shown(&self) -> usize {
        self.batch.shown()
    }

    pub(crate) fn recycle(&mut self) {
        let KernelMemory { buffers, buffer_ring, .. } = &mut *self.memory;
        self.batch.recycle(|id| buffer_ring.add(buffers, id));
        buffer_ring.publish();
        self.arm();
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
        if self.memory.queue.wants_flush(socket, &peer, max_len) {
            self.flush();
        }
        self.statistics.queued(self.memory.queue.push(socket, peer, max_len, write))
    }

    #[inline]
    pub(crate) fn room_along(&self, socket: u8, peer: &SocketAddr) -> usize {
        self.memory.queue.room_along(socket, peer)
    }

    pub(crate) fn wake(&mut self, eventfd: RawFd) {
        let entry = opcode::Write::new(Fd(eventfd), (&raw const *self.memory.one).cast(), 8)
            .build()
            .user_data(user_data(WAKE, 0));
        if self.push(&entry).is_err() {
            self.enter(0, false, None);
            if self.push(&entry).is_err() {
                // A wake-up must not be lost.
                return crate::plain::write_eventfd(eventfd);
            }
        }
        self.pending += 1;
        self.immediate += 1;
    }

    pub(crate) fn submit(&mut self) {
        self.submit_and_wait(Some(Duration::ZERO));
    }

    /// Submits all there is and waits for an event other than the end of a send.
    pub(crate) fn submit_and_wait(&mut self, timeout: Option<Duration>) {
        self.reap();
        self.memory.queue.close();
        self.memory.queue.stalled = self.held() > 0;
        self.arm();
        if self.memory.queue.is_unsettled() {
            self.flush();
        }
        self.push_sends();
        for _ in 0..ROUNDS_MAX {
            // More is ready than the submission queue holds.
            if !self.memory.queue.has_ready() || self.held() > 0 {
                break;
            }
            self.enter(0, false, None);
            self.reap();
            self.push_sends();
        }
        let idle = !self.news && !self.batch.has_unseen();
        if timeout == Some(Duration::ZERO) || !idle {
            return self.enter(0, true, None);
        }
        // What was just queued ends at once, with one completion each, and is no reason to return: wait for one more.
        // Should the kernel keep a send for later, the wait is longer by that.
        self.enter(1 + self.immediate, true, timeout);
    }

    pub(crate) fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    pub(crate) fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// Hands what is ready to the kernel and frees what it is done with. Order is kept: nothing new goes out while the
    /// kernel still holds a send that its socket had no room for.
    fn flush(&mut self) {
        // One round takes a wave; refused segmentation takes one per datagram of a message.
        for _ in 0..ROUNDS_MAX {
            self.reap();
            if self.held() > 0 {
                self.enter(0, true, None);
                self.reap();
            }
            self.push_sends();
            if self.queued == 0 {
                return;
            }
            self.enter(0, false, None);
            self.reap();
            if self.held() > 0 {
                self.statistics.stalled += u64::from(!self.memory.queue.stalled);
                self.memory.queue.stalled = true;
                return;
            }
            if !self.memory.queue.has_ready() {
                return;
            }
        }
    }

    /// Sends that the kernel was given and has not completed.
    fn held(&self) -> u32 {
        self.memory.queue.in_flight().saturating_sub(self.queued)
    }

    /// Puts ready sends into the submission queue, unless the kernel still holds earlier ones.
    fn push_sends(&mut self) {
        if self.held() > 0 {
            return;
        }
        let mut submission = self.ring.submission();
        while submission.capacity() - submission.len() > RESERVE {
            let Some(operation) = self.memory.queue.take() else { return };
            let entry = send_entry(&operation);
            // JUSTIFICATION: safe calls (sendmmsg by a crate) cost a system call for sends alone.
            // SAFETY: header, address and bytes are the queue's, boxed and mapped, untouched until `complete`, and
            // outlive the ring (see `Drop`).
            if unsafe { submission.push(&entry) }.is_err() {
                self.memory.queue.untake(operation);
                return;
            }
            self.queued += 1;
            self.immediate += 1;
        }
    }

    /// Arms every receive that is not, if there is a buffer for it, and the watch on the wake-up.
    fn arm(&mut self) {
        let free = self.batch.len() < usize::from(self.memory.buffers.count());
        for socket in 0..self.sockets.len() as u8 {
            if self.armed[usize::from(socket)] || !free {
                continue;
            }
            let header = &raw const self.memory.receive_headers[usize::from(socket)];
            let entry = opcode::RecvMsgMulti::new(Fixed(u32::from(socket)), header, GROUP)
                .build()
                .user_data(user_data(RECEIVE, u32::from(socket)));
            let pushed = self.push(&entry).is_ok();
            self.armed[usize::from(socket)] = pushed;
            self.pending += u32::from(pushed);
        }
        if !self.watching {
            // Watched, not read: the descriptor must not block for the writes of other rings, and a read of such a
            // one would not wait. Each write gives a completion, whatever the counter holds.
            let watch =
                opcode::PollAdd::new(Fixed(self.sockets.len() as u32), libc::POLLIN as u32).multi(true);
            let entry = watch.build().user_data(user_data(WATCH, 0));
            self.watching = self.push(&entry).is_ok();
            self.pending += u32::from(self.watching);
        }
    }

    fn push(&mut self, entry: &squeue::Entry) -> Result<(), squeue::PushError> {
        // JUSTIFICATION: there is no safe way to queue an operation that outlives the call.
        // SAFETY: all entries made here name memory of `KernelMemory`, which outlives the ring (see `Drop`).
        unsafe { self.ring.submission().push(entry) }
    }

    /// The one system call: submits, and with `events` runs what the kernel has deferred and waits for `want`
    /// completions, at most for `timeout`.
    fn enter(&mut self, want: u32, events: bool, timeout: Option<Duration>) {
        /// `struct io_uring_getevents_arg`.
        #[repr(C)]
        struct Argument {
            sigmask: u64,
            sigmask_size: u32,
            min_wait: u32,
            timespec: u64,
        }
        const GET_EVENTS: u32 = 1 << 0;
        const EXTENDED: u32 = 1 << 3;
        const REGISTERED: u32 = 1 << 4;

        let (Some(descriptor), Some(_)) = (self.registered, self.started) else { return };
        let submission = self.ring.submission();
        let (queued, overflow) = (submission.len() as u32, submission.cq_overflow());
        drop(submission);
        self.statistics.overflow += u64::from(overflow);
        let timespec = timeout.map(|timeout| libc::timespec {
            tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        let timespec = timespec.as_ref().map_or(0, |timespec| std::ptr::from_ref(timespec) as u64);
        let argument = Argument { sigmask: 0, sigmask_size: 0, min_wait: 0, timespec };
        let events = if events || overflow { GET_EVENTS } else { 0 };
        // What was submitted shows in the queue's head and what failed in completions. A timeout, a signal or a full
        // completion queue ends the call early, and the next turn goes on: its result says nothing more.
        // JUSTIFICATION: the crate's call cannot keep a registered descriptor without borrowing the ring for good.
        // SAFETY: the argument lives through the call and is as long as said.
        unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                descriptor,
                queued,
                want,
                EXTENDED | REGISTERED | events,
                &raw const argument,
                size_of::<Argument>(),
            )
        };
        self.statistics.system_calls += 1;
        let left = self.ring.submission().len() as u32;
        (self.queued, self.immediate) = (self.queued.min(left), self.immediate.min(left));
    }

    /// Takes all completions there are.
    fn reap(&mut self) {
        let mut entries = [const { MaybeUninit::uninit() }; REAPED_AT_ONCE];
        // Arrivals are bounded by buffers, all else by what was submitted: the loop ends.
        loop {
            let filled = self.ring.completion().fill(&mut entries);
            if filled.is_empty() {
                return;
            }
            for entry in filled {
                self.completed(entry);
            }
        }
    }

    #[inline]
    fn completed(&mut self, entry: &cqueue::Entry) {
        let (kind, number) = ((entry.user_data() >> 32) as u32, entry.user_data() as u32);
        let more = cqueue::more(entry.flags());
        match kind {
            RECEIVE => self.received(number as u8, entry, more),
            SEND => self.memory.queue.complete(number, entry.result(), &mut self.statistics),
            WATCH => {
                self.statistics.woken += u64::from(entry.result() >= 0);
                self.news = true;
                self.watching = more;
                self.pending -= u32::from(!more);
            }
            WAKE => self.pending -= 1,
            CANCEL => {}
            _ => debug_assert!(false, "completion of nothing we asked for"),
        }
    }

    #[inline]
    fn received(&mut self, socket: u8, entry: &cqueue::Entry, more: bool) {
        let result = entry.result();
        if let Some(buffer) = cqueue::buffer_select(entry.flags()) {
            self.arrived(socket, buffer, result);
        }
        if more {
            return;
        }
        // Whatever the reason, it is armed again this turn: by `recycle`, which has buffers, or before the submit.
        self.armed[usize::from(socket)] = false;
        self.pending -= 1;
        self.statistics.rearmed += 1;
        match result {
            0.. => {}
            _ if result == -libc::ENOBUFS => self.statistics.no_buffer += 1,
            _ => self.statistics.receive_errors += 1,
        }
    }

    #[inline]
    fn arrived(&mut self, socket: u8, buffer: u16, result: i32) {
        if buffer >= self.memory.buffers.count() {
            debug_assert!(false, "the kernel used a buffer that is not ours");
            return;
        }
        let filled = usize::try_from(result).unwrap_or(0).min(BUFFER_BYTES);
        let name_space = self.memory.receive_headers[usize::from(socket)].msg_namelen as usize;
        // SAFETY: this completion gave the buffer to us.
        let bytes = unsafe { self.memory.buffers.bytes(buffer, 0, filled) };
        let Some(parsed) = receive::parse(bytes, name_space) else {
            let KernelMemory { buffers, buffer_ring, .. } = &mut *self.memory;
            buffer_ring.add(buffers, buffer);
            buffer_ring.publish();
            self.statistics.receive_errors += u64::from(result >= 0);
            return;
        };
        self.news = true;
        let receive::Parsed { offset, len, truncated, peer } = parsed;
        self.batch.push(Arrival { buffer, offset, len, socket, truncated, peer }, &mut self.statistics);
    }

    /// Cancels everything and waits until the kernel holds nothing of ours. False if it cannot be had.
    fn drain(&mut self) -> bool {
        if self.started.is_none() {
            return true;
        }
        if self.started != Some(thread::current().id()) {
            return false;
        }
        for _ in 0..DRAIN_ROUNDS {
            self.reap();
            self.recycle_quietly();
            if self.pending == 0 && self.memory.queue.in_flight() == 0 {
                return true;
            }
            let cancel =
                opcode::AsyncCancel2::new(CancelBuilder::any()).build().user_data(user_data(CANCEL, 0));
            let _ = self.push(&cancel);
            self.enter(1, true, Some(Duration::from_millis(1)));
        }
        false
    }

    fn recycle_quietly(&mut self) {
        self.batch.show();
        self.batch.recycle(|_| {});
    }
}

impl Drop for Ring {
    /// Stops, cancels, reaps, frees, in this order. If the kernel may still hold memory (dropped on a foreign thread,
    /// or a cancel that never ends), the memory is left to it: a leak is better than a write into freed memory.
    fn drop(&mut self) {
        let clean = self.drain();
        if let Some(index) = self.registered.take().filter(|_| self.started == Some(thread::current().id())) {
            unregister_ring_fd(self.ring.as_raw_fd(), index);
        }
        // SAFETY: dropped once, here, and not used after.
        unsafe {
            ManuallyDrop::drop(&mut self.ring);
            if clean {
                ManuallyDrop::drop(&mut self.memory);
            }
        }
    }
}

/// Why there is no ring.
pub(crate) enum RingError {
    /// The kernel does not offer it: the plain back end will do.
    Kernel(Finding),
    /// No back end would do better.
    Options(OpenError),
}

impl From<OpenError> for RingError {
    fn from(error: OpenError) -> RingError {
        RingError::Options(error)
    }
}

fn step<T>(name: &'static str, attempt: impl FnOnce() -> std::io::Result<T>) -> Result<T, RingError> {
    attempt().map_err(|error| RingError::Kernel(probe::explain(name, error.raw_os_error().unwrap_or(0))))
}

fn user_data(kind: u32, number: u32) -> u64 {
    u64::from(kind) << 32 | u64::from(number)
}

fn send_entry(operation: &Operation) -> squeue::Entry {
    let socket = Fixed(u32::from(operation.socket));
    let entry = if operation.single {
        opcode::Send::new(socket, operation.bytes, operation.len)
            .dest_addr(operation.address)
            .dest_addr_len(operation.address_len)
            .build()
    } else {
        opcode::SendMsg::new(socket, operation.header).build()
    };
    entry.user_data(user_data(SEND, operation.slot))
}

/// Tells multishot `RECVMSG` how much room to leave for the address; it has no buffers of its own.
fn receive_header(local: SocketAddr) -> libc::msghdr {
    // SAFETY: a msghdr of zeros is valid: null pointers and zero lengths.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_namelen = receive::name_space(local) as u32;
    header
}

/// `struct io_uring_rsrc_update` as used for ring descriptors.
#[repr(C)]
struct RingDescriptor {
    index: u32,
    reserved: u32,
    descriptor: u64,
}

/// Registers the ring's descriptor with the calling thread, which saves the kernel a look-up in each call.
fn register_ring_fd(ring: RawFd) -> Result<u32, StartError> {
    const REGISTER_RING_FDS: u32 = 20;
    let mut update = RingDescriptor { index: u32::MAX, reserved: 0, descriptor: ring as u64 };
    // SAFETY: one update, ours, read and written during the call only.
    let result =
        unsafe { libc::syscall(libc::SYS_io_uring_register, ring, REGISTER_RING_FDS, &raw mut update, 1) };
    if result != 1 {
        return Err(StartError { step: "register the ring's descriptor", errno: errno() });
    }
    Ok(update.index)
}

fn unregister_ring_fd(ring: RawFd, index: u32) {
    let mut update = RingDescriptor { index, reserved: 0, descriptor: 0 };
    let code = u32::from(restriction::UNREGISTER_RING_FDS);
    // SAFETY: as above. If it fails, the descriptor goes with the thread.
    unsafe { libc::syscall(libc::SYS_io_uring_register, ring, code, &raw mut update, 1) };
}

#[cfg(test)]
mod tests;
