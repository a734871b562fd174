//! Breakout rooms, with the stanzas of the stock client.

use crate::world::World;

/// A command to the service.
fn command(attributes: &str) -> String {
    format!(
        "<message xmlns='jabber:client' to='breakout.meet.example'><breakout_rooms {attributes}/></message>"
    )
}

/// Ann (moderator) and Bob are in the main room; there is a breakout room `Team 1` at `{team}`.
fn with_breakout() -> World {
    let mut world = World::new();
    world.run(&format!(
        "
        Ann opens
        Ann joins
        Bob opens
        Bob joins
        Ann > {}
        wait 1
        Bob learns team from \"jid\":\"*\",\"name\":\"Team 1\"
        forget
        ",
        command("type='features/breakout-rooms/add' subject='Team 1'")
    ));
    world
}

const BOB_MOVES: &str = "
    Bob > <presence xmlns='jabber:client' type='unavailable' to='{room}/{Bob.nick}'><status>switch_room</status></presence>
    Bob enters {team}
    ";

#[test]
fn a_breakout_room_is_told_to_all_entered_and_told_again() {
    let mut world = with_breakout();
    let go = command("type='features/breakout-rooms/move-to-room' participantJid='{Bob}' roomJid='{team}'");
    world.run(&format!(
        "
        Ann > {go}
        Bob < <message xmlns='jabber:client' from='breakout.meet.example' to='{{Bob}}'><json-message xmlns='http://jitsi.org/jitmeet'>{{\"event\":\"features/breakout-rooms/move-to-room\",\"roomJid\":\"{{team}}\",\"type\":\"breakout_rooms\"}}</json-message></message>
        {BOB_MOVES}
        Bob > <iq xmlns='jabber:client' type='get' id='d' to='{{team}}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>
        Bob < <iq *<field var='muc#roominfo_isbreakout'><value>1</value></field><field var='muc#roominfo_breakout_main_room'><value>{{room}}</value></field>*
        forget
        wait 1
        Ann < <message xmlns='jabber:client' from='breakout.meet.example' *\"event\":\"features/breakout-rooms/update\",\"roomCounter\":1,*\"participants\":{{\"{{team}}/{{Bob.nick}}\":{{\"displayName\":\"Bob\",\"jid\":\"{{Bob}}\",\"role\":\"participant\"}}}}*
        Bob < <message xmlns='jabber:client' from='breakout.meet.example' *
        "
    ));
}

#[test]
fn moderators_of_the_main_room_moderate_its_breakout_rooms_and_nobody_else_does() {
    let mut world = with_breakout();
    world.run(BOB_MOVES);
    world.run(
        "
        Bob > <iq xmlns='jabber:client' type='get' id='o' to='{team}'><query xmlns='http://jabber.org/protocol/muc#owner'/></iq>
        Bob < <iq * id='o' type='error'><error type='auth'><forbidden *
        Ann > <presence xmlns='jabber:client' type='unavailable' to='{room}/{Ann.nick}'><status>switch_room</status></presence>
        Ann enters {team}
        Ann > <iq xmlns='jabber:client' type='get' id='o' to='{team}'><query xmlns='http://jabber.org/protocol/muc#owner'/></iq>
        Ann < <iq * id='o' type='result'*
        ",
    );
}

#[test]
fn a_renamed_room_has_its_new_name_and_a_removed_one_sends_its_people_back() {
    let mut world = with_breakout();
    world.run(BOB_MOVES);
    world.run(&format!(
        "
        Ann > {}
        Bob < <message xmlns='jabber:client' type='groupchat' from='{{team}}' to='{{Bob}}'><subject>Red</subject></message>
        wait 1
        forget
        Ann > {}
        Bob < <presence * type='unavailable' from='{{team}}/{{Bob.nick}}' *<destroy jid='{{room}}'><reason>Breakout room removed.</reason></destroy>*
        wait 1
        Ann < <message *\"roomCounter\":1,\"rooms\":{{\"standup\":{{*}}}},\"type\":\"breakout_rooms\"}}*
        Bob joins
        Bob > <iq xmlns='jabber:client' type='set' id='c' to='focus.meet.example'><conference xmlns='http://jitsi.org/protocol/focus' room='{{team}}'/></iq>
        Bob < <iq * id='c' type='error'><error type='modify'><bad-request *
        ",
        command("type='features/breakout-rooms/rename' breakoutRoomJid='{team}' subject='Red'"),
        command("type='features/breakout-rooms/remove' breakoutRoomJid='{team}'")
    ));
}

#[test]
fn the_main_room_stays_while_people_are_in_its_breakout_rooms_and_ends_soon_after_the_last() {
    let mut world = with_breakout();
    world.run(
        "
        Ann > <presence xmlns='jabber:client' type='unavailable' to='{room}/{Ann.nick}'/>
        ",
    );
    world.run(BOB_MOVES);
    world.run("wait 50");
    assert_eq!(world.signaling.snapshot().rooms, 2, "nobody is in the main room, yet it stays");
    world.run(
        "
        Bob > <presence xmlns='jabber:client' type='unavailable' to='{team}/{Bob.nick}'><status>switch_room</status></presence>
        wait 3
        Bob joins
        wait 10
        forget
        Bob > <iq xmlns='jabber:client' type='get' id='p' to='{room}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>
        Bob < <iq * type='result'>*
        Bob > <presence xmlns='jabber:client' type='unavailable' to='{room}/{Bob.nick}'/>
        wait 4
        ",
    );
    assert_eq!(world.signaling.snapshot().rooms, 1);
    world.run("wait 2");
    assert_eq!(world.signaling.snapshot().rooms, 0);
}

#[test]
fn strangers_neither_command_nor_enter() {
    let add = command("type='features/breakout-rooms/add' subject='x'");
    let rows = [
        ("Bob", add.clone(), "forbidden"),
        ("Eve", add.replace("to=", "from='{Ann}' to="), "not-acceptable"),
        ("Ann", command("type='features/breakout-rooms/burn'"), "bad-request"),
        ("Ann", command("type='features/breakout-rooms/remove' breakoutRoomJid='{room}'"), "item-not-found"),
        (
            "Ann",
            command(
                "type='features/breakout-rooms/rename' breakoutRoomJid='other@breakout.meet.example' subject='x'",
            ),
            "item-not-found",
        ),
        (
            "Ann",
            command(
                "type='features/breakout-rooms/move-to-room' participantJid='{Bob}' roomJid='trap@conference.meet.example'",
            ),
            "item-not-found",
        ),
        (
            "Ann",
            command("type='features/breakout-rooms/move-to-room' participantJid='{Eve}' roomJid='{team}'"),
            "item-not-found",
        ),
    ];
    for (name, command, condition) in rows {
        let mut world = with_breakout();
        world.run(&format!(
            "
            Eve opens
            {name} > {command}
            {name} < <message * type='error'><error type='*'><{condition} *
            Eve <
            Bob <
            "
        ));
    }
    let mut world = with_breakout();
    world.run(BOB_MOVES);
    world.run(
        "
        Eve opens
        Eve > <presence xmlns='jabber:client' to='{team}/{Eve.nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>
        Eve < <presence * type='error'><error type='cancel'><not-allowed *
        Eve > <presence xmlns='jabber:client' to='made-up@breakout.meet.example/{Eve.nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>
        Eve < <presence * type='error'><error type='cancel'><not-allowed *
        Eve > <iq xmlns='jabber:client' type='set' id='c' to='focus.meet.example'><conference xmlns='http://jitsi.org/protocol/focus' room='made-up@breakout.meet.example'/></iq>
        Eve < <iq * type='error'><error type='modify'><bad-request *
        Bob <
        ",
    );
}

#[test]
fn ending_the_meeting_ends_its_breakout_rooms() {
    let mut world = with_breakout();
    world.run(BOB_MOVES);
    world.run(
        "
        Ann > <message xmlns='jabber:client' to='endconference.meet.example'><end_conference/></message>
        Ann < <presence * type='unavailable' *The meeting has been terminated*
        Bob < <presence * type='unavailable' from='{team}/{Bob.nick}' *The meeting has been terminated*
        ",
    );
    assert_eq!(world.signaling.snapshot().rooms, 0);
}

#[test]
fn a_token_opens_the_breakout_rooms_of_the_meeting_that_it_names_and_no_other_s() {
    let mut world = with_breakout();
    let asks = "<iq xmlns='jabber:client' type='set' to='focus.meet.example' id='c'><conference xmlns='http://jitsi.org/protocol/focus' room='{team}'/></iq>";
    let joins = "<presence xmlns='jabber:client' to='{team}/{Bob.nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>";
    world.run("Ann enters {team}");
    world.bears_token("Bob", "other");
    world.run(&format!(
        "
        Bob > {asks}
        Bob < <iq * type='result'>*ready='true'*
        Bob > {joins}
        Bob < <presence * type='error'><error *<not-allowed *Your token does not open this room*
        "
    ));
    world.bears_token("Bob", "StandUp");
    world.run(&format!(
        "
        Bob > {asks}
        Bob < <iq * type='result'>*ready='true'*
        Bob > {joins}
        Bob < <presence xmlns='jabber:client' from='{{team}}/focus' to='{{Bob}}'><x *
        "
    ));
}
