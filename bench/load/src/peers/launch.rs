//! Starting the units of a comparison: each with a configuration in a temporary folder, on the cores that the generator
//! leaves, and ended with all that it started.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use core_affinity::CoreId;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::Value;

use super::janus::{self, Janus};
use super::jvb::{self, Jvb};
use super::livekit::{self, LiveKit};
use super::web;
use crate::peer::{Peer, PeerError, random_text};
use crate::run::INTERRUPTED;
use crate::server_process::ServerProcess;
use crate::sluice::Sluice;

/// A unit that can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// Ours.
    Sluice,
    /// Jitsi Videobridge.
    Jvb,
    /// Janus with VideoRoom.
    Janus,
    /// LiveKit.
    LiveKit,
}

/// Where programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `sluice`.
    pub sluice: PathBuf,
    /// Folder with `jitsi-videobridge.jar` and `lib`.
    pub jvb: Option<PathBuf>,
    /// `janus`.
    pub janus: PathBuf,
    /// `livekit-server`.
    pub livekit: PathBuf,
}

/// First port of a comparison's servers; see [`System::start`] for how many are taken.
#[derive(Clone, Copy, Debug)]
pub struct Ports(pub u16);

/// A unit that runs. Dropping it ends it.
pub struct Server {
    /// Which.
    pub system: System,
    /// As it says itself.
    pub version: String,
    /// Just before its program was executed.
    pub executed: Instant,
    at: SocketAddr,
    secret: String,
    child: Child,
    folder: PathBuf,
}

impl System {
    /// All, in the order of their turns.
    pub const ALL: [System; 4] = [System::Sluice, System::Jvb, System::Janus, System::LiveKit];

