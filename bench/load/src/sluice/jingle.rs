//! Jingle from the client's side: reading the offer, writing the answer, reading sources (XEP-0166, 0167, 0176, 0320, 0339).

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use contract::session::{Codec, ExtensionIds, Media, PayloadType, PayloadTypes};
use serde_json::Value;
use xmpp::Element;

use crate::peer::{PeerError, RemoteSource, Seat, codec_name};

pub(super) const JINGLE: &str = "urn:xmpp:jingle:1";
const RTP: &str = "urn:xmpp:jingle:apps:rtp:1";
const RTCP_FB: &str = "urn:xmpp:jingle:apps:rtp:rtcp-fb:0";
const HDREXT: &str = "urn:xmpp:jingle:apps:rtp:rtp-hdrext:0";
const SSMA: &str = "urn:xmpp:jingle:apps:rtp:ssma:0";
const ICE_UDP: &str = "urn:xmpp:jingle:transports:ice-udp:1";
const DTLS: &str = "urn:xmpp:jingle:apps:dtls:0";
const JITMEET: &str = "http://jitsi.org/jitmeet";

/// A `session-initiate`.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    pub(super) sid: String,
    pub(super) ufrag: String,
    pub(super) pwd: String,
    pub(super) fingerprints: Vec<(String, String)>,
    pub(super) candidates: Vec<(u32, SocketAddr)>,
    pub(super) payload_types: PayloadTypes,
    pub(super) extensions: ExtensionIds,
    pub(super) data_channel: bool,
}

impl Offer {
    /// Reads `<jingle/>`.
    pub(super) fn read(jingle: &Element) -> Result<Offer, PeerError> {
        let missing = |what: &str| PeerError(format!("the offer has no {what}"));
        let contents = || jingle.children_named("content", JINGLE);
        let transport = contents()
            .find_map(|content| content.child("transport", ICE_UDP))
            .ok_or_else(|| missing("transport"))?;
        let attribute =
            |name: &str| transport.attribute(name).map(str::to_owned).ok_or_else(|| missing(name));
        let fingerprints = transport.children_named("fingerprint", DTLS);
        let candidates = transport.children_named("candidate", ICE_UDP).filter_map(candidate);
        let mut offer = Offer {
            sid: jingle.attribute("sid").ok_or_else(|| missing("sid"))?.to_owned(),
            ufrag: attribute("ufrag")?,
            pwd: attribute("pwd")?,
            fingerprints: fingerprints
                .map(|print| (print.attribute("hash").unwrap_or_default().to_owned(), print.text()))
                .collect(),
            candidates: candidates.collect(),
            payload_types: PayloadTypes::new(),
            extensions: ExtensionIds::default(),
            data_channel: contents().any(|content| content.attribute("name") == Some("data")),
        };
        for description in contents().filter_map(|content| content.child("description", RTP)) {
            payload_types(description, &mut offer.payload_types);
            extensions(description, &mut offer.extensions);
        }
        Ok(offer)
    }

    /// The candidate to use: the one at the address of signalling, else the best.
    pub(super) fn address(&self, signalling: IpAddr) -> Result<SocketAddr, PeerError> {
        let same = |(_, address): &&(u32, SocketAddr)| address.ip() == signalling;
        let best = || {
            let family = |(_, address): &&(u32, SocketAddr)| address.is_ipv4() == signalling.is_ipv4();
            self.candidates.iter().filter(family).max_by_key(|(priority, _)| *priority)
        };
        let chosen = self.candidates.iter().find(same).or_else(best);
        chosen.map(|(_, address)| *address).ok_or_else(|| PeerError("the offer has no UDP candidate".into()))
    }
}

fn candidate(element: &Element) -> Option<(u32, SocketAddr)> {
    if !element.attribute("protocol")?.eq_ignore_ascii_case("udp") {
        return None;
    }
    let ip: IpAddr = element.attribute("ip")?.parse().ok()?;
    Some((
        element.attribute("priority")?.parse().ok()?,
        SocketAddr::new(ip, element.attribute("port")?.parse().ok()?),
    ))
}

fn payload_types(description: &Element, known: &mut PayloadTypes) {
    let mut repairs = Vec::new();
    for element in description.children_named("payload-type", RTP) {
        let number = |name: &str| element.attribute(name).and_then(|value| value.parse().ok());
        let Some(id) = number("id") else { continue };
        let name = element.attribute("name").unwrap_or_default().to_ascii_lowercase();
        let codec = match name.as_str() {
            "opus" => Codec::Opus,
            "vp8" => Codec::Vp8,
            "vp9" => Codec::Vp9,
            "h264" => Codec::H264,
            "av1" => Codec::Av1,
            "rtx" => {
                let mut parameters = element.children_named("parameter", RTP);
                let of = parameters.find(|parameter| parameter.attribute("name") == Some("apt"));
                let of = of.and_then(|parameter| parameter.attribute("value")?.parse::<u8>().ok());
                repairs.extend(of.map(|of| (of, id as u8)));
                continue;
            }
            _ => continue,
        };
        let transport_cc =
            element.children_named("rtcp-fb", RTCP_FB).any(|fb| fb.attribute("type") == Some("transport-cc"));
        let clock_rate = number("clockrate").unwrap_or(90_000);
        // More than fit are more than anybody offers.
        let _ = known.try_push(PayloadType { number: id as u8, codec, clock_rate, rtx: None, transport_cc });
    }
    for (of, rtx) in repairs {
        known.iter_mut().filter(|known| known.number == of).for_each(|known| known.rtx = Some(rtx));
    }
}

