//! The public HTTP server: web client, configuration, WebSockets, conference requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, Query, Request, State, WebSocketUpgrade};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::AddExtension;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum_server::accept::Accept;
use contract::session::Candidate;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use memory_serve::CacheControl;
use serde::Deserialize;
use signaling::Domains;
use tokio::sync::oneshot;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::{RequestBodyTimeoutLayer, TimeoutLayer};
use tower_service::Service;
use xmpp::ConnectionId;
use xmpp::websocket::Framing;

use crate::channels::{self, ChannelId};
use crate::client_config::Scripts;
use crate::config::{Config, Web};
use crate::entrance::{ConnectionQuery, Peer, Turns};
use crate::guesses::Guesses;
use crate::prompt::Prompt;
use crate::refusals::Reason;
use crate::signaling_loop::{Handle, Message};
use crate::status::Status;
use crate::token::Verifier;
use crate::web_root::{Tenant, WebRoot};
use crate::{bosh, branding, challenges, conference_request, connections, self_test};

/// What the public routes share.
#[derive(Clone)]
pub(crate) struct Public {
    pub(crate) signaling: Handle,
    pub(crate) domains: Arc<Domains>,
    pub(crate) status: Arc<Status>,
    scripts: Arc<Scripts>,
    /// What the built-in client shows of its operator.
    branding: Router,
    web_root: Option<WebRoot>,
    policy: HeaderValue,
    pub(crate) bosh: bosh::Sessions,
    /// Of those who open streams.
    pub(crate) logins: Arc<Turns>,
    /// Of those who ask for conferences by HTTP.
    pub(crate) requests: Arc<Turns>,
    /// Of tokens, if one signs in by them.
    pub(crate) verifier: Option<Arc<Verifier>>,
    pub(crate) allowed_origins: Arc<[String]>,
    challenge_folder: Option<Arc<std::path::Path>>,
    numbers: Arc<AtomicU64>,
    guesses: Arc<Guesses>,
}

impl Public {
    /// # Errors
    /// Says which file that the settings name cannot be read.
    pub(crate) fn new(
        config: &Config,
        domains: Domains,
        signaling: Handle,
        status: Arc<Status>,
    ) -> Result<Public, String> {
        let scripts = Arc::new(Scripts::new(config, &domains)?);
        let web_root = config.web.root.clone().map(|root| WebRoot::new(root, Arc::clone(&scripts)));
        Ok(Public {
            signaling,
            scripts,
            branding: branding::router(&config.client)?,
            policy: content_security_policy(&config.web),
            web_root,
            domains: Arc::new(domains),
            status,
            bosh: bosh::Sessions::new(config.xmpp.sessions_max),
            logins: Arc::new(Turns::new(config.xmpp.logins_per_address)),
            requests: Arc::new(Turns::new(config.xmpp.logins_per_address)),
            verifier: None,
            allowed_origins: config.http.allowed_origins.clone().into(),
            challenge_folder: config.http.challenge_folder.as_deref().map(Into::into),
            numbers: Arc::default(),
            guesses: Arc::default(),
        })
    }

    /// The same server with the pages and origins of other settings.
    ///
    /// # Errors
    /// Says which file that the settings name cannot be read.
    pub(crate) fn with_settings(&self, config: &Config) -> Result<Public, String> {
        let scripts = Arc::new(Scripts::new(config, &self.domains)?);
        let web_root = config.web.root.clone().map(|root| WebRoot::new(root, Arc::clone(&scripts)));
        Ok(Public {
            scripts,
            branding: branding::router(&config.client)?,
            web_root,
            policy: content_security_policy(&config.web),
            allowed_origins: config.http.allowed_origins.clone().into(),
            ..self.clone()
        })
    }

    /// Tokens are checked by `verifier`.
    pub(crate) fn with_verifier(mut self, verifier: Option<Verifier>) -> Public {
        self.verifier = verifier.map(Arc::new);
        self
    }

    /// A number for a connection or channel, used once.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}

/// The public routes in use; they may be replaced by those of other settings.
#[derive(Clone)]
pub(crate) struct Routes {
    present: Arc<ArcSwap<Router>>,
    candidates: Arc<[Candidate]>,
}

impl Routes {
    /// `candidates` are what the self-test page tries.
    pub(crate) fn new(public: Public, candidates: &[Candidate]) -> Routes {
        let present = Arc::new(ArcSwap::from_pointee(router(public, candidates)));
        Routes { present, candidates: candidates.into() }
    }

    /// Requests to come are answered by these.
    pub(crate) fn replace(&self, public: Public) {
        self.present.store(Arc::new(router(public, &self.candidates)));
    }

