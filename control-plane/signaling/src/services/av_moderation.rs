//! Who may unmute: moderators switch it per kind of source and let people through one by one.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// A kind of source that is moderated by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Microphones.
    Audio,
    /// Cameras.
    Video,
    /// Screen shares.
    Desktop,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 3] = [Kind::Audio, Kind::Video, Kind::Desktop];

    /// Reads the attribute value.
    pub fn parse(text: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == text)
    }

    /// The attribute value.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Audio => "audio",
            Kind::Video => "video",
            Kind::Desktop => "desktop",
        }
    }
}

/// Who may unmute in one room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AvModeration {
    moderated: [Option<Moderated>; 3],
}

/// One moderated kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Moderated {
    /// Nickname of who switched it on.
    actor: String,
    /// Nicknames.
    whitelist: BTreeSet<String>,
}

impl AvModeration {
    /// Whether `kind` is moderated.
    pub fn is_on(&self, kind: Kind) -> bool {
        self.of(kind).is_some()
    }

    /// Whether the occupant `nick` may send `kind`.
    pub fn allows(&self, kind: Kind, nick: &str) -> bool {
        self.of(kind).is_none_or(|moderated| moderated.whitelist.contains(nick))
    }

    /// Switches moderation of `kind` on; `moderators` may unmute from the start. False if it was on.
    pub(crate) fn start(
        &mut self,
        kind: Kind,
        actor: &str,
        moderators: impl Iterator<Item = String>,
    ) -> bool {
        let moderated = self.slot(kind);
        if moderated.is_some() {
            return false;
        }
        *moderated = Some(Moderated { actor: actor.to_owned(), whitelist: moderators.collect() });
        true
    }

    /// Switches moderation of `kind` off. False if it was off.
    pub(crate) fn stop(&mut self, kind: Kind) -> bool {
        self.slot(kind).take().is_some()
    }

    /// Lets `nick` unmute. False if it may already.
    pub(crate) fn allow(&mut self, kind: Kind, nick: &str) -> bool {
        self.slot(kind).as_mut().is_some_and(|moderated| moderated.whitelist.insert(nick.to_owned()))
    }

    /// Takes that back. False if there is nothing to take back.
    pub(crate) fn disallow(&mut self, kind: Kind, nick: &str) -> bool {
        self.slot(kind).as_mut().is_some_and(|moderated| moderated.whitelist.remove(nick))
    }

    /// Forgets who left: whoever comes back under the nickname is somebody else.
    pub(crate) fn forget(&mut self, nick: &str) {
        for moderated in self.moderated.iter_mut().flatten() {
            moderated.whitelist.remove(nick);
        }
    }

    /// What everybody is told about `kind`.
    pub(crate) fn state(&self, kind: Kind, room: &str, actor: &str) -> Value {
        let actor = self.of(kind).map_or(actor, |moderated| moderated.actor.as_str());
        json!({
            "type": TYPE, "enabled": self.is_on(kind), "room": room,
            "actor": format!("{room}/{actor}"), "mediaType": kind.name(),
        })
    }

    /// What moderators are told about who may unmute. Lists without entries are left out.
    pub(crate) fn whitelists(&self, kind: Kind, room: &str, removed: bool) -> Value {
        let lists = Kind::ALL.into_iter().filter_map(|kind| {
            let listed: Vec<String> =
                self.of(kind)?.whitelist.iter().map(|nick| format!("{room}/{nick}")).collect();
            (!listed.is_empty()).then(|| (kind.name().to_owned(), json!(listed)))
        });
        let lists: serde_json::Map<String, Value> = lists.collect();
        let mut told = json!({ "type": TYPE, "room": room, "whitelists": lists, "mediaType": kind.name() });
        if removed {
            told["removed"] = true.into();
        }
        told
    }

    /// What somebody is told who may unmute now, or may no longer.
    pub(crate) fn verdict(kind: Kind, room: &str, approved: bool) -> Value {
        let verdict = if approved { "approved" } else { "removed" };
        json!({ "type": TYPE, "room": room, verdict: true, "mediaType": kind.name() })
    }

    fn of(&self, kind: Kind) -> Option<&Moderated> {
        self.moderated.get(kind as usize)?.as_ref()
    }

    fn slot(&mut self, kind: Kind) -> &mut Option<Moderated> {
        let [audio, video, desktop] = &mut self.moderated;
        match kind {
            Kind::Audio => audio,
            Kind::Video => video,
            Kind::Desktop => desktop,
        }
    }
}

/// The `type` of its messages.
const TYPE: &str = "av_moderation";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_listed_may_unmute_while_a_kind_is_moderated() {
        let mut moderation = AvModeration::default();
        assert!(moderation.allows(Kind::Audio, "bob"), "nothing is moderated at first");
        assert!(moderation.start(Kind::Audio, "ann", ["ann".to_owned()].into_iter()));
        assert!(!moderation.start(Kind::Audio, "eve", ["eve".to_owned()].into_iter()), "it is on already");
        let may = |moderation: &AvModeration| {
            ["ann", "bob", "eve"].map(|nick| moderation.allows(Kind::Audio, nick))
        };
        assert_eq!(may(&moderation), [true, false, false]);
        assert!(moderation.allows(Kind::Video, "bob"), "each kind by itself");
        assert!(moderation.allow(Kind::Audio, "bob") && !moderation.allow(Kind::Audio, "bob"));
        assert_eq!(may(&moderation), [true, true, false]);
        assert!(moderation.disallow(Kind::Audio, "bob") && !moderation.disallow(Kind::Audio, "bob"));
        moderation.forget("ann");
        assert_eq!(may(&moderation), [false, false, false]);
        assert!(moderation.stop(Kind::Audio) && !moderation.stop(Kind::Audio));
        assert_eq!(may(&moderation), [true, true, true]);
    }

    #[test]
    fn messages_are_those_that_clients_read() {
        let room = "standup@conference.meet.example";
        let mut moderation = AvModeration::default();
        moderation.start(Kind::Video, "ann", ["ann".to_owned()].into_iter());
        let rows = [
            (
                moderation.state(Kind::Video, room, "bob"),
                json!({ "type": "av_moderation", "enabled": true, "room": room, "actor": format!("{room}/ann"), "mediaType": "video" }),
            ),
            (
                moderation.state(Kind::Audio, room, "bob"),
                json!({ "type": "av_moderation", "enabled": false, "room": room, "actor": format!("{room}/bob"), "mediaType": "audio" }),
            ),
            (
                moderation.whitelists(Kind::Video, room, true),
                json!({ "type": "av_moderation", "room": room, "whitelists": { "video": [format!("{room}/ann")] }, "mediaType": "video", "removed": true }),
            ),
            (
                AvModeration::verdict(Kind::Desktop, room, true),
                json!({ "type": "av_moderation", "room": room, "approved": true, "mediaType": "desktop" }),
            ),
        ];
        for (told, expected) in rows {
            assert_eq!(told, expected);
        }
    }
}
