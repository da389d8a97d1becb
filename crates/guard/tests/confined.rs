//! A process that has confined itself: this test starts itself again, and the second one tries what it must not do.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use guard::{Enforce, Needs, Programs, Sandbox, confine};
use std::io::ErrorKind::PermissionDenied;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names the directory in which the second process plays.
const PLACE: &str = "GUARD_TEST_PLACE";
/// Named by it: programs may run.
const PROGRAMS: &str = "GUARD_TEST_PROGRAMS";

/// Starts this test again, in which `play` does its work; what it must not do would fail it.
fn again(name: &str, programs: bool) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("state");
    std::fs::create_dir(&place).unwrap();
    std::fs::write(dir.path().join("outside"), "secret").unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(PLACE, &place);
    if programs {
        command.env(PROGRAMS, "1");
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (dir, place)
}

fn place() -> Option<PathBuf> {
    std::env::var_os(PLACE).map(PathBuf::from)
}

/// Confines the present thread, as `maddy run` does before it makes others.
fn confined(place: &Path, sandbox: &Sandbox) -> (guard::Layer, guard::Layer) {
    let programs = if std::env::var_os(PROGRAMS).is_some() { Programs::Some } else { Programs::None };
    let needs = Needs {
        read: Vec::new(),
        write: vec![place.to_owned()],
        programs,
        run: Vec::new(),
        is_root: nix::unistd::geteuid().is_root(),
    };
    confine(sandbox, &needs).unwrap()
}

/// A test that cannot be made here says so and passes.
fn skipped(what: &str, layer: &guard::Layer) -> bool {
    if !layer.on {
        println!("skipped: {what} is not to be had here: {}", layer.detail);
    }
    !layer.on
}

#[test]
fn files_outside_can_neither_be_read_nor_written() {
    let Some(place) = place() else {
        let (dir, place) = again("files_outside_can_neither_be_read_nor_written", false);
        assert_eq!(std::fs::read_to_string(dir.path().join("outside")).unwrap(), "secret");
        assert!(!dir.path().join("new").exists());
        assert!(place.exists());
        return;
    };
    let (files, _) = confined(&place, &Sandbox::default());
    if skipped("Landlock", &files) {
        return;
    }
    let outside = place.parent().unwrap().join("outside");
    let denied = |error: std::io::Error| assert_eq!(error.kind(), PermissionDenied, "{error}");
    denied(std::fs::read(&outside).unwrap_err());
    denied(std::fs::write(&outside, "changed").unwrap_err());
    denied(std::fs::write(place.parent().unwrap().join("new"), "x").unwrap_err());
    denied(std::fs::remove_file(&outside).unwrap_err());
    // Not even the names beside the state, or anywhere above it.
    denied(std::fs::read_dir(place.parent().unwrap()).unwrap_err());
    denied(std::fs::read_dir("/").unwrap_err());
    denied(std::fs::rename(&outside, place.join("taken")).unwrap_err());
    if nix::unistd::geteuid().is_root() {
        denied(std::fs::read("/etc/shadow").unwrap_err());
    }
    denied(std::fs::write("/etc/maddy-test", "x").unwrap_err());
    // A thread that is made later is held as well.
    let later = outside.clone();
    denied(std::thread::spawn(move || std::fs::read(later)).join().unwrap().unwrap_err());
    // What a server does all day.
    std::fs::create_dir(place.join("a")).unwrap();
    std::fs::write(place.join("a/1"), "x").unwrap();
    std::fs::rename(place.join("a/1"), place.join("2")).unwrap();
    std::fs::hard_link(place.join("2"), place.join("a/3")).unwrap();
    std::fs::remove_file(place.join("2")).unwrap();
    std::fs::File::options().write(true).open(place.join("a/3")).unwrap().set_len(0).unwrap();
    drop(std::os::unix::net::UnixListener::bind(place.join("socket")).unwrap());
    std::fs::read("/etc/passwd").unwrap();
    assert!(std::thread::available_parallelism().unwrap().get() >= 1);
}

