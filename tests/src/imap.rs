//! The client side of IMAP, as a test speaks it.

use crate::chat::Chat;
use crate::glob::is_like;
use crate::wait::eventually;
use std::ops::{Deref, DerefMut};

/// A conversation in IMAP; it is a [`Chat`] too.
pub struct Imap {
    chat: Chat,
    tags: u32,
}

impl Deref for Imap {
    type Target = Chat;

    fn deref(&self) -> &Chat {
        &self.chat
    }
}

impl DerefMut for Imap {
    fn deref_mut(&mut self) -> &mut Chat {
        &mut self.chat
    }
}

impl Imap {
    /// Hears the greeting.
    pub fn begin(mut chat: Chat) -> Self {
        chat.expect("* OK*");
        Self { chat, tags: 0 }
    }

    pub fn log_in(&mut self, user: &str, password: &str) {
        self.ok(&format!("LOGIN \"{user}\" \"{password}\""));
    }

    /// One response, with its literals in place.
    pub fn response(&mut self) -> String {
        let mut response = self.chat.hear();
        while let Some(n) = literal_at_end(&response) {
            let octets = self.chat.hear_octets(n);
            response.push_str("\r\n");
            response.push_str(&String::from_utf8_lossy(&octets));
            let more = self.chat.hear();
            response.push_str(&more);
        }
        response
    }

    /// Says a command; its untagged responses and, last, what the tagged one says.
    pub fn run(&mut self, command: &str) -> Vec<String> {
        self.tags += 1;
        let tag = format!("t{}", self.tags);
        self.chat.say(&format!("{tag} {command}"));
        self.until(&tag)
    }

    fn until(&mut self, tag: &str) -> Vec<String> {
        let mut responses = Vec::new();
        loop {
            let response = self.response();
            if let Some(result) = response.strip_prefix(&format!("{tag} ")) {
                responses.push(result.to_owned());
                return responses;
            }
            responses.push(response);
        }
    }

    /// Says a command that must be done; its untagged responses.
    #[track_caller]
    pub fn ok(&mut self, command: &str) -> Vec<String> {
        let mut responses = self.run(command);
        let result = responses.pop().unwrap_or_default();
        assert!(result.starts_with("OK"), "{command}: {result}\n{}", self.chat.said());
        responses
    }

    /// Says a command that must be refused; what the refusal says.
    #[track_caller]
    pub fn no(&mut self, command: &str) -> String {
        let result = self.run(command).pop().unwrap_or_default();
        assert!(result.starts_with("NO"), "{command}: {result}\n{}", self.chat.said());
        result
    }

    /// APPEND; what the tagged response says, or `None` when the server went away.
    pub fn try_append(&mut self, mailbox: &str, message: &str) -> Option<String> {
        self.tags += 1;
        let tag = format!("t{}", self.tags);
        let command = format!("{tag} APPEND {mailbox} {{{}+}}\r\n{message}\r\n", message.len());
        self.chat.try_send(command.as_bytes()).ok()?;
        self.try_until(&tag)
    }

    /// Any other command without literals; what the tagged response says, or `None` when the server went away.
    pub fn try_run(&mut self, command: &str) -> Option<String> {
        self.tags += 1;
        let tag = format!("t{}", self.tags);
        self.chat.try_send(format!("{tag} {command}\r\n").as_bytes()).ok()?;
        self.try_until(&tag)
    }

    fn try_until(&mut self, tag: &str) -> Option<String> {
        loop {
            let line = self.chat.try_hear().ok()??;
            if let Some(result) = line.strip_prefix(&format!("{tag} ")) {
                return Some(result.to_owned());
            }
        }
    }

    /// Begins IDLE.
    pub fn idle(&mut self) {
        self.tags += 1;
        self.chat.say(&format!("t{} IDLE", self.tags));
        self.chat.expect("+*");
    }

    /// Ends IDLE; what came meanwhile.
    pub fn done(&mut self) -> Vec<String> {
        let tag = format!("t{}", self.tags);
        self.chat.say("DONE");
        self.until(&tag)
    }

    /// Hears responses until one is like the pattern.
    #[track_caller]
    pub fn wait_for(&mut self, pattern: &str) -> String {
        loop {
            let response = self.response();
            if is_like(&response, pattern) {
                return response;
            }
        }
    }

    /// Waits until the mailbox holds at least so many messages; the number it holds then. Selects it.
    pub fn wait_messages(&mut self, mailbox: &str, wanted: usize) -> usize {
        eventually(&format!("{wanted} messages in {mailbox}"), || {
            let n = self.count(mailbox);
            (n >= wanted).then_some(n)
        })
    }

    /// Selects a mailbox; how many messages it holds.
    pub fn count(&mut self, mailbox: &str) -> usize {
        let responses = self.ok(&format!("SELECT \"{mailbox}\""));
        let exists = responses.iter().find_map(|line| line.strip_prefix("* ")?.strip_suffix(" EXISTS"));
        exists.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("no EXISTS: {responses:?}"))
    }

    /// The whole text of a message of the selected mailbox, as it is stored.
    pub fn text(&mut self, number: usize) -> String {
        let responses = self.ok(&format!("FETCH {number} BODY.PEEK[]"));
        let response = responses
            .iter()
            .find(|line| is_like(line, &format!("* {number} FETCH (*BODY[]*")))
            .unwrap_or_else(|| panic!("no message {number}: {responses:?}"));
        literal_of(response)
    }

    /// The texts of all messages of a mailbox, which is selected.
    pub fn texts(&mut self, mailbox: &str) -> Vec<String> {
        if self.count(mailbox) == 0 {
            return Vec::new();
        }
        let responses = self.ok("FETCH 1:* BODY.PEEK[]");
        responses
            .iter()
            .filter(|line| is_like(line, "* * FETCH (*BODY[]*"))
            .map(|line| literal_of(line))
            .collect()
    }
}

/// The octets of the first literal of a response.
fn literal_of(response: &str) -> String {
    let (head, rest) = response.split_once("}\r\n").unwrap_or_else(|| panic!("no literal: {response}"));
    let n: usize = head.rsplit_once('{').and_then(|(_, n)| n.parse().ok()).unwrap_or(0);
    rest[..n].to_owned()
}

fn literal_at_end(line: &str) -> Option<usize> {
    let last = line.rsplit("\r\n").next()?;
    last.strip_suffix('}')?.rsplit_once('{')?.1.parse().ok()
}
