//! Codecs and header extensions of an RTP content (XEP-0167, XEP-0293, XEP-0294).

use std::borrow::Cow;

use contract::session::Media;
use xmpp::Element;

use super::features::Features;
use super::ns;

/// Text that is mostly known at compile time.
pub type Text = Cow<'static, str>;

/// A format parameter; one without a name contributes its bare value to the `fmtp` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Before the `=`.
    pub name: Option<Text>,
    /// After it.
    pub value: Text,
}

/// One kind of RTCP feedback (RFC 4585 §4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feedback {
    /// Such as `nack`.
    pub kind: Text,
    /// Such as `pli`.
    pub subtype: Option<Text>,
}

/// A payload type as signalled; RTX is one of its own with the parameter `apt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadType {
    /// 0..=127.
    pub id: u8,
    /// Encoding name.
    pub name: Text,
    /// RTP clock in Hz.
    pub clock_rate: u32,
    /// Audio channels if stated.
    pub channels: Option<u8>,
    /// In order.
    pub parameters: Vec<Parameter>,
    /// In order.
    pub feedback: Vec<Feedback>,
}

/// A header extension (RFC 8285 §5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderExtension {
    /// On the wire.
    pub id: u8,
    /// What it is.
    pub uri: Text,
}

/// An audio or video description, without sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Which.
    pub media: Media,
    /// In order of preference.
    pub payload_types: Vec<PayloadType>,
    /// In order.
    pub extensions: Vec<HeaderExtension>,
    /// One- and two-byte extension headers may be mixed.
    pub allow_mixed: bool,
}

/// What the server offers at all; what a client lacks is left out of its offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodecConfig {
    /// AV1, 41 with RTX 42.
    pub av1: bool,
    /// VP8, 100 with RTX 96.
    pub vp8: bool,
    /// H.264 constrained baseline, 107 with RTX 99.
    pub h264: bool,
    /// VP9, 101 with RTX 97.
    pub vp9: bool,
    /// RED for Opus, 112: for receivers that lose packets, to whom the bridge adds it.
    pub opus_red: bool,
    /// Transport-wide congestion control, extension 5.
    pub transport_cc: bool,
    /// REMB where transport-wide congestion control is not supported.
    pub remb: bool,
    /// Absolute send time, extension 3.
    pub absolute_send_time: bool,
    /// MID, extension 10.
    pub mid: bool,
    /// AV1 dependency descriptor, extension 11.
    pub dependency_descriptor: bool,
}

impl Default for CodecConfig {
    fn default() -> Self {
        CodecConfig {
            av1: true,
            vp8: true,
            h264: true,
            vp9: true,
            opus_red: true,
            transport_cc: true,
            remb: false,
            absolute_send_time: true,
            mid: true,
            dependency_descriptor: true,
        }
    }
}

impl Description {
    /// What a client with `features` is offered.
    pub fn offer(media: Media, features: &Features, config: &CodecConfig) -> Description {
        match media {
            Media::Audio => audio(features, config),
            Media::Video => video(features, config),
        }
    }

    /// `<description/>` with all but sources.
    pub fn to_element(&self) -> Element {
        let mut element = Element::new("description", ns::RTP).attr("media", media_name(self.media));
        if self.media == Media::Audio {
            element.set_attribute("maxptime", "60");
        }
        let element = element
            .with_all(self.payload_types.iter().map(PayloadType::to_element))
            .with_all(self.extensions.iter().map(HeaderExtension::to_element));
        let element = match self.allow_mixed {
            true => element.with(Element::new("extmap-allow-mixed", ns::RTP_HDREXT)),
            false => element,
        };
        // Clients read this element only here, never inside the transport.
        element.with(Element::new("rtcp-mux", ns::RTP))
    }
}

impl PayloadType {
    /// `<payload-type/>`.
    pub fn to_element(&self) -> Element {
        let parameters = self.parameters.iter().map(|parameter| {
            Element::new("parameter", ns::RTP)
                .attr_if("name", parameter.name.as_deref())
                .attr("value", parameter.value.as_ref())
        });
        let feedback = self.feedback.iter().map(|feedback| {
            Element::new("rtcp-fb", ns::RTCP_FB)
                .attr("type", feedback.kind.as_ref())
                .attr_if("subtype", feedback.subtype.as_deref())
        });
        Element::new("payload-type", ns::RTP)
            .attr("id", self.id.to_string())
            .attr("name", self.name.as_ref())
            .attr("clockrate", self.clock_rate.to_string())
            .attr_if("channels", self.channels.map(|channels| channels.to_string()))
            .with_all(parameters)
            .with_all(feedback)
    }

