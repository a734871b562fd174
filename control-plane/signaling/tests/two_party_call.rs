//! A call of two through the whole of signalling: conference request, join, discovery, offer, answer, bridge channel.

use contract::session::{LocalTransport, Media};
use contract::{Command, EndpointId, Report, Ssrc, Timestamp};
use signaling::association::{self, ChannelKind, Event, Fingerprint};
use signaling::focus::FocusConfig;
use signaling::{Config, Domains, Input, Output, SessionId, Signaling};
use xmpp::jid::FullJid;
use xmpp::{Element, ns};

const ROOM: &str = "standup@conference.meet.example";
const JINGLE: &str = "urn:xmpp:jingle:1";
const FEATURES: [&str; 7] = [
    "urn:xmpp:jingle:apps:rtp:audio",
    "urn:xmpp:jingle:apps:rtp:video",
    "urn:xmpp:jingle:transports:dtls-sctp:1",
    "urn:ietf:rfc:4588",
    "http://jitsi.org/tcc",
    "http://jitsi.org/json-encoded-sources",
    "http://jitsi.org/ssrc-rewriting-1",
];

struct Server {
    signaling: Signaling,
    now: Timestamp,
    inboxes: [Vec<Element>; 2],
    commands: Vec<Command>,
    sent: Vec<(EndpointId, String)>,
}

impl Server {
    fn new() -> Server {
        let mut state = 7_u64;
        let random = Box::new(move |bytes: &mut [u8]| {
            for byte in bytes {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *byte = (state >> 56) as u8;
            }
        });
        let jid = FullJid::new("focus@auth.meet.example/focus").expect("an address");
        let focus = FocusConfig::new(jid, Fingerprint { hash: "sha-256".into(), value: vec![7; 32] });
        let config = Config::new(Domains::of("meet.example"), focus, 1_700_000_000_000);
        Server {
            signaling: Signaling::new(config, random),
            now: Timestamp::from_millis(5_000),
            inboxes: [Vec::new(), Vec::new()],
            commands: Vec::new(),
            sent: Vec::new(),
        }
    }

    fn handle(&mut self, input: Input) {
        self.signaling.handle(input, self.now);
        while self.settle() {
            // Clients and media plane have answered; their answers may lead to more.
        }
    }

    /// Takes all outputs and lets clients and the media plane answer what they answer by themselves.
    fn settle(&mut self) -> bool {
        let mut answers = Vec::new();
        if self.signaling.poll_timeout() <= self.now {
            self.signaling.handle_timeout(self.now);
        }
        while let Some(output) = self.signaling.poll_output() {
            match output {
                Output::Stanza { session, stanza } => {
                    answers.extend(answer(session, &stanza));
                    self.inboxes[session.0 as usize].push(stanza);
                }
                Output::Copy { session, text } => {
                    let stanza = xmpp::parse(&text.to_string()).expect("well-formed");
                    self.inboxes[session.0 as usize].push(stanza);
                }
                Output::Command(command) => {
                    if let Command::CreateEndpoint(spec) = &command {
                        let transport = LocalTransport {
                            ufrag: format!("u{}fr", spec.endpoint),
                            pwd: "3kd9v0e5m1n7p2r4s6t8u0w2".into(),
                            candidates: Vec::new(),
                        };
                        let endpoint = spec.endpoint;
                        answers.push(Input::Report(Report::EndpointReady {
                            endpoint,
                            transport: Box::new(transport),
                        }));
                    }
                    self.commands.push(command);
                }
                Output::Association(association::Command::Send { endpoint, text }) => {
                    self.sent.push((endpoint, text))
                }
                Output::Association(_) | Output::ConferenceAnswer { .. } | Output::CloseSession { .. } => {}
            }
        }
        let more = !answers.is_empty();
        for answer in answers {
            self.signaling.handle(answer, self.now);
        }
        more
    }

    fn stanza(&mut self, session: u64, text: &str) {
        let stanza = xmpp::parse(text).expect("well-formed");
        self.handle(Input::Stanza { session: SessionId(session), stanza });
    }

    fn enter(&mut self, session: u64, nick: &str) {
        let jid = FullJid::new(&format!("{nick}-0000@meet.example/r")).expect("an address");
        let query_room = Some("standup".to_owned());
        self.handle(Input::SessionOpened { session: SessionId(session), jid, query_room });
        self.stanza(
            session,
            &format!(
                "<iq xmlns='jabber:client' type='set' id='r1' to='focus.meet.example'>\
                 <conference xmlns='http://jitsi.org/protocol/focus' room='{ROOM}' machine-uid='m'/></iq>"
            ),
        );
        self.stanza(
            session,
            &format!(
                "<presence xmlns='jabber:client' to='{ROOM}/{nick}'><x xmlns='http://jabber.org/protocol/muc'/>\
                 <c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/></presence>"
            ),
        );
    }

    fn find(&self, session: u64, what: impl Fn(&Element) -> bool) -> usize {
        self.inboxes[session as usize].iter().position(what).expect("a stanza like that")
    }

