//! What the main domain says is there, and the services that take commands about a room.

use crate::world::World;

#[test]
fn the_main_domain_names_every_service_that_clients_switch_on_by_it() {
    World::new().run(
        "
        Ann opens
        Ann > <iq xmlns='jabber:client' type='get' id='d' to='meet.example'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>
        Ann < *<identity category='component' type='speakerstats' name='speakerstats.meet.example'/>*<identity category='component' type='lobbyrooms' name='lobby.meet.example'/><identity category='component' type='breakout_rooms' name='breakout.meet.example'/><identity category='component' type='av_moderation' name='avmoderation.meet.example'/><identity category='component' type='end_conference' name='endconference.meet.example'/><identity category='component' type='room_metadata' name='metadata.meet.example'/><identity category='component' type='polls' name='polls.meet.example'/>*<feature var='urn:xmpp:ping'/>*
        Ann > <iq xmlns='jabber:client' type='get' id='l' to='lobby.meet.example'><query xmlns='http://jabber.org/protocol/disco#info' node='lobbyrooms'/></iq>
        Ann < <iq * id='l' type='result'><query xmlns='http://jabber.org/protocol/disco#info' node='lobbyrooms'>*
        Ann > <iq xmlns='jabber:client' type='get' id='b' to='breakout.meet.example'><query xmlns='http://jabber.org/protocol/disco#info' node='breakout_rooms'/></iq>
        Ann < <iq * id='b' type='result'>*<feature var='http://jitsi.org/protocol/breakout_rooms#rename'/>*
        ",
    );
}

