//! Reads unit files as text, finds the programs that tests want to run, and says aloud what is skipped (systemd.syntax(7)).
#![forbid(unsafe_code)]

pub mod service;

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};

/// One `Name=value` line of a unit file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// The section it stands in, without brackets.
    pub section: String,
    /// Its name.
    pub name: String,
    /// What it is set to; may be empty.
    pub value: String,
    /// The text of the comment on the line above, if there is one.
    pub comment: Option<String>,
    /// Its line, from 1.
    pub line: usize,
}

/// Every directive of a unit file in its order, or the line that is none.
pub fn directives(text: &str) -> Result<Vec<Directive>, String> {
    let mut section = String::new();
    let mut comment = None;
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line_number = index + 1;
        if let Some(said) = line.strip_prefix('#') {
            comment = Some(said.trim().to_owned()).filter(|said| !said.is_empty());
        } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_owned();
            comment = None;
        } else if let Some((name, value)) = line.split_once('=') {
            let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
            found.push(Directive {
                section: section.clone(),
                name,
                value,
                comment: comment.take(),
                line: line_number,
            });
        } else if line.trim().is_empty() {
            comment = None;
        } else {
            return Err(format!("line {line_number} is neither a comment nor a directive: {line}"));
        }
    }
    Ok(found)
}

/// The unit that is installed.
pub fn unit_path() -> PathBuf {
    root().join("systemd/sluice.service")
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where `program` is, by the search path.
pub fn program(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// The built server that `SLUICE_BINARY` names.
pub fn server() -> Option<PathBuf> {
    env::var_os("SLUICE_BINARY").map(PathBuf::from)
}

/// Says that part of a test did not run and why, past the capture of the test harness.
pub fn skipped(what: &str, why: &str) {
    // Nobody to tell is no reason to fail.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}: {why}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_belongs_to_the_directive_right_below_it_and_to_no_other() {
        let text = "# of the file\n\n[Service]\n# why\nA=1\nB = x=y\n#\nC=\n# far\n\nD=2\n";
        let found = directives(text).expect("well formed");
        let rows: Vec<(&str, &str, &str, Option<&str>)> = found
            .iter()
            .map(|found| {
                (found.section.as_str(), found.name.as_str(), found.value.as_str(), found.comment.as_deref())
            })
            .collect();
        let expected = [
            ("Service", "A", "1", Some("why")),
            ("Service", "B", "x=y", None),
            ("Service", "C", "", None),
            ("Service", "D", "2", None),
        ];
        assert_eq!(rows, expected);
        assert!(directives("[Unit]\nnonsense\n").unwrap_err().contains("line 2"));
    }
}
