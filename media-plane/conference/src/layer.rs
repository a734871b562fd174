//! The layers of an encoding as they are seen: which there are, how high, how many bits a second.

use contract::{Duration, Timestamp};

use crate::packet::{Layer, MediaPacket, SPATIAL_LAYERS_MAX, TEMPORAL_LAYERS_MAX};

/// Rates are measured over this many buckets.
const BUCKETS: usize = 10;

/// Length of a bucket; ten make the second over which rates are taken.
const BUCKET_MS: u64 = 100;

/// A layer of a camera without a packet for so long is not being sent: receivers must turn to another soon.
const CAMERA_IDLE: Duration = Duration::from_secs(1);

/// The same for a screen share, which may be as slow as a frame in seconds.
const SCREEN_IDLE: Duration = Duration::from_secs(5);

/// What a link carries besides each payload: IP and UDP headers (28), RTP header (12), extensions (8), SRTP tag (16).
const HEADER_BYTES: u32 = 64;

/// How many times as large as an ordinary frame a key frame is, about.
const KEY_FRAME_SIZE: u32 = 5;

/// Seconds that rates are smoothed over.
const SMOOTHED_OVER: f32 = 5.0;

/// The part by which the last second may exceed the smoothed rate before it counts.
const PEAK: u64 = 12;

/// Seconds that the busiest second is remembered for.
const PEAK_FADES_OVER: f32 = 60.0;

/// Layers of one source that the allocation chooses from; three encodings of three by three, the poorest left out beyond.
pub(crate) const CHOICES_MAX: usize = 27;

/// One layer of a source as the allocation sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) encoding: u8,
    pub(crate) layer: Layer,
    /// Bits per second, with all that the layer needs.
    pub(crate) rate: u64,
    /// What its busiest seconds of late took beyond that, in bits per second.
    pub(crate) burst: u64,
    /// Pixels.
    pub(crate) height: u16,
    /// How often its frame rate is halved, against the fastest layer of the same size.
    pub(crate) halvings: u8,
}

/// Bits of one layer over the last second.
#[derive(Clone, Copy, Debug, Default)]
struct Meter {
    buckets: [u32; BUCKETS],
    /// The bucket written last, counted from the start of time.
    bucket: u64,
    last: Timestamp,
    seen: bool,
    /// Bits per second over some seconds, and as of when.
    smooth: f32,
    smoothed: Timestamp,
    /// Bits per second of the busiest second, fading.
    peak: f32,
}

impl Meter {
    fn add(&mut self, bytes: u32, now: Timestamp) {
        self.advance(now);
        if let Some(bucket) = self.buckets.get_mut((self.bucket % BUCKETS as u64) as usize) {
            *bucket = bucket.saturating_add(bytes);
        }
        self.last = self.last.max(now);
        self.seen = true;
    }

    fn advance(&mut self, now: Timestamp) {
        let bucket = now.as_millis() / BUCKET_MS;
        let steps = bucket.saturating_sub(self.bucket).min(BUCKETS as u64);
        if steps > 0 {
            let fading = 1.0 - steps as f32 * (BUCKET_MS as f32 / 1_000.0 / PEAK_FADES_OVER);
            self.peak = (self.peak * fading).max(self.last_second() as f32);
        }
        for step in 1..=steps {
            self.buckets[((self.bucket + step) % BUCKETS as u64) as usize] = 0;
        }
        // After a long pause every bucket was cleared, whichever comes next.
        self.bucket = self.bucket.max(bucket);
    }

    fn bits_per_second(&mut self, now: Timestamp) -> u64 {
        self.advance(now);
        let rate = self.last_second();
        // Encoders tremble from second to second: a dip makes no room, and a peak little harm. Real changes are believed at once.
        let (now_rate, elapsed) =
            (rate as f32, now.since(core::mem::replace(&mut self.smoothed, now)).as_secs_f32());
        let changed = now_rate > self.smooth * 1.3 || now_rate < self.smooth * 0.5;
        let weight = if changed { 1.0 } else { elapsed / (elapsed + SMOOTHED_OVER) };
        self.smooth += (now_rate - self.smooth) * weight;
        rate.saturating_sub(rate / PEAK).max(self.smooth as u64)
    }

