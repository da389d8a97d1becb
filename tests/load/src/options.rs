//! What the command line asks for.

use crate::shapes::{SHAPES, Shape};
use std::path::PathBuf;

/// Who stands beside our server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Dovecot,
    None,
}

/// Whether our server indexes texts. Before anything is measured all of them are in it, which takes long in a large mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Index {
    Fed,
    None,
}

/// What is to be measured, and how.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) shapes: Vec<&'static Shape>,
    /// Sizes of the mailbox.
    pub(crate) messages: Vec<usize>,
    /// How often each shape is measured; the median counts.
    pub(crate) rounds: usize,
    /// How long a shape runs that is counted by the second.
    pub(crate) seconds: u64,
    pub(crate) clients: usize,
    /// Sessions of the shape `idle`.
    pub(crate) sessions: usize,
    pub(crate) peer: Peer,
    pub(crate) index: Index,
    /// How Dovecot keeps its mail: `maildir`, `sdbox` or `mdbox`.
    pub(crate) format: String,
    /// Where the figures go as JSON.
    pub(crate) json: Option<PathBuf>,
    /// Called with the process number of our daemon while a shape is measured again and again: for profilers.
    pub(crate) hold: bool,
}

impl Options {
    /// `None`: help is wanted.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options = Self {
            shapes: Vec::new(),
            messages: vec![10_000],
            rounds: 5,
            seconds: 3,
            clients: 10,
            sessions: 500,
            peer: Peer::Dovecot,
            index: Index::Fed,
            format: "maildir".to_owned(),
            json: None,
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
            "messages" => self.messages = numbers(value)?,
            "rounds" => self.rounds = number(value)?,
            "seconds" => self.seconds = number(value)? as u64,
            "clients" => self.clients = number(value)?,
            "sessions" => self.sessions = number(value)?,
            "json" => self.json = Some(value.into()),
            "peer" => {
                self.peer = match value {
                    "dovecot" => Peer::Dovecot,
                    "none" => Peer::None,
                    _ => return Err(format!("--peer is dovecot or none, not {value}")),
                }
            }
            "index" => {
                self.index = match value {
                    "on" => Index::Fed,
                    "off" => Index::None,
                    _ => return Err(format!("--index is on or off, not {value}")),
                }
            }
            "format" if ["maildir", "sdbox", "mdbox"].contains(&value) => value.clone_into(&mut self.format),
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
        "Usage: cargo run --release -p load -- [OPTION VALUE]… SHAPE…\n\n\
         Builds of the daemon come first: cargo build --release -p maddy. MADDY_BIN names another one.\n\n\
         --messages N,N…     sizes of the mailbox (10000)\n\
         --rounds N          how often each shape is measured; the median counts (5)\n\
         --seconds N         length of the shapes that are counted by the second (3)\n\
         --clients N         clients of mixed and logins (10)\n\
         --sessions N        sessions of idle (500)\n\
         --peer dovecot|none who stands beside ours (dovecot, from Debian's dovecot-imapd and dovecot-lmtpd)\n\
         --format F          how Dovecot keeps mail: maildir, sdbox, mdbox (maildir)\n\
         --index on|off      whether ours has an index for texts (on)
         --json FILE         the figures for machines\n\
         --hold              says the number of our process and waits for Enter before each measurement\n\nShapes:\n\
         all                 every one\n",
    );
    for shape in SHAPES {
        text.push_str(&format!("{:<19} {}\n", shape.name, shape.what));
    }
    text
}
