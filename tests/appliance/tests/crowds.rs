//! Strangers and crowds against the built server, over its real listener: what they hold, what they cost others, and that
//! all of it comes back. Needs `SLUICE_BINARY`; without it the tests say that they were skipped.

use std::process::Command;
use std::time::{Duration, Instant};

use appliance::service::Service;
use appliance::{server, skipped};
use bench_signalling::client::{Client, masked};
use bench_signalling::usage::usage;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

const DOMAIN: &str = "meet.sluice";

/// A server that is ready, or `None` after saying that `what` is skipped. With `descriptors` it has no more than these.
fn started(what: &str, name: &str, descriptors: Option<u32>) -> Option<Service> {
    let Some(binary) = server() else {
        skipped(what, "SLUICE_BINARY does not name a built server");
        return None;
    };
    // All clients of a test are in this process.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(65_536), hard).expect("our own limit can be raised");
    let mut command = match descriptors {
        None => {
            let mut command = Command::new(binary);
            command.arg("serve");
            command
        }
        Some(count) => {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("ulimit -n {count}; exec \"$0\" serve")]).arg(binary);
            command
        }
    };
    command.env("SLUICE__CONFERENCE__OCCUPANTS_MAX", "1000");
    let service = Service::start(name, command);
    service.wait_for("READY=1");
    service.ignore();
    Some(service)
}

fn memory(service: &Service) -> u64 {
    usage(service.pid()).expect("it runs").memory
}

fn cpu(service: &Service) -> Duration {
    usage(service.pid()).expect("it runs").cpu
}

