//! Rooms behind real streams: what unit tests of a room cannot show.

use crate::world::World;

#[test]
fn messages_missed_during_a_short_loss_arrive_at_resumption() {
    World::new().run(
        "
        Ann opens
        Ann joins
        Bob opens
        Bob joins
        Ann drops
        Bob > <message xmlns='jabber:client' type='groupchat' id='m' to='{room}'><body>still there?</body></message>
        Bob < <message *<body>still there?</body></message>
        Ann resumes
        Ann < <resumed xmlns='urn:xmpp:sm:3' previd='*' h='2'/>
        Ann < <message *<body>still there?</body></message>
        Ann <
        ",
    );
}

#[test]
fn a_jingle_session_between_two_clients_is_relayed_both_ways() {
    World::new().run(
        "
        Ann opens
        Ann joins
        Bob opens
        Bob joins
        Ann > <iq xmlns='jabber:client' type='set' id='p1' to='{room}/{Bob.nick}'><jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' sid='s'><content name='audio'/></jingle></iq>
        Bob < <iq xmlns='jabber:client' type='set' id='p1' to='{Bob}' from='{room}/{Ann.nick}'><jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' sid='s'><content name='audio'/></jingle></iq>
        Bob > <iq xmlns='jabber:client' type='result' id='p1' to='{room}/{Ann.nick}'/>
        Ann < <iq xmlns='jabber:client' type='result' id='p1' to='{Ann}' from='{room}/{Bob.nick}'/>
        Ann <
        Bob <
        ",
    );
}

#[test]
fn who_pings_itself_in_the_room_is_answered_by_the_room_and_others_by_themselves() {
    World::new().run(
        "
        Ann opens
        Ann joins
        Bob opens
        Bob joins
        Ann > <iq xmlns='jabber:client' type='get' id='s1' to='{room}/{Ann.nick}'><ping xmlns='urn:xmpp:ping'/></iq>
        Ann < <iq xmlns='jabber:client' from='{room}/{Ann.nick}' to='{Ann}' id='s1' type='result'/>
        Ann > <iq xmlns='jabber:client' type='get' id='s2' to='{room}/{Bob.nick}'><ping xmlns='urn:xmpp:ping'/></iq>
        Bob < <iq xmlns='jabber:client' type='get' id='s2' to='{Bob}' from='{room}/{Ann.nick}'><ping xmlns='urn:xmpp:ping'/></iq>
        Ann <
        ",
    );
}

#[test]
fn an_address_in_upper_case_is_the_same_room() {
    World::new().run(
        "
        Ann opens
        Ann joins
        Bob opens
        Bob > <iq xmlns='jabber:client' type='set' id='c' to='Focus.Meet.Example'><conference xmlns='http://jitsi.org/protocol/focus' room='StandUp@Conference.Meet.Example'/></iq>
        Bob < <iq * ready='true' *
        Bob > <presence xmlns='jabber:client' to='STANDUP@conference.meet.example/{Bob.nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>
        Bob < <presence xmlns='jabber:client' from='{room}/focus' *
        Bob < <presence xmlns='jabber:client' from='{room}/{Ann.nick}' *
        Bob < <presence xmlns='jabber:client' from='{room}/{Bob.nick}' *<status code='110'/>*
        ",
    );
}

#[test]
fn a_room_that_everybody_left_is_gone_after_a_while_and_can_be_made_again() {
    let mut world = World::new();
    world.run(
        "
        Ann opens
        Ann joins
        Ann > <message xmlns='jabber:client' type='groupchat' id='m' to='{room}'><body>first meeting</body></message>
        Ann > <presence xmlns='jabber:client' type='unavailable' to='{room}/{Ann.nick}'/>
        wait 70
        Ann > <r xmlns='urn:xmpp:sm:3'/>
        wait 80
        ",
    );
    assert_eq!(world.signaling.snapshot().rooms, 0);
    world.run(
        "
        Bob opens
        Bob joins
        ",
    );
    assert_eq!(world.signaling.snapshot().rooms, 1);
    assert_eq!(world.signaling.snapshot().occupants, 1);
}

