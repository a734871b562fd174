//! What is read of a message is what comes back after writing it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::stun::{Integrity, Message, Writer};

fuzz_target!(|data: &[u8]| {
    let Ok(message) = Message::parse(data) else { return };
    let _ = message.verify(|parts| {
        assert!(parts.iter().map(|part| part.len()).sum::<usize>() <= data.len());
        [0; 20]
    });
    let mut out = [0; 2_048];
    let mut writer = Writer::new(&mut out, message.class(), message.transaction_id());
    if let (Some(local), Some(remote)) = (message.local_ufrag(), message.remote_ufrag()) {
        writer = writer.username(local, remote);
    }
    if let Some(priority) = message.priority() {
        writer = writer.priority(priority);
    }
    if let Some(address) = message.xor_mapped_address() {
        writer = writer.xor_mapped_address(address);
    }
    if let Some(code) = message.error_code() {
        writer = writer.error_code(code, "");
    }
    let length = writer.integrity(|_| [7; 20]).fingerprint().finish().expect("all of it fits");
    let again = Message::parse(&out[..length]).expect("our own message");
    assert_eq!(again.local_ufrag(), message.local_ufrag());
    assert_eq!(again.priority(), message.priority());
    assert_eq!(again.xor_mapped_address(), message.xor_mapped_address());
    assert_eq!(again.error_code(), message.error_code());
    assert_eq!(again.verify(|_| [7; 20]), Integrity::Right);
});
