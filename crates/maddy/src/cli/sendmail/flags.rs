//! The command line of `sendmail`, as programs have written it for decades: letters joined or apart, values joined or apart.

use mail::{Notify, Ret};
use std::path::PathBuf;
use submission::local::{Order, Recipients};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// A message from standard input.
    Deliver,
    /// `-bs`: SMTP on standard input and output.
    Speak,
    /// `-bp`, or called as mailq.
    List,
    /// `-q`: another try of what waits.
    Flush,
    /// `-bi`, or called as newaliases: there is nothing to be built here.
    Nothing,
}

/// What ends the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A line with a lone dot, as well as the end of the input.
    Dot,
    /// The end of the input alone (`-i`, `-oi`).
    Input,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verbosity {
    Quiet,
    Verbose,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flags {
    pub(super) wish: Wish,
    pub(super) end: End,
    pub(super) verbosity: Verbosity,
    /// `-C`
    pub(super) config: Option<PathBuf>,
    pub(super) order: Order,
}

/// Letters with a value, which mean something here or are passed over.
const WITH_VALUE: &str = "ABCFLNORVXbefhopr";
/// Letters without one that are passed over: they mean nothing to a server like this one.
const HARMLESS: &str = "GUcmnxS";

impl Flags {
    /// Reads the arguments behind the program's name. The error is a sentence.
    pub(super) fn read(name: &str, arguments: &[String]) -> Result<Self, String> {
        let order = Order {
            from: None,
            full_name: None,
            recipients: Vec::new(),
            take: Recipients::Given,
            notify: Notify::Default,
            ret: None,
            envid: None,
        };
        let wish = match name {
            "mailq" => Wish::List,
            "newaliases" => Wish::Nothing,
            _ => Wish::Deliver,
        };
        let mut flags = Self { wish, end: End::Dot, verbosity: Verbosity::Quiet, config: None, order };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.strip_prefix('-') {
                Some("-") => break,
                Some(letters) if !letters.is_empty() => {
                    flags.letters(letters, &mut || rest.next().cloned())?;
                }
                _ => flags.order.recipients.push(argument.clone()),
            }
        }
        flags.order.recipients.extend(rest.cloned());
        // One argument may name several, as in a header.
        let split = |one: String| one.split(',').map(|part| part.trim().to_owned()).collect::<Vec<_>>();
        let named = std::mem::take(&mut flags.order.recipients);
        let named = named.into_iter().flat_map(|one| if one.contains('"') { vec![one] } else { split(one) });
        flags.order.recipients = named.filter(|one| !one.is_empty()).collect();
        Ok(flags)
    }

    fn letters(&mut self, letters: &str, next: &mut dyn FnMut() -> Option<String>) -> Result<(), String> {
        for (at, letter) in letters.char_indices() {
            let behind = &letters[at + letter.len_utf8()..];
            // The only one whose value may be missing, and never stands apart.
            if letter == 'q' {
                self.wish = Wish::Flush;
                return Ok(());
            }
            if !WITH_VALUE.contains(letter) {
                self.plain(letter)?;
                continue;
            }
            let value = if behind.is_empty() { next() } else { Some(behind.to_owned()) };
            let value = value.ok_or_else(|| format!("-{letter} needs a value"))?;
            return self.valued(letter, value);
        }
        Ok(())
    }

    fn plain(&mut self, letter: char) -> Result<(), String> {
        match letter {
            't' => self.order.take = Recipients::AndOfHeader,
            'i' => self.end = End::Input,
            'v' => self.verbosity = Verbosity::Verbose,
            'I' => self.wish = Wish::Nothing,
            _ if HARMLESS.contains(letter) => {}
            _ => return Err(format!("-{letter} is not known")),
        }
        Ok(())
    }

    fn valued(&mut self, letter: char, value: String) -> Result<(), String> {
        match letter {
            'f' | 'r' => self.order.from = Some(value),
            'F' => self.order.full_name = Some(value),
            'C' => self.config = Some(PathBuf::from(value)),
            'N' => self.order.notify = notify(&value)?,
            'R' => self.order.ret = Some(ret(&value)?),
            'V' => self.order.envid = Some(value),
            // What the body is, is seen in it.
            'B' if matches!(value.to_ascii_uppercase().as_str(), "7BIT" | "8BITMIME") => {}
            'B' => return Err(format!("-B {value}: a body is 7BIT or 8BITMIME")),
            'b' => self.wish = mode(&value)?,
            'o' if value == "i" => self.end = End::Input,
            _ => {}
        }
        Ok(())
    }
}