    /// The payload type that this RTX payload type repairs (RFC 4588 §8.1).
    pub fn associated(&self) -> Option<u8> {
        if !self.name.eq_ignore_ascii_case("rtx") {
            return None;
        }
        let apt = self.parameters.iter().find(|parameter| parameter.name.as_deref() == Some("apt"))?;
        apt.value.parse().ok()
    }

    fn new(id: u8, name: &'static str, clock_rate: u32) -> PayloadType {
        PayloadType {
            id,
            name: Text::Borrowed(name),
            clock_rate,
            channels: None,
            parameters: Vec::new(),
            feedback: Vec::new(),
        }
    }

    fn parameter(mut self, name: &'static str, value: impl Into<Text>) -> PayloadType {
        self.parameters.push(Parameter { name: Some(Text::Borrowed(name)), value: value.into() });
        self
    }

    fn feedback(mut self, kind: &'static str, subtype: Option<&'static str>) -> PayloadType {
        self.feedback.push(Feedback { kind: Text::Borrowed(kind), subtype: subtype.map(Text::Borrowed) });
        self
    }

    fn repair_feedback(self) -> PayloadType {
        self.feedback("ccm", Some("fir")).feedback("nack", None).feedback("nack", Some("pli"))
    }
}

impl HeaderExtension {
    fn new(id: u8, uri: &'static str) -> HeaderExtension {
        HeaderExtension { id, uri: Text::Borrowed(uri) }
    }

    fn to_element(&self) -> Element {
        Element::new("rtp-hdrext", ns::RTP_HDREXT)
            .attr("id", self.id.to_string())
            .attr("uri", self.uri.as_ref())
    }
}

/// `audio` or `video`.
pub const fn media_name(media: Media) -> &'static str {
    match media {
        Media::Audio => "audio",
        Media::Video => "video",
    }
}

/// RFC 6464.
pub const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
/// Absolute send time.
pub const ABSOLUTE_SEND_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
/// Transport-wide sequence numbers.
pub const TRANSPORT_CC: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
/// RFC 9143.
pub const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
/// RFC 8852.
pub const RID: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
/// AV1 dependency descriptor.
pub const DEPENDENCY_DESCRIPTOR: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";
/// 3GPP TS 26.114.
pub const VIDEO_ORIENTATION: &str = "urn:3gpp:video-orientation";

fn audio(features: &Features, config: &CodecConfig) -> Description {
    let transport_cc = config.transport_cc && features.transport_cc;
    let red = config.opus_red && features.opus_red;
    let mut extensions = vec![HeaderExtension::new(1, AUDIO_LEVEL)];
    if config.mid {
        extensions.push(HeaderExtension::new(10, MID));
    }
    if transport_cc {
        extensions.push(HeaderExtension::new(5, TRANSPORT_CC));
    }
    let mut opus =
        PayloadType::new(111, "opus", 48_000).parameter("minptime", "10").parameter("useinbandfec", "1");
    opus.channels = Some(2);
    if transport_cc {
        opus = opus.feedback("transport-cc", None);
    }
    let mut payload_types = vec![opus];
    if red {
        // Behind Opus, or clients would send it too: twice the upload, whether anybody loses packets or not.
        let mut payload_type = PayloadType::new(112, "red", 48_000);
        payload_type.channels = Some(2);
        payload_type.parameters.push(Parameter { name: None, value: Text::Borrowed("111/111") });
        payload_types.push(payload_type);
    }
    payload_types.push(PayloadType::new(126, "telephone-event", 8_000));
    Description { media: Media::Audio, payload_types, extensions, allow_mixed: true }
}

fn video(features: &Features, config: &CodecConfig) -> Description {
    let transport_cc = config.transport_cc && features.transport_cc;
    let remb = config.remb && features.remb && !transport_cc;
    let mut payload_types = Vec::new();
    let codecs = [
        (config.av1, PayloadType::new(41, "AV1", 90_000)),
        (config.vp8, PayloadType::new(100, "VP8", 90_000)),
        (config.h264, PayloadType::new(107, "H264", 90_000).parameter("profile-level-id", H264_FORMAT)),
        (config.vp9, PayloadType::new(101, "VP9", 90_000)),
    ];
    for (enabled, mut payload_type) in codecs {
        if !enabled {
            continue;
        }
        payload_type = payload_type.repair_feedback();
        if remb {
            payload_type = payload_type.feedback("goog-remb", None);
        }
        if transport_cc {
            payload_type = payload_type.feedback("transport-cc", None);
        }
        payload_types.push(payload_type);
    }
    let repairs =
        [(config.av1, 42, 41), (config.vp8, 96, 100), (config.vp9, 97, 101), (config.h264, 99, 107)];
    for (enabled, id, repaired) in repairs {
        if !enabled || !features.rtx {
            continue;
        }
        let rtx = PayloadType::new(id, "rtx", 90_000).parameter("apt", u8::to_string(&repaired));
        payload_types.push(if id == 99 { rtx } else { rtx.repair_feedback() });
    }
    let extensions = [
        (config.dependency_descriptor, HeaderExtension::new(11, DEPENDENCY_DESCRIPTOR)),
        (config.mid, HeaderExtension::new(10, MID)),
        (config.absolute_send_time, HeaderExtension::new(3, ABSOLUTE_SEND_TIME)),
        (transport_cc, HeaderExtension::new(5, TRANSPORT_CC)),
    ];
    let extensions = extensions.into_iter().filter(|(enabled, _)| *enabled).map(|(_, extension)| extension);
    Description { media: Media::Video, payload_types, extensions: extensions.collect(), allow_mixed: true }
}

