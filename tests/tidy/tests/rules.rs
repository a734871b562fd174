//! The rules of the house: sizes, names, the address of unsafe code, dependency arrows, counters in use, and a packet
//! walk that matches the code.

use std::collections::{BTreeMap, BTreeSet};

use tidy::{Source, read, sources};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

#[test]
fn files_and_functions_keep_their_size() {
    let ratchet = read("tests/tidy/ratchet.txt");
    let excused: BTreeMap<String, usize> = ratchet
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let key_words = if words[0] == "fn" { 3 } else { 2 };
            assert!(words.len() > key_words + 1, "an exception needs a reason: {line}");
            (words[..key_words].join(" "), words[key_words].parse().expect("a number of lines"))
        })
        .collect();
    let mut used = BTreeSet::new();
    let mut excess = Vec::new();
    let mut check = |key: String, lines: usize, max: usize| {
        let allowed = excused.get(&key).copied().unwrap_or(max);
        if lines > max {
            used.insert(key.clone());
        }
        if lines > allowed {
            excess.push(format!("{key}: {lines} lines, {allowed} allowed"));
        }
    };
    for source in sources(&[".rs", ".ts"]) {
        check(format!("file {}", source.path), source.text.lines().count(), FILE_LINES_MAX);
        if source.path.ends_with(".rs") {
            for (name, _, lines) in source.functions() {
                check(format!("fn {} {name}", source.path), lines, FUNCTION_LINES_MAX);
            }
        }
    }
    assert!(excess.is_empty(), "split by concept:\n{}", excess.join("\n"));
    let stale: Vec<&String> = excused.keys().filter(|key| !used.contains(*key)).collect();
    assert!(stale.is_empty(), "exceptions that are no longer needed: {stale:?}");
}

#[test]
fn no_file_or_module_is_named_for_having_no_owner() {
    for source in sources(&[".rs", ".ts", ".toml"]) {
        for banned in ["util", "utils", "helper", "helpers", "common", "misc", "manager"] {
            let named = source.path.split(['/', '.', '_', '-']).any(|part| part == banned);
            assert!(!named, "{}: name it for what it does, not `{banned}`", source.path);
        }
    }
}

#[test]
fn unsafe_code_lives_in_mesh_and_uring_alone() {
    for source in sources_but_this(&[".rs"]) {
        let allowed =
            ["media-plane/mesh/", "media-plane/uring/"].iter().any(|crate_| source.path.starts_with(crate_));
        for (line, text) in source.code_lines() {
            let uses =
                text.contains("unsafe {") || text.contains("unsafe impl") || text.contains("unsafe fn");
            assert!(allowed || !uses, "{}:{line}: unsafe code outside mesh and uring", source.path);
            let lifts = text.contains("allow(unsafe_code)");
            assert!(allowed || !lifts, "{}:{line}: the ban on unsafe code is lifted", source.path);
        }
    }
}

#[test]
fn every_unsafe_block_says_why_it_is_sound() {
    for source in sources_but_this(&[".rs"]) {
        let lines: Vec<&str> = source.text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            if line.trim_start().starts_with("//")
                || !(line.contains("unsafe {") || line.contains("unsafe impl"))
            {
                continue;
            }
            let said = lines[index.saturating_sub(10)..=index].iter().any(|above| above.contains("SAFETY"));
            assert!(said, "{}:{}: no SAFETY comment", source.path, index + 1);
        }
    }
}

#[test]
fn nothing_unfinished_or_private_is_left_in_the_tree() {
    for source in sources_but_this(&[".rs", ".ts", ".sh", ".md", ".toml", ".service", ".conf"]) {
        for (index, line) in source.text.lines().enumerate() {
            for banned in ["todo!(", "unimplemented!(", "FIXME", "/root/", "#[ignore", "dbg!("] {
                assert!(!line.contains(banned), "{}:{}: `{banned}`", source.path, index + 1);
            }
        }
    }
}

/// This crate speaks of what is forbidden; it is not held to it.
fn sources_but_this(endings: &[&str]) -> impl Iterator<Item = Source> {
    sources(endings).into_iter().filter(|source| !source.path.starts_with("tests/tidy/"))
}