fn mode(value: &str) -> Result<Wish, String> {
    Ok(match value {
        "m" => Wish::Deliver,
        "s" => Wish::Speak,
        "p" => Wish::List,
        "i" => Wish::Nothing,
        "d" | "D" | "l" => return Err(format!("-b{value}: the server is started with `maddy run`")),
        _ => return Err(format!("-b{value} is not done here")),
    })
}

fn notify(value: &str) -> Result<Notify, String> {
    if value.eq_ignore_ascii_case("never") {
        return Ok(Notify::Never);
    }
    let (mut success, mut failure, mut delay) = (false, false, false);
    for word in value.split(',') {
        match word.trim().to_ascii_lowercase().as_str() {
            "success" => success = true,
            "failure" => failure = true,
            "delay" => delay = true,
            _ => return Err(format!("-N {value}: say never, or some of success,failure,delay")),
        }
    }
    Ok(Notify::On { success, failure, delay })
}

fn ret(value: &str) -> Result<Ret, String> {
    match value.to_ascii_lowercase().as_str() {
        "full" => Ok(Ret::Full),
        "hdrs" => Ok(Ret::Headers),
        _ => Err(format!("-R {value}: say full or hdrs")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Flags, String> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Flags::read("sendmail", &arguments)
    }

    #[test]
    fn letters_joined_and_apart() {
        for line in [
            "-t -i -f a@b.ex",
            "-ti -fa@b.ex",
            "-oi -t -r a@b.ex",
            "-itfa@b.ex",
            "-odb -oem -t -oi -fa@b.ex -om",
        ] {
            let flags = read(line).unwrap();
            assert_eq!((flags.wish, flags.end), (Wish::Deliver, End::Input), "{line}");
            assert_eq!(flags.order.take, Recipients::AndOfHeader, "{line}");
            assert_eq!(flags.order.from.as_deref(), Some("a@b.ex"), "{line}");
        }
        let flags =
            read("-F Name -N success,delay -R hdrs -V id1 -B 8BITMIME -v -- -x@b.ex c@d.ex,e@d.ex").unwrap();
        assert_eq!(flags.order.full_name.as_deref(), Some("Name"));
        assert_eq!(flags.order.notify, Notify::On { success: true, failure: false, delay: true });
        assert_eq!((flags.order.ret, flags.order.envid.as_deref()), (Some(Ret::Headers), Some("id1")));
        assert_eq!(flags.order.recipients, ["-x@b.ex", "c@d.ex", "e@d.ex"]);
        assert_eq!((flags.end, flags.verbosity), (End::Dot, Verbosity::Verbose));
        assert_eq!(read("a@b.ex -f c@d.ex").unwrap().order.from.as_deref(), Some("c@d.ex"));
        assert_eq!(
            read("-C /x -L tag -X log -O DeliveryMode=b -h 5 -p ESMTP:x -A c -GUnmx a")
                .unwrap()
                .order
                .recipients,
            ["a"]
        );
    }

    #[test]
    fn other_wishes() {
        for (line, want) in [
            ("-bs", Wish::Speak),
            ("-bp", Wish::List),
            ("-b p", Wish::List),
            ("-bi", Wish::Nothing),
            ("-q", Wish::Flush),
            ("-q30m", Wish::Flush),
            ("-bm", Wish::Deliver),
        ] {
            assert_eq!(read(line).unwrap().wish, want, "{line}");
        }
        assert_eq!(Flags::read("mailq", &[]).unwrap().wish, Wish::List);
        assert_eq!(Flags::read("newaliases", &[]).unwrap().wish, Wish::Nothing);
        for line in ["-bd", "-bz", "-f", "-Z", "-N often", "-N never,success", "-R some", "-B binary"] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
