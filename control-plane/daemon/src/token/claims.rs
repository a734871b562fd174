//! Reading and checking the parts of a token (RFC 7519): head, claims, times. No clock, no keys.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};
use xmpp::credentials::Claims;

use super::jws::Algorithm;

/// What tokens must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) algorithm: Algorithm,
    /// Accepted `iss`; `*` is any.
    pub(crate) issuers: Vec<String>,
    /// Accepted `aud`; `*` is any, or none.
    pub(crate) audiences: Vec<String>,
    pub(crate) require_room: bool,
    pub(crate) require_expiry: bool,
    /// How far clocks may be apart.
    pub(crate) leeway_s: u64,
}

/// Why a token does not hold; the texts reach people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    Malformed,
    Algorithm,
    Key,
    KeyServer,
    Signature,
    Expired,
    Early,
    ClaimType,
    NoExpiry,
    Issuer,
    Audience,
    NoRoom,
    NoSubject,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl Flaw {
    /// The text as it goes to clients.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Flaw::Malformed => "token cannot be read",
            Flaw::Algorithm => "token signed by another algorithm than this server accepts",
            Flaw::Key => "token names no key that is known here",
            Flaw::KeyServer => "keys of tokens cannot be fetched now",
            Flaw::Signature => "token has a wrong signature",
            Flaw::Expired => "token expired",
            Flaw::Early => "token not valid yet",
            Flaw::ClaimType => "a claim of the token has the wrong type",
            Flaw::NoExpiry => "token without expiry (exp)",
            Flaw::Issuer => "token from an issuer that is not accepted (iss)",
            Flaw::Audience => "token for another audience (aud)",
            Flaw::NoRoom => "token without room (room)",
            Flaw::NoSubject => "token without subject (sub)",
        }
    }
}

/// A token in its parts, nothing of it believed yet.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    /// The key that the head names.
    pub(crate) kid: Option<String>,
    /// What is signed.
    pub(crate) signed: &'a [u8],
    /// The signature.
    pub(crate) signature: Vec<u8>,
    payload: Vec<u8>,
}

impl<'a> Parts<'a> {
    /// Takes a token apart. Its head must name the algorithm of `rules`, and nothing that one would have to understand.
    pub(crate) fn of(token: &'a str, rules: &Rules) -> Result<Parts<'a>, Flaw> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Flaw::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Flaw::Malformed)?;
        let (head, payload) = signed.split_once('.').ok_or(Flaw::Malformed)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Flaw::Malformed);
        let head = object(&decode(head)?)?;
        if head.get("alg").and_then(Value::as_str) != Some(rules.algorithm.name()) {
            return Err(Flaw::Algorithm);
        }
        if head.contains_key("crit") {
            return Err(Flaw::Malformed);
        }
        let kid = match head.get("kid") {
            None => None,
            Some(Value::String(kid)) if is_key_id(kid) => Some(kid.clone()),
            Some(_) => return Err(Flaw::Key),
        };
        Ok(Parts { kid, signed: signed.as_bytes(), signature: decode(signature)?, payload: decode(payload)? })
    }

    /// The claims, once the signature is known to be right. `now` in seconds since 1970.
    pub(crate) fn claims(&self, rules: &Rules, now: u64) -> Result<Claims, Flaw> {
        let claims = object(&self.payload)?;
        let expires = time(&claims, "exp")?;
        let not_before = time(&claims, "nbf")?;
        time(&claims, "iat")?;
        match expires {
            None if rules.require_expiry => return Err(Flaw::NoExpiry),
            Some(at) if at.saturating_add(rules.leeway_s) <= now => return Err(Flaw::Expired),
            _ => {}
        }
        if not_before.is_some_and(|at| at > now.saturating_add(rules.leeway_s)) {
            return Err(Flaw::Early);
        }
        let issuer = text(&claims, "iss")?.unwrap_or_default();
        if !accepts(&rules.issuers, issuer) {
            return Err(Flaw::Issuer);
        }
        if !rules.audiences.iter().any(|audience| audience == ANY)
            && !audiences(&claims)?.iter().any(|audience| rules.audiences.contains(audience))
        {
            return Err(Flaw::Audience);
        }
        let room = text(&claims, "room")?;
        if room.is_none() && rules.require_room {
            return Err(Flaw::NoRoom);
        }
        let subject = text(&claims, "sub")?.ok_or(Flaw::NoSubject)?;
        let mut read = Claims {
            room: room.map(str::to_owned),
            subject: Some(subject.to_owned()),
            expires_unix_s: expires,
            ..Claims::default()
        };
        match claims.get("context") {
            None | Some(Value::Null) => {}
            Some(Value::Object(context)) => read_context(context, &mut read)?,
            Some(_) => return Err(Flaw::ClaimType),
        }
        Ok(read)
    }
}

