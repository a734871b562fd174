//! The built server as a child process on loopback, watched as systemd watches it.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A busy machine with an unoptimised build under a tracer is slow; nothing here waits longer.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A server on loopback that reports to us as to systemd.
pub struct Service {
    child: Child,
    notices: UnixDatagram,
    socket: PathBuf,
    private_port: u16,
    public_port: u16,
}

impl Service {
    /// Starts `command`, which must end up as the server itself.
    pub fn start(name: &str, mut command: Command) -> Service {
        let socket = Path::new("/tmp").join(format!("sluice-{name}-{}.notify", std::process::id()));
        let _ = fs::remove_file(&socket);
        let notices = UnixDatagram::bind(&socket).expect("a socket for notices");
        notices.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        let (private_port, public_port) = (free_tcp_port(), free_tcp_port());
        let media_port =
            UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let child = command
            .env("NOTIFY_SOCKET", &socket)
            .env("WATCHDOG_USEC", "900000")
            .env("SLUICE__HTTP__LISTEN", format!("127.0.0.1:{public_port}"))
            .env("SLUICE__HTTP__LISTEN_TLS", format!("127.0.0.1:{}", free_tcp_port()))
            .env("SLUICE__HTTP__PRIVATE", format!("127.0.0.1:{private_port}"))
            .env("SLUICE__MEDIA__PORT", media_port.to_string())
            .env("SLUICE__MEDIA__ADDRESSES", "127.0.0.1")
            .stdout(Stdio::null())
            .spawn()
            .expect("the server can be started");
        Service { child, notices, socket, private_port, public_port }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its plain HTTP address.
    pub fn public(&self) -> String {
        format!("127.0.0.1:{}", self.public_port)
    }

    /// Waits until the server says `wanted`; what it said before.
    pub fn wait_for(&self, wanted: &str) -> Vec<String> {
        let until = Instant::now() + PATIENCE;
        let mut before = Vec::new();
        let mut buffer = [0; 4096];
        while Instant::now() < until {
            let length =
                self.notices.recv(&mut buffer).unwrap_or_else(|error| panic!("no {wanted}: {error}"));
            let said = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if said.lines().any(|line| line == wanted) {
                return before;
            }
            before.push(said);
        }
        panic!("no {wanted} among {before:?}");
    }

    /// Takes and forgets what it says from now on: unread, its notices fill the socket, and the next one would wait.
    pub fn ignore(&self) {
        let notices = self.notices.try_clone().expect("a second handle");
        std::thread::spawn(move || while notices.recv(&mut [0; 4096]).is_ok() {});
    }

    /// Whether it says that it is.
    pub fn healthy(&self) -> bool {
        let mut stream = TcpStream::connect(("127.0.0.1", self.private_port)).expect("private HTTP is there");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        stream
            .write_all(b"GET /about/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        answer.starts_with("HTTP/1.1 200")
    }

    /// Asks the server to end, as systemd does.
    pub fn terminate(&self) {
        let kill = format!("kill -TERM {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("sh runs").success());
    }

    /// Its exit status, once it has ended.
    pub fn ended(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().expect("our child") {
                return status;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the server did not end");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.socket);
    }
}

fn free_tcp_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}
