use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{CertificateParams, KeyPair};

use super::*;
use crate::config::Config;

/// A folder that goes with its test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("sluice-tls-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// Writes a certificate for `name` and its key; settings that name them.
    fn pair(&self, name: &str, days: i64) -> Http {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = (std::time::SystemTime::now() - Duration::from_secs(100 * 86_400)).into();
        params.not_after = std::time::UNIX_EPOCH.into();
        params.not_after += Duration::from_secs(u64::try_from(since_1970() + days * 86_400).unwrap());
        self.write("cert.pem", &params.self_signed(&key).unwrap().pem());
        self.write("key.pem", &key.serialize_pem());
        self.settings()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    fn settings(&self) -> Http {
        let [certificate, key] = ["cert.pem", "key.pem"].map(|name| self.0.join(name).display().to_string());
        Config::parse(&format!("[http]\ncertificate = '{certificate}'\nkey = '{key}'"), []).unwrap().http
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn no_files() -> Http {
    Config::parse("", []).unwrap().http
}

fn own(state: Option<&Path>) -> Identity {
    self_signed::kept_or_made(state, &self_signed::names(&no_files(), &[IpAddr::from([127, 0, 0, 1])]))
        .unwrap()
}

/// The certificate that a client of `tls` would be shown.
fn shown(tls: &Tls) -> Vec<u8> {
    let config = tls.in_use().get_inner();
    assert_eq!(config.alpn_protocols, [b"http/1.1".to_vec()]);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = rustls::ServerConnection::new(config).unwrap();
    for _ in 0..10 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets().unwrap();
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets().unwrap();
        if !client.is_handshaking() && !server.is_handshaking() {
            break;
        }
    }
    client.peer_certificates().unwrap()[0].to_vec()
}

/// Accepts any certificate: the test looks at it itself.
#[derive(Debug)]
struct Anyone;

impl rustls::client::danger::ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

#[test]
fn our_own_certificate_is_made_once_and_kept_where_nobody_else_can_read_it() {
    let folder = Folder::new();
    let state = folder.0.join("state");
    let first = own(Some(&state));
    assert_eq!(own(Some(&state)).chain, first.chain);
    let path = state.join("self-signed.pem");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&state), mode(&path)), (0o700, 0o600));
    let days = (first.not_after - since_1970()) / 86_400;
    assert!((800..=825).contains(&days), "{days}");
    assert_eq!(std::fs::read_dir(&state).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_kept_certificate_that_is_broken_or_open_to_others_is_made_anew() {
    let folder = Folder::new();
    let path = folder.0.join("self-signed.pem");
    let first = own(Some(&folder.0));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let second = own(Some(&folder.0));
    assert_ne!(second.chain, first.chain);
    std::fs::write(&path, "no certificate").unwrap();
    assert_ne!(own(Some(&folder.0)).chain, second.chain);
    let nowhere = own(Some(Path::new("/proc/nowhere")));
    assert!(nowhere.is_valid_at(since_1970()), "it serves from memory");
}

#[test]
fn a_new_pair_is_shown_to_the_next_client_and_a_bad_one_is_refused() {
    let folder = Folder::new();
    let http = folder.pair("one.example", 30);
    let status = Arc::new(Status::new());
    let tls = Tls::new(&http, None, &[], &status).unwrap();
    let first = shown(&tls);
    assert!(status.tls.is_real());

    folder.pair("two.example", 60);
    tls.reload(&http).unwrap();
    let second = shown(&tls);
    assert_ne!(first, second);
    let expires = status.tls.read().0;

    let good = ["cert.pem", "key.pem"].map(|name| std::fs::read_to_string(folder.0.join(name)).unwrap());
    let foreign = KeyPair::generate().unwrap().serialize_pem();
    folder.pair("late.example", -1);
    let late = ["cert.pem", "key.pem"].map(|name| std::fs::read_to_string(folder.0.join(name)).unwrap());
    let table: [(&str, &str, &str, &str); 5] = [
        ("a key of another", &good[0], &foreign, "belong together"),
        ("half a certificate", &good[0][..good[0].len() / 2], &good[1], "http.certificate"),
        ("no certificate", "", &good[1], "no certificate"),
        ("no key", &good[0], "", "http.key"),
        ("an expired one", &late[0], &late[1], "not valid"),
    ];
    for (count, (name, certificate, key, said)) in table.into_iter().enumerate() {
        folder.write("cert.pem", certificate);
        folder.write("key.pem", key);
        let error = format!("{:#}", tls.reload(&http).unwrap_err());
        assert!(error.contains(said), "{name}: {error}");
        assert_eq!(shown(&tls), second, "{name}");
        assert_eq!(status.tls.read(), (expires, 1, count as u64 + 1), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn changed_files_are_found_without_being_told() {
    let folder = Folder::new();
    let http = folder.pair("one.example", 30);
    let status = Arc::new(Status::new());
    let tls = Tls::new(&http, None, &[], &status).unwrap();
    let first = shown(&tls);
    tokio::spawn(Arc::clone(&tls).watch());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((shown(&tls), status.tls.read().1), (first.clone(), 0));
    folder.pair("two.example", 30);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_ne!(shown(&tls), first);
    folder.write("key.pem", "no key");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (_, reloaded, refused) = status.tls.read();
    assert_eq!((reloaded, refused), (1, 1), "a bad pair is tried once, not every two seconds");
}

#[test]
fn a_missing_file_names_the_key() {
    let config = Config::parse("[http]\ncertificate = '/nowhere/c.pem'\nkey = '/nowhere/k.pem'", []).unwrap();
    let status = Arc::new(Status::new());
    let error = format!("{:#}", Tls::new(&config.http, None, &[], &status).err().unwrap());
    assert!(error.contains("http.certificate") && error.contains("/nowhere/c.pem"), "{error}");
}
