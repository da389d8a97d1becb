//! A directory with a configuration, and the program run in it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest wait for anything. Reached only when something is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Doors on ports that the system chooses, and no questions to the DNS.
pub(crate) const LISTEN: &str = "\
checks { iprev enabled=#false; helo enabled=#false; sender enabled=#false; arc enabled=#false; spf enabled=#false; dkim enabled=#false; dmarc enabled=#false; }
smtp { listen \"127.0.0.1:0\"; }
submission { listen \"127.0.0.1:0\"; }
imap { listen \"127.0.0.1:0\"; insecure-auth #true; failure-delay \"0s\"; }
";

pub(crate) struct House {
    dir: TempDir,
}

/// What one run of the program came to.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    /// The output of a run that went well and complained of nothing.
    pub(crate) fn ok(self) -> String {
        assert_eq!((self.status, self.err.as_str()), (0, ""), "{}", self.out);
        self.out
    }

    /// The complaint of a run that printed nothing.
    pub(crate) fn fails(self, status: i32) -> String {
        assert_eq!((self.status, self.out.as_str()), (status, ""), "{}", self.err);
        self.err
    }
}

/// Tests may be run by root, which must be said.
fn user() -> &'static str {
    if nix::unistd::geteuid().is_root() { "; user \"root\"" } else { "" }
}

impl House {
    /// A house with the smallest configuration.
    pub(crate) fn new() -> Self {
        let house = Self { dir: tempfile::tempdir().unwrap() };
        house.configure(LISTEN);
        house
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("maddy.conf")
    }

    /// Writes the configuration: the smallest, and more nodes.
    pub(crate) fn configure(&self, more: &str) {
        let text = format!(
            "hostname mx.example.org\ndomains example.org\ntls {{ self-signed; }}\nstate-dir state\nstop-timeout \"5s\"{}\n{more}",
            user()
        );
        std::fs::write(self.config(), text.replace("state-dir state", "state-dir \"state\"")).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maddy"));
        command.env_clear().env("MADDY_CONFIG", self.config()).current_dir(self.dir.path()).args(args);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Done {
        self.run_with(args, b"")
    }

    /// Runs the program with this on standard input.
    pub(crate) fn run_with(&self, args: &[&str], input: &[u8]) -> Done {
        let mut command = self.command(args);
        let child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut child = Running { child };
        let mut stdin = child.child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || {
            // A program that fails early does not read.
            let _ = stdin.write_all(&input);
        });
        let (mut out, mut err) = (String::new(), String::new());
        let mut stderr = child.child.stderr.take().unwrap();
        let errors = std::thread::spawn(move || {
            stderr.read_to_string(&mut err).unwrap();
            err
        });
        child.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        let err = errors.join().unwrap();
        writer.join().unwrap();
        Done { status: child.wait(), out, err: err.replace(&format!("{}/", self.dir.path().display()), "") }
    }

    /// Starts `maddy run` and waits until it is ready.
    pub(crate) fn daemon(&self) -> Daemon {
        let mut daemon = Daemon::start(self.command(&["run"]));
        daemon.wait_log("ready");
        daemon
    }

    /// Starts the program and leaves it running.
    pub(crate) fn start(&self, args: &[&str]) -> Daemon {
        Daemon::start(self.command(args))
    }

    /// The same, but nobody reads its log; the pipe stays open.
    pub(crate) fn start_unread(&self, args: &[&str]) -> Daemon {
        let mut command = self.command(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let running = Running { child: command.spawn().unwrap() };
        Daemon { running, log: mpsc::channel().1, seen: Vec::new() }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// A process that is ended when the test ends.
struct Running {
    child: Child,
}

impl Running {
    fn wait(&mut self) -> i32 {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(begun.elapsed() < PATIENCE, "the program does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program that goes on, with its log.
pub(crate) struct Daemon {
    running: Running,
    log: mpsc::Receiver<String>,
    seen: Vec<String>,
}

impl Daemon {
    fn start(mut command: Command) -> Self {
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut running = Running { child };
        let log = lines(running.child.stderr.take().unwrap());
        Self { running, log, seen: Vec::new() }
    }

    /// The first line on standard output.
    pub(crate) fn first_line(&mut self) -> String {
        let mut line = String::new();
        let mut out = BufReader::new(self.running.child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "nothing was printed: {:?}", self.rest());
        line
    }

    /// Standard output up to the line with these words.
    pub(crate) fn output_until(&mut self, words: &str) -> String {
        let mut out = BufReader::new(self.running.child.stdout.take().unwrap());
        let mut text = String::new();
        while !text.contains(words) {
            assert!(out.read_line(&mut text).unwrap() > 0, "the output ends after {text}");
        }
        text
    }

    /// Waits for a line of the log with these words in it.
    pub(crate) fn wait_log(&mut self, words: &str) -> String {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            match self.log.recv_timeout(Duration::from_millis(200)) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(words) {
                        return line;
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
        panic!("no line with {words:?} in the log:\n{}", self.seen.join("\n"));
    }

    /// The newest line so far with these words.
    pub(crate) fn seen(&self, words: &str) -> String {
        let found = self.seen.iter().rev().find(|line| line.contains(words));
        found.unwrap_or_else(|| panic!("no {words} in\n{}", self.seen.join("\n"))).clone()
    }

    /// The port of a door, from the log so far.
    pub(crate) fn port(&self, door: &str) -> u16 {
        let wanted = format!("listening door=\"{door}\"");
        let line = self.seen(&wanted);
        let address = line.split("address=").nth(1).unwrap().split_whitespace().next().unwrap();
        address.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// Waits until a port answers.
    pub(crate) fn wait_port(&self, port: u16) {
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < PATIENCE, "port {port} does not answer");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.running.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Asks it to stop, and gives the exit status.
    pub(crate) fn stop(&mut self) -> i32 {
        self.signal("TERM");
        self.running.wait()
    }

    pub(crate) fn wait(&mut self) -> i32 {
        self.running.wait()
    }

    fn rest(&mut self) -> Vec<String> {
        self.seen.extend(self.log.iter());
        self.seen.clone()
    }

    /// Everything that it has logged, once it has ended.
    pub(crate) fn log(&mut self) -> String {
        self.rest().join("\n")
    }
}

fn lines(stderr: ChildStderr) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A base for the demo's ports of which all five are free, and a listener on one of them to show what happens then.
pub(crate) fn port_base() -> u16 {
    for _ in 0..100 {
        let any = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let base = any.saturating_sub(25).clamp(2000, 64_000);
        let ports = [25, 587, 465, 143, 993].map(|port| TcpListener::bind(("127.0.0.1", base + port)));
        if ports.iter().all(Result::is_ok) {
            return base;
        }
    }
    panic!("no five free ports");
}
