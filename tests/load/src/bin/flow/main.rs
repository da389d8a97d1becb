//! The load tool of SMTP: messages in, messages out, the queue, and the start, with Postfix and Dovecot beside us in the same run.
//! See docs/performance.md; `cargo run --release -p load --bin flow -- --help` says how to use it. It measures; it never fails
//! because something is slow.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a tool for engineers fails by panicking, with a sentence"
)]

mod client;
mod fill;
mod incoming;
mod options;
mod outgoing;
mod scene;
mod sink;
mod starting;
mod table;

use options::Options;
use table::Table;

fn main() {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", options::usage());
            return;
        }
        Err(problem) => {
            eprintln!("flow: {problem}\n\n{}", options::usage());
            std::process::exit(2);
        }
    };
    let mut table = Table::new(&options);
    for shape in &options.shapes {
        (shape.work)(&options, &mut table);
    }
    table.end();
}
