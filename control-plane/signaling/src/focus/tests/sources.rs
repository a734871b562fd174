use contract::session::{Media, VideoType};

use super::*;

#[test]
fn an_accept_sets_transport_fingerprint_and_sources() {
    let mut world = World::new(config());
    world.join("ann", WEB);
    world.join("bob", WEB);
    world.clear();
    assert_eq!(outcome(&world.accept("ann", 1_000)), "result");
    let ann = world.endpoint("ann");
    let Some(Command::SetTransport { endpoint, remote }) = world.commands.first() else { panic!() };
    assert_eq!((*endpoint, remote.ufrag.as_str()), (ann, "Zk4+"));
    let Some(association::Command::SetRemote { endpoint, fingerprints, setup }) = world.associations.first()
    else {
        panic!("{:?}", world.associations)
    };
    assert_eq!((*endpoint, fingerprints.len(), *setup), (ann, 1, association::Setup::Active));
    let sources = world.told_sources("ann");
    let encodings = |source: &SourceSpec| -> Vec<(u32, Option<u32>)> {
        source.encodings.iter().map(|encoding| (encoding.ssrc.0, encoding.rtx.map(|rtx| rtx.0))).collect()
    };
    assert_eq!((sources[0].media, encodings(&sources[0])), (Media::Audio, vec![(1_000, None)]));
    let layers = vec![(1_001, Some(1_002)), (1_003, Some(1_004)), (1_005, Some(1_006))];
    assert_eq!((sources[1].media, encodings(&sources[1])), (Media::Video, layers));
    let last_n = world.commands.iter().find_map(|command| match command {
        Command::SetConstraints { constraints, .. } => Some(constraints.last_n),
        _ => None,
    });
    assert_eq!(last_n, Some(Some(5)));
}

#[test]
fn who_answers_without_red_is_sent_no_redundant_audio() {
    for (listed, told) in [("opus", 1), ("red", 0)] {
        let mut world = World::new(config());
        world.join("ann", WEB);
        world.join("bob", WEB);
        let description = format!(
            "<description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'><payload-type id='111' name='{listed}'/></description>"
        );
        let answer = format!("<content name='audio'>{description}{TRANSPORT}</content>");
        assert_eq!(outcome(&world.jingle("ann", "session-accept", &answer)), "result");
        let command = Command::LeaveOutRedundancy { endpoint: world.endpoint("ann") };
        assert_eq!(world.commands.iter().filter(|it| **it == command).count(), told, "{listed}");
    }
}

#[test]
fn with_rewriting_nobody_is_told_sources_over_jingle() {
    let mut world = World::meeting(&["ann", "bob"], WEB);
    world.jingle("ann", "source-add", &share("ann", 3_000));
    world.jingle("ann", "source-remove", &share("ann", 3_000));
    assert_eq!(world.actions("bob"), [""; 0]);
}

#[test]
fn without_rewriting_an_added_source_is_told_to_all_others_in_the_compact_form() {
    let mut world = World::meeting(&["ann", "bob", "eve"], &plain());
    assert_eq!(outcome(&world.jingle("ann", "source-add", &share("ann", 9_000))), "result");
    for other in ["bob", "eve"] {
        let jingles = world.jingles(other);
        let [(action, jingle)] = jingles.as_slice() else { panic!("{jingles:?}") };
        assert_eq!(
            (action.as_str(), jingle.attribute("sid")),
            ("source-add", Some(world.sid(other).as_str()))
        );
        let expected = serde_json::json!({"ann": [
            [{"s": 9000, "n": "ann-v1", "m": "ann-v1 t", "v": "d"}, {"s": 9001, "n": "ann-v1", "m": "ann-v1 t", "v": "d"}],
            [["f", 9000, 9001]],
            []
        ]});
        assert_eq!(sources_of(jingle), expected);
    }
    assert_eq!(world.actions("ann"), [""; 0]);
    let told = world.told_sources("ann");
    assert_eq!(told.last().map(|source| source.video_type), Some(VideoType::Desktop));

    assert_eq!(outcome(&world.jingle("ann", "source-remove", &share("ann", 9_000))), "result");
    assert_eq!(world.actions("bob"), ["source-remove"]);
    assert_eq!(
        outcome(&world.jingle("ann", "source-add", &share("ann", 9_000))),
        "result",
        "published again"
    );
}

#[test]
fn the_offer_without_rewriting_has_the_others_with_simulcast_stripped() {
    let mut world = World::meeting(&["ann", "bob"], &plain());
    world.join("eve", &plain());
    let jingles = world.jingles("eve");
    let sources = sources_of(&jingles[0].1);
    let owners: Vec<&String> = sources.as_object().expect("owners").keys().collect();
    assert_eq!(owners, ["ann", "bob", "jvb"]);
    let expected = serde_json::json!([
        [{"s": 1001, "n": "ann-v0", "m": "ann-v0 t"}, {"s": 1002, "n": "ann-v0", "m": "ann-v0 t"}],
        [["f", 1001, 1002]],
        [{"s": 1000, "n": "ann-a0", "m": "ann-a0 t"}]
    ]);
    assert_eq!(sources["ann"], expected);
}

