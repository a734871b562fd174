use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use contract::session::{
    EndpointSpec, ExtensionIds, FeedbackSsrcs, LocalTransport, PayloadTypes, RemoteTransport,
};
use contract::{Command, ConferenceId, EndpointId, Report, Ssrc};
use worker::{BackendChoice, MediaPlane};

use super::*;
use crate::ice_tcp::counters::TcpEnding;

/// A media plane with the thread of ICE-TCP before it.
struct Server {
    media: MediaPlane,
    status: Arc<Status>,
    address: SocketAddr,
}

impl Server {
    fn start(limits: Limits) -> Server {
        Server::start_on(true, limits)
    }

    fn start_on(ring: bool, limits: Limits) -> Server {
        let config = worker::Config {
            workers: Some(2),
            pin: false,
            local: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            io: BackendChoice::Plain,
            slots: 1_024,
            spin_us: 0,
            ..worker::Config::default()
        };
        let mut media = MediaPlane::start(&config).unwrap();
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let status = Arc::new(Status::new());
        start(vec![listener], media.take_tcp_end().unwrap(), limits, Arc::clone(&status), ring).unwrap();
        Server { media, status, address }
    }

    /// Seats an endpoint whose client has the credentials `them` and `PASSWORD`.
    fn seat(&mut self, number: u64) -> LocalTransport {
        let endpoint = EndpointId(number);
        let spec = EndpointSpec {
            conference: ConferenceId(1),
            endpoint,
            payload_types: PayloadTypes::new(),
            extensions: ExtensionIds::default(),
            ssrc_rewriting: false,
            visitor: false,
            feedback: FeedbackSsrcs { audio: Ssrc(1), video: Ssrc(2) },
        };
        self.media.command(Command::CreateEndpoint(Box::new(spec))).unwrap();
        let remote = RemoteTransport { ufrag: "them".into(), pwd: PASSWORD.into(), candidates: Vec::new() };
        self.media.command(Command::SetTransport { endpoint, remote }).unwrap();
        let offer = std::iter::from_fn(|| self.media.poll_report()).find_map(|report| match report {
            Report::EndpointReady { transport, .. } => Some(*transport),
            _ => None,
        });
        // A worker takes orders in its own time, and the checks below are sent once only.
        std::thread::sleep(Duration::from_millis(200));
        offer.unwrap()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream
    }

