//! Counters and the queue of what the client has not confirmed (XEP-0198).

use std::collections::VecDeque;

use crate::{Element, Text, ns};

/// Stanzas kept for a client that has not confirmed them: a join of a room of a thousand is one burst of that many.
pub const UNACKED_STANZAS_MAX: usize = 4_096;
/// Places that the queue keeps however few it needs.
const UNACKED_PLACES_KEPT: usize = 32;
/// Bytes kept for a client that has not confirmed them; what is shared with other clients does not count.
pub const UNACKED_BYTES_MAX: usize = 1024 * 1024;
/// Stanzas after which the client is asked for its count. In a large room each join is a stanza for everybody, and each
/// request and answer costs as much as a stanza.
pub const REQUEST_EVERY: u32 = 20;

/// The client confirmed what was never sent, or asks for what is no longer kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("acknowledgement out of range")]
pub struct OutOfRange;

/// Both counters of a managed stream and the stanzas that may have to be sent again.
///
/// A full queue forgets its oldest stanza instead of ending the stream: joining a room of hundreds is one long burst.
/// Only a resumption that needs a forgotten stanza then fails.
#[derive(Debug)]
pub struct Management {
    id: String,
    received: u32,
    acknowledged: u32,
    forgotten: u32,
    unacked: VecDeque<Text>,
    bytes: usize,
    unasked: u32,
    is_asked: bool,
}

impl Management {
    /// A stream that was just enabled; `id` is its unguessable resumption id of `[A-Za-z0-9_-]`.
    pub fn new(id: String) -> Management {
        Management {
            id,
            received: 0,
            acknowledged: 0,
            forgotten: 0,
            unacked: VecDeque::new(),
            bytes: 0,
            unasked: 0,
            is_asked: false,
        }
    }

    /// The resumption id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Counts a stanza from the client.
    pub fn received(&mut self) {
        self.received = self.received.wrapping_add(1);
    }

    /// Counts and keeps a stanza to the client. True when the client is to be asked for its count, which it is after
    /// [`REQUEST_EVERY`] stanzas, unless its answer to the last request is still to come.
    pub fn sent(&mut self, stanza: Text) -> bool {
        self.bytes += stanza.own_bytes();
        self.unacked.push_back(stanza);
        while self.unacked.len() > UNACKED_STANZAS_MAX || self.bytes > UNACKED_BYTES_MAX {
            let Some(oldest) = self.unacked.pop_front() else { break };
            self.bytes -= oldest.own_bytes();
            self.forgotten = self.forgotten.wrapping_add(1);
        }
        self.unasked = self.unasked.saturating_add(1);
        self.asks()
    }

    /// The client has handled `h` stanzas in all (modulo 2^32, XEP-0198 §4). True when it is to be asked again.
    ///
    /// # Errors
    /// [`OutOfRange`] if `h` goes back or beyond what was sent.
    pub fn acknowledge(&mut self, h: u32) -> Result<bool, OutOfRange> {
        let newly = h.wrapping_sub(self.acknowledged);
        let outstanding = self.forgotten as usize + self.unacked.len();
        if newly as usize > outstanding {
            return Err(OutOfRange);
        }
        self.acknowledged = h;
        for _ in 0..newly {
            if self.forgotten > 0 {
                self.forgotten -= 1;
            } else if let Some(stanza) = self.unacked.pop_front() {
                self.bytes -= stanza.own_bytes();
            }
        }
        // The join of a large room is one burst; what it took is not kept for the hours of quiet after it.
        if self.unacked.capacity() > UNACKED_PLACES_KEPT && self.unacked.len() < UNACKED_PLACES_KEPT / 2 {
            self.unacked.shrink_to(UNACKED_PLACES_KEPT);
        }
        self.is_asked = false;
        Ok(self.asks())
    }

    /// The client took up the stream after handling `h` stanzas: what it must be sent again, oldest first.
    pub fn resume(&mut self, h: u32) -> Result<impl Iterator<Item = &Text>, OutOfRange> {
        self.acknowledge(h)?;
        if self.forgotten > 0 {
            return Err(OutOfRange);
        }
        // The resumption is followed by a request.
        (self.is_asked, self.unasked) = (true, 0);
        Ok(self.unacked.iter())
    }

