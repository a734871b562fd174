//! What one endpoint receives: gaps and their repair, a sample opened and looked into, and what its reports say.
//!
//! Most packets are counted by their clear header alone, as a generator must take more than the unit under load can send.
//! All packets of every so manieth frame are opened: that proves keys, source and time.

use std::collections::HashMap;

use contract::Timestamp;
use contract::session::Media;
use transport::srtp::{Session, estimate};
use wire::rtp::HeaderPrefix;

use crate::label::Label;
use crate::tally::{Count, Counters, Delays, note};

/// All incoming streams of an endpoint.
pub struct Reception {
    /// By SSRC; those of retransmissions too.
    pub streams: HashMap<u32, Stream, foldhash::fast::RandomState>,
    place: u32,
    /// First and last place of its room: media of others is a leak.
    room: std::ops::Range<u32>,
    sample: u32,
    /// Packets of media that came, for the time to first media.
    pub first_media: Option<(Timestamp, u32)>,
}

/// One incoming SSRC.
#[derive(Debug)]
pub struct Stream {
    /// Audio or video.
    pub media: Media,
    /// The SSRC that it repairs, if it carries retransmissions.
    pub repairs: Option<u32>,
    /// Who is said to send it, since when, and who was said before.
    owner: Option<u32>,
    owner_since: Timestamp,
    owner_before: Option<u32>,
    /// Highest extended number.
    highest: Option<u64>,
    /// Numbers that did not come yet.
    pub missing: Vec<Missing>,
    /// The frame being received has a hole.
    broken: Option<u32>,
    /// When the last packet came.
    pub last: Timestamp,
    /// For reports: received in all, and at the last report; first number; lost at the last report.
    pub report: ReportState,
}

/// State of RFC 3550 A.3 and A.8.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReportState {
    /// First extended number.
    pub first: u64,
    /// Packets that came.
    pub received: u64,
    /// Both at the last report.
    pub before: (u64, u64),
    /// Jitter in units of the clock, times 16.
    pub jitter: u32,
    transit: u32,
    /// Middle 32 bits of the last sender report, and when it came.
    pub sender_report: Option<(u32, Timestamp)>,
}

/// A number that did not come.
#[derive(Clone, Copy, Debug)]
pub struct Missing {
    /// Extended number.
    pub number: u64,
    /// When it was missed.
    pub since: Timestamp,
    /// When to ask for it.
    pub ask: Timestamp,
    /// How often it was asked for.
    pub asked: u8,
}

/// Times of one packet.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// When it came to the socket.
    pub arrived: Timestamp,
    /// When it is looked at.
    pub now: Timestamp,
}

impl Reception {
    /// For the endpoint at `place`; one frame in `sample` is opened.
    pub fn new(place: u32, room: std::ops::Range<u32>, sample: u32) -> Reception {
        Reception { streams: HashMap::default(), place, room, sample: sample.max(1), first_media: None }
    }

    /// Signalling told whose media an SSRC carries.
    pub fn announce(
        &mut self,
        ssrc: u32,
        rtx: Option<u32>,
        media: Media,
        owner: Option<u32>,
        now: Timestamp,
    ) {
        let stream = self.streams.entry(ssrc).or_insert_with(|| Stream::new(media, None, now));
        if stream.owner != owner {
            stream.owner_before = stream.owner;
            (stream.owner, stream.owner_since) = (owner, now);
        }
        if let Some(rtx) = rtx {
            self.streams.entry(rtx).or_insert_with(|| Stream::new(media, Some(ssrc), now));
        }
    }

    /// Counting begins anew: what is missing now is no loss of the run.
    pub fn begin_window(&mut self) {
        self.streams.values_mut().for_each(|stream| stream.missing.clear());
    }

