//! Sources on the wire: XML as clients send it (XEP-0339) and the compact JSON that they are told in.

use contract::session::{Media, VideoType};
use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use xmpp::Element;

use super::description::media_name;
use super::ns;
use crate::source_map::{BRIDGE_OWNER, EndpointSources, Semantics, Source, SourceError, SsrcGroup};

/// Sources of several owners, in order.
pub type OwnedSources = Vec<(String, EndpointSources)>;

/// Adds the sources and groups in a client's `<description/>` (or in any element that holds them) to `into`.
///
/// A source without a name gets the one of the first source of its kind. Unknown children, parameters and group
/// semantics are ignored.
///
/// # Errors
/// [`SourceError::SsrcRange`] for an SSRC that is not a number.
pub fn parse_sources(
    description: &Element,
    media: Media,
    owner: &str,
    into: &mut EndpointSources,
) -> Result<(), SourceError> {
    for element in description.children_named("source", ns::SSMA) {
        let parameters = element.children().filter(|child| child.name() == "parameter");
        let msid = parameters
            .filter(|parameter| parameter.attribute("name") == Some("msid"))
            .find_map(|parameter| parameter.attribute("value"))
            .filter(|msid| !msid.is_empty());
        let video_type = match element.attribute("videoType") {
            Some(text) if text.eq_ignore_ascii_case("desktop") => VideoType::Desktop,
            Some(text) if text.eq_ignore_ascii_case("desktop_high_fps") => VideoType::DesktopHighFps,
            _ => VideoType::Camera,
        };
        let name = match element.attribute("name") {
            Some(name) if !name.is_empty() => name.to_owned(),
            _ => format!("{owner}-{}0", if media == Media::Audio { 'a' } else { 'v' }),
        };
        let ssrc = ssrc(element)?;
        into.sources.push(Source { ssrc, media, name, msid: msid.map(str::to_owned), video_type });
    }
    for element in description.children_named("ssrc-group", ns::SSMA) {
        let semantics = match element.attribute("semantics") {
            Some("SIM") => Semantics::Simulcast,
            Some("FID") => Semantics::FlowIdentification,
            _ => continue,
        };
        let ssrcs: Result<Vec<u32>, SourceError> =
            element.children_named("source", ns::SSMA).map(ssrc).collect();
        into.groups.push(SsrcGroup { semantics, media, ssrcs: ssrcs? });
    }
    Ok(())
}

fn ssrc(element: &Element) -> Result<u32, SourceError> {
    let text = element.attribute("ssrc").unwrap_or_default();
    text.parse().ok().filter(|ssrc| *ssrc != 0).ok_or(SourceError::SsrcRange)
}

/// The bridge's own two sources as they go into every offer: clients need them as the remote half of their first
/// audio and video sections, and know them by exactly these stream ids.
pub fn bridge_sources(audio: u32, video: u32) -> EndpointSources {
    let source = |ssrc, media, letter, stream: &str| Source {
        ssrc,
        media,
        name: format!("{BRIDGE_OWNER}-{letter}0"),
        msid: Some(format!("mixedmslabel {stream}")),
        video_type: VideoType::Camera,
    };
    EndpointSources {
        sources: vec![
            source(audio, Media::Audio, 'a', "mixedlabelaudio0"),
            source(video, Media::Video, 'v', "mixedlabelvideo0"),
        ],
        groups: Vec::new(),
    }
}

/// `<json-message/>` with the compact form of `sources`:
/// `{"sources":{"<owner>":[[video sources],[video groups],[audio sources],[audio groups]?]}}`.
pub fn json_message(sources: &OwnedSources) -> Element {
    // Nothing in the tree can fail to serialise: keys are strings, numbers are integers.
    let text = serde_json::to_string(&CompactMessage { sources: CompactOwners(sources) }).unwrap_or_default();
    Element::new("json-message", xmpp::ns::JITMEET).with_text(text)
}

#[derive(Serialize)]
struct CompactMessage<'a> {
    sources: CompactOwners<'a>,
}

struct CompactOwners<'a>(&'a OwnedSources);

impl Serialize for CompactOwners<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (owner, sources) in self.0 {
            map.serialize_entry(owner, &CompactEndpoint(sources))?;
        }
        map.end()
    }
}

struct CompactEndpoint<'a>(&'a EndpointSources);

impl Serialize for CompactEndpoint<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let sources = |media| -> Vec<CompactSource<'_>> {
            self.0.sources.iter().filter(|source| source.media == media).map(CompactSource::new).collect()
        };
        let groups = |media| -> Vec<CompactGroup<'_>> {
            self.0.groups.iter().filter(|group| group.media == media).map(CompactGroup).collect()
        };
        let audio_groups = groups(Media::Audio);
        let mut array = serializer.serialize_seq(None)?;
        array.serialize_element(&sources(Media::Video))?;
        array.serialize_element(&groups(Media::Video))?;
        array.serialize_element(&sources(Media::Audio))?;
        if !audio_groups.is_empty() {
            array.serialize_element(&audio_groups)?;
        }
        array.end()
    }
}

#[derive(Serialize)]
struct CompactSource<'a> {
    s: u32,
    n: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    m: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    v: Option<&'static str>,
}

impl<'a> CompactSource<'a> {
    fn new(source: &'a Source) -> CompactSource<'a> {
        let desktop = matches!(source.video_type, VideoType::Desktop | VideoType::DesktopHighFps);
        let v = (desktop && source.media == Media::Video).then_some("d");
        CompactSource { s: source.ssrc, n: &source.name, m: source.msid.as_deref(), v }
    }
}

struct CompactGroup<'a>(&'a SsrcGroup);

