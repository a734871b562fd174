//! The agent (RFC 8445): what it knows of itself, the peer and the pairs between them.

use core::net::SocketAddr;
use core::time::Duration;

use arrayvec::ArrayVec;
use contract::Timestamp;
use contract::limits::{CONSENT_TIMEOUT, LOCAL_SOCKETS_MAX, REMOTE_CANDIDATES_MAX, TUPLES_PER_ENDPOINT_MAX};
use contract::session::{Candidate, CandidateKind};

use super::candidate::allowed;
use super::check::{Pair, State};
use super::credentials::{Credentials, Generation, Previous};
use super::sources::Sources;
use super::{Event, Refused};
use crate::chance::Chance;
use crate::config::{Config, LocalSocket};
use crate::path::{Outbox, Path};

/// RFC 8445 §6.1.2.5.
const PAIRS_MAX: usize = 100;
/// News not yet fetched. One datagram or timeout gives less than 20: at most 8 paths come, 8 go.
const EVENTS_MAX: usize = 32;
/// Checks without any success for this long are a failure.
const FAIL_AFTER: Duration = Duration::from_secs(30);
/// A restart that reached no nomination is given up after this long.
const RESTART_TIMEOUT: Duration = Duration::from_secs(20);
/// Restarts in any minute.
const RESTARTS_MAX: usize = 5;
const RESTARTS_WINDOW: Duration = Duration::from_secs(60);

/// Checks of the peer remembered: some seconds of a client in trouble, a minute and more of one that is not.
const SEEN_MAX: usize = 64;

/// A remote candidate.
#[derive(Clone, Copy)]
pub(super) struct Remote {
    pub(super) address: SocketAddr,
    pub(super) kind: CandidateKind,
    pub(super) priority: u32,
    /// A peer-reflexive one pairs only with the socket that it was seen on (RFC 8445 §7.3.1.4).
    pub(super) socket: Option<u8>,
}

/// A path that proved our credentials.
struct Tuple {
    path: Path,
    heard: Timestamp,
}

/// One ICE agent.
#[repr(C)]
pub(crate) struct Agent {
    // What every packet touches comes first, so that it lies in few lines (`repr(C)`).
    next: Timestamp,
    pub(super) selected: Option<u32>,
    /// Never more than [`PAIRS_MAX`], allocated once.
    pub(super) pairs: Vec<Pair>,

    // Now and then.
    pub(super) controlling: bool,
    pub(super) role_switches: u8,
    pub(super) tie_breaker: u64,
    pub(super) transaction_prefix: [u8; 4],
    pub(super) allow_loopback: bool,
    pub(super) sockets: ArrayVec<LocalSocket, LOCAL_SOCKETS_MAX>,
    pub(super) current: Generation,
    pub(super) previous: Option<Previous>,
    pub(super) candidates: ArrayVec<Remote, REMOTE_CANDIDATES_MAX>,
    last_pair: u32,
    tuples: ArrayVec<Tuple, TUPLES_PER_ENDPOINT_MAX>,
    pub(super) sources: Sources,
    /// Transactions of the peer's latest checks, in a ring: a check seen on another path before is a replay.
    seen: ArrayVec<([u8; 12], Path), SEEN_MAX>,
    next_seen: usize,
    /// The selected path is silent while another is not.
    pub(super) probing: bool,
    events: ArrayVec<Event, EVENTS_MAX>,
    restarts: ArrayVec<Timestamp, RESTARTS_MAX>,
    pub(super) next_check: Timestamp,
    pub(super) nominate_at: Timestamp,
    pub(super) look_at: Timestamp,
    pub(super) fail_at: Timestamp,
    pub(super) chance: Chance,
    /// Smoothed, of answered checks.
    pub(crate) round_trip_us: Option<u32>,
    pub(crate) checks_sent: u64,
    pub(crate) outbox_full: u64,
}

