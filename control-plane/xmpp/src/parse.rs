//! Restricted XML (RFC 6120 §11.1) into [`Element`]s: one complete element, nothing before, nothing after.

use quick_xml::escape::{EscapeError, resolve_predefined_entity};
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, NamespaceError, PrefixDeclaration, QName, ResolveResult};
use quick_xml::{NsReader, XmlVersion};

use crate::element::{Element, is_xml_char};

/// Why a text is not one acceptable element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not well-formed, or more or less than one element.
    #[error("not well-formed XML")]
    NotWellFormed,
    /// A comment, processing instruction, DTD, XML declaration or entity that XMPP forbids.
    #[error("XML feature that XMPP forbids")]
    Restricted,
    /// Longer, deeper or wider than allowed.
    #[error("over a size limit")]
    TooLarge,
}

/// Nesting allowed in one element, itself included.
pub const DEPTH_MAX: usize = 64;
/// Attributes allowed on one element, namespace declarations included.
pub const ATTRIBUTES_MAX: usize = 256;
/// Namespace declarations allowed in scope at any place.
pub const DECLARATIONS_MAX: usize = 32;
/// Bytes allowed in a name, prefix included.
pub const NAME_BYTES_MAX: usize = 256;
/// Bytes allowed in a text given to [`parse`]: an authenticated stanza (hardening of RFC 6120 §13.12).
pub const STANZA_BYTES_MAX: usize = 256 * 1024;

/// Parses exactly one element of at most [`STANZA_BYTES_MAX`] bytes.
pub fn parse(text: &str) -> Result<Element, ParseError> {
    parse_within(text, STANZA_BYTES_MAX)
}

/// Parses exactly one element of at most `max_bytes` bytes. Time is linear in the text.
pub fn parse_within(text: &str, max_bytes: usize) -> Result<Element, ParseError> {
    if text.len() > max_bytes {
        return Err(ParseError::TooLarge);
    }
    if !text.chars().all(is_xml_char) {
        return Err(ParseError::NotWellFormed);
    }
    let mut reader = NsReader::from_str(text);
    reader.resolver_mut().set_max_namespace_bindings(DECLARATIONS_MAX);
    let mut tree = Tree::default();
    loop {
        match reader.read_event().map_err(refusal)? {
            Event::Start(start) => tree.open(element(&reader, &start)?)?,
            Event::Empty(start) => {
                tree.open(element(&reader, &start)?)?;
                tree.close()?;
            }
            Event::End(_) => tree.close()?,
            Event::Text(text) => {
                if text.contains("]]>") {
                    return Err(ParseError::NotWellFormed);
                }
                tree.text(&text.xml10_content())?;
            }
            Event::CData(text) => tree.cdata(&text.xml10_content())?,
            Event::GeneralRef(reference) => {
                if let Some(c) = reference.resolve_char_ref().map_err(|_| ParseError::NotWellFormed)? {
                    tree.reference(c.encode_utf8(&mut [0; 4]), c)?;
                    continue;
                }
                let text = resolve_predefined_entity(&reference).ok_or(ParseError::Restricted)?;
                tree.cdata(text)?;
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {
                return Err(ParseError::Restricted);
            }
            Event::Eof => return tree.finish(),
        }
    }
}

/// The value of the attribute `name` in the namespace `namespace` on the outermost element of `text`, which trees do
/// not hold. Only for a text that parsed.
pub fn root_attribute(text: &str, namespace: &str, name: &str) -> Option<String> {
    let mut reader = NsReader::from_str(text);
    reader.resolver_mut().set_max_namespace_bindings(DECLARATIONS_MAX);
    loop {
        let start = match reader.read_event().ok()? {
            Event::Start(start) | Event::Empty(start) => start,
            Event::Text(_) => continue,
            _ => return None,
        };
        let wanted = |attribute: &Attribute<'_>| {
            let (found, local) = reader.resolver().resolve_attribute(attribute.key);
            local.into_inner() == name
                && matches!(found, ResolveResult::Bound(Namespace(found)) if found == namespace)
        };
        let attribute = start.attributes().filter_map(Result::ok).find(wanted)?;
        return unescaped(&attribute.value).ok();
    }
}

/// Namespaces of `xml:` and `xmlns:`, which no element is in and no default declaration names (Namespaces in XML §3).
const RESERVED_NAMESPACES: [&str; 2] =
    ["http://www.w3.org/XML/1998/namespace", "http://www.w3.org/2000/xmlns/"];

/// The elements that are open, outermost first, and the finished one.
#[derive(Default)]
struct Tree {
    open: Vec<Element>,
    done: Option<Element>,
}

impl Tree {
    fn open(&mut self, element: Element) -> Result<(), ParseError> {
        if self.done.is_some() {
            return Err(ParseError::NotWellFormed);
        }
        if self.open.len() == DEPTH_MAX {
            return Err(ParseError::TooLarge);
        }
        self.open.push(element);
        Ok(())
    }

    fn close(&mut self) -> Result<(), ParseError> {
        let element = self.open.pop().ok_or(ParseError::NotWellFormed)?;
        match self.open.last_mut() {
            Some(parent) => parent.push(element),
            None => self.done = Some(element),
        }
        Ok(())
    }

