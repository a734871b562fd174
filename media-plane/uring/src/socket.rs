//! One unconnected UDP socket per local address, and addresses as the kernel writes them.

use crate::options::{OpenError, Options, SOCKETS_MAX};
use socket2::{Domain, Protocol, Socket, Type};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, RawFd};

/// Bytes of a `sockaddr_in`.
pub(crate) const IPV4_BYTES: usize = 16;
/// Bytes of a `sockaddr_in6`.
pub(crate) const IPV6_BYTES: usize = 28;

/// The sockets of one `Io`: the bound ones first, then those that have no address yet, whose `local` has the unspecified one.
pub(crate) struct Sockets {
    sockets: Vec<Socket>,
    local: Vec<SocketAddr>,
}

impl Sockets {
    /// Creates and binds them. The first one's port is everybody's where an address has port 0.
    pub(crate) fn open(options: &Options) -> Result<Sockets, OpenError> {
        if options.local.is_empty() {
            return Err(OpenError::NoAddress);
        }
        if options.local.len() > SOCKETS_MAX {
            return Err(OpenError::TooManyAddresses);
        }
        let mut opened = Sockets { sockets: Vec::new(), local: Vec::new() };
        for address in &options.local {
            let mut address = *address;
            if address.port() == 0 {
                address.set_port(opened.local.first().map_or(0, SocketAddr::port));
            }
            let failed = |error: std::io::Error| refusal(address, &error);
            let socket = create(address, options).map_err(failed)?;
            bind(&socket, address).map_err(failed)?;
            let bound = socket.local_addr().map_err(failed)?.as_socket();
            opened.local.push(bound.unwrap_or(address));
            opened.sockets.push(socket);
        }
        opened.add_spares(options);
        Ok(opened)
    }

    /// Sockets for addresses to come; without them a family that the system lacks has none.
    fn add_spares(&mut self, options: &Options) {
        let port = self.local.first().map_or(0, SocketAddr::port);
        let any = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        for ip in any.iter().flat_map(|ip| std::iter::repeat_n(*ip, options.spares)) {
            let address = SocketAddr::new(ip, port);
            if self.sockets.len() < SOCKETS_MAX
                && let Ok(socket) = create(address, options)
            {
                self.local.push(address);
                self.sockets.push(socket);
            }
        }
    }

    /// The same sockets by other descriptors.
    pub(crate) fn duplicate(&self) -> std::io::Result<Sockets> {
        let sockets = self.sockets.iter().map(Socket::try_clone).collect::<std::io::Result<_>>()?;
        Ok(Sockets { sockets, local: self.local.clone() })
    }

    /// Gives an address to a socket that has none.
    pub(crate) fn bind(&mut self, socket: usize, address: SocketAddr) -> Result<(), OpenError> {
        bind(&self.sockets[socket], address).map_err(|error| refusal(address, &error))?;
        self.local[socket] = address;
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.sockets.len()
    }

    pub(crate) fn fd(&self, socket: u8) -> RawFd {
        self.sockets[usize::from(socket)].as_raw_fd()
    }

    pub(crate) fn local(&self) -> &[SocketAddr] {
        &self.local
    }

    /// Whether `socket` can send to `peer`: it exists, the family is the same, and the port is not 0.
    #[inline]
    pub(crate) fn reaches(&self, socket: u8, peer: &SocketAddr) -> bool {
        let local = self.local.get(usize::from(socket));
        local.is_some_and(|local| local.is_ipv4() == peer.is_ipv4()) && peer.port() != 0
    }

    /// Whether this kernel cuts messages into segments for us.
    pub(crate) fn has_segmentation(&self) -> bool {
        let mut value: libc::c_int = 0;
        let mut len = size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: value and length are ours and as long as said.
        let result = unsafe {
            libc::getsockopt(
                self.fd(0),
                libc::SOL_UDP,
                libc::UDP_SEGMENT,
                (&raw mut value).cast(),
                &raw mut len,
            )
        };
        result == 0
    }

    /// Datagrams that the kernel dropped because a socket's receive buffer was full, over all sockets.
    pub(crate) fn kernel_drops(&self) -> u64 {
        /// `SK_MEMINFO_DROPS`, the ninth number of `SO_MEMINFO`.
        const DROPS: usize = 8;
        (0..self.sockets.len() as u8)
            .map(|socket| {
                let mut values = [0u32; DROPS + 1];
                let mut len = size_of_val(&values) as libc::socklen_t;
                // SAFETY: values and length are ours and as long as said.
                let result = unsafe {
                    libc::getsockopt(
                        self.fd(socket),
                        libc::SOL_SOCKET,
                        libc::SO_MEMINFO,
                        values.as_mut_ptr().cast(),
                        &raw mut len,
                    )
                };
                if result == 0 { u64::from(values[DROPS]) } else { 0 }
            })
            .sum()
    }
}

/// Whether nobody holds these addresses. Sockets of one user share a port in silence, so a second server would take
/// half of the first one's datagrams: ask before the first `Io` is opened.
pub fn check_free(local: &[SocketAddr]) -> Result<(), OpenError> {
    for address in local {
        let failed = |error: std::io::Error| refusal(*address, &error);
        let socket =
            Socket::new(Domain::for_address(*address), Type::DGRAM, Some(Protocol::UDP)).map_err(failed)?;
        if address.is_ipv6() {
            socket.set_only_v6(true).map_err(failed)?;
        }
        socket.bind(&(*address).into()).map_err(failed)?;
    }
    Ok(())
}

