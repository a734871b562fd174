//! The bridge channel inside DTLS.

use std::time::Duration;

use interop::{Call, Joining, Setting};
use str0m::config::DtlsVersion;

#[test]
fn the_bridge_channel_carries_text_both_ways() {
    for version in [DtlsVersion::Dtls12, DtlsVersion::Dtls13] {
        let mut joining = Joining::default();
        joining.making.version = version;
        let mut call = Call::of(1, Setting::default(), &joining);
        call.connect();
        let endpoint = call.clients[0].endpoint;
        let open = |call: &Call| call.clients[0].noticed.channel_open && call.server.channels == [endpoint];
        assert!(call.run_until(Duration::from_secs(5), open), "the channel opens over {version}");

        // The second is longer than a datagram.
        let texts =
            [r#"{"colibriClass":"ClientHello"}"#.to_owned(), format!("\u{1F4AC}{}", "x".repeat(20_000))];
        for text in &texts {
            call.clients[0].send_text(text);
            call.server.send_text(endpoint, text);
        }
        let all = |call: &Call| call.clients[0].noticed.texts.len() == 2 && call.server.texts.len() == 2;
        assert!(call.run_until(Duration::from_secs(5), all), "messages arrive over {version}");
        assert_eq!(call.clients[0].noticed.texts, texts);
        assert_eq!(call.server.texts, texts.map(|text| (endpoint, text)));
    }
}
