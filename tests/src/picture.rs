//! Everything that a reader can see of an account, to be compared with another, or with itself at another time.

use crate::imap::Imap;
use std::collections::BTreeMap;

/// Mailboxes by name: what LIST says of them, and their messages in order, each with its flags and its date.
pub type Picture = BTreeMap<String, (String, Vec<String>)>;

impl Imap {
    /// Looks at everything. Selects one mailbox after the other.
    pub fn picture(&mut self) -> Picture {
        let mut picture = Picture::new();
        for line in self.ok("LIST \"\" \"*\" RETURN (SUBSCRIBED SPECIAL-USE)") {
            let Some(line) = line.strip_prefix("* LIST (") else { continue };
            let (attributes, rest) = line.split_once(") ").expect("LIST ends its attributes");
            let name = rest.split_once(' ').expect("LIST says a name").1.trim_matches('"').to_owned();
            let mut attributes: Vec<&str> = attributes.split(' ').collect();
            attributes.sort_unstable();
            let attributes = attributes.join(" ");
            let messages = self.messages_of(&name);
            picture.insert(name, (attributes, messages));
        }
        picture
    }

    fn messages_of(&mut self, mailbox: &str) -> Vec<String> {
        if self.count(mailbox) == 0 {
            return Vec::new();
        }
        let responses = self.ok("FETCH 1:* (FLAGS INTERNALDATE BODY.PEEK[])");
        let fetched = responses.iter().filter(|line| line.contains(" FETCH ("));
        fetched.map(|line| with_sorted_flags(line)).collect()
    }
}

/// A response to FETCH without its number, with flags in order.
fn with_sorted_flags(response: &str) -> String {
    let (_, rest) = response.split_once("FLAGS (").unwrap_or_else(|| panic!("no flags: {response}"));
    let (flags, rest) = rest.split_once(')').expect("flags end");
    let mut flags: Vec<String> =
        flags.split(' ').filter(|flag| *flag != "\\Recent").map(str::to_lowercase).collect();
    flags.sort_unstable();
    format!("({}){rest}", flags.join(" "))
}
