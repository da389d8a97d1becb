//! What a heavy search of one user costs another: how long the slowest in a hundred of small fetches take, with nobody else there and beside
//! somebody who searches all the time.

use crate::client::Client;
use crate::options::Options;
use crate::server::Server;
use crate::shapes::{Sample, append_command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Messages of whoever searches, and of one APPEND while they are filed.
const SEARCHED: usize = 10_000;
const BATCH: usize = 1_000;
/// Messages of the other one.
const MESSAGES: usize = 200;
/// No index helps with a text of two letters, nor with a field that is not kept: every message is read.
const SEARCH: &str = "SEARCH OR BODY qz HEADER X-Nothing qz";
/// The median, and the slowest in a hundred.
const SHARES: [(&str, usize); 2] = [("median", 50), ("p99", 99)];

pub(crate) fn latency(server: &dyn Server, options: &Options) -> Vec<(String, Sample)> {
    let (searcher, reader) = ("searcher@example.org", "neighbour@example.org");
    for (user, count) in [(searcher, SEARCHED), (reader, MESSAGES)] {
        server.account(user);
        let mut client = Client::connect(server.imap());
        client.log_in(user);
        for from in (0..count).step_by(BATCH) {
            client.ask_with(&append_command("INBOX", from..count.min(from + BATCH)));
        }
        server.settle(user);
    }
    let open = |user| {
        let mut client = Client::connect(server.imap());
        client.log_in(user);
        client.ask("SELECT INBOX");
        client
    };
    let (mut heavy, mut light) = (open(searcher), open(reader));
    let time = Duration::from_secs(options.seconds);
    let alone = fetches(&mut light, time);
    let going = AtomicBool::new(true);
    let beside = thread::scope(|scope| {
        scope.spawn(|| {
            while going.load(Ordering::Relaxed) {
                heavy.ask(SEARCH);
            }
        });
        let beside = fetches(&mut light, time);
        going.store(false, Ordering::Relaxed);
        beside
    });
    let lines = [("alone", alone), ("beside a search", beside)].into_iter().flat_map(|(what, times)| {
        SHARES.map(|(name, share)| {
            let took = times[(times.len() * share / 100).min(times.len() - 1)];
            (format!("{name} {what}"), Sample::Time(took, took))
        })
    });
    lines.collect()
}

/// How long small fetches take, ascending; one at least.
fn fetches(client: &mut Client, time: Duration) -> Vec<Duration> {
    let begun = Instant::now();
    let mut times = Vec::new();
    while begun.elapsed() < time || times.is_empty() {
        let at = times.len() * 7 % MESSAGES + 1;
        times.push(client.ask(&format!("UID FETCH {at} (FLAGS ENVELOPE BODY.PEEK[])")).took);
    }
    times.sort_unstable();
    times
}
