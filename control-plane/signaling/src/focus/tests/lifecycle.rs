use contract::report::ExpiryReason;

use super::*;

fn restart(world: &mut World, nick: &str, id: &str) -> String {
    let inside = format!(
        "<reason><connectivity-error/><text>ICE FAILED</text></reason>\
         <bridge-session xmlns='http://jitsi.org/protocol/focus' id='{id}' restart='true'/>"
    );
    outcome(&world.jingle(nick, "session-terminate", &inside))
}

#[test]
fn a_conference_that_nobody_joins_ends_after_fifteen_seconds() {
    let mut world = World::new(config());
    let request =
        ConferenceRequest { room: room(), machine_uid: None, session_id: None, properties: Vec::new() };
    world.focus.conference_requested(&request, world.now).expect("room for it");
    world.settle();
    let text = format!("{:?}", world.others);
    assert!(text.contains("conference-properties"), "{text}");
    world.clear();
    world.pass(14);
    assert_eq!(world.others, []);
    world.pass(1);
    assert!(matches!(world.others.as_slice(), [Output::DestroyRoom { .. }]));
    assert_eq!(world.focus.snapshot(), Snapshot::default());
}

#[test]
fn a_repeated_request_gives_the_joiner_more_time_with_one_timer() {
    let mut world = World::new(config());
    let request =
        ConferenceRequest { room: room(), machine_uid: None, session_id: None, properties: Vec::new() };
    for _ in 0..3 {
        world.focus.conference_requested(&request, world.now).expect("room for it");
        world.pass(10);
    }
    assert_eq!(world.focus.timers.len(), 1);
    assert_eq!(world.focus.snapshot().conferences, 1);
    world.pass(5);
    assert_eq!(world.focus.snapshot().conferences, 0);
}

#[test]
fn one_who_joins_in_the_last_moment_saves_the_session_even_if_slow_to_tell_its_features() {
    let mut world = World::meeting(&["ann", "bob"], WEB);
    world.leave("bob");
    world.pass(19);
    world.join_silently("eve");
    world.pass(30);
    assert_eq!(world.actions("ann"), [""; 0]);
    assert_eq!(world.actions("eve"), ["session-initiate"]);
}

#[test]
fn what_the_bridge_still_has_under_our_meeting_id_is_expired_and_made_anew() {
    let mut world = World::new(config());
    world.join("ann", WEB);
    let stray = ConferenceModify {
        meeting_id: world.focus.conferences[&room()].meeting_id.clone(),
        create: true,
        ..ConferenceModify::default()
    };
    world.focus.bridge.modify(0, &stray, &mut counting(), world.now);
    world.join("bob", WEB);
    world.pass(5);
    assert_eq!(
        (world.actions("ann"), world.actions("bob")),
        (vec!["session-initiate".into()], vec!["session-initiate".into()])
    );
}

#[test]
fn a_conference_that_is_joined_does_not_end() {
    let mut world = World::new(config());
    let request =
        ConferenceRequest { room: room(), machine_uid: None, session_id: None, properties: Vec::new() };
    world.focus.conference_requested(&request, world.now).expect("room for it");
    world.join("ann", WEB);
    world.clear();
    world.pass(3_600);
    assert_eq!(world.others, []);
}

#[test]
fn the_one_who_is_left_loses_its_session_after_twenty_seconds_and_gets_another_with_the_next() {
    let mut world = World::meeting(&["ann", "bob"], WEB);
    world.leave("bob");
    world.pass(19);
    assert_eq!(world.actions("ann"), [""; 0]);
    world.pass(1);
    let jingles = world.jingles("ann");
    let [(action, jingle)] = jingles.as_slice() else { panic!("{jingles:?}") };
    assert_eq!(action, "session-terminate");
    let reason = jingle.child("reason", jingle_ns::JINGLE).expect("a reason");
    assert!(reason.child("expired", jingle_ns::JINGLE).is_some());
    assert_eq!(
        reason.child("text", jingle_ns::JINGLE).map(Element::text).as_deref(),
        Some("Idle session timeout")
    );
    assert!(world.commands.contains(&Command::ExpireEndpoint { endpoint: world.endpoint("ann") }));
    world.join("bob", WEB);
    assert_eq!(world.actions("ann"), ["session-initiate"]);
    assert_eq!(outcome(&world.accept("ann", 1_000)), "result");
}

#[test]
fn a_short_time_alone_ends_nothing() {
    let mut world = World::meeting(&["ann", "bob"], WEB);
    world.leave("bob");
    world.pass(10);
    world.join("eve", WEB);
    world.pass(60);
    assert_eq!(world.actions("ann"), [""; 0]);
}

