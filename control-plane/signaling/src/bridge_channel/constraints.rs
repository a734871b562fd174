//! What a receiver asks for, by source name: merged from partial messages, resolved to identities when they are known.

use std::collections::{BTreeMap, HashSet};

use contract::SourceId;
use contract::limits::CONSTRAINTS_MAX;
use contract::session::{AudioSubscription, ReceiverConstraints, VideoConstraint};
use serde_json::{Map, Value};

use super::message::integer;

/// Longest source name that is remembered: an endpoint id, a hyphen and an index.
const NAME_BYTES_MAX: usize = 256;

/// The default height when the first message leaves it out, in pixels.
const DEFAULT_HEIGHT: u16 = 180;

/// A `ReceiverVideoConstraints` message: what is absent keeps its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VideoUpdate {
    last_n: Option<i32>,
    selected: Option<Vec<String>>,
    on_stage: Option<Vec<String>>,
    default: Option<VideoConstraint>,
    sources: Option<BTreeMap<String, VideoConstraint>>,
    assumed_bandwidth: Option<i64>,
}

impl VideoUpdate {
    /// Reads the message; `None` if a property has the wrong type. Lists are cut at
    /// [`contract::limits::CONSTRAINTS_MAX`] entries.
    pub fn parse(message: &Map<String, Value>) -> Option<VideoUpdate> {
        let mut update = VideoUpdate::default();
        for (key, value) in message.iter().filter(|(_, value)| !value.is_null()) {
            match key.as_str() {
                "lastN" => update.last_n = Some(integer(value)?),
                "selectedSources" => update.selected = Some(names(value)?),
                "onStageSources" => update.on_stage = Some(names(value)?),
                "defaultConstraints" => update.default = Some(constraint(value)?),
                "constraints" => update.sources = Some(constraints(value)?),
                // Any number: bandwidths may exceed 32 bits.
                "assumedBandwidthBps" => update.assumed_bandwidth = Some(value.as_f64()? as i64),
                _ => {}
            }
        }
        Some(update)
    }
}

fn names(value: &Value) -> Option<Vec<String>> {
    let names: Vec<&str> = value.as_array()?.iter().map(Value::as_str).collect::<Option<_>>()?;
    let mut seen = HashSet::new();
    let kept = names.into_iter().filter(|name| name.len() <= NAME_BYTES_MAX && seen.insert(*name));
    Some(kept.take(CONSTRAINTS_MAX).map(str::to_owned).collect())
}

fn constraints(value: &Value) -> Option<BTreeMap<String, VideoConstraint>> {
    let entries = value.as_object()?.iter().map(|(name, value)| Some((name.clone(), constraint(value)?)));
    let entries: Vec<(String, VideoConstraint)> = entries.collect::<Option<_>>()?;
    Some(entries.into_iter().filter(|(name, _)| name.len() <= NAME_BYTES_MAX).take(CONSTRAINTS_MAX).collect())
}

/// A frame rate of 0 means nothing is wanted; other frame rates have no effect.
fn constraint(value: &Value) -> Option<VideoConstraint> {
    let object = value.as_object()?;
    let height = match object.get("maxHeight") {
        None | Some(Value::Null) => -1,
        Some(height) => integer(height)?,
    };
    let no_frames = match object.get("maxFrameRate") {
        None | Some(Value::Null) => false,
        Some(rate) => rate.as_f64()? == 0.0,
    };
    let max_height = match height {
        _ if no_frames => 0,
        ..0 => VideoConstraint::UNLIMITED,
        _ => u16::try_from(height).unwrap_or(VideoConstraint::UNLIMITED),
    };
    Some(VideoConstraint { max_height })
}

/// What a receiver wants to see, merged over its messages.
#[derive(Clone, Debug)]
pub struct VideoSelection {
    spoken: bool,
    last_n: i32,
    selected: Vec<String>,
    on_stage: Vec<String>,
    default: VideoConstraint,
    sources: BTreeMap<String, VideoConstraint>,
    assumed_bandwidth: i64,
}

impl Default for VideoSelection {
    /// Nothing, until the receiver speaks.
    fn default() -> Self {
        VideoSelection {
            spoken: false,
            last_n: -1,
            selected: Vec::new(),
            on_stage: Vec::new(),
            default: VideoConstraint::NONE,
            sources: BTreeMap::new(),
            assumed_bandwidth: -1,
        }
    }
}

impl VideoSelection {
    /// The last-n that holds until the receiver's first constraints; ignored afterwards.
    pub fn set_initial_last_n(&mut self, last_n: i32) {
        if !self.spoken {
            self.last_n = last_n;
        }
    }

    /// The receiver changed nothing but its last-n.
    pub fn set_last_n(&mut self, last_n: i32) {
        self.last_n = last_n;
    }

