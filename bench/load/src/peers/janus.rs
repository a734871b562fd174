//! The adapter for Janus and its VideoRoom plugin, by the WebSocket API: a publisher's handle for what an endpoint sends and
//! a subscriber's with all that it receives (multistream, Janus 1.x).

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use contract::session::Media;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio_tungstenite::tungstenite::Message;

use super::sdp::{self, Description};
use super::{Pair, web};
use crate::peer::{Event, Peer, PeerError, RemoteSource, Seat, Stay};

/// A gateway by the address of its WebSocket.
pub struct Janus {
    at: SocketAddr,
    rooms: Mutex<HashMap<String, Arc<OnceCell<()>>>>,
}

impl Janus {
    /// The gateway at this address.
    pub fn new(at: SocketAddr) -> Janus {
        Janus { at, rooms: Mutex::default() }
    }
}

impl Peer for Janus {
    fn stay(self: Arc<Self>, seat: Seat) -> Stay {
        Box::pin(async move { Session::join(&self, seat).await?.stay().await })
    }
}

/// One endpoint in a room.
struct Session {
    pair: Pair,
    socket: web::Socket,
    id: u64,
    publisher: u64,
    subscriber: u64,
    transaction: u64,
    /// Came while an answer was awaited.
    early: VecDeque<Value>,
    /// Streams to subscribe to: feed and mid.
    wanted: Vec<(String, String)>,
    videos: usize,
    /// The subscription exists.
    subscribed: bool,
    /// A change of it is under way.
    negotiating: bool,
}

impl Session {
    async fn join(janus: &Janus, seat: Seat) -> Result<Session, PeerError> {
        let socket = web::web_socket(janus.at, "/", Some("janus-protocol")).await?;
        let mut session = Session {
            pair: Pair::new(seat),
            socket,
            id: 0,
            publisher: 0,
            subscriber: 0,
            transaction: 0,
            early: VecDeque::new(),
            wanted: Vec::new(),
            videos: 0,
            subscribed: false,
            negotiating: false,
        };
        let created = session.request(json!({ "janus": "create" })).await?;
        session.id = created["data"]["id"].as_u64().unwrap_or_default();
        for handle in 0..2 {
            let attached =
                session.request(json!({ "janus": "attach", "plugin": "janus.plugin.videoroom" })).await?;
            let id = attached["data"]["id"].as_u64().unwrap_or_default();
            *(if handle == 0 { &mut session.publisher } else { &mut session.subscriber }) = id;
        }
        let room = {
            let mut rooms = janus.rooms.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            rooms.entry(session.pair.seat.room.clone()).or_default().clone()
        };
        room.get_or_try_init(|| session.create_room()).await?;
        Ok(session)
    }

    async fn create_room(&mut self) -> Result<(), PeerError> {
        let body = json!({
            "request": "create", "room": self.pair.seat.room, "publishers": PUBLISHERS_MAX, "audiocodec": "opus",
            "videocodec": "vp8,vp9,h264,av1",
        });
        let answer =
            self.request(json!({ "janus": "message", "handle_id": self.publisher, "body": body })).await?;
        refusal(&answer["plugindata"]["data"])
    }

    async fn stay(mut self) -> Result<(), PeerError> {
        let identity = (self.pair.seat.place + 1).to_string();
        self.pair.seat.identify(&identity);
        let join =
            json!({ "request": "join", "ptype": "publisher", "room": self.pair.seat.room, "id": identity });
        self.message(self.publisher, join, None).await?;
        let mut alive = tokio::time::interval(ALIVE_EVERY);
        loop {
            if let Some(early) = self.early.pop_front() {
                self.heard(&early).await?;
                continue;
            }
            tokio::select! {
                frame = read(&mut self.socket) => {
                    let frame = frame?;
                    self.heard(&frame).await?;
                }
                event = self.pair.event() => match event {
                    Event::Leave => break,
                    Event::Failed(reason) => return Err(PeerError(reason)),
                    Event::Connected | Event::ChannelOpened | Event::ChannelText(_) => {}
                },
                _ = alive.tick() => self.send(json!({ "janus": "keepalive" })).await?,
            }
        }
        self.send(json!({ "janus": "destroy" })).await?;
        let _ = self.socket.close(None).await;
        Ok(())
    }

