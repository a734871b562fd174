//! Endpoints and sources of the local bridge: creation, update, expiry.

use std::collections::{BTreeMap, HashSet};

use arrayvec::ArrayVec;
use contract::limits::SSRCS_PER_ENDPOINT_MAX;
use contract::session::{Codec, PayloadType};
use contract::session::{
    Encoding, EndpointSpec, ExtensionIds, LocalTransport, Media, PayloadTypes, RemoteTransport, SourceSpec,
    VideoType,
};
use contract::{Command, ConferenceId, EndpointId, SourceId, Ssrc, Timestamp, WorkerId};

use super::check::SCTP_PORT;
use super::{Bridge, Output};
use crate::association::{self, Fingerprint, Setup};
use crate::bridge_channel::Channel;
use crate::colibri2::model::{
    Capability, EndpointModified, EndpointModify, MediaModify, MediaSource, ModifyError, Reason, Sctp,
    SctpRole, TransportModified,
};
use crate::jingle::description::{
    ABSOLUTE_SEND_TIME, AUDIO_LEVEL, DEPENDENCY_DESCRIPTOR, MID, RID, TRANSPORT_CC, VIDEO_ORIENTATION,
};
use crate::jingle::transport::{Credentials, Transport};
use crate::random::{self, Random};
use crate::source_map::encodings;
use crate::stanza_error::Condition;

/// Letters and digits of a channel password.
const PASSWORD_LENGTH: usize = 24;

/// Compared with when there is no endpoint; no password contains a hyphen.
pub(super) const NO_PASSWORD: &str = "------------------------";

/// One endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) id: EndpointId,
    pub(super) name: String,
    pub(super) conference: ConferenceId,
    pub(super) visitor: bool,
    pub(super) password: String,
    pub(super) data_channel: bool,
    pub(super) local: Option<LocalTransport>,
    pub(super) remote: Option<Credentials>,
    pub(super) setup: Option<Setup>,
    pub(super) generation: u32,
    pub(super) connected: bool,
    pub(super) active: bool,
    pub(super) sources: BTreeMap<String, SourceId>,
    /// What its client said of its video sources, also of those that are not signalled yet.
    pub(super) video_types: BTreeMap<String, VideoType>,
    pub(super) channel: Channel,
}

/// One source.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) owner: EndpointId,
    pub(super) media: Media,
    pub(super) video_type: VideoType,
    pub(super) encodings: ArrayVec<Encoding, 3>,
    /// The largest wish on each worker that has one.
    pub(super) demand: Vec<(WorkerId, u16)>,
}

impl Endpoint {
    /// The SCTP half of its transport.
    pub(super) fn sctp(&self) -> Option<Sctp> {
        self.data_channel.then_some(Sctp { role: Some(SctpRole::Server), port: Some(SCTP_PORT) })
    }
}

impl Source {
    /// The largest height that anybody wants, if anybody has said.
    pub(super) fn max_height(&self) -> Option<u16> {
        self.demand.iter().map(|(_, height)| *height).max()
    }

    fn spec(&self, source: SourceId) -> SourceSpec {
        SourceSpec {
            source,
            owner: self.owner,
            media: self.media,
            video_type: self.video_type,
            encodings: self.encodings.clone(),
        }
    }
}

impl Bridge {
    pub(super) fn create_endpoint(
        &mut self,
        conference: ConferenceId,
        modify: &EndpointModify,
        random: &mut Random,
        now: Timestamp,
    ) -> EndpointId {
        let id = EndpointId(self.fresh());
        let endpoint = Endpoint {
            id,
            name: modify.id.clone(),
            conference,
            visitor: modify.visitor,
            password: random::alphanumeric(random, PASSWORD_LENGTH),
            data_channel: modify.transport.as_ref().is_some_and(|transport| transport.sctp.is_some()),
            local: None,
            remote: None,
            setup: None,
            generation: 0,
            connected: false,
            active: true,
            sources: BTreeMap::new(),
            video_types: BTreeMap::new(),
            channel: Channel::new(now),
        };
        self.endpoints.insert(id, endpoint);
        if let Some(it) = self.conferences.get_mut(&conference) {
            it.endpoints.insert(modify.id.clone(), id);
            let spec = EndpointSpec {
                conference,
                endpoint: id,
                payload_types: payload_types(&modify.media),
                extensions: extension_ids(&modify.media),
                ssrc_rewriting: modify.capabilities.contains(&Capability::SsrcRewriting),
                visitor: modify.visitor,
                feedback: it.feedback,
            };
            self.command(Command::CreateEndpoint(Box::new(spec)));
        }
        self.tell_association(association::Command::Create { endpoint: id });
        let mut unused = EndpointModified::default();
        self.update_endpoint(id, modify, &mut unused);
        id
    }

