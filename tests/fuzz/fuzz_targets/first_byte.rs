//! Demultiplexing looks at two bytes and no more.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::first_byte::classify;

fuzz_target!(|data: &[u8]| {
    let head = data.get(..2).unwrap_or(data);
    assert_eq!(classify(data), classify(head));
});
