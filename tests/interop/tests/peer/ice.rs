//! Addresses: learnt from checks, and changed in mid-call.

use std::time::Duration;

use interop::{Call, Joining, Setting};

#[test]
fn clients_whose_candidates_were_never_signalled_connect() {
    let joining = Joining { candidates: false, ..Joining::default() };
    let mut call = Call::of(2, Setting::default(), &joining);
    call.connect();
    call.run_for_frames(25);
    call.assert_continuous(25);
}

#[test]
fn a_call_goes_on_after_the_clients_port_changed() {
    for workers in [1, 2] {
        let setting = Setting { workers, ..Setting::default() };
        let mut call = Call::of(2, setting, &Joining::default());
        call.connect();
        call.run_for_frames(20);
        let address = call.clients[0].rebind();
        let endpoint = call.clients[0].endpoint;
        let moved = call
            .run_until(Duration::from_secs(20), |call| call.server.connected.contains(&(endpoint, address)));
        assert!(moved, "the server never took up {address}: {:?}", call.server.connected);
        // In both directions: from its camera to the other one, and the other way round.
        let frames = |call: &Call| {
            [(1, 1_000_110), (0, 1_000_210)]
                .map(|(at, ssrc): (usize, u32)| call.clients[at].noticed.streams[&ssrc].complete_frames())
        };
        let before = frames(&call);
        let goes_on = |call: &Call| frames(call).iter().zip(before).all(|(now, then)| *now > then + 40);
        assert!(call.run_until(Duration::from_secs(15), goes_on), "{before:?}, then {:?}", frames(&call));
        assert!(call.server.totals().balanced());
    }
}
