//! The bridge's side of the bridge channel: what comes in is obeyed or passed on, what changed is told.

use contract::session::Media;
use contract::{ConferenceId, EndpointId, Timestamp};
use serde_json::{Map, Value};

use super::endpoint::Endpoint;
use super::report::height_on_channel;
use super::{Bridge, Conference};
use crate::association::ChannelKind;
use crate::bridge_channel::Unsent;
use crate::bridge_channel::message::{
    Inbound, MappedAudio, MappedVideo, Outbound, forwarded, video_type_name,
};

/// Up to so many endpoints everybody gets everybody's statistics; above, only of those that matter to the receiver.
const STATS_TO_ALL_MAX: usize = 20;

impl Bridge {
    /// Tells a new channel all that its client must know. A second opening repeats it.
    pub(super) fn channel_opened(&mut self, id: EndpointId, kind: ChannelKind) {
        if kind == ChannelKind::WebSocket {
            self.greet(id);
        }
        let Some(endpoint) = self.endpoints.get_mut(&id) else { return };
        let conference = endpoint.conference;
        endpoint.channel.unsent = Unsent {
            slots: endpoint.channel.slots.keys().copied().collect(),
            demands: endpoint.sources.values().copied().collect(),
            forwarded: true,
        };
        self.flush_endpoint(id);
        let Some(it) = self.conferences.get(&conference) else { return };
        let speaker = self.speaker_event(it);
        let inactive: Vec<String> = it
            .endpoints
            .values()
            .filter_map(|id| self.endpoints.get(id))
            .filter(|endpoint| !endpoint.active)
            .map(|endpoint| {
                let event = Outbound::EndpointConnectivityStatusChangeEvent {
                    endpoint: &endpoint.name,
                    active: "false",
                };
                event.to_text()
            })
            .collect();
        for text in speaker.into_iter().chain(inactive) {
            self.send(id, text);
        }
    }

    /// A message from the client of `id`. It can change nothing but the state of its own endpoint.
    pub(super) fn message(&mut self, id: EndpointId, message: Inbound, now: Timestamp) {
        let Some(endpoint) = self.endpoints.get_mut(&id) else { return };
        match message {
            Inbound::ClientHello => self.greet(id),
            Inbound::ReceiverVideoConstraints(update) => {
                endpoint.channel.video.update(update);
                self.tell_constraints(id);
            }
            Inbound::LastN(last_n) => {
                endpoint.channel.video.set_last_n(last_n);
                self.tell_constraints(id);
            }
            Inbound::ReceiverAudioSubscription(audio) => {
                endpoint.channel.audio = Some(audio);
                self.tell_subscription(id);
            }
            Inbound::VideoType { source, video_type } => {
                let name = source.unwrap_or_else(|| format!("{}-v0", endpoint.name));
                self.set_video_type(id, &name, video_type);
            }
            Inbound::EndpointMessage { .. } | Inbound::EndpointStats(_) if endpoint.visitor => {}
            Inbound::EndpointMessage { to: Some(to), message } => {
                let (conference, text) = (endpoint.conference, forwarded(message, &endpoint.name));
                let to = self.conferences.get(&conference).and_then(|it| it.endpoints.get(&to)).copied();
                if let Some(to) = to {
                    self.send(to, text);
                }
            }
            Inbound::EndpointMessage { to: None, message } => {
                if !endpoint.channel.admit_broadcast(now) {
                    self.counters.messages_limited += 1;
                    return;
                }
                let (conference, text) = (endpoint.conference, forwarded(message, &endpoint.name));
                self.broadcast(conference, |receiver| receiver.id != id, &text);
            }
            Inbound::EndpointStats(message) => {
                if endpoint.channel.admit_broadcast(now) {
                    self.share_stats(id, message);
                } else {
                    self.counters.messages_limited += 1;
                }
            }
        }
    }

    /// Sends `text` to all endpoints of a conference for which `to` holds.
    pub(super) fn broadcast(&mut self, conference: ConferenceId, to: impl Fn(&Endpoint) -> bool, text: &str) {
        let Some(conference) = self.conferences.get(&conference) else { return };
        let receivers: Vec<EndpointId> = conference
            .endpoints
            .values()
            .filter_map(|id| self.endpoints.get(id))
            .filter(|endpoint| endpoint.channel.is_open() && to(endpoint))
            .map(|endpoint| endpoint.id)
            .collect();
        for receiver in receivers {
            self.send(receiver, text.to_owned());
        }
    }