#[test]
fn sources_that_come_before_the_accept_are_told_right_after_it() {
    let mut world = World::new(config());
    for nick in ["ann", "bob", "eve"] {
        world.join(nick, &plain());
    }
    world.accept("ann", 1_000);
    world.jingle("ann", "source-add", &share("ann", 9_000));
    world.jingle("ann", "source-remove", &share("ann", 9_000));
    assert_eq!(world.actions("bob"), ["session-initiate"], "an offer that was made before");
    world.accept("bob", 2_000);
    let jingles = world.jingles("bob");
    assert_eq!(jingles.len(), 1, "what was taken back is not mentioned: {jingles:?}");
    assert_eq!(jingles[0].0, "source-add");
    let sources = sources_of(&jingles[0].1);
    assert_eq!(sources.as_object().map(|owners| owners.len()), Some(1));
    assert_eq!(sources["ann"][0].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_leaver_is_not_announced_and_frees_its_ssrcs() {
    let mut world = World::meeting(&["ann", "bob", "eve"], &plain());
    let ann = world.endpoint("ann");
    world.leave("ann");
    assert_eq!(world.actions("bob"), [""; 0]);
    assert!(world.commands.contains(&Command::ExpireEndpoint { endpoint: ann }));
    assert!(world.associations.contains(&association::Command::Expire { endpoint: ann }));
    assert_eq!(outcome(&world.jingle("bob", "source-add", &share("bob", 1_000))), "result");
}

#[test]
fn who_comes_back_under_the_same_name_is_told_anew() {
    let mut world = World::meeting(&["ann", "bob", "eve"], &plain());
    world.leave("ann");
    world.join("ann", &plain());
    assert_eq!(world.actions("ann"), ["session-initiate"]);
    assert_eq!(outcome(&world.accept("ann", 1_000)), "result");
    assert_eq!(world.actions("bob"), ["source-add"]);
    let old = world.endpoint("ann");
    // Joins again before it left: the old session is gone without a word.
    world.join("ann", &plain());
    assert!(world.commands.contains(&Command::ExpireEndpoint { endpoint: old }));
    assert_eq!(world.actions("ann"), ["session-initiate"]);
}

#[test]
fn each_broken_change_of_sources_is_refused_to_its_sender_and_told_to_nobody() {
    let audio = |ssrc: &str, name: &str| {
        format!(
            "<content name='audio'><description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'>\
             <source xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' ssrc='{ssrc}' name='{name}'/></description></content>"
        )
    };
    let rows = [
        ("source-add", audio("0", "ann-a1"), "bad-request"),
        ("source-add", audio("4294967296", "ann-a1"), "bad-request"),
        ("source-add", audio("2000", "ann-a1"), "bad-request"),
        ("source-add", audio("1000", "ann-a0"), "bad-request"),
        ("source-add", audio("5", "bob-a1"), "bad-request"),
        ("source-remove", audio("2000", "bob-a0"), "bad-request"),
        ("source-remove", audio("77", "ann-a0"), "bad-request"),
        ("content-add", String::new(), "feature-not-implemented"),
        ("transport-accept", String::new(), "feature-not-implemented"),
        ("session-accept", String::new(), "unexpected-request"),
    ];
    for (action, inside, expected) in rows {
        let mut world = World::meeting(&["ann", "bob"], &plain());
        assert_eq!(outcome(&world.jingle("ann", action, &inside)), expected, "{action} {inside}");
        assert_eq!(world.actions("bob"), [""; 0], "{action} {inside}");
        assert!(world.commands.is_empty(), "{action} {inside}");
        assert_eq!(outcome(&world.jingle("ann", "source-add", &share("ann", 9_000))), "result", "unharmed");
    }
}

#[test]
fn no_more_senders_are_taken_than_configured() {
    let mut world = World::new(FocusConfig { video_senders_max: 1, ..config() });
    world.join("ann", WEB);
    world.join("bob", WEB);
    world.others.clear();
    assert_eq!(outcome(&world.accept("ann", 1_000)), "result");
    let Some(Output::Presence { children, .. }) = world.others.first() else { panic!("{:?}", world.others) };
    let text: String = children.iter().map(Element::to_string).collect();
    assert!(text.contains("<property key='video-limit-reached' value='true'/>"), "{text}");
    assert_eq!(outcome(&world.accept("bob", 2_000)), "resource-constraint");
}
