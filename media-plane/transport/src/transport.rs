//! The state machine itself: what a worker calls, in the order of `style.md` §3.4.

use contract::session::Candidate;
use contract::{DropReason, Timestamp};

use crate::config::Config;
use crate::ice::Event;
use crate::path::{Outbox, Path};
use crate::receive_stream::{Opened, PaddingOnly, ReceiveStream};
use crate::retransmission::Record;
use crate::rtcp_in::Feedback;
use crate::send_stream::{Outgoing, Repair, Sealed, SendStream};
use crate::srtp::Session;
use crate::statistics::Statistics;

/// One endpoint's media transport.
pub struct Transport {
    session: Option<Box<Session>>,
}

impl Transport {
    /// Everything is allocated here, off the worker.
    pub fn new(config: &Config, now: Timestamp) -> Box<Transport> {
        let _ = (config, now);
        Box::new(Transport { session: None })
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
    ) -> Result<usize, crate::ice::Refused> {
        let _ = (ufrag, pwd, candidates, now);
        Ok(0)
    }

    /// Further candidates (RFC 8838); how many were left out.
    pub fn add_candidates(&mut self, candidates: &[Candidate], now: Timestamp) -> usize {
        let _ = (candidates, now);
        0
    }

    /// New local credentials (RFC 8445 §9). The old ones hold until 3 s after a pair of the new ones is nominated, at
    /// most 20 s; the selected path stays until then. `Err` if too often or against RFC 8445 §5.3.
    pub fn restart_ice(&mut self, ufrag: &str, pwd: &str, now: Timestamp) -> Result<(), crate::ice::Refused> {
        let _ = (ufrag, pwd, now);
        Ok(())
    }

    /// A datagram that looks like STUN, from any path. `Err` if it changed nothing.
    pub fn stun(
        &mut self,
        datagram: &[u8],
        path: Path,
        now: Timestamp,
        out: &mut impl Outbox,
    ) -> Result<(), DropReason> {
        let _ = (datagram, path, now, out);
        Err(DropReason::StunMalformed)
    }

    /// Whether this path proved our credentials: only then may DTLS, RTP and RTCP be accepted from it.
    pub fn proved(&self, path: Path) -> bool {
        let _ = path;
        false
    }

    /// The nominated path, while consent lives: where everything goes.
    pub fn selected(&self) -> Option<Path> {
        None
    }

    /// [`Transport::selected`], or before the first nomination the best path that a check has validated (RFC 8445
    /// §12.1): good enough for handshake answers and first media.
    pub fn usable(&self) -> Option<Path> {
        self.selected()
    }

    /// When [`Transport::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Timestamp {
        Timestamp::NEVER
    }

    /// Checks, consent, reports, feedback: whatever is due.
    pub fn handle_timeout(&mut self, now: Timestamp, out: &mut impl Outbox) {
        let _ = (now, out);
    }

    /// Next news. Drain after `stun` and `handle_timeout`; what does not fit in between is lost.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// Install keys; the former ones come back, to be freed elsewhere. All streams start again from index zero, unless
    /// the new keys send as the old ones did: those are refused and come back themselves.
    pub fn set_keys(&mut self, session: Box<Session>, now: Timestamp) -> Option<Box<Session>> {
        let _ = now;
        self.session.replace(session)
    }

    /// Whether media can be opened and sealed.
    pub fn has_keys(&self) -> bool {
        self.session.is_some()
    }

    /// Replace the list of incoming streams, at most [`contract::limits::SSRCS_PER_ENDPOINT_MAX`]; a stream that was
    /// there before by SSRC keeps its state. What is no longer needed comes back, to be freed elsewhere.
    pub fn set_receive_streams(&mut self, streams: Vec<Box<ReceiveStream>>) -> Vec<Box<ReceiveStream>> {
        streams
    }

    /// Open an RTP datagram from a proved path into `out`. A retransmission comes out as the packet that it repairs.
    ///
    /// `Err(Duplicate)`: opened, but its content came before. `Err(PaddingOnly)`: opened, see
    /// [`Transport::padding_only`]. All other errors changed nothing but counters.
    pub fn open_rtp(
        &mut self,
        datagram: &[u8],
        out: &mut [u8],
        now: Timestamp,
    ) -> Result<Opened, DropReason> {
        let _ = (datagram, out, now);
        Err(DropReason::NoKeys)
    }

    /// The packet of the last `Err(DropReason::PaddingOnly)`, so that the projection can close the gap; `None` if it
    /// came on a retransmission stream.
    pub fn padding_only(&mut self) -> Option<PaddingOnly> {
        None
    }

    /// Open an RTCP datagram from a proved path, with `scratch` for the plaintext.
    pub fn open_rtcp(
        &mut self,
        datagram: &[u8],
        scratch: &mut [u8],
        now: Timestamp,
        each: impl FnMut(Feedback<'_>),
    ) -> Result<(), DropReason> {
        let _ = (datagram, scratch, now, each);
        Err(DropReason::NoKeys)
    }

    /// Move an outgoing stream in. `Err` gives it back: its SSRC is in use, or there is no room. `Ok(Some(index))`:
    /// the SSRC was used before under these keys up to this extended sequence number; go on after it.
    pub fn add_send_stream(&mut self, stream: Box<SendStream>) -> Result<Option<u64>, Box<SendStream>> {
        Err(stream)
    }

    /// Take an outgoing stream out, to be freed elsewhere. Its numbers stay used.
    pub fn remove_send_stream(&mut self, ssrc: u32) -> Option<Box<SendStream>> {
        let _ = ssrc;
        None
    }

    /// The exact length that [`Transport::seal_rtp`] will give this packet, padding included; `None` if it would
    /// refuse.
    pub fn sealed_len(&self, packet: &Outgoing<'_>) -> Option<usize> {
        let _ = packet;
        None
    }

    /// Write header, extensions, patched payload and padding to `out` and seal them. `None` without keys or stream, if
    /// the sequence number was used before or is too old, if it does not fit, or a patch fails.
    pub fn seal_rtp(&mut self, packet: &Outgoing<'_>, now: Timestamp, out: &mut [u8]) -> Option<Sealed> {
        let _ = (packet, now, out);
        None
    }

    /// The record of a packet that the peer misses, if it may be sent again now: at most once a round trip, four times
    /// in all, within the retransmission budget. Follow with [`Transport::seal_rtx`].
    pub fn nacked(&mut self, ssrc: u32, sequence: u16, now: Timestamp) -> Option<Record> {
        let _ = (ssrc, sequence, now);
        None
    }

    /// Seal a retransmission: on the RTX stream if negotiated, else the very same packet again.
    pub fn seal_rtx(
        &mut self,
        record: &Record,
        packet: &Repair<'_>,
        now: Timestamp,
        out: &mut [u8],
    ) -> Option<Sealed> {
        let _ = (record, packet, now, out);
        None
    }

    /// Note the clocks of what `ssrc` carries now, translated to the outgoing stream: our reports carry them on.
    pub fn sender_report(&mut self, ssrc: u32, ntp: u64, rtp_timestamp: u32, now: Timestamp) {
        let _ = (ssrc, ntp, rtp_timestamp, now);
    }

    /// Ask the peer for a key frame of one of its streams, with the next [`Transport::handle_timeout`], due at once.
    pub fn request_key_frame(&mut self, ssrc: u32, now: Timestamp) {
        let _ = (ssrc, now);
    }

    /// Counters and figures as of now.
    pub fn statistics(&self) -> Statistics {
        Statistics::default()
    }
}
