//! Where the keys of tokens come from: a file, a key server with one file a key, or a key set.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::claims::Flaw;
use super::fetch::{self, FetchError, Fetcher};
use super::jws::{Algorithm, Key};

/// The keys of tokens.
pub(crate) enum Keys {
    /// Read at the start, each with the key id that it is for; `None` is for any.
    Fixed(Vec<(Option<String>, Key)>),
    /// At a server.
    Remote(Box<Remote>),
}

/// Keys that are fetched when they are needed.
pub(crate) struct Remote {
    algorithm: Algorithm,
    place: Place,
    fetcher: Fetcher,
    places: Semaphore,
    cache: Mutex<Cache>,
}

/// How a server keeps its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `BASE/SHA256(KID).pem`, one public key each.
    Server(String),
    /// One document with all keys: a key set (RFC 7517 §5), or a map from key id to certificate.
    Set(String),
}

/// What was fetched, by key id. A key that is not there is remembered as well.
#[derive(Default)]
struct Cache {
    keys: HashMap<String, Entry>,
    /// When the whole set was last asked for.
    asked: Option<Instant>,
}

struct Entry {
    key: Option<Key>,
    until: Instant,
}

impl Keys {
    /// Keys fetched from `place`.
    pub(crate) fn remote(algorithm: Algorithm, place: Place) -> Keys {
        let (fetcher, places) = (Fetcher::new(), Semaphore::new(AT_A_TIME));
        Keys::Remote(Box::new(Remote { algorithm, place, fetcher, places, cache: Mutex::default() }))
    }

    /// The keys that may have signed a token whose head names `kid`.
    pub(crate) async fn find(&self, kid: Option<&str>) -> Result<Vec<Key>, Flaw> {
        match self {
            Keys::Fixed(keys) => {
                let named = keys.iter().filter(|(name, _)| name.is_some() && name.as_deref() == kid);
                let unnamed = keys.iter().filter(|(name, _)| name.is_none());
                let keys: Vec<Key> = named.chain(unnamed).map(|(_, key)| key.clone()).collect();
                if keys.is_empty() { Err(Flaw::Key) } else { Ok(keys) }
            }
            Keys::Remote(remote) => Ok(vec![remote.find(kid.ok_or(Flaw::Key)?).await?]),
        }
    }
}

impl Remote {
    async fn find(&self, kid: &str) -> Result<Key, Flaw> {
        if let Some(known) = self.cached(kid) {
            return known;
        }
        let fetched = tokio::time::timeout(fetch::WITHIN, self.fetch(kid)).await;
        let error = match fetched {
            Ok(Ok(())) => return self.cached(kid).unwrap_or(Err(Flaw::Key)),
            Ok(Err(error)) => error,
            Err(_) => FetchError::Late,
        };
        tracing::warn!(%error, place = ?self.place, "cannot fetch the keys of tokens");
        // Better an old key than nobody in the meeting.
        self.cache().keys.get(kid).and_then(|entry| entry.key.clone()).ok_or(Flaw::KeyServer)
    }

    /// What is known of `kid` and still holds.
    fn cached(&self, kid: &str) -> Option<Result<Key, Flaw>> {
        let cache = self.cache();
        let entry = cache.keys.get(kid).filter(|entry| entry.until > Instant::now())?;
        Some(entry.key.clone().ok_or(Flaw::Key))
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self, kid: &str) -> Result<(), FetchError> {
        let _place = self.places.acquire().await.map_err(|_| FetchError::Late)?;
        if self.cached(kid).is_some() {
            // Somebody else fetched it while this one waited.
            return Ok(());
        }
        match &self.place {
            Place::Server(base) => self.fetch_one(base, kid).await,
            Place::Set(url) => self.fetch_set(url, kid).await,
        }
    }

    async fn fetch_one(&self, base: &str, kid: &str) -> Result<(), FetchError> {
        let hash = digest::digest(&digest::SHA256, kid.as_bytes());
        let name: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let url = format!("{}/{name}.pem", base.trim_end_matches('/'));
        let (key, kept) = match self.fetcher.get(&url).await {
            Ok(fetched) => {
                let key = Key::from_pem(self.algorithm, &fetched.body);
                let kept = if key.is_some() { kept(fetched.max_age) } else { MISS_KEPT };
                (key, kept)
            }
            Err(FetchError::Status(status)) if status.is_client_error() => (None, MISS_KEPT),
            Err(error) => return Err(error),
        };
        self.cache().put(kid, key, kept);
        Ok(())
    }

