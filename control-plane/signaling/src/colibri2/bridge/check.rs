//! Which requests are refused, and how. Nothing is applied before all of a request has passed.

use std::collections::HashSet;

use contract::ConferenceId;
use contract::limits::{ENDPOINTS_PER_CONFERENCE_MAX, SOURCES_PER_ENDPOINT_MAX};
use xmpp::jid::BareJid;

use super::{Bridge, CONFERENCES_MAX};
use crate::colibri2::model::{
    Capability, ConferenceModify, EndpointModify, ModifyError, Reason, Sctp, SctpRole,
};
use crate::stanza_error::Condition;

/// The SCTP port of bridge channels.
pub(super) const SCTP_PORT: u16 = 5_000;

impl Bridge {
    pub(super) fn check(
        &self,
        known: Option<ConferenceId>,
        modify: &ConferenceModify,
    ) -> Result<(), ModifyError> {
        if modify.meeting_id.is_empty() {
            return Err(bad("meeting-id is missing"));
        }
        if modify.create && known.is_some() {
            let reason = Reason::ConferenceAlreadyExists;
            return Err(error(Condition::Conflict, reason, "the conference exists"));
        }
        if modify.create && self.draining {
            return Err(error(Condition::ServiceUnavailable, Reason::GracefulShutdown, "shutting down"));
        }
        if modify.create && self.conferences.len() >= CONFERENCES_MAX {
            return Err(error(Condition::ResourceConstraint, Reason::Unspecified, "too many conferences"));
        }
        if !modify.create && known.is_none() {
            return Err(error(Condition::ItemNotFound, Reason::ConferenceNotFound, "no such conference"));
        }
        if modify.name.as_deref().is_some_and(|name| BareJid::new(name).is_err()) {
            return Err(bad("name is not an address"));
        }
        if !modify.relays.is_empty() {
            return Err(not_built("relays are not served"));
        }
        self.check_endpoints(known, modify)
    }

    fn check_endpoints(
        &self,
        known: Option<ConferenceId>,
        modify: &ConferenceModify,
    ) -> Result<(), ModifyError> {
        let plain = |endpoint: &EndpointModify| {
            !endpoint.create
                && endpoint.media.is_empty()
                && endpoint.transport.is_none()
                && endpoint.sources.is_none()
        };
        let all_plain = modify.endpoints.iter().all(plain);
        if modify.endpoints.len() > 1 && !all_plain {
            return Err(not_built("several endpoints in one request"));
        }
        let conference = known.and_then(|id| self.conferences.get(&id));
        let present = conference.map_or(0, |conference| conference.endpoints.len());
        let lenient = |endpoint: &EndpointModify| {
            endpoint.expire
                || (all_plain && endpoint.force_mute.is_some() && endpoint.initial_last_n.is_none())
        };
        let all_lenient = modify.endpoints.iter().all(lenient);
        for endpoint in &modify.endpoints {
            let exists = conference.is_some_and(|conference| conference.endpoints.contains_key(&endpoint.id));
            check_endpoint(endpoint, exists, all_lenient, self.config.sctp)?;
            if endpoint.create && present >= ENDPOINTS_PER_CONFERENCE_MAX {
                let text = "too many endpoints";
                return Err(error(Condition::ResourceConstraint, Reason::Unspecified, text));
            }
            if let Some(conference) = conference {
                let owner = conference.endpoints.get(&endpoint.id);
                let foreign = endpoint.sources.iter().flatten().any(|source| {
                    let id = conference.source_names.get(&source.id).and_then(|id| self.sources.get(id));
                    id.is_some_and(|source| Some(&source.owner) != owner)
                });
                if foreign {
                    return Err(bad("a source name of another endpoint"));
                }
            }
        }
        Ok(())
    }
}

fn check_endpoint(
    endpoint: &EndpointModify,
    exists: bool,
    lenient: bool,
    sctp_served: bool,
) -> Result<(), ModifyError> {
    if endpoint.id.is_empty() {
        return Err(bad("endpoint without id"));
    }
    if endpoint.expire {
        return Ok(());
    }
    if endpoint.create && exists {
        return Err(error(Condition::Conflict, Reason::Unspecified, "the endpoint exists"));
    }
    if endpoint.create && endpoint.transport.is_none() {
        return Err(bad("endpoint without transport"));
    }
    if endpoint.create && !endpoint.capabilities.contains(&Capability::SourceNames) {
        return Err(bad("endpoint without source names"));
    }
    if !endpoint.create && !exists && !lenient {
        let unknown = error(Condition::ItemNotFound, Reason::UnknownEndpoint, "no such endpoint");
        return Err(ModifyError { endpoint: Some(endpoint.id.clone()), ..unknown });
    }
    if let Some(sctp) = endpoint.transport.as_ref().and_then(|transport| transport.sctp) {
        check_sctp(sctp, sctp_served)?;
    }
    let Some(sources) = &endpoint.sources else { return Ok(()) };
    if endpoint.visitor && !sources.is_empty() {
        return Err(bad("a visitor with sources"));
    }
    if sources.len() > SOURCES_PER_ENDPOINT_MAX {
        return Err(bad("too many sources"));
    }
    let names: HashSet<&str> = sources.iter().map(|source| source.id.as_str()).collect();
    let ssrcs: HashSet<u32> = sources.iter().flat_map(|source| source.ssrcs.iter().copied()).collect();
    let count: usize = sources.iter().map(|source| source.ssrcs.len()).sum();
    if names.len() != sources.len() || ssrcs.len() != count || ssrcs.contains(&0) {
        return Err(bad("a repeated source name or SSRC"));
    }
    Ok(())
}

fn check_sctp(sctp: Sctp, served: bool) -> Result<(), ModifyError> {
    if !served || sctp.role == Some(SctpRole::Client) {
        return Err(not_built("SCTP is not served like that"));
    }
    match sctp.port {
        None | Some(SCTP_PORT) => Ok(()),
        Some(_) => Err(bad("an SCTP port other than 5000")),
    }
}

fn error(condition: Condition, reason: Reason, text: &'static str) -> ModifyError {
    ModifyError { condition, reason, endpoint: None, text }
}

fn bad(text: &'static str) -> ModifyError {
    error(Condition::BadRequest, Reason::Unspecified, text)
}

fn not_built(text: &'static str) -> ModifyError {
    error(Condition::FeatureNotImplemented, Reason::FeatureNotImplemented, text)
}