    /// The offer to `session` and the endpoint that it is for.
    fn offer(&self, session: u64) -> (Element, EndpointId) {
        let index = self.find(session, |stanza| action(stanza) == Some("session-initiate"));
        let stanza = &self.inboxes[session as usize][index];
        assert_eq!(stanza.attribute("from"), Some(format!("{ROOM}/focus").as_str()));
        let text = stanza.to_string();
        let (_, rest) = text.split_once("ufrag='u").expect("credentials");
        let id = rest.split_once("fr'").and_then(|(id, _)| id.parse().ok()).expect("as made above");
        (stanza.child("jingle", JINGLE).expect("Jingle").clone(), EndpointId(id))
    }

    fn accept(&mut self, session: u64, nick: &str, ssrc: u32) {
        let sid = self.offer(session).0.attribute("sid").expect("a sid").to_owned();
        let media = |media: &str, name: &str, ssrc: u32| {
            format!(
                "<content name='{media}'><description xmlns='urn:xmpp:jingle:apps:rtp:1' media='{media}'>\
                 <source xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' ssrc='{ssrc}' name='{nick}-{name}'>\
                 <parameter name='msid' value='{nick}-{name} t'/></source></description>\
                 <transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' ufrag='Zk4+' pwd='o1W45678901234567890ab'>\
                 <fingerprint xmlns='urn:xmpp:jingle:apps:dtls:0' hash='sha-256' setup='active'>4B:11</fingerprint>\
                 </transport></content>"
            )
        };
        let contents = media("audio", "a0", ssrc) + &media("video", "v0", ssrc + 1);
        self.stanza(
            session,
            &format!(
                "<iq xmlns='jabber:client' type='set' id='a9' to='{ROOM}/focus'>\
                 <jingle xmlns='{JINGLE}' action='session-accept' sid='{sid}'>{contents}</jingle></iq>"
            ),
        );
        let answer = self.find(session, |stanza| stanza.attribute("id") == Some("a9"));
        assert_eq!(self.inboxes[session as usize][answer].attribute("type"), Some("result"));
    }
}

fn action(stanza: &Element) -> Option<&str> {
    stanza.child("jingle", JINGLE)?.attribute("action")
}

/// What a client answers by itself: its features, and a result to every other request.
fn answer(session: SessionId, stanza: &Element) -> Option<Input> {
    if !stanza.is("iq", ns::JABBER_CLIENT) || !matches!(stanza.attribute("type"), Some("get" | "set")) {
        return None;
    }
    let mut answer = Element::new("iq", ns::JABBER_CLIENT)
        .attr("type", "result")
        .attr("id", stanza.attribute("id").expect("an id"))
        .attr("to", stanza.attribute("from").expect("a sender"));
    if stanza.child("query", ns::DISCO_INFO).is_some() {
        let features = FEATURES.map(|var| Element::new("feature", ns::DISCO_INFO).attr("var", var));
        answer.push(Element::new("query", ns::DISCO_INFO).with_all(features));
    }
    Some(Input::Stanza { session, stanza: answer })
}

#[test]
fn two_clients_get_into_a_call_and_hear_of_each_other_over_the_bridge_channel() {
    let mut server = Server::new();
    server.enter(0, "a1b2c3d4");
    assert!(server.commands.is_empty(), "a lone occupant has no session");
    server.enter(1, "e5f60718");
    for session in [0, 1] {
        let focus = server.find(session, |stanza| {
            stanza.name() == "presence" && stanza.attribute("from") == Some(format!("{ROOM}/focus").as_str())
        });
        let offer = server.find(session, |stanza| action(stanza) == Some("session-initiate"));
        assert!(focus < offer, "an offer from an unknown focus is refused by the client");
    }
    let owner = server.find(0, |stanza| {
        stanza.to_string().contains("role='moderator'") && stanza.to_string().contains("a1b2c3d4")
    });
    assert!(server.inboxes[0][owner].name() == "presence");

    server.accept(0, "a1b2c3d4", 1_000);
    server.accept(1, "e5f60718", 2_000);
    let (ann, bob) = (server.offer(0).1, server.offer(1).1);
    let sources = server.commands.iter().find_map(|command| match command {
        Command::SetSources { endpoint, sources } if *endpoint == bob => Some(sources.clone()),
        _ => None,
    });
    let camera =
        sources.expect("sources").into_iter().find(|source| source.media == Media::Video).expect("a camera");

    let kind = ChannelKind::DataChannel;
    server.handle(Input::Association(Event::ChannelOpened { endpoint: ann, kind }));
    let mapped = Report::SourceMapped {
        endpoint: ann,
        source: camera.source,
        media: Media::Video,
        ssrc: Ssrc(77),
        rtx: Some(Ssrc(78)),
    };
    server.handle(Input::Report(mapped));
    let expected = r#"{"colibriClass":"VideoSourcesMap","mappedSources":[{"source":"e5f60718-v0","owner":"e5f60718","ssrc":77,"rtx":78,"videoType":"CAMERA"}]}"#;
    assert!(server.sent.contains(&(ann, expected.to_owned())), "{:?}", server.sent);

    server.handle(Input::SessionClosed { session: SessionId(1) });
    assert!(server.commands.contains(&Command::ExpireEndpoint { endpoint: bob }));
    server.now = server.now + std::time::Duration::from_secs(20);
    while server.signaling.poll_timeout() <= server.now {
        server.settle();
    }
    server.settle();
    server.find(0, |stanza| action(stanza) == Some("session-terminate"));
    server.handle(Input::SessionClosed { session: SessionId(0) });
    assert_eq!(server.signaling.focus().snapshot(), Default::default());
}
