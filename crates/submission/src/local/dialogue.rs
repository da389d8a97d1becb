//! `sendmail -bs`: SMTP over standard input and output, with the program that called us as the client.

use super::{Order, Recipients, to_wire};
use mail::{Domain, Notify, Recipient, Reply, Ret, ReversePath, Status};
use smtp_proto::Extension;
use smtp_proto::server::{Answer, Channel, Options, Question, Session};
use std::io::{self, Read, Write};
use wire::{Machine, READ_MAX, Step};

/// Most messages of one dialogue.
const MESSAGES_MAX: usize = 1000;
/// Largest message that is read, in octets; the server may take less.
pub const DIALOGUE_MESSAGE_MAX: usize = 90 << 20;

/// What has been said of a message.
#[derive(Default)]
struct Transaction {
    from: String,
    ret: Option<Ret>,
    envid: Option<String>,
    recipients: Vec<Recipient>,
    message: Vec<u8>,
    is_too_large: bool,
}

/// Holds the dialogue until one side ends it. `hand` hands a message over and says its id, or why not. Lines may end in LF
/// alone, as programs write them.
pub fn converse(
    mut input: impl Read,
    mut output: impl Write,
    mut hand: impl FnMut(Order, Vec<u8>) -> Result<String, Reply>,
) -> io::Result<()> {
    let name = Domain::parse("localhost").map_err(io::Error::other)?;
    let mut options = Options::new(name);
    // What goes on from here would come back where a server takes no binary message (RFC 3030 §3).
    options.extensions = options.extensions.without(Extension::BinaryMime);
    let mut session = Session::new(options, Channel::Clear);
    let mut transaction = Transaction::default();
    let (mut piece, mut was_cr, mut messages) = (vec![0; READ_MAX / 2], false, 0);
    loop {
        match session.step() {
            Step::Read => {
                output.flush()?;
                let got = input.read(&mut piece)?;
                if got == 0 {
                    return Ok(());
                }
                session.feed(&with_cr(&piece[..got], &mut was_cr));
            }
            Step::Write(octets) => output.write_all(&octets)?,
            Step::Body(octets) => transaction.push(&octets),
            Step::Ask(question) => {
                let answer = match question {
                    Question::EndOfData if messages >= MESSAGES_MAX => {
                        Reply::new(452, Status::transient(5, 3), "Too many messages in one dialogue").into()
                    }
                    Question::EndOfData => {
                        messages += 1;
                        std::mem::take(&mut transaction).end(&mut hand).into()
                    }
                    other => transaction.answer(other),
                };
                session.answer(answer);
            }
            // It is not offered.
            Step::StartTls | Step::Close => return output.flush(),
        }
    }
}

/// The octets with a CR in front of each LF that has none.
fn with_cr(octets: &[u8], was_cr: &mut bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len() + 64);
    for octet in octets {
        if *octet == b'\n' && !*was_cr {
            out.push(b'\r');
        }
        out.push(*octet);
        *was_cr = *octet == b'\r';
    }
    out
}

impl Transaction {
    fn push(&mut self, octets: &[u8]) {
        self.is_too_large |= self.message.len() + octets.len() > DIALOGUE_MESSAGE_MAX;
        if !self.is_too_large {
            self.message.extend_from_slice(octets);
        }
    }

    fn answer(&mut self, question: Question) -> Answer {
        match question {
            Question::Hello { name, .. } => Reply::bare(250, format!("greets {name}")),
            Question::Mail(mail) => {
                let from = match &mail.from {
                    ReversePath::Null => String::new(),
                    ReversePath::Address(address) => address.to_string(),
                };
                *self = Self { from, ret: mail.params.ret, envid: mail.params.envid, ..Self::default() };
                Reply::new(250, Status::success(1, 0), "Sender taken")
            }
            Question::Rcpt(recipient) => {
                self.recipients.push(recipient);
                Reply::new(250, Status::success(1, 5), "Recipient taken")
            }
            Question::Data => Reply::bare(354, "Send the message, and a line with a lone dot behind it"),
            Question::Reset => {
                *self = Self::default();
                return Answer::Noted;
            }
            _ => Reply::new(502, Status::permanent(5, 1), "Not offered here"),
        }
        .into()
    }

    fn end(self, hand: &mut impl FnMut(Order, Vec<u8>) -> Result<String, Reply>) -> Reply {
        if self.is_too_large {
            return Reply::new(552, Status::permanent(3, 4), "The message is too large");
        }
        let notify = self.recipients.iter().map(|one| one.notify).find(|notify| *notify != Notify::Default);
        let order = Order {
            from: Some(self.from),
            full_name: None,
            recipients: self.recipients.iter().map(|one| one.address.to_string()).collect(),
            take: Recipients::Given,
            notify: notify.unwrap_or(Notify::Default),
            ret: self.ret,
            envid: self.envid,
        };
        match hand(order, to_wire(&self.message)) {
            Ok(id) => Reply::new(250, Status::success(0, 0), format!("{id} accepted")),
            Err(reply) => reply,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(input: &[u8], piece: usize) -> (String, Vec<(Order, String)>) {
        struct Pieces<'a>(&'a [u8], usize);
        impl Read for Pieces<'_> {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                let n = self.1.min(self.0.len()).min(into.len());
                into[..n].copy_from_slice(&self.0[..n]);
                self.0 = &self.0[n..];
                Ok(n)
            }
        }
        let (mut output, mut taken) = (Vec::new(), Vec::new());
        converse(Pieces(input, piece), &mut output, |order, message| {
            if order.recipients.iter().any(|one| one.starts_with("no@")) {
                return Err(Reply::new(550, Status::permanent(1, 1), "nobody"));
            }
            taken.push((order, String::from_utf8(message).unwrap()));
            Ok("id7".to_owned())
        })
        .unwrap();
        (String::from_utf8(output).unwrap(), taken)
    }

    #[test]
    fn programs_speak_smtp_with_any_line_ends() {
        let text = "EHLO x\nMAIL FROM:<a@b.ex>\nRCPT TO:<c@d.ex>\nRCPT TO:<e@d.ex> NOTIFY=NEVER\nDATA\n\
                    Subject: x\n\nhi\n..dot\n.\nMAIL FROM:<>\nRCPT TO:<no@d.ex>\nDATA\nx: y\n.\nSTARTTLS\nQUIT\n";
        for input in [text.to_owned(), text.replace('\n', "\r\n")] {
            for piece in [1, 3, 8, 1000] {
                let (said, taken) = play(input.as_bytes(), piece);
                assert!(said.contains("\r\n250 2.0.0 id7 accepted\r\n"), "{said}");
                assert!(said.contains("\r\n550 5.1.1 nobody\r\n"), "{said}");
                assert!(said.contains("\r\n502 ") || said.contains("\r\n500 "), "{said}");
                assert!(said.lines().last().unwrap().starts_with("221 "), "{said}");
                let (order, message) = &taken[0];
                assert_eq!(taken.len(), 1);
                assert_eq!(message, "Subject: x\r\n\r\nhi\r\n.dot\r\n");
                assert_eq!(order.from.as_deref(), Some("a@b.ex"));
                assert_eq!(order.recipients, ["c@d.ex", "e@d.ex"]);
                assert_eq!(order.notify, Notify::Never);
            }
        }
    }

    #[test]
    fn an_end_in_the_middle_is_an_end() {
        for input in ["", "EHLO", "MAIL FROM:<a@b.ex>\nRCPT TO:<c@d.ex>\nDATA\nhalf"] {
            assert_eq!(play(input.as_bytes(), 5).1.len(), 0, "{input}");
        }
    }
}
