//! `sluice serve`: starts the parts in order, says what works and what is missing, and stops cleanly.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use arc_swap::ArcSwap;
use channel::Certificate;
use contract::session::Candidate;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use signaling::admission::TokenRules;
use signaling::association::Fingerprint;
use signaling::authentication::Hosts;
use signaling::external_services::TurnServer;
use signaling::focus::FocusConfig;
use signaling::{Domains, Signaling};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use worker::{BackendChoice, CipherChoice, MediaPlane, Sending};
use xmpp::Streams;
use xmpp::credentials::{Host, SignIn};

use crate::candidates::{self, Addresses};
use crate::command_line::{EXIT_CONFIG, EXIT_UNAVAILABLE, Role, Serve};
use crate::config::{Config, DatagramIo, Http, Media, Turn, Values};
use crate::handshake::Threads;
use crate::inherited::Inherited;
use crate::reload::Reload;
use crate::servers::{Listeners, Servers, variable};
use crate::signaling_loop::{self, Clock, Handle, Message, SignalingLoop};
use crate::status::Status;
use crate::user::UsersFile;
use crate::{accounts_file, check_config, controls, doctor, ice_tcp, log, room_services};

/// Runs until a signal or an error.
pub(crate) fn serve(arguments: &Serve) -> ExitCode {
    if arguments.role == Role::Bridge {
        eprintln!("error: --role bridge is not there yet; this version is an appliance only");
        return ExitCode::from(EXIT_UNAVAILABLE);
    }
    let (config, values) = match Config::load_values(arguments.config.as_deref(), std::env::vars()) {
        Ok(loaded) => loaded,
        Err(problems) => {
            check_config::report(&problems);
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    log::start(&config.log);
    match run(&config, values, arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(EXIT_UNAVAILABLE)
        }
    }
}

fn run(config: &Config, values: Values, arguments: &Serve) -> Result<()> {
    let mut lacks = Vec::new();
    raise_descriptors(config.http.connections_max, &mut lacks);
    let of_machine = candidates::of_machine().context("cannot list the network interfaces")?;
    let mut addresses = candidates::gather(&config.media, &of_machine);
    note_addresses(config, &addresses, &mut lacks);
    let tcp = bind_tcp(config, &mut addresses, &mut lacks);
    lacks.extend(doctor::at_start(config).into_iter().map(|finding| Lack::new(finding.cause, finding.fix)));

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(HTTP_THREADS)
        .thread_name("http")
        .enable_all()
        .build()
        .context("cannot start the threads of HTTP")?;
    let _entered = runtime.enter();
    let listeners = Listeners::bind(&config.http, Inherited::take()?)?;
    let shown = Http {
        listen: listeners.plain.as_ref().and_then(|socket| socket.local_addr().ok()),
        listen_tls: listeners.tls.as_ref().and_then(|socket| socket.local_addr().ok()),
        ..config.http.clone()
    };
    let mut media = start_media(config, &addresses, &mut lacks)?;
    let status = Arc::new(Status::new());
    start_tcp(config, tcp, &mut media, &status, &mut lacks);
    let bound = media.local_addresses().collect();
    let (signaling, loop_thread) = start_signaling(config, media, &status)?;
    let media_settings = Arc::new(ArcSwap::from_pointee(config.media.clone()));
    let told = addresses.candidates.clone();
    tokio::spawn(watch_addresses(Arc::clone(&media_settings), bound, told, signaling.clone()));
    let servers = Servers::start(config, listeners, &addresses.candidates, &of_machine, &signaling, &status)?;
    let reload = servers.reload(arguments.config.clone(), values, &signaling, &media_settings);
    let rooms = room_services::from_settings(config, &signaling)?;
    let servers = servers.with_private(&status, &reload, rooms);

    // Before anybody is told that it is ready: a signal right after that must find us listening.
    let mut signals = Signals::new()?;
    announce(&shown, &of_machine, &lacks, arguments.json);
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    runtime.block_on(async {
        tokio::spawn(keep_watchdog(Arc::clone(&status)));
        if config.auth.sign_in == SignIn::Accounts {
            let file = UsersFile::new(config.auth.users_file.clone());
            tokio::spawn(accounts_file::follow(file, signaling.clone()));
        }
        signals.until_stop(&status, &reload).await;
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        tracing::info!("stopping");
        // A second signal does not wait for anybody.
        tokio::select! {
            () = servers.stop(&signaling) => {}
            () = signals.until_stop(&status, &reload) => {}
        }
    });
    drop(signaling);
    tracing::debug!("connections are closed");
    runtime.shutdown_background();
    // The media threads end with the signalling thread. One that does not is no reason to stay.
    let stopped_by = Instant::now() + STOP_WITHIN;
    while !loop_thread.is_finished() && Instant::now() < stopped_by {
        std::thread::sleep(Duration::from_millis(5));
    }
    tracing::info!(clean = loop_thread.is_finished(), "stopped");
    Ok(())
}

fn start_media(config: &Config, addresses: &Addresses, lacks: &mut Vec<Lack>) -> Result<MediaPlane> {
    let settings = worker::Config {
        workers: config.media.workers,
        pin: config.media.pin,
        local: addresses.local.clone(),
        candidates: addresses.candidates.clone(),
        io: match config.media.io {
            DatagramIo::Auto => BackendChoice::Auto,
            DatagramIo::Uring => BackendChoice::IoUring,
            DatagramIo::Plain => BackendChoice::Plain,
        },
        cipher: config.media.cipher_provider.map_or(CipherChoice::Auto, CipherChoice::Fixed),
        sending: Sending {
            padding_permille: config.media.padding_permille,
            hold: Duration::from_micros(config.media.hold_us),
            hold_above_percent: config.media.hold_above_percent,
        },
        slots: config.media.slots,
        spin_us: config.media.spin_us,
        receiver_budget: config.media.receiver_budget_bps,
        loudest: config.media.loudest_audio,
        initial_bandwidth: config.media.initial_bandwidth_bps,
        spread_after: config.media.spread_after,
        handshake_threads: config.media.handshake_threads,
        allow_loopback: config.media.loopback,
    };
    let media = MediaPlane::start(&settings).map_err(|error| {
        let port = config.media.port;
        anyhow!(
            "media cannot use UDP port {port}: {error}. If another program has the port, stop it or set media.port \
             (environment: {})",
            variable("media.port"),
        )
    })?;
    if let Some((backend, Some(reason))) = media.backends().first() {
        lacks.push(Lack::new(
            format!("media uses {}: {reason}", backend.label()),
            "a kernel of 6.1 or newer with io_uring allowed forwards with less CPU",
        ));
    }
    let cipher = media.cipher();
    tracing::info!("AES-GCM by {}: {}", cipher.provider.name(), cipher.reason);
    Ok(media)
}

/// Binds the listeners of ICE-TCP and offers them to clients. Without them the server is of use to most, so it starts all
/// the same.
fn bind_tcp(config: &Config, addresses: &mut Addresses, lacks: &mut Vec<Lack>) -> Vec<TcpListener> {
    let Some(port) = config.media.tcp_port else { return Vec::new() };
    match ice_tcp::bind(&config.media) {
        Ok(listeners) => {
            addresses.offer_tcp(port);
            listeners
        }
        Err(error) => {
            lacks.push(Lack::new(
                format!("clients whose network lets no UDP through get no media: TCP port {port}: {error}"),
                "free the port, or choose another with media.tcp_port, or 0 for none",
            ));
            Vec::new()
        }
    }
}

fn start_tcp(
    config: &Config,
    listeners: Vec<TcpListener>,
    media: &mut MediaPlane,
    status: &Arc<Status>,
    lacks: &mut Vec<Lack>,
) {
    let Some(end) = media.take_tcp_end().filter(|_| !listeners.is_empty()) else { return };
    let limits = ice_tcp::Limits {
        connections_max: config.media.tcp_connections_max,
        per_address_max: config.media.tcp_connections_per_address,
    };
    let ring = config.media.io != DatagramIo::Plain;
    match ice_tcp::start(listeners, end, limits, Arc::clone(status), ring) {
        Ok(ice_tcp::Backend::Uring) => {}
        Ok(ice_tcp::Backend::Plain(reason)) => {
            tracing::info!(%reason, "ICE-TCP runs on plain sockets");
        }
        Err(error) => lacks.push(Lack::new(
            format!("clients whose network lets no UDP through get no media: {error}"),
            "the system refused a thread; look at its limits",
        )),
    }
}

/// Looks, for ever, whether the addresses of this machine (or the public ones in the settings) have changed, and has clients
/// told. Polled: it costs less than a netlink socket and its errors.
async fn watch_addresses(
    settings: Arc<ArcSwap<Media>>,
    mut bound: Vec<SocketAddr>,
    mut told: Vec<Candidate>,
    signaling: Handle,
) {
    let tcp = told.iter().find(|candidate| candidate.tcp).map(|candidate| candidate.address.port());
    let mut missing = Vec::new();
    loop {
        tokio::time::sleep(ADDRESSES_EVERY).await;
        let Ok(of_machine) = candidates::of_machine() else { continue };
        let media = settings.load_full();
        let (mut now, mut new) = candidates::present(&media, &bound, tcp, &of_machine);
        if new != missing {
            // Tried once: who has no socket for it, or too many addresses, needs a restart.
            let added = add_addresses(&signaling, &new, media.port).await;
            if !added.is_empty() {
                bound.extend(added);
                (now, new) = candidates::present(&media, &bound, tcp, &of_machine);
            }
            missing = new;
            if !missing.is_empty() {
                tracing::warn!(addresses = ?missing, "new addresses of this machine: media uses them after a restart");
            }
        }
        if now != told {
            told.clone_from(&now);
            let addresses: Vec<IpAddr> = now.iter().map(|candidate| candidate.address.ip()).collect();
            tracing::info!(?addresses, "the addresses that clients are told have changed");
            if signaling.send(Message::Candidates(now)).await.is_err() {
                return;
            }
        }
    }
}

/// Has media receive on `new` addresses too; those on which it does.
async fn add_addresses(signaling: &Handle, new: &[IpAddr], port: u16) -> Vec<SocketAddr> {
    let addresses: Vec<SocketAddr> = new.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
    let (reply, answer) = oneshot::channel();
    if addresses.is_empty() || signaling.send(Message::NewAddresses { addresses, reply }).await.is_err() {
        return Vec::new();
    }
    answer.await.unwrap_or_default()
}

/// Starts the handshake threads and the thread of the signalling loop.
fn start_signaling(
    config: &Config,
    mut media: MediaPlane,
    status: &Arc<Status>,
) -> Result<(Handle, std::thread::JoinHandle<()>)> {
    let clock = Clock::new();
    let certificate = Certificate::generate()?;
    let (handle, messages) = signaling_loop::queue();
    let ends =
        (0..config.media.handshake_threads).filter_map(|number| media.take_handshake_end(number)).collect();
    let threads = Threads::start(ends, &media.dtls_sender(), &certificate, &handle, status, clock)
        .context("cannot start the handshake threads")?;
    let streams = Streams::new(streams_config(config), random());
    let signaling = Signaling::new(signaling_config(config, certificate.fingerprint())?, random());
    let status = Arc::clone(status);
    let signaling_loop = SignalingLoop::new(clock, streams, signaling, Some(media), Some(threads), status);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = std::thread::Builder::new()
        .name("signaling".to_owned())
        .spawn(move || runtime.block_on(signaling_loop.run(messages)))
        .context("cannot start the signalling thread")?;
    Ok((handle, thread))
}

pub(crate) fn streams_config(config: &Config) -> xmpp::streams::Config {
    let mut streams = xmpp::streams::Config::new(&config.xmpp.domain);
    streams.hibernation = config.xmpp.resumption;
    streams.sessions_max = config.xmpp.sessions_max;
    let main = Domains::of(&config.xmpp.domain).main;
    streams.hosts = vec![Host { name: main.clone(), sign_in: config.auth.sign_in }];
    if config.auth.guests {
        streams.hosts.push(Host { name: format!("guest.{main}"), sign_in: SignIn::Anonymous });
    }
    streams
}

pub(crate) fn signaling_config(
    config: &Config,
    fingerprint: &channel::Fingerprint,
) -> Result<signaling::Config> {
    let domains = Domains::of(&config.xmpp.domain);
    let focus_jid =
        format!("focus@auth.{}/focus", domains.main).parse().context("the address of the focus")?;
    let fingerprint = Fingerprint { hash: fingerprint.hash.clone(), value: fingerprint.value.clone() };
    let mut focus = FocusConfig::new(focus_jid, fingerprint);
    focus.colibri_ws_base = config.conference.websocket_url.clone();
    focus.conferences_max = config.conference.rooms_max;
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let unix_ms = u64::try_from(since_1970.as_millis()).unwrap_or_default();
    let mut signaling = signaling::Config::new(domains, focus, unix_ms);
    let auth = &config.auth;
    let waits = auth.guests || auth.sign_in == (SignIn::Token { optional: true });
    if auth.sign_in == SignIn::Accounts || waits {
        signaling.hosts = Hosts::Authenticated { external: auth.jwt.is_some() };
        // Those who are authenticated moderate; nobody else is to come by it.
        signaling.focus.auto_owner = false;
    }
    if let Some(jwt) = &auth.jwt {
        signaling.token_rules = TokenRules { verify_domain: jwt.verify_domain };
        signaling.login_url = jwt.login_url.clone();
    }
    signaling.turn = config.turn.as_ref().map(turn_server).transpose()?;
    signaling.rooms_max = config.conference.rooms_max;
    signaling.policy.occupants_max = config.conference.occupants_max;
    Ok(signaling)
}

fn turn_server(turn: &Turn) -> Result<TurnServer> {
    let path = &turn.secret_file;
    let secret =
        std::fs::read(path).with_context(|| format!("turn.secret_file: cannot read {}", path.display()))?;
    anyhow::ensure!(!secret.trim_ascii().is_empty(), "turn.secret_file: {} is empty", path.display());
    Ok(TurnServer {
        host: turn.host.clone(),
        port: turn.port,
        tls_port: Some(turn.tls_port).filter(|port| *port > 0),
        secret: secret.trim_ascii().to_vec(),
        lifetime: turn.lifetime,
    })
}

/// The system's random generator.
pub(crate) fn random() -> xmpp::streams::Random {
    // Without randomness there is no safe way to go on, and Linux has it from the first second.
    Box::new(|bytes| getrandom::fill(bytes).expect("the system's random generator works"))
}

/// What the process is told by signals, heard from the moment this exists.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    drain: Signal,
}

