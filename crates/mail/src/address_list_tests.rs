//! Address lists as they are written, well and badly.

use super::*;

/// `name|route|local|domain`, groups as `name{…}`.
fn shown(value: &str) -> String {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let mailbox = |m: &Mailbox| {
        let display = m.display.as_deref().map_or(String::new(), text);
        let route = m.route.as_deref().map_or(String::new(), text);
        format!("{display}|{route}|{}|{}", text(&m.local), text(&m.domain))
    };
    let entries: Vec<String> = parse(value.as_bytes())
        .iter()
        .map(|entry| match entry {
            Entry::Mailbox(m) => mailbox(m),
            Entry::Group { name, members } => {
                let members: Vec<String> = members.iter().map(mailbox).collect();
                format!("{}{{{}}}", text(name), members.join(" ; "))
            }
        })
        .collect();
    entries.join(" ; ")
}

#[test]
fn reads() {
    for (value, want) in [
        ("a@b.c", "||a|b.c"),
        ("<a@b.c>", "||a|b.c"),
        ("Alice Liddell <a@b.c>", "Alice Liddell||a|b.c"),
        ("\"Liddell, Alice\" <a@b.c>", "Liddell, Alice||a|b.c"),
        ("\"a \\\"b\\\"\" <a@b.c>", "a \"b\"||a|b.c"),
        ("a@b.c, d@e.f", "||a|b.c ; ||d|e.f"),
        ("a@b.c (Alice)", "Alice||a|b.c"),
        ("a@b.c (Alice (the (real) one))", "Alice (the (real) one)||a|b.c"),
        ("A (x) <a@b.c>", "A||a|b.c"),
        ("=?utf-8?q?Al=2C?= <a@b.c>", "=?utf-8?q?Al=2C?=||a|b.c"),
        ("=?utf-8?q?Al,ice?= <a@b.c>", "=?utf-8?q?Al,ice?=||a|b.c"),
        ("\"a b\"@c.d", "||a b|c.d"),
        ("<\"a b\"@c.d>", "||a b|c.d"),
        ("J. R. User <a@b.c>", "J. R. User||a|b.c"),
        ("a . b @ c . d", "||a.b|c.d"),
        ("<@x.y,@z:a@b.c>", "|@x.y,@z|a|b.c"),
        ("<@x.y:a@b.c>", "|@x.y|a|b.c"),
        ("a@[192.0.2.1]", "||a|[192.0.2.1]"),
        ("a@[IPv6:2001:db8::1]", "||a|[IPv6:2001:db8::1]"),
        ("undisclosed-recipients:;", "undisclosed-recipients{}"),
        ("Team: a@b.c, Bob <b@b.c>;, d@e.f", "Team{||a|b.c ; Bob||b|b.c} ; ||d|e.f"),
        ("Team: a@b.c", "Team{||a|b.c}"),
        ("a@b.c,\r\n d@e.f", "||a|b.c ; ||d|e.f"),
        ("\"Long\r\n name\" <a@b.c>", "Long name||a|b.c"),
        // Mistakes.
        ("", ""),
        (",,", ""),
        ("<>", ""),
        ("Alice", "||Alice|"),
        ("Alice <>", ""),
        ("a@b.c <a@b.c>", "a@b.c||a|b.c"),
        ("Alice <a@b.c", "Alice||a|b.c"),
        ("a@b.c>", "||a|b.c"),
        ("a@b@c", "||a|b@c"),
        ("\"Alice <a@b.c>", "||Alice <a@b.c>|"),
        ("Alice a@b.c", "||a|b.c"),
        ("; a@b.c", "||a|b.c"),
        ("(((((", ""),
    ] {
        assert_eq!(shown(value), want, "{value:?}");
    }
}

#[test]
fn decodes_names_and_finds_addresses() {
    let list = mailboxes(b"=?utf-8?q?J=C3=BCrgen?= <j@B\xc3\xbccher.example>, x@, \"a b\"@c.d");
    assert_eq!(list[0].name().as_deref(), Some("Jürgen"));
    assert_eq!(list[0].address().unwrap().to_string(), "j@xn--bcher-kva.example");
    assert_eq!(list[1].address(), None);
    assert_eq!(list[2].address().unwrap().to_string(), "\"a b\"@c.d");
    assert_eq!(list[2].to_string(), "<a b@c.d>");
}

#[test]
fn ends_with_any_rubbish() {
    assert_eq!(mailboxes("a@b.c,".repeat(5000).as_bytes()).len(), MAILBOXES_MAX);
    let deep = format!("{}a@b.c", "(".repeat(100_000));
    assert!(mailboxes(deep.as_bytes()).is_empty());
}