    /// A router that asks for the present ones at each request.
    pub(crate) fn router(&self) -> Router {
        let routes = self.clone();
        Router::new().fallback(move |request: Request| {
            let mut present = Router::clone(&routes.present.load());
            async move { present.call(request).await }
        })
    }
}

/// All public routes.
pub(crate) fn router(public: Public, candidates: &[Candidate]) -> Router {
    let policy =
        SetResponseHeaderLayer::if_not_present(header::CONTENT_SECURITY_POLICY, public.policy.clone());
    let client = match public.web_root.clone() {
        Some(web_root) => Router::new().fallback(move |request: Request| web_root.clone().serve(request)),
        None => built_in_client(),
    };
    let branding = public.branding.clone();
    let challenges = challenges::router(public.challenge_folder.as_deref().map(Into::into));
    // Its requests are kept open, longer than anything else may take.
    let http_bind = get(bosh::keep_alive).post(bosh::post).options(bosh::options);
    let bosh = Router::new()
        .route("/http-bind", http_bind.clone())
        .route("/{tenant}/http-bind", http_bind)
        .with_state(public.clone())
        .layer(DefaultBodyLimit::max(xmpp::bosh::BODY_BYTES_MAX))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, bosh::ANSWER_WITHIN));
    let conference_request = post(conference_request::post).options(conference_request::options);
    Router::new()
        .route("/config.js", get(config_js))
        .route("/interface_config.js", get(interface_config_js))
        .route("/{tenant}/config.js", get(tenant_config_js))
        .route("/{tenant}/interface_config.js", get(interface_config_js))
        .route("/xmpp-websocket", any(xmpp_websocket))
        .route("/{tenant}/xmpp-websocket", any(xmpp_websocket))
        .route("/_unlock", get(bosh::keep_alive))
        .route("/conference-request/v1", conference_request.clone())
        .route("/{tenant}/conference-request/v1", conference_request)
        .route("/colibri-ws/{server}/{conference}/{endpoint}", any(bridge_channel))
        .with_state(public)
        .merge(self_test::router(candidates))
        .merge(challenges)
        .merge(branding)
        .merge(client)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, ANSWER_WITHIN))
        .merge(bosh)
        .layer(RequestBodyTimeoutLayer::new(BODY_WITHIN))
        .layer(set_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(set_header(header::REFERRER_POLICY, "same-origin"))
        .layer(policy)
}

/// Every path that is nobody else's is a room: the page reads the name itself.
fn built_in_client() -> Router {
    memory_serve::load!()
        .index_file(Some("/index.html"))
        .fallback(Some("/index.html"))
        .fallback_status(StatusCode::OK)
        .html_cache_control(CacheControl::NoCache)
        .into_router()
        // Pages that embed a meeting load this; a page in its place would fail them in a way that nobody understands.
        .route("/external_api.js", get(no_external_api))
        .route("/{tenant}/external_api.js", get(no_external_api))
}

/// The script for embedding speaks with a stock client in the frame.
async fn no_external_api() -> Response {
    (
        StatusCode::NOT_FOUND,
        "the built-in client has no IFrame API: serve a stock Jitsi Meet web app by `web.root`",
    )
        .into_response()
}

/// `router` as it is served over HTTPS: browsers are told to stay there (RFC 6797) while the certificate is a configured
/// one. With our own they would lock their users out.
pub(crate) fn with_hsts(router: Router, seconds: u64, status: Arc<Status>) -> Router {
    let Ok(value) = HeaderValue::from_str(&format!("max-age={seconds}")) else { return router };
    router.layer(axum::middleware::map_response(move |mut response: Response| {
        if seconds > 0 && status.tls.is_real() {
            response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, value.clone());
        }
        std::future::ready(response)
    }))
}

/// Serves `router` behind `acceptor`, HTTP/1.1 only, with time limits that have a timer behind them.
pub(crate) async fn serve<A>(
    listener: std::net::TcpListener,
    acceptor: A,
    router: Router,
    handle: axum_server::Handle<SocketAddr>,
) -> std::io::Result<()>
where
    A: Accept<tokio::net::TcpStream, AddExtension<Router, ConnectInfo<SocketAddr>>>
        + Clone
        + Send
        + Sync
        + 'static,
    A::Stream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send,
    A::Service: axum_server::service::SendService<axum::http::Request<hyper::body::Incoming>> + Send,
    A::Future: Send + 'static,
{
    let acceptor = Prompt::new(acceptor, HEAD_WITHIN);
    let mut server = axum_server::from_tcp(listener)?.handle(handle).acceptor(acceptor);
    let mut builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(FIELDS_MAX);
    *server.http_builder() = builder;
    server.serve(router.into_make_service_with_connect_info::<SocketAddr>()).await
}

async fn config_js(State(public): State<Public>) -> Response {
    script(public.scripts.config(None))
}

