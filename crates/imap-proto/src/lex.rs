//! Tokens of a command: atoms, strings, literals, numbers (RFC 9051 §9). The octets are one whole command
//! without its last CRLF, literals where they stood.

use crate::command::Refusal;

/// Result of reading a token.
pub(crate) type Lexed<T> = Result<T, Refusal>;

/// Reads a command from front to back.
#[derive(Clone)]
pub(crate) struct Lexer<'a> {
    rest: &'a [u8],
}

/// CHAR that may stand in an atom: no specials, controls or eight-bit octets (RFC 9051 §9, `ATOM-CHAR`).
pub(crate) fn is_atom(octet: u8) -> bool {
    matches!(octet, 0x21..=0x7e) && !matches!(octet, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

/// `ASTRING-CHAR`: an atom's, and `]`.
pub(crate) fn is_astring(octet: u8) -> bool {
    is_atom(octet) || octet == b']'
}

/// `list-char`: an astring's, and wildcards. Eight-bit octets are taken, since names may be UTF-8.
fn is_list(octet: u8) -> bool {
    is_astring(octet) || matches!(octet, b'%' | b'*') || octet >= 0x80
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }

    pub(crate) fn is_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Leaves what is left unread.
    pub(crate) fn skip_rest(&mut self) {
        self.rest = &[];
    }

    /// All that is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether nothing but blanks is left: programs put some behind their commands now and then.
    pub(crate) fn at_end(&self) -> bool {
        self.rest.iter().all(|octet| *octet == b' ')
    }

    pub(crate) fn end(&self) -> Lexed<()> {
        if self.at_end() { Ok(()) } else { Err(Refusal::bad("There is text behind the end of the command.")) }
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The octet behind the next.
    pub(crate) fn peek_second(&self) -> Option<u8> {
        self.rest.get(1).copied()
    }

    /// Takes `octet` if it is next.
    pub(crate) fn take(&mut self, octet: u8) -> bool {
        let found = self.peek() == Some(octet);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    pub(crate) fn expect(&mut self, octet: u8) -> Lexed<()> {
        if self.take(octet) {
            return Ok(());
        }
        Err(Refusal::bad(match octet {
            b' ' => "A blank is missing.",
            b'(' => "An opening parenthesis is missing.",
            b')' => "A closing parenthesis is missing.",
            b']' => "A closing bracket is missing.",
            _ => "The command is not well formed.",
        }))
    }

    /// The blank between two arguments, or several, as some programs send.
    pub(crate) fn space(&mut self) -> Lexed<()> {
        self.expect(b' ')?;
        self.take_while(|octet| octet == b' ');
        Ok(())
    }

    /// The same if there is one, and something behind it.
    pub(crate) fn take_space(&mut self) -> bool {
        !self.at_end() && self.space().is_ok()
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|b| !wanted(*b)).unwrap_or(self.rest.len());
        let (head, tail) = self.rest.split_at(end);
        self.rest = tail;
        head
    }

    /// Takes `word` in any case, if it is next and does not go on as a longer word.
    pub(crate) fn take_word(&mut self, word: &str) -> bool {
        let n = word.len();
        let matches = self.rest.len() >= n
            && self.rest[..n].eq_ignore_ascii_case(word.as_bytes())
            && !self
                .rest
                .get(n)
                .is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'='));
        if matches {
            self.rest = &self.rest[n..];
        }
        matches
    }

    /// A run of letters, digits, `-`, `.` and `=`, in capitals: names of commands, items and keys.
    pub(crate) fn word(&mut self) -> Lexed<String> {
        let word = self.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'='));
        if word.is_empty() {
            return Err(Refusal::bad("A word is missing."));
        }
        Ok(String::from_utf8_lossy(word).to_ascii_uppercase())
    }

    pub(crate) fn atom(&mut self) -> Lexed<&'a str> {
        let atom = self.take_while(is_atom);
        match std::str::from_utf8(atom) {
            Ok(text) if !text.is_empty() => Ok(text),
            _ => Err(Refusal::bad("An atom is missing.")),
        }
    }

    /// A number of at most 63 bits.
    pub(crate) fn number(&mut self) -> Lexed<u64> {
        let digits = self.take_while(|b| b.is_ascii_digit());
        std::str::from_utf8(digits)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
            .filter(|n| i64::try_from(*n).is_ok())
            .ok_or(Refusal::bad("A number is missing, or it is too large."))
    }

    /// A number from 1 to 4,294,967,295.
    pub(crate) fn nz_number(&mut self) -> Lexed<u32> {
        u32::try_from(self.number()?)
            .ok()
            .filter(|n| *n > 0)
            .ok_or(Refusal::bad("A number from 1 to 4294967295 is needed."))
    }

    /// The name of a mailbox, message or thread (RFC 8474 §7, `objectid`). Case matters.
    pub(crate) fn object_id(&mut self) -> Lexed<String> {
        let id = self.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if id.is_empty() || id.len() > 255 {
            return Err(Refusal::bad("An object id has from 1 to 255 letters, digits, _ and -."));
        }
        Ok(String::from_utf8_lossy(id).into_owned())
    }

    pub(crate) fn is_string(&self) -> bool {
        matches!(self.peek(), Some(b'"' | b'{' | b'~'))
    }

    /// A quoted string or a literal.
    pub(crate) fn string(&mut self) -> Lexed<Vec<u8>> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{' | b'~') => self.literal(),
            _ => Err(Refusal::bad("A string is missing.")),
        }
    }

    fn quoted(&mut self) -> Lexed<Vec<u8>> {
        let mut out = Vec::new();
        let mut octets = self.rest.iter().enumerate().skip(1);
        while let Some((at, octet)) = octets.next() {
            match octet {
                b'"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(out);
                }
                b'\\' => match octets.next() {
                    Some((_, escaped @ (b'"' | b'\\'))) => out.push(*escaped),
                    _ => return Err(Refusal::bad("In a quoted string only \\\" and \\\\ are escapes.")),
                },
                b'\r' | b'\n' | 0 => break,
                other => out.push(*other),
            }
        }
        Err(Refusal::bad("A quoted string has no end."))
    }

    fn literal(&mut self) -> Lexed<Vec<u8>> {
        let binary = self.take(b'~');
        self.expect(b'{')?;
        let len = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        let _ = self.take(b'+') || self.take(b'-');
        if !self.rest.starts_with(b"}\r\n") || self.rest.len() - 3 < len {
            return Err(Refusal::bad("A literal is not well formed."));
        }
        let octets = &self.rest[3..3 + len];
        self.rest = &self.rest[3 + len..];
        if !binary && octets.contains(&0) {
            return Err(Refusal::bad("A literal may not hold NUL."));
        }
        Ok(octets.to_vec())
    }

    pub(crate) fn astring(&mut self) -> Lexed<Vec<u8>> {
        if self.is_string() {
            return self.string();
        }
        let atom = self.take_while(is_astring);
        if atom.is_empty() { Err(Refusal::bad("A string is missing.")) } else { Ok(atom.to_vec()) }
    }

    /// A mailbox name with wildcards, as LIST has it.
    pub(crate) fn list_mailbox(&mut self) -> Lexed<Vec<u8>> {
        if self.is_string() {
            return self.string();
        }
        let name = self.take_while(is_list);
        if name.is_empty() { Err(Refusal::bad("A mailbox pattern is missing.")) } else { Ok(name.to_vec()) }
    }

    /// A flag: `\Seen` or a keyword.
    pub(crate) fn flag(&mut self) -> Lexed<String> {
        let system = self.take(b'\\');
        let atom = self.atom().map_err(|_| Refusal::bad("A flag is missing or not well formed."))?;
        Ok(if system { format!("\\{atom}") } else { atom.to_owned() })
    }

    /// `(a b c)`, possibly empty, each item read by `item`.
    pub(crate) fn parenthesized<T>(&mut self, mut item: impl FnMut(&mut Self) -> Lexed<T>) -> Lexed<Vec<T>> {
        self.expect(b'(')?;
        let _ = self.space();
        let mut items = Vec::new();
        while !self.take(b')') {
            items.push(item(self)?);
            if self.peek() != Some(b')') {
                self.space()?;
            }
        }
        Ok(items)
    }

    /// The text of an astring that must be UTF-8.
    pub(crate) fn utf8(octets: Vec<u8>) -> Lexed<String> {
        String::from_utf8(octets).map_err(|_| Refusal::bad("The text is not UTF-8."))
    }
}
