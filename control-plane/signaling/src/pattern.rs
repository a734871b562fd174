//! Patterns of room names in tokens, in the notation of Lua (manual §6.4.1), without captures, `%b` and `%f`.

/// Whether `pattern` matches somewhere in `text`, or from its beginning if it begins with `^`. A pattern that cannot be
/// read, or takes too long, matches nothing.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    if pattern.len() > PATTERN_BYTES_MAX {
        return false;
    }
    let (anchored, rest) = match pattern.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    let Some(items) = read(rest) else { return false };
    let text = text.as_bytes();
    let mut steps = STEPS_MAX;
    let mut starts = if anchored { 0..=0 } else { 0..=text.len() };
    starts.any(|start| text.get(start..).is_some_and(|rest| match_here(&items, rest, &mut steps)))
}

/// One element of a pattern.
#[derive(Debug)]
enum Item {
    /// So many of a class.
    Run(Class, Repeat),
    /// The end of the text.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeat {
    Once,
    Optional,
    Many,
    ManyAtLeastOne,
    Few,
}

#[derive(Debug)]
enum Class {
    Any,
    Byte(u8),
    Letter(u8),
    Set { parts: Vec<Part>, complement: bool },
}

#[derive(Debug)]
enum Part {
    Range(u8, u8),
    Letter(u8),
}

impl Class {
    fn has(&self, byte: u8) -> bool {
        match self {
            Class::Any => true,
            Class::Byte(own) => *own == byte,
            Class::Letter(letter) => letter_has(*letter, byte),
            Class::Set { parts, complement } => {
                let found = parts.iter().any(|part| match part {
                    Part::Range(from, to) => (*from..=*to).contains(&byte),
                    Part::Letter(letter) => letter_has(*letter, byte),
                });
                found != *complement
            }
        }
    }
}

/// `%a` and its kin; in upper case the complement; punctuation stands for itself.
fn letter_has(letter: u8, byte: u8) -> bool {
    let found = match letter.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b's' => byte.is_ascii_whitespace(),
        b'p' => byte.is_ascii_punctuation(),
        b'x' => byte.is_ascii_hexdigit(),
        b'c' => byte.is_ascii_control(),
        _ => return letter == byte,
    };
    found != letter.is_ascii_uppercase()
}

fn read(pattern: &str) -> Option<Vec<Item>> {
    let mut bytes = pattern.bytes().peekable();
    let mut items = Vec::new();
    while let Some(byte) = bytes.next() {
        let class = match byte {
            b'$' if bytes.peek().is_none() => {
                items.push(Item::End);
                break;
            }
            b'(' | b')' => return None,
            b'.' => Class::Any,
            b'%' => Class::Letter(bytes.next().filter(|letter| is_class_letter(*letter))?),
            b'[' => read_set(&mut bytes)?,
            byte => Class::Byte(byte),
        };
        let repeat = match bytes.peek() {
            Some(b'?') => Repeat::Optional,
            Some(b'*') => Repeat::Many,
            Some(b'+') => Repeat::ManyAtLeastOne,
            Some(b'-') => Repeat::Few,
            _ => Repeat::Once,
        };
        if repeat != Repeat::Once {
            bytes.next();
        }
        items.push(Item::Run(class, repeat));
    }
    Some(items)
}

/// Letters that name a class, and punctuation; other letters and digits are captures, balances and frontiers.
fn is_class_letter(letter: u8) -> bool {
    !letter.is_ascii_alphanumeric() || b"adluwspxc".contains(&letter.to_ascii_lowercase())
}

fn read_set(bytes: &mut std::iter::Peekable<std::str::Bytes<'_>>) -> Option<Class> {
    let complement = bytes.next_if_eq(&b'^').is_some();
    let mut parts = Vec::new();
    loop {
        let byte = bytes.next()?;
        match byte {
            b']' if !parts.is_empty() => return Some(Class::Set { parts, complement }),
            b'%' => parts.push(Part::Letter(bytes.next().filter(|letter| is_class_letter(*letter))?)),
            from => {
                let mut ahead = bytes.clone();
                let to =
                    (ahead.next() == Some(b'-')).then(|| ahead.next()).flatten().filter(|to| *to != b']');
                match to {
                    Some(to) => {
                        *bytes = ahead;
                        parts.push(Part::Range(from, to));
                    }
                    None => parts.push(Part::Range(from, from)),
                }
            }
        }
    }
}

fn match_here(items: &[Item], text: &[u8], steps: &mut u32) -> bool {
    let Some(left) = steps.checked_sub(1) else { return false };
    *steps = left;
    let Some((item, rest)) = items.split_first() else { return true };
    let (class, repeat) = match item {
        Item::End => return text.is_empty(),
        Item::Run(class, repeat) => (class, *repeat),
    };
    let run = text.iter().take_while(|byte| class.has(**byte)).count();
    let (least, most) = match repeat {
        Repeat::Once => (1, 1),
        Repeat::Optional => (0, 1),
        Repeat::Many | Repeat::Few => (0, run),
        Repeat::ManyAtLeastOne => (1, run),
    };
    let mut from = |taken: usize| text.get(taken..).is_some_and(|text| match_here(rest, text, steps));
    let counts = least..=most.min(run);
    if repeat == Repeat::Few {
        counts.into_iter().any(&mut from)
    } else {
        counts.into_iter().rev().any(&mut from)
    }
}

/// Longest pattern.
const PATTERN_BYTES_MAX: usize = 256;
/// Steps in one comparison: some patterns take a time that grows with a power of the text.
const STEPS_MAX: u32 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_lua() {
        let rows = [
            ("standup", "standup", true),
            ("stand", "understanding", true),
            ("^stand", "understanding", false),
            ("^stand$", "standup", false),
            ("^stand.*$", "standup", true),
            ("^team%-%d+$", "team-42", true),
            ("^team%-%d+$", "team-", false),
            ("^team%-%d*$", "team-", true),
            ("^[a-c]+$", "abcabc", true),
            ("^[^a-c]+$", "abcabc", false),
            ("^[%w-]+$", "a-b-1", true),
            ("^[]]$", "]", true),
            ("^a-b$", "aaab", true),
            ("^a?b$", "ab", true),
            ("^a?b$", "aab", false),
            ("^%u", "abc", false),
            ("^%U", "abc", true),
            ("a$b", "a$b", true),
            ("", "anything", true),
            ("^$", "", true),
        ];
        for (pattern, text, expected) in rows {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn patterns_that_cannot_be_read_match_nothing() {
        for pattern in ["(a)", "%1", "%b()", "%f[a]", "[a", "%", "[%", &"a".repeat(257)] {
            assert!(!matches(pattern, "a"), "{pattern}");
        }
    }

    #[test]
    fn patterns_that_take_for_ever_are_given_up() {
        let slow = ".*".repeat(30) + "x$";
        let begun = std::time::Instant::now();
        assert!(!matches(&slow, &"a".repeat(500)));
        assert!(begun.elapsed().as_secs() < 5);
    }
}
