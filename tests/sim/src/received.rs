//! What a model client got of one stream, and whether it was continuous.

use std::collections::BTreeMap;

use contract::{Duration, Timestamp};
use wire::codec::vp8;

use crate::video::Label;

/// One packet as decoded.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// When it came.
    pub at: Timestamp,
    /// RTP timestamp.
    pub timestamp: u32,
    /// What it really is.
    pub label: Label,
    /// VP8 picture id and TL0PICIDX (video).
    pub picture: Option<(u16, u8)>,
}

/// Everything received on one SSRC, by extended sequence number.
#[derive(Debug, Default)]
pub struct Stream {
    packets: BTreeMap<u64, Packet>,
    /// Numbers that came twice with different content.
    pub conflicts: u64,
}

impl Stream {
    /// Note a packet.
    pub fn insert(&mut self, sequence: u64, packet: Packet) {
        if let Some(old) = self.packets.insert(sequence, packet)
            && old.label != packet.label
        {
            self.conflicts += 1;
        }
    }

    /// How many packets.
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Nothing yet.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// The last packet.
    pub fn last(&self) -> Option<&Packet> {
        self.packets.values().next_back()
    }

    /// Frames that came complete.
    pub fn complete_frames(&self) -> usize {
        self.packets.values().filter(|packet| packet.label.last).count()
    }

    /// Numbers missing between the first and the last.
    pub fn missing(&self) -> u64 {
        match (self.packets.first_key_value(), self.packets.last_key_value()) {
            (Some((first, _)), Some((last, _))) => last - first + 1 - self.packets.len() as u64,
            _ => 0,
        }
    }

    /// When each frame could be shown: complete, and everything before it back to a key frame. What is missing for ever is
    /// waited for until the next key frame.
    pub fn shown(&self) -> Vec<(Timestamp, Label)> {
        let mut shown = Vec::new();
        let (mut ready, mut broken, mut next) = (Timestamp::ZERO, true, None);
        let mut begun = false;
        for (number, packet) in &self.packets {
            let label = packet.label;
            let gap = next.is_some_and(|next| next != *number);
            next = Some(number + 1);
            if label.first {
                // A gap of one number is what a switch leaves for the rest of a frame.
                broken |= gap && !label.key;
                begun = true;
                if label.key {
                    (broken, ready) = (false, packet.at);
                }
            } else if gap {
                (broken, begun) = (true, false);
            }
            ready = ready.max(packet.at);
            if label.last && !broken && begun {
                shown.push((ready, label));
            }
        }
        shown
    }

    /// The longest time since a number has been missing that newer ones have followed, back to the last key frame.
    pub fn waits(&self, now: Timestamp) -> Duration {
        // However long ago: a decoder that stands stays standing.
        let newest = self.packets.iter().rev();
        let (mut next, mut since) = (None, None);
        for (number, packet) in newest {
            if next.is_some_and(|next: u64| next != number + 1) {
                since = Some(now.since(self.packets[&next.unwrap_or_default()].at));
            }
            next = Some(*number);
            if packet.label.key && packet.label.first {
                break;
            }
        }
        since.unwrap_or_default()
    }

    /// Every packet, in the order of sequence numbers.
    pub fn packets(&self) -> impl Iterator<Item = (u64, &Packet)> {
        self.packets.iter().map(|(number, packet)| (*number, packet))
    }

    /// Switches between encodings.
    pub fn switches(&self) -> usize {
        let packets: Vec<&Packet> = self.packets.values().collect();
        packets.windows(2).filter(|pair| pair[0].label.encoding != pair[1].label.encoding).count()
    }

    /// What breaks continuity: one line each. Sequence order is taken as truth; where numbers are missing, frames may be.
    pub fn breaches(&self) -> Vec<String> {
        let mut breaches = Vec::new();
        if self.conflicts > 0 {
            breaches.push(format!("{} sequence numbers were used twice", self.conflicts));
        }
        for ((before_at, before), (at, packet)) in self.packets.iter().zip(self.packets.iter().skip(1)) {
            let step = packet.timestamp.wrapping_sub(before.timestamp) as i32;
            let (old, new) = (before.label, packet.label);
            let adjacent = *at == before_at + 1;
            if step < 0 {
                breaches.push(format!("{at}: the timestamp steps back by {step}"));
            }
            if old.source != new.source && !new.key {
                breaches.push(format!("{at}: another source begins without a key frame"));
            }
            if adjacent && old.encoding != new.encoding && !(new.key && new.first) {
                breaches
                    .push(format!("{at}: encoding {} to {} without a key frame", old.encoding, new.encoding));
            }
            let same_frame = (old.source, old.frame, old.encoding) == (new.source, new.frame, new.encoding);
            if same_frame != (step == 0) {
                breaches.push(format!("{at}: timestamps do not tell frames apart: {old:?} {new:?} {step}"));
            }
            if let (Some(before), Some(now)) = (before.picture, packet.picture) {
                let pictures = now.0.wrapping_sub(before.0) & 0x7FFF;
                if same_frame && pictures != 0 || adjacent && !same_frame && pictures != 1 {
                    breaches.push(format!("{at}: the picture id goes {} to {}", before.0, now.0));
                }
            }
        }
        breaches
    }
}

/// Picture id and TL0PICIDX of a VP8 payload.
pub fn picture(payload: &[u8]) -> Option<(u16, u8)> {
    let descriptor = vp8::Descriptor::parse(payload).ok()?;
    Some((descriptor.picture_id?.value, descriptor.tl0_picidx?.value))
}
