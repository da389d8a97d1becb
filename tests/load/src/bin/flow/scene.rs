//! Ours and the others, ready to be measured in turn, so that whatever else the machine does meets all.

use crate::client::{Protocol, Run, Target, Work, run};
use crate::options::Options;
use crate::table::{Table, medians};
use load::memory::peak;
use std::io::BufRead;
use tests::{Daemon, Setup};

/// A server whose options are such that it does what the others do, and nothing in its way that is there against abuse.
pub(crate) fn setup() -> Setup {
    let mut setup = Setup::new();
    setup.option("smtp", "max-messages 1000000");
    setup.option("submission", "max-messages 1000000");
    setup.option("limits", "connections 3000");
    setup.option("delivery", "daily-limits { messages 0; new-recipients 0; }");
    setup.option("log", "level \"info\"");
    setup.config("checks { exempt \"127.0.0.0/8\"; }");
    setup.config("logins { exempt \"127.0.0.0/8\"; }");
    setup
}

pub(crate) fn ours(daemon: &Daemon, protocol: Protocol) -> Target {
    let port = match protocol {
        Protocol::Submission => daemon.ports().submission,
        Protocol::Smtp | Protocol::Lmtp => daemon.ports().smtp,
    };
    Target { name: "maddy", port, protocol, pids: vec![daemon.id()] }
}

/// A server, and what is waited for when it has taken everything.
pub(crate) struct Side<'a> {
    pub(crate) target: Target,
    pub(crate) after: Box<dyn Fn() + 'a>,
}

impl<'a> Side<'a> {
    pub(crate) fn new(target: Target, after: impl Fn() + 'a) -> Self {
        Self { target, after: Box::new(after) }
    }
}

/// Measures the sides in turn; the first round warms up.
pub(crate) fn measure(
    (shape, detail): (&str, &str),
    sides: &[Side<'_>],
    work: &Work<'_>,
    options: &Options,
    table: &mut Table,
) {
    hold(shape, sides, options);
    let mut runs: Vec<Vec<Run>> = sides.iter().map(|_| Vec::new()).collect();
    for round in 0..=options.rounds {
        for (side, runs) in sides.iter().zip(&mut runs) {
            let run = run(&side.target, work, || (side.after)());
            let (name, rate, cpu, own) = (side.target.name, run.rate(), run.work, run.own);
            eprintln!(
                "{shape}, {detail}, round {round}, {name}: {rate:.0}/s, {cpu:.0} µs, the client {own:.0} µs"
            );
            if round > 0 {
                runs.push(run);
            }
        }
    }
    let mut found: Vec<_> =
        sides.iter().zip(&runs).map(|(side, runs)| (side.target.name, medians(runs))).collect();
    if let (Some(side), Some((_, figures))) = (sides.first(), found.first_mut()) {
        let peak: u64 = side.target.pids.iter().map(|pid| peak(*pid)).sum();
        figures.push(("peak_mib", peak as f64 / 1024.0 / 1024.0));
    }
    table.add(shape, detail, &found);
}

fn hold(shape: &str, sides: &[Side<'_>], options: &Options) {
    if options.hold {
        let pid = sides.first().and_then(|side| side.target.pids.first());
        eprintln!("{shape} is next; our process is {}. Enter goes on.", pid.copied().unwrap_or_default());
        let _ = std::io::stdin().lock().read_line(&mut String::new());
    }
}
