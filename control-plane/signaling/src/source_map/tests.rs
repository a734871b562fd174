use proptest::prelude::*;

use super::*;

fn source(ssrc: u32, name: &str, msid: &str) -> Source {
    let media = if name.contains("-a") { Media::Audio } else { Media::Video };
    let msid = (!msid.is_empty()).then(|| msid.to_owned());
    Source { ssrc, media, name: name.to_owned(), msid, video_type: VideoType::Camera }
}

fn group(semantics: Semantics, ssrcs: &[u32]) -> SsrcGroup {
    SsrcGroup { semantics, media: Media::Video, ssrcs: ssrcs.to_vec() }
}

fn simulcast(owner: &str, first: u32) -> EndpointSources {
    let name = format!("{owner}-v0");
    EndpointSources {
        sources: (first..first + 6).map(|ssrc| source(ssrc, &name, &format!("{owner}-video t"))).collect(),
        groups: vec![
            group(Semantics::Simulcast, &[first, first + 2, first + 4]),
            group(Semantics::FlowIdentification, &[first, first + 1]),
            group(Semantics::FlowIdentification, &[first + 2, first + 3]),
            group(Semantics::FlowIdentification, &[first + 4, first + 5]),
        ],
    }
}

fn of(sources: Vec<Source>, groups: Vec<SsrcGroup>) -> EndpointSources {
    EndpointSources { sources, groups }
}

#[test]
fn each_broken_rule_is_refused_with_its_reason_and_changes_nothing() {
    use Semantics::{FlowIdentification as Fid, Simulcast as Sim};
    let v = |ssrc| source(ssrc, "bob-v1", "bob-video 1");
    let many =
        |from: u32, n: u32| (from..from + n).map(|s| source(s, &format!("bob-a{s}"), "")).collect::<Vec<_>>();
    let rows = [
        (of(vec![source(0, "bob-a0", "m")], vec![]), SourceError::SsrcRange),
        (of(vec![source(100, "bob-a0", "m")], vec![]), SourceError::SsrcInUse(100)),
        (of(vec![source(7, "bob-a0", "m")], vec![]), SourceError::SsrcInUse(7)),
        (of(vec![source(9, "bob-a0", "m"), source(9, "bob-a0", "m")], vec![]), SourceError::SsrcInUse(9)),
        (of(vec![source(9, "bob-v1", "ann-video t")], vec![]), SourceError::MsidInUse(9)),
        (of(vec![v(8), v(9)], vec![]), SourceError::MsidInUse(9)),
        (of(many(1_000, 21), vec![]), SourceError::TooManySsrcs),
        (of(vec![v(8)], vec![group(Fid, &[8, 9])]), SourceError::GroupMember(9)),
        (of(vec![source(8, "bob-v1", "")], vec![group(Sim, &[8])]), SourceError::GroupMember(8)),
        (of(vec![v(8), source(9, "bob-v1", "o")], vec![group(Fid, &[8, 9])]), SourceError::GroupMsid),
        (of(vec![v(8)], vec![group(Fid, &[8])]), SourceError::GroupSize),
        (of(vec![v(8)], vec![group(Fid, &[8, 8])]), SourceError::GroupSize),
        (of(vec![v(1), v(2), v(3), v(4)], vec![group(Sim, &[1, 2, 3, 4])]), SourceError::GroupSize),
        (of(vec![source(8, "ann-a7", "m")], vec![]), SourceError::Name),
        (of(vec![source(8, "bob-", "m")], vec![]), SourceError::Name),
        (of(vec![source(8, "bob-by-v0", "m")], vec![]), SourceError::Name),
        (of((1..5).map(|s| source(s, "bob-v1", "")).collect(), vec![]), SourceError::TooManyEncodings),
    ];
    for (added, expected) in rows {
        let mut map = SourceMap::new();
        map.reserve([7]);
        map.add("ann", &simulcast("ann", 100)).expect("valid");
        assert_eq!(map.add("bob", &added), Err(expected), "{added:?}");
        assert_eq!(map.get("bob"), None);
        map.add("bob", &simulcast("bob", 200)).expect("a refused change leaves nothing behind");
    }
}

#[test]
fn a_name_may_not_change_its_media_type() {
    let mut map = SourceMap::new();
    map.add("bob", &of(vec![source(1, "bob-v0", "")], vec![])).expect("valid");
    let audio = Source { media: Media::Audio, ..source(2, "bob-v0", "") };
    assert_eq!(map.add("bob", &of(vec![audio], vec![])), Err(SourceError::Name));
}

#[test]
fn nobody_can_pass_for_the_bridge() {
    let mut map = SourceMap::new();
    assert_eq!(map.add("jvb", &of(vec![source(1, "jvb-v0", "")], vec![])), Err(SourceError::Name));
}

#[test]
fn at_most_twenty_groups_are_kept() {
    let mut map = SourceMap::new();
    map.add("ann", &simulcast("ann", 100)).expect("valid");
    let permutations: Vec<SsrcGroup> = (0..6)
        .flat_map(|a| (0..6).filter(move |b| *b != a).map(move |b| (100 + a, 100 + b)))
        .map(|(a, b)| group(Semantics::FlowIdentification, &[a, b]))
        .collect();
    assert_eq!(map.add("ann", &of(vec![], permutations)), Err(SourceError::TooManyGroups));
}

