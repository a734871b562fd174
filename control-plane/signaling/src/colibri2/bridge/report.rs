//! What the media plane and the associations tell, taken into state and onto bridge channels.

use contract::report::ExpiryReason;
use contract::session::VideoConstraint;
use contract::{Command, EndpointId, Report, SourceId, Ssrc, Timestamp};

use super::{Bridge, Output};
use crate::association::{self, Event};
use crate::bridge_channel::Slot;
use crate::bridge_channel::message::{Inbound, Outbound};

impl Bridge {
    pub(super) fn apply_report(&mut self, report: Report) {
        match report {
            Report::EndpointReady { endpoint, transport } => self.endpoint_ready(endpoint, *transport),
            Report::TransportConnected { endpoint, .. } => {
                if let Some(endpoint) = self.endpoints.get_mut(&endpoint) {
                    endpoint.connected = true;
                }
            }
            Report::TransportFailed { endpoint } => {
                // The client notices too and asks for a restart; until then there is nothing to do.
                self.counters.transports_failed += 1;
                if let Some(endpoint) = self.endpoints.get_mut(&endpoint) {
                    endpoint.connected = false;
                }
            }
            Report::Connectivity { endpoint, active } => self.connectivity(endpoint, active),
            Report::DominantSpeaker { conference, endpoint, previous } => {
                if let Some(conference) = self.conferences.get_mut(&conference) {
                    conference.speakers = endpoint.into_iter().chain(previous).collect();
                }
                if endpoint.is_some() {
                    self.announce_speaker(conference);
                }
            }
            Report::ForwardedSources { endpoint, sources } => {
                if let Some(it) = self.endpoints.get_mut(&endpoint) {
                    it.channel.forwarded = sources.to_vec();
                    it.channel.unsent.forwarded = true;
                    self.unsent.insert(endpoint);
                }
            }
            Report::SourceMapped { endpoint, source, media, ssrc, rtx } => {
                self.source_mapped(endpoint, ssrc, Slot { source, media, rtx });
            }
            Report::SourceDemand { worker, source, max_height } => self.demanded(worker, source, max_height),
            Report::Bandwidth { endpoint, bits_per_second } => {
                let stats = Outbound::ConnectionStats { estimated_downlink_bandwidth: bits_per_second };
                self.send(endpoint, stats.to_text());
            }
            Report::EndpointExpired { endpoint, reason: ExpiryReason::Inactive } => {
                self.endpoint_lost(endpoint)
            }
            Report::EndpointExpired { reason: ExpiryReason::Command, .. } => {}
        }
    }

    pub(super) fn apply_association(&mut self, event: Event, now: Timestamp) {
        match event {
            Event::Connected { .. } => {}
            Event::Failed { .. } => self.counters.handshakes_failed += 1,
            Event::ChannelOpened { endpoint, kind } => {
                if let Some(it) = self.endpoints.get_mut(&endpoint) {
                    it.channel.set_open(kind, true);
                    self.channel_opened(endpoint, kind);
                }
            }
            Event::ChannelClosed { endpoint, kind } => {
                if let Some(it) = self.endpoints.get_mut(&endpoint) {
                    it.channel.set_open(kind, false);
                }
            }
            Event::ChannelText { endpoint, text } => {
                let Some(it) = self.endpoints.get_mut(&endpoint) else { return };
                if !it.channel.admit_message(now) {
                    self.counters.messages_limited += 1;
                    return;
                }
                match Inbound::parse(&text) {
                    Some(message) => self.message(endpoint, message, now),
                    None => self.counters.messages_refused += 1,
                }
            }
        }
    }

    fn connectivity(&mut self, id: EndpointId, active: bool) {
        let Some(endpoint) = self.endpoints.get_mut(&id) else { return };
        if endpoint.visitor || endpoint.active == active {
            return;
        }
        endpoint.active = active;
        let event = Outbound::EndpointConnectivityStatusChangeEvent {
            endpoint: &endpoint.name,
            active: if active { "true" } else { "false" },
        };
        let (text, conference) = (event.to_text(), endpoint.conference);
        self.broadcast(conference, |_| true, &text);
    }

    fn source_mapped(&mut self, endpoint: EndpointId, ssrc: Ssrc, slot: Slot) {
        let Some(it) = self.endpoints.get_mut(&endpoint) else { return };
        // A source reaches a receiver on one slot at a time.
        it.channel.slots.retain(|_, other| other.source != slot.source);
        it.channel.slots.insert(ssrc, slot);
        it.channel.unsent.slots.insert(ssrc);
        self.unsent.insert(endpoint);
    }

    fn demanded(&mut self, worker: contract::WorkerId, id: SourceId, max_height: u16) {
        let Some(source) = self.sources.get_mut(&id) else { return };
        let before = source.max_height();
        match source.demand.iter_mut().find(|(known, _)| *known == worker) {
            Some((_, height)) => *height = max_height,
            None => source.demand.push((worker, max_height)),
        }
        if source.max_height() == before {
            return;
        }
        let owner = source.owner;
        if let Some(endpoint) = self.endpoints.get_mut(&owner) {
            endpoint.channel.unsent.demands.insert(id);
            self.unsent.insert(owner);
        }
    }

    /// What the receiver asked for, with the names that are known now.
    pub(super) fn tell_constraints(&mut self, id: EndpointId) {
        let Some(endpoint) = self.endpoints.get(&id) else { return };
        let Some(conference) = self.conferences.get(&endpoint.conference) else { return };
        let resolve = |name: &str| conference.source_names.get(name).copied();
        let constraints = endpoint.channel.video.resolve(resolve, self.config.assumed_bandwidth_max);
        self.command(Command::SetConstraints { endpoint: id, constraints });
    }

    /// What the receiver subscribed to, with the names that are known now.
    pub(super) fn tell_subscription(&mut self, id: EndpointId) {
        let Some(endpoint) = self.endpoints.get(&id) else { return };
        let Some(conference) = self.conferences.get(&endpoint.conference) else { return };
        let Some(audio) = &endpoint.channel.audio else { return };
        let subscription = audio.resolve(|name| conference.source_names.get(name).copied());
        self.command(Command::SetAudioSubscription { endpoint: id, subscription });
    }

    /// A message to one endpoint, if its channel is open.
    pub(super) fn send(&mut self, endpoint: EndpointId, text: String) {
        if self.endpoints.get(&endpoint).is_some_and(|endpoint| endpoint.channel.is_open()) {
            self.output.push_back(Output::Association(association::Command::Send { endpoint, text }));
        }
    }
}

/// A height as clients read it.
pub(super) fn height_on_channel(height: u16) -> i32 {
    if height == VideoConstraint::UNLIMITED { -1 } else { i32::from(height) }
}
