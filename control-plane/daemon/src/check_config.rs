//! `sluice check-config`.

use std::process::ExitCode;

use crate::command_line::{CheckConfig, EXIT_CONFIG};
use crate::config::{Config, Problem, REFERENCE};

/// Checks and prints.
pub(crate) fn check(arguments: &CheckConfig) -> ExitCode {
    if arguments.print_reference {
        print!("{REFERENCE}");
        return ExitCode::SUCCESS;
    }

    let problems = Config::load(arguments.config.as_deref(), std::env::vars()).err().unwrap_or_default();
    if arguments.json {
        println!("{}", serde_json::json!({ "valid": problems.is_empty(), "problems": problems }));
    } else if problems.is_empty() {
        println!("The settings are valid.");
    } else {
        report(&problems);
    }
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_CONFIG) }
}

/// One line a problem, to standard error.
pub(crate) fn report(problems: &[Problem]) {
    for problem in problems {
        eprintln!("error: {problem}");
    }
    eprintln!("All keys with their defaults: sluice check-config --print-reference");
}
