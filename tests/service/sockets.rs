//! Sockets that the service manager opens: as systemd hands them over, and told when we are ready.

use crate::program::is_missing;
use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use tests::{Chat, Daemon, Setup, binary, eventually, free_port};

/// A daemon to which systemd's own tool hands sockets over; it is ended with this value.
struct Activated {
    child: Child,
    log: std::path::PathBuf,
}

impl Drop for Activated {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Activated {
    /// Opens the ports, with these names for them, and starts the program when somebody connects to one.
    fn start(of: &Daemon, ports: &[u16], names: &str) -> Self {
        let log = of.setup.dir().join("activated.log");
        let out = File::create(&log).unwrap();
        let mut command = Command::new("systemd-socket-activate");
        for port in ports {
            command.arg("-l").arg(format!("127.0.0.1:{port}"));
        }
        command
            .arg(format!("--fdname={names}"))
            .arg(binary())
            .arg("--config")
            .arg(of.setup.config_file())
            .arg("run");
        let child =
            command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out).spawn().unwrap();
        let activated = Self { child, log };
        eventually("systemd listens", || activated.log().contains("Listening on").then_some(()));
        activated
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    fn wait_log(&self, what: &str) {
        eventually(what, || self.log().contains(what).then_some(()));
    }
}

/// A scene whose daemon has made its state and does not run.
fn scene() -> Daemon {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let mut maddy = setup.start();
    maddy.stop();
    maddy
}

#[test]
fn the_ports_may_be_opened_by_the_service_manager() {
    if is_missing("the_ports_may_be_opened_by_the_service_manager", "systemd-socket-activate") {
        return;
    }
    let maddy = scene();
    let ports = maddy.ports();
    let all = [ports.smtp, ports.submission, ports.submissions, ports.imap, ports.imaps];
    let unused = free_port();
    let mut with_one_more = all.to_vec();
    with_one_more.push(unused);
    let activated =
        Activated::start(&maddy, &with_one_more, "smtp:submission:submission:maddy.socket:imap:spare");
    // Whoever comes first waits until the daemon is there.
    let mut first = Chat::connect(ports.smtp);
    first.expect("220 mx.example.org*");
    maddy.imap("alice@example.org").ok("NOOP");
    activated.wait_log("nobody is served there");
    assert!(activated.log().contains("spare") && activated.log().contains(&unused.to_string()));
    // A reload gives a port up, and takes it again: nobody else could have opened it meanwhile.
    let file = maddy.setup.config_file();
    let text = fs::read_to_string(&file).unwrap();
    let without = text.replace(&format!("listen \"127.0.0.1:{}\"\n", ports.imap), "");
    assert_ne!(text, without);
    fs::write(&file, without).unwrap();
    maddy.cli(&["reload"]).ok();
    activated.wait_log("goes on to hold this socket");
    assert!(TcpListener::bind(("127.0.0.1", ports.imap)).is_err());
    fs::write(&file, &text).unwrap();
    maddy.cli(&["reload"]).ok();
    maddy.imap("alice@example.org").ok("NOOP");
}

#[test]
fn a_socket_for_another_door_is_refused() {
    if is_missing("a_socket_for_another_door_is_refused", "systemd-socket-activate") {
        return;
    }
    let maddy = scene();
    let ports = maddy.ports();
    let activated = Activated::start(&maddy, &[ports.smtp], "imap");
    let _ = TcpStream::connect(("127.0.0.1", ports.smtp)).unwrap();
    activated.wait_log("hands it over as \"imap\"; name it \"smtp\" there");
}

#[test]
fn the_manager_hears_when_mail_is_served_and_when_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(tests::PATIENCE)).unwrap();
    let said = || {
        let mut buffer = [0; 64];
        let size = manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..size].to_vec()).unwrap()
    };
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.environment("NOTIFY_SOCKET", &path);
    // Said to somebody else: none of it is ours, and nothing is taken over.
    setup.environment("LISTEN_PID", "1");
    setup.environment("LISTEN_FDS", "3");
    let mut maddy = setup.start();
    assert_eq!(said(), "READY=1\n");
    maddy.stop();
    assert_eq!(said(), "STOPPING=1\n");
}