    /// Merges a message.
    pub fn update(&mut self, update: VideoUpdate) {
        if !self.spoken {
            self.spoken = true;
            self.last_n = -1;
            self.default = VideoConstraint { max_height: DEFAULT_HEIGHT };
        }
        self.last_n = update.last_n.unwrap_or(self.last_n);
        self.default = update.default.unwrap_or(self.default);
        self.assumed_bandwidth = update.assumed_bandwidth.unwrap_or(self.assumed_bandwidth);
        if let Some(selected) = update.selected {
            self.selected = selected;
        }
        if let Some(on_stage) = update.on_stage {
            self.on_stage = on_stage;
        }
        if let Some(sources) = update.sources {
            self.sources = sources;
        }
    }

    /// Whether the source `name` is mentioned.
    pub fn mentions(&self, name: &str) -> bool {
        let listed = |names: &[String]| names.iter().any(|listed| listed == name);
        self.sources.contains_key(name) || listed(&self.on_stage) || listed(&self.selected)
    }

    /// Whether the receiver looks at the source `name` in particular.
    pub fn looks_at(&self, name: &str) -> bool {
        let constraint = self.sources.get(name).copied().unwrap_or(self.default);
        constraint.max_height > 0 || self.on_stage.iter().chain(&self.selected).any(|listed| listed == name)
    }

    /// The constraints with all names that `resolve` knows; an assumed bandwidth is clamped to `bandwidth_max` and
    /// ignored without one.
    pub fn resolve(
        &self,
        resolve: impl Fn(&str) -> Option<SourceId>,
        bandwidth_max: Option<u64>,
    ) -> ReceiverConstraints {
        let all = |names: &[String]| names.iter().filter_map(|name| resolve(name)).collect();
        let assumed = u64::try_from(self.assumed_bandwidth).ok();
        ReceiverConstraints {
            last_n: u16::try_from(self.last_n).ok(),
            on_stage: all(&self.on_stage),
            selected: all(&self.selected),
            default: self.default,
            sources: (self.sources.iter())
                .filter_map(|(name, constraint)| Some((resolve(name)?, *constraint)))
                .collect(),
            assumed_bandwidth: assumed.zip(bandwidth_max).map(|(assumed, max)| assumed.min(max)),
        }
    }
}

/// What a receiver wants to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioSelection {
    all: bool,
    include: Vec<String>,
    exclude: Vec<String>,
}

impl AudioSelection {
    /// Reads a `ReceiverAudioSubscription` in its present form (`all`, `include`, `exclude`) or its old one (`mode`,
    /// `list`); `None` if a property has the wrong type.
    pub fn parse(message: &Map<String, Value>) -> Option<AudioSelection> {
        let list = |key| match message.get(key) {
            None | Some(Value::Null) => Some(Vec::new()),
            Some(value) => names(value),
        };
        if let Some(mode) = message.get("mode") {
            let (list, mode) = (list("list")?, mode.as_str()?.to_ascii_lowercase());
            return Some(match mode.as_str() {
                "all" => AudioSelection { all: true, include: Vec::new(), exclude: Vec::new() },
                "none" => AudioSelection { all: false, include: Vec::new(), exclude: Vec::new() },
                "include" => AudioSelection { all: false, include: list, exclude: Vec::new() },
                "exclude" => AudioSelection { all: true, include: Vec::new(), exclude: list },
                _ => return None,
            });
        }
        let (include, exclude) = (list("include")?, list("exclude")?);
        let all = match message.get("all") {
            None | Some(Value::Null) => include.is_empty(),
            Some(all) => all.as_bool()?,
        };
        Some(AudioSelection { all, include, exclude })
    }

    /// Whether the source `name` is mentioned.
    pub fn mentions(&self, name: &str) -> bool {
        self.include.iter().chain(&self.exclude).any(|listed| listed == name)
    }

