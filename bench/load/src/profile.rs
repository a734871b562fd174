//! The named workloads, with the figures that give each its name, and what the command line changes in them.

use contract::session::Codec;

use crate::scenario::{AudioPlan, EndpointPlan, Layer, Room, Scenario, VideoPlan, Wants};

/// What makes a workload: rooms of one kind.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Its name.
    pub name: String,
    /// Rooms alike.
    pub rooms: usize,
    /// Participants of each.
    pub participants: usize,
    /// How many of these, from the first, have their microphone open.
    pub audio_senders: usize,
    /// How many of these, from the first, have their camera on.
    pub video_senders: usize,
    /// Their sound.
    pub audio: AudioPlan,
    /// Their picture.
    pub video: VideoPlan,
    /// What each asks for.
    pub wants: Wants,
    /// Joins per second.
    pub join_rate: f64,
    /// Every fifth receiver loses this share, in 1/1000.
    pub loss_per_mille: u32,
    /// What grows when the workload is scaled.
    pub grows: Grows,
}

/// What a larger instance of a workload has more of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grows {
    /// Rooms of the same size.
    Rooms,
    /// Participants of the one room.
    Participants,
}

/// What the command line changes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Changes {
    /// See [`Shape::rooms`].
    pub rooms: Option<usize>,
    /// See [`Shape::participants`].
    pub participants: Option<usize>,
    /// Both [`Shape::audio_senders`] and [`Shape::video_senders`] where the workload has any.
    pub senders: Option<usize>,
    /// Bits per second of the highest layer.
    pub bitrate: Option<u32>,
    /// Simulcast encodings or spatial layers, 1 to 3; 0 = no video.
    pub layers: Option<usize>,
    /// Codec of all cameras.
    pub codec: Option<Codec>,
    /// See [`Wants::last_n`].
    pub last_n: Option<i32>,
    /// See [`Wants::max_height`].
    pub max_height: Option<i32>,
    /// See [`Shape::join_rate`].
    pub join_rate: Option<f64>,
}

/// Names and definitions, for help.
pub const NAMES: &[(&str, &str)] = &[
    ("B2", "12 rooms of 5; each sends Opus and 1 Mbit/s VP8, all receive all"),
    ("custom", "one room of 2 with Opus and 1 Mbit/s VP8; change it by the options"),
    ("lk-audio-SxN", "S speak in 24-byte packets at 32 a second, N listen (lk-audio-10x3000)"),
    ("lk-video-SxN", "S send sound and 720p simulcast, N watch"),
    ("lk-meeting-150", "150 send 720p simulcast, one on stage, the rest at 180p"),
    ("lk-live-1xN", "one sends 720p at 1.4 Mbit/s, N watch"),
    ("ov-8", "rooms of 8, 640x480 at 30, all receive all (--rooms)"),
    ("kite-7", "rooms of 7, 640x480, all receive all (--rooms)"),
    ("jvb-100-ln20", "100 people, 2 speak, last-n 20: 300 + 19 x 100 + 2 x 50 packets a second each"),
    ("jvb-hammer-K", "K endpoints of 515 kbit/s, all receive all"),
    ("malleus(c,p,s,a)", "c conferences, p participants, s video and a audio senders each"),
    ("mm-RxP-screen", "R rooms of P, one speaks, one shares a screen at 1.7 Mbit/s (mm-1x1000-screen)"),
    ("mm-RxP-2u-screen", "the same with two who speak"),
    ("mm-Rx2-voice", "R rooms of two voices (mm-1000x2-voice)"),
    ("srs-1xN-600k", "one sends 600 kbit/s, N watch"),
    ("ms-500c", "21 rooms of 4 with sound and 1 Mbit/s: 504 consumers"),
    ("scallop-10", "rooms of 10, 720p simulcast, one on stage (--rooms)"),
    ("zoom-mmr-200", "100 rooms of 2 with sound and 720p"),
    ("storm-500", "500 joins in 10 s into one room, two speak, one is seen"),
    ("storm-500-rooms", "500 joins in 10 s into 100 rooms, all send"),
    ("loss-5", "jvb-100-ln20, every fifth receiver loses 5%"),
    ("loss-5-live", "lk-live-1x200, every fifth receiver loses 5%"),
];

