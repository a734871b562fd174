//! XMPP over WebSocket (RFC 7395): one task a connection reads its frames for the signalling loop and writes what that sends.

use std::time::Duration;

use axum::extract::ws::{Message as WsMessage, Utf8Bytes, WebSocket};
use contract::Timestamp;
use futures_util::SinkExt;
use tokio::sync::oneshot;
use xmpp::streams::Query;
use xmpp::{ConnectionId, FrameReader, Text};

use crate::channels::{CLOSE_NORMAL, CLOSE_TRY_LATER, CLOSE_UNSUPPORTED, SEND_WITHIN, close_frame};
use crate::outbox::{ToConnection, Waiting, outbox};
use crate::signaling_loop::{Clock, Handle, Message};
use crate::throttle::Throttle;

/// Serves one connection until it ends.
pub(crate) async fn serve(mut socket: WebSocket, connection: ConnectionId, query: Query, signaling: Handle) {
    let (sender, mut frames) = outbox();
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
    frames: &mut Waiting,
    connection: ConnectionId,
    signaling: &Handle,
) -> bool {
    let clock = Clock::new();
    let mut throttle = Throttle::new();
    let mut reader = FrameReader::default();
    // A frame that came too early, and when its time comes; until then nothing more is read.
    let mut early: Option<(Utf8Bytes, Timestamp)> = None;
    let mut ping = tokio::time::interval_at(tokio::time::Instant::now() + PING_EVERY, PING_EVERY);
    loop {
        let due = early.as_ref().map_or(Timestamp::NEVER, |(_, due)| *due);
        tokio::select! {
            received = socket.recv(), if early.is_none() => match received {
                Some(Ok(WsMessage::Text(text))) => {
                    let now = clock.now();
                    let wait = throttle.take(&text, now);
                    if !wait.is_zero() {
                        early = Some((text, now.after(wait)));
                    } else {
                        let is_authenticated = frames.is_authenticated();
                        if signaling.frame(connection, &mut reader, &text, is_authenticated).await.is_err() {
                            return false;
                        }
                    }
                }
                Some(Ok(WsMessage::Binary(_))) => {
                    let _ = socket.send(close_frame(CLOSE_UNSUPPORTED, "text only")).await;
                    return false;
                }
                Some(Ok(WsMessage::Close(_)) | Err(_)) | None => return false,
                Some(Ok(WsMessage::Ping(_) | WsMessage::Pong(_))) => {}
            },
            () = clock.sleep_until(due) => {
                let Some((text, _)) = early.take() else { continue };
                let is_authenticated = frames.is_authenticated();
                if signaling.frame(connection, &mut reader, &text, is_authenticated).await.is_err() {
                    return false;
                }
            }
            frame = frames.recv() => {
                let Some(ToConnection::Frame(text)) = frame else {
                    // Closed by the stream, or dropped because the client did not read.
                    close(socket).await;
                    return true;
                };
                match tokio::time::timeout(SEND_WITHIN, send(socket, text, frames)).await {
                    Ok(Ok(false)) => {}
                    Ok(Ok(true)) => {
                        close(socket).await;
                        return true;
                    }
                    Ok(Err(_)) | Err(_) => return false,
                }
            }
            _ = ping.tick() => {
                let sent = socket.send(WsMessage::Ping(Default::default()));
                if !matches!(tokio::time::timeout(SEND_WITHIN, sent).await, Ok(Ok(()))) {
                    return false;
                }
            }
        }
    }
}

/// Says that nothing more comes, if the client still listens.
async fn close(socket: &mut WebSocket) {
    let _ = tokio::time::timeout(SEND_WITHIN, socket.send(close_frame(CLOSE_NORMAL, ""))).await;
}

/// Sends a frame and what waits behind it in as few writes as possible. True if the stream is over.
async fn send(socket: &mut WebSocket, first: Text, frames: &mut Waiting) -> Result<bool, axum::Error> {
    let (mut next, mut taken) = (Some(ToConnection::Frame(first)), 0);
    while let Some(message) = next {
        let ToConnection::Frame(text) = message else {
            socket.flush().await?;
            return Ok(true);
        };
        socket.feed(WsMessage::Text(String::from(text).into())).await?;
        taken += 1;
        next = if taken < FRAMES_AT_ONCE_MAX { frames.try_recv() } else { None };
    }
    socket.flush().await?;
    Ok(false)
}

/// Frames sent before the other direction has its turn.
const FRAMES_AT_ONCE_MAX: usize = 64;

/// Keeps proxies from closing a quiet connection.
const PING_EVERY: Duration = Duration::from_secs(30);
