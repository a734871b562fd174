//! XMPP over WebSocket (RFC 7395): one task a connection moves text frames to and from the signalling loop.

use std::time::Duration;

use axum::extract::ws::{Message as WsMessage, WebSocket};
use tokio::sync::{mpsc, oneshot};
use xmpp::ConnectionId;
use xmpp::streams::Query;

use crate::channels::{CLOSE_NORMAL, CLOSE_TRY_LATER, CLOSE_UNSUPPORTED, SEND_WITHIN, close_frame};
use crate::pace::Pace;
use crate::signaling_loop::{Clock, Handle, Message};

/// To the task of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ToConnection {
    /// Send one text frame.
    Frame(String),
    /// The stream is over: close.
    Close,
}

/// Serves one connection until it ends.
pub(crate) async fn serve(mut socket: WebSocket, connection: ConnectionId, query: Query, signaling: Handle) {
    let (sender, mut frames) = mpsc::channel(FRAMES_WAITING_MAX);
    let (accepted, answer) = oneshot::channel();
    if signaling.send(Message::Connected { connection, query, sender, accepted }).await.is_err() {
        return;
    }
    if !answer.await.unwrap_or(false) {
        let _ = socket.send(close_frame(CLOSE_TRY_LATER, "too many connections")).await;
        return;
    }

    let by_server = pump(&mut socket, &mut frames, connection, &signaling).await;
    if !by_server {
        let _ = signaling.send(Message::Lost { connection }).await;
    }
}

/// Moves frames both ways. True if the signalling loop ended the connection and so knows of its end.
async fn pump(
    socket: &mut WebSocket,
    frames: &mut mpsc::Receiver<ToConnection>,
    connection: ConnectionId,
    signaling: &Handle,
) -> bool {
    let clock = Clock::new();
    let mut pace = Pace::new(FRAMES_PER_SECOND, FRAMES_BURST);
    let mut ping = tokio::time::interval_at(tokio::time::Instant::now() + PING_EVERY, PING_EVERY);
    loop {
        tokio::select! {
                   received = socket.recv() => match received {
                       Some(Ok(WsMessage::Text(text))) => {
                           let text = text.as_str().to_owned();
        while !pace.admit(clock.now()) { tokio::time::sleep(pace.delay(clock.now())).await; }
                           if signaling.send(Message::Frame { connection, text }).await.is_err() {
                               return false;
                           }
                       }
                       Some(Ok(WsMessage::Binary(_))) => {
                           let _ = socket.send(close_frame(CLOSE_UNSUPPORTED, "text only")).await;
                           return false;
                       }
                       Some(Ok(WsMessage::Close(_)) | Err(_)) | None => return false,
                       Some(Ok(WsMessage::Ping(_) | WsMessage::Pong(_))) => {}
                   },
                   frame = frames.recv() => {
                       let Some(ToConnection::Frame(text)) = frame else {
                           // Closed by the stream, or dropped because the client did not read.
                           let _ = tokio::time::timeout(SEND_WITHIN, socket.send(close_frame(CLOSE_NORMAL, ""))).await;
                           return true;
                       };
                       let sent = tokio::time::timeout(SEND_WITHIN, socket.send(WsMessage::Text(text.into()))).await;
                       if !matches!(sent, Ok(Ok(()))) {
                           return false;
                       }
                   }
                   _ = ping.tick() => {
                       let sent = tokio::time::timeout(SEND_WITHIN, socket.send(WsMessage::Ping(Default::default()))).await;
                       if !matches!(sent, Ok(Ok(()))) {
                           return false;
                       }
                   }
               }
    }
}

/// Frames that may wait for a client that does not read; then the connection is given up, and the session may be resumed.
pub(crate) const FRAMES_WAITING_MAX: usize = 512;

/// Frames of one client: joining takes some twenty at once. A client that sends more is read more slowly.
pub(crate) const FRAMES_PER_SECOND: u64 = 100;
pub(crate) const FRAMES_BURST: u64 = 400;

/// Keeps proxies from closing a quiet connection.
const PING_EVERY: Duration = Duration::from_secs(30);
