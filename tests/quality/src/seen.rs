//! Figures from what a receiver got.

use contract::{Duration, Timestamp};
use sim::{Client, World};

/// A picture that stands longer than this is frozen.
const FREEZE: Duration = Duration::from_millis(500);

/// Times within a run.
pub type Span = core::ops::Range<Timestamp>;

/// Freezes of all video streams, and the longest time without a new picture, in seconds.
pub fn freezes(client: &Client, span: &Span) -> (usize, f64) {
    let (mut count, mut longest) = (0, 0.0f64);
    for stream in client.streams.values() {
        let shown: Vec<_> = stream.shown().into_iter().filter(|(_, label)| label.source % 10 == 1).collect();
        if shown.is_empty() {
            continue;
        }
        let inside = shown.iter().map(|(at, _)| *at).filter(|at| span.contains(at));
        let times: Vec<Timestamp> = inside.chain([span.end]).collect();
        let mut last = span.start;
        for at in times {
            let gap = at.since(last);
            last = last.max(at);
            count += usize::from(gap > FREEZE);
            longest = longest.max(gap.as_secs_f64());
        }
    }
    (count, longest)
}

/// Share of time in which a picture stood for longer than a freeze, of one source, in per cent; 100 if there never was one.
pub fn frozen_pct(client: &Client, source: u64, span: &Span) -> f64 {
    let mut times: Vec<Timestamp> = shown_of(client, source).filter(|at| span.contains(at)).collect();
    times.sort_unstable();
    let mut frozen = Duration::ZERO;
    let mut last = span.start;
    for at in times.into_iter().chain([span.end]) {
        let gap = at.since(last);
        last = last.max(at);
        frozen += if gap > FREEZE { gap } else { Duration::ZERO };
    }
    100.0 * frozen.as_secs_f64() / span.end.since(span.start).as_secs_f64()
}

/// Seconds from `from` until a picture of a source is shown; infinite if none is.
pub fn picture_after_s(client: &Client, source: u64, from: Timestamp) -> f64 {
    let next = shown_of(client, source).filter(|at| *at >= from).min();
    next.map_or(f64::INFINITY, |at| at.since(from).as_secs_f64())
}

/// When frames of a source were shown.
fn shown_of(client: &Client, source: u64) -> impl Iterator<Item = Timestamp> {
    let shown = client.streams.values().flat_map(sim::received::Stream::shown);
    shown.filter(move |(_, label)| label.source == source).map(|(at, _)| at)
}

/// Changes of layer of all video streams: of the encoding, or of the frame rate from one second to the next.
pub fn layer_changes(client: &Client, span: &Span) -> usize {
    let mut changes = 0;
    for stream in client.streams.values() {
        let mut last = None;
        let mut at = span.start;
        while at < span.end {
            let second = at..at + Duration::from_secs(1);
            let labels =
                stream.packets().map(|(_, packet)| packet).filter(|packet| second.contains(&packet.at));
            let labels = labels.map(|packet| packet.label).filter(|label| label.source % 10 == 1);
            let layer = labels.map(|label| (label.encoding, label.temporal)).max();
            changes += usize::from(last.is_some_and(|last| last != layer));
            last = Some(layer);
            at = second.end;
        }
    }
    changes
}

/// The encoding of the video that was shown most in `span`, if any was.
pub fn encoding_shown(client: &Client, source: u64, span: &Span) -> Option<u8> {
    let mut counts = [0usize; 3];
    for stream in client.streams.values() {
        for (at, label) in stream.shown() {
            if label.source == source && span.contains(&at) {
                counts[usize::from(label.encoding)] += 1;
            }
        }
    }
    let best = (0..3).max_by_key(|at| counts[*at])?;
    (counts[best] > 0).then_some(best as u8)
}

/// When `frames` of `encoding`, which is all of them, were shown first within a second from `from` on: the beginning of that second.
pub fn full_layer_from(
    client: &Client,
    source: u64,
    encoding: u8,
    from: Timestamp,
    frames: usize,
) -> Option<Timestamp> {
    let mut times = Vec::new();
    for stream in client.streams.values() {
        let shown = stream.shown().into_iter();
        times.extend(
            shown
                .filter(|(at, label)| label.source == source && label.encoding == encoding && *at >= from)
                .map(|(at, _)| at),
        );
    }
    times.sort_unstable();
    let full = |at: &&Timestamp| {
        let end = **at + Duration::from_secs(1);
        times.iter().filter(|other| **other >= **at && **other < end).count() >= frames
    };
    times.iter().find(full).copied()
}

