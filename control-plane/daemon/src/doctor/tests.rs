use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tuning::{Advice, Plan, Profile, Step, Target, Weight};

use super::host::{Kind, Space};
use super::*;
use crate::tune::Looked;

/// A host on which nothing is wrong, to plant one fault in.
struct Patient {
    settings: String,
    now: i64,
    files: HashMap<String, Vec<u8>>,
    names: HashMap<String, Vec<IpAddr>>,
    addresses: Vec<IpAddr>,
    seen_as: Vec<SocketAddr>,
    ahead: f64,
    /// What does not answer.
    answers: Option<Kind>,
    taken: Option<(Kind, u16)>,
    runs: bool,
    debug: String,
    rules: String,
    receive_buffer: usize,
    segmentation: bool,
    ring: Vec<String>,
    plan: Plan,
    free: u64,
    mtu: u32,
}

/// 2026-11-22.
const NOW: i64 = 1_795_305_600;

fn certificate(until: (i32, u8, u8), name: &str) -> Vec<u8> {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(until.0, until.1, until.2);
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().pem().into_bytes()
}

impl Patient {
    fn healthy() -> Patient {
        let settings = "[http]\npublic_url = 'https://meet.example'\ncertificate = '/tls/chain.pem'\nkey = '/tls/key.pem'\n\
            [media]\npublic_addresses = ['203.0.113.9']\nloopback = false\n\
            [doctor]\nstun_servers = ['stun.example:3478', 'stun2.example:3478']\nntp_server = 'time.example'\n";
        let limits = "Limit Soft Hard Units\nMax open files 65536 65536 files\nMax locked memory 536870912 536870912 bytes\n";
        let files = [
            ("/tls/chain.pem", certificate((2027, 3, 1), "meet.example")),
            ("/tls/key.pem", b"key".to_vec()),
            ("/proc/meminfo", b"MemTotal: 8000000 kB\nMemAvailable: 6000000 kB\n".to_vec()),
            ("/proc/7/limits", limits.as_bytes().to_vec()),
        ];
        Patient {
            settings: settings.to_owned(),
            now: NOW,
            files: files.into_iter().map(|(path, bytes)| (path.to_owned(), bytes)).collect(),
            names: HashMap::from([("meet.example".to_owned(), vec!["203.0.113.9".parse().unwrap()])]),
            addresses: vec!["127.0.0.1".parse().unwrap(), "10.0.0.5".parse().unwrap()],
            seen_as: vec!["203.0.113.9:40000".parse().unwrap(), "203.0.113.9:40000".parse().unwrap()],
            ahead: 0.02,
            answers: None,
            taken: None,
            runs: true,
            debug: "{\"workers\":[{\"statistics\":{\"endpoints\":3}}],\"dtls\":{\"reached\":3}}".to_owned(),
            rules: String::new(),
            receive_buffer: 4 << 20,
            segmentation: true,
            ring: Vec::new(),
            plan: Plan::default(),
            free: 50 << 30,
            mtu: 1_500,
        }
    }

    fn findings(&self) -> Vec<Finding> {
        all(&Config::parse(&self.settings, []).unwrap(), self)
    }

    fn set(&mut self, from: &str, to: &str) {
        assert!(self.settings.contains(from));
        self.settings = self.settings.replace(from, to);
    }
}

