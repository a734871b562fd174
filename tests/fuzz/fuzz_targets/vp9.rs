//! Read, patch, read: only the patched fields change.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::codec::Patch;
use wire::codec::vp9::Descriptor;

fuzz_target!(|data: &[u8]| {
    let Ok(before) = Descriptor::parse(data) else { return };
    let mut payload = data.to_vec();
    Patch::Vp9 { picture_id: Some(0x7ABC), tl0_picidx: Some(0xDE) }
        .apply_payload(&mut payload)
        .expect("it was read");
    let mut after = Descriptor::parse(&payload).expect("only values have changed");
    if let Some(id) = after.picture_id {
        assert_eq!(id.value, if id.wide { 0x7ABC } else { 0x3C });
    }
    assert!(after.tl0_picidx.is_none_or(|index| index.value == 0xDE));
    (after.picture_id, after.tl0_picidx) = (before.picture_id, before.tl0_picidx);
    assert_eq!(after, before);
    assert_eq!(payload[before.header_len..], data[before.header_len..]);
});