/// The workloads of `lk-suite`, one after another.
pub const SUITE: [&str; 11] = [
    "lk-audio-10x10",
    "lk-audio-10x100",
    "lk-audio-10x500",
    "lk-audio-10x1000",
    "lk-audio-50x50",
    "lk-audio-100x50",
    "lk-video-10x10",
    "lk-video-10x100",
    "lk-video-10x500",
    "lk-video-1x100",
    "lk-video-1x1000",
];

impl Shape {
    /// The workload of this name.
    ///
    /// # Errors
    /// If there is none, with the nearest.
    pub fn named(name: &str) -> Result<Shape, String> {
        let base = Shape { name: name.to_owned(), ..Shape::base() };
        if let Some(shape) = base.clone().of_fixed_size() {
            return Ok(shape);
        }
        base.of_chosen_size().ok_or_else(|| {
            if name == "upgrade-under-load" {
                return "upgrade-under-load: replacing the running server is not supported yet; load it with another \
                        profile and restart it by hand"
                    .to_owned();
            }
            let nearest = NAMES.iter().max_by_key(|(known, _)| alike(known, name));
            format!("there is no profile `{name}`; nearest: `{}`; all: --profiles", nearest.map_or("", |n| n.0))
        })
    }

    fn base() -> Shape {
        Shape {
            name: String::new(),
            rooms: 1,
            participants: 2,
            audio_senders: usize::MAX,
            video_senders: usize::MAX,
            audio: AudioPlan::default(),
            video: camera(&[(640, 360, 1_000_000)]),
            wants: Wants::default(),
            join_rate: 25.0,
            loss_per_mille: 0,
            grows: Grows::Rooms,
        }
    }

    fn of_fixed_size(self) -> Option<Shape> {
        let stage = Wants { stage: Some(0), stage_height: 720, max_height: 180, last_n: -1 };
        Some(match self.name.as_str() {
            "custom" => self,
            "B2" => Shape { rooms: 12, participants: 5, ..self },
            "lk-meeting-150" => Shape {
                participants: 150,
                video: VideoPlan { key_interval_s: 3.0, ..camera(&SIMULCAST) },
                wants: stage,
                grows: Grows::Participants,
                ..self
            },
            "ov-8" => Shape { rooms: 2, participants: 8, video: camera(&[(640, 480, 600_000)]), ..self },
            "kite-7" => Shape { rooms: 10, participants: 7, video: camera(&[(640, 480, 800_000)]), ..self },
            "jvb-100-ln20" => self.last_n_20(),
            "loss-5" => Shape { loss_per_mille: 50, ..self.last_n_20() },
            "loss-5-live" => Shape { loss_per_mille: 50, ..self.live(200, 1_400_000) },
            "ms-500c" => Shape { rooms: 21, participants: 4, ..self },
            "scallop-10" => {
                Shape { rooms: 1, participants: 10, video: camera(&SIMULCAST), wants: stage, ..self }
            }
            "zoom-mmr-200" => {
                Shape { rooms: 100, participants: 2, video: camera(&[(1_280, 720, 1_400_000)]), ..self }
            }
            "storm-500" => Shape {
                participants: 500,
                audio_senders: 2,
                video_senders: 1,
                video: camera(&[(320, 180, 200_000)]),
                join_rate: 50.0,
                grows: Grows::Participants,
                ..self
            },
            "storm-500-rooms" => Shape {
                rooms: 100,
                participants: 5,
                video: camera(&[(320, 180, 200_000)]),
                join_rate: 50.0,
                ..self
            },
            _ => return None,
        })
    }

