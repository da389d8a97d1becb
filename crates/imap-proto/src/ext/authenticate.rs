//! AUTHENTICATE with an initial response (RFC 9051 §6.2.2), whose base64 is left to the SASL exchange.

use crate::command::{Refusal, Secret};
use crate::lex::{Lexed, Lexer};
use crate::parse::Parsed;

pub(crate) fn authenticate(lexer: &mut Lexer<'_>) -> Lexed<Parsed> {
    lexer.space()?;
    let mechanism = lexer.atom()?.to_ascii_uppercase();
    let initial = lexer.take_space().then(|| lexer.rest().to_vec());
    match &initial {
        Some(initial) if initial.is_empty() || !initial.iter().all(|b| is_base64(*b)) => {
            Err(Refusal::bad("The initial response is not base64."))
        }
        None if !lexer.is_end() => Err(Refusal::bad("AUTHENTICATE needs a mechanism.")),
        _ => Ok(Parsed::Authenticate { mechanism, initial: initial.map(Secret) }),
    }
}

fn is_base64(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/' | b'=')
}
