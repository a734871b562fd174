//! Stanzas as text. What many people get is written once; each copy adds an address.

use std::fmt;
use std::sync::Arc;

use crate::Element;
use crate::element::escape_attribute;

/// One frame to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(Form);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    /// For one recipient.
    Own(String),
    /// For many: `to` goes in at the end of the start tag.
    Copy { shared: Shared, to: Recipient },
}

/// The address of somebody who gets copies, as an attribute value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient(Arc<str>);

impl Recipient {
    /// Of the address `to`.
    pub fn new(to: &str) -> Recipient {
        let mut value = String::new();
        escape_attribute(to, &mut value);
        Recipient(value.into())
    }
}

/// A stanza for many recipients: its text without `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    text: Arc<str>,
    at: usize,
}

impl Shared {
    /// The text of `stanza`, which has no `to`.
    pub fn of(stanza: &Element) -> Shared {
        let mut text = String::new();
        let at = stanza.write(&mut text);
        Shared { text: text.into(), at }
    }

    /// The copy for `to`.
    pub fn to(&self, to: &Recipient) -> Text {
        Text(Form::Copy { shared: self.clone(), to: to.clone() })
    }
}

impl Text {
    /// Bytes of the frame.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Own(text) => text.len(),
            Form::Copy { shared, to } => shared.text.len() + ATTRIBUTE.len() + to.0.len() + 1,
        }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that are held for this recipient alone.
    pub fn own_bytes(&self) -> usize {
        match &self.0 {
            Form::Own(text) => text.len(),
            Form::Copy { .. } => COPY_BYTES,
        }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Text {
        Text(Form::Own(text))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text(Form::Own(text.to_owned()))
    }
}

impl From<&Element> for Text {
    fn from(stanza: &Element) -> Text {
        Text(Form::Own(stanza.to_string()))
    }
}

impl From<Text> for String {
    fn from(text: Text) -> String {
        match text.0 {
            Form::Own(text) => text,
            Form::Copy { shared, to } => {
                let mut out = String::with_capacity(shared.text.len() + ATTRIBUTE.len() + to.0.len() + 1);
                let (head, tail) = shared.text.split_at(shared.at);
                [head, ATTRIBUTE, &to.0, "'", tail].iter().for_each(|part| out.push_str(part));
                out
            }
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from(self.clone()))
    }
}

/// What stands before the address.
const ATTRIBUTE: &str = " to='";
/// What a copy costs beside the text that it shares, allocations and places in queues included.
const COPY_BYTES: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ns;

    #[test]
    fn a_copy_reads_like_the_stanza_with_its_address() {
        let empty = Element::new("presence", ns::JABBER_CLIENT).attr("from", "r@c/ann");
        let full =
            empty.clone().attr("type", "unavailable").with(Element::new("x", "urn:x").with_text("a>b"));
        for stanza in [empty, full] {
            for to in ["ann@meet.example/r", "o'neil&co@meet.example/<r>"] {
                let copy = Shared::of(&stanza).to(&Recipient::new(to));
                let read = crate::parse(&copy.to_string()).expect("well-formed");
                assert_eq!(read, stanza.clone().attr("to", to));
            }
            let copy = Shared::of(&stanza).to(&Recipient::new("ann@meet.example/r"));
            assert_eq!(copy.len(), copy.to_string().len());
        }
    }
}
