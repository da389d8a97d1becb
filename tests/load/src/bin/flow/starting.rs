//! The start with a full store, what an idle server holds in memory, and the size of the program.

use crate::fill;
use crate::options::Options;
use crate::scene::setup;
use crate::table::{Table, median};
use load::memory::resident;
use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};
use tests::{Daemon, binary};

/// Accounts that have the messages.
const ACCOUNTS: usize = 10;
/// How long a server is left alone before its memory is looked at.
const SETTLE: Duration = Duration::from_secs(5);
/// How often a port is knocked at.
const KNOCK_EVERY: Duration = Duration::from_micros(500);
/// Starts that are measured: each takes no time.
const STARTS: usize = 7;

pub(crate) fn start(options: &Options, table: &mut Table) {
    let accounts: Vec<String> = (0..ACCOUNTS).map(|n| format!("user{n}@example.org")).collect();
    let mut setup = setup();
    // Feeding it takes its time, and none of the start.
    setup.option("storage", "search { index #false; }");
    accounts.iter().for_each(|name| setup.account(name));
    let mut daemon = setup.start();
    for stored in [0, options.stored] {
        if stored > 0 {
            daemon.stop();
            fill::mailboxes(&daemon.setup.state_dir(), &accounts, stored);
            daemon.start();
        }
        let times: Vec<(f64, f64)> = (0..STARTS).map(|_| once(&mut daemon, &accounts)).collect();
        thread::sleep(SETTLE);
        let idle = resident(daemon.id());
        let mib = |octets: u64| octets as f64 / 1024.0 / 1024.0;
        let figures = vec![
            ("ms", median(times.iter().map(|times| times.0).collect())),
            ("selected_ms", median(times.iter().map(|times| times.1).collect())),
            ("idle_mib", mib(idle)),
        ];
        table.add("start", &format!("{stored} messages"), &[("maddy", figures)]);
    }
}

/// From the start of the process to the greetings of SMTP and IMAP, and to a mailbox that is selected, in milliseconds.
fn once(daemon: &mut Daemon, accounts: &[String]) -> (f64, f64) {
    daemon.stop();
    let begun = Instant::now();
    daemon.spawn();
    for port in [daemon.ports().smtp, daemon.ports().imap] {
        greeted(port);
    }
    let ready = begun.elapsed();
    let mut imap = daemon.imap(&accounts[0]);
    imap.ok("SELECT INBOX");
    (ready.as_secs_f64() * 1e3, begun.elapsed().as_secs_f64() * 1e3)
}

fn greeted(port: u16) {
    loop {
        let mut octet = [0];
        let stream = TcpStream::connect(("127.0.0.1", port));
        if stream.is_ok_and(|mut stream| stream.read_exact(&mut octet).is_ok()) {
            return;
        }
        thread::sleep(KNOCK_EVERY);
    }
}

pub(crate) fn size(_: &Options, table: &mut Table) {
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("maddy");
    fs::copy(binary(), &copy).unwrap();
    let whole = fs::metadata(&copy).unwrap().len();
    let status = Command::new("strip").arg(&copy).status().expect("strip is there (binutils)");
    assert!(status.success(), "strip failed");
    let mib = |octets: u64| octets as f64 / 1024.0 / 1024.0;
    let stripped = fs::metadata(&copy).unwrap().len();
    table.add("size", "", &[("maddy", vec![("mib", mib(stripped)), ("unstripped_mib", mib(whole))])]);
}
