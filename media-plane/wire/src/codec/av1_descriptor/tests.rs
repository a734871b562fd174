//! Descriptors built bit by bit, and by an encoder of their own for the properties.

use proptest::prelude::*;

use super::*;
use crate::codec::{Malformed, Patch};

/// Bytes from binary digits; spaces are for the eye, zeros fill up the last byte.
fn bits(text: &[&str]) -> Vec<u8> {
    let mut bits = Bits::default();
    text.iter().flat_map(|line| line.chars()).filter(|digit| *digit != ' ').for_each(|digit| {
        bits.push(u32::from(digit == '1'), 1);
    });
    bits.bytes()
}

#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn push(&mut self, value: u32, count: u32) {
        self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
    }

    /// `ns(bound)`, by its definition: the first `2^width - bound` values are one bit shorter.
    fn push_below(&mut self, value: u32, bound: u32) {
        let width = u32::BITS - bound.leading_zeros();
        let short = (1 << width) - bound;
        if value < short { self.push(value, width - 1) } else { self.push(value + short, width) }
    }

    fn bytes(&self) -> Vec<u8> {
        self.0
            .chunks(8)
            .map(|byte| byte.iter().enumerate().fold(0, |sum, (at, bit)| sum | u8::from(*bit) << (7 - at)))
            .collect()
    }
}

/// One spatial and two temporal layers, two decode targets, one chain, 320x180.
const STRUCTURE: &[&str] = &[
    "000101 00001",        // template offset 5, two targets
    "00 01 11",            // layers: 0/0, 0/0, 0/1
    "10 10 10 10 00 01",   // targets of each template: SS SS -D
    "0 1 0001 0 1 0000 0", // differences: none, 2, 1
    "10",                  // one chain of at most two: ns(3)
    // Both targets are protected by the only chain: no bits at all.
    "0000 0010 0001", // chain differences
    "1",              // resolutions:
    "0000000100111111 0000000010110011",
];

fn key_frame(flags: &str) -> Vec<&str> {
    // Start, not end, template 5, frame 258.
    let mut lines = vec!["1 0 000101 0000000100000010", flags];
    lines.extend(STRUCTURE);
    lines
}

fn structure() -> Structure {
    let mut structure = Structure::default();
    structure.read(&bits(&key_frame("10000"))).unwrap();
    structure
}

#[test]
fn a_key_frame_with_its_structure_is_read() {
    let data = bits(&key_frame("10000"));
    let structure = structure();
    assert_eq!(structure.template_id_offset(), 5);
    assert_eq!(
        (structure.decode_target_count(), structure.all_targets(), structure.chain_count()),
        (2, 0b11, 1)
    );
    assert_eq!((structure.max_sid(), structure.max_tid()), (0, 1));
    assert_eq!(structure.resolutions(), [(320, 180)]);
    assert_eq!([0, 1, 2].map(|target| structure.target_layer(target)), [Some((0, 0)), Some((0, 1)), None]);
    assert_eq!([0, 1, 2].map(|target| structure.protected_by(target)), [Some(0), Some(0), None]);

    let [key, base, upper] = structure.templates() else { panic!("three templates") };
    assert_eq!((key.sid, key.tid, key.present, key.switch), (0, 0, 0b11, 0b11));
    assert_eq!((key.frame_diffs(), key.chain_diffs[0]), (&[][..], 0));
    assert_eq!((base.switch, base.frame_diffs(), base.chain_diffs[0]), (0b11, &[2][..], 2));
    assert_eq!((upper.tid, upper.present, upper.switch, upper.discardable), (1, 0b10, 0, 0b10));
    assert_eq!((upper.frame_diffs(), upper.chain_diffs[0], upper.required), (&[1][..], 1, 0));

    let read = Descriptor::parse(&data, None).unwrap();
    assert!(read.start_of_frame && !read.end_of_frame && read.has_structure);
    assert_eq!((read.template_id, read.frame_number), (5, 258));
    assert_eq!((read.active_mask, read.resolution), (Some(0b11), Some((320, 180))));
    assert_eq!(read.dependency, *key);
}