/// Arrows of `docs/architecture.md`, read from its table: crate → the crates it may name.
fn allowed_arrows() -> BTreeMap<String, BTreeSet<String>> {
    let page = read("docs/architecture.md");
    let mut arrows = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let name = cells[1].trim_matches('`').rsplit('/').next().expect("split gives one part").to_owned();
        let named = cells[3].split(',').map(|name| name.trim().to_owned()).collect();
        arrows.insert(name, named);
    }
    assert!(arrows.len() > 8, "the table of crates was not found");
    arrows
}

#[test]
fn dependencies_follow_the_arrows_of_the_architecture() {
    let arrows = allowed_arrows();
    for source in sources(&["Cargo.toml"]) {
        let planes = ["media-plane/", "control-plane/", "tuning/"];
        if !planes.iter().any(|plane| source.path.starts_with(plane)) {
            continue;
        }
        let folder =
            source.path.trim_end_matches("/Cargo.toml").rsplit('/').next().expect("one part").to_owned();
        let manifest: toml::Table = source.text.parse().expect("a manifest is TOML");
        let Some(dependencies) = manifest.get("dependencies").and_then(toml::Value::as_table) else {
            continue;
        };
        let allowed =
            arrows.get(&folder).unwrap_or_else(|| panic!("{folder} is not in docs/architecture.md"));
        if allowed.contains("everything") {
            continue;
        }
        for dependency in dependencies.keys().filter(|name| arrows.contains_key(*name)) {
            assert!(allowed.contains(dependency), "{folder} may not name {dependency}");
        }
    }
}

#[test]
fn every_counter_and_drop_reason_is_used() {
    let code: String = sources(&[".rs"])
        .iter()
        .filter(|source| source.path.starts_with("media-plane/") && !source.path.contains("/contract/"))
        .map(|source: &Source| source.text.as_str())
        .collect();
    for (page, kind) in [("metric", "Metric"), ("drop_reason", "DropReason")] {
        let declared = read(&format!("media-plane/contract/src/{page}.rs"));
        for line in declared.lines().filter(|line| line.starts_with("    ") && line.contains(" = \"")) {
            let name = line.trim().split(' ').next().expect("split gives one part");
            assert!(code.contains(&format!("{kind}::{name}")), "{kind}::{name} is declared and never used");
        }
    }
}

#[test]
fn the_packet_walk_names_what_exists() {
    let page = read("docs/packet-walk.md");
    let mut stops = 0;
    for name in page.split('`').skip(1).step_by(2).filter(|name| name.contains("::")) {
        let parts: Vec<&str> = name.split("::").collect();
        let (function, path) = parts.split_last().expect("it has a separator");
        let function = function.trim_end_matches("()");
        let found = sources(&[".rs"]).iter().any(|source| {
            let in_crate = source.path.contains(&format!("/{}/src/", path[0]));
            let module = path.get(1).is_none_or(|module| {
                source.path.ends_with(&format!("/{module}.rs"))
                    || source.path.contains(&format!("/{module}/"))
            });
            let defined = source.text.contains(&format!("fn {function}"))
                || source.text.contains(&format!("struct {function}"))
                || source.text.contains(&format!("enum {function}"));
            in_crate && module && defined
        });
        assert!(found, "docs/packet-walk.md names `{name}`, which does not exist");
        stops += 1;
    }
    assert!(stops >= 12, "the walk has its stops");
}

/// A page that names a test vouches for it.
#[test]
fn every_test_that_the_hardening_page_names_exists() {
    let page = read("docs/hardening.md");
    let code: String = sources(&[".rs"]).iter().map(|source: &Source| source.text.as_str()).collect();
    let names = page.split('`').skip(1).step_by(2);
    let is_test = |name: &&str| {
        name.matches('_').count() > 2
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let mut named = 0;
    for name in names.filter(is_test) {
        assert!(code.contains(&format!("fn {name}(")), "docs/hardening.md names {name}, which is no test");
        named += 1;
    }
    assert!(named > 50, "{named} tests were found on the page");
}