/// `context`: who the user is and what it may.
fn read_context(context: &Map<String, Value>, claims: &mut Claims) -> Result<(), Flaw> {
    claims.group = text(context, "group")?.map(str::to_owned);
    if let Some(Value::Object(room)) = context.get("room") {
        claims.room_is_pattern = room.get("regex").and_then(flag).unwrap_or_default();
    }
    let user = match context.get("user") {
        None | Some(Value::Null) => None,
        Some(Value::Object(user)) => Some(user),
        Some(_) => return Err(Flaw::ClaimType),
    };
    for (name, value) in user.into_iter().flatten().take(FIELDS_MAX) {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            _ => continue,
        };
        if is_field_name(name) && value.len() <= FIELD_BYTES_MAX {
            claims.user.push((name.clone(), value));
        }
    }
    claims.is_moderator = user.and_then(moderates);
    // Some put the features beside the user, some inside.
    let features = context.get("features").or_else(|| user?.get("features"));
    if let Some(Value::Object(features)) = features {
        let known = features.iter().take(FIELDS_MAX).filter(|(name, _)| is_field_name(name));
        claims.features =
            Some(known.filter_map(|(name, value)| Some((name.clone(), flag(value)?))).collect());
    }
    Ok(())
}

/// Whether the user moderates, as far as the token says so.
fn moderates(user: &Map<String, Value>) -> Option<bool> {
    let by_affiliation = user
        .get("affiliation")
        .and_then(Value::as_str)
        .map(|affiliation| matches!(affiliation, "owner" | "moderator" | "teacher"));
    let by_flag = user.get("moderator").and_then(flag);
    match (by_affiliation, by_flag) {
        (None, None) => None,
        (affiliation, flag) => Some(affiliation == Some(true) || flag == Some(true)),
    }
}

/// Issuers of tokens write booleans as such and as text.
fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) if text == "true" => Some(true),
        Value::String(text) if text == "false" => Some(false),
        _ => None,
    }
}

/// A whole number of seconds; anything else is no time.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, Flaw> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_u64().map(Some).ok_or(Flaw::ClaimType),
    }
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Flaw> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() <= FIELD_BYTES_MAX => Ok(Some(text)),
        Some(_) => Err(Flaw::ClaimType),
    }
}

fn audiences(claims: &Map<String, Value>) -> Result<Vec<String>, Flaw> {
    match claims.get("aud") {
        None => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one.clone()]),
        Some(Value::Array(several)) => {
            let texts: Option<Vec<String>> =
                several.iter().map(|it| it.as_str().map(str::to_owned)).collect();
            texts.ok_or(Flaw::ClaimType)
        }
        Some(_) => Err(Flaw::ClaimType),
    }
}

fn accepts(accepted: &[String], given: &str) -> bool {
    accepted.iter().any(|one| one == ANY || one == given)
}

/// A key id becomes part of a URL after hashing, and of a look-up: plain characters only.
fn is_key_id(kid: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/');
    (1..=KEY_ID_BYTES_MAX).contains(&kid.len()) && kid.bytes().all(plain) && !kid.contains("..")
}

/// Names that may stand as element names.
fn is_field_name(name: &str) -> bool {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic());
    starts && name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// A JSON object without a name that stands twice: readers would differ on which counts.
fn object(json: &[u8]) -> Result<Map<String, Value>, Flaw> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let object = reader.deserialize_map(Unique).map_err(|_| Flaw::Malformed)?;
    reader.end().map_err(|_| Flaw::Malformed)?;
    Ok(object)
}

struct Unique;

impl<'de> Visitor<'de> for Unique {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with each name once")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, value)) = access.next_entry::<String, Value>()? {
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a name stands twice"));
            }
        }
        Ok(object)
    }
}

/// Longest token; URLs of some proxies end there.
const TOKEN_BYTES_MAX: usize = 8 * 1_024;
/// Longest single text in a token; avatars may be long URLs.
const FIELD_BYTES_MAX: usize = 2_048;
/// Fields of the user, and features, that are looked at.
const FIELDS_MAX: usize = 32;
const KEY_ID_BYTES_MAX: usize = 128;
/// Stands for everything.
const ANY: &str = "*";

#[cfg(test)]
mod tests;
