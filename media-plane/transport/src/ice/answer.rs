//! The peer's checks (RFC 8445 §7.3): authenticate, answer, learn, check back.

use core::time::Duration;

use contract::session::CandidateKind;
use contract::{DropReason, Timestamp};
use wire::stun::{Class, Integrity, Message, Writer};

use super::agent::{Agent, Remote};
use super::candidate::allowed;
use super::check::State;
use crate::path::{Outbox, Path};

/// A pair under check is not checked again for the peer's sake sooner than this.
const TRIGGER_SPACING: Duration = Duration::from_millis(100);
/// Changes of role that two agents may need; more is a loop (RFC 8445 §7.3.1.1).
const ROLE_SWITCHES_MAX: u8 = 3;

impl Agent {
    /// Any datagram that looks like STUN.
    pub(crate) fn stun(
        &mut self,
        datagram: &[u8],
        path: Path,
        now: Timestamp,
        out: &mut impl Outbox,
    ) -> Result<(), DropReason> {
        let message = Message::parse(datagram).map_err(|_| DropReason::StunMalformed)?;
        // RFC 8445 §7.1.4 wants FINGERPRINT in every check and answer.
        if !message.is_binding() || !message.has_fingerprint() {
            return Err(DropReason::StunMalformed);
        }
        match message.class() {
            Class::Request => self.request(&message, path, now, out)?,
            Class::Success | Class::Error => self.answered(&message, path, now)?,
            Class::Indication => return Err(DropReason::StunUnsolicited),
        }
        self.consider(now);
        self.pace(now, out);
        self.schedule();
        Ok(())
    }

    fn request(
        &mut self,
        message: &Message<'_>,
        path: Path,
        now: Timestamp,
        out: &mut impl Outbox,
    ) -> Result<(), DropReason> {
        if !self.sources.check(path.peer, now) {
            return Err(DropReason::StunRate);
        }
        let Some(ufrag) = message.local_ufrag() else {
            self.refuse(message, path, (400, "Bad Request"), now, out);
            return Err(DropReason::StunAuth);
        };
        let number = self.generation_of(ufrag).ok_or(DropReason::StunAuth)?;
        let local = &self.generation(number).ok_or(DropReason::StunAuth)?.local;
        match local.verify(message) {
            Integrity::Right => {}
            Integrity::Missing => {
                self.refuse(message, path, (400, "Bad Request"), now, out);
                return Err(DropReason::StunAuth);
            }
            Integrity::Wrong => {
                self.refuse(message, path, (401, "Unauthenticated"), now, out);
                return Err(DropReason::StunAuth);
            }
        }
        if self.replayed(message.transaction_id(), path) {
            return Err(DropReason::StunAuth);
        }
        if !message.unknown_required().is_empty() {
            self.refuse_signed(message, path, number, (420, "Unknown Attribute"), now, out);
            return Err(DropReason::StunMalformed);
        }
        let Some(priority) = message.priority() else {
            self.refuse_signed(message, path, number, (400, "Bad Request"), now, out);
            return Err(DropReason::StunMalformed);
        };
        if !self.agree_on_roles(message) {
            self.refuse_signed(message, path, number, (487, "Role Conflict"), now, out);
            return Ok(());
        }
        self.note_proof(path, now);
        self.accept(message, path, number, out);
        self.check_back(path, number, priority, message.use_candidate(), now);
        Ok(())
    }

    /// RFC 8445 §7.3.1.1; false if the peer has to yield.
    fn agree_on_roles(&mut self, message: &Message<'_>) -> bool {
        let claimed = if self.controlling { message.ice_controlling() } else { message.ice_controlled() };
        let Some(theirs) = claimed else { return true };
        let we_stay_or_become_controlling = self.tie_breaker >= theirs;
        if we_stay_or_become_controlling == self.controlling || self.role_switches >= ROLE_SWITCHES_MAX {
            return false;
        }
        self.swap_role();
        true
    }

