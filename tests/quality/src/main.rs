//! `scripts/bench quality`: the plans under some seeds, as a table and as one JSON object. Exit status 1 where what is asked does
//! not hold.

use std::process::ExitCode;

use serde_json::{Value, json};

const HELP: &str =
    "usage: quality [--foreign | --profiles | --base-load SECONDS] [--quick] [--json FILE] [--seeds N,...]";

fn main() -> ExitCode {
    let (mut quick, mut part, mut file, mut seeds, mut seconds) = (false, None, None, None, None);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--quick" => quick = true,
            "--foreign" | "--profiles" => part = Some(word),
            "--base-load" => seconds = words.next(),
            "--json" => file = words.next(),
            "--seeds" => seeds = words.next(),
            "--help" => {
                println!("{HELP}");
                return ExitCode::SUCCESS;
            }
            _ => {
                eprintln!("{HELP}");
                return ExitCode::from(2);
            }
        }
    }
    if let Some(seconds) = seconds {
        let Ok(seconds) = seconds.parse() else {
            eprintln!("{HELP}");
            return ExitCode::from(2);
        };
        let mut world = quality::base_load::settled(1);
        // Whoever counts instructions need not count those from here back: it starts to, and says so by a line.
        println!("settled");
        if let Err(error) = std::io::stdin().read_line(&mut String::new()) {
            eprintln!("error: standard input: {error}");
            return ExitCode::FAILURE;
        }
        let rate = quality::base_load::run(&mut world, seconds);
        println!("{rate:.0} packets a second forwarded to 60 endpoints");
        return ExitCode::SUCCESS;
    }
    let default = if quick { "1" } else { "1,2,3" };
    let seeds =
        seeds.as_deref().unwrap_or(default).split(',').map(str::parse).collect::<Result<Vec<u64>, _>>();
    let Ok(seeds) = seeds else {
        eprintln!("{HELP}");
        return ExitCode::from(2);
    };
    let figures = match part.as_deref() {
        Some("--foreign") => json!({ "foreign": quality::foreign::all(&seeds), "seeds": seeds }),
        Some(_) => json!({ "profiles": quality::profiles::all(&seeds), "seeds": seeds }),
        None => quality::figures::all(&seeds, quick),
    };
    table("", &figures);
    if let Some(file) = file
        && let Err(error) = std::fs::write(&file, format!("{figures:#}\n"))
    {
        eprintln!("error: {file}: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::from(u8::from(any_breach(&figures)))
}

/// Whether what is asked does not hold somewhere: a list by the name of `breaches` that has a line.
fn any_breach(value: &Value) -> bool {
    let breach = |name: &str, value: &Value| match value {
        Value::Array(lines) if name == "breaches" => !lines.is_empty(),
        other => any_breach(other),
    };
    match value {
        Value::Object(fields) => fields.iter().any(|(name, value)| breach(name, value)),
        Value::Array(rows) => rows.iter().any(any_breach),
        _ => false,
    }
}

/// A line for each figure, the places where they stand as its name.
fn table(name: &str, value: &Value) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                table(&format!("{name}{}{field}", if name.is_empty() { "" } else { "." }), value);
            }
        }
        Value::Array(rows) if rows.iter().any(Value::is_object) => {
            for row in rows.iter().filter_map(Value::as_object) {
                let cells: Vec<String> =
                    row.iter().map(|(field, value)| format!("{field} {value}")).collect();
                println!("{name}: {}", cells.join(", "));
            }
        }
        Value::Number(number) if number.is_f64() => {
            println!("{name:<48} {:>10.2}", number.as_f64().unwrap_or(0.0))
        }
        other => println!("{name:<48} {other:>10}"),
    }
}
