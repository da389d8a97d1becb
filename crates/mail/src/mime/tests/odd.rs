//! Odd mail, as it comes, and what IMAP is told of it (RFC 9051 §7.5.2).

use super::{PARTS_MAX, scan, structure};

const EMPTY: &str = r#"("TEXT" "PLAIN" NIL NIL NIL "7BIT" 0 0 NIL NIL NIL NIL)"#;
const ONE: &str = r#"("TEXT" "PLAIN" NIL NIL NIL "7BIT" 1 1 NIL NIL NIL NIL)"#;
const THREE: &str = r#"("TEXT" "PLAIN" NIL NIL NIL "7BIT" 3 1 NIL NIL NIL NIL)"#;

#[test]
fn structures() {
    for (message, want) in [
        // RFC 2231: charsets, and values in pieces.
        (
            "Content-Type: text/plain; charset*=us-ascii'en'utf-8;\r\n name*0*=iso-8859-1''gr%FC; name*1=\"n.txt\"\r\n\r\nx",
            "(\"TEXT\" \"PLAIN\" (\"charset\" \"utf-8\" \"name\" {9}\r\ngrün.txt) NIL NIL \"7BIT\" 1 1 NIL NIL NIL NIL)"
                .to_owned(),
        ),
        // Eight bits in a field of a part.
        (
            "Content-Description: grüße\r\n\r\n",
            "(\"TEXT\" \"PLAIN\" NIL NIL {7}\r\ngrüße \"7BIT\" 0 0 NIL NIL NIL NIL)".to_owned(),
        ),
        // Parts without a header, and without anything.
        (
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n--b\r\n\r\n--b--\r\n",
            format!("({EMPTY}{EMPTY} \"MIXED\" (\"boundary\" \"b\") NIL NIL NIL)"),
        ),
        // The outer boundary ends what the inner did not.
        (
            "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\
             Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\none\r\n--a\r\n\r\ntwo\r\n--a--\r\n",
            format!(
                "(({THREE} \"ALTERNATIVE\" (\"boundary\" \"b\") NIL NIL NIL){THREE} \"MIXED\" (\"boundary\" \"a\") NIL NIL NIL)"
            ),
        ),
        (
            "Content-Type: multipart/mixed; boundary=\"a b\"\r\n\r\n--a b\r\n\r\nx\r\n--a b--",
            format!("({ONE} \"MIXED\" (\"boundary\" \"a b\") NIL NIL NIL)"),
        ),
        // A message within, with eight bits in its header.
        (
            "Content-Type: message/rfc822\r\n\r\nSubject: grüße\r\nTo: A <a@b>\r\n\r\nx",
            format!(
                "(\"MESSAGE\" \"RFC822\" NIL NIL NIL \"7BIT\" 34 \
                 (NIL {{7}}\r\ngrüße NIL NIL NIL ((\"A\" NIL \"a\" \"b\")) NIL NIL NIL NIL) {ONE} 4 NIL NIL NIL NIL)"
            ),
        ),
        // Lines that end in LF alone; types and encodings that are none.
        ("Content-Type: text/plain\n\nhi\nho\n", EMPTY.replace("0 0", "6 2")),
        ("Content-Type: text\r\n\r\nx", ONE.to_owned()),
        ("Content-Type: ;\r\n\r\nx", ONE.to_owned()),
        ("Content-Transfer-Encoding: 8bit (so to say)\r\n\r\nx", ONE.replace("7BIT", "8BIT")),
        ("Content-Transfer-Encoding: x-odd\r\n\r\nx", ONE.replace("7BIT", "X-ODD")),
        ("Content-Disposition: attachment;\r\n\r\nx", ONE.replace("1 1 NIL NIL", "1 1 NIL (\"ATTACHMENT\" NIL)")),
    ] {
        assert_eq!(structure(message), want, "{message:?}");
    }
}

#[test]
fn as_many_parts_as_are_told_apart() {
    let count = PARTS_MAX - 1;
    let mut message = "Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_owned();
    message.push_str(&"--b\r\n\r\nx\r\n".repeat(count));
    message.push_str("--b--\r\n");
    let want = format!("({} \"MIXED\" (\"boundary\" \"b\") NIL NIL NIL)", ONE.repeat(count));
    assert!(structure(&message) == want, "{count} parts are told otherwise");
}

#[test]
fn envelopes() {
    for (header, want) in [
        // Who is not named is the author (RFC 9051 §7.5.2); a field that is empty names nobody.
        (
            "From: a@b\r\nSender:\r\nReply-To: \r\n",
            r#"(NIL NIL ((NIL NIL "a" "b")) ((NIL NIL "a" "b")) ((NIL NIL "a" "b")) NIL NIL NIL NIL NIL)"#,
        ),
        (
            "From: a@b\r\nReply-To: c@d\r\n",
            r#"(NIL NIL ((NIL NIL "a" "b")) ((NIL NIL "a" "b")) ((NIL NIL "c" "d")) NIL NIL NIL NIL NIL)"#,
        ),
        (
            "To: undisclosed-recipients:;\r\n",
            r#"(NIL NIL NIL NIL NIL ((NIL NIL "undisclosed-recipients" NIL)(NIL NIL NIL NIL)) NIL NIL NIL NIL)"#,
        ),
        ("Cc: \"Ann\r\n B\" <a@b>\r\n", r#"(NIL NIL NIL NIL NIL NIL (("Ann B" NIL "a" "b")) NIL NIL NIL)"#),
        ("Subject:\r\nMessage-ID:\r\n", r#"(NIL "" NIL NIL NIL NIL NIL NIL NIL "")"#),
        ("Subject: one\r\nSubject: two\r\n", r#"(NIL "one" NIL NIL NIL NIL NIL NIL NIL NIL)"#),
        ("Subject : x\r\nno field\r\nDate: y\r\n", r#"("y" "x" NIL NIL NIL NIL NIL NIL NIL NIL)"#),
    ] {
        let envelope = String::from_utf8(scan(&format!("{header}\r\n")).envelope).unwrap();
        assert_eq!(envelope, want, "{header:?}");
    }
}