    /// Bits per second over all buckets.
    fn last_second(&self) -> u64 {
        let bytes: u64 = self.buckets.iter().map(|bytes| u64::from(*bytes)).sum();
        bytes * 8 * 1_000 / (BUCKET_MS * BUCKETS as u64)
    }

    /// What the busiest second took beyond the smoothed rate, in bits per second.
    fn burst(&self) -> u64 {
        (self.peak - self.smooth) as u64
    }

    fn is_active(&self, now: Timestamp, idle: Duration) -> bool {
        self.seen && now.since(self.last) < idle
    }
}

/// The layers of one encoding.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers {
    meters: [[Meter; TEMPORAL_LAYERS_MAX]; SPATIAL_LAYERS_MAX],
    heights: [u16; SPATIAL_LAYERS_MAX],
    /// The layers that were active when asked last, a bit each.
    active: u16,
    /// Frames may come seconds apart.
    pub(crate) is_slow: bool,
    /// Heights were told since asked last.
    resized: bool,
}

impl Layers {
    /// Count a packet. Returns whether it woke a layer or told new heights: the allocation should look again.
    pub(crate) fn note(&mut self, packet: &MediaPacket) -> bool {
        if packet.payload_bytes == 0 {
            return false;
        }
        let idle = self.idle();
        let layer = packet.frame.layer;
        let (spatial, temporal) = (usize::from(layer.spatial), usize::from(layer.temporal));
        let Some(meter) = self.meters.get_mut(spatial).and_then(|meters| meters.get_mut(temporal)) else {
            return false;
        };
        let woke = !meter.is_active(packet.arrival, idle);
        // A key frame is no measure of the rate: it counts as an ordinary frame.
        let bytes = u32::from(packet.payload_bytes) + HEADER_BYTES;
        let bytes = if packet.frame.key_frame { bytes / KEY_FRAME_SIZE } else { bytes };
        meter.add(bytes, packet.arrival);
        for (known, told) in self.heights.iter_mut().zip(packet.frame.heights) {
            self.resized |= told != 0 && told != *known;
            *known = if told == 0 { *known } else { told };
        }
        woke || self.resized
    }

    /// Forget everything: another codec, or a source that was switched off.
    pub(crate) fn reset(&mut self) {
        *self = Layers { is_slow: self.is_slow, ..Layers::default() };
    }

    fn idle(&self) -> Duration {
        if self.is_slow { SCREEN_IDLE } else { CAMERA_IDLE }
    }

    /// Whether the active layers or their heights are others than when asked last.
    pub(crate) fn take_change(&mut self, now: Timestamp) -> bool {
        let mut active = 0;
        for (spatial, meters) in self.meters.iter().enumerate() {
            for (temporal, meter) in meters.iter().enumerate() {
                active |= u16::from(meter.is_active(now, self.idle()))
                    << (spatial * TEMPORAL_LAYERS_MAX + temporal);
            }
        }
        let resized = core::mem::take(&mut self.resized);
        core::mem::replace(&mut self.active, active) != active || resized
    }

    /// Whether any layer is active.
    pub(crate) fn is_active(&self, now: Timestamp) -> bool {
        self.meters.iter().flatten().any(|meter| meter.is_active(now, self.idle()))
    }

    /// Whether any layer was ever seen.
    pub(crate) fn is_known(&self) -> bool {
        self.meters.iter().flatten().any(|meter| meter.seen)
    }

