//! IMAP URLs as CATENATE has them: relative ones, of messages and their parts (RFC 4469 §3, RFC 5092).
//!
//! Others, with a scheme or a server in them, are not for CATENATE, and are refused as any that cannot be read.

use crate::command::{Section, SectionText};
use crate::ext::fetch;
use crate::lex::Lexer;
use crate::parse::{self, Names};

/// Longest URL in octets.
pub const URL_MAX: usize = 4096;

/// A message, or a piece of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// `None`: the selected mailbox.
    pub mailbox: Option<String>,
    pub uidvalidity: Option<u32>,
    pub uid: u32,
    pub section: Section,
    /// Octets of the section: from where, and how many (RFC 5092 §6, `;PARTIAL=`).
    pub partial: Option<(u64, Option<u64>)>,
}

impl Url {
    /// Reads a URL; `None` if it is not one of a message of the own account.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > URL_MAX || text.starts_with("//") {
            return None;
        }
        let (path, parameters) =
            text.find(";UID=").or_else(|| find(text, ";uid=")).map(|at| text.split_at(at))?;
        let (mailbox, uidvalidity) = mailbox(path)?;
        let mut parameters = parameters.split('/').map(parameter);
        let (_, uid) = parameters.next()??;
        let mut url = Self {
            mailbox,
            uidvalidity,
            uid: nz_number(&uid)?,
            section: Section { part: Vec::new(), what: SectionText::Whole },
            partial: None,
        };
        let mut rank = 0;
        for parameter in parameters {
            let (name, value) = parameter?;
            // In this order, and each once.
            let place = match name.as_str() {
                "SECTION" => {
                    url.section = section(&value)?;
                    1
                }
                "PARTIAL" => {
                    url.partial = Some(range(&value)?);
                    2
                }
                _ => return None,
            };
            if place <= rank {
                return None;
            }
            rank = place;
        }
        Some(url)
    }
}

/// Where `word` begins in any case.
fn find(text: &str, word: &str) -> Option<usize> {
    text.to_ascii_lowercase().find(word)
}

/// `/Drafts;UIDVALIDITY=5/`, or nothing for the selected mailbox.
fn mailbox(path: &str) -> Option<(Option<String>, Option<u32>)> {
    if path.is_empty() || path == "/" {
        return path.is_empty().then_some((None, None));
    }
    let path = path.strip_prefix('/')?.strip_suffix('/')?;
    let (name, uidvalidity) = match path.split_once(';') {
        None => (path, None),
        Some((name, rest)) => {
            let (word, value) = parameter(&format!(";{rest}"))?;
            (name, Some(nz_number(&value).filter(|_| word == "UIDVALIDITY")?))
        }
    };
    let name = parse::name(&decode(name)?, Names::Utf8).ok()?;
    Some((Some(name), uidvalidity))
}

/// `;NAME=value`: the name in capitals, the value without its escapes.
fn parameter(text: &str) -> Option<(String, Vec<u8>)> {
    let (name, value) = text.strip_prefix(';')?.split_once('=')?;
    Some((name.to_ascii_uppercase(), decode(value)?))
}

fn nz_number(digits: &[u8]) -> Option<u32> {
    let mut lexer = Lexer::new(digits);
    lexer.nz_number().ok().filter(|_| lexer.is_end())
}

fn section(text: &[u8]) -> Option<Section> {
    if text.is_empty() {
        return None;
    }
    let closed = [text, b"]"].concat();
    let mut lexer = Lexer::new(&closed);
    let section = fetch::section(&mut lexer).ok()?;
    lexer.expect(b']').ok()?;
    lexer.is_end().then_some(section)
}

/// `origin` or `origin.length`.
fn range(text: &[u8]) -> Option<(u64, Option<u64>)> {
    let mut lexer = Lexer::new(text);
    let origin = lexer.number().ok()?;
    let length = if lexer.take(b'.') { Some(lexer.number().ok().filter(|n| *n > 0)?) } else { None };
    lexer.is_end().then_some((origin, length))
}

/// Takes off `%41`; octets that a URL may not hold are refused (RFC 3986 §2.1).
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        out.push(match octet {
            b'%' => hex(octets.next()?)? * 16 + hex(octets.next()?)?,
            b'!'..=b'~' => octet,
            _ => return None,
        });
    }
    Some(out)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|n| u8::try_from(n).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_messages() {
        for (text, want) in [
            ("/Drafts;UIDVALIDITY=385759045/;UID=20", "Some(\"Drafts\") Some(385759045) 20 [] Whole None"),
            ("/Drafts/;UID=20/;section=HEADER", "Some(\"Drafts\") None 20 [] Header None"),
            ("/a/b/;UID=1/;Section=1.MIME", "Some(\"a/b\") None 1 [1] Mime None"),
            ("/inbox/;uid=1/;SECTION=1.2/;PARTIAL=5", "Some(\"INBOX\") None 1 [1, 2] Whole Some((5, None))"),
            (";UID=4294967295/;PARTIAL=0.1024", "None None 4294967295 [] Whole Some((0, Some(1024)))"),
            ("/Entw%C3%BCrfe/;UID=1", "Some(\"Entwürfe\") None 1 [] Whole None"),
            ("/%26/;UID=1/;SECTION=TEXT", "Some(\"&\") None 1 [] Text None"),
            (
                "/x/;UID=1/;SECTION=HEADER.FIELDS%20(Date%20%22From%22)",
                "Some(\"x\") None 1 [] HeaderFields([\"Date\", \"From\"]) None",
            ),
        ] {
            let url = Url::parse(text).unwrap_or_else(|| panic!("{text}"));
            let Url { mailbox, uidvalidity, uid, section, partial } = url;
            let got = format!(
                "{mailbox:?} {uidvalidity:?} {uid} {:?} {:?} {partial:?}",
                section.part, section.what
            );
            assert_eq!(got, want, "{text}");
        }
    }

    #[test]
    fn what_is_none() {
        for text in [
            "",
            "/",
            "/Drafts",
            "/Drafts;UID=1",
            "Drafts/;UID=1",
            "//host/Drafts/;UID=1",
            "imap://alice@mx.example.org/Drafts/;UID=1",
            "/Drafts/;UID=0",
            "/Drafts/;UID=1:2",
            "/Drafts/;UID=*",
            "/Drafts/;UID=99999999999",
            "/Drafts;UIDVALIDITY=/;UID=1",
            "/Drafts;TYPE=LIST/;UID=1",
            "/Drafts/;UID=1/",
            "/Drafts/;UID=1/;SECTION=",
            "/Drafts/;UID=1/;SECTION=1.",
            "/Drafts/;UID=1/;SECTION=NOTHING",
            "/Drafts/;UID=1/;SECTION=1/;SECTION=2",
            "/Drafts/;UID=1/;PARTIAL=1/;SECTION=2",
            "/Drafts/;UID=1/;PARTIAL=",
            "/Drafts/;UID=1/;PARTIAL=1.0",
            "/Drafts/;UID=1/;PARTIAL=1.2.3",
            "/Drafts/;UID=1/;URLAUTH=anonymous",
            "/%/;UID=1",
            "/%C3/;UID=1",
            "/%00/;UID=1",
            "/a b/;UID=1",
            "/ü/;UID=1",
        ] {
            assert_eq!(Url::parse(text), None, "{text}");
        }
        assert_eq!(Url::parse(&format!("/{}/;UID=1", "a".repeat(URL_MAX))), None);
    }
}
