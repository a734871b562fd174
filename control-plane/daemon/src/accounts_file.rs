//! Keeps the signalling loop's accounts those of the file.

use std::sync::Arc;
use std::time::Duration;

use crate::signaling_loop::{Handle, Message};
use crate::user::UsersFile;

/// Reads the file now and whenever it changes, as long as anybody listens. A file that cannot be read changes nothing.
pub(crate) async fn follow(file: UsersFile, signaling: Handle) {
    let mut secret = [0; 32];
    // Without randomness there is no safe way to go on, and Linux has it from the first second.
    getrandom::fill(&mut secret).expect("the system's random generator works");
    let mut known = None;
    let mut beat = tokio::time::interval(LOOK_EVERY);
    loop {
        beat.tick().await;
        let state = Some(file.state());
        if state == known {
            continue;
        }
        known = state;
        match file.read_with(secret) {
            Ok(accounts) => {
                if file.is_open_to_others() {
                    tracing::warn!(file = %file.path().display(), "others than its owner may read the accounts: chmod 600");
                }
                tracing::info!(accounts = accounts.names().count(), "accounts read");
                if signaling.send(Message::Accounts(Arc::new(accounts))).await.is_err() {
                    return;
                }
            }
            Err(error) => tracing::error!("accounts stay as they were: {error:#}"),
        }
    }
}

/// How soon a change shows. One look is one system call.
const LOOK_EVERY: Duration = Duration::from_secs(1);
