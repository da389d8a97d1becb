//! Sessions that wait: TLS, logged in, INBOX selected, IDLE; and what memory each of them holds at the server.

use crate::client::{Client, tls};
use crate::memory::resident;
use crate::options::Options;
use crate::server::Server;
use crate::shapes::{Sample, append_command};
use std::thread;
use std::time::Duration;

/// Accounts that share the sessions.
const ACCOUNTS: usize = 50;
/// Messages in each INBOX.
const MESSAGES: usize = 100;
/// Threads that log in.
const THREADS: usize = 4;
/// How long the servers may settle before they are looked at.
const SETTLE: Duration = Duration::from_secs(3);

/// Memory of all sessions together, without what the server holds before the first.
pub(crate) fn memory(server: &dyn Server, options: &Options) -> Vec<(String, Sample)> {
    let users: Vec<String> = (0..ACCOUNTS).map(|n| format!("idler{n}@example.org")).collect();
    let config = tls(server.ca());
    for user in &users {
        server.account(user);
        let mut client = Client::connect_tls(server.imaps(), &config);
        client.log_in(user);
        client.ask_with(&append_command("INBOX", 0..MESSAGES));
        client.ask("LOGOUT");
    }
    thread::sleep(SETTLE);
    let before = resident(server.pid());
    let port = server.imaps();
    let (users, config) = (&users, &config);
    let sessions: Vec<Client> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    let numbers = (thread..options.sessions).step_by(THREADS);
                    numbers.map(|n| session(port, config, &users[n % ACCOUNTS])).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    thread::sleep(SETTLE);
    let after = resident(server.pid());
    // All of them are still there.
    for mut session in sessions {
        session.done();
    }
    let all = after.saturating_sub(before);
    vec![
        (format!("{} sessions", options.sessions), Sample::Memory(all)),
        ("each".to_owned(), Sample::Memory(all / options.sessions as u64)),
        ("the server before them".to_owned(), Sample::Memory(before)),
    ]
}

fn session(port: u16, config: &std::sync::Arc<rustls::ClientConfig>, user: &str) -> Client {
    let mut client = Client::connect_tls(port, config);
    client.log_in(user);
    client.ask("SELECT INBOX");
    client.idle();
    client.slim();
    client
}