    /// As on the command line and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            System::Sluice => "sluice",
            System::Jvb => "jvb",
            System::Janus => "janus",
            System::LiveKit => "livekit",
        }
    }

    /// What is not there, and what to do about it; `None` if all is.
    pub fn missing(self, programs: &Programs) -> Option<String> {
        let lacks = |program: &Path, how: &str| {
            let found = find(program).is_some();
            (!found).then(|| format!("{}: `{}` is not installed; {how}", self.name(), program.display()))
        };
        match self {
            System::Sluice => {
                lacks(&programs.sluice, "build it (scripts/build) or name it (--sluice PROGRAM)")
            }
            System::Janus => lacks(
                &programs.janus,
                "it is Debian's package `janus`; elsewhere: --janus PROGRAM or JANUS=PROGRAM",
            ),
            System::LiveKit => lacks(
                &programs.livekit,
                "name LiveKit's server program: --livekit PROGRAM or LIVEKIT=PROGRAM",
            ),
            System::Jvb => {
                let how = "name the unpacked folder of Jitsi Videobridge, with jitsi-videobridge.jar and lib: --jvb FOLDER or \
                           JVB=FOLDER; it needs `java` 17 or newer";
                let Some(folder) = &programs.jvb else {
                    return Some(format!("jvb: no folder is named; {how}"));
                };
                if !folder.join("jitsi-videobridge.jar").is_file() {
                    return Some(format!("jvb: {} has no jitsi-videobridge.jar; {how}", folder.display()));
                }
                lacks(Path::new("java"), how)
            }
        }
    }

    /// Starts it on `cores` and waits until it answers. All together take a thousand ports from `ports`, most
    /// of them Janus, which has one for each connection.
    ///
    /// # Errors
    /// If it cannot be started or does not answer, with the end of what it wrote.
    pub fn start(self, programs: &Programs, ports: Ports, cores: &[CoreId]) -> Result<Server, PeerError> {
        let mut server = self.execute(programs, ports, cores)?;
        server.wait_until_ready()?;
        server.version = server.ask_version(programs);
        Ok(server)
    }

    /// Starts it as [`System::start`] does, and does not wait.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn execute(self, programs: &Programs, ports: Ports, cores: &[CoreId]) -> Result<Server, PeerError> {
        let folder = std::env::temp_dir().join(format!("sluice-load-{}-{}", self.name(), random_text(6)));
        let failed = |error: std::io::Error| PeerError::new(&format!("starting {}", self.name()), error);
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let secret = random_text(40);
        let (at, command) = self.prepare(programs, ports, cores, &folder, &secret).map_err(failed)?;
        if std::net::TcpStream::connect(at).is_ok() {
            let _ = std::fs::remove_dir_all(&folder);
            return Err(PeerError(format!(
                "{}: something listens at {at} already; --port moves us",
                self.name()
            )));
        }
        let log = File::create(folder.join(LOG)).map_err(failed)?;
        let list: Vec<String> = cores.iter().map(|core| core.id.to_string()).collect();
        // Should we be killed, it ends too; a group of its own, so that Ctrl-C is ours to act upon.
        let mut whole = Command::new("setpriv");
        whole.args(["--pdeathsig", "KILL", "--"]);
        if !list.is_empty() {
            whole.args(["taskset", "-c", &list.join(",")]);
        }
        whole.arg(command.get_program()).args(command.get_args()).current_dir(&folder).process_group(0);
        whole.stdin(Stdio::null()).stderr(log.try_clone().map_err(failed)?).stdout(log);
        let executed = Instant::now();
        let child = whole.spawn().map_err(failed)?;
        Ok(Server { system: self, version: String::new(), executed, at, secret, child, folder })
    }

    /// Writes the configuration; where its interface will be, and how it is started.
    fn prepare(
        self,
        programs: &Programs,
        Ports(first): Ports,
        cores: &[CoreId],
        folder: &Path,
        secret: &str,
    ) -> std::io::Result<(SocketAddr, Command)> {
        let at = |offset: u16| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), first + offset);
        let file = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).map(|()| path)
        };
        Ok(match self {
            System::Sluice => {
                let config = sluice_config(at(0), first + 1, cores.len().max(1));
                let mut command = Command::new(absolute(&programs.sluice));
                command.args(["serve", "--config"]).arg(file("sluice.toml", &config)?);
                (at(0), command)
            }
            System::Jvb => {
                let home = absolute(programs.jvb.as_deref().unwrap_or(Path::new(".")));
                let config = file("jvb.conf", &jvb::config(at(10), first + 11, outward()))?;
                let mut command = Command::new("java");
                command.arg("-Xmx3072m").arg(format!("-Dconfig.file={}", config.display()));
                let logging = home.join("lib/logging.properties");
                command.arg(format!("-Djava.util.logging.config.file={}", logging.display()));
                let (jar, libraries) = (home.join("jitsi-videobridge.jar"), home.join("lib/*"));
                command.arg("-cp").arg(format!("{}:{}", jar.display(), libraries.display()));
                command.arg("org.jitsi.videobridge.MainKt");
                (at(10), command)
            }
            System::Janus => {
                let libraries = janus_libraries().ok_or_else(|| {
                    std::io::Error::other("the folder with Janus's plugins and transports was not found")
                })?;
                for (name, text) in janus::config(at(20), folder, &libraries, (first + 40, first + 999)) {
                    file(name, &text)?;
                }
                let mut command = Command::new(absolute(&programs.janus));
                command.arg("--configs-folder").arg(folder).arg("--disable-colors");
                (at(20), command)
            }
            System::LiveKit => {
                let config = file("livekit.yaml", &livekit::config(at(30), first + 31, secret))?;
                let mut command = Command::new(absolute(&programs.livekit));
                command.arg("--config").arg(config);
                (at(30), command)
            }
        })
    }
}

impl Server {
    /// The process that is measured, with all that it starts.
    pub fn process(&self) -> ServerProcess {
        ServerProcess { pid: self.child.id() }
    }

