//! Random mails as they come and as they should not: charsets, encodings, HTML, messages within messages, broken MIME.

use super::Dice;
use mail::mime::decode::{to_base64, to_quoted_printable};

pub(super) const NAMES: &[&str] =
    &["subject", "FROM", "To", "X-Added", "X-Own", "List-Id", "Content-Type", "date", "x-none", ""];

/// Words with the same in several charsets.
const WORDS: &[&str] = &[
    "hello",
    "meeting",
    "Meeting",
    "MEETINGS",
    "grüße",
    "Straße",
    "strasse",
    "naïve",
    "ΣΊΣΥΦΟΣ",
    "сидит",
    "日本語",
    "ﬁle",
    "a",
    "of",
    "x y",
    "100%",
    "\"quoted\"",
    "semi;colon",
    "back\\slash",
    "e\u{301}té",
    "ǅ",
];
const TERMS: &[&str] = &[
    "hello",
    "ELLO",
    "meeting",
    "eting",
    "grü",
    "GRÜSSE",
    "straße",
    "naive",
    "naïve",
    "σίσυφος",
    "СИДИТ",
    "本語",
    "日本語",
    "ﬁle",
    "a",
    "of",
    "x y",
    "100%",
    "d\"",
    "semi;",
    "k\\s",
    "été",
    "ǆ",
    "\r\n",
    "o m",
    "html",
    "text/",
    "report.pdf",
    "ärger",
    "nowhere to be found",
    "subject: h",
    "<b>",
    "=",
    "\0",
];

/// What is looked for.
pub(super) fn term(dice: &mut Dice) -> String {
    match dice.below(4) {
        0 => format!("{}{}", dice.one(WORDS), dice.one(&["", " ", " hello", "\r\n"])),
        1 => {
            let word: Vec<char> = dice.one(WORDS).chars().collect();
            let from = dice.below(word.len());
            word[from..].iter().collect()
        }
        _ => dice.one(TERMS).to_owned(),
    }
}

fn text(dice: &mut Dice, most: usize) -> String {
    let mut out = String::new();
    for _ in 0..dice.below(most + 1) {
        out.push_str(dice.one(WORDS));
        out.push_str(dice.one(&[" ", " ", "", "\r\n", ", "]));
    }
    out
}

/// A whole message, or the content of one.
pub(super) fn mail(dice: &mut Dice, depth: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for name in ["From", "To", "Subject", "X-Own", "List-Id"] {
        if dice.below(4) > 0 {
            out.extend_from_slice(format!("{name}: {}\r\n", header_value(dice)).as_bytes());
        }
    }
    if dice.below(2) == 0 {
        out.extend_from_slice(
            dice.one(&["Date: 2 Jan 2026 00:30 +0500\r\n", "Date: x\r\n", "no colon\r\n"]).as_bytes(),
        );
    }
    out.extend_from_slice(b"MIME-Version: 1.0\r\n");
    part(dice, depth, &mut out);
    if dice.below(8) == 0 {
        out.truncate(dice.below(out.len()));
    }
    if dice.below(8) == 0 {
        for _ in 0..4 {
            let at = dice.below(out.len());
            out[at] = u8::try_from(dice.below(256)).unwrap();
        }
    }
    out
}

fn header_value(dice: &mut Dice) -> String {
    let words = text(dice, 4).replace("\r\n", " ");
    match dice.below(4) {
        0 => format!("=?utf-8?b?{}?=", to_base64(words.as_bytes())),
        1 => {
            let latin: Vec<u8> = words.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect();
            format!("=?iso-8859-1?b?{}?= tail", to_base64(&latin))
        }
        2 => words.replace(' ', "\r\n "),
        _ => words,
    }
}

/// Content-Type, encoding and content.
fn part(dice: &mut Dice, depth: usize, out: &mut Vec<u8>) {
    match dice.below(if depth < 3 { 8 } else { 4 }) {
        0..=3 => leaf(dice, out),
        4 => {
            out.extend_from_slice(b"Content-Type: message/rfc822\r\n\r\n");
            let within = mail(dice, depth + 1);
            out.extend_from_slice(&within);
        }
        5 => {
            out.extend_from_slice(
                b"Content-Type: application/pdf; name*=utf-8''%C3%A4rger.pdf\r\nContent-Disposition: attachment;\r\n \
                  filename*0=report; filename*1=.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n",
            );
        }
        _ => {
            let boundary = format!("b{depth}{}", dice.below(10));
            let told = if dice.below(8) == 0 { "other" } else { &boundary };
            out.extend_from_slice(
                format!("Content-Type: multipart/mixed; boundary=\"{told}\"\r\n\r\npreamble hello\r\n")
                    .as_bytes(),
            );
            for _ in 0..dice.below(4) {
                out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
                part(dice, depth + 1, out);
                out.extend_from_slice(b"\r\n");
            }
            if dice.below(6) > 0 {
                out.extend_from_slice(format!("--{boundary}--\r\nepilogue meeting\r\n").as_bytes());
            }
        }
    }
}

fn leaf(dice: &mut Dice, out: &mut Vec<u8>) {
    let mut words = text(dice, 20);
    let kind = dice.one(&["plain", "plain", "html", "calendar"]);
    if kind == "html" {
        words =
            format!("<html><p>{}</p>&eacute;t&eacute; <b>{words}</b><!-- hello --></html>", text(dice, 3));
    }
    let charset = dice.one(&["utf-8", "utf-8", "iso-8859-1", "windows-1251", "x-unknown", "utf-16le"]);
    let octets: Vec<u8> = match charset {
        "iso-8859-1" | "windows-1251" => {
            words.chars().map(|c| u8::try_from(u32::from(c) % 256).unwrap_or(b'?')).collect()
        }
        "utf-16le" => words.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        _ => words.clone().into_bytes(),
    };
    let head = |encoding: &str| {
        format!(
            "Content-Type: text/{kind}; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
        )
    };
    match dice.below(4) {
        0 => {
            out.extend_from_slice(head("base64").as_bytes());
            out.extend_from_slice(to_base64(&octets).as_bytes());
        }
        1 => {
            out.extend_from_slice(head("quoted-printable").as_bytes());
            out.extend_from_slice(to_quoted_printable(&words.replace("\r\n", "\n")).as_bytes());
        }
        2 => {
            out.extend_from_slice(head("x-mystery").as_bytes());
            out.extend_from_slice(&octets);
        }
        _ => {
            out.extend_from_slice(head("8bit").as_bytes());
            out.extend_from_slice(&octets);
        }
    }
}
