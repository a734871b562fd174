use super::*;
use crate::Node;

#[test]
fn one_element_is_read_with_namespaces_attributes_and_text() {
    let read = parse(
        "<iq xmlns='jabber:client' id='1' xml:lang='en' xmlns:x='urn:x' x:foreign='y'>\
         <x:q a='&lt;&#x20AC;&#10;'/>t&amp;<![CDATA[<raw>]]></iq>",
    );
    let written = Element::new("iq", "jabber:client")
        .attr("id", "1")
        .attr("xml:lang", "en")
        .with(Element::new("q", "urn:x").attr("a", "<\u{20AC}\n"))
        .with_text("t&<raw>");
    assert_eq!(read, Ok(written));
}

#[test]
fn line_ends_are_normalised_as_xml_says() {
    let read = parse("<a k='1\n2'>x\r\ny\rz&#13;</a>").expect("well-formed");
    assert_eq!(read.attribute("k"), Some("1 2"));
    assert_eq!(read.text(), "x\ny\nz\r");
}

#[test]
fn white_space_around_the_element_is_no_harm() {
    assert_eq!(parse(" \n<a/>\n"), Ok(Element::new("a", "")));
}

#[test]
fn a_byte_order_mark_is_not_taken_for_text_of_the_element() {
    assert!(parse("<a>\u{feff}</a>").is_ok_and(|a| a.text() == "\u{feff}"));
}

/// What is not one plain element of restricted XML, and what it is refused as.
const REFUSED: &[(&str, ParseError)] = &[
    ("", ParseError::NotWellFormed),
    (" ", ParseError::NotWellFormed),
    ("text", ParseError::NotWellFormed),
    ("<a>", ParseError::NotWellFormed),
    ("</a>", ParseError::NotWellFormed),
    ("<a></b>", ParseError::NotWellFormed),
    ("<a/><b/>", ParseError::NotWellFormed),
    ("<a/>tail", ParseError::NotWellFormed),
    ("head<a/>", ParseError::NotWellFormed),
    ("<a/>&#32;", ParseError::NotWellFormed),
    ("<a/><![CDATA[]]>x", ParseError::NotWellFormed),
    ("<a", ParseError::NotWellFormed),
    ("<a b/>", ParseError::NotWellFormed),
    ("<a b=c/>", ParseError::NotWellFormed),
    ("<a b='1' b='2'/>", ParseError::NotWellFormed),
    ("<a b='<'/>", ParseError::NotWellFormed),
    ("<a b='&'/>", ParseError::NotWellFormed),
    ("<a>&</a>", ParseError::NotWellFormed),
    ("<a>]]></a>", ParseError::NotWellFormed),
    ("<a>\u{0}</a>", ParseError::NotWellFormed),
    ("<a>\u{1f}</a>", ParseError::NotWellFormed),
    ("<a>\u{ffff}</a>", ParseError::NotWellFormed),
    ("<a>&#0;</a>", ParseError::NotWellFormed),
    ("<a>&#x1;</a>", ParseError::NotWellFormed),
    ("<a>&#xD800;</a>", ParseError::NotWellFormed),
    ("<a>&#xFFFFFFFFFF;</a>", ParseError::NotWellFormed),
    ("<a k='&#1;'/>", ParseError::NotWellFormed),
    ("<p:a/>", ParseError::NotWellFormed),
    ("<a p:k=''/>", ParseError::NotWellFormed),
    ("<p:q:a xmlns:p='u'/>", ParseError::NotWellFormed),
    ("<1a/>", ParseError::NotWellFormed),
    ("<a\"b/>", ParseError::NotWellFormed),
    ("<a 1='x'/>", ParseError::NotWellFormed),
    ("<:a/>", ParseError::NotWellFormed),
    ("<xmlns:a/>", ParseError::NotWellFormed),
    ("<xml:a/>", ParseError::NotWellFormed),
    ("<a xmlns='http://www.w3.org/2000/xmlns/'/>", ParseError::NotWellFormed),
    ("<a xmlns:xml='u'/>", ParseError::NotWellFormed),
    ("<a xmlns:p=''/>", ParseError::NotWellFormed),
    ("<a xmlns:p='u' xmlns:q='u' p:k='1' q:k='2'/>", ParseError::NotWellFormed),
    ("<a xmlns:xmlns='u'/>", ParseError::NotWellFormed),
    ("<!-- c --><a/>", ParseError::Restricted),
    ("<a><!-- c --></a>", ParseError::Restricted),
    ("<?xml version='1.0'?><a/>", ParseError::Restricted),
    ("<a><?php x?></a>", ParseError::Restricted),
    ("<!DOCTYPE a><a/>", ParseError::Restricted),
    ("<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>", ParseError::Restricted),
    ("<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>", ParseError::Restricted),
    ("<a>&e;</a>", ParseError::Restricted),
    ("<a k='&e;'/>", ParseError::Restricted),
    ("<a>&nbsp;</a>", ParseError::Restricted),
];