    fn of_chosen_size(self) -> Option<Shape> {
        let name = self.name.clone();
        let after = |prefix: &str| name.strip_prefix(prefix);
        let number = |text: &str| text.parse::<usize>().ok().filter(|number| *number > 0);
        let sized = |rest: &str| rest.split_once('x').and_then(|(a, b)| Some((number(a)?, number(b)?)));
        if let Some((speakers, listeners)) = after("lk-audio-").and_then(sized) {
            let audio = AudioPlan { payload_bytes: 24, packet_us: 31_250 };
            let (participants, grows) = (speakers + listeners, Grows::Participants);
            return Some(Shape {
                participants,
                audio_senders: speakers,
                video_senders: 0,
                audio,
                grows,
                ..self
            });
        }
        if let Some((senders, viewers)) = after("lk-video-").and_then(sized) {
            let (participants, grows, video) = (senders + viewers, Grows::Participants, camera(&SIMULCAST));
            return Some(Shape {
                participants,
                audio_senders: senders,
                video_senders: senders,
                video,
                grows,
                ..self
            });
        }
        if let Some(viewers) = after("lk-live-1x").and_then(number) {
            return Some(self.live(viewers, 1_400_000));
        }
        if let Some(viewers) = after("srs-1x").and_then(|rest| number(rest.strip_suffix("-600k")?)) {
            return Some(Shape { audio_senders: 0, ..self.live(viewers, 600_000) });
        }
        if let Some(count) = after("jvb-hammer-").and_then(number) {
            let video = camera(&[(640, 360, 483_000)]);
            return Some(Shape { participants: count, video, grows: Grows::Participants, ..self });
        }
        if let Some(sizes) = after("malleus(").and_then(|rest| rest.strip_suffix(')')) {
            let sizes: Vec<usize> =
                sizes.split(',').map(|size| size.trim().parse().ok()).collect::<Option<_>>()?;
            let [rooms, participants, video_senders, audio_senders] = sizes[..] else { return None };
            let video = camera(&SIMULCAST);
            return Some(Shape { rooms, participants, video_senders, audio_senders, video, ..self });
        }
        let (size, kind) = after("mm-")?.split_once('-')?;
        let (rooms, participants) = size.split_once('x')?;
        let (rooms, participants) = (number(rooms)?, number(participants)?);
        let screen = VideoPlan { screen: true, ..camera_at(&[(1_920, 1_080, 1_700_000)], 15.0) };
        let grows = if rooms == 1 { Grows::Participants } else { Grows::Rooms };
        let shape = Shape { rooms, participants, grows, video: screen, ..self };
        Some(match kind {
            "screen" => Shape { audio_senders: 1, video_senders: 1, ..shape },
            "2u-screen" => Shape { audio_senders: 2, video_senders: 1, ..shape },
            "voice" => Shape { video_senders: 0, ..shape },
            _ => return None,
        })
    }

    fn last_n_20(self) -> Shape {
        Shape {
            participants: 100,
            audio_senders: 2,
            // Such that a thumbnail has about 100 and the stage about 300 packets a second, as the name says.
            video: camera(&[(320, 180, 750_000), (640, 360, 1_200_000), (1_280, 720, 2_600_000)]),
            wants: Wants { last_n: 20, stage: Some(0), stage_height: 720, max_height: 180 },
            grows: Grows::Participants,
            ..self
        }
    }

    fn live(self, viewers: usize, bitrate: u32) -> Shape {
        Shape {
            participants: viewers + 1,
            audio_senders: 1,
            video_senders: 1,
            video: camera(&[(1_280, 720, bitrate)]),
            grows: Grows::Participants,
            ..self
        }
    }

    /// As the command line wants it.
    ///
    /// # Errors
    /// If something is impossible, with the reason.
    pub fn changed(mut self, changes: &Changes) -> Result<Shape, String> {
        self.rooms = changes.rooms.unwrap_or(self.rooms);
        self.participants = changes.participants.unwrap_or(self.participants);
        if let Some(senders) = changes.senders {
            let most = self.participants;
            if senders > most {
                return Err(format!("--senders {senders}: a room has {most} participants only"));
            }
            for count in [&mut self.audio_senders, &mut self.video_senders] {
                *count = if *count == 0 { 0 } else { senders };
            }
        }
        if let Some(codec) = changes.codec {
            self.video.codec = codec;
        }
        match changes.layers {
            None => {}
            Some(0) => self.video_senders = 0,
            Some(count @ 1..=3) => {
                let top = *self.video.layers.last().ok_or("the profile has no picture")?;
                self.video.layers = layers_below(top, count);
            }
            Some(count) => return Err(format!("--layers {count}: 1 to 3, or 0 for no video")),
        }
        if let Some(bitrate) = changes.bitrate {
            if !(BITRATE_MIN..=BITRATE_MAX).contains(&bitrate) {
                return Err(format!("--bitrate {bitrate}: {BITRATE_MIN} to {BITRATE_MAX} bits per second"));
            }
            let top = self.video.layers.last().map_or(bitrate, |layer| layer.bitrate);
            for layer in &mut self.video.layers {
                layer.bitrate = (u64::from(layer.bitrate) * u64::from(bitrate) / u64::from(top)) as u32;
            }
        }
        self.wants.last_n = changes.last_n.unwrap_or(self.wants.last_n);
        self.wants.max_height = changes.max_height.unwrap_or(self.wants.max_height);
        self.join_rate = changes.join_rate.unwrap_or(self.join_rate);
        self.possible()
    }

