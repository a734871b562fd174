use super::*;

fn groupchat(children: &str) -> String {
    format!("<message xmlns='jabber:client' type='groupchat' id='m1' to='{ROOM}'>{children}</message>")
}

fn chat(nick: &str, children: &str) -> String {
    format!("<message xmlns='jabber:client' type='chat' id='m1' to='{ROOM}/{nick}'>{children}</message>")
}

fn heard(to: &str, kind: &str, from: &str, children: &str) -> String {
    let jid = jid(to);
    format!(
        "{to} < <message xmlns='jabber:client' type='{kind}' id='m1' from='{ROOM}/{from}' to='{jid}'>\
         {children}</message>"
    )
}

#[test]
fn group_chat_comes_back_to_all_with_the_same_id() {
    let mut party = Party::of(&["ann", "bob"]);
    let body = "<body>hello &amp; welcome</body>";
    assert_eq!(
        party.says("bob", &groupchat(body)),
        [heard("ann", "groupchat", "bob", body), heard("bob", "groupchat", "bob", body)]
    );
}

#[test]
fn messages_are_relayed_verbatim_but_what_only_a_server_may_say() {
    let mut party = Party::of(&["ann", "bob"]);
    let json = "<json-message xmlns='http://jitsi.org/jitmeet'>{\"type\":\"x\"}</json-message>";
    let spoof = "<nick xmlns='http://jabber.org/protocol/nick'>Ann</nick>\
                 <display-name xmlns='http://jitsi.org/protocol/display-name'>Ann</display-name>\
                 <occupant-id xmlns='urn:xmpp:occupant-id:0' id='ann'/>\
                 <stanza-id xmlns='urn:xmpp:sid:0' id='1' by='x'/>\
                 <addresses xmlns='http://jabber.org/protocol/address'><address type='ofrom' jid='ann'/></addresses>\
                 <delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z'/>\
                 <x xmlns='http://jabber.org/protocol/muc#user'><status code='104'/></x>";
    let reaction = "<reactions xmlns='urn:xmpp:reactions:0' id='1'><reaction>+</reaction></reactions>";
    let out = party.says("bob", &groupchat(&format!("{spoof}{json}{reaction}<reply to='7'/>")));
    let reply = "<reply xmlns='urn:xmpp:reply:0' to='7'/>";
    assert_eq!(out.first(), Some(&heard("ann", "groupchat", "bob", &format!("{json}{reaction}{reply}"))));
}

#[test]
fn transcriptions_of_anybody_are_not_heard() {
    let mut party = Party::of(&["ann", "bob"]);
    for kind in ["transcription-result", "translation-result"] {
        let json =
            format!("<json-message xmlns='http://jitsi.org/jitmeet'>{{\"type\":\"{kind}\"}}</json-message>");
        assert_eq!(party.says("ann", &groupchat(&json)), [""; 0]);
        assert_eq!(party.says("ann", &chat("bob", &json)), [""; 0]);
    }
}

#[test]
fn private_chat_reaches_one_under_the_sender_s_room_address() {
    let mut party = Party::of(&["ann", "bob", "cid"]);
    let body = "<body>psst</body>";
    let marked = format!("{body}<x xmlns='http://jabber.org/protocol/muc#user'/>");
    assert_eq!(party.says("bob", &chat("ann", body)), [heard("ann", "chat", "bob", &marked)]);
    assert_eq!(party.says("bob", &chat("ann", &marked)), [heard("ann", "chat", "bob", &marked)]);
    assert!(party.says("bob", &chat("nobody", body)).concat().contains("<item-not-found "));
    assert_eq!(party.says("bob", &chat("focus", body)), [""; 0]);
    assert!(party.says("dot", &chat("ann", body)).concat().contains("<not-acceptable "));
    assert!(party.says("dot", &groupchat(body)).concat().contains("<not-acceptable "));
}

#[test]
fn messages_that_make_no_sense_are_refused_and_errors_never_answered() {
    let mut party = Party::of(&["ann", "bob"]);
    let big = groupchat(&format!("<body>{}</body>", "x".repeat(STANZA_BYTES_MAX)));
    assert!(party.says("ann", &big).concat().contains("<policy-violation "));
    let wrong = groupchat("<body/>").replace(&format!("{ROOM}'"), &format!("{ROOM}/bob'"));
    assert!(party.says("ann", &wrong).concat().contains("<bad-request "));
    let error = groupchat("<body/>").replace("'groupchat'", "'error'");
    assert_eq!(party.says("ann", &error), [""; 0]);
}

#[test]
fn who_comes_later_gets_the_last_messages_with_stamp_and_name() {
    let mut party = Party::of(&["ann"]);
    let nick = "<nick xmlns='http://jabber.org/protocol/nick'>Bobby</nick>";
    party.says("bob", &join("bob", nick));
    party.says("bob", &groupchat("<body>one</body>"));
    party.says(
        "bob",
        &groupchat("<json-message xmlns='http://jitsi.org/jitmeet'>{\"type\":\"x\"}</json-message>"),
    );
    let out = party.says("cid", &join("cid", ""));
    let kept = format!(
        "<body>one</body>\
         <display-name xmlns='http://jitsi.org/protocol/display-name' source='guest'>Bobby</display-name>\
         <delay xmlns='urn:xmpp:delay' from='{ROOM}' stamp='2026-09-21T14:13:20.123Z'/>"
    );
    let messages: Vec<&String> = out.iter().filter(|line| line.contains("<message ")).collect();
    assert_eq!(messages, [&heard("cid", "groupchat", "bob", &kept), &subject("cid")]);
}

#[test]
fn moderators_alone_set_the_subject_and_who_comes_later_gets_it() {
    let mut party = Party::of(&["ann", "bob"]);
    let subject = "<subject>Planning</subject>";
    assert!(party.says("bob", &groupchat(subject)).concat().contains("<forbidden "));
    let out = party.says("ann", &groupchat(subject));
    assert_eq!(out, [heard("ann", "groupchat", "ann", subject), heard("bob", "groupchat", "ann", subject)]);
    let out = party.says("cid", &join("cid", ""));
    assert!(out.contains(&heard("cid", "groupchat", "ann", subject)), "{out:?}");
}

#[test]
fn iqs_between_occupants_keep_their_id_and_get_room_addresses() {
    let mut party = Party::of(&["ann", "bob"]);
    let iq = |kind: &str, to: &str| {
        format!("<iq xmlns='jabber:client' type='{kind}' id='j 1' to='{ROOM}/{to}'><q xmlns='urn:q'/></iq>")
    };
    let relayed = |kind: &str, from: &str, to: &str| {
        let jid = jid(to);
        vec![format!(
            "{to} < <iq xmlns='jabber:client' type='{kind}' id='j 1' to='{jid}' from='{ROOM}/{from}'>\
             <q xmlns='urn:q'/></iq>"
        )]
    };
    assert_eq!(party.says("ann", &iq("set", "bob")), relayed("set", "ann", "bob"));
    assert_eq!(party.says("bob", &iq("result", "ann")), relayed("result", "bob", "ann"));
    assert_eq!(party.says("bob", &iq("error", "ann")), relayed("error", "bob", "ann"));
    assert!(party.says("ann", &iq("get", "nobody")).concat().contains("<item-not-found "));
    assert!(party.says("cid", &iq("get", "ann")).concat().contains("<not-acceptable "));
    assert_eq!(party.says("ann", &iq("result", "nobody")), [""; 0]);
    assert_eq!(party.says("cid", &iq("result", "ann")), [""; 0]);
}