    /// Character data of the document: outside of the element only white space may stand.
    fn text(&mut self, text: &str) -> Result<(), ParseError> {
        match self.open.last_mut() {
            Some(parent) => parent.push_text(text),
            None if text.chars().all(|c| matches!(c, ' ' | '\t' | '\r' | '\n')) => {}
            None => return Err(ParseError::NotWellFormed),
        }
        Ok(())
    }

    /// Character data that may never stand outside of the element, white space or not.
    fn cdata(&mut self, text: &str) -> Result<(), ParseError> {
        self.open.last_mut().ok_or(ParseError::NotWellFormed)?.push_text(text);
        Ok(())
    }

    fn reference(&mut self, text: &str, c: char) -> Result<(), ParseError> {
        if !is_xml_char(c) {
            return Err(ParseError::NotWellFormed);
        }
        self.cdata(text)
    }

    fn finish(self) -> Result<Element, ParseError> {
        if !self.open.is_empty() {
            return Err(ParseError::NotWellFormed);
        }
        self.done.ok_or(ParseError::NotWellFormed)
    }
}

/// The start tag as an element without children. Attributes in foreign namespaces are dropped: no XMPP extension
/// we speak uses one, and a tree without prefixes cannot hold them.
fn element(reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Result<Element, ParseError> {
    let qualified = start.name();
    check_name(qualified.0)?;
    let (namespace, local) = reader.resolver().resolve_element(qualified);
    let namespace = match namespace {
        ResolveResult::Bound(Namespace(name)) => unescaped(name)?,
        ResolveResult::Unbound => String::new(),
        ResolveResult::Unknown(_) => return Err(ParseError::NotWellFormed),
    };
    if RESERVED_NAMESPACES.contains(&namespace.as_str()) {
        return Err(ParseError::NotWellFormed);
    }
    let mut element = Element::new(local.into_inner(), namespace);
    let mut foreign = Vec::new();
    let mut count = 0;
    for attribute in start.attributes() {
        count += 1;
        if count > ATTRIBUTES_MAX {
            return Err(ParseError::TooLarge);
        }
        let attribute = attribute.map_err(|_| ParseError::NotWellFormed)?;
        check_name(attribute.key.0)?;
        if attribute.value.contains('<') {
            return Err(ParseError::NotWellFormed);
        }
        let value = unescaped(&attribute.value)?;
        match attribute.key.as_namespace_binding() {
            // A prefix cannot be taken back (Namespaces in XML §2.2).
            Some(PrefixDeclaration::Named(_)) if value.is_empty() => return Err(ParseError::NotWellFormed),
            Some(_) => continue,
            None => {}
        }
        match attribute.key.prefix().map(|prefix| prefix.into_inner()) {
            None | Some("xml") => element.set_attribute(attribute.key.0, value),
            Some(_) => {
                let (namespace, local) = reader.resolver().resolve_attribute(attribute.key);
                let ResolveResult::Bound(Namespace(namespace)) = namespace else {
                    return Err(ParseError::NotWellFormed);
                };
                foreign.push((unescaped(namespace)?, local.into_inner()));
            }
        }
    }
    // One name by two prefixes is the same attribute twice (Namespaces in XML §6.3).
    foreign.sort_unstable();
    if foreign.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(ParseError::NotWellFormed);
    }
    Ok(element)
}

/// An attribute value with its references replaced and white space normalised (XML 1.0 §3.3.3).
fn unescaped(raw: &str) -> Result<String, ParseError> {
    let value = Attribute { key: QName(""), value: raw.into() }
        .normalized_value(XmlVersion::Implicit1_0)
        .map_err(|error| match error {
            quick_xml::Error::Escape(EscapeError::UnrecognizedEntity(..)) => ParseError::Restricted,
            _ => ParseError::NotWellFormed,
        })?;
    if !value.chars().all(is_xml_char) {
        return Err(ParseError::NotWellFormed);
    }
    Ok(value.into_owned())
}

/// A qualified name: at most one colon, and both halves names by XML 1.0 §2.3.
fn check_name(name: &str) -> Result<(), ParseError> {
    if name.len() > NAME_BYTES_MAX {
        return Err(ParseError::TooLarge);
    }
    let mut halves = name.split(':');
    let well_formed = halves.by_ref().take(2).all(is_nc_name) && halves.next().is_none();
    if well_formed { Ok(()) } else { Err(ParseError::NotWellFormed) }
}

fn is_nc_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(is_name_start) && chars.all(is_name_char)
}

fn is_name_start(c: char) -> bool {
    matches!(c, 'A'..='Z' | 'a'..='z' | '_' | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
        | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}'
        | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}'
        | '\u{10000}'..='\u{EFFFF}')
}

fn is_name_char(c: char) -> bool {
    is_name_start(c)
        || matches!(c, '0'..='9' | '-' | '.' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

fn refusal(error: quick_xml::Error) -> ParseError {
    match error {
        quick_xml::Error::Namespace(
            NamespaceError::TooManyBindings(_) | NamespaceError::TooDeeplyNested(_),
        ) => ParseError::TooLarge,
        _ => ParseError::NotWellFormed,
    }
}

#[cfg(test)]
mod tests;
