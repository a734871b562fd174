//! The HTTP servers of the process: their sockets, what they share, and how they end.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use arc_swap::ArcSwap;
use axum::{Extension, Router};
use axum_server::Handle as ServerHandle;
use axum_server::tls_rustls::RustlsAcceptor;
use contract::session::Candidate;
use signaling::Domains;
use socket2::SockRef;
use tokio::sync::oneshot;

use crate::config::{Config, Http, Media, Values};
use crate::controls;
use crate::entrance::OverTls;
use crate::http::{self, Public};
use crate::inherited::Inherited;
use crate::limiter::Limiter;
use crate::private_http;
use crate::reload::Reload;
use crate::signaling_loop::{Handle, Message};
use crate::status::Status;
use crate::supervise::STOP_WITHIN;
use crate::tls::Tls;
use crate::token::Verifier;

/// The HTTP servers and what they share.
pub(crate) struct Servers {
    handles: Vec<ServerHandle<SocketAddr>>,
    public: Public,
    routes: http::Routes,
    limiter: Limiter,
    tls: Option<Arc<Tls>>,
    private: Option<TcpListener>,
}

impl Servers {
    /// Starts the public ones.
    pub(crate) fn start(
        config: &Config,
        listeners: Listeners,
        candidates: &[Candidate],
        of_machine: &[IpAddr],
        signaling: &Handle,
        status: &Arc<Status>,
    ) -> Result<Servers> {
        let domains = Domains::of(&config.xmpp.domain);
        let public = Public::new(config, domains, signaling.clone(), Arc::clone(status));
        let verifier = config.auth.jwt.as_ref().map(Verifier::new).transpose()?;
        let public = public.map_err(|problem| anyhow!(problem))?.with_verifier(verifier);
        let routes = http::Routes::new(public.clone(), candidates);
        let limits = (config.http.connections_max, config.http.connections_per_address);
        let limiter = Limiter::new(limits.0, limits.1, Arc::clone(status));
        let private = Some(listeners.private);
        let mut servers = Servers { handles: Vec::new(), public, routes, limiter, tls: None, private };
        let router = servers.routes.router();
        if let Some(listener) = listeners.plain {
            let (limiter, server) = (servers.limiter.clone(), servers.new_handle());
            tokio::spawn(ended("HTTP", http::serve(listener, limiter, router.clone(), server)));
        }
        if let Some(listener) = listeners.tls {
            let tls = Tls::new(&config.http, config.state_directory.as_deref(), of_machine, status)?;
            let limiter = servers.limiter.clone();
            let acceptor = RustlsAcceptor::new(tls.in_use()).handshake_timeout(TLS_WITHIN).acceptor(limiter);
            tokio::spawn(Arc::clone(&tls).watch());
            servers.tls = Some(tls);
            let router = http::with_hsts(router, config.http.hsts_s, Arc::clone(status));
            let router = router.layer(Extension(OverTls));
            let server = servers.new_handle();
            tokio::spawn(ended("HTTPS", http::serve(listener, acceptor, router, server)));
        }
        Ok(servers)
    }

    /// What changes these servers, and the rest of the process, while they run.
    pub(crate) fn reload(
        &self,
        file: Option<PathBuf>,
        values: Values,
        signaling: &Handle,
        media: &Arc<ArcSwap<Media>>,
    ) -> Arc<Reload> {
        Arc::new(Reload {
            file,
            in_use: values.into(),
            public: self.public.clone().into(),
            routes: self.routes.clone(),
            limiter: self.limiter.clone(),
            tls: self.tls.clone(),
            signaling: signaling.clone(),
            media: Arc::clone(media),
        })
    }

    /// Starts the private one, which can change what the others do.
    pub(crate) fn with_private(
        mut self,
        status: &Arc<Status>,
        reload: &Arc<Reload>,
        rooms: Option<Router>,
    ) -> Servers {
        let Some(listener) = self.private.take() else { return self };
        let server = self.new_handle();
        let router = private_http::router(Arc::clone(status)).merge(controls::router(Arc::clone(reload)));
        let router = router.merge(rooms.unwrap_or_default());
        let limiter = Limiter::new(PRIVATE_CONNECTIONS_MAX, PRIVATE_CONNECTIONS_MAX, Arc::new(Status::new()));
        tokio::spawn(ended("private HTTP", http::serve(listener, limiter, router, server)));
        self
    }

