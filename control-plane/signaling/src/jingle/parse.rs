//! Jingle requests of clients, read into values (XEP-0166 §6). What is harmless is not validated.

use contract::session::Media;
use xmpp::{Element, ns as xmpp_ns};

use super::ns;
use super::sources::parse_sources;
use super::transport::Transport;
use crate::source_map::{EndpointSources, SourceError};

/// A request about one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Which session.
    pub sid: String,
    /// What to do.
    pub action: Action,
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The answer to our offer.
    Accept(Box<Accept>),
    /// It sends more.
    SourceAdd(EndpointSources),
    /// It sends less.
    SourceRemove(EndpointSources),
    /// It ends the session.
    Terminate(Terminate),
    /// It tells something about the session.
    Info(Info),
    /// It tells something about its transport.
    TransportInfo(Box<Transport>),
}

/// The content of a `session-accept`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    /// Merged over the contents, which are bundled.
    pub transport: Transport,
    /// What the client sends.
    pub sources: EndpointSources,
    /// Last-n until the first constraints.
    pub initial_last_n: Option<i32>,
    /// It may be sent redundant audio (RFC 2198), if that was offered.
    pub takes_redundancy: bool,
}

/// The content of a `session-terminate`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terminate {
    /// Reason element's name.
    pub reason: Option<String>,
    /// The bridge session that the client knows.
    pub bridge_session: Option<String>,
    /// The client wants a new offer.
    pub restart: bool,
}

/// The content of a `session-info`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Info {
    /// The client asks for an in-place ICE restart.
    IceRestart {
        /// The bridge session that the client knows.
        bridge_session: Option<String>,
    },
    /// Old clients tell a failure of ICE so and wait for a new offer.
    IceFailed {
        /// The bridge session that the client knows.
        bridge_session: Option<String>,
    },
    /// Anything else; acknowledged.
    Other,
}

/// Why a request cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// `sid` or `action` is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// An action that clients do not have towards a focus.
    #[error("action not supported")]
    Unsupported,
    /// Broken sources.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl Request {
    /// Reads `<jingle/>` from the endpoint `owner`.
    ///
    /// # Errors
    /// A [`ParseError`].
    pub fn parse(jingle: &Element, owner: &str) -> Result<Request, ParseError> {
        let sid = jingle.attribute("sid").ok_or(ParseError::Missing("sid"))?;
        let action = match jingle.attribute("action").ok_or(ParseError::Missing("action"))? {
            "session-accept" => Action::Accept(Box::new(accept(jingle, owner)?)),
            "source-add" | "addsource" => Action::SourceAdd(sources(jingle, owner)?),
            "source-remove" | "removesource" => Action::SourceRemove(sources(jingle, owner)?),
            "session-terminate" => Action::Terminate(terminate(jingle)),
            "session-info" => Action::Info(info(jingle)),
            "transport-info" => Action::TransportInfo(Box::new(transport(jingle))),
            _ => return Err(ParseError::Unsupported),
        };
        Ok(Request { sid: sid.to_owned(), action })
    }
}

fn contents(jingle: &Element) -> impl Iterator<Item = &Element> {
    jingle.children_named("content", ns::JINGLE)
}

fn accept(jingle: &Element, owner: &str) -> Result<Accept, ParseError> {
    let last_n = contents(jingle)
        .find_map(|content| content.child("initial-last-n", ns::COLIBRI2))
        .and_then(|element| element.attribute("value")?.parse().ok());
    Ok(Accept {
        transport: transport(jingle),
        sources: sources(jingle, owner)?,
        initial_last_n: last_n,
        takes_redundancy: takes_redundancy(jingle),
    })
}

/// An answer lists the payload types that it takes of those offered (XEP-0167 §6). One that lists none of audio says nothing
/// of them.
fn takes_redundancy(jingle: &Element) -> bool {
    let descriptions = contents(jingle).filter_map(|content| Some((content, media_of(content)?)));
    let audio = descriptions.filter(|(_, media)| *media == Media::Audio);
    let mut listed = audio
        .filter_map(|(content, _)| content.child("description", ns::RTP))
        .flat_map(|description| description.children_named("payload-type", ns::RTP))
        .filter_map(|payload_type| payload_type.attribute("name"))
        .peekable();
    listed.peek().is_none() || listed.any(|name| name.eq_ignore_ascii_case("red"))
}

fn media_of(content: &Element) -> Option<Media> {
    let description = content.child("description", ns::RTP)?;
    match description.attribute("media").or(content.attribute("name")) {
        Some("audio") => Some(Media::Audio),
        Some("video") => Some(Media::Video),
        _ => None,
    }
}

/// Sources are sorted by the media type of the description; a client may have several contents of one type.
fn sources(jingle: &Element, owner: &str) -> Result<EndpointSources, ParseError> {
    let mut sources = EndpointSources::default();
    for content in contents(jingle) {
        let Some(description) = content.child("description", ns::RTP) else { continue };
        let Some(media) = media_of(content) else { continue };
        parse_sources(description, media, owner, &mut sources)?;
    }
    Ok(sources)
}

