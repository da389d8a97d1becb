//! The real program, running.

use crate::chat::Chat;
use crate::glob::is_like;
use crate::imap::Imap;
use crate::ports::Ports;
use crate::setup::{PASSWORD, Setup};
use crate::smtp::Smtp;
use crate::wait::{PATIENCE, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

/// A daemon with its scene; it ends with this value.
pub struct Daemon {
    pub setup: Setup,
    child: Option<Child>,
}

/// What a command said.
#[derive(Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Of a program that has ended.
    pub fn of(output: std::process::Output) -> Self {
        Self {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The standard output of a command that must have succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.status.success(), "the command failed: {self:?}");
        self.stdout
    }

    /// The standard error of a command that must have failed.
    #[track_caller]
    pub fn fails(self) -> String {
        assert!(!self.status.success(), "the command succeeded: {self:?}");
        self.stderr
    }
}

/// The program: `MADDY_BIN`, or the one that cargo built beside this test.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("MADDY_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().unwrap();
    // target/debug/deps/story-0123 → target/debug/maddy; target/release/load → target/release/maddy
    let folder = match test.parent() {
        Some(folder) if folder.ends_with("deps") => folder.parent(),
        folder => folder,
    };
    let path = folder.unwrap_or(Path::new("")).join("maddy");
    assert!(path.exists(), "{} is missing: run `cargo build -p maddy` first", path.display());
    path
}

impl Daemon {
    pub(crate) fn start_scene(setup: Setup) -> Self {
        setup.write_config();
        let mut daemon = Self { setup, child: None };
        for name in daemon.setup.accounts().to_vec() {
            daemon.cli_with(&["account", "add", &name], &format!("{PASSWORD}\n")).ok();
        }
        daemon.start();
        daemon
    }

    pub fn ports(&self) -> Ports {
        self.setup.ports()
    }

    /// Starts the program and waits until all its ports answer.
    pub fn start(&mut self) {
        self.spawn();
        let Ports { smtp, submission, submissions, imap, imaps, .. } = self.ports();
        for port in [smtp, submission, submissions, imap, imaps] {
            eventually(&format!("port {port} answers"), || {
                if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().unwrap()) {
                    panic!("the daemon ended with {status} at its start");
                }
                TcpStream::connect(("127.0.0.1", port)).ok()
            });
        }
    }

    /// Starts the program, which must end by itself; what it said on its way.
    pub fn start_fails(&self) -> String {
        let mut command = Command::new(binary());
        command.arg("--config").arg(self.setup.config_file()).arg("run");
        let mut child =
            command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let status = eventually("the daemon ends by itself", || child.try_wait().unwrap());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(!status.success(), "the daemon ended well: {said}");
        said
    }

    /// Starts the program without waiting for it.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "the daemon runs already");
        let log = File::options().create(true).append(true).open(self.log_file()).unwrap();
        let mut command = match self.setup.files_limit() {
            None => Command::new(binary()),
            Some(octets) => {
                // The shell counts in blocks of 1024 octets here (bash) and hands the limit down.
                let mut shell = Command::new("bash");
                shell.arg("-c").arg(format!("ulimit -f {}; trap '' XFSZ; exec \"$0\" \"$@\"", octets / 1024));
                shell.arg(binary());
                shell
            }
        };
        command.arg("--config").arg(self.setup.config_file()).arg("run");
        command.envs(self.setup.variables().iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().expect("the program starts"));
    }

    /// Ends it as an operator does, and waits for its end; the status must be good.
    pub fn stop(&mut self) {
        let status = self.end_with(Signal::SIGTERM);
        assert!(status.success(), "the daemon ended with {status}");
    }

    /// Ends it as a power cut would, but for the system's own memory: kill -9.
    pub fn kill(&mut self) {
        self.end_with(Signal::SIGKILL);
    }

    /// Ends it with a signal and waits for its end.
    pub fn end_with(&mut self, signal: Signal) -> ExitStatus {
        let mut child = self.child.take().expect("the daemon runs");
        kill(pid_of(&child), signal).unwrap();
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let _ = child.kill();
        let _ = child.wait();
        panic!("the daemon did not end after {signal}");
    }

    /// Whether it ended by itself; then it can be started again.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut().expect("the daemon was started").try_wait().unwrap()?;
        self.child = None;
        Some(status)
    }

    /// Whether it is there and has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("the daemon runs").id()
    }

    /// The most memory that the daemon has held so far, in octets.
    pub fn peak_memory(&self) -> u64 {
        let pid = self.id();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells VmHWM");
        1024 * line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    }

    /// The memory that the daemon holds now, in octets.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells VmRSS");
        1024 * line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    }

    /// Files and sockets that the daemon holds open.
    pub fn handles(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.id())).unwrap().count()
    }

    /// SIGHUP.
    pub fn hang_up(&self) {
        kill(pid_of(self.child.as_ref().expect("the daemon runs")), Signal::SIGHUP).unwrap();
    }

    /// Writes the present configuration of the scene to its file.
    pub fn write_config(&self) {
        self.setup.write_config();
    }

    /// Runs the program as a command beside the daemon.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        self.cli_with(arguments, "")
    }

    /// The same with something on its standard input.
    pub fn cli_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = Command::new(binary())
            .arg("--config")
            .arg(self.setup.config_file())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that wants no input may be gone by now.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Output::of(child.wait_with_output().unwrap())
    }

    /// A stranger's conversation, after EHLO.
    pub fn smtp(&self) -> Smtp {
        Smtp::begin(Chat::connect(self.ports().smtp))
    }

    /// A conversation of one of our senders, logged in, in clear.
    pub fn submit(&self, account: &str) -> Smtp {
        let mut smtp = Smtp::begin(Chat::connect(self.ports().submission));
        smtp.log_in(account, PASSWORD);
        smtp
    }

    /// A reader's conversation, logged in, in clear.
    pub fn imap(&self, account: &str) -> Imap {
        let mut imap = Imap::begin(Chat::connect(self.ports().imap));
        imap.log_in(account, PASSWORD);
        imap
    }

    fn log_file(&self) -> PathBuf {
        self.setup.dir().join("maddy.log")
    }

    /// What the daemon has logged so far.
    pub fn log(&self) -> String {
        fs::read(self.log_file()).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    /// Waits until a line of the log is like the pattern.
    pub fn wait_log(&self, pattern: &str) -> String {
        eventually(&format!("a line of the log like {pattern}"), || {
            self.log().lines().find(|line| is_like(line, pattern)).map(str::to_owned)
        })
    }
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a process id"))
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("---- configuration\n{}", self.setup.config_text());
            eprintln!("---- log\n{}", self.log());
            return;
        }
        // Whatever the story is about: the daemon never panics, and calls nothing an error that is none.
        let are_expected = self.setup.are_errors_expected();
        let is_bad =
            |line: &&str| line.contains("panicked at") || (line.contains(" ERROR ") && !are_expected);
        if let Some(line) = self.log().lines().find(is_bad) {
            panic!("the log has a line that it should not have: {line}");
        }
    }
}
