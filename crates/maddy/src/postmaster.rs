//! Letters of the server to whoever runs it.

use crate::reload::Running;
use delivery::Arrival;
use mail::{Address, Blob, Envelope, Mail, MailParams, Message, Recipient, ReversePath, date};
use tracing::error;

/// Letters of a message's id.
const ID_LETTERS: usize = 12;
/// Longest line of a letter, in characters: far below what a line may have (RFC 5322 §2.1.1).
const LINE_MAX: usize = 900;

/// What became of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It is with postmaster, or on its way.
    Yes,
    /// Nobody is postmaster.
    Nobody,
    /// It was not taken, which stands in the log.
    No,
}

/// Writes to postmaster.
pub(crate) async fn tell(running: &Running, subject: &str, lines: &[String]) -> Told {
    let router = running.intake().router();
    let Some(postmaster) = router.bare_postmaster() else { return Told::Nobody };
    let id = running.world().random.word(ID_LETTERS);
    let now = running.world().clock.unix();
    let text = letter(&postmaster, &format!("{id}@{}", router.hostname()), now, subject, lines);
    let envelope = Envelope {
        from: ReversePath::Null,
        params: MailParams::default(),
        recipients: vec![Recipient::plain(postmaster)],
    };
    let arrival = Arrival::own(id.as_str());
    let mail = Mail { envelope, message: Message::new(Blob::from_bytes(text.into_bytes())) };
    match running.intake().accept(mail, arrival).await {
        Ok(_) => Told::Yes,
        Err(reply) => {
            error!(mail = id, %reply, subject, "postmaster cannot be told");
            Told::No
        }
    }
}

fn letter(postmaster: &Address, id: &str, now: i64, subject: &str, lines: &[String]) -> String {
    let mut text = format!(
        "From: {postmaster}\r\nTo: {postmaster}\r\nDate: {}\r\nMessage-ID: <doctor.{id}>\r\n\
         Auto-Submitted: auto-generated\r\nSubject: {}\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
        date::print(now),
        clean(subject),
    );
    for line in lines {
        text.push_str(&clean(line));
        text.push_str("\r\n");
    }
    text
}

/// One line, whatever somebody else has put into it. Octets count, not characters (RFC 5322 §2.1.1).
fn clean(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if line.len() + c.len_utf8() > LINE_MAX {
            break;
        }
        line.push(c);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_elsewhere_adds_a_field_or_a_long_line() {
        let postmaster = Address::parse("postmaster@o.ex").unwrap();
        let lines = ["a\r\nb".to_owned(), "ü".repeat(2000)];
        let text = letter(&postmaster, "1@mx.o.ex", 0, "x\r\nBcc: y@z", &lines);
        assert!(text.contains("Subject: x  Bcc: y@z\r\nMIME-Version"), "{text}");
        assert!(text.ends_with("ü\r\n") && text.contains("\r\n\r\na  b\r\n"), "{text}");
        assert!(text.split("\r\n").all(|line| !line.contains(['\r', '\n']) && line.len() <= LINE_MAX));
    }
}
