use std::sync::Arc;

use super::*;
use crate::accounts::Accounts;
use crate::credentials::Host;
use crate::parse::STANZA_BYTES_MAX;

const OPEN: &str = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.example' version='1.0'/>";
const AUTH: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>";
const BIND: &str = "<iq type='set' id='_bind_auth_2' xmlns='jabber:client'>\
                    <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
const OPENED: &str = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' from='meet.example' id='s1' version='1.0' \
                      xml:lang='en'/>";

pub(super) fn entrance(hosts: &[(&str, SignIn)]) -> Entrance {
    let host = |(name, sign_in): &(&str, SignIn)| Host { name: (*name).to_owned(), sign_in: *sign_in };
    Entrance {
        hosts: hosts.iter().map(host).collect(),
        accounts: Arc::new(Accounts::new([7; 32])),
        address: None,
        is_confidential: true,
        token: Token::Absent,
    }
}

pub(super) fn stream_of(entrance: Entrance, framing: Framing) -> Stream {
    let identity = Identity {
        stream_id: "s1".into(),
        localpart: "0c7f".into(),
        resource: "r".into(),
        nonce: "server".into(),
    };
    Stream::new(entrance, identity, framing)
}

fn stream() -> Stream {
    let hosts = [("meet.example", SignIn::Anonymous), ("guest.meet.example", SignIn::Anonymous)];
    stream_of(entrance(&hosts), Framing::WebSocket)
}

fn feed(stream: &mut Stream, text: &str) -> Vec<Event> {
    let (mut attempts, mut counts) = (Attempts::default(), Counts::default());
    let mut logins = Logins { attempts: &mut attempts, counts: &mut counts, now: Timestamp::ZERO };
    let mut out = Vec::new();
    stream.frame(text, &mut logins, &mut out);
    out
}

fn frame(text: &str) -> Event {
    Event::Frame(text.to_owned())
}

fn failure(condition: &str) -> [Event; 3] {
    [
        frame(&format!(
            "<stream:error xmlns:stream='http://etherx.jabber.org/streams'>\
             <{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
        )),
        frame("<close xmlns=\"urn:ietf:params:xml:ns:xmpp-framing\" />"),
        Event::Close { by_client: false },
    ]
}

fn bound() -> Stream {
    let mut stream = stream();
    for text in [OPEN, AUTH, OPEN, BIND] {
        feed(&mut stream, text);
    }
    assert!(stream.is_bound());
    stream
}

#[test]
fn a_stock_client_s_opening_is_answered_frame_by_frame() {
    let mut stream = stream();
    assert_eq!(
        feed(&mut stream, OPEN),
        [
            frame(OPENED),
            frame(
                "<stream:features xmlns:stream='http://etherx.jabber.org/streams'>\
                 <mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>ANONYMOUS</mechanism></mechanisms>\
                 </stream:features>"
            ),
        ]
    );
    let account = BareJid::new("0c7f@meet.example").expect("an address");
    assert_eq!(
        feed(&mut stream, AUTH),
        [Event::Authenticated(account), frame("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")]
    );
    assert_eq!(
        feed(&mut stream, OPEN),
        [
            frame(OPENED),
            frame(
                "<stream:features xmlns:stream='http://etherx.jabber.org/streams'>\
                 <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><sm xmlns='urn:xmpp:sm:3'/></stream:features>"
            ),
        ]
    );
    let jid = FullJid::new("0c7f@meet.example/r").expect("an address");
    assert_eq!(
        feed(&mut stream, BIND),
        [
            Event::Bound(jid),
            frame(
                "<iq xmlns='jabber:client' type='result' id='_bind_auth_2'>\
                 <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>0c7f@meet.example/r</jid></bind></iq>"
            ),
        ]
    );
}

#[test]
fn every_virtual_host_has_its_own_accounts_and_others_are_unknown() {
    let mut guest = stream();
    feed(&mut guest, &OPEN.replace("meet.example", "guest.meet.example"));
    feed(&mut guest, AUTH);
    assert_eq!(
        guest.account().map(|account| account.to_string()).as_deref(),
        Some("0c7f@guest.meet.example")
    );

    let mut unknown = stream();
    let mut expected = vec![frame(OPENED)];
    expected.extend(failure("host-unknown"));
    assert_eq!(feed(&mut unknown, &OPEN.replace("meet.example", "other.example")), expected);
}

