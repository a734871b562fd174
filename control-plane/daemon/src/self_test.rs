//! `/selftest`: a page that tells whoever opens it whether audio and video can reach this server from there, over UDP and over TCP.
//! The browser sends real connectivity checks to each advertised address; the media plane answers them under a public password.

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use contract::session::{Candidate, CandidateKind};
use serde_json::{Value, json};
use transport::ice::{SELF_TEST_PWD, SELF_TEST_UFRAG};

/// Page, script and what the script needs to know.
pub(crate) fn router(candidates: &[Candidate]) -> Router {
    let targets = targets(candidates).to_string();
    Router::new()
        .route("/selftest", get(async || served("text/html; charset=utf-8", PAGE.to_owned())))
        .route("/selftest/page.js", get(async || served("text/javascript; charset=utf-8", SCRIPT.to_owned())))
        .route("/selftest/targets.json", get(async move || served("application/json", targets.clone())))
}

/// Where checks go to. The same that every participant is told.
fn targets(candidates: &[Candidate]) -> Value {
    let targets: Vec<Value> = candidates
        .iter()
        .map(|candidate| {
            json!({
                "address": candidate.address.ip().to_string(),
                "port": candidate.address.port(),
                "protocol": if candidate.tcp { "tcp" } else { "udp" },
                "translated": candidate.kind == CandidateKind::ServerReflexive,
            })
        })
        .collect();
    json!({ "ufrag": SELF_TEST_UFRAG, "pwd": SELF_TEST_PWD, "targets": targets })
}

fn served(media_type: &'static str, text: String) -> Response {
    ([(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "no-store")], text).into_response()
}

const PAGE: &str = include_str!("self_test/page.html");
const SCRIPT: &str = include_str!("self_test/page.js");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_told_each_address_that_participants_are_told() {
        let candidate = |address: &str, kind, tcp| Candidate {
            address: address.parse().unwrap(),
            kind,
            priority: 1,
            related: None,
            tcp,
        };
        let targets = targets(&[
            candidate("10.0.0.5:10000", CandidateKind::Host, false),
            candidate("203.0.113.9:4443", CandidateKind::ServerReflexive, true),
        ]);
        assert_eq!(targets["targets"][0]["protocol"], "udp");
        assert_eq!(
            targets["targets"][1],
            json!({ "address": "203.0.113.9", "port": 4443, "protocol": "tcp", "translated": true })
        );
        assert_eq!(targets["ufrag"], SELF_TEST_UFRAG);
    }
}
