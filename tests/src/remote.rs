//! Another mail server, played: well-behaved until it is told otherwise. It keeps the mails that it accepted.

use crate::glob::is_like;
use crate::wait::eventually;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A mail that was accepted.
#[derive(Clone, Debug)]
pub struct Received {
    /// The MAIL command's path and parameters: `<a@b> SIZE=5`.
    pub from: String,
    /// The RCPT commands' paths and parameters.
    pub to: Vec<String>,
    /// As it was sent, without the doubled dots.
    pub message: String,
    pub hello: String,
    pub tls: bool,
}

/// What a rule does.
#[derive(Clone, Debug)]
enum Act {
    Reply(String),
    /// Ends the connection without a word.
    Drop,
    Wait(Duration),
}

struct Rule {
    pattern: String,
    act: Act,
    /// How often it still applies.
    times: usize,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    mails: Vec<Received>,
    commands: Vec<String>,
    connections: usize,
    tls: Option<Arc<ServerConfig>>,
    /// Extensions that are offered, but for STARTTLS.
    offers: Vec<String>,
}

/// A fake mail server on a loopback address.
pub struct Remote {
    ip: Ipv4Addr,
    port: u16,
    state: Arc<Mutex<State>>,
    stopped: Arc<AtomicBool>,
}

impl Remote {
    pub(crate) fn start(ip: Ipv4Addr, port: u16) -> Self {
        let remote = Self { ip, port, state: Arc::default(), stopped: Arc::new(AtomicBool::new(true)) };
        remote.offer(&["PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 104857600", "DSN", "ENHANCEDSTATUSCODES"]);
        remote.start_again();
        remote
    }

    /// Listens again after [`Remote::stop`].
    pub fn start_again(&self) {
        let listener = TcpListener::bind((self.ip, self.port))
            .unwrap_or_else(|error| panic!("no remote server on {}:{}: {error}", self.ip, self.port));
        self.stopped.store(false, Ordering::SeqCst);
        let (state, stopped) = (self.state.clone(), self.stopped.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let state = state.clone();
                // A client that goes away ends its own conversation only.
                thread::spawn(move || Session::new(stream, state).run());
            }
        });
    }

    /// Stops listening: connections are refused from now on.
    pub fn stop(&self) {
        if !self.stopped.swap(true, Ordering::SeqCst) {
            // The listener wakes up, sees the word and closes its socket.
            let _ = TcpStream::connect((self.ip, self.port));
            eventually("the remote server stops", || {
                TcpStream::connect((self.ip, self.port)).is_err().then_some(())
            });
        }
    }

    /// From now on, commands like the pattern get this reply. `CONNECT` is the greeting, `.` the end of data;
    /// later rules win.
    pub fn rule(&self, pattern: &str, reply: &str) {
        self.add(pattern, Act::Reply(reply.to_owned()), usize::MAX);
    }

    /// The same for so many times only.
    pub fn rule_times(&self, times: usize, pattern: &str, reply: &str) {
        self.add(pattern, Act::Reply(reply.to_owned()), times);
    }

    /// The next command like the pattern ends the connection without a word. `DATA+` is in the middle of the data.
    pub fn drop_once(&self, pattern: &str) {
        self.add(pattern, Act::Drop, 1);
    }

    /// Answers to commands like the pattern come late.
    pub fn slow(&self, pattern: &str, by: Duration) {
        self.add(pattern, Act::Wait(by), usize::MAX);
    }

    fn add(&self, pattern: &str, act: Act, times: usize) {
        let rule = Rule { pattern: pattern.to_owned(), act, times };
        self.state.lock().unwrap().rules.insert(0, rule);
    }

    /// Forgets all rules.
    pub fn behave(&self) {
        self.state.lock().unwrap().rules.clear();
    }

    /// Offers just these extensions, and STARTTLS if it has a certificate. All that is sent by DATA or BDAT is understood.
    pub fn offer(&self, offers: &[&str]) {
        self.state.lock().unwrap().offers = offers.iter().map(|offer| (*offer).to_owned()).collect();
    }

    /// Offers STARTTLS with this certificate.
    pub fn offer_tls(&self, files: &net::CertFiles) {
        let chain = CertificateDer::pem_file_iter(&files.chain).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        self.state.lock().unwrap().tls = Some(Arc::new(config));
    }

    /// The mails that were accepted so far.
    pub fn mails(&self) -> Vec<Received> {
        self.state.lock().unwrap().mails.clone()
    }

    /// Waits until so many mails were accepted, or more.
    pub fn wait_mails(&self, wanted: usize) -> Vec<Received> {
        eventually(&format!("{wanted} mails at {}", self.ip), || {
            let mails = self.mails();
            (mails.len() >= wanted).then_some(mails)
        })
    }

    /// All commands so far.
    pub fn commands(&self) -> Vec<String> {
        self.state.lock().unwrap().commands.clone()
    }

    /// Waits until a command like the pattern was heard.
    pub fn wait_command(&self, pattern: &str) {
        eventually(&format!("{pattern} at {}", self.ip), || {
            self.commands().iter().any(|command| is_like(command, pattern)).then_some(())
        });
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if !self.stopped.swap(true, Ordering::SeqCst) {
            let _ = TcpStream::connect((self.ip, self.port));
        }
    }
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// One conversation.
struct Session {
    stream: BufReader<Box<dyn Stream>>,
    /// The socket in clear, until TLS takes it.
    tcp: Option<TcpStream>,
    state: Arc<Mutex<State>>,
    hello: String,
    from: Option<String>,
    to: Vec<String>,
    chunks: Vec<u8>,
}