#[test]
fn empty_and_repeated_groups_are_ignored() {
    let mut map = SourceMap::new();
    let mut sources = simulcast("ann", 100);
    let groups = sources.groups.clone();
    sources.groups.push(group(Semantics::Simulcast, &[]));
    sources.groups.push(groups[0].clone());
    assert_eq!(map.add("ann", &sources).expect("valid").groups, groups);
}

#[test]
fn removing_an_ssrc_removes_its_groups_and_frees_it() {
    let mut map = SourceMap::new();
    map.add("ann", &simulcast("ann", 100)).expect("valid");
    let removed = map.remove("ann", &of(vec![source(100, "ann-v0", "")], vec![])).expect("owned");
    assert_eq!((removed.sources.len(), removed.groups.len()), (1, 2));
    assert_eq!(removed.sources[0].msid.as_deref(), Some("ann-video t"), "the whole source is told to others");
    map.add("bob", &of(vec![source(100, "bob-a0", "m")], vec![])).expect("free again");
}

#[test]
fn only_what_is_owned_can_be_removed() {
    let mut map = SourceMap::new();
    map.add("ann", &simulcast("ann", 100)).expect("valid");
    let stolen = of(vec![source(100, "bob-v0", "")], vec![]);
    assert_eq!(map.remove("bob", &stolen), Err(SourceError::NotFound(100)));
    let unknown = of(vec![], vec![group(Semantics::FlowIdentification, &[100, 105])]);
    assert_eq!(map.remove("ann", &unknown), Err(SourceError::GroupNotFound));
    assert_eq!(map.get("ann"), Some(&simulcast("ann", 100)));
}

#[test]
fn a_share_can_be_stopped_and_published_again() {
    let mut map = SourceMap::new();
    let share = simulcast("ann", 100);
    for _ in 0..3 {
        map.add("ann", &share).expect("free");
        map.remove("ann", &share).expect("owned");
    }
    assert_eq!(map.get("ann"), None);
}

#[test]
fn encodings_follow_the_simulcast_order_with_their_repair() {
    let ann = simulcast("ann", 100);
    let ssrcs: Vec<u32> = ann.sources.iter().map(|source| source.ssrc).collect();
    assert_eq!(encodings(&ssrcs, &ann.groups), [(100, Some(101)), (102, Some(103)), (104, Some(105))]);
    assert_eq!(encodings(&[1, 2], &[group(Semantics::FlowIdentification, &[1, 2])]), [(1, Some(2))]);
    assert_eq!(encodings(&[5], &[]), [(5, None)]);
}

#[test]
fn stripping_simulcast_keeps_the_lowest_layer_and_its_repair() {
    let stripped = simulcast("ann", 100).without_simulcast();
    let ssrcs: Vec<u32> = stripped.sources.iter().map(|source| source.ssrc).collect();
    assert_eq!(ssrcs, [100, 101]);
    assert_eq!(stripped.groups, [group(Semantics::FlowIdentification, &[100, 101])]);
}

#[derive(Clone, Debug)]
enum Change {
    Add(usize, EndpointSources),
    Remove(usize, EndpointSources),
    Leave(usize),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let sources =
        (0_usize..3, prop::collection::vec((0_u32..12, 0_u8..2, 0_u8..3), 0..5)).prop_map(|(who, parts)| {
            let owner = ["ann", "bob", "eve"][who];
            let sources = parts.iter().map(|(ssrc, kind, msid)| {
                let kind = if *kind == 0 { 'a' } else { 'v' };
                source(*ssrc, &format!("{owner}-{kind}{msid}"), &format!("m{msid}"))
            });
            let groups =
                parts.windows(2).map(|pair| group(Semantics::FlowIdentification, &[pair[0].0, pair[1].0]));
            of(sources.collect(), groups.collect())
        });
    let change = (0_usize..3, sources, 0_u8..5).prop_map(|(who, sources, kind)| match kind {
        0..3 => Change::Add(who, sources),
        3 => Change::Remove(who, sources),
        _ => Change::Leave(who),
    });
    prop::collection::vec(change, 0..40)
}

proptest! {
    #[test]
    fn no_ssrc_ever_has_two_owners(changes in changes()) {
        let mut map = SourceMap::new();
        for change in changes {
            match change {
                Change::Add(who, sources) => drop(map.add(["ann", "bob", "eve"][who], &sources)),
                Change::Remove(who, sources) => drop(map.remove(["ann", "bob", "eve"][who], &sources)),
                Change::Leave(who) => drop(map.remove_owner(["ann", "bob", "eve"][who])),
            }
            let mut owners = HashMap::new();
            for (owner, sources) in map.iter() {
                prop_assert!(!sources.is_empty());
                prop_assert!(sources.sources.len() <= SSRCS_PER_ENDPOINT_MAX);
                for source in &sources.sources {
                    prop_assert!(owners.insert(source.ssrc, owner.to_owned()).is_none(), "{}", source.ssrc);
                    prop_assert!(source.name.starts_with(owner));
                }
                for ssrc in sources.groups.iter().flat_map(|group| &group.ssrcs) {
                    prop_assert!(sources.find(*ssrc).is_some());
                }
            }
            prop_assert_eq!(&owners, &map.ssrc_owners);
        }
    }
}
