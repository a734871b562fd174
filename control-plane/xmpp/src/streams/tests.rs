use super::*;
use crate::ns;

const OPEN: &str = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.example' version='1.0'/>";
const AUTH: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>";
const BIND: &str = "<iq type='set' id='_bind_auth_2' xmlns='jabber:client'>\
                    <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
const ENABLE: &str = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>";
const MESSAGE: &str = "<message xmlns='jabber:client'/>";
const CLOSE: &str = "<close xmlns=\"urn:ietf:params:xml:ns:xmpp-framing\" />";

fn streams() -> Streams {
    let mut drawn = 0_u8;
    let random = move |bytes: &mut [u8]| {
        for byte in bytes {
            drawn = drawn.wrapping_mul(167).wrapping_add(13);
            *byte = drawn;
        }
    };
    Streams::new(Config::new("meet.example"), Box::new(random))
}

fn outputs(streams: &mut Streams) -> Vec<Output> {
    std::iter::from_fn(|| streams.poll_output()).collect()
}

fn frames(streams: &mut Streams) -> Vec<String> {
    let frame = |output| match output {
        Output::Frame { text, .. } => Some(text.into()),
        _ => None,
    };
    outputs(streams).into_iter().filter_map(frame).collect()
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

/// A bound connection; the session and its address.
fn bind(streams: &mut Streams, connection: u64, query: Query, now: Timestamp) -> (SessionId, FullJid) {
    let connection = ConnectionId(connection);
    streams.connected(connection, query, now).expect("not full");
    for text in [OPEN, AUTH, OPEN, BIND] {
        streams.frame(connection, text, now);
    }
    let opened = outputs(streams).into_iter().find_map(|output| match output {
        Output::SessionOpened { session, jid, .. } => Some((session, jid)),
        _ => None,
    });
    opened.expect("bound")
}

/// A managed connection; the session, its address and its resumption id.
fn managed(streams: &mut Streams, connection: u64, now: Timestamp) -> (SessionId, FullJid, String) {
    let (session, jid) = bind(streams, connection, Query::default(), now);
    streams.frame(ConnectionId(connection), ENABLE, now);
    let answer = frames(streams).concat();
    let enabled = crate::parse(&answer).expect("one frame");
    assert!(enabled.is("enabled", ns::SM));
    assert_eq!(enabled.attribute("resume"), Some("true"));
    (session, jid, enabled.attribute("id").expect("an id").to_owned())
}

fn resume(streams: &mut Streams, connection: u64, id: &str, h: &str, now: Timestamp) {
    let connection = ConnectionId(connection);
    streams
        .connected(connection, Query { previd: Some(id.to_owned()), ..Query::default() }, now)
        .expect("not full");
    for text in [OPEN, AUTH, OPEN] {
        streams.frame(connection, text, now);
    }
    outputs(streams);
    streams.frame(connection, format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='{h}'/>").as_str(), now);
}

fn message(text: &str) -> Element {
    Element::new("message", ns::JABBER_CLIENT).with(Element::new("body", ns::JABBER_CLIENT).with_text(text))
}

#[test]
fn an_anonymous_address_is_a_random_uuid_and_the_query_room_is_kept() {
    let mut streams = streams();
    let connection = ConnectionId(1);
    let query = Query { room: Some("standup".into()), ..Query::default() };
    streams.connected(connection, query, at(0)).expect("not full");
    for text in [OPEN, AUTH, OPEN, BIND] {
        streams.frame(connection, text, at(0));
    }
    let opened = outputs(&mut streams).into_iter().find_map(|output| match output {
        Output::SessionOpened { jid, query_room, .. } => Some((jid, query_room)),
        _ => None,
    });
    let (jid, query_room) = opened.expect("bound");
    assert_eq!(query_room.as_deref(), Some("standup"));
    let local = jid.node().expect("a local part").as_str().to_owned();
    assert_eq!(local.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    assert!(local.bytes().all(|b| b == b'-' || b.is_ascii_digit() || (b'a'..=b'f').contains(&b)), "{local}");
    let (_, other) = bind(&mut streams, 2, Query::default(), at(0));
    assert_ne!(jid.node(), other.node());
}

#[test]
fn resumption_ids_need_no_escaping_and_do_not_repeat() {
    let mut streams = streams();
    let (_, _, first) = managed(&mut streams, 1, at(0));
    let (_, _, second) = managed(&mut streams, 2, at(0));
    assert_ne!(first, second);
    assert!(first.len() >= 22 && first.bytes().all(|b| TOKEN_ALPHABET.contains(&b)), "{first}");
}

#[test]
fn counts_are_exchanged() {
    let mut streams = streams();
    let (session, _, _) = managed(&mut streams, 1, at(0));
    for _ in 0..3 {
        streams.frame(ConnectionId(1), MESSAGE, at(0));
    }
    assert_eq!(outputs(&mut streams).len(), 3);
    streams.frame(ConnectionId(1), "<r xmlns='urn:xmpp:sm:3'/>", at(0));
    assert_eq!(frames(&mut streams), ["<a xmlns='urn:xmpp:sm:3' h='3'/>"]);
    for i in 0..stream_management::REQUEST_EVERY {
        streams.deliver(session, &message(&i.to_string()));
    }
    let sent = frames(&mut streams);
    assert_eq!(sent.len(), stream_management::REQUEST_EVERY as usize + 1);
    assert_eq!(sent.last().map(String::as_str), Some("<r xmlns='urn:xmpp:sm:3'/>"));
    let count = format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", stream_management::REQUEST_EVERY);
    streams.frame(ConnectionId(1), count.as_str(), at(0));
    assert_eq!(outputs(&mut streams), []);
}

#[test]
fn a_count_beyond_what_was_sent_ends_the_session() {
    for h in ["1", "-1", "x", "4294967296"] {
        let mut streams = streams();
        let (session, _, _) = managed(&mut streams, 1, at(0));
        streams.frame(ConnectionId(1), format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>").as_str(), at(0));
        let out = outputs(&mut streams);
        assert!(out.contains(&Output::SessionClosed { session }), "{h}: {out:?}");
        assert!(out.contains(&Output::Close { connection: ConnectionId(1) }), "{h}");
    }
}

#[test]
fn a_lost_stream_is_resumed_under_the_same_address_and_misses_nothing() {
    let mut streams = streams();
    let (session, jid, id) = managed(&mut streams, 1, at(0));
    streams.frame(ConnectionId(1), MESSAGE, at(0));
    for text in ["a", "b"] {
        streams.deliver(session, &message(text));
    }
    streams.lost(ConnectionId(1), at(1));
    streams.deliver(session, &message("c"));
    outputs(&mut streams);
    resume(&mut streams, 2, &id, "1", at(40));
    assert_eq!(
        frames(&mut streams),
        [
            format!("<resumed xmlns='urn:xmpp:sm:3' previd='{id}' h='1'/>"),
            "<message xmlns='jabber:client'><body>b</body></message>".into(),
            "<message xmlns='jabber:client'><body>c</body></message>".into(),
            "<r xmlns='urn:xmpp:sm:3'/>".into(),
        ]
    );
    // The session goes on: stanzas flow both ways, the old count goes on, nothing expires.
    streams.frame(ConnectionId(2), MESSAGE, at(41));
    assert_eq!(outputs(&mut streams).len(), 1);
    streams.frame(ConnectionId(2), "<r xmlns='urn:xmpp:sm:3'/>", at(41));
    assert_eq!(frames(&mut streams), ["<a xmlns='urn:xmpp:sm:3' h='2'/>"]);
    streams.deliver(session, &message("d"));
    assert_eq!(frames(&mut streams).len(), 1);
    streams.frame(ConnectionId(2), "<r xmlns='urn:xmpp:sm:3'/>", at(100));
    outputs(&mut streams);
    streams.handle_timeout(at(101));
    assert_eq!(outputs(&mut streams), []);
    assert_eq!(streams.session_count(), 1);
    let _ = jid;
}

#[test]
fn a_connection_with_a_known_previd_gets_the_same_account_even_if_it_binds() {
    let mut streams = streams();
    let (_, jid, id) = managed(&mut streams, 1, at(0));
    streams.lost(ConnectionId(1), at(1));
    let (_, again) = bind(&mut streams, 2, Query { previd: Some(id), ..Query::default() }, at(2));
    assert_eq!(streams.session_count(), 1, "the old session is replaced");
    assert_eq!(again.node(), jid.node());
    assert_ne!(again.resource(), jid.resource());
    let (_, other) =
        bind(&mut streams, 3, Query { previd: Some("unknown".into()), ..Query::default() }, at(2));
    assert_ne!(other.node(), jid.node());
}

#[test]
fn a_client_may_resume_before_the_server_has_noticed_the_loss() {
    let mut streams = streams();
    let (session, _, id) = managed(&mut streams, 1, at(0));
    resume(&mut streams, 2, &id, "0", at(1));
    let out = outputs(&mut streams);
    assert!(out.contains(&Output::Close { connection: ConnectionId(1) }));
    assert!(!out.contains(&Output::SessionClosed { session }));
    streams.frame(ConnectionId(1), MESSAGE, at(1));
    streams.lost(ConnectionId(1), at(2));
    assert_eq!(outputs(&mut streams), []);
    streams.frame(ConnectionId(2), MESSAGE, at(2));
    assert_eq!(outputs(&mut streams).len(), 1);
}

#[test]
fn what_cannot_be_resumed_is_said_so_and_the_client_may_bind() {
    let failed = "<failed xmlns='urn:xmpp:sm:3'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>";
    let mut streams = streams();
    let (session, _, id) = managed(&mut streams, 1, at(0));
    streams.lost(ConnectionId(1), at(0));
    resume(&mut streams, 2, "unknown", "0", at(1));
    assert_eq!(frames(&mut streams), [failed]);
    streams.frame(ConnectionId(2), BIND, at(1));
    assert!(matches!(outputs(&mut streams).first(), Some(Output::SessionOpened { .. })));

    // A count that was never reached.
    resume(&mut streams, 3, &id, "7", at(1));
    assert_eq!(
        outputs(&mut streams),
        [
            Output::Frame { connection: ConnectionId(3), text: failed.into() },
            Output::SessionClosed { session },
        ]
    );
}

#[test]
fn nobody_resumes_the_session_of_another_account() {
    let mut streams = streams();
    let (_, _, id) = managed(&mut streams, 1, at(0));
    streams.lost(ConnectionId(1), at(0));
    // Without `previd` in the URL this connection is somebody else.
    let connection = ConnectionId(2);
    streams.connected(connection, Query::default(), at(1)).expect("not full");
    for text in [OPEN, AUTH, OPEN] {
        streams.frame(connection, text, at(1));
    }
    outputs(&mut streams);
    streams.frame(connection, format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='0'/>").as_str(), at(1));
    assert!(frames(&mut streams).concat().contains("item-not-found"));
}

#[test]
fn a_session_hibernates_for_the_configured_time_and_no_longer() {
    let mut streams = streams();
    let (session, _, id) = managed(&mut streams, 1, at(0));
    streams.lost(ConnectionId(1), at(10));
    streams.handle_timeout(at(69));
    assert_eq!(outputs(&mut streams), []);
    streams.handle_timeout(at(70));
    assert_eq!(outputs(&mut streams), [Output::SessionClosed { session }]);
    resume(&mut streams, 2, &id, "0", at(71));
    assert!(frames(&mut streams).concat().contains("item-not-found"));
}

#[test]
fn a_session_without_management_ends_with_its_connection() {
    let mut streams = streams();
    let (session, _) = bind(&mut streams, 1, Query::default(), at(0));
    streams.lost(ConnectionId(1), at(1));
    assert_eq!(outputs(&mut streams), [Output::SessionClosed { session }]);
    streams.deliver(session, &message("late"));
    assert_eq!(outputs(&mut streams), []);
    assert_eq!(streams.poll_timeout(), Timestamp::NEVER);
}

#[test]
fn a_client_that_closes_cannot_resume() {
    let mut streams = streams();
    let (session, _, _) = managed(&mut streams, 1, at(0));
    streams.frame(ConnectionId(1), "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>", at(1));
    assert_eq!(
        outputs(&mut streams),
        [
            Output::Frame { connection: ConnectionId(1), text: CLOSE.into() },
            Output::Close { connection: ConnectionId(1) },
            Output::SessionClosed { session },
        ]
    );
}

#[test]
fn who_does_not_open_or_bind_in_time_is_closed_whatever_it_sends() {
    let mut streams = streams();
    streams.connected(ConnectionId(1), Query::default(), at(0)).expect("not full");
    streams.connected(ConnectionId(2), Query::default(), at(0)).expect("not full");
    streams.frame(ConnectionId(2), OPEN, at(1));
    outputs(&mut streams);
    streams.handle_timeout(at(10));
    assert!(outputs(&mut streams).contains(&Output::Close { connection: ConnectionId(1) }));
    streams.frame(ConnectionId(2), AUTH, at(29));
    outputs(&mut streams);
    streams.handle_timeout(at(30));
    let out = outputs(&mut streams);
    assert!(out.contains(&Output::Close { connection: ConnectionId(2) }));
    assert!(
        matches!(out.first(), Some(Output::Frame { text, .. }) if text.to_string().contains("<connection-timeout "))
    );
    assert_eq!(streams.poll_timeout(), Timestamp::NEVER);
}

#[test]
fn a_silent_client_is_asked_and_then_taken_for_lost() {
    let mut streams = streams();
    let (session, _, _) = managed(&mut streams, 1, at(0));
    streams.handle_timeout(at(89));
    assert_eq!(outputs(&mut streams), []);
    streams.handle_timeout(at(90));
    assert_eq!(frames(&mut streams), ["<r xmlns='urn:xmpp:sm:3'/>"]);
    streams.handle_timeout(at(95));
    assert_eq!(outputs(&mut streams), []);
    streams.handle_timeout(at(121));
    assert_eq!(outputs(&mut streams), [Output::Close { connection: ConnectionId(1) }]);
    streams.handle_timeout(at(182));
    assert_eq!(outputs(&mut streams), [Output::SessionClosed { session }]);
}

#[test]
fn a_silent_client_without_management_is_left_to_its_connection() {
    let mut streams = streams();
    bind(&mut streams, 1, Query::default(), at(0));
    streams.handle_timeout(at(1_000));
    assert_eq!(outputs(&mut streams), []);
}

#[test]
fn connections_that_are_not_bound_are_limited_and_given_back() {
    let mut streams = streams();
    streams.config.unbound_max = 2;
    for i in 0..2 {
        streams.connected(ConnectionId(i), Query::default(), at(0)).expect("not full");
    }
    assert_eq!(streams.connected(ConnectionId(9), Query::default(), at(0)), Err(Refusal::Full));
    streams.lost(ConnectionId(0), at(0));
    bind(&mut streams, 3, Query::default(), at(0));
    assert!(streams.connected(ConnectionId(4), Query::default(), at(0)).is_ok());
}

#[test]
fn a_thousand_connections_that_come_and_go_leave_nothing_behind() {
    let mut streams = streams();
    for i in 0..1_000 {
        managed(&mut streams, i, at(0));
        streams.lost(ConnectionId(i), at(0));
    }
    streams.handle_timeout(at(60));
    assert_eq!(streams.session_count(), 0);
    assert!(streams.resumable.is_empty() && streams.connections.is_empty());
    assert_eq!(streams.unbound, 0);
}
