//! Our estimator, sending frames as they come; its receiver tells what arrived every 50 ms, as browsers do.

use std::collections::{BTreeMap, VecDeque};

use bandwidth::{Config, Estimator, FeedbackHead};
use contract::{Duration, Timestamp};

use super::{BACK, Pair, WANTED};

/// A number, and when it arrived, if it did.
type Status = (u64, Option<Timestamp>);

/// A sender with its receiver.
pub(super) struct Ours {
    estimator: Option<Estimator>,
    number: u64,
    ready: Vec<Vec<u8>>,
    /// At the receiver: what arrived since it told last, and the first number that it has not told of.
    arrived: BTreeMap<u64, Timestamp>,
    told: u64,
    tells: Timestamp,
    feedback: VecDeque<(Timestamp, Vec<Status>)>,
}

impl Ours {
    pub(super) fn new() -> Ours {
        Ours {
            estimator: None,
            number: 0,
            ready: Vec::new(),
            arrived: BTreeMap::new(),
            told: 1,
            tells: Timestamp::ZERO,
            feedback: VecDeque::new(),
        }
    }

    /// A datagram: its number, and whether it is media.
    fn send(&mut self, bytes: usize, media: bool, now: Timestamp) {
        self.number += 1;
        let mut datagram = vec![0; (bytes + OVERHEAD).max(16)];
        datagram[..8].copy_from_slice(&self.number.to_be_bytes());
        datagram[8] = u8::from(media);
        if let Some(estimator) = &mut self.estimator {
            estimator.note_sent(self.number, datagram.len(), now);
        }
        self.ready.push(datagram);
    }

    fn tell(&mut self, now: Timestamp) {
        let Some((newest, _)) = self.arrived.last_key_value() else { return };
        let statuses = (self.told..=*newest).map(|number| (number, self.arrived.get(&number).copied()));
        self.feedback.push_back((now + BACK, statuses.collect()));
        self.told = *newest + 1;
        self.arrived.clear();
    }

    fn hear(&mut self, statuses: &[Status], now: Timestamp) {
        let Some((_, first)) = statuses.iter().find(|(_, arrival)| arrival.is_some()) else { return };
        let reference = first.map_or(0, |at| at.as_millis() / 64);
        let head = FeedbackHead { base_sequence: statuses[0].0 as u16, reference_time: reference as i32 };
        let mut last = (reference * 64_000 / 250) as i64;
        let told = statuses.iter().map(|(number, arrival)| {
            let delta = arrival.map(|at| {
                let ticks = (at.as_micros() / 250) as i64;
                (ticks - core::mem::replace(&mut last, ticks)) as i16
            });
            (*number as u16, delta)
        });
        let estimator = self.estimator.as_mut().expect("what is told of was sent");
        estimator.feedback(head, told, now).expect("the model's feedback is sound");
    }
}

impl Pair for Ours {
    fn target(&self) -> u64 {
        self.estimator.as_ref().map_or(0, Estimator::target)
    }

    fn write(&mut self, bytes: usize, now: Timestamp) {
        self.send(bytes, true, now);
    }

    fn step(&mut self, now: Timestamp) -> Vec<Vec<u8>> {
        let estimator = self.estimator.get_or_insert_with(|| Estimator::new(Config::default(), now));
        if self.number == 0 {
            estimator.set_wanted(WANTED, true, now);
        }
        if self.tells <= now {
            self.tells = now + INTERVAL;
            self.tell(now);
        }
        while let Some((_, statuses)) = self.feedback.pop_front_if(|(at, _)| *at <= now) {
            self.hear(&statuses, now);
        }
        let estimator = self.estimator.as_mut().expect("made above");
        estimator.handle_timeout(now);
        for _ in 0..PADDING_MAX {
            let due = self.estimator.as_mut().expect("made above").probe_due(now);
            if due == 0 {
                break;
            }
            self.send(due.min(1_000), false, now);
        }
        std::mem::take(&mut self.ready)
    }

    fn arrive(&mut self, datagram: &[u8], now: Timestamp) -> usize {
        let number = u64::from_be_bytes(datagram[..8].try_into().expect("eight of sixteen or more"));
        if number >= self.told {
            self.arrived.entry(number).or_insert(now);
        }
        if datagram[8] == 1 { datagram.len() - OVERHEAD } else { 0 }
    }

    fn is_ready(&self) -> bool {
        self.estimator.is_some()
    }
}

/// RTP header, extension and tag.
const OVERHEAD: usize = 36;
/// Between two feedbacks.
const INTERVAL: Duration = Duration::from_millis(50);
/// Packets of padding at once.
const PADDING_MAX: usize = 100;