impl Signals {
    fn new() -> Result<Signals> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
            drain: listen(SignalKind::user_defined1())?,
        })
    }

    /// Until SIGTERM, SIGINT, or the end of a drain. SIGHUP reads the settings again; SIGUSR1 begins a drain that ends the
    /// process once nobody is left.
    async fn until_stop(&mut self, status: &Status, reload: &Reload) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => {
                    let _ = sd_notify::notify(&[sd_notify::NotifyState::Reloading]);
                    reload.reload().await;
                    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
                }
                _ = self.drain.recv() => {
                    status.drain_and_end();
                    tracing::info!("draining: new conferences are refused, the process ends when nobody is left");
                }
                () = controls::drained(status) => {
                    tracing::info!("drained: nobody is left");
                    return;
                }
            }
        }
    }
}

/// Feeds the service manager's watchdog as long as the process does its work.
async fn keep_watchdog(status: Arc<Status>) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let mut beat = tokio::time::interval((limit / 3).max(Duration::from_millis(100)));
    loop {
        beat.tick().await;
        match status.health() {
            Ok(()) => {
                let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
            }
            Err(reason) => tracing::error!(%reason, "unhealthy"),
        }
    }
}

/// Something that could be better, and how.
#[derive(Debug, serde::Serialize)]
struct Lack {
    what: String,
    fix: String,
}

