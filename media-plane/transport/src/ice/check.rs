//! Candidate pairs and connectivity checks (RFC 8445 §6.1, §7.2): what is sent, and what its answer means.

use core::time::Duration;

use arrayvec::ArrayVec;
use contract::session::CandidateKind;
use contract::{DropReason, Timestamp};
use wire::stun::{Class, Integrity, Message, Writer};

use super::agent::Agent;
use crate::path::{Outbox, Path};

/// Time between two checks of one agent (RFC 8445 §14: at least 5 ms; hardening: at least 20).
pub(super) const PACING: Duration = Duration::from_millis(20);
/// Longest check: two user fragments of 256 bytes, and 100 bytes of the rest.
const CHECK_BYTES_MAX: usize = 640;
/// How long to wait for an answer before the next try of a pair; after the last, the pair has failed. Each try is a
/// transaction of its own, as the time of an answer is then known exactly.
const RETRIES: [Duration; 7] = [
    Duration::from_millis(500),
    Duration::from_millis(500),
    Duration::from_millis(1_000),
    Duration::from_millis(1_000),
    Duration::from_millis(2_000),
    Duration::from_millis(4_000),
    Duration::from_millis(8_000),
];
/// Transactions of one pair that an answer may still belong to.
const OUTSTANDING_MAX: usize = 4;
/// Type preference of peer-reflexive candidates (RFC 8445 §5.1.2.2), shifted into place.
const PEER_REFLEXIVE_PREFERENCE: u32 = 110 << 24;

/// RFC 8445 §6.1.2.6. There is no `Frozen`: with one component, waiting in order of priority is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Waiting,
    InProgress,
    Succeeded,
    Failed,
}

#[derive(Clone, Copy)]
struct Transaction {
    id: [u8; 12],
    sent: Timestamp,
    nominating: bool,
    controlling: bool,
}

/// A way to a remote candidate: one of our sockets and its address.
pub(super) struct Pair {
    /// Names the pair while others come and go.
    pub(super) id: u32,
    pub(super) path: Path,
    pub(super) generation: u32,
    pub(super) kind: CandidateKind,
    pub(super) local_priority: u32,
    pub(super) remote_priority: u32,
    pub(super) state: State,
    /// Next check; never if none is wanted.
    pub(super) due: Timestamp,
    /// Checks sent since the last answer.
    pub(super) unanswered: u8,
    /// Asked for by the peer's own check (RFC 8445 §7.3.1.4).
    pub(super) triggered: bool,
    /// We are nominating it: its checks carry USE-CANDIDATE.
    pub(super) nominating: bool,
    /// The controlling peer nominated it.
    pub(super) nominated_by_peer: bool,
    /// When it became valid.
    pub(super) valid_since: Timestamp,
    /// Last authenticated answer: consent (RFC 7675 §5.1).
    pub(super) answered: Timestamp,
    /// Last authenticated check or answer.
    pub(super) heard: Timestamp,
    transactions: ArrayVec<Transaction, OUTSTANDING_MAX>,
}

impl Pair {
    pub(super) fn new(
        id: u32,
        path: Path,
        generation: u32,
        kind: CandidateKind,
        priorities: (u32, u32),
    ) -> Pair {
        Pair {
            id,
            path,
            generation,
            kind,
            local_priority: priorities.0,
            remote_priority: priorities.1,
            state: State::Waiting,
            due: Timestamp::ZERO,
            unanswered: 0,
            triggered: false,
            nominating: false,
            nominated_by_peer: false,
            valid_since: Timestamp::NEVER,
            answered: Timestamp::ZERO,
            heard: Timestamp::ZERO,
            transactions: ArrayVec::new(),
        }
    }

    /// RFC 8445 §6.1.2.3.
    pub(super) fn priority(&self, controlling: bool) -> u64 {
        let (local, remote) = (u64::from(self.local_priority), u64::from(self.remote_priority));
        let (ours, theirs) = if controlling { (local, remote) } else { (remote, local) };
        (ours.min(theirs) << 32) + 2 * ours.max(theirs) + u64::from(ours > theirs)
    }

    /// Start its checks again from the first.
    pub(super) fn wait(&mut self, now: Timestamp) {
        self.state = State::Waiting;
        self.unanswered = 0;
        self.due = now;
    }

    /// Give it up until the peer's own check revives it.
    pub(super) fn fail(&mut self) {
        self.state = State::Failed;
        self.due = Timestamp::NEVER;
        self.triggered = false;
        self.nominating = false;
        self.transactions.clear();
    }

    /// When its last check that is still open was sent.
    pub(super) fn last_sent(&self) -> Timestamp {
        self.transactions.last().map_or(Timestamp::ZERO, |transaction| transaction.sent)
    }

    fn remember(&mut self, transaction: Transaction) {
        if self.transactions.is_full() {
            self.transactions.remove(0);
        }
        self.transactions.push(transaction);
    }
}

impl Agent {
    /// Send the most urgent check that is due, if pacing allows one.
    pub(super) fn pace(&mut self, now: Timestamp, out: &mut impl Outbox) {
        if now < self.next_check {
            return;
        }
        let selected = self.selected;
        let controlling = self.controlling;
        let rank = |pair: &Pair| {
            let class = match pair {
                pair if Some(pair.id) == selected => 3,
                pair if pair.nominating => 2,
                pair if pair.triggered => 1,
                _ => 0,
            };
            (class, pair.priority(controlling))
        };
        let due = (0..self.pairs.len()).filter(|&i| self.pairs[i].due <= now);
        if let Some(at) = due.max_by_key(|&i| rank(&self.pairs[i])) {
            self.next_check = now + PACING;
            self.send_check(at, now, out);
        }
    }

