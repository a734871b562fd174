//! Session descriptions (RFC 8866, with RFC 8839, 8842 and 9143) as far as a client needs them that sends what it knows
//! and takes what it is offered.

use std::fmt::Write;
use std::net::SocketAddr;

use contract::session::Media;

use super::{AUDIO_LEVEL, TRANSPORT_CC, extensions, payload_types};
use crate::peer::{Link, Local, PeerError, Remote, Seat, codec_name};

/// A description, section by section.
#[derive(Clone, Debug, Default)]
pub(super) struct Description {
    /// Attributes before the first section.
    session: Vec<String>,
    pub(super) sections: Vec<Section>,
}

/// One section: its `m=` line without that, and its attributes without `a=`.
#[derive(Clone, Debug)]
pub(super) struct Section {
    pub(super) media: String,
    attributes: Vec<String>,
}

impl Description {
    pub(super) fn read(text: &str) -> Description {
        let mut description = Description::default();
        for line in text.lines() {
            if let Some(media) = line.strip_prefix("m=") {
                description.sections.push(Section { media: media.to_owned(), attributes: Vec::new() });
            } else if let Some(attribute) = line.strip_prefix("a=") {
                match description.sections.last_mut() {
                    Some(section) => section.attributes.push(attribute.to_owned()),
                    None => description.session.push(attribute.to_owned()),
                }
            }
        }
        description
    }

    /// The first value of an attribute, in any section or before them: all are bundled.
    fn value(&self, name: &str) -> Option<&str> {
        let sections = self.sections.iter().filter(|section| section.is_open());
        let attributes = sections.flat_map(|section| &section.attributes).chain(&self.session);
        attributes.filter_map(|attribute| value_of(attribute, name)).next()
    }

    /// Where the other side takes media: over IPv4 and UDP, on loopback if it does.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        let attributes = self.sections.iter().flat_map(|section| &section.attributes).chain(&self.session);
        let candidates = attributes.filter_map(|attribute| candidate(attribute));
        candidates.max_by_key(|address| address.ip().is_loopback())
    }

    /// The other side's half of a transport, we being the DTLS client.
    pub(super) fn remote(
        &self,
        address: SocketAddr,
        ice_controlling: bool,
        own: bool,
    ) -> Result<Remote, PeerError> {
        let missing = |name: &str| PeerError(format!("the description has no {name}"));
        let value = |name: &str| self.value(name).map(str::to_owned).ok_or_else(|| missing(name));
        let fingerprint = value("fingerprint")?;
        let (hash, digits) = fingerprint.split_once(' ').ok_or_else(|| missing("digits of a fingerprint"))?;
        if self.value("setup") == Some("active") {
            return Err(PeerError("the other side wants to begin DTLS, and so do we".into()));
        }
        let mut ids = extensions();
        if !own {
            ids.transport_cc = self.extension(TRANSPORT_CC);
            ids.audio_level = None;
        }
        Ok(Remote {
            address,
            link: Link::Negotiated {
                ufrag: value("ice-ufrag")?,
                pwd: value("ice-pwd")?,
                fingerprints: vec![(hash.to_owned(), digits.to_owned())],
                dtls_active: true,
                ice_controlling,
                channel: None,
            },
            payload_types: payload_types(),
            extensions: ids,
        })
    }

    fn extension(&self, uri: &str) -> Option<u8> {
        let attributes = self.sections.iter().flat_map(|section| &section.attributes);
        let mut maps = attributes.filter_map(|attribute| value_of(attribute, "extmap"));
        let map = maps.find(|map| map.split_whitespace().nth(1) == Some(uri))?;
        map.split([' ', '/']).next()?.parse().ok()
    }

    /// Our answer: everything is taken, nothing is sent.
    pub(super) fn answer(&self, local: &Local) -> String {
        let mids: Vec<&str> = self.sections.iter().filter_map(Section::mid).collect();
        let mut answer = head(&mids);
        for section in &self.sections {
            let mut parts = section.media.split(' ');
            let (kind, _, rest) = (parts.next().unwrap_or_default(), parts.next(), parts);
            let rest: Vec<&str> = rest.collect();
            let _ = write!(answer, "m={kind} 9 {}\r\n", rest.join(" "));
            transport(&mut answer, local, section.mid().unwrap_or_default());
            if kind == "application" {
                answer.push_str("a=sctp-port:5000\r\n");
                continue;
            }
            for attribute in &section.attributes {
                if ["rtpmap", "fmtp", "rtcp-fb", "extmap"]
                    .iter()
                    .any(|name| value_of(attribute, name).is_some())
                {
                    let _ = write!(answer, "a={attribute}\r\n");
                }
            }
            answer.push_str(if section.is_open() { "a=recvonly\r\n" } else { "a=inactive\r\n" });
            answer.push_str("a=rtcp-mux\r\n");
        }
        answer
    }
}

