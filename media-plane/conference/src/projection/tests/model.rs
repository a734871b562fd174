//! Senders of each codec, and a network that loses and delays.

use std::collections::VecDeque;

use contract::Timestamp;

use crate::packet::tests::video;
use crate::packet::{DependencyDescriptor, Descriptor, Indication, Layer, MediaPacket};
use crate::projection::Target;
use crate::slots::Chance;

/// A way of encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Three encodings of three temporal layers.
    Vp8,
    /// Three encodings, layers unknown.
    Unlayered,
    /// One encoding of 3 by 2 layers.
    Vp9 { key_svc: bool },
    /// Two encodings of 2 by 2 layers.
    Av1 { key_svc: bool },
}

impl Kind {
    fn encodings(self) -> usize {
        match self {
            Kind::Vp8 | Kind::Unlayered => 3,
            Kind::Vp9 { .. } => 1,
            Kind::Av1 { .. } => 2,
        }
    }

    fn spatial_layers(self) -> u8 {
        match self {
            Kind::Vp8 | Kind::Unlayered => 1,
            Kind::Vp9 { .. } => 3,
            Kind::Av1 { .. } => 2,
        }
    }

    pub(super) fn random_target(self, chance: &mut Chance) -> Option<Target> {
        let dice = chance.next();
        if dice.is_multiple_of(5) {
            return None;
        }
        let encoding = (dice >> 8) as u8 % self.encodings() as u8;
        let spatial = (dice >> 16) as u8 % self.spatial_layers();
        Some(Target { encoding, layer: Layer { spatial, temporal: (dice >> 24) as u8 % 3 } })
    }
}

/// Temporal layers of VP8 and of the others, by picture.
const VP8_PATTERN: [u8; 4] = [0, 2, 1, 2];
const TWO_LAYERS: [u8; 2] = [0, 1];

#[derive(Clone, Debug)]
struct EncodingState {
    sequence: u64,
    number: u32,
    timestamp: u32,
    tl0: u8,
    /// Pictures since the key frame.
    phase: usize,
    template_offset: u8,
}

/// A sender of all encodings of a source.
pub(super) struct Sender {
    kind: Kind,
    chance: Chance,
    encodings: Vec<EncodingState>,
    pub(super) key_frame_due: bool,
}

impl Sender {
    pub(super) fn new(kind: Kind, seed: u64) -> Sender {
        let mut chance = Chance(seed);
        let encodings = (0..kind.encodings()).map(|_| EncodingState {
            sequence: 60_000 + chance.next() % 10_000,
            number: (1 << 17) + (chance.next() % 40_000) as u32,
            timestamp: chance.next() as u32,
            tl0: chance.next() as u8,
            phase: 0,
            template_offset: 0,
        });
        let encodings = encodings.collect();
        Sender { kind, chance, encodings, key_frame_due: true }
    }

    /// The packets of one picture of every encoding.
    pub(super) fn tick(&mut self, tick: u64) -> Vec<MediaPacket> {
        let key = core::mem::take(&mut self.key_frame_due);
        let mut packets = Vec::new();
        for encoding in 0..self.encodings.len() {
            self.picture(encoding, key, tick, &mut packets);
        }
        packets
    }

    fn picture(&mut self, encoding: usize, key: bool, tick: u64, packets: &mut Vec<MediaPacket>) {
        let kind = self.kind;
        let dice = self.chance.next();
        let state = &mut self.encodings[encoding];
        state.phase = if key { 0 } else { state.phase + 1 };
        state.timestamp = state.timestamp.wrapping_add(2_900 + (dice % 200) as u32);
        state.number += 1;
        let temporal = match kind {
            Kind::Vp8 => VP8_PATTERN[state.phase % 4],
            Kind::Unlayered => 0,
            _ => TWO_LAYERS[state.phase % 2],
        };
        state.tl0 = state.tl0.wrapping_add(u8::from(temporal == 0));
        let layers = kind.spatial_layers();
        for spatial in 0..layers {
            if matches!(kind, Kind::Av1 { .. }) && spatial > 0 {
                state.number += 1;
            }
            let descriptor = match kind {
                Kind::Vp8 => Descriptor::Vp8 { wide: true, tl0: Some(state.tl0), sync: is_sync(state.phase) },
                Kind::Unlayered => Descriptor::Unlayered,
                Kind::Vp9 { key_svc } => Descriptor::Vp9 {
                    wide: true,
                    tl0: Some(state.tl0),
                    inter_picture: !key,
                    inter_layer: spatial > 0 && (key || !key_svc),
                    switching_up: true,
                    upper_reference: spatial + 1 < layers && (key || !key_svc),
                    flexible: false,
                },
                Kind::Av1 { key_svc } => {
                    if key && spatial == 0 {
                        state.template_offset = (state.template_offset + 8) % 64;
                    }
                    Descriptor::Av1(av1_descriptor(state, spatial, temporal, key, key_svc))
                }
            };
            let count = 1 + (dice >> (8 + spatial * 8)) % 3;
            for at in 0..count {
                state.sequence += 1;
                let mut packet = video(state.sequence, Timestamp::from_millis(tick * 33));
                packet.encoding = encoding as u8;
                packet.timestamp = state.timestamp;
                packet.frame.number = state.number;
                packet.frame.key_frame = key && (spatial == 0 || !matches!(kind, Kind::Vp9 { .. }));
                packet.frame.key_frame &= spatial == 0;
                packet.frame.start_of_frame = at == 0;
                packet.frame.end_of_frame = at + 1 == count;
                packet.marker = packet.frame.end_of_frame && spatial + 1 == layers;
                packet.frame.layer = Layer { spatial, temporal };
                packet.frame.descriptor = descriptor;
                if let Descriptor::Av1(descriptor) = &mut packet.frame.descriptor {
                    descriptor.has_structure = key && spatial == 0 && at == 0;
                }
                packets.push(packet);
            }
        }
    }
}

