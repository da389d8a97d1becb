//! Address lists of header fields: From, To, Cc and their kin (RFC 5322 §3.4), with the obsolete syntax
//! (RFC 5322 §4.4) and the mistakes that are seen (RFC 7103 §7).

use crate::address::Address;
use crate::domain::{DOMAIN_MAX, Domain};
use crate::words;

/// Most mailboxes that are read from one field.
pub const MAILBOXES_MAX: usize = 1000;
/// Deepest nesting of comments that is understood.
const COMMENT_DEPTH_MAX: usize = 32;

/// One mailbox of a list, in raw octets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mailbox {
    /// The display name as written, without quotes; encoded words are still encoded.
    pub display: Option<Vec<u8>>,
    /// An obsolete source route, `@a,@b` (RFC 5322 §4.4).
    pub route: Option<Vec<u8>>,
    /// The local part without quotes.
    pub local: Vec<u8>,
    /// Empty if there is no `@`.
    pub domain: Vec<u8>,
}

impl Mailbox {
    /// The display name as a person reads it.
    pub fn name(&self) -> Option<String> {
        self.display.as_deref().map(words::decode).filter(|name| !name.is_empty())
    }

    /// The address, if it is one that mail can be sent to.
    pub fn address(&self) -> Option<Address> {
        let domain = Domain::parse(std::str::from_utf8(&self.domain).ok()?).ok()?;
        Address::new(std::str::from_utf8(&self.local).ok()?, domain).ok()
    }
}

/// For people: `Name <local@domain>`, encoded words decoded.
impl std::fmt::Display for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(name) = self.name() {
            write!(f, "{name} ")?;
        }
        write!(f, "<{}", String::from_utf8_lossy(&self.local))?;
        if !self.domain.is_empty() {
            write!(f, "@{}", String::from_utf8_lossy(&self.domain))?;
        }
        f.write_str(">")
    }
}

/// What stands between two commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    Mailbox(Mailbox),
    Group {
        /// As written, without quotes; encoded words are still encoded.
        name: Vec<u8>,
        members: Vec<Mailbox>,
    },
}

/// All mailboxes of a field's value, members of groups included.
pub fn mailboxes(value: &[u8]) -> Vec<Mailbox> {
    let mut out = Vec::new();
    for entry in parse(value) {
        match entry {
            Entry::Mailbox(mailbox) => out.push(mailbox),
            Entry::Group { members, .. } => out.extend(members),
        }
    }
    out
}

/// Reads the value of an address field, folded or not. Never fails: what is no address is left out.
pub fn parse(value: &[u8]) -> Vec<Entry> {
    let tokens = Lexer { octets: value, at: 0 }.run();
    let mut reader = Reader::default();
    for token in tokens {
        if reader.mailboxes >= MAILBOXES_MAX {
            break;
        }
        reader.take(token);
    }
    reader.end_mailbox();
    reader.end_group();
    reader.entries
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// Atoms, dots and encoded words; with whether a blank stood before it.
    Word {
        text: Vec<u8>,
        after: Gap,
    },
    /// A quoted string, quotes and escapes resolved.
    Quoted {
        text: Vec<u8>,
        after: Gap,
    },
    Comment(Vec<u8>),
    /// One of `< > @ , ; :`
    Mark(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gap {
    None,
    Blank,
}

struct Lexer<'a> {
    octets: &'a [u8],
    at: usize,
}

impl Lexer<'_> {
    fn run(mut self) -> Vec<Token> {
        let mut out = Vec::new();
        let mut after = Gap::None;
        while let Some(&octet) = self.octets.get(self.at) {
            match octet {
                b' ' | b'\t' | b'\r' | b'\n' => {
                    self.at += 1;
                    after = Gap::Blank;
                    continue;
                }
                b'"' => out.push(Token::Quoted { text: self.quoted(), after }),
                b'(' => out.push(Token::Comment(self.comment())),
                b'<' | b'>' | b'@' | b',' | b';' | b':' => {
                    out.push(Token::Mark(octet));
                    self.at += 1;
                }
                _ => out.push(Token::Word { text: self.word(), after }),
            }
            after = Gap::None;
        }
        out
    }

    fn word(&mut self) -> Vec<u8> {
        let start = self.at;
        // A domain literal may hold a colon.
        if self.octets[start] == b'['
            && let Some(len) = self.octets[start..].iter().take(DOMAIN_MAX).position(|b| *b == b']')
        {
            self.at = start + len + 1;
            return self.octets[start..self.at].to_vec();
        }
        let rest = &self.octets[start..];
        let stop = |b: &u8| b" \t\r\n\"(<>@,;:".contains(b);
        // An encoded word may hold marks where its writer was careless: it ends at `?=`.
        let encoded = if rest.starts_with(b"=?") { encoded_len(rest) } else { None };
        let len = encoded.or_else(|| rest.iter().position(stop)).unwrap_or(rest.len()).max(1);
        self.at = start + len;
        rest[..len].to_vec()
    }

    /// A quoted string that is not ended reaches to the end of the value.
    fn quoted(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        self.at += 1;
        while let Some(&octet) = self.octets.get(self.at) {
            self.at += 1;
            match octet {
                b'"' => break,
                b'\\' => {
                    if let Some(&escaped) = self.octets.get(self.at) {
                        text.push(escaped);
                        self.at += 1;
                    }
                }
                b'\r' | b'\n' => {}
                _ => text.push(octet),
            }
        }
        text
    }

    fn comment(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        let mut depth = 0;
        while let Some(&octet) = self.octets.get(self.at) {
            self.at += 1;
            match octet {
                b'(' => {
                    depth += 1;
                    if depth == 1 {
                        continue;
                    }
                    if depth > COMMENT_DEPTH_MAX {
                        self.at = self.octets.len();
                    }
                }
                b')' => {
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                }
                b'\\' => {
                    if let Some(&escaped) = self.octets.get(self.at) {
                        text.push(escaped);
                        self.at += 1;
                    }
                    continue;
                }
                b'\r' | b'\n' => continue,
                _ => {}
            }
            text.push(octet);
        }
        text
    }
}