    /// The adapter for it.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn peer(&self) -> Result<Arc<dyn Peer>, PeerError> {
        Ok(match self.system {
            System::Sluice => {
                let server = crate::sluice::Server::at(&format!("http://{}", self.at), false).await?;
                Arc::new(Sluice::find(server, true).await?)
            }
            System::Jvb => Arc::new(Jvb::new(self.at)),
            System::Janus => Arc::new(Janus::new(self.at)),
            System::LiveKit => Arc::new(LiveKit::new(self.at, &self.secret)),
        })
    }

    /// The adapter for it, as soon as it answers.
    ///
    /// # Errors
    /// If it ends or does not answer, with the end of what it wrote.
    pub async fn peer_once_ready(&mut self) -> Result<Arc<dyn Peer>, PeerError> {
        let patience = Instant::now() + READY_WITHIN;
        loop {
            match self.peer().await {
                Ok(peer) => return Ok(peer),
                Err(_) => self.still_starting(patience)?,
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn wait_until_ready(&mut self) -> Result<(), PeerError> {
        let patience = Instant::now() + READY_WITHIN;
        while std::net::TcpStream::connect(self.at).is_err() {
            self.still_starting(patience)?;
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn still_starting(&mut self, patience: Instant) -> Result<(), PeerError> {
        let ended = self.child.try_wait().is_ok_and(|status| status.is_some());
        if !ended && Instant::now() <= patience && !INTERRUPTED.load(Ordering::Relaxed) {
            return Ok(());
        }
        let log = std::fs::read_to_string(self.folder.join(LOG)).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(LOG_LINES).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        let what = if ended { "ended at once" } else { "does not answer" };
        Err(PeerError(format!("{} {what}:\n{}", self.system.name(), last.join("\n"))))
    }

    fn ask_version(&self, programs: &Programs) -> String {
        let said = |program: &Path| {
            let output = Command::new(absolute(program)).arg("--version").output().ok()?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let mut words = text.split_whitespace().map(|word| word.trim_matches(['(', ')', 'v']));
            let version =
                |word: &&str| word.contains('.') && word.starts_with(|first: char| first.is_ascii_digit());
            words.find(version).map(str::to_owned)
        };
        let version = match self.system {
            System::Sluice => said(&programs.sluice),
            System::LiveKit => said(&programs.livekit),
            System::Janus => said(&programs.janus),
            System::Jvb => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok();
                let asked =
                    runtime.map(|it| it.block_on(web::request(self.at, "GET", "/about/version", None)));
                let answer =
                    asked.and_then(Result::ok).and_then(|text| serde_json::from_str::<Value>(&text).ok());
                answer.and_then(|answer| answer["version"].as_str().map(str::to_owned))
            }
        };
        version.unwrap_or_else(|| "unknown".to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let group = Pid::from_raw(self.child.id().cast_signed());
        let _ = killpg(group, Signal::SIGTERM);
        let patience = Instant::now() + END_WITHIN;
        while self.child.try_wait().is_ok_and(|status| status.is_none()) && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(50));
        }
        // What is left of the group; usually nobody.
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn sluice_config(at: SocketAddr, media_port: u16, workers: usize) -> String {
    format!(
        "[http]
listen = \"{at}\"
listen_tls = \"\"
private = \"{}:{}\"
[media]
port = {media_port}
tcp_port = 0
workers = {workers}
pin = false
",
        at.ip(),
        at.port() + 2
    )
}

/// The address of this machine that packets to others leave from, if it has one beyond loopback. Nothing is sent.
fn outward() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((FAR_AWAY, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Debian's place and those of an installation from source.
fn janus_libraries() -> Option<PathBuf> {
    let mut places: Vec<PathBuf> =
        ["/usr/lib/janus", "/usr/local/lib/janus", "/opt/janus/lib/janus"].map(PathBuf::from).into();
    let triplets = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    places.extend(triplets.map(|entry| entry.path().join("janus")));
    places.into_iter().find(|place| place.join("plugins/libjanus_videoroom.so").exists())
}

/// The file of a program: as named, or in the search path.
fn find(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Servers run in another folder than we.
fn absolute(path: &Path) -> PathBuf {
    let found = find(path).unwrap_or_else(|| path.to_owned());
    std::fs::canonicalize(&found).unwrap_or(found)
}

/// Of TEST-NET-2 (RFC 5737): it has the route of any stranger.
const FAR_AWAY: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const LOG: &str = "log";
/// Lines of it in an error.
const LOG_LINES: usize = 8;
/// A virtual machine for Java that shares its core needs half of this.
const READY_WITHIN: Duration = Duration::from_secs(60);
const END_WITHIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_installed_is_named_with_what_to_do() {
        let programs = Programs {
            sluice: "/nowhere/sluice".into(),
            jvb: None,
            janus: "no-such-janus".into(),
            livekit: "/nowhere/livekit-server".into(),
        };
        for (system, parts) in [
            (System::Sluice, ["/nowhere/sluice", "scripts/build"]),
            (System::Jvb, ["no folder", "JVB=FOLDER"]),
            (System::Janus, ["no-such-janus", "Debian's package"]),
            (System::LiveKit, ["/nowhere/livekit-server", "LIVEKIT=PROGRAM"]),
        ] {
            let said = system.missing(&programs).unwrap_or_else(|| panic!("{}", system.name()));
            assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        }
        let programs = Programs { jvb: Some("/nowhere".into()), ..programs };
        assert!(System::Jvb.missing(&programs).is_some_and(|said| said.contains("no jitsi-videobridge.jar")));
    }
}