impl Agent {
    pub(crate) fn new(config: &Config) -> Result<Agent, Refused> {
        let local = Credentials::new(&config.ufrag, &config.pwd)?;
        Ok(Agent {
            controlling: config.controlling,
            role_switches: 0,
            tie_breaker: config.tie_breaker,
            transaction_prefix: config.transaction_prefix,
            allow_loopback: config.allow_loopback,
            sockets: config.sockets.clone(),
            current: Generation { number: 0, local, remote: None },
            previous: None,
            candidates: ArrayVec::new(),
            pairs: Vec::with_capacity(PAIRS_MAX),
            last_pair: 0,
            tuples: ArrayVec::new(),
            sources: Sources::default(),
            seen: ArrayVec::new(),
            next_seen: 0,
            selected: None,
            probing: false,
            events: ArrayVec::new(),
            restarts: ArrayVec::new(),
            next_check: Timestamp::ZERO,
            nominate_at: Timestamp::NEVER,
            look_at: Timestamp::NEVER,
            fail_at: Timestamp::NEVER,
            next: Timestamp::NEVER,
            chance: Chance::new(config.seed),
            round_trip_us: None,
            checks_sent: 0,
            outbox_full: 0,
        })
    }

    pub(crate) fn set_remote(
        &mut self,
        ufrag: &str,
        pwd: &str,
        candidates: &[Candidate],
        now: Timestamp,
    ) -> Result<usize, Refused> {
        let remote = Credentials::new(ufrag, pwd)?;
        let known = self.current.remote.as_ref().is_some_and(|known| known.ufrag() == ufrag);
        if !known {
            // The peer began anew without us: what was checked under its old password is void.
            if self.current.remote.replace(remote).is_some() {
                let (number, selected) = (self.current.number, self.selected);
                self.pairs.retain(|pair| pair.generation != number || Some(pair.id) == selected);
                self.candidates.retain(|candidate| candidate.kind == CandidateKind::PeerReflexive);
            }
            self.fail_at = now + FAIL_AFTER;
        }
        for at in 0..self.candidates.len() {
            self.form_pairs(self.candidates[at], now);
        }
        Ok(self.add_candidates(candidates, now))
    }

    pub(crate) fn add_candidates(&mut self, candidates: &[Candidate], now: Timestamp) -> usize {
        let mut refused = 0;
        for candidate in candidates {
            let port = candidate.address.port();
            if candidate.tcp || port == 0 || !allowed(candidate.address.ip(), self.allow_loopback) {
                refused += 1;
                continue;
            }
            let remote = Remote {
                address: candidate.address,
                kind: candidate.kind,
                priority: candidate.priority,
                socket: None,
            };
            self.remember_candidate(remote);
            self.form_pairs(remote, now);
        }
        self.schedule();
        refused
    }

    pub(crate) fn restart(&mut self, ufrag: &str, pwd: &str, now: Timestamp) -> Result<(), Refused> {
        let local = Credentials::new(ufrag, pwd)?;
        self.restarts.retain(|at| now.since(*at) < RESTARTS_WINDOW);
        self.restarts.try_push(now).map_err(|_| Refused::TooOften)?;
        let number = self.current.number + 1;
        let before = core::mem::replace(&mut self.current, Generation { number, local, remote: None });
        let in_use = self.selected_pair().map(|pair| pair.generation);
        // A restart upon a restart: keep the generation that carries media, not the one that never came to it.
        let keep = match self.previous.take() {
            Some(previous) if in_use == Some(previous.generation.number) => previous.generation,
            _ => before,
        };
        let (kept, selected) = (keep.number, self.selected);
        self.pairs.retain(|pair| pair.generation == kept && Some(pair.id) == selected);
        self.candidates.clear();
        self.previous = Some(Previous { generation: keep, until: now + RESTART_TIMEOUT, cut_over: false });
        (self.fail_at, self.nominate_at, self.look_at) =
            (Timestamp::NEVER, Timestamp::NEVER, Timestamp::NEVER);
        self.schedule();
        Ok(())
    }

    pub(crate) fn proved(&self, path: Path) -> bool {
        self.tuples.iter().any(|tuple| tuple.path == path)
    }

    pub(crate) fn selected(&self) -> Option<Path> {
        Some(self.selected_pair()?.path)
    }

    pub(crate) fn usable(&self) -> Option<Path> {
        let valid = self.pairs.iter().filter(|pair| pair.state == State::Succeeded && self.proved(pair.path));
        self.selected().or_else(|| Some(valid.max_by_key(|pair| pair.priority(self.controlling))?.path))
    }