/// The conversation is over.
struct Over;

impl From<io::Error> for Over {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl Session {
    fn new(stream: TcpStream, state: Arc<Mutex<State>>) -> Self {
        let _ = stream.set_read_timeout(Some(Duration::from_secs(120)));
        let tcp = stream.try_clone().ok();
        state.lock().unwrap().connections += 1;
        let stream = BufReader::new(Box::new(stream) as Box<dyn Stream>);
        Self { stream, tcp, state, hello: String::new(), from: None, to: Vec::new(), chunks: Vec::new() }
    }

    fn run(mut self) {
        let _ = self.talk();
    }

    fn talk(&mut self) -> Result<(), Over> {
        self.answer("CONNECT", "220 remote.test ready")?;
        loop {
            let command = self.line()?;
            self.state.lock().unwrap().commands.push(command.clone());
            let (verb, rest) = command.split_once(' ').unwrap_or((&command, ""));
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" | "HELO" => {
                    self.hello = rest.to_owned();
                    let offers = self.offers();
                    self.answer(&command, &offers)?;
                }
                "MAIL" => {
                    if self.answer(&command, "250 2.1.0 ok")? {
                        self.from = Some(after_colon(rest));
                        self.to.clear();
                    }
                }
                "RCPT" => {
                    if self.answer(&command, "250 2.1.5 ok")? {
                        self.to.push(after_colon(rest));
                    }
                }
                "DATA" => self.data()?,
                "BDAT" => self.chunk(rest)?,
                "STARTTLS" => self.start_tls(&command)?,
                "RSET" => {
                    self.from = None;
                    self.to.clear();
                    self.answer(&command, "250 2.0.0 ok")?;
                }
                "NOOP" => drop(self.answer(&command, "250 2.0.0 ok")?),
                "QUIT" => {
                    self.answer(&command, "221 2.0.0 bye")?;
                    return Ok(());
                }
                _ => drop(self.answer(&command, "500 5.5.1 unknown")?),
            }
        }
    }

    fn offers(&self) -> String {
        let state = self.state.lock().unwrap();
        let mut offers = vec!["remote.test"];
        if self.tcp.is_some() && state.tls.is_some() {
            offers.push("STARTTLS");
        }
        offers.extend(state.offers.iter().map(String::as_str));
        let last = offers.len() - 1;
        let lines = offers.iter().enumerate();
        let lines = lines.map(|(n, offer)| format!("250{}{offer}", if n == last { ' ' } else { '-' }));
        lines.collect::<Vec<_>>().join("\r\n")
    }

    fn data(&mut self) -> Result<(), Over> {
        if self.to.is_empty() {
            self.answer("DATA", "554 5.5.1 no valid recipients")?;
            return Ok(());
        }
        if !self.answer("DATA", "354 go on")? {
            return Ok(());
        }
        let mut message = String::new();
        loop {
            let line = self.line()?;
            if self.act_for("DATA+").is_some() {
                return Err(Over);
            }
            if line == "." {
                break;
            }
            message.push_str(line.strip_prefix('.').unwrap_or(&line));
            message.push_str("\r\n");
        }
        self.end_of_data(message)
    }

    /// A chunk (RFC 3030 §2); the text of the chunks so far is kept between them.
    fn chunk(&mut self, parameters: &str) -> Result<(), Over> {
        let (size, last) = parameters.split_once(' ').map_or((parameters, false), |(size, _)| (size, true));
        let size: u64 = size.parse().map_err(|_| Over)?;
        let read = (&mut self.stream).take(size).read_to_end(&mut self.chunks)?;
        if self.act_for("DATA+").is_some() || (read as u64) < size {
            return Err(Over);
        }
        if !last {
            self.answer("BDAT", "250 2.0.0 go on")?;
            return Ok(());
        }
        let message = String::from_utf8_lossy(&std::mem::take(&mut self.chunks)).into_owned();
        if self.to.is_empty() {
            self.answer("BDAT", "554 5.5.1 no valid recipients")?;
            return Ok(());
        }
        self.end_of_data(message)
    }

    /// Keeps the message before it is answered, so that whoever sees the answer sees the message.
    fn end_of_data(&mut self, message: String) -> Result<(), Over> {
        let received = Received {
            from: self.from.take().unwrap_or_default(),
            to: std::mem::take(&mut self.to),
            message,
            hello: self.hello.clone(),
            tls: self.tcp.is_none(),
        };
        match self.act_for(".") {
            None => {
                self.state.lock().unwrap().mails.push(received);
                self.say("250 2.0.0 accepted")
            }
            // Accepted, but nobody hears of it.
            Some(Act::Drop) => {
                self.state.lock().unwrap().mails.push(received);
                Err(Over)
            }
            Some(Act::Wait(by)) => {
                thread::sleep(by);
                self.state.lock().unwrap().mails.push(received);
                self.say("250 2.0.0 accepted")
            }
            Some(Act::Reply(reply)) => self.say(&reply),
        }
    }

    fn start_tls(&mut self, command: &str) -> Result<(), Over> {
        let config = self.state.lock().unwrap().tls.clone();
        let (Some(config), Some(tcp)) = (config, self.tcp.take()) else {
            self.answer(command, "502 5.5.1 no TLS here")?;
            return Ok(());
        };
        if !self.answer(command, "220 2.0.0 go on")? {
            self.tcp = Some(tcp);
            return Ok(());
        }
        let tls = ServerConnection::new(config).map_err(|_| Over)?;
        self.stream = BufReader::new(Box::new(StreamOwned::new(tls, tcp)));
        (self.from, self.hello) = (None, String::new());
        Ok(())
    }

    /// Answers as the rules say, or with `usual`; whether the answer was positive.
    fn answer(&mut self, command: &str, usual: &str) -> Result<bool, Over> {
        let reply = match self.act_for(command) {
            None => usual.to_owned(),
            Some(Act::Reply(reply)) => reply,
            Some(Act::Drop) => return Err(Over),
            Some(Act::Wait(by)) => {
                thread::sleep(by);
                usual.to_owned()
            }
        };
        self.say(&reply)?;
        Ok(reply.starts_with(['2', '3']))
    }

    fn act_for(&self, command: &str) -> Option<Act> {
        let mut state = self.state.lock().unwrap();
        let rule = state.rules.iter_mut().find(|rule| rule.times > 0 && is_like(command, &rule.pattern))?;
        rule.times -= 1;
        Some(rule.act.clone())
    }

    fn say(&mut self, reply: &str) -> Result<(), Over> {
        let stream = self.stream.get_mut();
        stream.write_all(format!("{reply}\r\n").as_bytes())?;
        Ok(stream.flush()?)
    }

    fn line(&mut self) -> Result<String, Over> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Err(Over);
        }
        Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
    }
}

