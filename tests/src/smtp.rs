//! The client side of SMTP, as a test speaks it.

use crate::chat::Chat;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::io;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::Arc;

/// A conversation in SMTP; it is a [`Chat`] too.
pub struct Smtp {
    chat: Chat,
    /// What the server offered at the last EHLO.
    pub offers: Vec<String>,
}

impl Deref for Smtp {
    type Target = Chat;

    fn deref(&self) -> &Chat {
        &self.chat
    }
}

impl DerefMut for Smtp {
    fn deref_mut(&mut self) -> &mut Chat {
        &mut self.chat
    }
}

impl Smtp {
    /// Hears the greeting and says EHLO.
    pub fn begin(mut chat: Chat) -> Self {
        chat.expect("220*");
        Self::after_greeting(chat)
    }

    /// Says EHLO; the greeting was heard before.
    pub fn after_greeting(chat: Chat) -> Self {
        let mut smtp = Self { chat, offers: Vec::new() };
        smtp.hello();
        smtp
    }

    /// Says EHLO.
    pub fn hello(&mut self) {
        self.chat.say("EHLO client.test");
        self.offers = self.reply_lines().into_iter().skip(1).map(|line| line[4..].to_owned()).collect();
    }

    /// All lines of a reply, which must be positive.
    #[track_caller]
    fn reply_lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.chat.hear();
            assert!(line.starts_with('2'), "refused: {line}\n{}", self.chat.said());
            let is_last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line);
            if is_last {
                return lines;
            }
        }
    }

    /// The last line of a reply, whatever it says.
    pub fn reply(&mut self) -> String {
        loop {
            let line = self.chat.hear();
            if line.as_bytes().get(3) != Some(&b'-') {
                return line;
            }
        }
    }

    /// Says a command; the last line of the reply must be like the pattern.
    #[track_caller]
    pub fn command(&mut self, command: &str, pattern: &str) -> String {
        self.chat.say(command);
        let reply = self.reply();
        assert!(
            crate::is_like(&reply, pattern),
            "{command}: wanted {pattern}, heard {reply}\n{}",
            self.chat.said()
        );
        reply
    }

    /// STARTTLS, and EHLO once more.
    #[must_use]
    pub fn start_tls(self, ca: &Path) -> Self {
        self.start_tls_with(&Chat::tls_client(ca, None))
    }

    /// The same as such a client.
    #[must_use]
    pub fn start_tls_with(mut self, config: &Arc<rustls::ClientConfig>) -> Self {
        self.command("STARTTLS", "220*");
        let mut smtp = Self { chat: self.chat.into_tls_with(config), offers: Vec::new() };
        smtp.hello();
        smtp
    }

    /// AUTH PLAIN.
    #[track_caller]
    pub fn log_in(&mut self, user: &str, password: &str) {
        let response = STANDARD.encode(format!("\0{user}\0{password}"));
        self.command(&format!("AUTH PLAIN {response}"), "235*");
    }

    /// A whole mail; the reply to the end of data, which must be 250.
    #[track_caller]
    pub fn deliver(&mut self, from: &str, to: &[&str], message: &str) -> String {
        self.command(&format!("MAIL FROM:<{from}>"), "250*");
        for to in to {
            self.command(&format!("RCPT TO:<{to}>"), "25*");
        }
        self.data(message, "250*")
    }

    /// DATA and a message; the reply at its end must be like the pattern.
    #[track_caller]
    pub fn data(&mut self, message: &str, pattern: &str) -> String {
        self.command("DATA", "354*");
        self.chat.send(stuffed(message).as_bytes());
        let reply = self.reply();
        assert!(crate::is_like(&reply, pattern), "wanted {pattern}, heard {reply}\n{}", self.chat.said());
        reply
    }

    /// A whole mail to a server that may die meanwhile: whether it said 250 at the end.
    pub fn try_deliver(&mut self, from: &str, to: &[&str], message: &str) -> io::Result<bool> {
        let mut commands = vec![format!("MAIL FROM:<{from}>")];
        commands.extend(to.iter().map(|to| format!("RCPT TO:<{to}>")));
        commands.push("DATA".to_owned());
        for command in commands {
            if !self.try_command(format!("{command}\r\n").as_bytes())? {
                return Ok(false);
            }
        }
        self.try_command(stuffed(message).as_bytes())
    }

    fn try_command(&mut self, octets: &[u8]) -> io::Result<bool> {
        self.chat.try_send(octets)?;
        let line = self.chat.try_hear()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(line.starts_with(['2', '3']))
    }
}

/// With dots doubled and the end of data (RFC 5321 §4.5.2).
fn stuffed(message: &str) -> String {
    let mut text = message.replace("\r\n.", "\r\n..");
    if text.starts_with('.') {
        text.insert(0, '.');
    }
    if !text.ends_with("\r\n") {
        text.push_str("\r\n");
    }
    text.push_str(".\r\n");
    text
}
