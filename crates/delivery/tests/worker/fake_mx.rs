//! A mail host of few words for tests: it answers by a list of rules, and remembers what was said to it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Closes the connection instead of a reply.
pub(crate) const DROP: &str = "DROP";
/// Says nothing.
pub(crate) const SILENCE: &str = "SILENCE";
/// To DATA: some of the message is read, then it is refused and the connection closed.
pub(crate) const ENOUGH: &str = "ENOUGH";

/// What it answers: the first rule whose beginning fits a command gives its replies one after the other, then the usual.
type Rules = Vec<(String, VecDeque<String>)>;

#[derive(Default)]
struct Heard {
    /// One list of commands for each connection.
    chats: Vec<Vec<String>>,
    messages: Vec<String>,
}

pub(crate) struct FakeMx {
    pub address: SocketAddr,
    rules: Arc<Mutex<Rules>>,
    heard: Arc<Mutex<Heard>>,
    task: JoinHandle<()>,
}

impl Drop for FakeMx {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeMx {
    /// Begins to listen on a port of `ip`. `extensions` are the lines of its EHLO reply.
    pub(crate) async fn start(at: &str, name: &str, extensions: &[&str]) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let address = listener.local_addr().unwrap();
        let rules: Arc<Mutex<Rules>> = Arc::default();
        let heard: Arc<Mutex<Heard>> = Arc::default();
        let mut ehlo = vec![format!("{name} greets you")];
        ehlo.extend(extensions.iter().map(|line| (*line).to_owned()));
        let (host, shared) = (name.to_owned(), (rules.clone(), heard.clone()));
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                stream.set_nodelay(true).unwrap();
                let chat = {
                    let mut heard = shared.1.lock().unwrap();
                    heard.chats.push(Vec::new());
                    heard.chats.len() - 1
                };
                let talk = Talk {
                    name: host.clone(),
                    ehlo: ehlo.clone(),
                    rules: shared.0.clone(),
                    heard: shared.1.clone(),
                    chat,
                };
                tokio::spawn(talk.run(stream));
            }
        });
        Self { address, rules, heard, task }
    }

    /// The usual extensions.
    pub(crate) async fn usual(at: &str) -> Self {
        Self::start(at, "mx.e.ex", &["PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN"]).await
    }

    /// Listens no more.
    pub(crate) async fn close(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    /// Commands that begin with `command` get these replies, one after the other, and then the usual ones. `greeting` and
    /// `content` stand for what is no command.
    pub(crate) fn rule(&self, command: &str, replies: &[&str]) {
        let replies = replies.iter().map(|reply| (*reply).to_owned()).collect();
        self.rules.lock().unwrap().push((command.to_owned(), replies));
    }

    /// All commands but greeting and QUIT; connections are divided by `--`.
    pub(crate) fn heard(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        let chats: Vec<Vec<String>> = heard
            .chats
            .iter()
            .map(|chat| chat.iter().filter(|line| *line != "QUIT").cloned().collect())
            .collect();
        chats.join(&"--".to_owned())
    }

    /// Waits for a command that begins with this.
    pub(crate) async fn hears(&self, command: &str) {
        while !self.heard().iter().any(|line| line.starts_with(command)) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn messages(&self) -> Vec<String> {
        self.heard.lock().unwrap().messages.clone()
    }
}

struct Talk {
    name: String,
    ehlo: Vec<String>,
    rules: Arc<Mutex<Rules>>,
    heard: Arc<Mutex<Heard>>,
    chat: usize,
}

impl Talk {
    /// The reply to a command, by rule or as usual.
    fn reply(&self, command: &str, usual: &str) -> String {
        let mut rules = self.rules.lock().unwrap();
        let rule =
            rules.iter_mut().find(|(begin, replies)| command.starts_with(begin) && !replies.is_empty());
        rule.and_then(|(_, replies)| replies.pop_front()).unwrap_or_else(|| usual.to_owned())
    }

    async fn run(self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        let _ = self.talk(&mut stream).await;
    }

    async fn talk(&self, stream: &mut BufReader<TcpStream>) -> std::io::Result<()> {
        let greeting = self.reply("greeting", &format!("220 {} ready", self.name));
        if !say(stream, &greeting).await? {
            return Ok(());
        }
        let mut line = String::new();
        // Whether MAIL was taken, and how many recipients.
        let mut taken = (false, 0);
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let command = line.trim_end().to_owned();
            self.heard.lock().unwrap().chats[self.chat].push(command.clone());
            let verb = command.split(' ').next().unwrap_or_default().to_uppercase();
            let usual = match verb.as_str() {
                "EHLO" => self.ehlo_reply(),
                "RCPT" if !taken.0 => "503 5.5.1 MAIL first".to_owned(),
                "DATA" if taken.1 == 0 => "503 5.5.1 RCPT first".to_owned(),
                "DATA" => "354 go on".to_owned(),
                "QUIT" => "221 bye".to_owned(),
                "BDAT" => {
                    let size: usize = command.split(' ').nth(1).unwrap().parse().unwrap();
                    let mut chunk = vec![0; size];
                    stream.read_exact(&mut chunk).await?;
                    self.heard.lock().unwrap().messages.push(String::from_utf8_lossy(&chunk).into_owned());
                    self.reply("content", "250 2.0.0 taken")
                }
                _ => "250 2.0.0 ok".to_owned(),
            };
            let reply = self.reply(&command, &usual);
            match (verb.as_str(), reply.starts_with('2')) {
                ("MAIL", is_good) => taken = (is_good, 0),
                ("RCPT", true) => taken.1 += 1,
                ("DATA" | "RSET", _) => taken.0 = false,
                _ => {}
            }
            if verb == "DATA" && reply == ENOUGH {
                stream.get_mut().write_all(b"354 go on\r\n").await?;
                stream.read_exact(&mut [0; 1000]).await?;
                stream.get_mut().write_all(b"552 5.3.4 enough\r\n").await?;
                return Ok(());
            }
            if !say(stream, &reply).await? || verb == "QUIT" {
                return Ok(());
            }
            if verb == "DATA" && reply.starts_with("354") {
                self.content(stream).await?;
                if !say(stream, &self.reply("content", "250 2.0.0 taken")).await? {
                    return Ok(());
                }
            }
        }
    }

    fn ehlo_reply(&self) -> String {
        let last = self.ehlo.len() - 1;
        let line = |(at, text): (usize, &String)| format!("250{}{text}", if at == last { ' ' } else { '-' });
        self.ehlo.iter().enumerate().map(line).collect::<Vec<_>>().join("\r\n")
    }

    /// Reads to the lone dot.
    async fn content(&self, stream: &mut BufReader<TcpStream>) -> std::io::Result<()> {
        let mut message = Vec::new();
        loop {
            let mut line = Vec::new();
            if stream.read_until(b'\n', &mut line).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if line == b".\r\n" {
                break;
            }
            message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
        self.heard.lock().unwrap().messages.push(String::from_utf8_lossy(&message).into_owned());
        Ok(())
    }
}

async fn say(stream: &mut BufReader<TcpStream>, reply: &str) -> std::io::Result<bool> {
    match reply {
        DROP => return Ok(false),
        SILENCE => return Ok(true),
        _ => {}
    }
    stream.get_mut().write_all(format!("{reply}\r\n").as_bytes()).await?;
    Ok(true)
}
