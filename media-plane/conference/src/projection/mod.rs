//! A source's layers seen as one continuous outgoing stream: the state of one (receiver, source) pair.
//!
//! Sequence numbers rise with gaps only where the forwarded encoding had them, timestamps never step back, and what codecs
//! count (picture ids, frame numbers, template ids) goes on over every switch.

pub(crate) mod audio;
mod av1;
mod generic;
mod vp8;
mod vp9;
pub(crate) mod window;

#[cfg(test)]
mod tests;

use core::cmp::Ordering;

use contract::Timestamp;
use contract::limits::ENCODINGS_PER_SOURCE_MAX;
use wire::codec::Patch;

use crate::packet::{Descriptor, Layer, MediaPacket};
use crate::source::EVERYTHING;
use av1::Av1;
use generic::Generic;
use vp8::Vp8;
use vp9::Vp9;
use window::{Place, Window};

/// Packets of which late ones still find their number: one second at 1,000 a second, the age of retransmissions.
type Packets = Window<16>;

/// Frames of which late packets still find the decision: layer frames of more than a second.
pub(crate) type Frames = Window<4>;

/// RTP ticks of a frame at 30 a second and 90 kHz.
const FRAME_TICKS: u32 = 3_000;

/// Between two frames, at least: a millisecond.
const TICKS_APART_MIN: u32 = 90;

/// Reports that place a frame further than this from where its arrival does are not believed: a second.
const CLOCKS_APART_MAX: u32 = 90_000;

/// Longest pause that moves the timestamp on: half the range of a timestamp is 6.6 hours.
const PAUSE_MAX_MS: u64 = 3_600_000;

/// What the allocation wants forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) encoding: u8,
    pub(crate) layer: Layer,
}

/// What was last sent on an outgoing stream: all that a successor needs to continue it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Continuity {
    /// The highest sent; before the first packet, one below the number to begin with.
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    /// Arrival of the packet that was sent last.
    pub(crate) at: Timestamp,
    pub(crate) picture_id: u32,
    pub(crate) tl0: u8,
    pub(crate) frame_number: u32,
    /// The template id after those in use.
    pub(crate) next_template: u8,
    /// The highest packet sent ended its frame.
    pub(crate) complete: bool,
    /// Something was sent.
    pub(crate) started: bool,
}

impl Continuity {
    /// A stream nothing was sent on. The first sequence number is below 2^15, so that no receiver can misjudge the count of
    /// wraps (RFC 3711 §3.3.1).
    pub(crate) fn new(chance: u64) -> Continuity {
        Continuity {
            sequence: chance & 0x7fff,
            timestamp: (chance >> 16) as u32,
            at: Timestamp::ZERO,
            picture_id: (chance >> 48) as u32 & 0x3fff,
            tl0: (chance >> 24) as u8,
            frame_number: 0,
            next_template: 0,
            complete: true,
            started: false,
        }
    }

    /// The timestamp for a packet that follows a switch: as many ticks on as time has passed, in whole frames.
    fn timestamp_after(&self, now: Timestamp) -> u32 {
        let elapsed = (now.since(self.at).as_millis() as u64).min(PAUSE_MAX_MS);
        let frames = (elapsed / 33).max(1) as u32;
        self.timestamp.wrapping_add(FRAME_TICKS.wrapping_mul(frames))
    }
}

/// A packet's outgoing numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Output {
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) patch: Patch,
    /// Forwarding began with this packet though some that follow it had been let go: offer those again, in order.
    pub(crate) replay: bool,
    /// A key frame begins: what was sent before is needed no more.
    pub(crate) anew: bool,
}

/// What a codec says of a frame that was not decided yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) forward: bool,
    /// What is wanted cannot be reached without a key frame.
    pub(crate) key_frame: bool,
}

/// The codec specific half of a projection, from one switch to the next.
#[derive(Clone, Debug)]
enum Rewriter {
    Generic(Generic),
    Vp8(Vp8),
    Vp9(Vp9),
    Av1(Av1),
}