    /// An RTP datagram came.
    pub fn packet(
        &mut self,
        datagram: &[u8],
        session: &Session,
        scratch: &mut [u8],
        times: Times,
        counters: &mut Counters,
        delays: &mut Delays,
    ) {
        counters[Count::ReceivedBytes] += datagram.len() as u64;
        let Ok(prefix) = HeaderPrefix::parse(datagram) else {
            counters[Count::AuthFailures] += 1;
            return;
        };
        let ssrc = prefix.ssrc();
        let Some(stream) = self.streams.get_mut(&ssrc) else {
            counters[Count::Unannounced] += 1;
            return;
        };
        let Some(number) = estimate(stream.highest, prefix.sequence()) else { return };
        if let Some(repairs) = stream.repairs {
            stream.highest = stream.highest.max(Some(number));
            self.retransmission(datagram, &prefix, (repairs, number), session, scratch, times, counters);
            return;
        }
        let fresh = stream.arrived(number, prefix.timestamp(), times.arrived, counters);
        let sampled = (prefix.timestamp().wrapping_mul(SCATTER) >> 16) < 0x1_0000 / self.sample;
        if !sampled && self.first_media.is_some() {
            return;
        }
        counters[Count::Opened] += 1;
        let Ok(len) = session.open_rtp(ssrc, number, datagram, prefix.header_len(), scratch) else {
            counters[Count::AuthFailures] += 1;
            return;
        };
        let Some(label) = label_of(datagram[0], &scratch[..len], counters) else { return };
        let Some(stream) = self.streams.get(&ssrc) else { return };
        if !belongs(&label, stream, self.place, &self.room, times.now) {
            counters[Count::WrongSource] += 1;
        }
        self.first_media.get_or_insert((times.now, label.endpoint));
        if fresh {
            let delay = times.arrived.as_micros().saturating_sub(label.sent_us);
            match stream.media {
                Media::Audio => note(&mut delays.audio, delay),
                Media::Video => {
                    note(&mut delays.video, delay);
                    if prefix.marker() && stream.broken != Some(prefix.timestamp()) {
                        note(&mut delays.frame, delay);
                    }
                }
            }
        }
    }

    /// A packet on a retransmission stream: fills a hole, or is padding that probes.
    #[allow(clippy::too_many_arguments, reason = "the parts of one packet")]
    fn retransmission(
        &mut self,
        datagram: &[u8],
        prefix: &HeaderPrefix<'_>,
        (repairs, number): (u32, u64),
        session: &Session,
        scratch: &mut [u8],
        times: Times,
        counters: &mut Counters,
    ) {
        counters[Count::Opened] += 1;
        let Ok(len) = session.open_rtp(prefix.ssrc(), number, datagram, prefix.header_len(), scratch) else {
            counters[Count::AuthFailures] += 1;
            return;
        };
        let body = without_padding(datagram[0], &scratch[..len]);
        let Some(original) = wire::rtx::parse(body) else {
            counters[Count::PaddingOnly] += 1;
            return;
        };
        let Some(stream) = self.streams.get_mut(&repairs) else { return };
        let Some(number) = estimate(stream.highest, original.original_sequence) else { return };
        stream.last = times.arrived;
        stream.repaired(number, counters);
    }

    /// Numbers not come for long are lost; `all` ends the run.
    pub fn give_up(&mut self, now: Timestamp, all: bool, counters: &mut Counters) {
        for stream in self.streams.values_mut() {
            let before = stream.missing.len();
            stream.missing.retain(|missing| !all && now.since(missing.since) < GIVE_UP);
            counters[Count::Lost] += (before - stream.missing.len()) as u64;
        }
    }

    /// Streams (audio, video) on which something came within the last second.
    pub fn live(&self, now: Timestamp) -> (usize, usize) {
        let live = |media: Media| {
            let of = |stream: &&Stream| {
                let came = stream.highest.is_some() && now.since(stream.last) < LIVE;
                stream.repairs.is_none() && stream.media == media && came
            };
            self.streams.values().filter(of).count()
        };
        (live(Media::Audio), live(Media::Video))
    }
}

impl Stream {
    fn new(media: Media, repairs: Option<u32>, now: Timestamp) -> Stream {
        Stream {
            media,
            repairs,
            owner: None,
            owner_since: now,
            owner_before: None,
            highest: None,
            missing: Vec::new(),
            broken: None,
            last: Timestamp::ZERO,
            report: ReportState::default(),
        }
    }

    /// Highest extended number that came.
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// Hz.
    pub fn clock_rate(&self) -> u32 {
        if self.media == Media::Audio { 48_000 } else { 90_000 }
    }

