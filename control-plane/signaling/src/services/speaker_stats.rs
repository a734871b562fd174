//! Who spoke for how long, and with which face: clients report themselves, those who come later are told.

use std::collections::BTreeMap;

use contract::{Duration, Timestamp};
use serde_json::{Value, json};

/// The speaker statistics of one room.
#[derive(Debug, Default)]
pub(crate) struct SpeakerStats {
    speakers: BTreeMap<String, Speaker>,
    /// Who speaks, and since when.
    dominant: Option<(String, Timestamp)>,
}

#[derive(Debug, Default)]
struct Speaker {
    /// Of somebody who left; the others' names are in their presence.
    left_as: Option<String>,
    spoken: Duration,
    faces: Vec<Value>,
}

impl SpeakerStats {
    /// `nick` became the dominant speaker, or fell silent as one.
    pub(crate) fn speaks(&mut self, nick: &str, silence: bool, now: Timestamp) {
        let is_dominant = self.dominant.as_ref().is_some_and(|(dominant, _)| dominant == nick);
        if silence && !is_dominant {
            return;
        }
        self.pause(now);
        if !silence && self.speaker(nick).is_some() {
            self.dominant = Some((nick.to_owned(), now));
        }
    }

    /// `nick` made a face for `duration` (as the client counts it), at `timestamp`.
    pub(crate) fn face(&mut self, nick: &str, expression: &str, duration: u64, timestamp: u64) {
        let face = json!({ "faceExpression": expression, "duration": duration, "timestamp": timestamp });
        if let Some(speaker) = self.speaker(nick).filter(|_| expression.len() <= EXPRESSION_BYTES_MAX) {
            speaker.faces.push(face);
            if speaker.faces.len() > FACES_MAX {
                speaker.faces.remove(0);
            }
        }
    }

    /// `nick` left; from now on only this knows its name.
    pub(crate) fn left(&mut self, nick: &str, name: Option<String>, now: Timestamp) {
        if self.dominant.as_ref().is_some_and(|(dominant, _)| dominant == nick) {
            self.pause(now);
        }
        if let Some(speaker) = self.speakers.get_mut(nick) {
            speaker.left_as = Some(name.unwrap_or_default());
        }
    }

    /// `nick` is (back) in the room.
    pub(crate) fn joined(&mut self, nick: &str) {
        if let Some(speaker) = self.speakers.get_mut(nick) {
            speaker.left_as = None;
        }
    }

    /// Everything so far, for someone who came in; nothing if nobody spoke.
    pub(crate) fn told(&self, now: Timestamp) -> Option<Value> {
        let users = self.speakers.iter().map(|(nick, speaker)| {
            let mut spoken = speaker.spoken;
            if let Some((_, since)) = self.dominant.as_ref().filter(|(dominant, _)| dominant == nick) {
                spoken += now.since(*since);
            }
            let mut user = json!({
                "totalDominantSpeakerTime": u64::try_from(spoken.as_millis()).unwrap_or(u64::MAX),
                "faceLandmarks": speaker.faces,
            });
            if let Some(name) = &speaker.left_as {
                user["displayName"] = name.as_str().into();
            }
            (nick.clone(), user)
        });
        let users: serde_json::Map<String, Value> = users.collect();
        (!users.is_empty()).then(|| json!({ "type": "speakerstats", "users": users }))
    }

    fn pause(&mut self, now: Timestamp) {
        if let Some((nick, since)) = self.dominant.take()
            && let Some(speaker) = self.speakers.get_mut(&nick)
        {
            speaker.spoken += now.since(since);
        }
    }

    /// The entry of `nick`; at the limit somebody who left makes room, the others have none.
    fn speaker(&mut self, nick: &str) -> Option<&mut Speaker> {
        if self.speakers.len() >= SPEAKERS_MAX && !self.speakers.contains_key(nick) {
            let gone = self.speakers.iter().find(|(_, speaker)| speaker.left_as.is_some());
            let gone = gone.map(|(nick, _)| nick.clone())?;
            self.speakers.remove(&gone);
        }
        Some(self.speakers.entry(nick.to_owned()).or_default())
    }
}

/// People whose time a room remembers; each is told to everybody who joins.
const SPEAKERS_MAX: usize = 500;
/// Faces remembered of one person.
const FACES_MAX: usize = 50;
/// Longest name of an expression; the longest in use has nine characters.
const EXPRESSION_BYTES_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn spoken(stats: &SpeakerStats, nick: &str, now: u64) -> Value {
        stats.told(at(now)).unwrap_or_default()["users"][nick]["totalDominantSpeakerTime"].clone()
    }

    #[test]
    fn a_speaker_s_time_runs_until_another_speaks_or_it_falls_silent_or_leaves() {
        let mut stats = SpeakerStats::default();
        assert_eq!(stats.told(at(0)), None);
        stats.speaks("ann", false, at(0));
        assert_eq!(spoken(&stats, "ann", 4), 4_000);
        stats.speaks("bob", true, at(5));
        assert_eq!(spoken(&stats, "ann", 6), 6_000, "the silence of others ends nothing");
        stats.speaks("bob", false, at(10));
        stats.speaks("bob", true, at(12));
        stats.speaks("ann", false, at(20));
        stats.left("ann", Some("Ann".into()), at(21));
        assert_eq!([spoken(&stats, "ann", 99), spoken(&stats, "bob", 99)], [json!(11_000), json!(2_000)]);
        assert_eq!(stats.told(at(99)).unwrap()["users"]["ann"]["displayName"], "Ann");
        assert_eq!(stats.told(at(99)).unwrap()["users"]["bob"].get("displayName"), None);
    }

    #[test]
    fn people_and_faces_are_limited_in_number() {
        let mut stats = SpeakerStats::default();
        for i in 0..SPEAKERS_MAX + 10 {
            stats.speaks(&format!("n{i}"), false, at(0));
        }
        assert_eq!(stats.speakers.len(), SPEAKERS_MAX);
        stats.left("n3", None, at(1));
        stats.speaks("late", false, at(2));
        assert!(stats.speakers.contains_key("late") && !stats.speakers.contains_key("n3"));
        (0..FACES_MAX + 10).for_each(|i| stats.face("late", "happy", 1, i as u64));
        assert_eq!(stats.speakers["late"].faces.len(), FACES_MAX);
    }
}
