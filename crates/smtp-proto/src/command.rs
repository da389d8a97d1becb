//! SMTP commands as values (RFC 5321 §4.1), and what to say about lines that are none.

use crate::behalf::{Behalf, Verb};
use crate::ext::{Extension, ExtensionSet};
use crate::params::{MailArgs, RcptArgs, number};
use crate::path::{ForwardPath, forward_path, reverse_path};
use crate::secret::Secret;
use mail::{Reply, ReversePath, Status};
use std::fmt;

/// Longest command line in octets, CRLF included: 512 of RFC 5321 §4.5.3.1.4 and room for all extensions.
pub const LINE_MAX: usize = 2048;
/// Longest line of AUTH and of a SASL response in octets, CRLF included (RFC 4954 §4).
pub const AUTH_LINE_MAX: usize = 12_288;
/// Longest name in HELO and EHLO in octets.
pub const HELLO_MAX: usize = 255;

/// The command that says hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelloKind {
    Helo,
    Ehlo,
}

/// A command, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The name is printable ASCII, not empty, and as a rule a domain or an address literal; many that are
    /// neither do exist, and refusing them is not for the grammar. Each character of a computer's name that
    /// no domain could have is a `?` here.
    Hello {
        kind: HelloKind,
        name: String,
    },
    Mail {
        from: ReversePath,
        args: MailArgs,
    },
    Rcpt {
        to: ForwardPath,
        args: RcptArgs,
    },
    Data,
    /// RFC 3030 §2
    Bdat {
        size: u64,
        last: bool,
    },
    Rset,
    Noop,
    Quit,
    Vrfy,
    Expn,
    Help,
    StartTls,
    /// The mechanism in capitals, the initial response as it stands on the wire (RFC 4954 §4).
    Auth {
        mechanism: String,
        initial: Option<Secret>,
    },
    /// The peer speaks for another client from now on.
    Xclient(Behalf),
    /// The peer passes the next message on, which it has from another client.
    Xforward(Behalf),
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Octets that are no UTF-8, or control characters.
    BadOctets,
    /// No such command.
    UnknownCommand,
    /// An HTTP request: somebody's browser is made to talk to us. The connection ends.
    Http,
    /// Arguments do not fit; `usage` is how it is written.
    Syntax {
        usage: &'static str,
    },
    /// The text in the angle brackets is no address.
    BadSender {
        why: String,
    },
    BadRecipient {
        why: String,
    },
    /// Non-ASCII in an address without SMTPUTF8 (RFC 6531 §3.5).
    NeedsUtf8,
    UnknownParameter {
        keyword: String,
    },
    BadParameter {
        what: &'static str,
    },
    /// The size of a chunk cannot be read, so nobody knows where it ends. The connection ends.
    BadChunk,
}

impl Fault {
    /// The reply; its sentence says what to do.
    pub fn reply(&self) -> Reply {
        let syntax = Status::permanent(5, 2);
        let arguments = Status::permanent(5, 4);
        match self {
            Self::BadOctets => {
                Reply::new(500, syntax, "Commands are text in UTF-8 without control characters")
            }
            Self::UnknownCommand => Reply::new(500, Status::permanent(5, 1), "No such command; try EHLO"),
            Self::Http => Reply::new(521, Status::permanent(5, 1), "This is a mail server, not a web server"),
            Self::Syntax { usage } => Reply::new(501, arguments, format!("Syntax: {usage}")),
            Self::BadSender { why } => Reply::new(501, Status::permanent(1, 7), format!("Bad sender: {why}")),
            Self::BadRecipient { why } => {
                Reply::new(501, Status::permanent(1, 3), format!("Bad recipient: {why}"))
            }
            Self::NeedsUtf8 => Reply::new(
                553,
                Status::permanent(6, 7),
                "An address with non-ASCII characters needs the SMTPUTF8 parameter of MAIL",
            ),
            Self::UnknownParameter { keyword } => {
                Reply::new(555, arguments, format!("Parameter {keyword} is not offered here; leave it out"))
            }
            Self::BadParameter { what } => Reply::new(501, arguments, format!("Bad parameter: {what}")),
            Self::BadChunk => Reply::new(
                501,
                arguments,
                "Syntax: BDAT size [LAST]; closing, since the end of the chunk is unknown",
            ),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reply().text)
    }
}

impl std::error::Error for Fault {}

