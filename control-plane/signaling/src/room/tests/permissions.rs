use super::*;

fn token(features: &[(&str, bool)]) -> Arc<Claims> {
    let features = features.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    Arc::new(Claims { features: Some(features), ..Claims::default() })
}

/// A room with the focus and `names`, of whom `ann` is a moderator; they come with `tokens`.
fn party(names: &[&str], tokens: &[(&'static str, Arc<Claims>)]) -> Party {
    let mut party = Party::without_focus(50);
    party.focus_joins();
    party.tokens.extend(tokens.iter().cloned());
    party.grant("ann");
    for name in names {
        party.says(name, &join(name, ""));
    }
    party
}

/// The permissions in what `name` is told last of itself.
fn permitted(lines: &[String], name: &str) -> Option<String> {
    let own = lines.iter().rev().find(|line| line.starts_with(name) && line.contains("<status code='110'/>"));
    let (_, permissions) =
        own.expect("its own presence").split_once("<permissions xmlns='http://jitsi.org/jitmeet'>")?;
    Some(permissions.split_once("</permissions>")?.0.to_owned())
}

fn affiliate(party: &mut Party, by: &str, name: &str, affiliation: &str) -> Vec<String> {
    party.says(
        by,
        &format!(
            "<iq xmlns='jabber:client' type='set' id='g' to='{ROOM}'><query xmlns='http://jabber.org/protocol/muc#admin'>\
             <item affiliation='{affiliation}' jid='{name}-uuid@meet.example'/></query></iq>"
        ),
    )
}

fn restrict(party: &mut Party) {
    let command =
        r#"{"key":"permissions","data":{"groupChatRestricted":true,"pollCreationRestricted":true}}"#;
    let command = Element::new("room_metadata", ns::JITMEET).with_text(command);
    let jid = jid("ann");
    let sender = Sender { session: session("ann"), jid: &jid, token: None };
    party.room.set_metadata(sender, &command, &mut Vec::new()).expect("a moderator");
}

fn chats(party: &mut Party, name: &str) -> bool {
    let message =
        format!("<message xmlns='jabber:client' type='groupchat' to='{ROOM}'><body>hi</body></message>");
    party.says(name, &message).iter().all(|line| !line.contains("type='error'"))
}

fn polls(party: &mut Party, name: &str) -> Result<(), Refusal> {
    let jid = jid(name);
    let sender = Sender { session: session(name), jid: &jid, token: None };
    let poll = r#"{"type":"polls","command":"new-poll","pollId":"p","question":"?","answers":[{"name":"a"},{"name":"b"}]}"#;
    let poll = crate::services::json::message(
        "polls.meet.example",
        None,
        &serde_json::from_str(poll).expect("JSON"),
    );
    party.room.poll(sender, &poll, &mut Vec::new())
}

#[test]
fn the_features_of_a_token_are_the_permissions_of_its_bearer_moderator_or_not() {
    let tokens = [
        ("ann", token(&[("recording", false), ("send-groupchat", true)])),
        ("bob", token(&[("create-polls", true)])),
        ("cid", Arc::new(Claims::default())),
    ];
    let mut party = party(&["ann"], &tokens);
    let again = party.says(
        "ann",
        &format!("<presence xmlns='jabber:client' to='{ROOM}/ann'><status>x</status></presence>"),
    );
    assert_eq!(
        permitted(&again, "ann").as_deref(),
        Some("<p name='recording' val='false'/><p name='send-groupchat' val='true'/>"),
        "not the default of moderators"
    );
    let joined = party.says("bob", &join("bob", ""));
    assert_eq!(permitted(&joined, "bob").as_deref(), Some("<p name='create-polls' val='true'/>"));
    assert!(joined.iter().filter(|line| line.starts_with("ann")).all(|line| !line.contains("<permissions")));
    let joined = party.says("cid", &join("cid", ""));
    assert_eq!(permitted(&joined, "cid"), None, "a token without features says nothing of a participant");
}

#[test]
fn who_may_chat_and_poll_where_that_is_restricted_is_said_by_the_token_and_else_by_the_role() {
    let tokens = [("bob", token(&[("send-groupchat", true)])), ("cid", token(&[("create-polls", true)]))];
    let mut free = party(&["ann", "bob", "cid", "dot"], &tokens);
    assert!(NAMES.iter().all(|name| chats(&mut free, name)));
    let mut restricted = party(&["ann", "bob", "cid", "dot"], &tokens);
    restrict(&mut restricted);
    assert_eq!(NAMES.map(|name| chats(&mut restricted, name)), [true, true, false, false]);
    assert_eq!(
        NAMES.map(|name| polls(&mut restricted, name) != Err(Refusal::PollsRestricted)),
        [true, false, true, false]
    );
    // A moderator whose token forbids it may not either.
    let mut party = party(&["ann"], &[("ann", token(&[("send-groupchat", false)]))]);
    restrict(&mut party);
    assert!(!chats(&mut party, "ann"));
}

#[test]
fn a_new_moderator_may_what_the_one_may_who_made_it_until_it_is_none_any_more() {
    let mut party = party(&["ann", "bob"], &[("ann", token(&[("recording", true)]))]);
    let granted = affiliate(&mut party, "ann", "bob", "owner");
    assert_eq!(permitted(&granted, "bob").as_deref(), Some("<p name='recording' val='true'/>"));
    let revoked = affiliate(&mut party, "ann", "bob", "member");
    assert_eq!(permitted(&revoked, "bob"), None);
    // Without features of its own to pass on, a moderator makes one with the default permissions.
    let mut party = self::party(&["ann", "bob"], &[("bob", token(&[("flip", true)]))]);
    let granted = affiliate(&mut party, "ann", "bob", "owner");
    assert_eq!(permitted(&granted, "bob").as_deref(), Some("<p name='flip' val='true'/>"));
}

#[test]
fn a_token_that_comes_with_a_resumption_changes_what_its_bearer_may_and_nobody_else_is_told() {
    let mut party = party(&["ann", "bob"], &[("bob", token(&[("flip", true)]))]);
    let mut out = Vec::new();
    party.room.token_changed(session("bob"), Some(&token(&[("flip", true)])), &mut out);
    assert!(out.is_empty(), "the same again is no news");
    party.room.token_changed(session("bob"), Some(&token(&[("flip", false)])), &mut out);
    let told = lines(out);
    assert_eq!(told.len(), 1);
    assert_eq!(permitted(&told, "bob").as_deref(), Some("<p name='flip' val='false'/>"));
}
