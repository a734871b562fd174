//! Bridge channels of all endpoints: which exist and which was used last; and the WebSocket kind of them (RFC 6455).

use std::collections::HashMap;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message as WsMessage, Utf8Bytes, WebSocket};
use contract::EndpointId;
use signaling::association::ChannelKind;
use tokio::sync::mpsc;

use crate::pace::Pace;
use crate::signaling_loop::{Clock, Handle, Message};

/// A WebSocket among those that an endpoint opened one after the other; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ChannelId(pub(crate) u64);

/// To the task of a WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ToChannel {
    /// Send one message.
    Text(String),
    /// Close with this code and reason.
    Close(u16, &'static str),
}

/// Where messages to an endpoint go.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Taken care of: a WebSocket has it, or too much waits for it.
    WebSocket { sent: bool },
    /// By the endpoint's DTLS association.
    DataChannel,
    /// No channel is open.
    None,
}

/// All bridge channels.
#[derive(Default)]
pub(crate) struct Channels {
    endpoints: HashMap<EndpointId, Endpoint>,
}

#[derive(Default)]
struct Endpoint {
    web_socket: Option<(ChannelId, mpsc::Sender<ToChannel>)>,
    data_channel: bool,
    last: Option<ChannelKind>,
}

impl Channels {
    /// A WebSocket was opened; an earlier one of the same endpoint is closed.
    pub(crate) fn web_socket_opened(
        &mut self,
        endpoint: EndpointId,
        id: ChannelId,
        sender: mpsc::Sender<ToChannel>,
    ) {
        let entry = self.endpoints.entry(endpoint).or_default();
        if let Some((_, replaced)) = entry.web_socket.replace((id, sender)) {
            let _ = replaced.try_send(ToChannel::Close(CLOSE_NORMAL, "replaced"));
        }
        entry.last = Some(ChannelKind::WebSocket);
    }

    /// A WebSocket is gone. True if it was the endpoint's current one.
    pub(crate) fn web_socket_closed(&mut self, endpoint: EndpointId, id: ChannelId) -> bool {
        let Some(entry) = self.endpoints.get_mut(&endpoint) else { return false };
        if entry.web_socket.as_ref().map(|(current, _)| *current) != Some(id) {
            return false;
        }
        entry.web_socket = None;
        entry.last = entry.data_channel.then_some(ChannelKind::DataChannel);
        true
    }

    /// A data channel opened or ended.
    pub(crate) fn data_channel(&mut self, endpoint: EndpointId, open: bool) {
        let entry = self.endpoints.entry(endpoint).or_default();
        entry.data_channel = open;
        entry.last = match open {
            true => Some(ChannelKind::DataChannel),
            false => entry.web_socket.is_some().then_some(ChannelKind::WebSocket),
        };
    }

    /// A message came in by `kind`: answers go the same way.
    pub(crate) fn used(&mut self, endpoint: EndpointId, kind: ChannelKind) {
        if let Some(entry) = self.endpoints.get_mut(&endpoint) {
            entry.last = Some(kind);
        }
    }

    /// Sends `text` if it goes by WebSocket; else says where to send it.
    pub(crate) fn send(&mut self, endpoint: EndpointId, text: &str) -> Route {
        let Some(entry) = self.endpoints.get(&endpoint) else { return Route::None };
        match (entry.last, &entry.web_socket) {
            (Some(ChannelKind::WebSocket), Some((_, sender))) => {
                Route::WebSocket { sent: sender.try_send(ToChannel::Text(text.to_owned())).is_ok() }
            }
            (Some(ChannelKind::DataChannel), _) => Route::DataChannel,
            _ => Route::None,
        }
    }

    /// The endpoint is gone.
    pub(crate) fn expire(&mut self, endpoint: EndpointId) {
        let web_socket = self.endpoints.remove(&endpoint).and_then(|entry| entry.web_socket);
        if let Some((_, sender)) = web_socket {
            let _ = sender.try_send(ToChannel::Close(CLOSE_GOING_AWAY, "endpoint expired"));
        }
    }
}

