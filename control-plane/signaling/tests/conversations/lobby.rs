//! The lobby, with the stanzas of the stock client: switched on, knocked at, opened, switched off.

use crate::world::World;

/// What a moderator sends to switch the lobby.
fn switch(on: bool) -> String {
    format!(
        "<iq xmlns='jabber:client' type='set' id='s' to='{{room}}'><query xmlns='http://jabber.org/protocol/muc#owner'>\
         <x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>\
         <field var='muc#roomconfig_membersonly'><value>{on}</value></field></x></query></iq>"
    )
}

/// Ann and Bob are inside, the lobby is on, Ann is in it as its moderator.
fn closed_room() -> World {
    let mut world = World::new();
    world.run(&format!(
        "
        Ann opens
        Ann joins
        Bob opens
        Bob joins
        forget
        Ann > <iq xmlns='jabber:client' type='set' id='m' to='{{room}}'><query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='member' jid='{{Bob.bare}}'/></query></iq>
        Ann < <iq * id='m' type='result'/>
        Ann > {}
        Ann < <message *<status code='104'/>*
        Ann < <message xmlns='jabber:client' type='groupchat' from='{{room}}/{{Ann.nick}}' to='{{Ann}}'><json-message xmlns='http://jitsi.org/jitmeet'>{{\"event\":\"LOBBY-ENABLED\",\"type\":\"lobby-notify\",\"value\":true}}</json-message></message>
        Ann < <message xmlns='jabber:client' from='metadata.meet.example' *\"lobbyEnabled\":true*
        Ann < <iq * id='s' type='result'*
        Ann > <iq xmlns='jabber:client' type='get' id='d' to='{{room}}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>
        Ann < <iq *<feature var='muc_membersonly'/>*<field var='muc#roominfo_lobbyroom'><value>standup@lobby.meet.example</value></field>*
        Ann > <presence xmlns='jabber:client' to='standup@lobby.meet.example/{{Ann.nick}}'><x xmlns='http://jabber.org/protocol/muc'/></presence>
        Ann < <presence * from='standup@lobby.meet.example/{{Ann.nick}}' *role='moderator'*<status code='110'/></x></presence>
        Ann < <message * from='standup@lobby.meet.example' *<subject/>*
        Ann <
        forget
        ",
        switch(true)
    ));
    world
}

/// `name` tries the door and goes to the lobby.
fn knocks(name: &str) -> String {
    format!(
        "
        {name} opens
        {name} > <presence xmlns='jabber:client' to='{{room}}/{{{name}.nick}}'><x xmlns='http://jabber.org/protocol/muc'/><nick xmlns='http://jabber.org/protocol/nick'>{name}</nick></presence>
        {name} < <presence xmlns='jabber:client' from='{{room}}/{{{name}.nick}}' to='{{{name}}}' type='error'><error type='auth' code='407'><registration-required xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>*<lobbyroom xmlns='http://jitsi.org/jitmeet'>standup@lobby.meet.example</lobbyroom></error><lobbyroom>standup@lobby.meet.example</lobbyroom></presence>
        {name} > <presence xmlns='jabber:client' to='standup@lobby.meet.example/{{{name}.nick}}'><x xmlns='http://jabber.org/protocol/muc'/><nick xmlns='http://jabber.org/protocol/nick'>{name}</nick></presence>
        {name} < <presence * from='standup@lobby.meet.example/{{{name}.nick}}' *<status code='110'/>*
        {name} < <message *<subject/>*
        {name} <
        "
    )
}

/// `name` comes in.
fn comes_in(name: &str, children: &str) -> String {
    format!(
        "
        {name} > <presence xmlns='jabber:client' to='{{room}}/{{{name}.nick}}'><x xmlns='http://jabber.org/protocol/muc'>{children}</x><nick xmlns='http://jabber.org/protocol/nick'>{name}</nick></presence>
        {name} < <presence * from='{{room}}/*
        "
    )
}

#[test]
fn who_knocks_is_seen_by_moderators_only_and_comes_in_when_one_opens() {
    let mut world = closed_room();
    world.run(&knocks("Cid"));
    world.run("Ann < <presence * from='standup@lobby.meet.example/{Cid.nick}' *jid='{Cid}'*<nick xmlns='http://jabber.org/protocol/nick'>Cid</nick></presence>");
    world.run(&knocks("Dan"));
    world.run(
        "
        Ann < <presence * from='standup@lobby.meet.example/{Dan.nick}' *
        Cid <
        forget
        Ann > <message xmlns='jabber:client' to='{room}'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='{Cid}'/></x></message>
        Cid < <message xmlns='jabber:client' from='{room}' to='{Cid}'><x xmlns='http://jabber.org/protocol/muc#user'><invite from='{room}/{Ann.nick}'/></x></message>
        Bob < <message * from='{room}/{Ann.nick}' to='{Bob}'>*{\"event\":\"LOBBY-ACCESS-GRANTED\",\"name\":\"Cid\",\"type\":\"lobby-notify\",\"value\":\"standup@lobby.meet.example/{Cid.nick}\"}*
        ",
    );
    world.run(&comes_in("Cid", ""));
    world.run(
        "
        Dan > <presence xmlns='jabber:client' to='{room}/{Dan.nick}'><x xmlns='http://jabber.org/protocol/muc'/><nick xmlns='http://jabber.org/protocol/nick'>Dan</nick></presence>
        Dan < <presence * type='error'><error type='auth' code='407'>*
        Dan <
        ",
    );
}

#[test]
fn who_is_turned_away_is_out_of_the_lobby_and_all_in_the_room_hear_of_it() {
    let mut world = closed_room();
    world.run(&knocks("Cid"));
    world.run(
        "
        forget
        Ann > <iq xmlns='jabber:client' type='set' id='k' to='standup@lobby.meet.example'><query xmlns='http://jabber.org/protocol/muc#admin'><item nick='{Cid.nick}' role='none'/></query></iq>
        Cid < <presence * from='standup@lobby.meet.example/{Cid.nick}' *<status code='307'/><status code='110'/>*
        Bob < <message * from='{room}/{Ann.nick}' to='{Bob}'>*LOBBY-ACCESS-DENIED*
        ",
    );
}

#[test]
fn the_lobby_s_chat_is_between_those_who_wait_and_moderators() {
    let mut world = closed_room();
    world.run(&knocks("Cid"));
    world.run(&knocks("Dan"));
    world.run(
        "
        forget
        Cid > <message xmlns='jabber:client' type='groupchat' id='a' to='standup@lobby.meet.example'><json-message xmlns='http://jitsi.org/jitmeet'>{\"type\":\"lobby-chat-message\",\"message\":\"hello\"}</json-message></message>
        Ann < <message *lobby-chat-message*
        Cid <
        Dan <
        Ann > <message xmlns='jabber:client' type='chat' id='b' to='standup@lobby.meet.example/{Cid.nick}'><json-message xmlns='http://jitsi.org/jitmeet'>{\"type\":\"lobby-chat-message\",\"message\":\"wait\"}</json-message></message>
        Cid < <message * type='chat' *wait*
        Dan <
        Dan > <message xmlns='jabber:client' type='chat' id='c' to='standup@lobby.meet.example/{Cid.nick}'><body>psst</body></message>
        Dan < <message * type='error'><error type='cancel'><item-not-found *
        Dan > <iq xmlns='jabber:client' type='get' id='d' to='standup@lobby.meet.example/{Cid.nick}'><ping xmlns='urn:xmpp:ping'/></iq>
        Dan < <iq * type='error'><error type='cancel'><item-not-found *
        Cid <
        ",
    );
}

#[test]
fn a_lobby_that_is_switched_off_lets_everybody_in() {
    let mut world = closed_room();
    world.run(&knocks("Cid"));
    world.run(&format!(
        "
        forget
        Ann > {}
        Cid < <presence * type='unavailable' from='standup@lobby.meet.example/{{Cid.nick}}' *<destroy jid='{{room}}'>*
        Ann < <presence * from='standup@lobby.meet.example/{{Ann.nick}}' *
        Ann < <message *<status code='104'/>*
        Ann < <message *\"event\":\"LOBBY-ENABLED\"*\"value\":false*
        ",
        switch(false)
    ));
    world.run(&comes_in("Cid", ""));
    world.run(
        "
        Eve opens
        Eve > <presence xmlns='jabber:client' to='standup@lobby.meet.example/{Eve.nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>
        Eve < <presence * type='error'><error type='cancel'><not-allowed *Room creation is restricted*
        ",
    );
}

#[test]
fn the_password_opens_the_door_and_members_need_neither() {
    let mut world = closed_room();
    world.run(
        "
        Ann > <iq xmlns='jabber:client' type='set' id='w' to='{room}'><query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'><field var='muc#roomconfig_roomsecret'><value>s3cret</value></field><field var='muc#roomconfig_passwordprotectedroom'><value>1</value></field></x></query></iq>
        Bob > <presence xmlns='jabber:client' type='unavailable' to='{room}/{Bob.nick}'/>
        forget
        ",
    );
    world.run(&comes_in("Bob", ""));
    world.run(&knocks("Cid"));
    world.run("Ann > <message xmlns='jabber:client' to='{room}'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='{Cid}'/></x></message>");
    world.run("Cid < <message xmlns='jabber:client' from='{room}' to='{Cid}'><x xmlns='http://jabber.org/protocol/muc#user'><invite from='{room}/{Ann.nick}'/></x></message>");
    world.run("Dan opens\n");
    world.run(&comes_in("Dan", "<password>s3cret</password>"));
    world.run(
        "
        Eve opens
        Eve > <presence xmlns='jabber:client' to='{room}/{Eve.nick}'><x xmlns='http://jabber.org/protocol/muc'><password>guess</password></x><nick xmlns='http://jabber.org/protocol/nick'>Eve</nick></presence>
        Eve < <presence * type='error'><error type='auth' code='407'>*
        Eve > <presence xmlns='jabber:client' to='{room}/{Eve.nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>
        Eve < <presence * type='error'><error type='modify' code='406'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>*<displayname-required xmlns='http://jitsi.org/jitmeet' lobby='true'/></error></presence>
        ",
    );
}

#[test]
fn nobody_but_a_moderator_opens_and_nobody_opens_for_who_does_not_wait() {
    let mut world = closed_room();
    world.run(&knocks("Cid"));
    world.run(
        "
        forget
        Bob > <message xmlns='jabber:client' to='{room}'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='{Cid}'/></x></message>
        Bob < <message * type='error'><error type='auth'><forbidden *
        Cid > <message xmlns='jabber:client' from='{Ann}' to='{room}'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='{Cid}'/></x></message>
        Cid < <message * type='error'><error type='modify'><not-acceptable *
        Ann > <message xmlns='jabber:client' to='{room}'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='stranger@elsewhere.example/r'/></x></message>
        Ann < <message * type='error'><error type='cancel'><item-not-found *
        Cid > <iq xmlns='jabber:client' type='set' id='k' to='standup@lobby.meet.example'><query xmlns='http://jabber.org/protocol/muc#admin'><item nick='{Ann.nick}' role='none'/></query></iq>
        Cid < <iq * type='error'><error type='auth'><forbidden *
        Cid > <iq xmlns='jabber:client' type='set' id='o' to='standup@lobby.meet.example'><query xmlns='http://jabber.org/protocol/muc#owner'><destroy/></query></iq>
        Cid < <iq * type='error'><error type='auth'><forbidden *
        Ann > <iq xmlns='jabber:client' type='set' id='o' to='standup@lobby.meet.example'><query xmlns='http://jabber.org/protocol/muc#owner'><destroy/></query></iq>
        Ann < <iq * type='error'><error type='cancel'><feature-not-implemented *
        Cid > <iq xmlns='jabber:client' type='set' id='c' to='focus.meet.example'><conference xmlns='http://jitsi.org/protocol/focus' room='standup@lobby.meet.example'/></iq>
        Cid < <iq * type='error'><error type='modify'><bad-request *
        ",
    );
}

#[test]
fn the_lobby_ends_with_its_room() {
    let mut world = closed_room();
    world.run(&knocks("Cid"));
    world.run(
        "
        forget
        Ann > <message xmlns='jabber:client' to='endconference.meet.example'><end_conference/></message>
        Cid < <presence * type='unavailable' from='standup@lobby.meet.example/{Cid.nick}' to='{Cid}'>*<destroy><reason>Lobby room closed.</reason></destroy>*
        ",
    );
    assert_eq!(world.signaling.snapshot().rooms, 0);
}

#[test]
fn rooms_of_the_same_name_of_two_tenants_have_two_lobbies() {
    let mut world = World::new();
    for (moderator, tenant) in [("Ann", "acme"), ("Bob", "corp")] {
        let room = format!("standup@conference.{tenant}.meet.example");
        world.run(&format!("{moderator} opens\n{moderator} enters {room}\n"));
        world.run(&format!("{moderator} > {}", switch(true).replace("{room}", &room)));
        world.run(&format!(
            "
            {moderator} > <presence xmlns='jabber:client' to='standup@lobby.{tenant}.meet.example/{{{moderator}.nick}}'><x xmlns='http://jabber.org/protocol/muc'/></presence>
            forget
            "
        ));
    }
    world.run(
        "
        Cid opens
        Cid > <presence xmlns='jabber:client' to='standup@conference.corp.meet.example/{Cid.nick}'><x xmlns='http://jabber.org/protocol/muc'/><nick xmlns='http://jabber.org/protocol/nick'>Cid</nick></presence>
        Cid < *<lobbyroom xmlns='http://jitsi.org/jitmeet'>standup@lobby.corp.meet.example</lobbyroom>*
        Cid > <presence xmlns='jabber:client' to='standup@lobby.corp.meet.example/{Cid.nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>
        Bob < <presence * from='standup@lobby.corp.meet.example/{Cid.nick}' *
        Ann <
        ",
    );
}