impl Section {
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find_map(|attribute| value_of(attribute, name))
    }

    pub(super) fn mid(&self) -> Option<&str> {
        self.value("mid")
    }

    /// Something may be sent in it.
    fn is_open(&self) -> bool {
        !self.attributes.iter().any(|attribute| attribute == "inactive")
    }

    pub(super) fn kind(&self) -> Option<Media> {
        match self.media.split(' ').next()? {
            "audio" => Some(Media::Audio),
            "video" => Some(Media::Video),
            _ => None,
        }
    }

    /// The SSRC of its media, and that of retransmissions.
    pub(super) fn ssrcs(&self) -> Option<(u32, Option<u32>)> {
        let group = self.attributes.iter().find_map(|attribute| attribute.strip_prefix("ssrc-group:FID "));
        if let Some((first, second)) = group.and_then(|group| group.split_once(' ')) {
            return Some((first.parse().ok()?, second.trim().parse().ok()));
        }
        Some((self.value("ssrc")?.split(' ').next()?.parse().ok()?, None))
    }
}

/// What a seat sends: one section for its sound, one for its picture.
///
/// # Errors
/// If the picture is a simulcast, which the products that get this want signalled in other ways.
pub(super) fn offer(seat: &Seat) -> Result<String, PeerError> {
    if seat.streams.video.len() > 1 {
        return Err(PeerError("this adapter sends one video stream, no simulcast".into()));
    }
    let mids: Vec<&str> =
        [seat.streams.audio.map(|_| AUDIO_MID), seat.streams.video.first().map(|_| VIDEO_MID)]
            .into_iter()
            .flatten()
            .collect();
    let mut offer = head(&mids);
    let (types, ids) = (payload_types(), extensions());
    let codec = seat.plan.video.as_ref().map(|video| video.codec);
    for media in [Media::Audio, Media::Video] {
        let video = media == Media::Video;
        let ssrcs = if video {
            seat.streams.video.first().copied()
        } else {
            seat.streams.audio.map(|ssrc| (ssrc, 0))
        };
        let chosen = |known: &&contract::session::PayloadType| {
            known.codec.media() == media && (!video || Some(known.codec) == codec)
        };
        let (Some((ssrc, rtx)), Some(known)) = (ssrcs, types.iter().find(chosen)) else { continue };
        let (kind, mid) = if video { ("video", VIDEO_MID) } else { ("audio", AUDIO_MID) };
        let number = known.number;
        let second = known.rtx.map(|rtx| format!(" {rtx}")).unwrap_or_default();
        let _ = write!(offer, "m={kind} 9 UDP/TLS/RTP/SAVPF {number}{second}\r\n");
        transport(&mut offer, &seat.local, mid);
        let channels = if video { "" } else { "/2" };
        let _ = write!(
            offer,
            "a=sendonly\r\na=rtcp-mux\r\na=msid:load{0} {kind}{0}\r\na=rtpmap:{number} {1}/{2}{channels}\r\na=rtcp-fb:{number} \
             transport-cc\r\na=extmap:{3} {TRANSPORT_CC}\r\n",
            seat.place,
            codec_name(known.codec),
            known.clock_rate,
            ids.transport_cc.unwrap_or_default(),
        );
        if let Some(rtx) = known.rtx {
            let _ = write!(
                offer,
                "a=rtcp-fb:{number} nack\r\na=rtcp-fb:{number} nack pli\r\na=rtcp-fb:{number} ccm fir\r\na=rtpmap:{rtx} \
                 rtx/90000\r\na=fmtp:{rtx} apt={number}\r\n"
            );
        } else {
            let level = ids.audio_level.unwrap_or_default();
            let _ = write!(
                offer,
                "a=extmap:{level} {AUDIO_LEVEL}\r\na=fmtp:{number} minptime=10;useinbandfec=1\r\n"
            );
        }
        let mut lines = vec![ssrc];
        if video {
            let _ = write!(offer, "a=ssrc-group:FID {ssrc} {rtx}\r\n");
            lines.push(rtx);
        }
        for ssrc in lines {
            let _ = write!(
                offer,
                "a=ssrc:{ssrc} cname:load{0}\r\na=ssrc:{ssrc} msid:load{0} {kind}{0}\r\n",
                seat.place
            );
        }
    }
    Ok(offer)
}