/// Verbs of HTTP and what stands in front of its header lines.
const HTTP: [&str; 9] = ["GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "PATCH", "DELETE", "TRACE"];

impl Command {
    /// Reads a line without its CRLF. `offered` says which parameters are known.
    pub fn parse(line: &[u8], offered: ExtensionSet) -> Result<Self, Fault> {
        let lossy;
        let line = match std::str::from_utf8(line) {
            Ok(line) => line,
            Err(_) if is_hello(line) => {
                lossy = String::from_utf8_lossy(line);
                lossy.as_ref()
            }
            Err(_) => return Err(Fault::BadOctets),
        };
        if line.chars().any(|c| c.is_control() && c != '\t') {
            return Err(Fault::BadOctets);
        }
        let line = line.trim_end_matches([' ', '\t']);
        let (verb, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let rest = rest.trim_start_matches([' ', '\t']);
        match verb.to_ascii_uppercase().as_str() {
            "HELO" => hello(HelloKind::Helo, rest),
            "EHLO" => hello(HelloKind::Ehlo, rest),
            "MAIL" => mail(rest, offered),
            "RCPT" => rcpt(rest, offered),
            "DATA" => alone(Self::Data, rest, "DATA"),
            "BDAT" => bdat(rest),
            "RSET" => alone(Self::Rset, rest, "RSET"),
            "NOOP" => Ok(Self::Noop),
            "QUIT" => alone(Self::Quit, rest, "QUIT"),
            "VRFY" => Ok(Self::Vrfy),
            "EXPN" => Ok(Self::Expn),
            "HELP" => Ok(Self::Help),
            "STARTTLS" => alone(Self::StartTls, rest, "STARTTLS"),
            "AUTH" => auth(rest),
            // Who is not trusted is not even told that there are such commands.
            "XCLIENT" if offered.has(Extension::Xclient) => {
                Behalf::parse(Verb::Xclient, rest).map(Self::Xclient)
            }
            "XFORWARD" if offered.has(Extension::Xforward) => {
                Behalf::parse(Verb::Xforward, rest).map(Self::Xforward)
            }
            verb if HTTP.contains(&verb) => Err(Fault::Http),
            _ => Err(Fault::UnknownCommand),
        }
    }

    /// Whether a line may be as long as [`AUTH_LINE_MAX`]: only that of AUTH.
    pub fn may_be_long(line: &[u8]) -> bool {
        line.get(..5).is_some_and(|head| head.eq_ignore_ascii_case(b"AUTH "))
    }
}

fn alone(command: Command, rest: &str, usage: &'static str) -> Result<Command, Fault> {
    if rest.is_empty() { Ok(command) } else { Err(Fault::Syntax { usage }) }
}

/// Computers with names in old charsets do log in for people who cannot help it.
fn is_hello(line: &[u8]) -> bool {
    line.get(..5)
        .is_some_and(|head| head.eq_ignore_ascii_case(b"EHLO ") || head.eq_ignore_ascii_case(b"HELO "))
}

fn hello(kind: HelloKind, name: &str) -> Result<Command, Fault> {
    let usage = match kind {
        HelloKind::Helo => "HELO hostname",
        HelloKind::Ehlo => "EHLO hostname",
    };
    // A name and nothing else; words behind it were once allowed (RFC 821) and are ignored.
    let name = name.split_ascii_whitespace().next().unwrap_or_default();
    if name.is_empty() || name.len() > HELLO_MAX {
        return Err(Fault::Syntax { usage });
    }
    Ok(Command::Hello { kind, name: name.replace(|c: char| !c.is_ascii_graphic(), "?") })
}

/// Takes `FROM:` or `TO:` off, in any case; a blank before and after the colon is let pass.
fn after_word<'a>(rest: &'a str, word: &str, usage: &'static str) -> Result<&'a str, Fault> {
    let fault = Fault::Syntax { usage };
    let (head, tail) = rest.split_at_checked(word.len()).ok_or(fault.clone())?;
    let tail = tail.trim_start_matches([' ', '\t']).strip_prefix(':').ok_or(fault.clone())?;
    if head.eq_ignore_ascii_case(word) { Ok(tail.trim_start_matches([' ', '\t'])) } else { Err(fault) }
}

fn mail(rest: &str, offered: ExtensionSet) -> Result<Command, Fault> {
    let rest = after_word(rest, "FROM", "MAIL FROM:<address>")?;
    let (from, is_ascii, rest) = reverse_path(rest)?;
    let args = MailArgs::parse(rest, offered)?;
    if !is_ascii && !args.params.utf8 {
        return Err(Fault::NeedsUtf8);
    }
    Ok(Command::Mail { from, args })
}

fn rcpt(rest: &str, offered: ExtensionSet) -> Result<Command, Fault> {
    let rest = after_word(rest, "TO", "RCPT TO:<address>")?;
    let (to, rest) = forward_path(rest)?;
    Ok(Command::Rcpt { to, args: RcptArgs::parse(rest, offered)? })
}

fn bdat(rest: &str) -> Result<Command, Fault> {
    let mut words = rest.split_ascii_whitespace();
    let size = words.next().and_then(|word| number(word).ok()).ok_or(Fault::BadChunk)?;
    let last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return Err(Fault::BadChunk),
    };
    if words.next().is_some() {
        return Err(Fault::BadChunk);
    }
    Ok(Command::Bdat { size, last })
}

fn auth(rest: &str) -> Result<Command, Fault> {
    const FAULT: Fault = Fault::Syntax { usage: "AUTH mechanism [initial-response]" };
    let mut words = rest.split_ascii_whitespace();
    let mechanism = words.next().ok_or(FAULT)?;
    let is_name =
        mechanism.len() <= 20 && mechanism.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let initial = words.next().map(Secret::new);
    if !is_name || words.next().is_some() {
        return Err(FAULT);
    }
    Ok(Command::Auth { mechanism: mechanism.to_ascii_uppercase(), initial })
}
