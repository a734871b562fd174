//! The state machine itself: what it holds, and its life. The packet paths are in `receiving`, `sending`, `rtcp_in` and
//! `feedback`.

use arrayvec::ArrayVec;
use bandwidth::Estimator;
use contract::session::{Candidate, ExtensionIds};
use contract::{DropReason, Timestamp};

use crate::config::Config;
use crate::feedback::Reporter;
use crate::ice::{Agent, Event, Refused};
use crate::path::{Outbox, Path};
use crate::payload_types::PayloadTypeMap;
use crate::rate::RateGate;
use crate::receive_stream::{PaddingOnly, ReceiveStream, StreamKind};
use crate::receiving::RECEIVE_STREAMS_MAX;
use crate::retransmission::Budget;
use crate::rtcp_in::RtcpReplay;
use crate::send_stream::SendStream;
use crate::sending::{Retired, SEND_STREAMS_MAX};
use crate::srtp::Session;
use crate::statistics::Statistics;
use crate::transport_cc::Arrivals;

/// One endpoint's media transport.
#[repr(C)]
pub struct Transport {
    // What every packet touches comes first, so that it lies in few lines (`repr(C)`).
    pub(crate) session: Option<Box<Session>>,
    /// As the agent says, which is asked again whenever it may have changed its mind.
    usable: Option<Path>,
    pub(crate) rate: RateGate,
    pub(crate) receive: Vec<Box<ReceiveStream>>,
    /// Their SSRCs in the same order: the streams themselves are not looked at in search of one.
    pub(crate) receive_ssrcs: ArrayVec<u32, RECEIVE_STREAMS_MAX>,
    pub(crate) arrivals: Arrivals,
    pub(crate) padding_only: Option<PaddingOnly>,
    /// No stream has anything to ask for before.
    pub(crate) requests_due: Timestamp,
    pub(crate) rtcp_due: Timestamp,
    /// When the estimator wants to be called for what was sent since that was asked last.
    pub(crate) answers_due: Timestamp,
    /// The counters only.
    pub(crate) statistics: Statistics,
    pub(crate) extensions: ExtensionIds,
    /// Starts at 1; goes on when keys change.
    pub(crate) next_transport_cc: u64,
    pub(crate) budget: Budget,
    /// The SSRCs of those in `send`, in the same order.
    pub(crate) send_ssrcs: ArrayVec<u32, SEND_STREAMS_MAX>,
    pub(crate) send: ArrayVec<Box<SendStream>, SEND_STREAMS_MAX>,
    pub(crate) payload_types: PayloadTypeMap,
    pub(crate) bandwidth: Estimator,
    agent: Agent,

    // Now and then.
    pub(crate) rtcp_replay: RtcpReplay,
    pub(crate) retired: Retired,
    /// Which of the packets sent last a probe repeats next.
    pub(crate) probe_turn: u64,
    pub(crate) reporter: Reporter,
    /// Smoothed, of report blocks.
    pub(crate) report_round_trip_us: Option<u32>,
}

impl Transport {
    /// Everything is allocated here, off the worker.
    ///
    /// # Panics
    /// If our own credentials break RFC 8445 §5.3, which is a fault of who made them.
    pub fn new(config: &Config, now: Timestamp) -> Box<Transport> {
        Box::new(Transport {
            agent: Agent::new(config).expect("we make our credentials ourselves, by the RFC's rules"),
            session: None,
            usable: None,
            extensions: config.extensions,
            payload_types: PayloadTypeMap::new(&config.payload_types),
            receive: Vec::new(),
            receive_ssrcs: ArrayVec::new(),
            rate: RateGate::new(config.rate_limit, now),
            arrivals: Arrivals::new(),
            padding_only: None,
            rtcp_replay: RtcpReplay::new(),
            send: ArrayVec::new(),
            send_ssrcs: ArrayVec::new(),
            retired: Retired::new(config.ssrc_rewriting),
            budget: Budget::new(now),
            next_transport_cc: 1,
            bandwidth: Estimator::new(config.bandwidth, now),
            probe_turn: 0,
            reporter: Reporter::new(config, now),
            rtcp_due: now,
            answers_due: Timestamp::NEVER,
            requests_due: Timestamp::NEVER,
            report_round_trip_us: None,
            statistics: Statistics::default(),
        })
    }

    /// The client's credentials and the candidates known so far, possibly none; checks begin. Candidates that may not
    /// be checked ([`crate::ice::candidate::allowed`]) are left out; the number of those is returned. `Err` if the
    /// credentials break RFC 8445 §5.3; nothing changes then.
    pub fn set_remote(
        &mut self,
        ufrag: &str,
        pwd: &str,
        candidates: &[Candidate],
        now: Timestamp,
    ) -> Result<usize, Refused> {
        let left_out = self.agent.set_remote(ufrag, pwd, candidates, now);
        self.usable = self.agent.usable();
        left_out
    }

    /// Further candidates (RFC 8838); how many were left out.
    pub fn add_candidates(&mut self, candidates: &[Candidate], now: Timestamp) -> usize {
        let left_out = self.agent.add_candidates(candidates, now);
        self.usable = self.agent.usable();
        left_out
    }