    fn asks(&mut self) -> bool {
        if self.is_asked || self.unasked < REQUEST_EVERY {
            return false;
        }
        (self.is_asked, self.unasked) = (true, 0);
        true
    }

    /// Stanzas handled from the client, modulo 2^32.
    pub fn handled(&self) -> u32 {
        self.received
    }

    /// `<a/>`: how many stanzas were handled.
    pub fn answer(&self) -> Element {
        Element::new("a", ns::SM).attr("h", self.received.to_string())
    }
}

/// `<r/>`: asks the client for its count.
pub fn request() -> Element {
    Element::new("r", ns::SM)
}

/// `<enabled/>` with resumption.
pub fn enabled(id: &str, max_seconds: u64) -> Element {
    Element::new("enabled", ns::SM).attr("resume", "true").attr("id", id).attr("max", max_seconds.to_string())
}

/// `<resumed/>`.
pub fn resumed(previd: &str, h: u32) -> Element {
    Element::new("resumed", ns::SM).attr("previd", previd).attr("h", h.to_string())
}

/// `<failed/>` with the stanza error condition `name`.
pub fn failed(name: &str) -> Element {
    Element::new("failed", ns::SM).with(Element::new(name, ns::STANZA_ERRORS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(count: u32) -> Management {
        let mut management = Management::new("x".into());
        for i in 0..count {
            management.sent(i.to_string().into());
        }
        management
    }

    #[test]
    fn the_client_is_asked_after_some_stanzas_and_again_once_it_has_answered() {
        let mut management = Management::new("x".into());
        let many = REQUEST_EVERY + 7;
        let asks: Vec<bool> = (0..many * 2).map(|i| management.sent(i.to_string().into())).collect();
        assert_eq!(asks.iter().position(|asks| *asks), Some(REQUEST_EVERY as usize - 1));
        assert_eq!(asks.iter().filter(|asks| **asks).count(), 1, "one request at a time");
        assert_eq!(management.acknowledge(REQUEST_EVERY), Ok(true), "more than that were sent meanwhile");
        assert_eq!(management.acknowledge(many * 2), Ok(false));
        let asks: Vec<bool> = (0..REQUEST_EVERY).map(|i| management.sent(i.to_string().into())).collect();
        assert_eq!(asks.iter().position(|asks| *asks), Some(REQUEST_EVERY as usize - 1));
    }

    #[test]
    fn an_acknowledgement_releases_what_it_covers() {
        let mut management = filled(7);
        management.acknowledge(5).expect("five were sent");
        assert_eq!(management.resume(6).expect("six were sent").collect::<Vec<_>>(), [&Text::from("6")]);
    }

    #[test]
    fn an_acknowledgement_beyond_what_was_sent_or_backwards_is_refused() {
        assert_eq!(filled(3).acknowledge(4), Err(OutOfRange));
        let mut management = filled(3);
        management.acknowledge(2).expect("three were sent");
        assert_eq!(management.acknowledge(1), Err(OutOfRange));
    }

    #[test]
    fn a_forgotten_stanza_makes_only_the_resumption_that_needs_it_fail() {
        let count = UNACKED_STANZAS_MAX as u32 + 3;
        assert!(filled(count).resume(2).is_err());
        assert_eq!(filled(count).resume(3).expect("all kept").count(), UNACKED_STANZAS_MAX);
        let mut management = filled(1);
        management.sent("y".repeat(UNACKED_BYTES_MAX).into());
        assert!(management.resume(0).is_err());
        assert!(management.bytes <= UNACKED_BYTES_MAX);
    }

    #[test]
    fn counters_wrap_at_two_to_the_thirty_second() {
        let mut management = filled(0);
        management.acknowledged = u32::MAX;
        management.sent("a".into());
        management.sent("b".into());
        management.acknowledge(0).expect("one more after the wrap");
        assert_eq!(management.unacked, [Text::from("b")]);
    }
}
