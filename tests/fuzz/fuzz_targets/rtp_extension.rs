//! A block is walked to an end, and each typed reader takes any element.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::rtp_extension::{
    Block, ONE_BYTE_PROFILE, TWO_BYTE_PROFILE, abs_send_time, audio_level, identifier, transport_cc,
    video_orientation,
};

fuzz_target!(|data: &[u8]| {
    for profile in [ONE_BYTE_PROFILE, TWO_BYTE_PROFILE] {
        let block = Block { profile, data };
        let mut elements = block.elements();
        let mut size = 0;
        for element in elements.by_ref() {
            assert_ne!(element.id, 0);
            size += element.data.len() + 1;
            let _ = (audio_level(element.data), transport_cc(element.data), abs_send_time(element.data));
            let _ = (identifier(element.data), video_orientation(element.data));
        }
        assert!(size <= data.len());
        if elements.malformed() {
            assert!((1..=255).all(|id| block.find(id).is_none()));
        }
    }
});