impl Serialize for CompactGroup<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut array = serializer.serialize_seq(Some(1 + self.0.ssrcs.len()))?;
        array.serialize_element(match self.0.semantics {
            Semantics::Simulcast => "s",
            Semantics::FlowIdentification => "f",
        })?;
        for ssrc in &self.0.ssrcs {
            array.serialize_element(ssrc)?;
        }
        array.end()
    }
}

/// `<source/>` and `<ssrc-group/>` of one media type, for clients that do not read JSON.
pub fn source_elements(sources: &OwnedSources, media: Media) -> Vec<Element> {
    let mut elements = Vec::new();
    for (owner, sources) in sources {
        for source in sources.sources.iter().filter(|source| source.media == media) {
            let msid = source
                .msid
                .as_deref()
                .map(|msid| Element::new("parameter", ns::SSMA).attr("name", "msid").attr("value", msid));
            let desktop = (source.video_type != VideoType::Camera).then_some("desktop");
            let video_type = (media == Media::Video).then(|| desktop.unwrap_or("camera"));
            let element = Element::new("source", ns::SSMA)
                .attr("ssrc", source.ssrc.to_string())
                .attr("name", source.name.as_str())
                .attr_if("videoType", video_type)
                .with_all(msid)
                .with(Element::new("ssrc-info", xmpp::ns::JITMEET).attr("owner", owner.as_str()));
            elements.push(element);
        }
        for group in sources.groups.iter().filter(|group| group.media == media) {
            let members = group
                .ssrcs
                .iter()
                .map(|ssrc| Element::new("source", ns::SSMA).attr("ssrc", ssrc.to_string()));
            let element = Element::new("ssrc-group", ns::SSMA)
                .attr("semantics", group.semantics.name())
                .with_all(members);
            elements.push(element);
        }
    }
    elements
}

/// Contents that hold nothing but sources, for `source-add` and `source-remove` to clients that do not read JSON.
pub fn source_contents(sources: &OwnedSources) -> Vec<Element> {
    let mut contents = Vec::new();
    for media in [Media::Audio, Media::Video] {
        let elements = source_elements(sources, media);
        if elements.is_empty() {
            continue;
        }
        let name = media_name(media);
        let description = Element::new("description", ns::RTP).attr("media", name).with_all(elements);
        contents.push(Element::new("content", ns::JINGLE).attr("name", name).with(description));
    }
    contents
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, media: Media) -> Result<EndpointSources, SourceError> {
        let mut sources = EndpointSources::default();
        parse_sources(&xmpp::parse(text).expect("well-formed"), media, "e5f60718", &mut sources)?;
        Ok(sources)
    }

    const SHARE: &str = "<description xmlns='urn:xmpp:jingle:apps:rtp:1' media='video'>\
        <source xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' ssrc='3101' name='e5f60718-v1' videoType='desktop'>\
        <parameter name='cname' value='x'/><parameter name='msid' value='e5f60718-video-1-1 77aa-1'/>\
        <ssrc-info xmlns='http://jitsi.org/jitmeet' owner='somebody'/></source>\
        <source xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' ssrc='3102' name='e5f60718-v1' videoType='desktop'>\
        <parameter name='msid' value='e5f60718-video-1-1 77aa-1'/></source>\
        <ssrc-group xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' semantics='FID'><source ssrc='3101'/><source ssrc='3102'/></ssrc-group>\
        <ssrc-group xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' semantics='NEW'><source ssrc='zero'/></ssrc-group>\
        </description>";

    #[test]
    fn a_screen_share_becomes_the_compact_form() {
        let sources = parse(SHARE, Media::Video).expect("valid");
        let all =
            vec![("jvb".to_owned(), bridge_sources(1_111_111, 2_222_222)), ("e5f60718".to_owned(), sources)];
        assert_eq!(
            json_message(&all).text(),
            r#"{"sources":{"jvb":[[{"s":2222222,"n":"jvb-v0","m":"mixedmslabel mixedlabelvideo0"}],[],[{"s":1111111,"n":"jvb-a0","m":"mixedmslabel mixedlabelaudio0"}]],"e5f60718":[[{"s":3101,"n":"e5f60718-v1","m":"e5f60718-video-1-1 77aa-1","v":"d"},{"s":3102,"n":"e5f60718-v1","m":"e5f60718-video-1-1 77aa-1","v":"d"}],[["f",3101,3102]],[]]}}"#
        );
    }

    #[test]
    fn the_xml_form_carries_only_the_msid_and_the_owner() {
        let sources = parse(SHARE, Media::Video).expect("valid");
        let contents = source_contents(&vec![("e5f60718".to_owned(), sources)]);
        let text: String = contents.iter().map(Element::to_string).collect();
        assert!(!text.contains("cname") && !text.contains("somebody"), "{text}");
        assert!(text.contains("<ssrc-info xmlns='http://jitsi.org/jitmeet' owner='e5f60718'/>"), "{text}");
        assert!(text.contains("semantics='FID'"), "{text}");
    }

    #[test]
    fn an_ssrc_must_be_a_number_that_fits() {
        for ssrc in ["", "0", "-1", "4294967296", "abc", "1.5"] {
            let text = format!("<d><source xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' ssrc='{ssrc}'/></d>");
            assert_eq!(parse(&text, Media::Audio), Err(SourceError::SsrcRange), "{ssrc:?}");
        }
    }

    #[test]
    fn a_source_without_a_name_gets_the_first_of_its_kind() {
        let text = "<d><source xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' ssrc='5'/></d>";
        assert_eq!(parse(text, Media::Audio).expect("valid").sources[0].name, "e5f60718-a0");
    }
}