    /// Says good-bye to clients, then closes the listeners.
    pub(crate) async fn stop(&self, signaling: &Handle) {
        let (done, stopped) = oneshot::channel();
        if signaling.send(Message::Stop { done }).await.is_ok() {
            let _ = tokio::time::timeout(STOP_WITHIN, stopped).await;
        }
        for server in &self.handles {
            server.graceful_shutdown(Some(CLOSE_WITHIN));
        }
        // Connections get the time to pass on what they hold.
        let closed = async {
            while self.handles.iter().any(|server| server.connection_count() > 0) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let _ = tokio::time::timeout(CLOSE_WITHIN, closed).await;
    }

    fn new_handle(&mut self) -> ServerHandle<SocketAddr> {
        let handle = ServerHandle::new();
        self.handles.push(handle.clone());
        handle
    }
}

async fn ended(name: &str, server: impl Future<Output = std::io::Result<()>>) {
    if let Err(error) = server.await {
        tracing::error!(%error, "{name} ended");
    }
}

/// The sockets of HTTP, bound before anything else: a port in use is the most likely thing to go wrong.
pub(crate) struct Listeners {
    pub(crate) plain: Option<TcpListener>,
    pub(crate) tls: Option<TcpListener>,
    private: TcpListener,
}

impl Listeners {
    /// What the service manager opened wins over the addresses in the settings.
    pub(crate) fn bind(config: &Http, inherited: Inherited) -> Result<Listeners> {
        let plain = listener(inherited.plain, config.listen, "http.listen")?;
        let tls = listener(inherited.tls, config.listen_tls, "http.listen_tls")?;
        let private = bind(config.private, "http.private")?;
        Ok(Listeners { plain, tls, private })
    }
}

fn listener(
    inherited: Option<TcpListener>,
    address: Option<SocketAddr>,
    key: &str,
) -> Result<Option<TcpListener>> {
    let Some(inherited) = inherited else { return address.map(|address| bind(address, key)).transpose() };
    inherited.set_nonblocking(true).with_context(|| format!("cannot use the socket in place of {key}"))?;
    Ok(Some(inherited))
}

fn bind(address: SocketAddr, key: &str) -> Result<TcpListener> {
    let listener = TcpListener::bind(address).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow!(
            "TCP port {} is in use by another program ({key} = \"{address}\"). Stop that program, or choose another port \
             with {key} in the settings or {} in the environment",
            address.port(),
            variable(key),
        ),
        std::io::ErrorKind::PermissionDenied => anyhow!(
            "TCP port {} needs a privilege ({key} = \"{address}\"). Use a port above 1023, or grant CAP_NET_BIND_SERVICE",
            address.port(),
        ),
        _ => anyhow!("cannot listen on {address} ({key}): {error}"),
    })?;
    let lengthened = SockRef::from(&listener).listen(BACKLOG).and_then(|()| listener.set_nonblocking(true));
    lengthened.with_context(|| format!("cannot use {address} ({key})"))?;
    Ok(listener)
}

/// The environment variable of a key.
pub(crate) fn variable(key: &str) -> String {
    format!("SLUICE__{}", key.replace('.', "__").to_ascii_uppercase())
}

/// Connections that wait to be taken, as in the socket units: a meeting that begins is many of them in one moment. Of more than
/// the 128 that the standard library asks for, some would wait for seconds until they are tried again.
const BACKLOG: i32 = 4_096;

/// Scrapers and health checks; they hold no connection for long.
const PRIVATE_CONNECTIONS_MAX: usize = 100;

const TLS_WITHIN: Duration = Duration::from_secs(10);
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_named_with_its_key_and_the_way_out() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = bind(address, "http.listen_tls").unwrap_err().to_string();
        for part in [&format!("port {}", address.port()), "http.listen_tls", "SLUICE__HTTP__LISTEN_TLS"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
