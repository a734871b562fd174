//! The adapter for Jitsi Videobridge: colibri2 over REST. We are the focus: the bridge is told of each endpoint's transport and
//! sources, and endpoints are told of each other's here.
//!
//! There is no bridge channel: what a receiver wants is in the request that creates it (`initial-last-n`) and, for heights, in
//! the configuration of [`config`].

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use contract::session::Media;
use serde_json::{Value, json};
use tokio::sync::{OnceCell, mpsc};

use super::{AUDIO_LEVEL, TRANSPORT_CC, extensions, payload_types, web};
use crate::peer::{Event, Link, Peer, PeerError, Remote, RemoteSource, Seat, Stay, codec_name};

/// A bridge by the address of its private HTTP server.
pub struct Jvb {
    rest: SocketAddr,
    rooms: Mutex<HashMap<String, Arc<Room>>>,
}

/// A conference.
#[derive(Default)]
struct Room {
    created: OnceCell<()>,
    members: Mutex<Vec<Member>>,
}

/// An endpoint, as others see it.
struct Member {
    id: String,
    sources: Vec<RemoteSource>,
    news: mpsc::UnboundedSender<Vec<RemoteSource>>,
}

impl Jvb {
    /// The bridge at this address.
    pub fn new(rest: SocketAddr) -> Jvb {
        Jvb { rest, rooms: Mutex::default() }
    }

    fn room(&self, name: &str) -> Arc<Room> {
        let mut rooms = self.rooms.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        rooms.entry(name.to_owned()).or_default().clone()
    }

    async fn play(&self, mut seat: Seat) -> Result<(), PeerError> {
        let id = format!("{:08x}", seat.place + 1);
        seat.identify(&id);
        let room = self.room(&seat.room);
        let create =
            json!({ "meeting-id": seat.room, "name": format!("{}@load", seat.room), "create": true });
        let created = room.created.get_or_try_init(|| async {
            web::request(self.rest, "POST", CONFERENCES, Some(&create)).await.map(drop)
        });
        created.await?;
        let path = format!("{CONFERENCES}/{}", seat.room);
        let request = json!({ "endpoints": [endpoint(&seat, &id)] });
        let answer = web::request(self.rest, "PATCH", &path, Some(&request)).await?;
        let answer: Value =
            serde_json::from_str(&answer).map_err(|error| PeerError::new("the bridge's answer", error))?;
        let mut news = room.enter(&seat, &id);
        seat.connect(remote(&answer["endpoints"][0]["transport"]["transport"])?)?;
        loop {
            tokio::select! {
                sources = news.recv() => seat.sources(sources.unwrap_or_default()),
                event = seat.event() => match event {
                    Event::Leave => break,
                    Event::Failed(reason) => return Err(PeerError(reason)),
                    Event::Connected | Event::ChannelOpened | Event::ChannelText(_) => {}
                },
            }
        }
        let expire = json!({ "endpoints": [{ "id": id, "expire": true }] });
        // The last one takes the conference with it.
        let _ = web::request(self.rest, "PATCH", &path, Some(&expire)).await;
        Ok(())
    }
}

impl Peer for Jvb {
    fn stay(self: Arc<Self>, seat: Seat) -> Stay {
        Box::pin(async move { self.play(seat).await })
    }
}

impl Room {
    /// Tells everybody of a new member, and the member of everybody; later ones come on the channel.
    fn enter(&self, seat: &Seat, id: &str) -> mpsc::UnboundedReceiver<Vec<RemoteSource>> {
        let (news, later) = mpsc::unbounded_channel();
        let owner = || Some(id.to_owned());
        let audio = seat.streams.audio.iter().map(|ssrc| RemoteSource {
            ssrc: *ssrc,
            rtx: None,
            media: Media::Audio,
            owner: owner(),
        });
        let video = seat.streams.video.iter().map(|(ssrc, rtx)| RemoteSource {
            ssrc: *ssrc,
            rtx: Some(*rtx),
            media: Media::Video,
            owner: owner(),
        });
        let sources: Vec<RemoteSource> = audio.chain(video).collect();
        let mut members = self.members.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        seat.sources(members.iter().flat_map(|member| member.sources.clone()).collect());
        for member in members.iter() {
            // One that has left needs to know nothing.
            let _ = member.news.send(sources.clone());
        }
        members.retain(|member| member.id != id);
        members.push(Member { id: id.to_owned(), sources, news });
        later
    }
}