#[test]
fn a_structure_cut_anywhere_is_refused_and_leaves_nothing_behind() {
    let whole = bits(&key_frame("10000"));
    for length in 0..whole.len() {
        let mut structure = structure();
        assert!(structure.read(&whole[..length]).is_err(), "{length}");
        assert!(length < 3 || structure.templates().is_empty(), "{length}");
        assert!(Descriptor::parse(&whole[..length], None).is_err(), "{length}");
    }
}

#[test]
fn a_short_descriptor_follows_its_template() {
    let structure = structure();
    let read = Descriptor::parse(&[0x47, 0x00, 0x09], Some(&structure)).unwrap();
    assert!(!read.start_of_frame && read.end_of_frame && !read.has_structure);
    assert_eq!((read.template_id, read.frame_number, read.active_mask), (7, 9, None));
    assert_eq!(read.dependency, structure.templates()[2]);
    assert_eq!(Descriptor::parse(&[0x47, 0, 9], None), Err(Malformed::UnknownStructure));
    assert_eq!(
        Descriptor::parse(&[0x48, 0, 9], Some(&structure)),
        Err(Malformed::UnknownStructure),
        "template 8"
    );
    assert_eq!(
        Descriptor::parse(&[0x44, 0, 9], Some(&structure)),
        Err(Malformed::UnknownStructure),
        "template 4"
    );
    assert_eq!(
        Descriptor::parse(&[0x47, 0, 9], Some(&Structure::default())),
        Err(Malformed::UnknownStructure)
    );
}

#[test]
fn a_frame_may_say_everything_itself() {
    let data = bits(&[
        "1 1 000110 0000000000000011",            // template 6, frame 3
        "0 1 1 1 1",                              // all but a structure
        "10",                                     // only target 1 is active
        "00 11",                                  // not in target 0, required in 1
        "01 0100 10 00010000 11 111111111111 00", // 5, 17, 4096
        "11111110",                               // chain: 254
    ]);
    let read = Descriptor::parse(&data, Some(&structure())).unwrap();
    assert_eq!(read.active_mask, Some(0b10));
    let dependency = read.dependency;
    assert_eq!((dependency.present, dependency.required, dependency.switch), (0b10, 0b10, 0));
    assert_eq!((dependency.frame_diffs(), dependency.chain_diffs[0]), (&[5, 17, 4_096][..], 254));
    for length in 3..data.len() {
        let expected = if length == 3 { Ok(()) } else { Err(Malformed::Truncated) };
        assert_eq!(Descriptor::parse(&data[..length], Some(&structure())).map(drop), expected, "{length}");
    }
}

#[test]
fn layers_and_lists_beyond_our_tables_are_refused() {
    let head = "1 0 000000 0000000000000000 10000 000000 00000";
    let rows: &[(&str, Vec<String>)] = &[
        ("a fifth spatial layer", vec!["10".repeat(4)]),
        ("a ninth temporal layer", vec!["01".repeat(8)]),
        ("a 65th template", vec!["00".repeat(65)]),
        ("a ninth difference", vec!["11".into(), "00".into(), "10000".repeat(9)]),
    ];
    for (name, lines) in rows {
        let mut text = vec![head];
        text.extend(lines.iter().map(String::as_str));
        let zeros = "0".repeat(400);
        text.push(&zeros);
        let data = bits(&text);
        assert_eq!(Structure::default().read(&data), Err(Malformed::TooLarge), "{name}");
        assert_eq!(Descriptor::parse(&data, None), Err(Malformed::TooLarge), "{name}");
    }
}

#[test]
fn a_rewrite_shifts_the_templates_of_frame_and_structure_alike() {
    let mut lines = key_frame("11000");
    // The mask goes behind the structure.
    lines.push("11");
    let mut data = bits(&lines);
    let before = Descriptor::parse(&data, None).unwrap();
    let change = Rewrite { frame_number: 0xABCD, template_offset: 60, active_mask: Some(0b01) };
    rewrite(&mut data, None, &change).unwrap();
    let after = Descriptor::parse(&data, None).unwrap();
    assert_eq!((after.template_id, after.frame_number, after.active_mask), (1, 0xABCD, Some(0b01)));
    assert_eq!(after.dependency, before.dependency);
    let mut moved = Structure::default();
    moved.read(&data).unwrap();
    assert_eq!(moved.template_id_offset(), 1);
    assert_eq!(moved.templates(), structure().templates());
}

