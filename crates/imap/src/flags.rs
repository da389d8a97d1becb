//! Flags as IMAP writes them and as the store keeps them.

use storage::{Flags, Keywords};

const SYSTEM: [(&str, Flags); 5] = [
    ("\\Answered", Flags::ANSWERED),
    ("\\Flagged", Flags::FLAGGED),
    ("\\Deleted", Flags::DELETED),
    ("\\Seen", Flags::SEEN),
    ("\\Draft", Flags::DRAFT),
];

/// Parts what a client wrote into system flags and keywords.
pub(crate) fn split(flags: &[String]) -> (Flags, Vec<String>) {
    let mut system = Flags::NONE;
    let mut keywords: Vec<String> = Vec::new();
    for flag in flags {
        if let Some(bit) = system_flag(flag) {
            system = system | bit;
        } else if !keywords.iter().any(|known| known.eq_ignore_ascii_case(flag)) {
            keywords.push(flag.clone());
        }
    }
    (system, keywords)
}

/// The bit of `\Seen` and the like, in any case.
pub(crate) fn system_flag(name: &str) -> Option<Flags> {
    SYSTEM.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, bit)| *bit)
}

/// The flags of a message by name.
pub(crate) fn names(flags: Flags, keywords: Keywords, known: &[String]) -> impl Iterator<Item = &str> {
    let system = SYSTEM.iter().filter(move |(_, bit)| flags.contains(*bit)).map(|(name, _)| *name);
    system.chain(keywords.iter().filter_map(|bit| known.get(bit).map(String::as_str)))
}

/// All flags that a mailbox knows.
pub(crate) fn all(known: &[String]) -> Vec<String> {
    SYSTEM.iter().map(|(name, _)| (*name).to_owned()).chain(known.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_go_both_ways() {
        let written = ["\\seen", "$Junk", "\\DELETED", "$junk"].map(str::to_owned);
        let (system, keywords) = split(&written);
        assert_eq!(system, Flags::SEEN | Flags::DELETED);
        assert_eq!(keywords, ["$Junk"]);
        let known = ["a".to_owned(), "$Junk".to_owned()];
        let names: Vec<&str> = names(system, Keywords::NONE.with(1), &known).collect();
        assert_eq!(names, ["\\Deleted", "\\Seen", "$Junk"]);
    }
}