#[test]
fn the_last_to_leave_ends_the_conference_and_frees_everything() {
    let mut world = World::meeting(&["ann", "bob"], WEB);
    world.leave("ann");
    world.leave("bob");
    assert!(matches!(world.others.last(), Some(Output::DestroyRoom { .. })));
    assert_eq!(world.focus.snapshot(), Snapshot::default());
    assert!(world.focus.meetings.is_empty() && world.focus.asked.is_empty());
    let expired =
        world.commands.iter().filter(|command| matches!(command, Command::ExpireEndpoint { .. })).count();
    assert_eq!(expired, 2);
}

#[test]
fn the_first_ordinary_occupant_is_made_owner_and_the_next_when_it_leaves() {
    let mut world = World::new(FocusConfig { hidden_domain: Some("hidden.meet.example".into()), ..config() });
    let jid = FullJid::new("rec@hidden.meet.example/x").expect("an address");
    let presence = Element::new("presence", ns::JABBER_CLIENT);
    let recorder =
        Occupant { room: &room(), nick: "rec", real_jid: &jid, presence: &presence, moderator: false };
    world.focus.occupant_joined(&recorder, world.now);
    world.join("ann", WEB);
    world.join("bob", WEB);
    let granted = |world: &mut World| -> Vec<String> {
        let granted = world.others.drain(..).filter_map(|output| match output {
            Output::GrantOwner { nick, .. } => Some(nick),
            _ => None,
        });
        granted.collect()
    };
    assert_eq!(granted(&mut world), ["ann"]);
    world.leave("ann");
    assert_eq!(granted(&mut world), ["bob"]);
}

#[test]
fn a_restart_gives_a_new_endpoint_and_a_new_session_at_most_every_five_seconds() {
    let mut world = World::meeting(&["ann", "bob"], &plain());
    let (sid, id, old) = (world.sid("ann"), world.bridge_session("ann"), world.endpoint("ann"));
    assert_eq!(restart(&mut world, "ann", "stale"), "item-not-found");
    assert_eq!(restart(&mut world, "ann", &id), "result");
    assert!(world.commands.contains(&Command::ExpireEndpoint { endpoint: old }));
    assert_eq!(world.actions("ann"), ["session-initiate"], "the client ended the old session itself");
    assert_eq!(world.actions("bob"), ["source-remove"]);
    assert_ne!((world.sid("ann"), world.bridge_session("ann")), (sid.clone(), id));

    // What is said about the old session is told apart.
    let late = world.jingle_of("ann", &sid, "source-add", &share("ann", 9_000));
    assert_eq!(outcome(&late), "item-not-found");
    assert_eq!(outcome(&world.jingle_of("ann", &sid, "session-accept", "")), "gone");
    assert_eq!(outcome(&world.jingle_of("ann", "never", "source-add", "")), "bad-request");

    assert_eq!(outcome(&world.accept("ann", 1_000)), "result");
    assert_eq!(world.actions("bob"), ["source-add"]);
    let id = world.bridge_session("ann");
    assert_eq!(restart(&mut world, "ann", &id), "resource-constraint");
    assert_eq!(world.actions("ann"), [""; 0]);
    assert_eq!(outcome(&world.jingle_of("ann", &sid, "source-add", "")), "gone");
}

#[test]
fn a_session_that_the_client_ends_for_good_is_not_begun_again() {
    let mut world = World::meeting(&["ann", "bob"], WEB);
    assert_eq!(outcome(&world.jingle("ann", "session-terminate", "<reason><success/></reason>")), "result");
    world.join("eve", WEB);
    assert_eq!(world.actions("ann"), [""; 0]);
}

#[test]
fn an_endpoint_that_the_bridge_drops_gets_a_new_session() {
    let mut world = World::meeting(&["ann", "bob"], &plain());
    let old = world.endpoint("ann");
    world.report(Report::EndpointExpired { endpoint: old, reason: ExpiryReason::Inactive });
    assert_eq!(world.actions("ann"), ["session-terminate", "session-initiate"]);
    assert_ne!(world.endpoint("ann"), old);
    assert_eq!(world.actions("bob"), ["source-remove"]);
    assert!(world.associations.contains(&association::Command::Expire { endpoint: old }));
    assert!(!world.commands.contains(&Command::ExpireEndpoint { endpoint: old }), "it is gone already");
    world.report(Report::EndpointExpired { endpoint: old, reason: ExpiryReason::Inactive });
    assert_eq!(world.actions("ann"), [""; 0], "a late report misses");
}

