//! The parts of a host that settings are read from and written to: files below `/proc/sys`, `/proc` and `/sys`, and `ethtool`.

use std::io;
use std::path::Path;
use std::process::Command;

/// A host, or what a test puts in its place.
pub trait System {
    /// The text of a file.
    ///
    /// # Errors
    /// As the file system says.
    fn read(&self, path: &str) -> io::Result<String>;

    /// Puts `text` into a file that exists.
    ///
    /// # Errors
    /// As the file system or the kernel behind the file says.
    fn write(&mut self, path: &str, text: &str) -> io::Result<()>;

    /// Names of the entries of a folder, sorted; none if it is not there.
    fn list(&self, path: &str) -> Vec<String>;

    /// What `ethtool` prints when called with these arguments.
    ///
    /// # Errors
    /// Not found: it is not installed. Other: it failed, with what it said.
    fn ethtool(&self, arguments: &[&str]) -> io::Result<String>;
}

/// This host.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThisHost;

impl System for ThisHost {
    fn read(&self, path: &str) -> io::Result<String> {
        std::fs::read_to_string(path)
    }

    fn write(&mut self, path: &str, text: &str) -> io::Result<()> {
        // Never made: a setting that the kernel does not have stays one that it does not have.
        use std::io::Write;
        std::fs::OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
    }

    fn list(&self, path: &str) -> Vec<String> {
        let entries = std::fs::read_dir(Path::new(path)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    fn ethtool(&self, arguments: &[&str]) -> io::Result<String> {
        let found = ["/usr/sbin/ethtool", "/sbin/ethtool", "/usr/bin/ethtool"]
            .into_iter()
            .find(|path| Path::new(path).exists())
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "ethtool is not installed"))?;
        let output = Command::new(found).args(arguments).env("LC_ALL", "C").output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(io::Error::other(said.trim().lines().last().unwrap_or("ethtool failed").to_owned()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