impl Host for Patient {
    fn now(&self) -> i64 {
        self.now
    }
    fn read(&self, path: &str) -> io::Result<String> {
        self.files
            .get(path)
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            .ok_or(ErrorKind::NotFound.into())
    }
    fn read_bytes(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.get(path.to_str().unwrap()).cloned().ok_or(ErrorKind::NotFound.into())
    }
    fn exists(&self, _: &str) -> bool {
        true
    }
    fn space(&self, _: &str) -> io::Result<Space> {
        Ok(Space { free: self.free, total: 100 << 30 })
    }
    fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.names.get(name).cloned().ok_or_else(|| io::Error::other("Name or service not known"))
    }
    fn addresses(&self) -> Vec<IpAddr> {
        self.addresses.clone()
    }
    fn mtus(&self) -> Vec<(String, u32)> {
        vec![("eth0".to_owned(), self.mtu)]
    }
    fn stun(&self, servers: &[String]) -> (u16, Vec<io::Result<SocketAddr>>) {
        let answer = |at| self.seen_as.get(at).copied().ok_or(ErrorKind::TimedOut.into());
        (40_000, (0..servers.len()).map(answer).collect())
    }
    fn clock_ahead(&self, _: &str) -> io::Result<f64> {
        Ok(self.ahead)
    }
    fn media_answers(&self, kind: Kind, _: SocketAddr) -> io::Result<()> {
        if self.answers != Some(kind) {
            Ok(())
        } else {
            Err(io::Error::new(ErrorKind::TimedOut, "no answer"))
        }
    }
    fn bindable(&self, kind: Kind, address: SocketAddr) -> io::Result<()> {
        if self.taken == Some((kind, address.port())) { Err(ErrorKind::AddrInUse.into()) } else { Ok(()) }
    }
    fn holder(&self, _: Kind, _: u16) -> Option<(u32, String)> {
        Some((7, "coturn".to_owned()))
    }
    fn page(&self, _: SocketAddr, path: &str) -> io::Result<String> {
        match path {
            _ if !self.runs => Err(ErrorKind::ConnectionRefused.into()),
            "/about/health" => Ok("healthy\n".to_owned()),
            _ => Ok(self.debug.clone()),
        }
    }
    fn firewall(&self) -> io::Result<String> {
        Ok(self.rules.clone())
    }
    fn receive_buffer(&self, wanted: usize) -> io::Result<usize> {
        Ok(wanted.min(self.receive_buffer))
    }
    fn segmentation(&self) -> bool {
        self.segmentation
    }
    fn ring_findings(&self) -> Vec<String> {
        self.ring.clone()
    }
    fn tuning(&self) -> Looked {
        Looked { profile: Profile::Shared, findings: Vec::new(), plan: self.plan.clone() }
    }
    fn pause(&self, _: Duration) {}
}

#[test]
fn nothing_is_wrong_with_a_healthy_host_but_that_it_is_translated() {
    let findings = Patient::healthy().findings();
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(findings.iter().all(|finding| finding.level == Level::Note), "{lines:#?}");
    assert!(sound(&findings));
    let mut direct = Patient::healthy();
    direct.addresses.push("203.0.113.9".parse().unwrap());
    assert_eq!(
        direct.findings(),
        [],
        "and of one with its own public address there is nothing to say at all"
    );
}

/// One planted fault: what is changed, and the check that must name it, how badly, and with which words.
type Planted = (&'static str, fn(&mut Patient), &'static str, Level, &'static [&'static str]);

fn offload_off() -> Plan {
    let step = Step {
        target: Target::Feature { interface: "eth0".to_owned(), name: "tx-udp-segmentation".to_owned() },
        before: "off".to_owned(),
        after: "on".to_owned(),
        weight: Weight::Matters,
        reason: "the card cuts one large send into packets",
    };
    Plan { steps: vec![step], advice: Vec::new() }
}

fn full_table() -> Plan {
    let advice = Advice {
        about: "connection tracking".to_owned(),
        weight: Weight::Matters,
        reason: "the firewall tracks connections".to_owned(),
        fix: "notrack".to_owned(),
    };
    Plan { steps: Vec::new(), advice: vec![advice] }
}

