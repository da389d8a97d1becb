//! Messages that come in, to mailboxes: ours by SMTP with its checks off, Dovecot by LMTP, and Postfix in front of it or alone.

use crate::client::{Protocol, Target, Work, texts};
use crate::options::{Options, Peers};
use crate::scene::{Side, measure, ours, setup};
use crate::table::Table;
use load::dovecot::Dovecot;
use load::postfix::{Onward, Postfix};
use load::server::Server;

/// Octets of a message where nothing else is said.
pub(crate) const SMALL: usize = 4096;
const SENDER: &str = "sender@example.net";
/// Accounts that get messages in turn.
const ACCOUNTS: usize = 10;
/// Recipients of one message, where there are many.
const MANY: usize = 50;
/// Connections where their number is not what is asked about.
const CONNECTIONS: usize = 10;
/// How many times more messages are watched for stalls.
const LONG: usize = 10;

fn account(n: usize) -> String {
    format!("user{n}@example.org")
}

fn one(n: usize) -> Vec<String> {
    vec![account(n % ACCOUNTS)]
}

fn many(_: usize) -> Vec<String> {
    (0..MANY).map(account).collect()
}

/// One message, and its line in the table.
struct Case<'a> {
    shape: &'a str,
    accounts: usize,
    to: &'a (dyn Fn(usize) -> Vec<String> + Sync),
    /// What is measured in turn: a detail, connections, octets, messages of a round.
    turns: Vec<(String, usize, usize, usize)>,
}

pub(crate) fn small(options: &Options, table: &mut Table) {
    let turn = |n: &usize| (format!("{n} connections"), *n, SMALL, options.mails.max(2 * n));
    let turns = options.connections.iter().map(turn).collect();
    run(&Case { shape: "in", accounts: ACCOUNTS, to: &one, turns }, options.peers, options, table);
}

pub(crate) fn recipients(options: &Options, table: &mut Table) {
    let turns = vec![(format!("{MANY} recipients"), CONNECTIONS, SMALL, options.mails.div_ceil(10))];
    run(&Case { shape: "recipients", accounts: MANY, to: &many, turns }, options.peers, options, table);
}

pub(crate) fn large(options: &Options, table: &mut Table) {
    let turns = vec![
        ("1 MiB".to_owned(), CONNECTIONS, 1024 * 1024, options.mails.div_ceil(20)),
        ("25 MiB".to_owned(), 4, 25 * 1024 * 1024, options.mails.div_ceil(300)),
    ];
    run(&Case { shape: "large", accounts: ACCOUNTS, to: &one, turns }, options.peers, options, table);
}

pub(crate) fn stall(options: &Options, table: &mut Table) {
    let turn = |n: usize| (format!("{n} connections"), n, SMALL, options.mails * LONG);
    let turns = vec![turn(1), turn(CONNECTIONS), turn(10 * CONNECTIONS)];
    run(&Case { shape: "stall", accounts: ACCOUNTS, to: &one, turns }, Peers::None, options, table);
}

fn run(case: &Case<'_>, peers: Peers, options: &Options, table: &mut Table) {
    let mut setup = setup();
    (0..case.accounts).for_each(|n| setup.account(&account(n)));
    let daemon = setup.start();
    let others = (peers == Peers::All).then(|| {
        let dovecot = Dovecot::start("maildir", 100);
        let through = Postfix::start(Onward::Lmtp(dovecot.lmtp()));
        (dovecot, through, Postfix::start(Onward::Discard))
    });
    let mut sides = vec![Side::new(ours(&daemon, Protocol::Smtp), || ())];
    if let Some((dovecot, through, alone)) = &others {
        let target = |name, port, protocol, pids| Target { name, port, protocol, pids };
        let lmtp = target("Dovecot LMTP", dovecot.lmtp(), Protocol::Lmtp, vec![dovecot.pid()]);
        sides.push(Side::new(lmtp, || ()));
        let both = vec![through.pid(), dovecot.pid()];
        let to_dovecot = target("Postfix, Dovecot", through.port(), Protocol::Smtp, both);
        sides.push(Side::new(to_dovecot, || through.wait_empty()));
        let discard = target("Postfix, discard", alone.port(), Protocol::Smtp, vec![alone.pid()]);
        sides.push(Side::new(discard, || alone.wait_empty()));
    }
    for (detail, connections, octets, mails) in &case.turns {
        let texts = texts(*octets, SENDER);
        let work = Work {
            connections: *connections,
            mails: *mails,
            texts: &texts,
            from: SENDER,
            to: case.to,
            parameters: "",
        };
        measure((case.shape, detail), &sides, &work, options, table);
    }
}
