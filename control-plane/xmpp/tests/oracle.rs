//! Two independent parsers must see the same element in the same text: where they differ, one of two programs that read a
//! stanza one after the other is deceived. The second opinion is `rxml`, made for XMPP by others, which shares no code with our tokenizer.

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use rxml::{Event, Parse};
use xmpp::{Element, parse};

/// What XML is made of, whole and in halves, with what separates parsers from each other.
const PARTS: &[&str] = &[
    "<a>",
    "</a>",
    "<a/>",
    "<a",
    "<b>",
    "</b>",
    "<b ",
    "/>",
    ">",
    "<",
    "</",
    "&",
    ";",
    "&amp;",
    "&lt;",
    "&#x41;",
    "&#65;",
    "&#x0;",
    "&#xD800;",
    "&#x1F600;",
    "&#10;",
    "&#13;",
    "&e;",
    "<!--",
    "-->",
    "--",
    "<![CDATA[",
    "]]>",
    "]]",
    "<?xml version='1.0'?>",
    "<?",
    "?>",
    "<!DOCTYPE a>",
    " k='1'",
    " k=\"2\"",
    " k='",
    "'",
    "\"",
    "=",
    " xmlns='u'",
    " xmlns=''",
    " xmlns:p='u'",
    " xmlns:q='u'",
    " xmlns:p='v'",
    " xmlns:p=''",
    " p:k='1'",
    " q:k='1'",
    "<p:a>",
    "</p:a>",
    "<p:a/>",
    "<:a/>",
    "<p:/>",
    "<xml:a/>",
    "<xmlns:a/>",
    " xml:lang='en'",
    " xmlns:xml='u'",
    "a",
    "b",
    "1",
    "-",
    ".",
    ":",
    " ",
    "\n",
    "\r",
    "\r\n",
    "\t",
    "\u{0}",
    "\u{1}",
    "\u{b}",
    "\u{7f}",
    "\u{85}",
    "\u{a0}",
    "\u{2028}",
    "\u{feff}",
    "\u{fffe}",
    "\u{ffff}",
    "\u{fffd}",
    "\u{e9}",
    "\u{37e}",
    "\u{d7}",
    "\u{2160}",
    "\u{20ac}",
    "\u{1f600}",
    "\u{10ffff}",
    "%",
    "{",
    "}",
];

/// Well-formed nearly always: an element with parts in its start tag and in its content.
fn around(parts: &[&str], content: &[&str]) -> String {
    format!("<o xmlns='o' xmlns:p='o'><a{}>{}</a></o>", parts.concat(), content.concat())
}

fn part() -> impl Strategy<Value = &'static str> {
    prop::sample::select(PARTS.to_vec())
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::collection::vec(part(), 0..16).prop_map(|parts| parts.concat()),
        (prop::collection::vec(part(), 0..3), prop::collection::vec(part(), 0..6))
            .prop_map(|(inside, content)| around(&inside, &content)),
    ]
}

/// Attributes in foreign namespaces are no part of our tree, and the order of attributes says nothing.
fn in_order(element: &Element) -> Element {
    let mut attributes: Vec<_> = element.attributes().collect();
    attributes.sort_unstable();
    let same = Element::new(element.name(), element.ns());
    let same = attributes.into_iter().fold(same, |same, (key, value)| same.attr(key, value));
    element.nodes().iter().fold(same, |same, node| match node {
        xmpp::Node::Element(child) => same.with(in_order(child)),
        xmpp::Node::Text(text) => same.with_text(text.as_str()),
    })
}

/// What the second parser sees, as our kind of tree.
fn seen(text: &str) -> Result<Element, String> {
    let (mut rest, mut parser) = (text.as_bytes(), rxml::Parser::new());
    let (mut open, mut done) = (Vec::<Element>::new(), None);
    while let Some(event) = parser.parse(&mut rest, true).map_err(|error| format!("{error:?}"))? {
        match event {
            Event::StartElement(_, (namespace, name), attributes) => {
                let mut element = Element::new(name.as_str(), namespace.as_str());
                for ((namespace, name), value) in attributes.iter() {
                    match namespace.as_str() {
                        "" => element.set_attribute(name, value.as_str()),
                        rxml::XMLNS_XML => element.set_attribute(&format!("xml:{name}"), value.as_str()),
                        _ => {}
                    }
                }
                open.push(element);
            }
            Event::EndElement(_) => {
                let element = open.pop().ok_or("an end without a start")?;
                match open.last_mut() {
                    Some(parent) => parent.push(element),
                    None => done = Some(element),
                }
            }
            Event::Text(_, text) => open.last_mut().ok_or("text outside")?.push_text(text),
            other => return Err(format!("{other:?}")),
        }
    }
    done.ok_or_else(|| "no element".to_owned())
}

/// Where ours alone refuses, and has to: a declaration twice in one start tag (XML 1.0 §3.1), an element of the namespace
/// of `xml:`, and that of `xmlns:` under another prefix (Namespaces in XML §3).
fn is_refused_by_ours_alone(text: &str) -> bool {
    let declared_twice = |tag: &str| {
        ["xmlns=", "xmlns:p=", "xmlns:q=", "xmlns:xml="].iter().any(|name| tag.matches(name).count() > 1)
    };
    text.split('<').any(|tag| declared_twice(tag) || tag.starts_with("xml:"))
}

/// Both opinions of `text`; the difference if there is one.
fn compare(text: &str) -> Result<(), String> {
    match (parse(text), seen(text)) {
        (Ok(ours), Ok(theirs)) if in_order(&ours) == in_order(&theirs) => Ok(()),
        (Err(_), Err(_)) => Ok(()),
        (Err(_), Ok(_)) if is_refused_by_ours_alone(text) => Ok(()),
        (ours, theirs) => Err(format!("{text:?}: {ours:?} against {theirs:?}")),
    }
}

#[test]
fn both_parsers_see_the_same_element_or_none() {
    let config = ProptestConfig::with_cases(20_000);
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let compared = runner.run(&text(), |text| compare(&text).map_err(TestCaseError::fail));
    compared.unwrap_or_else(|error| panic!("{error}"));
}

/// Pairs and triples of parts between the tags, each of them: what chance would meet too seldom.
#[test]
fn both_parsers_agree_on_every_pair_of_parts() {
    let mut differences = Vec::new();
    for one in PARTS {
        for two in PARTS {
            for text in [around(&[one, two], &[]), around(&[one], &[two]), around(&[], &[one, two])] {
                differences.extend(compare(&text).err());
            }
        }
    }
    assert!(differences.is_empty(), "{} differences: {:#?}", differences.len(), differences);
}