/// The projection of a video source for one receiver. In the order in which a packet touches it (`repr(C)`).
#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct VideoProjection {
    target: Option<Target>,
    /// The encoding being forwarded.
    current: Option<u8>,
    key_frame_wanted: bool,
    timestamp_offset: u32,
    /// Added to source numbers less those taken out.
    sequence_offset: u64,
    pub(crate) continuity: Continuity,
    /// The highest frame of each encoding that cannot be begun with any more, but by offering packets again.
    passed: [Option<u32>; ENCODINGS_PER_SOURCE_MAX],
    /// The highest sequence number seen of each encoding.
    seen: [u64; ENCODINGS_PER_SOURCE_MAX],
    /// The highest sequence number forwarded of each encoding.
    forwarded: [u64; ENCODINGS_PER_SOURCE_MAX],
    frames: Frames,
    packets: Packets,
    rewriter: Rewriter,
    /// The frame that the last packet taken out belonged to.
    removed_frame: Option<(u64, u64)>,
    /// What brings timestamps of the encoding that a key frame of has come to those of the one being forwarded, if known.
    pub(crate) ticks_between: Option<u32>,
}

impl VideoProjection {
    /// A projection that continues where `continuity` ended, of nothing yet.
    pub(crate) fn new(continuity: Continuity) -> VideoProjection {
        VideoProjection {
            continuity,
            target: None,
            current: None,
            rewriter: Rewriter::Generic(Generic),
            packets: Window::starting_at(0),
            frames: Window::starting_at(0),
            sequence_offset: 0,
            timestamp_offset: 0,
            passed: [None; ENCODINGS_PER_SOURCE_MAX],
            seen: [0; ENCODINGS_PER_SOURCE_MAX],
            forwarded: [0; ENCODINGS_PER_SOURCE_MAX],
            removed_frame: None,
            key_frame_wanted: false,
            ticks_between: None,
        }
    }

    /// Forget the source, not the outgoing stream.
    pub(crate) fn reset(&mut self) {
        *self = VideoProjection::new(self.continuity);
    }

    /// What to forward from now on; `None` suspends.
    pub(crate) fn set_target(&mut self, target: Option<Target>) {
        if target.is_none() {
            self.current = None;
        }
        self.target = target;
        self.key_frame_wanted = target.is_some_and(|target| Some(target.encoding) != self.current);
    }

    pub(crate) fn target(&self) -> Option<Target> {
        self.target
    }

    /// The encoding being forwarded.
    pub(crate) fn current(&self) -> Option<u8> {
        self.current
    }

    /// What must be added to the timestamps of the encoding being forwarded.
    pub(crate) fn timestamp_offset(&self) -> u32 {
        self.timestamp_offset
    }

    /// The encoding to ask for a key frame of, if one is needed to get to the target.
    pub(crate) fn key_frame_wanted(&self) -> Option<u8> {
        self.target.filter(|_| self.key_frame_wanted).map(|target| target.encoding)
    }

    /// Judge a packet and renumber it.
    pub(crate) fn project(&mut self, packet: &MediaPacket) -> Option<Output> {
        let target = self.target?;
        let lost =
            self.current == Some(packet.encoding) && packet.sequence >= self.packets.next() + Packets::SPAN;
        if lost {
            // So much is missing that nothing connects any more.
            self.current = None;
        }
        // With another codec everything begins anew, on whichever encoding.
        let current = self.current.filter(|_| self.rewriter.fits(packet));
        let switches = current != Some(packet.encoding) && self.is_switch_point(packet, current, target);
        let is_late = switches && self.is_late(packet);
        self.note_frame(packet);
        if switches {
            self.switch(packet, target);
        } else if current != Some(packet.encoding) {
            self.key_frame_wanted |= current != Some(target.encoding);
            return None;
        }
        let output = self.renumber(packet, target)?;
        Some(Output { replay: switches && is_late, ..output })
    }