    async fn heard(&mut self, frame: &Value) -> Result<(), PeerError> {
        match frame["janus"].as_str() {
            Some("error") => return Err(PeerError(format!("Janus: {}", frame["error"]["reason"]))),
            Some("hangup") => return Err(PeerError(format!("Janus hung up: {}", frame["reason"]))),
            Some("event") => {}
            _ => return Ok(()),
        }
        let data = &frame["plugindata"]["data"];
        refusal(data)?;
        let description = frame["jsep"]["sdp"].as_str().map(Description::read);
        if frame["sender"].as_u64() == Some(self.subscriber) {
            return self.subscription(data, description).await;
        }
        if data["videoroom"] == "joined" && self.pair.receiving.is_some() {
            let offer = sdp::offer(&self.pair.seat)?;
            let publish = json!({ "request": "publish" });
            self.message(self.publisher, publish, Some(json!({ "type": "offer", "sdp": offer }))).await?;
        }
        if let Some(answer) = description {
            self.pair.seat.connect(answer.remote(address(&answer)?, true, true)?)?;
        }
        for publisher in data["publishers"].as_array().into_iter().flatten() {
            self.want(publisher);
        }
        self.subscribe().await
    }

    /// A publisher appeared: all its sound, and its picture if we want one more.
    fn want(&mut self, publisher: &Value) {
        let Some(feed) = publisher["id"].as_str() else { return };
        for stream in publisher["streams"].as_array().into_iter().flatten() {
            let Some(mid) = stream["mid"].as_str() else { continue };
            if stream["type"] == "video" {
                let wants = self.pair.seat.plan.wants;
                if wants.max_height == 0
                    || usize::try_from(wants.last_n).is_ok_and(|most| self.videos >= most)
                {
                    continue;
                }
                self.videos += 1;
            }
            self.wanted.push((feed.to_owned(), mid.to_owned()));
        }
    }

    /// Subscribes to what is wanted, one change at a time.
    async fn subscribe(&mut self) -> Result<(), PeerError> {
        if self.negotiating || self.wanted.is_empty() {
            return Ok(());
        }
        let streams: Vec<Value> =
            self.wanted.drain(..).map(|(feed, mid)| json!({ "feed": feed, "mid": mid })).collect();
        let request = match self.subscribed {
            true => json!({ "request": "subscribe", "streams": streams }),
            false => {
                let room = &self.pair.seat.room;
                json!({ "request": "join", "ptype": "subscriber", "room": room, "streams": streams })
            }
        };
        self.negotiating = true;
        self.message(self.subscriber, request, None).await
    }

    async fn subscription(&mut self, data: &Value, offer: Option<Description>) -> Result<(), PeerError> {
        let changed = matches!(data["videoroom"].as_str(), Some("attached" | "updated"));
        if let Some(offer) = offer {
            let seat = self.pair.receiver();
            let feeds: HashMap<&str, &str> = data["streams"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|stream| Some((stream["mid"].as_str()?, stream["feed_id"].as_str()?)))
                .collect();
            seat.sources(sources(&offer, &feeds));
            if !std::mem::replace(&mut self.subscribed, true) {
                seat.connect(offer.remote(address(&offer)?, true, false)?)?;
            }
            let answer = json!({ "type": "answer", "sdp": offer.answer(&seat.local) });
            return self.message(self.subscriber, json!({ "request": "start" }), Some(answer)).await;
        }
        if data["started"] == "ok" || changed {
            self.negotiating = false;
            return self.subscribe().await;
        }
        Ok(())
    }

    /// Sends something to the plugin; what comes of it is an event.
    async fn message(&mut self, handle: u64, body: Value, jsep: Option<Value>) -> Result<(), PeerError> {
        let mut message = json!({ "janus": "message", "handle_id": handle, "body": body });
        if let Some(jsep) = jsep {
            message["jsep"] = jsep;
        }
        self.send(message).await
    }

    async fn send(&mut self, mut message: Value) -> Result<(), PeerError> {
        self.transaction += 1;
        message["transaction"] = self.transaction.to_string().into();
        if self.id != 0 {
            message["session_id"] = self.id.into();
        }
        let sent = self.socket.send(Message::text(message.to_string())).await;
        sent.map_err(|error| PeerError::new("Janus", error))
    }