    /// Tells everyone who speaks.
    pub(super) fn announce_speaker(&mut self, id: ConferenceId) {
        let Some(conference) = self.conferences.get(&id) else { return };
        if let Some(text) = self.speaker_event(conference) {
            self.broadcast(id, |_| true, &text);
        }
    }

    /// Tells all that changed since the last flush.
    pub(super) fn flush(&mut self) {
        for id in std::mem::take(&mut self.unsent) {
            self.flush_endpoint(id);
        }
    }

    fn flush_endpoint(&mut self, id: EndpointId) {
        let Some(endpoint) = self.endpoints.get_mut(&id) else { return };
        let unsent = std::mem::take(&mut endpoint.channel.unsent);
        if !endpoint.channel.is_open() {
            return;
        }
        let Some(endpoint) = self.endpoints.get(&id) else { return };
        for text in self.changes(endpoint, &unsent) {
            self.send(id, text);
        }
    }

    fn changes(&self, endpoint: &Endpoint, unsent: &Unsent) -> Vec<String> {
        let mut messages = Vec::new();
        for source in unsent.demands.iter().filter_map(|id| self.sources.get(id)) {
            if let Some(height) = source.max_height() {
                let max_height = height_on_channel(height);
                messages.push(Outbound::SenderSourceConstraints { source_name: &source.name, max_height });
            }
        }
        if unsent.forwarded {
            let sources = endpoint.channel.forwarded.iter().filter_map(|id| self.sources.get(id));
            let forwarded_sources = sources.map(|source| source.name.as_str()).collect();
            messages.push(Outbound::ForwardedSources { forwarded_sources });
        }
        let (mut video, mut audio) = (Vec::new(), Vec::new());
        for ssrc in &unsent.slots {
            let Some(slot) = endpoint.channel.slots.get(ssrc) else { continue };
            let Some(source) = self.sources.get(&slot.source) else { continue };
            let Some(owner) = self.endpoints.get(&source.owner) else { continue };
            let (name, owner, ssrc) = (source.name.as_str(), owner.name.as_str(), ssrc.0);
            match slot.media {
                Media::Video => video.push(MappedVideo {
                    source: name,
                    owner,
                    ssrc,
                    rtx: slot.rtx.map(|rtx| rtx.0),
                    video_type: video_type_name(source.video_type),
                }),
                Media::Audio => audio.push(MappedAudio { source: name, owner, ssrc }),
            }
        }
        if !video.is_empty() {
            messages.push(Outbound::VideoSourcesMap { mapped_sources: video });
        }
        if !audio.is_empty() {
            messages.push(Outbound::AudioSourcesMap { mapped_sources: audio });
        }
        messages.iter().map(Outbound::to_text).collect()
    }

    fn greet(&mut self, id: EndpointId) {
        let hello = Outbound::ServerHello { version: self.config.version.as_deref() }.to_text();
        self.send(id, hello);
    }

    fn speaker_event(&self, conference: &Conference) -> Option<String> {
        let mut names =
            conference.speakers.iter().filter_map(|id| Some(self.endpoints.get(id)?.name.as_str()));
        let dominant_speaker_endpoint = names.next()?;
        let previous_speakers = names.collect();
        let event = Outbound::DominantSpeakerEndpointChangeEvent {
            dominant_speaker_endpoint,
            previous_speakers,
            silence: false,
        };
        Some(event.to_text())
    }

    fn share_stats(&mut self, id: EndpointId, message: Map<String, Value>) {
        let Some(sender) = self.endpoints.get(&id) else { return };
        let Some(conference) = self.conferences.get(&sender.conference) else { return };
        let to_all = conference.endpoints.len() <= STATS_TO_ALL_MAX || conference.speakers.contains(&id);
        let names: Vec<String> = sender.sources.keys().cloned().collect();
        let (conference, text) = (sender.conference, forwarded(message, &sender.name));
        let interested = |receiver: &Endpoint| names.iter().any(|name| receiver.channel.video.looks_at(name));
        self.broadcast(conference, |receiver| receiver.id != id && (to_all || interested(receiver)), &text);
    }
}