    /// The whole set; at most once a minute, so that made-up key ids do not make us ask again and again.
    async fn fetch_set(&self, url: &str, kid: &str) -> Result<(), FetchError> {
        let now = Instant::now();
        let is_fresh = self.cache().asked.is_some_and(|asked| now < asked + MISS_KEPT);
        if !is_fresh {
            let fetched = self.fetcher.get(url).await?;
            let kept = kept(fetched.max_age);
            let keys = read_set(self.algorithm, &fetched.body);
            let mut cache = self.cache();
            cache.asked = Some(now);
            cache.keys.clear();
            keys.into_iter().for_each(|(kid, key)| cache.put(&kid, Some(key), kept));
        }
        let mut cache = self.cache();
        if !cache.keys.contains_key(kid) {
            cache.put(kid, None, MISS_KEPT);
        }
        Ok(())
    }
}

impl Cache {
    fn put(&mut self, kid: &str, key: Option<Key>, kept: Duration) {
        let now = Instant::now();
        if self.keys.len() >= KEYS_MAX {
            self.keys.retain(|_, entry| entry.until > now && entry.key.is_some());
        }
        if self.keys.len() < KEYS_MAX {
            self.keys.insert(kid.to_owned(), Entry { key, until: now + kept });
        }
    }
}

/// The keys of a set by key id; those of other kinds are left out.
fn read_set(algorithm: Algorithm, body: &[u8]) -> Vec<(String, Key)> {
    let Ok(Value::Object(document)) = serde_json::from_slice::<Value>(body) else { return Vec::new() };
    if let Some(Value::Array(keys)) = document.get("keys") {
        let keys = keys.iter().take(KEYS_MAX).filter_map(|jwk| {
            let kid = jwk.get("kid")?.as_str()?;
            Some((kid.to_owned(), Key::from_jwk(algorithm, jwk)?))
        });
        return keys.collect();
    }
    let certificates = document
        .iter()
        .take(KEYS_MAX)
        .filter_map(|(kid, pem)| Some((kid.clone(), Key::from_pem(algorithm, pem.as_str()?.as_bytes())?)));
    certificates.collect()
}

fn kept(max_age: Option<Duration>) -> Duration {
    max_age.unwrap_or(KEPT).clamp(MISS_KEPT, KEPT)
}

/// How long a key is used without asking again, unless its server says less.
const KEPT: Duration = Duration::from_secs(6 * 3_600);
/// How long a key is known not to be there, and the least that anything is kept.
const MISS_KEPT: Duration = Duration::from_secs(60);
/// A key server gets no more of us than this at a time, however many sign in.
const AT_A_TIME: usize = 4;
/// Keys remembered, those that are not there included.
const KEYS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_kept_between_a_minute_and_six_hours() {
        let table = [(None, 21_600), (Some(10), 60), (Some(3_600), 3_600), (Some(1_000_000), 21_600)];
        for (max_age, expected) in table {
            assert_eq!(kept(max_age.map(Duration::from_secs)).as_secs(), expected);
        }
    }

    #[test]
    fn sets_are_lists_of_keys_or_maps_of_certificates() {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["x".into()]).unwrap().self_signed(&key).unwrap();
        let map = json!({ "one": certificate.pem(), "two": "no certificate", "three": 3 });
        let names = |body: String| -> Vec<String> {
            read_set(Algorithm::Es256, body.as_bytes()).into_iter().map(|(kid, _)| kid).collect()
        };
        assert_eq!(names(map.to_string()), ["one"]);
        let point = key.public_key_raw();
        let part =
            |bytes: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes);
        let jwk = json!({ "kty": "EC", "kid": "k", "x": part(&point[1..33]), "y": part(&point[33..65]) });
        assert_eq!(names(json!({ "keys": [jwk, { "kid": "x" }, 1] }).to_string()), ["k"]);
        assert_eq!(names("[]".to_owned()), [""; 0]);
        assert_eq!(names("not JSON".to_owned()), [""; 0]);
    }

    #[tokio::test]
    async fn a_named_key_is_tried_before_those_for_all() {
        let key = |secret: &[u8]| Key::from_secret(Algorithm::Hs256, secret).unwrap();
        let keys = Keys::Fixed(vec![(Some("a".into()), key(b"a")), (Some("b".into()), key(b"b"))]);
        assert_eq!(keys.find(Some("a")).await.unwrap().len(), 1);
        assert_eq!(keys.find(Some("c")).await.unwrap_err(), Flaw::Key);
        assert_eq!(keys.find(None).await.unwrap_err(), Flaw::Key);
        let keys = Keys::Fixed(vec![(None, key(b"x"))]);
        assert_eq!(keys.find(Some("c")).await.unwrap().len(), 1);
    }
}
