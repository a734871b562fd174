use proptest::prelude::*;

use super::*;

#[test]
fn an_unusable_accept_harms_nobody_and_a_usable_one_may_follow() {
    let video = camera("ann", 1_001);
    let rows = [
        String::new(),
        "<content name='audio'/>".to_owned(),
        format!("<content name='video'>{video}</content>"),
        format!("<content name='video'>{video}{}</content>", TRANSPORT.replace("4B:11", "zz")),
        format!("<content name='video'>{video}{}</content>", TRANSPORT.replace("Zk4+", "a b")),
        format!("<content name='video'>{}{TRANSPORT}</content>", camera("bob", 1_001)),
        format!("<content name='video'>{}{TRANSPORT}</content>", camera("ann", 2_001)),
        format!("<content name='video'>{}{TRANSPORT}</content>", video.replace("'1003'", "'1001'")),
        format!("<content name='video'>{}{TRANSPORT}</content>", video.replace("SIM", "FID")),
    ];
    for inside in rows {
        let mut world = World::new(config());
        for nick in ["ann", "bob", "eve"] {
            world.join(nick, &plain());
        }
        world.accept("bob", 2_000);
        world.accept("eve", 3_000);
        world.clear();
        assert_eq!(outcome(&world.jingle("ann", "session-accept", &inside)), "bad-request", "{inside}");
        assert!(world.commands.is_empty() && world.associations.is_empty(), "{inside}");
        assert_eq!((world.take("bob").len(), world.take("eve").len()), (0, 0), "{inside}");
        assert_eq!(outcome(&world.accept("ann", 1_000)), "result", "{inside}");
        assert_eq!(world.actions("bob"), ["source-add"], "{inside}");
    }
}

#[test]
fn sources_and_transports_before_the_accept_do_nothing() {
    for action in ["source-add", "source-remove"] {
        let mut world = World::new(config());
        world.join("ann", WEB);
        world.join("bob", WEB);
        world.clear();
        assert_eq!(outcome(&world.jingle("ann", action, &share("ann", 9_000))), "unexpected-request");
        let transport = format!("<content name='audio'>{TRANSPORT}</content>");
        assert_eq!(outcome(&world.jingle("ann", "transport-info", &transport)), "result");
        assert!(world.commands.is_empty() && world.associations.is_empty());
    }
}

/// Where a session may be.
const STATES: [&str; 4] = ["none", "offered", "active", "ended"];

/// Each action of a client, and what comes of it in each of [`STATES`]: every state that it does not fit has its refusal, and
/// what is refused reaches neither the bridge nor anybody else.
const OUTCOMES: [(&str, [&str; 4]); 9] = [
    ("session-accept", ["bad-request", "result", "unexpected-request", "gone"]),
    ("source-add", ["bad-request", "unexpected-request", "result", "gone"]),
    ("source-remove", ["bad-request", "unexpected-request", "bad-request", "gone"]),
    ("transport-info", ["bad-request", "result", "result", "gone"]),
    ("session-info", ["bad-request", "result", "result", "gone"]),
    ("session-terminate", ["bad-request", "result", "result", "gone"]),
    ("session-initiate", ["feature-not-implemented"; 4]),
    ("transport-accept", ["feature-not-implemented"; 4]),
    ("content-add", ["feature-not-implemented"; 4]),
];

#[test]
fn every_action_in_every_state_has_one_answer_and_a_refused_one_reaches_nobody() {
    for (action, expected) in OUTCOMES {
        assert_eq!(STATES.map(|state| outcome_in(state, action)), expected, "{action}");
    }
}

/// What `action` is answered where the session is in `state`; others must hear nothing of it if it is refused.
fn outcome_in(state: &str, action: &str) -> String {
    let mut world = World::new(config());
    world.join("ann", &plain());
    if state != "none" {
        world.join("bob", &plain());
        world.accept("bob", 2_000);
    }
    let sid = if state == "none" { "none".to_owned() } else { world.sid("ann") };
    match state {
        "active" => drop(world.accept("ann", 1_000)),
        "ended" => drop(world.jingle("ann", "session-terminate", "")),
        _ => {}
    }
    world.clear();
    let inside = match action {
        "session-accept" | "transport-info" => format!("<content name='audio'>{TRANSPORT}</content>"),
        "source-add" | "source-remove" => share("ann", 9_000),
        _ => String::new(),
    };
    let outcome = outcome(&world.jingle_of("ann", &sid, action, &inside));
    if outcome != "result" {
        assert!(world.commands.is_empty() && world.associations.is_empty(), "{action} {state}");
        assert!(world.take("bob").is_empty(), "{action} {state}");
    }
    outcome
}

#[test]
fn one_who_is_not_in_the_room_is_told_so() {
    let mut world = World::meeting(&["ann", "bob"], WEB);
    let sid = world.sid("ann");
    assert_eq!(outcome(&world.jingle_of("ghost", &sid, "session-terminate", "")), "item-not-found");
    assert_eq!(outcome(&world.jingle_of("bob", &sid, "session-terminate", "")), "bad-request");
    assert_eq!(world.focus.snapshot().sessions, 2);
}