    /// Applies an update; whether the answer must wait for the endpoint to be ready again.
    pub(super) fn update_endpoint(
        &mut self,
        id: EndpointId,
        modify: &EndpointModify,
        answer: &mut EndpointModified,
    ) -> bool {
        let transport = modify.transport.as_ref();
        if let Some(ice) = transport.and_then(|transport| transport.ice.as_ref()) {
            self.set_transport(id, ice);
        }
        if let Some(sources) = &modify.sources {
            self.set_sources(id, sources);
        }
        if let Some(mute) = modify.force_mute {
            self.command(Command::SetForceMute { endpoint: id, audio: mute.audio, video: mute.video });
        }
        if modify.leaves_out_redundancy {
            self.command(Command::LeaveOutRedundancy { endpoint: id });
        }
        if let Some(last_n) = modify.initial_last_n {
            if let Some(endpoint) = self.endpoints.get_mut(&id) {
                endpoint.channel.video.set_initial_last_n(last_n);
            }
            self.tell_constraints(id);
        }
        transport.is_some_and(|transport| transport.ice_restart) && self.restart_ice(id, answer)
    }

    /// An in-place restart if the endpoint is connected; otherwise the present transport serves.
    fn restart_ice(&mut self, id: EndpointId, answer: &mut EndpointModified) -> bool {
        let Some(endpoint) = self.endpoints.get_mut(&id) else { return false };
        if endpoint.connected {
            endpoint.generation += 1;
            endpoint.remote = None;
            self.command(Command::RestartIce { endpoint: id });
            return true;
        }
        let sctp = endpoint.sctp();
        answer.transport = self.transport_of(id).map(|ice| TransportModified { ice, sctp });
        false
    }

    /// The client's half: credentials once per generation, further candidates until connected, fingerprints once.
    fn set_transport(&mut self, id: EndpointId, ice: &Transport) {
        let Some(endpoint) = self.endpoints.get_mut(&id) else { return };
        let stale = ice.generation.unwrap_or(0) != endpoint.generation;
        let candidates = ice.candidates.clone();
        let command = match (&endpoint.remote, &ice.credentials) {
            _ if stale => None,
            (None, Some(credentials)) => {
                endpoint.remote = Some(credentials.clone());
                let Credentials { ufrag, pwd } = credentials.clone();
                Some(Command::SetTransport {
                    endpoint: id,
                    remote: RemoteTransport { ufrag, pwd, candidates },
                })
            }
            (Some(_), _) if !candidates.is_empty() => {
                Some(Command::AddCandidates { endpoint: id, candidates })
            }
            _ => None,
        };
        let first_answer = endpoint.setup.is_none() && !ice.fingerprints.is_empty();
        if first_answer {
            endpoint.setup = Some(ice.setup.unwrap_or(Setup::Active));
        }
        let setup = endpoint.setup.unwrap_or(Setup::Active);
        if first_answer {
            let fingerprints: Vec<Fingerprint> = ice.fingerprints.clone();
            self.tell_association(association::Command::SetRemote { endpoint: id, fingerprints, setup });
        }
        if let Some(command) = command {
            self.command(command);
        }
    }

    /// Our half as it is told now.
    pub(super) fn transport_of(&self, id: EndpointId) -> Option<Transport> {
        let endpoint = self.endpoints.get(&id)?;
        let conference = self.conferences.get(&endpoint.conference)?;
        let local = endpoint.local.as_ref()?;
        let setup = match endpoint.setup {
            None | Some(Setup::ActPass) => Setup::ActPass,
            Some(Setup::Active) => Setup::Passive,
            Some(Setup::Passive) => Setup::Active,
        };
        let web_socket = self.config.web_socket_base.as_ref().map(|base| {
            let (base, name) = (base.trim_end_matches('/'), percent_encoded(&endpoint.name));
            format!("{base}/{}/{name}?pwd={}", conference.local_id, endpoint.password)
        });
        Some(Transport {
            credentials: Some(Credentials { ufrag: local.ufrag.clone(), pwd: local.pwd.clone() }),
            generation: (endpoint.generation > 0).then_some(endpoint.generation),
            candidates: local.candidates.clone(),
            fingerprints: vec![self.config.fingerprint.clone()],
            setup: Some(setup),
            web_sockets: web_socket.into_iter().collect(),
            sctp_port: endpoint.data_channel.then_some(SCTP_PORT),
        })
    }

