//! As much of XML as reports need: elements and their text. What declares entities is refused, so nothing can grow.

use super::ReportError;

/// Deepest nesting.
const DEPTH_MAX: usize = 32;
/// Longest name of an element, in octets.
const NAME_MAX: usize = 128;
/// Longest text of one element, in octets; the rest is dropped.
const TEXT_MAX: usize = 4096;

/// What a document consists of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// An element begins; its local name.
    Begin(String),
    /// It ends; all text that stood directly in it.
    End(String, String),
}

/// Reads a document from its front.
pub(super) struct Reader<'a> {
    rest: &'a str,
    /// Names as written and texts of the elements that are open.
    open: Vec<(&'a str, String)>,
    /// An element without content is two events.
    closing: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text, open: Vec::new(), closing: false }
    }

    /// The path to where the reader stands, local names.
    pub(super) fn path(&self) -> impl DoubleEndedIterator<Item = &'a str> + '_ {
        self.open.iter().map(|(name, _)| local(name))
    }

    /// The next event; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Event>, ReportError> {
        if std::mem::take(&mut self.closing) {
            return self.close();
        }
        loop {
            let (text, markup) = match self.rest.find('<') {
                Some(at) => self.rest.split_at(at),
                None if self.open.is_empty() => return Ok(None),
                None => return Err(ReportError::Xml("it ends in the middle")),
            };
            self.text(text)?;
            self.rest = markup;
            if let Some(after) = markup.strip_prefix("<!--") {
                self.rest = behind(after, "-->")?;
            } else if let Some(after) = markup.strip_prefix("<![CDATA[") {
                let end = after.find("]]>").ok_or(ReportError::Xml("it ends in the middle"))?;
                self.push(after.get(..end).unwrap_or_default());
                self.rest = behind(after, "]]>")?;
            } else if let Some(after) = markup.strip_prefix("<?") {
                self.rest = behind(after, "?>")?;
            } else if markup.starts_with("<!") {
                return Err(ReportError::Xml("it declares things of its own"));
            } else if let Some(after) = markup.strip_prefix("</") {
                let end = after.find('>').ok_or(ReportError::Xml("it ends in the middle"))?;
                let name = after.get(..end).unwrap_or_default().trim_end();
                self.rest = after.get(end + 1..).unwrap_or_default();
                if self.open.last().map(|(open, _)| *open) != Some(name) {
                    return Err(ReportError::Xml("an element ends that did not begin"));
                }
                return self.close();
            } else {
                return self.begin(markup.get(1..).unwrap_or_default()).map(Some);
            }
        }
    }

    fn begin(&mut self, tag: &'a str) -> Result<Event, ReportError> {
        let end = end_of_tag(tag).ok_or(ReportError::Xml("it ends in the middle"))?;
        let inner = tag.get(..end).unwrap_or_default();
        self.rest = tag.get(end + 1..).unwrap_or_default();
        let (inner, is_empty) = match inner.strip_suffix('/') {
            Some(inner) => (inner, true),
            None => (inner, false),
        };
        let name = inner.split_ascii_whitespace().next().unwrap_or_default();
        if name.is_empty() || name.len() > NAME_MAX || !inner.starts_with(name) {
            return Err(ReportError::Xml("an element has no name, or a very long one"));
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(ReportError::Xml("it is nested too deeply"));
        }
        self.open.push((name, String::new()));
        self.closing = is_empty;
        Ok(Event::Begin(local(name).to_owned()))
    }

    fn close(&mut self) -> Result<Option<Event>, ReportError> {
        let (name, text) = self.open.pop().ok_or(ReportError::Xml("an element ends that did not begin"))?;
        Ok(Some(Event::End(local(name).to_owned(), text)))
    }

    /// Character data, its references resolved.
    fn text(&mut self, text: &str) -> Result<(), ReportError> {
        let mut rest = text;
        while let Some(at) = rest.find('&') {
            let (before, reference) = rest.split_at(at);
            self.push(before);
            let end = reference.find(';').ok_or(ReportError::Xml("a reference does not end"))?;
            let name = reference.get(1..end).unwrap_or_default();
            let meant = resolve(name).ok_or(ReportError::Xml("a reference is not known"))?;
            self.push(meant.encode_utf8(&mut [0; 4]));
            rest = reference.get(end + 1..).unwrap_or_default();
        }
        self.push(rest);
        Ok(())
    }

    fn push(&mut self, text: &str) {
        if let Some((_, kept)) = self.open.last_mut()
            && kept.len() + text.len() <= TEXT_MAX
        {
            kept.push_str(text);
        }
    }
}

/// The five entities that XML has, and characters by number.
fn resolve(name: &str) -> Option<char> {
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        name => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

/// Where the `>` of a tag stands; values of attributes may hold one.
fn end_of_tag(tag: &str) -> Option<usize> {
    let mut quote = None;
    for (at, octet) in tag.bytes().enumerate() {
        match (quote, octet) {
            (None, b'"' | b'\'') => quote = Some(octet),
            (None, b'>') => return Some(at),
            (Some(open), octet) if open == octet => quote = None,
            _ => {}
        }
    }
    None
}

fn behind<'a>(text: &'a str, end: &str) -> Result<&'a str, ReportError> {
    text.split_once(end).map(|(_, after)| after).ok_or(ReportError::Xml("it ends in the middle"))
}

fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}
