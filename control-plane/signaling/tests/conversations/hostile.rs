//! What strangers and odd clients may try, and what must come of it.

use crate::world::World;

#[test]
fn nobody_but_the_focus_makes_rooms() {
    let mut world = World::new();
    world.run(
        "
        Ann opens
        Ann > <presence xmlns='jabber:client' to='{room}/{Ann.nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>
        Ann < <presence xmlns='jabber:client' from='{room}/{Ann.nick}' to='{Ann}' type='error'><error type='cancel'><not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>Room creation is restricted</text></error></presence>
        Ann > <iq xmlns='jabber:client' type='set' id='1' to='{room}'><query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query></iq>
        Ann < <iq * id='1' type='error'><error type='cancel'><item-not-found *
        Ann > <message xmlns='jabber:client' type='groupchat' to='{room}'><body>x</body></message>
        Ann < <message * type='error'><error type='cancel'><item-not-found *
        ",
    );
    for room in [
        "",
        "@",
        "conference.meet.example",
        "standup@meet.example",
        "standup@other.example",
        "standup@auth.meet.example",
        "standup@conference.meet.example/focus",
        "__jicofo-health-check-1@conference.meet.example",
        "stand up@conference.meet.example",
    ] {
        world.run(&format!(
            "
            Ann > <iq xmlns='jabber:client' type='set' id='c' to='focus.meet.example'><conference xmlns='http://jitsi.org/protocol/focus' room='{room}'/></iq>
            Ann < <iq xmlns='jabber:client' from='focus.meet.example' to='{{Ann}}' id='c' type='error'><error type='modify'><bad-request *
            "
        ));
    }
    assert_eq!(world.signaling.snapshot().rooms, 0);
}

#[test]
fn nobody_speaks_under_another_s_address() {
    World::new().run(
        "
        Ann opens
        Ann joins
        Bob opens
        Bob joins
        Bob > <message xmlns='jabber:client' from='{room}/{Ann.nick}' type='groupchat' id='m' to='{room}'><body>I am Ann</body></message>
        Ann < <message xmlns='jabber:client' type='groupchat' id='m' from='{room}/{Bob.nick}' to='{Ann}'><body>I am Ann</body></message>
        Bob < <message *
        Bob > <message xmlns='jabber:client' from='{Ann}' type='chat' id='m' to='{room}/{Ann.nick}'><body>x</body></message>
        Ann < <message xmlns='jabber:client' type='chat' id='m' from='{room}/{Bob.nick}' to='{Ann}'><body>x</body><x xmlns='http://jabber.org/protocol/muc#user'/></message>
        Bob > <presence xmlns='jabber:client' from='{Ann}' type='unavailable' to='{room}/{Ann.nick}'/>
        Ann < <presence xmlns='jabber:client' from='{room}/{Bob.nick}' type='unavailable' *
        Bob < <presence xmlns='jabber:client' from='{room}/{Bob.nick}' type='unavailable' *
        Bob > <iq xmlns='jabber:client' from='{room}/focus' type='set' id='i' to='{room}/{Ann.nick}'><jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' sid='s'/></iq>
        Bob < <iq xmlns='jabber:client' from='{room}/{Ann.nick}' to='{Bob}' id='i' type='error'><error type='modify'><not-acceptable *
        Ann <
        Bob > <presence xmlns='jabber:client' to='{room}/focus'><x xmlns='http://jabber.org/protocol/muc'/></presence>
        Bob < <presence * type='error'><error type='cancel'><conflict *
        Bob > <presence xmlns='jabber:client' to='{room}/{Ann.nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>
        Bob < <presence * type='error'><error type='cancel'><conflict *
        Ann <
        ",
    );
}

/// What a client may ask, sensible or not.
const PAYLOADS: [&str; 11] = [
    "<query xmlns='jabber:iq:roster'/>",
    "<query xmlns='jabber:iq:version'/>",
    "<query xmlns='http://jabber.org/protocol/disco#items'/>",
    "<query xmlns='http://jabber.org/protocol/disco#info' node='x'/>",
    "<conference xmlns='http://jitsi.org/protocol/focus'/>",
    "<query xmlns='http://jabber.org/protocol/muc#admin'/>",
    "<query xmlns='http://jabber.org/protocol/muc#owner'/>",
    "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>",
    "<x xmlns='urn:unknown'/>",
    "",
    "<a xmlns='urn:a'/><b xmlns='urn:b'/>",
];

/// Whom it may ask.
const TARGETS: [&str; 13] = [
    "meet.example",
    "focus.meet.example",
    "conference.meet.example",
    "auth.meet.example",
    "elsewhere.example",
    "{room}",
    "{room}/nobody",
    "absent@conference.meet.example",
    "absent@conference.meet.example/x",
    "{Ann}",
    "{Ann.bare}",
    "user@meet.example",
    "not an address@@",
];