    /// The subscription with all names that `resolve` knows.
    pub fn resolve(&self, resolve: impl Fn(&str) -> Option<SourceId>) -> AudioSubscription {
        let all = |names: &[String]| names.iter().filter_map(|name| resolve(name)).collect();
        AudioSubscription { all: self.all, include: all(&self.include), exclude: all(&self.exclude) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(text: &str) -> Option<VideoUpdate> {
        VideoUpdate::parse(serde_json::from_str::<Value>(text).expect("JSON").as_object().expect("an object"))
    }

    fn resolve(name: &str) -> Option<SourceId> {
        ["b-v0", "c-v0"].iter().position(|known| *known == name).map(|index| SourceId(index as u64))
    }

    fn height(max_height: u16) -> VideoConstraint {
        VideoConstraint { max_height }
    }

    #[test]
    fn before_the_first_message_nothing_is_wanted_and_after_it_180_by_default() {
        let mut selection = VideoSelection::default();
        assert_eq!(selection.resolve(resolve, None), ReceiverConstraints::default());
        selection.update(update(r#"{"lastN":-1,"assumedBandwidthBps":-1}"#).expect("valid"));
        assert_eq!(selection.resolve(resolve, None).default, height(180));
    }

    #[test]
    fn absent_properties_keep_their_value_and_constraints_are_replaced_whole() {
        let mut selection = VideoSelection::default();
        let first = r#"{"lastN":12,"selectedSources":["c-v0"],"onStageSources":["b-v0"],
            "defaultConstraints":{"maxHeight":90},"constraints":{"b-v0":{"maxHeight":1080},"c-v0":{"maxHeight":-1}}}"#;
        selection.update(update(first).expect("valid"));
        selection
            .update(update(r#"{"constraints":{"c-v0":{"maxHeight":720,"maxFrameRate":0}}}"#).expect("valid"));
        let expected = ReceiverConstraints {
            last_n: Some(12),
            on_stage: vec![SourceId(0)],
            selected: vec![SourceId(1)],
            default: height(90),
            sources: vec![(SourceId(1), height(0))],
            assumed_bandwidth: None,
        };
        assert_eq!(selection.resolve(resolve, None), expected);
    }

    #[test]
    fn unknown_names_are_kept_until_they_are_known() {
        let mut selection = VideoSelection::default();
        selection
            .update(update(r#"{"onStageSources":["new-v0"],"constraints":{"new-v0":{}}}"#).expect("valid"));
        assert!(selection.mentions("new-v0"));
        assert!(selection.resolve(resolve, None).on_stage.is_empty());
        let later = selection.resolve(|name| (name == "new-v0").then_some(SourceId(9)), None);
        assert_eq!((later.on_stage, later.sources.len()), (vec![SourceId(9)], 1));
    }

    #[test]
    fn the_initial_last_n_ends_with_the_first_message() {
        let mut selection = VideoSelection::default();
        selection.set_initial_last_n(5);
        assert_eq!(selection.resolve(resolve, None).last_n, Some(5));
        selection.update(VideoUpdate::default());
        selection.set_initial_last_n(7);
        assert_eq!(selection.resolve(resolve, None).last_n, None);
    }

    #[test]
    fn an_assumed_bandwidth_counts_only_within_the_configured_limit() {
        let mut selection = VideoSelection::default();
        selection.update(update(r#"{"assumedBandwidthBps":9000000000}"#).expect("valid"));
        assert_eq!(selection.resolve(resolve, None).assumed_bandwidth, None);
        assert_eq!(selection.resolve(resolve, Some(5)).assumed_bandwidth, Some(5));
    }

    #[test]
    fn lists_are_cut_and_wrong_types_refused() {
        let names: Vec<String> = (0..CONSTRAINTS_MAX + 9).map(|n| format!("\"{n}-v0\"")).collect();
        let many = update(&format!("{{\"selectedSources\":[{}]}}", names.join(","))).expect("valid");
        assert_eq!(many.selected.map(|names| names.len()), Some(CONSTRAINTS_MAX));
        let repeated = update(r#"{"onStageSources":["b-v0","c-v0","b-v0"]}"#).expect("valid");
        assert_eq!(repeated.on_stage, Some(vec!["b-v0".to_owned(), "c-v0".to_owned()]));
        for bad in [r#"{"lastN":"1"}"#, r#"{"onStageSources":[1]}"#, r#"{"constraints":{"a":1}}"#] {
            assert_eq!(update(bad), None, "{bad}");
        }
    }

    #[test]
    fn audio_subscriptions_are_read_in_both_forms() {
        let parse = |text: &str| {
            AudioSelection::parse(
                serde_json::from_str::<Value>(text).expect("JSON").as_object().expect("object"),
            )
        };
        let selection = |all, include: &[&str], exclude: &[&str]| AudioSelection {
            all,
            include: include.iter().map(|name| name.to_string()).collect(),
            exclude: exclude.iter().map(|name| name.to_string()).collect(),
        };
        let rows = [
            (r#"{"all":true,"include":["a"],"exclude":["b"]}"#, Some(selection(true, &["a"], &["b"]))),
            (r#"{"mode":"Include","list":["a"]}"#, Some(selection(false, &["a"], &[]))),
            (r#"{"mode":"EXCLUDE","list":["a"]}"#, Some(selection(true, &[], &["a"]))),
            (r#"{"mode":"none"}"#, Some(selection(false, &[], &[]))),
            (r#"{}"#, Some(selection(true, &[], &[]))),
            (r#"{"include":["a"]}"#, Some(selection(false, &["a"], &[]))),
            (r#"{"all":"yes"}"#, None),
            (r#"{"mode":"loud"}"#, None),
        ];
        for (text, expected) in rows {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
