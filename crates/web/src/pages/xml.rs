//! As much of XML as these pages need: writing text, and finding one element in what a client sends.

/// Text for an element or an attribute. Characters that XML cannot hold are left out.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// The text of the first element of a name, whatever its prefix. Elements are looked for and not understood: no entity
/// is ever looked up, and a document that declares some is refused.
pub(crate) fn text_of(document: &str, name: &str) -> Option<String> {
    let mut rest = document;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = &comment[comment.find("-->")? + 3..];
            continue;
        }
        if rest.starts_with('!') {
            return None;
        }
        let end = rest.find('>')?;
        let tag = &rest[..end];
        rest = &rest[end + 1..];
        let word = tag.split(|c: char| c.is_ascii_whitespace() || c == '/').next().unwrap_or_default();
        let local = word.rsplit(':').next().unwrap_or(word);
        if local == name && !tag.ends_with('/') {
            let text = &rest[..rest.find('<')?];
            return unescape(text.trim());
        }
    }
    None
}

fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let end = rest.find(';')?;
        out.push(match &rest[..end] {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            number => {
                let number = number.strip_prefix('#')?;
                let code = match number.strip_prefix('x') {
                    Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                    None => number.parse().ok()?,
                };
                char::from_u32(code)?
            }
        });
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_without_being_believed() {
        for (document, want) in [
            ("<a><EMailAddress>x@y.z</EMailAddress></a>", Some("x@y.z")),
            ("<a:b xmlns:a='u'><a:EMailAddress k=\"1\"> x&#64;y&amp;z </a:EMailAddress>", Some("x@y&z")),
            ("<!-- <EMailAddress>no</EMailAddress> --><EMailAddress>yes</EMailAddress>", Some("yes")),
            ("<?xml version=\"1.0\"?><EMailAddress>&#x41;</EMailAddress>", Some("A")),
            ("<!DOCTYPE a [<!ENTITY b \"c\">]><EMailAddress>&b;</EMailAddress>", None),
            ("<EMailAddress>&b;</EMailAddress>", None),
            ("<EMailAddress/>", None),
            ("<EMailAddress", None),
            ("<EMailAddress>x", None),
            ("<!-- ", None),
            ("", None),
        ] {
            assert_eq!(text_of(document, "EMailAddress").as_deref(), want, "{document}");
        }
        assert_eq!(escape("a<b>&\"'\u{1}ü"), "a&lt;b&gt;&amp;&quot;&apos;ü");
    }
}
