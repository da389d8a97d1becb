//! Header fields that belong to the mbox and not to the message: flags, keywords, lengths, numbers.

/// What the fields of one message say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OwnFields {
    pub(super) flags: Vec<String>,
    pub(super) content_length: Option<u64>,
    /// Thunderbird has deleted the message, and not yet taken it out of the file.
    pub(super) gone: bool,
    /// The file's own data, in the form of a message.
    pub(super) is_data: bool,
}

/// Names of such fields.
const NAMES: [&str; 10] = [
    "Status",
    "X-Status",
    "X-Keywords",
    "X-UID",
    "X-IMAP",
    "X-IMAPbase",
    "Content-Length",
    "X-Mozilla-Status",
    "X-Mozilla-Status2",
    "X-Mozilla-Keys",
];
/// With this field we say how long the message is that follows it, so that it comes back as it was.
pub(super) const LENGTH: &str = "X-Maddy-Length";
/// Most keywords of one message.
const KEYWORDS_MAX: usize = 100;

/// Letters of Status and X-Status, and the flags they stand for.
const LETTERS: [(char, &str); 5] =
    [('R', "\\Seen"), ('A', "\\Answered"), ('F', "\\Flagged"), ('D', "\\Deleted"), ('T', "\\Draft")];

/// Takes the fields out of a header, whose line ends may be any.
pub(super) fn take(header: &[u8]) -> (Vec<u8>, OwnFields) {
    let mut rest = Vec::with_capacity(header.len());
    let mut own = OwnFields::default();
    let mut within = false;
    for line in header.split_inclusive(|octet| *octet == b'\n') {
        let continues = line.starts_with(b" ") || line.starts_with(b"\t");
        if !(continues && within) {
            within = named(line).is_some_and(|(name, value)| own.read(name, value));
        }
        if !within {
            rest.extend_from_slice(line);
        }
    }
    own.is_data = own.is_data && String::from_utf8_lossy(header).contains("DON'T DELETE THIS MESSAGE");
    (rest, own)
}

/// The number in one field of ours, [`LENGTH`] or of the name given.
pub(super) fn number(line: &[u8], wanted: &str) -> Option<u64> {
    named(line).filter(|(name, _)| name.eq_ignore_ascii_case(wanted))?.1.parse().ok()
}

/// Whether a line is one of those that we put before [`LENGTH`].
pub(super) fn is_ours(line: &[u8]) -> bool {
    const OURS: [&str; 4] = ["Status", "X-Status", "X-Keywords", "Content-Length"];
    named(line).is_some_and(|(name, _)| OURS.iter().any(|known| known.eq_ignore_ascii_case(name)))
}

fn named(line: &[u8]) -> Option<(&str, &str)> {
    let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
    Some((name.trim_end(), value.trim()))
}

impl OwnFields {
    /// Reads one field; `false`: it belongs to the message.
    fn read(&mut self, name: &str, value: &str) -> bool {
        let Some(known) = NAMES.iter().find(|known| known.eq_ignore_ascii_case(name)) else { return false };
        match *known {
            "Status" | "X-Status" => {
                for letter in value.chars() {
                    if let Some((_, flag)) = LETTERS.iter().find(|(sign, _)| *sign == letter) {
                        self.add(flag);
                    }
                }
            }
            "X-Keywords" | "X-Mozilla-Keys" => value.split_ascii_whitespace().for_each(|word| self.add(word)),
            "X-Mozilla-Status" => self.read_mozilla(value),
            "Content-Length" => self.content_length = value.parse().ok(),
            "X-IMAP" | "X-IMAPbase" => self.is_data = true,
            _ => {}
        }
        true
    }

    fn read_mozilla(&mut self, value: &str) {
        let bits = u32::from_str_radix(value, 16).unwrap_or(0);
        for (bit, flag) in [(1, "\\Seen"), (2, "\\Answered"), (4, "\\Flagged"), (0x1000, "$Forwarded")] {
            if bits & bit != 0 {
                self.add(flag);
            }
        }
        self.gone |= bits & 8 != 0;
    }

    fn add(&mut self, flag: &str) {
        let is_there = self.flags.iter().any(|known| known.eq_ignore_ascii_case(flag));
        if !is_there && self.flags.len() < KEYWORDS_MAX {
            self.flags.push(flag.to_owned());
        }
    }
}

/// The fields for a message with these flags, `length` octets long in the file, `body` of them behind the header.
pub(super) fn print(flags: &[String], length: usize, body: usize) -> String {
    let has = |flag: &str| flags.iter().any(|there| there.eq_ignore_ascii_case(flag));
    let status = if has("\\Seen") { "RO" } else { "O" };
    let letters: String =
        LETTERS.iter().skip(1).filter(|(_, flag)| has(flag)).map(|(letter, _)| *letter).collect();
    let keywords: Vec<&str> =
        flags.iter().map(String::as_str).filter(|flag| !flag.starts_with('\\')).collect();
    let mut text = format!("Status: {status}\n");
    if !letters.is_empty() {
        text += &format!("X-Status: {letters}\n");
    }
    if !keywords.is_empty() {
        text += &format!("X-Keywords: {}\n", keywords.join(" "));
    }
    text + &format!("Content-Length: {body}\n{LENGTH}: {length}\n")
}