/// Serves one authorised WebSocket until it ends.
pub(crate) async fn serve(mut socket: WebSocket, endpoint: EndpointId, id: ChannelId, signaling: Handle) {
    let (sender, mut messages) = mpsc::channel(MESSAGES_WAITING_MAX);
    if signaling.send(Message::ChannelOpened { endpoint, channel: id, sender }).await.is_err() {
        return;
    }
    let clock = Clock::new();
    let mut pace = Pace::new(MESSAGES_PER_SECOND, MESSAGES_BURST);
    let mut ping = tokio::time::interval_at(tokio::time::Instant::now() + PING_EVERY, PING_EVERY);
    let mut heard = true;
    loop {
        tokio::select! {
                   received = socket.recv() => {
                       heard = true;
                       match received {
                           Some(Ok(WsMessage::Text(text))) => {
                               let text = text.as_str().to_owned();
        while !pace.admit(clock.now()) { tokio::time::sleep(pace.delay(clock.now())).await; }
                               if signaling.send(Message::ChannelText { endpoint, text }).await.is_err() {
                                   break;
                               }
                           }
                           Some(Ok(WsMessage::Close(_)) | Err(_)) | None => break,
                           Some(Ok(_)) => {}
                       }
                   }
                   message = messages.recv() => {
                       let closing = !matches!(message, Some(ToChannel::Text(_)));
                       let frame = match message {
                           Some(ToChannel::Text(text)) => WsMessage::Text(text.into()),
                           Some(ToChannel::Close(code, reason)) => close_frame(code, reason),
                           None => close_frame(CLOSE_GOING_AWAY, "going away"),
                       };
                       let sent = tokio::time::timeout(SEND_WITHIN, socket.send(frame)).await;
                       if closing || !matches!(sent, Ok(Ok(()))) {
                           break;
                       }
                   }
                   _ = ping.tick() => {
                       let silent = !std::mem::take(&mut heard);
                       let sent = tokio::time::timeout(SEND_WITHIN, socket.send(WsMessage::Ping(Default::default()))).await;
                       if silent || !matches!(sent, Ok(Ok(()))) {
                           break;
                       }
                   }
               }
    }
    let _ = signaling.send(Message::ChannelClosed { endpoint, channel: id }).await;
}

/// A closing frame (RFC 6455 §5.5.1).
pub(crate) fn close_frame(code: u16, reason: &'static str) -> WsMessage {
    WsMessage::Close(Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) }))
}

/// RFC 6455 §7.4.1.
pub(crate) const CLOSE_NORMAL: u16 = 1_000;
/// RFC 6455 §7.4.1. Clients reconnect after it only if they are not alone.
pub(crate) const CLOSE_GOING_AWAY: u16 = 1_001;
/// RFC 6455 §7.4.1: something that is not text.
pub(crate) const CLOSE_UNSUPPORTED: u16 = 1_003;
/// IANA: try again later.
pub(crate) const CLOSE_TRY_LATER: u16 = 1_013;

/// A client that does not read is cut off after this many messages.
const MESSAGES_WAITING_MAX: usize = 256;

/// Messages of one client. One that sends more is read more slowly.
const MESSAGES_PER_SECOND: u64 = 50;
const MESSAGES_BURST: u64 = 100;

/// Two missed answers end a channel.
const PING_EVERY: Duration = Duration::from_secs(15);

/// A send that takes longer will not end.
pub(crate) const SEND_WITHIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: EndpointId = EndpointId(1);

    #[test]
    fn messages_go_by_the_channel_used_last() {
        let mut channels = Channels::default();
        assert_eq!(channels.send(ANN, "x"), Route::None);
        channels.data_channel(ANN, true);
        assert_eq!(channels.send(ANN, "x"), Route::DataChannel);

        let (sender, mut receiver) = mpsc::channel(2);
        channels.web_socket_opened(ANN, ChannelId(1), sender);
        assert_eq!(channels.send(ANN, "y"), Route::WebSocket { sent: true });
        assert_eq!(receiver.try_recv(), Ok(ToChannel::Text("y".into())));

        channels.used(ANN, ChannelKind::DataChannel);
        assert_eq!(channels.send(ANN, "x"), Route::DataChannel);
        channels.data_channel(ANN, false);
        assert_eq!(channels.send(ANN, "z"), Route::WebSocket { sent: true });
        assert!(channels.web_socket_closed(ANN, ChannelId(1)));
        assert_eq!(channels.send(ANN, "x"), Route::None);
    }

    #[test]
    fn a_second_web_socket_replaces_the_first() {
        let mut channels = Channels::default();
        let (first, mut of_first) = mpsc::channel(2);
        let (second, mut of_second) = mpsc::channel(2);
        channels.web_socket_opened(ANN, ChannelId(1), first);
        channels.web_socket_opened(ANN, ChannelId(2), second);
        assert_eq!(of_first.try_recv(), Ok(ToChannel::Close(CLOSE_NORMAL, "replaced")));
        assert!(!channels.web_socket_closed(ANN, ChannelId(1)), "the end of the old one says nothing");
        assert_eq!(channels.send(ANN, "x"), Route::WebSocket { sent: true });
        channels.expire(ANN);
        assert_eq!(of_second.try_recv(), Ok(ToChannel::Text("x".into())));
        assert_eq!(of_second.try_recv(), Ok(ToChannel::Close(CLOSE_GOING_AWAY, "endpoint expired")));
        assert!(channels.endpoints.is_empty());
    }

    #[test]
    fn a_slow_reader_loses_messages_and_nobody_waits() {
        let mut channels = Channels::default();
        let (sender, _receiver) = mpsc::channel(1);
        channels.web_socket_opened(ANN, ChannelId(1), sender);
        assert_eq!(channels.send(ANN, "x"), Route::WebSocket { sent: true });
        assert_eq!(channels.send(ANN, "x"), Route::WebSocket { sent: false });
    }
}
