//! `sluice top`: rooms, people and media threads of a running server, from its private pages.

use std::io::{IsTerminal, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::command_line::{EXIT_UNAVAILABLE, Top};
use crate::config::Config;

mod page;

/// Shows until interrupted; one page if nobody watches.
pub(crate) fn top(arguments: &Top) -> ExitCode {
    match show(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(EXIT_UNAVAILABLE)
        }
    }
}

fn show(arguments: &Top) -> Result<()> {
    let server = address(arguments)?;
    let mut out = std::io::stdout();
    if arguments.json {
        writeln!(out, "{}", fetch(server)?.value)?;
        return Ok(());
    }
    let mut before = fetch(server)?;
    let watched = out.is_terminal();
    loop {
        std::thread::sleep(EVERY);
        let now = fetch(server)?;
        let (rows, columns) =
            if watched { terminal() } else { (usize::MAX, columns().unwrap_or(usize::MAX)) };
        let page = page::fit(&page::render(&before, &now), rows, columns);
        // Home, the page, and nothing of the one before below it or at the ends of its lines.
        let page = if watched { format!("\x1b[H{}\x1b[J", page.replace('\n', "\x1b[K\n")) } else { page };
        let written = out.write_all(page.as_bytes()).and_then(|()| out.flush());
        if !watched || written.is_err() {
            // Whoever closes the pipe has read enough.
            return Ok(());
        }
        before = now;
    }
}

/// One reading of `/debug`.
struct Reading {
    at: Instant,
    value: Value,
}

fn address(arguments: &Top) -> Result<SocketAddr> {
    if let Some(address) = arguments.private {
        return Ok(address);
    }
    let config = Config::load(arguments.config.as_deref(), std::env::vars());
    config.map(|config| config.http.private).map_err(|problems| anyhow::anyhow!("{}", problems[0]))
}

fn fetch(server: SocketAddr) -> Result<Reading> {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /debug HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = ask().with_context(|| {
        format!("no Sluice answers at {server} (http.private); is it running, and with these settings?")
    })?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer is not HTTP")?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{}", head.lines().next().unwrap_or_default());
    let value = serde_json::from_str(body).context("the answer is not what this version of sluice reads")?;
    Ok(Reading { at: Instant::now(), value })
}

/// Rows and columns of the terminal, asked each time as windows change.
fn terminal() -> (usize, usize) {
    let asked = Command::new("stty").args(["-F", "/dev/tty", "size"]).output();
    let said = asked.map(|said| String::from_utf8_lossy(&said.stdout).into_owned()).unwrap_or_default();
    let mut sizes = said.split_whitespace().filter_map(|size| size.parse().ok()).filter(|size| *size > 0);
    let rows = sizes.next().unwrap_or(TERMINAL.0);
    (rows, sizes.next().or_else(columns).unwrap_or(TERMINAL.1))
}

/// As the environment says.
fn columns() -> Option<usize> {
    std::env::var("COLUMNS").ok()?.parse().ok()
}

const EVERY: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);
/// Some hundred bytes a participant, and room for a hundred thousand.
const ANSWER_BYTES_MAX: u64 = 64 * 1_024 * 1_024;
/// Of a terminal that does not say its size.
const TERMINAL: (usize, usize) = (24, 80);