    /// Whether forwarding may turn to the packet's encoding with this very packet. One that comes late will do, as long as
    /// those that follow it can be offered again.
    fn is_switch_point(&self, packet: &MediaPacket, current: Option<u8>, target: Target) -> bool {
        let begins = packet.frame.start_of_frame && packet.frame.key_frame && packet.payload_bytes > 0;
        if packet.encoding > target.encoding || !begins {
            return false;
        }
        let at = usize::from(packet.encoding);
        let (seen, forwarded) = (self.seen.get(at).copied(), self.forwarded.get(at).copied());
        let follows = forwarded.unwrap_or_default() < packet.sequence
            && seen.unwrap_or_default() < packet.sequence + REPLAY_MAX;
        if self.is_late(packet) && !follows {
            return false;
        }
        match current {
            // Up: nearer to the target. Down: anything from the target down, it can rise again.
            Some(current) if current < target.encoding => packet.encoding > current,
            Some(current) if current > target.encoding => true,
            Some(_) => false,
            None => true,
        }
    }

    /// Whether packets that follow this one were let go already.
    fn is_late(&self, packet: &MediaPacket) -> bool {
        let passed = self.passed.get(usize::from(packet.encoding)).copied().flatten();
        passed.is_some_and(|number| number >= packet.frame.number && !is_restart(number, packet))
    }

    /// Remember how far an encoding has come: frames that began up to there cannot be begun with any more.
    fn note_frame(&mut self, packet: &MediaPacket) {
        let Some(passed) = self.passed.get_mut(usize::from(packet.encoding)) else { return };
        let number = packet.frame.number;
        let begun = if packet.frame.start_of_frame { number.saturating_sub(1) } else { number };
        let restarts = passed.is_some_and(|passed| is_restart(passed, packet));
        let seen = &mut self.seen[usize::from(packet.encoding)];
        *seen = if restarts { packet.sequence } else { packet.sequence.max(*seen) };
        if restarts {
            self.forwarded[usize::from(packet.encoding)] = 0;
        }
        *passed = Some(if restarts { begun } else { passed.unwrap_or(0).max(begun) });
    }

    /// Continue the outgoing stream with `packet`, the first of a frame that needs no other.
    fn switch(&mut self, packet: &MediaPacket, target: Target) {
        let last = self.continuity;
        // A number is left free for the rest of a frame that was not sent to its end.
        let step = if last.started && !last.complete { 2 } else { 1 };
        self.sequence_offset = last.sequence.wrapping_add(step).wrapping_sub(packet.sequence);
        let before = self.timestamp_offset;
        self.rebase_timestamp(packet);
        if let Some(ticks) = self.ticks_between.take() {
            self.follow_clocks(packet, before.wrapping_add(ticks));
        }
        self.packets = Window::starting_at(packet.sequence);
        self.removed_frame = None;
        self.rewriter = Rewriter::starting_with(packet, &last, target);
        self.frames = Window::starting_at(self.rewriter.frame_key(packet));
        self.current = Some(packet.encoding);
        self.key_frame_wanted = packet.encoding != target.encoding;
    }

    /// Take the offset that the sender's reports give, unless it steps back or is far from what the arrival says: picture and
    /// sound stay together over the switch.
    fn follow_clocks(&mut self, packet: &MediaPacket, offset: u32) {
        let timestamp = packet.timestamp.wrapping_add(offset);
        let by_arrival = packet.timestamp.wrapping_add(self.timestamp_offset);
        let ahead = timestamp.wrapping_sub(self.continuity.timestamp).cast_signed();
        let apart = timestamp.wrapping_sub(by_arrival).cast_signed().unsigned_abs();
        if apart >= CLOCKS_APART_MAX {
            return;
        }
        // Of the same moment as the last frame sent, or older: as little later as makes it another frame.
        let least = u32::try_from(i64::from(TICKS_APART_MIN) - i64::from(ahead)).unwrap_or(0);
        self.timestamp_offset = offset.wrapping_add(least);
    }

    fn rebase_timestamp(&mut self, packet: &MediaPacket) {
        let last = &self.continuity;
        let next = if last.started { last.timestamp_after(packet.arrival) } else { last.timestamp };
        self.timestamp_offset = next.wrapping_sub(packet.timestamp);
    }

