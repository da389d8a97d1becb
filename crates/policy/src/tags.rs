//! Tag lists, `a=b; c=d`: the form of DKIM signatures, DKIM keys and DMARC records (RFC 6376 §3.2).

use std::collections::HashMap;

/// Tags by name. Names are case-sensitive, values are without blanks at their ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tags<'a> {
    values: HashMap<&'a str, &'a str>,
    first: &'a str,
}

impl<'a> Tags<'a> {
    /// Reads a list; an error anywhere spoils the whole. The error says what is wrong.
    pub(crate) fn parse(text: &'a str) -> Result<Self, String> {
        let mut tags = Self { values: HashMap::new(), first: "" };
        let text = text.trim_matches(is_blank);
        let text = text.strip_suffix(';').unwrap_or(text);
        for spec in text.split(';') {
            let (name, value) = spec.split_once('=').ok_or("a tag without a value")?;
            let (name, value) = (name.trim_matches(is_blank), value.trim_matches(is_blank));
            if !is_name(name) {
                return Err("a tag with a bad name".to_owned());
            }
            if tags.values.is_empty() {
                tags.first = name;
            }
            if tags.values.insert(name, value).is_some() {
                return Err(format!("the tag {name}= stands there twice"));
            }
        }
        Ok(tags)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        self.values.get(name).copied()
    }

    /// The value of a tag that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<&'a str, String> {
        self.get(name).ok_or_else(|| format!("the tag {name}= is missing"))
    }

    /// The name of the tag that stands first.
    pub(crate) fn first(&self) -> &'a str {
        self.first
    }
}

/// What may stand around tags: WSP and the line breaks of folding.
pub(crate) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// A value without any blanks, as base64 and lists with colons are written.
pub(crate) fn without_blanks(value: &str) -> String {
    value.chars().filter(|c| !is_blank(*c)).collect()
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lists_and_refuses_what_is_none() {
        let tags = Tags::parse(" v = 1 ;\r\n\ta=rsa-sha256; b=ab\r\n cd ; x= ;").unwrap();
        assert_eq!(tags.first(), "v");
        assert_eq!(tags.get("v"), Some("1"));
        assert_eq!(tags.get("b").map(without_blanks).as_deref(), Some("abcd"));
        assert_eq!(tags.get("x"), Some(""));
        assert_eq!(tags.get("V"), None);
        assert_eq!(tags.required("q").unwrap_err(), "the tag q= is missing");
        assert_eq!(Tags::parse("k=a=b").unwrap().get("k"), Some("a=b"));
        for bad in ["", ";", "v=1;;a=2", "v", "v=1; v=1", "1=2", "=x", "a b=c", "v=1; ; a=2"] {
            assert!(Tags::parse(bad).is_err(), "{bad:?}");
        }
    }
}
