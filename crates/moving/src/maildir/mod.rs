//! Maildir: one file for each message, flags in its name. Folders as Maildir++ has them (`.Archive.2026`), or as
//! directories in directories.

mod keywords;
mod read;
mod write;

pub use read::Maildir;
pub use write::{FolderWriter, MaildirWriter, Outgoing, Put};

/// Letters behind `:2,` and the flags they stand for, in the order in which they are written.
const FLAGS: [(char, &str); 6] = [
    ('D', "\\Draft"),
    ('F', "\\Flagged"),
    ('P', "$Forwarded"),
    ('R', "\\Answered"),
    ('S', "\\Seen"),
    ('T', "\\Deleted"),
];

/// The name of the file that holds the keywords for the letters a to z, one a line: `0 $Work`.
const KEYWORDS: &str = "dovecot-keywords";
/// The name of the file that lists the subscribed folders.
const SUBSCRIPTIONS: &str = "subscriptions";
/// Keywords that have a letter.
const LETTERS_MAX: usize = 26;

/// What a file's name says: the part that stays, and the flags.
fn parse_name(name: &str, keywords: &keywords::Letters) -> (String, Vec<String>) {
    // Where a colon cannot stand in a name programs take another sign.
    let Some((base, info)) = [":2,", ";2,", "!2,"].iter().find_map(|sign| name.split_once(sign)) else {
        return (name.split_once(':').map_or(name, |(base, _)| base).to_owned(), Vec::new());
    };
    let mut flags: Vec<String> = Vec::new();
    for letter in info.chars() {
        let known = FLAGS.iter().find(|(sign, _)| *sign == letter).map(|(_, flag)| (*flag).to_owned());
        if let Some(flag) = known.or_else(|| keywords.name(letter))
            && !flags.iter().any(|there| there.eq_ignore_ascii_case(&flag))
        {
            flags.push(flag);
        }
    }
    (base.to_owned(), flags)
}

/// The letters for flags, in the order that the format asks for. Keywords without a letter are counted.
fn print_flags(flags: &[String], keywords: &keywords::Letters) -> (String, usize) {
    let has = |flag: &str| flags.iter().any(|there| there.eq_ignore_ascii_case(flag));
    let mut letters: String = FLAGS.iter().filter(|(_, flag)| has(flag)).map(|(letter, _)| *letter).collect();
    let mut small = Vec::new();
    let mut lost = 0;
    for flag in flags.iter().filter(|flag| !FLAGS.iter().any(|(_, known)| known.eq_ignore_ascii_case(flag))) {
        match keywords.letter(flag) {
            Some(letter) => small.push(letter),
            None => lost += 1,
        }
    }
    small.sort_unstable();
    letters.extend(small);
    (letters, lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_flags() {
        let letters = keywords::Letters::read(b"0 $Work\n2 Later\nx y\n99 z\n");
        for (name, base, flags) in [
            ("1700000000.M1P2.host,S=10:2,RS", "1700000000.M1P2.host,S=10", &["\\Answered", "\\Seen"][..]),
            ("a:2,", "a", &[]),
            ("a", "a", &[]),
            ("a:1,x", "a", &[]),
            ("a;2,Sac", "a", &["\\Seen", "$Work", "Later"]),
            ("a:2,bQ", "a", &[]),
            (
                "a:2,DFPRSTaa",
                "a",
                &["\\Draft", "\\Flagged", "$Forwarded", "\\Answered", "\\Seen", "\\Deleted", "$Work"],
            ),
        ] {
            let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
            assert_eq!(parse_name(name, &letters), (base.to_owned(), flags), "{name}");
        }
        let flags = ["later", "\\Seen", "$WORK", "\\Draft", "unknown"].map(str::to_owned);
        assert_eq!(print_flags(&flags, &letters), ("DSac".to_owned(), 1));
    }
}
