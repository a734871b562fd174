//! A room by itself: who says what, and which lines follow. `Bob < <…>` is delivered to Bob; `+`, `~` and `-` before a
//! nickname are what the focus is told.

use super::*;

mod chat;
mod moderation;
mod permissions;

const ROOM: &str = "standup@conference.meet.example";
const MUC: &str = "<x xmlns='http://jabber.org/protocol/muc'/>";
const NAMES: [&str; 4] = ["ann", "bob", "cid", "dot"];

/// What moderators may do, in their own presence.
const PERMISSIONS: &str = "<permissions xmlns='http://jitsi.org/jitmeet'><p name='livestreaming' val='true'/>\
    <p name='recording' val='true'/><p name='transcription' val='true'/><p name='outbound-call' val='true'/>\
    <p name='create-polls' val='true'/><p name='send-groupchat' val='true'/><p name='flip' val='true'/>\
    <p name='live-translation' val='true'/><p name='live-translation-subscribe' val='true'/></permissions>";

struct Party {
    room: Room,
    /// Of those who came with one.
    tokens: BTreeMap<&'static str, Arc<Claims>>,
}

impl Party {
    /// A room with the focus and `names`, of whom `ann` is a moderator.
    fn of(names: &[&str]) -> Party {
        let mut party = Party::without_focus(50);
        party.focus_joins();
        for name in names {
            party.says(name, &join(name, ""));
        }
        party.grant("ann");
        party
    }

    fn without_focus(occupants_max: usize) -> Party {
        let policy = Policy { occupants_max, nick_from_localpart: false };
        let jid = BareJid::new(ROOM).expect("an address");
        let domains = Arc::new(Domains::of("meet.example"));
        let room = Room::new(jid, Kind::Main, "meeting-1".into(), policy, domains, Timestamp::ZERO);
        Party { room, tokens: BTreeMap::new() }
    }

    fn focus_joins(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        let jid = FullJid::new("focus@auth.meet.example/focus").expect("an address");
        self.room.focus_joined(jid, clock(), &mut out);
        lines(out)
    }

    fn grant(&mut self, name: &str) -> Vec<String> {
        let mut out = Vec::new();
        self.room.affiliate(&jid(name).to_bare(), Affiliation::Owner, None, None, clock(), &mut out);
        lines(out)
    }

    /// `name` sends `xml` to the room or to `to` in it.
    fn says(&mut self, name: &str, xml: &str) -> Vec<String> {
        let mut stanza = xmpp::parse(xml).expect("well-formed");
        let jid = jid(name);
        stanza.set_attribute("from", jid.as_str());
        let to = stanza.attribute("to").expect("an address").to_owned();
        let sender = Sender { session: session(name), jid: &jid, token: self.tokens.get(name) };
        let mut out = Vec::new();
        match (stanza.name(), to.split_once('/')) {
            ("presence", _) => self.room.presence(sender, &stanza, clock(), &mut out),
            ("message", _) => self.room.message(sender, &stanza, clock(), &mut out),
            (_, Some((_, nick))) => self.room.relay_iq(sender, nick, &stanza, &mut out),
            (_, None) => self.room.iq(sender, &stanza, clock(), &mut out),
        }
        lines(out)
    }
}

fn clock() -> Clock {
    Clock { now: Timestamp::ZERO, unix_ms: 1_790_000_000_123 }
}

fn session(name: &str) -> SessionId {
    SessionId(NAMES.iter().position(|known| *known == name).expect("a known name") as u64)
}

fn jid(name: &str) -> FullJid {
    FullJid::new(&format!("{name}-uuid@meet.example/r")).expect("an address")
}

fn join(name: &str, children: &str) -> String {
    format!("<presence xmlns='jabber:client' to='{ROOM}/{name}'>{MUC}{children}</presence>")
}

fn lines(out: Vec<Output>) -> Vec<String> {
    let line = |output| match output {
        Output::Stanza { session, stanza } => format!("{} < {stanza}", NAMES[session.0 as usize]),
        Output::Copy { session, text } => format!("{} < {text}", NAMES[session.0 as usize]),
        Output::Refused { session, stanza } => {
            format!("{} < {}", NAMES[session.0 as usize], without_text(stanza))
        }
        Output::Policy { .. } => "policy".to_owned(),
        Output::LobbyOpened => "lobby opened".to_owned(),
        Output::LobbyClosed => "lobby closed".to_owned(),
        Output::Denied { occupant, .. } => format!("denied {occupant}"),
        Output::Joined { nick, .. } => format!("+{nick}"),
        Output::Changed { nick } => format!("~{nick}"),
        Output::Left { nick, .. } => format!("-{nick}"),
    };
    out.into_iter().map(line).collect()
}

