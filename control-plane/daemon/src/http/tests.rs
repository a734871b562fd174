use std::net::{SocketAddr, TcpListener};
use std::time::Instant;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message as WsMessage};

use super::*;
use crate::limiter::Limiter;
use crate::signaling_loop::{Clock, SignalingLoop, queue};
use crate::{private_http, supervise};

mod bosh;
mod entrance;
mod floods;
mod scrapes;

/// A whole server without media, on ports of its own.
struct Server {
    public: SocketAddr,
    private: SocketAddr,
    signaling: Handle,
    shared: Public,
}

async fn server(settings: &str) -> Server {
    let config = Config::parse(settings, []).unwrap();
    let status = Arc::new(Status::new());
    let (handle, messages) = queue();
    let streams = xmpp::Streams::new(supervise::streams_config(&config), supervise::random());
    let certificate = channel::Certificate::generate().unwrap();
    let signaling = supervise::signaling_config(&config, certificate.fingerprint()).unwrap();
    let signaling = signaling::Signaling::new(signaling, supervise::random());
    let looped = SignalingLoop::new(Clock::new(), streams, signaling, None, None, Arc::clone(&status));
    tokio::spawn(looped.run(messages));

    let domains = Domains::of(&config.xmpp.domain);
    let verifier = config.auth.jwt.as_ref().map(|jwt| Verifier::new(jwt).unwrap());
    let public = Public::new(&config, domains, handle.clone(), Arc::clone(&status)).unwrap();
    let shared = public.with_verifier(verifier);
    let routes = router(shared.clone(), &[]);
    let limiter = Limiter::new(config.http.connections_max, 10, Arc::clone(&status));
    let public = listen(routes, limiter.clone());
    let private = listen(private_http::router(status), limiter);
    Server { public, private, signaling: handle, shared }
}

fn listen(routes: Router, limiter: Limiter) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, limiter, routes, axum_server::Handle::new()));
    address
}

/// Sends `request` as it is and reads until the server closes.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    read.expect("the server closes in time").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

async fn get_page(address: SocketAddr, path: &str) -> String {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await
}

async fn send(address: SocketAddr, method: &str, path: &str, body: &str) -> String {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    exchange(address, &(head + body)).await
}