    fn send_check(&mut self, at: usize, now: Timestamp, out: &mut impl Outbox) {
        let id = self.chance.transaction_id(self.transaction_prefix);
        let selected = self.selected == Some(self.pairs[at].id);
        self.schedule_next(at, selected, now);
        let pair = &mut self.pairs[at];
        if pair.state == State::Failed {
            return;
        }
        let generation = match &self.previous {
            Some(previous) if previous.generation.number == pair.generation => &previous.generation,
            _ => &self.current,
        };
        let Some(remote) = &generation.remote else {
            pair.due = Timestamp::NEVER;
            return;
        };
        pair.triggered = false;
        let nominating = self.controlling && (pair.nominating || selected);
        pair.remember(Transaction { id, sent: now, nominating, controlling: self.controlling });
        let (path, local_priority) = (pair.path, pair.local_priority);
        let (controlling, tie_breaker) = (self.controlling, self.tie_breaker);
        let sent = out.datagram(path, CHECK_BYTES_MAX, |buffer| {
            let writer = Writer::new(buffer, Class::Request, id)
                .username(remote.ufrag(), generation.local.ufrag())
                .priority(PEER_REFLEXIVE_PREFERENCE | local_priority & 0x00FF_FFFF);
            let writer = if controlling {
                writer.ice_controlling(tie_breaker)
            } else {
                writer.ice_controlled(tie_breaker)
            };
            let writer = if nominating { writer.use_candidate() } else { writer };
            writer.integrity(|parts| remote.sign(parts)).fingerprint().finish().unwrap_or(0)
        });
        self.checks_sent += u64::from(sent);
        self.outbox_full += u64::from(!sent);
    }

    /// When this pair is checked again after the check that is sent now.
    fn schedule_next(&mut self, at: usize, selected: bool, now: Timestamp) {
        let consent = self.consent_interval();
        let probing = self.probing;
        let pair = &mut self.pairs[at];
        pair.unanswered = pair.unanswered.saturating_add(1);
        if selected {
            pair.due = now + if probing { super::nomination::PROBE_INTERVAL } else { consent };
            return;
        }
        match RETRIES.get(usize::from(pair.unanswered) - 1) {
            Some(&wait) => {
                pair.due = now + wait;
                if pair.state != State::Succeeded {
                    pair.state = State::InProgress;
                }
            }
            None => pair.fail(),
        }
    }

    /// An answer to one of our checks: success, or an error.
    pub(super) fn answered(
        &mut self,
        message: &Message<'_>,
        path: Path,
        now: Timestamp,
    ) -> Result<(), DropReason> {
        let id = message.transaction_id();
        let find = |pair: &Pair| pair.transactions.iter().position(|transaction| transaction.id == id);
        let Some((at, which)) = (0..self.pairs.len()).find_map(|i| Some((i, find(&self.pairs[i])?))) else {
            return Err(DropReason::StunUnsolicited);
        };
        // RFC 8445 §7.2.5.2.1: an answer from elsewhere is none.
        if self.pairs[at].path != path {
            return Err(DropReason::StunUnsolicited);
        }
        let remote =
            self.generation(self.pairs[at].generation).and_then(|generation| generation.remote.as_ref());
        if remote.map(|remote| remote.verify(message)) != Some(Integrity::Right) {
            return Err(DropReason::StunAuth);
        }
        let transaction = self.pairs[at].transactions.remove(which);
        match (message.class(), message.error_code()) {
            (Class::Success, _) if message.xor_mapped_address().is_some() => {
                self.succeeded(at, transaction, now);
                Ok(())
            }
            (Class::Error, Some(487)) => {
                self.role_refused(at, transaction.controlling, now);
                Ok(())
            }
            _ => Err(DropReason::StunMalformed),
        }
    }

    fn succeeded(&mut self, at: usize, transaction: Transaction, now: Timestamp) {
        let selected = self.selected;
        let pair = &mut self.pairs[at];
        pair.answered = now;
        pair.heard = now;
        pair.unanswered = 0;
        if pair.state != State::Succeeded {
            pair.state = State::Succeeded;
            pair.valid_since = now;
        }
        if Some(pair.id) != selected {
            pair.due = Timestamp::NEVER;
        }
        let (id, path) = (pair.id, pair.path);
        // The peer answered under its own password: it is whom signalling named.
        self.note_proof(path, now);
        let sample = u32::try_from(now.since(transaction.sent).as_micros()).unwrap_or(u32::MAX);
        self.round_trip_us = Some(
            self.round_trip_us.map_or(sample, |old| ((u64::from(old) * 7 + u64::from(sample)) / 8) as u32),
        );
        let pair = &mut self.pairs[at];
        if transaction.nominating && transaction.controlling && self.controlling && pair.nominating {
            pair.nominating = false;
            self.select(id, now);
        }
    }

    /// RFC 8445 §7.2.5.1: the peer insists on the role that this check claimed.
    fn role_refused(&mut self, at: usize, claimed_controlling: bool, now: Timestamp) {
        if self.controlling == claimed_controlling {
            self.switch_role();
        }
        let pair = &mut self.pairs[at];
        pair.nominating = false;
        pair.triggered = true;
        pair.wait(now);
    }
}
