//! The adapter for LiveKit: its signalling on a WebSocket (protocol buffers), with one peer connection to publish and one to
//! subscribe. We subscribe track by track, as a client does that wants no more videos than it shows.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contract::session::Media;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::protobuf::{self, Writer};
use super::sdp::{self, Description};
use super::{Pair, web};
use crate::peer::{Event, Peer, PeerError, RemoteSource, Seat, Stay};

/// A server by the address of its API, with the secret of [`KEY`].
pub struct LiveKit {
    at: SocketAddr,
    secret: String,
}

impl LiveKit {
    /// The server at this address.
    pub fn new(at: SocketAddr, secret: &str) -> LiveKit {
        LiveKit { at, secret: secret.to_owned() }
    }

    /// Lets `identity` into `room` for an hour.
    fn token(&self, identity: &str, room: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let grants = json!({ "roomJoin": true, "room": room, "canPublish": true, "canSubscribe": true });
        let claims =
            json!({ "iss": KEY, "sub": identity, "nbf": now - 60, "exp": now + 3_600, "video": grants });
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", part(&json!({ "alg": "HS256", "typ": "JWT" })), part(&claims));
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes())))
    }
}

impl Peer for LiveKit {
    fn stay(self: Arc<Self>, seat: Seat) -> Stay {
        Box::pin(async move { Session::join(&self, seat).await?.stay().await })
    }
}

/// One of the two peer connections, by the server's number of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Publisher = 0,
    Subscriber = 1,
}

/// One endpoint in a room.
struct Session {
    pair: Pair,
    socket: web::Socket,
    /// Tracks of ours that are yet to be accepted.
    unpublished: usize,
    /// Where the server takes media, and its latest description; for each target.
    addresses: [Option<SocketAddr>; 2],
    described: [Option<Description>; 2],
    connected: [bool; 2],
    /// Our id of the session, and tracks that we asked for.
    sid: String,
    tracks: Vec<String>,
    videos: usize,
}

impl Session {
    async fn join(livekit: &LiveKit, seat: Seat) -> Result<Session, PeerError> {
        let token = livekit.token(&format!("load{}", seat.place), &seat.room);
        let path =
            format!("/rtc?access_token={token}&auto_subscribe=0&protocol={PROTOCOL}&sdk=go&version=2.0.0");
        let socket = web::web_socket(livekit.at, &path, None).await?;
        Ok(Session {
            pair: Pair::new(seat),
            socket,
            unpublished: 0,
            addresses: [None; 2],
            described: [const { None }; 2],
            connected: [false; 2],
            sid: String::new(),
            tracks: Vec::new(),
            videos: 0,
        })
    }

    async fn stay(mut self) -> Result<(), PeerError> {
        let mut ping = tokio::time::interval(PING_EVERY);
        loop {
            tokio::select! {
                frame = self.socket.next() => match frame {
                    Some(Ok(Message::Binary(frame))) => self.heard(&frame).await?,
                    Some(Ok(Message::Close(_))) | None => return Err(PeerError("LiveKit closed the connection".into())),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(PeerError::new("LiveKit", error)),
                },
                event = self.pair.event() => match event {
                    Event::Leave => break,
                    Event::Failed(reason) => return Err(PeerError(reason)),
                    Event::Connected | Event::ChannelOpened | Event::ChannelText(_) => {}
                },
                _ = ping.tick() => self.send(Writer::default().number(request::PING, 1)).await?,
            }
        }
        let leave = Writer::default().message(request::LEAVE, Writer::default());
        self.send(leave).await?;
        let _ = self.socket.close(None).await;
        Ok(())
    }

    async fn heard(&mut self, frame: &[u8]) -> Result<(), PeerError> {
        for (number, value) in protobuf::fields(frame) {
            let protobuf::Value::Bytes(message) = value else { continue };
            match number {
                response::JOIN => self.joined(message).await?,
                response::TRACK_PUBLISHED => self.published().await?,
                response::ANSWER => {
                    self.described[0] = protobuf::text(message, 2).map(|text| Description::read(&text));
                    self.connect(Target::Publisher).await?;
                }
                response::OFFER => self.offered(message).await?,
                response::TRICKLE => self.trickled(message).await?,
                response::UPDATE => {
                    for participant in protobuf::messages(message, 1) {
                        self.look_at(participant).await?;
                    }
                }
                response::LEAVE => return Err(PeerError("LiveKit ended the session".into())),
                _ => {}
            }
        }
        Ok(())
    }