#[test]
fn a_server_with_as_many_rooms_as_it_takes_says_so() {
    World::with(|config| config.rooms_max = 1).run(
        "
        Ann opens
        Ann joins
        Ann > <iq xmlns='jabber:client' type='set' id='c' to='focus.meet.example'><conference xmlns='http://jitsi.org/protocol/focus' room='other@conference.meet.example'/></iq>
        Ann < <iq xmlns='jabber:client' from='focus.meet.example' to='{Ann}' id='c' type='error'><error type='wait'><resource-constraint *
        Bob opens
        Bob > <iq xmlns='jabber:client' type='set' id='c' to='focus.meet.example'><conference xmlns='http://jitsi.org/protocol/focus' room='{room}'/></iq>
        Bob < <iq * ready='true' *
        ",
    );
}

#[test]
fn while_draining_people_come_into_what_goes_on_and_nothing_begins() {
    let mut world = World::new();
    world.run(
        "
        Ann opens
        Ann joins
        ",
    );
    world.signaling.set_draining(true);
    world.run(
        "
        Ann > <iq xmlns='jabber:client' type='set' id='c' to='focus.meet.example'><conference xmlns='http://jitsi.org/protocol/focus' room='other@conference.meet.example'/></iq>
        Ann < <iq xmlns='jabber:client' from='focus.meet.example' to='{Ann}' id='c' type='error'><error type='cancel'><service-unavailable *about to stop*
        Bob opens
        Bob > <iq xmlns='jabber:client' type='set' id='c' to='focus.meet.example'><conference xmlns='http://jitsi.org/protocol/focus' room='{room}'/></iq>
        Bob < <iq * ready='true' *
        ",
    );
    world.signaling.set_draining(false);
    world.run(
        "
        Ann > <iq xmlns='jabber:client' type='set' id='d' to='focus.meet.example'><conference xmlns='http://jitsi.org/protocol/focus' room='other@conference.meet.example'/></iq>
        Ann < <iq * ready='true' *
        ",
    );
}

#[test]
fn who_joins_again_has_left_first_for_everybody_else() {
    World::new().run(
        "
        Ann opens
        Ann joins
        Bob opens
        Bob joins
        Bob > <presence xmlns='jabber:client' to='{room}/{Bob.nick}'><x xmlns='http://jabber.org/protocol/muc'/><again/></presence>
        Ann < <presence xmlns='jabber:client' from='{room}/{Bob.nick}' type='unavailable' to='{Ann}'>*
        Ann < <presence xmlns='jabber:client' from='{room}/{Bob.nick}' to='{Ann}'>*<again/></presence>
        Bob < <presence xmlns='jabber:client' from='{room}/{Bob.nick}' type='unavailable' to='{Bob}'>*
        Bob < <presence xmlns='jabber:client' from='{room}/{Ann.nick}' to='{Bob}'>*
        Bob < <presence xmlns='jabber:client' from='{room}/{Bob.nick}' to='{Bob}'>*<status code='100'/><status code='110'/></x><again/></presence>
        ",
    );
}

#[test]
fn tenants_have_rooms_of_the_same_name_beside_each_other() {
    let mut world = World::new();
    world.run(
        "Ann opens
         Ann > <iq xmlns='jabber:client' type='set' to='focus.meet.example' id='c'><conference xmlns='http://jitsi.org/protocol/focus' room='standup@conference.acme_corp.meet.example'/></iq>
         Ann < <iq *type='result'*<conference *room='standup@conference.acme_corp.meet.example'*ready='true'*
         Ann > <presence xmlns='jabber:client' to='standup@conference.acme_corp.meet.example/{Ann.nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>
         Ann < <presence*from='standup@conference.acme_corp.meet.example/focus'*
         Ann < <presence*from='standup@conference.acme_corp.meet.example/{Ann.nick}'*<status code='110'/>*
         Bob opens
         Bob joins
         Bob > <message xmlns='jabber:client' type='groupchat' to='{room}'><body>here</body></message>
         forget
         Bob > <message xmlns='jabber:client' type='groupchat' to='{room}'><body>again</body></message>
         Ann <
         Ann > <iq xmlns='jabber:client' type='set' to='focus.meet.example' id='d'><conference xmlns='http://jitsi.org/protocol/focus' room='standup@conference.a.b.meet.example'/></iq>
         Ann < <iq *type='error'*",
    );
}
