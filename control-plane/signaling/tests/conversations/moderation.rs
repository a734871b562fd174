//! Moderation of senders: who is told, who may unmute, and what the bridge lets through.

use contract::Command;
use signaling::Output;

use crate::world::World;

/// An order to the service, of `name`.
fn order(attributes: &str) -> String {
    format!(
        "<message xmlns='jabber:client' to='avmoderation.meet.example'><av_moderation {attributes}/></message>"
    )
}

#[test]
fn moderation_is_told_to_all_and_the_list_of_those_who_may_unmute_to_moderators() {
    let (on, off) = (order("enable='true' mediaType='audio'"), order("enable='false' mediaType='audio'"));
    let approve = order("mediaType='audio' jidToWhitelist='{room}/{Bob.nick}'");
    let reject = order("mediaType='audio' jidToBlacklist='{room}/{Bob.nick}'");
    World::new().run(&format!(
        "
        Ann opens
        Ann joins
        Bob opens
        Bob joins
        forget
        Ann > {on}
        Ann < <message xmlns='jabber:client' from='metadata.meet.example' *\"startMuted\":{{\"audio\":true}}*
        Ann < <message xmlns='jabber:client' from='avmoderation.meet.example' to='{{Ann}}'><json-message xmlns='http://jitsi.org/jitmeet'>{{\"actor\":\"{{room}}/{{Ann.nick}}\",\"enabled\":true,\"mediaType\":\"audio\",\"room\":\"{{room}}\",\"type\":\"av_moderation\"}}</json-message></message>
        Ann < <message *\"whitelists\":{{\"audio\":[\"{{room}}/{{Ann.nick}}\"]}}*
        Bob < <message xmlns='jabber:client' from='metadata.meet.example' *
        Bob < <message *\"enabled\":true*
        Bob < <iq *<mute xmlns='http://jitsi.org/jitmeet/audio'>true</mute>*
        Bob > <iq xmlns='jabber:client' type='set' id='u' to='{{room}}/focus'><mute xmlns='http://jitsi.org/jitmeet/audio' jid='{{room}}/{{Bob.nick}}'>false</mute></iq>
        Bob < <iq *id='u' type='error' *<not-allowed *
        Ann > {approve}
        Ann < <message *\"whitelists\":{{\"audio\":[\"{{room}}/*\",\"{{room}}/*\"]}}*
        Bob < <message *\"approved\":true,\"mediaType\":\"audio\"*
        Bob > <iq xmlns='jabber:client' type='set' id='u' to='{{room}}/focus'><mute xmlns='http://jitsi.org/jitmeet/audio' jid='{{room}}/{{Bob.nick}}'>false</mute></iq>
        Bob < <iq *id='u' type='result' *
        Ann > {reject}
        Ann < <message *\"removed\":true*
        Bob < <message *\"removed\":true*
        Cid opens
        Cid > <presence xmlns='jabber:client' to='{{room}}/{{Cid.nick}}'><x xmlns='http://jabber.org/protocol/muc'/></presence>
        Cid learns state from from='avmoderation.meet.example'*</json-message>
        forget
        Ann > {off}
        Bob < <message xmlns='jabber:client' from='metadata.meet.example' *\"startMuted\":{{}}*
        Bob < <message *\"enabled\":false*
        Ann > {approve}
        Bob < <message *\"approved\":true*
        "
    ));
}

#[test]
fn only_moderators_of_the_room_moderate_and_only_its_occupants_are_listed() {
    let rows = [
        ("Bob", order("enable='true' mediaType='audio'"), "forbidden"),
        (
            "Eve",
            order("enable='true' mediaType='audio'").replace("to=", "from='{Ann}' to="),
            "not-acceptable",
        ),
        ("Ann", order("enable='true' mediaType='smell'"), "bad-request"),
        ("Ann", order("enable='true'"), "bad-request"),
        ("Ann", order("enable='maybe' mediaType='audio'"), "bad-request"),
        ("Ann", order("mediaType='audio' jidToWhitelist='{room}/nobody'"), "item-not-found"),
        ("Ann", order("mediaType='audio' jidToWhitelist='{room}/focus'"), "item-not-found"),
        (
            "Ann",
            order("mediaType='audio' jidToWhitelist='other@conference.meet.example/{Bob.nick}'"),
            "item-not-found",
        ),
        ("Ann", order("mediaType='audio'"), "bad-request"),
        (
            "Ann",
            "<message xmlns='jabber:client' to='avmoderation.meet.example'><x/></message>".into(),
            "bad-request",
        ),
    ];
    for (name, order, condition) in rows {
        World::new().run(&format!(
            "
            Ann opens
            Ann joins
            Bob opens
            Bob joins
            Eve opens
            forget
            {name} > {order}
            {name} < <message * type='error'><error type='*'><{condition} *
            Ann <
            Bob <
            "
        ));
    }
}

#[test]
fn what_moderation_forbids_the_bridge_discards_for_those_inside_and_those_who_come() {
    let mut world = World::new();
    let muted = |world: &mut World| -> Vec<(bool, bool)> {
        let commands = std::mem::take(&mut world.commands);
        let mutes = commands.into_iter().filter_map(|output| match output {
            Output::Command(Command::SetForceMute { audio, video, .. }) => Some((audio, video)),
            _ => None,
        });
        mutes.collect()
    };
    let tells = "<query xmlns='http://jabber.org/protocol/disco#info'><feature var='urn:xmpp:jingle:apps:rtp:audio'/><feature var='urn:xmpp:jingle:apps:rtp:video'/></query>";
    let discovered = |name: &str| {
        format!(
            "{name} learns asked from type='get' id='*' \n
             {name} > <iq xmlns='jabber:client' type='result' id='{{asked}}' to='{{room}}/focus'>{tells}</iq>"
        )
    };
    world.run("Ann opens\nAnn arrives\n");
    world.run(&discovered("Ann"));
    world.run("Bob opens\nBob arrives\n");
    world.run(&discovered("Bob"));
    assert_eq!(muted(&mut world), []);
    world.run(&format!("Ann > {}", order("enable='true' mediaType='audio'")));
    assert_eq!(muted(&mut world), [(true, false)], "Bob, not Ann");
    world.run("Cid opens\nCid arrives\n");
    world.run(&discovered("Cid"));
    assert_eq!(muted(&mut world), [(true, false)], "Cid from the start");
    world.run(&format!("Ann > {}", order("enable='true' mediaType='video'")));
    assert_eq!(muted(&mut world), [], "a screen may still be shared");
    world.run(&format!("Ann > {}", order("enable='true' mediaType='desktop'")));
    assert_eq!(muted(&mut world), [(true, true), (true, true)]);
    world.run(&format!("Ann > {}", order("mediaType='audio' jidToWhitelist='{room}/{Bob.nick}'")));
    assert_eq!(muted(&mut world), [(false, true)]);
    world.run(&format!("Ann > {}", order("enable='false' mediaType='audio'")));
    assert_eq!(muted(&mut world), [(false, true)], "Cid");
}
