//! Two stock clients meet: what the server must answer, frame by frame.

use crate::world::World;

#[test]
fn a_client_s_stream_opens_as_stock_clients_expect() {
    World::new().run(
        "
        Ann connects
        Ann > <open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.example' version='1.0'/>
        Ann < <open xmlns='urn:ietf:params:xml:ns:xmpp-framing' from='meet.example' id='*' version='1.0' xml:lang='en'/>
        Ann < <stream:features xmlns:stream='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>ANONYMOUS</mechanism></mechanisms></stream:features>
        Ann > <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>
        Ann < <success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>
        Ann > <open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.example' version='1.0'/>
        Ann < <open *
        Ann < <stream:features xmlns:stream='http://etherx.jabber.org/streams'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><sm xmlns='urn:xmpp:sm:3'/></stream:features>
        Ann > <iq type='set' id='_bind_auth_2' xmlns='jabber:client'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>
        Ann < <iq xmlns='jabber:client' type='result' id='_bind_auth_2'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>{Ann}</jid></bind></iq>
        Ann > <enable xmlns='urn:xmpp:sm:3' resume='true'/>
        Ann < <enabled xmlns='urn:xmpp:sm:3' resume='true' id='*' max='60'/>
        Ann <
        ",
    );
}

#[test]
fn what_a_client_asks_the_domain_is_answered() {
    World::new().run(
        "
        Ann opens
        Ann > <iq type='get' to='meet.example' id='1' xmlns='jabber:client'><services xmlns='urn:xmpp:extdisco:2'/></iq>
        Ann < <iq xmlns='jabber:client' from='meet.example' to='{Ann}' id='1' type='result'><services xmlns='urn:xmpp:extdisco:2'/></iq>
        Ann > <iq type='get' to='meet.example' id='2' xmlns='jabber:client'><services xmlns='urn:xmpp:extdisco:1'/></iq>
        Ann < <iq xmlns='jabber:client' from='meet.example' to='{Ann}' id='2' type='result'><services xmlns='urn:xmpp:extdisco:1'/></iq>
        Ann > <iq type='get' to='meet.example' id='3' xmlns='jabber:client'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>
        Ann < <iq xmlns='jabber:client' from='meet.example' to='{Ann}' id='3' type='result'><query xmlns='http://jabber.org/protocol/disco#info'><identity *<feature var='urn:xmpp:ping'/>*</query></iq>
        Ann > <iq type='get' to='meet.example' id='4' xmlns='jabber:client'><ping xmlns='urn:xmpp:ping'/></iq>
        Ann < <iq xmlns='jabber:client' from='meet.example' to='{Ann}' id='4' type='result'/>
        Ann > <iq type='get' id='5' xmlns='jabber:client'><ping xmlns='urn:xmpp:ping'/></iq>
        Ann < <iq xmlns='jabber:client' to='{Ann}' id='5' type='result'/>
        Ann > <iq type='get' to='meet.example' id='6' xmlns='jabber:client'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>
        Ann < <iq xmlns='jabber:client' from='meet.example' to='{Ann}' id='6' type='result'><query xmlns='http://jabber.org/protocol/disco#items'><item jid='conference.meet.example'/><item jid='focus.meet.example'/>*<item jid='polls.meet.example'/></query></iq>
        Ann > <iq type='get' to='conference.meet.example' id='7' xmlns='jabber:client'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>
        Ann < <iq xmlns='jabber:client' from='conference.meet.example' to='{Ann}' id='7' type='result'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>
        Ann > <iq type='set' to='meet.example' id='8' xmlns='jabber:client'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>
        Ann < <iq xmlns='jabber:client' from='meet.example' to='{Ann}' id='8' type='result'/>
        Ann <
        ",
    );
}

/// Request and join of a client, as stock clients write them.
fn join(name: &str) -> String {
    format!(
        "
        {name} > <iq type='set' to='focus.meet.example' id='r1' xmlns='jabber:client'><conference xmlns='http://jitsi.org/protocol/focus' room='{{room}}' machine-uid='5d0c'><property name='rtcstatsEnabled' value='false'/></conference></iq>
        {name} < <iq xmlns='jabber:client' from='focus.meet.example' to='{{{name}}}' id='r1' type='result'><conference xmlns='http://jitsi.org/protocol/focus' room='{{room}}' ready='true' focusjid='focus@auth.meet.example'*</iq>
        {name} > <presence to='{{room}}/{{{name}.nick}}' xmlns='jabber:client'><x xmlns='http://jabber.org/protocol/muc'/><stats-id>{name}-x9Q</stats-id><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://jitsi.org/jitsi-meet' ver='v='/><features><feature var='https://jitsi.org/meet/e2ee'/></features><SourceInfo>{{\"a-a0\":{{\"muted\":true}}}}</SourceInfo><jitsi_participant_codecList>av1,vp9,vp8,h264</jitsi_participant_codecList><nick xmlns='http://jabber.org/protocol/nick'>{name}</nick></presence>
        "
    )
}

/// The children of that join, as everybody must see them.
fn children(name: &str) -> String {
    format!(
        "<stats-id>{name}-x9Q</stats-id><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://jitsi.org/jitsi-meet' ver='v='/><features><feature var='https://jitsi.org/meet/e2ee'/></features><SourceInfo>{{\"a-a0\":{{\"muted\":true}}}}</SourceInfo><jitsi_participant_codecList>av1,vp9,vp8,h264</jitsi_participant_codecList><nick xmlns='http://jabber.org/protocol/nick'>{name}</nick></presence>"
    )
}