fn status_of(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

#[tokio::test]
async fn every_room_is_the_page() {
    let server = server("").await;
    for path in ["/", "/standup", "/standup?join=1&name=Ann", "/caf%C3%A9", "/tenant/standup"] {
        let answer = get_page(server.public, path).await;
        assert_eq!(status_of(&answer), "200", "{path}: {answer}");
        assert!(answer.contains("<!doctype html>"), "{path}");
        assert!(answer.to_ascii_lowercase().contains("x-content-type-options: nosniff"));
        assert!(answer.to_ascii_lowercase().contains("content-security-policy: default-src 'self'"));
    }
}

#[tokio::test]
async fn the_configuration_is_a_script() {
    let server = server("").await;
    let answer = get_page(server.public, "/config.js?room=standup").await;
    assert_eq!(status_of(&answer), "200");
    assert!(answer.contains("content-type: text/javascript"), "{answer}");
    assert!(answer.contains("conference.meet.sluice"));
}

#[tokio::test]
async fn conference_requests_are_answered_with_properties() {
    let server = server("").await;
    let body = r#"{"room":"standup@conference.meet.sluice","machineUid":"u","more":[1],
        "properties":{"rtcstatsEnabled":false,"visitors-version":1,"x":null}}"#;
    let answer = send(server.public, "POST", "/conference-request/v1", body).await;
    assert_eq!(status_of(&answer), "200", "{answer}");
    assert!(answer.contains("\"ready\":true") && answer.contains("\"properties\":{"), "{answer}");
    assert!(answer.contains("\"focusJid\":\"focus@auth.meet.sluice\""), "{answer}");
    assert!(answer.contains("access-control-allow-origin: *"));

    let table = [
        ("not JSON", "{"),
        ("no room", "{}"),
        ("another domain", r#"{"room":"standup@conference.elsewhere"}"#),
        ("no node", r#"{"room":"conference.meet.sluice"}"#),
        ("no address", r#"{"room":"@@"}"#),
        ("a lobby", r#"{"room":"standup@lobby.meet.sluice"}"#),
        ("a breakout room of no meeting", r#"{"room":"abc@breakout.meet.sluice"}"#),
        ("a health check", r#"{"room":"__JICOFO-health-check-1@conference.meet.sluice"}"#),
    ];
    for (name, body) in table {
        let answer = send(server.public, "POST", "/conference-request/v1", body).await;
        assert_eq!(status_of(&answer), "400", "{name}: {answer}");
    }
    let tenant = r#"{"room":"StandUp@Conference.Acme.meet.sluice"}"#;
    let answer = send(server.public, "POST", "/acme/conference-request/v1", tenant).await;
    assert!(answer.contains("\"room\":\"standup@conference.acme.meet.sluice\""), "{answer}");
    let options = send(server.public, "OPTIONS", "/conference-request/v1", "").await;
    assert_eq!(status_of(&options), "200");
    assert!(options.contains("access-control-allow-methods: POST, OPTIONS"));
    assert_eq!(status_of(&send(server.public, "GET", "/conference-request/v1", "").await), "405");
}

#[tokio::test]
async fn draining_refuses_conference_requests() {
    let server = server("").await;
    let body = r#"{"room":"standup@conference.meet.sluice"}"#;
    assert!(send(server.private, "POST", "/drain/enable", "").await.contains("{\"drain\":true}"));
    assert_eq!(status_of(&send(server.public, "POST", "/conference-request/v1", body).await), "503");
    assert!(send(server.private, "POST", "/drain/disable", "").await.contains("{\"drain\":false}"));
    assert_eq!(status_of(&send(server.public, "POST", "/conference-request/v1", body).await), "200");
}

#[tokio::test]
async fn private_pages_are_private() {
    let server = server("").await;
    for path in ["/about/health", "/about/version", "/metrics", "/colibri/stats", "/debug", "/drain"] {
        let answer = get_page(server.private, path).await;
        assert_eq!(status_of(&answer), "200", "{path}: {answer}");
        assert!(
            get_page(server.public, path).await.contains("<!doctype html>"),
            "{path} is a room name in public"
        );
    }
    assert!(get_page(server.private, "/about/health").await.ends_with("healthy\n"));
    assert!(get_page(server.private, "/metrics").await.ends_with("# EOF\n"));
    assert!(get_page(server.private, "/colibri/stats").await.contains("\"participants\":0"));
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<TcpStream>>;

async fn open(
    server: &Server,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Result<Socket, tungstenite::Error> {
    let mut request = format!("ws://{}{path}", server.public).into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
    }
    tokio_tungstenite::connect_async(request).await.map(|(socket, _)| socket)
}

fn refused(result: Result<Socket, tungstenite::Error>) -> u16 {
    match result {
        Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
        Err(other) => panic!("{other}"),
        Ok(_) => 101,
    }
}

const XMPP: (&str, &str) = ("sec-websocket-protocol", "xmpp");

#[tokio::test]
async fn a_stream_opens_over_a_web_socket() {
    let server = server("").await;
    let mut socket = open(&server, "/xmpp-websocket?room=standup", &[XMPP]).await.unwrap();
    let open = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.sluice' version='1.0'/>";
    socket.send(WsMessage::text(open)).await.unwrap();
    let first = socket.next().await.unwrap().unwrap().into_text().unwrap();
    assert!(first.starts_with("<open "), "{first}");
    let second = socket.next().await.unwrap().unwrap().into_text().unwrap();
    assert!(second.contains("ANONYMOUS"), "{second}");
}

#[tokio::test]
async fn stopping_closes_streams() {
    let server = server("").await;
    let mut socket = open(&server, "/xmpp-websocket?room=standup", &[XMPP]).await.unwrap();
    let (done, stopped) = oneshot::channel();
    server.signaling.send(Message::Stop { done }).await.unwrap();
    stopped.await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(5), socket.next()).await.unwrap();
    assert!(matches!(end, Some(Ok(WsMessage::Close(_))) | Some(Err(_)) | None), "{end:?}");
}

#[tokio::test]
async fn web_sockets_are_refused_without_subprotocol_from_foreign_pages_and_without_password() {
    let server = server("[http]\nallowed_origins = ['https://portal.example']").await;
    let own = format!("http://{}", server.public);
    let foreign = ("origin", "https://evil.example");
    let channel = "/colibri-ws/default/abc/ann?pwd=guess";
    type Headers<'a> = Vec<(&'static str, &'a str)>;
    let table: [(&str, &str, Headers<'_>, u16); 7] = [
        ("plain", "/xmpp-websocket", vec![XMPP], 101),
        ("own page", "/xmpp-websocket", vec![XMPP, ("origin", &own)], 101),
        ("listed page", "/xmpp-websocket", vec![XMPP, ("origin", "https://portal.example")], 101),
        ("foreign page", "/xmpp-websocket", vec![XMPP, foreign], 403),
        ("no subprotocol", "/xmpp-websocket", vec![], 400),
        ("wrong password", channel, vec![], 403),
        ("no password", "/colibri-ws/default/abc/ann", vec![], 403),
    ];
    for (name, path, headers, expected) in table {
        assert_eq!(refused(open(&server, path, &headers).await), expected, "{name}");
    }
    assert_eq!(status_of(&get_page(server.public, "/xmpp-websocket").await), "200", "keeps proxies awake");
}

#[tokio::test]
async fn binary_frames_and_giant_frames_end_a_connection() {
    let server = server("").await;
    for frame in [WsMessage::binary(vec![0u8; 4]), WsMessage::text("x".repeat(FRAME_BYTES_MAX + 1))] {
        let mut socket = open(&server, "/xmpp-websocket?room=standup", &[XMPP]).await.unwrap();
        let _ = socket.send(frame).await;
        let end = tokio::time::timeout(Duration::from_secs(5), socket.next()).await.unwrap();
        assert!(matches!(end, Some(Ok(WsMessage::Close(_))) | Some(Err(_)) | None), "{end:?}");
    }
}

#[tokio::test]
async fn time_limits_of_head_and_body_fire() {
    let server = server("").await;
    let begun = Instant::now();
    let half_a_head = exchange(server.public, "GET / HTTP/1.1\r\nHost:");
    let half_a_body = exchange(
        server.public,
        "POST /conference-request/v1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\n\r\n{",
    );
    let silence = exchange(server.public, "");
    // Told from the preface of HTTP/2 by no byte yet.
    let hardly_begun = exchange(server.public, "P");
    let (head, body, silence, hardly_begun) = tokio::join!(half_a_head, half_a_body, silence, hardly_begun);
    assert_eq!((silence.as_str(), hardly_begun.as_str()), ("", ""));
    assert!(head.is_empty() || status_of(&head) == "408", "{head}");
    assert!(["400", "408"].contains(&status_of(&body)), "{body}");
    assert!(begun.elapsed() >= HEAD_WITHIN && begun.elapsed() < ANSWER_WITHIN + Duration::from_secs(2));
}

#[tokio::test]
async fn long_heads_and_bodies_are_refused() {
    let server = server("").await;
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(HEAD_BYTES_MAX));
    assert_eq!(status_of(&exchange(server.public, &long).await), "431");
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(FIELDS_MAX + 1));
    assert_eq!(status_of(&exchange(server.public, &many).await), "431");
    let body = "x".repeat(BODY_BYTES_MAX + 1);
    let answer = send(server.public, "POST", "/conference-request/v1", &body).await;
    assert!(["400", "413"].contains(&status_of(&answer)), "{answer}");
}

/// RFC 9112 §6.3, §11.2: whoever stands in front could end such a request elsewhere than we do.
#[tokio::test]
async fn requests_whose_length_can_be_read_in_two_ways_are_refused() {
    let server = server("").await;
    let body = r#"{"room":"standup@conference.meet.sluice"}"#;
    let length = body.len();
    let rows = [
        format!("Content-Length: {length}\r\nContent-Length: {}\r\n", length + 1),
        format!("Content-Length: {length}, {}\r\n", length + 1),
        format!("Content-Length: +{length}\r\n"),
        "Content-Length: -1\r\n".to_owned(),
        "Content-Length: 0x10\r\n".to_owned(),
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
        "Transfer-Encoding: identity\r\n".to_owned(),
        "Transfer-Encoding: chunked, identity\r\n".to_owned(),
        format!("Content-Length : {length}\r\n"),
        format!("Content-Length: {length}\r\n folded: x\r\n"),
    ];
    for fields in rows {
        let request = format!(
            "POST /conference-request/v1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Content-Type: application/json\r\n{fields}\r\n{body}"
        );
        assert_eq!(status_of(&exchange(server.public, &request).await), "400", "{fields}");
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_places_are_given_back() {
    let server = server("[http]\nconnections_max = 2").await;
    let (one, two) =
        (TcpStream::connect(server.public).await.unwrap(), TcpStream::connect(server.public).await.unwrap());
    let mut three = TcpStream::connect(server.public).await.unwrap();
    let mut byte = [0];
    let closed = tokio::time::timeout(Duration::from_secs(3), three.read(&mut byte)).await.unwrap();
    assert!(matches!(closed, Ok(0) | Err(_)));
    drop((one, two));
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut again = TcpStream::connect(server.public).await.unwrap();
        let request = "GET /config.js HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let mut answer = Vec::new();
        if again.write_all(request.as_bytes()).await.is_ok()
            && again.read_to_end(&mut answer).await.is_ok()
            && answer.starts_with(b"HTTP/1.1 200")
        {
            return;
        }
    }
    panic!("places are not given back");
}

#[tokio::test]
async fn who_may_frame_the_page_is_a_setting() {
    let answer = get_page(server("").await.public, "/standup").await.to_ascii_lowercase();
    assert!(answer.contains("; frame-ancestors *\r\n"), "{answer}");
    let server = server("[web]\nframe_ancestors = [\"'self'\", 'https://portal.example']").await;
    let answer = get_page(server.public, "/standup").await.to_ascii_lowercase();
    assert!(answer.contains("; frame-ancestors 'self' https://portal.example\r\n"), "{answer}");
}

#[tokio::test]
async fn tenants_have_a_configuration_of_their_own() {
    let server = server("").await;
    let answer = get_page(server.public, "/acme/config.js?room=standup").await;
    assert!(answer.contains("conference.acme.meet.sluice"), "{answer}");
    assert_eq!(status_of(&get_page(server.public, "/we!rd/config.js").await), "404");
    let answer = get_page(server.public, "/interface_config.js").await;
    assert!(answer.contains("interfaceConfig.APP_NAME = \"Sluice\""), "{answer}");
}

#[tokio::test]
async fn the_built_in_client_says_that_it_cannot_be_embedded_by_script() {
    let server = server("").await;
    for path in ["/external_api.js", "/acme/external_api.js"] {
        let answer = get_page(server.public, path).await;
        assert_eq!(status_of(&answer), "404", "{path}");
        assert!(answer.contains("web.root"), "{path}: {answer}");
    }
}