#[test]
fn what_is_not_one_plain_element_is_refused_for_the_right_reason() {
    for (text, error) in REFUSED {
        assert_eq!(parse(text), Err(*error), "{text}");
    }
}

#[test]
fn what_is_over_a_limit_is_refused() {
    let deep = format!("{}{}", "<a>".repeat(DEPTH_MAX + 1), "</a>".repeat(DEPTH_MAX + 1));
    let very_deep = "<a>".repeat(80_000);
    let wide: String = (0..=ATTRIBUTES_MAX).map(|i| format!(" a{i}=''")).collect();
    let wide = format!("<a{wide}/>");
    let declared: String = (0..=DECLARATIONS_MAX).map(|i| format!(" xmlns:p{i}='u{i}'")).collect();
    let declared = format!("<a{declared}/>");
    let declared_deep: String = (0..=DECLARATIONS_MAX).map(|i| format!("<a xmlns='u{i}'>")).collect();
    let long_name = format!("<{}/>", "n".repeat(NAME_BYTES_MAX + 1));
    let long_attribute = format!("<a {}=''/>", "n".repeat(NAME_BYTES_MAX + 1));
    let big = format!("<a>{}</a>", "x".repeat(STANZA_BYTES_MAX));
    for text in [&deep, &very_deep, &wide, &declared, &declared_deep, &long_name, &long_attribute, &big] {
        assert_eq!(parse(text), Err(ParseError::TooLarge), "{text:.60}");
    }
}

#[test]
fn the_limits_themselves_are_allowed() {
    let deep = format!("{}{}", "<a>".repeat(DEPTH_MAX), "</a>".repeat(DEPTH_MAX));
    assert!(parse(&deep).is_ok());
    let wide: String = (0..ATTRIBUTES_MAX).map(|i| format!(" a{i}=''")).collect();
    assert!(parse(&format!("<a{wide}/>")).is_ok());
    assert!(parse_within("<a/>", 4).is_ok());
    assert_eq!(parse_within("<a/>", 3), Err(ParseError::TooLarge));
}

#[test]
fn a_namespace_is_compared_after_its_references_are_replaced() {
    let read = parse("<a xmlns='jabber&#58;client'/>").expect("well-formed");
    assert_eq!(read.ns(), "jabber:client");
}

#[test]
fn neighbouring_text_is_one_node() {
    let read = parse("<a>1<![CDATA[2]]>&#51;&lt;4</a>").expect("well-formed");
    assert_eq!(read.nodes(), [Node::Text("123<4".into())]);
}

#[test]
fn the_time_for_a_hostile_text_grows_no_faster_than_the_text() {
    // Many attributes, many references, many siblings: each twice, once double in size.
    let shapes: [fn(usize) -> String; 3] = [
        |n| format!("<a>{}</a>", "&amp;".repeat(n)),
        |n| format!("<a>{}</a>", "<b/>".repeat(n)),
        |n| format!("<a k='{}'/>", "&lt;".repeat(n)),
    ];
    for shape in shapes {
        let time = |n: usize| {
            let text = shape(n);
            let runs = (0..5).map(|_| {
                let start = std::time::Instant::now();
                assert!(parse(&text).is_ok());
                start.elapsed()
            });
            runs.min().unwrap_or_default()
        };
        let (small, large) = (time(10_000), time(40_000));
        assert!(large < small * 16, "{small:?} for 10,000, {large:?} for 40,000");
    }
}