    /// Replaces all sources of an endpoint. A name that stays keeps its identity; one that comes back gets a new one.
    fn set_sources(&mut self, id: EndpointId, sources: &[MediaSource]) {
        let Some(endpoint) = self.endpoints.get_mut(&id) else { return };
        let Some(conference) = self.conferences.get_mut(&endpoint.conference) else { return };
        let kept: HashSet<&str> = sources.iter().map(|source| source.id.as_str()).collect();
        let former = std::mem::take(&mut endpoint.sources);
        for (name, source) in &former {
            if !kept.contains(name.as_str()) {
                self.sources.remove(source);
                conference.source_names.remove(name);
                endpoint.video_types.remove(name);
            }
        }

        let mut appeared = Vec::new();
        let mut specs = Vec::new();
        for source in sources {
            let known = former.get(&source.id).copied();
            let source_id = known.unwrap_or(SourceId(self.next_id));
            if known.is_none() {
                self.next_id += 1;
                appeared.push(source.id.clone());
            }
            let said = endpoint.video_types.get(&source.id).copied();
            let demand = self.sources.remove(&source_id).map(|former| former.demand).unwrap_or_default();
            let source = Source {
                name: source.id.clone(),
                owner: id,
                media: source.media,
                video_type: said.unwrap_or(source.video_type),
                encodings: encodings_of(source),
                demand,
            };
            specs.push(source.spec(source_id));
            endpoint.sources.insert(source.name.clone(), source_id);
            conference.source_names.insert(source.name.clone(), source_id);
            self.sources.insert(source_id, source);
        }
        let conference = endpoint.conference;
        if !(specs.is_empty() && former.is_empty()) {
            self.command(Command::SetSources { endpoint: id, sources: specs });
        }
        self.resolve_again(conference, &appeared);
    }

    /// Receivers that have asked for these names already get what they asked for.
    fn resolve_again(&mut self, conference: ConferenceId, appeared: &[String]) {
        let Some(it) = self.conferences.get(&conference) else { return };
        if appeared.is_empty() {
            return;
        }
        let (mut viewers, mut listeners) = (Vec::new(), Vec::new());
        for endpoint in it.endpoints.values().filter_map(|id| self.endpoints.get(id)) {
            if appeared.iter().any(|name| endpoint.channel.video.mentions(name)) {
                viewers.push(endpoint.id);
            }
            let audio = endpoint.channel.audio.as_ref();
            if audio.is_some_and(|audio| appeared.iter().any(|name| audio.mentions(name))) {
                listeners.push(endpoint.id);
            }
        }
        viewers.into_iter().for_each(|viewer| self.tell_constraints(viewer));
        listeners.into_iter().for_each(|listener| self.tell_subscription(listener));
    }

    /// Remembers what a client says that one of its sources shows.
    pub(super) fn set_video_type(&mut self, id: EndpointId, name: &str, video_type: VideoType) {
        let Some(endpoint) = self.endpoints.get_mut(&id) else { return };
        let own = name.strip_prefix(endpoint.name.as_str()).is_some_and(|rest| rest.starts_with('-'));
        let known = endpoint.video_types.contains_key(name);
        if !own || (!known && endpoint.video_types.len() >= SSRCS_PER_ENDPOINT_MAX) {
            return;
        }
        endpoint.video_types.insert(name.to_owned(), video_type);
        let Some(source_id) = endpoint.sources.get(name).copied() else { return };
        let Some(source) = self.sources.get_mut(&source_id).filter(|source| source.media == Media::Video)
        else {
            return;
        };
        if source.video_type != video_type {
            source.video_type = video_type;
            self.command(Command::SetVideoType { source: source_id, video_type });
        }
    }