    async fn joined(&mut self, join: &[u8]) -> Result<(), PeerError> {
        let own = protobuf::message(join, 2).and_then(|own| protobuf::text(own, 1));
        self.sid = own.ok_or_else(|| PeerError("LiveKit: the join has no participant".into()))?;
        self.pair.seat.identify(&self.sid);
        let seat = &self.pair.seat;
        let mut requests = Vec::new();
        if seat.streams.audio.is_some() {
            requests.push(track(seat, "audio").number(3, 0).number(8, MICROPHONE).number(13, 1));
        }
        if let Some(top) = seat.plan.video.as_ref().and_then(|video| video.layers.last()) {
            let (width, height) = (u64::from(top.width), u64::from(top.height));
            let layer = Writer::default()
                .number(1, HIGH)
                .number(2, width)
                .number(3, height)
                .number(4, top.bitrate.into());
            let screen = seat.plan.video.as_ref().is_some_and(|video| video.screen);
            let source = if screen { SCREEN } else { CAMERA };
            requests.push(
                track(seat, "video")
                    .number(3, 1)
                    .number(4, width)
                    .number(5, height)
                    .number(8, source)
                    .message(9, layer),
            );
        }
        self.unpublished = requests.len();
        for request in requests {
            self.send(Writer::default().message(request::ADD_TRACK, request)).await?;
        }
        for participant in protobuf::messages(join, 3) {
            self.look_at(participant).await?;
        }
        Ok(())
    }

    /// A track of ours was accepted; after the last one we offer them.
    async fn published(&mut self) -> Result<(), PeerError> {
        self.unpublished = self.unpublished.saturating_sub(1);
        if self.unpublished > 0 || self.connected[0] {
            return Ok(());
        }
        let offer = sdp::offer(&self.pair.seat)?;
        self.send(Writer::default().message(request::OFFER, description("offer", &offer, 1))).await
    }