#[test]
fn a_mask_is_added_where_there_is_none() {
    let change = Rewrite { frame_number: 7, template_offset: 0, active_mask: Some(0b01) };
    let mut out = [0xFF; 64];
    // A descriptor of three bytes grows its flags.
    let length = rewrite_into(&[0xC7, 0, 9], Some(&structure()), &change, &mut out).unwrap();
    assert_eq!(out[..length], bits(&["1 1 000111 0000000000000111", "01000 01"]));
    // One with a structure keeps all that follows.
    let data = bits(&key_frame("10000"));
    let length = rewrite_into(&data, None, &change, &mut out).unwrap();
    let read = Descriptor::parse(&out[..length], None).unwrap();
    assert_eq!((read.active_mask, read.frame_number, read.has_structure), (Some(0b01), 7, true));
    // Room and structure are needed.
    assert_eq!(rewrite_into(&data, None, &change, &mut [0; 4]), Err(Malformed::TooLarge));
    assert_eq!(rewrite_into(&[0xC7, 0, 9], None, &change, &mut out), Err(Malformed::UnknownStructure));
    // Without a wish for a mask nothing is added, and no structure is needed.
    let change = Rewrite { active_mask: None, ..change };
    assert_eq!(rewrite_into(&[0xC7, 0, 9], None, &change, &mut out), Ok(3));
    assert_eq!(out[..3], [0xC7, 0, 7]);
}

#[test]
fn an_error_leaves_the_descriptor_as_it_was() {
    let change = Rewrite { frame_number: 0xFFFF, template_offset: 1, active_mask: Some(1) };
    let rows: &[&[u8]] = &[&[], &[1, 2], &[5, 0, 0, 0x40], &[5, 0, 0, 0x80], &[5, 0, 0, 0xC0, 0]];
    for row in rows {
        let mut data = row.to_vec();
        assert!(rewrite(&mut data, None, &change).is_err(), "{row:?}");
        assert_eq!(data, *row);
    }
}

#[test]
fn a_patch_goes_to_the_descriptor_and_not_to_the_payload() {
    let patch = Patch::Av1 { frame_number: 0x0102, template_offset: 1, active_mask: None };
    let mut data = [0x45, 0, 9];
    patch.apply_descriptor(&mut data, None).unwrap();
    assert_eq!(data, [0x46, 1, 2]);
    let mut payload = [1, 2, 3];
    patch.apply_payload(&mut payload).unwrap();
    assert_eq!(payload, [1, 2, 3]);
    Patch::None.apply_descriptor(&mut data, None).unwrap();
    let mut out = [0; 3];
    assert_eq!(Patch::None.write_descriptor(&data, None, &mut out), Ok(3));
    assert_eq!(out, data);
}

/// Layer step, indications, differences less one, chain differences; the first template's step is not used.
type TemplatePlan = (u32, Vec<u32>, Vec<u32>, Vec<u32>);

/// What a structure says, in the order in which it is written.
#[derive(Clone, Debug)]
struct Plan {
    offset: u32,
    targets: u32,
    chains: u32,
    templates: Vec<TemplatePlan>,
    protected_by: Vec<u32>,
    resolution: Option<(u32, u32)>,
}

