//! XCLIENT and XFORWARD of Postfix: what a trusted peer says about the client for which it speaks.

use crate::command::{Fault, HELLO_MAX, HelloKind};
use crate::params::from_xtext;
use std::net::IpAddr;

/// Most attributes of one command.
const ATTRIBUTES_MAX: usize = 16;
/// What XCLIENT is announced with.
pub(crate) const XCLIENT: &str = "NAME ADDR PORT PROTO HELO DESTADDR DESTPORT";
/// What XFORWARD is announced with.
pub(crate) const XFORWARD: &str = "NAME ADDR PORT PROTO HELO IDENT SOURCE";

/// One attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Told<T> {
    /// It was not given: what was known of it stays.
    #[default]
    Nothing,
    /// `[UNAVAILABLE]` or `[TEMPUNAVAIL]`: what was known of it is void.
    Unknown,
    Is(T),
}

impl<T> Told<T> {
    /// Changes what is known.
    pub fn apply_to(self, known: &mut Option<T>) {
        match self {
            Self::Nothing => {}
            Self::Unknown => *known = None,
            Self::Is(value) => *known = Some(value),
        }
    }
}

/// What a peer says of the client behind it. Of the attributes that are read but left alone (where the client had
/// connected to, under which id the peer has the message), only the form is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Behalf {
    pub address: Told<IpAddr>,
    pub port: Told<u16>,
    /// The name of the address, as the peer found it.
    pub name: Told<String>,
    /// The name that the client gave itself.
    pub hello: Told<String>,
    pub kind: Told<HelloKind>,
}

/// Which of the two commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Xclient,
    Xforward,
}

impl Behalf {
    pub(crate) fn parse(verb: Verb, rest: &str) -> Result<Self, Fault> {
        let mut behalf = Self::default();
        let mut count = 0;
        for word in rest.split_ascii_whitespace() {
            let (name, value) = word.split_once('=').ok_or(usage(verb))?;
            count += 1;
            if count > ATTRIBUTES_MAX {
                return Err(Fault::BadParameter { what: "too many attributes" });
            }
            let value = from_xtext(value).filter(|value| value.len() <= HELLO_MAX);
            let value = value.filter(|value| !value.chars().any(char::is_control)).ok_or(bad())?;
            behalf.take(verb, &name.to_ascii_uppercase(), &value)?;
        }
        if count == 0 { Err(usage(verb)) } else { Ok(behalf) }
    }

    fn take(&mut self, verb: Verb, name: &str, value: &str) -> Result<(), Fault> {
        match (name, verb) {
            ("NAME", _) => self.name = told(value, |text| Some(text.to_owned()))?,
            ("ADDR", _) => self.address = told(value, address)?,
            ("PORT", _) => self.port = told(value, port)?,
            ("HELO", _) => self.hello = told(value, hello)?,
            ("PROTO", _) => self.kind = told(value, kind)?,
            ("DESTADDR", Verb::Xclient) => check(value, |text| address(text).is_some())?,
            ("DESTPORT", Verb::Xclient) => check(value, |text| port(text).is_some())?,
            ("IDENT", Verb::Xforward) => {}
            ("SOURCE", Verb::Xforward) => check(value, |text| matches!(text, "LOCAL" | "REMOTE"))?,
            _ => return Err(Fault::BadParameter { what: "an attribute that is not offered here" }),
        }
        Ok(())
    }
}

fn usage(verb: Verb) -> Fault {
    match verb {
        Verb::Xclient => Fault::Syntax { usage: "XCLIENT attribute=value …" },
        Verb::Xforward => Fault::Syntax { usage: "XFORWARD attribute=value …" },
    }
}

fn bad() -> Fault {
    Fault::BadParameter { what: "the value of an attribute cannot be understood" }
}

fn told<T>(value: &str, read: impl Fn(&str) -> Option<T>) -> Result<Told<T>, Fault> {
    if ["[UNAVAILABLE]", "[TEMPUNAVAIL]"].iter().any(|none| value.eq_ignore_ascii_case(none)) {
        return Ok(Told::Unknown);
    }
    read(value).map(Told::Is).ok_or(bad())
}

/// An attribute of which only the form matters.
fn check(value: &str, is_good: impl Fn(&str) -> bool) -> Result<(), Fault> {
    told(value, |text| is_good(text).then_some(())).map(|_| ())
}

/// IPv6 stands behind `IPV6:`, which some peers leave out.
fn address(text: &str) -> Option<IpAddr> {
    let tagged = text.get(..5).filter(|head| head.eq_ignore_ascii_case("IPV6:")).map(|_| &text[5..]);
    match tagged {
        Some(rest) => rest.parse().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    }
    .map(|ip: IpAddr| ip.to_canonical())
}

fn port(text: &str) -> Option<u16> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// As it would be read behind EHLO.
fn hello(text: &str) -> Option<String> {
    let is_word = !text.is_empty() && !text.contains(char::is_whitespace);
    is_word.then(|| text.replace(|c: char| !c.is_ascii_graphic(), "?"))
}

fn kind(text: &str) -> Option<HelloKind> {
    match text.to_ascii_uppercase().as_str() {
        "SMTP" => Some(HelloKind::Helo),
        "ESMTP" => Some(HelloKind::Ehlo),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read() {
        let got = Behalf::parse(
            Verb::Xclient,
            "name=mx.s.example ADDR=192.0.2.1 PORT=5025 PROTO=ESMTP HELO=a+2Bb.example DESTADDR=198.51.100.1 DESTPORT=25",
        );
        let want = Behalf {
            address: Told::Is("192.0.2.1".parse().unwrap()),
            port: Told::Is(5025),
            name: Told::Is("mx.s.example".to_owned()),
            hello: Told::Is("a+b.example".to_owned()),
            kind: Told::Is(HelloKind::Ehlo),
        };
        assert_eq!(got, Ok(want));
        for (text, want) in [
            ("ADDR=IPV6:2001:db8::1", Told::Is("2001:db8::1".parse().unwrap())),
            ("ADDR=2001:db8::1", Told::Is("2001:db8::1".parse().unwrap())),
            ("ADDR=ipv6:::ffff:192.0.2.1", Told::Is("192.0.2.1".parse().unwrap())),
            ("ADDR=[UNAVAILABLE]", Told::Unknown),
            ("ADDR=[tempunavail]", Told::Unknown),
            ("HELO=x", Told::Nothing),
        ] {
            assert_eq!(Behalf::parse(Verb::Xforward, text).map(|it| it.address), Ok(want), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "",
            "ADDR",
            "ADDR=",
            "ADDR=192.0.2",
            "ADDR=[192.0.2.1]",
            "PORT=-1",
            "PORT=70000",
            "PROTO=LMTP",
            "HELO=a+20b",
            "HELO=a+0Ab",
            "NAME=+0",
            "LOGIN=alice",
            "IDENT=1",
        ] {
            assert!(Behalf::parse(Verb::Xclient, text).is_err(), "{text}");
        }
        assert!(Behalf::parse(Verb::Xforward, "IDENT=1 SOURCE=LOCAL").is_ok());
        assert!(Behalf::parse(Verb::Xforward, "DESTPORT=25").is_err());
        assert!(Behalf::parse(Verb::Xclient, &"PORT=1 ".repeat(17)).is_err());
        assert!(Behalf::parse(Verb::Xclient, &format!("NAME={}", "x".repeat(256))).is_err());
    }
}
