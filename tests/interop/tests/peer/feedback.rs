//! What receivers ask for and senders are told.

use std::time::{Duration, Instant};

use contract::Metric;
use interop::{Call, Joining, Setting};

/// Two clients in mid-call.
fn two_clients(joining: &Joining) -> Call {
    let mut call = Call::of(2, Setting::default(), joining);
    call.connect();
    call.run_for_frames(20);
    call
}

/// What has not come by then does not come.
const PATIENCE: Duration = Duration::from_secs(20);

/// The SSRC on which the first client gets the camera of the second.
const CAMERA_OF_SECOND: u32 = 1_000_210;

#[test]
fn a_receivers_nack_is_answered_on_the_rtx_stream_from_the_cache() {
    let mut call = two_clients(&Joining::default());
    call.clients[0].loss = Some((10, CAMERA_OF_SECOND));
    call.run_until(PATIENCE, |call| call.clients[0].lost >= 15);
    call.clients[0].loss = None;
    call.run_for_frames(40);
    let lost = call.clients[0].lost;
    let noticed = &call.clients[0].noticed;
    let totals = call.server.totals();
    let (sent, missed) =
        (totals.counter(Metric::PacketsRetransmitted), totals.counter(Metric::RetransmissionsMissed));
    println!(
        "lost {lost}, came again {}, server sent {sent} again, missed {missed}",
        noticed.retransmissions
    );
    assert!(lost >= 15, "{lost} lost");
    assert!(noticed.retransmissions >= lost, "each lost packet comes again");
    assert_eq!(missed, 0);
    // Not one is missing in the end.
    call.assert_continuous(40);
}

#[test]
fn what_a_sender_lost_on_its_way_is_asked_for_and_reaches_the_others_whole() {
    let mut call = two_clients(&Joining::default());
    call.clients[1].uplink_loss = Some((10, CAMERA_OF_SECOND + 2));
    call.run_until(PATIENCE, |call| call.clients[1].lost >= 15);
    call.clients[1].uplink_loss = None;
    call.run_for_frames(40);
    let asked = call.server.totals().counter(Metric::NacksSent);
    let (lost, resent) = (call.clients[1].lost, call.clients[1].noticed.resent);
    println!("lost {lost}, asked for {asked}, sent again {resent}, {:?}", call.server.totals().drops());
    assert!(call.clients[1].lost >= 15 && asked >= u64::from(call.clients[1].lost));
    call.assert_continuous(40);
}

#[test]
fn a_storm_of_plis_reaches_the_sender_at_a_limited_rate() {
    let mut call = two_clients(&Joining::default());
    let storm = Duration::from_secs(3);
    let began = Instant::now();
    let before = call.server.totals().counter(Metric::KeyFrameRequests);
    let (mut asked, end) = (0, began + storm);
    while Instant::now() < end {
        call.clients[0].request_key_frame(CAMERA_OF_SECOND);
        asked += 1;
        call.run(Duration::from_millis(10));
    }
    let requests = &call.clients[1].noticed.key_frame_requests;
    let reached: Vec<_> = requests.iter().filter(|(at, _)| *at >= began).collect();
    let counted = call.server.totals().counter(Metric::KeyFrameRequests) - before;
    println!("asked {asked} times in {storm:?}, reached the sender {}, counted {counted}", reached.len());
    assert!(!reached.is_empty(), "a request passes");
    assert!(reached.len() <= 4, "{} of {asked} passed", reached.len());
    assert!(
        reached.iter().all(|(_, ssrc)| *ssrc == CAMERA_OF_SECOND + 2),
        "the encoding that is sent is asked"
    );
    let gaps = reached.windows(2).map(|pair| pair[1].0 - pair[0].0);
    assert!(gaps.clone().all(|gap| gap > Duration::from_millis(150)), "{:?}", gaps.collect::<Vec<_>>());
    call.run_for_frames(40);
    call.assert_continuous(40);
}

#[test]
fn transport_wide_feedback_feeds_the_senders_bandwidth_estimation() {
    let mut joining = Joining::default();
    joining.making.estimates = true;
    let mut call = two_clients(&joining);
    call.run_until(PATIENCE, |call| {
        call.clients.iter().all(|client| {
            let noticed = &client.noticed;
            noticed.transport_cc > 20 && !noticed.estimates.is_empty() && noticed.sender_reports > 0
        })
    });
    for client in &call.clients {
        let noticed = &client.noticed;
        println!(
            "{} messages about {} of {} packets, estimates {:?}, sender reports {}",
            noticed.transport_cc,
            noticed.transport_cc_packets,
            noticed.rtp_sent,
            noticed.estimates.last(),
            noticed.sender_reports,
        );
        assert_eq!(noticed.error, None);
        assert!(noticed.transport_cc > 20, "{} messages", noticed.transport_cc);
        assert!(noticed.transport_cc_packets * 10 > noticed.rtp_sent * 8, "most packets are told of");
        assert!(!noticed.estimates.is_empty(), "str0m has an estimate");
        assert!(noticed.sender_reports > 0, "receivers get sender reports");
    }
}
