//! Properties of reading and writing XML.

use proptest::prelude::*;
use xmpp::{Element, parse, parse_within};

fn name() -> impl Strategy<Value = String> {
    "[A-Za-z_][A-Za-z0-9_.-]{0,8}"
}

/// Text that XML can carry, with what must be escaped made likely.
fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof![
            prop::sample::select(vec!['<', '>', '&', '\'', '"', '\n', '\t', '\r', ' ', ']', '%', '\u{20AC}']),
            prop::char::range(' ', '\u{D7FF}'),
            prop::char::range('\u{10000}', '\u{10FFFF}'),
        ],
        0..12,
    )
    .prop_map(String::from_iter)
}

fn element() -> impl Strategy<Value = Element> {
    let ns = prop::sample::select(vec![
        "jabber:client",
        "urn:xmpp:jingle:1",
        "http://etherx.jabber.org/streams",
        "it's <odd> & \"quoted\"",
    ]);
    let leaf = (name(), ns.clone(), prop::collection::vec((name(), text()), 0..4)).prop_map(
        |(name, ns, attributes)| {
            attributes
                .iter()
                .filter(|(key, _)| !key.starts_with("xmlns"))
                .fold(Element::new(name, ns), |e, (key, value)| e.attr(key, value.as_str()))
        },
    );
    leaf.prop_recursive(6, 40, 4, move |inner| {
        let children = prop::collection::vec(prop_oneof![inner.prop_map(Ok), text().prop_map(Err)], 0..4);
        (name(), ns.clone(), children).prop_map(|(name, ns, children)| {
            children.into_iter().fold(Element::new(name, ns), |e, child| match child {
                Ok(child) => e.with(child),
                Err(text) => e.with_text(text),
            })
        })
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back_the_same(element in element()) {
        prop_assert_eq!(parse(&element.to_string()), Ok(element));
    }

    #[test]
    fn writing_is_stable(element in element()) {
        let text = element.to_string();
        let again = parse(&text).map(|element| element.to_string());
        prop_assert_eq!(again, Ok(text));
    }

    #[test]
    fn no_string_makes_the_parser_panic(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn no_string_of_markup_makes_the_parser_panic(parts in prop::collection::vec(prop::sample::select(vec![
        "<", ">", "/", "a", "</a>", "<a>", "<a", " b='", "'", "\"", "=", "&", ";", "&amp;", "&#", "x", "<!", "--", "-->",
        "<![CDATA[", "]]>", "<?", "?>", "<!DOCTYPE ", "[", "]", ":", "xmlns", "xmlns:a", " ", "\u{1}", "\u{20AC}", "%",
    ]), 0..40)) {
        let text = parts.concat();
        if let Ok(element) = parse(&text) {
            prop_assert_eq!(parse(&element.to_string()), Ok(element));
        }
    }

    #[test]
    fn nothing_over_the_limit_is_read(length in 1..64_usize) {
        let text = format!("<a>{}</a>", "x".repeat(length));
        prop_assert!(parse_within(&text, text.len() - 1).is_err());
        prop_assert!(parse_within(&text, text.len()).is_ok());
    }
}
