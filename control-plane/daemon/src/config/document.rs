//! Settings as a flat map from dotted key to value, knowing where each value came from.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::REFERENCE;

/// Something wrong with the settings, for a person.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Problem {
    /// Dotted key, if it is about one.
    pub(crate) key: Option<String>,
    /// Line in the user's file, from 1.
    pub(crate) line: Option<usize>,
    /// What is wrong and what would be right.
    pub(crate) message: String,
}

impl core::fmt::Display for Problem {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// Values by dotted key.
pub(crate) type Values = BTreeMap<String, Value>;

/// The settings.
pub(crate) struct Document {
    values: Values,
    lines: BTreeMap<String, usize>,
}

impl Document {
    /// The embedded reference: it defines which keys exist and of what type they are.
    pub(crate) fn reference() -> Document {
        let table: Table = REFERENCE.parse().expect("the embedded reference is valid TOML, a test reads it");
        let mut values = BTreeMap::new();
        for (section, keys) in table {
            let Value::Table(keys) = keys else { continue };
            values.extend(keys.into_iter().map(|(key, value)| (format!("{section}.{key}"), value)));
        }
        Document { values, lines: BTreeMap::new() }
    }

    /// All keys, in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// All of it, free of where it came from.
    pub(crate) fn into_values(self) -> Values {
        self.values
    }

    /// The value of a key; the key must be in the reference.
    pub(crate) fn value(&self, key: &str) -> &Value {
        &self.values[key]
    }

    /// A problem with the value of a key.
    pub(crate) fn problem(&self, key: &str, message: &str) -> Problem {
        Problem { key: Some(key.to_owned()), line: self.lines.get(key).copied(), message: message.to_owned() }
    }

    /// Puts the values of a TOML text over those that are here.
    pub(crate) fn merge_text(&mut self, text: &str) -> Vec<Problem> {
        let spanned = toml::de::DeTable::parse(text);
        let (table, spanned) = match (text.parse::<Table>(), spanned) {
            (Ok(table), Ok(spanned)) => (table, spanned),
            (Err(error), _) | (_, Err(error)) => {
                let line = error.span().map(|span| line_of(text, span.start));
                return vec![Problem { key: None, line, message: error.message().to_owned() }];
            }
        };

        let mut lines = BTreeMap::new();
        for (section, keys) in spanned.get_ref().iter() {
            lines.insert(section.get_ref().to_string(), line_of(text, section.span().start));
            if let toml::de::DeValue::Table(keys) = keys.get_ref() {
                for key in keys.keys() {
                    let path = format!("{}.{}", section.get_ref(), key.get_ref());
                    lines.insert(path, line_of(text, key.span().start));
                }
            }
        }

        let mut problems = Vec::new();
        for (section, keys) in table {
            match keys {
                Value::Table(keys) => {
                    for (key, value) in keys {
                        let path = format!("{section}.{key}");
                        let line = lines.get(&path).copied();
                        problems.extend(self.set(path, value, line).err());
                    }
                }
                _ => problems.push(self.unknown(&section, lines.get(&section).copied())),
            }
        }
        self.lines.extend(lines);
        problems
    }

    /// Puts the variables that begin with `SLUICE__` over what is here.
    pub(crate) fn merge_environment(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (name, text) in variables {
            let Some(path) = name.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
            let key = path.replace("__", ".").to_ascii_lowercase();
            let Some(like) = self.values.get(&key) else {
                let mut problem = self.unknown(&key, None);
                problem.message = format!("{} (environment variable {name})", problem.message);
                problems.push(problem);
                continue;
            };
            match parse_like(like, &text) {
                Some(value) => {
                    self.lines.remove(&key);
                    self.values.insert(key, value);
                }
                None => {
                    let message = format!("environment variable {name} must be {}", kind(like));
                    problems.push(Problem { key: Some(key), line: None, message });
                }
            }
        }
        problems
    }

    fn set(&mut self, key: String, value: Value, line: Option<usize>) -> Result<(), Problem> {
        let Some(known) = self.values.get(&key) else { return Err(self.unknown(&key, line)) };
        if !known.same_type(&value) {
            let message = format!("must be {}, not {}", kind(known), kind(&value));
            return Err(Problem { key: Some(key), line, message });
        }
        self.values.insert(key, value);
        Ok(())
    }

    fn unknown(&self, key: &str, line: Option<usize>) -> Problem {
        let nearest = self.keys().min_by_key(|known| distance(known, key)).unwrap_or_default();
        let message = format!("no such key; did you mean `{nearest}`?");
        Problem { key: Some(key.to_owned()), line, message }
    }
}

/// What a value is, for people.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text in quotes",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list in brackets",
        Value::Table(_) => "a table",
    }
}

/// Reads `text` as a value of the same type as `like`.
fn parse_like(like: &Value, text: &str) -> Option<Value> {
    match like {
        Value::String(_) => Some(Value::String(text.to_owned())),
        Value::Integer(_) => text.trim().parse().ok().map(Value::Integer),
        Value::Boolean(_) => text.trim().parse().ok().map(Value::Boolean),
        Value::Array(_) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Some(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
        }
        Value::Table(_) => {
            format!("value = {text}").parse::<Table>().ok()?.remove("value").filter(Value::is_table)
        }
        Value::Float(_) | Value::Datetime(_) => None,
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// Edits between two keys (Levenshtein), one row at a time.
fn distance(one: &str, two: &str) -> usize {
    let two: Vec<char> = two.chars().take(KEY_CHARS_MAX).collect();
    let mut row: Vec<usize> = (0..=two.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (above, b) in row.iter_mut().skip(1).zip(&two) {
            let cost = (diagonal + usize::from(a != *b)).min(*above + 1).min(left + 1);
            diagonal = *above;
            *above = cost;
            left = cost;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

const ENVIRONMENT_PREFIX: &str = "SLUICE__";

/// No key is longer; what is longer is compared by its beginning.
const KEY_CHARS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        let table =
            [("", "", 0), ("abc", "abc", 0), ("abc", "", 3), ("", "abc", 3), ("wrokers", "workers", 2)];
        for (one, two, expected) in table {
            assert_eq!(distance(one, two), expected, "{one} {two}");
            assert_eq!(distance(two, one), expected, "{two} {one}");
        }
    }
}
