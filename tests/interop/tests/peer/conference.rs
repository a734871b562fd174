//! Whole calls: what is sent arrives, once, in order.

use std::time::Duration;

use contract::Metric;
use contract::session::SrtpProfile;
use interop::{Call, Client, Joining, Picture, Setting, openssl};
use str0m::config::DtlsVersion;
use str0m::crypto::dtls::ProtocolVersion;
use worker::{Backend, BackendChoice, CipherChoice, CipherProvider};

/// Three clients with Opus and VP8 simulcast; the call at its end.
fn three_clients(setting: Setting, joining: &Joining) -> Call {
    let mut call = Call::of(3, setting, joining);
    call.connect();
    call.run_for_frames(40);
    print_beginnings(&call);
    call.assert_continuous(40);
    let highest = |call: &Call| {
        let pairs = (0..3).flat_map(|client| (0..3).map(move |other| (client, other)));
        pairs
            .filter(|(client, other)| client != other)
            .all(|(c, o)| call.seen(c, o as u64 * 10 + 11) == Some(2))
    };
    assert!(call.run_until(Duration::from_secs(12), highest), "everybody sees the highest encoding");
    let totals = call.server.totals();
    println!("{:?}, profiles {:?}, drops {:?}", call.server.backends(), call.server.profiles, totals.drops());
    assert!(totals.balanced());
    assert_eq!(call.server.profiles.len(), 3);
    call
}

/// How long after its handshake each client had its first packets, and was asked for key frames.
fn print_beginnings(call: &Call) {
    for client in &call.clients {
        let noticed = &client.noticed;
        let mut first: Vec<_> =
            noticed.first.iter().map(|(ssrc, at)| (*ssrc, noticed.since_connected(*at))).collect();
        first.sort_unstable();
        let asked: Vec<_> = noticed
            .key_frame_requests
            .iter()
            .map(|(at, ssrc)| (*ssrc, noticed.since_connected(*at)))
            .collect();
        println!("  endpoint {}: first packets {first:?}, asked for key frames {asked:?}", client.endpoint);
    }
}

fn with_version(version: DtlsVersion) -> Joining {
    let mut joining = Joining::default();
    joining.making.version = version;
    joining
}

fn with_cipher(provider: CipherProvider) -> Setting {
    Setting { cipher: CipherChoice::Fixed(provider), ..Setting::default() }
}

fn assert_gcm(call: &Call) {
    for profile in call.server.profiles.values() {
        let is_gcm = matches!(profile, SrtpProfile::AeadAes128Gcm | SrtpProfile::AeadAes256Gcm);
        assert!(is_gcm, "GCM was offered, {} was taken", profile.name());
    }
}

#[test]
fn three_clients_get_one_continuous_stream_a_source_over_dtls_1_2() {
    let mut call = three_clients(with_cipher(CipherProvider::AwsLc), &with_version(DtlsVersion::Dtls12));
    assert_gcm(&call);
    assert!(call.clients.iter_mut().all(|client| client.version() == Some(ProtocolVersion::DTLS1_2)));
}

#[test]
fn three_clients_get_one_continuous_stream_a_source_over_dtls_1_3() {
    let mut call = three_clients(with_cipher(CipherProvider::Ring), &with_version(DtlsVersion::Dtls13));
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
        let mut call = three_clients(Setting { workers: 2, io, ..Setting::default() }, &Joining::default());
        let totals = call.server.totals();
        assert!(totals.endpoints().iter().all(|count| *count > 0), "{:?}", totals.endpoints());
        let counted = [Metric::PacketsToMesh, Metric::PacketsFromMesh, Metric::DatagramsHandedOver]
            .map(|metric| totals.counter(metric));
        println!("{io:?}: to mesh, from mesh, handed over: {counted:?}");
        assert!(counted[0] > 500 && counted[1] > 500, "{counted:?}");
        assert_eq!(totals.counter(Metric::PacketsLostToMesh), 0);
    }
}

#[test]
fn each_codec_reaches_the_others_as_one_continuous_stream() {
    for picture in [Picture::Vp9, Picture::H264, Picture::Av1] {
        for (ssrc_rewriting, provider) in [(false, CipherProvider::AwsLc), (true, CipherProvider::Ring)] {
            let mut joining = Joining { ssrc_rewriting, ..Joining::default() };
            joining.making.picture = picture;
            let mut call = Call::of(2, with_cipher(provider), &joining);
            call.connect();
            call.run_for_frames(25);
            let totals = call.server.totals();
            println!("{picture:?}, rewriting {ssrc_rewriting}: drops {:?}", totals.drops());
            print_beginnings(&call);
            call.assert_continuous(25);
            assert!(totals.balanced());
            call.clients.iter().for_each(|client| assert_descriptors(client, picture == Picture::Av1));
        }
    }
}

/// Dependency descriptors come through whole where there are any: frame numbers rise by one, the structure comes with the key
/// frame, and templates stand a fixed way from its first.
fn assert_descriptors(client: &Client, any: bool) {
    let descriptors: Vec<_> = client.noticed.descriptors.values().collect();
    assert_eq!(descriptors.len() > 25, any, "{} descriptors", descriptors.len());
    let Some(first) = descriptors.first() else { return };
    assert!(first.len() > 3, "the stream begins with a structure: {first:?}");
    let number = |bytes: &[u8]| u16::from_be_bytes([bytes[1], bytes[2]]);
    for pair in descriptors.windows(2) {
        let rise = number(pair[1]).wrapping_sub(number(pair[0]));
        assert_eq!(rise, u16::from(pair[1][0] & 0x80 != 0), "{:?} {:?}", pair[0], pair[1]);
        let template = (pair[1][0] & 63).wrapping_sub(first[0]) & 63;
        assert!(template <= 2, "template {template} of three");
    }
}

#[test]
fn a_stream_stays_continuous_when_the_receiver_wants_other_layers() {
    for ssrc_rewriting in [false, true] {
        let mut call = Call::of(2, Setting::default(), &Joining { ssrc_rewriting, ..Joining::default() });
        call.connect();
        let endpoint = call.clients[0].endpoint;
        for (height, encoding) in [(180, 0), (720, 2)] {
            call.server.want(endpoint, height);
            // A receiver's wishes lead to three key frames in ten seconds at most.
            let turned = call.run_until(Duration::from_secs(12), |call| call.seen(0, 21) == Some(encoding));
            assert!(turned, "the encoding of height {height} comes: {:?}", call.seen(0, 21));
            call.run(Duration::from_millis(500));
            assert_eq!(call.seen(0, 21), Some(encoding), "and stays");
        }
        call.run_for_frames(40);
        call.assert_continuous(40);
    }
}

#[test]
fn a_client_may_be_the_dtls_server() {
    for version in [DtlsVersion::Dtls12, DtlsVersion::Dtls13, DtlsVersion::Auto] {
        let mut call = Call::of(2, Setting::default(), &Joining { passive: true, ..with_version(version) });
        call.connect();
        call.run_for_frames(25);
        let negotiated = call.clients[0].version();
        println!("{version}: {negotiated:?}, {:?}", call.server.profiles);
        call.assert_continuous(25);
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
        call.run_for_frames(25);
        call.assert_continuous(25);
        let profile = call.server.profiles[&call.clients[0].endpoint];
        println!("offered {offered}: {}", profile.name());
        assert_eq!(profile, taken, "offered {offered}");
    }
}
