//! RTCP of a receiver (RFC 3550 §6, RFC 4585): reports, NACK, key-frame requests, transport-wide feedback.

use contract::Timestamp;
use contract::session::Media;
use transport::srtp::Session;
use wire::rtcp::sender_report::{REPORT_BLOCKS_MAX, ReportBlock};
use wire::rtcp::transport_cc::{self, Feedback};
use wire::rtcp::{nack, pli, receiver_report, sdes};

use crate::reception::{Reception, Stream};
use crate::tally::{Count, Counters};

/// What an endpoint has to tell, and when.
pub struct Reporter {
    ssrc: u32,
    index: u32,
    next_report: Timestamp,
    next_feedback: Timestamp,
    feedback_count: u8,
    arrivals: Arrivals,
    /// Streams whose key frame is to be asked for.
    pub key_frames: Vec<u32>,
}

/// Arrivals by transport-wide number since the last feedback.
#[derive(Default)]
struct Arrivals {
    base: Option<u64>,
    ticks: Vec<Option<i64>>,
}

impl Reporter {
    /// `ssrc` is that of its reports, not used for media.
    pub fn new(ssrc: u32, now: Timestamp) -> Reporter {
        Reporter {
            ssrc,
            index: 0,
            next_report: now + REPORT_INTERVAL,
            next_feedback: now + FEEDBACK_INTERVAL,
            feedback_count: 0,
            arrivals: Arrivals::default(),
            key_frames: Vec::new(),
        }
    }

    /// A packet with this transport-wide number came.
    pub fn arrived(&mut self, number: u16, at: Timestamp) {
        let Arrivals { base, ticks } = &mut self.arrivals;
        let tick = (at.as_micros() / 250) as i64;
        let Some(first) = *base else {
            // A span above zero, so that one before it can be told.
            *base = Some(u64::from(number) + (1 << 16));
            ticks.push(Some(tick));
            return;
        };
        let number = wire::sequence::unwrap_u16(first + ticks.len() as u64, number);
        // Before the base: told as lost already.
        let Some(at) = number.checked_sub(first).map(|at| at as usize) else { return };
        if at >= ARRIVALS_MAX {
            return;
        }
        if at >= ticks.len() {
            ticks.resize(at + 1, None);
        }
        ticks[at].get_or_insert(tick);
    }

    /// When something may be due.
    pub fn due(&self) -> Timestamp {
        self.next_report.min(self.next_feedback)
    }

    /// Sends what is due, one protected datagram after another.
    pub fn send(
        &mut self,
        reception: &mut Reception,
        session: &Session,
        now: Timestamp,
        counters: &mut Counters,
        mut send: impl FnMut(&[u8]) -> bool,
    ) {
        if now < self.due() {
            return;
        }
        self.next_feedback = now + FEEDBACK_INTERVAL;
        reception.give_up(now, false, counters);
        let mut compounds = Compounds { buffer: [0; DATAGRAM_BYTES], len: 0, session, reporter: self.ssrc };
        let mut flush = |compounds: &mut Compounds<'_>, index: &mut u32| {
            if let Some(len) = compounds.seal(*index) {
                *index += 1;
                counters[Count::RtcpSent] += 1;
                counters[Count::SendRefused] += u64::from(!send(&compounds.buffer[..len]));
            }
        };
        let mut blocks = Vec::new();
        if now >= self.next_report {
            self.next_report = now + REPORT_INTERVAL;
            blocks = report_blocks(reception, now);
        }
        compounds.begin(&blocks[..blocks.len().min(REPORT_BLOCKS_MAX)]);
        let (mut nacks, mut asked) = (0, 0);
        for (ssrc, numbers) in holes(reception, now, &mut self.key_frames) {
            nacks += numbers.len() as u64;
            let sender = self.ssrc;
            if !compounds.add(|out| nack::write(out, sender, ssrc, &numbers)) {
                flush(&mut compounds, &mut self.index);
                compounds.begin(&[]);
                compounds.add(|out| nack::write(out, sender, ssrc, &numbers));
            }
        }
        for media_ssrc in self.key_frames.drain(..) {
            asked += 1;
            let pli = pli::Pli { sender_ssrc: self.ssrc, media_ssrc };
            compounds.add(|out| pli::write(out, &pli));
        }
        while self.arrivals.add_to(&mut compounds, self.ssrc, &mut self.feedback_count) {
            flush(&mut compounds, &mut self.index);
            compounds.begin(&[]);
        }
        if !blocks.is_empty() || compounds.len > MINIMAL_BYTES {
            flush(&mut compounds, &mut self.index);
        }
        counters[Count::NacksSent] += nacks;
        counters[Count::KeyFramesAsked] += asked;
    }
}

