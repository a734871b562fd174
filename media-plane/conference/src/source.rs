//! A source as a replica sees it: its encodings, their layers and rates, and who is interested.

use arrayvec::ArrayVec;
use contract::limits::{ENCODINGS_PER_SOURCE_MAX, ENDPOINTS_PER_CONFERENCE_MAX};
use contract::session::{Codec, Media, SourceSpec, VideoType};
use contract::{EndpointId, SourceId, Timestamp};

use crate::conference::Config;
use crate::describe::Describer;
use crate::index_set::IndexSet;
use crate::key_frame::StreamLimit;
use crate::layer::{CHOICES_MAX, Choice, Layers};
use crate::packet::{Layer, MediaPacket, SPATIAL_LAYERS_MAX, TEMPORAL_LAYERS_MAX};
use crate::projection::window::{Place, Window};
use crate::speech::Speaker;

/// Where a source sits in this replica; valid until it is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceIndex(pub u16);

/// A bit per receiver of a replica.
pub(crate) type ReceiverSet = IndexSet<{ ENDPOINTS_PER_CONFERENCE_MAX.div_ceil(64) }>;

/// The level of RFC 6464 that stands for silence.
const SILENCE: u8 = 127;

/// A source, built off the worker.
#[derive(Debug)]
#[repr(C)]
pub struct Source {
    // What every packet touches comes first, so that it lies in few lines (`repr(C)`).
    pub(crate) id: SourceId,
    pub(crate) media: Media,
    /// What each encoding's packets are read with; empty for audio.
    pub(crate) describers: Vec<Describer>,
    /// Of the video seen last.
    codec: Option<Codec>,
    /// Somebody asked for it by name.
    pub(crate) named: bool,
    /// Some of the interested may lack a slot.
    pub(crate) slots_missing: bool,
    /// Rises with each time the owner became the dominant speaker; 0 = never.
    pub(crate) spoke: u64,
    /// The receivers that packets may go to.
    pub(crate) interested: ReceiverSet,
    pub(crate) encodings: ArrayVec<EncodingState, ENCODINGS_PER_SOURCE_MAX>,

    // Now and then.
    pub(crate) owner: EndpointId,
    pub(crate) video_type: VideoType,
    /// The layers to choose from, poorest first, as of the last refresh.
    pub(crate) choices: ArrayVec<Choice, CHOICES_MAX>,
    refreshed: Option<Timestamp>,
    /// The largest height wanted by a receiver: as counted, and as told.
    pub(crate) demand: u16,
    pub(crate) demand_told: u16,
    pub(crate) speaker: Speaker,
    /// Which packets of audio are dropped as silence, for all receivers alike.
    silence: Window<4>,
    silent_run: u8,
    silence_started: bool,
}

/// One encoding of a source.
#[derive(Clone, Debug)]
pub(crate) struct EncodingState {
    pub(crate) ssrc: u32,
    pub(crate) rtx: Option<u32>,
    pub(crate) layers: Layers,
    pub(crate) requests: StreamLimit,
    /// A key frame is to be asked for.
    pub(crate) key_frame_due: bool,
    /// Its last sender report: NTP time and RTP timestamp of one moment (RFC 3550 §6.4.1).
    pub(crate) clocks: Option<(u64, u32)>,
}

impl Source {
    /// A source as signalled, nothing of it seen yet.
    pub fn new(spec: &SourceSpec) -> Source {
        let encodings = spec.encodings.iter().map(|encoding| EncodingState {
            ssrc: encoding.ssrc.0,
            rtx: encoding.rtx.map(|rtx| rtx.0),
            layers: Layers::default(),
            requests: StreamLimit::default(),
            key_frame_due: false,
            clocks: None,
        });
        let mut encodings: ArrayVec<EncodingState, ENCODINGS_PER_SOURCE_MAX> = encodings.collect();
        for encoding in &mut encodings {
            encoding.layers.is_slow = is_slow(spec.video_type);
        }
        let describers = match spec.media {
            Media::Audio => Vec::new(),
            Media::Video => spec.encodings.iter().map(|_| Describer::default()).collect(),
        };
        Source {
            id: spec.source,
            owner: spec.owner,
            media: spec.media,
            video_type: spec.video_type,
            codec: None,
            encodings,
            describers,
            interested: ReceiverSet::default(),
            named: false,
            slots_missing: false,
            choices: ArrayVec::new(),
            refreshed: None,
            demand: 0,
            demand_told: 0,
            spoke: 0,
            speaker: Speaker::default(),
            silence: Window::starting_at(0),
            silent_run: 0,
            silence_started: false,
        }
    }

