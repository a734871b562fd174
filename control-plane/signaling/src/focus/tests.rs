//! Conversations between occupants, the focus and a media plane that seats everybody at once.

mod hostile;
mod lifecycle;
mod offer;
mod sources;

use std::collections::HashMap;

use contract::session::{Candidate, CandidateKind, LocalTransport, SourceSpec};
use contract::{ConferenceId, Duration};
use xmpp::{Element, ns};

use super::*;
use crate::jingle::ns as jingle_ns;
use crate::random::tests::counting;

/// Features of a present web client.
const WEB: &[&str] = &[
    "urn:xmpp:jingle:apps:rtp:audio",
    "urn:xmpp:jingle:apps:rtp:video",
    "urn:xmpp:jingle:transports:dtls-sctp:1",
    "urn:ietf:rfc:4588",
    "http://jitsi.org/tcc",
    "http://jitsi.org/remb",
    "http://jitsi.org/json-encoded-sources",
    "http://jitsi.org/ssrc-rewriting-1",
];

/// The same without SSRC rewriting.
fn plain() -> Vec<&'static str> {
    WEB.iter().copied().filter(|feature| !feature.contains("rewriting")).collect()
}

/// The focus with occupants that answer what every client answers by itself.
struct World {
    focus: Focus,
    now: Timestamp,
    features: HashMap<String, Vec<&'static str>>,
    /// What each occupant got and has not looked at.
    inbox: HashMap<String, Vec<Element>>,
    commands: Vec<Command>,
    associations: Vec<association::Command>,
    others: Vec<Output>,
    /// Whether the media plane seats endpoints.
    seating: bool,
    /// Identities by endpoint id; the latest counts.
    endpoints: HashMap<String, EndpointId>,
    created: Vec<EndpointId>,
    conference: Option<ConferenceId>,
}

fn room() -> BareJid {
    BareJid::new("standup@conference.meet.example").expect("an address")
}

fn config() -> FocusConfig {
    let fingerprint = association::Fingerprint { hash: "sha-256".into(), value: vec![0x9A; 32] };
    let focus = FullJid::new("focus@auth.meet.example/focus").expect("an address");
    let mut config = FocusConfig::new(focus, fingerprint);
    config.colibri_ws_base = Some("wss://meet.example/colibri-ws/default".into());
    config
}

fn iq(kind: &str, payload: Option<Element>) -> Element {
    Element::new("iq", ns::JABBER_CLIENT).attr("type", kind).attr("id", "client-1").with_all(payload)
}

fn xml(text: &str) -> Element {
    xmpp::parse(text).expect("well-formed")
}

impl World {
    fn new(config: FocusConfig) -> World {
        World {
            focus: Focus::new(config, counting()),
            now: Timestamp::from_millis(1_000),
            features: HashMap::new(),
            inbox: HashMap::new(),
            commands: Vec::new(),
            associations: Vec::new(),
            others: Vec::new(),
            seating: true,
            endpoints: HashMap::new(),
            created: Vec::new(),
            conference: None,
        }
    }

