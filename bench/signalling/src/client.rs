//! One client as a stock one speaks: WebSocket, stream, conference request, join, answers; no media.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connected client.
pub struct Client {
    socket: TcpStream,
    buffer: Vec<u8>,
    /// Stanzas that came in since stream management was enabled, modulo 2^32.
    handled: u32,
    began: Instant,
    nick: String,
    room: String,
    /// Ends the session that it is offered, so that it stays without a media seat.
    declines: bool,
    /// Frames that came in.
    pub frames: u64,
    /// Bytes of them.
    pub bytes: u64,
}

impl Client {
    /// Connects to `address` and goes up to the managed stream.
    ///
    /// # Errors
    /// When the server does not answer as it should.
    pub async fn open(address: &str, domain: &str, room: &str) -> Result<Client> {
        let began = Instant::now();
        let mut socket = TcpStream::connect(address).await.context("cannot connect")?;
        socket.set_nodelay(true)?;
        let request = format!(
            "GET /xmpp-websocket?room={room} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).await?;
        let room = format!("{room}@conference.{domain}");
        let mut client = Client {
            socket,
            buffer: Vec::new(),
            handled: 0,
            began,
            nick: String::new(),
            room,
            declines: false,
            frames: 0,
            bytes: 0,
        };
        client.skip_head().await?;
        let open = format!("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='{domain}' version='1.0'/>");
        client.say(&open).await?;
        client.until("stream:features").await?;
        client.say("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>").await?;
        client.until("<success").await?;
        client.say(&open).await?;
        client.until("stream:features").await?;
        client
            .say("<iq xmlns='jabber:client' type='set' id='_bind_auth_2'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
            .await?;
        let bound = client.until("<jid>").await?;
        client.nick = between(&bound, "<jid>", "</jid>").unwrap_or_default().chars().take(8).collect();
        client.say("<enable xmlns='urn:xmpp:sm:3' resume='true'/>").await?;
        client.until("<enabled").await?;
        client.handled = 0;
        Ok(client)
    }

    /// It will end the session that it is offered.
    pub fn decline(&mut self) {
        self.declines = true;
    }

    /// Asks for the conference, joins and answers until the offer is there: the time from the first byte to the
    /// `session-initiate`.
    ///
    /// # Errors
    /// When the server refuses or is silent for a minute.
    pub async fn join(&mut self, domain: &str) -> Result<Duration> {
        self.say(&format!(
            "<iq xmlns='jabber:client' type='set' id='c' to='focus.{domain}'><conference \
             xmlns='http://jitsi.org/protocol/focus' room='{}' machine-uid='{}'/></iq>",
            self.room, self.nick
        ))
        .await?;
        self.until("ready='true'").await?;
        self.say(&self.presence()).await?;
        let own = format!("from='{}/{}'", self.room, self.nick);
        loop {
            let frame = self.frame().await?;
            if frame.starts_with("<presence ") && frame.contains(&own) && frame.contains("type='error'") {
                bail!("refused: {frame}");
            }
            if self.answer(&frame).await? {
                return Ok(self.began.elapsed());
            }
        }
    }

    /// Reads and answers until `end`.
    ///
    /// # Errors
    /// When the server closes the connection.
    pub async fn stay(&mut self, end: Instant) -> Result<()> {
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            match tokio::time::timeout(left, self.frame()).await {
                Ok(frame) => {
                    let frame = frame?;
                    self.answer(&frame).await?;
                }
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// The presence of a web client with camera and microphone off.
    fn presence(&self) -> String {
        let (room, nick) = (&self.room, &self.nick);
        format!(
            "<presence xmlns='jabber:client' to='{room}/{nick}'><x xmlns='http://jabber.org/protocol/muc'/>\
             <stats-id>Bench-{nick}</stats-id><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' \
             node='https://jitsi.org/jitsi-meet' ver='0Bx4Tm8sTvnWLqX3bXjuKkwUP7k='/>\
             <features><feature var='https://jitsi.org/meet/e2ee'/></features>\
             <SourceInfo>{{\"{nick}-a0\":{{\"muted\":true}},\"{nick}-v0\":{{\"muted\":true}}}}</SourceInfo>\
             <jitsi_participant_region>eu-central</jitsi_participant_region>\
             <jitsi_participant_codecList>av1,vp9,vp8,h264</jitsi_participant_codecList>\
             <nick xmlns='http://jabber.org/protocol/nick'>Person {nick}</nick></presence>"
        )
    }

    /// Answers what every client answers by itself. True if it was the offer.
    async fn answer(&mut self, frame: &str) -> Result<bool> {
        if frame.starts_with("<r ") {
            let count = format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", self.handled);
            self.say(&count).await?;
            return Ok(false);
        }
        if !frame.starts_with("<iq ") {
            return Ok(false);
        }
        let id = between(frame, " id='", "'").unwrap_or_default();
        let to = format!("{}/focus", self.room);
        if frame.contains("disco#info") && frame.contains("type='get'") {
            let features = FEATURES.map(|var| format!("<feature var='{var}'/>")).concat();
            let answer = format!(
                "<iq xmlns='jabber:client' type='result' id='{id}' to='{to}'>\
                 <query xmlns='http://jabber.org/protocol/disco#info'>{features}</query></iq>"
            );
            self.say(&answer).await?;
        } else if frame.contains("type='set'") {
            self.say(&format!("<iq xmlns='jabber:client' type='result' id='{id}' to='{to}'/>")).await?;
        }
        let is_offer = frame.contains("session-initiate");
        if is_offer && self.declines {
            let sid = between(frame, " sid='", "'").unwrap_or_default();
            let end = format!(
                "<iq xmlns='jabber:client' type='set' id='decline' to='{to}'>\
                 <jingle xmlns='urn:xmpp:jingle:1' action='session-terminate' sid='{sid}'>\
                 <reason><decline/></reason></jingle></iq>"
            );
            self.say(&end).await?;
        }
        Ok(is_offer)
    }

    /// Leaves the room, the stream stays.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn leave(&mut self) -> Result<()> {
        let (room, nick) = (&self.room, &self.nick);
        let farewell = format!("<presence xmlns='jabber:client' type='unavailable' to='{room}/{nick}'/>");
        self.say(&farewell).await
    }

    /// Asks the server for a sign of life: the time until its answer, behind whatever else was on its way.
    ///
    /// # Errors
    /// When the server is silent for a minute.
    pub async fn ping(&mut self, domain: &str) -> Result<Duration> {
        let asked = Instant::now();
        self.say(&format!(
            "<iq xmlns='jabber:client' type='get' id='ping' to='{domain}'><ping xmlns='urn:xmpp:ping'/></iq>"
        ))
        .await?;
        loop {
            let frame = self.frame().await?;
            if frame.starts_with("<iq ") && frame.contains("id='ping'") {
                return Ok(asked.elapsed());
            }
            self.answer(&frame).await?;
        }
    }

    async fn until(&mut self, text: &str) -> Result<String> {
        loop {
            let frame = self.frame().await?;
            if frame.contains(text) {
                return Ok(frame);
            }
            if frame.contains("<failure") || frame.contains("stream:error") || frame.contains("type='error'")
            {
                bail!("instead of {text}: {frame}");
            }
        }
    }

    /// The next text frame. Servers do not mask (RFC 6455 §5.1).
    async fn frame(&mut self) -> Result<String> {
        loop {
            if let Some((opcode, head, length)) = self.header()
                && self.buffer.len() >= head + length
            {
                let text = String::from_utf8_lossy(&self.buffer[head..head + length]).into_owned();
                self.buffer.drain(..head + length);
                match opcode {
                    0x1 => {}
                    0x8 => bail!("the server closed the connection"),
                    0x9 => {
                        self.send(0xA, text.as_bytes()).await?;
                        continue;
                    }
                    _ => continue,
                }
                self.frames += 1;
                self.bytes += length as u64;
                let is_stanza = ["<presence", "<message", "<iq"].iter().any(|start| text.starts_with(start));
                self.handled = self.handled.wrapping_add(u32::from(is_stanza));
                return Ok(text);
            }
            self.fill().await?;
        }
    }

    /// Opcode, bytes of the header and of the payload of the next frame.
    fn header(&self) -> Option<(u8, usize, usize)> {
        let (first, second) = (*self.buffer.first()?, *self.buffer.get(1)?);
        let (head, length) = match second & 0x7F {
            126 => (4, usize::from(u16::from_be_bytes(self.buffer.get(2..4)?.try_into().ok()?))),
            127 => {
                let length = u64::from_be_bytes(self.buffer.get(2..10)?.try_into().ok()?);
                (10, usize::try_from(length).ok()?)
            }
            short => (2, usize::from(short)),
        };
        Some((first & 0x0F, head, length))
    }

    async fn say(&mut self, text: &str) -> Result<()> {
        self.send(0x1, text.as_bytes()).await
    }

    async fn send(&mut self, opcode: u8, payload: &[u8]) -> Result<()> {
        Ok(self.socket.write_all(&masked(opcode, payload)).await?)
    }

    async fn skip_head(&mut self) -> Result<()> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                if !self.buffer.starts_with(b"HTTP/1.1 101") {
                    bail!("{}", String::from_utf8_lossy(&self.buffer[..end]));
                }
                self.buffer.drain(..end + 4);
                return Ok(());
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<()> {
        let mut chunk = [0; 16 * 1_024];
        let read = tokio::time::timeout(SILENCE_MAX, self.socket.read(&mut chunk)).await;
        match read.context("the server is silent")?? {
            0 => bail!("the server is gone"),
            count => self.buffer.extend(&chunk[..count]),
        }
        Ok(())
    }
}

/// One frame of a WebSocket as clients send it (RFC 6455 §5.2), under the mask 0, which changes nothing.
pub fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    Some(text.split_once(before)?.1.split_once(after)?.0)
}

/// What a web client of today can do.
const FEATURES: [&str; 8] = [
    "urn:xmpp:jingle:apps:rtp:audio",
    "urn:xmpp:jingle:apps:rtp:video",
    "urn:xmpp:jingle:transports:dtls-sctp:1",
    "urn:ietf:rfc:4588",
    "http://jitsi.org/tcc",
    "http://jitsi.org/remb",
    "http://jitsi.org/json-encoded-sources",
    "http://jitsi.org/ssrc-rewriting-1",
];
/// After this much silence a run has failed.
const SILENCE_MAX: Duration = Duration::from_secs(60);
