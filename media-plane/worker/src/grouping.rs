//! Which packets of a turn share a message to one receiver, in which order, and with how much padding.
//!
//! The segments of a message (UDP GSO) are of one length, but the last may be shorter. So packets of a video frame, which
//! differ by a byte or two, are evened out with RTP padding (RFC 3550 §5.1), and a packet that is alone goes as the last
//! segment of a message of longer ones. Within a stream packets keep their order; between streams there is none.

use arrayvec::ArrayVec;

/// Packets planned together: what one message may hold of segments.
pub(crate) const OFFERS_MAX: usize = 64;

/// A packet as it would go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Bytes on the wire without padding.
    pub(crate) len: u16,
    /// Outgoing SSRC.
    pub(crate) stream: u32,
    /// It may be padded: video.
    pub(crate) paddable: bool,
}

/// A packet in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    /// Number of the offer.
    pub(crate) at: u8,
    /// Bytes of RTP padding.
    pub(crate) padding: u8,
}

/// What a receiver may be sent of padding: a share of its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PaddingBudget {
    /// Thousandths of bytes.
    saved: u32,
}

impl PaddingBudget {
    /// `len` bytes were sent, of which `permille` thousandths may follow as padding.
    #[inline]
    pub(crate) fn earn(&mut self, len: u16, permille: u16) {
        self.saved = (self.saved + u32::from(len) * u32::from(permille)).min(SAVED_MAX * 1_000);
    }

    fn affords(self, bytes: usize) -> bool {
        bytes as u64 * 1_000 <= u64::from(self.saved)
    }

    fn spend(&mut self, bytes: usize) {
        self.saved = self.saved.saturating_sub(bytes as u32 * 1_000);
    }
}

/// A message being planned: a chain of offers in order of arrival.
#[derive(Clone, Copy, Debug)]
struct Message {
    segment: u16,
    /// The shortest of its packets.
    shortest: u16,
    first: u8,
    last: u8,
    count: u8,
    paddable: bool,
    /// The last segment is shorter: nothing can follow.
    closed: bool,
}

/// Plans, with the memory for it.
#[derive(Debug, Default)]
pub(crate) struct Grouping {
    messages: ArrayVec<Message, OFFERS_MAX>,
    /// The offer that follows in the same message.
    next: ArrayVec<u8, OFFERS_MAX>,
    /// The message of each offer.
    message_of: ArrayVec<u8, OFFERS_MAX>,
    placed: ArrayVec<Placed, OFFERS_MAX>,
}

impl Grouping {
    /// Place at most [`OFFERS_MAX`] offers, given in order of arrival; what is beyond is left out.
    pub(crate) fn plan(&mut self, offers: &[Offer], budget: &mut PaddingBudget) -> &[Placed] {
        let offers = &offers[..offers.len().min(OFFERS_MAX)];
        self.messages.clear();
        self.next.clear();
        self.message_of.clear();
        let mut padding = 0;
        for at in 0..offers.len() {
            padding += self.assign(at, offers, |cost| budget.affords(padding + cost));
        }
        if self.messages.len() > 1 {
            self.join_singles(offers);
        }
        let planned = self.messages.iter().filter(|message| message.count > 0).count();
        if messages_unplanned(offers) <= planned {
            self.placed.clear();
            self.placed.extend((0..offers.len()).map(|at| Placed { at: at as u8, padding: 0 }));
        } else {
            self.place(offers, budget);
        }
        &self.placed
    }

    /// What the last plan has in place `place`, in the order of sending.
    pub(crate) fn placed(&self, place: usize) -> Placed {
        self.placed[place]
    }

    /// To the cheapest message that takes it, or to one of its own; the bytes of padding that it takes.
    fn assign(&mut self, at: usize, offers: &[Offer], affords: impl Fn(usize) -> bool) -> usize {
        let offer = offers[at];
        let before = offers[..at].iter().rposition(|earlier| earlier.stream == offer.stream);
        let from = before.map_or(0, |before| usize::from(self.message_of[before]));
        let mut best = None;
        for (number, message) in self.messages.iter().enumerate().skip(from) {
            let Some(cost) = message.cost(&offer) else { continue };
            if best.is_none_or(|(_, least)| cost < least) && affords(cost) {
                best = Some((number, cost));
            }
            if cost == 0 {
                break;
            }
        }
        let number = best.map_or(self.messages.len(), |(number, _)| number);
        self.next.push(END);
        self.message_of.push(number as u8);
        match self.messages.get_mut(number) {
            Some(message) => {
                self.next[usize::from(message.last)] = at as u8;
                message.last = at as u8;
                message.count += 1;
                message.segment = message.segment.max(offer.len);
                message.shortest = message.shortest.min(offer.len);
                message.paddable &= offer.paddable;
            }
            None => self.messages.push(Message::of(at, &offer)),
        }
        best.map_or(0, |(_, cost)| cost)
    }