/// The endpoint as colibri2 has it: media, transport, sources, all at once.
fn endpoint(seat: &Seat, id: &str) -> Value {
    json!({
        "id": id,
        "create": true,
        "capabilities": ["source-names"],
        "medias": medias(),
        "initial-last-n": { "value": seat.plan.wants.last_n },
        "transport": {
            "ice-controlling": true,
            "transport": {
                "xmlns": "urn:xmpp:jingle:transports:ice-udp:1",
                "ufrag": seat.local.ufrag,
                "pwd": seat.local.pwd,
                "rtcp-mux": true,
                "fingerprints": [
                    { "fingerprint": seat.local.fingerprint, "hash": "sha-256", "setup": "active" }
                ],
            },
        },
        "sources": sources(seat, id),
    })
}

fn medias() -> Vec<Value> {
    let types = payload_types();
    let media = |media: Media, name: &str, extensions: Value| {
        let mut list = Vec::new();
        for known in types.iter().filter(|known| known.codec.media() == media) {
            let (number, clock_rate) = (known.number, known.clock_rate);
            let mut feedback = vec![json!({ "type": "transport-cc" })];
            if media == Media::Video {
                feedback.push(json!({ "type": "nack" }));
                feedback.push(json!({ "type": "nack", "subtype": "pli" }));
                feedback.push(json!({ "type": "ccm", "subtype": "fir" }));
            }
            list.push(json!({ "id": number, "name": codec_name(known.codec), "clockrate": clock_rate, "rtcp-fbs": feedback }));
            list.extend(known.rtx.map(|rtx| {
                json!({ "id": rtx, "name": "rtx", "clockrate": clock_rate, "parameters": { "apt": number.to_string() } })
            }));
        }
        json!({ "type": name, "payload-types": list, "rtp-hdrexts": extensions })
    };
    let ids = extensions();
    let transport_cc = json!({ "id": ids.transport_cc, "uri": TRANSPORT_CC });
    let level = json!({ "id": ids.audio_level, "uri": AUDIO_LEVEL });
    vec![
        media(Media::Audio, "audio", json!([level, transport_cc])),
        media(Media::Video, "video", json!([transport_cc])),
    ]
}

fn sources(seat: &Seat, id: &str) -> Vec<Value> {
    let mut sources = Vec::new();
    if let Some(ssrc) = seat.streams.audio {
        let name = format!("{id}-a0");
        sources.push(json!({ "type": "audio", "id": name, "sources": [{ "ssrc": ssrc, "name": name }] }));
    }
    if !seat.streams.video.is_empty() {
        let name = format!("{id}-v0");
        let kind =
            if seat.plan.video.as_ref().is_some_and(|video| video.screen) { "desktop" } else { "camera" };
        let all = seat.streams.video.iter().flat_map(|(ssrc, rtx)| [*ssrc, *rtx]);
        let all: Vec<Value> =
            all.map(|ssrc| json!({ "ssrc": ssrc, "name": name, "videoType": kind })).collect();
        let mut groups: Vec<Value> = seat
            .streams
            .video
            .iter()
            .map(|(ssrc, rtx)| json!({ "semantics": "FID", "sources": [ssrc, rtx] }))
            .collect();
        if seat.streams.video.len() > 1 {
            let primaries: Vec<u32> = seat.streams.video.iter().map(|(ssrc, _)| *ssrc).collect();
            groups.push(json!({ "semantics": "SIM", "sources": primaries }));
        }
        sources.push(json!({ "type": "video", "id": name, "sources": all, "ssrc-groups": groups }));
    }
    sources
}