impl Plan {
    fn write(&self, bits: &mut Bits) {
        bits.push(self.offset, 6);
        bits.push(self.targets - 1, 5);
        self.templates.iter().skip(1).for_each(|template| bits.push(template.0, 2));
        bits.push(3, 2);
        self.templates.iter().flat_map(|template| &template.1).for_each(|dti| bits.push(*dti, 2));
        for template in &self.templates {
            template.2.iter().for_each(|diff| bits.push(16 | diff, 5));
            bits.push(0, 1);
        }
        bits.push_below(self.chains, self.targets + 1);
        if self.chains > 0 {
            self.protected_by.iter().for_each(|chain| bits.push_below(*chain, self.chains));
            self.templates.iter().flat_map(|template| &template.3).for_each(|diff| bits.push(*diff, 4));
        }
        bits.push(u32::from(self.resolution.is_some()), 1);
        let layers = 1 + self.templates.iter().skip(1).filter(|template| template.0 == 2).count();
        for (width, height) in
            self.resolution.iter().cycle().take(layers * usize::from(self.resolution.is_some()))
        {
            bits.push(width - 1, 16);
            bits.push(height - 1, 16);
        }
    }
}

fn plan() -> impl Strategy<Value = Plan> {
    let sizes = (1u32..=32, 1usize..=8)
        .prop_flat_map(|(targets, templates)| (Just(targets), 0..=targets, Just(templates)));
    sizes.prop_flat_map(|(targets, chains, templates)| {
        let list = |bound: u32, count: u32| prop::collection::vec(0..bound, count as usize);
        // Steps to a new spatial layer stay below four: two templates in eight may take one.
        let template = (
            prop_oneof![3 => Just(0u32), 2 => Just(1u32)],
            list(4, targets),
            prop::collection::vec(0u32..16, 0..=FRAME_DIFFS_MAX),
            list(16, chains),
        );
        (
            0u32..64,
            prop::collection::vec(template, templates),
            list(chains.max(1), targets),
            prop::option::of((1u32..=65_535, 1u32..=65_535)),
            prop::option::of(1..=templates),
        )
            .prop_map(move |(offset, mut templates, protected_by, resolution, spatial)| {
                if let Some(template) = spatial.and_then(|at| templates.get_mut(at)) {
                    template.0 = 2;
                }
                Plan { offset, targets, chains, templates, protected_by, resolution }
            })
    })
}

