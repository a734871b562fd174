//! What a run consists of: rooms, endpoints, what each sends and wants.

use contract::session::Codec;

/// A whole run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The workload's name.
    pub profile: String,
    /// Rooms, each with its endpoints in the order of joining.
    pub rooms: Vec<Room>,
    /// Joins per second.
    pub join_rate: f64,
}

/// One room.
#[derive(Clone, Debug)]
pub struct Room {
    /// Its name, without domain.
    pub name: String,
    /// In the order of joining.
    pub endpoints: Vec<EndpointPlan>,
}

/// What one endpoint does.
#[derive(Clone, Debug, Default)]
pub struct EndpointPlan {
    /// Its microphone, if it is open.
    pub audio: Option<AudioPlan>,
    /// Its camera or screen, if it is on.
    pub video: Option<VideoPlan>,
    /// What it asks to receive.
    pub wants: Wants,
    /// Share of what it receives that it loses on purpose, in 1/1000.
    pub loss_per_mille: u32,
}

/// Opus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioPlan {
    /// RTP payload of each packet.
    pub payload_bytes: usize,
    /// Microseconds of sound in each packet.
    pub packet_us: u64,
}

impl Default for AudioPlan {
    /// 32 kbit/s in packets of 20 ms.
    fn default() -> Self {
        AudioPlan { payload_bytes: 80, packet_us: 20_000 }
    }
}

/// A camera or a screen.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoPlan {
    /// How it is encoded.
    pub codec: Codec,
    /// Signalled as a screen share.
    pub screen: bool,
    /// Encodings of a simulcast, or spatial layers of VP9; lowest first.
    pub layers: Vec<Layer>,
    /// Seconds between key frames that nobody asked for; 0 = only when asked, as browsers do.
    pub key_interval_s: f64,
}

/// One encoding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layer {
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
    /// Bits per second of RTP payload.
    pub bitrate: u32,
    /// Frames per second.
    pub fps: f64,
}

/// What an endpoint asks to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    /// Video sources at most; −1 = all.
    pub last_n: i32,
    /// Height of each; −1 = any.
    pub max_height: i32,
    /// The endpoint of the room (by order of joining) that is on stage.
    pub stage: Option<usize>,
    /// Height of that one; −1 = any.
    pub stage_height: i32,
}

impl Default for Wants {
    fn default() -> Self {
        Wants { last_n: -1, max_height: -1, stage: None, stage_height: -1 }
    }
}

impl Scenario {
    /// Endpoints of all rooms.
    pub fn endpoints(&self) -> usize {
        self.rooms.iter().map(|room| room.endpoints.len()).sum()
    }

    /// RTP packets a second that all endpoints send, and that a unit which forwards everything wanted would send.
    pub fn packet_rates(&self) -> (f64, f64) {
        let (mut sent, mut forwarded) = (0.0, 0.0);
        for room in &self.rooms {
            for (at, endpoint) in room.endpoints.iter().enumerate() {
                sent += endpoint.audio.map_or(0.0, |audio| audio.packets_per_second());
                sent += endpoint
                    .video
                    .as_ref()
                    .map_or(0.0, |video| video.layers.iter().map(Layer::packets_per_second).sum());
                forwarded += room.received_by(at);
            }
        }
        (sent, forwarded)
    }
}

impl Room {
    /// RTP packets a second that one endpoint of the room is to get.
    fn received_by(&self, at: usize) -> f64 {
        let wants = self.endpoints[at].wants;
        let others = || self.endpoints.iter().enumerate().filter(|(other, _)| *other != at);
        let audio: f64 =
            others().filter_map(|(_, plan)| plan.audio).map(|audio| audio.packets_per_second()).sum();
        let mut videos: Vec<f64> = others()
            .filter_map(|(other, plan)| {
                let height = if wants.stage == Some(other) { wants.stage_height } else { wants.max_height };
                plan.video.as_ref().map(|video| video.packets_per_second_at(height))
            })
            .collect();
        videos.sort_by(|a, b| b.total_cmp(a));
        let most = if wants.last_n < 0 { videos.len() } else { wants.last_n as usize };
        audio + videos.iter().take(most).sum::<f64>()
    }

    /// Streams (audio, video) that one endpoint of the room is to get.
    pub fn streams_for(&self, at: usize) -> (usize, usize) {
        let others = || self.endpoints.iter().enumerate().filter(|(other, _)| *other != at);
        let audio = others().filter(|(_, plan)| plan.audio.is_some()).count();
        let video = others().filter(|(_, plan)| plan.video.is_some()).count();
        let wants = self.endpoints[at].wants;
        let shown = if wants.max_height == 0 { usize::from(wants.stage.is_some()) } else { video };
        (audio, if wants.last_n < 0 { shown } else { shown.min(wants.last_n as usize) })
    }
}

impl AudioPlan {
    fn packets_per_second(&self) -> f64 {
        1e6 / self.packet_us as f64
    }
}

impl VideoPlan {
    /// Packets a second of the best layer that fits `max_height` (−1 = any, 0 = none).
    fn packets_per_second_at(&self, max_height: i32) -> f64 {
        if max_height == 0 {
            return 0.0;
        }
        let fits = |layer: &&Layer| max_height < 0 || i32::from(layer.height) <= max_height;
        let layer = self.layers.iter().rfind(fits).or(self.layers.first());
        layer.map_or(0.0, Layer::packets_per_second)
    }
}

impl Layer {
    fn packets_per_second(&self) -> f64 {
        let frame = f64::from(self.bitrate) / 8.0 / self.fps;
        (frame / crate::camera::PAYLOAD_BYTES_MAX as f64).ceil().max(1.0) * self.fps
    }
}