/// Share of audio frames that never came, of one sender, in percent; those that redundant packets carry too count as come.
pub fn audio_lost(client: &Client, source: u64, span: &Span) -> f64 {
    let mut frames = std::collections::BTreeSet::new();
    for stream in client.streams.values() {
        for (_, packet) in stream.packets().filter(|(_, packet)| packet.label.source == source) {
            if span.contains(&packet.at) {
                frames.insert(packet.label.frame);
            }
        }
    }
    let within = |frame: &u32| {
        frames.first().is_some_and(|first| first < frame) && frames.last().is_some_and(|last| frame < last)
    };
    let recovered: Vec<u32> = client
        .recovered
        .iter()
        .filter(|(of, _)| *of == source)
        .map(|(_, frame)| *frame)
        .filter(within)
        .collect();
    frames.extend(recovered);
    let (Some(first), Some(last)) = (frames.first().copied(), frames.last().copied()) else { return 100.0 };
    let expected = f64::from(last - first + 1);
    100.0 * (expected - frames.len() as f64) / expected
}

/// What one receiver's link carried of its own packets in `span`, bits per second; and the most that entered it within a second.
pub fn link_rates(world: &World, client: usize, span: &Span) -> (f64, f64) {
    let link = world.network.link(world.clients[client].address).expect("it has a link");
    let (mut carried, mut most) = (0.0, 0.0f64);
    let entries: Vec<_> = link.entries.iter().filter(|entry| entry.own && span.contains(&entry.at)).collect();
    let (mut from, mut window) = (0, 0.0);
    for entry in &entries {
        let bits = f64::from(entry.bytes) * 8.0;
        carried += if entry.dropped { 0.0 } else { bits };
        window += bits;
        while entry.at.since(entries[from].at) >= Duration::from_secs(1) {
            window -= f64::from(entries[from].bytes) * 8.0;
            from += 1;
        }
        most = most.max(window);
    }
    (carried / span.end.since(span.start).as_secs_f64(), most)
}

/// Seconds after `span.start` at which the queue was last longer than `limit`; 0 if never.
pub fn queue_exceeds_until(world: &World, client: usize, span: &Span, limit: Duration) -> f64 {
    let link = world.network.link(world.clients[client].address).expect("it has a link");
    let late = link.entries.iter().filter(|entry| span.contains(&entry.at) && entry.wait > limit);
    late.map(|entry| entry.at.since(span.start).as_secs_f64()).fold(0.0, f64::max)
}

/// Seconds after `span.start` until the queue stayed no longer than `limit` for a whole second; infinite if it never did.
pub fn queue_drained_after_s(world: &World, client: usize, span: &Span, limit: Duration) -> f64 {
    let link = world.network.link(world.clients[client].address).expect("it has a link");
    let late = link.entries.iter().filter(|entry| span.contains(&entry.at) && entry.wait > limit);
    drained_after_s(late.map(|entry| entry.at.since(span.start).as_secs_f64()).collect())
}

/// The first of these times, or 0, that no other follows within a second.
pub fn drained_after_s(late: Vec<f64>) -> f64 {
    let next = late.iter().copied().chain([f64::INFINITY]);
    let mut pairs = core::iter::once(0.0).chain(late.iter().copied()).zip(next);
    pairs.find(|(at, next)| next - at >= 1.0).map_or(f64::INFINITY, |(at, _)| at)
}

/// The most that a picture is off its sound, in milliseconds: what sender reports make of a frame's timestamp against when it
/// was taken.
pub fn lip_sync_drift_ms(client: &Client, audio: u64, video: u64, span: &Span) -> f64 {
    let (Some(sound), Some(picture)) =
        (errors(client, audio, 48_000.0, span), errors(client, video, 90_000.0, span))
    else {
        return f64::INFINITY;
    };
    let middle = (sound.0 + sound.1) / 2.0;
    (picture.1 - middle).max(middle - picture.0)
}

/// Least and largest difference of the time that reports give a frame, and its own, in milliseconds.
fn errors(client: &Client, source: u64, clock: f64, span: &Span) -> Option<(f64, f64)> {
    let frame_ms = if clock == 48_000.0 { 20.0 } else { 33.0 };
    let mut bounds: Option<(f64, f64)> = None;
    for (ssrc, stream) in &client.streams {
        let reports: Vec<_> = client.reports.iter().filter(|report| report.1 == *ssrc).collect();
        for (_, packet) in stream.packets() {
            if packet.label.source != source || !span.contains(&packet.at) {
                continue;
            }
            let Some(report) = reports.iter().rev().find(|report| report.0 <= packet.at) else { continue };
            let ticks = f64::from(packet.timestamp.wrapping_sub(report.3) as i32);
            let told_ms = report.2 as f64 / 4_294_967.296 + ticks / clock * 1_000.0;
            let error = told_ms - f64::from(packet.label.frame) * frame_ms;
            let known = bounds.unwrap_or((error, error));
            bounds = Some((known.0.min(error), known.1.max(error)));
        }
    }
    bounds
}

/// The one in the middle, of an even number the lower; none of none.
pub fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied()
}