/// A refusal without its text for people, which must be there.
fn without_text(mut stanza: Element) -> Element {
    let children: Vec<Element> = stanza.children().cloned().collect();
    stanza.take_nodes();
    for mut child in children {
        if child.name() == "error" {
            assert!(
                child.child("text", ns::STANZA_ERRORS).is_some_and(|text| text.text().len() > 9),
                "{child}"
            );
            child.retain_children(|child| child.name() != "text");
        }
        stanza.push(child);
    }
    stanza
}

/// A presence as `to` gets it from `nick`.
fn presence(to: &str, nick: &str, rights: &str, codes: &[u16], children: &str) -> String {
    let (affiliation, role) = rights.split_once('/').expect("affiliation/role");
    let real = if nick == "focus" { "focus@auth.meet.example/focus".into() } else { jid(nick).to_string() };
    let own_rights = if to == nick && role == "moderator" { PERMISSIONS } else { "" };
    let codes: String = codes.iter().map(|code| format!("<status code='{code}'/>")).collect();
    format!(
        "{to} < <presence xmlns='jabber:client' from='{ROOM}/{nick}' to='{}'>\
         <x xmlns='http://jabber.org/protocol/muc#user'>\
         <item affiliation='{affiliation}' role='{role}' jid='{real}'/>{codes}</x>{children}{own_rights}</presence>",
        jid(to)
    )
}

fn subject(to: &str) -> String {
    format!(
        "{to} < <message xmlns='jabber:client' type='groupchat' from='{ROOM}' to='{}'><subject/></message>",
        jid(to)
    )
}

/// An error to a presence of `to` for `nick`.
fn presence_error(to: &str, nick: &str, error: &str) -> Vec<String> {
    let jid = jid(to);
    vec![format!(
        "{to} < <presence xmlns='jabber:client' from='{ROOM}/{nick}' to='{jid}' type='error'>{error}</presence>"
    )]
}

fn error(kind: &str, condition: &str) -> String {
    format!("<error type='{kind}'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>")
}

#[test]
fn a_join_brings_the_others_then_oneself_then_the_subject() {
    let mut party = Party::without_focus(50);
    party.focus_joins();
    party.says("ann", &join("ann", "<SourceInfo>{}</SourceInfo>"));
    assert_eq!(
        party.says("bob", &join("bob", "<nick xmlns='http://jabber.org/protocol/nick'>Bob</nick>")),
        [
            presence("bob", "focus", "owner/moderator", &[], ""),
            presence("bob", "ann", "none/participant", &[], "<SourceInfo>{}</SourceInfo>"),
            presence(
                "ann",
                "bob",
                "none/participant",
                &[],
                "<nick xmlns='http://jabber.org/protocol/nick'>Bob</nick>"
            ),
            presence(
                "bob",
                "bob",
                "none/participant",
                &[100, 110],
                "<nick xmlns='http://jabber.org/protocol/nick'>Bob</nick>"
            ),
            subject("bob"),
            "+bob".into(),
        ]
    );
}

#[test]
fn joins_wait_for_the_focus_and_then_come_in_their_order() {
    let mut party = Party::without_focus(50);
    assert_eq!(party.says("bob", &join("bob", "")), [""; 0]);
    assert_eq!(party.says("ann", &join("ann", "")), [""; 0]);
    assert_eq!(party.says("cid", &join("cid", "")), [""; 0]);
    let gone = format!("<presence xmlns='jabber:client' to='{ROOM}/cid' type='unavailable'/>");
    assert_eq!(party.says("cid", &gone), [""; 0]);
    let told: Vec<String> = party.focus_joins().into_iter().filter(|line| line.starts_with('+')).collect();
    assert_eq!(told, ["+bob", "+ann"]);
}

#[test]
fn a_nickname_is_one_occupant_s_and_stays_the_same() {
    let mut party = Party::of(&["ann", "bob"]);
    assert_eq!(
        party.says("cid", &join("ann", "")),
        presence_error("cid", "ann", &error("cancel", "conflict"))
    );
    for (nick, expected) in [("bob2", "<not-allowed "), ("ann", "<conflict ")] {
        let out = party.says("bob", &join(nick, ""));
        assert!(out.concat().contains(expected), "{out:?}");
    }
    assert_eq!(party.room.participant_count(), 2);
}

#[test]
fn nicknames_are_plain_and_the_focus_s_and_the_bridge_s_are_taken() {
    let long = "n".repeat(65);
    for nick in ["_a", "a-b", "a b", "\u{430}", "jvb", "a.b", &long] {
        let out = Party::of(&[]).says("ann", &join(nick, ""));
        assert!(out.concat().contains("<not-allowed "), "{nick}: {out:?}");
    }
    let out = Party::of(&[]).says("ann", &join("focus", ""));
    assert!(out.concat().contains("<conflict "), "{out:?}");
    let out = Party::of(&[]).says("ann", &join("A_1", ""));
    assert!(out.concat().contains("+A_1"), "{out:?}");
    let mut party = Party::of(&[]);
    party.room.policy.nick_from_localpart = true;
    assert!(party.says("ann", &join("bob", "")).concat().contains("<not-allowed "));
    assert!(party.says("bob", &join("bob", "")).concat().contains("+bob"));
}