const FAULTS: [Planted; 27] = [
    (
        "wrong advertised address",
        |p| {
            p.set("['203.0.113.9']", "['198.51.100.1']");
            p.names.insert("meet.example".into(), vec!["198.51.100.1".parse().unwrap()]);
        },
        "addresses",
        Level::Fault,
        &["203.0.113.9", "198.51.100.1", "media.public_addresses"],
    ),
    (
        "an address the machine has not",
        |p| p.set("loopback", "addresses = ['192.0.2.77']\nloopback"),
        "addresses",
        Level::Fault,
        &["192.0.2.77", "10.0.0.5"],
    ),
    (
        "blocked UDP",
        |p| p.answers = Some(Kind::Udp),
        "udp",
        Level::Fault,
        &["UDP 10.0.0.5:10000", "firewall"],
    ),
    (
        "a fallback that is closed",
        |p| p.answers = Some(Kind::Tcp),
        "tcp",
        Level::Warning,
        &["TCP 10.0.0.5:4443", "media.tcp_port"],
    ),
    (
        "expired certificate",
        |p| drop(p.files.insert("/tls/chain.pem".into(), certificate((2026, 11, 1), "meet.example"))),
        "certificate",
        Level::Fault,
        &["expired 21 days ago", "renew"],
    ),
    (
        "a certificate that ends soon",
        |p| drop(p.files.insert("/tls/chain.pem".into(), certificate((2026, 11, 30), "meet.example"))),
        "certificate",
        Level::Warning,
        &["ends in 8 days"],
    ),
    (
        "a certificate for another name",
        |p| drop(p.files.insert("/tls/chain.pem".into(), certificate((2027, 3, 1), "other.example"))),
        "certificate",
        Level::Fault,
        &["other.example, not for meet.example"],
    ),
    (
        "a certificate that is not there",
        |p| drop(p.files.remove("/tls/chain.pem")),
        "certificate",
        Level::Fault,
        &["/tls/chain.pem", "http.certificate"],
    ),
    (
        "a key that may not be read",
        |p| drop(p.files.remove("/tls/key.pem")),
        "certificate",
        Level::Fault,
        &["/tls/key.pem", "0640"],
    ),
    (
        "rubbish for a certificate",
        |p| drop(p.files.insert("/tls/chain.pem".into(), b"rubbish".to_vec())),
        "certificate",
        Level::Fault,
        &["holds no certificate", "PEM"],
    ),
    (
        "a clock that is ahead",
        |p| p.ahead = 3_600.0,
        "clock",
        Level::Fault,
        &["3600 s ahead of", "timedatectl"],
    ),
    ("a clock that is behind", |p| p.ahead = -90.0, "clock", Level::Fault, &["90 s behind"]),
    (
        "tiny rmem",
        |p| p.receive_buffer = 212_992,
        "socket-buffers",
        Level::Warning,
        &["208 KiB of 4096", "net.core.rmem_max"],
    ),
    (
        "taken port",
        |p| {
            p.runs = false;
            p.taken = Some((Kind::Udp, 10_000));
        },
        "ports",
        Level::Fault,
        &["UDP port 10000", "coturn (process 7)", "media.port"],
    ),
    (
        "taken private port",
        |p| {
            p.runs = false;
            p.taken = Some((Kind::Tcp, 8_888));
        },
        "ports",
        Level::Fault,
        &["TCP port 8888", "http.private"],
    ),
    (
        "no USO on the card",
        |p| p.plan = offload_off(),
        "card",
        Level::Warning,
        &["tx-udp-segmentation is off", "tune apply"],
    ),
    (
        "a full table of connections",
        |p| p.plan = full_table(),
        "card",
        Level::Warning,
        &["tracks connections"],
    ),
    ("no GSO in the kernel", |p| p.segmentation = false, "kernel", Level::Warning, &["UDP GSO", "4.18"]),
    (
        "no io_uring",
        |p| p.ring = vec!["the kernel forbids it".to_owned()],
        "kernel",
        Level::Warning,
        &["forbids it", "media.io"],
    ),
    (
        "low memlock",
        |p| {
            drop(
                p.files
                    .insert("/proc/7/limits".into(), b"Max locked memory 8388608 8388608 bytes\n".to_vec()),
            )
        },
        "memlock",
        Level::Warning,
        &["8192 KiB", "LimitMEMLOCK"],
    ),
    (
        "few files",
        |p| drop(p.files.insert("/proc/7/limits".into(), b"Max open files 1024 4096 files\n".to_vec())),
        "nofile",
        Level::Warning,
        &["4096 files", "LimitNOFILE"],
    ),
    ("full disk", |p| p.free = 1 << 20, "disk", Level::Fault, &["full (1 MiB left)", "vacuum"]),
    ("bad DNS", |p| p.names.clear(), "dns", Level::Fault, &["meet.example has no address", "A record"]),
    (
        "DNS that leads elsewhere",
        |p| drop(p.names.insert("meet.example".into(), vec!["198.51.100.7".parse().unwrap()])),
        "dns",
        Level::Warning,
        &["198.51.100.7", "point meet.example to 203.0.113.9"],
    ),
    (
        "little memory",
        |p| {
            drop(
                p.files.insert(
                    "/proc/meminfo".into(),
                    b"MemTotal: 1000000 kB\nMemAvailable: 50000 kB\n".to_vec(),
                ),
            )
        },
        "memory",
        Level::Warning,
        &["48 MiB"],
    ),
    ("a narrow line", |p| p.mtu = 1_200, "mtu", Level::Warning, &["eth0", "1200 bytes"]),
    (
        "works with two, dies with three",
        |p| p.debug = p.debug.replace("\"reached\":3", "\"reached\":0"),
        "works-with-two-dies-with-three",
        Level::Fault,
        &["3 of 3 participants", "UDP 10000", "/selftest"],
    ),
];

