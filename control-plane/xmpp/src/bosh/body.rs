//! The `<body/>` wrapper of BOSH, read and written (XEP-0124 §5, XEP-0206 §3).

use crate::parse::{ParseError, parse_within, root_attribute};
use crate::websocket::UNAUTHENTICATED_FRAME_BYTES_MAX;
use crate::{Element, ns};

/// Bytes of a request body: one stanza of the largest size and its wrapper, or several small ones.
pub const BODY_BYTES_MAX: usize = crate::parse::STANZA_BYTES_MAX;
/// Request ids go up to the largest whole number that a JavaScript number holds (XEP-0124 §14.1).
const RID_MAX: u64 = (1 << 53) - 1;

/// One body from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    element: Element,
    rid: u64,
    restart: bool,
    bytes: usize,
}

impl Body {
    /// Reads a request body of at most [`BODY_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// [`ParseError`] if it is no acceptable XML, no `<body/>`, or has no request id that could be one.
    pub fn parse(text: &str) -> Result<Body, ParseError> {
        let element = parse_within(text, BODY_BYTES_MAX)?;
        let rid = element.attribute("rid").and_then(|rid| rid.parse().ok());
        let rid = rid.filter(|rid| (1..RID_MAX).contains(rid) && element.is("body", ns::HTTP_BIND));
        let restart = root_attribute(text, ns::XBOSH, "restart");
        Ok(Body {
            rid: rid.ok_or(ParseError::NotWellFormed)?,
            restart: matches!(restart.as_deref(), Some("true" | "1")),
            bytes: text.len(),
            element,
        })
    }

    /// The session that the body belongs to; `None` asks for a new one.
    pub fn sid(&self) -> Option<&str> {
        self.element.attribute("sid")
    }

    /// The request id.
    pub fn rid(&self) -> u64 {
        self.rid
    }

    /// Whether the stream is to be opened anew after SASL (XEP-0206 §5).
    pub(super) fn restarts(&self) -> bool {
        self.restart
    }

    /// Whether the client ends the session.
    pub(super) fn terminates(&self) -> bool {
        self.element.attribute("type") == Some("terminate")
    }

    /// Whether it is longer than what may come before authentication.
    pub(super) fn is_long(&self) -> bool {
        self.bytes > UNAUTHENTICATED_FRAME_BYTES_MAX
    }

    /// The domain that it names.
    pub(super) fn to(&self) -> &str {
        self.element.attribute("to").unwrap_or_default()
    }

    /// The whole number in the attribute `name`, if it is one.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.element.attribute(name)?.parse().ok()
    }

    /// What the body carries, each as a frame of its own.
    pub(super) fn frames(&self) -> impl Iterator<Item = String> {
        self.element.children().map(Element::to_string)
    }
}

/// An answer that ends a session, or says that there is none (XEP-0124 §17.2).
pub fn terminate(condition: Option<&str>) -> String {
    empty().attr("type", "terminate").attr_if("condition", condition).to_string()
}

/// An empty body.
pub(super) fn empty() -> Element {
    Element::new("body", ns::HTTP_BIND)
}

/// `wrapper`, an empty element, as text around `frames`, which are elements as text already.
pub(super) fn around(wrapper: &Element, frames: &[String]) -> String {
    let mut text = wrapper.to_string();
    if frames.is_empty() {
        return text;
    }
    text.truncate(text.len() - "/>".len());
    text.reserve(frames.iter().map(String::len).sum::<usize>() + "></body>".len());
    text.push('>');
    frames.iter().for_each(|frame| text.push_str(frame));
    text.push_str("</body>");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "xmlns='http://jabber.org/protocol/httpbind'";

    #[test]
    fn what_is_no_body_with_a_request_id_is_refused() {
        let deep = format!("<body rid='1' {HEAD}>{}</body>", "<a>".repeat(100));
        let long = format!("<body rid='1' {HEAD}>{}</body>", "x".repeat(BODY_BYTES_MAX));
        let rows: Vec<(String, Result<(), ParseError>)> = vec![
            (format!("<body rid='1' {HEAD}/>"), Ok(())),
            (format!("<body rid='9007199254740990' {HEAD}/>"), Ok(())),
            (format!("<body rid='9007199254740991' {HEAD}/>"), Err(ParseError::NotWellFormed)),
            (format!("<body rid='0' {HEAD}/>"), Err(ParseError::NotWellFormed)),
            (format!("<body rid='-1' {HEAD}/>"), Err(ParseError::NotWellFormed)),
            (format!("<body rid='x' {HEAD}/>"), Err(ParseError::NotWellFormed)),
            (format!("<body {HEAD}/>"), Err(ParseError::NotWellFormed)),
            ("<body rid='1'/>".to_owned(), Err(ParseError::NotWellFormed)),
            (format!("<bod rid='1' {HEAD}/>"), Err(ParseError::NotWellFormed)),
            (format!("<body rid='1' {HEAD}>"), Err(ParseError::NotWellFormed)),
            (String::new(), Err(ParseError::NotWellFormed)),
            (format!("<!DOCTYPE a><body rid='1' {HEAD}/>"), Err(ParseError::Restricted)),
            (format!("<body rid='1' {HEAD}>&bomb;</body>"), Err(ParseError::Restricted)),
            (deep, Err(ParseError::TooLarge)),
            (long, Err(ParseError::TooLarge)),
        ];
        for (text, expected) in rows {
            assert_eq!(Body::parse(&text).map(|_| ()), expected, "{}", text.get(..80).unwrap_or(&text));
        }
    }

    #[test]
    fn a_restart_is_known_by_its_namespace_whatever_the_prefix() {
        let rows = [
            ("xmlns:xmpp='urn:xmpp:xbosh' xmpp:restart='true'", true),
            ("xmlns:x='urn:xmpp:xbosh' x:restart='1'", true),
            ("xmlns:xmpp='urn:xmpp:xbosh' xmpp:restart='false'", false),
            ("xmlns:xmpp='urn:else' xmpp:restart='true'", false),
            ("restart='true'", false),
        ];
        for (attributes, restarts) in rows {
            let text = format!("<body rid='1' {HEAD} {attributes}/>");
            assert_eq!(Body::parse(&text).expect("a body").restarts(), restarts, "{attributes}");
        }
    }

    #[test]
    fn frames_are_self_contained() {
        let text = format!(
            "<body rid='1' sid='s' {HEAD}><iq xmlns='jabber:client'><ping xmlns='urn:xmpp:ping'/></iq>\
             <presence xmlns='jabber:client'/></body>"
        );
        let body = Body::parse(&text).expect("a body");
        let frames: Vec<String> = body.frames().collect();
        assert_eq!(
            frames,
            [
                "<iq xmlns='jabber:client'><ping xmlns='urn:xmpp:ping'/></iq>",
                "<presence xmlns='jabber:client'/>"
            ]
        );
        assert_eq!(
            around(&empty(), &frames),
            "<body xmlns='http://jabber.org/protocol/httpbind'><iq xmlns='jabber:client'>\
             <ping xmlns='urn:xmpp:ping'/></iq><presence xmlns='jabber:client'/></body>"
        );
    }
}