    /// Removes an endpoint here and in the media plane.
    pub(super) fn expire_endpoint(&mut self, id: EndpointId) {
        if self.remove_endpoint(id) {
            self.command(Command::ExpireEndpoint { endpoint: id });
        }
    }

    /// Removes an endpoint that the media plane does not have any more; whether it was there.
    pub(super) fn remove_endpoint(&mut self, id: EndpointId) -> bool {
        self.fail_awaited(
            id,
            ModifyError {
                condition: Condition::ItemNotFound,
                reason: Reason::UnknownEndpoint,
                endpoint: self.endpoints.get(&id).map(|endpoint| endpoint.name.clone()),
                text: "the endpoint is gone",
            },
        );
        let Some(endpoint) = self.endpoints.remove(&id) else { return false };
        for source in endpoint.sources.values() {
            self.sources.remove(source);
        }
        if let Some(conference) = self.conferences.get_mut(&endpoint.conference) {
            conference.endpoints.remove(&endpoint.name);
            conference.speakers.retain(|speaker| *speaker != id);
            for name in endpoint.sources.keys() {
                conference.source_names.remove(name);
            }
        }
        self.unsent.remove(&id);
        self.tell_association(association::Command::Expire { endpoint: id });
        true
    }

    /// The endpoint expired by itself: the focus must know.
    pub(super) fn endpoint_lost(&mut self, id: EndpointId) {
        let Some(endpoint) = self.endpoints.get(&id) else { return };
        let (conference, endpoint) = (endpoint.conference, endpoint.name.clone());
        self.remove_endpoint(id);
        if let Some(it) = self.conferences.get(&conference) {
            let meeting_id = it.meeting_id.clone();
            self.output.push_back(Output::EndpointExpired { meeting_id, endpoint });
        }
        self.expire_if_empty(conference);
    }
}

fn encodings_of(source: &MediaSource) -> ArrayVec<Encoding, 3> {
    let limit = if source.media == Media::Audio { 1 } else { 3 };
    encodings(&source.ssrcs, &source.groups)
        .into_iter()
        .take(limit)
        .map(|(ssrc, rtx)| Encoding { ssrc: Ssrc(ssrc), rtx: rtx.map(Ssrc) })
        .collect()
}

fn payload_types(media: &[MediaModify]) -> PayloadTypes {
    let signalled: Vec<_> = media.iter().flat_map(|media| &media.payload_types).collect();
    let mut payload_types = PayloadTypes::new();
    for payload_type in &signalled {
        let Some(codec) = codec(&payload_type.name) else { continue };
        let rtx = signalled.iter().find(|other| other.associated() == Some(payload_type.id));
        let transport_cc = payload_type.feedback.iter().any(|feedback| feedback.kind == "transport-cc");
        let payload_type = PayloadType {
            number: payload_type.id,
            codec,
            clock_rate: payload_type.clock_rate,
            rtx: rtx.map(|rtx| rtx.id),
            transport_cc,
        };
        if payload_types.try_push(payload_type).is_err() {
            break;
        }
    }
    payload_types
}

fn codec(name: &str) -> Option<Codec> {
    let codecs = [
        ("opus", Codec::Opus),
        ("red", Codec::Red),
        ("telephone-event", Codec::TelephoneEvent),
        ("vp8", Codec::Vp8),
        ("vp9", Codec::Vp9),
        ("h264", Codec::H264),
        ("av1", Codec::Av1),
    ];
    codecs.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, codec)| codec)
}

fn extension_ids(media: &[MediaModify]) -> ExtensionIds {
    let mut ids = ExtensionIds::default();
    for media in media {
        ids.allow_mixed = media.allow_mixed;
        for extension in &media.extensions {
            let field = match extension.uri.as_ref() {
                AUDIO_LEVEL => &mut ids.audio_level,
                ABSOLUTE_SEND_TIME => &mut ids.absolute_send_time,
                TRANSPORT_CC => &mut ids.transport_cc,
                MID => &mut ids.mid,
                RID => &mut ids.rid,
                DEPENDENCY_DESCRIPTOR => &mut ids.dependency_descriptor,
                VIDEO_ORIENTATION => &mut ids.video_orientation,
                _ => continue,
            };
            *field = Some(extension.id);
        }
    }
    ids
}

/// RFC 3986 §2.1, all but unreserved characters.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte))
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