#[test]
fn metadata_is_a_moderator_s_to_set_and_reaches_who_comes_later_before_its_own_presence() {
    let mut world = World::new();
    world.run(
        "
        Ann opens
        Ann joins
        Bob opens
        Bob joins
        Ann > <message xmlns='jabber:client' to='metadata.meet.example'><room_metadata xmlns='http://jitsi.org/jitmeet' room='{room}'>{\"key\":\"startMuted\",\"data\":{\"audio\":true},\"type\":\"room_metadata\"}</room_metadata></message>
        Ann < <message xmlns='jabber:client' from='metadata.meet.example' to='{Ann}'><json-message xmlns='http://jitsi.org/jitmeet' room='{room}'>{\"metadata\":{\"startMuted\":{\"audio\":true}},\"type\":\"room_metadata\"}</json-message></message>
        Bob < <message xmlns='jabber:client' from='metadata.meet.example' *
        Bob > <message xmlns='jabber:client' to='metadata.meet.example'><room_metadata xmlns='http://jitsi.org/jitmeet' room='{room}'>{\"key\":\"startMuted\",\"data\":{\"audio\":false}}</room_metadata></message>
        Bob < <message * type='error'><error type='auth'><forbidden *
        Ann > <message xmlns='jabber:client' to='metadata.meet.example'><room_metadata xmlns='http://jitsi.org/jitmeet' room='{room}'>{\"key\":\"moderators\",\"data\":[]}</room_metadata></message>
        Ann < <message * type='error'><error type='cancel'><not-allowed *
        Cid opens
        Cid > <message xmlns='jabber:client' from='{Ann}' to='metadata.meet.example'><room_metadata xmlns='http://jitsi.org/jitmeet' room='{room}'>{\"key\":\"a\",\"data\":1}</room_metadata></message>
        Cid < <message xmlns='jabber:client' from='metadata.meet.example' to='{Cid}' type='error'><error type='auth'><forbidden *
        Cid > <message xmlns='jabber:client' to='metadata.meet.example'><room_metadata xmlns='http://jitsi.org/jitmeet' room='other@conference.meet.example'>{\"key\":\"a\",\"data\":1}</room_metadata></message>
        Cid < <message * type='error'><error type='cancel'><item-not-found *
        Cid > <presence xmlns='jabber:client' to='{room}/{Cid.nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>
        Cid < <presence * from='{room}/{Ann.nick}' *
        Cid < <presence * from='{room}/{Bob.nick}' *
        Cid < <message xmlns='jabber:client' from='metadata.meet.example' *
        Cid < <presence * from='{room}/{Cid.nick}' *<status code='110'/>*
        ",
    );
    let refused = world.signaling.refusals();
    assert_eq!((refused["forbidden"], refused["not-allowed"], refused["item-not-found"]), (2, 1, 1));
}

#[test]
fn a_poll_reaches_everybody_votes_are_counted_and_who_comes_later_sees_both() {
    World::new().run(
        "
        Ann opens
        Ann joins
        Bob opens
        Bob joins
        Bob > <message xmlns='jabber:client' type='chat' to='polls.meet.example'><json-message xmlns='http://jitsi.org/jitmeet'>{\"answers\":[{\"name\":\"12\"},{\"name\":\"13\"}],\"command\":\"new-poll\",\"pollId\":\"k\",\"question\":\"Lunch?\",\"type\":\"polls\"}</json-message></message>
        Ann < <message xmlns='jabber:client' from='polls.meet.example' to='{Ann}'><json-message xmlns='http://jitsi.org/jitmeet'>*\"command\":\"new-poll\"*\"senderId\":\"{Bob.nick}\"*
        Bob < <message xmlns='jabber:client' from='polls.meet.example' *
        Ann > <message xmlns='jabber:client' from='{Bob}' type='chat' to='polls.meet.example'><json-message xmlns='http://jitsi.org/jitmeet'>{\"answers\":[false,true],\"command\":\"answer-poll\",\"pollId\":\"k\",\"senderId\":\"{Bob.nick}\",\"type\":\"polls\"}</json-message></message>
        Bob < <message *\"answers\":[false,true],\"command\":\"answer-poll\"*\"senderId\":\"{Ann.nick}\",\"senderName\":\"Ann\"*
        Ann < <message *
        Cid opens
        Cid > <message xmlns='jabber:client' type='chat' to='polls.meet.example'><json-message xmlns='http://jitsi.org/jitmeet'>{\"answers\":[true,true],\"command\":\"answer-poll\",\"pollId\":\"k\",\"type\":\"polls\"}</json-message></message>
        Cid < <message * type='error'><error type='modify'><not-acceptable *
        Ann <
        Cid > <presence xmlns='jabber:client' to='{room}/{Cid.nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>
        Cid learns polls from <json-message xmlns='http://jitsi.org/jitmeet'>*</json-message>
        Bob > <message xmlns='jabber:client' type='chat' to='polls.meet.example'><json-message xmlns='http://jitsi.org/jitmeet'>{\"answers\":[{\"name\":\"x\"}],\"command\":\"new-poll\",\"pollId\":\"k\",\"question\":\"Again?\"}</json-message></message>
        Bob < <presence *
        Bob < <message * type='error'><error type='cancel'><not-allowed *
        ",
    );
}

#[test]
fn who_spoke_before_is_told_to_who_comes_later() {
    World::new().run(
        "
        Ann opens
        Ann joins
        Bob opens
        Bob joins
        Ann > <message xmlns='jabber:client' to='speakerstats.meet.example'><speakerstats xmlns='http://jitsi.org/jitmeet' room='{room}' silence='false'/></message>
        wait 7
        Bob > <message xmlns='jabber:client' to='speakerstats.meet.example'><speakerstats xmlns='http://jitsi.org/jitmeet' room='{room}' silence='false'/></message>
        Eve opens
        Eve > <message xmlns='jabber:client' from='{Ann}' to='speakerstats.meet.example'><speakerstats xmlns='http://jitsi.org/jitmeet' room='{room}' silence='false'/></message>
        Eve < <message * type='error'><error type='modify'><not-acceptable *
        wait 2
        Ann > <presence xmlns='jabber:client' type='unavailable' to='{room}/{Ann.nick}'/>
        Cid opens
        Cid > <presence xmlns='jabber:client' to='{room}/{Cid.nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>
        Cid < <presence * from='{room}/{Bob.nick}' *
        Cid < <presence * from='{room}/{Cid.nick}' *
        Cid < <message *<subject/>*
        Cid < <message xmlns='jabber:client' from='speakerstats.meet.example' to='{Cid}'>*{\"type\":\"speakerstats\",\"users\":{*\"displayName\":\"Ann\",\"faceLandmarks\":[],\"totalDominantSpeakerTime\":7000}*
        ",
    );
}

#[test]
fn only_moderators_end_the_meeting_for_all() {
    World::new().run(
        "
        Ann opens
        Ann joins
        Bob opens
        Bob joins
        Eve opens
        forget
        Bob > <message xmlns='jabber:client' to='endconference.meet.example'><end_conference/></message>
        Bob < <message * type='error'><error type='auth'><forbidden *
        Eve > <message xmlns='jabber:client' from='{Ann}' to='endconference.meet.example'><end_conference/></message>
        Eve < <message * type='error'><error type='modify'><not-acceptable *
        Ann <
        Ann > <message xmlns='jabber:client' to='endconference.meet.example'><end_conference/></message>
        Ann < <presence xmlns='jabber:client' type='unavailable' from='{room}/{Ann.nick}' to='{Ann}'><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='owner' role='none' jid='{Ann}'/><destroy><reason>The meeting has been terminated</reason></destroy><status code='110'/></x></presence>
        Bob < <presence xmlns='jabber:client' type='unavailable' *The meeting has been terminated*
        Bob > <message xmlns='jabber:client' type='groupchat' to='{room}'><body>anybody?</body></message>
        Bob < <message * type='error'><error type='cancel'><item-not-found *
        Bob joins
        Bob > <iq xmlns='jabber:client' type='get' id='o' to='{room}'><query xmlns='http://jabber.org/protocol/muc#owner'/></iq>
        Bob < <iq * id='o' type='result'>*
        ",
    );
}