    /// A packet came; whether it is the first with its number and in order.
    fn arrived(&mut self, number: u64, timestamp: u32, now: Timestamp, counters: &mut Counters) -> bool {
        self.last = now;
        let Some(highest) = self.highest else {
            self.highest = Some(number);
            self.report = ReportState { first: number, received: 1, ..self.report };
            counters[Count::Received] += 1;
            return true;
        };
        if number <= highest {
            self.repaired(number, counters);
            return false;
        }
        let gap = number - highest - 1;
        if gap > 0 {
            self.broken = Some(timestamp);
            // A leap is a restart of the stream, not a thousand losses.
            let kept = gap.min(MISSING_MAX.saturating_sub(self.missing.len()) as u64);
            counters[Count::Lost] += if gap > LEAP { 0 } else { gap - kept };
            let since = now;
            let ask = now + REORDERING;
            let range = if gap > LEAP { 0..0 } else { number - kept..number };
            self.missing.extend(range.map(|number| Missing { number, since, ask, asked: 0 }));
        }
        self.highest = Some(number);
        counters[Count::Received] += 1;
        self.report.received += 1;
        self.note_jitter(timestamp, now);
        true
    }

    fn repaired(&mut self, number: u64, counters: &mut Counters) {
        let Some(at) = self.missing.iter().position(|missing| missing.number == number) else {
            counters[Count::Duplicates] += 1;
            return;
        };
        self.missing.swap_remove(at);
        self.report.received += 1;
        counters[Count::Received] += 1;
        counters[Count::Recovered] += 1;
    }

    fn note_jitter(&mut self, timestamp: u32, now: Timestamp) {
        let clock = u64::from(self.clock_rate());
        let transit = ((now.as_micros() * clock / 1_000_000) as u32).wrapping_sub(timestamp);
        let difference = transit.wrapping_sub(self.report.transit).cast_signed().unsigned_abs();
        self.report.transit = transit;
        // The first difference is against nothing.
        if self.report.received > 2 && difference < u32::MAX / 32 {
            self.report.jitter = self.report.jitter + difference - (self.report.jitter + 8) / 16;
        }
    }
}

/// Whether the media of a label may come on a stream.
fn belongs(label: &Label, stream: &Stream, place: u32, room: &std::ops::Range<u32>, now: Timestamp) -> bool {
    if label.media != stream.media || label.endpoint == place || !room.contains(&label.endpoint) {
        return false;
    }
    let owner = stream.owner.is_none() || stream.owner == Some(label.endpoint);
    let before = stream.owner_before == Some(label.endpoint);
    // Signalling and media have different ways: for a while after a change the former owner is right too.
    owner || (before && now.since(stream.owner_since) < CHANGE_OVER)
}

fn label_of(first: u8, body: &[u8], counters: &mut Counters) -> Option<Label> {
    let payload = without_padding(first, body);
    counters[Count::PaddingBytes] += (body.len() - payload.len()) as u64;
    if payload.is_empty() {
        counters[Count::PaddingOnly] += 1;
        return None;
    }
    let label = Label::read(payload);
    counters[Count::WrongSource] += u64::from(label.is_none());
    label
}

/// RFC 3550 §5.1.
fn without_padding(first: u8, body: &[u8]) -> &[u8] {
    if first & 0x20 == 0 {
        return body;
    }
    let count = body.last().map_or(0, |count| usize::from(*count));
    body.get(..body.len().saturating_sub(count)).unwrap_or_default()
}

/// Knuth's multiplier: spreads timestamps, which are multiples of something.
const SCATTER: u32 = 2_654_435_769;
/// A number that came by then is late, one that did not is lost.
const GIVE_UP: std::time::Duration = std::time::Duration::from_millis(1_500);
/// A hole is asked for when nothing has filled it by then.
const REORDERING: std::time::Duration = std::time::Duration::from_millis(5);
/// How long the former owner of an SSRC is still right.
const CHANGE_OVER: std::time::Duration = std::time::Duration::from_secs(2);
/// Silent streams after this are not counted as live.
const LIVE: std::time::Duration = std::time::Duration::from_secs(1);
/// Holes kept for one stream; more are lost at once.
const MISSING_MAX: usize = 1_024;
/// Further ahead than this a stream began anew.
const LEAP: u64 = 10_000;

#[cfg(test)]
mod tests;
