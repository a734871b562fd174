//! Clients that come, go, vanish and return in any order leave no trace.

use proptest::prelude::*;

use crate::world::World;

/// Things that may happen to a client that has a session, present or lost.
const EVENTS: [&str; 9] = [
    "{name} joins",
    "{name} > <presence xmlns='jabber:client' type='unavailable' to='{room}/{{name}.nick}'/>",
    "{name} > <presence xmlns='jabber:client' type='unavailable'/>",
    "{name} > <presence xmlns='jabber:client' to='{room}/{{name}.nick}'><raised/></presence>",
    "{name} > <message xmlns='jabber:client' type='groupchat' to='{room}'><body>x</body></message>",
    "{name} > <iq xmlns='jabber:client' type='set' id='k' to='{room}'><query xmlns='http://jabber.org/protocol/muc#admin'><item nick='{Bob.nick}' role='none'/></query></iq>",
    "{name} drops",
    "{name} resumes",
    "wait 25",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_clients_do_rooms_end_with_their_last_session(
        events in prop::collection::vec((0..3_usize, prop::sample::select(EVENTS.to_vec())), 0..40),
    ) {
        let names = ["Ann", "Bob", "Cid"];
        let mut world = World::new();
        names.iter().for_each(|name| world.run(&format!("{name} opens")));
        for (who, event) in events {
            let name = names.get(who).copied().unwrap_or_default();
            world.run(&event.replace("{name}", name));
            let sizes = world.signaling.snapshot();
            prop_assert!(sizes.occupants <= sizes.sessions && sizes.sessions <= names.len());
            prop_assert!(sizes.rooms <= 1);
        }
        names.iter().for_each(|name| world.run(&format!("{name} drops")));
        world.run("wait 200");
        let sizes = world.signaling.snapshot();
        prop_assert_eq!((sizes.sessions, sizes.occupants, sizes.rooms), (0, 0, 0));
    }
}
