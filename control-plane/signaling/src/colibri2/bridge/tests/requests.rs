use super::*;
use crate::colibri2::model::{RelayModify, SctpRole};

#[test]
fn a_creation_is_answered_with_transport_and_feedback_sources() {
    let mut world = World::new();
    let answer = world.create("ann", true).expect("accepted");
    let transport = answer.endpoints[0].transport.as_ref().expect("a transport");
    assert_eq!(transport.sctp, Some(Sctp { role: Some(SctpRole::Server), port: Some(5_000) }));
    assert_eq!(transport.ice.credentials.as_ref().map(|it| it.pwd.len()), Some(24));
    assert!(
        transport.ice.web_sockets[0].starts_with("wss://b/colibri-ws/x/"),
        "{:?}",
        transport.ice.web_sockets
    );
    let names: Vec<&str> = answer.sources.iter().map(|source| source.id.as_str()).collect();
    assert_eq!(names, ["jvb-a0", "jvb-v0"]);
    let second = world.create("bob", false).expect("accepted");
    assert_eq!(second.sources, answer.sources, "one pair per conference");
}

#[test]
fn each_bad_request_gets_its_narrowest_error_and_changes_nothing() {
    use Condition::*;
    let with = |endpoint| ConferenceModify { endpoints: vec![endpoint], ..meeting() };
    let transport = |sctp| EndpointModify {
        transport: Some(TransportModify { sctp: Some(sctp), ..TransportModify::default() }),
        ..of("ann")
    };
    let stolen = EndpointModify { sources: Some(vec![audio("bob", 77)]), ..of("ann") };
    let twice = EndpointModify { sources: Some(vec![audio("ann", 7), video("ann", 7)]), ..of("ann") };
    let rows = [
        (ConferenceModify::default(), BadRequest, Reason::Unspecified),
        (ConferenceModify { create: true, ..meeting() }, Conflict, Reason::ConferenceAlreadyExists),
        (ConferenceModify { meeting_id: "m2".into(), ..meeting() }, ItemNotFound, Reason::ConferenceNotFound),
        (ConferenceModify { name: Some("@".into()), ..meeting() }, BadRequest, Reason::Unspecified),
        (
            ConferenceModify { relays: vec![RelayModify::default()], ..meeting() },
            FeatureNotImplemented,
            Reason::FeatureNotImplemented,
        ),
        (
            ConferenceModify { endpoints: vec![new_endpoint("x"), of("ann")], ..meeting() },
            FeatureNotImplemented,
            Reason::FeatureNotImplemented,
        ),
        (with(new_endpoint("ann")), Conflict, Reason::Unspecified),
        (with(EndpointModify { transport: None, ..new_endpoint("x") }), BadRequest, Reason::Unspecified),
        (
            with(EndpointModify { capabilities: Vec::new(), ..new_endpoint("x") }),
            BadRequest,
            Reason::Unspecified,
        ),
        (
            with(EndpointModify { visitor: true, sources: Some(vec![audio("x", 5)]), ..new_endpoint("x") }),
            BadRequest,
            Reason::Unspecified,
        ),
        (
            with(EndpointModify { sources: Some(Vec::new()), ..of("x") }),
            ItemNotFound,
            Reason::UnknownEndpoint,
        ),
        (
            with(transport(Sctp { role: Some(SctpRole::Client), port: None })),
            FeatureNotImplemented,
            Reason::FeatureNotImplemented,
        ),
        (with(transport(Sctp { role: None, port: Some(9) })), BadRequest, Reason::Unspecified),
        (with(stolen), BadRequest, Reason::Unspecified),
        (with(twice), BadRequest, Reason::Unspecified),
    ];
    for (modify, condition, reason) in rows {
        let mut world = World::meeting(&["ann", "bob"]);
        let error = world.modify(modify.clone()).expect("an answer").expect_err("refused");
        assert_eq!((error.condition, error.reason), (condition, reason), "{modify:?}");
        assert_eq!(error.endpoint.is_some(), reason == Reason::UnknownEndpoint, "{modify:?}");
        assert_eq!((world.commands.len(), world.bridge.size()), (0, (1, 2)), "{modify:?}");
    }
}

#[test]
fn expiry_and_force_mute_of_unknown_endpoints_are_no_errors() {
    let mut world = World::meeting(&["ann", "bob"]);
    let gone = EndpointModify { expire: true, ..of("x") };
    let endpoints = vec![gone, muted("y"), muted("ann")];
    let answer =
        world.modify(ConferenceModify { endpoints, ..meeting() }).expect("an answer").expect("accepted");
    let expired: Vec<bool> = answer.endpoints.iter().map(|endpoint| endpoint.expire).collect();
    assert_eq!(expired, [true, false, false]);
    let mute = Command::SetForceMute { endpoint: world.endpoint("ann"), audio: true, video: false };
    assert_eq!(world.commands, [mute]);
}

