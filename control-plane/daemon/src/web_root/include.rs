//! Server-side includes as far as the pages of the stock web app use them: `include` and `echo`.

/// A piece of a page, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Goes out as it is.
    Text(&'a str),
    /// The text of another file stands here; its path as written.
    Include(&'a str),
    /// The value of a variable, or what is said to stand in for it.
    Echo {
        /// The variable.
        name: &'a str,
        /// If there is no such variable.
        default: &'a str,
    },
}

/// Takes a page apart. Directives that are not known, and such that never end, are left out.
pub(crate) fn pieces(page: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = page;
    let mut directive = None;
    core::iter::from_fn(move || {
        loop {
            if let Some(piece) = directive.take().and_then(parse) {
                return Some(piece);
            }
            if rest.is_empty() {
                return None;
            }
            let Some((text, after)) = rest.split_once(OPENING) else {
                return Some(Piece::Text(core::mem::take(&mut rest)));
            };
            (directive, rest) = match after.split_once(CLOSING) {
                Some((inside, after)) => (Some(inside), after),
                None => (None, ""),
            };
            if !text.is_empty() {
                return Some(Piece::Text(text));
            }
        }
    })
}

/// The inside of `<!--# … -->`.
fn parse(directive: &str) -> Option<Piece<'_>> {
    let (name, attributes) = directive.trim().split_once(char::is_whitespace)?;
    match name {
        "include" => {
            attribute(attributes, "virtual").or_else(|| attribute(attributes, "file")).map(Piece::Include)
        }
        "echo" => {
            let default = attribute(attributes, "default").unwrap_or_default();
            attribute(attributes, "var").map(|name| Piece::Echo { name, default })
        }
        _ => None,
    }
}

/// The value of `name="…"`.
fn attribute<'a>(attributes: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = attributes.trim_start();
    loop {
        let (key, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (value, after) = after.get(1..)?.split_once(quote)?;
        if key.trim() == name {
            return Some(value);
        }
        rest = after.trim_start();
    }
}

const OPENING: &str = "<!--#";
const CLOSING: &str = "-->";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_falls_into_text_and_directives() {
        let table: [(&str, &[Piece<'_>]); 9] = [
            ("", &[]),
            ("plain <!-- comment -->", &[Piece::Text("plain <!-- comment -->")]),
            (
                "a<!--#include virtual=\"head.html\" -->b",
                &[Piece::Text("a"), Piece::Include("head.html"), Piece::Text("b")],
            ),
            ("<!--#include virtual=\"fonts.html\"-->", &[Piece::Include("fonts.html")]),
            ("<!--# include file='x' -->", &[Piece::Include("x")]),
            (
                "'<!--# echo var=\"subdomain\" default=\"d\" -->'",
                &[Piece::Text("'"), Piece::Echo { name: "subdomain", default: "d" }, Piece::Text("'")],
            ),
            ("<!--# echo default='d' var='v' -->", &[Piece::Echo { name: "v", default: "d" }]),
            ("a<!--#exec cmd=\"ls\" -->b", &[Piece::Text("a"), Piece::Text("b")]),
            ("a<!--#include virtual=\"x\"", &[Piece::Text("a")]),
        ];
        for (page, expected) in table {
            assert_eq!(pieces(page).collect::<Vec<_>>(), expected, "{page}");
        }
    }

    #[test]
    fn broken_attributes_are_left_out() {
        for page in [
            "<!--#include -->",
            "<!--#include virtual -->",
            "<!--#include virtual=x -->",
            "<!--#include virtual=\"x -->",
        ] {
            assert_eq!(pieces(page).collect::<Vec<_>>(), [], "{page}");
        }
    }
}
