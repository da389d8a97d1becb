//! Programs of others, run and heard.

use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a program may run. Most need a few seconds, lintian a quarter of a minute of an idle machine.
const PATIENCE: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_millis(20);

/// What a program said, and how it ended.
pub(crate) struct Heard {
    pub(crate) status: ExitStatus,
    /// Standard output, then standard error.
    pub(crate) text: String,
    called: String,
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nended with {} and said:\n{}", self.called, self.status, self.text)
    }
}

impl Heard {
    /// The program must have succeeded.
    #[track_caller]
    pub(crate) fn fine(self) -> Self {
        assert!(self.status.success(), "{self}");
        self
    }

    /// It must have ended with this status.
    #[track_caller]
    pub(crate) fn status(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{self}");
        self
    }

    /// It must have said this.
    #[track_caller]
    pub(crate) fn says(self, what: &str) -> Self {
        assert!(self.text.contains(what), "wanted {what:?}\n{self}");
        self
    }
}

/// Where a program is; also where only root looks.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    places.map(|place| place.join(name)).find(|file| file.is_file())
}

/// Whether the program is there. If not, the test is noted as skipped, and should return.
pub(crate) fn is_missing(test: &str, name: &str) -> bool {
    let missing = find(name).is_none();
    if missing {
        skip(test, &format!("{name} is not installed (tests/install does it)"));
    }
    missing
}

/// Notes that a test cannot be run here.
pub(crate) fn skip(test: &str, reason: &str) {
    eprintln!("skipped: {test}: {reason}");
    if let Some(list) = std::env::var_os("MADDY_TESTS_SKIPPED") {
        let mut list = File::options().append(true).create(true).open(list).unwrap();
        writeln!(list, "{test}: {reason}").unwrap();
    }
}

/// Runs a program to its end in the directory `dir`.
#[track_caller]
pub(crate) fn run(dir: &Path, name: &str, arguments: &[&str]) -> Heard {
    let program = find(name).unwrap_or_else(|| panic!("{name} is not installed"));
    // Into a file, so that a program that says much never waits for us.
    let mut said = tempfile::tempfile_in(dir).unwrap();
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .env("HOME", dir)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(said.try_clone().unwrap())
        .stderr(said.try_clone().unwrap())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            let _ = child.kill();
            break child.wait().unwrap();
        }
        std::thread::sleep(PAUSE);
    };
    let mut text = Vec::new();
    said.rewind().unwrap();
    said.read_to_end(&mut text).unwrap();
    let called = format!("{name} {}", arguments.join(" "));
    Heard { status, text: String::from_utf8_lossy(&text).into_owned(), called }
}