/// Length of the encoded word at the start: to the `?=` after its third question mark.
fn encoded_len(octets: &[u8]) -> Option<usize> {
    let octets = &octets[..octets.len().min(words::WORD_READ_MAX)];
    let mut marks = octets.iter().enumerate().skip(2).filter(|(_, b)| **b == b'?').map(|(at, _)| at);
    let text = marks.nth(1)? + 1;
    let end = octets[text..].windows(2).position(|pair| pair == b"?=")?;
    let inside = &octets[..text + end];
    (!inside.iter().any(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'))).then_some(text + end + 2)
}

/// Where in a mailbox the reader is.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    /// Before any `<`: a display name, or a bare address.
    #[default]
    Phrase,
    /// Within `< >`.
    Angle,
    /// After `>`.
    Done,
}

/// Puts tokens together.
#[derive(Default)]
struct Reader {
    entries: Vec<Entry>,
    mailboxes: usize,
    group: Option<(Vec<u8>, Vec<Mailbox>)>,
    place: Place,
    /// Words before `<`, as one text.
    phrase: Vec<u8>,
    /// An address as it grows: local part, and the domain once `@` was seen.
    local: Vec<u8>,
    domain: Option<Vec<u8>>,
    route: Vec<u8>,
    comment: Option<Vec<u8>>,
    angle: bool,
}

impl Reader {
    fn take(&mut self, token: Token) {
        match token {
            Token::Word { text, after } | Token::Quoted { text, after } => self.word(&text, after),
            Token::Comment(text) => self.comment = Some(text),
            Token::Mark(b'<') if self.place == Place::Phrase => {
                self.place = Place::Angle;
                self.angle = true;
                // A bare address before `<` is a display name after all: `a@b <a@b>`.
                self.local.clear();
                self.domain = None;
            }
            Token::Mark(b'>') if self.place == Place::Angle => self.place = Place::Done,
            Token::Mark(b'@') => self.at_sign(),
            Token::Mark(b':') if self.place == Place::Angle => {
                // The end of a source route, `<@a,@b:user@c>`.
                self.route = vec![b'@'];
                self.route.extend(self.domain.take().unwrap_or_default());
                self.local.clear();
            }
            Token::Mark(b':') if self.place == Place::Phrase && self.group.is_none() => {
                self.group = Some((std::mem::take(&mut self.phrase), Vec::new()));
                self.clear();
            }
            // A comma within a source route is part of it.
            Token::Mark(b',') if self.place == Place::Angle && self.local.is_empty() => {
                if let Some(domain) = &mut self.domain {
                    domain.push(b',');
                }
            }
            Token::Mark(b',') => self.end_mailbox(),
            Token::Mark(b';') => {
                self.end_mailbox();
                self.end_group();
            }
            Token::Mark(_) => {}
        }
    }

    fn word(&mut self, text: &[u8], after: Gap) {
        if self.place == Place::Done {
            return;
        }
        if self.place == Place::Phrase {
            if after == Gap::Blank && !self.phrase.is_empty() {
                self.phrase.push(b' ');
            }
            self.phrase.extend_from_slice(text);
        }
        match &mut self.domain {
            Some(domain) => domain.extend_from_slice(text),
            None => {
                // Obsolete syntax allows blanks round the dots of a local part; words that only blanks
                // part are a phrase, of which an address would be the last.
                let joined = self.local.ends_with(b".") || text.starts_with(b".");
                if after == Gap::Blank && !joined && self.place == Place::Phrase {
                    self.local.clear();
                }
                self.local.extend_from_slice(text);
            }
        }
    }

    fn at_sign(&mut self) {
        if self.place == Place::Phrase {
            self.phrase.push(b'@');
        }
        match &mut self.domain {
            None => self.domain = Some(Vec::new()),
            Some(domain) => domain.push(b'@'),
        }
    }

    fn clear(&mut self) {
        self.place = Place::Phrase;
        self.phrase.clear();
        self.local.clear();
        self.domain = None;
        self.route.clear();
        self.comment = None;
        self.angle = false;
    }

    fn end_mailbox(&mut self) {
        let named = self.angle && !self.phrase.is_empty();
        // `user@host (Name)` is the older way to give a name.
        let display = if named { Some(self.phrase.clone()) } else { self.comment.take() };
        let mailbox = Mailbox {
            display: display.filter(|name| !name.is_empty()),
            route: (!self.route.is_empty()).then(|| self.route.clone()),
            local: std::mem::take(&mut self.local),
            domain: self.domain.take().unwrap_or_default(),
        };
        self.clear();
        if mailbox.local.is_empty() && mailbox.domain.is_empty() {
            return;
        }
        self.mailboxes += 1;
        match &mut self.group {
            Some((_, members)) => members.push(mailbox),
            None => self.entries.push(Entry::Mailbox(mailbox)),
        }
    }

    fn end_group(&mut self) {
        if let Some((name, members)) = self.group.take() {
            self.entries.push(Entry::Group { name, members });
        }
    }
}

#[cfg(test)]
#[path = "address_list_tests.rs"]
mod tests;
