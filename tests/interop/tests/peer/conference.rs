//! Whole calls: what is sent arrives, once, in order.

use std::time::Duration;

use contract::Metric;
use contract::session::SrtpProfile;
use interop::{Call, Joining, Picture, Setting, openssl};
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
    let totals = call.server.totals();
    println!("{:?}, profiles {:?}, drops {:?}", call.server.backends(), call.server.profiles, totals.drops());
    assert!(totals.balanced());
    assert_eq!(call.server.profiles.len(), 3);
    call
}

fn with_version(version: DtlsVersion) -> Joining {
    let mut joining = Joining::default();
    joining.making.version = version;
    joining
}

fn assert_gcm(call: &Call) {
    for profile in call.server.profiles.values() {
        let is_gcm = matches!(profile, SrtpProfile::AeadAes128Gcm | SrtpProfile::AeadAes256Gcm);
        assert!(is_gcm, "GCM was offered, {} was taken", profile.name());
    }
}

#[test]
fn three_clients_get_one_continuous_stream_a_source_over_dtls_1_2() {
    let mut call = three_clients(Setting::default(), &with_version(DtlsVersion::Dtls12));
    assert_gcm(&call);
    assert!(call.clients.iter_mut().all(|client| client.version() == Some(ProtocolVersion::DTLS1_2)));
}

#[test]
fn three_clients_get_one_continuous_stream_a_source_over_dtls_1_3() {
    let mut call = three_clients(Setting::default(), &with_version(DtlsVersion::Dtls13));
    assert_gcm(&call);
    assert!(call.clients.iter_mut().all(|client| client.version() == Some(ProtocolVersion::DTLS1_3)));
}

#[test]
fn streams_on_ssrcs_of_the_server_are_continuous() {
    let joining = Joining { ssrc_rewriting: true, ..Joining::default() };
    three_clients(Setting::default(), &joining);
}

#[test]
fn the_plain_back_end_carries_the_same_call() {
    let call = three_clients(Setting { io: BackendChoice::Plain, ..Setting::default() }, &Joining::default());
    assert_eq!(call.server.backends(), [Backend::Plain]);
}

#[test]
fn endpoints_on_two_workers_are_one_conference() {
    for io in [BackendChoice::Auto, BackendChoice::Plain] {
        let mut call = three_clients(Setting { workers: 2, io }, &Joining::default());
        let totals = call.server.totals();
        assert!(totals.endpoints().iter().all(|count| *count > 0), "{:?}", totals.endpoints());
        let counted = [Metric::PacketsToMesh, Metric::PacketsFromMesh, Metric::DatagramsHandedOver]
            .map(|metric| totals.counter(metric));
        println!("{io:?}: to mesh, from mesh, handed over: {counted:?}");
        assert!(counted[0] > 1_000 && counted[1] > 1_000, "{counted:?}");
        assert_eq!(totals.counter(Metric::PacketsLostToMesh), 0);
    }
}

#[test]
fn each_codec_reaches_the_others_as_one_continuous_stream() {
    for picture in [Picture::Vp9, Picture::H264, Picture::Av1] {
        for ssrc_rewriting in [false, true] {
            let mut joining = Joining { ssrc_rewriting, ..Joining::default() };
            joining.making.picture = picture;
            let mut call = Call::of(2, Setting::default(), &joining);
            call.connect();
            call.run(Duration::from_millis(1_500));
            let totals = call.server.totals();
            println!("{picture:?}, rewriting {ssrc_rewriting}: drops {:?}", totals.drops());
            call.assert_continuous(25);
            assert!(totals.balanced());
        }
    }
}

#[test]
fn another_dtls_stack_gets_the_profile_that_it_offers_and_gcm_before_sha_1() {
    let rows = [
        ("SRTP_AES128_CM_SHA1_80", SrtpProfile::Aes128CmHmacSha1_80),
        ("SRTP_AEAD_AES_128_GCM", SrtpProfile::AeadAes128Gcm),
        ("SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_128_GCM", SrtpProfile::AeadAes128Gcm),
    ];
    for (offered, taken) in rows {
        let Some(crypto) = openssl::provider(offered) else {
            println!("skipped: no openssl program");
            return;
        };
        let mut joining = Joining::default();
        joining.making.crypto = Some(crypto);
        let mut call = Call::of(1, Setting::default(), &joining);
        // The other one is str0m throughout: each has its own profile.
        call.join(&Joining::default());
        call.connect();
        call.run(Duration::from_millis(1_500));
        call.assert_continuous(25);
        let profile = call.server.profiles[&call.clients[0].endpoint];
        println!("offered {offered}: {}", profile.name());
        assert_eq!(profile, taken, "offered {offered}");
    }
}
