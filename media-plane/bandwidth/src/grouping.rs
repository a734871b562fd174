//! Packets that left together, as one: the differences of groups show what a link does to them, those of packets mostly
//! how they were sent (draft-ietf-rmcat-gcc-02 §5.2).

use contract::Timestamp;

/// Packets sent within this time of the first of their group belong to it.
const GROUP_US: i64 = 5_000;
/// Packets that arrive this closely, though sent apart, were held up together: they belong to one group.
const BURST_GAP_US: i64 = 5_000;
/// But a group does not grow longer than this by that rule.
const BURST_US: i64 = 100_000;

/// What two groups in a row show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Step {
    /// Between their last packets, in milliseconds.
    pub(crate) sent_ms: f64,
    pub(crate) arrived_ms: f64,
    /// When the later one arrived, in milliseconds on the receiver's clock.
    pub(crate) arrival_ms: f64,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    first_sent: i64,
    last_sent: i64,
    first_arrival: i64,
    last_arrival: i64,
}

/// The group under way and the one before.
#[derive(Debug, Default)]
pub(crate) struct Grouping {
    current: Option<Group>,
    previous: Option<Group>,
}

impl Grouping {
    pub(crate) fn clear(&mut self) {
        *self = Grouping::default();
    }

    /// A packet, in the order of sending. A step comes out when it begins a new group and there are two before it.
    pub(crate) fn note(&mut self, sent: Timestamp, arrival_us: i64) -> Option<Step> {
        let sent = sent.as_micros() as i64;
        let fresh =
            Group { first_sent: sent, last_sent: sent, first_arrival: arrival_us, last_arrival: arrival_us };
        let Some(current) = self.current.as_mut() else {
            self.current = Some(fresh);
            return None;
        };
        if sent < current.first_sent {
            // Told out of order: its group is closed.
            return None;
        }
        if current.takes(sent, arrival_us) {
            current.last_sent = current.last_sent.max(sent);
            current.last_arrival = current.last_arrival.max(arrival_us);
            return None;
        }
        let (current, previous) = (*current, self.previous);
        self.previous = Some(current);
        self.current = Some(fresh);
        let previous = previous?;
        let arrived = current.last_arrival - previous.last_arrival;
        if arrived < 0 {
            // Groups that overtook each other say nothing.
            return None;
        }
        Some(Step {
            sent_ms: (current.last_sent - previous.last_sent) as f64 / 1_000.0,
            arrived_ms: arrived as f64 / 1_000.0,
            arrival_ms: current.last_arrival as f64 / 1_000.0,
        })
    }
}

impl Group {
    fn takes(&self, sent: i64, arrival: i64) -> bool {
        if sent - self.first_sent <= GROUP_US {
            return true;
        }
        let (sent_gap, arrival_gap) = (sent - self.last_sent, arrival - self.last_arrival);
        arrival_gap - sent_gap < 0 && arrival_gap <= BURST_GAP_US && arrival - self.first_arrival < BURST_US
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_those_between_groups() {
        let mut grouping = Grouping::default();
        let mut steps = Vec::new();
        // Frames of two packets each 33 ms; the link adds 2 ms a frame.
        for frame in 0..5i64 {
            for packet in 0..2i64 {
                let sent = Timestamp::from_micros((frame * 33_000 + packet * 1_000) as u64);
                steps.extend(grouping.note(sent, 50_000 + frame * 35_000 + packet * 3_000));
            }
        }
        assert_eq!(steps.len(), 3);
        for step in steps {
            assert_eq!((step.sent_ms, step.arrived_ms), (33.0, 35.0));
        }
    }

    #[test]
    fn what_was_held_up_together_is_one_group() {
        let mut grouping = Grouping::default();
        let arrivals = [(0, 50), (33, 83), (66, 140), (80, 141), (99, 149), (132, 182)];
        let steps: Vec<_> = arrivals
            .iter()
            .filter_map(|(sent, arrival)| grouping.note(Timestamp::from_millis(*sent), arrival * 1_000))
            .map(|step| (step.sent_ms, step.arrived_ms))
            .collect();
        assert_eq!(steps, [(33.0, 33.0), (47.0, 58.0), (19.0, 8.0)]);
    }
}