fn after_colon(text: &str) -> String {
    text.split_once(':').map_or(text, |(_, path)| path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Chat, Smtp, free_port, message};

    #[test]
    fn it_keeps_mails_and_does_as_it_is_told() {
        let port = free_port();
        let remote = Remote::start(Ipv4Addr::LOCALHOST, port);
        let dir = tempfile::tempdir().unwrap();
        let files = net::demo_ca(dir.path(), &[], &world::SystemClock).unwrap();
        remote.offer_tls(&files.leaf);
        remote.rule("RCPT TO:<bad@*", "550 5.1.1 no");
        remote.rule_times(1, "MAIL*", "451 4.7.1 later");

        let mut smtp = Smtp::begin(Chat::connect(port));
        assert!(smtp.offers.contains(&"STARTTLS".to_owned()));
        smtp.command("MAIL FROM:<a@a.test>", "451*");
        smtp = smtp.start_tls(&files.ca);
        assert!(!smtp.offers.contains(&"STARTTLS".to_owned()));
        smtp.command("MAIL FROM:<a@a.test>", "250*");
        smtp.command("RCPT TO:<bad@b.test>", "550*");
        let text = message("a@a.test", "b@b.test", "one", ".dot\n..dots");
        smtp.deliver("a@a.test", &["b@b.test"], &text);
        let mails = remote.wait_mails(1);
        assert_eq!(mails[0].message, text);
        assert_eq!(mails[0].to, ["<b@b.test>"]);
        assert!(mails[0].tls);

        remote.drop_once("DATA+");
        assert!(smtp.try_deliver("a@a.test", &["b@b.test"], &text).is_err());
        assert_eq!(remote.mails().len(), 1);
        remote.drop_once(".");
        let mut smtp = Smtp::begin(Chat::connect(port));
        assert!(smtp.try_deliver("a@a.test", &["b@b.test"], &text).is_err());
        assert_eq!(remote.mails().len(), 2);
        assert_eq!(remote.connections(), 2);
        remote.stop();
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    }
}
