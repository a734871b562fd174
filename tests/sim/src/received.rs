//! What a model client got of one stream, and whether it was continuous.

use std::collections::BTreeMap;

use wire::codec::vp8;

use crate::video::Label;

/// One packet as decoded.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
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
