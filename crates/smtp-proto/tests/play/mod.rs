//! Both sessions as players of chats.

mod client;
mod server;

pub(crate) use client::Client;
pub(crate) use server::Server;

use mail::{Reply, Status};

/// The words of all `# options:` lines.
pub(crate) fn options(chat: &str) -> impl Iterator<Item = &str> {
    chat.lines().filter_map(|line| line.strip_prefix("# options:")).flat_map(str::split_ascii_whitespace)
}

/// `550 5.1.1 text` as a reply.
pub(crate) fn reply(text: &str) -> Result<Reply, String> {
    let (code, rest) = text.split_once(' ').unwrap_or((text, ""));
    let code = code.parse().map_err(|_| format!("no reply: {text}"))?;
    Ok(match rest.split_once(' ').and_then(|(head, tail)| Some((Status::parse(head)?, tail))) {
        Some((status, text)) => Reply::new(code, status, text),
        None => Reply::bare(code, rest),
    })
}

/// `\r`, `\n`, `\xNN` as octets.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'\\' {
            out.push(*first);
            continue;
        }
        let (escape, tail) = rest.split_first().unwrap();
        rest = tail;
        match escape {
            b'r' => out.push(b'\r'),
            b'n' => out.push(b'\n'),
            b'x' => {
                let (hex, tail) = rest.split_at(2);
                rest = tail;
                out.push(u8::from_str_radix(std::str::from_utf8(hex).unwrap(), 16).unwrap());
            }
            other => out.push(*other),
        }
    }
    out
}