/// Lets `count` clients into `room`, fifty a second; they stay, without media, until the test ends.
async fn occupy(service: &Service, room: &'static str, count: usize) {
    let (joined, mut all) = mpsc::unbounded_channel();
    for _ in 0..count {
        let (address, joined) = (service.public(), joined.clone());
        tokio::spawn(async move {
            let mut client = Client::open(&address, DOMAIN, room).await.expect("a stream");
            client.decline();
            client.join(DOMAIN).await.expect("let in");
            let _ = joined.send(());
            drop(joined);
            let _ = client.stay(Instant::now() + Duration::from_secs(600)).await;
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(joined);
    for _ in 0..count {
        all.recv().await.expect("every client gets in");
    }
    // Until what joins left behind has been taken away.
    tokio::time::sleep(Duration::from_secs(3)).await;
}

/// At the margin, so that what the server takes once does not count.
#[tokio::test]
async fn an_idle_occupant_without_media_holds_less_than_64_kb() {
    let Some(service) = started("memory of an occupant", "memory", None) else { return };
    occupy(&service, "idle", 200).await;
    let small = memory(&service);
    occupy(&service, "idle", 400).await;
    let each = memory(&service).saturating_sub(small) / 400;
    println!("{each} bytes each");
    assert!(each < 64 * 1_024, "{each} bytes each");
}

/// Answers a request for a small page on a connection of its own.
async fn page(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /config.js HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// The times of `count` pages, slowest last.
async fn pages(address: &str, count: usize) -> Vec<Duration> {
    let mut took = Vec::new();
    for _ in 0..count {
        let begun = Instant::now();
        let answer = page(address).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer:.100}");
        took.push(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    took.sort_unstable();
    took
}

/// Asks over a connection that stands already.
async fn ask_again(stream: &mut TcpStream) {
    stream.write_all(b"GET /about/nothing.js HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("taken");
    let mut buffer = [0; 65_536];
    let read = tokio::time::timeout(Duration::from_secs(3), stream.read(&mut buffer)).await;
    assert!(read.expect("in time").expect("an answer") > 0, "a connection that stands is served");
    // The rest of the page.
    while let Ok(Ok(1..)) = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut buffer)).await {}
}

#[tokio::test]
async fn out_of_descriptors_it_serves_who_is_there_does_not_spin_and_recovers() {
    let Some(service) = started("a low limit of descriptors", "descriptors", Some(256)) else { return };
    let address = service.public();
    let mut old = TcpStream::connect(&address).await.expect("there is room");
    let span = Duration::from_secs(2);
    let mut costs = Vec::new();
    let mut crowd = Vec::new();
    for is_crowded in [false, true] {
        if is_crowded {
            let connecting: tokio::task::JoinSet<_> =
                (0..300).map(|_| TcpStream::connect(address.clone())).collect();
            crowd.extend(connecting.join_all().await);
            tokio::time::sleep(Duration::from_millis(200)).await;
            let open = std::fs::read_dir(format!("/proc/{}/fd", service.pid())).expect("it runs").count();
            assert!(open >= 250, "it has descriptors left: {open}");
        }
        let (before, end) = (cpu(&service), Instant::now() + span);
        while Instant::now() < end {
            ask_again(&mut old).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        costs.push(cpu(&service).saturating_sub(before));
    }
    assert!(costs[1] <= costs[0] + span / 10, "{:?} of CPU in {span:?}, {:?} before", costs[1], costs[0]);
    drop(crowd);
    let answer = tokio::time::timeout(Duration::from_secs(10), page(&address)).await;
    let answer = answer.expect("it takes connections again").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:.100}");
    assert!(service.healthy());
}

/// Silent connections, half heads, half bodies: each is closed in its time, and pages come as before.
#[tokio::test]
async fn a_thousand_slow_connections_are_closed_in_time_and_harm_nobody() {
    let Some(service) = started("slow connections", "slow", None) else { return };
    let address = service.public();
    let before = pages(&address, 50).await;
    let rows: [(&str, u64); 3] = [
        ("", 5),
        ("GET /config.js HTTP/1.1\r\nHost: x\r\nX-Slow: ", 5),
        (
            "POST /conference-request/v1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: 1000\r\n\r\n{",
            15,
        ),
    ];
    let mut slow = Vec::new();
    for number in 0..1_000 {
        let (text, limit_s) = rows[number % rows.len()];
        let address = address.clone();
        slow.push(tokio::spawn(async move {
            let mut stream = TcpStream::connect(&address).await.expect("taken");
            stream.write_all(text.as_bytes()).await.expect("taken");
            let begun = Instant::now();
            let dripping = async {
                let (mut read, mut write) = stream.split();
                let mut answer = Vec::new();
                let drip = async {
                    // One byte a second keeps nothing alive.
                    while !text.is_empty() {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        if write.write_all(b"x").await.is_err() {
                            break;
                        }
                    }
                    std::future::pending::<()>().await;
                };
                tokio::select! {
                    _ = read.read_to_end(&mut answer) => {}
                    () = drip => {}
                }
            };
            let limit = Duration::from_secs(limit_s + 3);
            let closed = tokio::time::timeout(limit, dripping).await;
            assert!(closed.is_ok(), "{:?} after {:?}", text.get(..20), begun.elapsed());
        }));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let during = pages(&address, 50).await;
    let limit = (before[48] * 2).max(Duration::from_millis(100));
    assert!(during[48] <= limit, "{:?} with them, {:?} without", during[48], before[48]);
    for connection in slow {
        connection.await.expect("closed in its time");
    }
}

/// A WebSocket that never says anything, or why there is none.
async fn silent_web_socket(address: &str) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = "GET /xmpp-websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n";
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.ok()?;
    (head == *b"HTTP/1.1 101").then_some(stream)
}

/// Who does not sign in holds a bounded number of places for a bounded time, and leaves no memory behind.
#[tokio::test]
async fn web_sockets_without_a_login_are_bounded_closed_and_forgotten() {
    let Some(service) = started("connections without a login", "strangers", None) else { return };
    let address = service.public();
    let cycles = |count: usize| {
        let address = address.clone();
        async move {
            for _ in 0..count {
                drop(silent_web_socket(&address).await.expect("there is room"));
            }
        }
    };
    cycles(1_000).await;
    let before = memory(&service);
    cycles(5_000).await;
    let after = memory(&service);
    assert!(after <= before + before / 50 + 1_024 * 1_024, "{before} bytes before, {after} after");

    let mut held = Vec::new();
    for _ in 0..700 {
        held.extend(silent_web_socket(&address).await);
    }
    let begun = Instant::now();
    let mut closed_at = Vec::new();
    let mut reading = tokio::task::JoinSet::new();
    for mut stream in held {
        reading.spawn(async move { stream.read_to_end(&mut Vec::new()).await });
    }
    while let Ok(Some(_)) = tokio::time::timeout(Duration::from_secs(15), reading.join_next()).await {
        closed_at.push(begun.elapsed());
    }
    assert_eq!(closed_at.len(), 700, "all are closed");
    let at_once = closed_at.iter().filter(|at| **at < Duration::from_secs(4)).count();
    assert!((150..=250).contains(&at_once), "{at_once} of 700 had no place among 500");
    assert!(service.healthy());
}

/// A hundred joins and leaves a second in a room of fifty, each told to all.
#[tokio::test]
async fn churn_in_a_large_room_leaves_the_server_responsive() {
    let Some(service) = started("churn", "churn", None) else { return };
    occupy(&service, "churn", 50).await;
    let mut witness = Client::open(&service.public(), DOMAIN, "churn").await.expect("a stream");
    witness.decline();
    witness.join(DOMAIN).await.expect("let in");
    let end = Instant::now() + Duration::from_secs(6);
    let mut churning = tokio::task::JoinSet::new();
    for number in 0..50 {
        let address = service.public();
        churning.spawn(async move {
            let mut client = Client::open(&address, DOMAIN, "churn").await.expect("a stream");
            client.decline();
            tokio::time::sleep(Duration::from_millis(10 * number)).await;
            let mut joins = 0;
            while Instant::now() < end {
                let next = Instant::now() + Duration::from_millis(500);
                client.join(DOMAIN).await.expect("let in");
                client.leave().await.expect("out again");
                joins += 1;
                tokio::time::sleep_until(next.into()).await;
            }
            joins
        });
    }
    let mut pings = Vec::new();
    while Instant::now() < end {
        pings.push(witness.ping(DOMAIN).await.expect("an answer"));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let joins: usize = churning.join_all().await.into_iter().sum();
    pings.sort_unstable();
    let p99 = pings[pings.len() * 99 / 100];
    println!("{joins} joins and leaves in 6 s, ping p99 {p99:?} of {}", pings.len());
    assert!(joins >= 300, "{joins} joins in six seconds");
    assert!(p99 <= Duration::from_secs(1), "{p99:?}");
}

const OPEN: &str = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.sluice' version='1.0'/>";

/// What no stream may hold, and the condition under which it ends one that has been opened (RFC 6120 §4.9.3).
fn hostile_elements() -> Vec<(String, &'static str)> {
    let numbered = |count: usize, each: fn(usize) -> String| (0..count).map(each).collect::<String>();
    let broken = [
        "<a>",
        "</a>",
        "<a></b>",
        "<a",
        "<a b/>",
        "<a b=c/>",
        "<a b='1' b='2'/>",
        "<a b='<'/>",
        "<a b='&'/>",
        "<a>&</a>",
        "<a>]]></a>",
        "<a>\0</a>",
        "<a>\u{1f}</a>",
        "<a>\u{ffff}</a>",
        "<a>&#0;</a>",
        "<a>&#x1;</a>",
        "<a>&#xD800;</a>",
        "<a>&#xFFFFFFFFFF;</a>",
        "<a k='&#1;'/>",
        "<p:a/>",
        "<a p:k=''/>",
        "<p:q:a xmlns:p='u'/>",
        "<1a/>",
        "<a\"b/>",
        "<a 1='x'/>",
        "<:a/>",
        "<xmlns:a/>",
        "<xml:a/>",
        "<a xmlns='http://www.w3.org/2000/xmlns/'/>",
        "<a xmlns:xml='u'/>",
        "<a xmlns:p=''/>",
        "<a xmlns:p='u' xmlns:q='u' p:k='1' q:k='2'/>",
        "<![CDATA[",
    ];
    let restricted = [
        "<!-- c -->",
        "<a><!-- c --></a>",
        "<?xml version='1.0'?><a/>",
        "<a><?php x?></a>",
        "<!DOCTYPE a><a/>",
        "<!DOCTYPE a [<!ENTITY b 'bbbbbbbb'><!ENTITY c '&b;&b;&b;&b;'><!ENTITY d '&c;&c;&c;&c;'>]><a>&d;</a>",
        "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>",
        "<!DOCTYPE a [<!ENTITY % p SYSTEM 'http://127.0.0.1:1/'>%p;]><a/>",
        "<a>&e;</a>",
        "<a k='&e;'/>",
        "<a>&nbsp;</a>",
    ];
    let large = [
        "<a>".repeat(3_000),
        format!("{}{}", "<a>".repeat(100), "</a>".repeat(100)),
        format!("<a{}/>", numbered(300, |i| format!(" k{i}=''"))),
        format!("<a{}/>", numbered(40, |i| format!(" xmlns:p{i}='u{i}'"))),
        format!("<{}/>", "n".repeat(300)),
        format!("<a>{}</a>", "x".repeat(12_000)),
    ];
    let broken = broken.map(|text| (text.to_owned(), "not-well-formed"));
    let restricted = restricted.map(|text| (text.to_owned(), "restricted-xml"));
    let large = large.map(|text| (text, "policy-violation"));
    broken.into_iter().chain(restricted).chain(large).collect()
}

/// What a stranger says and which of the conditions are proper answers to the last of it.
type Shape = (Vec<String>, Vec<&'static str>);

/// Each hostile element in place of the stream's opening, of the log-in, and within one.
fn hostile_streams() -> Vec<Shape> {
    let all = vec!["not-well-formed", "restricted-xml", "policy-violation"];
    let shapes = hostile_elements().into_iter().flat_map(|(element, condition)| {
        let login =
            format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'>{element}</auth>");
        [
            (vec![element.clone()], vec![condition]),
            (vec![OPEN.to_owned(), element], vec![condition]),
            // Around it the text may be wrong in another way before.
            (vec![OPEN.to_owned(), login], all.clone()),
        ]
    });
    shapes.collect()
}

/// Says it over a WebSocket of its own: all that the server sent until it closed the connection.
async fn stranger(address: &str, said: &[String]) -> String {
    let mut stream = silent_web_socket(address).await.expect("there is room");
    for text in said {
        // It may have ended before.
        let _ = stream.write_all(&masked(0x1, text.as_bytes())).await;
    }
    let mut answer = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(closed.is_ok(), "still open after {said:.60?}: {answer}");
    answer
}

/// Opens a BOSH session around it: the answer, head and all.
async fn stranger_over_bosh(address: &str, element: &str) -> String {
    let body = format!(
        "<body xmlns='http://jabber.org/protocol/httpbind' rid='7' to='{DOMAIN}' wait='1' hold='1' ver='1.6'>{element}</body>"
    );
    let mut stream = TcpStream::connect(address).await.expect("taken");
    let head = format!(
        "POST /http-bind HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.expect("taken");
    let mut answer = String::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_string(&mut answer)).await;
    read.expect("in time").expect("an answer");
    answer
}

/// Ten connections at once say each shape `rounds` times: every one is refused for its reason and closed.
async fn say_all(address: &str, rounds: usize) -> usize {
    let mut saying = tokio::task::JoinSet::new();
    for connection in 0..10 {
        let address = address.to_owned();
        saying.spawn(async move {
            let mut said = 0;
            let turns = (0..rounds).flat_map(|_| hostile_streams().into_iter().enumerate());
            for (_, (texts, conditions)) in turns.filter(|(number, _)| number % 10 == connection) {
                let answer = stranger(&address, &texts).await;
                let is_proper = conditions.iter().any(|condition| answer.contains(&format!("<{condition} ")));
                assert!(answer.contains("<stream:error") && is_proper, "{texts:.80?}: {answer}");
                said += 1;
            }
            let turns = (0..rounds).flat_map(|_| hostile_elements().into_iter().enumerate());
            for (_, (element, _)) in turns.filter(|(number, _)| number % 10 == connection) {
                let answer = stranger_over_bosh(&address, &element).await;
                let is_refused = answer.starts_with("HTTP/1.1 4") || answer.contains("type='terminate'");
                assert!(is_refused, "{element:.80}: {answer}");
                said += 1;
            }
            said
        });
    }
    saying.join_all().await.into_iter().sum()
}

/// XML that is broken, forbidden or too large, before any login, by WebSocket and BOSH.
#[tokio::test]
async fn two_hundred_hostile_shapes_of_xml_are_refused_cost_others_nothing_and_leave_nothing_behind() {
    let Some(service) = started("hostile XML", "hostile", None) else { return };
    let address = service.public();
    let mut witness = Client::open(&address, DOMAIN, "hostile").await.expect("a stream");
    let shapes = say_all(&address, 1).await;
    assert!(shapes >= 200, "{shapes} shapes");
    say_all(&address, 4).await;
    let before = memory(&service);
    let flood = tokio::spawn(async move { say_all(&address, 100).await });
    let mut pings = Vec::new();
    while !flood.is_finished() {
        pings.push(witness.ping(DOMAIN).await.expect("an answer"));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let said = flood.await.expect("all are refused");
    pings.sort_unstable();
    let p99 = pings[pings.len() * 99 / 100];
    let after = memory(&service);
    println!(
        "{shapes} shapes, {said} more; {before} bytes before, {after} after; others' ping p99 {p99:?} of {}",
        pings.len()
    );
    assert!(after <= before + before / 50, "{before} bytes before, {after} after");
    assert!(p99 <= Duration::from_millis(100), "others wait {p99:?}");
    assert!(service.healthy());
}