impl Arrivals {
    /// Adds feedback for what came; whether there is more than fits.
    fn add_to(&mut self, compounds: &mut Compounds<'_>, sender_ssrc: u32, count: &mut u8) -> bool {
        let Some(base) = self.base else { return false };
        let lost = self.ticks.iter().take_while(|tick| tick.is_none()).count();
        let Some(first) = self.ticks.get(lost).copied().flatten() else { return false };
        let feedback = Feedback {
            sender_ssrc,
            media_ssrc: 0,
            base_sequence: base as u16,
            reference_time: first.div_euclid(256),
            feedback_count: *count,
        };
        let mut statuses = 0;
        let ticks = &self.ticks;
        let added = compounds.add(|out| {
            let written = transport_cc::write(out, &feedback, ticks)?;
            statuses = written.statuses;
            Some(written.len)
        });
        if !added {
            return true;
        }
        *count = count.wrapping_add(1);
        self.ticks.drain(..statuses);
        self.base = Some(base + statuses as u64);
        !self.ticks.is_empty()
    }
}

/// Compound packets in a buffer (RFC 3550 §6.1).
struct Compounds<'a> {
    buffer: [u8; DATAGRAM_BYTES],
    len: usize,
    session: &'a Session,
    reporter: u32,
}

impl Compounds<'_> {
    fn begin(&mut self, blocks: &[ReportBlock]) {
        self.len = 0;
        let (reporter, cname) = (self.reporter, "load");
        self.add(|out| receiver_report::write(out, reporter, blocks));
        self.add(|out| sdes::write(out, reporter, cname));
    }

    fn add(&mut self, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> bool {
        let room = DATAGRAM_BYTES - self.session.rtcp_overhead();
        let Some(len) = self.buffer.get_mut(self.len..room).and_then(write) else { return false };
        self.len += len;
        true
    }

    fn seal(&mut self, index: u32) -> Option<usize> {
        self.session.seal_rtcp(index, &mut self.buffer, self.len)
    }
}

/// RFC 3550 A.3, for every stream on which something came since the last report.
fn report_blocks(reception: &mut Reception, now: Timestamp) -> Vec<ReportBlock> {
    let media = reception.streams.iter_mut().filter(|(_, stream)| stream.repairs.is_none());
    media.filter_map(|(ssrc, stream)| report_block(*ssrc, stream, now)).collect()
}

fn report_block(ssrc: u32, stream: &mut Stream, now: Timestamp) -> Option<ReportBlock> {
    let highest = stream.highest()?;
    let state = &mut stream.report;
    let expected = highest - state.first + 1;
    let (expected_since, received_since) = (expected - state.before.0, state.received - state.before.1);
    if received_since == 0 {
        return None;
    }
    state.before = (expected, state.received);
    let lost = expected_since.saturating_sub(received_since);
    let (last_sender_report, delay_since_last) = match state.sender_report {
        None => (0, 0),
        Some((report, at)) => (report, (now.since(at).as_micros() * 65_536 / 1_000_000) as u32),
    };
    Some(ReportBlock {
        ssrc,
        fraction_lost: (lost * 256 / expected_since.max(1)).min(255) as u8,
        cumulative_lost: expected.saturating_sub(state.received) as i32,
        highest_sequence: highest as u32,
        jitter: state.jitter / 16,
        last_sender_report,
        delay_since_last,
    })
}