proptest! {
    #[test]
    fn any_structure_is_read_as_it_was_written(plan in plan()) {
        let mut written = Bits::default();
        written.push(plan.offset, 8);
        written.push(1, 16);
        written.push(0b10000, 5);
        plan.write(&mut written);
        let mut structure = Structure::default();
        structure.read(&written.bytes()).unwrap();
        prop_assert_eq!(u32::from(structure.template_id_offset()), plan.offset);
        prop_assert_eq!(u32::from(structure.decode_target_count()), plan.targets);
        prop_assert_eq!(u32::from(structure.chain_count()), plan.chains);
        prop_assert_eq!(structure.templates().len(), plan.templates.len());
        let (mut sid, mut tid) = (0, 0);
        for (index, (read, (step, indications, diffs, chains))) in
            structure.templates().iter().zip(&plan.templates).enumerate()
        {
            match step {
                _ if index == 0 => {}
                1 => tid += 1,
                2 => (sid, tid) = (sid + 1, 0),
                _ => {}
            }
            prop_assert_eq!((read.sid, read.tid), (sid, tid));
            for (target, dti) in indications.iter().enumerate() {
                let told = [read.discardable, read.switch, read.required].map(|mask| mask >> target & 1 == 1);
                prop_assert_eq!(told, [*dti == 1, *dti == 2, *dti == 3]);
                prop_assert_eq!(read.present >> target & 1 == 1, *dti != 0);
            }
            let told: Vec<u32> = read.frame_diffs().iter().map(|diff| u32::from(*diff) - 1).collect();
            prop_assert_eq!(&told, diffs);
            let told: Vec<u32> = read.chain_diffs.iter().map(|diff| u32::from(*diff)).take(chains.len()).collect();
            prop_assert_eq!(&told, chains);
        }
        let highest = structure.templates().iter().map(|template| template.tid).max();
        prop_assert_eq!((Some(structure.max_tid()), structure.max_sid()), (highest, sid));
        for (width, height) in structure.resolutions() {
            prop_assert_eq!(plan.resolution, Some((u32::from(*width), u32::from(*height))));
        }
        let expected = if plan.resolution.is_some() { usize::from(sid) + 1 } else { 0 };
        prop_assert_eq!(structure.resolutions().len(), expected);
    }

    #[test]
    fn rewriting_changes_what_it_shall_and_nothing_else(
        plan in plan(), index in 0usize..8, frame_number: u16, template_offset: u8, mask in prop::option::of(any::<u32>()),
        attach: bool, has_mask: bool, custom: bool,
    ) {
        let template = (plan.offset as usize + index % plan.templates.len()) as u32 % 64;
        let mut written = Bits::default();
        written.push(0b10 << 6 | template, 8);
        written.push(500, 16);
        written.push(u32::from(attach) << 4 | u32::from(has_mask) << 3 | if custom { 7 } else { 0 }, 5);
        if attach {
            plan.write(&mut written);
        }
        if has_mask {
            written.push(0x5555_5555, plan.targets);
        }
        if custom {
            (0..plan.targets).for_each(|target| written.push(target, 2));
            // One difference of four bits, one of eight.
            for (value, count) in [(1, 2), (15, 4), (2, 2), (0x81, 8), (0, 2)] {
                written.push(value, count);
            }
            (0..plan.chains).for_each(|chain| written.push(chain + 100, 8));
        }
        let data = written.bytes();
        let mut holder = Bits::default();
        holder.push(0, 24);
        holder.push(0b10000, 5);
        plan.write(&mut holder);
        let mut known = Structure::default();
        known.read(&holder.bytes()).unwrap();

        let before = Descriptor::parse(&data, Some(&known)).unwrap();
        let change = Rewrite { frame_number, template_offset, active_mask: mask };
        let mut out = [0xFF; 900];
        let length = rewrite_into(&data, Some(&known), &change, &mut out).unwrap();
        prop_assert!(length <= data.len() + 5);

        // The receiver knows the structure with its templates moved.
        let moved_change = Rewrite { frame_number: 0, template_offset, active_mask: None };
        let mut moved_data = holder.bytes();
        rewrite(&mut moved_data, None, &moved_change).unwrap();
        let mut moved = Structure::default();
        moved.read(&moved_data).unwrap();
        let after = Descriptor::parse(&out[..length], Some(&moved)).unwrap();
        prop_assert_eq!(after.frame_number, frame_number);
        prop_assert_eq!(after.template_id, before.template_id.wrapping_add(template_offset) & 0x3F);
        prop_assert_eq!(after.dependency, before.dependency);
        prop_assert_eq!(after.resolution, before.resolution);
        prop_assert_eq!(after.has_structure, attach);
        prop_assert_eq!(after.active_mask, mask.map(|mask| mask & known.all_targets()).or(before.active_mask));

        let mut in_place = data.clone();
        rewrite(&mut in_place, Some(&known), &change).unwrap();
        let same = Descriptor::parse(&in_place, Some(&moved)).unwrap();
        prop_assert_eq!((same.frame_number, same.dependency), (after.frame_number, after.dependency));
        let expected = if has_mask { after.active_mask } else { before.active_mask };
        prop_assert_eq!(same.active_mask, expected);
    }

    #[test]
    fn any_bytes_are_read_or_refused(mut data in prop::collection::vec(any::<u8>(), 0..120), attach: bool) {
        if let Some(flags) = data.get_mut(3).filter(|_| attach) {
            *flags |= 0x80;
        }
        let known = structure();
        let change = Rewrite { frame_number: 1, template_offset: 2, active_mask: Some(3) };
        let mut out = [0; 256];
        if let Ok(read) = Descriptor::parse(&data, Some(&known)) {
            prop_assert_eq!(Structure::default().read(&data).is_ok(), read.has_structure);
            prop_assert!(rewrite_into(&data, Some(&known), &change, &mut out).is_ok());
        } else {
            let _ = rewrite_into(&data, Some(&known), &change, &mut out);
        }
        let before = data.clone();
        if rewrite(&mut data, Some(&known), &change).is_err() {
            prop_assert_eq!(data, before);
        }
    }
}
