//! Retransmissions unwrap and wrap again; redundant blocks lie side by side up to the end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::red::Red;
use wire::rtx;

fuzz_target!(|data: &[u8]| {
    if let Some(read) = rtx::parse(data) {
        let mut again = vec![0; rtx::HEADER_LEN];
        rtx::write(&mut again, read.original_sequence).expect("it fits");
        again.extend_from_slice(read.payload);
        assert_eq!(again, data);
    }
    if let Ok(red) = Red::parse(data) {
        let mut end = None;
        for block in red.blocks() {
            assert!(end.is_none_or(|end| end == block.range.start));
            end = Some(block.range.end);
        }
        assert_eq!(end, Some(data.len()));
        assert_eq!(red.blocks().last(), Some(red.primary()));
    }
});
