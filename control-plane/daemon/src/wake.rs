//! Waiting for the media plane: its wake-up descriptors under this runtime's poller.

use std::os::fd::{AsRawFd, RawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A wake-up descriptor. Its owner, an end of the media plane, must outlive it.
pub(crate) struct WakeUp(AsyncFd<Descriptor>);

struct Descriptor(RawFd);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl WakeUp {
    /// Watches `descriptor`, an eventfd.
    #[expect(
        deprecated,
        reason = "its successor is unsafe; both users keep the descriptor's owner on the same stack"
    )]
    pub(crate) fn new(descriptor: RawFd) -> std::io::Result<WakeUp> {
        AsyncFd::with_interest(Descriptor(descriptor), Interest::READABLE).map(WakeUp)
    }

    /// Completes when the descriptor was written since the last time. Edge-triggered: each write is an event, whether or not
    /// the counter was read in between, so it never is.
    pub(crate) async fn woken(&self) {
        match self.0.readable().await {
            Ok(mut ready) => ready.clear_ready(),
            Err(error) => {
                // The poller is gone, so is the process: but nothing may spin meanwhile.
                tracing::error!(%error, "cannot wait for the media plane");
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn comes(wake: &WakeUp) -> bool {
        tokio::time::timeout(Duration::from_millis(200), wake.woken()).await.is_ok()
    }

    #[tokio::test]
    async fn every_wake_up_comes_through_though_nobody_reads_the_counter() {
        let (sleeper, waker) = mesh::wake::Wake::pair().unwrap();
        let wake = WakeUp::new(sleeper.fd()).unwrap();
        for _ in 0..3 {
            sleeper.about_to_sleep();
            assert!(!comes(&wake).await, "nothing happened yet");
            waker.wake();
            assert!(comes(&wake).await);
            sleeper.awake();
        }
    }

    #[tokio::test]
    async fn a_wake_up_before_the_wait_is_not_lost() {
        let (sleeper, waker) = mesh::wake::Wake::pair().unwrap();
        let wake = WakeUp::new(sleeper.fd()).unwrap();
        sleeper.about_to_sleep();
        waker.wake();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(comes(&wake).await);
    }
}
