//! `sluice user`: the local accounts, in one file that the server reads again when it changes.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{BufRead, ErrorKind, IsTerminal, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use xmpp::accounts::{Accounts, Secrets, prepare_name};

use crate::check_config;
use crate::command_line::{EXIT_CONFIG, User};
use crate::config::Config;

/// Does what was asked.
pub(crate) fn user(command: &User) -> ExitCode {
    let arguments = command.arguments();
    let config = match Config::load(arguments.config.as_deref(), std::env::vars()) {
        Ok(config) => config,
        Err(problems) => {
            check_config::report(&problems);
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let file = UsersFile::new(arguments.file.clone().unwrap_or(config.auth.users_file));
    let domain = &config.xmpp.domain;
    let done = match command {
        User::Add { name, .. } => add(&file, name, domain),
        User::Passwd { name, .. } => passwd(&file, name, domain),
        User::Remove { name, .. } => remove(&file, name, domain),
        User::List { json, .. } => list(&file, *json),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn add(file: &UsersFile, name: &str, domain: &str) -> Result<()> {
    let name = prepare_name(name)?;
    ensure!(!file.read()?.contains(&name), "{name} has an account already; change its password with passwd");
    let secrets = new_secrets(&name)?;
    file.change(|accounts| {
        ensure!(!accounts.contains(&name), "{name} has an account already");
        accounts.put(name.clone(), secrets);
        Ok(())
    })?;
    println!("{name}@{domain} can sign in now.");
    Ok(())
}

fn passwd(file: &UsersFile, name: &str, domain: &str) -> Result<()> {
    let name = prepare_name(name)?;
    ensure!(file.read()?.contains(&name), "there is no account {name} in {}", file.path.display());
    let secrets = new_secrets(&name)?;
    file.change(|accounts| {
        ensure!(accounts.contains(&name), "there is no account {name}");
        accounts.put(name.clone(), secrets);
        Ok(())
    })?;
    println!("{name}@{domain} has a new password.");
    Ok(())
}

fn remove(file: &UsersFile, name: &str, domain: &str) -> Result<()> {
    let name = prepare_name(name)?;
    file.change(|accounts| {
        ensure!(accounts.remove(&name), "there is no account {name} in {}", file.path.display());
        Ok(())
    })?;
    println!("{name}@{domain} can no longer sign in. Who is signed in stays until it leaves.");
    Ok(())
}

fn list(file: &UsersFile, json: bool) -> Result<()> {
    let accounts = file.read()?;
    let names: Vec<&str> = accounts.names().collect();
    if json {
        println!("{}", serde_json::json!({ "accounts": names }));
    } else {
        names.iter().for_each(|name| println!("{name}"));
    }
    Ok(())
}

/// The file of the accounts.
pub(crate) struct UsersFile {
    path: PathBuf,
}

impl UsersFile {
    pub(crate) fn new(path: PathBuf) -> UsersFile {
        UsersFile { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The accounts; none if there is no file. `secret` as in [`Accounts::new`].
    pub(crate) fn read_with(&self, secret: [u8; 32]) -> Result<Accounts> {
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Accounts::new(secret)),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", self.path.display())),
        };
        Accounts::parse(&text, secret).with_context(|| format!("{}", self.path.display()))
    }

    /// What tells one state of the file from the next; `None` if there is none.
    pub(crate) fn state(&self) -> Option<(u64, i64, i64, u64)> {
        let metadata = std::fs::metadata(&self.path).ok()?;
        Some((metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.len()))
    }

    /// Whether others than its owner may read it.
    pub(crate) fn is_open_to_others(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|metadata| metadata.mode() & 0o077 != 0)
    }

    fn read(&self) -> Result<Accounts> {
        self.read_with([0; 32])
    }

    /// Changes the accounts as one step for everybody who reads or changes them.
    fn change(&self, change: impl FnOnce(&mut Accounts) -> Result<()>) -> Result<()> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).to_owned();
        let cannot = || format!("cannot write in {}", folder.display());
        std::fs::create_dir_all(&folder).with_context(cannot)?;
        let lock = private(&self.beside(".lock")).with_context(cannot)?;
        lock.lock().with_context(cannot)?;
        let mut accounts = self.read()?;
        change(&mut accounts)?;

        let fresh = self.beside(".new");
        let mut file = private(&fresh).with_context(cannot)?;
        file.set_len(0).with_context(cannot)?;
        file.write_all(accounts.to_text().as_bytes()).with_context(cannot)?;
        // What root writes, the server must be able to read.
        let owner = std::fs::metadata(&folder).with_context(cannot)?;
        if nix::unistd::geteuid().is_root() {
            chown(&fresh, Some(owner.uid()), Some(owner.gid())).with_context(cannot)?;
        }
        file.sync_all().with_context(cannot)?;
        std::fs::rename(&fresh, &self.path).with_context(cannot)?;
        File::open(&folder).and_then(|folder| folder.sync_all()).with_context(cannot)
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    }
}

/// A file that nobody else can read, made if it is not there.
fn private(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(PRIVATE).open(path)?;
    file.set_permissions(Permissions::from_mode(PRIVATE))?;
    Ok(file)
}

/// Asks for a password and makes what is kept of it.
fn new_secrets(name: &str) -> Result<Secrets> {
    let password = read_password(name)?;
    let mut salts = [[0; xmpp::accounts::SALT_BYTES]; 2];
    for salt in &mut salts {
        getrandom::fill(salt).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    }
    Ok(Secrets::of(&password, salts)?)
}

/// From the terminal, twice and unseen, or the first line of standard input. Never from the command line, which everybody on
/// the machine can read.
fn read_password(name: &str) -> Result<String> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        let mut line = String::new();
        stdin.lock().read_line(&mut line).context("cannot read the password from standard input")?;
        return Ok(line.trim_end_matches(['\n', '\r']).to_owned());
    }
    let first = ask(&format!("Password for {name}: "))?;
    let second = ask("Again: ")?;
    if first != second {
        bail!("the two passwords differ; nothing was changed");
    }
    Ok(first)
}

