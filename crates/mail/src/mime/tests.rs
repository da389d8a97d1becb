//! Structures of whole messages: where the parts lie, and what IMAP is told.

mod odd;

use super::*;

fn scan(message: &str) -> Analysis {
    let mut octets = message.as_bytes();
    analyse(&mut octets).unwrap()
}

fn structure(message: &str) -> String {
    String::from_utf8(scan(message).bodystructure).unwrap()
}

const ALTERNATIVE: &str = "From: a@b\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\npreamble\r\n\
    --x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\none\r\ntwo\r\n--x  \r\n\
    Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+\r\n\r\n--x--\r\nepilogue\r\n--x\r\n";

const FORWARD: &str = "Subject: outer\r\nContent-Type: multipart/mixed; boundary=\"=_1\"\r\n\r\n\
    --=_1\r\n\r\nhi\r\n\
    --=_1\r\nContent-Type: message/rfc822\r\nContent-Disposition: attachment; filename=m.eml\r\n\r\n\
    Subject: inner\r\nFrom: c@d\r\nContent-Type: multipart/mixed; boundary=\"=_1b\"\r\n\r\n\
    --=_1b\r\nContent-Type: text/plain\r\n\r\ndeep\r\n\
    --=_1b\r\nContent-Type: message/rfc822\r\n\r\nSubject: third\r\n\r\nlast\r\n--=_1b--\r\n\
    --=_1--\r\n";

