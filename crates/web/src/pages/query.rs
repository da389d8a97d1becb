//! What stands behind the question mark of a URL.

/// The first value of a name, which counts in any case; `%XX` decoded. `None` if it is not there or no UTF-8.
pub(crate) fn value(query: &str, name: &str) -> Option<String> {
    let pair = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, text) = pair.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            // A plus is a letter of addresses; browsers write blanks as %20 where they fill in no form.
            other => other,
        });
    }
    String::from_utf8(octets).ok()
}

/// Text as it may stand in a query.
pub(crate) fn escape(text: &str) -> String {
    let plain =
        |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~' | b'@');
    text.bytes()
        .map(|octet| if plain(&octet) { char::from(octet).to_string() } else { format!("%{octet:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        for (query, want) in [
            ("emailaddress=a%40example.org", Some("a@example.org")),
            ("x=1&EmailAddress=a+b@example.org", Some("a+b@example.org")),
            ("emailaddress=", Some("")),
            ("emailaddress=%4", None),
            ("emailaddress=%ff", None),
            ("emailaddress=%+1", None),
            ("", None),
        ] {
            assert_eq!(value(query, "emailaddress").as_deref(), want, "{query}");
        }
        let text = "ü+b&c=@x";
        assert_eq!(value(&format!("a={}", escape(text)), "a").as_deref(), Some(text));
    }
}
