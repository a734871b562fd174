//! Every message of the bridge channel: one JSON object whose type is its property `colibriClass`.

use contract::session::VideoType;
use serde::Serialize;
use serde_json::{Map, Value};

use super::constraints::{AudioSelection, VideoUpdate};
use super::json;

/// A message from a client.
#[derive(Clone, Debug, PartialEq)]
pub enum Inbound {
    /// Wants a `ServerHello`.
    ClientHello,
    /// What it wants to see; a partial update.
    ReceiverVideoConstraints(VideoUpdate),
    /// How many video sources it wants at most; −1 = no limit.
    LastN(i32),
    /// What it wants to hear; complete.
    ReceiverAudioSubscription(AudioSelection),
    /// What one of its own video sources shows now.
    VideoType {
        /// Which; `None` = its first.
        source: Option<String>,
        /// What.
        video_type: VideoType,
    },
    /// For another endpoint, or for all.
    EndpointMessage {
        /// Whom; `None` = everyone.
        to: Option<String>,
        /// The whole object.
        message: Map<String, Value>,
    },
    /// Statistics for all others.
    EndpointStats(Map<String, Value>),
}

impl Inbound {
    /// Reads a message; `None` if it is malformed, beyond a limit, or of a class that clients do not send. Unknown
    /// properties are ignored.
    pub fn parse(text: &str) -> Option<Inbound> {
        let Value::Object(message) = json::parse(text)? else { return None };
        let class = message.get("colibriClass")?.as_str()?;
        Some(match class {
            "ClientHello" => Inbound::ClientHello,
            "ReceiverVideoConstraints" => Inbound::ReceiverVideoConstraints(VideoUpdate::parse(&message)?),
            "LastNChangedEvent" => Inbound::LastN(integer(message.get("lastN")?)?),
            "ReceiverAudioSubscription" => {
                Inbound::ReceiverAudioSubscription(AudioSelection::parse(&message)?)
            }
            "SourceVideoTypeMessage" => Inbound::VideoType {
                source: Some(message.get("sourceName")?.as_str()?.to_owned()),
                video_type: video_type(message.get("videoType")?.as_str()?)?,
            },
            "VideoTypeMessage" => {
                let video_type = video_type(message.get("videoType")?.as_str()?)?;
                Inbound::VideoType { source: None, video_type }
            }
            "EndpointMessage" => {
                message.get("msgPayload")?.as_object()?;
                let to = match message.get("to") {
                    None | Some(Value::Null) => None,
                    Some(to) => Some(to.as_str()?.to_owned()).filter(|to| !to.trim().is_empty()),
                };
                Inbound::EndpointMessage { to, message }
            }
            "EndpointStats" => Inbound::EndpointStats(message),
            _ => return None,
        })
    }
}

/// A whole number that fits; floats without fraction count, as JavaScript has no others.
pub(super) fn integer(value: &Value) -> Option<i32> {
    match value.as_i64() {
        Some(whole) => i32::try_from(whole).ok(),
        None => {
            let float = value.as_f64()?;
            let fits = float.fract() == 0.0 && (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&float);
            fits.then_some(float as i32)
        }
    }
}

/// Reads a video type in any case; `none` is the old name of `disabled`.
fn video_type(text: &str) -> Option<VideoType> {
    let named = |name: &str| text.eq_ignore_ascii_case(name);
    Some(match () {
        () if named("camera") => VideoType::Camera,
        () if named("desktop") => VideoType::Desktop,
        () if named("desktop_high_fps") => VideoType::DesktopHighFps,
        () if named("disabled") || named("none") => VideoType::Disabled,
        () => return None,
    })
}