#[test]
fn bodystructures() {
    for (message, want) in [
        ("", r#"("TEXT" "PLAIN" NIL NIL NIL "7BIT" 0 0 NIL NIL NIL NIL)"#),
        ("Subject: x\r\n\r\nhi\r\n", r#"("TEXT" "PLAIN" NIL NIL NIL "7BIT" 4 1 NIL NIL NIL NIL)"#),
        ("Subject: x\r\n\r\nhi", r#"("TEXT" "PLAIN" NIL NIL NIL "7BIT" 2 1 NIL NIL NIL NIL)"#),
        ("Subject: x\r\n", r#"("TEXT" "PLAIN" NIL NIL NIL "7BIT" 0 0 NIL NIL NIL NIL)"#),
        (
            "Content-Type: image/png; name=\"a\\\"b\"\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <1>\r\n\
             Content-Description: d\r\nContent-MD5: m\r\nContent-Disposition: inline\r\n\
             Content-Language: de, en\r\nContent-Location: l\r\n\r\nAAAA",
            r#"("IMAGE" "PNG" ("name" "a\"b") "<1>" "d" "BASE64" 4 "m" ("INLINE" NIL) ("de" "en") "l")"#,
        ),
        (
            ALTERNATIVE,
            r#"(("TEXT" "PLAIN" ("charset" "utf-8") NIL NIL "7BIT" 8 2 NIL NIL NIL NIL)("TEXT" "HTML" NIL NIL NIL "BASE64" 6 1 NIL NIL NIL NIL) "ALTERNATIVE" ("boundary" "x") NIL NIL NIL)"#,
        ),
        (
            FORWARD,
            concat!(
                r#"(("TEXT" "PLAIN" NIL NIL NIL "7BIT" 2 1 NIL NIL NIL NIL)"#,
                r#"("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 191 "#,
                r#"(NIL "inner" ((NIL NIL "c" "d")) ((NIL NIL "c" "d")) ((NIL NIL "c" "d")) NIL NIL NIL NIL NIL) "#,
                r#"(("TEXT" "PLAIN" NIL NIL NIL "7BIT" 4 1 NIL NIL NIL NIL)"#,
                r#"("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 22 (NIL "third" NIL NIL NIL NIL NIL NIL NIL NIL) "#,
                r#"("TEXT" "PLAIN" NIL NIL NIL "7BIT" 4 1 NIL NIL NIL NIL) 3 NIL NIL NIL NIL)"#,
                r#" "MIXED" ("boundary" "=_1b") NIL NIL NIL) 15 NIL ("ATTACHMENT" ("filename" "m.eml")) NIL NIL)"#,
                r#" "MIXED" ("boundary" "=_1") NIL NIL NIL)"#
            ),
        ),
        // A digest's parts are messages unless they say otherwise.
        (
            "Content-Type: multipart/digest; boundary=x\r\n\r\n--x\r\n\r\nSubject: s\r\n\r\nb\r\n--x--\r\n",
            r#"(("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 15 (NIL "s" NIL NIL NIL NIL NIL NIL NIL NIL) ("TEXT" "PLAIN" NIL NIL NIL "7BIT" 1 1 NIL NIL NIL NIL) 3 NIL NIL NIL NIL) "DIGEST" ("boundary" "x") NIL NIL NIL)"#,
        ),
        // Rubbish: no boundary, a boundary that never comes, a part that never ends, one that only begins.
        (
            "Content-Type: multipart/mixed\r\n\r\nx\r\n",
            r#"("TEXT" "PLAIN" NIL NIL NIL "7BIT" 3 1 NIL NIL NIL NIL)"#,
        ),
        (
            "Content-Type: multipart/mixed; boundary=x\r\n\r\ny\r\n",
            r#"("TEXT" "PLAIN" NIL NIL NIL "7BIT" 3 1 NIL NIL NIL NIL)"#,
        ),
        (
            "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\ny\r\n",
            r#"(("TEXT" "PLAIN" NIL NIL NIL "7BIT" 3 1 NIL NIL NIL NIL) "MIXED" ("boundary" "x") NIL NIL NIL)"#,
        ),
        (
            "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/html\r\n--x--",
            r#"(("TEXT" "HTML" NIL NIL NIL "7BIT" 0 0 NIL NIL NIL NIL) "MIXED" ("boundary" "x") NIL NIL NIL)"#,
        ),
        (
            "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x",
            r#"("TEXT" "PLAIN" NIL NIL NIL "7BIT" 3 1 NIL NIL NIL NIL)"#,
        ),
        (
            "Content-Type: message/rfc822\r\n",
            r#"("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 0 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) ("TEXT" "PLAIN" NIL NIL NIL "7BIT" 0 0 NIL NIL NIL NIL) 0 NIL NIL NIL NIL)"#,
        ),
    ] {
        assert_eq!(structure(message), want, "{message:?}");
    }
}

/// The octets of a section as text; `-` if there is none.
fn section<'a>(message: &'a str, parts: &Parts, path: &[u32], what: Section) -> &'a str {
    parts.section(path, what).map_or("-", |range| &message[range.start as usize..range.end as usize])
}

#[test]
fn sections_of_a_forwarded_message() {
    let parts = scan(FORWARD).parts;
    let inner = &FORWARD[FORWARD.find("Subject: inner").unwrap()..FORWARD.find("\r\n--=_1--").unwrap()];
    for (path, what, want) in [
        (&[][..], Section::Whole, FORWARD),
        (&[], Section::Header, "Subject: outer\r\nContent-Type: multipart/mixed; boundary=\"=_1\"\r\n\r\n"),
        (&[], Section::Mime, "-"),
        (&[1], Section::Whole, "hi"),
        (&[1], Section::Mime, "\r\n"),
        (&[1], Section::Header, "-"),
        (&[1, 1], Section::Whole, "-"),
        (&[2], Section::Whole, inner),
        (
            &[2],
            Section::Header,
            "Subject: inner\r\nFrom: c@d\r\nContent-Type: multipart/mixed; boundary=\"=_1b\"\r\n\r\n",
        ),
        (&[2, 1], Section::Whole, "deep"),
        (&[2, 1], Section::Mime, "Content-Type: text/plain\r\n\r\n"),
        (&[2, 2], Section::Whole, "Subject: third\r\n\r\nlast"),
        (&[2, 2], Section::Text, "last"),
        (&[2, 2, 1], Section::Whole, "last"),
        (&[2, 2, 1], Section::Mime, "Subject: third\r\n\r\n"),
        (&[2, 2, 2], Section::Whole, "-"),
        (&[3], Section::Whole, "-"),
        (&[0], Section::Whole, "-"),
    ] {
        assert_eq!(section(FORWARD, &parts, path, what), want, "{path:?} {what:?}");
    }
    let plain = "Subject: x\r\n\r\nhi\r\n";
    let parts = scan(plain).parts;
    assert_eq!(section(plain, &parts, &[1], Section::Whole), "hi\r\n");
    assert_eq!(section(plain, &parts, &[1], Section::Mime), "Subject: x\r\n\r\n");
    assert_eq!(section(plain, &parts, &[], Section::Text), "hi\r\n");
    assert_eq!(section(plain, &parts, &[2], Section::Whole), "-");
}

#[test]
fn fields_put_in_front_move_the_parts() {
    let prefix = "Return-Path: <a@b>\r\n";
    for message in [ALTERNATIVE, FORWARD, "", "\r\nx"] {
        let moved = scan(message).parts.behind(prefix.len() as u64);
        assert_eq!(moved, scan(&format!("{prefix}{message}")).parts, "{message:?}");
    }
}

#[test]
fn a_longer_boundary_is_not_taken_for_a_shorter() {
    let message = "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\
        Content-Type: multipart/mixed; boundary=ab\r\n\r\n--ab\r\n\r\n1\r\n--ab\r\n\r\n2\r\n--ab--\r\n--a\r\n\r\n3\r\n--a--\r\n";
    let parts = scan(message).parts;
    for (path, want) in [(&[1, 1][..], "1"), (&[1, 2], "2"), (&[2], "3")] {
        assert_eq!(section(message, &parts, path, Section::Whole), want);
    }
}

#[test]
fn pieces_of_any_size_give_the_same() {
    for message in [ALTERNATIVE, FORWARD, "", "a", "\r\n", "A: b\n\nc\nd"] {
        let whole = scan(message);
        assert_eq!(whole.size, message.len() as u64);
        for size in 1..8 {
            let mut scanner = Scanner::new();
            message.as_bytes().chunks(size).for_each(|piece| scanner.push(piece));
            assert_eq!(scanner.finish(), whole, "{message:?} in pieces of {size}");
        }
    }
}

#[test]
fn the_table_survives_the_database() {
    for message in [ALTERNATIVE, FORWARD, ""] {
        let parts = scan(message).parts;
        let stored = parts.encode();
        assert_eq!(Parts::decode(&stored), Some(parts));
        for end in 0..stored.len() {
            assert_eq!(Parts::decode(&stored[..end]), None);
        }
        assert_eq!(Parts::decode(&[&[9], &stored[1..]].concat()), None);
    }
}

#[test]
fn body_is_bodystructure_without_extensions() {
    for (message, want) in [
        ("Subject: x\r\n\r\nhi\r\n", r#"("TEXT" "PLAIN" NIL NIL NIL "7BIT" 4 1)"#),
        (
            "Content-Type: image/png; name=\"a) \\\" (\"\r\nContent-Description: grüße\r\n\r\n",
            "(\"IMAGE\" \"PNG\" (\"name\" \"a) \\\" (\") NIL {7}\r\ngrüße \"7BIT\" 0)",
        ),
        (
            ALTERNATIVE,
            r#"(("TEXT" "PLAIN" ("charset" "utf-8") NIL NIL "7BIT" 8 2)("TEXT" "HTML" NIL NIL NIL "BASE64" 6 1) "ALTERNATIVE")"#,
        ),
        (
            "Content-Type: message/rfc822\r\n\r\nSubject: s\r\n\r\nb",
            r#"("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 15 (NIL "s" NIL NIL NIL NIL NIL NIL NIL NIL) ("TEXT" "PLAIN" NIL NIL NIL "7BIT" 1 1) 3)"#,
        ),
        (
            "Content-Type: message/delivery-status\r\n\r\nb",
            r#"("MESSAGE" "DELIVERY-STATUS" NIL NIL NIL "7BIT" 1)"#,
        ),
    ] {
        assert_eq!(String::from_utf8(body(&scan(message).bodystructure)).unwrap(), want, "{message:?}");
    }
}

#[test]
fn limits_hold() {
    // Nested deeper than is followed.
    let mut deep = String::new();
    for n in 0..200 {
        deep.push_str(&format!("Content-Type: multipart/mixed; boundary=b{n:03}\r\n\r\n--b{n:03}\r\n"));
    }
    let analysis = scan(&deep);
    assert_eq!(analysis.parts.len(), DEPTH_MAX);
    assert!(!String::from_utf8(analysis.bodystructure).unwrap().contains("b063"));

    let rfc822 = "Content-Type: message/rfc822\r\n\r\n".repeat(200);
    assert_eq!(scan(&rfc822).parts.len(), DEPTH_MAX);

    // More parts than are told apart.
    let mut many = "Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_owned();
    many.push_str(&"--b\r\n\r\nx\r\n".repeat(5000));
    assert_eq!(scan(&many).parts.len(), PARTS_MAX);
    let digest = many.replace("mixed", "digest");
    assert_eq!(scan(&digest).parts.len(), PARTS_MAX);

    // More text in part headers than is kept.
    let mut wordy = "Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_owned();
    let header = format!("Content-Description: {}\r\n", "d".repeat(4000));
    for _ in 0..900 {
        wordy.push_str(&format!("--b\r\n{header}\r\nx\r\n"));
    }
    assert!(scan(&wordy).bodystructure.len() < 2 * 1024 * 1024);
    let endless = "x".repeat(3 * 1024 * 1024);
    assert_eq!(scan(&endless).header_len, endless.len() as u64);
}

/// Cuts, doubles and drops pieces of good messages. Whatever comes out must have sound ranges and a
/// structure whose brackets close.
#[test]
fn any_rubbish_gives_a_sound_structure() {
    // A fixed seed: every run tries the same rubbish, and the round names the case.
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for round in 0..3000 {
        let mut octets = if round % 2 == 0 { ALTERNATIVE } else { FORWARD }.as_bytes().to_vec();
        for _ in 0..1 + random(6) {
            let (a, b) = (random(octets.len()), random(octets.len()));
            let (from, to) = (a.min(b), a.max(b).min(a.min(b) + 40));
            match random(4) {
                0 => drop(octets.drain(from..to)),
                1 => octets.splice(from..from, octets[from..to].to_vec()).for_each(drop),
                2 => octets[from] = random(256) as u8,
                _ => octets.insert(from, b"\r\n-\"(;: \0\xff"[random(10)]),
            }
            if octets.is_empty() {
                break;
            }
        }
        let analysis = analyse(&mut &octets[..]).unwrap();
        let context = String::from_utf8_lossy(&octets).into_owned();
        for part in analysis.parts.iter() {
            let sound = part.header.start <= part.header.end
                && part.header.end <= part.body.start
                && part.body.start <= part.body.end
                && part.body.end <= octets.len() as u64;
            assert!(sound, "round {round}: {part:?} of {context:?}");
            if let Some(parent) = part.parent {
                let within = &analysis.parts.0[parent].body;
                assert!(
                    within.start <= part.header.start && part.body.end <= within.end,
                    "round {round}: {context:?}"
                );
            }
        }
        assert_eq!(Parts::decode(&analysis.parts.encode()).as_ref(), Some(&analysis.parts));
        assert!(
            !analysis.bodystructure.windows(2).any(|pair| pair == b"()" || pair == b"( "),
            "round {round}"
        );
        let short = body(&analysis.bodystructure);
        assert!(short.len() < analysis.bodystructure.len(), "round {round}");
        for part in analysis.parts.texts() {
            let decoded = text(part, &octets[part.body.start as usize..part.body.end as usize]);
            assert!(decoded.len() <= 4 * octets.len(), "round {round}");
        }
    }
}
