//! RTCP that we send (RFC 3550 §6, RFC 4585): reports, NACK, key-frame requests, transport-wide feedback.

use arrayvec::{ArrayString, ArrayVec};
use contract::{Duration, Timestamp};
use wire::rtcp::fir::{self, Entry};
use wire::rtcp::pli::{self, Pli};
use wire::rtcp::sender_report::{self, REPORT_BLOCKS_MAX, ReportBlock};
use wire::rtcp::{nack, receiver_report, sdes};

use crate::config::{Config, KeyFrameMessage};
use crate::path::{Outbox, Path};
use crate::receive_stream::{ReceiveStream, StreamKind};
use crate::srtp::Session;
use crate::transport::Transport;

/// Reports about what we receive, and on what we send.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);
/// Until there are keys and a path there is nobody to report to.
const IDLE_INTERVAL: Duration = Duration::from_millis(100);
/// After the outbox had no room.
const RETRY_INTERVAL: Duration = Duration::from_millis(5);
/// Largest datagram of ours, tag included: fits any path that carries media.
const DATAGRAM_BYTES: usize = 1_200;
/// Datagrams of one timeout; the rest follows with the next.
const DATAGRAMS_MAX: usize = 8;
/// Room that the largest NACK of ours may take: 12 bytes, and 4 for each number.
const NACK_BYTES: usize = 12 + 4 * crate::nack::SEQUENCES_MAX;
/// A sender report without blocks.
const SENDER_REPORT_BYTES: usize = 28;
/// Less room than this is not worth beginning a transport-wide feedback.
const TRANSPORT_CC_BYTES_MIN: usize = 64;
/// Room for the feedback of some frames, along with something else.
const TRANSPORT_CC_ALONG_MIN: usize = 36;

/// State of what we send, beyond that of the streams.
pub(crate) struct Reporter {
    sender: u32,
    key_frame_message: KeyFrameMessage,
    cname: ArrayString<{ Config::CNAME_BYTES_MAX }>,
    /// One index for all: with one sender SSRC it is what RFC 3711 §3.4 asks for.
    next_index: u32,
    next_report: Timestamp,
    /// Blocks are due with the next compound.
    blocks_pending: bool,
    /// Send streams from here on have their sender reports due.
    reports_from: Option<usize>,
    /// Share lost over the last interval.
    pub(crate) loss: f32,
}

impl Reporter {
    pub(crate) fn new(config: &Config, now: Timestamp) -> Reporter {
        let mut cname = ArrayString::new();
        for letter in config.cname.chars() {
            if cname.try_push(letter).is_err() {
                break;
            }
        }
        Reporter {
            sender: config.feedback.video.0,
            key_frame_message: config.key_frame_message,
            cname,
            next_index: 0,
            next_report: now,
            blocks_pending: false,
            reports_from: None,
            loss: 0.0,
        }
    }

    /// New keys: indices may start again.
    pub(crate) fn restart(&mut self) {
        self.next_index = 0;
    }
}

impl Transport {
    /// Ask the peer for a key frame of one of its streams, with the next [`Transport::handle_timeout`], due at once.
    pub fn request_key_frame(&mut self, ssrc: u32, now: Timestamp) {
        let media = |stream: &&mut Box<ReceiveStream>| {
            stream.ssrc() == ssrc && matches!(stream.kind(), StreamKind::Media { .. })
        };
        if let Some(stream) = self.receive.iter_mut().find(media) {
            stream.key_frame_wanted = true;
            self.requests_due = self.requests_due.min(now);
            self.rtcp_due = self.rtcp_due.min(now);
        }
    }

    /// Send whatever RTCP is due.
    pub(crate) fn send_rtcp(&mut self, now: Timestamp, out: &mut impl Outbox) {
        if now < self.rtcp_due {
            return;
        }
        let (Some(path), true) = (self.selected(), self.session.is_some()) else {
            self.rtcp_due = now + IDLE_INTERVAL;
            return;
        };
        if now >= self.reporter.next_report {
            self.reporter.next_report = now + REPORT_INTERVAL;
            self.reporter.blocks_pending = true;
            self.reporter.reports_from = Some(0);
        }
        for _ in 0..DATAGRAMS_MAX {
            let mut len = 0;
            let room = out.datagram(path, DATAGRAM_BYTES, |buffer| {
                len = self.write_compound(buffer, now);
                len
            });
            if !room {
                self.statistics.outbox_full += 1;
                self.rtcp_due = now + RETRY_INTERVAL;
                return;
            }
            if len == 0 {
                break;
            }
            self.statistics.rtcp_sent += 1;
            if !self.has_more(now) {
                break;
            }
        }
        self.schedule_rtcp(now);
    }

