//! What the token of a session lets it do: which rooms it may enter, whether it moderates, who it is said to be.

use xmpp::credentials::{Claims, Credentials};
use xmpp::jid::BareJid;
use xmpp::{Element, ns};

/// What is checked of tokens beside their room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenRules {
    /// Whether the subject must be the tenant, or the domain for rooms without one.
    pub verify_domain: bool,
}

/// Whether the token of `credentials`, if there is one, lets its bearer into `room`. `main` is the main domain, `tenant` the
/// tenant whose room it is.
pub fn admits(
    credentials: &Credentials,
    rules: TokenRules,
    room: &BareJid,
    main: &str,
    tenant: Option<&str>,
) -> bool {
    let Some(claims) = &credentials.token else { return true };
    let name = room.node().map(|node| node.as_str()).unwrap_or_default();
    names_room(claims, name) && (!rules.verify_domain || is_subject(claims, main, tenant))
}

/// Whether the token of `credentials` has ended, at `unix_ms` milliseconds since 1970.
pub fn has_ended(credentials: &Credentials, unix_ms: u64) -> bool {
    let ends = credentials.token.as_ref().and_then(|claims| claims.expires_unix_s);
    ends.is_some_and(|ends| ends.saturating_add(LEEWAY_S) <= unix_ms / 1_000)
}

/// `<identity/>`: what the token says of the user and its group, for the presence of its bearer.
pub fn identity(credentials: &Credentials) -> Option<Element> {
    let claims = credentials.token.as_ref()?;
    if claims.user.is_empty() && claims.group.is_none() {
        return None;
    }
    let leaf = |name: &str, value: &str| Element::new(name, ns::JABBER_CLIENT).with_text(value);
    let user = Element::new("user", ns::JABBER_CLIENT)
        .with_all(claims.user.iter().map(|(name, value)| leaf(name, value)));
    let group = claims.group.as_deref().map(|group| leaf("group", group));
    Some(Element::new("identity", ns::JABBER_CLIENT).with(user).with_all(group))
}

fn names_room(claims: &Claims, name: &str) -> bool {
    let Some(claim) = claims.room.as_deref() else { return true };
    if claim == ANY {
        return true;
    }
    if claims.room_is_pattern {
        return crate::pattern::matches(claim, name);
    }
    // Names of rooms are in lower case and percent-encoded; issuers write them as people do.
    let claim = claim.to_lowercase();
    claim == name || percent_encoded(&claim) == name
}

fn is_subject(claims: &Claims, main: &str, tenant: Option<&str>) -> bool {
    let subject = claims.subject.as_deref().unwrap_or_default().to_lowercase();
    subject == ANY || subject == tenant.unwrap_or(main)
}

/// As clients encode the names of rooms.
fn percent_encoded(name: &str) -> String {
    let mut encoded = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02x}")),
        }
    }
    encoded
}

/// Seconds that clocks may be apart; the most that a setting allows when the token is first checked.
const LEEWAY_S: u64 = 60;
/// Stands for every room and every subject.
const ANY: &str = "*";

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn credentials(claims: Claims) -> Credentials {
        Credentials { token: Some(Arc::new(claims)), ..Credentials::default() }
    }

    fn admitted(claims: Claims, room: &str) -> bool {
        let room = BareJid::new(&format!("{room}@conference.meet.example")).expect("an address");
        admits(&credentials(claims), TokenRules::default(), &room, "meet.example", None)
    }

    #[test]
    fn a_token_is_for_the_room_that_it_names() {
        let claims = |room: Option<&str>, room_is_pattern| Claims {
            room: room.map(str::to_owned),
            room_is_pattern,
            ..Claims::default()
        };
        let rows = [
            (Some("standup"), false, "standup", true),
            (Some("StandUp"), false, "standup", true),
            (Some("standup"), false, "standup2", false),
            (Some("standup"), false, "stand", false),
            (Some("*"), false, "anything", true),
            (Some(""), false, "standup", false),
            (Some("Café"), false, "caf%c3%a9", true),
            (Some("caf%C3%A9"), false, "caf%c3%a9", true),
            (Some("stand.*"), false, "standup", false),
            (Some("^stand.*$"), true, "standup", true),
            (Some("^stand.*$"), true, "understand", false),
            (None, false, "standup", true),
        ];
        for (claim, is_pattern, room, expected) in rows {
            assert_eq!(admitted(claims(claim, is_pattern), room), expected, "{claim:?} {room}");
        }
    }

    #[test]
    fn the_subject_is_the_tenant_or_the_domain_if_that_is_asked() {
        let room = BareJid::new("standup@conference.acme.meet.example").expect("an address");
        let rows = [
            (true, "acme", Some("acme"), true),
            (true, "ACME", Some("acme"), true),
            (true, "other", Some("acme"), false),
            (true, "*", Some("acme"), true),
            (true, "meet.example", Some("acme"), false),
            (true, "meet.example", None, true),
            (true, "acme", None, false),
            (false, "whatever", Some("acme"), true),
        ];
        for (verify_domain, subject, tenant, expected) in rows {
            let claims =
                Claims { room: Some("*".to_owned()), subject: Some(subject.to_owned()), ..Claims::default() };
            let rules = TokenRules { verify_domain };
            let result = admits(&credentials(claims), rules, &room, "meet.example", tenant);
            assert_eq!(result, expected, "{subject} {tenant:?}");
        }
    }

    #[test]
    fn a_token_ends_a_minute_after_it_says() {
        let ending = credentials(Claims { expires_unix_s: Some(1_000), ..Claims::default() });
        assert!(!has_ended(&ending, 1_059_999));
        assert!(has_ended(&ending, 1_060_000));
        assert!(!has_ended(&credentials(Claims::default()), u64::MAX));
        assert!(!has_ended(&Credentials::default(), u64::MAX));
    }

    #[test]
    fn the_identity_is_what_the_token_says_escaped() {
        let claims = Claims {
            user: vec![("id".into(), "u-77".into()), ("name".into(), "<Ann>".into())],
            group: Some("team-a".into()),
            ..Claims::default()
        };
        assert_eq!(
            identity(&credentials(claims)).expect("known").to_string(),
            "<identity xmlns='jabber:client'><user><id>u-77</id><name>&lt;Ann&gt;</name></user>\
             <group>team-a</group></identity>"
        );
        assert_eq!(identity(&Credentials::default()), None);
        assert_eq!(identity(&credentials(Claims::default())), None);
    }
}
