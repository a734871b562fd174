//! What the doctor asks of the host and of the network; a test puts its own answers in place.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use transport::ice::{QUESTION_BYTES_MAX, question};
use wire::stun::{Class, Message, Writer};

use super::socket_holder;
use crate::candidates;

/// Free and total bytes of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Space {
    pub(super) free: u64,
    pub(super) total: u64,
}

/// Which kind of port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Udp,
    Tcp,
}

/// A host and the network around it.
pub(super) trait Host {
    /// Seconds since 1970.
    fn now(&self) -> i64;
    fn read(&self, path: &str) -> io::Result<String>;
    fn read_bytes(&self, path: &Path) -> io::Result<Vec<u8>>;
    fn exists(&self, path: &str) -> bool;
    fn space(&self, path: &str) -> io::Result<Space>;
    fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
    fn addresses(&self) -> Vec<IpAddr>;
    /// Names and MTUs of the interfaces that are up, loopback excepted.
    fn mtus(&self) -> Vec<(String, u32)>;
    /// Where each STUN server sees one and the same socket of ours, and the port that the socket has.
    fn stun(&self, servers: &[String]) -> (u16, Vec<io::Result<SocketAddr>>);
    /// How far our clock is ahead of the server's, in seconds.
    fn clock_ahead(&self, server: &str) -> io::Result<f64>;
    /// Whether the media plane answers a self-test there.
    fn media_answers(&self, kind: Kind, target: SocketAddr) -> io::Result<()>;
    /// Whether a port could be bound.
    fn bindable(&self, kind: Kind, address: SocketAddr) -> io::Result<()>;
    /// The program that holds a port, as far as we may know: its process id and name.
    fn holder(&self, kind: Kind, port: u16) -> Option<(u32, String)>;
    /// A page of the running server's private listener; an error if it does not run.
    fn page(&self, private: SocketAddr, path: &str) -> io::Result<String>;
    /// The rules of the firewall, as text.
    fn firewall(&self) -> io::Result<String>;
    /// The size that the kernel grants a socket that asks for `wanted` bytes of receive buffer.
    fn receive_buffer(&self, wanted: usize) -> io::Result<usize>;
    /// Whether the kernel takes several packets in one send (UDP GSO).
    fn segmentation(&self) -> bool;
    /// What speaks against io_uring.
    fn ring_findings(&self) -> Vec<String>;
    /// What `sluice tune check` finds that matters or helps.
    fn tuning(&self) -> crate::tune::Looked;
    /// Lets time pass.
    fn pause(&self, time: Duration);
}

/// This host.
pub(super) struct ThisHost;