    /// Whether one datagram did not hold all that is due.
    fn has_more(&self, now: Timestamp) -> bool {
        let requests = now >= self.requests_due
            && self.receive.iter().any(|stream| {
                stream.key_frame_wanted || stream.holes.as_ref().is_some_and(|holes| holes.due() <= now)
            });
        requests || self.reporter.reports_from.is_some() || now >= self.arrivals.along()
    }

    fn schedule_rtcp(&mut self, now: Timestamp) {
        self.schedule_requests(now);
        let unsent = self.reporter.reports_from.is_some();
        let unsent = if unsent { now + RETRY_INTERVAL } else { Timestamp::NEVER };
        let due = self.reporter.next_report.min(self.requests_due).min(unsent);
        self.rtcp_due = due.min(self.arrivals.due());
    }

    /// Look through all streams for what is to be asked for next, but only once the time has come that was known: they are
    /// many, and seldom in the cache.
    fn schedule_requests(&mut self, now: Timestamp) {
        if now < self.requests_due {
            return;
        }
        let holes = self.receive.iter().filter_map(|stream| stream.holes.as_ref()).map(|holes| holes.due());
        let unsent = self.receive.iter().any(|stream| stream.key_frame_wanted);
        let unsent = if unsent { now + RETRY_INTERVAL } else { Timestamp::NEVER };
        self.requests_due = holes.min().unwrap_or(Timestamp::NEVER).min(unsent);
    }

    /// One protected compound of what is due; its length, 0 if nothing is.
    fn write_compound(&mut self, buffer: &mut [u8], now: Timestamp) -> usize {
        let Some(session) = self.session.take() else { return 0 };
        let len = self.write_compound_for(&session, buffer, now).unwrap_or(0);
        self.session = Some(session);
        len
    }

    fn write_compound_for(&mut self, session: &Session, buffer: &mut [u8], now: Timestamp) -> Option<usize> {
        let sender = self.reporter.sender;
        let plain_len = buffer.len().checked_sub(session.rtcp_overhead())?;
        let mut compound = Compound { buffer: buffer.get_mut(..plain_len)?, len: 0 };
        let blocks = self.take_blocks(now);
        let mut news = !blocks.is_empty();
        compound.add(|out| receiver_report::write(out, sender, &blocks))?;
        // CNAME before the rest, so that it always finds room (RFC 3550 §6.1 leaves the order open).
        compound.add(|out| sdes::write(out, sender, &self.reporter.cname))?;
        news |= self.add_sender_reports(&mut compound, now);
        news |= self.add_requests(&mut compound, now);
        news |= self.add_transport_cc(&mut compound, TRANSPORT_CC_BYTES_MIN, now);
        if !news {
            return None;
        }
        let len = compound.len;
        self.seal_compound(session, buffer, len)
    }

    /// Whether transport-wide feedback is ready that should go along with what goes to the peer anyway: [`Transport::send_along`].
    #[inline]
    pub fn goes_along(&self, now: Timestamp) -> bool {
        now >= self.arrivals.along()
    }

    /// Send the feedback that is ready, in at most `room` bytes; less than it needs sends nothing.
    pub fn send_along(&mut self, path: Path, room: usize, now: Timestamp, out: &mut impl Outbox) {
        if room == 0 || !self.goes_along(now) {
            return;
        }
        let mut len = 0;
        let queued = out.datagram(path, room.min(DATAGRAM_BYTES), |buffer| {
            len = self.write_along(buffer, now).unwrap_or(0);
            len
        });
        if queued && len > 0 {
            self.statistics.rtcp_sent += 1;
            self.schedule_rtcp(now);
        }
    }

    /// A protected compound of transport-wide feedback alone.
    fn write_along(&mut self, buffer: &mut [u8], now: Timestamp) -> Option<usize> {
        let session = self.session.take()?;
        let len = self.write_along_for(&session, buffer, now);
        self.session = Some(session);
        len
    }