    pub(crate) fn checks_unanswered(&self) -> u32 {
        self.selected_pair().map_or(0, |pair| u32::from(pair.unanswered))
    }

    pub(crate) fn poll_timeout(&self) -> Timestamp {
        self.next
    }

    pub(crate) fn handle_timeout(&mut self, now: Timestamp, out: &mut impl Outbox) {
        if now < self.next {
            return;
        }
        self.expire_generation(now);
        self.expire_tuples(now);
        self.consider(now);
        if now >= self.fail_at {
            self.fail_at = Timestamp::NEVER;
            if self.selected.is_none() {
                self.push(Event::Failed);
            }
        }
        self.pace(now, out);
        self.schedule();
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_at(0)
    }

    pub(super) fn push(&mut self, event: Event) {
        // A caller that drains as told never fills it; one that does not loses the newest.
        let _ = self.events.try_push(event);
    }

    pub(super) fn selected_pair(&self) -> Option<&Pair> {
        let id = self.selected?;
        self.pairs.iter().find(|pair| pair.id == id)
    }

    pub(super) fn generation(&self, number: u32) -> Option<&Generation> {
        let previous = self.previous.as_ref().map(|previous| &previous.generation);
        [Some(&self.current), previous].into_iter().flatten().find(|generation| generation.number == number)
    }

    /// Which of our generations a check speaks to.
    pub(super) fn generation_of(&self, ufrag: &str) -> Option<u32> {
        let previous = self.previous.as_ref().map(|previous| &previous.generation);
        let mut generations = [Some(&self.current), previous].into_iter().flatten();
        Some(generations.find(|generation| generation.local.ufrag() == ufrag)?.number)
    }

    /// Whether an authentic check was seen before on another path. Its repetition on the same path is a retransmission.
    pub(super) fn replayed(&mut self, id: [u8; 12], path: Path) -> bool {
        if let Some((_, before)) = self.seen.iter().find(|(seen, _)| *seen == id) {
            return *before != path;
        }
        if self.seen.is_full() {
            self.seen[self.next_seen] = (id, path);
            self.next_seen = (self.next_seen + 1) % SEEN_MAX;
        } else {
            self.seen.push((id, path));
        }
        false
    }

    /// This path proved that it knows our credentials, or answered under the peer's.
    pub(super) fn note_proof(&mut self, path: Path, now: Timestamp) {
        if let Some(tuple) = self.tuples.iter_mut().find(|tuple| tuple.path == path) {
            tuple.heard = now;
            return;
        }
        if self.tuples.is_full() {
            let selected = self.selected();
            let unselected = self.tuples.iter().filter(|tuple| Some(tuple.path) != selected);
            let Some(oldest) = unselected.min_by_key(|tuple| tuple.heard).map(|tuple| tuple.path) else {
                return;
            };
            self.forget(oldest);
        }
        self.tuples.push(Tuple { path, heard: now });
        self.push(Event::Proved(path));
    }

    /// Give a path up.
    pub(super) fn forget(&mut self, path: Path) {
        let Some(at) = self.tuples.iter().position(|tuple| tuple.path == path) else { return };
        self.tuples.swap_remove(at);
        for pair in self.pairs.iter_mut().filter(|pair| pair.path == path) {
            pair.fail();
        }
        self.push(Event::Forgotten(path));
    }

    /// Keep a candidate; where the list is full the oldest that is not in use goes (hardening: 32).
    pub(super) fn remember_candidate(&mut self, remote: Remote) {
        let known = self.candidates.iter_mut().find(|known| known.address == remote.address);
        if let Some(known) = known {
            // Signalled now, seen before (RFC 8445 §7.3.1.3): the signalled values hold.
            *known = remote;
            for pair in self.pairs.iter_mut().filter(|pair| pair.path.peer == remote.address) {
                (pair.kind, pair.remote_priority) = (remote.kind, remote.priority);
            }
            return;
        }
        if self.candidates.is_full() {
            let used = self.selected().map(|path| path.peer);
            let Some(at) = self.candidates.iter().position(|known| Some(known.address) != used) else {
                return;
            };
            let gone = self.candidates.remove(at).address;
            let selected = self.selected;
            self.pairs.retain(|pair| pair.path.peer != gone || Some(pair.id) == selected);
        }
        self.candidates.push(remote);
    }