/// The bridge's half.
fn remote(transport: &Value) -> Result<Remote, PeerError> {
    let text = |name: &str| {
        let value = transport[name].as_str().map(str::to_owned);
        value.ok_or_else(|| PeerError(format!("the bridge's transport has no {name}: {transport}")))
    };
    let fingerprints = transport["fingerprints"].as_array().into_iter().flatten();
    let fingerprint =
        |print: &Value| Some((print["hash"].as_str()?.to_owned(), print["fingerprint"].as_str()?.to_owned()));
    let candidate = |candidate: &Value| -> Option<SocketAddr> {
        let udp = candidate["protocol"].as_str()?.eq_ignore_ascii_case("udp");
        let port = &candidate["port"];
        let port = port.as_u64().or_else(|| port.as_str()?.parse().ok())?;
        let at = SocketAddr::new(candidate["ip"].as_str()?.parse().ok()?, u16::try_from(port).ok()?);
        (udp && at.is_ipv4()).then_some(at)
    };
    let address = transport["candidates"].as_array().into_iter().flatten().find_map(candidate);
    Ok(Remote {
        address: address.ok_or_else(|| PeerError("the bridge has no UDP candidate over IPv4".into()))?,
        link: Link::Negotiated {
            ufrag: text("ufrag")?,
            pwd: text("pwd")?,
            fingerprints: fingerprints.filter_map(fingerprint).collect(),
            dtls_active: true,
            ice_controlling: false,
            channel: None,
        },
        payload_types: payload_types(),
        extensions: extensions(),
    })
}

/// A configuration for a bridge on this machine: REST and media ports, the one address that media takes, everything else as
/// it comes, but for the height that receivers get without asking on a bridge channel. A bridge that takes whatever addresses
/// there are at its start goes on offering those of interfaces that have gone since.
pub fn config(rest: SocketAddr, media_port: u16, address: Option<IpAddr>) -> String {
    let allowed = address.map(|address| format!("\"{address}\"")).unwrap_or_default();
    format!(
        "videobridge {{
  http-servers.private {{ host = \"{}\", port = {} }}
  apis.rest.enabled = true
  sctp.enabled = false
  ice.udp.port = {media_port}
  cc.initial-max-height-px = 2160
}}
ice4j.harvest.mapping {{ aws.enabled = false, stun.enabled = false }}
ice4j.harvest.allowed-addresses = [{allowed}]
",
        rest.ip(),
        rest.port()
    )
}

const CONFERENCES: &str = "/colibri/v2/conferences";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_half_of_the_bridge_is_read() {
        let transport = json!({
            "ufrag": "u", "pwd": "p",
            "fingerprints": [{ "hash": "sha-256", "fingerprint": "AA:BB", "setup": "actpass" }],
            "candidates": [
                { "protocol": "ssltcp", "ip": "192.0.2.1", "port": "443" },
                { "protocol": "udp", "ip": "2001:db8::1", "port": "10000" },
                { "protocol": "udp", "ip": "192.0.2.1", "port": "10000" },
            ],
        });
        let remote = remote(&transport).unwrap();
        assert_eq!(remote.address, "192.0.2.1:10000".parse().unwrap());
        let Link::Negotiated { ufrag, fingerprints, .. } = remote.link else { panic!("negotiated") };
        assert_eq!((ufrag.as_str(), fingerprints[0].1.as_str()), ("u", "AA:BB"));
    }

    #[test]
    fn what_the_bridge_leaves_out_is_named() {
        let error = super::remote(&json!({ "pwd": "p" })).unwrap_err().0;
        assert!(error.contains("no UDP candidate"), "{error}");
        let candidates = json!([{ "protocol": "udp", "ip": "192.0.2.1", "port": 1 }]);
        let error = super::remote(&json!({ "pwd": "p", "candidates": candidates })).unwrap_err().0;
        assert!(error.contains("no ufrag"), "{error}");
    }
}
