//! The parts of a packet add up, and its header comes back after writing it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::rtp::{HeaderPrefix, Packet};

fuzz_target!(|data: &[u8]| {
    let prefix = HeaderPrefix::parse(data);
    let Ok(packet) = Packet::parse(data) else { return };
    let prefix = prefix.expect("a packet has a header");
    assert_eq!((prefix.header(), prefix.header_len()), (packet.header(), packet.header_len()));
    assert_eq!(packet.header_len() + packet.payload().len() + packet.padding_len(), data.len());
    let extensions: Vec<_> = packet.extensions().map(|element| (element.id, element.data)).collect();
    let mut out = vec![0; 4 * data.len() + 64];
    let length = packet.header().write(&mut out, &extensions, true).expect("it fits");
    let again = Packet::parse(&out[..length]).expect("our own header");
    assert_eq!(again.header(), packet.header());
    assert!(again.extensions().map(|element| (element.id, element.data)).eq(extensions));
});
