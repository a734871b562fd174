//! A small XML tree and the exact serialisation that Jitsi clients read (RFC 7395 §3.3.3, RFC 6120 §4.8).
//!
//! Clients test the literal `xmlns` attribute and the tag name, so nothing but `stream:` is ever a prefix and every
//! element whose namespace differs from its parent's declares its own.

use std::fmt;

use crate::ns;

/// One XML element with everything in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    name: String,
    ns: String,
    attributes: Vec<(String, String)>,
    children: Vec<Node>,
}

/// One child of an [`Element`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A child element.
    Element(Element),
    /// Character data, unescaped.
    Text(String),
}

impl Element {
    /// An empty element called `name` (without prefix) in the namespace `ns`.
    pub fn new(name: impl Into<String>, ns: impl Into<String>) -> Element {
        Element { name: name.into(), ns: ns.into(), attributes: Vec::new(), children: Vec::new() }
    }

    /// Builder: sets the attribute `name`.
    #[must_use]
    pub fn attr(mut self, name: &str, value: impl Into<String>) -> Element {
        self.set_attribute(name, value);
        self
    }

    /// Builder: sets the attribute `name` if there is a value.
    #[must_use]
    pub fn attr_if(mut self, name: &str, value: Option<impl Into<String>>) -> Element {
        if let Some(value) = value {
            self.set_attribute(name, value);
        }
        self
    }

    /// Builder: appends a child element.
    #[must_use]
    pub fn with(mut self, child: Element) -> Element {
        self.push(child);
        self
    }

    /// Builder: appends child elements.
    #[must_use]
    pub fn with_all(mut self, children: impl IntoIterator<Item = Element>) -> Element {
        self.children.extend(children.into_iter().map(Node::Element));
        self
    }

    /// Builder: appends character data.
    #[must_use]
    pub fn with_text(mut self, text: impl Into<String>) -> Element {
        self.push_text(text);
        self
    }

    /// The local name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace name; empty if there is none.
    pub fn ns(&self) -> &str {
        &self.ns
    }

    /// Whether this is `name` in the namespace `ns`.
    pub fn is(&self, name: &str, ns: &str) -> bool {
        self.name == name && self.ns == ns
    }

    /// The value of the un-namespaced attribute `name` (or of `xml:lang`).
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All attributes in document order.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attributes.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Sets or replaces the attribute `name`.
    pub fn set_attribute(&mut self, name: &str, value: impl Into<String>) {
        match self.attributes.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => *old = value.into(),
            None => self.attributes.push((name.to_owned(), value.into())),
        }
    }

    /// Removes the attribute `name` and returns its value.
    pub fn remove_attribute(&mut self, name: &str) -> Option<String> {
        let at = self.attributes.iter().position(|(key, _)| key == name)?;
        Some(self.attributes.remove(at).1)
    }

    /// The first child element `name` in the namespace `ns`.
    pub fn child(&self, name: &str, ns: &str) -> Option<&Element> {
        self.children().find(|child| child.is(name, ns))
    }

    /// The child elements in document order.
    pub fn children(&self) -> impl Iterator<Item = &Element> {
        self.children.iter().filter_map(Node::as_element)
    }

    /// The child elements called `name` in the namespace `ns`.
    pub fn children_named<'a>(&'a self, name: &'a str, ns: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children().filter(move |child| child.is(name, ns))
    }

    /// All children, character data included.
    pub fn nodes(&self) -> &[Node] {
        &self.children
    }

    /// The character data directly in this element.
    pub fn text(&self) -> String {
        self.children.iter().filter_map(Node::as_text).collect()
    }

    /// Appends a child element.
    pub fn push(&mut self, child: Element) {
        self.children.push(Node::Element(child));
    }

    /// Puts a child element before all others.
    pub fn push_front(&mut self, child: Element) {
        self.children.insert(0, Node::Element(child));
    }

    /// Appends character data; neighbours merge, so that a tree equals what is read back from its text.
    pub fn push_text(&mut self, text: impl Into<String>) {
        let text = text.into();
        if text.is_empty() {
            return;
        }
        match self.children.last_mut() {
            Some(Node::Text(last)) => last.push_str(&text),
            _ => self.children.push(Node::Text(text)),
        }
    }

    /// Keeps only the child elements for which `keep` holds; character data stays.
    pub fn retain_children(&mut self, mut keep: impl FnMut(&Element) -> bool) {
        self.children.retain(|node| node.as_element().is_none_or(&mut keep));
    }

    /// Removes and returns all children.
    pub fn take_nodes(&mut self) -> Vec<Node> {
        std::mem::take(&mut self.children)
    }

    /// Appends this element's text, as one self-contained document, to `out`. Where its start tag's attributes end there.
    pub fn write(&self, out: &mut String) -> usize {
        self.write_under(None, out)
    }

    fn write_under(&self, parent: Option<&Element>, out: &mut String) -> usize {
        let prefix = if self.ns == ns::STREAM { "stream:" } else { "" };
        out.push('<');
        out.push_str(prefix);
        out.push_str(&self.name);
        if parent.is_none_or(|parent| parent.ns != self.ns) {
            out.push_str(if prefix.is_empty() { " xmlns='" } else { " xmlns:stream='" });
            escape_attribute(&self.ns, out);
            out.push('\'');
        }
        for (key, value) in &self.attributes {
            out.push(' ');
            out.push_str(key);
            out.push_str("='");
            escape_attribute(value, out);
            out.push('\'');
        }
        let attributes_end = out.len();
        if self.children.is_empty() {
            out.push_str("/>");
            return attributes_end;
        }
        out.push('>');
        for child in &self.children {
            match child {
                Node::Element(child) => {
                    child.write_under(Some(self), out);
                }
                Node::Text(text) => escape_text(text, out),
            }
        }
        out.push_str("</");
        out.push_str(prefix);
        out.push_str(&self.name);
        out.push('>');
        attributes_end
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        self.write(&mut out);
        f.write_str(&out)
    }
}