    /// A conference with these occupants, all with the same features, all with a session.
    fn meeting(nicks: &[&str], features: &[&'static str]) -> World {
        let mut world = World::new(config());
        for nick in nicks {
            world.join(nick, features);
        }
        for (index, nick) in nicks.iter().enumerate() {
            world.accept(nick, 1_000 * (index as u32 + 1));
        }
        world.clear();
        world
    }

    fn join(&mut self, nick: &str, features: &[&'static str]) {
        self.features.insert(nick.to_owned(), features.to_vec());
        self.join_silently(nick);
    }

    /// Joins; answers discovery only if its features are known.
    fn join_silently(&mut self, nick: &str) {
        let jid = FullJid::new(&format!("{nick}@meet.example/x")).expect("an address");
        let presence = Element::new("presence", ns::JABBER_CLIENT).with(
            Element::new("c", ns::CAPS).attr("node", "https://jitsi.org/jitsi-meet").attr("ver", "abc="),
        );
        let occupant =
            Occupant { room: &room(), nick, real_jid: &jid, presence: &presence, moderator: false };
        self.focus.occupant_joined(&occupant, self.now);
        self.settle();
    }

    fn leave(&mut self, nick: &str) {
        self.focus.occupant_left(&room(), nick, self.now);
        self.inbox.remove(nick);
        self.settle();
    }

    fn pass(&mut self, seconds: u64) {
        self.pass_millis(seconds * 1_000);
    }

    fn pass_millis(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        // Each round lets at least one timer fire, and none is set again for the same moment.
        for _ in 0..1_000 {
            let due = self.focus.poll_timeout();
            if due > end {
                break;
            }
            self.now = self.now.max(due);
            self.focus.handle_timeout(self.now);
            self.settle();
        }
        self.now = end;
    }

    fn report(&mut self, report: Report) {
        self.focus.report(report, self.now);
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(output) = self.focus.poll_output() {
            match output {
                Output::ToOccupant { nick, stanza, .. } => self.deliver(nick, stanza),
                Output::Command(command) => {
                    self.commands.push(command.clone());
                    if let Command::CreateEndpoint(spec) = &command {
                        self.created.push(spec.endpoint);
                        self.conference = Some(spec.conference);
                    }
                    if self.seating {
                        self.obey(command);
                    }
                }
                Output::Association(command) => self.associations.push(command),
                other => self.others.push(other),
            }
        }
    }

    fn obey(&mut self, command: Command) {
        let endpoint = match command {
            Command::CreateEndpoint(spec) => spec.endpoint,
            Command::RestartIce { endpoint } => endpoint,
            _ => return,
        };
        self.focus.report(ready(endpoint), self.now);
    }

    fn deliver(&mut self, nick: String, stanza: Element) {
        let discovery = stanza.child("query", ns::DISCO_INFO).cloned();
        if let (Some(query), Some("get")) = (discovery, stanza.attribute("type")) {
            assert!(query.attribute("node").is_none_or(|node| node == "https://jitsi.org/jitsi-meet#abc="));
            let Some(features) = self.features.get(&nick) else { return };
            let features =
                features.iter().map(|var| Element::new("feature", ns::DISCO_INFO).attr("var", *var));
            let query = Element::new("query", ns::DISCO_INFO).with_all(features);
            let answer = iq("result", Some(query)).attr("id", stanza.attribute("id").unwrap_or_default());
            return self.focus.iq_answer(&room(), &nick, &answer, self.now);
        }
        if let Some(jingle) = stanza.child("jingle", jingle_ns::JINGLE)
            && jingle.attribute("action") == Some("session-initiate")
        {
            let content = jingle.child("content", jingle_ns::JINGLE);
            let transport = content.and_then(|content| content.child("transport", jingle_ns::ICE_UDP));
            let ufrag = transport.and_then(|transport| transport.attribute("ufrag")).expect("credentials");
            let endpoint =
                ufrag.trim_start_matches('u').trim_end_matches("fr").parse().expect("as made by `ready`");
            self.endpoints.insert(nick.clone(), EndpointId(endpoint));
            let answer = iq("result", None).attr("id", stanza.attribute("id").unwrap_or_default());
            self.focus.iq_answer(&room(), &nick, &answer, self.now);
        }
        self.inbox.entry(nick).or_default().push(stanza);
    }

    /// What `nick` got since it was asked last.
    fn take(&mut self, nick: &str) -> Vec<Element> {
        self.inbox.remove(nick).unwrap_or_default()
    }

    /// The Jingle elements among what `nick` got, as (action, element).
    fn jingles(&mut self, nick: &str) -> Vec<(String, Element)> {
        let stanzas = self.take(nick);
        let jingles = stanzas.iter().filter_map(|stanza| stanza.child("jingle", jingle_ns::JINGLE));
        jingles
            .map(|jingle| (jingle.attribute("action").unwrap_or_default().to_owned(), jingle.clone()))
            .collect()
    }

    fn actions(&mut self, nick: &str) -> Vec<String> {
        self.jingles(nick).into_iter().map(|(action, _)| action).collect()
    }

    fn sid(&self, nick: &str) -> String {
        let participant = self.focus.conferences.get(&room()).and_then(|it| it.participant(nick));
        participant.and_then(Participant::sid).expect("a session").to_owned()
    }

    fn bridge_session(&self, nick: &str) -> String {
        let participant = self.focus.conferences.get(&room()).and_then(|it| it.participant(nick));
        participant.and_then(Participant::bridge_session).expect("a session").to_owned()
    }

    /// Sends a request; the answer.
    fn request(&mut self, nick: &str, payload: Element) -> Element {
        self.focus.iq(&room(), nick, &iq("set", Some(payload)), self.now);
        let Some(Output::ToOccupant { nick: to, stanza, .. }) = self.focus.poll_output() else {
            panic!("no answer");
        };
        assert_eq!((to.as_str(), stanza.attribute("id")), (nick, Some("client-1")));
        self.settle();
        stanza
    }

    fn jingle(&mut self, nick: &str, action: &str, inside: &str) -> Element {
        let sid = self.sid(nick);
        self.jingle_of(nick, &sid, action, inside)
    }

    fn jingle_of(&mut self, nick: &str, sid: &str, action: &str, inside: &str) -> Element {
        let text =
            format!("<jingle xmlns='urn:xmpp:jingle:1' action='{action}' sid='{sid}'>{inside}</jingle>");
        self.request(nick, xml(&text))
    }

    /// Accepts with a microphone and a simulcast camera, whose SSRCs start at `ssrc`.
    fn accept(&mut self, nick: &str, ssrc: u32) -> Element {
        let inside = format!(
            "<content name='audio'><description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'>{}</description>{TRANSPORT}</content>\
             <content name='video'><initial-last-n xmlns='jitsi:colibri2' value='5'/>{}{TRANSPORT}</content>\
             <content name='data'>{TRANSPORT}</content>",
            source(ssrc, &format!("{nick}-a0"), ""),
            camera(nick, ssrc + 1),
        );
        self.jingle(nick, "session-accept", &inside)
    }

    fn clear(&mut self) {
        self.inbox.clear();
        self.commands.clear();
        self.associations.clear();
        self.others.clear();
    }

    fn endpoint(&self, nick: &str) -> EndpointId {
        self.endpoints[nick]
    }

    /// The latest sources of an endpoint as the media plane was told.
    fn told_sources(&self, nick: &str) -> Vec<SourceSpec> {
        let endpoint = self.endpoint(nick);
        let told = self.commands.iter().rev().find_map(|command| match command {
            Command::SetSources { endpoint: of, sources } if *of == endpoint => Some(sources.clone()),
            _ => None,
        });
        told.expect("sources")
    }
}

fn ready(endpoint: EndpointId) -> Report {
    let transport = LocalTransport {
        ufrag: format!("u{endpoint}fr"),
        pwd: "3kd9v0e5m1n7p2r4s6t8u0w2".into(),
        candidates: vec![Candidate {
            address: "203.0.113.9:10000".parse().expect("an address"),
            kind: CandidateKind::Host,
            priority: 2_130_706_431,
            related: None,
            tcp: false,
        }],
    };
    Report::EndpointReady { endpoint, transport: Box::new(transport) }
}

const TRANSPORT: &str = "<transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' ufrag='Zk4+' pwd='o1W45678901234567890ab'>\
    <fingerprint xmlns='urn:xmpp:jingle:apps:dtls:0' hash='sha-256' setup='active'>4B:11</fingerprint></transport>";

fn source(ssrc: u32, name: &str, more: &str) -> String {
    format!(
        "<source xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' ssrc='{ssrc}' name='{name}' {more}>\
         <parameter name='cname' value='c'/><parameter name='msid' value='{name} t'/></source>"
    )
}

fn group(semantics: &str, ssrcs: &[u32]) -> String {
    let members: String = ssrcs.iter().map(|ssrc| format!("<source ssrc='{ssrc}'/>")).collect();
    format!(
        "<ssrc-group xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' semantics='{semantics}'>{members}</ssrc-group>"
    )
}

/// Three simulcast layers with RTX.
fn camera(nick: &str, first: u32) -> String {
    let sources: String = (first..first + 6).map(|ssrc| source(ssrc, &format!("{nick}-v0"), "")).collect();
    let groups = group("SIM", &[first, first + 2, first + 4])
        + &group("FID", &[first, first + 1])
        + &group("FID", &[first + 2, first + 3])
        + &group("FID", &[first + 4, first + 5]);
    format!("<description xmlns='urn:xmpp:jingle:apps:rtp:1' media='video'>{sources}{groups}</description>")
}

/// A screen share as the content of a source-add.
fn share(nick: &str, first: u32) -> String {
    let name = format!("{nick}-v1");
    let sources =
        source(first, &name, "videoType='desktop'") + &source(first + 1, &name, "videoType='desktop'");
    format!(
        "<content name='video'><description xmlns='urn:xmpp:jingle:apps:rtp:1' media='video'>{sources}{}</description></content>",
        group("FID", &[first, first + 1])
    )
}

/// `result`, or the name of the error condition.
fn outcome(answer: &Element) -> String {
    match answer.child("error", ns::JABBER_CLIENT).and_then(|error| error.children().next()) {
        Some(condition) => condition.name().to_owned(),
        None => answer.attribute("type").unwrap_or_default().to_owned(),
    }
}

fn sources_of(jingle: &Element) -> serde_json::Value {
    let message = jingle.child("json-message", ns::JITMEET).expect("JSON sources").text();
    serde_json::from_str::<serde_json::Value>(&message).expect("JSON")["sources"].clone()
}
