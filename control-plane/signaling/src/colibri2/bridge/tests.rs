//! Requests to the local bridge and conversations over the bridge channel.

mod channel;
mod requests;

use contract::session::{LocalTransport, VideoType};

use super::*;
use crate::association::{ChannelKind, Command as Association, Event, Fingerprint};
use crate::colibri2::model::{Capability, ForceMute, Sctp, TransportModify};
use crate::random::tests::counting;

struct World {
    bridge: Bridge,
    random: Random,
    now: Timestamp,
    requests: u64,
    answers: Vec<(u64, Result<ConferenceModified, ModifyError>)>,
    commands: Vec<Command>,
    sent: Vec<(EndpointId, String)>,
    lost: Vec<String>,
    seating: bool,
}

impl World {
    fn new() -> World {
        let config = BridgeConfig {
            fingerprint: Fingerprint { hash: "sha-256".into(), value: vec![1, 2] },
            web_socket_base: Some("wss://b/colibri-ws/x/".into()),
            sctp: true,
            version: None,
            assumed_bandwidth_max: None,
        };
        World {
            bridge: Bridge::new(config),
            random: counting(),
            now: Timestamp::from_millis(1_000),
            requests: 0,
            answers: Vec::new(),
            commands: Vec::new(),
            sent: Vec::new(),
            lost: Vec::new(),
            seating: true,
        }
    }

    /// A conference with these endpoints, each with a microphone and a camera, all with open data channels.
    fn meeting(names: &[&str]) -> World {
        let mut world = World::new();
        for (index, name) in names.iter().enumerate() {
            world.create(name, index == 0).expect("accepted");
            world.set_sources(
                name,
                vec![audio(name, index as u32 * 10 + 1), video(name, index as u32 * 10 + 2)],
            );
        }
        for name in names {
            world.open(name, ChannelKind::DataChannel);
        }
        world.clear();
        world
    }

    fn modify(&mut self, modify: ConferenceModify) -> Option<Result<ConferenceModified, ModifyError>> {
        self.requests += 1;
        let request = self.requests;
        self.bridge.modify(request, &modify, &mut self.random, self.now);
        self.settle();
        self.answers.iter().find(|(of, _)| *of == request).map(|(_, answer)| answer.clone())
    }

    fn create(&mut self, name: &str, first: bool) -> Result<ConferenceModified, ModifyError> {
        let modify = ConferenceModify { create: first, endpoints: vec![new_endpoint(name)], ..meeting() };
        self.modify(modify).expect("an answer")
    }

    fn set_sources(&mut self, name: &str, sources: Vec<MediaSource>) {
        let endpoint = EndpointModify { sources: Some(sources), ..of(name) };
        self.modify(ConferenceModify { endpoints: vec![endpoint], ..meeting() })
            .expect("an answer")
            .expect("valid");
    }

    fn settle(&mut self) {
        while let Some(output) = self.bridge.poll_output() {
            match output {
                Output::Answer { request, answer } => self.answers.push((request, answer)),
                Output::Command(command) => {
                    if let (Command::CreateEndpoint(spec), true) = (&command, self.seating) {
                        self.bridge.report(ready(spec.endpoint), self.now);
                    }
                    self.commands.push(command);
                }
                Output::Association(Association::Send { endpoint, text }) => self.sent.push((endpoint, text)),
                Output::Association(_) => {}
                Output::EndpointExpired { endpoint, .. } => self.lost.push(endpoint),
            }
        }
    }

    fn report(&mut self, report: Report) {
        self.bridge.report(report, self.now);
        self.settle();
    }

    fn timeout(&mut self) {
        self.bridge.handle_timeout(self.now);
        self.settle();
    }

    fn open(&mut self, name: &str, kind: ChannelKind) {
        let endpoint = self.endpoint(name);
        self.bridge.association(Event::ChannelOpened { endpoint, kind }, self.now);
        self.settle();
    }

    fn say(&mut self, name: &str, text: &str) {
        let event = Event::ChannelText { endpoint: self.endpoint(name), text: text.to_owned() };
        self.bridge.association(event, self.now);
        self.settle();
    }

    /// What `name` was sent since it was asked last.
    fn heard(&mut self, name: &str) -> Vec<String> {
        let id = self.endpoint(name);
        let (heard, rest) = std::mem::take(&mut self.sent).into_iter().partition(|(to, _)| *to == id);
        self.sent = rest;
        heard.into_iter().map(|(_, text)| text).collect()
    }

    fn endpoint(&self, name: &str) -> EndpointId {
        let conference = self.bridge.conferences.values().next().expect("a conference");
        conference.endpoints[name]
    }

    fn source(&self, name: &str) -> SourceId {
        let conference = self.bridge.conferences.values().next().expect("a conference");
        conference.source_names[name]
    }

    fn conference(&self) -> ConferenceId {
        *self.bridge.conferences.keys().next().expect("a conference")
    }

    fn clear(&mut self) {
        self.answers.clear();
        self.commands.clear();
        self.sent.clear();
    }
}

fn meeting() -> ConferenceModify {
    ConferenceModify { meeting_id: "m1".into(), ..ConferenceModify::default() }
}

fn of(name: &str) -> EndpointModify {
    EndpointModify { id: name.to_owned(), ..EndpointModify::default() }
}

fn new_endpoint(name: &str) -> EndpointModify {
    EndpointModify {
        create: true,
        capabilities: vec![Capability::SourceNames, Capability::SsrcRewriting],
        transport: Some(TransportModify { sctp: Some(Sctp::default()), ..TransportModify::default() }),
        ..of(name)
    }
}

fn media_source(media: Media, id: String, ssrc: u32) -> MediaSource {
    MediaSource {
        media,
        id,
        synthetic: false,
        video_type: VideoType::Camera,
        ssrcs: vec![ssrc],
        groups: Vec::new(),
    }
}

fn audio(name: &str, ssrc: u32) -> MediaSource {
    media_source(Media::Audio, format!("{name}-a0"), ssrc)
}

fn video(name: &str, ssrc: u32) -> MediaSource {
    media_source(Media::Video, format!("{name}-v0"), ssrc)
}

fn ready(endpoint: EndpointId) -> Report {
    let transport = LocalTransport {
        ufrag: format!("u{endpoint}fr"),
        pwd: "3kd9v0e5m1n7p2r4s6t8u0w2".into(),
        candidates: Vec::new(),
    };
    Report::EndpointReady { endpoint, transport: Box::new(transport) }
}

fn muted(name: &str) -> EndpointModify {
    EndpointModify { force_mute: Some(ForceMute { audio: true, video: false }), ..of(name) }
}