#[test]
fn each_planted_fault_is_found_and_nothing_else_is() {
    for (name, plant, check, level, words) in FAULTS {
        let mut patient = Patient::healthy();
        plant(&mut patient);
        let findings: Vec<Finding> =
            patient.findings().into_iter().filter(|finding| finding.level > Level::Note).collect();
        let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert_eq!(findings.len(), 1, "{name}: {lines:#?}");
        assert_eq!((findings[0].check, findings[0].level), (check, level), "{name}: {lines:#?}");
        for word in words {
            assert!(lines[0].contains(word), "{name}: `{word}` is not in: {}", lines[0]);
        }
        assert_eq!(sound(&findings), level < Level::Fault, "{name}");
        assert!(!lines[0].contains('\n'), "{name}: one line");
    }
}

#[test]
fn firewalls_are_understood_by_what_they_drop() {
    let chain = |policy: &str, rule: &str| {
        format!(
            "table inet filter {{\n chain input {{\n type filter hook input priority filter; policy {policy};\n {rule}\n }}\n}}\n"
        )
    };
    let table = [
        (chain("accept", "udp dport 10000 drop"), Some((Level::Fault, "udp dport 10000 drop"))),
        (chain("drop", "tcp dport 443 accept"), Some((Level::Warning, "none names UDP 10000"))),
        (chain("drop", "udp dport { 443, 10000 } accept"), None),
        (chain("accept", "tcp dport 100001 drop"), None),
        (chain("accept", "reject"), Some((Level::Warning, "none names UDP 10000"))),
        (String::new(), None),
    ];
    for (rules, expected) in table {
        let patient = Patient { rules: rules.clone(), ..Patient::healthy() };
        let found = patient.findings().into_iter().find(|finding| finding.check == "firewall");
        match (found, expected) {
            (None, None) => {}
            (Some(finding), Some((level, part))) => {
                assert!(finding.level == level && finding.cause.contains(part), "{finding}\n{rules}");
            }
            (found, _) => panic!("{found:?}\n{rules}"),
        }
    }
}

#[test]
fn a_translation_that_depends_on_the_destination_is_named() {
    let mut patient = Patient::healthy();
    patient.seen_as[1] = "203.0.113.9:41000".parse().unwrap();
    let findings = patient.findings();
    assert!(
        findings.iter().any(|finding| finding.check == "nat" && finding.level == Level::Warning),
        "{findings:?}"
    );
}

#[test]
fn the_last_line_counts_and_sends_people_to_the_page_for_outsiders() {
    let mut patient = Patient::healthy();
    patient.free = 1;
    let config = Config::parse(&patient.settings, []).unwrap();
    let text = text(&patient.findings(), &config);
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("1 fault, 0 warnings"), "{last}");
    assert!(last.contains("https://meet.example/selftest"), "{last}");
    let object: serde_json::Value = serde_json::from_str(&json(&patient.findings())).unwrap();
    assert_eq!(object["sound"], false);
    assert_eq!(object["findings"][0]["check"], "disk");
}