/// The address of a candidate over UDP and IPv4; the attribute without `a=`.
pub(super) fn candidate(attribute: &str) -> Option<SocketAddr> {
    let fields: Vec<&str> = value_of(attribute, "candidate")?.split_whitespace().collect();
    let udp = fields.get(2)?.eq_ignore_ascii_case("udp");
    let address = SocketAddr::new(fields.get(4)?.parse().ok()?, fields.get(5)?.parse().ok()?);
    (udp && address.is_ipv4()).then_some(address)
}

fn head(mids: &[&str]) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n", mids.join(" "))
}

fn transport(out: &mut String, local: &Local, mid: &str) {
    let _ = write!(
        out,
        "c=IN IP4 0.0.0.0\r\na=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=ice-options:trickle\r\na=fingerprint:sha-256 {}\r\n\
         a=setup:active\r\na=mid:{mid}\r\n",
        local.ufrag, local.pwd, local.fingerprint
    );
}

fn value_of<'a>(attribute: &'a str, name: &str) -> Option<&'a str> {
    attribute.strip_prefix(name)?.strip_prefix(':')
}

const AUDIO_MID: &str = "0";
const VIDEO_MID: &str = "1";

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\na=fingerprint:sha-256 AA:BB\r\na=ice-lite\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:a\r\n\
        a=inactive\r\na=ice-ufrag:wrong\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:b\r\na=sendonly\r\na=ice-ufrag:u\r\n\
        a=ice-pwd:p\r\na=setup:actpass\r\na=extmap:4/sendonly http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
        a=rtpmap:96 VP8/90000\r\na=ssrc-group:FID 7 8\r\na=ssrc:7 cname:x\r\na=msid:PA_1 TR_1\r\n\
        a=candidate:1 1 udp 9 192.0.2.9 10000 typ host\r\na=candidate:2 1 udp 8 127.0.0.1 10001 typ host\r\n\
        a=candidate:3 1 tcp 8 127.0.0.1 10002 typ host\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:c\r\n";

    #[test]
    fn an_offer_is_read() {
        let description = Description::read(OFFER);
        assert_eq!(description.address(), Some("127.0.0.1:10001".parse().unwrap()));
        let remote = description.remote("127.0.0.1:10001".parse().unwrap(), true, false).unwrap();
        let Link::Negotiated { ufrag, pwd, .. } = remote.link else { panic!("negotiated") };
        assert_eq!((ufrag.as_str(), pwd.as_str(), remote.extensions.transport_cc), ("u", "p", Some(4)));
        let video = &description.sections[1];
        assert_eq!((video.kind(), video.ssrcs()), (Some(Media::Video), Some((7, Some(8)))));
        assert_eq!((video.mid(), video.value("msid")), (Some("b"), Some("PA_1 TR_1")));
        assert_eq!(description.sections[2].kind(), None);
    }

    #[test]
    fn the_answer_takes_what_is_open_and_nothing_else() {
        let local = Local { ufrag: "U".into(), pwd: "P".into(), fingerprint: "CC".into() };
        let answer = Description::read(OFFER).answer(&local);
        let answer = Description::read(&answer);
        let open: Vec<bool> = answer.sections.iter().map(Section::is_open).collect();
        assert_eq!(open, [false, true, true]);
        assert_eq!(answer.sections[1].value("rtpmap"), Some("96 VP8/90000"));
        assert_eq!((answer.value("setup"), answer.value("ice-ufrag")), (Some("active"), Some("U")));
        assert_eq!(answer.sections[1].ssrcs(), None, "nothing is sent");
    }

    #[test]
    fn what_a_description_lacks_is_named() {
        let address = "127.0.0.1:1".parse().unwrap();
        for (part, name) in
            [("a=ice-pwd:p\r\n", "ice-pwd"), ("a=fingerprint:sha-256 AA:BB\r\n", "fingerprint")]
        {
            let error = Description::read(&OFFER.replace(part, "")).remote(address, true, true).unwrap_err();
            assert_eq!(error.0, format!("the description has no {name}"));
        }
    }
}