async fn tenant_config_js(State(public): State<Public>, Path(tenant): Path<String>) -> Response {
    match Tenant::parse(&tenant) {
        Some(tenant) => script(public.scripts.config(Some(&tenant))),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn interface_config_js(State(public): State<Public>) -> Response {
    script(public.scripts.interface().to_owned())
}

/// Not secret: apps of any origin may read it.
fn script(text: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    (headers, text).into_response()
}

async fn xmpp_websocket(
    State(public): State<Public>,
    peer: Peer,
    Query(query): Query<ConnectionQuery>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade.protocols([SUBPROTOCOL]),
        // Clients ask for this URL by plain GET now and then, to keep proxies on the way awake.
        Err(_) if !headers.contains_key(header::UPGRADE) => {
            return bosh::keep_alive(State(public), headers).await;
        }
        Err(rejection) => return rejection.into_response(),
    };
    if !origin_allowed(&headers, &public.allowed_origins) {
        public.status.refusals.count(Reason::Origin);
        return StatusCode::FORBIDDEN.into_response();
    }
    if upgrade.selected_protocol().is_none() {
        return (StatusCode::BAD_REQUEST, "the subprotocol must be xmpp").into_response();
    }

    let connection = ConnectionId(public.number());
    let Some(query) = public.enter(peer, query, &headers, Framing::WebSocket).await else {
        return too_many().into_response();
    };
    upgrade
        .max_message_size(FRAME_BYTES_MAX)
        .max_frame_size(FRAME_BYTES_MAX)
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .on_upgrade(move |socket| connections::serve(socket, connection, query, public.signaling))
}

/// Who is sent away because too many come from its address.
pub(crate) fn too_many() -> impl IntoResponse {
    let wait = [(header::RETRY_AFTER, HeaderValue::from_static("10"))];
    (StatusCode::TOO_MANY_REQUESTS, wait, "too many at a time from this address, try again in ten seconds")
}

#[derive(Debug, Deserialize)]
struct ChannelQuery {
    #[serde(default)]
    pwd: String,
}

async fn bridge_channel(
    State(public): State<Public>,
    Path((_server, conference, endpoint)): Path<(String, String, String)>,
    Query(query): Query<ChannelQuery>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    if !origin_allowed(&headers, &public.allowed_origins) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let (at, whose) = (Instant::now(), endpoint.clone());
    if !public.guesses.admit(peer.ip(), &whose, at) {
        public.status.http.unauthorized_channel();
        return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "60")]).into_response();
    }
    let (reply, answer) = oneshot::channel();
    let question = Message::AuthorizeChannel { conference, endpoint, password: query.pwd, reply };
    let asked = public.signaling.send(question).await;
    let endpoint = match asked {
        Ok(()) => answer.await.ok().flatten(),
        Err(_) => None,
    };
    // One answer for an unknown conference, an unknown endpoint and a wrong password.
    let Some(endpoint) = endpoint else {
        public.status.http.unauthorized_channel();
        public.guesses.failed(peer.ip(), &whose, at);
        return StatusCode::FORBIDDEN.into_response();
    };

    let id = ChannelId(public.number());
    upgrade
        .max_message_size(CHANNEL_MESSAGE_BYTES_MAX)
        .max_frame_size(CHANNEL_MESSAGE_BYTES_MAX)
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .on_upgrade(move |socket| channels::serve(socket, endpoint, id, public.signaling))
}

/// RFC 6455 §10.2: a page may connect to the host that it came from, or if it is listed. What is no page sends no origin.
pub(crate) fn origin_allowed(headers: &HeaderMap, allowed: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    if allowed.iter().any(|allowed| allowed == "*" || allowed.trim_end_matches('/') == origin) {
        return true;
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let origin_host = origin.split_once("://").map(|(_, host)| host);
    host.is_some() && host == origin_host
}

fn set_header(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

/// RFC 7395 §3.1.
const SUBPROTOCOL: &str = "xmpp";

/// A stanza is at most as long as the parser takes; this stops a frame before it is in memory.
const FRAME_BYTES_MAX: usize = 1_024 * 1_024;

/// Bytes read at once: most frames of clients are below, and each connection holds this much. The default is 32 times that.
const READ_BUFFER_BYTES: usize = 4 * 1_024;

/// Bytes gathered before they are written: a join brings hundreds of frames at once. A connection keeps up to twice that.
const WRITE_BUFFER_BYTES: usize = 8 * 1_024;

/// RFC 8841 §6.1; the same as on a data channel.
const CHANNEL_MESSAGE_BYTES_MAX: usize = 64 * 1_024;

/// Conference requests are the only bodies, of some hundred bytes.
const BODY_BYTES_MAX: usize = 64 * 1_024;

/// Line and fields of a request.
const HEAD_BYTES_MAX: usize = 16 * 1_024;
const FIELDS_MAX: usize = 100;
const HEAD_WITHIN: Duration = Duration::from_secs(5);
const BODY_WITHIN: Duration = Duration::from_secs(10);
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// The stock app has scripts in its page, and may be set up to load more from elsewhere; only frames are ours to judge.
fn content_security_policy(config: &Web) -> HeaderValue {
    let frames = match config.frame_ancestors.join(" ") {
        sources if sources.is_empty() => "frame-ancestors 'none'".to_owned(),
        sources => format!("frame-ancestors {sources}"),
    };
    let policy = match config.root {
        Some(_) => format!("{frames}; object-src 'none'"),
        None => format!("{CONTENT_SECURITY_POLICY}; {frames}"),
    };
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static(CONTENT_SECURITY_POLICY))
}

/// Of the built-in client: scripts and styles from here only; media is made in the page; sockets may go where a setting
/// says.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' \
    'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob: mediastream:; connect-src 'self' ws: wss: https:; \
    worker-src 'self' blob:; object-src 'none'; base-uri 'none'";

#[cfg(test)]
mod tests;
