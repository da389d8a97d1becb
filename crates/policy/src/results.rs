//! What others wrote into Authentication-Results, read (RFC 8601 §2.2). Also the payload of ARC-Authentication-Results.

/// Most results of one field that are kept.
const RESULTS_MAX: usize = 50;
/// Most properties of one result that are kept.
const PROPERTIES_MAX: usize = 20;

/// One `method=result` with its properties. Names and result are lower case.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MethodResult {
    pub(crate) method: String,
    pub(crate) result: String,
    properties: Vec<(String, String)>,
}

impl MethodResult {
    /// The value of a property such as `header.from`; the first of several.
    pub(crate) fn property(&self, name: &str) -> Option<&str> {
        self.properties.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The results of a field without comments, behind its authserv-id. What cannot be read is left out.
pub(crate) fn read(payload: &str) -> Vec<MethodResult> {
    pieces(payload, ';').iter().skip(1).filter_map(|piece| one(piece)).take(RESULTS_MAX).collect()
}

fn one(text: &str) -> Option<MethodResult> {
    let joined = join_equals(text);
    let words = pieces(&joined, ' ');
    let mut pairs = words.iter().filter_map(|word| word.split_once('='));
    let (method, result) = pairs.next()?;
    // `method/version`
    let method = method.split('/').next()?.to_ascii_lowercase();
    let properties = pairs
        .filter(|(key, _)| key.contains('.'))
        .map(|(key, value)| (key.to_ascii_lowercase(), unquoted(value)))
        .take(PROPERTIES_MAX)
        .collect();
    Some(MethodResult { method, result: result.to_ascii_lowercase(), properties })
}

/// One blank between words, and none around `=`, so that a pair is one word.
fn join_equals(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_quotes = false;
    let mut is_escaped = false;
    for c in text.chars() {
        let is_blank = c.is_ascii_whitespace() && !in_quotes;
        if is_blank {
            if !out.ends_with([' ', '=']) {
                out.push(' ');
            }
            continue;
        }
        if c == '=' && !in_quotes && out.ends_with(' ') {
            out.pop();
        }
        out.push(c);
        in_quotes ^= c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
    }
    out
}

/// Splits at a sign outside quotes. Empty pieces are kept.
fn pieces(text: &str, sign: char) -> Vec<&str> {
    let mut out = Vec::new();
    let (mut start, mut in_quotes, mut is_escaped) = (0, false, false);
    for (at, c) in text.char_indices() {
        if c == sign && !in_quotes {
            out.push(&text[start..at]);
            start = at + c.len_utf8();
        }
        in_quotes ^= c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
    }
    out.push(&text[start..]);
    out
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}

/// The text without comments, nested ones included (RFC 5322 §3.2.2).
pub(crate) fn without_comments(value: &[u8]) -> String {
    let mut out = String::new();
    let mut depth = 0_usize;
    let mut in_quotes = false;
    let text = String::from_utf8_lossy(value).into_owned();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let escaped = chars.next();
                if depth == 0 {
                    out.push('\\');
                    out.extend(escaped);
                }
            }
            '"' if depth == 0 => {
                in_quotes = !in_quotes;
                out.push(c);
            }
            '(' if !in_quotes => depth += 1,
            ')' if !in_quotes && depth > 0 => depth -= 1,
            _ if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let one = |one: &MethodResult| {
            let properties = one.properties.iter().map(|(key, value)| format!(" {key}={value}"));
            format!("{}={}{}", one.method, one.result, properties.collect::<String>())
        };
        read(&without_comments(text.as_bytes())).iter().map(one).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn results_are_read_as_they_are_written_by_many() {
        for (text, want) in [
            ("mx.example; none", ""),
            ("mx.example 1; spf=pass smtp.mailfrom=a@b.example", "spf=pass smtp.mailfrom=a@b.example"),
            (
                "mx.example;\r\n\tdkim=pass (ok; fine) header.i=@a.example header.s=s;\r\n dmarc=PASS (p=NONE sp=NONE dis=NONE) header.from=A.example",
                "dkim=pass header.i=@a.example header.s=s | dmarc=pass header.from=A.example",
            ),
            ("i.example; dmarc = pass\r\n header.from = a.example", "dmarc=pass header.from=a.example"),
            (
                "i.example; dkim/1=pass reason=\"a; dmarc=pass\" header.d=\"a.example\"",
                "dkim=pass header.d=a.example",
            ),
            ("dmarc=pass header.from=a.example", ""),
            ("i.example; =pass; dmarc; ;; x=y", "=pass | x=y"),
            ("i.example; dkim=pass header.d=\"a\\\"b\"", "dkim=pass header.d=a\"b"),
        ] {
            assert_eq!(shown(text), want, "{text}");
        }
    }
}
