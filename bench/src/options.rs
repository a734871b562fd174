//! What all tools are told, and how they end.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use crate::rounds::Effort;

/// Batch shapes, length of the run, and where the figures go.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Packets that arrive together, of one stream
    #[arg(long, value_delimiter = ',', default_value = "1,8", value_name = "B,…")]
    pub batch: Vec<usize>,
    /// Receivers of each packet
    #[arg(long, value_delimiter = ',', default_value = "10,50", value_name = "N,…")]
    pub receivers: Vec<usize>,
    /// Bytes of each datagram sent, authentication tag included
    #[arg(long, default_value_t = 1_216, value_parser = clap::value_parser!(u16).range(100..=1_400))]
    pub bytes: u16,
    /// How long, and where to
    #[command(flatten)]
    pub run: Run,
}

/// Length of the run, and where the figures go.
#[derive(Args, Clone, Debug)]
pub struct Run {
    /// Three short rounds: to see that it runs, not to be quoted
    #[arg(long)]
    pub quick: bool,
    /// Write the figures to this file as well
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl Run {
    /// How long to measure.
    pub fn effort(&self) -> Effort {
        if self.quick { Effort::QUICK } else { Effort::FULL }
    }

    /// Write the figures, if they are to be written.
    pub fn write(&self, figures: &Value) -> Result<(), String> {
        let Some(path) = &self.json else { return Ok(()) };
        std::fs::write(path, format!("{figures:#}\n")).map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// The status of a tool, after its complaint if it has one.
pub fn finish(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Options {
    /// The shapes, in the order of the table; those that no loop here can take are refused with a reason.
    pub fn shapes(&self) -> Result<Vec<Shape>, String> {
        let mut shapes = Vec::new();
        for &receivers in &self.receivers {
            for &batch in &self.batch {
                if !(1..=BATCH_MAX).contains(&batch) {
                    return Err(format!(
                        "a batch of {batch}: between 1 and {BATCH_MAX} are one send at the most"
                    ));
                }
                if !(1..=RECEIVERS_MAX).contains(&receivers) {
                    return Err(format!("{receivers} receivers: between 1 and {RECEIVERS_MAX}"));
                }
                shapes.push(Shape { batch, receivers, bytes: usize::from(self.bytes) });
            }
        }
        Ok(shapes)
    }
}

/// A batch shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Packets that arrive together.
    pub batch: usize,
    /// Receivers of each.
    pub receivers: usize,
    /// Bytes of each datagram sent, tag included.
    pub bytes: usize,
}

impl Shape {
    /// Datagrams that one batch makes.
    pub fn sent(self) -> u64 {
        (self.batch * self.receivers) as u64
    }
}

/// 32 datagrams of 1,400 B fit one message of 65,507 B.
pub const BATCH_MAX: usize = 32;
/// What a conference of the product takes with room to spare, and open files allow.
const RECEIVERS_MAX: usize = 200;
