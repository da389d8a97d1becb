//! Many clients at once, each with an account of its own, and how many commands a second they get done.

use crate::client::Client;
use crate::options::Options;
use crate::server::Server;
use crate::shapes::{Sample, append_command};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Messages in each INBOX.
const MESSAGES: usize = 200;
/// Logins, mixed: the commands of one round besides those.
const ROUND: u64 = 10;

/// Commands of clients that stay logged in.
pub(crate) fn mixed(server: &dyn Server, options: &Options) -> Vec<(String, Sample)> {
    run(server, options, |port, user, going| {
        let mut client = Client::connect(port);
        client.log_in(user);
        let mut done = 0;
        let mut n = 0;
        while going.load(Ordering::Relaxed) {
            done += round(&mut client, n);
            n += 1;
        }
        done
    })
}

/// The same, each round on a connection of its own.
pub(crate) fn logins(server: &dyn Server, options: &Options) -> Vec<(String, Sample)> {
    run(server, options, |port, user, going| {
        let mut done = 0;
        let mut n = 0;
        while going.load(Ordering::Relaxed) {
            let mut client = Client::connect(port);
            client.log_in(user);
            done += 2 + round(&mut client, n);
            client.ask("LOGOUT");
            n += 1;
        }
        done
    })
}

/// What a client does: looks what is new, reads a message and marks it, looks into another mailbox.
fn round(client: &mut Client, n: usize) -> u64 {
    let at = n * 7 % MESSAGES + 1;
    let sign = if n.is_multiple_of(2) { '+' } else { '-' };
    client.ask("NOOP");
    client.ask("SELECT INBOX");
    client.ask(&format!("UID FETCH {at}:* (FLAGS)"));
    client.ask(&format!("FETCH {at} (ENVELOPE BODYSTRUCTURE RFC822.SIZE INTERNALDATE)"));
    client.ask(&format!("UID FETCH {at} (BODY.PEEK[])"));
    client.ask(&format!("UID STORE {at} {sign}FLAGS.SILENT (\\Flagged)"));
    client.ask("UID SEARCH UNSEEN");
    client.ask("UID SEARCH FLAGGED SINCE 1-Jan-2024");
    client.ask("STATUS Archive (MESSAGES UIDNEXT UNSEEN)");
    client.ask("LIST \"\" %");
    ROUND
}

fn run(
    server: &dyn Server,
    options: &Options,
    work: impl Fn(u16, &str, &AtomicBool) -> u64 + Sync,
) -> Vec<(String, Sample)> {
    let users: Vec<String> = (0..options.clients).map(|n| format!("client{n}@example.org")).collect();
    for user in &users {
        server.account(user);
        let mut client = Client::connect(server.imap());
        client.log_in(user);
        client.ask_with(&append_command("INBOX", 0..MESSAGES));
        if !client.ask("LIST \"\" Archive").text.contains("* LIST") {
            client.ask("CREATE Archive");
        }
    }
    let (port, going, done) = (server.imap(), AtomicBool::new(true), AtomicU64::new(0));
    let begun = Instant::now();
    thread::scope(|scope| {
        for user in &users {
            scope.spawn(|| done.fetch_add(work(port, user, &going), Ordering::Relaxed));
        }
        thread::sleep(Duration::from_secs(options.seconds));
        going.store(false, Ordering::Relaxed);
    });
    let rate = done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
    vec![(format!("{} clients", options.clients), Sample::Rate(rate))]
}
