//! A structure of the input's first part, a descriptor of the rest: read, rewrite, read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::codec::av1_descriptor::{Descriptor, Rewrite, Structure, rewrite, rewrite_into};

fuzz_target!(|data: &[u8]| {
    let Some((&split, data)) = data.split_first() else { return };
    let (first, second) = data.split_at(usize::from(split).min(data.len()));
    let mut known = Structure::default();
    let _ = known.read(first);
    let change = Rewrite { frame_number: 0x1234, template_offset: 0, active_mask: Some(u32::MAX) };
    for descriptor in [first, second] {
        let Ok(before) = Descriptor::parse(descriptor, Some(&known)) else { continue };
        let mut in_place = descriptor.to_vec();
        rewrite(&mut in_place, Some(&known), &change).expect("it was read");
        let after = Descriptor::parse(&in_place, Some(&known)).expect("only values have changed");
        assert_eq!((after.frame_number, after.dependency), (0x1234, before.dependency));

        let mut out = vec![0xFF; descriptor.len() + 5];
        let length = rewrite_into(descriptor, Some(&known), &change, &mut out).expect("it was read");
        let after = Descriptor::parse(&out[..length], Some(&known)).expect("a mask was added");
        assert_eq!((after.frame_number, after.dependency), (0x1234, before.dependency));
        assert!(after.active_mask.is_some_and(|mask| mask.trailing_ones() == mask.count_ones()));
    }
});