fn extensions(description: &Element, ids: &mut ExtensionIds) {
    for element in description.children_named("rtp-hdrext", HDREXT) {
        let id: Option<u8> = element.attribute("id").and_then(|id| id.parse().ok());
        match element.attribute("uri").unwrap_or_default() {
            "urn:ietf:params:rtp-hdrext:ssrc-audio-level" => ids.audio_level = id,
            "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time" => ids.absolute_send_time = id,
            "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01" => {
                ids.transport_cc = id
            }
            uri if uri.contains("dependency-descriptor-rtp-header-extension") => {
                ids.dependency_descriptor = id
            }
            _ => {}
        }
    }
    ids.allow_mixed |= description.child("extmap-allow-mixed", HDREXT).is_some();
}

/// The sources in a `session-initiate` or `source-add`, compact or as elements. Those of the bridge itself carry nothing.
pub(super) fn sources(jingle: &Element) -> Vec<RemoteSource> {
    let compact = jingle
        .child("json-message", JITMEET)
        .and_then(|json| serde_json::from_str::<Value>(&json.text()).ok());
    let Some(compact) = compact else { return Vec::new() };
    let mut sources = Vec::new();
    for (owner, lists) in
        compact["sources"].as_object().into_iter().flatten().filter(|(owner, _)| *owner != "jvb")
    {
        let groups: Vec<&Value> = lists[1].as_array().into_iter().flatten().collect();
        let pair = |group: &&Value| {
            (group[0] == "f").then(|| Some((number(&group[1])?, number(&group[2])?))).flatten()
        };
        let repairs: Vec<(u32, u32)> = groups.iter().filter_map(pair).collect();
        for (list, media) in [(0, Media::Video), (2, Media::Audio)] {
            for ssrc in lists[list].as_array().into_iter().flatten().filter_map(|source| number(&source["s"]))
            {
                if repairs.iter().any(|(_, rtx)| *rtx == ssrc) {
                    continue;
                }
                let rtx = repairs.iter().find(|(primary, _)| *primary == ssrc).map(|(_, rtx)| *rtx);
                sources.push(RemoteSource { ssrc, rtx, media, owner: Some(owner.clone()) });
            }
        }
    }
    sources
}

fn number(value: &Value) -> Option<u32> {
    u32::try_from(value.as_u64()?).ok()
}

/// The whole IQ that answers an offer.
pub(super) fn accept(offer: &Offer, seat: &Seat, id: &str, jid: &str, focus: &str) -> String {
    let transport = format!(
        "<transport xmlns='{ICE_UDP}' ufrag='{}' pwd='{}'><fingerprint xmlns='{DTLS}' hash='sha-256' setup='active'>{}\
         </fingerprint></transport>",
        seat.local.ufrag, seat.local.pwd, seat.local.fingerprint
    );
    let mut contents = String::new();
    for (media, name) in [(Media::Audio, "audio"), (Media::Video, "video")] {
        let types: String = offer
            .payload_types
            .iter()
            .filter(|known| known.codec.media() == media)
            .map(|known| {
                format!(
                    "<payload-type id='{}' name='{}' clockrate='{}'/>",
                    known.number,
                    codec_name(known.codec),
                    known.clock_rate
                )
            })
            .collect();
        let _ = write!(
            contents,
            "<content creator='responder' name='{name}' senders='both'><description xmlns='{RTP}' media='{name}'>{types}{}\
             <rtcp-mux/></description>{transport}</content>",
            own_sources(seat, id, media)
        );
    }
    if offer.data_channel {
        let transport = transport.replace(
            "</transport>",
            "<sctpmap xmlns='urn:xmpp:jingle:transports:dtls-sctp:1' number='5000' protocol='webrtc-datachannel' streams='0'/></transport>",
        );
        let _ =
            write!(contents, "<content creator='responder' name='data' senders='both'>{transport}</content>");
    }
    format!(
        "<iq xmlns='jabber:client' type='set' to='{focus}' id='accept'><jingle xmlns='{JINGLE}' action='session-accept' \
         initiator='{focus}' responder='{jid}' sid='{}'>{contents}</jingle></iq>",
        offer.sid
    )
}

