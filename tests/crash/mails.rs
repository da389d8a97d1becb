//! The messages of the load: each is known by a token in its subject.

use std::sync::Arc;
use tests::message;
use world::Random;
use world::fake::FakeRandom;

/// How every token begins.
pub(crate) const MARK: &str = "tok";

/// A message, small or large, that no other is like.
pub(crate) fn mail(from: &str, to: &str, token: &str, random: &FakeRandom) -> Arc<str> {
    let size = match random.below(20) {
        // These lie in files of their own.
        0 => 200_000,
        1..=4 => 15_000,
        _ => 200 + random.below(3000),
    };
    let mut octets = vec![0; size as usize];
    random.fill(&mut octets);
    let mut body = String::with_capacity(octets.len() * 2);
    for line in octets.chunks(35) {
        line.iter().for_each(|octet| body.push_str(&format!("{octet:02x}")));
        body.push('\n');
    }
    message(from, to, token, &body).into()
}

/// The token of a message, and whether the message is about the one of that token: a notice.
pub(crate) fn token_of(text: &str) -> Option<(&str, bool)> {
    let mark = "Subject: tok";
    let at = text.find(mark)?;
    let token = &text[at + mark.len() - MARK.len()..];
    let token = &token[..token.find(['\r', '\n'])?];
    let head = text.find("\r\n\r\n")?;
    Some((token, at > head))
}

/// What follows the header.
pub(crate) fn body_of(text: &str) -> &str {
    text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}
