use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::*;
use crate::config::Config;

/// An issuer of tokens with a key of its own.
struct Issuer {
    key: EcdsaKeyPair,
    pem: String,
}

impl Issuer {
    fn new() -> Issuer {
        let pair = rcgen::KeyPair::generate().unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pair.serialize_der()).unwrap();
        Issuer { key, pem: pair.public_key_pem() }
    }

    fn token(&self, kid: &str) -> String {
        let head = json!({ "alg": "ES256", "kid": kid }).to_string();
        let claims = json!({ "iss": "app", "sub": "*", "room": "*", "exp": 9_000_000_000_u64 }).to_string();
        let unsigned = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.key.sign(&SystemRandom::new(), unsigned.as_bytes()).unwrap();
        format!("{unsigned}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// A key server that counts what it is asked.
#[derive(Default)]
struct KeyServer {
    files: Mutex<HashMap<String, String>>,
    asked: AtomicUsize,
}

async fn serve(State(server): State<Arc<KeyServer>>, Path(name): Path<String>) -> Response {
    server.asked.fetch_add(1, Ordering::Relaxed);
    match server.files.lock().unwrap().get(&name) {
        Some(file) => ([(header::CACHE_CONTROL, "max-age=600")], file.clone()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn key_server(files: &[(&str, String)]) -> (Arc<KeyServer>, String) {
    let server = Arc::new(KeyServer::default());
    let named = files.iter().map(|(name, file)| ((*name).to_owned(), file.clone()));
    server.files.lock().unwrap().extend(named);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let routes = Router::new().route("/{name}", get(serve)).with_state(Arc::clone(&server));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (server, url)
}

fn verifier(jwt: &str) -> Verifier {
    let text = format!("[auth]\nmode = 'token'\n[jwt]\nalgorithm = 'ES256'\nissuers = ['app']\n{jwt}");
    let config = Config::parse(&text, []).unwrap();
    Verifier::new(config.auth.jwt.as_ref().unwrap()).unwrap()
}

fn hashed(kid: &str) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, kid.as_bytes());
    let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    hex + ".pem"
}

#[tokio::test]
async fn keys_of_a_server_are_fetched_once_and_those_that_are_not_there_too() {
    let issuer = Issuer::new();
    let (server, url) =
        key_server(&[(&hashed("one"), issuer.pem.clone()), (&hashed("odd"), "x".into())]).await;
    let verifier = verifier(&format!("key_server = '{url}/'"));
    for _ in 0..3 {
        assert!(matches!(verifier.check(Some(&issuer.token("one"))).await, Token::Valid(_)));
        assert_eq!(verifier.verify(&issuer.token("two")).await, Err(Flaw::Key));
        assert_eq!(verifier.verify(&issuer.token("odd")).await, Err(Flaw::Key), "no key at all");
        assert_eq!(verifier.verify(&Issuer::new().token("one")).await, Err(Flaw::Signature));
    }
    assert_eq!(server.asked.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_key_set_is_fetched_as_a_whole_and_not_again_for_made_up_names() {
    let issuer = Issuer::new();
    let map = json!({ "one": issuer.pem }).to_string();
    let (server, url) = key_server(&[("keys", map)]).await;
    let verifier = verifier(&format!("jwks_url = '{url}/keys'"));
    assert!(verifier.verify(&issuer.token("one")).await.is_ok());
    for i in 0..20 {
        assert_eq!(verifier.verify(&issuer.token(&i.to_string())).await, Err(Flaw::Key));
    }
    assert!(verifier.verify(&issuer.token("one")).await.is_ok());
    assert_eq!(server.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_server_that_is_down_or_says_too_much_refuses_only_those_whose_keys_it_has() {
    let issuer = Issuer::new();
    let (_, url) =
        key_server(&[(&hashed("huge"), "x".repeat(70_000)), (&hashed("one"), issuer.pem.clone())]).await;
    let verifier_of_huge = verifier(&format!("key_server = '{url}'"));
    assert_eq!(verifier_of_huge.verify(&issuer.token("huge")).await, Err(Flaw::KeyServer));
    assert!(verifier_of_huge.verify(&issuer.token("one")).await.is_ok());
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let verifier = verifier(&format!("key_server = 'http://{address}'"));
    assert_eq!(verifier.verify(&issuer.token("one")).await, Err(Flaw::KeyServer));
}

#[tokio::test]
async fn a_key_server_that_never_answers_is_given_up_after_five_seconds_and_cached_keys_go_on() {
    let issuer = Issuer::new();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let verifier = verifier(&format!("key_server = '{url}'"));
    let begun = std::time::Instant::now();
    assert_eq!(verifier.verify(&issuer.token("one")).await, Err(Flaw::KeyServer));
    let took = begun.elapsed().as_secs_f64();
    assert!((4.5..7.0).contains(&took), "{took}");
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    let issuer = Issuer::new();
    let file = std::env::temp_dir().join(format!("sluice-jwt-{}.pem", std::process::id()));
    std::fs::write(&file, &issuer.pem).unwrap();
    let verifier = verifier(&format!("public_keys = ['{}']", file.display()));
    assert!(verifier.verify(&issuer.token("any")).await.is_ok());
    // A token that anybody can make who knows the public key (RFC 8725 §2.1).
    let unsigned = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#),
        URL_SAFE_NO_PAD.encode(r#"{"iss":"app","sub":"*","room":"*","exp":9000000000}"#)
    );
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, issuer.pem.as_bytes());
    let signature = aws_lc_rs::hmac::sign(&key, unsigned.as_bytes());
    let forged = format!("{unsigned}.{}", URL_SAFE_NO_PAD.encode(signature));
    assert_eq!(verifier.verify(&forged).await, Err(Flaw::Algorithm));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(verifier.check(None).await, Token::Absent);
    assert_eq!(verifier.check(Some("")).await, Token::Absent);
}