#[test]
fn presence_children_are_relayed_verbatim_but_what_only_a_server_may_say() {
    let kept = "<a xmlns='urn:unknown' k='v'>t<b/></a><SourceInfo>{&quot;x-a0&quot;:{}}</SourceInfo>\
                <c xmlns='http://jabber.org/protocol/caps' ver='1'/>";
    let shown = kept.replace("&quot;", "\"");
    let stripped = "<identity><user><id>admin</id></user></identity>\
                    <permissions xmlns='http://jitsi.org/jitmeet'><p name='recording' val='true'/></permissions>\
                    <x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='owner' role='moderator'/></x>\
                    <occupant-id xmlns='urn:xmpp:occupant-id:0' id='ann'/>\
                    <stanza-id xmlns='urn:xmpp:sid:0' id='1' by='x'/>\
                    <addresses xmlns='http://jabber.org/protocol/address'><address type='ofrom' jid='ann'/></addresses>\
                    <delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z'/>";
    let mut party = Party::of(&["ann"]);
    party.says("bob", &join("bob", &format!("{stripped}{kept}")));
    let out = party.says("cid", &join("cid", ""));
    assert!(out.contains(&presence("cid", "bob", "none/participant", &[], &shown)), "{out:?}");
}

#[test]
fn an_update_replaces_the_presence_for_all_and_for_those_who_come_later() {
    let mut party = Party::of(&["ann", "bob"]);
    let update = |child: &str| format!("<presence xmlns='jabber:client' to='{ROOM}/bob'>{child}</presence>");
    assert_eq!(
        party.says("bob", &update("<raised/>")),
        [
            presence("ann", "bob", "none/participant", &[], "<raised/>"),
            presence("bob", "bob", "none/participant", &[110], "<raised/>"),
            "~bob".into(),
        ]
    );
    assert_eq!(party.says("bob", &update("<raised/>")), [""; 0], "the same again is not sent again");
    let out = party.says("cid", &join("cid", ""));
    assert!(out.contains(&presence("cid", "bob", "none/participant", &[], "<raised/>")), "{out:?}");
    let big = update(&format!("<a>{}</a>", "x".repeat(STANZA_BYTES_MAX)));
    assert_eq!(party.says("bob", &big), presence_error("bob", "bob", &error("modify", "policy-violation")));
}

#[test]
fn a_full_room_says_so() {
    let mut party = Party::without_focus(1);
    party.focus_joins();
    party.says("ann", &join("ann", ""));
    assert_eq!(
        party.says("bob", &join("bob", "")),
        presence_error("bob", "bob", &error("cancel", "service-unavailable"))
    );
}

#[test]
fn a_presence_without_nickname_is_refused_and_other_types_are_not_heard() {
    let mut party = Party::of(&["ann"]);
    let out = party.says("bob", &format!("<presence xmlns='jabber:client' to='{ROOM}'>{MUC}</presence>"));
    assert!(out.concat().contains("<jid-malformed "), "{out:?}");
    for kind in ["error", "probe", "subscribe", "unavailable"] {
        let stanza =
            format!("<presence xmlns='jabber:client' type='{kind}' to='{ROOM}/bob'>{MUC}</presence>");
        assert_eq!(party.says("bob", &stanza), [""; 0]);
    }
}

#[test]
fn the_focus_s_presence_is_shown_to_all_at_once() {
    let mut party = Party::of(&["ann"]);
    let mut out = Vec::new();
    party.room.focus_presence(vec![Element::new("etherpad", "urn:e")], &mut out);
    assert_eq!(lines(out), [presence("ann", "focus", "owner/moderator", &[], "<etherpad xmlns='urn:e'/>")]);
}

#[test]
fn information_is_for_occupants_and_the_timer_is_the_same_for_the_first_and_for_others() {
    let ask = format!(
        "<iq xmlns='jabber:client' type='get' id='d' to='{ROOM}'>\
         <query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
    );
    let mut party = Party::of(&["ann"]);
    assert!(party.says("bob", &ask).concat().contains("<forbidden "));
    let alone = party.says("ann", &ask).concat();
    let timer = "<field var='muc#roominfo_created_timestamp'><value>1790000000123</value></field>";
    assert!(
        alone.contains("<field var='muc#roominfo_meetingId'><value>meeting-1</value></field>"),
        "{alone}"
    );
    assert!(alone.contains(timer), "{alone}");
    party.says("bob", &join("bob", ""));
    let both = party.says("bob", &ask).concat();
    assert!(both.contains(timer), "{both}");
    assert!(!both.contains("isbreakout") && !both.contains("membersonly"));
}
