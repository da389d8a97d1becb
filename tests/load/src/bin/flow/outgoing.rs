//! Messages that go out: taken from our own senders, signed, queued, and handed on to other servers.

use crate::client::{Protocol, Target, Work, texts};
use crate::fill;
use crate::incoming::SMALL;
use crate::options::{Options, Peers};
use crate::scene::{Side, measure, ours, setup};
use crate::sink::{self, Came, Sink};
use crate::table::{Figures, Table, median};
use load::memory::resident;
use load::postfix::{Onward, Postfix};
use std::thread;
use std::time::{Duration, Instant};
use tests::{Daemon, Setup};

const SENDER: &str = "sender@example.org";
/// Connections where their number is not what is asked about.
const CONNECTIONS: usize = 50;
/// How long answers of the DNS may be kept, in seconds: longer than any run.
const TTL: u32 = 3600;
/// How long a server is left alone before its memory is looked at.
const SETTLE: Duration = Duration::from_secs(3);

/// Into the queue: nothing of it is due while it is measured. Postfix does not sign.
pub(crate) fn submit(options: &Options, table: &mut Table) {
    let mut setup = setup();
    setup.account(SENDER);
    let daemon = setup.start();
    let postfix = (options.peers == Peers::All).then(|| Postfix::start(Onward::Keep));
    let texts = texts(SMALL, SENDER);
    let to = |n: usize| vec![format!("somebody{n}@{}", sink::domain(n % 10))];
    for connections in &options.connections {
        let mails = options.mails.max(2 * connections);
        let work = |parameters| Work {
            connections: *connections,
            mails,
            texts: &texts,
            from: SENDER,
            to: &to,
            parameters,
        };
        let detail = format!("{connections} connections");
        let side = Side::new(ours(&daemon, Protocol::Submission), || ());
        measure(("submit", &detail), &[side], &work(" HOLDFOR=86400"), options, table);
        if let Some(postfix) = &postfix {
            let target = Target {
                name: "Postfix, unsigned",
                port: postfix.port(),
                protocol: Protocol::Smtp,
                pids: vec![postfix.pid()],
            };
            measure(("submit", &detail), &[Side::new(target, || ())], &work(""), options, table);
        }
    }
}

/// From the first message that is submitted to the last that other servers have.
pub(crate) fn relay(options: &Options, table: &mut Table) {
    for destinations in &options.destinations {
        let sink = Sink::start(*destinations);
        let daemon = sender(&sink, *destinations).start();
        let postfix = (options.peers == Peers::All).then(|| Postfix::start(Onward::Smtp(sink.port)));
        let texts = texts(SMALL, SENDER);
        let to = |n: usize| vec![format!("somebody{n}@{}", sink::domain(n % destinations))];
        let mails = options.mails;
        let work =
            Work { connections: CONNECTIONS, mails, texts: &texts, from: SENDER, to: &to, parameters: "" };
        let wait = || {
            let came = sink.wait(mails);
            eprintln!("{} connections to the others", came.connections);
        };
        let mut sides = vec![Side::new(ours(&daemon, Protocol::Submission), wait)];
        if let Some(postfix) = &postfix {
            let (port, pids) = (postfix.port(), vec![postfix.pid()]);
            let target = Target { name: "Postfix, unsigned", port, protocol: Protocol::Smtp, pids };
            sides.push(Side::new(target, wait));
        }
        measure(("relay", &format!("{destinations} destinations")), &sides, &work, options, table);
    }
}

/// A server that sends to the sink.
fn sender(sink: &Sink, destinations: usize) -> Setup {
    let mut setup = setup();
    setup.account(SENDER);
    setup.replace_option("delivery", &format!("port {}", sink.port));
    setup.names().let_keep(TTL);
    setup.zone(&sink::zone(destinations));
    setup
}

/// A queue is filled while the server is away. Then it starts, and sends it all.
pub(crate) fn queue(options: &Options, table: &mut Table) {
    for queued in &options.queued {
        for destinations in &options.destinations {
            let sink = Sink::start(*destinations);
            let mut daemon = sender(&sink, *destinations).start();
            let rounds: Vec<Restart> =
                (0..options.rounds).map(|_| restart(&mut daemon, &sink, *queued, *destinations)).collect();
            let of = |figure: &dyn Fn(&Restart) -> f64| median(rounds.iter().map(figure).collect());
            let figures: Figures = vec![
                ("per_second", of(&|round| round.rate)),
                ("cpu_us", of(&|round| round.work)),
                ("ready_ms", of(&|round| round.ready)),
                ("first_ms", of(&|round| round.first)),
                ("out_of_order", of(&|round| round.out_of_order)),
            ];
            table.add("queue", &format!("{queued}, {destinations} destinations"), &[("maddy", figures)]);
        }
        memory(*queued, table);
    }
}

/// What one start with a full queue came to.
struct Restart {
    /// Until all ports answered, in milliseconds from the start of the process.
    ready: f64,
    /// Until the first message had arrived.
    first: f64,
    /// Messages a second, from the first to the last.
    rate: f64,
    work: f64,
    /// The part of the messages that came after a younger one of the same destination.
    out_of_order: f64,
}

fn restart(daemon: &mut Daemon, sink: &Sink, queued: usize, destinations: usize) -> Restart {
    daemon.stop();
    fill::queue(&daemon.setup.state_dir(), queued, SENDER, fill::now(), |n| sink::domain(n % destinations));
    let begun = Instant::now();
    daemon.start();
    let ready = begun.elapsed();
    let Came { numbers, connections, first, last } = sink.wait(queued);
    let work = load::memory::worked(daemon.id()).as_secs_f64() * 1e6 / queued as f64;
    let rate = queued as f64 / (last - first).as_secs_f64();
    eprintln!("queue of {queued}, {destinations} destinations: {rate:.0}/s over {connections} connections");
    let late = out_of_order(&numbers, destinations);
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    Restart {
        ready: ms(ready),
        first: ms(first - begun),
        rate,
        work,
        out_of_order: late as f64 / queued as f64,
    }
}

/// How many messages came after a younger one of the same destination.
fn out_of_order(numbers: &[u32], destinations: usize) -> usize {
    let mut youngest = vec![0; destinations];
    let mut late = 0;
    for number in numbers {
        let youngest = &mut youngest[*number as usize % destinations];
        late += usize::from(number < youngest);
        *youngest = (*youngest).max(*number);
    }
    late
}

/// What a queue costs that waits.
fn memory(queued: usize, table: &mut Table) {
    let mut setup = setup();
    setup.account(SENDER);
    let mut daemon = setup.start();
    thread::sleep(SETTLE);
    let empty = resident(daemon.id());
    daemon.stop();
    let due = fill::now() + 86_400;
    fill::queue(&daemon.setup.state_dir(), queued, SENDER, due, |n| sink::domain(n % 1000));
    daemon.start();
    thread::sleep(SETTLE);
    let full = resident(daemon.id());
    let mib = |octets: u64| octets as f64 / 1024.0 / 1024.0;
    let figures = vec![("mib", mib(full)), ("empty_mib", mib(empty))];
    table.add("queue", &format!("{queued} that wait"), &[("maddy", figures)]);
}