    /// Sends something that is answered at once. What comes in between is kept.
    async fn request(&mut self, message: Value) -> Result<Value, PeerError> {
        self.send(message).await?;
        let transaction = self.transaction.to_string();
        let answer = async {
            loop {
                let frame = read(&mut self.socket).await?;
                if frame["transaction"].as_str() != Some(&transaction) {
                    self.early.push_back(frame);
                } else if frame["janus"] == "success" {
                    return Ok(frame);
                } else if frame["janus"] == "error" {
                    return Err(PeerError(format!("Janus: {}", frame["error"]["reason"])));
                }
            }
        };
        let answer = tokio::time::timeout(ANSWER_WITHIN, answer).await;
        answer.map_err(|_| PeerError("Janus does not answer".into()))?
    }
}

async fn read(socket: &mut web::Socket) -> Result<Value, PeerError> {
    loop {
        let frame = socket.next().await.ok_or_else(|| PeerError("Janus closed the connection".into()))?;
        match frame.map_err(|error| PeerError::new("Janus", error))? {
            Message::Text(text) => {
                return serde_json::from_str(&text).map_err(|error| PeerError::new("Janus", error));
            }
            Message::Close(_) => return Err(PeerError("Janus closed the connection".into())),
            _ => {}
        }
    }
}

/// What the plugin refused, if it did.
fn refusal(data: &Value) -> Result<(), PeerError> {
    match data["error"].as_str() {
        Some(error) => Err(PeerError(format!("VideoRoom: {error}"))),
        None => Ok(()),
    }
}

fn address(description: &Description) -> Result<SocketAddr, PeerError> {
    description.address().ok_or_else(|| PeerError("Janus has no UDP candidate over IPv4".into()))
}

/// Whose media comes on which SSRC; `feeds` by mid.
fn sources(offer: &Description, feeds: &HashMap<&str, &str>) -> Vec<RemoteSource> {
    let source = |section: &sdp::Section| {
        let (media, (ssrc, rtx)) = (section.kind()?, section.ssrcs()?);
        let owner = feeds.get(section.mid()?).map(|feed| (*feed).to_owned());
        Some(RemoteSource { ssrc, rtx: rtx.filter(|_| media == Media::Video), media, owner })
    };
    offer.sections.iter().filter_map(source).collect()
}

/// Configuration files for a gateway on this machine: name and content, for a folder of its own. `libraries` has plugins and
/// transports.
pub fn config(
    at: SocketAddr,
    folder: &Path,
    libraries: &Path,
    ports: (u16, u16),
) -> Vec<(&'static str, String)> {
    let (folder, libraries) = (folder.display(), libraries.display());
    let main = format!(
        "general: {{
  configs_folder = \"{folder}\"
  plugins_folder = \"{libraries}/plugins\"
  transports_folder = \"{libraries}/transports\"
  events_folder = \"{libraries}/events\"
  loggers_folder = \"{libraries}/loggers\"
  debug_level = 3
}}
media: {{ rtp_port_range = \"{}-{}\" }}
nat: {{ ice_lite = true }}
plugins: {{ disable = \"libjanus_audiobridge.so,libjanus_duktape.so,libjanus_echotest.so,libjanus_lua.so,libjanus_nosip.so,\
libjanus_recordplay.so,libjanus_sip.so,libjanus_streaming.so,libjanus_textroom.so,libjanus_videocall.so,libjanus_voicemail.so\" }}
transports: {{ disable = \"libjanus_http.so,libjanus_mqtt.so,libjanus_nanomsg.so,libjanus_pfunix.so,libjanus_rabbitmq.so\" }}
",
        ports.0, ports.1
    );
    let web_sockets = format!(
        "general: {{ json = \"compact\", ws = true, ws_ip = \"{}\", ws_port = {}, wss = false }}\n\
         admin: {{ admin_ws = false, admin_wss = false }}\n",
        at.ip(),
        at.port()
    );
    vec![
        ("janus.jcfg", main),
        ("janus.transport.websockets.jcfg", web_sockets),
        ("janus.plugin.videoroom.jcfg", "general: { string_ids = true }\n".to_owned()),
    ]
}

/// More than any workload has in a room.
const PUBLISHERS_MAX: u32 = 10_000;
/// Sessions end after a minute of silence.
const ALIVE_EVERY: Duration = Duration::from_secs(25);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