impl Host for ThisHost {
    fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    }

    fn read(&self, path: &str) -> io::Result<String> {
        std::fs::read_to_string(path)
    }

    fn read_bytes(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn exists(&self, path: &str) -> bool {
        Path::new(path).exists()
    }

    fn space(&self, path: &str) -> io::Result<Space> {
        let found = nix::sys::statvfs::statvfs(path)?;
        let unit = found.fragment_size();
        Ok(Space { free: found.blocks_available() * unit, total: found.blocks() * unit })
    }

    fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let mut found: Vec<IpAddr> = (name, 0).to_socket_addrs()?.map(|address| address.ip()).collect();
        found.sort();
        found.dedup();
        Ok(found)
    }

    fn addresses(&self) -> Vec<IpAddr> {
        candidates::of_machine().unwrap_or_default()
    }

    fn mtus(&self) -> Vec<(String, u32)> {
        let entries = std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name != "lo")
            .filter(|name| {
                let state = std::fs::read_to_string(format!("/sys/class/net/{name}/operstate"));
                state.is_ok_and(|state| state.trim() == "up")
            })
            .filter_map(|name| {
                let mtu = std::fs::read_to_string(format!("/sys/class/net/{name}/mtu")).ok()?;
                Some((name, mtu.trim().parse().ok()?))
            })
            .collect()
    }

    fn stun(&self, servers: &[String]) -> (u16, Vec<io::Result<SocketAddr>>) {
        let socket = match UdpSocket::bind("0.0.0.0:0") {
            Ok(socket) => socket,
            Err(error) => return (0, vec![Err(error)]),
        };
        let port = socket.local_addr().map_or(0, |address| address.port());
        (port, servers.iter().map(|server| mapped(&socket, server)).collect())
    }

    fn clock_ahead(&self, server: &str) -> io::Result<f64> {
        clock_ahead(server)
    }

    fn media_answers(&self, kind: Kind, target: SocketAddr) -> io::Result<()> {
        match kind {
            Kind::Udp => media_answers_udp(target),
            Kind::Tcp => media_answers_tcp(target),
        }
    }

    fn bindable(&self, kind: Kind, address: SocketAddr) -> io::Result<()> {
        match kind {
            Kind::Udp => UdpSocket::bind(address).map(drop),
            Kind::Tcp => TcpListener::bind(address).map(drop),
        }
    }

    fn holder(&self, kind: Kind, port: u16) -> Option<(u32, String)> {
        socket_holder::find(kind, port)
    }

    fn page(&self, private: SocketAddr, path: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&private, ANSWER_WITHIN)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.take(PAGE_BYTES_MAX).read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
        Ok(body.to_owned())
    }

    fn firewall(&self) -> io::Result<String> {
        let output = Command::new("nft").args(["list", "ruleset"]).env("LC_ALL", "C").output()?;
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn receive_buffer(&self, wanted: usize) -> io::Result<usize> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        setsockopt(&socket, sockopt::RcvBuf, &wanted)?;
        // The kernel doubles what it grants, for its own book-keeping (socket(7)).
        Ok(getsockopt(&socket, sockopt::RcvBuf)? / 2)
    }

    fn segmentation(&self) -> bool {
        UdpSocket::bind("127.0.0.1:0")
            .is_ok_and(|socket| setsockopt(&socket, sockopt::UdpGsoSegment, &1_200).is_ok())
    }

    fn ring_findings(&self) -> Vec<String> {
        uring::probe::findings().iter().map(ToString::to_string).collect()
    }

    fn tuning(&self) -> crate::tune::Looked {
        let interfaces: Vec<String> = self.mtus().into_iter().map(|(name, _)| name).collect();
        crate::tune::Looked::with(tuning::Profile::detect(&tuning::ThisHost), &interfaces)
    }

    fn pause(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// RFC 8489 §2: where `server` sees `socket`.
fn mapped(socket: &UdpSocket, server: &str) -> io::Result<SocketAddr> {
    let address = server
        .to_socket_addrs()?
        .find(SocketAddr::is_ipv4)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no IPv4 address"))?;
    let id = transaction();
    let mut buffer = [0; QUESTION_BYTES_MAX];
    let len = Writer::new(&mut buffer, Class::Request, id).fingerprint().finish().unwrap_or(0);
    ask(socket, address, &buffer[..len], |answer| {
        let message = Message::parse(answer).ok()?;
        if message.transaction_id() != id || message.class() != Class::Success {
            return None;
        }
        message.xor_mapped_address()
    })
}

fn media_answers_udp(target: SocketAddr) -> io::Result<()> {
    let socket = UdpSocket::bind(if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    let id = transaction();
    let mut buffer = [0; QUESTION_BYTES_MAX];
    let len = question(id, &mut buffer);
    ask(&socket, target, &buffer[..len], |answer| {
        let message = Message::parse(answer).ok()?;
        (message.transaction_id() == id && message.class() == Class::Success).then_some(())
    })
}

/// As over UDP, each message behind its length (RFC 4571).
fn media_answers_tcp(target: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&target, ANSWER_WITHIN)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    let id = transaction();
    let mut buffer = [0; QUESTION_BYTES_MAX];
    let len = question(id, &mut buffer);
    stream.write_all(&[&(len as u16).to_be_bytes()[..], &buffer[..len]].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length)).min(1_500)];
    stream.read_exact(&mut answer)?;
    let message = Message::parse(&answer).map_err(|_| io::ErrorKind::InvalidData)?;
    if message.transaction_id() == id && message.class() == Class::Success {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "something else answers there"))
}

/// RFC 4330 §5: our clock less the server's, half of the way there and back taken off.
fn clock_ahead(server: &str) -> io::Result<f64> {
    let with_port = if server.contains(':') { server.to_owned() } else { format!("{server}:123") };
    let address = with_port.to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
    let socket = UdpSocket::bind(if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    let mut question = [0u8; 48];
    question[0] = 0x23;
    // The server gives it back, which shows that the answer is to this question.
    getrandom::fill(&mut question[40..48]).map_err(io::Error::other)?;
    let cookie: [u8; 8] = question[40..48].try_into().unwrap_or_default();
    let began = Instant::now();
    let theirs = ask(&socket, address, &question, |answer| {
        let ours = answer.get(24..32)? == cookie.as_slice();
        let seconds = u32::from_be_bytes(answer.get(40..44)?.try_into().ok()?);
        let fraction = u32::from_be_bytes(answer.get(44..48)?.try_into().ok()?);
        ours.then(|| f64::from(seconds) - SECONDS_1900_TO_1970 + f64::from(fraction) / 4_294_967_296.0)
    })?;
    let ours = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    Ok(ours - began.elapsed().as_secs_f64() / 2.0 - theirs)
}

/// Asks three times and takes the first answer that `read` understands.
fn ask<T>(
    socket: &UdpSocket,
    to: SocketAddr,
    question: &[u8],
    read: impl Fn(&[u8]) -> Option<T>,
) -> io::Result<T> {
    socket.set_read_timeout(Some(ANSWER_WITHIN / 3))?;
    let mut answer = [0; 1_500];
    for _ in 0..3 {
        socket.send_to(question, to)?;
        let until = Instant::now() + ANSWER_WITHIN / 3;
        while Instant::now() < until {
            let Ok((len, from)) = socket.recv_from(&mut answer) else { break };
            if let Some(found) = read(&answer[..len]).filter(|_| from == to) {
                return Ok(found);
            }
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "no answer"))
}

fn transaction() -> [u8; 12] {
    let mut id = [0; 12];
    // A guessable number is no harm here: whoever could use it could only fool this report.
    let _ = getrandom::fill(&mut id);
    id
}

const ANSWER_WITHIN: Duration = Duration::from_millis(1_500);
const PAGE_BYTES_MAX: u64 = 1 << 20;
const SECONDS_1900_TO_1970: f64 = 2_208_988_800.0;
