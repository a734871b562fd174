//! The last messages of a room, for those who come later (XEP-0045 §7.2.13, XEP-0203).

use std::collections::VecDeque;

use xmpp::{Element, ns};

/// Messages kept.
const MESSAGES_MAX: usize = 20;
/// Bytes kept; a room's chat must not outweigh its participants.
const BYTES_MAX: usize = 128 * 1024;

/// The last messages with a body, oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    messages: VecDeque<(usize, Element)>,
    bytes: usize,
}

impl History {
    /// Keeps `message` as sent by `from` at `unix_ms`. `name` is the sender's display name now: the sender may be
    /// gone when the message is read.
    pub(super) fn keep(&mut self, message: &Element, room: &str, name: Option<&str>, unix_ms: u64) {
        let mut kept = message.clone();
        if let Some(name) = name {
            let name = Element::new("display-name", ns::DISPLAY_NAME).attr("source", "guest").with_text(name);
            kept.push(name);
        }
        kept.push(Element::new("delay", ns::DELAY).attr("from", room).attr("stamp", stamp(unix_ms)));
        let bytes = kept.to_string().len();
        self.bytes += bytes;
        self.messages.push_back((bytes, kept));
        while self.messages.len() > MESSAGES_MAX || self.bytes > BYTES_MAX {
            let Some((bytes, _)) = self.messages.pop_front() else { break };
            self.bytes -= bytes;
        }
    }

    /// The last messages, oldest first; at most `asked` of them if that is given.
    pub(super) fn last(&self, asked: Option<usize>) -> impl Iterator<Item = &Element> {
        let skipped = self.messages.len().saturating_sub(asked.unwrap_or(MESSAGES_MAX));
        self.messages.iter().skip(skipped).map(|(_, message)| message)
    }
}

/// A point in time as XEP-0082 writes it, in UTC with milliseconds.
pub(crate) fn stamp(unix_ms: u64) -> String {
    let (days, ms) = (unix_ms / MS_PER_DAY, unix_ms % MS_PER_DAY);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1_000)
}

/// Year, month and day of the day `days` after 1970-01-01: whole 400-year cycles first, counted from 0000-03-01 so
/// that the leap day is a year's last.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_FROM_MARCH_0000_TO_1970;
    let (cycle, day_of_cycle) = (days / DAYS_PER_CYCLE, days % DAYS_PER_CYCLE);
    let leap_days = day_of_cycle / 1_460 + day_of_cycle / 146_096 - day_of_cycle / 36_524;
    let year_of_cycle = (day_of_cycle - leap_days) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (cycle * 400 + year_of_cycle + u64::from(month <= 2), month, day)
}

const MS_PER_DAY: u64 = 86_400_000;
const DAYS_PER_CYCLE: u64 = 146_097;
const DAYS_FROM_MARCH_0000_TO_1970: u64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_the_calendar_s() {
        let rows = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_735_689_599_000, "2024-12-31T23:59:59.000Z"),
            (1_790_000_000_123, "2026-09-21T14:13:20.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ];
        for (unix_ms, text) in rows {
            assert_eq!(stamp(unix_ms), text);
        }
    }

    #[test]
    fn only_the_last_twenty_messages_are_kept_and_fewer_if_they_are_long() {
        let mut history = History::default();
        let message = |text: &str| {
            Element::new("message", ns::JABBER_CLIENT)
                .with(Element::new("body", ns::JABBER_CLIENT).with_text(text))
        };
        for i in 0..30 {
            history.keep(&message(&i.to_string()), "r@c", None, 0);
        }
        let bodies: Vec<String> = history
            .last(None)
            .filter_map(|m| m.child("body", ns::JABBER_CLIENT))
            .map(Element::text)
            .collect();
        assert_eq!(bodies.len(), 20);
        assert_eq!(bodies.first().map(String::as_str), Some("10"));
        assert_eq!(history.last(Some(3)).count(), 3);
        for _ in 0..10 {
            history.keep(&message(&"x".repeat(60_000)), "r@c", None, 0);
        }
        assert_eq!(history.last(None).count(), 2);
    }
}
