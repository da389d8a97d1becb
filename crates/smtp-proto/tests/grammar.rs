//! Tables: a line, and the command it is.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic like the tests themselves")]

use mail::{Address, Body, MailParams, Notify, OriginalRecipient, Ret, ReversePath};
use smtp_proto::command::{Command, Fault, HelloKind};
use smtp_proto::params::{MailArgs, RcptArgs, from_unitext, from_xtext, to_unitext, to_xtext};
use smtp_proto::path::{ForwardPath, Spelling};
use smtp_proto::{Extension, ExtensionSet, Secret};

fn offered() -> ExtensionSet {
    ExtensionSet::usual().with(Extension::Auth).with(Extension::RequireTls)
}

fn parse(line: &str) -> Result<Command, Fault> {
    Command::parse(line.as_bytes(), offered())
}

fn address(text: &str) -> ReversePath {
    ReversePath::Address(Address::parse(text).unwrap())
}

fn mail(from: ReversePath, params: MailParams, size: Option<u64>) -> Command {
    Command::Mail { from, args: MailArgs { params, size } }
}

#[test]
fn simple_commands() {
    let hello = |kind, name: &str| Command::Hello { kind, name: name.to_owned() };
    for (line, want) in [
        ("HELO a.example", hello(HelloKind::Helo, "a.example")),
        ("ehlo  [192.0.2.1] ", hello(HelloKind::Ehlo, "[192.0.2.1]")),
        ("EHLO my computer", hello(HelloKind::Ehlo, "my")),
        ("EHLO Büro-PC", hello(HelloKind::Ehlo, "B?ro-PC")),
        ("DATA", Command::Data),
        ("DATA ", Command::Data),
        ("data", Command::Data),
        ("BDAT 0 LAST", Command::Bdat { size: 0, last: true }),
        ("bdat 18446744073709551615", Command::Bdat { size: u64::MAX, last: false }),
        ("RSET", Command::Rset),
        ("NOOP", Command::Noop),
        ("NOOP what ever", Command::Noop),
        ("QUIT", Command::Quit),
        ("VRFY bob", Command::Vrfy),
        ("EXPN list", Command::Expn),
        ("HELP me", Command::Help),
        ("STARTTLS", Command::StartTls),
        ("AUTH plain", Command::Auth { mechanism: "PLAIN".into(), initial: None }),
        ("AUTH PLAIN =", Command::Auth { mechanism: "PLAIN".into(), initial: Some(Secret::new("=")) }),
    ] {
        assert_eq!(parse(line), Ok(want), "{line}");
    }
}

#[test]
fn a_name_in_an_old_charset_is_no_reason_to_refuse() {
    let parsed = Command::parse(b"EHLO B\xfcro", offered()).unwrap();
    assert_eq!(parsed, Command::Hello { kind: HelloKind::Ehlo, name: "B?ro".to_owned() });
    assert_eq!(Command::parse(b"NOOP B\xfcro", offered()), Err(Fault::BadOctets));
}

#[test]
fn senders() {
    let plain = MailParams::default;
    let a = || address("a@b.example");
    for (line, want) in [
        ("MAIL FROM:<>", mail(ReversePath::Null, plain(), None)),
        ("mail from:<a@b.example>", mail(a(), plain(), None)),
        ("MAIL FROM: <a@b.example>", mail(a(), plain(), None)),
        ("MAIL FROM : <a@b.example>", mail(a(), plain(), None)),
        ("MAIL FROM:a@b.example", mail(a(), plain(), None)),
        ("MAIL FROM:a@b.example SIZE=1", mail(a(), plain(), Some(1))),
        ("MAIL FROM:<@x.example,@y.example:a@b.example>", mail(a(), plain(), None)),
        ("MAIL FROM:<\"a b>\"@c.example>", mail(address("\"a b>\"@c.example"), plain(), None)),
        ("MAIL FROM:<\"a\\\"b\"@c.example>", mail(address("\"a\\\"b\"@c.example"), plain(), None)),
        ("MAIL FROM:<a@[192.0.2.1]>", mail(address("a@[192.0.2.1]"), plain(), None)),
        ("MAIL FROM:<a@[IPv6:2001:db8::1]>", mail(address("a@[IPv6:2001:db8::1]"), plain(), None)),
        ("MAIL FROM:<a@b.example> SIZE=99999999999999999999", mail(a(), plain(), Some(u64::MAX))),
        (
            "MAIL FROM:<ü@bücher.example> SMTPUTF8",
            mail(address("ü@bücher.example"), MailParams { utf8: true, ..plain() }, None),
        ),
        (
            "MAIL FROM:<a@b.example> body=8bitmime  RET=hdrs\tENVID=Q+2BQ AUTH=<> REQUIRETLS",
            mail(
                a(),
                MailParams {
                    body: Body::EightBitMime,
                    ret: Some(Ret::Headers),
                    envid: Some("Q+Q".into()),
                    require_tls: true,
                    ..plain()
                },
                None,
            ),
        ),
    ] {
        assert_eq!(parse(line), Ok(want), "{line}");
    }
}