/// A message to a client.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "colibriClass", rename_all_fields = "camelCase")]
pub enum Outbound<'a> {
    /// The first message on a WebSocket, and the answer to `ClientHello`.
    ServerHello {
        /// Of the bridge, if it tells.
        #[serde(skip_serializing_if = "Option::is_none")]
        version: Option<&'a str>,
    },
    /// The largest height that anybody wants of one of the client's own sources.
    SenderSourceConstraints {
        /// Which.
        source_name: &'a str,
        /// Pixels; 0 = stop, −1 = no limit.
        max_height: i32,
    },
    /// Which source is now sent on which video slot.
    VideoSourcesMap {
        /// Changed slots only.
        mapped_sources: Vec<MappedVideo<'a>>,
    },
    /// Which source is now sent on which audio slot.
    AudioSourcesMap {
        /// Changed slots only.
        mapped_sources: Vec<MappedAudio<'a>>,
    },
    /// The video sources that are being sent.
    ForwardedSources {
        /// By name; complete.
        forwarded_sources: Vec<&'a str>,
    },
    /// Who speaks.
    DominantSpeakerEndpointChangeEvent {
        /// By endpoint id.
        dominant_speaker_endpoint: &'a str,
        /// Those before, newest first.
        previous_speakers: Vec<&'a str>,
        /// Nobody speaks.
        silence: bool,
    },
    /// An endpoint went silent altogether, or came back.
    EndpointConnectivityStatusChangeEvent {
        /// Which.
        endpoint: &'a str,
        /// `"true"` or `"false"`: clients compare text.
        active: &'static str,
    },
    /// What the bridge believes that the client can receive.
    ConnectionStats {
        /// Bits per second.
        estimated_downlink_bandwidth: u64,
    },
}

/// An entry of `VideoSourcesMap`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MappedVideo<'a> {
    /// Name of the source.
    pub source: &'a str,
    /// Endpoint id of its sender.
    pub owner: &'a str,
    /// Media SSRC.
    pub ssrc: u32,
    /// RTX SSRC. Clients take any number for one, so it is left out if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtx: Option<u32>,
    /// In upper case.
    pub video_type: &'static str,
}

/// An entry of `AudioSourcesMap`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MappedAudio<'a> {
    /// Name of the source.
    pub source: &'a str,
    /// Endpoint id of its sender.
    pub owner: &'a str,
    /// Media SSRC.
    pub ssrc: u32,
}