    /// Change the role because the peer's answer demands it, with a new tie-breaker (RFC 8445 §7.2.5.1).
    pub(super) fn switch_role(&mut self) {
        if self.role_switches >= ROLE_SWITCHES_MAX {
            return;
        }
        self.swap_role();
        self.tie_breaker = self.chance.next();
    }

    fn swap_role(&mut self) {
        self.role_switches += 1;
        self.controlling = !self.controlling;
        for pair in &mut self.pairs {
            pair.nominating = false;
        }
    }

    fn accept(&mut self, message: &Message<'_>, path: Path, number: u32, out: &mut impl Outbox) {
        let Some(generation) = self.generation(number) else { return };
        let local = &generation.local;
        let sent = out.datagram(path, message.bytes().len(), |buffer| {
            Writer::new(buffer, Class::Success, message.transaction_id())
                .xor_mapped_address(path.peer)
                .integrity(|parts| local.sign(parts))
                .fingerprint()
                .finish()
                .unwrap_or(0)
        });
        self.outbox_full += u64::from(!sent);
    }

    /// An error answer to somebody unproved: rare, never longer than the question.
    fn refuse(
        &mut self,
        message: &Message<'_>,
        path: Path,
        (code, reason): (u16, &str),
        now: Timestamp,
        out: &mut impl Outbox,
    ) {
        if !self.sources.error(path.peer, now) {
            return;
        }
        out.datagram(path, message.bytes().len(), |buffer| {
            Writer::new(buffer, Class::Error, message.transaction_id())
                .error_code(code, reason)
                .fingerprint()
                .finish()
                .unwrap_or(0)
        });
    }

    /// An error answer to somebody who knows our password.
    fn refuse_signed(
        &mut self,
        message: &Message<'_>,
        path: Path,
        number: u32,
        (code, reason): (u16, &str),
        now: Timestamp,
        out: &mut impl Outbox,
    ) {
        if !self.sources.error(path.peer, now) {
            return;
        }
        let Some(generation) = self.generation(number) else { return };
        let local = &generation.local;
        out.datagram(path, message.bytes().len(), |buffer| {
            let writer = Writer::new(buffer, Class::Error, message.transaction_id()).error_code(code, reason);
            let writer =
                if code == 420 { writer.unknown_attributes(message.unknown_required()) } else { writer };
            writer.integrity(|parts| local.sign(parts)).fingerprint().finish().unwrap_or(0)
        });
    }

    /// Learn the peer's address and check it (RFC 8445 §7.3.1.3, §7.3.1.4).
    fn check_back(&mut self, path: Path, number: u32, priority: u32, use_candidate: bool, now: Timestamp) {
        if number != self.current.number {
            // The old generation lives on as it is until the cut-over.
            if let Some(pair) =
                self.pairs.iter_mut().find(|pair| pair.path == path && pair.generation == number)
            {
                pair.heard = now;
            }
            return;
        }
        if !allowed(path.peer.ip(), self.allow_loopback) {
            return;
        }
        if !self.candidates.iter().any(|remote| remote.address == path.peer) {
            let kind = CandidateKind::PeerReflexive;
            self.remember_candidate(Remote { address: path.peer, kind, priority, socket: Some(path.socket) });
        }
        if self.current.remote.is_none() {
            return;
        }
        let Some(at) = self.find_or_form_pair(path, priority, now) else { return };
        let controlling = self.controlling;
        let pair = &mut self.pairs[at];
        pair.heard = now;
        if use_candidate && !controlling {
            pair.nominated_by_peer = true;
        }
        match pair.state {
            State::Succeeded => {}
            State::InProgress if now.since(pair.last_sent()) < TRIGGER_SPACING => {}
            State::Waiting | State::InProgress | State::Failed => {
                pair.triggered = true;
                pair.wait(now);
            }
        }
    }
}