#[test]
fn recipients() {
    let to = |text: &str, notify, original: Option<(&str, &str)>| {
        let original =
            original.map(|(kind, address)| OriginalRecipient { kind: kind.into(), address: address.into() });
        let spelling = if text.is_ascii() { Spelling::Ascii } else { Spelling::Utf8 };
        let to = ForwardPath::Address(Address::parse(text).unwrap(), spelling);
        Command::Rcpt { to, args: RcptArgs { notify, original } }
    };
    let on = |success, failure, delay| Notify::On { success, failure, delay };
    for (line, want) in [
        ("RCPT TO:<a@b.example>", to("a@b.example", Notify::Default, None)),
        ("rcpt to: a@b.example", to("a@b.example", Notify::Default, None)),
        ("RCPT TO:<@x.example:a@b.example>", to("a@b.example", Notify::Default, None)),
        ("RCPT TO:<ü@b.example>", to("ü@b.example", Notify::Default, None)),
        ("RCPT TO:<a@bücher.example>", to("a@bücher.example", Notify::Default, None)),
        ("RCPT TO:<a@b.example> NOTIFY=never", to("a@b.example", Notify::Never, None)),
        ("RCPT TO:<a@b.example> NOTIFY=SUCCESS", to("a@b.example", on(true, false, false), None)),
        ("RCPT TO:<a@b.example> NOTIFY=FAILURE,DELAY", to("a@b.example", on(false, true, true), None)),
        (
            "RCPT TO:<a@b.example> ORCPT=rfc822;x+2By@c.example",
            to("a@b.example", Notify::Default, Some(("rfc822", "x+y@c.example"))),
        ),
        (
            "RCPT TO:<a@b.example> ORCPT=utf-8;\\x{FC}@c.example",
            to("a@b.example", Notify::Default, Some(("utf-8", "ü@c.example"))),
        ),
    ] {
        assert_eq!(parse(line), Ok(want), "{line}");
    }
    for line in ["RCPT TO:<Postmaster>", "RCPT TO:<POSTMASTER>", "RCPT TO:postmaster"] {
        let want = Command::Rcpt { to: ForwardPath::Postmaster, args: RcptArgs::default() };
        assert_eq!(parse(line), Ok(want), "{line}");
    }
}

