//! NAL unit types are read within bounds and agree with each other.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::codec::h264::Descriptor;

fuzz_target!(|data: &[u8]| {
    let Ok(read) = Descriptor::parse(data) else { return };
    assert!((1..=23).contains(&read.nal_type));
    assert_ne!(read.nal_types & 1 << read.nal_type, 0);
    assert!(!read.is_key_frame || read.nal_types & (1 << 5 | 1 << 7) != 0);
});
