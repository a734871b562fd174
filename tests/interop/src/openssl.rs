//! DTLS by the `openssl` program in place of str0m's own: another implementation, and one whose SRTP profiles can be chosen.
//!
//! The program speaks to a relay socket; what it exports (RFC 5705, RFC 5764 §4.2) is read from what it prints.

use std::fmt::{Debug, Formatter};
use std::io::Read;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use str0m::config::{CryptoProvider, DtlsCert, DtlsVersion, KeyingMaterial};
use str0m::crypto::CryptoError;
use str0m::crypto::dtls::{
    DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, ProtocolVersion, SrtpProfile,
};

/// str0m's crypto with DTLS by `openssl`, which offers `profiles` (its names, by colons). `None` if the program is not there.
pub fn provider(profiles: &'static str) -> Option<Arc<CryptoProvider>> {
    let version = Command::new("openssl").arg("version").stdout(Stdio::null()).status();
    version.ok().filter(|status| status.success())?;
    let own = str0m::crypto::from_feature_flags();
    // One for each test that asks: they live as long as the process.
    let provider = Box::leak(Box::new(Provider { profiles, certificates: own.dtls_provider }));
    Some(Arc::new(CryptoProvider { dtls_provider: provider, ..own }))
}

#[derive(Debug)]
struct Provider {
    profiles: &'static str,
    certificates: &'static dyn DtlsProvider,
}

impl DtlsProvider for Provider {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        self.certificates.generate_certificate()
    }

    fn new_dtls(
        &self,
        certificate: &DtlsCert,
        now: Instant,
        _version: DtlsVersion,
        _mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        Ok(Box::new(Instance::start(self.profiles, certificate, now).map_err(CryptoError::Io)?))
    }
}

struct Instance {
    profiles: &'static str,
    files: [PathBuf; 2],
    relay: UdpSocket,
    program: Option<Child>,
    /// Where the program sends from; known with its first datagram.
    peer: Option<SocketAddr>,
    printed: Arc<Mutex<String>>,
    now: Instant,
    /// Outputs that are still to be told of those that end the handshake.
    told: u8,
}

impl Instance {
    fn start(profiles: &'static str, certificate: &DtlsCert, now: Instant) -> std::io::Result<Instance> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let file =
            |kind| std::env::temp_dir().join(format!("interop-{}-{number}.{kind}", std::process::id()));
        let files = [file("certificate"), file("key")];
        std::fs::write(&files[0], &certificate.certificate)?;
        std::fs::write(&files[1], &certificate.private_key)?;
        let relay = UdpSocket::bind(("127.0.0.1", 0))?;
        relay.set_nonblocking(true)?;
        let printed = Arc::default();
        Ok(Instance { profiles, files, relay, program: None, peer: None, printed, now, told: 0 })
    }

    fn run(&mut self) -> std::io::Result<()> {
        let address = self.relay.local_addr()?.to_string();
        let mut program = Command::new("openssl")
            .args(["s_client", "-dtls1_2", "-connect", &address, "-mtu", "1200", "-certform", "DER", "-cert"])
            .arg(&self.files[0])
            .args(["-keyform", "DER", "-key"])
            .arg(&self.files[1])
            .args([
                "-use_srtp",
                self.profiles,
                "-keymatexport",
                "EXTRACTOR-dtls_srtp",
                "-keymatexportlen",
                LONGEST,
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let printed = Arc::clone(&self.printed);
        if let Some(mut stdout) = program.stdout.take() {
            std::thread::spawn(move || {
                let mut buffer = [0; 4_096];
                while let Ok(len @ 1..) = stdout.read(&mut buffer) {
                    let mut printed = printed.lock().unwrap_or_else(PoisonError::into_inner);
                    printed.push_str(&String::from_utf8_lossy(&buffer[..len]));
                }
            });
        }
        self.program = Some(program);
        Ok(())
    }

    /// Profile and keys, once the handshake is over.
    fn exported(&self) -> Option<(SrtpProfile, Vec<u8>)> {
        let printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        let line = |start: &str| printed.lines().find_map(|line| line.trim().strip_prefix(start));
        let (profile, len) = match line("SRTP Extension negotiated, profile=")? {
            "SRTP_AES128_CM_SHA1_80" => (SrtpProfile::AES128_CM_SHA1_80, 60),
            "SRTP_AEAD_AES_128_GCM" => (SrtpProfile::AEAD_AES_128_GCM, 56),
            "SRTP_AEAD_AES_256_GCM" => (SrtpProfile::AEAD_AES_256_GCM, 88),
            _ => return None,
        };
        let digits = line("Keying material: ").filter(|digits| digits.len() == 2 * EXPORTED)?;
        let byte = |at: usize| u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok();
        Some((profile, (0..len).map(byte).collect::<Option<_>>()?))
    }
}

impl DtlsInstance for Instance {
    fn set_active(&mut self, active: bool) {
        assert!(active, "only the client's side is played");
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        if self.program.is_none() {
            self.run().expect("the program that told its version runs");
        }
        if let Some(peer) = self.peer.filter(|_| !packet.is_empty()) {
            // Loss is dealt with by DTLS.
            let _ = self.relay.send_to(packet, peer);
        }
        Ok(())
    }

    fn poll_output<'a>(&mut self, buffer: &'a mut [u8]) -> DtlsOutput<'a> {
        if let Ok((len, peer)) = self.relay.recv_from(buffer) {
            self.peer = Some(peer);
            return DtlsOutput::Packet(&buffer[..len]);
        }
        if let Some((profile, keys)) = self.exported().filter(|_| self.told < 2) {
            self.told += 1;
            return match self.told {
                1 => DtlsOutput::KeyingMaterial(KeyingMaterial::new(&keys), profile),
                _ => DtlsOutput::Connected,
            };
        }
        DtlsOutput::Timeout(self.now + PAUSE)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.now = now;
        Ok(())
    }

    /// Nothing is sent inside: there are no data channels here.
    fn send_application_data(&mut self, _data: &[u8]) -> Result<usize, DtlsImplError> {
        Ok(0)
    }

    fn is_active(&self) -> bool {
        true
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        (self.told > 0).then_some(ProtocolVersion::DTLS1_2)
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        Ok(())
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(mut program) = self.program.take() {
            let _ = program.kill();
            let _ = program.wait();
        }
        for file in &self.files {
            let _ = std::fs::remove_file(file);
        }
    }
}

impl Debug for Instance {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "openssl({})", self.profiles)
    }
}

/// Between two looks at what the program sends and prints.
const PAUSE: Duration = Duration::from_millis(5);
/// What is exported: enough for the profile with the longest keys; shorter ones take the beginning.
const EXPORTED: usize = 88;
const LONGEST: &str = "88";
