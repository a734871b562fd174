//! The queue in front of the loop: bounded in messages, and in what the frames among them hold.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use xmpp::frame::read_bytes_max;
use xmpp::{ConnectionId, FrameReader};

use super::Message;

/// Sends messages to the loop; waits if it is behind.
#[derive(Clone)]
pub(crate) struct Handle {
    sender: mpsc::Sender<Message>,
    /// Bytes that frames may yet hold while they wait.
    room: Arc<Semaphore>,
}

/// The loop is gone: the process ends.
#[derive(Debug)]
pub(crate) struct Gone;

impl Handle {
    pub(crate) async fn send(&self, message: Message) -> Result<(), Gone> {
        self.sender.send(message).await.map_err(|_| Gone)
    }

    /// Reads a frame, here on the caller's thread, and passes it on; waits while too much waits already.
    pub(crate) async fn frame(
        &self,
        connection: ConnectionId,
        reader: &mut FrameReader,
        text: &str,
        is_authenticated: bool,
    ) -> Result<(), Gone> {
        let bytes = u32::try_from(read_bytes_max(text)).unwrap_or(u32::MAX).min(FRAME_BYTES_WAITING_MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await.map_err(|_| Gone)?;
        let frame = reader.read(text, is_authenticated);
        self.send(Message::Frame { connection, frame, _room: room }).await
    }
}

/// A handle and the queue behind it.
pub(crate) fn queue() -> (Handle, mpsc::Receiver<Message>) {
    let (sender, receiver) = mpsc::channel(MESSAGES_WAITING_MAX);
    let room = Arc::new(Semaphore::new(FRAME_BYTES_WAITING_MAX as usize));
    (Handle { sender, room }, receiver)
}

/// Messages of all kinds that may wait for the loop; senders then wait too.
const MESSAGES_WAITING_MAX: usize = 8_192;

/// Bytes that frames of all clients may hold between the threads that read them and the loop: eight of the worst that
/// one stanza can be.
const FRAME_BYTES_WAITING_MAX: u32 = 128 * 1_024 * 1_024;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn frames_that_wait_for_the_loop_are_bounded_by_what_they_hold_and_their_senders_wait() {
        let (handle, mut messages) = queue();
        let mut reader = FrameReader::default();
        let worst = format!("<message>{}</message>", "<a/>".repeat(60_000));
        let fit = FRAME_BYTES_WAITING_MAX as usize / read_bytes_max(&worst);
        assert!((4..64).contains(&fit), "{fit}");
        for _ in 0..fit {
            let sent = handle.frame(ConnectionId(1), &mut reader, &worst, true);
            tokio::time::timeout(Duration::from_secs(20), sent)
                .await
                .expect("there is room")
                .expect("a loop");
        }
        let mut next = std::pin::pin!(handle.frame(ConnectionId(1), &mut reader, &worst, true));
        let soon = Duration::from_millis(50);
        assert!(tokio::time::timeout(soon, &mut next).await.is_err(), "one more has to wait");
        drop(messages.recv().await);
        tokio::time::timeout(Duration::from_secs(20), next).await.expect("room again").expect("a loop");
        assert_eq!(messages.len(), fit);
    }
}