impl Outbound<'_> {
    /// The message as text.
    pub fn to_text(&self) -> String {
        // Strings, numbers and booleans only: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A message that is passed on: written anew from the parsed value, with `from` set by us.
pub fn forwarded(mut message: Map<String, Value>, from: &str) -> String {
    message.insert("from".to_owned(), Value::from(from));
    Value::Object(message).to_string()
}

/// The name of a video type as the bridge writes it.
pub const fn video_type_name(video_type: VideoType) -> &'static str {
    match video_type {
        VideoType::Camera => "CAMERA",
        VideoType::Desktop => "DESKTOP",
        VideoType::DesktopHighFps => "DESKTOP_HIGH_FPS",
        VideoType::Disabled => "DISABLED",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_message_of_a_client_is_read() {
        let rows = [
            (r#"{"colibriClass":"ClientHello","new":1}"#, Inbound::ClientHello),
            (r#"{"colibriClass":"LastNChangedEvent","lastN":-1}"#, Inbound::LastN(-1)),
            (
                r#"{"colibriClass":"SourceVideoTypeMessage","sourceName":"a-v1","videoType":"desktop_high_fps"}"#,
                Inbound::VideoType { source: Some("a-v1".into()), video_type: VideoType::DesktopHighFps },
            ),
            (
                r#"{"colibriClass":"VideoTypeMessage","videoType":"NONE"}"#,
                Inbound::VideoType { source: None, video_type: VideoType::Disabled },
            ),
        ];
        for (text, expected) in rows {
            assert_eq!(Inbound::parse(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn malformed_messages_are_refused() {
        for text in [
            "[]",
            "{}",
            r#"{"colibriClass":1}"#,
            r#"{"colibriClass":"ServerHello"}"#,
            r#"{"colibriClass":"LastNChangedEvent","lastN":"5"}"#,
            r#"{"colibriClass":"LastNChangedEvent","lastN":5.5}"#,
            r#"{"colibriClass":"SourceVideoTypeMessage","sourceName":"a-v1","videoType":"hologram"}"#,
            r#"{"colibriClass":"EndpointMessage","to":"","msgPayload":"text"}"#,
            r#"{"colibriClass":"EndpointMessage","to":5,"msgPayload":{}}"#,
            r#"{"colibriClass":"ClientHello","colibriClass":"EndpointStats"}"#,
        ] {
            assert_eq!(Inbound::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_forged_sender_is_overwritten() {
        let text = r#"{"colibriClass":"EndpointMessage","to":"","from":"boss","msgPayload":{"n":3,"d":0.1}}"#;
        let Some(Inbound::EndpointMessage { to: None, message }) = Inbound::parse(text) else { panic!() };
        let sent: Value = serde_json::from_str(&forwarded(message, "eve")).expect("JSON");
        let expected =
            r#"{"colibriClass":"EndpointMessage","to":"","from":"eve","msgPayload":{"n":3,"d":0.1}}"#;
        assert_eq!(sent, serde_json::from_str::<Value>(expected).expect("JSON"));
    }

    #[test]
    fn messages_to_clients_have_the_exact_property_names() {
        let mapped = MappedVideo {
            source: "b-v0",
            owner: "b",
            ssrc: 1,
            rtx: Some(2),
            video_type: video_type_name(VideoType::Camera),
        };
        let rows = [
            (Outbound::ServerHello { version: None }, r#"{"colibriClass":"ServerHello"}"#),
            (
                Outbound::SenderSourceConstraints { source_name: "a-v0", max_height: -1 },
                r#"{"colibriClass":"SenderSourceConstraints","sourceName":"a-v0","maxHeight":-1}"#,
            ),
            (
                Outbound::VideoSourcesMap { mapped_sources: vec![mapped] },
                r#"{"colibriClass":"VideoSourcesMap","mappedSources":[{"source":"b-v0","owner":"b","ssrc":1,"rtx":2,"videoType":"CAMERA"}]}"#,
            ),
            (
                Outbound::AudioSourcesMap {
                    mapped_sources: vec![MappedAudio { source: "b-a0", owner: "b", ssrc: 3 }],
                },
                r#"{"colibriClass":"AudioSourcesMap","mappedSources":[{"source":"b-a0","owner":"b","ssrc":3}]}"#,
            ),
            (
                Outbound::ForwardedSources { forwarded_sources: vec!["b-v0"] },
                r#"{"colibriClass":"ForwardedSources","forwardedSources":["b-v0"]}"#,
            ),
            (
                Outbound::DominantSpeakerEndpointChangeEvent {
                    dominant_speaker_endpoint: "b",
                    previous_speakers: vec!["c"],
                    silence: false,
                },
                r#"{"colibriClass":"DominantSpeakerEndpointChangeEvent","dominantSpeakerEndpoint":"b","previousSpeakers":["c"],"silence":false}"#,
            ),
            (
                Outbound::EndpointConnectivityStatusChangeEvent { endpoint: "b", active: "false" },
                r#"{"colibriClass":"EndpointConnectivityStatusChangeEvent","endpoint":"b","active":"false"}"#,
            ),
            (
                Outbound::ConnectionStats { estimated_downlink_bandwidth: 4_200_000 },
                r#"{"colibriClass":"ConnectionStats","estimatedDownlinkBandwidth":4200000}"#,
            ),
        ];
        for (message, expected) in rows {
            assert_eq!(message.to_text(), expected);
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a-v0-9-]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map("[a-zA-Z]{1,12}", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,200}") {
            Inbound::parse(&text);
        }

        #[test]
        fn no_values_of_known_properties_make_the_parser_panic(
            class in prop::sample::select(vec![
                "ReceiverVideoConstraints", "LastNChangedEvent", "ReceiverAudioSubscription",
                "SourceVideoTypeMessage", "VideoTypeMessage", "EndpointMessage", "EndpointStats",
            ]),
            properties in prop::collection::hash_map(
                prop::sample::select(vec![
                    "lastN", "selectedSources", "onStageSources", "defaultConstraints", "constraints",
                    "assumedBandwidthBps", "all", "include", "exclude", "mode", "list", "sourceName", "videoType",
                    "to", "msgPayload", "from",
                ]),
                value(),
                0..10,
            ),
        ) {
            let mut map: Map<String, Value> =
                properties.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            map.insert("colibriClass".into(), class.into());
            Inbound::parse(&Value::Object(map).to_string());
        }
    }
}