    /// Decide about the packet's frame, or recall the decision, and give the packet its numbers.
    fn renumber(&mut self, packet: &MediaPacket, target: Target) -> Option<Output> {
        let newest = match self.packets.place(packet.sequence) {
            Place::Ahead => true,
            Place::Open => false,
            Place::Kept | Place::Removed | Place::Gone => return None,
        };
        let key = self.rewriter.frame_key(packet);
        if packet.payload_bytes == 0 {
            self.packets.remove(packet.sequence);
            return None;
        }
        if !self.is_frame_kept(packet, target, key, newest) {
            self.take_out(packet, key, newest);
            return None;
        }
        let removed = self.packets.keep(packet.sequence)?;
        let sequence = packet.sequence.wrapping_sub(removed).wrapping_add(self.sequence_offset);
        // A late packet leads too, if all that came after it was taken out.
        let leads = !self.continuity.started || sequence > self.continuity.sequence;
        if leads && is_before(packet.timestamp.wrapping_add(self.timestamp_offset), self.continuity.timestamp)
        {
            // The sender's clock stepped back: what it sent before cannot be placed any more.
            self.rebase_timestamp(packet);
            self.packets.forget_before(packet.sequence);
        }
        let timestamp = packet.timestamp.wrapping_add(self.timestamp_offset);
        let patch = self.rewriter.patch(packet, &self.frames, leads, &mut self.continuity);
        let marker = packet.marker || self.rewriter.ends_picture(packet, target);
        if let Some(forwarded) = self.forwarded.get_mut(usize::from(packet.encoding)) {
            *forwarded = packet.sequence.max(*forwarded);
        }
        if leads {
            self.continuity.sequence = sequence;
            self.continuity.timestamp = timestamp;
            self.continuity.at = packet.arrival;
            self.continuity.complete = marker;
            self.continuity.started = true;
        }
        let anew = leads && packet.frame.key_frame && packet.frame.start_of_frame;
        Some(Output { sequence, timestamp, marker, patch, replay: false, anew })
    }

    fn is_frame_kept(&mut self, packet: &MediaPacket, target: Target, key: u64, newest: bool) -> bool {
        let mut place = self.frames.place(key);
        let jump = place == Place::Gone || key >= self.frames.next() + Frames::SPAN;
        if newest && jump {
            // The sender counts anew.
            self.rewriter.rebase(packet, &self.continuity);
            self.frames = Window::starting_at(key);
            place = Place::Ahead;
        }
        match place {
            Place::Kept => true,
            Place::Removed | Place::Gone => false,
            Place::Ahead | Place::Open => {
                // Towards a lower encoding only what keeps the picture alive; towards a higher one all there is.
                let limit = match packet.encoding.cmp(&target.encoding) {
                    Ordering::Equal => target.layer,
                    Ordering::Greater => Layer { temporal: 0, ..EVERYTHING },
                    Ordering::Less => EVERYTHING,
                };
                let verdict = self.rewriter.judge(packet, limit, &self.frames, place == Place::Ahead);
                self.key_frame_wanted = packet.encoding != target.encoding || verdict.key_frame;
                if verdict.forward {
                    self.frames.keep(key);
                } else {
                    self.frames.remove(key);
                }
                verdict.forward
            }
        }
    }

    /// Take a packet out, and with it those missing between two packets of the same frame.
    fn take_out(&mut self, packet: &MediaPacket, key: u64, newest: bool) {
        if !newest {
            return;
        }
        if self.removed_frame == Some((key, self.packets.next().wrapping_sub(1))) {
            self.packets.remove_through(packet.sequence);
        } else {
            self.packets.remove(packet.sequence);
        }
        self.removed_frame = Some((key, packet.sequence));
    }
}