#[test]
fn faults() {
    for (line, code, status) in [
        ("", 500, "5.5.1"),
        ("FOO", 500, "5.5.1"),
        ("EHLO", 501, "5.5.4"),
        ("DATA x", 501, "5.5.4"),
        ("QUIT x", 501, "5.5.4"),
        ("MAIL", 501, "5.5.4"),
        ("MAIL TO:<a@b.example>", 501, "5.5.4"),
        ("MAIL FROM", 501, "5.5.4"),
        ("MAIL FROM:", 501, "5.1.7"),
        ("MAIL FROM:<a@b.example", 501, "5.1.7"),
        ("MAIL FROM:<a@b.example>SIZE=1", 501, "5.1.7"),
        ("MAIL FROM:<a>", 501, "5.1.7"),
        ("MAIL FROM:<a@-b.example>", 501, "5.1.7"),
        ("MAIL FROM:<a b@c.example>", 501, "5.1.7"),
        ("MAIL FROM:<a@[300.0.2.1]>", 501, "5.1.7"),
        ("MAIL FROM:<ü@b.example>", 553, "5.6.7"),
        ("MAIL FROM:<a@b.example> FOO", 555, "5.5.4"),
        ("MAIL FROM:<a@b.example> SIZE", 555, "5.5.4"),
        ("MAIL FROM:<a@b.example> SMTPUTF8=1", 555, "5.5.4"),
        ("MAIL FROM:<a@b.example> SIZE=x", 501, "5.5.4"),
        ("MAIL FROM:<a@b.example> SIZE=123456789012345678901", 501, "5.5.4"),
        ("MAIL FROM:<a@b.example> SIZE=1 size=2", 501, "5.5.4"),
        ("MAIL FROM:<a@b.example> BODY=9BIT", 501, "5.5.4"),
        ("MAIL FROM:<a@b.example> RET=SOME", 501, "5.5.4"),
        ("MAIL FROM:<a@b.example> ENVID=a+2", 501, "5.5.4"),
        ("MAIL FROM:<a@b.example> ENVID=+0A", 501, "5.5.4"),
        ("MAIL FROM:<a@b.example> =x", 501, "5.5.4"),
        ("RCPT TO:<>", 501, "5.1.3"),
        ("RCPT TO:<a>", 501, "5.1.3"),
        ("RCPT TO:<a@b.example> NOTIFY=NEVER,DELAY", 501, "5.5.4"),
        ("RCPT TO:<a@b.example> NOTIFY=", 501, "5.5.4"),
        ("RCPT TO:<a@b.example> ORCPT=a@b.example", 501, "5.5.4"),
        ("RCPT TO:<a@b.example> ORCPT=utf-8;\\x{D800}@b", 501, "5.5.4"),
        ("RCPT TO:<a@b.example> SIZE=1", 555, "5.5.4"),
        ("BDAT", 501, "5.5.4"),
        ("BDAT -1", 501, "5.5.4"),
        ("BDAT 1 FIRST", 501, "5.5.4"),
        ("BDAT 1 LAST x", 501, "5.5.4"),
        ("AUTH", 501, "5.5.4"),
        ("AUTH PLA;IN", 501, "5.5.4"),
        ("GET / HTTP/1.0", 521, "5.5.1"),
    ] {
        let reply = parse(line).unwrap_err().reply();
        assert_eq!((reply.code, reply.status.unwrap().to_string().as_str()), (code, status), "{line}");
    }
    let long = format!("MAIL FROM:<a@b.example> ENVID={}", "x".repeat(101));
    assert_eq!(parse(&long).unwrap_err().reply().code, 501);
}

#[test]
fn what_is_not_offered_is_unknown() {
    for line in
        ["MAIL FROM:<> SIZE=1", "MAIL FROM:<> SMTPUTF8", "MAIL FROM:<> RET=FULL", "MAIL FROM:<> AUTH=<>"]
    {
        let fault = Command::parse(line.as_bytes(), ExtensionSet::EMPTY).unwrap_err();
        assert!(matches!(fault, Fault::UnknownParameter { .. }), "{line}");
    }
}

#[test]
fn encodings_go_both_ways() {
    for text in ["", "a", "a+b=c d", "ü", "\\x", "\u{1F4E7}\u{7}"] {
        assert_eq!(from_xtext(&to_xtext(text)).unwrap(), text, "{text}");
        assert!(to_xtext(text).is_ascii());
        assert_eq!(from_unitext(&to_unitext(text)).unwrap(), text, "{text}");
        assert!(to_unitext(text).is_ascii());
    }
    for text in ["+", "+4", "+zz", "=", "a b", "+FF"] {
        assert_eq!(from_xtext(text), None, "{text}");
    }
}

#[test]
fn secrets_are_masked() {
    assert_eq!(format!("{:?}", parse("AUTH PLAIN AHVzZXIAc2VjcmV0")).matches("AHV").count(), 0);
}
