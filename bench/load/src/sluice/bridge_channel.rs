//! Messages of the bridge channel, as far as a generator needs them.

use contract::session::Media;
use serde_json::{Value, json};

use crate::scenario::Wants;

/// What the bridge said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// SSRCs have new owners.
    Sources(Media, Vec<Mapped>),
    /// One of our sources is wanted at this height at most; −1 = any, 0 = not at all.
    Limit {
        /// Its name.
        source: String,
        /// Pixels.
        max_height: i32,
    },
}

/// One entry of a source map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapped {
    pub(super) ssrc: u32,
    pub(super) rtx: Option<u32>,
    pub(super) owner: String,
}

/// Reads a message; `None` for those that change nothing here.
pub(super) fn read(text: &str) -> Option<Said> {
    let message: Value = serde_json::from_str(text).ok()?;
    let media = match message["colibriClass"].as_str()? {
        "VideoSourcesMap" => Media::Video,
        "AudioSourcesMap" => Media::Audio,
        "SenderSourceConstraints" => {
            let source = message["sourceName"].as_str()?.to_owned();
            return Some(Said::Limit {
                source,
                max_height: i32::try_from(message["maxHeight"].as_i64()?).ok()?,
            });
        }
        _ => return None,
    };
    let number = |value: &Value| u32::try_from(value.as_u64()?).ok();
    let mapped = message["mappedSources"].as_array()?.iter().filter_map(|source| {
        let owner = source["owner"].as_str()?.to_owned();
        Some(Mapped { ssrc: number(&source["ssrc"])?, rtx: number(&source["rtx"]), owner })
    });
    Some(Said::Sources(media, mapped.collect()))
}

/// `ReceiverVideoConstraints`; `stage` is the endpoint on stage, if it is known.
pub(super) fn constraints(wants: &Wants, stage: Option<&str>) -> String {
    let mut message = json!({
        "colibriClass": "ReceiverVideoConstraints",
        "lastN": wants.last_n,
        "defaultConstraints": { "maxHeight": wants.max_height },
        "assumedBandwidthBps": -1,
    });
    if let Some(stage) = stage {
        let source = format!("{stage}-v0");
        message["onStageSources"] = json!([source]);
        message["constraints"] = json!({ source: { "maxHeight": wants.stage_height } });
    }
    message.to_string()
}

/// `SourceVideoTypeMessage` of our camera or screen.
pub(super) fn video_type(id: &str, screen: bool) -> String {
    let kind = if screen { "desktop" } else { "camera" };
    json!({ "colibriClass": "SourceVideoTypeMessage", "sourceName": format!("{id}-v0"), "videoType": kind })
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_and_limits_are_read_and_all_else_is_passed_over() {
        let video = r#"{"colibriClass":"VideoSourcesMap","mappedSources":[{"source":"c0-v0","owner":"c0","ssrc":1402003001,"rtx":5,"videoType":"CAMERA"}]}"#;
        let mapped = Mapped { ssrc: 1_402_003_001, rtx: Some(5), owner: "c0".into() };
        assert_eq!(read(video), Some(Said::Sources(Media::Video, vec![mapped])));
        let audio = r#"{"colibriClass":"AudioSourcesMap","mappedSources":[{"source":"c0-a0","owner":"c0","ssrc":7}]}"#;
        let mapped = Mapped { ssrc: 7, rtx: None, owner: "c0".into() };
        assert_eq!(read(audio), Some(Said::Sources(Media::Audio, vec![mapped])));
        let limit = r#"{"colibriClass":"SenderSourceConstraints","sourceName":"a-v0","maxHeight":-1}"#;
        assert_eq!(read(limit), Some(Said::Limit { source: "a-v0".into(), max_height: -1 }));
        for other in
            ["", "[]", "{}", r#"{"colibriClass":"ServerHello"}"#, r#"{"colibriClass":"VideoSourcesMap"}"#]
        {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn the_stage_is_named_once_it_is_known() {
        let wants = Wants { last_n: 20, max_height: 180, stage: Some(0), stage_height: 720 };
        let before: Value = serde_json::from_str(&constraints(&wants, None)).unwrap();
        assert_eq!((&before["lastN"], &before["constraints"]), (&json!(20), &Value::Null));
        let after: Value = serde_json::from_str(&constraints(&wants, Some("ab"))).unwrap();
        assert_eq!(after["onStageSources"], json!(["ab-v0"]));
        assert_eq!(after["constraints"]["ab-v0"]["maxHeight"], 720);
    }
}