#[test]
fn a_second_fingerprint_and_second_credentials_are_ignored() {
    let mut world = World::meeting(&["ann", "bob"], WEB);
    let other = TRANSPORT.replace("4B:11", "5C:22").replace("Zk4+", "evil");
    world.jingle("ann", "transport-info", &format!("<content name='audio'>{other}</content>"));
    assert!(world.commands.is_empty() && world.associations.is_empty());
}

#[derive(Clone, Debug)]
enum Act {
    Join(usize),
    Leave(usize),
    Accept(usize, u32),
    Share(usize, u32),
    Unshare(usize, u32),
    Restart(usize),
    Lose(usize),
    Pass(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let who = 0_usize..4;
    let act = prop_oneof![
        3 => who.clone().prop_map(Act::Join),
        1 => who.clone().prop_map(Act::Leave),
        4 => (who.clone(), 0_u32..3).prop_map(|(who, base)| Act::Accept(who, base)),
        2 => (who.clone(), 0_u32..3).prop_map(|(who, base)| Act::Share(who, base)),
        2 => (who.clone(), 0_u32..3).prop_map(|(who, base)| Act::Unshare(who, base)),
        1 => who.clone().prop_map(Act::Restart),
        1 => who.prop_map(Act::Lose),
        1 => (0_u64..30).prop_map(Act::Pass),
    ];
    prop::collection::vec(act, 0..40)
}

const NICKS: [&str; 4] = ["ann", "bob", "eve", "zoe"];

fn perform(world: &mut World, act: Act) {
    let has_session = |world: &World, who: usize| {
        let participant = world.focus.conferences.get(&room()).and_then(|it| it.participant(NICKS[who]));
        participant.is_some_and(|participant| participant.sid().is_some())
    };
    match act {
        Act::Join(who) => world.join(NICKS[who], if who % 2 == 0 { WEB } else { &WEB[..7] }),
        Act::Leave(who) => world.leave(NICKS[who]),
        Act::Pass(seconds) => world.pass(seconds),
        Act::Accept(who, base) if has_session(world, who) => {
            drop(world.accept(NICKS[who], 1_000 * (1 + base)))
        }
        Act::Share(who, base) if has_session(world, who) => {
            drop(world.jingle(NICKS[who], "source-add", &share(NICKS[who], 1_000 * (1 + base))));
        }
        Act::Unshare(who, base) if has_session(world, who) => {
            drop(world.jingle(NICKS[who], "source-remove", &share(NICKS[who], 1_000 * (1 + base))));
        }
        Act::Restart(who) if has_session(world, who) => {
            let id = world.bridge_session(NICKS[who]);
            let inside =
                format!("<bridge-session xmlns='http://jitsi.org/protocol/focus' id='{id}' restart='true'/>");
            drop(world.jingle(NICKS[who], "session-terminate", &inside));
        }
        Act::Lose(who) if has_session(world, who) => {
            let endpoint = world.endpoint(NICKS[who]);
            world.report(Report::EndpointExpired {
                endpoint,
                reason: contract::report::ExpiryReason::Inactive,
            });
        }
        _ => {}
    }
}

/// What a client that follows `source-add` and `source-remove` believes, checked against the truth.
fn check_belief(world: &World) {
    let Some(conference) = world.focus.conferences.get(&room()) else { return };
    for participant in &conference.participants {
        let active = matches!(participant.session, Session::Active(_));
        if !active || participant.rewrites(&world.focus.config) {
            continue;
        }
        for nick in NICKS {
            let visible = conference.visible(&participant.nick, nick, &world.focus.config);
            let told = participant.signalled.get(nick).cloned().unwrap_or_default();
            assert_eq!(told, visible, "{} of {nick}", participant.nick);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_everybody_knows_the_sources_and_nothing_leaks(acts in acts()) {
        let mut world = World::new(config());
        for act in acts {
            perform(&mut world, act);
            check_belief(&world);
            let seated: Vec<EndpointId> = {
                let expired: Vec<EndpointId> = world.commands.iter().filter_map(|command| match command {
                    Command::ExpireEndpoint { endpoint } => Some(*endpoint),
                    _ => None,
                }).collect();
                world.created.iter().copied().filter(|endpoint| !expired.contains(endpoint)).collect()
            };
            prop_assert!(world.focus.snapshot().endpoints <= seated.len());
            prop_assert!(world.focus.snapshot().endpoints <= world.focus.snapshot().participants);
        }
        for nick in NICKS {
            world.leave(nick);
        }
        prop_assert_eq!(world.focus.snapshot().endpoints, 0);
        prop_assert_eq!(world.focus.snapshot().conferences, 0);
        prop_assert!(world.focus.asked.is_empty());
    }
}
