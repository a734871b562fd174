//! Floods by those who got in and by those who did not, through the real listener: what they cost everybody else.

use std::net::IpAddr;

use axum::http::HeaderMap;
use serde_json::json;
use xmpp::credentials::Token;

use super::entrance::{Client, token, token_server};
use super::*;

const PING: &str =
    "<iq type='get' id='p' to='meet.sluice' xmlns='jabber:client'><ping xmlns='urn:xmpp:ping'/></iq>";

/// How long `count` pings took, one after the other, slowest last.
async fn pings(client: &mut Client, count: usize) -> Vec<Duration> {
    let mut took = Vec::new();
    for _ in 0..count {
        let begun = Instant::now();
        client.say(PING.to_owned()).await;
        client.until(|text| text.contains("id='p'")).await;
        took.push(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    took.sort_unstable();
    took
}

/// Says things as fast as they are taken; how many answers came within `time`.
async fn flood(mut client: Client, time: Duration) -> usize {
    let end = tokio::time::Instant::now() + time;
    let (mut sink, mut stream) = client.socket.split();
    let writing = async {
        while tokio::time::Instant::now() < end {
            // Ten a turn, a thousand a second.
            for _ in 0..10 {
                if sink.send(WsMessage::text(PING)).await.is_err() {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let reading = async {
        let mut answers = 0;
        while let Ok(Some(Ok(message))) = tokio::time::timeout_at(end, stream.next()).await {
            answers += usize::from(message.to_text().is_ok_and(|text| text.contains("id='p'")));
        }
        answers
    };
    // A client that is heard later does not read either once its own answers fill the way back.
    let (_, answers) = tokio::join!(tokio::time::timeout_at(end, writing), reading);
    client.nick.clear();
    answers
}

/// Ten clients say a thousand stanzas a second each: what is above the rate waits in their own connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_stanzas_is_heard_at_the_rate_of_one_client_and_others_are_answered_as_before() {
    let server = server("").await;
    let mut quiet = Client::sign_in(&server, "meet.sluice", None).await.expect("let in");
    let before = pings(&mut quiet, 30).await;
    let time = Duration::from_secs(4);
    let mut floods = Vec::new();
    for _ in 0..10 {
        let client = Client::sign_in(&server, "meet.sluice", None).await.expect("let in");
        floods.push(tokio::spawn(flood(client, time)));
    }
    // Their burst is what joining takes; it is over when the rate holds.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let during = pings(&mut quiet, 30).await;
    for flood in floods {
        let answers = flood.await.unwrap();
        assert!((400..=400 + 20 * 5).contains(&answers), "{answers} of some 4,000 were heard in {time:?}");
    }
    // Of thirty the second slowest, so that one pause of the machine is not the server's.
    let (before, during) = (before[28], during[28]);
    let limit = (before * 2).max(Duration::from_millis(50));
    assert!(during <= limit, "{during:?} during the flood, {before:?} before");
}

/// One address tries 500 bad tokens a second; they wait and are then sent away, others sign in as ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_bad_tokens_is_delayed_then_refused_and_good_ones_get_in() {
    let server = token_server("").await;
    let bad = token("standup", json!({})) + "x";
    let entering = |address: [u8; 4], token: &str| {
        let peer = Peer { address: Some(IpAddr::from(address)), is_confidential: true, folder: None };
        let query: ConnectionQuery = serde_json::from_value(json!({ "token": token })).unwrap();
        let shared = server.shared.clone();
        async move { shared.enter(peer, query, &HeaderMap::new(), Framing::WebSocket).await }
    };
    let mut storm = Vec::new();
    for number in 0..1_500 {
        storm.push(tokio::spawn(entering([192, 0, 2, 1], &bad)));
        if number % 50 == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let begun = Instant::now();
            let good = token("standup", json!({}));
            let entered = entering([192, 0, 2, 2], &good).await.expect("not from there");
            assert!(matches!(entered.token, Token::Valid(_)));
            assert!(begun.elapsed() <= Duration::from_secs(2), "{:?}", begun.elapsed());
        }
    }
    let (mut tried, mut sent_away) = (0, 0);
    for attempt in storm {
        match attempt.await.unwrap() {
            Some(query) => {
                assert!(matches!(query.token, Token::Invalid(_)));
                tried += 1;
            }
            None => sent_away += 1,
        }
    }
    // A burst of 200, then 50 a second for the three seconds of the storm and the ten for which one may wait.
    assert!((200..=200 + 50 * 15).contains(&tried), "{tried} were tried");
    let counted = server.shared.status.refusals.read().find(|(reason, _)| *reason == Reason::Pace);
    assert_eq!(counted, Some((Reason::Pace, sent_away)));
    assert!(sent_away >= 500, "{sent_away}");
}

/// RFC 7395 §3.3, RFC 6120 §11.6: UTF-8 as it stands in RFC 3629, no overlong forms, no surrogates.
#[tokio::test]
async fn bytes_that_are_no_utf_8_never_reach_the_parser() {
    let server = server("").await;
    let rows: [&[u8]; 6] = [
        b"\xc0\xbc",
        b"\xe0\x80\xbc",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xff",
    ];
    for bytes in rows {
        let socket = open(&server, "/xmpp-websocket?room=standup", &[XMPP]).await.unwrap();
        let tokio_tungstenite::MaybeTlsStream::Plain(mut stream) = socket.into_inner() else {
            panic!("without TLS");
        };
        let text =
            [b"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='".as_slice(), bytes, b"'/>"].concat();
        // One text frame under the mask 0 (RFC 6455 §5.2).
        let head = [0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
        stream.write_all(&[head.as_slice(), &text].concat()).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "{bytes:02x?}: the connection stays open");
        assert!(!answer.windows(5).any(|part| part == b"<open"), "{bytes:02x?} was read as a stream");

        let mut request =
            b"POST /http-bind?room=standup HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".to_vec();
        let body =
            [b"<body xmlns='http://jabber.org/protocol/httpbind' rid='7' to='".as_slice(), bytes, b"'/>"]
                .concat();
        request.extend(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        request.extend(body);
        let mut stream = TcpStream::connect(server.public).await.unwrap();
        stream.write_all(&request).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.contains("condition='bad-request'"), "{bytes:02x?}: {answer}");
    }
}