#[test]
fn an_older_client_whose_ice_failed_is_told_of_the_end_before_it_gets_the_new_offer() {
    let mut world = World::meeting(&["ann", "bob"], WEB);
    let failed = |id: &str| {
        format!(
            "<ice-state xmlns='http://jitsi.org/protocol/focus'>failed</ice-state>\
             <bridge-session xmlns='http://jitsi.org/protocol/focus' id='{id}'/>"
        )
    };
    let old = world.sid("ann");
    let id = world.bridge_session("ann");
    assert_eq!(outcome(&world.jingle("ann", "session-info", &failed("another"))), "item-not-found");
    assert_eq!(world.actions("ann"), [""; 0]);
    assert_eq!(outcome(&world.jingle("ann", "session-info", &failed(&id))), "result");
    let jingles = world.jingles("ann");
    let [(first, farewell), (second, offer)] = jingles.as_slice() else { panic!("{jingles:?}") };
    assert_eq!((first.as_str(), second.as_str()), ("session-terminate", "session-initiate"));
    assert_eq!(farewell.attribute("sid"), Some(old.as_str()));
    assert_ne!(offer.attribute("sid"), Some(old.as_str()));
}

#[test]
fn an_in_place_ice_restart_tells_new_credentials_with_a_generation() {
    let mut world = World::meeting(&["ann", "bob"], WEB);
    let ann = world.endpoint("ann");
    let remote = "192.0.2.1:5".parse().expect("an address");
    world.report(Report::TransportConnected { endpoint: ann, remote });
    let id = world.bridge_session("ann");
    let inside =
        format!("<bridge-session xmlns='http://jitsi.org/protocol/focus' id='{id}' ice-restart='true'/>");
    assert_eq!(outcome(&world.jingle("ann", "session-info", &inside)), "result");
    assert!(world.commands.contains(&Command::RestartIce { endpoint: ann }));
    let jingles = world.jingles("ann");
    let [(action, jingle)] = jingles.as_slice() else { panic!("{jingles:?}") };
    assert_eq!(action, "transport-info");
    let content = jingle.child("content", jingle_ns::JINGLE).expect("a content");
    let transport = content.child("transport", jingle_ns::ICE_UDP).expect("a transport");
    assert_eq!(
        (content.attribute("name"), transport.attribute("ice-generation")),
        (Some("audio"), Some("1"))
    );
    let setup = transport.child("fingerprint", jingle_ns::DTLS).and_then(|it| it.attribute("setup"));
    assert_eq!(setup, Some("passive"), "the roles are known by now");

    world.clear();
    let told = |generation| {
        let attribute = format!("<transport ice-generation='{generation}'");
        format!("<content name='audio'>{}</content>", TRANSPORT.replace("<transport", &attribute))
    };
    world.jingle("ann", "transport-info", &told(7));
    assert_eq!(world.commands, [], "of another generation");
    world.jingle("ann", "transport-info", &told(1));
    assert!(matches!(world.commands.as_slice(), [Command::SetTransport { .. }]));
}

#[test]
fn a_client_may_ask_for_a_new_session_right_after_an_ice_restart_in_place() {
    let mut world = World::meeting(&["ann", "bob"], WEB);
    let (ann, id) = (world.endpoint("ann"), world.bridge_session("ann"));
    let remote = "192.0.2.1:5".parse().expect("an address");
    world.report(Report::TransportConnected { endpoint: ann, remote });
    let inside =
        format!("<bridge-session xmlns='http://jitsi.org/protocol/focus' id='{id}' ice-restart='true'/>");
    assert_eq!(outcome(&world.jingle("ann", "session-info", &inside)), "result");
    assert_eq!(outcome(&world.jingle("ann", "session-info", &inside)), "resource-constraint");
    world.clear();
    assert_eq!(restart(&mut world, "ann", &id), "result", "its own limit, not that of those in place");
    assert_eq!(world.actions("ann"), ["session-initiate"]);
}

#[test]
fn an_in_place_restart_that_the_bridge_cannot_make_becomes_a_new_session() {
    let mut world = World::meeting(&["ann", "bob"], WEB);
    let ann = world.endpoint("ann");
    let remote = "192.0.2.1:5".parse().expect("an address");
    world.report(Report::TransportConnected { endpoint: ann, remote });
    world.seating = false;
    let id = world.bridge_session("ann");
    let inside =
        format!("<bridge-session xmlns='http://jitsi.org/protocol/focus' id='{id}' ice-restart='true'/>");
    world.jingle("ann", "session-info", &inside);
    world.seating = true;
    world.pass(10);
    assert_eq!(world.actions("ann"), ["session-terminate", "session-initiate"]);
}