    fn possible(self) -> Result<Shape, String> {
        if self.rooms == 0 {
            return Err("--rooms 0: nothing to do".into());
        }
        if self.participants < 2 {
            return Err(format!(
                "--participants {}: alone in a room nobody receives anything",
                self.participants
            ));
        }
        if self.wants.last_n < -1 {
            return Err(format!("--last-n {}: -1 for all, or a number of videos", self.wants.last_n));
        }
        if !(self.join_rate > 0.0 && self.join_rate <= 10_000.0) {
            return Err(format!("--join-rate {}: more than 0, at most 10000 a second", self.join_rate));
        }
        if self.audio_senders == 0 && self.video_senders == 0 {
            return Err("nobody sends anything".into());
        }
        let endpoints = self.rooms.saturating_mul(self.participants);
        if endpoints > ENDPOINTS_MAX {
            return Err(format!(
                "{endpoints} endpoints: at most {ENDPOINTS_MAX}, each needs a port of its own"
            ));
        }
        Ok(self)
    }

    /// The same with `size` of what grows.
    pub fn sized(&self, size: usize) -> Shape {
        match self.grows {
            Grows::Rooms => Shape { rooms: size, ..self.clone() },
            Grows::Participants => Shape { participants: size, ..self.clone() },
        }
    }

    /// What [`Shape::sized`] would leave as it is.
    pub fn size(&self) -> usize {
        match self.grows {
            Grows::Rooms => self.rooms,
            Grows::Participants => self.participants,
        }
    }

    /// Rooms and endpoints, with room names that no other run has.
    pub fn scenario(&self) -> Scenario {
        let run = crate::peer::random_text(6);
        let room = |number: usize| Room {
            name: format!("load-{run}-{number}"),
            endpoints: (0..self.participants).map(|at| self.endpoint(at)).collect(),
        };
        Scenario {
            profile: self.name.clone(),
            rooms: (0..self.rooms).map(room).collect(),
            join_rate: self.join_rate,
        }
    }

    fn endpoint(&self, at: usize) -> EndpointPlan {
        let mut wants = self.wants;
        // Who is on stage looks at the next one.
        if wants.stage == Some(at) {
            wants.stage = Some(at + 1);
        }
        EndpointPlan {
            audio: (at < self.audio_senders).then_some(self.audio),
            video: (at < self.video_senders).then(|| self.video.clone()),
            wants,
            loss_per_mille: if at % 5 == 4 { self.loss_per_mille } else { 0 },
        }
    }
}

/// Planning values of the Jitsi handbook, the highest as in the LiveKit test.
const SIMULCAST: [(u16, u16, u32); 3] = [(320, 180, 200_000), (640, 360, 500_000), (1_280, 720, 1_400_000)];

fn camera(layers: &[(u16, u16, u32)]) -> VideoPlan {
    camera_at(layers, 30.0)
}

fn camera_at(layers: &[(u16, u16, u32)], fps: f64) -> VideoPlan {
    let layers = layers.iter().map(|(width, height, bitrate)| Layer {
        width: *width,
        height: *height,
        bitrate: *bitrate,
        fps,
    });
    VideoPlan { codec: Codec::Vp8, screen: false, layers: layers.collect(), key_interval_s: 0.0 }
}

/// Each layer has half the size and a quarter of the bits of the one above.
fn layers_below(top: Layer, count: usize) -> Vec<Layer> {
    let below = |step: usize| Layer {
        width: top.width >> step,
        height: top.height >> step,
        bitrate: top.bitrate >> (2 * step),
        fps: top.fps,
    };
    (0..count).rev().map(below).collect()
}

/// Letters that two names share at their beginning.
fn alike(known: &str, name: &str) -> usize {
    known.chars().zip(name.chars()).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count()
}

