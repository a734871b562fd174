//! A conference of senders with cameras of some rate, and receivers behind links.

use contract::Duration;
use contract::session::{ReceiverConstraints, VideoConstraint};
use sim::{Faults, LinkSpec, World};

/// Bits per second of a camera's encodings, 180, 360 and 720 lines high, without headers.
pub type Rates = [u64; 3];

/// What Chromium sends of a camera.
pub const CAMERA: Rates = [200_000, 500_000, 1_800_000];

/// A conference under a seed.
pub struct Meeting {
    /// The stage.
    pub world: World,
    /// Indices of those who send.
    pub senders: Vec<usize>,
    /// Indices of those who only receive.
    pub receivers: Vec<usize>,
}

impl Meeting {
    /// `senders` cameras of which one speaks. They receive no video.
    pub fn new(senders: usize, rates: Rates, seed: u64) -> Meeting {
        let mut meeting =
            Meeting { world: World::new(1, Faults::NONE, seed), senders: Vec::new(), receivers: Vec::new() };
        for number in 0..senders {
            let at = meeting.world.join(1, true, 0, true);
            let client = &mut meeting.world.clients[at];
            client.level = if number == 0 { 30 } else { 127 };
            for (encoder, rate) in client.camera.iter_mut().zip(rates) {
                encoder.rate = Some(rate);
            }
            meeting.senders.push(at);
            // Cameras are not in step.
            meeting.world.run(Duration::from_millis(7));
        }
        meeting
    }

    /// The same with cameras as a browser has them.
    pub fn of_browsers(senders: usize, rates: Rates, seed: u64) -> Meeting {
        let mut meeting = Meeting::new(senders, rates, seed);
        for sender in &meeting.senders {
            meeting.world.clients[*sender].camera.iter_mut().for_each(|encoder| encoder.browser = true);
        }
        meeting
    }

    /// A receiver behind a link; it wants every camera `height` lines high at most. One that repairs nothing asks for no packet
    /// again and takes no redundant audio.
    pub fn add_receiver(&mut self, link: LinkSpec, height: u16, repairs: bool) -> usize {
        self.world.redundancy = repairs;
        let at = self.world.join(1, false, height, true);
        let client = &mut self.world.clients[at];
        (client.level, client.looks, client.repairs) = (127, true, repairs);
        self.world.set_link(at, link);
        self.receivers.push(at);
        at
    }

    /// A receiver wants one sender on stage, so high, and nothing else.
    pub fn stage(&mut self, receiver: usize, sender: usize, height: u16) {
        let source = self.world.clients[self.senders[sender]].sources[1].source;
        let constraints = ReceiverConstraints {
            on_stage: vec![source],
            sources: vec![(source, VideoConstraint { max_height: height })],
            ..ReceiverConstraints::default()
        };
        self.world.constrain(receiver, constraints);
    }

    /// Let seconds pass.
    pub fn run(&mut self, seconds: f64) {
        self.world.run(Duration::from_secs_f64(seconds));
    }
}