impl Lack {
    fn new(what: impl Into<String>, fix: impl Into<String>) -> Lack {
        Lack { what: what.into(), fix: fix.into() }
    }
}

/// Every connection is a file descriptor, and the usual soft limit is 1,024.
fn raise_descriptors(connections_max: usize, lacks: &mut Vec<Lack>) {
    let wanted = connections_max as u64 + DESCRIPTORS_BESIDE_CONNECTIONS;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    let reached = wanted.min(hard).max(soft);
    let raised = setrlimit(Resource::RLIMIT_NOFILE, reached, hard).is_ok();
    if !raised || reached < wanted {
        lacks.push(Lack::new(
            format!("{reached} open files are allowed, {connections_max} connections need {wanted}"),
            "raise the hard limit (LimitNOFILE= in the unit, ulimit -Hn in a shell) or lower http.connections_max",
        ));
    }
}

fn note_addresses(config: &Config, addresses: &Addresses, lacks: &mut Vec<Lack>) {
    if !addresses.left_out.is_empty() {
        let left_out: Vec<String> = addresses.left_out.iter().map(IpAddr::to_string).collect();
        lacks.push(Lack::new(
            format!("too many addresses, media does not use {}", left_out.join(", ")),
            "choose with media.addresses",
        ));
    }
    let public = |ip: &IpAddr| match ip {
        IpAddr::V4(v4) => !v4.is_private() && !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unique_local(),
    };
    let reachable = addresses.candidates.iter().any(|candidate| public(&candidate.address.ip()));
    if !reachable && config.media.public_addresses.is_empty() {
        lacks.push(Lack::new(
            "this machine has no public address: participants beyond the local network get no audio or video",
            "if a router or cloud forwards an address here, name it in media.public_addresses",
        ));
    }
}