impl Rewriter {
    fn starting_with(packet: &MediaPacket, last: &Continuity, limit: Target) -> Rewriter {
        match packet.frame.descriptor {
            Descriptor::Opaque | Descriptor::Unlayered => Rewriter::Generic(Generic),
            Descriptor::Vp8 { tl0, .. } => Rewriter::Vp8(Vp8::new(packet, tl0, last)),
            Descriptor::Vp9 { tl0, .. } => Rewriter::Vp9(Vp9::new(packet, tl0, last)),
            Descriptor::Av1(descriptor) => Rewriter::Av1(Av1::new(packet, &descriptor, last, limit.layer)),
        }
    }

    /// Whether the packet can go on in this life; otherwise it takes a key frame to begin another.
    fn fits(&self, packet: &MediaPacket) -> bool {
        matches!(
            (self, packet.frame.descriptor),
            (Rewriter::Generic(_), Descriptor::Opaque | Descriptor::Unlayered)
                | (Rewriter::Vp8(_), Descriptor::Vp8 { .. })
                | (Rewriter::Vp9(_), Descriptor::Vp9 { .. })
                | (Rewriter::Av1(_), Descriptor::Av1(_))
        )
    }

    /// What frames are decided by: a number that rises with the frames (with VP9: layer frames) of an encoding.
    fn frame_key(&self, packet: &MediaPacket) -> u64 {
        let number = u64::from(packet.frame.number);
        match self {
            Rewriter::Vp9(_) => vp9::frame_key(packet),
            Rewriter::Generic(_) | Rewriter::Vp8(_) | Rewriter::Av1(_) => number,
        }
    }

    fn judge(&mut self, packet: &MediaPacket, limit: Layer, frames: &Frames, newest: bool) -> Verdict {
        match (self, packet.frame.descriptor) {
            (Rewriter::Vp8(vp8), Descriptor::Vp8 { sync, .. }) => vp8.judge(packet, limit, sync, newest),
            (Rewriter::Vp9(vp9), _) => vp9.judge(packet, limit, newest),
            (Rewriter::Av1(av1), Descriptor::Av1(descriptor)) => {
                av1.judge(packet, &descriptor, limit, frames, newest)
            }
            _ => Verdict { forward: true, key_frame: false },
        }
    }

    fn patch(&mut self, packet: &MediaPacket, frames: &Frames, leads: bool, last: &mut Continuity) -> Patch {
        match (self, packet.frame.descriptor) {
            (Rewriter::Vp8(vp8), Descriptor::Vp8 { tl0, .. }) => vp8.patch(packet, tl0, frames, leads, last),
            (Rewriter::Vp9(vp9), Descriptor::Vp9 { tl0, .. }) => vp9.patch(packet, tl0, leads, last),
            (Rewriter::Av1(av1), Descriptor::Av1(descriptor)) => av1.patch(packet, &descriptor, leads, last),
            _ => Patch::None,
        }
    }

    /// Re-base what the codec counts so that `packet` follows what was sent last.
    fn rebase(&mut self, packet: &MediaPacket, last: &Continuity) {
        match self {
            Rewriter::Generic(_) => {}
            Rewriter::Vp8(vp8) => vp8.rebase(packet, last),
            Rewriter::Vp9(vp9) => vp9.rebase(packet, last),
            Rewriter::Av1(av1) => av1.rebase(packet, last),
        }
    }

    /// Whether the packet is the last of the highest layer that is forwarded of its picture.
    fn ends_picture(&self, packet: &MediaPacket, target: Target) -> bool {
        match self {
            Rewriter::Generic(_) | Rewriter::Vp8(_) => false,
            Rewriter::Vp9(vp9) => vp9.ends_picture(packet, target),
            Rewriter::Av1(av1) => av1.ends_picture(packet),
        }
    }
}

/// Packets behind the first of a key frame that may be offered again: what a worker remembers of each encoding.
pub(crate) const REPLAY_MAX: u64 = 64;

/// Whether a frame is so far behind `passed` that the sender must have begun to count anew.
fn is_restart(passed: u32, packet: &MediaPacket) -> bool {
    u64::from(passed.saturating_sub(packet.frame.number)) > Frames::SPAN
}

/// Whether timestamp `a` lies before `b`, modulo 2^32.
pub(crate) fn is_before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}