fn own_sources(seat: &Seat, id: &str, media: Media) -> String {
    let source = |ssrc: u32, name: &str, kind: &str, more: &str| {
        format!(
            "<source xmlns='{SSMA}' ssrc='{ssrc}' name='{id}-{name}'{more}><parameter name='msid' \
             value='{id}-{kind}-0-1 track-{kind}-1'/></source>"
        )
    };
    let group = |semantics: &str, ssrcs: &[u32]| {
        let members: String = ssrcs.iter().map(|ssrc| format!("<source ssrc='{ssrc}'/>")).collect();
        format!("<ssrc-group xmlns='{SSMA}' semantics='{semantics}'>{members}</ssrc-group>")
    };
    if media == Media::Audio {
        return seat.streams.audio.map(|ssrc| source(ssrc, "a0", "audio", "")).unwrap_or_default();
    }
    let screen = seat.plan.video.as_ref().is_some_and(|video| video.screen);
    let kind = if screen { " videoType='desktop'" } else { " videoType='camera'" };
    let mut written = String::new();
    for (ssrc, rtx) in &seat.streams.video {
        written += &source(*ssrc, "v0", "video", kind);
        written += &source(*rtx, "v0", "video", kind);
    }
    if seat.streams.video.len() > 1 {
        let primaries: Vec<u32> = seat.streams.video.iter().map(|(ssrc, _)| *ssrc).collect();
        written += &group("SIM", &primaries);
    }
    for (ssrc, rtx) in &seat.streams.video {
        written += &group("FID", &[*ssrc, *rtx]);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "<jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' sid='s1'>\
        <content name='audio'><description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'>\
        <rtp-hdrext xmlns='urn:xmpp:jingle:apps:rtp:rtp-hdrext:0' id='1' uri='urn:ietf:params:rtp-hdrext:ssrc-audio-level'/>\
        <payload-type id='111' name='opus' clockrate='48000' channels='2'/></description>\
        <transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' ufrag='u' pwd='p'>\
        <fingerprint xmlns='urn:xmpp:jingle:apps:dtls:0' hash='sha-256' setup='actpass'>9A:1C</fingerprint>\
        <candidate protocol='udp' ip='203.0.113.9' port='10000' priority='9'/>\
        <candidate protocol='udp' ip='127.0.0.1' port='10000' priority='5'/>\
        <candidate protocol='tcp' ip='127.0.0.2' port='4443' priority='99'/></transport></content>\
        <content name='video'><description xmlns='urn:xmpp:jingle:apps:rtp:1' media='video'>\
        <payload-type id='100' name='VP8' clockrate='90000'><rtcp-fb xmlns='urn:xmpp:jingle:apps:rtp:rtcp-fb:0' type='transport-cc'/></payload-type>\
        <payload-type id='96' name='rtx' clockrate='90000'><parameter name='apt' value='100'/></payload-type>\
        </description></content><content name='data'/>\
        <json-message xmlns='http://jitsi.org/jitmeet'>{\"sources\":{\"jvb\":[[{\"s\":1}],[],[{\"s\":2}]],\
        \"e5\":[[{\"s\":3001},{\"s\":3002}],[[\"f\",3001,3002]],[{\"s\":4001}]]}}</json-message></jingle>";

    #[test]
    fn an_offer_is_read() {
        let jingle = xmpp::parse(OFFER).unwrap();
        let offer = Offer::read(&jingle).unwrap();
        assert_eq!((offer.ufrag.as_str(), offer.pwd.as_str(), offer.data_channel), ("u", "p", true));
        assert_eq!(offer.fingerprints, [("sha-256".to_owned(), "9A:1C".to_owned())]);
        let vp8 = offer.payload_types.iter().find(|known| known.codec == Codec::Vp8).unwrap();
        assert_eq!((vp8.number, vp8.rtx, vp8.transport_cc), (100, Some(96), true));
        assert_eq!(offer.extensions.audio_level, Some(1));
        let at = |ip: &str| offer.address(ip.parse().unwrap()).unwrap().ip().to_string();
        assert_eq!((at("127.0.0.1").as_str(), at("192.0.2.1").as_str()), ("127.0.0.1", "203.0.113.9"));
        assert!(offer.address("::1".parse().unwrap()).is_err());
    }

    #[test]
    fn sources_come_with_their_owner_and_repair_but_without_those_of_the_bridge() {
        let jingle = xmpp::parse(OFFER).unwrap();
        let of = |ssrc, rtx, media| RemoteSource { ssrc, rtx, media, owner: Some("e5".into()) };
        assert_eq!(sources(&jingle), [of(3001, Some(3002), Media::Video), of(4001, None, Media::Audio)]);
    }

    #[test]
    fn an_offer_without_its_parts_is_refused_with_the_part() {
        for (part, name) in [(" ufrag='u'", "ufrag"), (" pwd='p'", "pwd"), (" sid='s1'", "sid")] {
            let jingle = xmpp::parse(&OFFER.replace(part, "")).unwrap();
            assert_eq!(Offer::read(&jingle).unwrap_err().0, format!("the offer has no {name}"));
        }
    }
}