    /// Let packets that are alone go as the shorter last segments of other messages.
    fn join_singles(&mut self, offers: &[Offer]) {
        for number in 0..self.messages.len() {
            let single = self.messages[number];
            if single.count != 1 || single.closed {
                continue;
            }
            let at = usize::from(single.first);
            let hosts = self.messages.iter().enumerate();
            let host = hosts
                .filter(|(other, host)| {
                    *other != number && host.takes_last(&offers[at]) && self.order_holds(at, *other, offers)
                })
                .min_by_key(|(_, host)| host.segment)
                .map(|(other, _)| other);
            if let Some(host) = host {
                self.message_of[at] = host as u8;
                let host = &mut self.messages[host];
                self.next[usize::from(host.last)] = at as u8;
                host.last = at as u8;
                host.count += 1;
                host.closed = true;
                self.messages[number].count = 0;
            }
        }
    }

    /// Whether offer `at` may become the last segment of message `host`: its stream's earlier packets go before or in
    /// that message, the later ones behind it.
    fn order_holds(&self, at: usize, host: usize, offers: &[Offer]) -> bool {
        offers
            .iter()
            .enumerate()
            .filter(|(other, offer)| *other != at && offer.stream == offers[at].stream)
            .all(|(other, _)| {
                let message = usize::from(self.message_of[other]);
                if other < at { message <= host } else { message > host }
            })
    }

    /// Write the plan down and pay for the padding.
    fn place(&mut self, offers: &[Offer], budget: &mut PaddingBudget) {
        self.placed.clear();
        for message in self.messages.iter().filter(|message| message.count > 0) {
            let mut next = message.first;
            while let Some(offer) = offers.get(usize::from(next)) {
                // The last segment may be shorter anyway.
                let padding = if next == message.last { 0 } else { message.segment - offer.len };
                budget.spend(usize::from(padding));
                self.placed.push(Placed { at: next, padding: padding as u8 });
                next = self.next[usize::from(next)];
            }
        }
    }
}

/// Messages that the send queue forms of these packets in order of arrival.
fn messages_unplanned(offers: &[Offer]) -> usize {
    let mut count = 0;
    let mut open = None;
    for offer in offers {
        match open {
            Some(segment) if offer.len == segment => {}
            Some(segment) if offer.len < segment => open = None,
            _ => {
                count += 1;
                open = Some(offer.len);
            }
        }
    }
    count
}

impl Message {
    fn of(at: usize, offer: &Offer) -> Message {
        Message {
            segment: offer.len,
            shortest: offer.len,
            first: at as u8,
            last: at as u8,
            count: 1,
            paddable: offer.paddable,
            closed: false,
        }
    }

    /// Bytes of padding that it costs to take `offer` in as one of equals; `None` if it cannot be.
    fn cost(&self, offer: &Offer) -> Option<usize> {
        let segment = self.segment.max(offer.len);
        if self.closed || (usize::from(self.count) + 1) * usize::from(segment) > MESSAGE_BYTES_MAX {
            return None;
        }
        if offer.len == self.segment {
            return Some(0);
        }
        let most_padded = segment - self.shortest.min(offer.len);
        if !offer.paddable || !self.paddable || most_padded > PADDING_MAX {
            return None;
        }
        let raised = usize::from(segment - self.segment) * usize::from(self.count);
        Some(raised + usize::from(segment - offer.len))
    }

    fn takes_last(&self, offer: &Offer) -> bool {
        self.count > 0
            && !self.closed
            && offer.len < self.segment
            && (usize::from(self.count) + 1) * usize::from(self.segment) <= MESSAGE_BYTES_MAX
    }
}

/// Ends a chain.
const END: u8 = u8::MAX;
/// More than AV1 packets of a frame differ by (25 B measured with Chromium); what differs more is another kind of packet.
const PADDING_MAX: u16 = 32;
/// Padding that may be saved up for, in bytes: for some frames.
const SAVED_MAX: u32 = 512;
/// Payload of the longest message, a little less than IPv4 allows.
const MESSAGE_BYTES_MAX: usize = 65_000;

#[cfg(test)]
mod tests;