    fn form_pairs(&mut self, remote: Remote, now: Timestamp) {
        if self.current.remote.is_none() {
            return;
        }
        for socket in 0..self.sockets.len() {
            let local = self.sockets[socket];
            let reaches = local.address.is_ipv4() == remote.address.is_ipv4();
            let learnt_here = remote.socket == Some(socket as u8);
            if reaches && (learnt_here || (remote.socket.is_none() && !local.tcp)) {
                let path = Path { peer: remote.address, socket: socket as u8 };
                self.find_or_form_pair(path, remote.priority, now);
            }
        }
    }

    /// The pair of the current generation for this path; `None` if there is no room or no such socket.
    pub(super) fn find_or_form_pair(&mut self, path: Path, priority: u32, now: Timestamp) -> Option<usize> {
        let number = self.current.number;
        let found = self.pairs.iter().position(|pair| pair.path == path && pair.generation == number);
        if found.is_some() {
            return found;
        }
        let local = self.sockets.get(usize::from(path.socket))?.priority;
        if self.pairs.len() >= PAIRS_MAX {
            let expendable = (0..self.pairs.len()).filter(|&i| {
                let pair = &self.pairs[i];
                Some(pair.id) != self.selected && pair.state != State::Succeeded
            });
            let worst = expendable.min_by_key(|&i| {
                (self.pairs[i].state != State::Failed, self.pairs[i].priority(self.controlling))
            })?;
            self.pairs.swap_remove(worst);
        }
        let known = self.candidates.iter().find(|remote| remote.address == path.peer);
        let kind = known.map_or(CandidateKind::PeerReflexive, |remote| remote.kind);
        let priority = known.map_or(priority, |remote| remote.priority);
        self.last_pair += 1;
        let mut pair = Pair::new(self.last_pair, path, number, kind, (local, priority));
        // Once a pair is nominated, only the peer's own checks start new ones.
        let settled = self.selected_pair().is_some_and(|pair| pair.generation == number);
        pair.due = if settled { Timestamp::NEVER } else { now };
        self.pairs.push(pair);
        Some(self.pairs.len() - 1)
    }

    fn expire_generation(&mut self, now: Timestamp) {
        let Some(previous) = self.previous.take_if(|previous| now >= previous.until) else { return };
        let number = previous.generation.number;
        let lives = self.selected_pair().is_some_and(|pair| pair.generation == number);
        if !previous.cut_over && lives {
            // The restart came to nothing: the old generation goes on.
            self.current = previous.generation;
        }
        let number = self.current.number;
        self.pairs.retain(|pair| pair.generation == number);
    }

    fn expire_tuples(&mut self, now: Timestamp) {
        let selected = self.selected();
        let silent =
            |tuple: &&Tuple| now.since(tuple.heard) >= CONSENT_TIMEOUT && Some(tuple.path) != selected;
        // Each round removes one of at most eight.
        while let Some(path) = self.tuples.iter().find(silent).map(|tuple| tuple.path) {
            self.forget(path);
        }
    }

    /// Work out when something is due next.
    pub(super) fn schedule(&mut self) {
        let selected = self.selected();
        let check =
            self.pairs.iter().map(|pair| pair.due).min().unwrap_or(Timestamp::NEVER).max(self.next_check);
        let consent = self.selected_pair().map_or(Timestamp::NEVER, |pair| pair.answered + CONSENT_TIMEOUT);
        let silent = self.tuples.iter().filter(|tuple| Some(tuple.path) != selected);
        let silent = silent.map(|tuple| tuple.heard + CONSENT_TIMEOUT).min().unwrap_or(Timestamp::NEVER);
        let restart = self.previous.as_ref().map_or(Timestamp::NEVER, |previous| previous.until);
        self.next = check
            .min(consent)
            .min(silent)
            .min(restart)
            .min(self.nominate_at)
            .min(self.look_at)
            .min(self.fail_at);
    }
}
