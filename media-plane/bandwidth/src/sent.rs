//! What was sent under which transport-wide number, in a fixed ring.

use contract::Timestamp;

/// Packets remembered: a second of 10 Mbit/s. Feedback on older ones is worth nothing.
pub(crate) const SENT_MAX: usize = 1_024;

/// One packet that was sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Packet {
    pub(crate) sent: Timestamp,
    /// On the link, with IP and UDP headers.
    pub(crate) bytes: u16,
    /// The probe that it was part of; 0 = none.
    pub(crate) probe: u8,
    pub(crate) fate: Fate,
}

/// What became of a packet, by what the receiver says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing is kept here.
    #[default]
    Unknown,
    UnderWay,
    Lost,
    Arrived,
}

/// The last packets sent.
#[derive(Debug)]
pub(crate) struct Sent {
    ring: Box<[Packet]>,
    /// The highest number sent, extended.
    highest: Option<u64>,
}

impl Sent {
    pub(crate) fn new() -> Sent {
        Sent { ring: vec![Packet::default(); SENT_MAX].into_boxed_slice(), highest: None }
    }

    pub(crate) fn insert(&mut self, number: u64, packet: Packet) {
        self.ring[number as usize % SENT_MAX] = packet;
        self.highest = Some(self.highest.map_or(number, |highest| highest.max(number)));
    }

    /// The extended number that a receiver means by 16 bits: the latest that was sent and ends so.
    pub(crate) fn unwrap(&self, sequence: u16) -> Option<u64> {
        let highest = self.highest?;
        highest.checked_sub(u64::from((highest as u16).wrapping_sub(sequence)))
    }

    /// The packet with this number, if it is still known.
    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut Packet> {
        let highest = self.highest?;
        if number > highest || highest - number >= SENT_MAX as u64 {
            return None;
        }
        let packet = &mut self.ring[number as usize % SENT_MAX];
        (packet.fate != Fate::Unknown).then_some(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(bytes: u16) -> Packet {
        Packet { bytes, fate: Fate::UnderWay, ..Packet::default() }
    }

    #[test]
    fn sixteen_bits_mean_the_latest_number_that_was_sent() {
        let mut sent = Sent::new();
        assert_eq!(sent.unwrap(3), None);
        sent.insert(65_540, packet(1));
        for (sequence, expected) in
            [(4, Some(65_540)), (3, Some(65_539)), (65_535, Some(65_535)), (5, Some(5))]
        {
            assert_eq!(sent.unwrap(sequence), expected, "{sequence}");
        }
        assert!(sent.get_mut(5).is_none(), "too old, or never sent");
    }

    #[test]
    fn a_number_that_was_displaced_is_unknown() {
        let mut sent = Sent::new();
        (0..SENT_MAX as u64 + 1).for_each(|number| sent.insert(number, packet(number as u16)));
        assert!(sent.get_mut(0).is_none());
        assert_eq!(sent.get_mut(1).map(|packet| packet.bytes), Some(1));
        assert!(sent.get_mut(SENT_MAX as u64 + 1).is_none());
    }
}