/// One line from the terminal, which does not show it.
fn ask(question: &str) -> Result<String> {
    let stdin = std::io::stdin();
    eprint!("{question}");
    let before = tcgetattr(&stdin).context("cannot hide what is typed")?;
    let mut hidden = before.clone();
    hidden.local_flags.remove(LocalFlags::ECHO);
    hidden.local_flags.insert(LocalFlags::ECHONL);
    tcsetattr(&stdin, SetArg::TCSAFLUSH, &hidden).context("cannot hide what is typed")?;
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    tcsetattr(&stdin, SetArg::TCSAFLUSH, &before).context("cannot show again what is typed")?;
    read.context("cannot read the password")?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// Mode of the file: its owner only.
const PRIVATE: u32 = 0o600;

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> UsersFile {
        let folder = std::env::temp_dir().join(format!("sluice-users-{}", std::process::id()));
        let mut number = [0; 8];
        getrandom::fill(&mut number).unwrap();
        UsersFile::new(folder.join(u64::from_be_bytes(number).to_string()).join("users"))
    }

    fn put(file: &UsersFile, name: &str) {
        let secrets = Secrets::of("pencil", [[1; 16], [2; 16]]).unwrap();
        let put = |accounts: &mut Accounts| {
            accounts.put(name.to_owned(), secrets);
            Ok(())
        };
        file.change(put).unwrap();
    }

    #[test]
    fn the_file_is_made_private_and_changes_as_a_whole() {
        let file = file();
        assert_eq!(file.read().unwrap().names().count(), 0, "no file, no accounts");
        put(&file, "ann");
        let first = file.state().unwrap();
        put(&file, "bob");
        assert_ne!(file.state().unwrap(), first);
        assert!(!file.is_open_to_others());
        assert_eq!(file.read().unwrap().names().collect::<Vec<_>>(), ["ann", "bob"]);
        assert!(file.read().unwrap().verify("ann", "pencil"));
        assert!(!file.beside(".new").exists());

        std::fs::set_permissions(&file.path, Permissions::from_mode(0o644)).unwrap();
        assert!(file.is_open_to_others());
        put(&file, "cid");
        assert!(!file.is_open_to_others(), "made private again");
        std::fs::remove_dir_all(file.path.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_change_that_fails_changes_nothing_and_a_broken_file_is_not_overwritten() {
        let file = file();
        put(&file, "ann");
        assert!(remove(&file, "bob", "meet.sluice").is_err());
        assert_eq!(file.read().unwrap().names().collect::<Vec<_>>(), ["ann"]);
        std::fs::write(&file.path, "nonsense\n").unwrap();
        let error = format!("{:#}", remove(&file, "ann", "meet.sluice").unwrap_err());
        assert!(error.contains("line 1"), "{error}");
        assert_eq!(std::fs::read_to_string(&file.path).unwrap(), "nonsense\n");
        std::fs::remove_dir_all(file.path.parent().unwrap()).unwrap();
    }
}