/// Tells the person who started this where to go.
fn announce(http: &Http, of_machine: &[IpAddr], lacks: &[Lack], json: bool) {
    let urls = urls(http, of_machine);
    if json {
        println!(
            "{}",
            serde_json::json!({ "version": env!("CARGO_PKG_VERSION"), "urls": urls, "lacks": lacks })
        );
        return;
    }
    println!("Sluice {} is ready:", env!("CARGO_PKG_VERSION"));
    for url in &urls {
        println!("  {url}");
    }
    for Lack { what, fix } in lacks {
        println!("note: {what}; {fix}");
    }
}

/// The URL for this machine, then the one for others.
fn urls(config: &Http, of_machine: &[IpAddr]) -> Vec<String> {
    let mut urls = Vec::new();
    if let Some(listen) = config.listen {
        let host = if listen.ip().is_unspecified() { "localhost".to_owned() } else { host(listen.ip()) };
        urls.push(format!("http://{host}:{}/", listen.port()));
    }
    match (&config.public_url, config.listen_tls) {
        (Some(url), _) => urls.push(format!("{url}/")),
        (None, Some(listen)) => {
            let first = of_machine.iter().find(|ip| ip.is_ipv4() && !ip.is_loopback());
            let ip = if listen.ip().is_unspecified() { first.copied() } else { Some(listen.ip()) };
            let host = ip.map_or_else(|| "localhost".to_owned(), host);
            urls.push(format!("https://{host}:{}/", listen.port()));
        }
        (None, None) => {}
    }
    urls
}

