//! Addresses: learnt from checks, and changed in mid-call.

use std::time::Duration;

use interop::{Call, Joining, Setting};
use worker::BackendChoice;

#[test]
fn clients_whose_candidates_were_never_signalled_connect() {
    let joining = Joining { candidates: false, ..Joining::default() };
    let mut call = Call::of(2, Setting::default(), &joining);
    call.connect();
    call.run(Duration::from_millis(1_500));
    call.assert_continuous(25);
}

#[test]
fn a_call_goes_on_after_the_clients_port_changed() {
    for workers in [1, 2] {
        let setting = Setting { workers, io: BackendChoice::Auto };
        let mut call = Call::of(2, setting, &Joining::default());
        call.connect();
        call.run(Duration::from_millis(1_500));
        let address = call.clients[0].rebind();
        let endpoint = call.clients[0].endpoint;
        let moved = call.run_until(Duration::from_secs(20), |call| call.server.connected.contains(&(endpoint, address)));
        assert!(moved, "the server never took up {address}: {:?}", call.server.connected);
        let frames = |call: &Call, client: usize, ssrc: u32| call.clients[client].noticed.streams[&ssrc].complete_frames();
        let (from, to) = (frames(&call, 1, 1_000_110), frames(&call, 0, 1_000_210));
        call.run(Duration::from_secs(2));
        let (from, to) = (frames(&call, 1, 1_000_110) - from, frames(&call, 0, 1_000_210) - to);
        println!("{workers} workers: {from} frames from it, {to} frames to it in two seconds");
        assert!(from > 30 && to > 30, "{from} frames from it, {to} frames to it");
        assert!(call.server.totals().balanced());
    }
}
