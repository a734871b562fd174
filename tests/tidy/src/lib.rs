//! Reads the sources of the repository as text, so that ordinary tests can hold them to the rules of the house.
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

/// One source file.
#[derive(Debug)]
pub struct Source {
    /// Path from the root of the repository.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl Source {
    /// The lines that are neither comments nor inside the test module at the bottom.
    pub fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = self.text.find("\n#[cfg(test)]").unwrap_or(self.text.len());
        self.text[..end]
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// Functions as (name, first line, number of lines), by counting braces from each `fn`.
    pub fn functions(&self) -> Vec<(String, usize, usize)> {
        let mut functions = Vec::new();
        let lines: Vec<&str> = self.text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let Some(name) = function_name(line) else { continue };
            if let Some(length) = body_length(&lines[index..]) {
                functions.push((name.to_owned(), index + 1, length));
            }
        }
        functions
    }
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the manifest stands in the repository")
}

/// Every file with one of `endings` below the root, generated and foreign folders left out.
pub fn sources(endings: &[&str]) -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    collect(&root, &root, endings, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The text of one file, by its path from the root.
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn collect(folder: &Path, root: &Path, endings: &[&str], found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a folder of the repository can be read").flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            let foreign = name.starts_with('.') && name != ".ci" || name.starts_with("target");
            if !foreign && !["node_modules", "dist", "corpus", "artifacts"].contains(&name.as_str()) {
                collect(&path, root, endings, found);
            }
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            let relative =
                path.strip_prefix(root).expect("found below the root").to_string_lossy().into_owned();
            found.push(Source { path: relative, text: fs::read_to_string(&path).unwrap_or_default() });
        }
    }
}

fn function_name(line: &str) -> Option<&str> {
    let trimmed = line.trim_start();
    if trimmed.starts_with("//") || trimmed.starts_with("macro_rules") {
        return None;
    }
    let start = if trimmed.starts_with("fn ") { 3 } else { trimmed.find(" fn ")? + 4 };
    let before = &trimmed[..start];
    let plain = before.split_whitespace().all(|word| {
        ["fn", "pub", "const", "async", "unsafe", "extern", "\"C\""].contains(&word)
            || word.starts_with("pub(")
    });
    let name = trimmed[start..].split(['(', '<']).next()?;
    (plain && !name.is_empty()).then_some(name)
}

fn body_length(lines: &[&str]) -> Option<usize> {
    let mut depth = 0usize;
    let mut opened = false;
    for (index, line) in lines.iter().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for character in code.chars() {
            match character {
                '{' => {
                    depth += 1;
                    opened = true;
                }
                '}' => depth = depth.saturating_sub(1),
                ';' if !opened => return None,
                _ => {}
            }
        }
        if opened && depth == 0 {
            return Some(index + 1);
        }
    }
    None
}
