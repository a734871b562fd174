use super::*;

fn offer(world: &mut World, nick: &str) -> Element {
    let offers = world.jingles(nick);
    let [(action, jingle)] = offers.as_slice() else { panic!("{offers:?}") };
    assert_eq!(action, "session-initiate");
    jingle.clone()
}

fn two(features: &[&'static str]) -> (World, Element) {
    let mut world = World::new(config());
    world.join("ann", features);
    world.join("bob", features);
    let jingle = offer(&mut world, "ann");
    (world, jingle)
}

fn contents(jingle: &Element) -> Vec<&Element> {
    jingle.children_named("content", jingle_ns::JINGLE).collect()
}

#[test]
fn a_lone_occupant_waits_and_the_second_brings_an_offer_for_both() {
    let mut world = World::new(config());
    world.join("ann", WEB);
    assert_eq!(world.actions("ann"), [""; 0]);
    world.join("bob", WEB);
    assert_eq!(world.actions("ann"), ["session-initiate"]);
    assert_eq!(world.actions("bob"), ["session-initiate"]);
    world.join("eve", WEB);
    assert_eq!(world.actions("ann"), [""; 0]);
    assert_eq!(world.actions("eve"), ["session-initiate"]);
}

#[test]
fn the_offer_has_the_contents_and_the_bundle_of_a_stock_offer() {
    let (_, jingle) = two(WEB);
    assert_eq!(jingle.attribute("initiator"), Some("focus@auth.meet.example/focus"));
    let names: Vec<_> = contents(&jingle).iter().map(|content| content.attribute("name")).collect();
    assert_eq!(names, [Some("audio"), Some("video"), Some("data")]);
    for content in contents(&jingle) {
        assert_eq!(
            (content.attribute("creator"), content.attribute("senders")),
            (Some("initiator"), Some("both"))
        );
        let description = content.child("description", jingle_ns::RTP).expect("a description");
        assert!(description.child("rtcp-mux", jingle_ns::RTP).is_some(), "read only inside the description");
    }
    let group = jingle.child("group", jingle_ns::GROUPING).expect("a group");
    assert_eq!(
        group.to_string(),
        "<group xmlns='urn:xmpp:jingle:apps:grouping:0' semantics='BUNDLE'>\
         <content name='audio'/><content name='video'/><content name='data'/></group>"
    );
}

#[test]
fn all_contents_carry_the_same_transport_and_data_the_sctp_map() {
    let (world, jingle) = two(WEB);
    let transports: Vec<Element> = contents(&jingle)
        .iter()
        .map(|content| content.child("transport", jingle_ns::ICE_UDP).expect("a transport").clone())
        .collect();
    assert_eq!(transports[0], transports[1]);
    let mut data = transports[2].clone();
    assert!(data.child("sctpmap", jingle_ns::DTLS_SCTP).is_some());
    data.retain_children(|child| child.name() != "sctpmap");
    assert_eq!(data, transports[0]);
    let fingerprint = transports[0].child("fingerprint", jingle_ns::DTLS).expect("inside the ICE transport");
    assert_eq!(fingerprint.attribute("setup"), Some("actpass"));
    assert!(fingerprint.text().starts_with("9A:9A:"));

    let url = transports[0]
        .child("web-socket", jingle_ns::COLIBRI)
        .and_then(|it| it.attribute("url"))
        .expect("a URL");
    let rest = url.strip_prefix("wss://meet.example/colibri-ws/default/").expect("the configured base");
    let (path, password) = rest.split_once("?pwd=").expect("a password");
    let (conference, endpoint) = path.split_once('/').expect("conference and endpoint");
    assert_eq!((endpoint, password.len()), ("ann", 24));
    let authorized =
        |conference, endpoint, password| world.focus.authorize_channel(conference, endpoint, password);
    assert_eq!(authorized(conference, "ann", password), Some(world.endpoint("ann")));
    assert_eq!(authorized(conference, "bob", password), None);
    assert_eq!(authorized(conference, "ann", ""), None);
    assert_eq!(authorized(conference, "nobody", "------------------------"), None);
    assert_eq!(authorized("0", "ann", password), None);
}

#[test]
fn the_bridge_s_own_sources_are_always_offered_and_with_rewriting_nothing_else() {
    let (_, jingle) = two(WEB);
    let sources = sources_of(&jingle);
    assert_eq!(sources.as_object().map(|owners| owners.len()), Some(1));
    let jvb = sources["jvb"].as_array().expect("an array");
    assert_eq!(jvb.len(), 3);
    assert_eq!(
        (&jvb[0][0]["n"], &jvb[0][0]["m"]),
        (&"jvb-v0".into(), &"mixedmslabel mixedlabelvideo0".into())
    );
    assert_eq!(jvb[1], serde_json::json!([]));
    assert_eq!(
        (&jvb[2][0]["n"], &jvb[2][0]["m"]),
        (&"jvb-a0".into(), &"mixedmslabel mixedlabelaudio0".into())
    );
    assert!(jvb[0][0]["s"].is_u64() && jvb[2][0]["s"].is_u64() && jvb[0][0]["s"] != jvb[2][0]["s"]);
}

#[test]
fn each_offer_has_its_own_sid_bridge_session_and_credentials() {
    let mut world = World::new(config());
    world.join("ann", WEB);
    world.join("bob", WEB);
    let offers = [offer(&mut world, "ann"), offer(&mut world, "bob")];
    let of = |read: fn(&Element) -> Option<&str>| {
        offers.each_ref().map(|jingle| read(jingle).expect("present").to_owned())
    };
    let read: [fn(&Element) -> Option<&str>; 3] = [
        |jingle| jingle.attribute("sid"),
        |jingle| jingle.child("bridge-session", ns::FOCUS)?.attribute("id"),
        |jingle| {
            let content = jingle.child("content", jingle_ns::JINGLE)?;
            content.child("transport", jingle_ns::ICE_UDP)?.attribute("ufrag")
        },
    ];
    for read in read {
        let [ann, bob] = of(read);
        assert_ne!(ann, bob);
    }
}

#[test]
fn an_old_client_gets_no_data_content_no_rtx_and_xml_sources() {
    let (_, jingle) = two(&["urn:xmpp:jingle:apps:rtp:audio", "urn:xmpp:jingle:apps:rtp:video"]);
    let names: Vec<_> = contents(&jingle).iter().map(|content| content.attribute("name")).collect();
    assert_eq!(names, [Some("audio"), Some("video")]);
    let text = jingle.to_string();
    assert!(
        !text.contains("'rtx'") && !text.contains("transport-cc") && !text.contains("json-message"),
        "{text}"
    );
    assert!(text.contains("<parameter name='msid' value='mixedmslabel mixedlabelaudio0'/>"), "{text}");
    assert!(text.contains("<ssrc-info xmlns='http://jitsi.org/jitmeet' owner='jvb'/>"), "{text}");
}

#[test]
fn a_client_that_does_not_tell_its_features_gets_the_default_offer_after_fifteen_seconds() {
    let mut world = World::new(config());
    world.join("ann", WEB);
    world.join_silently("bob");
    world.pass(14);
    assert_eq!(world.actions("bob"), [""; 0]);
    world.pass(1);
    let jingle = offer(&mut world, "bob");
    assert_eq!(contents(&jingle).len(), 3);
    assert!(!jingle.to_string().contains("json-message"));
}

#[test]
fn features_are_taken_only_from_the_answer_to_our_question() {
    let mut world = World::new(config());
    world.join("ann", WEB);
    world.join_silently("bob");
    let forged = iq("result", Some(Element::new("query", ns::DISCO_INFO))).attr("id", "guess");
    world.focus.iq_answer(&room(), "bob", &forged, world.now);
    world.settle();
    assert_eq!(world.actions("bob"), [""; 0]);
}

#[test]
fn the_media_plane_is_told_what_was_offered() {
    let (world, _) = two(WEB);
    let Some(Command::CreateEndpoint(spec)) = world.commands.first() else { panic!() };
    assert!(spec.ssrc_rewriting && !spec.visitor);
    let numbers: Vec<_> = spec.payload_types.iter().map(|it| (it.number, it.rtx, it.transport_cc)).collect();
    assert_eq!(
        numbers,
        [
            (111, None, true),
            (126, None, false),
            (41, Some(42), true),
            (100, Some(96), true),
            (107, Some(99), true),
            (101, Some(97), true)
        ]
    );
    let ids = spec.extensions;
    assert_eq!((ids.audio_level, ids.absolute_send_time, ids.transport_cc), (Some(1), Some(3), Some(5)));
    assert_eq!((ids.mid, ids.dependency_descriptor, ids.allow_mixed), (Some(10), Some(11), true));
}

#[test]
fn participants_beyond_the_number_in_the_request_start_muted_once() {
    let mut world = World::new(config());
    let properties = vec![("startAudioMuted".to_owned(), "1".to_owned())];
    let request = ConferenceRequest { room: room(), machine_uid: None, session_id: None, properties };
    let answer = world.focus.conference_requested(&request, world.now).expect("room for it");
    assert_eq!((answer.ready, answer.focus_jid.as_str()), (true, "focus@auth.meet.example"));
    world.join("ann", WEB);
    world.join("bob", WEB);
    assert!(offer(&mut world, "ann").child("startmuted", jingle_ns::START_MUTED).is_none());
    let muted = offer(&mut world, "bob").child("startmuted", jingle_ns::START_MUTED).cloned().expect("muted");
    assert_eq!((muted.attribute("audio"), muted.attribute("video")), (Some("true"), Some("false")));
    let id = world.bridge_session("bob");
    world.jingle(
        "bob",
        "session-terminate",
        &format!("<bridge-session xmlns='http://jitsi.org/protocol/focus' id='{id}' restart='true'/>"),
    );
    assert!(offer(&mut world, "bob").child("startmuted", jingle_ns::START_MUTED).is_none());
}
