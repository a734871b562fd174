//! What a user types.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// A whole video conference server in one process: web page, signalling, media.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, about, propagate_version = true)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server in the foreground.
    Serve(Serve),
    /// Check settings without starting anything. Exit status 0: valid; 78: not.
    CheckConfig(CheckConfig),
    /// Say what stands between this server and a meeting that works: cause and fix, a line each. Exit status 0: no fault; 1: one.
    Doctor(Doctor),
    /// The local accounts, for `auth.mode = "accounts"`. A running server notices changes by itself.
    #[command(subcommand)]
    User(User),
    /// Show rooms, people, paths, loss and load of the running server: every second on a terminal, one page otherwise.
    Top(Top),
    /// The settings of the host that media depends on.
    #[command(subcommand)]
    Tune(Tune),
}

/// What `tune` does.
#[derive(Debug, Subcommand)]
pub(crate) enum Tune {
    /// Say what is off, why it matters and how to mend it; changes nothing. Exit status 0: nothing that matters; 1: something.
    Check(TuneCheck),
    /// Set what is off, noting each value before it is changed; what fails takes all of it back. Needs root.
    Apply(TuneApply),
    /// Put back what `apply` changed, as far as nobody else changed it since. Needs root.
    Revert(TuneChange),
}

/// What `user` does. Passwords are asked for on the terminal, or read as the first line of standard input.
#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Add an account.
    Add {
        /// Its name, without the domain.
        name: String,
        #[command(flatten)]
        arguments: UserArguments,
    },
    /// Change the password of an account.
    Passwd {
        /// Its name, without the domain.
        name: String,
        #[command(flatten)]
        arguments: UserArguments,
    },
    /// Remove an account.
    Remove {
        /// Its name, without the domain.
        name: String,
        #[command(flatten)]
        arguments: UserArguments,
    },
    /// Print the names of all accounts.
    List {
        /// Print them as one JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        arguments: UserArguments,
    },
}

impl User {
    /// What all of them take.
    pub(crate) fn arguments(&self) -> &UserArguments {
        match self {
            User::Add { arguments, .. }
            | User::Passwd { arguments, .. }
            | User::Remove { arguments, .. }
            | User::List { arguments, .. } => arguments,
        }
    }
}

/// Arguments of every `user`.
#[derive(Args, Debug)]
pub(crate) struct UserArguments {
    /// Settings file (TOML); `auth.users_file` in it says where the accounts are.
    #[arg(long, value_name = "FILE", env = "SLUICE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// File of the accounts, in place of the one in the settings.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

/// Arguments of `serve`.
#[derive(Args, Debug)]
pub(crate) struct Serve {
    /// Settings file (TOML). Without it, the embedded defaults.
    #[arg(long, value_name = "FILE", env = "SLUICE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// What this process is.
    #[arg(long, value_enum, default_value_t = Role::Appliance)]
    pub(crate) role: Role,
    /// Print the start-up report as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `top`.
#[derive(Args, Debug)]
pub(crate) struct Top {
    /// Address of the private pages, such as 127.0.0.1:8888. Without it, the one in the settings.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) private: Option<std::net::SocketAddr>,
    /// Settings file of the server.
    #[arg(long, value_name = "FILE", env = "SLUICE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Print one reading as a JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What the process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// The whole server.
    Appliance,
    /// A bridge for a focus elsewhere.
    Bridge,
}

/// Arguments of `check-config`.
#[derive(Args, Debug)]
pub(crate) struct CheckConfig {
    /// Settings file (TOML). Without it, defaults and environment are checked.
    #[arg(long, value_name = "FILE", env = "SLUICE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Print every key with its default and reason, and exit.
    #[arg(long)]
    pub(crate) print_reference: bool,
    /// Print the result as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `doctor`.
#[derive(Args, Debug)]
pub(crate) struct Doctor {
    /// Settings file (TOML) of the server. Without it, the one of the service if there is one, or the embedded defaults.
    #[arg(long, value_name = "FILE", env = "SLUICE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Print the findings as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `tune check`.
#[derive(Args, Debug)]
pub(crate) struct TuneCheck {
    #[command(flatten)]
    pub(crate) host: TuneHost,
    /// Print the findings as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `tune apply`.
#[derive(Args, Debug)]
pub(crate) struct TuneApply {
    #[command(flatten)]
    pub(crate) host: TuneHost,
    #[command(flatten)]
    pub(crate) change: TuneChange,
}

/// Arguments of `tune revert`, and of `tune apply` besides the host.
#[derive(Args, Debug)]
pub(crate) struct TuneChange {
    /// Say what would be changed or put back; change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print the outcome as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// File that notes what was changed.
    #[arg(long, value_name = "FILE", default_value = crate::tune::CHANGES)]
    pub(crate) state: PathBuf,
}

/// Which host it is.
#[derive(Args, Debug)]
pub(crate) struct TuneHost {
    /// `dedicated`: a machine for this server alone; `shared`: with other work; `vm`: virtual; `auto`: vm or shared.
    #[arg(long, value_parser = ["auto", "dedicated", "shared", "vm"], default_value = "auto")]
    pub(crate) profile: String,
    /// An interface to look at besides the network cards that are found.
    #[arg(long, value_name = "NAME")]
    pub(crate) interface: Vec<String>,
}

/// `EX_CONFIG` of sysexits: the settings are wrong, starting again is of no use.
pub(crate) const EXIT_CONFIG: u8 = 78;

/// `EX_UNAVAILABLE`: something the program needs is not there, such as a free port.
pub(crate) const EXIT_UNAVAILABLE: u8 = 69;

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }
}
