//! The private pages under load: what they cost, what they show, and who asks too often.

use contract::{ConferenceId, EndpointId};
use worker::{EndpointStatistics, Heights, Statistics};

use super::*;
use crate::metrics_page;
use crate::status::{Rates, Sample, Seat, WorkerSample};

/// A process with `count` endpoints in rooms of ten.
fn status_with(count: u64) -> Arc<Status> {
    let seat = |number: u64| Seat {
        room: format!("secret-room-{}", number / 10),
        id: format!("person{number}"),
        worker: 0,
        forwarded: 9,
        estimate_bps: Some(2_500_000),
        statistics: EndpointStatistics {
            endpoint: EndpointId(number),
            conference: ConferenceId(number / 10),
            path: Some((false, false)),
            active: true,
            profile: None,
            round_trip_us: Some(20_000),
            loss_outbound: 0.01,
            loss_inbound: 0.0,
            jitter_us: 500,
            bytes_received: 1_000_000,
            bytes_sent: 9_000_000,
            packets_received: 1_000,
            packets_sent: 9_000,
            packets_retransmitted: 3,
            heights: Heights::default(),
        },
    };
    let status = Arc::new(Status::new());
    let workers = || WorkerSample { silent_for: Duration::ZERO, statistics: Some(Statistics::new()) };
    status.put(Sample {
        at: Instant::now(),
        taken: true,
        signaling: signaling::Snapshot::default(),
        workers: vec![workers(), workers()],
        rates: Rates::default(),
        seats: (0..count).map(seat).collect(),
    });
    status
}

fn private(status: &Arc<Status>) -> SocketAddr {
    listen(private_http::router(Arc::clone(status)), Limiter::new(1_000, 1_000, Arc::clone(status)))
}

#[test]
fn the_series_are_the_same_however_many_rooms_and_people_there_are() {
    let series = |page: &str| -> Vec<String> {
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
    };
    let [none, many] = [0, 1_000].map(|count| metrics_page::page(&status_with(count)).unwrap());
    assert_eq!(series(&none), series(&many));
    assert!(!many.contains("secret-room") && !many.contains("person7"), "no room or person is a label");
}

/// Each page by itself; the time is the best of five, as others use the machine too.
#[tokio::test]
async fn pages_for_a_thousand_endpoints_are_made_at_once_and_bounded() {
    let address = private(&status_with(1_000));
    for path in ["/metrics", "/colibri/stats", "/debug", "/debug/secret-room-7"] {
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let begun = Instant::now();
            let answer = get_page(address, path).await;
            best = best.min(begun.elapsed());
            assert_eq!(status_of(&answer), "200", "{path}");
            assert!(answer.len() <= 1_024 * 1_024, "{path}: {} bytes", answer.len());
        }
        let limit = Duration::from_millis(if cfg!(debug_assertions) { 500 } else { 50 });
        assert!(best <= limit, "{path} took {best:?}");
    }
    let whole = get_page(private(&status_with(5_000)), "/debug").await;
    assert!(whole.len() <= 1_024 * 1_024 && whole.contains("\"endpoints_left_out\":3500"), "{}", whole.len());
}

#[tokio::test]
async fn who_scrapes_in_a_loop_is_told_to_wait_and_health_is_answered_meanwhile() {
    let status = status_with(10);
    let address = private(&status);
    let begun = Instant::now();
    let mut told = Vec::new();
    for _ in 0..100 {
        told.push(status_of(&get_page(address, "/metrics").await).to_owned());
        assert_ne!(status_of(&get_page(address, "/about/health").await), "429");
    }
    let made = told.iter().filter(|status| *status == "200").count();
    let most = 60 + 20 * (begun.elapsed().as_secs() as usize + 1);
    assert!((60..=most).contains(&made), "{made} pages were made, {most} allowed");
    let refused = told.iter().filter(|status| *status == "429").count();
    assert_eq!(made + refused, told.len(), "{told:?}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let page = get_page(address, "/metrics").await;
    assert!(page.contains(&format!("sluice_scrapes_refused_total {refused}\n")), "{refused}: {page:.300}");
}
