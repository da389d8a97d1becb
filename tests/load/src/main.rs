//! The load tool: puts our daemon and Dovecot through the same work with the same client, one after the other in one
//! run, and prints what each needed and how many times better ours is. See docs/performance.md.
//!
//! `cargo run --release -p load -- --help` says how to use it. It measures; it never fails because something is slow.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a tool for engineers fails by panicking, with a sentence"
)]

mod client;
mod idle;
mod many;
mod neighbour;
mod options;
mod ours;
mod report;
mod scene;
mod shapes;

use load::{dovecot, mails, memory, server};
use options::Options;
use report::Report;
use server::Server;
use shapes::Shape;

fn main() {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", options::usage());
            return;
        }
        Err(problem) => {
            eprintln!("load: {problem}\n\n{}", options::usage());
            std::process::exit(2);
        }
    };
    let mut report = Report::new(&options);
    // A server of its own for each kind of shape, so that none is measured with what another has left behind.
    let (mailboxes, others): (Vec<&'static Shape>, Vec<&'static Shape>) =
        options.shapes.iter().partition(|shape| shape.is_of_a_mailbox());
    if !mailboxes.is_empty() {
        let servers = servers(&options);
        for messages in &options.messages {
            scene::measure(&servers, &mailboxes, *messages, &options, &mut report);
        }
    }
    for shape in others {
        scene::measure_server(&servers(&options), shape, &options, &mut report);
    }
    report.end();
}

/// Ours, and the one beside it.
fn servers(options: &Options) -> Vec<Box<dyn Server>> {
    let mut servers: Vec<Box<dyn Server>> = vec![Box::new(ours::Ours::start(options))];
    if options.peer == options::Peer::Dovecot {
        servers.push(Box::new(dovecot::Dovecot::start(&options.format, options.sessions)));
    }
    servers
}
