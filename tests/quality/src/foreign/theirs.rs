//! str0m as sender, with its pacer, probes and estimator, and as receiver; its clock is ours.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use contract::Timestamp;
use str0m::bwe::{Bitrate, BweKind};
use str0m::media::{MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Output, Rtc};

use super::{BACK, Pair, WANTED};

/// Two of them.
pub(super) struct Theirs {
    began: Instant,
    sender: Side,
    receiver: Side,
    estimate: u64,
    sequence: u64,
    frame: u32,
    last_write: Timestamp,
    /// From the sender, and back.
    ready: Vec<Vec<u8>>,
    back: VecDeque<(Timestamp, Vec<u8>)>,
    media: usize,
}

struct Side {
    rtc: Rtc,
    own: SocketAddr,
    other: SocketAddr,
    due: Instant,
    connected: bool,
}

impl Theirs {
    pub(super) fn new() -> Theirs {
        let began = Instant::now();
        let addresses: [SocketAddr; 2] = [([10, 0, 0, 1], 1).into(), ([10, 0, 0, 2], 2).into()];
        let start = Bitrate::bps(bandwidth::Config::default().start);
        let sender = Rtc::builder().set_rtp_mode(true).enable_bwe(Some(start)).build(began);
        let receiver = Rtc::builder().set_rtp_mode(true).build(began);
        let side = |rtc, own: usize| Side {
            rtc,
            own: addresses[own],
            other: addresses[1 - own],
            due: began,
            connected: false,
        };
        let (mut sender, mut receiver) = (side(sender, 0), side(receiver, 1));
        introduce(&mut sender, &mut receiver, true);
        introduce(&mut receiver, &mut sender, false);
        let mid = Mid::from("video");
        let mut direct = sender.rtc.direct_api();
        direct.declare_media(mid, MediaKind::Video);
        direct.declare_stream_tx(SSRC.into(), Some((SSRC + 1).into()), mid, None);
        sender.rtc.bwe().set_bitrate(Bitrate::ZERO, Bitrate::bps(WANTED));
        let mut direct = receiver.rtc.direct_api();
        direct.declare_media(mid, MediaKind::Video);
        direct.expect_stream_rx(SSRC.into(), Some((SSRC + 1).into()), mid, None);
        direct.enable_twcc_feedback();
        Theirs {
            began,
            sender,
            receiver,
            estimate: start.as_u64(),
            sequence: 1,
            frame: 0,
            last_write: Timestamp::ZERO,
            ready: Vec::new(),
            back: VecDeque::new(),
            media: 0,
        }
    }

    fn instant(&self, now: Timestamp) -> Instant {
        self.began + now.since(Timestamp::ZERO)
    }

    fn poll_sender(&mut self) {
        loop {
            match self.sender.rtc.poll_output().expect("the sender goes on") {
                Output::Timeout(at) => break self.sender.due = at,
                Output::Transmit(datagram) => self.ready.push(datagram.contents.to_vec()),
                Output::Event(Event::Connected) => self.sender.connected = true,
                Output::Event(Event::EgressBitrateEstimate(BweKind::Twcc { estimate, .. })) => {
                    self.estimate = estimate.as_u64();
                }
                Output::Event(_) => {}
            }
        }
    }

    fn poll_receiver(&mut self, now: Timestamp) {
        loop {
            match self.receiver.rtc.poll_output().expect("the receiver goes on") {
                Output::Timeout(at) => break self.receiver.due = at,
                Output::Transmit(datagram) => self.back.push_back((now + BACK, datagram.contents.to_vec())),
                Output::Event(Event::Connected) => self.receiver.connected = true,
                Output::Event(Event::RtpPacket(packet)) => self.media += packet.payload.len(),
                Output::Event(_) => {}
            }
        }
    }
}

impl Pair for Theirs {
    fn target(&self) -> u64 {
        self.estimate
    }

    fn write(&mut self, bytes: usize, now: Timestamp) {
        self.frame += u32::from(self.last_write != now);
        self.last_write = now;
        self.sequence += 1;
        let timestamp = self.frame.wrapping_mul(3_000);
        let at = self.instant(now);
        let rtp = RtpWrite::new(VP8.into(), self.sequence.into(), timestamp, at, vec![0; bytes]);
        let mut direct = self.sender.rtc.direct_api();
        direct.stream_tx(&SSRC.into()).expect("it was declared").write_rtp(rtp.nackable(true));
        self.poll_sender();
    }

    fn step(&mut self, now: Timestamp) -> Vec<Vec<u8>> {
        let at = self.instant(now);
        while let Some((_, bytes)) = self.back.pop_front_if(|(due, _)| *due <= now) {
            self.sender.receive(&bytes, at);
            self.poll_sender();
        }
        if self.sender.due <= at {
            self.sender.rtc.handle_input(Input::Timeout(at)).expect("the sender goes on");
            self.poll_sender();
        }
        if self.receiver.due <= at {
            self.receiver.rtc.handle_input(Input::Timeout(at)).expect("the receiver goes on");
            self.poll_receiver(now);
        }
        std::mem::take(&mut self.ready)
    }

    fn arrive(&mut self, datagram: &[u8], now: Timestamp) -> usize {
        let at = self.instant(now);
        self.media = 0;
        self.receiver.receive(datagram, at);
        self.poll_receiver(now);
        self.media
    }

    fn is_ready(&self) -> bool {
        self.sender.connected && self.receiver.connected
    }
}

impl Side {
    fn receive(&mut self, datagram: &[u8], now: Instant) {
        let Ok(receive) = Receive::new(Protocol::Udp, self.other, self.own, datagram) else { return };
        self.rtc.handle_input(Input::Receive(now, receive)).expect("they understand each other");
    }
}

/// What signalling would tell one of the other.
fn introduce(one: &mut Side, other: &mut Side, controlling: bool) {
    let credentials = other.rtc.direct_api().local_ice_credentials();
    let fingerprint = other.rtc.direct_api().local_dtls_fingerprint().clone();
    let host = |address| Candidate::host(address, "udp").expect("an address of its own");
    one.rtc.add_local_candidate(host(one.own));
    one.rtc.add_remote_candidate(host(other.own));
    let mut direct = one.rtc.direct_api();
    direct.set_ice_controlling(controlling);
    direct.set_remote_ice_credentials(credentials);
    direct.set_remote_fingerprint(fingerprint);
    direct.start_dtls(controlling).expect("a fresh one can begin");
}

const SSRC: u32 = 42;
/// VP8 in str0m's own table of payload types.
const VP8: u8 = 96;
