//! Names of folders: what other programs write, as names that a mailbox can have.

use imap_proto::utf7;

/// Longest level that is kept, in octets.
const LEVEL_MAX: usize = 1000;

/// A name as a program wrote it, without regard to what a mailbox can be called.
pub fn decode_name(raw: &[u8]) -> String {
    match std::str::from_utf8(raw) {
        Ok(text) => utf7::decode(text).unwrap_or_else(|| text.to_owned()),
        Err(_) => raw.iter().map(|octet| char::from(*octet)).collect(),
    }
}

/// One level as a program wrote it: modified UTF-7, UTF-8, or octets that are taken for Latin-1.
pub(crate) fn level(raw: &[u8]) -> String {
    clean_level(&decode_name(raw))
}

/// A whole name whose levels are separated by `separator`.
pub(crate) fn levels(raw: &[u8], separator: u8) -> String {
    let levels: Vec<String> = raw.split(|octet| *octet == separator).map(level).collect();
    levels.join("/")
}

/// A name, whatever it was, as one that a mailbox can have: levels are not empty, no wildcards, no controls.
pub fn clean(name: &str) -> String {
    let levels: Vec<String> = name.trim_matches('/').split('/').map(clean_level).collect();
    levels.join("/")
}

fn clean_level(level: &str) -> String {
    let kept = |c: char| if c.is_control() || matches!(c, '/' | '%' | '*') { '_' } else { c };
    let mut made: String = level.chars().map(kept).collect();
    while made.len() > LEVEL_MAX {
        made.pop();
    }
    if made.is_empty() { "_".to_owned() } else { made }
}

/// What a mailbox is for that has a name which common programs give.
pub fn usual_use(name: &str) -> Option<&'static str> {
    const USUAL: [(&str, &[&str]); 5] = [
        ("\\Sent", &["Sent", "Sent Items", "Sent Messages", "Sent Mail", "sent-mail"]),
        ("\\Drafts", &["Drafts", "Draft"]),
        ("\\Trash", &["Trash", "Deleted Items", "Deleted Messages", "Bin"]),
        ("\\Junk", &["Junk", "Spam", "Junk E-mail", "Junk Email", "Bulk Mail"]),
        ("\\Archive", &["Archive", "Archives"]),
    ];
    let found = USUAL.iter().find(|(_, names)| names.iter().any(|known| known.eq_ignore_ascii_case(name)));
    found.map(|(special, _)| *special)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_any_program() {
        for (raw, want) in [
            (&b"Entw&APw-rfe"[..], "Entwürfe"),
            ("Entwürfe".as_bytes(), "Entwürfe"),
            (b"caf\xe9", "café"),
            (b"Tom & Jerry", "Tom & Jerry"),
            (b"a%b*c\x07", "a_b_c_"),
            (b"", "_"),
            (b"example&AC4-org", "example.org"),
        ] {
            assert_eq!(level(raw), want);
        }
        assert_eq!(levels(b"Archive.2024..x", b'.'), "Archive/2024/_/x");
        assert_eq!(clean("/a//b/"), "a/_/b");
        assert_eq!(level(&[b'x'; 2000]).len(), LEVEL_MAX);
    }

    #[test]
    fn usual_names() {
        assert_eq!(usual_use("sent items"), Some("\\Sent"));
        assert_eq!(usual_use("Work/Sent"), None);
    }
}