#[test]
fn while_draining_nothing_new_is_taken() {
    let mut world = World::meeting(&["ann"]);
    world.bridge.set_draining(true);
    let fresh = ConferenceModify {
        meeting_id: "m2".into(),
        create: true,
        endpoints: vec![new_endpoint("x")],
        ..ConferenceModify::default()
    };
    let error = world.modify(fresh).expect("an answer").expect_err("refused");
    assert_eq!((error.condition, error.reason), (Condition::ServiceUnavailable, Reason::GracefulShutdown));
    world.create("bob", false).expect("conferences that are there go on");
}

#[test]
fn answers_come_in_the_order_of_the_requests() {
    let mut world = World::new();
    world.seating = false;
    assert!(
        world
            .modify(ConferenceModify { create: true, endpoints: vec![new_endpoint("ann")], ..meeting() })
            .is_none()
    );
    assert!(world.modify(ConferenceModify { endpoints: vec![new_endpoint("bob")], ..meeting() }).is_none());
    assert!(world.modify(ConferenceModify { endpoints: vec![muted("ann")], ..meeting() }).is_none());
    let (ann, bob) = (world.endpoint("ann"), world.endpoint("bob"));
    world.report(ready(bob));
    assert_eq!(world.answers, []);
    world.report(ready(ann));
    let order: Vec<u64> = world.answers.iter().map(|(request, _)| *request).collect();
    assert_eq!(order, [1, 2, 3]);
}

#[test]
fn an_endpoint_that_is_never_seated_is_given_up_after_ten_seconds() {
    let mut world = World::new();
    world.seating = false;
    world.modify(ConferenceModify { create: true, endpoints: vec![new_endpoint("ann")], ..meeting() });
    let ann = world.endpoint("ann");
    world.now = world.bridge.poll_timeout();
    assert_eq!(world.now, Timestamp::from_millis(11_000));
    world.timeout();
    let error = world.answers[0].1.as_ref().expect_err("given up");
    assert_eq!(error.condition, Condition::ServiceUnavailable);
    assert!(world.commands.contains(&Command::ExpireEndpoint { endpoint: ann }));
    assert_eq!(world.bridge.size(), (0, 0));
    world.report(ready(ann));
    assert_eq!(world.answers.len(), 1);
}

#[test]
fn a_conference_ends_with_its_last_endpoint_or_by_request() {
    let mut world = World::meeting(&["ann"]);
    let endpoints = vec![EndpointModify { expire: true, ..of("ann") }];
    world.modify(ConferenceModify { endpoints, ..meeting() }).expect("an answer").expect("accepted");
    assert_eq!(world.bridge.size(), (0, 0));
    world.create("ann", true).expect("the meeting id is free again");
    world.modify(ConferenceModify { expire: true, ..meeting() }).expect("an answer").expect("accepted");
    assert_eq!(world.bridge.size(), (0, 0));
    assert!(
        world.bridge.local_ids.is_empty()
            && world.bridge.meetings.is_empty()
            && world.bridge.sources.is_empty()
    );
}

#[test]
fn a_source_keeps_its_identity_while_signalled_and_gets_a_new_one_when_it_comes_back() {
    let mut world = World::meeting(&["ann"]);
    let first = world.source("ann-v0");
    world.set_sources("ann", vec![video("ann", 99)]);
    assert_eq!(world.source("ann-v0"), first);
    world.set_sources("ann", Vec::new());
    world.set_sources("ann", vec![video("ann", 99)]);
    assert!(world.source("ann-v0") > first);
}

#[test]
fn numbers_are_never_used_twice() {
    let mut world = World::meeting(&["ann", "bob"]);
    let before = [world.endpoint("ann"), world.endpoint("bob")];
    world.modify(ConferenceModify { expire: true, ..meeting() });
    world.create("ann", true).expect("accepted");
    assert!(before.iter().all(|id| *id < world.endpoint("ann")));
}

#[test]
fn only_so_many_requests_wait_behind_one_and_expiry_always_passes() {
    let mut world = World::new();
    world.seating = false;
    world.modify(ConferenceModify { create: true, endpoints: vec![new_endpoint("ann")], ..meeting() });
    let update = ConferenceModify { endpoints: vec![muted("ann")], ..meeting() };
    for _ in 1..answers::ANSWERS_MAX {
        world.bridge.modify(0, &update, &mut world.random, world.now);
    }
    world.settle();
    assert_eq!(world.answers.len(), 0);
    let error = world.modify(update).expect("an answer at once").expect_err("refused");
    assert_eq!(error.condition, Condition::ResourceConstraint);
    world.modify(ConferenceModify { expire: true, ..meeting() }).expect("an answer").expect("accepted");
    assert_eq!(world.bridge.size(), (0, 0));
}
