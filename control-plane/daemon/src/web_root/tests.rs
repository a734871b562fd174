use std::fs;

use axum::body::to_bytes;
use signaling::Domains;

use super::*;
use crate::config::Config;

/// A stock app in small.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let root = std::env::temp_dir().join(format!("sluice-web-{}-{name}", std::process::id()));
        let folder = Folder(root);
        folder.write(
            "index.html",
            "<!--#include virtual=\"head.html\" --><script><!--#include virtual=\"/config.js\" --></script>\
             <!--#include virtual=\"absent.html\" --><!--#include virtual=\"../secret\" --><p>end</p>",
        );
        folder.write("head.html", "<title>Meet</title><!--#include virtual=\"head.html\" -->");
        folder.write("libs/app.bundle.min.js", "app();");
        folder.write("libs/external_api.min.js", "api();");
        folder.write("libs/x.wasm", "wasm");
        folder.write("static/404.html", "<p>nothing here</p>");
        folder.write("manifest.json", "{}");
        folder.write("a b.txt", "space");
        fs::write(folder.0.parent().unwrap().join("secret"), "secret").unwrap();
        folder
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn web(&self) -> WebRoot {
        let scripts = Scripts::new(&Config::parse("", []).unwrap(), &Domains::of("meet.sluice")).unwrap();
        WebRoot::new(self.0.clone(), Arc::new(scripts))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn get(web: &WebRoot, path: &str) -> (StatusCode, String, axum::http::HeaderMap) {
    ask(web, Request::get(path).body(Body::empty()).unwrap()).await
}

async fn ask(web: &WebRoot, request: Request) -> (StatusCode, String, axum::http::HeaderMap) {
    let response = web.clone().serve(request).await;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap(), headers)
}

#[tokio::test]
async fn every_room_is_the_page_with_its_includes() {
    let folder = Folder::new("rooms");
    let web = folder.web();
    for path in ["/", "/standup", "/caf%C3%A9", "/acme/standup", "/acme/"] {
        let (status, body, headers) = get(&web, path).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(body.starts_with("<title>Meet</title>") && body.ends_with("<p>end</p>"), "{path}: {body}");
        assert!(body.contains("<script>var config = {"), "{path}: {body}");
        assert!(!body.contains("secret") && !body.contains("#include"), "{path}: {body}");
        assert_eq!(headers[header::CONTENT_TYPE], HTML);
        assert_eq!(body.contains("conference.acme.meet.sluice"), path.starts_with("/acme"), "{path}: {body}");
    }
}

#[tokio::test]
async fn files_have_their_types_and_are_kept_as_long_as_they_may() {
    let folder = Folder::new("files");
    let web = folder.web();
    let table = [
        ("/libs/app.bundle.min.js?v=139", "text/javascript", FOR_A_YEAR, "app();"),
        ("/libs/app.bundle.min.js", "text/javascript", ASK_AGAIN, "app();"),
        ("/v1/_cdn/77/libs/app.bundle.min.js", "text/javascript", FOR_A_YEAR, "app();"),
        ("/acme/libs/x.wasm", "application/wasm", ASK_AGAIN, "wasm"),
        ("/external_api.js", "text/javascript", ASK_AGAIN, "api();"),
        ("/acme/external_api.js", "text/javascript", ASK_AGAIN, "api();"),
        ("/manifest.json", "application/json", ASK_AGAIN, "{}"),
        ("/acme/manifest.json", "application/json", ASK_AGAIN, "{}"),
        ("/a%20b.txt", "text/plain", ASK_AGAIN, "space"),
    ];
    for (path, kind, keep, text) in table {
        let (status, body, headers) = get(&web, path).await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, text), "{path}");
        assert!(headers[header::CONTENT_TYPE].to_str().unwrap().starts_with(kind), "{path}: {headers:?}");
        assert_eq!(headers[header::CACHE_CONTROL], keep, "{path}");
    }
}

#[tokio::test]
async fn what_is_not_there_or_outside_is_not_found() {
    let folder = Folder::new("outside");
    let web = folder.web();
    let table = [
        "/libs/absent.js",
        "/libs/",
        "/libs",
        "/../secret",
        "/libs/..%2f..%2fsecret",
        "/libs/%2e%2e/x",
        "/.git/config",
    ];
    for path in table {
        let (status, body, _) = get(&web, path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(body, "<p>nothing here</p>", "{path}");
    }
}

#[tokio::test]
async fn only_reading_is_allowed_and_unchanged_files_are_not_sent_again() {
    let folder = Folder::new("methods");
    let web = folder.web();
    let (status, ..) = ask(&web, Request::post("/standup").body(Body::empty()).unwrap()).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);

    let (_, _, headers) = get(&web, "/libs/app.bundle.min.js").await;
    let again = Request::get("/libs/app.bundle.min.js")
        .header(header::IF_MODIFIED_SINCE, &headers[header::LAST_MODIFIED])
        .body(Body::empty());
    let (status, body, _) = ask(&web, again.unwrap()).await;
    assert_eq!((status, body.as_str()), (StatusCode::NOT_MODIFIED, ""));
}
