//! Which pair carries media: nomination (RFC 8445 §8), consent (RFC 7675 §5.1) and peers that move.

use core::time::Duration;

use contract::Timestamp;
use contract::limits::CONSENT_TIMEOUT;
use contract::session::CandidateKind;

use super::Event;
use super::agent::Agent;
use super::check::State;

/// Consent checks are this far apart, times 0.8 to 1.2 (RFC 7675 §5.1).
const CONSENT_INTERVAL_US: u64 = 5_000_000;
/// A pair by a relay or by TCP waits this long for a better one before it is nominated.
const DETOUR_WAIT: Duration = Duration::from_millis(800);
/// The selected path is probed if it was silent for this long while the peer spoke by another.
const PROBE_AFTER: Duration = Duration::from_secs(1);
/// How far apart these probes are.
pub(super) const PROBE_INTERVAL: Duration = Duration::from_millis(400);
/// Silence of the selected path after which the other is nominated …
const MOVE_AFTER: Duration = Duration::from_secs(3);
/// … if so many probes went unanswered.
const MOVE_PROBES: u8 = 3;
/// Old credentials hold this long after a restart's first nomination.
const CUT_OVER: Duration = Duration::from_secs(3);

impl Agent {
    /// Look whether anything is to be nominated, moved or given up. Called whenever something changed or fell due.
    pub(super) fn consider(&mut self, now: Timestamp) {
        let Some(selected) = self.selected_pair() else { return self.consider_nomination(now) };
        if now.since(selected.answered) >= CONSENT_TIMEOUT {
            self.lose_consent(now);
            return self.consider_nomination(now);
        }
        if selected.generation != self.current.number {
            return self.consider_nomination(now);
        }
        self.consider_move(now);
    }

    /// Nominate the best valid pair; as controlled agent, follow the peer's nomination.
    fn consider_nomination(&mut self, now: Timestamp) {
        self.nominate_at = Timestamp::NEVER;
        let (current, controlling) = (self.current.number, self.controlling);
        let valid = (0..self.pairs.len()).filter(|&i| {
            let pair = &self.pairs[i];
            pair.generation == current
                && pair.state == State::Succeeded
                && now.since(pair.answered) < CONSENT_TIMEOUT
                && (controlling || pair.nominated_by_peer)
        });
        let Some(best) = valid.max_by_key(|&i| self.pairs[i].priority(controlling)) else { return };
        if !controlling {
            return self.select(self.pairs[best].id, now);
        }
        if self.pairs.iter().any(|pair| pair.nominating) {
            return;
        }
        let pair = &mut self.pairs[best];
        let by_tcp = self.sockets.get(usize::from(pair.path.socket)).is_some_and(|socket| socket.tcp);
        if by_tcp || pair.kind == CandidateKind::Relayed {
            let at = pair.valid_since + DETOUR_WAIT;
            if now < at {
                self.nominate_at = at;
                return;
            }
        }
        pair.nominating = true;
        pair.unanswered = 0;
        pair.due = now;
    }

    /// A peer whose address changed checks from the new one while the old one falls silent (RFC 8445 has no word for
    /// it): probe the old, then nominate the new.
    fn consider_move(&mut self, now: Timestamp) {
        let Some(selected) = self.selected_pair() else { return };
        let (id, heard, unanswered) = (selected.id, selected.heard, selected.unanswered);
        let (current, controlling) = (self.current.number, self.controlling);
        if !controlling {
            let follow = self.pairs.iter().find(|pair| {
                pair.nominated_by_peer
                    && pair.id != id
                    && pair.state == State::Succeeded
                    && pair.heard > heard
            });
            if let Some(pair) = follow {
                self.select(pair.id, now);
            }
            return;
        }
        let challenger = (0..self.pairs.len())
            .filter(|&i| {
                let pair = &self.pairs[i];
                pair.id != id
                    && pair.generation == current
                    && pair.state == State::Succeeded
                    && pair.heard > heard
                    && now.since(pair.heard) < CONSENT_TIMEOUT
            })
            .max_by_key(|&i| self.pairs[i].heard);
        let Some(challenger) = challenger else {
            (self.probing, self.look_at) = (false, Timestamp::NEVER);
            return;
        };
        let silent = now.since(heard);
        // Beyond these the probes themselves bring us back.
        self.look_at = match silent {
            silent if silent < PROBE_AFTER => heard + PROBE_AFTER,
            silent if silent < MOVE_AFTER => heard + MOVE_AFTER,
            _ => Timestamp::NEVER,
        };
        if silent < PROBE_AFTER {
            return;
        }
        if !self.probing {
            self.probing = true;
            if let Some(selected) = self.pairs.iter_mut().find(|pair| pair.id == id) {
                selected.unanswered = 0;
                selected.due = now;
            }
            return;
        }
        if silent < MOVE_AFTER || unanswered < MOVE_PROBES {
            return;
        }
        let pair = &mut self.pairs[challenger];
        if !pair.nominating {
            pair.nominating = true;
            pair.unanswered = 0;
            pair.due = now;
        }
    }

    /// This pair carries media from now on.
    pub(super) fn select(&mut self, id: u32, now: Timestamp) {
        if self.selected == Some(id) {
            return;
        }
        let consent = self.consent_interval();
        let former = self.selected.replace(id);
        let mut path = None;
        for pair in &mut self.pairs {
            if Some(pair.id) == former {
                // The peer may come back to it, so it stays valid, but not for the sake of being nominated before.
                pair.due = Timestamp::NEVER;
                pair.nominated_by_peer = false;
            }
            if pair.id == id {
                path = Some(pair.path);
                pair.nominating = false;
                pair.unanswered = 0;
                pair.due = now + consent;
            } else if matches!(pair.state, State::Waiting | State::InProgress) && !pair.triggered {
                // RFC 8445 §8.1.2: nothing else is needed now.
                pair.due = Timestamp::NEVER;
            }
        }
        (self.probing, self.look_at, self.fail_at) = (false, Timestamp::NEVER, Timestamp::NEVER);
        if let Some(path) = path {
            self.push(Event::Connected(path));
        }
        self.cut_over(id, now);
    }

    /// A restart's first nomination: the old generation has had its time.
    fn cut_over(&mut self, id: u32, now: Timestamp) {
        let number = self.current.number;
        if !self.pairs.iter().any(|pair| pair.id == id && pair.generation == number) {
            return;
        }
        let Some(previous) = &mut self.previous else { return };
        if previous.cut_over {
            return;
        }
        previous.cut_over = true;
        previous.until = now + CUT_OVER;
        self.pairs.retain(|pair| pair.generation == number);
    }

    fn lose_consent(&mut self, now: Timestamp) {
        let Some(id) = self.selected.take() else { return };
        let current = self.current.number;
        let mut lost = None;
        for pair in &mut self.pairs {
            if pair.id == id {
                lost = Some((pair.path, pair.answered));
                pair.fail();
            } else if pair.generation == current && pair.state != State::Failed {
                pair.wait(now);
            }
        }
        (self.probing, self.look_at) = (false, Timestamp::NEVER);
        if let Some((path, last_heard)) = lost {
            self.push(Event::ConsentLost { last_heard });
            self.forget(path);
        }
    }

    pub(super) fn consent_interval(&mut self) -> Duration {
        let low = CONSENT_INTERVAL_US * 8 / 10;
        Duration::from_micros(self.chance.between(low, CONSENT_INTERVAL_US * 12 / 10))
    }
}
