//! A stock Jitsi Meet web app out of a folder, in place of the built-in client: its files, and its page for every room.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use tower_http::services::ServeDir;

use self::include::{Piece, pieces};
pub(crate) use self::path::Tenant;
use self::path::{Asked, FOLDERS, Target};
use crate::client_config::Scripts;

mod include;
mod path;

/// The folder, and what is put into its pages.
#[derive(Clone)]
pub(crate) struct WebRoot {
    root: Arc<Path>,
    files: ServeDir,
    scripts: Arc<Scripts>,
}

impl WebRoot {
    pub(crate) fn new(root: PathBuf, scripts: Arc<Scripts>) -> WebRoot {
        let files = ServeDir::new(&root)
            .append_index_html_on_directories(false)
            .precompressed_br()
            .precompressed_gzip();
        WebRoot { root: root.into(), files, scripts }
    }

    /// Answers a request for anything that the server itself has nothing at.
    pub(crate) async fn serve(self, request: Request) -> Response {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response();
        }
        let Asked { tenant, target } = Asked::parse(request.uri().path());
        let file = match target {
            Target::Nowhere => return self.not_found().await,
            Target::Page => PAGE.to_owned(),
            Target::File(file) => file,
            Target::FileOrRoom(name) => {
                let found = tokio::fs::metadata(self.root.join(&name)).await;
                if found.is_ok_and(|found| found.is_file()) { name } else { PAGE.to_owned() }
            }
        };
        if file.ends_with(".html") {
            self.page(&file, tenant.as_ref()).await
        } else {
            self.file(&file, request).await
        }
    }

    /// A file as it is.
    async fn file(&self, file: &str, mut request: Request) -> Response {
        let Ok(uri) = Uri::try_from(format!("/{}", encoded(file))) else { return self.not_found().await };
        let asked = core::mem::replace(request.uri_mut(), uri);
        let is_versioned = asked.query().is_some_and(|query| query.split('&').any(|it| it.starts_with("v=")))
            || asked.path().starts_with("/v1/_cdn/");
        let mut response = match self.files.clone().try_call(request).await {
            Ok(response) => response.map(Body::new),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return self.not_found().await;
            }
            Err(error) => {
                tracing::warn!(%error, file, "a file of the web app cannot be read");
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            }
        };
        if response.status() == StatusCode::NOT_FOUND {
            return self.not_found().await;
        }

        let folder = file.split_once('/').map(|(folder, _)| folder).filter(|it| FOLDERS.contains(it));
        let keep = match folder {
            _ if is_versioned => FOR_A_YEAR,
            // Pictures and sounds change seldom and do no harm when they are old; scripts of two releases do.
            Some("images" | "fonts" | "sounds") => FOR_A_DAY,
            _ => ASK_AGAIN,
        };
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
        if folder.is_some() {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
        response
    }

    /// A page with its includes in place.
    async fn page(&self, file: &str, tenant: Option<&Tenant>) -> Response {
        let mut page = Assembly { web: self, tenant, text: String::new(), files: 0 };
        match page.add(file, 0).await {
            Ok(()) => {
                let headers = [(header::CONTENT_TYPE, HTML), (header::CACHE_CONTROL, "no-cache")];
                (headers, page.text).into_response()
            }
            Err(Missing) => self.not_found().await,
        }
    }

    async fn not_found(&self) -> Response {
        let mut page = Assembly { web: self, tenant: None, text: String::new(), files: 0 };
        let headers = [(header::CONTENT_TYPE, HTML), (header::CACHE_CONTROL, "no-cache")];
        match page.add(NOT_FOUND_PAGE, 0).await {
            Ok(()) => (StatusCode::NOT_FOUND, headers, page.text).into_response(),
            Err(Missing) => (StatusCode::NOT_FOUND, "no such file").into_response(),
        }
    }
}

/// A page that is being put together.
struct Assembly<'a> {
    web: &'a WebRoot,
    tenant: Option<&'a Tenant>,
    text: String,
    files: usize,
}

/// A file cannot be read.
struct Missing;

impl Assembly<'_> {
    /// Adds `file`, a plain path below the root, and what it includes. An include that is not there leaves nothing.
    async fn add(&mut self, file: &str, depth: usize) -> Result<(), Missing> {
        self.files += 1;
        let text = tokio::fs::read(self.web.root.join(file)).await.map_err(|_| Missing)?;
        let text = String::from_utf8(text).map_err(|_| Missing)?;
        for piece in pieces(&text) {
            match piece {
                _ if self.text.len() > PAGE_BYTES_MAX => return Ok(()),
                Piece::Text(text) => self.text.push_str(text),
                Piece::Echo { name: "subdomain", .. } if self.tenant.is_some() => {
                    self.text.extend(self.tenant.iter().flat_map(|tenant| [tenant.folder.as_str(), "."]));
                }
                Piece::Echo { name: "subdir", .. } if self.tenant.is_some() => {
                    self.text.extend(self.tenant.iter().flat_map(|tenant| [tenant.folder.as_str(), "/"]));
                }
                Piece::Echo { default, .. } => self.text.push_str(default),
                Piece::Include("/config.js" | "config.js") => {
                    self.text.push_str(&self.web.scripts.config(self.tenant))
                }
                Piece::Include("/interface_config.js" | "interface_config.js") => {
                    self.text.push_str(self.web.scripts.interface());
                }
                Piece::Include(path) => {
                    let path = format!("/{}", path.trim_start_matches('/'));
                    let target = Asked::parse(&path).target;
                    if let Target::File(file) | Target::FileOrRoom(file) = target
                        && depth < DEPTH_MAX
                        && self.files < INCLUDES_MAX
                    {
                        let included = Box::pin(self.add(&file, depth + 1)).await;
                        if included.is_err() {
                            tracing::debug!(page = file, "an included file is not there");
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// Percent-encodes what may not stand in a path.
fn encoded(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The page of every room.
pub(crate) const PAGE: &str = "index.html";
const NOT_FOUND_PAGE: &str = "static/404.html";
const HTML: &str = "text/html; charset=utf-8";

const FOR_A_YEAR: &str = "public, max-age=31536000, immutable";
const FOR_A_DAY: &str = "public, max-age=86400";
const ASK_AGAIN: &str = "no-cache";

/// The stock page includes a dozen small files, none of which includes another.
const INCLUDES_MAX: usize = 64;
const DEPTH_MAX: usize = 4;
const PAGE_BYTES_MAX: usize = 4 * 1_024 * 1_024;

#[cfg(test)]
mod tests;
