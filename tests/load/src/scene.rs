//! Fills mailboxes and has the servers measured in turn, round by round, so that whatever else the machine does meets both.

use crate::options::Options;
use crate::report::Report;
use crate::server::Server;
use crate::shapes::{Sample, Session, Shape, append_command};
use std::io::BufRead;

/// Messages of one APPEND while a mailbox is filled.
const BATCH: usize = 500;

/// All shapes of a mailbox with so many messages.
pub(crate) fn measure(
    servers: &[Box<dyn Server>],
    shapes: &[&'static Shape],
    messages: usize,
    options: &Options,
    report: &mut Report,
) {
    let user = format!("reader{messages}@example.org");
    let mut sessions: Vec<Session> = Vec::new();
    for server in servers {
        server.account(&user);
        eprintln!("{}: filling a mailbox with {messages} messages", server.name());
        let mut session = Session::open(server.as_ref(), &user, messages);
        for from in (0..messages).step_by(BATCH) {
            let to = messages.min(from + BATCH);
            session.client.ask_with(&append_command("INBOX", from..to));
        }
        session.client.ask("SELECT INBOX");
        server.settle(&user);
        sessions.push(session);
    }
    for shape in shapes {
        let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); servers.len()];
        sessions.iter_mut().for_each(|session| session.round = 0);
        hold(options, servers, shape);
        // The first round warms up, and is not counted. An even number of all undoes what was done.
        for round in 0..options.rounds + 1 + (options.rounds + 1) % 2 {
            for (session, samples) in sessions.iter_mut().zip(&mut samples) {
                if let Some(sample) = shape.in_mailbox(session).filter(|_| round > 0) {
                    samples.push(sample);
                }
            }
        }
        report.add(shape.name, &format!("{messages} messages"), &samples);
    }
}

/// One shape that brings its own accounts.
pub(crate) fn measure_server(
    servers: &[Box<dyn Server>],
    shape: &'static Shape,
    options: &Options,
    report: &mut Report,
) {
    hold(options, servers, shape);
    let found: Vec<Vec<(String, Sample)>> =
        servers.iter().map(|server| shape.at_server(server.as_ref(), options)).collect();
    for (at, (detail, _)) in found.first().into_iter().flatten().enumerate() {
        let samples: Vec<Vec<Sample>> =
            found.iter().map(|lines| lines.get(at).map(|line| line.1).into_iter().collect()).collect();
        report.add(shape.name, detail, &samples);
    }
}

fn hold(options: &Options, servers: &[Box<dyn Server>], shape: &Shape) {
    if options.hold {
        let pid = servers.first().map(|server| server.pid());
        eprintln!("{} is next; our process is {}. Enter goes on.", shape.name, pid.unwrap_or_default());
        let _ = std::io::stdin().lock().read_line(&mut String::new());
    }
}
