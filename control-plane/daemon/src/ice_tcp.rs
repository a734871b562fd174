//! ICE-TCP (RFC 6544, passive): for clients that no UDP reaches. One thread beside the media threads holds all
//! connections; their frames (RFC 4571) go to the workers as datagrams of one socket more.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use contract::limits::DATAGRAM_BYTES_MAX;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use worker::TcpEnd;

use self::acceptor::Acceptor;
use self::stream::Listener;
use crate::config::Media;
use crate::status::Status;

mod acceptor;
mod connection;
mod counters;
mod stream;
#[cfg(test)]
mod tests;

pub(crate) use self::counters::{TcpCounters, TcpEnding};

/// How many connections there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) connections_max: usize,
    pub(crate) per_address_max: usize,
}

/// What moves the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    /// tokio-uring.
    Uring,
    /// Non-blocking sockets, and why.
    Plain(String),
}

/// Binds the listeners that the settings ask for: one for each address, or one for each family. An error names the
/// address; what was bound before is given up.
pub(crate) fn bind(config: &Media) -> io::Result<Vec<std::net::TcpListener>> {
    let Some(port) = config.tcp_port else { return Ok(Vec::new()) };
    let unspecified = ["0.0.0.0", "::"].map(|ip| ip.parse::<IpAddr>().expect("a constant"));
    let ips = if config.addresses.is_empty() { unspecified.to_vec() } else { config.addresses.clone() };
    let mut listeners = Vec::new();
    for ip in ips {
        match listen(SocketAddr::new(ip, port)) {
            Ok(listener) => listeners.push(listener),
            // A machine without IPv6.
            Err(error)
                if ip.is_ipv6() && error.raw_os_error() == Some(nix::errno::Errno::EAFNOSUPPORT as i32) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(listeners)
}

/// What is set here is inherited by the connections.
fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_user_timeout(Some(DEAD_AFTER))?;
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Starts the thread and says what it runs on; without `ring`, on plain sockets.
pub(crate) fn start(
    listeners: Vec<std::net::TcpListener>,
    end: TcpEnd,
    limits: Limits,
    status: Arc<Status>,
    ring: bool,
) -> io::Result<Backend> {
    let (tell, told) = mpsc::channel();
    std::thread::Builder::new().name("ice-tcp".to_owned()).spawn(move || {
        // The descriptors of all are on this thread's ring, so it is made here.
        let runtime = match ring {
            true => tokio_uring::Runtime::new(tokio_uring::builder().entries(RING_ENTRIES)),
            false => Err(io::Error::other("as the settings say")),
        };
        match runtime {
            Ok(runtime) => {
                let _ = tell.send(Ok(Backend::Uring));
                runtime.block_on(serve(listeners, end, limits, status, Listener::on_ring));
            }
            Err(reason) => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                match runtime {
                    Ok(runtime) => {
                        let _ = tell.send(Ok(Backend::Plain(reason.to_string())));
                        let serve = serve(listeners, end, limits, status, Listener::plain);
                        tokio::task::LocalSet::new().block_on(&runtime, serve);
                    }
                    Err(error) => drop(tell.send(Err(error))),
                }
            }
        }
    })?;
    told.recv().unwrap_or_else(|_| Err(io::Error::other("the thread of ICE-TCP ended at once")))
}

async fn serve(
    listeners: Vec<std::net::TcpListener>,
    end: TcpEnd,
    limits: Limits,
    status: Arc<Status>,
    open: fn(std::net::TcpListener) -> io::Result<Listener>,
) {
    let acceptor = Rc::new(Acceptor::new(end, limits, status));
    for listener in listeners {
        match open(listener) {
            Ok(listener) => drop(tokio::task::spawn_local(Rc::clone(&acceptor).accept(listener))),
            Err(error) => tracing::error!(%error, "ICE-TCP cannot listen"),
        }
    }
    drop(tokio::task::spawn_local(Rc::clone(&acceptor).sweep()));
    acceptor.distribute().await;
}

/// For a listener whose connections must not block.
fn set_nonblocking(listener: &std::net::TcpListener) -> io::Result<()> {
    SockRef::from(listener).set_nonblocking(true)
}

/// Unacknowledged data for this long means that nobody is there (RFC 5482).
const DEAD_AFTER: Duration = Duration::from_secs(10);
/// The kernel's share of what may wait for one client; it allows itself twice as much.
const SEND_BUFFER_BYTES: usize = 128 * 1_024;
/// Connections that wait to be accepted: a burst of joins.
const BACKLOG: i32 = 512;
/// Operations handed to the kernel at a time.
const RING_ENTRIES: u32 = 1_024;

const _: () = assert!(wire::framing::FRAME_BYTES_MAX == DATAGRAM_BYTES_MAX);