    /// Its identity.
    pub fn id(&self) -> SourceId {
        self.id
    }

    /// Who sends it.
    pub fn owner(&self) -> EndpointId {
        self.owner
    }

    /// Audio or video.
    pub fn media(&self) -> Media {
        self.media
    }

    /// The SSRC by which receivers without SSRC rewriting know it: that of the first encoding.
    pub(crate) fn primary(&self) -> (u32, Option<u32>) {
        self.encodings.first().map_or((0, None), |encoding| (encoding.ssrc, encoding.rtx))
    }

    /// What to add to timestamps of encoding `to` for those that `from` has at the same moment, by their sender's reports. At 90 kHz.
    pub(crate) fn ticks_between(&self, from: u8, to: u8) -> Option<u32> {
        let clocks = |encoding: u8| self.encodings.get(usize::from(encoding))?.clocks;
        let ((from_ntp, from_rtp), (to_ntp, to_rtp)) = (clocks(from)?, clocks(to)?);
        let elapsed = i128::from(to_ntp.wrapping_sub(from_ntp).cast_signed());
        let ticks = (elapsed * 90_000) >> 32;
        Some(from_rtp.wrapping_add(ticks as u32).wrapping_sub(to_rtp))
    }

    /// The encoding with this media SSRC.
    pub(crate) fn encoding_of(&self, ssrc: u32) -> Option<u8> {
        self.encodings.iter().position(|encoding| encoding.ssrc == ssrc).map(|at| at as u8)
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.video_type.enabled()
    }

    /// What it shows from now on. Returns whether that is news.
    pub(crate) fn set_video_type(&mut self, video_type: VideoType) -> bool {
        let news = self.video_type != video_type;
        self.video_type = video_type;
        for encoding in &mut self.encodings {
            encoding.layers.is_slow = is_slow(video_type);
            if !video_type.enabled() {
                encoding.layers.reset();
            }
        }
        news
    }

    /// Count a video packet. Returns whether the layers are other than before.
    pub(crate) fn note_video(&mut self, packet: &MediaPacket) -> bool {
        // Another codec begins with a key frame; what was known of the layers is void.
        if self.codec != Some(packet.codec) && packet.frame.key_frame && packet.frame.start_of_frame {
            self.codec = Some(packet.codec);
            for encoding in &mut self.encodings {
                encoding.layers.reset();
            }
        }
        let encoding = self.encodings.get_mut(usize::from(packet.encoding));
        encoding.is_some_and(|encoding| encoding.layers.note(packet))
    }

    /// Count an audio packet: silence beyond the first few packets is dropped for everybody. Returns whether it is kept.
    /// So is everything that is not `heard`.
    pub(crate) fn note_audio(
        &mut self,
        packet: &MediaPacket,
        heard: bool,
        silence_packets: Option<u8>,
    ) -> bool {
        let number = packet.sequence;
        if !self.silence_started {
            self.silence = Window::starting_at(number);
            self.silence_started = true;
        }
        let silent = packet.audio_level.is_some_and(|level| level.level >= SILENCE);
        self.silent_run = if silent { self.silent_run.saturating_add(1) } else { 0 };
        let keep = heard && silence_packets.is_none_or(|limit| self.silent_run <= limit);
        if keep {
            self.silence.keep(number);
        } else {
            self.silence.remove(number);
        }
        keep
    }

    /// How many packets were dropped as silence before this one; `None` if it was itself, or is too old to tell.
    pub(crate) fn silence_before(&self, sequence: u64) -> Option<u64> {
        match self.silence.place(sequence) {
            Place::Kept => Some(self.silence.removed_before(sequence)),
            _ => None,
        }
    }