/// An address as it stands in a URL.
fn host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

/// Pages and WebSocket frames are little work; the media threads need the cores.
const HTTP_THREADS: usize = 2;

/// An address that is gone costs those who join meanwhile some seconds of checks.
const ADDRESSES_EVERY: Duration = Duration::from_secs(5);

/// Media sockets, eventfds, listeners, libraries: some hundred at most.
const DESCRIPTORS_BESIDE_CONNECTIONS: u64 = 1_000;

pub(crate) const STOP_WITHIN: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_urls_are_shown_for_here_and_for_others() {
        let machine: Vec<IpAddr> = ["127.0.0.1", "192.0.2.7"].map(|ip| ip.parse().unwrap()).to_vec();
        let table = [
            ("", vec!["http://localhost:8080/", "https://192.0.2.7:8443/"]),
            ("listen = ''", vec!["https://192.0.2.7:8443/"]),
            (
                "listen_tls = '[::1]:443'\nlisten = '127.0.0.1:80'",
                vec!["http://127.0.0.1:80/", "https://[::1]:443/"],
            ),
            ("public_url = 'https://meet.example'", vec!["http://localhost:8080/", "https://meet.example/"]),
        ];
        for (text, expected) in table {
            let config = Config::parse(&format!("[http]\n{text}"), []).unwrap();
            assert_eq!(urls(&config.http, &machine), expected, "{text}");
        }
    }
}
