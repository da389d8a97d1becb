//! The MIME fields of a header: type, parameters, encoding and disposition (RFC 2045, RFC 2183, RFC 2231).

use super::decode::hex;
use crate::header;
use crate::words::from_charset;

/// Longest header of a part that is looked at, in octets.
pub(super) const PART_HEADER_MAX: usize = 64 * 1024;
/// Most parameters of one field that are kept.
const PARAMS_MAX: usize = 64;
/// Longest value that is kept, in octets.
const VALUE_MAX: usize = 4 * 1024;
/// Longest type, encoding or parameter name that is believed, in octets.
const TOKEN_MAX: usize = 127;

pub(super) type Param = (String, Vec<u8>);

/// The MIME fields of one header, as far as IMAP tells them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    /// Main type and subtype in capitals; `None`: not given or not understood.
    pub(super) media: Option<(String, String)>,
    pub(super) params: Vec<Param>,
    pub(super) encoding: Option<String>,
    pub(super) id: Option<Vec<u8>>,
    pub(super) description: Option<Vec<u8>>,
    pub(super) md5: Option<Vec<u8>>,
    pub(super) disposition: Option<(String, Vec<Param>)>,
    pub(super) language: Vec<Vec<u8>>,
    pub(super) location: Option<Vec<u8>>,
}

impl Fields {
    /// Reads a header; of a field that is there twice the first counts.
    pub(super) fn read(octets: &[u8]) -> Self {
        let mut out = Self::default();
        let mut media_seen = false;
        for field in header::fields(octets) {
            if field.name.len() < 8 || !field.name[..8].eq_ignore_ascii_case(b"content-") {
                continue;
            }
            let value = field.unfolded();
            let kept = || Some(value[..value.len().min(VALUE_MAX)].to_vec());
            match field.name[8..].to_ascii_lowercase().as_slice() {
                b"type" if !media_seen => {
                    media_seen = true;
                    (out.media, out.params) = content_type(&value);
                }
                b"transfer-encoding" if out.encoding.is_none() => out.encoding = first_token(&value),
                b"id" if out.id.is_none() => out.id = kept(),
                b"description" if out.description.is_none() => out.description = kept(),
                b"md5" if out.md5.is_none() => out.md5 = kept(),
                b"location" if out.location.is_none() => out.location = kept(),
                b"language" if out.language.is_empty() => out.language = languages(&value),
                b"disposition" if out.disposition.is_none() => {
                    out.disposition = first_token(&value).map(|token| (token, params(&value)));
                }
                _ => {}
            }
        }
        out
    }

    /// The part is told as something else than it says it is.
    pub(super) fn become_media(&mut self, main: &str, sub: &str) {
        self.media = Some((main.to_owned(), sub.to_owned()));
        self.params.clear();
    }

    /// A parameter of Content-Type.
    pub(super) fn param(&self, name: &str) -> Option<&[u8]> {
        self.params.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
    }

    /// The names that a file in it is to have: `filename` and `name`, charsets decoded, encoded words not.
    pub(super) fn file_names(&self) -> impl Iterator<Item = &[u8]> {
        let named = |wanted: &'static str| move |(name, _): &&Param| name.eq_ignore_ascii_case(wanted);
        let disposition = self.disposition.iter().flat_map(|(_, params)| params);
        let of_disposition = disposition.filter(named("filename"));
        of_disposition.chain(self.params.iter().filter(named("name"))).map(|(_, value)| value.as_slice())
    }

    /// How many octets of text this holds.
    pub(super) fn weight(&self) -> usize {
        let params = |list: &[Param]| list.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>();
        let text = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, Vec::len);
        params(&self.params)
            + text(&self.id)
            + text(&self.description)
            + text(&self.md5)
            + text(&self.location)
            + self.language.iter().map(Vec::len).sum::<usize>()
            + self.disposition.as_ref().map_or(0, |(_, list)| params(list))
    }
}

fn is_token(b: u8) -> bool {
    b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&b)
}

/// The token at the start of a value, in capitals; comments before it are passed over.
fn first_token(value: &[u8]) -> Option<String> {
    let value = skip_blank(value);
    let len = value.iter().position(|b| !is_token(*b)).unwrap_or(value.len());
    (1..=TOKEN_MAX).contains(&len).then(|| String::from_utf8_lossy(&value[..len]).to_ascii_uppercase())
}