    /// New local credentials (RFC 8445 §9). The old ones hold until 3 s after a pair of the new ones is nominated; the
    /// selected path stays until then. Without a nomination the restart is given up after 20 s. `Err` if too often or
    /// against RFC 8445 §5.3.
    pub fn restart_ice(&mut self, ufrag: &str, pwd: &str, now: Timestamp) -> Result<(), Refused> {
        let restarted = self.agent.restart(ufrag, pwd, now);
        self.usable = self.agent.usable();
        restarted
    }

    /// A datagram that looks like STUN, from any path. `Err` if it changed nothing.
    pub fn stun(
        &mut self,
        datagram: &[u8],
        path: Path,
        now: Timestamp,
        out: &mut impl Outbox,
    ) -> Result<(), DropReason> {
        let outcome = self.agent.stun(datagram, path, now, out);
        self.usable = self.agent.usable();
        outcome
    }

    /// Whether this path proved our credentials: only then may DTLS, RTP and RTCP be accepted from it.
    pub fn proved(&self, path: Path) -> bool {
        self.agent.proved(path)
    }

    /// The nominated path, while consent lives: where everything goes.
    pub fn selected(&self) -> Option<Path> {
        self.agent.selected()
    }

    /// [`Transport::selected`], or before the first nomination the best path that a check has validated (RFC 8445
    /// §12.1): good enough for handshake answers and first media.
    #[inline]
    pub fn usable(&self) -> Option<Path> {
        self.usable
    }

    /// When [`Transport::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Timestamp {
        self.agent.poll_timeout().min(self.rtcp_due).min(self.bandwidth.poll_timeout())
    }

    /// The part of [`Transport::poll_timeout`] that received packets move: reports, feedback and requests.
    #[inline]
    pub fn reports_due(&self) -> Timestamp {
        self.rtcp_due
    }

    /// The part of it that packets sent since the last call moved: what they have to be answered by.
    #[inline]
    pub fn take_answers_due(&mut self) -> Timestamp {
        core::mem::replace(&mut self.answers_due, Timestamp::NEVER)
    }

    /// Checks, consent, reports, feedback: whatever is due. Afterwards send what [`Transport::probe_due`] asks for.
    pub fn handle_timeout(&mut self, now: Timestamp, out: &mut impl Outbox) {
        self.agent.handle_timeout(now, out);
        self.usable = self.agent.usable();
        self.send_rtcp(now, out);
        self.bandwidth.handle_timeout(now);
    }

    /// Next news. Drain after `stun` and `handle_timeout`: the queue is bounded.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.agent.poll_event()
    }

    /// Install keys; the former ones come back, to be freed elsewhere. All SRTP indices start again from zero, unless
    /// the new keys protect what we send as the old ones did: such are refused and come back themselves, as indices
    /// used once are used for ever (RFC 3711 §9.1).
    pub fn set_keys(&mut self, session: Box<Session>, now: Timestamp) -> Option<Box<Session>> {
        if self.session.as_ref().is_some_and(|known| known.sends_as(&session)) {
            return Some(session);
        }
        self.receive.iter_mut().for_each(|stream| stream.restart());
        self.send.iter_mut().for_each(|stream| stream.restart());
        self.retired.clear();
        self.rtcp_replay.clear();
        self.reporter.restart();
        self.rtcp_due = self.rtcp_due.min(now);
        self.session.replace(session)
    }

    /// Whether media can be opened and sealed.
    pub fn has_keys(&self) -> bool {
        self.session.is_some()
    }

    /// What the path to the peer carries.
    pub fn bandwidth(&self) -> &Estimator {
        &self.bandwidth
    }

    /// What all that the peer asks for would take, in bits per second: probes go up to there.
    pub fn set_wanted(&mut self, bits_per_second: u64, now: Timestamp) {
        let can_probe = self.padding_position().is_some();
        self.bandwidth.set_wanted(bits_per_second, can_probe, now);
    }

    /// Packets take another way: what was measured on the old one says nothing of it.
    pub fn path_changed(&mut self, now: Timestamp) {
        self.bandwidth.restart(now);
    }

    /// Round trip in microseconds: by report blocks, which include the peer's own delay least, else by checks.
    pub fn round_trip_us(&self) -> Option<u32> {
        self.report_round_trip_us.or(self.agent.round_trip_us)
    }

    /// Of the counters those that timeouts move: checks sent, sequence numbers asked for again.
    pub fn asked(&self) -> (u64, u64) {
        (self.agent.checks_sent, self.statistics.nacks_sent)
    }

    /// Counters and figures as of now.
    pub fn statistics(&self) -> Statistics {
        let media = self.receive.iter().filter(|stream| matches!(stream.kind(), StreamKind::Media { .. }));
        let jitter_us = media.map(|stream| stream.jitter_us()).max().unwrap_or(0);
        let lost = self.send.iter().map(|stream| stream.fraction_lost).max().unwrap_or(0);
        Statistics {
            profile: self.session.as_ref().map(|session| session.profile()),
            round_trip_us: self.round_trip_us(),
            loss_outbound: f32::from(lost) / 256.0,
            loss_inbound: self.reporter.loss,
            jitter_us,
            checks_sent: self.agent.checks_sent,
            checks_unanswered: self.agent.checks_unanswered(),
            outbox_full: self.statistics.outbox_full + self.agent.outbox_full,
            ..self.statistics
        }
    }
}