/// The whole rest of the `fmtp` line as the value of its first parameter, as existing clients are used to.
const H264_FORMAT: &str = "42e01f;level-asymmetry-allowed=1;packetization-mode=1;";

#[cfg(test)]
mod tests {
    use super::*;

    fn web() -> Features {
        Features { rtx: true, transport_cc: true, remb: true, opus_red: true, ..Features::default() }
    }

    fn ids(description: &Description) -> (Vec<u8>, Vec<u8>) {
        (
            description.payload_types.iter().map(|payload_type| payload_type.id).collect(),
            description.extensions.iter().map(|extension| extension.id).collect(),
        )
    }

    #[test]
    fn the_default_offer_lists_the_known_numbers() {
        let config = CodecConfig::default();
        assert_eq!(
            ids(&Description::offer(Media::Audio, &web(), &config)),
            (vec![111, 112, 126], vec![1, 10, 5])
        );
        assert_eq!(
            ids(&Description::offer(Media::Video, &web(), &config)),
            (vec![41, 100, 107, 101, 42, 96, 97, 99], vec![11, 10, 3, 5])
        );
    }

    #[test]
    fn what_the_client_lacks_is_not_offered() {
        let offer = Description::offer(Media::Video, &Features::default(), &CodecConfig::default());
        assert_eq!(ids(&offer), (vec![41, 100, 107, 101], vec![11, 10, 3]));
        assert!(!offer.to_element().to_string().contains("transport-cc"));
    }

    #[test]
    fn remb_is_offered_only_where_transport_cc_is_not() {
        let config = CodecConfig { remb: true, ..CodecConfig::default() };
        let both = Description::offer(Media::Video, &web(), &config).to_element().to_string();
        assert!(!both.contains("goog-remb"));
        let without = Features { transport_cc: false, ..web() };
        let remb = Description::offer(Media::Video, &without, &config).to_element().to_string();
        assert!(remb.contains("goog-remb"));
    }

    #[test]
    fn red_stands_behind_opus_and_only_for_those_who_know_it() {
        let config = CodecConfig::default();
        let offer = Description::offer(Media::Audio, &web(), &config);
        assert_eq!(ids(&offer).0, [111, 112, 126]);
        let text = offer.to_element().to_string();
        assert!(text.contains("<parameter value='111/111'/>"), "{text}");
        let others = [
            Description::offer(Media::Audio, &Features { opus_red: false, ..web() }, &config),
            Description::offer(Media::Audio, &web(), &CodecConfig { opus_red: false, ..config }),
        ];
        others.iter().for_each(|offer| assert_eq!(ids(offer).0, [111, 126]));
    }

    #[test]
    fn an_audio_description_is_written_as_clients_expect_it() {
        let features = Features { opus_red: false, ..web() };
        let text =
            Description::offer(Media::Audio, &features, &CodecConfig::default()).to_element().to_string();
        let expected = "<description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio' maxptime='60'>\
            <payload-type id='111' name='opus' clockrate='48000' channels='2'>\
            <parameter name='minptime' value='10'/><parameter name='useinbandfec' value='1'/>\
            <rtcp-fb xmlns='urn:xmpp:jingle:apps:rtp:rtcp-fb:0' type='transport-cc'/></payload-type>\
            <payload-type id='126' name='telephone-event' clockrate='8000'/>\
            <rtp-hdrext xmlns='urn:xmpp:jingle:apps:rtp:rtp-hdrext:0' id='1' uri='urn:ietf:params:rtp-hdrext:ssrc-audio-level'/>\
            <rtp-hdrext xmlns='urn:xmpp:jingle:apps:rtp:rtp-hdrext:0' id='10' uri='urn:ietf:params:rtp-hdrext:sdes:mid'/>\
            <rtp-hdrext xmlns='urn:xmpp:jingle:apps:rtp:rtp-hdrext:0' id='5' uri='http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01'/>\
            <extmap-allow-mixed xmlns='urn:xmpp:jingle:apps:rtp:rtp-hdrext:0'/><rtcp-mux/></description>";
        assert_eq!(text, expected);
    }
}
