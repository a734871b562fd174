//! Whole calls: what is sent arrives, once, in order.

use std::time::Duration;

use contract::session::SrtpProfile;
use interop::{Call, Joining, Setting};
use str0m::config::DtlsVersion;
use str0m::crypto::dtls::ProtocolVersion;
use worker::{Backend, BackendChoice};

/// Three clients with Opus and VP8 simulcast; the call at its end.
fn three_clients(setting: Setting, joining: &Joining) -> Call {
    let mut call = Call::of(3, setting, joining);
    call.connect();
    call.run(Duration::from_millis(2_500));
    call.assert_continuous(40);
    for client in 0..3 {
        for other in (0..3).filter(|other| *other != client) {
            assert_eq!(call.seen(client, other as u64 * 10 + 11), Some(2), "the highest encoding is reached");
        }
    }
    for (endpoint, profile) in &call.server.profiles {
        println!("endpoint {endpoint}: {}", profile.name());
        let is_gcm = matches!(profile, SrtpProfile::AeadAes128Gcm | SrtpProfile::AeadAes256Gcm);
        assert!(is_gcm, "GCM was offered, {} was taken", profile.name());
    }
    assert_eq!(call.server.profiles.len(), 3);
    let totals = call.server.totals();
    println!("{:?}, drops {:?}", totals.endpoints(), totals.drops());
    assert!(totals.balanced());
    call
}

fn with_version(version: DtlsVersion) -> Joining {
    let mut joining = Joining::default();
    joining.making.version = version;
    joining
}

#[test]
fn three_clients_get_one_continuous_stream_a_source_over_dtls_1_2() {
    let mut call = three_clients(Setting::default(), &with_version(DtlsVersion::Dtls12));
    assert!(call.clients.iter_mut().all(|client| client.version() == Some(ProtocolVersion::DTLS1_2)));
}