#[test]
fn two_clients_meet_and_one_leaves() {
    let mut world = World::new();
    let muc_user = "<x xmlns='http://jabber.org/protocol/muc#user'>";
    let ann = children("Ann");
    let own_ann = ann.replace(
        "</presence>",
        "<permissions xmlns='http://jitsi.org/jitmeet'><p name='livestreaming' val='true'/>*</permissions></presence>",
    );
    let bob = children("Bob");
    world.run("Ann opens");
    world.run(&join("Ann"));
    world.run(&format!(
        "
        Ann < <presence xmlns='jabber:client' from='{{room}}/focus' to='{{Ann}}'>{muc_user}<item affiliation='owner' role='moderator' jid='focus@auth.meet.example/focus'/></x>*</presence>
        Ann < <presence xmlns='jabber:client' from='{{room}}/{{Ann.nick}}' to='{{Ann}}'>{muc_user}<item affiliation='none' role='participant' jid='{{Ann}}'/><status code='100'/><status code='110'/></x>{ann}
        Ann < <message xmlns='jabber:client' type='groupchat' from='{{room}}' to='{{Ann}}'><subject/></message>
        Ann < <presence xmlns='jabber:client' from='{{room}}/{{Ann.nick}}' to='{{Ann}}'>{muc_user}<item affiliation='owner' role='moderator' jid='{{Ann}}'/><status code='110'/></x>{own_ann}
        Ann <
        "
    ));
    world.run(
        "
        Ann > <iq type='get' to='{room}' id='d1' xmlns='jabber:client'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>
        Ann < <iq xmlns='jabber:client' from='{room}' to='{Ann}' id='d1' type='result'><query xmlns='http://jabber.org/protocol/disco#info'><identity category='conference' type='text' name='standup'/><feature var='http://jabber.org/protocol/muc'/><feature var='muc_nonanonymous'/><feature var='muc_hidden'/><feature var='muc_temporary'/><feature var='muc_unmoderated'/><feature var='http://jabber.org/protocol/muc#self-ping-optimization'/><feature var='muc_open'/><feature var='muc_unsecured'/><x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/muc#roominfo</value></field><field var='muc#roominfo_meetingId'><value>*-*-4*-*-*</value></field></x></query></iq>
        Ann <
        Bob opens
        ",
    );
    world.run(&join("Bob"));
    world.run(&format!(
        "
        Bob < <presence xmlns='jabber:client' from='{{room}}/focus' to='{{Bob}}'>{muc_user}<item affiliation='owner' role='moderator' jid='focus@auth.meet.example/focus'/></x>*</presence>
        Bob < <presence xmlns='jabber:client' from='{{room}}/{{Ann.nick}}' to='{{Bob}}'>{muc_user}<item affiliation='owner' role='moderator' jid='{{Ann}}'/></x>{ann}
        Bob < <presence xmlns='jabber:client' from='{{room}}/{{Bob.nick}}' to='{{Bob}}'>{muc_user}<item affiliation='none' role='participant' jid='{{Bob}}'/><status code='100'/><status code='110'/></x>{bob}
        Bob < <message xmlns='jabber:client' type='groupchat' from='{{room}}' to='{{Bob}}'><subject/></message>
        Bob <
        Ann < <presence xmlns='jabber:client' from='{{room}}/{{Bob.nick}}' to='{{Ann}}'>{muc_user}<item affiliation='none' role='participant' jid='{{Bob}}'/></x>{bob}
        Ann <
        "
    ));
    world.run(&format!(
        "
        Ann > <iq type='get' to='{{room}}' id='d2' xmlns='jabber:client'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>
        Ann < <iq *<field var='muc#roominfo_created_timestamp'><value>1790000001000</value></field></x></query></iq>
        Ann > <presence to='{{room}}/{{Ann.nick}}' type='unavailable' xmlns='jabber:client'><status>bye</status></presence>
        Ann < <presence xmlns='jabber:client' from='{{room}}/{{Ann.nick}}' type='unavailable' to='{{Ann}}'>{muc_user}<item affiliation='*' role='none' jid='{{Ann}}'/><status code='110'/></x><status>bye</status></presence>
        Ann <
        Bob < <presence xmlns='jabber:client' from='{{room}}/{{Ann.nick}}' type='unavailable' to='{{Bob}}'>{muc_user}<item affiliation='*' role='none' jid='{{Ann}}'/></x><status>bye</status></presence>
        "
    ));
}

#[test]
fn a_client_that_loses_its_socket_stays_in_the_room_until_hibernation_is_over() {
    World::new().run(
        "
        Ann opens
        Ann joins
        Bob opens
        Bob joins
        Ann drops
        wait 59
        Bob > <iq type='get' to='meet.example' id='p' xmlns='jabber:client'><ping xmlns='urn:xmpp:ping'/></iq>
        Bob < <iq * id='p' type='result'/>
        Bob <
        wait 3
        Bob < <presence xmlns='jabber:client' from='{room}/{Ann.nick}' type='unavailable' to='{Bob}'>*<item affiliation='*' role='none' jid='{Ann}'/></x></presence>
        ",
    );
}

#[test]
fn the_goodbye_that_clients_send_to_nobody_reaches_their_rooms() {
    World::new().run(
        "
        Ann opens
        Ann joins
        Bob opens
        Bob joins
        Ann > <presence type='unavailable' xmlns='jabber:client'/>
        Ann < <presence xmlns='jabber:client' from='{room}/{Ann.nick}' type='unavailable' to='{Ann}'>*<status code='110'/></x></presence>
        Bob < <presence xmlns='jabber:client' from='{room}/{Ann.nick}' type='unavailable' to='{Bob}'>*
        ",
    );
}
