//! What the media plane is started with. Read once; later changes are commands.

use std::net::SocketAddr;

use contract::session::Candidate;

use crate::cipher::CipherChoice;

/// Settings of the media plane, with the defaults of the appliance.
#[derive(Clone, Debug)]
pub struct Config {
    /// Media threads; one per core when `None`.
    pub workers: Option<usize>,
    /// Pin each worker to a core.
    pub pin: bool,
    /// Local addresses to bind, all with the one public port.
    pub local: Vec<SocketAddr>,
    /// What is advertised: per local address its host candidate and any public mapping of it.
    pub candidates: Vec<Candidate>,
    /// Which system interface moves the datagrams.
    pub io: uring::Choice,
    /// Which library is behind AES-GCM.
    pub cipher: CipherChoice,
    /// How packets are grouped into messages.
    pub sending: Sending,
    /// Packet slots of each worker; 2 KiB each, touched only when used.
    pub slots: u32,
    /// How long a worker spins past the last packet before it sleeps, microseconds. 0: it sleeps at once.
    pub spin_us: u64,
    /// Bits per second that a receiver is sent at most, and what one is taken to have that gives no feedback.
    pub receiver_budget: u64,
    /// Bits per second that a receiver is sent before its feedback says what it has.
    pub initial_bandwidth: u64,
    /// Of audio, only so many of the loudest are forwarded; `None` forwards all.
    pub loudest: Option<usize>,
    /// Endpoints of one conference on one worker before the next go to another.
    pub spread_after: usize,
    /// Threads that run DTLS handshakes; endpoints are dealt to them by number.
    pub handshake_threads: usize,
    /// Candidates and checks on loopback addresses are accepted: for browsers on the same machine.
    pub allow_loopback: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            workers: None,
            pin: true,
            local: vec![SocketAddr::from(([0, 0, 0, 0], 10_000))],
            candidates: Vec::new(),
            io: uring::Choice::Auto,
            cipher: CipherChoice::Auto,
            sending: Sending::default(),
            slots: 16_384,
            spin_us: 0,
            receiver_budget: 20_000_000,
            initial_bandwidth: 1_000_000,
            loudest: None,
            spread_after: 50,
            handshake_threads: 1,
            allow_loopback: true,
        }
    }
}

/// How packets to one receiver are grouped into messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sending {
    /// Thousandths of a receiver's bytes that may be RTP padding (RFC 3550 §5.1), so that the packets of a frame have one
    /// length and share a message. Audio is never padded.
    pub padding_permille: u16,
    /// How long the packets of a video frame may wait for its last one. Zero: they never do.
    pub hold: contract::Duration,
    /// They wait only while the worker spends this share of its time in turns, in per cent. 0: always.
    pub hold_above_percent: u8,
}

impl Default for Sending {
    fn default() -> Self {
        Sending { padding_permille: 10, hold: contract::Duration::from_micros(500), hold_above_percent: 50 }
    }
}
