use super::*;

const OPEN: &str = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.example' version='1.0'/>";
const ITEM_NOT_FOUND: &str =
    "<body xmlns='http://jabber.org/protocol/httpbind' type='terminate' condition='item-not-found'/>";
const EMPTY: &str = "<body xmlns='http://jabber.org/protocol/httpbind'/>";

fn body(rid: u64, attributes: &str, content: &str) -> Body {
    let text = format!(
        "<body rid='{rid}' xmlns='http://jabber.org/protocol/httpbind' xmlns:xmpp='urn:xmpp:xbosh' {attributes}>\
         {content}</body>"
    );
    Body::parse(&text).expect("a body")
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

/// Gives the session a request numbered as its rid.
fn ask(session: &mut Session, rid: u64, attributes: &str, content: &str, now: Timestamp) -> Vec<Event> {
    let mut out = Vec::new();
    session.request(RequestId(rid), body(rid, &format!("sid='s' {attributes}"), content), now, &mut out);
    out
}

fn say(session: &mut Session, frames: &[&str], now: Timestamp) -> Vec<Event> {
    let mut out = Vec::new();
    frames.iter().for_each(|frame| session.frame((*frame).to_owned(), &mut out));
    session.flush(now, &mut out);
    out
}

fn answer(request: u64, text: &str) -> Event {
    Event::Answer { request: RequestId(request), text: text.to_owned() }
}

/// A session whose creation request, rid 10, was answered at second 0.
fn session() -> Session {
    let asked = body(10, "to='meet.example' wait='30' hold='1' ver='1.6'", "");
    let mut session = Session::new("s".into(), &asked, at(0));
    let mut out = Vec::new();
    session.request(RequestId(10), asked, at(0), &mut out);
    assert_eq!(out, [Event::Frame(OPEN.to_owned())], "held until the stream has something to say");
    let out =
        say(&mut session, &["<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' id='a1'/>", "<f/>"], at(0));
    let introduction = "<body xmlns='http://jabber.org/protocol/httpbind' \
                        xmlns:stream='http://etherx.jabber.org/streams' xmlns:xmpp='urn:xmpp:xbosh' sid='s' wait='30' \
                        hold='1' requests='2' inactivity='60' polling='5' ver='1.6' from='meet.example' authid='a1' \
                        xmpp:version='1.0' xmpp:restartlogic='true'><f/></body>";
    assert_eq!(out, [answer(10, introduction)]);
    session
}

fn said(text: &str) -> String {
    format!("<body xmlns='http://jabber.org/protocol/httpbind'>{text}</body>")
}

#[test]
fn a_request_is_held_until_there_is_something_to_say_or_its_time_is_over() {
    let mut session = session();
    assert_eq!(ask(&mut session, 11, "", "", at(1)), []);
    assert_eq!(session.poll_timeout(), at(31));
    let mut out = Vec::new();
    session.handle_timeout(at(30), &mut out);
    assert_eq!(out, []);
    session.handle_timeout(at(31), &mut out);
    assert_eq!(out, [answer(11, EMPTY)]);
    assert_eq!(ask(&mut session, 12, "", "", at(31)), []);
    assert_eq!(say(&mut session, &["<a/>", "<b/>"], at(32)), [answer(12, &said("<a/><b/>"))]);
}

#[test]
fn of_two_open_requests_the_older_is_answered() {
    let mut session = session();
    ask(&mut session, 11, "", "", at(1));
    let out = ask(&mut session, 12, "", "<iq xmlns='jabber:client'/>", at(2));
    assert_eq!(out, [Event::Frame("<iq xmlns='jabber:client'/>".into()), answer(11, EMPTY)]);
}

#[test]
fn what_is_said_between_requests_waits_for_the_next() {
    let mut session = session();
    assert_eq!(say(&mut session, &["<a/>"], at(1)), []);
    assert_eq!(ask(&mut session, 11, "", "", at(2)), [answer(11, &said("<a/>"))]);
}

#[test]
fn requests_that_overtake_each_other_are_taken_in_their_order() {
    let mut session = session();
    assert_eq!(ask(&mut session, 12, "", "<b xmlns=''/>", at(1)), []);
    let out = ask(&mut session, 11, "", "<a xmlns=''/>", at(1));
    assert_eq!(
        out,
        [Event::Frame("<a xmlns=''/>".into()), Event::Frame("<b xmlns=''/>".into()), answer(11, EMPTY)]
    );
}

#[test]
fn a_repeated_request_gets_its_answer_again_and_is_not_taken_twice() {
    let mut session = session();
    ask(&mut session, 11, "", "<a xmlns=''/>", at(1));
    say(&mut session, &["<x/>"], at(1));
    assert_eq!(ask(&mut session, 11, "", "<a xmlns=''/>", at(2)), [answer(11, &said("<x/>"))]);

    ask(&mut session, 12, "", "", at(3));
    let mut out = Vec::new();
    session.request(RequestId(99), body(12, "sid='s'", ""), at(4), &mut out);
    assert_eq!(out, [answer(12, EMPTY)], "the new connection takes the place of the old one");
    assert_eq!(say(&mut session, &["<y/>"], at(5)), [answer(99, &said("<y/>"))]);
}

#[test]
fn request_ids_outside_of_the_window_end_the_session() {
    for rid in [1, 9, 13, 14, 4_000_000_000] {
        let mut session = session();
        ask(&mut session, 11, "", "", at(1));
        // The answers of 10 and 11 are kept, 12 and 13 may come: 13 is the first that may not while 11 is held.
        let out = ask(&mut session, rid, "", "<a xmlns=''/>", at(1));
        let expected: Vec<Event> = match rid {
            13 => vec![],
            _ => vec![answer(rid, ITEM_NOT_FOUND), answer(11, ITEM_NOT_FOUND), Event::Over],
        };
        assert_eq!(out, expected, "{rid}");
    }
}

#[test]
fn after_sasl_the_stream_is_opened_anew() {
    let mut session = session();
    let out = ask(&mut session, 11, "to='meet.example' xmpp:restart='true'", "", at(1));
    assert_eq!(out, [Event::Frame(OPEN.to_owned())]);
}

#[test]
fn a_client_that_ends_its_session_is_heard_to_the_end() {
    let mut session = session();
    ask(&mut session, 11, "", "", at(1));
    let gone = "<presence xmlns='jabber:client' type='unavailable'/>";
    let out = ask(&mut session, 12, "type='terminate'", gone, at(1));
    let end = "<body xmlns='http://jabber.org/protocol/httpbind' type='terminate'/>";
    let expected = [
        Event::Frame(gone.to_owned()),
        Event::Frame(CLOSE_FRAME.to_owned()),
        answer(11, end),
        answer(12, end),
        Event::Over,
    ];
    assert_eq!(out, expected);
    assert_eq!(ask(&mut session, 13, "", "", at(1)), [answer(13, ITEM_NOT_FOUND)]);
    assert_eq!(session.poll_timeout(), Timestamp::NEVER);
}

#[test]
fn the_end_of_the_stream_is_told_with_its_reason_now_or_at_the_next_request() {
    let rows = [("host-unknown", "host-unknown"), ("conflict", "remote-stream-error")];
    for (error, condition) in rows {
        let error = crate::error::stream_error(error).to_string();
        let expected = format!(
            "<body xmlns='http://jabber.org/protocol/httpbind' type='terminate' condition='{condition}'>{error}</body>"
        );
        for is_held in [true, false] {
            let mut session = session();
            let mut out = Vec::new();
            if is_held {
                ask(&mut session, 11, "", "", at(1));
            }
            session.frame(error.clone(), &mut out);
            session.frame(CLOSE_FRAME.to_owned(), &mut out);
            session.closed(at(1), &mut out);
            if !is_held {
                assert_eq!(out, []);
                out = ask(&mut session, 11, "", "", at(2));
            }
            assert_eq!(out, [answer(11, &expected), Event::Over], "{error} held: {is_held}");
        }
    }
}

#[test]
fn a_client_that_stays_away_is_gone_after_a_minute() {
    let mut session = session();
    assert_eq!(session.poll_timeout(), at(60));
    let mut out = Vec::new();
    session.handle_timeout(at(59), &mut out);
    assert_eq!(out, []);
    // A request whose predecessor never comes keeps nobody alive.
    ask(&mut session, 12, "", "", at(30));
    session.handle_timeout(at(60), &mut out);
    assert_eq!(out, [answer(12, ITEM_NOT_FOUND), Event::Over]);
}

#[test]
fn a_client_whose_connection_closed_is_gone_a_minute_later_whatever_is_said_meanwhile() {
    for is_said in [false, true] {
        let mut session = session();
        ask(&mut session, 11, "", "", at(20));
        session.abandoned(RequestId(11), at(25));
        if is_said {
            say(&mut session, &["<a/>"], at(40));
        } else {
            let mut out = Vec::new();
            session.handle_timeout(at(50), &mut out);
            assert_eq!(out, [answer(11, EMPTY)], "its wait is over");
        }
        assert_eq!(session.poll_timeout(), at(85));
        let mut out = Vec::new();
        session.handle_timeout(at(85), &mut out);
        assert_eq!(out, [Event::Over], "said: {is_said}");
    }
}

#[test]
fn a_client_that_asks_again_after_its_connection_broke_is_not_gone() {
    let mut session = session();
    ask(&mut session, 11, "", "", at(20));
    session.abandoned(RequestId(11), at(25));
    let mut out = Vec::new();
    session.request(RequestId(99), body(11, "sid='s'", ""), at(30), &mut out);
    assert_eq!(session.poll_timeout(), at(60), "the wait of the request that took its place");
    assert_eq!(say(&mut session, &["<a/>"], at(31)), [answer(99, &said("<a/>"))]);
    assert_eq!(session.poll_timeout(), at(91));
    // Nor is one whose answer went out to nobody: it is kept.
    ask(&mut session, 12, "", "", at(32));
    session.abandoned(RequestId(12), at(33));
    say(&mut session, &["<b/>"], at(34));
    assert_eq!(ask(&mut session, 12, "", "", at(35)), [answer(12, &said("<b/>"))]);
}

#[test]
fn waits_and_holds_are_bounded() {
    for (attributes, wait, hold) in
        [("wait='3600' hold='9'", 60, 1), ("wait='5' hold='0'", 5, 0), ("", 60, 1)]
    {
        let asked = body(1, attributes, "");
        let session = Session::new("s".into(), &asked, at(0));
        assert_eq!((session.wait.as_secs(), session.hold), (wait, hold), "{attributes}");
    }
}

#[test]
fn a_client_that_polls_is_answered_at_once() {
    let asked = body(1, "to='meet.example' hold='0'", "");
    let mut session = Session::new("s".into(), &asked, at(0));
    let mut out = Vec::new();
    session.request(RequestId(1), asked, at(0), &mut out);
    assert!(matches!(out.last(), Some(Event::Answer { .. })), "{out:?}");
    assert_eq!(ask(&mut session, 2, "", "", at(1)), [answer(2, EMPTY)]);
}

#[test]
fn long_bodies_are_for_those_who_have_signed_in() {
    let long = format!("<iq xmlns='jabber:client'>{}</iq>", "x".repeat(10_000));
    let mut stranger = session();
    let out = ask(&mut stranger, 11, "", &long, at(1));
    assert!(
        matches!(out.as_slice(), [Event::Answer { text, .. }, Event::Over] if text.contains("policy-violation"))
    );
    let mut known = session();
    say(&mut known, &["<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"], at(1));
    assert!(matches!(
        ask(&mut known, 11, "", &long, at(1)).as_slice(),
        [Event::Frame(_), Event::Answer { .. }]
    ));
}

#[test]
fn what_waits_for_a_client_is_bounded_and_goes_out_in_parts() {
    let mut session = session();
    let frame = "y".repeat(700_000);
    assert_eq!(say(&mut session, &[&frame, &frame], at(1)), []);
    let out = ask(&mut session, 11, "", "", at(1));
    assert!(matches!(out.as_slice(), [Event::Answer { text, .. }] if text.len() < 800_000), "one at a time");
    let many = [frame.as_str(); 6];
    assert_eq!(say(&mut session, &many, at(1)), [Event::Over]);
    assert_eq!(ask(&mut session, 12, "", "", at(1)), [answer(12, ITEM_NOT_FOUND)]);
}