/// Passes over blanks and comments.
fn skip_blank(mut value: &[u8]) -> &[u8] {
    loop {
        value = value.trim_ascii_start();
        if !value.starts_with(b"(") {
            return value;
        }
        let mut depth = 0_usize;
        let mut escaped = false;
        let end = value.iter().position(|b| {
            if std::mem::take(&mut escaped) {
                return false;
            }
            match b {
                b'\\' => escaped = true,
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        value = end.map_or(&[], |end| &value[end + 1..]);
    }
}

/// `type/subtype; parameters`. A type without a subtype is plain text if it says text, else unknown content.
fn content_type(value: &[u8]) -> (Option<(String, String)>, Vec<Param>) {
    let Some(main) = first_token(value) else { return (None, Vec::new()) };
    let rest = skip_blank(&skip_blank(value)[main.len()..]);
    let sub = rest.strip_prefix(b"/").and_then(first_token);
    let media = match (main.as_str(), sub) {
        (_, Some(sub)) => (main, sub),
        ("TEXT", None) => ("TEXT".to_owned(), "PLAIN".to_owned()),
        _ => ("APPLICATION".to_owned(), "OCTET-STREAM".to_owned()),
    };
    (Some(media), params(value))
}

fn languages(value: &[u8]) -> Vec<Vec<u8>> {
    let tags = value.split(|b| *b == b',').map(|tag| skip_blank(tag).trim_ascii_end().to_vec());
    tags.filter(|tag| !tag.is_empty() && tag.len() <= TOKEN_MAX).take(PARAMS_MAX).collect()
}

/// The parameters of a field, continuations joined and charsets decoded to UTF-8 (RFC 2231 §3, §4).
fn params(value: &[u8]) -> Vec<Param> {
    let mut out: Vec<Param> = Vec::new();
    let mut extended: Vec<Extended> = Vec::new();
    let mut rest = after_semicolon(value);
    for _ in 0..PARAMS_MAX {
        rest = skip_blank(rest);
        if rest.is_empty() {
            break;
        }
        let (param, after) = one_param(rest);
        rest = after_semicolon(after);
        let Some((name, value)) = param else { continue };
        match extended_name(&name) {
            Some((base, index, coding)) => add_piece(&mut extended, base, index, coding, value),
            None if out.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) => {}
            None => out.push((name, value)),
        }
    }
    for param in extended {
        // Where both forms are given the extended one says more (RFC 6266 §4.3 has the same rule for HTTP).
        out.retain(|(name, _)| !name.eq_ignore_ascii_case(&param.name));
        out.push((param.name.clone(), param.join()));
    }
    out
}

/// What follows the next semicolon outside quotes.
fn after_semicolon(value: &[u8]) -> &[u8] {
    let (mut quoted, mut escaped) = (false, false);
    let at = value.iter().position(|b| {
        if std::mem::take(&mut escaped) {
            return false;
        }
        match b {
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b';' => return !quoted,
            _ => {}
        }
        false
    });
    at.map_or(&[], |at| &value[at + 1..])
}

/// `name=value` at the start; and what follows it.
fn one_param(octets: &[u8]) -> (Option<Param>, &[u8]) {
    let len = octets.iter().position(|b| !is_token(*b)).unwrap_or(octets.len());
    let name = String::from_utf8_lossy(&octets[..len]).to_ascii_lowercase();
    let Some(rest) = skip_blank(&octets[len..]).strip_prefix(b"=") else { return (None, &octets[len..]) };
    let rest = skip_blank(rest);
    let (value, after) = match rest.strip_prefix(b"\"") {
        Some(inside) => quoted(inside),
        None => {
            // A value that needs quotes and has none reaches to the semicolon.
            let end = rest.iter().position(|b| *b == b';').unwrap_or(rest.len());
            (rest[..end].trim_ascii_end().to_vec(), &rest[end..])
        }
    };
    let fits = (1..=TOKEN_MAX).contains(&len) && value.len() <= VALUE_MAX;
    (fits.then_some((name, value)), after)
}

/// Reads up to the closing quote.
fn quoted(octets: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut out = Vec::new();
    let mut at = 0;
    while at < octets.len() {
        match octets[at] {
            b'"' => return (out, &octets[at + 1..]),
            b'\\' if at + 1 < octets.len() => {
                out.push(octets[at + 1]);
                at += 2;
            }
            octet => {
                out.push(octet);
                at += 1;
            }
        }
    }
    (out, &[])
}

/// Whether a piece of a value is percent-encoded.
#[derive(Clone, Copy)]
enum Coding {
    Plain,
    Percent,
}

struct Extended {
    name: String,
    pieces: Vec<(u32, Coding, Vec<u8>)>,
}

/// `name*`, `name*0`, `name*0*`: the name, the index and the coding (RFC 2231 §7).
fn extended_name(name: &str) -> Option<(&str, u32, Coding)> {
    let (base, tail) = name.split_once('*')?;
    let (index, coding) = match tail.strip_suffix('*') {
        Some(index) => (index, Coding::Percent),
        None if tail.is_empty() => ("0", Coding::Percent),
        None => (tail, Coding::Plain),
    };
    (!base.is_empty()).then_some((base, index.parse().ok()?, coding))
}

fn add_piece(list: &mut Vec<Extended>, name: &str, index: u32, coding: Coding, value: Vec<u8>) {
    match list.iter_mut().find(|param| param.name == name) {
        Some(param) => param.pieces.push((index, coding, value)),
        None => list.push(Extended { name: name.to_owned(), pieces: vec![(index, coding, value)] }),
    }
}

impl Extended {
    fn join(mut self) -> Vec<u8> {
        self.pieces.sort_by_key(|(index, ..)| *index);
        let mut charset = None;
        let mut out = Vec::new();
        for (index, coding, value) in &self.pieces {
            let Coding::Percent = coding else {
                out.extend_from_slice(value);
                continue;
            };
            let mut text = value.as_slice();
            if *index == 0 {
                let mut marks = value.splitn(3, |b| *b == b'\'');
                if let (Some(name), Some(_language), Some(rest)) = (marks.next(), marks.next(), marks.next())
                {
                    charset = Some(String::from_utf8_lossy(name).into_owned());
                    text = rest;
                }
            }
            out.extend(percent(text));
        }
        out.truncate(VALUE_MAX);
        match charset {
            Some(charset) => from_charset(&charset, &out).into_bytes(),
            None => out,
        }
    }
}

fn percent(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match hex(text.get(at + 1..at + 3)) {
            Some(octet) if text[at] == b'%' => {
                out.push(octet);
                at += 3;
            }
            _ => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `TYPE/SUB name=value …`
    fn shown(value: &str) -> String {
        let (media, params) = content_type(value.as_bytes());
        let mut out = media.map_or("-".to_owned(), |(main, sub)| format!("{main}/{sub}"));
        for (name, value) in params {
            out.push_str(&format!(" {name}={}", String::from_utf8_lossy(&value)));
        }
        out
    }

    #[test]
    fn reads_content_types() {
        for (value, want) in [
            ("text/plain", "TEXT/PLAIN"),
            ("Text/HTML; charset=UTF-8", "TEXT/HTML charset=UTF-8"),
            ("text/plain; charset=\"a;b\"; format=flowed", "TEXT/PLAIN charset=a;b format=flowed"),
            ("multipart/mixed;boundary=\"a \\\"b\"", "MULTIPART/MIXED boundary=a \"b"),
            ("(c) text (c) / (c) plain (c); (c) a (c) = (c) b", "TEXT/PLAIN a=b"),
            ("a/b; name=two words; x=y", "A/B name=two words x=y"),
            ("a/b; name*=utf-8'de'gr%C3%BC%C3%9Fe.txt", "A/B name=grüße.txt"),
            ("a/b; name=x; name*=iso-8859-1''gr%FC%DFe", "A/B name=grüße"),
            ("a/b; name*1*=%C3%9Fe; name*0*=utf-8''gr%C3%BC; name*2=\".txt\"", "A/B name=grüße.txt"),
            ("a/b; name*0=abc; name*1=def", "A/B name=abcdef"),
            ("a/b; charset=x; charset=y", "A/B charset=x"),
            ("text", "TEXT/PLAIN"),
            ("application; name=x", "APPLICATION/OCTET-STREAM name=x"),
            ("", "-"),
            ("/plain", "-"),
            ("a/b; ; =x; c; d=", "A/B d="),
            ("a/b; c=\"unended", "A/B c=unended"),
            ("a/b; (unended", "A/B"),
        ] {
            assert_eq!(shown(value), want, "{value:?}");
        }
    }

    #[test]
    fn reads_the_other_fields() {
        let fields = Fields::read(
            b"Content-Type: a/b\r\ncontent-transfer-encoding: (x) Base64 (y)\r\nContent-ID: <1@a>\r\n\
              Content-Disposition: attachment;\r\n filename=\"x.pdf\"\r\nContent-Language: de, en\r\n\
              Content-Type: c/d\r\nX-Content: no\r\n\r\n",
        );
        assert_eq!(fields.media, Some(("A".to_owned(), "B".to_owned())));
        assert_eq!(fields.encoding.as_deref(), Some("BASE64"));
        assert_eq!(fields.id.as_deref(), Some(&b"<1@a>"[..]));
        assert_eq!(fields.language, [b"de".to_vec(), b"en".to_vec()]);
        let (disposition, params) = fields.disposition.unwrap();
        assert_eq!(
            (disposition.as_str(), params),
            ("ATTACHMENT", vec![("filename".to_owned(), b"x.pdf".to_vec())])
        );
    }
}
