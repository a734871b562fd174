use contract::report::ExpiryReason;
use contract::session::{AudioSubscription, ReceiverConstraints, VideoConstraint};
use contract::{Duration, WorkerId};
use proptest::prelude::*;

use super::*;

fn constraints(world: &mut World) -> Vec<ReceiverConstraints> {
    let constraints = world.commands.drain(..).filter_map(|command| match command {
        Command::SetConstraints { constraints, .. } => Some(constraints),
        _ => None,
    });
    constraints.collect()
}

fn mapped(world: &World, to: &str, name: &str, ssrc: u32) -> Report {
    let media = if name.ends_with("a0") { Media::Audio } else { Media::Video };
    let rtx = (media == Media::Video).then_some(Ssrc(ssrc + 1));
    Report::SourceMapped {
        endpoint: world.endpoint(to),
        source: world.source(name),
        media,
        ssrc: Ssrc(ssrc),
        rtx,
    }
}

fn demand(world: &World, worker: u16, name: &str, max_height: u16) -> Report {
    Report::SourceDemand { worker: WorkerId(worker), source: world.source(name), max_height }
}

#[test]
fn a_websocket_is_greeted_at_once_and_a_data_channel_when_it_asks() {
    let mut world = World::meeting(&["ann"]);
    world.say("ann", r#"{"colibriClass":"ClientHello"}"#);
    assert_eq!(world.heard("ann"), [r#"{"colibriClass":"ServerHello"}"#]);
    world.open("ann", ChannelKind::DataChannel);
    assert!(!world.heard("ann").join("").contains("ServerHello"));
    world.open("ann", ChannelKind::WebSocket);
    assert_eq!(world.heard("ann")[0], r#"{"colibriClass":"ServerHello"}"#);
}

#[test]
fn constraints_are_merged_and_told_by_identity() {
    let mut world = World::meeting(&["ann", "bob"]);
    world.say(
        "ann",
        r#"{"colibriClass":"ReceiverVideoConstraints","lastN":2,"constraints":{"bob-v0":{"maxHeight":360}}}"#,
    );
    let bob = world.source("bob-v0");
    let height = |max_height| VideoConstraint { max_height };
    let first = ReceiverConstraints {
        last_n: Some(2),
        default: height(180),
        sources: vec![(bob, height(360))],
        ..ReceiverConstraints::default()
    };
    assert_eq!(constraints(&mut world), std::slice::from_ref(&first));
    world.say("ann", r#"{"colibriClass":"LastNChangedEvent","lastN":-1}"#);
    assert_eq!(constraints(&mut world), [ReceiverConstraints { last_n: None, ..first }]);
}

#[test]
fn a_source_that_is_wanted_before_it_is_known_is_wanted_when_it_appears() {
    let mut world = World::meeting(&["ann", "bob"]);
    world.say("ann", r#"{"colibriClass":"ReceiverVideoConstraints","onStageSources":["bob-v1"]}"#);
    world.say("ann", r#"{"colibriClass":"ReceiverAudioSubscription","all":false,"include":["bob-a1"]}"#);
    world.clear();
    let sources = vec![
        video("bob", 12),
        media_source(Media::Video, "bob-v1".into(), 50),
        media_source(Media::Audio, "bob-a1".into(), 51),
    ];
    world.set_sources("bob", sources);
    let audio = AudioSubscription { all: false, include: vec![world.source("bob-a1")], exclude: Vec::new() };
    let ann = world.endpoint("ann");
    assert!(world.commands.contains(&Command::SetAudioSubscription { endpoint: ann, subscription: audio }));
    let told = constraints(&mut world);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].on_stage, [world.source("bob-v1")]);
}

#[test]
fn reports_that_come_together_make_one_map_per_medium() {
    let mut world = World::meeting(&["ann", "bob", "eve"]);
    for (name, ssrc) in [("bob-v0", 100), ("eve-v0", 200), ("bob-a0", 300)] {
        let report = mapped(&world, "ann", name, ssrc);
        world.report(report);
    }
    assert_eq!(world.heard("ann"), [""; 0]);
    assert_eq!(world.bridge.poll_timeout(), world.now);
    world.timeout();
    assert_eq!(
        world.heard("ann"),
        [
            r#"{"colibriClass":"VideoSourcesMap","mappedSources":[{"source":"bob-v0","owner":"bob","ssrc":100,"rtx":101,"videoType":"CAMERA"},{"source":"eve-v0","owner":"eve","ssrc":200,"rtx":201,"videoType":"CAMERA"}]}"#,
            r#"{"colibriClass":"AudioSourcesMap","mappedSources":[{"source":"bob-a0","owner":"bob","ssrc":300}]}"#,
        ]
    );
    assert_eq!(world.bridge.poll_timeout(), Timestamp::NEVER);
    let report = mapped(&world, "ann", "eve-v0", 100);
    world.report(report);
    world.timeout();
    let heard = world.heard("ann").join("");
    assert!(heard.contains(r#""source":"eve-v0""#) && !heard.contains("bob"), "only what changed: {heard}");
}

#[test]
fn a_sender_is_told_the_largest_wish_of_all_workers() {
    let mut world = World::meeting(&["ann", "bob"]);
    let rows = [
        (0, 360, Some(360)),
        (1, 180, None),
        (0, 0, Some(180)),
        (1, 0, Some(0)),
        (1, VideoConstraint::UNLIMITED, Some(-1)),
        (0, 720, None),
    ];
    for (worker, height, expected) in rows {
        let report = demand(&world, worker, "bob-v0", height);
        world.report(report);
        world.timeout();
        let expected: Vec<String> = expected
            .map(|height| format!(r#"{{"colibriClass":"SenderSourceConstraints","sourceName":"bob-v0","maxHeight":{height}}}"#))
            .into_iter()
            .collect();
        assert_eq!(world.heard("bob"), expected, "{worker} {height}");
    }
}

#[test]
fn a_new_channel_is_told_everything_and_a_reconnect_repeats_it() {
    let mut world = World::meeting(&["ann", "bob"]);
    let (ann, bob) = (world.endpoint("ann"), world.endpoint("bob"));
    let forwarded = [world.source("bob-v0")].into_iter().collect();
    for report in [
        demand(&world, 0, "ann-v0", 720),
        mapped(&world, "ann", "bob-v0", 100),
        Report::ForwardedSources { endpoint: ann, sources: forwarded },
        Report::DominantSpeaker {
            conference: world.conference(),
            endpoint: Some(bob),
            previous: [ann].into_iter().collect(),
        },
        Report::Connectivity { endpoint: bob, active: false },
    ] {
        world.report(report);
    }
    world.timeout();
    for _ in 0..2 {
        world.clear();
        world.open("ann", ChannelKind::WebSocket);
        assert_eq!(
            world.heard("ann"),
            [
                r#"{"colibriClass":"ServerHello"}"#,
                r#"{"colibriClass":"SenderSourceConstraints","sourceName":"ann-v0","maxHeight":720}"#,
                r#"{"colibriClass":"ForwardedSources","forwardedSources":["bob-v0"]}"#,
                r#"{"colibriClass":"VideoSourcesMap","mappedSources":[{"source":"bob-v0","owner":"bob","ssrc":100,"rtx":101,"videoType":"CAMERA"}]}"#,
                r#"{"colibriClass":"DominantSpeakerEndpointChangeEvent","dominantSpeakerEndpoint":"bob","previousSpeakers":["ann"],"silence":false}"#,
                r#"{"colibriClass":"EndpointConnectivityStatusChangeEvent","endpoint":"bob","active":"false"}"#,
            ]
        );
    }
}

#[test]
fn a_replaced_websocket_that_closes_late_does_not_close_the_new_one() {
    let mut world = World::new();
    world.create("ann", true).expect("accepted");
    let (endpoint, kind) = (world.endpoint("ann"), ChannelKind::WebSocket);
    world.open("ann", kind);
    world.open("ann", kind);
    world.bridge.association(Event::ChannelClosed { endpoint, kind }, world.now);
    world.clear();
    world.report(Report::Bandwidth { endpoint, bits_per_second: 5 });
    assert_eq!(world.heard("ann"), [r#"{"colibriClass":"ConnectionStats","estimatedDownlinkBandwidth":5}"#]);
    world.bridge.association(Event::ChannelClosed { endpoint, kind }, world.now);
    world.report(Report::Bandwidth { endpoint, bits_per_second: 5 });
    assert_eq!(world.heard("ann"), [""; 0]);
}

#[test]
fn messages_go_to_one_or_to_all_others_and_never_under_a_false_name() {
    let mut world = World::meeting(&["ann", "bob", "eve"]);
    world.say("ann", r#"{"colibriClass":"EndpointMessage","to":"bob","from":"eve","msgPayload":{"a":1}}"#);
    assert_eq!(
        world.heard("bob"),
        [r#"{"colibriClass":"EndpointMessage","from":"ann","msgPayload":{"a":1},"to":"bob"}"#]
    );
    assert_eq!((world.heard("ann").len(), world.heard("eve").len()), (0, 0));
    world.say("ann", r#"{"colibriClass":"EndpointMessage","to":"","msgPayload":{}}"#);
    assert_eq!((world.heard("ann").len(), world.heard("bob").len(), world.heard("eve").len()), (0, 1, 1));
    world.say("ann", r#"{"colibriClass":"EndpointMessage","to":"nobody","msgPayload":{}}"#);
    assert!(world.sent.is_empty());
}

#[test]
fn a_visitor_hears_and_is_not_heard() {
    let mut world = World::meeting(&["ann"]);
    let visitor = EndpointModify { visitor: true, ..new_endpoint("vis") };
    world
        .modify(ConferenceModify { endpoints: vec![visitor], ..meeting() })
        .expect("an answer")
        .expect("accepted");
    world.open("vis", ChannelKind::DataChannel);
    world.clear();
    world.say("vis", r#"{"colibriClass":"EndpointMessage","to":"","msgPayload":{}}"#);
    world.say("vis", r#"{"colibriClass":"EndpointStats","jvbRTT":1}"#);
    let vis = world.endpoint("vis");
    world.report(Report::Connectivity { endpoint: vis, active: false });
    assert!(world.sent.is_empty());
    world.say("ann", r#"{"colibriClass":"EndpointMessage","to":"","msgPayload":{}}"#);
    assert_eq!(world.heard("vis").len(), 1);
}

#[test]
fn statistics_go_to_all_in_a_small_conference_and_to_the_interested_in_a_large_one() {
    let names: Vec<String> = (0..21).map(|number| format!("e{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let stats = r#"{"colibriClass":"EndpointStats","jvbRTT":41}"#;
    let mut small = World::meeting(&names[..20]);
    small.say("e0", stats);
    assert_eq!(small.sent.len(), 19);
    let mut large = World::meeting(&names);
    large.say("e5", r#"{"colibriClass":"ReceiverVideoConstraints","defaultConstraints":{"maxHeight":0},"onStageSources":["e0-v0"]}"#);
    large.say("e0", stats);
    assert_eq!(large.heard("e5"), [r#"{"colibriClass":"EndpointStats","from":"e0","jvbRTT":41}"#]);
    assert!(large.sent.is_empty());
    let speaker = Some(large.endpoint("e0"));
    let report = Report::DominantSpeaker {
        conference: large.conference(),
        endpoint: speaker,
        previous: Default::default(),
    };
    large.report(report);
    large.clear();
    large.say("e0", stats);
    assert_eq!(large.sent.len(), 20);
}

#[test]
fn what_a_source_shows_is_told_even_if_it_is_said_before_the_source_is_known() {
    let mut world = World::meeting(&["ann"]);
    let source = world.source("ann-v0");
    let say = |name: &str, kind: &str| {
        format!(r#"{{"colibriClass":"SourceVideoTypeMessage","sourceName":"{name}","videoType":"{kind}"}}"#)
    };
    world.say("ann", &say("ann-v0", "none"));
    world.say("ann", &say("ann-v0", "DISABLED"));
    assert_eq!(world.commands, [Command::SetVideoType { source, video_type: VideoType::Disabled }]);
    world.say("ann", &say("ann-v1", "desktop"));
    world.clear();
    world.set_sources("ann", vec![video("ann", 2), media_source(Media::Video, "ann-v1".into(), 9)]);
    let Some(Command::SetSources { sources, .. }) = world.commands.first() else { panic!() };
    let types: Vec<VideoType> = sources.iter().map(|source| source.video_type).collect();
    assert_eq!(types, [VideoType::Disabled, VideoType::Desktop]);
}

#[test]
fn nobody_can_say_what_the_source_of_another_shows() {
    let mut world = World::meeting(&["ann", "bob"]);
    world.say("ann", r#"{"colibriClass":"SourceVideoTypeMessage","sourceName":"bob-v0","videoType":"none"}"#);
    for number in 0..100 {
        let name = format!("ann-v{number}");
        world.say(
            "ann",
            &format!(
                r#"{{"colibriClass":"SourceVideoTypeMessage","sourceName":"{name}","videoType":"none"}}"#
            ),
        );
    }
    let ann = &world.bridge.endpoints[&world.endpoint("ann")];
    assert_eq!(ann.video_types.len(), 20, "bounded");
    let bob = &world.bridge.sources[&world.source("bob-v0")];
    assert_eq!(bob.video_type, VideoType::Camera);
}

#[test]
fn a_flood_is_cut_to_the_rate_and_broadcasts_to_a_lower_one() {
    let mut world = World::meeting(&["ann", "bob"]);
    for _ in 0..300 {
        world.say("ann", r#"{"colibriClass":"EndpointMessage","to":"bob","msgPayload":{}}"#);
    }
    assert_eq!(world.heard("bob").len(), 100);
    assert_eq!(world.bridge.counters().messages_limited, 200);
    world.now = world.now + Duration::from_secs(60);
    for _ in 0..100 {
        world.say("ann", r#"{"colibriClass":"EndpointMessage","to":"","msgPayload":{}}"#);
    }
    assert_eq!(world.heard("bob").len(), 20);
}

#[test]
fn an_endpoint_that_is_lost_is_told_to_the_focus_once() {
    let mut world = World::meeting(&["ann", "bob"]);
    let ann = world.endpoint("ann");
    for _ in 0..2 {
        world.report(Report::EndpointExpired { endpoint: ann, reason: ExpiryReason::Inactive });
    }
    assert_eq!((world.lost.as_slice(), world.bridge.size()), (["ann".to_owned()].as_slice(), (1, 1)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_message_and_no_report_makes_the_bridge_panic(
        events in prop::collection::vec((0_u8..9, 0_u64..12, 0_u64..16, any::<u16>(), ".{0,60}"), 0..60),
    ) {
        let classes = ["ReceiverVideoConstraints", "EndpointMessage", "EndpointStats", "LastNChangedEvent"];
        let mut world = World::meeting(&["ann", "bob", "eve"]);
        let conference = world.conference();
        for (kind, endpoint, source, number, text) in events {
            let (endpoint, source) = (EndpointId(endpoint), SourceId(source));
            let report = match kind {
                0 => Report::SourceMapped { endpoint, source, media: Media::Video, ssrc: Ssrc(number.into()), rtx: None },
                1 => Report::SourceDemand { worker: WorkerId(number % 3), source, max_height: number },
                2 => Report::ForwardedSources { endpoint, sources: [source].into_iter().collect() },
                3 => Report::DominantSpeaker {
                    conference,
                    endpoint: (number % 2 == 0).then_some(endpoint),
                    previous: [EndpointId(source.0)].into_iter().collect(),
                },
                4 => Report::Connectivity { endpoint, active: number % 2 == 0 },
                5 => Report::EndpointExpired { endpoint, reason: ExpiryReason::Inactive },
                6 => ready(endpoint),
                7 => Report::TransportFailed { endpoint },
                _ => {
                    let class = classes[usize::from(number) % classes.len()];
                    let text = format!(r#"{{"colibriClass":"{class}","to":{text:?},"lastN":{number},"msgPayload":{{}}}}"#);
                    world.bridge.association(Event::ChannelText { endpoint, text }, world.now);
                    continue;
                }
            };
            world.report(report);
            world.timeout();
        }
        for (_, text) in &world.sent {
            prop_assert!(serde_json::from_str::<serde_json::Value>(text).is_ok(), "{}", text);
        }
    }
}
