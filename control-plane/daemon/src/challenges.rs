//! Answers of a certificate authority's HTTP challenge (RFC 8555 §8.3): files that certbot or another client puts into a folder.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// The folder that is given to the client as its web root; `None`: nothing is shown.
pub(crate) fn router(web_root: Option<PathBuf>) -> Router {
    let folder = web_root.map(|root| root.join(".well-known/acme-challenge"));
    Router::new().route("/.well-known/acme-challenge/{token}", get(show)).with_state(Arc::new(folder))
}

async fn show(State(folder): State<Arc<Option<PathBuf>>>, Path(token): Path<String>) -> Response {
    let Some(folder) = folder.as_ref().as_ref().filter(|_| is_token(&token)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    // Some hundred bytes on a local disk, asked for a few times in three months.
    match std::fs::read(folder.join(token)) {
        Ok(text) if text.len() <= ANSWER_BYTES_MAX => {
            ([(header::CONTENT_TYPE, "application/octet-stream")], text).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// RFC 8555 §8.1: letters, digits, dash and underscore; so no way out of the folder.
fn is_token(token: &str) -> bool {
    (1..=TOKEN_BYTES_MAX).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// 128 bits of chance are 22 characters; authorities use 43.
const TOKEN_BYTES_MAX: usize = 128;

/// A token, a dot and a thumbprint.
const ANSWER_BYTES_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_of_the_folder_is_shown_and_nothing_else() {
        let root = std::env::temp_dir().join(format!("sluice-challenges-{}", std::process::id()));
        let folder = root.join(".well-known/acme-challenge");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("tok-en_1"), "tok-en_1.print").unwrap();
        std::fs::write(root.join("secret"), "secret").unwrap();
        std::fs::write(folder.join("long"), vec![b'x'; 2_000]).unwrap();
        let state = Arc::new(Some(folder));
        let table = [
            ("tok-en_1", StatusCode::OK),
            ("other", StatusCode::NOT_FOUND),
            ("../../secret", StatusCode::NOT_FOUND),
            ("..", StatusCode::NOT_FOUND),
            ("", StatusCode::NOT_FOUND),
            ("long", StatusCode::NOT_FOUND),
        ];
        for (token, expected) in table {
            let answer = show(State(Arc::clone(&state)), Path(token.to_owned())).await;
            assert_eq!(answer.status(), expected, "{token}");
        }
        let answer = show(State(Arc::new(None)), Path("tok-en_1".to_owned())).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        std::fs::remove_dir_all(root).unwrap();
    }
}