#[test]
fn an_in_place_restart_before_the_first_connection_changes_nothing() {
    let mut world = World::meeting(&["ann", "bob"], WEB);
    let id = world.bridge_session("ann");
    let inside =
        format!("<bridge-session xmlns='http://jitsi.org/protocol/focus' id='{id}' ice-restart='true'/>");
    assert_eq!(outcome(&world.jingle("ann", "session-info", &inside)), "result");
    assert_eq!((world.actions("ann").len(), world.commands.len()), (0, 0));
    assert_eq!(outcome(&world.jingle("ann", "session-info", &inside)), "resource-constraint");
}

#[test]
fn an_endpoint_that_cannot_be_seated_is_tried_again_later() {
    let mut world = World::new(config());
    world.seating = false;
    world.join("ann", WEB);
    world.join("bob", WEB);
    for endpoint in world.created.clone() {
        world.focus.refused(endpoint, world.now);
    }
    world.settle();
    world.seating = true;
    assert_eq!(world.actions("ann"), [""; 0]);
    world.pass(1);
    assert_eq!((world.actions("ann").len(), world.actions("bob").len()), (1, 1));
}

#[test]
fn a_media_plane_that_does_not_answer_is_asked_a_bounded_number_of_times() {
    let mut world = World::new(config());
    world.seating = false;
    world.join("ann", WEB);
    world.join("bob", WEB);
    world.pass(3_600);
    assert_eq!(world.created.len(), 2 * 7);
    assert_eq!(world.focus.snapshot().endpoints, 0);
}

#[test]
fn a_client_that_refuses_the_offer_is_left_alone() {
    let mut world = World::new(config());
    world.join("ann", WEB);
    world.features.insert("bob".into(), WEB.to_vec());
    world.seating = false;
    world.join_silently("bob");
    let bob = *world.created.last().expect("an endpoint");
    world.focus.report(ready(world.created[0]), world.now);
    world.focus.report(ready(bob), world.now);
    let mut id = None;
    while let Some(output) = world.focus.poll_output() {
        if let Output::ToOccupant { nick, stanza, .. } = output
            && nick == "bob"
            && stanza.child("jingle", jingle_ns::JINGLE).is_some()
        {
            id = stanza.attribute("id").map(str::to_owned);
        }
    }
    let error = iq("error", None).attr("id", id.expect("an offer"));
    world.focus.iq_answer(&room(), "bob", &error, world.now);
    world.settle();
    assert!(world.commands.contains(&Command::ExpireEndpoint { endpoint: bob }));
}

#[test]
fn mutes_are_checked_and_passed_to_the_client() {
    let mute = |target: &str, value: &str| {
        Element::new("mute", jingle_ns::MUTE_AUDIO)
            .attr("jid", format!("{}/{target}", room()))
            .with_text(value)
    };
    let rows = [
        ("ann", "bob", "true", "result", 1),
        ("ann", "ann", "true", "result", 0),
        ("bob", "ann", "true", "not-allowed", 0),
        ("ann", "bob", "false", "not-allowed", 0),
        ("bob", "bob", "false", "result", 0),
        ("ann", "nobody", "true", "internal-server-error", 0),
        ("ann", "bob", "maybe", "bad-request", 0),
    ];
    for (requester, target, value, expected, told) in rows {
        // Ann was first and owns the room.
        let mut world = World::meeting(&["ann", "bob"], WEB);
        let answer = world.request(requester, mute(target, value));
        assert_eq!(outcome(&answer), expected, "{requester} {target} {value}");
        let got = world.take(target);
        assert_eq!(got.len(), told, "{requester} {target} {value}");
        if let Some(order) = got.first().and_then(|stanza| stanza.child("mute", jingle_ns::MUTE_AUDIO)) {
            assert_eq!(order.attribute("actor"), Some(format!("{}/ann", room()).as_str()));
            assert_eq!((order.text().as_str(), order.attribute("jid")), ("true", None));
        }
    }
}

#[test]
fn every_entity_s_questions_are_answered() {
    let mut world = World::meeting(&["ann", "bob"], WEB);
    let mut get = |payload| {
        world.focus.iq(&room(), "ann", &iq("get", Some(payload)), world.now);
        let Some(Output::ToOccupant { stanza, .. }) = world.focus.poll_output() else { panic!() };
        outcome(&stanza)
    };
    assert_eq!(get(Element::new("ping", ns::PING)), "result");
    assert_eq!(get(Element::new("query", ns::DISCO_INFO)), "result");
    assert_eq!(get(Element::new("odd", "x")), "service-unavailable");
}