/// A socket for an address like this.
fn create(address: SocketAddr, options: &Options) -> std::io::Result<Socket> {
    // Blocking: a ring waits for readiness by itself on a blocking socket only, and the plain calls pass MSG_DONTWAIT.
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM.cloexec(), Some(Protocol::UDP))?;
    if address.port() != 0 {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // The kernel clips sizes to its limits in silence; `tuning` checks those.
    if options.socket_receive_bytes > 0 {
        socket.set_recv_buffer_size(options.socket_receive_bytes as usize)?;
    }
    if options.socket_send_bytes > 0 {
        socket.set_send_buffer_size(options.socket_send_bytes as usize)?;
    }
    ignore_path_mtu(&socket, address)?;
    Ok(socket)
}

fn bind(socket: &Socket, address: SocketAddr) -> std::io::Result<()> {
    socket.bind(&address.into())?;
    // A socket that shares already when it asks for any port may be given one that others share.
    socket.set_reuse_port(true)
}

/// Media datagrams fit every path; a forged "fragmentation needed" must not make the kernel refuse or cut them.
fn ignore_path_mtu(socket: &Socket, address: SocketAddr) -> std::io::Result<()> {
    let (level, name, value) = match address {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_OMIT),
    };
    let len = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the value is ours and as long as said.
    match unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), len) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

fn refusal(address: SocketAddr, error: &std::io::Error) -> OpenError {
    match error.raw_os_error() {
        Some(libc::EADDRINUSE) => OpenError::AddressInUse(address),
        Some(libc::EADDRNOTAVAIL) => OpenError::AddressNotAvailable(address),
        Some(libc::EACCES) => OpenError::PermissionDenied(address),
        errno => OpenError::Socket(address, errno.unwrap_or(0)),
    }
}

/// The calling thread's last error number.
pub(crate) fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// A socket address in the kernel's layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub(crate) struct RawAddress {
    bytes: [u8; 32],
    pub(crate) len: u32,
}

impl RawAddress {
    pub(crate) const EMPTY: RawAddress = RawAddress { bytes: [0; 32], len: 0 };

    pub(crate) fn as_ptr(&self) -> *const u8 {
        self.bytes.as_ptr()
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.bytes.as_mut_ptr()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl From<SocketAddr> for RawAddress {
    fn from(address: SocketAddr) -> RawAddress {
        let mut raw = RawAddress::EMPTY;
        raw.bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
        match address {
            SocketAddr::V4(v4) => {
                raw.len = IPV4_BYTES as u32;
                raw.bytes[0..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
                raw.bytes[4..8].copy_from_slice(&v4.ip().octets());
            }
            SocketAddr::V6(v6) => {
                raw.len = IPV6_BYTES as u32;
                raw.bytes[0..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
                raw.bytes[4..8].copy_from_slice(&v6.flowinfo().to_be_bytes());
                raw.bytes[8..24].copy_from_slice(&v6.ip().octets());
                raw.bytes[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
            }
        }
        raw
    }
}

/// Reads an address the kernel wrote. An IPv4-mapped one becomes IPv4; anything but IP is `None`.
#[inline]
pub(crate) fn parse_address(bytes: &[u8]) -> Option<SocketAddr> {
    let family = i32::from(u16::from_ne_bytes(*bytes.first_chunk()?));
    let port = u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
    if family == libc::AF_INET {
        let octets: [u8; 4] = *bytes.get(4..IPV4_BYTES)?.first_chunk()?;
        return Some(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::from(octets), port)));
    }
    if family != libc::AF_INET6 {
        return None;
    }
    let octets: [u8; 16] = *bytes.get(8..)?.first_chunk()?;
    let scope = u32::from_ne_bytes(*bytes.get(24..)?.first_chunk()?);
    match Ipv6Addr::from(octets).to_canonical() {
        IpAddr::V4(ip) => Some(SocketAddr::V4(SocketAddrV4::new(ip, port))),
        // The flow label is left out: it may differ from packet to packet of one peer.
        IpAddr::V6(ip) => Some(SocketAddr::V6(SocketAddrV6::new(ip, port, 0, scope))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_kernels_layout() {
        for text in ["192.0.2.1:10000", "[2001:db8::1]:65535", "[fe80::1%3]:1", "0.0.0.0:0"] {
            let address: SocketAddr = text.parse().expect("an address");
            let raw = RawAddress::from(address);
            assert_eq!(parse_address(&raw.bytes[..raw.len as usize]), Some(address), "{text}");
        }
    }

    #[test]
    fn an_ipv4_mapped_address_becomes_ipv4() {
        let raw = RawAddress::from("[::ffff:192.0.2.7]:5000".parse::<SocketAddr>().expect("an address"));
        assert_eq!(parse_address(raw.bytes()), "192.0.2.7:5000".parse().ok());
    }

    #[test]
    fn short_or_foreign_addresses_are_refused() {
        let v4 = RawAddress::from("192.0.2.1:1".parse::<SocketAddr>().expect("an address"));
        let v6 = RawAddress::from("[::1]:1".parse::<SocketAddr>().expect("an address"));
        assert_eq!(parse_address(&[]), None);
        assert_eq!(parse_address(&v4.bytes[..15]), None);
        assert_eq!(parse_address(&v6.bytes[..27]), None);
        assert_eq!(parse_address(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), None, "AF_UNIX");
    }
}