/// Numbers of video streams to ask for now. Those asked for in vain ask for a key frame.
fn holes(reception: &mut Reception, now: Timestamp, key_frames: &mut Vec<u32>) -> Vec<(u32, Vec<u16>)> {
    let mut all = Vec::new();
    for (ssrc, stream) in &mut reception.streams {
        if stream.media != Media::Video || stream.repairs.is_some() || stream.missing.is_empty() {
            continue;
        }
        let mut numbers = Vec::new();
        for missing in stream.missing.iter_mut().filter(|missing| missing.ask <= now) {
            missing.asked += 1;
            missing.ask = now + ASK_AGAIN;
            if missing.asked == ASKED_IN_VAIN {
                key_frames.push(*ssrc);
            }
            if missing.asked <= ASKED_MAX && numbers.len() < NUMBERS_MAX {
                numbers.push(missing.number as u16);
            }
        }
        numbers.sort_unstable();
        if !numbers.is_empty() {
            all.push((*ssrc, numbers));
        }
    }
    key_frames.dedup();
    all
}

/// As libwebrtc for video; audio alone would do with less.
const REPORT_INTERVAL: std::time::Duration = std::time::Duration::from_millis(1_000);
/// As libwebrtc at a megabit and more; NACKs go with it.
const FEEDBACK_INTERVAL: std::time::Duration = std::time::Duration::from_millis(50);
/// About a round trip and the way of a retransmission.
const ASK_AGAIN: std::time::Duration = std::time::Duration::from_millis(100);
/// As libwebrtc.
const ASKED_MAX: u8 = 10;
/// After so many the decoder has given up on the frame.
const ASKED_IN_VAIN: u8 = 4;
/// Numbers of one NACK.
const NUMBERS_MAX: usize = 128;
/// Numbers of one feedback interval: 20,000 packets a second.
const ARRIVALS_MAX: usize = 4_096;
const DATAGRAM_BYTES: usize = 1_200;
/// A compound that says nothing: an empty receiver report and a CNAME.
const MINIMAL_BYTES: usize = 8 + 16;

#[cfg(test)]
mod tests {
    use arrayvec::ArrayVec;
    use contract::session::{SrtpKeys, SrtpProfile};
    use wire::rtcp::compound::{Packet, iterate};

    use super::*;

    fn session() -> Box<Session> {
        let key: ArrayVec<u8, 46> = (0..28).collect();
        Session::new(&SrtpKeys { profile: SrtpProfile::AeadAes128Gcm, inbound: key.clone(), outbound: key })
            .unwrap()
    }

    #[test]
    fn every_arrival_is_told_once_also_across_the_wrap() {
        let (session, mut reception) = (session(), Reception::new(0, 0..2, 1));
        let mut reporter = Reporter::new(9, Timestamp::ZERO);
        let mut told = Vec::new();
        let mut counters = Counters::default();
        let mut now = Timestamp::from_millis(1_000);
        for number in 0..5_000u32 {
            if number % 100 == 7 {
                continue;
            }
            now = now + std::time::Duration::from_micros(100);
            reporter.arrived((number + 64_000) as u16, now);
            reporter.send(&mut reception, &session, now, &mut counters, |datagram| {
                let mut plain = [0; 1_500];
                let len = session.open_rtcp(datagram, &mut plain).unwrap();
                for packet in iterate(&plain[..len]) {
                    if let Packet::TransportCc(feedback) = packet.unwrap() {
                        told.extend(
                            feedback.statuses().map(|status| (status.sequence, status.delta.is_some())),
                        );
                    }
                }
                true
            });
        }
        assert!(told.len() > 4_000, "{}", told.len());
        for (at, (sequence, received)) in told.iter().enumerate() {
            assert_eq!(*sequence, (at as u32 + 64_000) as u16);
            assert_eq!(*received, at % 100 != 7, "{at}");
        }
    }
}
