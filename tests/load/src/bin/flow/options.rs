//! What the command line asks for.

use crate::table::Table;
use crate::{incoming, outgoing, starting};
use std::path::PathBuf;

/// One kind of work.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) work: fn(&Options, &mut Table),
}

pub(crate) const SHAPES: &[Shape] = &[
    Shape { name: "in", what: "messages of 4 KiB into mailboxes", work: incoming::small },
    Shape { name: "recipients", what: "the same, each to 50 mailboxes", work: incoming::recipients },
    Shape { name: "large", what: "messages of 1 MiB and 25 MiB", work: incoming::large },
    Shape {
        name: "stall",
        what: "ours alone: the longest waits, over ten times as many messages",
        work: incoming::stall,
    },
    Shape {
        name: "submit",
        what: "submission after a login, signed twice, into the queue",
        work: outgoing::submit,
    },
    Shape { name: "relay", what: "submission and on to other servers, to the last", work: outgoing::relay },
    Shape {
        name: "queue",
        what: "ours alone: a start with a full queue, its order, and its memory",
        work: outgoing::queue,
    },
    Shape {
        name: "start",
        what: "ours alone: a start with a full store, and idle memory",
        work: starting::start,
    },
    Shape { name: "size", what: "ours alone: the program without its symbols", work: starting::size },
];

/// Who stands beside our server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peers {
    All,
    None,
}

/// What is to be measured, and how.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) shapes: Vec<&'static Shape>,
    pub(crate) connections: Vec<usize>,
    /// Messages of one round.
    pub(crate) mails: usize,
    /// How often everything is measured; the median counts. One more round warms up.
    pub(crate) rounds: usize,
    pub(crate) destinations: Vec<usize>,
    /// Messages in the queue.
    pub(crate) queued: Vec<usize>,
    /// Messages in the store.
    pub(crate) stored: usize,
    pub(crate) peers: Peers,
    /// Where the figures go as JSON.
    pub(crate) json: Option<PathBuf>,
    /// Where those of another run are, that are shown beside.
    pub(crate) baseline: PathBuf,
    /// Says which process is measured and waits for Enter: for profilers.
    pub(crate) hold: bool,
}

impl Options {
    /// `None`: help is wanted.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options = Self {
            shapes: Vec::new(),
            connections: vec![1, 10, 100, 1000],
            mails: 3000,
            rounds: 3,
            destinations: vec![1, 10, 1000],
            queued: vec![10_000, 100_000],
            stored: 1_000_000,
            peers: Peers::All,
            json: None,
            baseline: concat!(env!("CARGO_MANIFEST_DIR"), "/flow.json").into(),
            hold: false,
        };
        while let Some(word) = words.next() {
            if matches!(word.as_str(), "--help" | "-h" | "help") {
                return Ok(None);
            }
            let Some(name) = word.strip_prefix("--") else {
                options.add(&word)?;
                continue;
            };
            if name == "hold" {
                options.hold = true;
                continue;
            }
            let value = words.next().ok_or_else(|| format!("--{name} needs a value"))?;
            options.set(name, &value)?;
        }
        if options.shapes.is_empty() { Ok(None) } else { Ok(Some(options)) }
    }

    fn add(&mut self, word: &str) -> Result<(), String> {
        let found: Vec<&'static Shape> =
            SHAPES.iter().filter(|shape| word == "all" || shape.name == word).collect();
        if found.is_empty() {
            return Err(format!("there is no shape {word}"));
        }
        self.shapes.extend(found);
        Ok(())
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "connections" => self.connections = numbers(value)?,
            "mails" => self.mails = number(value)?,
            "rounds" => self.rounds = number(value)?,
            "destinations" => self.destinations = numbers(value)?,
            "queued" => self.queued = numbers(value)?,
            "stored" => self.stored = number(value)?,
            "json" => self.json = Some(value.into()),
            "baseline" => self.baseline = value.into(),
            "peers" => {
                self.peers = match value {
                    "all" => Peers::All,
                    "none" => Peers::None,
                    _ => return Err(format!("--peers is all or none, not {value}")),
                }
            }
            _ => return Err(format!("--{name} {value} is not known")),
        }
        Ok(())
    }
}

fn number(value: &str) -> Result<usize, String> {
    match value.replace('_', "").parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("{value} is not a number above zero")),
    }
}

fn numbers(value: &str) -> Result<Vec<usize>, String> {
    value.split(',').map(number).collect()
}

/// What there is.
pub(crate) fn usage() -> String {
    let mut text = String::from(
        "Usage: cargo run --release -p load --bin flow -- [OPTION VALUE]… SHAPE…\n\n\
         Builds of the daemon come first: cargo build --release -p maddy. MADDY_BIN names another one.\n\n\
         --connections N,N…   (1,10,100,1000)\n\
         --mails N            messages of one round (3000)\n\
         --rounds N           rounds that count; the median is told (3)\n\
         --destinations N,N…  domains of relay, each with a host of its own, up to 1000 (1,10,1000)\n\
         --queued N,N…        messages of queue (10000,100000)\n\
         --stored N           messages of start (1000000)\n\
         --peers all|none     who stands beside ours (all: Postfix and Dovecot of Debian; needs root)\n\
         --json FILE          the figures for machines\n\
         --baseline FILE      the figures of another run, shown beside (tests/load/flow.json)\n\
         --hold               says the number of our process and waits for Enter before each shape\n\nShapes:\n\
         all                  every one\n",
    );
    for shape in SHAPES {
        text.push_str(&format!("{:<20} {}\n", shape.name, shape.what));
    }
    text
}