    /// Look at the layers again, unless that was done at `now`.
    pub(crate) fn refresh(&mut self, config: &Config, now: Timestamp) {
        if self.refreshed == Some(now) {
            return;
        }
        self.refreshed = Some(now);
        self.choices.clear();
        let active = self.encodings.iter().any(|encoding| encoding.layers.is_active(now));
        let single = self.encodings.len() == 1;
        for (at, encoding) in self.encodings.iter_mut().enumerate() {
            let default = config.default_heights.get(at).copied().unwrap_or(config.single_height);
            let height = if single { config.single_height } else { default };
            encoding.layers.choices(at as u8, height, !active, now, &mut self.choices);
        }
        if self.encodings.iter().any(|encoding| encoding.layers.is_known()) {
            return;
        }
        for at in 0..self.encodings.len() {
            let default = config.default_heights.get(at).copied().unwrap_or(config.single_height);
            self.choices.push(Choice {
                encoding: at as u8,
                layer: EVERYTHING,
                rate: 0,
                burst: 0,
                height: if single { config.single_height } else { default },
                halvings: 0,
            });
        }
    }

    /// Whether layers appeared or vanished since asked last.
    pub(crate) fn take_layer_change(&mut self, now: Timestamp) -> bool {
        let changes = self.encodings.iter_mut().map(|encoding| encoding.layers.take_change(now));
        changes.fold(false, |any, change| any | change)
    }
}

/// Whether frames may come seconds apart.
fn is_slow(video_type: VideoType) -> bool {
    matches!(video_type, VideoType::Desktop | VideoType::DesktopHighFps)
}

/// All layers of an encoding of which nothing is known yet.
pub(crate) const EVERYTHING: Layer =
    Layer { spatial: SPATIAL_LAYERS_MAX as u8 - 1, temporal: TEMPORAL_LAYERS_MAX as u8 - 1 };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::tests::audio;
    use contract::Ssrc;
    use contract::session::Encoding;

    fn source(media: Media, encodings: u32) -> Source {
        Source::new(&SourceSpec {
            source: SourceId(1),
            owner: EndpointId(1),
            media,
            video_type: VideoType::Camera,
            encodings: (0..encodings).map(|at| Encoding { ssrc: Ssrc(at), rtx: None }).collect(),
        })
    }

    #[test]
    fn four_silent_packets_pass_and_the_rest_is_renumbered_away() {
        let mut source = source(Media::Audio, 1);
        let levels = [30, 127, 127, 127, 127, 127, 127, 30, 127];
        for (at, level) in levels.into_iter().enumerate() {
            source.note_audio(&audio(at as u64, level), true, Some(4));
        }
        let before: Vec<_> = (0..9).map(|at| source.silence_before(at)).collect();
        let kept = Some(0);
        assert_eq!(before, [kept, kept, kept, kept, kept, None, None, Some(2), Some(2)]);
    }

    #[test]
    fn another_codec_voids_what_was_known_of_the_layers() {
        let mut source = source(Media::Video, 3);
        let mut packet = crate::packet::tests::video(1, Timestamp::ZERO);
        packet.encoding = 2;
        packet.frame.key_frame = true;
        source.note_video(&packet);
        packet.encoding = 0;
        packet.codec = Codec::Av1;
        source.note_video(&packet);
        source.refresh(&Config::default(), Timestamp::ZERO);
        assert_eq!(source.choices.iter().map(|choice| choice.encoding).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn two_encodings_are_brought_together_by_their_reports() {
        let mut source = source(Media::Video, 2);
        assert_eq!(source.ticks_between(0, 1), None);
        source.encodings[0].clocks = Some((10 << 32, 1_000));
        source.encodings[1].clocks = Some(((10 << 32) + (1 << 31), u32::MAX));
        // Half a second later the first stands at 46,000, the second just before its wrap.
        assert_eq!(source.ticks_between(0, 1), Some(46_001));
        assert_eq!(source.ticks_between(1, 0), Some(46_001u32.wrapping_neg()));
    }

    #[test]
    fn before_anything_is_seen_every_encoding_counts_as_whole() {
        let heights = |encodings| {
            let mut source = source(Media::Video, encodings);
            source.refresh(&Config::default(), Timestamp::ZERO);
            source.choices.iter().map(|choice| choice.height).collect::<Vec<_>>()
        };
        assert_eq!(heights(3), [180, 360, 720]);
        assert_eq!(heights(1), [720]);
    }
}
