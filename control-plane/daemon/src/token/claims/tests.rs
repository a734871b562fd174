use aws_lc_rs::hmac;
use serde_json::json;

use super::super::jws::Key;
use super::*;

const NOW: u64 = 1_800_000_000;
const SECRET: &[u8] = b"a secret of the deployment";

fn rules() -> Rules {
    Rules {
        algorithm: Algorithm::Hs256,
        issuers: vec!["app".to_owned()],
        audiences: vec!["jitsi".to_owned()],
        require_room: true,
        require_expiry: true,
        leeway_s: 10,
    }
}

fn good() -> Value {
    json!({
        "iss": "app", "aud": "jitsi", "sub": "meet.sluice", "room": "standup", "exp": NOW + 60,
        "context": { "user": { "id": "u-77", "name": "Ann", "email": "ann@corp.example", "moderator": true, "x": [1] },
                     "group": "team-a", "features": { "recording": "true", "livestreaming": false } },
    })
}

fn signed(head: &str, payload: &str) -> String {
    let unsigned = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(payload));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    format!("{unsigned}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, unsigned.as_bytes())))
}

fn check(token: &str, rules: &Rules) -> Result<Claims, Flaw> {
    let parts = Parts::of(token, rules)?;
    let key = Key::from_secret(Algorithm::Hs256, SECRET).expect("a secret");
    if !key.verifies(parts.signed, &parts.signature) {
        return Err(Flaw::Signature);
    }
    parts.claims(rules, NOW)
}

const HEAD: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

#[test]
fn a_good_token_says_who_its_bearer_is() {
    let claims = check(&signed(HEAD, &good().to_string()), &rules()).expect("good");
    assert_eq!(claims.room.as_deref(), Some("standup"));
    assert_eq!(claims.subject.as_deref(), Some("meet.sluice"));
    assert_eq!(claims.group.as_deref(), Some("team-a"));
    assert_eq!(claims.is_moderator, Some(true));
    let user: Vec<(&str, &str)> =
        claims.user.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [("email", "ann@corp.example"), ("id", "u-77"), ("moderator", "true"), ("name", "Ann")];
    assert!(expected.iter().all(|field| user.contains(field)) && user.len() == 4, "{user:?}");
    let features = claims.features.expect("features");
    assert!(
        features.contains(&("recording".to_owned(), true))
            && features.contains(&("livestreaming".to_owned(), false))
    );
}

