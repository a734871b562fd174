use std::collections::BTreeMap;
use std::path::Path;

use signaling::Domains;
use tokio::sync::mpsc;

use super::*;
use crate::signaling_loop;
use crate::status::Status;

/// A running server's settings in a file, and what signalling is told.
struct Bench {
    file: PathBuf,
    reload: Reload,
    told: mpsc::Receiver<Message>,
}

impl Bench {
    fn new(name: &str, text: &str) -> Bench {
        let file = std::env::temp_dir().join(format!("sluice-reload-{}-{name}.toml", std::process::id()));
        std::fs::write(&file, text).unwrap();
        let (config, values) = Config::load_values(Some(&file), []).unwrap();
        let status = Arc::new(Status::new());
        let (signaling, told) = signaling_loop::queue();
        let public =
            Public::new(&config, Domains::of("meet.sluice"), signaling.clone(), Arc::clone(&status)).unwrap();
        let reload = Reload {
            file: Some(file.clone()),
            in_use: values.into(),
            routes: Routes::new(public.clone(), &[]),
            public: public.into(),
            limiter: Limiter::new(10, 10, status),
            tls: None,
            signaling,
            media: Arc::new(ArcSwap::from_pointee(config.media)),
        };
        Bench { file, reload, told }
    }

    async fn reload(&self, text: &str) -> Outcome {
        std::fs::write(&self.file, text).unwrap();
        self.reload.reload().await
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

fn keys(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

#[tokio::test]
async fn what_can_change_changes_and_the_rest_is_named_each_time() {
    let mut bench = Bench::new("change", "");
    let text = "[conference]\nrooms_max = 7\n[client]\napp_name = 'Weir'\n[media]\nport = 20000\n";
    let outcome = bench.reload(text).await;
    assert_eq!(outcome.changed, keys(&["client.app_name", "conference.rooms_max"]));
    assert_eq!(outcome.need_restart, keys(&["media.port"]));
    assert_eq!(outcome.problems, Vec::<String>::new());
    assert!(matches!(bench.told.try_recv(), Ok(Message::Limits { rooms_max: 7, .. })));

    let outcome = bench.reload(text).await;
    assert_eq!((outcome.changed, outcome.need_restart), (Vec::new(), keys(&["media.port"])));
    assert!(bench.told.try_recv().is_err(), "nothing new");
    let outcome = bench.reload("").await;
    assert_eq!(outcome.changed, keys(&["client.app_name", "conference.rooms_max"]), "back again");
    assert_eq!(outcome.need_restart, Vec::<String>::new());
}

#[tokio::test]
async fn wrong_settings_change_nothing() {
    let mut bench = Bench::new("wrong", "");
    for wrong in ["[conference]\nrooms_max = 7\nroms_max = 8\n", "[conference\n", "[media]\nport = 'x'\n"] {
        let outcome = bench.reload(wrong).await;
        assert_eq!((outcome.changed.len(), outcome.need_restart.len()), (0, 0), "{wrong}");
        assert!(!outcome.problems.is_empty(), "{wrong}");
    }
    assert!(bench.told.try_recv().is_err());
    std::fs::remove_file(&bench.file).unwrap();
    let outcome = bench.reload.reload().await;
    assert!(outcome.problems[0].contains("cannot read"), "{outcome:?}");
}

#[test]
fn every_key_that_can_change_is_a_key() {
    let (_, values) = Config::load_values(None::<&Path>, []).unwrap();
    let by_part: BTreeMap<&str, usize> = values
        .keys()
        .map(|key| (key.as_str(), Part::ALL.iter().filter(|part| part.has(key)).count()))
        .collect();
    assert!(by_part.values().all(|parts| *parts <= 1), "{by_part:?}");
    for key in [
        "log.level",
        "http.certificate",
        "http.key",
        "http.tls_min_version",
        "http.connections_max",
        "http.connections_per_address",
        "http.allowed_origins",
        "client.app_name",
        "conference.rooms_max",
        "conference.occupants_max",
        "media.public_addresses",
    ] {
        assert_eq!(by_part.get(key), Some(&1), "{key}");
    }
}
