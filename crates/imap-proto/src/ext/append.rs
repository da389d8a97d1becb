//! The head of APPEND: what stands before the literal that holds the message (RFC 9051 §6.3.12).

use super::store::check_flags;
use crate::command::{Append, Refusal};
use crate::lex::{Lexed, Lexer};
use crate::parse::{self, Names};

/// `body` is what stands behind the tag, up to the brace of the last literal; `size` that literal's length.
/// `None`: this is no APPEND.
pub(crate) fn head(body: &[u8], size: u64, names: Names) -> Option<Lexed<Append>> {
    let mut lexer = Lexer::new(body);
    lexer.take_word("APPEND").then(|| arguments(&mut lexer, size, names))
}

/// Whether the literal that comes next is the message itself, and not the mailbox name.
pub(crate) fn is_message_next(body: &[u8]) -> bool {
    let mut lexer = Lexer::new(body);
    lexer.take_word("APPEND") && lexer.take(b' ') && !lexer.is_end() && lexer.astring().is_ok()
}

fn arguments(lexer: &mut Lexer<'_>, size: u64, names: Names) -> Lexed<Append> {
    lexer.space()?;
    let mailbox = parse::name(&lexer.astring()?, names)?;
    lexer.space()?;
    let mut flags = Vec::new();
    if lexer.peek() == Some(b'(') {
        flags = lexer.parenthesized(Lexer::flag)?;
        // Clients send back what they were told; `\Recent` was told for years (RFC 3501 §2.3.2).
        flags.retain(|flag| !flag.eq_ignore_ascii_case("\\Recent"));
        check_flags(&flags)?;
        lexer.space()?;
    }
    let mut date = None;
    if lexer.peek() == Some(b'"') {
        let text = Lexer::utf8(lexer.string()?)?;
        if !is_date_time(&text) {
            return Err(Refusal::bad("The date of APPEND is like \" 1-Feb-2026 12:00:00 +0000\"."));
        }
        date = Some(text);
        lexer.space()?;
    }
    if lexer.take(b'~') {
        return Err(Refusal::bad("APPEND takes a plain literal here, not a literal8."));
    }
    lexer.end()?;
    Ok(Append { mailbox, flags, date, size })
}

/// `date-time` (RFC 9051 §9): `dd-Mon-yyyy hh:mm:ss +zzzz`, the day with a blank or a zero in front.
fn is_date_time(text: &str) -> bool {
    let shape =
        text.bytes().zip(*b"dd-aaa-dddd dd:dd:dd sdddd").enumerate().all(|(at, (octet, want))| match want {
            b'd' => octet.is_ascii_digit() || (at == 0 && octet == b' '),
            b'a' => octet.is_ascii_alphabetic(),
            b's' => matches!(octet, b'+' | b'-'),
            other => octet == other,
        });
    text.len() == 26 && shape
}
