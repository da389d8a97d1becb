//! What of an address field stands outside quotes and comments, and whether all readers would agree on that.

use mail::words;

/// An address field, looked at more strictly than by those who only want to answer it.
#[derive(Default)]
pub(crate) struct Plain {
    words: Vec<Word>,
    word: Word,
    form: Form,
    /// Something that could be taken for an address is in quotes, a comment or an encoded word.
    hides: bool,
}

/// As written, quotes included, comments left out.
#[derive(Default)]
struct Word {
    text: String,
    has_at: bool,
}

impl Plain {
    /// Reads an unfolded value; an error says what readers could understand in several ways.
    pub(crate) fn read(value: &str) -> Result<Self, &'static str> {
        const ENDLESS: &str = "a quotation or a comment in it has no end";
        let mut plain = Self::default();
        let (mut quoted, mut depth) = (false, 0_u32);
        let mut chars = value.chars();
        while let Some(c) = chars.next() {
            match c {
                // What is escaped ends nothing.
                '\\' if quoted || depth > 0 => {
                    let escaped = chars.next().ok_or(ENDLESS)?;
                    plain.hidden(escaped);
                    if quoted {
                        plain.word.text.extend([c, escaped]);
                    }
                }
                '"' if depth == 0 => {
                    quoted = !quoted;
                    plain.shown(c);
                }
                c if quoted => {
                    plain.hidden(c);
                    plain.word.text.push(c);
                }
                '(' => depth += 1,
                ')' if depth > 0 => depth -= 1,
                c if depth > 0 => plain.hidden(c),
                c => plain.shown(c),
            }
        }
        if quoted || depth > 0 {
            return Err(ENDLESS);
        }
        plain.end_word();
        plain.form.end_mailbox();
        let marks = |text: &str| text.matches(is_mark).count();
        plain.hides |= marks(&words::decode(value.as_bytes())) > marks(value);
        if plain.hides && plain.form.is_odd {
            return Err("it hides an address and is not of the form: \"Name\" <address>, …");
        }
        Ok(plain)
    }

    /// Words with an `@`. In a plain field they are the addresses themselves; a name like
    /// `boss@bank.example <me@here.example>` is one too, and readers may show only that.
    pub(crate) fn claims(self) -> impl Iterator<Item = String> {
        self.words.into_iter().filter(|word| word.has_at).map(|word| word.text)
    }

    fn hidden(&mut self, c: char) {
        self.hides |= is_mark(c);
    }

    fn shown(&mut self, c: char) {
        self.form.take(c);
        match c {
            ' ' | '\t' | ',' | ';' | ':' | '<' | '>' => self.end_word(),
            c => {
                self.word.has_at |= c == '@';
                self.word.text.push(c);
            }
        }
    }

    fn end_word(&mut self) {
        self.words.push(std::mem::take(&mut self.word));
    }
}

/// What an address is known by.
fn is_mark(c: char) -> bool {
    matches!(c, '@' | '<')
}

/// Whether a field has the form that everybody reads alike: `name <address>` or `address`, with commas between.
#[derive(Default)]
struct Form {
    is_odd: bool,
    place: Place,
    words: usize,
    in_word: bool,
    /// In the name, where it would need quotes.
    has_at: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    /// Before any `<`.
    #[default]
    Name,
    Angle,
    /// After `>`.
    Done,
}

impl Form {
    fn take(&mut self, c: char) {
        match (c, self.place) {
            (' ' | '\t', _) => self.in_word = false,
            ('<', Place::Name) => {
                self.is_odd |= self.has_at;
                self.place = Place::Angle;
            }
            ('>', Place::Angle) => self.place = Place::Done,
            (',', Place::Name | Place::Done) => self.end_mailbox(),
            ('<' | '>' | ',' | ':' | ';' | '[' | ']' | ')' | '\\', _) | (_, Place::Done) => {
                self.is_odd = true
            }
            (_, Place::Name) if !self.in_word => {
                self.words += 1;
                self.in_word = true;
            }
            _ => {}
        }
        self.has_at |= c == '@' && self.place == Place::Name;
    }

    fn end_mailbox(&mut self) {
        let is_whole = match self.place {
            Place::Name => self.words <= 1,
            Place::Angle => false,
            Place::Done => true,
        };
        *self = Self { is_odd: self.is_odd || !is_whole, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_an_address_is_of_the_usual_form() {
        for (value, is_read) in [
            ("\"boss@bank.example\" <a@b.example>", true),
            ("\"boss@bank.example\" via list <a@b.example>, c@d.example", true),
            ("a@b.example (boss@bank.example)", true),
            ("a@b.example <a@b.example>", true),
            ("\"boss@bank.example\" a@b.example <a@b.example>", false),
            ("[Ticket] A: b <a@b.example>", true),
            ("\"boss@bank.example\") <a@b.example>", false),
            ("\"boss@bank.example\"[ <a@b.example>", false),
            ("\"boss@bank.example\" <<a@b.example>", false),
            ("\"boss@bank.example\" <a@b.example", false),
            ("\"boss@bank.example\" a@b.example", false),
            ("\"boss@bank.example\": a@b.example;", false),
            ("<a@b.example> \"boss@bank.example\"", false),
            ("\\\"<boss@bank.example>\" <a@b.example>", false),
            ("=?utf-8?q?boss=40bank.example?= <a@b.example>", true),
            ("=?utf-8?q?boss=40bank.example?=] <a@b.example>", false),
            ("=?utf-8?q?boss=40bank.example?= a@b.example", false),
            ("a@b.example (boss", false),
            ("\"a <a@b.example>", false),
        ] {
            assert_eq!(Plain::read(value).is_ok(), is_read, "{value}");
        }
    }
}
