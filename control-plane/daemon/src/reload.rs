//! New settings for a running server: what can change changes, the rest is named, and wrong settings change nothing.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use arc_swap::ArcSwap;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::config::{Config, Media, Problem, Values};
use crate::http::{Public, Routes};
use crate::limiter::Limiter;
use crate::log;
use crate::signaling_loop::{Handle, Message};
use crate::tls::Tls;

/// What is changed, and what the settings are by now.
pub(crate) struct Reload {
    pub(crate) file: Option<PathBuf>,
    pub(crate) in_use: Mutex<Values>,
    pub(crate) public: std::sync::Mutex<Public>,
    pub(crate) routes: Routes,
    pub(crate) limiter: Limiter,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) signaling: Handle,
    /// Of these, the public addresses may change.
    pub(crate) media: Arc<ArcSwap<Media>>,
}

/// What came of new settings.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Outcome {
    /// Keys whose new values are in use.
    pub(crate) changed: Vec<String>,
    /// Keys whose new values need a restart.
    pub(crate) need_restart: Vec<String>,
    /// What is wrong. If it is with the settings as such, nothing was changed.
    pub(crate) problems: Vec<String>,
}

impl Reload {
    /// Reads file and environment again.
    pub(crate) async fn reload(&self) -> Outcome {
        let mut in_use = self.in_use.lock().await;
        let outcome = match Config::load_values(self.file.as_deref(), std::env::vars()) {
            Ok((config, values)) => self.take_up(&config, values, &mut in_use).await,
            Err(problems) => {
                Outcome { problems: problems.iter().map(Problem::to_string).collect(), ..Outcome::default() }
            }
        };
        for problem in &outcome.problems {
            tracing::error!(%problem, "new settings: refused");
        }
        if !outcome.need_restart.is_empty() {
            tracing::warn!(keys = outcome.need_restart.join(", "), "new settings: these need a restart");
        }
        if outcome.problems.is_empty() || !outcome.changed.is_empty() {
            tracing::info!(keys = outcome.changed.join(", "), "new settings: taken up");
        }
        if !outcome.problems.is_empty() {
            let public = self.public.lock().unwrap_or_else(PoisonError::into_inner);
            public.status.note_settings_refused();
        }
        outcome
    }

    async fn take_up(&self, config: &Config, values: Values, in_use: &mut Values) -> Outcome {
        let mut outcome = Outcome::default();
        let differing: Vec<String> = values
            .iter()
            .filter(|(key, value)| in_use.get(*key) != Some(*value))
            .map(|(key, _)| key.clone())
            .collect();
        for part in Part::ALL {
            let keys: Vec<&String> = differing.iter().filter(|key| part.has(key)).collect();
            // Certificate files may have new content under old names: asked to look, we look.
            if keys.is_empty() && part != Part::Certificate {
                continue;
            }
            match self.apply(part, config).await {
                Ok(()) => {
                    for key in keys {
                        in_use.insert(key.clone(), values[key].clone());
                        outcome.changed.push(key.clone());
                    }
                }
                Err(problem) => outcome.problems.push(problem),
            }
        }
        outcome.need_restart =
            differing.into_iter().filter(|key| !Part::ALL.iter().any(|part| part.has(key))).collect();
        outcome
    }

    async fn apply(&self, part: Part, config: &Config) -> Result<(), String> {
        match part {
            Part::Log => log::set_level(&config.log.level).map_err(|error| format!("log.level: {error}")),
            Part::Certificate => match &self.tls {
                Some(tls) => tls.reload(&config.http).map_err(|error| format!("{error:#}")),
                None => Ok(()),
            },
            Part::Connections => {
                self.limiter.set_limits(config.http.connections_max, config.http.connections_per_address);
                Ok(())
            }
            Part::Pages => {
                let mut public = self.public.lock().unwrap_or_else(PoisonError::into_inner);
                *public = public.with_settings(config)?;
                self.routes.replace(public.clone());
                Ok(())
            }
            Part::Addresses => {
                let public_addresses = config.media.public_addresses.clone();
                self.media
                    .rcu(|media| Media { public_addresses: public_addresses.clone(), ..(**media).clone() });
                Ok(())
            }
            Part::Rooms => {
                let conference = &config.conference;
                let limits = Message::Limits {
                    rooms_max: conference.rooms_max,
                    occupants_max: conference.occupants_max,
                };
                self.signaling.send(limits).await.map_err(|_| "signalling has ended".to_owned())
            }
        }
    }
}

/// What can change while running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Log,
    Certificate,
    Connections,
    Pages,
    Rooms,
    Addresses,
}

impl Part {
    const ALL: [Part; 6] =
        [Part::Log, Part::Certificate, Part::Connections, Part::Pages, Part::Rooms, Part::Addresses];

    /// Whether the key is of this part.
    fn has(self, key: &str) -> bool {
        match self {
            Part::Log => key == "log.level",
            Part::Certificate => ["http.certificate", "http.key", "http.tls_min_version"].contains(&key),
            Part::Connections => ["http.connections_max", "http.connections_per_address"].contains(&key),
            Part::Pages => {
                key == "http.allowed_origins" || key.starts_with("client.") || key.starts_with("web.")
            }
            Part::Addresses => key == "media.public_addresses",
            Part::Rooms => ["conference.rooms_max", "conference.occupants_max"].contains(&key),
        }
    }
}

#[cfg(test)]
mod tests;
