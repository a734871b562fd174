//! What a person sees while a run goes on: one line that renews itself on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Where progress goes: standard error.
#[derive(Debug)]
pub struct Progress {
    terminal: bool,
    quiet: bool,
    drawn: bool,
    last: Option<Instant>,
}

impl Progress {
    /// `quiet` shows nothing but what must be said.
    pub fn new(quiet: bool) -> Progress {
        Progress { terminal: std::io::stderr().is_terminal(), quiet, drawn: false, last: None }
    }

    /// How things stand: renewed in place on a terminal, else a line now and then.
    pub fn status(&mut self, text: &str) {
        if self.quiet {
            return;
        }
        let every = if self.terminal { RENEWED_EVERY } else { PLAIN_EVERY };
        if self.last.is_some_and(|last| last.elapsed() < every) {
            return;
        }
        self.last = Some(Instant::now());
        if self.terminal {
            eprint!("\r\x1b[2K{text}");
            let _ = std::io::stderr().flush();
            self.drawn = true;
        } else {
            eprintln!("{text}");
        }
    }

    /// A line that stays.
    pub fn say(&mut self, text: &str) {
        if !self.quiet {
            self.end_line();
            eprintln!("{text}");
        }
    }

    /// A line that stays and is not to be overlooked.
    pub fn warn(&mut self, text: &str) {
        self.end_line();
        let (bold, plain) = if self.terminal { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
        eprintln!("{bold}{text}{plain}");
    }

    fn end_line(&mut self) {
        if std::mem::take(&mut self.drawn) {
            eprint!("\r\x1b[2K");
        }
    }
}

/// Faster than this nobody reads.
const RENEWED_EVERY: Duration = Duration::from_millis(100);
/// Plain lines are for logs.
const PLAIN_EVERY: Duration = Duration::from_millis(1_900);
