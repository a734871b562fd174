//! What everybody in a room shares: a JSON table that moderators write and clients and the focus read.

use serde_json::{Map, Value, json};

use crate::stanza_error::Refusal;

/// The metadata of one room.
#[derive(Debug, Default)]
pub(crate) struct Metadata(Map<String, Value>);

impl Metadata {
    /// Takes a moderator's command, `{"key":…,"data":…}`. The key, if its value is another now.
    pub(crate) fn take(&mut self, command: &str) -> Result<Option<String>, Refusal> {
        if command.len() > COMMAND_BYTES_MAX {
            return Err(Refusal::TooLarge);
        }
        let command: Value = serde_json::from_str(command).map_err(|_| Refusal::Malformed)?;
        let key = command.get("key").and_then(Value::as_str).ok_or(Refusal::Malformed)?;
        let data = command.get("data").filter(|data| !data.is_null()).ok_or(Refusal::Malformed)?;
        if BY_SERVER.contains(&key) {
            return Err(Refusal::KeyOfServer);
        }
        if key.len() > KEY_BYTES_MAX || (self.0.len() >= KEYS_MAX && !self.0.contains_key(key)) {
            return Err(Refusal::TooMany);
        }
        let others: usize = self.0.iter().filter(|(other, _)| *other != key).map(size).sum();
        if others + size((&key.to_owned(), data)) > BYTES_MAX {
            return Err(Refusal::TooLarge);
        }
        Ok(self.set(key, data.clone()).then(|| key.to_owned()))
    }

    /// Sets what the server decides. False if it was so already.
    pub(crate) fn set(&mut self, key: &str, data: Value) -> bool {
        self.0.insert(key.to_owned(), data.clone()).is_none_or(|old| old != data)
    }

    /// Sets one entry of the object at `key`; `None` takes it away. False if it was so already.
    pub(crate) fn set_entry(&mut self, key: &str, entry: &str, value: Option<Value>) -> bool {
        let mut object = self.0.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
        match value {
            Some(value) => object.insert(entry.to_owned(), value),
            None => object.remove(entry),
        };
        self.set(key, Value::Object(object))
    }

    /// The entry of the object at `key`.
    pub(crate) fn entry(&self, key: &str, entry: &str) -> Option<&Value> {
        self.0.get(key)?.get(entry)
    }

    /// Whether the entry of the object at `key` is `true`.
    pub(crate) fn is(&self, key: &str, entry: &str) -> bool {
        self.entry(key, entry) == Some(&Value::Bool(true))
    }

    /// The whole table as clients are told; nothing while there is none.
    pub(crate) fn told(&self) -> Option<Value> {
        (!self.0.is_empty()).then(|| json!({ "type": "room_metadata", "metadata": self.0 }))
    }
}

fn size((key, data): (&String, &Value)) -> usize {
    key.len() + data.to_string().len()
}

/// Keys that only the server writes.
const BY_SERVER: [&str; 14] = [
    "allownersEnabled",
    "asyncTranscription",
    "audioTranslationAvailable",
    "audioTranslationRequests",
    "conferencePresetsServiceEnabled",
    "dialinEnabled",
    "lobbyEnabled",
    "moderators",
    "participants",
    "participantsSoftLimit",
    "services",
    "transcriberType",
    "transcription",
    "visitorsEnabled",
];
/// Bytes of one command.
const COMMAND_BYTES_MAX: usize = 16 * 1_024;
/// Keys of one room; clients use about ten.
const KEYS_MAX: usize = 64;
const KEY_BYTES_MAX: usize = 64;
/// Bytes of one room's table: everybody who joins gets it.
const BYTES_MAX: usize = 32 * 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_and_a_repetition_is_not() {
        let mut metadata = Metadata::default();
        assert_eq!(metadata.told(), None);
        let command = r#"{"key":"startMuted","data":{"audio":true},"type":"room_metadata"}"#;
        assert_eq!(metadata.take(command), Ok(Some("startMuted".into())));
        assert_eq!(metadata.take(command), Ok(None));
        assert!(metadata.is("startMuted", "audio") && !metadata.is("startMuted", "video"));
        assert!(metadata.set_entry("startMuted", "audio", None));
        assert!(!metadata.is("startMuted", "audio"));
        assert_eq!(
            metadata.told(),
            Some(json!({ "type": "room_metadata", "metadata": { "startMuted": {} } }))
        );
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let long = format!(r#"{{"key":"a","data":"{}"}}"#, "x".repeat(COMMAND_BYTES_MAX));
        let rows = [
            ("", Refusal::Malformed),
            ("[]", Refusal::Malformed),
            (r#"{"key":"a"}"#, Refusal::Malformed),
            (r#"{"key":"a","data":null}"#, Refusal::Malformed),
            (r#"{"key":7,"data":1}"#, Refusal::Malformed),
            (r#"{"key":"services","data":[]}"#, Refusal::KeyOfServer),
            (r#"{"key":"moderators","data":["eve"]}"#, Refusal::KeyOfServer),
            (&long, Refusal::TooLarge),
        ];
        for (command, refusal) in rows {
            assert_eq!(Metadata::default().take(command), Err(refusal), "{command:.40}");
        }
    }

    #[test]
    fn a_table_has_a_limited_size() {
        let mut metadata = Metadata::default();
        let mut put = |key: usize, bytes: usize| {
            metadata.take(&format!(r#"{{"key":"k{key}","data":"{}"}}"#, "x".repeat(bytes)))
        };
        assert!(put(0, 15_000).is_ok() && put(1, 15_000).is_ok());
        assert_eq!(put(2, 5_000), Err(Refusal::TooLarge));
        assert!((2..KEYS_MAX).all(|key| put(key, 1).is_ok()));
        assert_eq!(put(KEYS_MAX, 1), Err(Refusal::TooMany));
    }
}
