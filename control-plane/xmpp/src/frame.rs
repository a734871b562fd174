//! Frames as the threads of connections read them, so that whoever owns the streams gets elements (RFC 7395 §3.3).

use crate::Element;
use crate::parse::{ParseError, STANZA_BYTES_MAX, parse_within};
use crate::websocket::UNAUTHENTICATED_FRAME_BYTES_MAX;

/// One frame from a client, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    element: Result<Element, ParseError>,
    bytes: usize,
}

impl Frame {
    /// The element, if it is one of at most `max_bytes` bytes.
    pub(crate) fn within(self, max_bytes: usize) -> Result<Element, ParseError> {
        if self.bytes > max_bytes { Err(ParseError::TooLarge) } else { self.element }
    }
}

/// Reads it within the largest size; the stream that it is for has the last word.
impl From<&str> for Frame {
    fn from(text: &str) -> Frame {
        Frame { element: parse_within(text, STANZA_BYTES_MAX), bytes: text.len() }
    }
}

/// Reads the frames of one connection, in the order of coming. The stream behind it judges by the same limits: this
/// one keeps what it would refuse from being work at all.
#[derive(Debug, Default)]
pub struct FrameReader {
    is_over: bool,
}

impl FrameReader {
    /// Reads `text` of a client that has or has not authenticated. After the first frame that no stream survives, what
    /// follows is not looked at.
    pub fn read(&mut self, text: &str, is_authenticated: bool) -> Frame {
        let max_bytes = frame_bytes_max(is_authenticated);
        let element =
            if self.is_over { Err(ParseError::NotWellFormed) } else { parse_within(text, max_bytes) };
        self.is_over |= element.is_err();
        Frame { element, bytes: text.len() }
    }
}

/// Bytes of a frame that a client may send.
pub(crate) fn frame_bytes_max(is_authenticated: bool) -> usize {
    if is_authenticated { STANZA_BYTES_MAX } else { UNAUTHENTICATED_FRAME_BYTES_MAX }
}

/// Bytes that `text` holds at most once it is read.
pub fn read_bytes_max(text: &str) -> usize {
    text.len() + text.bytes().filter(|byte| *byte == b'<').count() * ELEMENT_BYTES
}

/// What an element holds beside its text: itself, its place in its parent, and small allocations.
const ELEMENT_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_authentication_a_long_frame_is_refused_unread() {
        let text = format!("<auth>{}</auth>", "x".repeat(UNAUTHENTICATED_FRAME_BYTES_MAX));
        assert_eq!(FrameReader::default().read(&text, false).element, Err(ParseError::TooLarge));
        assert!(FrameReader::default().read(&text, true).element.is_ok());
        // Told too early, the reader lets it through; the stream does not.
        let read = FrameReader::default().read(&text, true);
        assert_eq!(read.within(UNAUTHENTICATED_FRAME_BYTES_MAX), Err(ParseError::TooLarge));
    }

    #[test]
    fn after_a_broken_frame_nothing_more_is_read() {
        let mut reader = FrameReader::default();
        assert!(reader.read("<a xmlns='urn:x'/>", true).element.is_ok());
        assert_eq!(reader.read("<!-- -->", true).element, Err(ParseError::Restricted));
        assert!(reader.read("<a xmlns='urn:x'/>", true).element.is_err());
    }

    #[test]
    fn what_a_frame_holds_once_read_is_not_underestimated() {
        let rows = [
            "<a xmlns='urn:x'/>".to_owned(),
            format!("<a>{}</a>", "<b/>".repeat(10_000)),
            format!("<a>{}</a>", "<b xmlns='urn:some:longer:name'>text</b>".repeat(1_000)),
            format!("<a>{}</a>", "x".repeat(100_000)),
        ];
        for text in rows {
            let element = crate::parse(&text).expect("well-formed");
            assert!(held(&element) <= read_bytes_max(&text), "{}", text.get(..40).unwrap_or(&text));
        }
    }

    /// Bytes of the tree, its vectors as far as they are filled.
    fn held(element: &Element) -> usize {
        let attributes = element.attributes().map(|(key, value)| 48 + key.len() + value.len()).sum::<usize>();
        let children = element.nodes().iter().map(|node| match node {
            crate::Node::Element(child) => held(child),
            crate::Node::Text(text) => size_of::<crate::Node>() + text.len(),
        });
        size_of::<crate::Node>()
            + element.name().len()
            + element.ns().len()
            + attributes
            + children.sum::<usize>()
    }
}
