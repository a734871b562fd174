use super::*;

fn admin(id: &str, items: &str) -> String {
    format!(
        "<iq xmlns='jabber:client' type='set' id='{id}' to='{ROOM}'>\
         <query xmlns='http://jabber.org/protocol/muc#admin'>{items}</query></iq>"
    )
}

fn owner(kind: &str, content: &str) -> String {
    format!(
        "<iq xmlns='jabber:client' type='{kind}' id='o' to='{ROOM}'>\
         <query xmlns='http://jabber.org/protocol/muc#owner'>{content}</query></iq>"
    )
}

fn submit(fields: &[(&str, &str)]) -> String {
    let fields: String = fields
        .iter()
        .map(|(var, value)| format!("<field var='muc#roomconfig_{var}'><value>{value}</value></field>"))
        .collect();
    owner("set", &format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>"))
}

fn result(to: &str, id: &str) -> String {
    format!("{to} < <iq xmlns='jabber:client' from='{ROOM}' to='{}' id='{id}' type='result'/>", jid(to))
}

fn iq_error(to: &str, id: &str, error: &str) -> Vec<String> {
    let jid = jid(to);
    vec![format!(
        "{to} < <iq xmlns='jabber:client' from='{ROOM}' to='{jid}' id='{id}' type='error'>{error}</iq>"
    )]
}

fn configuration_changed(to: &str) -> String {
    format!(
        "{to} < <message xmlns='jabber:client' type='groupchat' from='{ROOM}' to='{}'>\
         <x xmlns='http://jabber.org/protocol/muc#user'><status code='104'/></x></message>",
        jid(to)
    )
}

#[test]
fn granting_by_bare_address_makes_a_moderator_for_all_and_revoking_a_participant() {
    let mut party = Party::of(&["ann", "bob"]);
    let grant = admin("g", "<item affiliation='owner' jid='bob-uuid@meet.example'/>");
    assert_eq!(
        party.says("ann", &grant),
        [
            presence("ann", "bob", "owner/moderator", &[], ""),
            presence("bob", "bob", "owner/moderator", &[110], ""),
            "~bob".into(),
            result("ann", "g"),
        ]
    );
    assert_eq!(party.says("ann", &grant), [result("ann", "g")], "the same again changes nothing");
    let revoke = admin("r", "<item affiliation='member' jid='bob-uuid@meet.example/r'/>");
    assert!(party.says("ann", &revoke).contains(&presence("ann", "bob", "member/participant", &[], "")));
}

#[test]
fn who_was_granted_comes_back_as_moderator() {
    let mut party = Party::of(&["ann", "bob"]);
    party.grant("bob");
    party.says("bob", &format!("<presence xmlns='jabber:client' to='{ROOM}/bob' type='unavailable'/>"));
    let out = party.says("bob", &join("bob", ""));
    assert!(out.contains(&presence("bob", "bob", "owner/moderator", &[100, 110], "")), "{out:?}");
}

#[test]
fn a_kick_tells_everybody_who_did_it_and_why() {
    let mut party = Party::of(&["ann", "bob", "cid"]);
    party.grant("bob");
    let line = |to: &str, codes: &str| {
        format!(
            "{to} < <presence xmlns='jabber:client' from='{ROOM}/bob' type='unavailable' to='{}'>\
             <x xmlns='http://jabber.org/protocol/muc#user'>\
             <item affiliation='none' role='none' jid='bob-uuid@meet.example/r'>\
             <actor nick='ann'/><reason>noise</reason></item>{codes}</x></presence>",
            jid(to)
        )
    };
    assert_eq!(
        party.says("ann", &admin("k", "<item nick='bob' role='none'><reason>noise</reason></item>")),
        [
            line("ann", "<status code='307'/>"),
            line("cid", "<status code='307'/>"),
            line("bob", "<status code='307'/><status code='110'/>"),
            "-bob".into(),
            result("ann", "k"),
        ]
    );
    let out = party.says("bob", &join("bob", ""));
    assert!(out.contains(&presence("bob", "bob", "none/participant", &[100, 110], "")), "{out:?}");
}

#[test]
fn a_ban_removes_and_keeps_out() {
    let mut party = Party::of(&["ann", "bob"]);
    let out = party.says("ann", &admin("b", "<item affiliation='outcast' jid='bob-uuid@meet.example'/>"));
    assert!(out.concat().contains("<status code='301'/>") && out.contains(&"-bob".to_owned()), "{out:?}");
    assert_eq!(
        party.says("bob", &join("bob", "")),
        presence_error("bob", "bob", &error("auth", "forbidden"))
    );
}

#[test]
fn only_moderators_administer_and_nobody_touches_the_focus() {
    let kick = "<item nick='ann' role='none'/>";
    let grant = "<item affiliation='owner' jid='bob-uuid@meet.example'/>";
    let focus = "<item affiliation='none' jid='focus@auth.meet.example'/>";
    let rows = [
        ("bob", kick, "forbidden"),
        ("bob", grant, "forbidden"),
        ("cid", grant, "forbidden"),
        ("ann", "<item nick='focus' role='none'/>", "not-allowed"),
        ("ann", focus, "not-allowed"),
        ("ann", "<item nick='nobody' role='none'/>", "item-not-found"),
        ("ann", "<item nick='bob' role='visitor'/>", "feature-not-implemented"),
        ("ann", "<item role='none'/>", "bad-request"),
        ("ann", "<item affiliation='god' jid='bob-uuid@meet.example'/>", "bad-request"),
        ("ann", "<item affiliation='owner'/>", "bad-request"),
        ("ann", "<item affiliation='owner' jid='@'/>", "jid-malformed"),
        ("ann", "", "bad-request"),
    ];
    for (name, item, condition) in rows {
        let mut party = Party::of(&["ann", "bob"]);
        let out = party.says(name, &admin("x", item));
        assert_eq!(out.len(), 1, "{name} {item}");
        assert!(out.concat().contains(&format!("<{condition} ")), "{name} {item}: {out:?}");
    }
}

#[test]
fn several_items_are_taken_together_or_not_at_all() {
    let mut party = Party::of(&["ann", "bob", "cid"]);
    let items = "<item affiliation='member' jid='bob-uuid@meet.example'/>\
                 <item affiliation='member' jid='cid-uuid@meet.example'/>\
                 <item affiliation='member' jid='absent@meet.example'/>";
    let out = party.says("ann", &admin("m", items));
    assert_eq!(out, [result("ann", "m")], "nobody's role changed, so nobody is told");
    assert!(party.says("ann", &admin("n", &items.replace("member", "owner"))).contains(&"~cid".into()));
    party.says("ann", &admin("n", &items.replace("member", "none")));
    let items = "<item nick='bob' role='none'/><item nick='focus' role='none'/>";
    let out = party.says("ann", &admin("m", items));
    assert_eq!(out, iq_error("ann", "m", &error("cancel", "not-allowed")));
    let list = admin("l", "<item affiliation='owner'/>").replace("'set'", "'get'");
    let out = party.says("ann", &list).concat();
    assert!(out.contains("<item affiliation='owner' jid='ann-uuid@meet.example'/></query>"), "{out}");
}

#[test]
fn a_destroyed_room_tells_everybody_with_the_reason() {
    let mut party = Party::of(&["ann", "bob"]);
    let out = party.says(
        "ann",
        &owner("set", "<destroy jid='next@conference.meet.example'><reason>over</reason></destroy>"),
    );
    let line = |name: &str| {
        format!(
            "{name} < <presence xmlns='jabber:client' type='unavailable' from='{ROOM}/{name}' to='{}'>\
             <x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='{}' role='none' jid='{}'/>\
             <destroy jid='next@conference.meet.example'><reason>over</reason></destroy><status code='110'/></x></presence>",
            jid(name),
            if name == "ann" { "owner" } else { "none" },
            jid(name)
        )
    };
    assert_eq!(out.get(..4), Some([line("ann"), "-ann".into(), line("bob"), "-bob".into()].as_slice()));
    assert!(party.room.is_over());
    let mut party = Party::of(&["ann", "bob"]);
    assert!(party.says("bob", &owner("set", "<destroy/>")).concat().contains("<forbidden "));
    assert!(!party.room.is_over());
}

#[test]
fn the_configuration_form_has_the_fields_that_clients_look_for() {
    let mut party = Party::of(&["ann", "bob"]);
    let form = party.says("ann", &owner("get", "<x xmlns='jabber:x:data' type='submit'/>")).concat();
    for var in ["roomsecret", "passwordprotectedroom", "membersonly", "whois"] {
        assert!(form.contains(&format!("var='muc#roomconfig_{var}'")), "{var}: {form}");
    }
    assert!(form.contains("<value>anyone</value>"));
    assert!(party.says("bob", &owner("get", "")).concat().contains("<forbidden "));
    assert!(party.says("cid", &owner("get", "")).concat().contains("<forbidden "));
}

#[test]
fn a_password_locks_the_room_until_it_is_taken_away() {
    let mut party = Party::of(&["ann", "bob"]);
    let lock = submit(&[("roomsecret", "s3cret"), ("passwordprotectedroom", "1"), ("whois", "anyone")]);
    let out = party.says("ann", &lock);
    assert_eq!(out.get(..2), Some([configuration_changed("ann"), configuration_changed("bob")].as_slice()));
    let password = |word: &str| {
        join("cid", "").replace(
            MUC,
            &format!("<x xmlns='http://jabber.org/protocol/muc'><password>{word}</password></x>"),
        )
    };
    let refused = presence_error("cid", "cid", &error("auth", "not-authorized"));
    for wrong in [join("cid", ""), password(""), password("s3cre"), password("s3crets")] {
        assert_eq!(party.says("cid", &wrong), refused, "{wrong}");
    }
    // What the lobby switch sends must not lose the password.
    let out = party.says("ann", &submit(&[("membersonly", "false"), ("passwordprotectedroom", "1")]));
    assert!(out.concat().contains("type='result'"));
    assert_eq!(party.says("cid", &join("cid", "")), refused);
    let ask = format!(
        "<iq xmlns='jabber:client' type='get' id='d' to='{ROOM}'>\
         <query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
    );
    let locked = party.says("bob", &ask).concat();
    assert_eq!(locked.matches("muc_passwordprotected").count(), 1);
    assert!(!locked.contains("s3cret") && !locked.contains("muc_unsecured"));
    assert!(party.says("cid", &password("s3cret")).concat().contains("+cid"));
    party.says("ann", &submit(&[("roomsecret", ""), ("passwordprotectedroom", "0")]));
    assert!(party.says("dot", &join("dot", "")).concat().contains("+dot"));
}

#[test]
fn what_is_not_built_or_not_a_value_is_refused_and_changes_nothing() {
    let rows = [
        ("ann", submit(&[("membersonly", "maybe")]), "bad-request"),
        ("ann", submit(&[("whois", "moderators")]), "feature-not-implemented"),
        ("ann", submit(&[("passwordprotectedroom", "maybe")]), "bad-request"),
        ("ann", submit(&[("roomsecret", &"x".repeat(257))]), "bad-request"),
        ("ann", owner("set", ""), "bad-request"),
        ("bob", submit(&[("roomsecret", "mine")]), "forbidden"),
    ];
    for (name, stanza, condition) in rows {
        let mut party = Party::of(&["ann", "bob"]);
        let out = party.says(name, &stanza);
        assert_eq!(out.len(), 1, "{stanza}");
        assert!(out.concat().contains(&format!("<{condition} ")), "{stanza}: {out:?}");
        assert!(party.room.settings.password().is_none());
    }
}