#[test]
fn every_request_gets_exactly_one_answer_and_answers_get_none() {
    let mut world = World::new();
    world.run(
        "
        Ann opens
        Ann joins
        Bob opens
        ",
    );
    for name in ["Ann", "Bob"] {
        for to in TARGETS {
            for payload in PAYLOADS {
                for kind in ["get", "set"] {
                    world.run(&format!(
                        "
                        {name} > <iq xmlns='jabber:client' type='{kind}' id='q' to='{to}'>{payload}</iq>
                        {name} < <iq * id='q' type='*
                        {name} <
                        "
                    ));
                }
                for kind in ["result", "error"] {
                    world.run(&format!(
                        "
                        {name} > <iq xmlns='jabber:client' type='{kind}' id='q' to='{to}'>{payload}</iq>
                        {name} <
                        "
                    ));
                }
            }
        }
    }
    world.run(
        "
        Bob > <iq xmlns='jabber:client' type='get' to='meet.example'><ping xmlns='urn:xmpp:ping'/></iq>
        Bob < <iq * type='error'><error type='modify'><bad-request *
        Bob > <iq xmlns='jabber:client' id='q' to='meet.example'><ping xmlns='urn:xmpp:ping'/></iq>
        Bob < <iq * id='q' type='error'><error type='modify'><bad-request *
        Bob > <iq xmlns='jabber:client' type='odd' id='q' to='meet.example'><ping xmlns='urn:xmpp:ping'/></iq>
        Bob < <iq * id='q' type='error'><error type='modify'><bad-request *
        Bob <
        Ann <
        ",
    );
}

#[test]
fn text_that_is_not_restricted_xml_ends_the_stream_and_the_occupant_leaves() {
    let deep = "<a>".repeat(10_000);
    let attributes: String = (0..1_000).map(|i| format!(" a{i}='x'")).collect();
    let rows = [
        ("<message xmlns='jabber:client'><body></message>".to_owned(), "not-well-formed"),
        ("<message xmlns='jabber:client'/><message xmlns='jabber:client'/>".to_owned(), "not-well-formed"),
        ("<message xmlns='jabber:client'><p:x/></message>".to_owned(), "not-well-formed"),
        ("<message xmlns='jabber:client'>\u{0}</message>".to_owned(), "not-well-formed"),
        (format!("<message xmlns='jabber:client'>{deep}"), "policy-violation"),
        (format!("<message xmlns='jabber:client'{attributes}/>"), "policy-violation"),
        (format!("<message xmlns='jabber:client'>{}</message>", "x".repeat(300_000)), "policy-violation"),
        (
            "<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><message xmlns='jabber:client'>&b;</message>".to_owned(),
            "restricted-xml",
        ),
        ("<message xmlns='jabber:client'>&unknown;</message>".to_owned(), "restricted-xml"),
        ("<message xmlns='jabber:client'><!-- x --></message>".to_owned(), "restricted-xml"),
        ("<message xmlns='jabber:server'/>".to_owned(), "unsupported-stanza-type"),
    ];
    for (frame, condition) in rows {
        let mut world = World::new();
        world.run(
            "
            Ann opens
            Ann joins
            Bob opens
            Bob joins
            ",
        );
        world.run(&format!("Bob > {frame}"));
        world.run(&format!(
            "
            Bob < <stream:error xmlns:stream='http://etherx.jabber.org/streams'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>
            Bob < <close xmlns=\"urn:ietf:params:xml:ns:xmpp-framing\" />
            Ann < <presence xmlns='jabber:client' from='{{room}}/{{Bob.nick}}' type='unavailable' to='{{Ann}}'>*
            "
        ));
        assert!(world.is_closed("Bob"), "{condition}");
    }
}

#[test]
fn a_session_can_be_in_a_few_rooms_only() {
    let mut world = World::new();
    world.run("Ann opens");
    for i in 0..9 {
        world.run(&format!(
            "
            Ann > <iq xmlns='jabber:client' type='set' id='c' to='focus.meet.example'><conference xmlns='http://jitsi.org/protocol/focus' room='r{i}@conference.meet.example'/></iq>
            forget
            Ann > <presence xmlns='jabber:client' to='r{i}@conference.meet.example/{{Ann.nick}}'><x xmlns='http://jabber.org/protocol/muc'/></presence>
            "
        ));
    }
    world.run("Ann < <presence xmlns='jabber:client' from='r8@conference.meet.example/{Ann.nick}' to='{Ann}' type='error'><error type='wait'><resource-constraint *");
    assert_eq!(world.signaling.snapshot().occupants, 8);
}
