//! The other server: it takes what it gets, says "later" once to some and "no" to others, and notes when.

use crate::log::{Pen, Place};
use crate::mails::token_of;
use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) taken: HashMap<String, Place>,
    pub(crate) refused: HashMap<String, Place>,
    put_off: HashSet<String>,
}

pub(crate) struct Sink {
    notes: Arc<Mutex<Notes>>,
}

impl Sink {
    pub(crate) fn start(ip: Ipv4Addr, port: u16, pen: &Pen) -> Self {
        let listener = TcpListener::bind((ip, port)).unwrap();
        let notes: Arc<Mutex<Notes>> = Arc::default();
        let (ours, pen) = (Arc::clone(&notes), pen.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (notes, pen) = (Arc::clone(&ours), pen.clone());
                // A daemon that dies ends its own conversation only.
                thread::spawn(move || converse(stream, &notes, &pen));
            }
        });
        Self { notes }
    }

    pub(crate) fn notes(&self) -> Notes {
        std::mem::take(&mut *self.notes.lock().unwrap())
    }
}

fn converse(stream: TcpStream, notes: &Mutex<Notes>, pen: &Pen) -> io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream);
    out.write_all(b"220 remote\r\n")?;
    let mut line = String::new();
    loop {
        line.clear();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let verb = line.trim_end().to_ascii_uppercase();
        let reply = match verb.split(' ').next().unwrap_or_default() {
            "EHLO" => "250-remote\r\n250 8BITMIME\r\n",
            "DATA" => {
                out.write_all(b"354 go on\r\n")?;
                let mut text = String::new();
                loop {
                    line.clear();
                    if lines.read_line(&mut line)? == 0 {
                        return Ok(());
                    }
                    if line == ".\r\n" {
                        break;
                    }
                    text.push_str(&line);
                }
                verdict(&text, notes, pen)
            }
            "QUIT" => "221 bye\r\n",
            _ => "250 ok\r\n",
        };
        out.write_all(reply.as_bytes())?;
    }
}

fn verdict(text: &str, notes: &Mutex<Notes>, pen: &Pen) -> &'static str {
    let Some((token, _)) = token_of(text) else { return "554 5.6.0 not one of ours\r\n" };
    let mut notes = notes.lock().unwrap();
    let place = pen.place();
    if token.ends_with("refused") {
        notes.refused.entry(token.to_owned()).or_insert(place);
        return "554 5.7.1 no\r\n";
    }
    if token.ends_with("later") && notes.put_off.insert(token.to_owned()) {
        return "451 4.7.1 later\r\n";
    }
    notes.taken.entry(token.to_owned()).or_insert(place);
    "250 2.0.0 ok\r\n"
}