#[test]
fn a_client_s_close_is_answered_and_ends_the_stream() {
    let mut stream = bound();
    assert_eq!(
        feed(&mut stream, "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"),
        [frame("<close xmlns=\"urn:ietf:params:xml:ns:xmpp-framing\" />"), Event::Close { by_client: true }]
    );
    assert_eq!(feed(&mut stream, "<presence xmlns='jabber:client'/>"), []);
}

#[test]
fn other_mechanisms_fail_and_the_third_failure_ends_the_stream() {
    let mut stream = stream();
    feed(&mut stream, OPEN);
    let plain = AUTH.replace("ANONYMOUS", "PLAIN");
    let refused = frame("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><invalid-mechanism/></failure>");
    for _ in 0..2 {
        assert_eq!(feed(&mut stream, &plain), vec![refused.clone()]);
    }
    let mut expected = vec![refused];
    expected.extend(failure("policy-violation"));
    assert_eq!(feed(&mut stream, &plain), expected);
}

#[test]
fn wrong_frames_end_the_stream_with_the_right_condition() {
    let big = format!("<a>{}</a>", "x".repeat(UNAUTHENTICATED_FRAME_BYTES_MAX));
    let other_version = OPEN.replace("1.0", "0.9");
    // What came before, what is wrong, the condition.
    let rows: [(&[&str], &str, &str); 13] = [
        (&[OPEN], "<a", "not-well-formed"),
        (&[OPEN], "<a/><b/>", "not-well-formed"),
        (&[OPEN], "<?xml version='1.0'?><a/>", "restricted-xml"),
        (&[OPEN], "<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>", "restricted-xml"),
        (&[OPEN], &big, "policy-violation"),
        (&[OPEN], BIND, "not-authorized"),
        (&[OPEN], OPEN, "not-authorized"),
        (&[OPEN], "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "not-authorized"),
        (&[OPEN, AUTH], BIND, "invalid-namespace"),
        (&[OPEN, AUTH], &other_version, "unsupported-version"),
        (&[OPEN, AUTH, OPEN], "<presence xmlns='jabber:client'/>", "not-authorized"),
        (&[OPEN, AUTH, OPEN, BIND], OPEN, "unsupported-stanza-type"),
        (&[OPEN, AUTH, OPEN, BIND], "<presence/>", "unsupported-stanza-type"),
    ];
    for (before, wrong, condition) in rows {
        let mut stream = stream();
        before.iter().for_each(|text| drop(feed(&mut stream, text)));
        assert_eq!(feed(&mut stream, wrong), failure(condition), "{wrong:.60}");
    }
}

#[test]
fn an_error_before_the_opening_is_wrapped_in_a_stream() {
    for wrong in
        ["<a", "<stream:stream xmlns:stream='http://etherx.jabber.org/streams'/>", "<!DOCTYPE a><open/>"]
    {
        let out = feed(&mut stream(), wrong);
        assert_eq!(out.first(), Some(&frame(OPENED)), "{wrong}");
        assert_eq!(out.last(), Some(&Event::Close { by_client: false }), "{wrong}");
    }
}

#[test]
fn large_frames_are_read_only_after_authentication() {
    let text =
        |size: usize| format!("<message xmlns='jabber:client'><body>{}</body></message>", "x".repeat(size));
    let out = feed(&mut bound(), &text(100_000));
    assert!(matches!(out.as_slice(), [Event::Stanza(_)]));
    assert_eq!(feed(&mut bound(), &text(STANZA_BYTES_MAX)), failure("policy-violation"));
}

#[test]
fn stream_management_before_binding_may_only_resume() {
    let mut stream = stream();
    for text in [OPEN, AUTH, OPEN] {
        feed(&mut stream, text);
    }
    assert_eq!(
        feed(&mut stream, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"),
        [frame(
            "<failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"
        )]
    );
    let out = feed(&mut stream, "<resume xmlns='urn:xmpp:sm:3' previd='x' h='0'/>");
    assert!(matches!(out.as_slice(), [Event::Resume(_)]));
}

#[test]
fn over_http_there_is_no_stream_management() {
    let mut stream = stream_of(entrance(&[("meet.example", SignIn::Anonymous)]), Framing::Bosh);
    feed(&mut stream, OPEN);
    feed(&mut stream, AUTH);
    let features = feed(&mut stream, OPEN);
    assert!(
        matches!(features.last(), Some(Event::Frame(text)) if text.contains("<bind ") && !text.contains("sm:3"))
    );
    feed(&mut stream, BIND);
    let answer = feed(&mut stream, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    assert!(matches!(answer.as_slice(), [Event::Frame(text)] if text.starts_with("<failed ")), "{answer:?}");
}
