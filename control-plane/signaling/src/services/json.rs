//! JSON inside of messages, as clients read it.

use serde_json::Value;
use xmpp::{Element, ns};

/// A message of the service at `from` with `value` for one client. `room` says which room it is about, where clients
/// ask for that.
pub(crate) fn message(from: &str, room: Option<&str>, value: &Value) -> Element {
    Element::new("message", ns::JABBER_CLIENT).attr("from", from).with(element(value).attr_if("room", room))
}

/// `<json-message/>`. Clients undo percent encoding before they parse, so a percent sign is written as an escape.
pub(crate) fn element(value: &Value) -> Element {
    Element::new("json-message", ns::JITMEET).with_text(value.to_string().replace('%', "\\u0025"))
}

/// The JSON object in a `<json-message/>` child.
pub(crate) fn of(message: &Element) -> Option<Value> {
    let text = message.child("json-message", ns::JITMEET)?.text();
    serde_json::from_str(&text).ok().filter(Value::is_object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_percent_sign_survives_the_client_s_unescaping() {
        let message = message("polls.meet.example", None, &json!({ "question": "100%22?" }));
        let text = message.children().next().map(Element::text).unwrap_or_default();
        assert!(!text.contains('%'), "{text}");
        assert_eq!(of(&message), Some(json!({ "question": "100%22?" })));
    }
}