#[test]
fn calls_that_no_mail_server_makes_are_refused() {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    let Some(place) = place() else {
        again("calls_that_no_mail_server_makes_are_refused", false);
        return;
    };
    let (_, calls) = confined(&place, &Sandbox { landlock: Enforce::Off, ..Sandbox::default() });
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    assert!(calls.on || status.contains("Seccomp:\t0"), "it was done by half: {}", calls.detail);
    if skipped("seccomp", &calls) {
        return;
    }
    let filters = status.lines().find_map(|line| line.strip_prefix("Seccomp_filters:\t"));
    assert!(filters.is_none_or(|count| count == "3"), "{status}");
    for line in ["Seccomp:\t2", "NoNewPrivs:\t1"] {
        assert!(status.contains(line), "{line}: {status}");
    }
    assert_eq!(Command::new("/bin/true").status().unwrap_err().kind(), PermissionDenied);
    let raw = socket(AddressFamily::Inet, SockType::Raw, SockFlag::empty(), None);
    assert_eq!(raw.err(), Some(nix::Error::EPERM));
    let packet = socket(AddressFamily::Packet, SockType::Datagram, SockFlag::empty(), None);
    assert_eq!(packet.err(), Some(nix::Error::EPERM));
    assert_eq!(nix::unistd::chroot("/"), Err(nix::Error::EPERM));
    // What is on no list is not there.
    assert_eq!(nix::unistd::setsid(), Err(nix::Error::ENOSYS));
    // Threads and sockets go on.
    std::thread::spawn(|| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).join().unwrap();
    assert!(socket(AddressFamily::Netlink, SockType::Raw, SockFlag::empty(), None).is_ok());
}

#[test]
fn programs_run_where_they_are_configured_and_are_held_too() {
    let Some(place) = place() else {
        again("programs_run_where_they_are_configured_and_are_held_too", true);
        return;
    };
    let (files, _) = confined(&place, &Sandbox::default());
    let outside = place.parent().unwrap().join("outside");
    let run = |script: &str| Command::new("/bin/sh").arg("-c").arg(script).status().unwrap().success();
    assert!(run("exit 0"));
    assert!(run(&format!("echo x > {}/by-program", place.display())));
    assert!(!run("unshare --user true 2>/dev/null"), "a new namespace");
    // What programs may need is there.
    assert!(run("exec setsid true"));
    if !skipped("Landlock", &files) {
        assert!(!run(&format!("cat {} 2>/dev/null", outside.display())));
        // Nobody brings a program of his own, by whatever name it is reached.
        let brought = place.join("brought");
        std::fs::write(&brought, std::fs::read("/bin/true").unwrap()).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&brought, mode).unwrap();
        assert_eq!(Command::new(&brought).status().unwrap_err().kind(), PermissionDenied);
        std::fs::write(&brought, "#!/bin/sh\nexit 0\n").unwrap();
        assert_eq!(Command::new(&brought).status().unwrap_err().kind(), PermissionDenied);
    }
}

#[test]
fn connections_go_to_the_ports_that_are_named() {
    let Some(place) = place() else {
        again("connections_go_to_the_ports_that_are_named", false);
        return;
    };
    let listen = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (named, other) = (listen(), listen());
    let at = |listener: &std::net::TcpListener| listener.local_addr().unwrap();
    let sandbox = Sandbox { connect_ports: vec![at(&named).port()], ..Sandbox::default() };
    let (files, _) = confined(&place, &sandbox);
    if skipped("Landlock", &files) || files.detail.contains("in part") {
        return;
    }
    std::net::TcpStream::connect(at(&named)).unwrap();
    assert_eq!(std::net::TcpStream::connect(at(&other)).unwrap_err().kind(), PermissionDenied);
}