const BITRATE_MIN: u32 = 30_000;
const BITRATE_MAX: u32 = 30_000_000;
/// Ports that a Linux host gives out to one address by default.
const ENDPOINTS_MAX: usize = 28_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_list_makes_a_scenario() {
        let names = NAMES.iter().map(|(name, _)| *name).chain(SUITE);
        for name in names {
            let name = name
                .replace("malleus(c,p,s,a)", "malleus(2,5,3,1)")
                .replace("mm-RxP", "mm-2x10")
                .replace("mm-Rx2", "mm-3x2")
                .replace("SxN", "3x20")
                .replace("xN", "x20")
                .replace("-K", "-6");
            let shape = Shape::named(&name).and_then(|shape| shape.changed(&Changes::default()));
            let scenario = shape.unwrap_or_else(|error| panic!("{name}: {error}")).scenario();
            assert!(scenario.endpoints() >= 2, "{name}");
            let (sent, forwarded) = scenario.packet_rates();
            assert!(sent > 10.0 && forwarded > 10.0, "{name}: {sent} {forwarded}");
        }
    }

    #[test]
    fn the_figures_in_the_names_are_met() {
        let shape = |name: &str| Shape::named(name).unwrap();
        let b2 = shape("B2").scenario();
        let (sent, forwarded) = b2.packet_rates();
        assert_eq!(b2.endpoints(), 60);
        assert!(
            (9_000.0..11_500.0).contains(&sent) && (36_000.0..44_000.0).contains(&forwarded),
            "{sent} {forwarded}"
        );
        let jvb = shape("jvb-100-ln20").scenario();
        let each = jvb.packet_rates().1 / 100.0;
        assert!((1_950.0..2_650.0).contains(&each), "{each}");
        assert_eq!(shape("mm-1x1000-screen").participants, 1_000);
        assert_eq!(shape("lk-audio-10x3000").participants, 3_010);
        assert_eq!(shape("storm-500").scenario().rooms[0].endpoints[4].wants.max_height, -1);
    }

    #[test]
    fn the_command_line_changes_what_it_names() {
        let changes = Changes {
            rooms: Some(3),
            participants: Some(7),
            senders: Some(2),
            bitrate: Some(2_000_000),
            layers: Some(3),
            codec: Some(Codec::Vp9),
            last_n: Some(4),
            ..Changes::default()
        };
        let shape = Shape::named("custom").unwrap().changed(&changes).unwrap();
        assert_eq!((shape.rooms, shape.participants, shape.video_senders, shape.wants.last_n), (3, 7, 2, 4));
        let rates: Vec<u32> = shape.video.layers.iter().map(|layer| layer.bitrate).collect();
        assert_eq!(rates, [125_000, 500_000, 2_000_000]);
        assert_eq!(shape.scenario().rooms[2].endpoints[2].video, None);
        assert_eq!(shape.sized(9).scenario().rooms.len(), 9);
    }

    #[test]
    fn the_impossible_is_refused_with_the_reason() {
        let wrong = |changes: Changes| Shape::named("custom").unwrap().changed(&changes).unwrap_err();
        let rows = [
            (Changes { participants: Some(1), ..Changes::default() }, "alone"),
            (Changes { senders: Some(3), ..Changes::default() }, "2 participants only"),
            (Changes { senders: Some(0), ..Changes::default() }, "nobody sends"),
            (Changes { layers: Some(4), ..Changes::default() }, "1 to 3"),
            (Changes { bitrate: Some(3), ..Changes::default() }, "30000"),
            (Changes { last_n: Some(-2), ..Changes::default() }, "-1 for all"),
            (Changes { rooms: Some(0), ..Changes::default() }, "nothing to do"),
            (Changes { rooms: Some(90_000), ..Changes::default() }, "a port of its own"),
            (Changes { join_rate: Some(0.0), ..Changes::default() }, "more than 0"),
        ];
        for (changes, why) in rows {
            let error = wrong(changes);
            assert!(error.contains(why), "{error}");
        }
        assert!(Shape::named("jvb-100").unwrap_err().contains("jvb-100-ln20"));
        assert!(Shape::named("upgrade-under-load").unwrap_err().contains("not supported"));
        for name in ["malleus(1,2)", "mm-1x", "lk-live-1x0", "jvb-hammer-x", ""] {
            assert!(Shape::named(name).is_err(), "{name}");
        }
    }
}