    /// Append the layers, poorest first: the active ones, or with `all` those ever seen. `height` is that of the highest
    /// layer unless key frames told.
    pub(crate) fn choices<const N: usize>(
        &mut self,
        encoding: u8,
        height: u16,
        all: bool,
        now: Timestamp,
        into: &mut arrayvec::ArrayVec<Choice, N>,
    ) {
        let idle = self.idle();
        let counts = |meter: &Meter| if all { meter.seen } else { meter.is_active(now, idle) };
        let top = (0..SPATIAL_LAYERS_MAX).rev().find(|at| self.meters[*at].iter().any(counts)).unwrap_or(0);
        for spatial in 0..=top {
            let Some(fastest) = (0..TEMPORAL_LAYERS_MAX).rev().find(|at| counts(&self.meters[spatial][*at]))
            else {
                continue;
            };
            let height = match self.heights[spatial] {
                0 => height >> (top - spatial),
                told => told,
            };
            for temporal in 0..=fastest {
                if !counts(&self.meters[spatial][temporal]) {
                    continue;
                }
                let choice = Choice {
                    encoding,
                    layer: Layer { spatial: spatial as u8, temporal: temporal as u8 },
                    rate: self.rate(spatial, temporal, now),
                    burst: self.burst(spatial, temporal),
                    height,
                    halvings: (fastest - temporal) as u8,
                };
                if into.is_full() {
                    into.remove(0);
                }
                into.push(choice);
            }
        }
    }

    /// A large frame is of one layer: the bursts of several do not come together.
    fn burst(&self, spatial: usize, temporal: usize) -> u64 {
        let needed = self.meters.iter().take(spatial + 1).flat_map(|meters| meters.iter().take(temporal + 1));
        needed.map(Meter::burst).max().unwrap_or(0)
    }

    fn rate(&mut self, spatial: usize, temporal: usize, now: Timestamp) -> u64 {
        let needed = self.meters.iter_mut().take(spatial + 1);
        needed
            .flat_map(|meters| meters.iter_mut().take(temporal + 1))
            .map(|meter| meter.bits_per_second(now))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::tests::video;
    use arrayvec::ArrayVec;

    #[test]
    fn a_layers_rate_includes_what_it_needs_and_fades_when_it_stops() {
        let mut layers = Layers::default();
        for ms in (0..1_000).step_by(20) {
            for temporal in 0..2 {
                let mut packet = video(ms, Timestamp::from_millis(ms));
                packet.frame.layer.temporal = temporal;
                packet.payload_bytes = 1_186;
                layers.note(&packet);
            }
        }
        let mut choices = ArrayVec::<Choice, CHOICES_MAX>::new();
        layers.choices(0, 720, false, Timestamp::from_millis(999), &mut choices);
        let rates: Vec<_> = choices.iter().map(|choice| choice.rate).collect();
        assert_eq!(rates, [500_000, 1_000_000]);
        choices.clear();
        layers.choices(0, 720, false, Timestamp::from_millis(4_000), &mut choices);
        assert!(choices.is_empty(), "idle");
        layers.choices(0, 720, true, Timestamp::from_millis(4_000), &mut choices);
        assert_eq!(choices.iter().map(|choice| choice.rate).sum::<u64>(), 0);
        assert_eq!(choices.len(), 2, "but remembered");
    }

    #[test]
    fn heights_are_halved_downwards_until_told() {
        let mut layers = Layers::default();
        let mut packet = video(1, Timestamp::ZERO);
        for spatial in 0..3 {
            packet.frame.layer.spatial = spatial;
            assert!(layers.note(&packet), "each layer wakes once");
            assert!(!layers.note(&packet));
        }
        let heights = |layers: &mut Layers| {
            let mut choices = ArrayVec::<Choice, CHOICES_MAX>::new();
            layers.choices(0, 720, false, Timestamp::ZERO, &mut choices);
            choices.iter().map(|choice| choice.height).collect::<Vec<_>>()
        };
        assert_eq!(heights(&mut layers), [180, 360, 720]);
        packet.frame.heights = [270, 540, 1_080, 0];
        assert!(layers.note(&packet));
        assert_eq!(heights(&mut layers), [270, 540, 1_080]);
    }
}
