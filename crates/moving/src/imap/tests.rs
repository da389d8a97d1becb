//! What other servers say, whole and in pieces, and what they should not.

use super::*;

/// Feeds in pieces of `size`; all that was heard.
fn heard(text: &[u8], size: usize) -> Vec<Result<Response, &'static str>> {
    let mut client = ImapClient::new();
    let mut list = Vec::new();
    for piece in text.chunks(size) {
        client.feed(piece);
        loop {
            match client.step() {
                Step::Ask(Heard::Response(response)) => list.push(Ok(response)),
                Step::Ask(Heard::Broken(why)) => list.push(Err(why)),
                Step::Read | Step::Close => break,
                step => panic!("{step:?}"),
            }
        }
    }
    list
}

fn one(text: &str) -> Response {
    let all = heard(text.as_bytes(), usize::MAX);
    assert_eq!(all.len(), 1, "{all:?}");
    all.into_iter().next().unwrap().unwrap()
}

#[test]
fn responses_of_several_servers() {
    let status = |tag: Option<&str>, status, code: &str, text: &str| Response::Status {
        tag: tag.map(str::to_owned),
        status,
        code: code.to_owned(),
        text: text.to_owned(),
    };
    let listed = |attributes: &[&str], delimiter, name: &str| Listed {
        attributes: attributes.iter().map(|word| (*word).to_owned()).collect(),
        delimiter,
        name: name.as_bytes().to_vec(),
    };
    for (text, want) in [
        (
            "* OK [CAPABILITY IMAP4rev1] Ready.\r\n",
            status(None, Status::Ok, "CAPABILITY IMAP4rev1", "Ready."),
        ),
        ("m1 no\r\n", status(Some("m1"), Status::No, "", "")),
        ("* BYE gone\r\n", status(None, Status::Bye, "", "gone")),
        ("+ \r\n", Response::Continue),
        ("+\r\n", Response::Continue),
        ("* 12 EXISTS\r\n", Response::Exists(12)),
        ("* 12 RECENT\r\n", Response::Other),
        ("* FLAGS (\\Seen)\r\n", Response::Other),
        (
            "* LIST (\\HasNoChildren \\Sent) \".\" INBOX.Sent\r\n",
            Response::List(listed(&["\\HasNoChildren", "\\Sent"], Some('.'), "INBOX.Sent")),
        ),
        ("* LIST () NIL \"a \\\"b\\\\\"\r\n", Response::List(listed(&[], None, "a \"b\\"))),
        ("* LSUB () \"/\" {5}\r\na b/c\r\n", Response::Lsub(listed(&[], Some('/'), "a b/c"))),
        (
            "* NAMESPACE ((\"INBOX.\" \".\")) NIL ((\"Public.\" \".\"))\r\n",
            Response::Namespace { own: vec![b"INBOX.".to_vec()], others: vec![b"Public.".to_vec()] },
        ),
        (
            "* 1 FETCH (UID 7 FLAGS (\\Seen $Work) INTERNALDATE \" 1-Jan-1970 00:00:07 +0000\" RFC822.SIZE 5 \
             BODY[] {5}\r\na)\r\nb MODSEQ (12))\r\n",
            Response::Fetch(Fetched {
                uid: Some(7),
                flags: Some(vec!["\\Seen".to_owned(), "$Work".to_owned()]),
                date: Some(7),
                size: Some(5),
                body: Some(b"a)\r\nb".to_vec()),
            }),
        ),
        (
            "* 1 FETCH (body[] \"\" UID 1)\r\n",
            Response::Fetch(Fetched { uid: Some(1), body: Some(Vec::new()), ..Fetched::default() }),
        ),
        ("* 1 FETCH (BODY[] NIL)\r\n", Response::Fetch(Fetched::default())),
    ] {
        assert_eq!(one(text), want, "{text}");
        for size in [1, 2, 3, 7] {
            assert_eq!(heard(text.as_bytes(), size), [Ok(want.clone())], "{text} in pieces of {size}");
        }
    }
}

#[test]
fn what_makes_no_sense_ends_the_conversation() {
    let endless = "x".repeat(LINES_MAX + 1);
    let deep = format!("* 1 FETCH {}\r\n", "(".repeat(50));
    let many = format!("* LIST () \"/\" {}a\r\n", "{1}\r\na ".repeat(20));
    for text in [
        "\r\n",
        "* 1 FETCH (UID 7\r\n",
        "* 1 FETCH UID 7)\r\n",
        "* LIST () \"/\"\r\n",
        "* LIST () \"/\" \"open\r\n",
        "m1 WHAT\r\n",
        "* OK\n",
        "* 1 FETCH (BODY[] {99999999999999999999}\r\n",
        "* 1 FETCH (BODY[] {67108865}\r\n",
        &endless,
        &deep,
        &many,
    ] {
        let all = heard(text.as_bytes(), usize::MAX);
        assert!(matches!(all.as_slice(), [Err(_)]), "{:.60}: {all:?}", text);
    }
    assert_eq!(heard(b"x\r\n* OK\r\n", usize::MAX).len(), 1, "after that nothing is heard");
}

#[test]
fn commands_are_one_line() {
    let mut client = ImapClient::new();
    assert_eq!(client.command(&format!("EXAMINE {}", quoted("a\"\r\nm9 DELETE x"))), "m1");
    assert_eq!(format!("{client:?}"), "ImapClient(1 commands)");
    let Step::Write(octets) = client.step() else { panic!("nothing is said") };
    assert_eq!(octets, b"m1 EXAMINE \"a\\\"m9 DELETE x\"\r\n");
}
