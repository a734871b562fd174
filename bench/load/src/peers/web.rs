//! What adapters need of the web: one HTTP request with JSON, one WebSocket, both in the clear on this machine.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

use crate::peer::PeerError;

/// A WebSocket.
pub(super) type Socket = WebSocketStream<TcpStream>;

/// Sends one request and gives the body of the answer; anything but a 2xx is an error with what the server said.
pub(super) async fn request(
    at: SocketAddr,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<String, PeerError> {
    let doing = format!("{method} {path}");
    let failed = |error: &dyn std::fmt::Display| PeerError::new(&doing, error);
    let body = body.map(Value::to_string).unwrap_or_default();
    // Of version 1.0, so that the answer ends with the connection and has no chunks.
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {at}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let exchange = async {
        let mut connection = TcpStream::connect(at).await?;
        connection.write_all(format!("{head}{body}").as_bytes()).await?;
        let mut answer = Vec::new();
        connection.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = tokio::time::timeout(ANSWER_WITHIN, exchange).await.map_err(|_| failed(&"no answer"))?;
    let answer = answer.map_err(|error| failed(&error))?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| failed(&"no HTTP answer"))?;
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    if status.starts_with('2') { Ok(body.to_owned()) } else { Err(failed(&format!("{status} {body}"))) }
}

/// Opens a WebSocket.
pub(super) async fn web_socket(
    at: SocketAddr,
    path: &str,
    protocol: Option<&'static str>,
) -> Result<Socket, PeerError> {
    let failed = |error: &dyn std::fmt::Display| PeerError::new("opening the WebSocket", error);
    let mut request = format!("ws://{at}{path}").into_client_request().map_err(|error| failed(&error))?;
    if let Some(protocol) = protocol {
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(protocol));
    }
    let connection = TcpStream::connect(at).await.map_err(|error| failed(&error))?;
    let _ = connection.set_nodelay(true);
    let opened = tokio_tungstenite::client_async(request, connection);
    let opened = tokio::time::timeout(ANSWER_WITHIN, opened).await.map_err(|_| failed(&"no answer"))?;
    opened.map(|(socket, _)| socket).map_err(|error| failed(&error))
}

/// What a server that is alive needs at most.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// A conference of a thousand is described in less.
const ANSWER_BYTES_MAX: u64 = 8 << 20;