/// The first frames of the upper temporal layers after a base frame every eight pictures refer to the base alone.
fn is_sync(phase: usize) -> bool {
    matches!(phase % 8, 1 | 2)
}

/// Frame numbers that a VP8 frame refers to, among the frames `made`: the latest of each layer up to its own.
pub(super) fn vp8_references(packet: &MediaPacket, made: &[MediaPacket]) -> Vec<u32> {
    if packet.frame.key_frame {
        return Vec::new();
    }
    let Descriptor::Vp8 { sync, .. } = packet.frame.descriptor else { return Vec::new() };
    let highest = if sync { 0 } else { packet.frame.layer.temporal };
    let at = made
        .iter()
        .position(|other| other.encoding == packet.encoding && other.frame.number == packet.frame.number);
    let mut found = Vec::new();
    for layer in 0..=highest {
        let earlier =
            made[..at.unwrap()].iter().rev().take(400).filter(|other| other.encoding == packet.encoding);
        for other in earlier {
            if other.frame.layer.temporal == layer {
                found.push(other.frame.number);
                break;
            }
            if other.frame.key_frame {
                break;
            }
        }
    }
    found
}

/// How many pictures back a VP9 layer frame refers to: the last base picture.
pub(super) fn vp9_reference(packet: &MediaPacket) -> u32 {
    if packet.frame.layer.temporal == 0 { 2 } else { 1 }
}

/// Two by two layers; targets are numbered from the highest.
fn av1_descriptor(
    state: &EncodingState,
    spatial: u8,
    temporal: u8,
    key: bool,
    key_svc: bool,
) -> DependencyDescriptor {
    let mut descriptor = DependencyDescriptor {
        targets: 4,
        active: 0b1111,
        template_offset: state.template_offset,
        templates: 8,
        ..Default::default()
    };
    for target in 0..4u8 {
        let layer = Layer { spatial: 1 - target / 2, temporal: 1 - target % 2 };
        descriptor.set_layer_of(target, layer);
        let needed = if key || !key_svc { spatial <= layer.spatial } else { spatial == layer.spatial };
        let indication = match () {
            () if !needed || temporal > layer.temporal => Indication::NotPresent,
            () if temporal == 1 => Indication::Discardable,
            () if spatial == layer.spatial => Indication::Switch,
            () => Indication::Required,
        };
        descriptor.set_indication(target, indication);
    }
    // Frames are numbered S0, S1 of each picture; the base picture lies two back, or one for the upper temporal layer.
    if !key {
        let pictures = if temporal == 0 && state.phase >= 2 { 2 } else { 1 };
        descriptor.references |= 1 << (pictures * 2 - 1);
    }
    if spatial > 0 && (key || !key_svc) {
        descriptor.references |= 1;
    }
    descriptor
}

/// Loses some packets, delays others by up to a dozen.
#[derive(Debug, Default)]
pub(super) struct Network {
    loss: u64,
    late: u64,
    delayed: VecDeque<(u64, MediaPacket)>,
    count: u64,
}

impl Network {
    /// Loss and delay in percent of the packets.
    pub(super) fn new(loss: u64, late: u64) -> Network {
        Network { loss, late, ..Network::default() }
    }

    pub(super) fn pass(&mut self, packets: Vec<MediaPacket>, chance: &mut Chance) -> Vec<MediaPacket> {
        let mut out = Vec::new();
        for packet in packets {
            self.count += 1;
            let (loss, late) = (chance.next() % 100, chance.next() % 100);
            if late < self.late {
                self.delayed.push_back((self.count + chance.next() % 60, packet));
            } else if loss >= self.loss {
                out.push(packet);
                if chance.next() % 100 < self.late {
                    // Once more.
                    out.push(packet);
                }
            }
            let due = self.count;
            let mut left = VecDeque::new();
            for (at, packet) in self.delayed.drain(..) {
                if at <= due { out.push(packet) } else { left.push_back((at, packet)) }
            }
            self.delayed = left;
        }
        out
    }
}