impl Node {
    /// The element, if this is one.
    pub fn as_element(&self) -> Option<&Element> {
        match self {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        }
    }

    /// The character data, if this is some.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Node::Text(text) => Some(text),
            Node::Element(_) => None,
        }
    }
}

/// Characters that XML 1.0 §2.2 allows in a document at all, escaped or not.
pub fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// Line ends and tabs are written as references in attributes because a reader turns them into spaces; a carriage
/// return is written as one everywhere because a reader turns it into a line feed.
pub(crate) fn escape_attribute(value: &str, out: &mut String) {
    let reference = |c| match c {
        '\n' => Some("&#10;"),
        '\t' => Some("&#9;"),
        '\'' => Some("&apos;"),
        '"' => Some("&quot;"),
        c => text_reference(c),
    };
    escape(value, reference, out);
}

fn escape_text(text: &str, out: &mut String) {
    escape(text, text_reference, out);
}

fn text_reference(c: char) -> Option<&'static str> {
    match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '\r' => Some("&#13;"),
        c if is_xml_char(c) => None,
        // Not representable in XML; a mark in its place beats sending a frame that ends the client's stream.
        _ => Some("\u{FFFD}"),
    }
}

/// Copies runs that need no reference at once: fan-out of presence is mostly this.
fn escape(text: &str, reference: impl Fn(char) -> Option<&'static str>, out: &mut String) {
    let mut rest = text;
    while let Some((at, written)) = rest.char_indices().find_map(|(at, c)| Some((at, reference(c)?))) {
        let (plain, tail) = rest.split_at(at);
        out.push_str(plain);
        out.push_str(written);
        let mut tail = tail.chars();
        tail.next();
        rest = tail.as_str();
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_namespace_change_is_declared_on_the_element_itself_and_nothing_is_prefixed() {
        let source = Element::new("source", "urn:xmpp:jingle:apps:rtp:ssma:0").attr("ssrc", "1");
        let rows = [
            (Element::new("presence", ns::JABBER_CLIENT), "<presence xmlns='jabber:client'/>"),
            (
                Element::new("presence", ns::JABBER_CLIENT)
                    .with(Element::new("SourceInfo", ns::JABBER_CLIENT)),
                "<presence xmlns='jabber:client'><SourceInfo/></presence>",
            ),
            (
                Element::new("description", "urn:x").with(source.clone()).with(source),
                "<description xmlns='urn:x'><source xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' ssrc='1'/>\
                 <source xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' ssrc='1'/></description>",
            ),
            (
                Element::new("iq", ns::JABBER_CLIENT)
                    .with(Element::new("a", "urn:a").with(Element::new("b", ns::JABBER_CLIENT))),
                "<iq xmlns='jabber:client'><a xmlns='urn:a'><b xmlns='jabber:client'/></a></iq>",
            ),
            (Element::new("a", "urn:a").with(Element::new("b", "")), "<a xmlns='urn:a'><b xmlns=''/></a>"),
        ];
        for (element, text) in rows {
            assert_eq!(element.to_string(), text);
        }
    }

    #[test]
    fn stream_elements_alone_have_a_prefix() {
        let features = Element::new("features", ns::STREAM).with(Element::new("bind", ns::BIND));
        assert_eq!(
            features.to_string(),
            "<stream:features xmlns:stream='http://etherx.jabber.org/streams'>\
             <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>"
        );
        assert_eq!(
            crate::error::stream_error("host-unknown").to_string(),
            "<stream:error xmlns:stream='http://etherx.jabber.org/streams'>\
             <host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
        );
    }

    #[test]
    fn a_sasl_failure_s_text_stands_bare_as_clients_match_it() {
        let failure = crate::error::sasl_failure("not-allowed", Some("No token")).to_string();
        assert!(failure.ends_with("<not-allowed/><text>No token</text></failure>"), "{failure}");
    }

    #[test]
    fn text_and_attributes_are_escaped() {
        let element = Element::new("a", "").attr("k", "<'\"&>\n\t\r").with_text("<'\"&>\n\t\r\u{1}");
        assert_eq!(
            element.to_string(),
            "<a xmlns='' k='&lt;&apos;&quot;&amp;&gt;&#10;&#9;&#13;'>&lt;'\"&amp;&gt;\n\t&#13;\u{fffd}</a>"
        );
    }

    #[test]
    fn an_attribute_set_twice_has_the_later_value() {
        let mut element = Element::new("a", "").attr("k", "1").attr("k", "2");
        assert_eq!(element.attributes().collect::<Vec<_>>(), [("k", "2")]);
        assert_eq!(element.remove_attribute("k").as_deref(), Some("2"));
        assert_eq!(element.attribute("k"), None);
    }
}