    fn write_along_for(&mut self, session: &Session, buffer: &mut [u8], now: Timestamp) -> Option<usize> {
        let sender = self.reporter.sender;
        let plain_len = buffer.len().checked_sub(session.rtcp_overhead())?;
        let mut compound = Compound { buffer: buffer.get_mut(..plain_len)?, len: 0 };
        compound.add(|out| receiver_report::write(out, sender, &[]))?;
        compound.add(|out| sdes::write(out, sender, &self.reporter.cname))?;
        let added = self.add_transport_cc(&mut compound, TRANSPORT_CC_ALONG_MIN, now);
        let len = compound.len;
        added.then(|| self.seal_compound(session, buffer, len))?
    }

    fn seal_compound(&mut self, session: &Session, buffer: &mut [u8], len: usize) -> Option<usize> {
        let sealed = session.seal_rtcp(self.reporter.next_index, buffer, len)?;
        self.reporter.next_index += 1;
        Some(sealed)
    }

    fn add_transport_cc(&mut self, compound: &mut Compound<'_>, room: usize, now: Timestamp) -> bool {
        let mut any = false;
        while now >= self.arrivals.along() && compound.room() >= room {
            if compound.add(|out| self.arrivals.write(out, self.reporter.sender, now)).is_none() {
                break;
            }
            any = true;
        }
        any
    }

    fn take_blocks(&mut self, now: Timestamp) -> ArrayVec<ReportBlock, REPORT_BLOCKS_MAX> {
        let mut blocks = ArrayVec::new();
        if !core::mem::take(&mut self.reporter.blocks_pending) {
            return blocks;
        }
        let mut lost = 0.0f32;
        for stream in &mut self.receive {
            if blocks.is_full() {
                break;
            }
            if let Some(block) = stream.report(now) {
                lost = lost.max(f32::from(block.fraction_lost) / 256.0);
                blocks.push(block);
            }
        }
        self.reporter.loss = lost;
        blocks
    }

    fn add_sender_reports(&mut self, compound: &mut Compound<'_>, now: Timestamp) -> bool {
        let Some(from) = self.reporter.reports_from.take() else { return false };
        let mut added = false;
        for at in from..self.send.len() {
            if compound.room() < SENDER_REPORT_BYTES {
                self.reporter.reports_from = Some(at);
                break;
            }
            if !self.send[at].report_wanted() {
                continue;
            }
            if let Some(info) = self.send[at].report(now) {
                added |= compound.add(|out| sender_report::write(out, &info, &[])).is_some();
            }
        }
        added
    }

    /// NACK and key-frame requests.
    fn add_requests(&mut self, compound: &mut Compound<'_>, now: Timestamp) -> bool {
        let (sender, message) = (self.reporter.sender, self.reporter.key_frame_message);
        let mut added = false;
        if now < self.requests_due {
            return added;
        }
        for stream in &mut self.receive {
            if compound.room() < NACK_BYTES {
                break;
            }
            let media_ssrc = stream.ssrc();
            if let Some(holes) = stream.holes.as_mut().filter(|holes| holes.due() <= now) {
                let sequences = holes.take_due(now);
                self.statistics.nacks_sent += sequences.len() as u64;
                added |= compound.add(|out| nack::write(out, sender, media_ssrc, &sequences)).is_some();
            }
            if !core::mem::take(&mut stream.key_frame_wanted) {
                continue;
            }
            let written = match message {
                KeyFrameMessage::Pli => {
                    compound.add(|out| pli::write(out, &Pli { sender_ssrc: sender, media_ssrc }))
                }
                KeyFrameMessage::Fir => {
                    stream.fir_sequence = stream.fir_sequence.wrapping_add(1);
                    let entry = Entry { ssrc: media_ssrc, sequence: stream.fir_sequence };
                    compound.add(|out| fir::write(out, sender, &[entry]))
                }
            };
            stream.key_frame_wanted = written.is_none();
            self.statistics.key_frame_requests_sent += u64::from(written.is_some());
            added |= written.is_some();
        }
        added
    }
}

/// RTCP packets one after another.
struct Compound<'a> {
    buffer: &'a mut [u8],
    len: usize,
}

impl Compound<'_> {
    fn room(&self) -> usize {
        self.buffer.len() - self.len
    }

    fn add(&mut self, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> Option<()> {
        self.len += write(self.buffer.get_mut(self.len..)?)?;
        Some(())
    }
}