    /// Waits until as many connections have ended for this reason.
    fn ended(&self, ending: TcpEnding, count: u64) {
        let until = Instant::now() + Duration::from_secs(10);
        while self.status.tcp.read().ended[ending as usize] < count {
            assert!(Instant::now() < until, "{ending:?}: {:?}", self.status.tcp.read());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

const PASSWORD: &str = "o1W45678901234567890ab";
const LIMITS: Limits = Limits { connections_max: 100, per_address_max: 100 };

/// A connectivity check of the client in its frame.
fn check(offer: &LocalTransport, id: u8) -> Vec<u8> {
    let mut buffer = [0; 400];
    let len = wire::stun::Writer::new(&mut buffer, wire::stun::Class::Request, [id; 12])
        .username(&offer.ufrag, "them")
        .priority(1)
        .ice_controlled(7)
        .integrity(|parts| hmac(offer.pwd.as_bytes(), parts))
        .fingerprint()
        .finish()
        .unwrap();
    let mut frame = wire::framing::header(len).unwrap().to_vec();
    frame.extend(&buffer[..len]);
    frame
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    let mut context = aws_lc_rs::hmac::Context::with_key(&key);
    parts.iter().for_each(|part| context.update(part));
    context.sign().as_ref().try_into().unwrap()
}

fn read_frame(stream: &mut TcpStream) -> Vec<u8> {
    let mut header = [0; 2];
    stream.read_exact(&mut header).unwrap();
    let mut frame = vec![0; usize::from(u16::from_be_bytes(header))];
    stream.read_exact(&mut frame).unwrap();
    frame
}

/// Whether the server ended the connection.
fn is_over(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn a_check_byte_by_byte_is_answered_and_its_pair_nominated() {
    for ring in [true, false] {
        answered_and_nominated(Server::start_on(ring, LIMITS));
    }
}

fn answered_and_nominated(mut server: Server) {
    let offer = server.seat(1);
    let mut stream = server.connect();
    stream.set_nodelay(true).unwrap();
    for byte in check(&offer, 1) {
        stream.write_all(&[byte]).unwrap();
    }
    let mut classes = Vec::new();
    let peer = stream.local_addr().unwrap();
    let connected = loop {
        let frame = read_frame(&mut stream);
        let message = wire::stun::Message::parse(&frame).unwrap();
        classes.push(message.class());
        if message.class() == wire::stun::Class::Request {
            let mut buffer = [0; 200];
            let len =
                wire::stun::Writer::new(&mut buffer, wire::stun::Class::Success, message.transaction_id())
                    .xor_mapped_address(server.address)
                    .integrity(|parts| hmac(PASSWORD.as_bytes(), parts))
                    .fingerprint()
                    .finish()
                    .unwrap();
            stream.write_all(&wire::framing::header(len).unwrap()).unwrap();
            stream.write_all(&buffer[..len]).unwrap();
        }
        if message.use_candidate() {
            std::thread::sleep(Duration::from_millis(50));
            break std::iter::from_fn(|| server.media.poll_report()).find_map(|report| match report {
                Report::TransportConnected { remote, .. } => Some(remote),
                _ => None,
            });
        }
    };
    assert_eq!(connected, Some(peer));
    assert_eq!(classes[0], wire::stun::Class::Success, "the check is answered first: {classes:?}");
    let reading = server.status.tcp.read();
    assert_eq!((reading.open, reading.proved, reading.lost_inbound), (1, 1, 0));
    drop(stream);
    server.ended(TcpEnding::Closed, 1);
    assert_eq!(server.status.tcp.read().open, 0);
}

#[test]
fn what_is_not_ice_is_thrown_out_at_once() {
    let mut server = Server::start(LIMITS);
    let offer = server.seat(1);
    let mut wrong = check(&offer, 2);
    wrong[2 + 20 + 4] ^= 1;
    let table: [(&str, Vec<u8>); 5] = [
        ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("TLS", [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC][..], &[7; 6_000]].concat()),
        ("a frame of 64 KiB", vec![0xFF; 9_000]),
        ("a frame without content", vec![0, 0]),
        ("a check for another server", wrong),
    ];
    for (count, (name, bytes)) in table.into_iter().enumerate() {
        let mut stream = server.connect();
        // The server may close before all is written.
        let _ = stream.write_all(&bytes);
        assert!(is_over(&mut stream), "{name}");
        server.ended(TcpEnding::Malformed, count as u64 + 1);
    }
    assert_eq!(server.status.tcp.read().open, 0);
}

#[test]
fn a_connection_that_says_nothing_is_closed_after_five_seconds_and_does_not_block_others() {
    let mut server = Server::start(LIMITS);
    let offer = server.seat(1);
    let silent: Vec<TcpStream> = (0..20).map(|_| server.connect()).collect();
    let mut half = server.connect();
    half.write_all(&check(&offer, 3)[..10]).unwrap();
    let mut good = server.connect();
    good.write_all(&check(&offer, 4)).unwrap();
    assert_eq!(read_frame(&mut good)[..2], [0x01, 0x01]);
    server.ended(TcpEnding::Unproved, 21);
    assert_eq!(server.status.tcp.read().open, 1, "the good one lives");
    drop((silent, half));
}

#[test]
fn connections_beyond_the_limit_are_refused_and_counted() {
    let server = Server::start(Limits { connections_max: 3, per_address_max: 1 });
    let kept: Vec<TcpStream> = (0..3).map(|_| server.connect()).collect();
    std::thread::sleep(Duration::from_millis(50));
    let mut fourth = server.connect();
    assert!(is_over(&mut fourth), "loopback is bounded in all, not by address");
    let reading = server.status.tcp.read();
    assert_eq!((reading.open, reading.refused), (3, 1));
    drop(kept);
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_datagrams_first_and_then_the_connection() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_client, accepted) = tokio::join!(tokio::net::TcpStream::connect(address), listener.accept());
    let (stream, peer) = accepted.unwrap();
    let connection = connection::Connection::new(stream::Stream::Plain(stream), peer);
    connection.named.set(true);
    let write = async {
        while let Some(bytes) = connection.next_write(Vec::new()).await {
            connection.stream.write_all(bytes).await.0.unwrap();
            connection.written();
        }
    };
    let push = async {
        let datagram = [0x80; 1_400];
        let mut kept = 0;
        // The kernel takes some megabytes on loopback; then nothing moves.
        while kept < 100_000 && connection.push(&datagram) {
            kept += 1;
            tokio::task::yield_now().await;
        }
        assert!(kept < 100_000, "what waits is bounded");
        let now = Instant::now();
        assert_eq!(connection.overdue(now), None);
        assert_eq!(connection.overdue(now + Duration::from_secs(11)), Some(TcpEnding::Slow));
    };
    tokio::select! {
        () = write => panic!("nobody reads"),
        () = push => {}
    }
}