#[test]
fn heads_cannot_choose_the_algorithm_or_bring_a_key() {
    let payload = good().to_string();
    let rows = [
        (r#"{"alg":"none"}"#, Flaw::Algorithm),
        (r#"{"alg":"None"}"#, Flaw::Algorithm),
        (r#"{"alg":"hs256"}"#, Flaw::Algorithm),
        (r#"{"alg":"HS512"}"#, Flaw::Algorithm),
        (r#"{"alg":"RS256"}"#, Flaw::Algorithm),
        (r#"{"alg":["HS256"]}"#, Flaw::Algorithm),
        (r#"{"alg":null}"#, Flaw::Algorithm),
        (r#"{}"#, Flaw::Algorithm),
        (r#"{"alg":"HS256","alg":"none"}"#, Flaw::Malformed),
        (r#"{"alg":"HS256","crit":["exp"]}"#, Flaw::Malformed),
        (r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#, Flaw::Malformed),
        (r#"["HS256"]"#, Flaw::Malformed),
        (r#"{"alg":"HS256"} x"#, Flaw::Malformed),
        (r#"{"alg":"HS256","kid":"../../etc/passwd"}"#, Flaw::Key),
        (r#"{"alg":"HS256","kid":"https://evil.example/k"}"#, Flaw::Key),
        (r#"{"alg":"HS256","kid":"a'b"}"#, Flaw::Key),
        (r#"{"alg":"HS256","kid":""}"#, Flaw::Key),
        (r#"{"alg":"HS256","kid":1}"#, Flaw::Key),
    ];
    for (head, flaw) in rows {
        assert_eq!(check(&signed(head, &payload), &rules()).unwrap_err(), flaw, "{head}");
    }
    let ignored = r#"{"alg":"HS256","jku":"https://evil.example","jwk":{"kty":"oct","k":"AAAA"},"x5u":"https://evil.example"}"#;
    assert!(check(&signed(ignored, &payload), &rules()).is_ok(), "keys in the head are not looked at");
}

#[test]
fn tokens_that_are_cut_or_changed_are_refused() {
    let token = signed(HEAD, &good().to_string());
    let (unsigned, signature) = token.rsplit_once('.').unwrap();
    let other = signed(HEAD, &json!({ "room": "*" }).to_string());
    let rows = [
        (String::new(), Flaw::Malformed),
        ("..".to_owned(), Flaw::Malformed),
        ("a.b".to_owned(), Flaw::Malformed),
        (format!("{unsigned}."), Flaw::Signature),
        (unsigned.to_owned(), Flaw::Malformed),
        (format!("{token}="), Flaw::Malformed),
        (format!("{token}.{signature}"), Flaw::Malformed),
        (format!("{}.{signature}", other.rsplit_once('.').unwrap().0), Flaw::Signature),
        ("x".repeat(TOKEN_BYTES_MAX + 1), Flaw::Malformed),
    ];
    for (token, flaw) in rows {
        assert_eq!(check(&token, &rules()).unwrap_err(), flaw, "{}", token.get(..40).unwrap_or(&token));
    }
}

/// The good claims with `name` changed, or taken away.
fn with(name: &str, value: Option<Value>) -> String {
    let mut claims = good();
    let object = claims.as_object_mut().unwrap();
    match value {
        Some(value) => object.insert(name.to_owned(), value),
        None => object.remove(name),
    };
    claims.to_string()
}

#[test]
fn every_claim_is_checked_with_its_type() {
    let rows = [
        ("exp", Some(json!(NOW - 9)), None),
        ("exp", Some(json!(NOW - 10)), Some(Flaw::Expired)),
        ("exp", Some(json!(0)), Some(Flaw::Expired)),
        ("exp", Some(json!("9999999999")), Some(Flaw::ClaimType)),
        ("exp", Some(json!(1e308)), Some(Flaw::ClaimType)),
        ("exp", Some(json!(-1)), Some(Flaw::ClaimType)),
        ("exp", Some(json!([NOW + 60])), Some(Flaw::ClaimType)),
        ("exp", Some(json!(true)), Some(Flaw::ClaimType)),
        ("exp", Some(Value::Null), Some(Flaw::ClaimType)),
        ("exp", Some(json!(u64::MAX)), None),
        ("exp", None, Some(Flaw::NoExpiry)),
        ("nbf", Some(json!(NOW + 10)), None),
        ("nbf", Some(json!(NOW + 11)), Some(Flaw::Early)),
        ("nbf", Some(json!("0")), Some(Flaw::ClaimType)),
        ("iat", Some(json!("now")), Some(Flaw::ClaimType)),
        ("iss", Some(json!("App")), Some(Flaw::Issuer)),
        ("iss", Some(json!(["app"])), Some(Flaw::ClaimType)),
        ("iss", None, Some(Flaw::Issuer)),
        ("aud", Some(json!(["x", "jitsi"])), None),
        ("aud", Some(json!(["x"])), Some(Flaw::Audience)),
        ("aud", Some(json!([])), Some(Flaw::Audience)),
        ("aud", Some(json!([1])), Some(Flaw::ClaimType)),
        ("aud", Some(json!({})), Some(Flaw::ClaimType)),
        ("aud", None, Some(Flaw::Audience)),
        ("room", None, Some(Flaw::NoRoom)),
        ("room", Some(json!(1)), Some(Flaw::ClaimType)),
        ("room", Some(json!("x".repeat(3_000))), Some(Flaw::ClaimType)),
        ("sub", None, Some(Flaw::NoSubject)),
        ("sub", Some(json!({})), Some(Flaw::ClaimType)),
        ("context", Some(json!("x")), Some(Flaw::ClaimType)),
        ("context", Some(json!({ "user": [] })), Some(Flaw::ClaimType)),
        ("context", None, None),
    ];
    for (name, value, flaw) in rows {
        let token = signed(HEAD, &with(name, value.clone()));
        assert_eq!(check(&token, &rules()).err(), flaw, "{name} {value:?}");
    }
    let twice = good().to_string().replacen("{", "{\"room\":\"other\",", 1);
    assert_eq!(check(&signed(HEAD, &twice), &rules()).unwrap_err(), Flaw::Malformed, "a claim twice");
}

#[test]
fn rules_can_be_wider() {
    let any = Rules {
        issuers: vec!["*".to_owned()],
        audiences: vec!["*".to_owned()],
        require_room: false,
        require_expiry: false,
        ..rules()
    };
    let token = signed(HEAD, r#"{"iss":"else","sub":"*"}"#);
    assert!(check(&token, &any).is_ok());
    assert!(check(&token, &rules()).is_err());
}

#[test]
fn who_moderates_is_what_the_token_says_or_not_said() {
    let rows = [
        (json!({}), None),
        (json!({ "moderator": true }), Some(true)),
        (json!({ "moderator": "true" }), Some(true)),
        (json!({ "moderator": false }), Some(false)),
        (json!({ "moderator": "yes" }), None),
        (json!({ "affiliation": "owner" }), Some(true)),
        (json!({ "affiliation": "teacher" }), Some(true)),
        (json!({ "affiliation": "member" }), Some(false)),
        (json!({ "affiliation": "member", "moderator": true }), Some(true)),
    ];
    for (user, expected) in rows {
        let token = signed(HEAD, &with("context", Some(json!({ "user": user }))));
        assert_eq!(check(&token, &rules()).unwrap().is_moderator, expected, "{user}");
    }
}

#[test]
fn names_that_could_not_be_elements_and_deep_values_are_left_out() {
    let user = json!({ "id": "1", "a b": "x", "<x>": "x", "1": "x", "deep": {}, "long": "x".repeat(3_000) });
    let token = signed(HEAD, &with("context", Some(json!({ "user": user }))));
    assert_eq!(check(&token, &rules()).unwrap().user, [("id".to_owned(), "1".to_owned())]);
}