fn transport(jingle: &Element) -> Transport {
    let mut merged = Transport::default();
    for content in contents(jingle) {
        if let Some(element) = content.child("transport", ns::ICE_UDP) {
            merged.merge(Transport::parse(element));
        }
    }
    merged
}

fn terminate(jingle: &Element) -> Terminate {
    let reason = jingle.child("reason", ns::JINGLE).and_then(|reason| {
        reason.children().map(Element::name).find(|name| *name != "text").map(str::to_owned)
    });
    Terminate { reason, bridge_session: bridge_session(jingle), restart: flag(jingle, "restart") }
}

fn info(jingle: &Element) -> Info {
    if flag(jingle, "ice-restart") {
        return Info::IceRestart { bridge_session: bridge_session(jingle) };
    }
    let failed = jingle.child("ice-state", xmpp_ns::FOCUS).is_some_and(|state| state.text() == "failed");
    match failed {
        true => Info::IceFailed { bridge_session: bridge_session(jingle) },
        false => Info::Other,
    }
}

fn bridge_session(jingle: &Element) -> Option<String> {
    jingle.child("bridge-session", xmpp_ns::FOCUS)?.attribute("id").map(str::to_owned)
}

fn flag(jingle: &Element, name: &str) -> bool {
    let element = jingle.child("bridge-session", xmpp_ns::FOCUS);
    element.and_then(|element| element.attribute(name)).is_some_and(|value| value == "true" || value == "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(action: &str, inside: &str) -> Result<Request, ParseError> {
        let text = format!("<jingle xmlns='urn:xmpp:jingle:1' action='{action}' sid='s1'>{inside}</jingle>");
        Request::parse(&xmpp::parse(&text).expect("well-formed"), "a1b2c3d4")
    }

    #[test]
    fn contents_of_one_accept_are_merged_and_oddities_ignored() {
        let transport = "<transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' ufrag='Zk4+' pwd='o1W45678901234567890ab'>\
            <fingerprint xmlns='urn:xmpp:jingle:apps:dtls:0' hash='sha-256' setup='active'>4B:11</fingerprint></transport>";
        let request = parse(
            "session-accept",
            &format!(
                "<odd xmlns='x'/><content creator='responder' name='audio' senders='weird'>\
                 <description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'>\
                 <source xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' ssrc='4001' name='a1b2c3d4-a0'/></description>{transport}</content>\
                 <content name='video'><initial-last-n xmlns='jitsi:colibri2' value='5'/>\
                 <description xmlns='urn:xmpp:jingle:apps:rtp:1' media='video'>\
                 <source xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' ssrc='5001' name='a1b2c3d4-v0'/></description>{transport}</content>\
                 <content name='data'>{transport}</content>"
            ),
        );
        let Ok(Request { action: Action::Accept(accept), .. }) = request else { panic!("{request:?}") };
        assert_eq!(
            accept.sources.sources.iter().map(|source| source.ssrc).collect::<Vec<_>>(),
            [4_001, 5_001]
        );
        assert_eq!(accept.initial_last_n, Some(5));
        assert_eq!(accept.transport.fingerprints.len(), 1);
    }

    #[test]
    fn an_answer_without_red_takes_no_redundancy() {
        let audio = |types: &str| {
            let description = format!(
                "<description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'>{types}</description>"
            );
            let video = "<content name='video'><description xmlns='urn:xmpp:jingle:apps:rtp:1' media='video'>\
                         <payload-type id='100' name='VP8'/><payload-type id='116' name='red'/></description></content>";
            format!("<content name='audio'>{description}</content>{video}")
        };
        let (opus, red) = ("<payload-type id='111' name='opus'/>", "<payload-type id='112' name='RED'/>");
        let rows = [(format!("{opus}{red}"), true), (opus.to_owned(), false), (String::new(), true)];
        for (types, expected) in rows {
            let request = parse("session-accept", &audio(&types));
            let Ok(Request { action: Action::Accept(accept), .. }) = request else { panic!("{request:?}") };
            assert_eq!(accept.takes_redundancy, expected, "{types}");
        }
    }

    #[test]
    fn a_terminate_tells_whether_to_restart() {
        let request = parse(
            "session-terminate",
            "<reason><text>ICE FAILED</text><connectivity-error/></reason>\
             <bridge-session xmlns='http://jitsi.org/protocol/focus' id='d41a5f' restart='true'/>",
        );
        let expected = Terminate {
            reason: Some("connectivity-error".into()),
            bridge_session: Some("d41a5f".into()),
            restart: true,
        };
        assert_eq!(request.map(|request| request.action), Ok(Action::Terminate(expected)));
    }

    #[test]
    fn unknown_actions_and_missing_attributes_are_told_apart() {
        assert_eq!(parse("content-modify", ""), Err(ParseError::Unsupported));
        let jingle = |attribute, value| Element::new("jingle", ns::JINGLE).attr(attribute, value);
        assert_eq!(Request::parse(&jingle("sid", "x"), "a"), Err(ParseError::Missing("action")));
        assert_eq!(Request::parse(&jingle("action", "session-accept"), "a"), Err(ParseError::Missing("sid")));
    }
}