    /// A participant: all its sound, and its picture if we want one more.
    async fn look_at(&mut self, participant: &[u8]) -> Result<(), PeerError> {
        let Some(owner) = protobuf::text(participant, 1).filter(|sid| *sid != self.sid) else {
            return Ok(());
        };
        let mut wanted = Vec::new();
        for track in protobuf::messages(participant, 4) {
            let Some(sid) = protobuf::text(track, 1).filter(|sid| !self.tracks.contains(sid)) else {
                continue;
            };
            if protobuf::number(track, 2) == 1 {
                let wants = self.pair.seat.plan.wants;
                if wants.max_height == 0
                    || usize::try_from(wants.last_n).is_ok_and(|most| self.videos >= most)
                {
                    continue;
                }
                self.videos += 1;
            }
            self.tracks.push(sid.clone());
            wanted.push(sid);
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let mut of = Writer::default().text(1, &owner);
        let mut subscription = Writer::default();
        for sid in &wanted {
            of = of.text(2, sid);
            subscription = subscription.text(1, sid);
        }
        subscription = subscription.number(2, 1).message(3, of);
        self.send(Writer::default().message(request::SUBSCRIPTION, subscription)).await
    }

    async fn offered(&mut self, message: &[u8]) -> Result<(), PeerError> {
        let text =
            protobuf::text(message, 2).ok_or_else(|| PeerError("LiveKit: an offer without text".into()))?;
        let offer = Description::read(&text);
        let seat = self.pair.receiver();
        seat.sources(sources(&offer));
        let answer = offer.answer(&seat.local);
        self.described[1] = Some(offer);
        let answer = description("answer", &answer, protobuf::number(message, 3));
        self.send(Writer::default().message(request::ANSWER, answer)).await?;
        self.connect(Target::Subscriber).await
    }

    async fn trickled(&mut self, message: &[u8]) -> Result<(), PeerError> {
        let target = if protobuf::number(message, 2) == 0 { Target::Publisher } else { Target::Subscriber };
        let init = protobuf::text(message, 1).and_then(|text| serde_json::from_str::<Value>(&text).ok());
        let found = init.and_then(|init| sdp::candidate(init["candidate"].as_str()?));
        let known = &mut self.addresses[target as usize];
        if let Some(found) = found
            && (known.is_none() || found.ip().is_loopback())
        {
            *known = Some(found);
        }
        self.connect(target).await
    }

    /// Connects once there are a description and an address, and says from where: a server that is to nominate waits a second
    /// before it takes an address that only checks have shown.
    async fn connect(&mut self, target: Target) -> Result<(), PeerError> {
        let at = target as usize;
        let Some(described) = self.described[at].as_ref().filter(|_| !self.connected[at]) else {
            return Ok(());
        };
        let Some(address) = described.address().or(self.addresses[at]) else { return Ok(()) };
        let publisher = target == Target::Publisher;
        let seat = if publisher { &self.pair.seat } else { self.pair.receiver() };
        let local = seat.connect(described.remote(address, publisher, publisher)?)?;
        self.connected[at] = true;
        let candidate = format!("candidate:1 1 udp 2130706431 {} {} typ host", local.ip(), local.port());
        let init = json!({ "candidate": candidate, "sdpMid": "0", "sdpMLineIndex": 0 }).to_string();
        let trickle = Writer::default().text(1, &init).number(2, at as u64);
        self.send(Writer::default().message(request::TRICKLE, trickle)).await
    }

    async fn send(&mut self, request: Writer) -> Result<(), PeerError> {
        let sent = self.socket.send(Message::binary(request.finish())).await;
        sent.map_err(|error| PeerError::new("LiveKit", error))
    }
}

fn track(seat: &Seat, kind: &str) -> Writer {
    // The track's id in the offer's msid.
    Writer::default().text(1, &format!("{kind}{}", seat.place)).text(2, kind)
}

fn description(kind: &str, text: &str, id: u64) -> Writer {
    Writer::default().text(1, kind).text(2, text).number(3, id)
}

/// Whose media comes on which SSRC: the stream's id begins with the sender's.
fn sources(offer: &Description) -> Vec<RemoteSource> {
    let source = |section: &sdp::Section| {
        let (media, (ssrc, rtx)) = (section.kind()?, section.ssrcs()?);
        let owner = section.value("msid").and_then(|msid| msid.split([' ', '|']).next()).map(str::to_owned);
        Some(RemoteSource { ssrc, rtx: rtx.filter(|_| media == Media::Video), media, owner })
    };
    offer.sections.iter().filter_map(source).collect()
}

/// A configuration for a server on this machine: one UDP port, loopback candidates, no file, no discovery of addresses.
pub fn config(at: SocketAddr, media_port: u16, secret: &str) -> String {
    format!(
        "port: {}
bind_addresses: [\"{}\"]
rtc:
  udp_port: {media_port}
  use_external_ip: false
  enable_loopback_candidate: true
keys:
  {KEY}: {secret}
logging:
  level: error
",
        at.port(),
        at.ip()
    )
}

/// Field numbers of a request.
mod request {
    pub(super) const OFFER: u32 = 1;
    pub(super) const ANSWER: u32 = 2;
    pub(super) const TRICKLE: u32 = 3;
    pub(super) const ADD_TRACK: u32 = 4;
    pub(super) const SUBSCRIPTION: u32 = 6;
    pub(super) const LEAVE: u32 = 8;
    pub(super) const PING: u32 = 14;
}

/// Field numbers of a response.
mod response {
    pub(super) const JOIN: u32 = 1;
    pub(super) const ANSWER: u32 = 2;
    pub(super) const OFFER: u32 = 3;
    pub(super) const TRICKLE: u32 = 4;
    pub(super) const UPDATE: u32 = 5;
    pub(super) const TRACK_PUBLISHED: u32 = 6;
    pub(super) const LEAVE: u32 = 8;
}

/// Name of the API key.
const KEY: &str = "load";
/// Version of the client protocol that we speak.
const PROTOCOL: u32 = 12;
/// Sources of tracks.
const CAMERA: u64 = 1;
const MICROPHONE: u64 = 2;
const SCREEN: u64 = 3;
/// The quality of a single layer.
const HIGH: u64 = 2;
/// Sessions end after 15 s of silence.
const PING_EVERY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_three_parts_and_a_signature_of_the_secret() {
        let livekit = LiveKit::new("127.0.0.1:1".parse().unwrap(), "secret");
        let token = livekit.token("me", "room");
        let parts: Vec<&str> = token.split('.').collect();
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
        assert_eq!((claims["sub"].as_str(), claims["video"]["room"].as_str()), (Some("me"), Some("room")));
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"secret");
        let signature = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
        assert!(hmac::verify(&key, format!("{}.{}", parts[0], parts[1]).as_bytes(), &signature).is_ok());
    }

    #[test]
    fn the_sender_is_read_from_the_stream_id() {
        let offer = Description::read(
            "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=msid:PA_x|camera TR_y\r\na=ssrc:9 cname:PA_x\r\n",
        );
        let expected = RemoteSource { ssrc: 9, rtx: None, media: Media::Audio, owner: Some("PA_x".into()) };
        assert_eq!(sources(&offer), [expected]);
    }
}
