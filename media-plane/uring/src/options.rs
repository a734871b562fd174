//! What an `Io` is opened with, what it gives, and how it can fail.

use std::fmt;
use std::net::SocketAddr;
use std::os::fd::RawFd;

/// Most sockets of one `Io`.
pub const SOCKETS_MAX: usize = 8;

/// What an `Io` is opened with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Local addresses, one socket each, at most [`SOCKETS_MAX`]. All have one port; where it is 0, the first socket
    /// picks one and the others take it.
    pub local: Vec<SocketAddr>,
    /// Sockets without an address beside those, for IPv4 and for IPv6 each, as far as [`SOCKETS_MAX`] allows: addresses that
    /// the machine gets later are given to them ([`crate::Twin::give_address`]), as the files of a ring cannot change.
    pub spares: usize,
    /// Which back end.
    pub backend: Choice,
    /// Datagrams that may wait between kernel and worker, 2 KiB each; rounded up to a power of two. 128 keep the
    /// memory that is touched within a core's second-level cache.
    pub receive_buffers: u16,
    /// Bytes of send memory: what may be queued and not yet taken by the kernel.
    pub send_bytes: u32,
    /// Group datagrams to one peer into segmented messages (UDP GSO) where the kernel can.
    pub segmentation: bool,
    /// Kernel receive buffer per socket in bytes; 0 leaves the system's default.
    pub socket_receive_bytes: u32,
    /// Kernel send buffer per socket in bytes; 0 leaves the system's default.
    pub socket_send_bytes: u32,
    /// The eventfd that ends a wait: `mesh::wake::Sleeper::fd`. It must stay open as long as the `Io`.
    pub wake: RawFd,
}

impl Options {
    /// Usual sizes for these local addresses and this wake-up eventfd.
    pub fn new(local: Vec<SocketAddr>, wake: RawFd) -> Options {
        Options {
            local,
            spares: 0,
            backend: Choice::Auto,
            receive_buffers: 128,
            send_bytes: 1 << 20,
            segmentation: true,
            socket_receive_bytes: 4 << 20,
            socket_send_bytes: 4 << 20,
            wake,
        }
    }
}

/// Which back end to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// io_uring if the kernel offers all of it, else plain, with a reason.
    Auto,
    /// io_uring, or an error.
    IoUring,
    /// `recvmmsg` and `sendmmsg`.
    Plain,
}

/// The back end in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// One io_uring.
    IoUring,
    /// `recvmmsg` and `sendmmsg`.
    Plain,
}

impl Backend {
    /// Name for logs and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Backend::IoUring => "io_uring",
            Backend::Plain => "plain",
        }
    }
}

/// One received datagram.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Its payload; what fitted if `truncated`.
    pub bytes: &'a [u8],
    /// Where it came from; an IPv4-mapped IPv6 address is given as IPv4.
    pub peer: SocketAddr,
    /// Index of the socket it arrived at.
    pub socket: u8,
    /// It was longer than a buffer, or the kernel's lengths did not add up: to be dropped.
    pub truncated: bool,
}

/// The send memory is full although all that the kernel would take was handed over. The datagram is not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendFull;

/// Why sockets or back end could not be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// No local address given.
    NoAddress,
    /// More local addresses than [`SOCKETS_MAX`].
    TooManyAddresses,
    /// Another process holds the port.
    AddressInUse(SocketAddr),
    /// No interface of this host has the address.
    AddressNotAvailable(SocketAddr),
    /// Ports below 1024 need a privilege.
    PermissionDenied(SocketAddr),
    /// Creating, setting or binding the socket failed otherwise, with this errno.
    Socket(SocketAddr, i32),
    /// A size is zero or beyond what the back end can do.
    Size(&'static str),
    /// io_uring was demanded and cannot be had, for this reason.
    IoUring(String),
    /// The kernel gave no memory, with this errno.
    Memory(i32),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::NoAddress => write!(f, "no local address for media"),
            OpenError::TooManyAddresses => write!(f, "more than {SOCKETS_MAX} local addresses for media"),
            OpenError::AddressInUse(address) => write!(f, "UDP {address} is in use by another program"),
            OpenError::AddressNotAvailable(address) => {
                write!(f, "no interface has the address {}", address.ip())
            }
            OpenError::PermissionDenied(address) => write!(f, "no permission to bind UDP {address}"),
            OpenError::Socket(address, errno) => {
                write!(f, "UDP {address}: {}", std::io::Error::from_raw_os_error(*errno))
            }
            OpenError::Size(what) => write!(f, "{what}"),
            OpenError::IoUring(reason) => write!(f, "io_uring is not available: {reason}"),
            OpenError::Memory(errno) => {
                write!(f, "no memory for buffers: {}", std::io::Error::from_raw_os_error(*errno))
            }
        }
    }
}

impl std::error::Error for OpenError {}

/// Why the ring could not be taken over by its thread: the system call and its errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartError {
    /// What was tried.
    pub step: &'static str,
    /// The kernel's errno.
    pub errno: i32,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step, std::io::Error::from_raw_os_error(self.errno))
    }
}

impl std::error::Error for StartError {}
