//! Notices as they are sent, and as their own reader sees them.

use super::*;
use crate::blob::Blob;
use crate::mime::{self, Section};

const ORIGINAL: &[u8] = b"From: Alice <alice@here.test>\r\nTo: bob@there.test\r\nSubject: Lunch?\r\n\
    Message-ID: <1@here.test>\r\nDate: Fri, 20 Nov 2026 07:00:00 +0000\r\n\r\nAt one?\r\n";

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn failed(recipient: &str) -> Report {
    Report {
        recipient: address(recipient),
        original: None,
        action: Action::Failed,
        status: Status::permanent(1, 1),
        remote: Some("mx.there.test".to_owned()),
        reply: Some(Reply::new(550, Status::permanent(1, 1), "No such user\nTry another")),
        last_attempt: Some(1_795_159_800),
        retry_until: None,
    }
}

/// Composes a notice about `original`; gives it as text with what it needs on its way.
fn compose_about(original: &[u8], ret: Ret, recipients: &[Report]) -> (String, Composed) {
    compose_in(Charset::Utf8, original, ret, recipients)
}

/// The same about a message that came with SMTPUTF8, or without.
fn compose_in(charset: Charset, original: &[u8], ret: Ret, recipients: &[Report]) -> (String, Composed) {
    compose_to("alice@here.test", charset, original, ret, recipients)
}

fn compose_to(
    to: &str,
    charset: Charset,
    original: &[u8],
    ret: Ret,
    recipients: &[Report],
) -> (String, Composed) {
    let message = Message::new(Blob::from_bytes(original));
    let (from, to) = (address("MAILER-DAEMON@mx.here.test"), address(to));
    let notice = Notice {
        reporting_mta: "mx.here.test",
        from: &from,
        to: &to,
        now: 1_795_159_860,
        arrival: Some(1_795_159_800),
        deliver_by: Some(1_795_160_400),
        release: Some(Release::After(30)),
        message_id: "abcdefghijkl",
        envid: Some("QQ 314"),
        queue_id: Some("mnopqrstuvwx"),
        ret,
        charset,
        full_max: 100_000,
        original: &message,
        recipients,
    };
    let composed = compose(&notice).unwrap();
    (String::from_utf8_lossy(&composed.message).into_owned(), composed)
}

#[test]
fn a_failure_in_full() {
    let (text, composed) = compose_about(ORIGINAL, Ret::Full, &[failed("bob@there.test")]);
    let want = "From: Mail Delivery System <MAILER-DAEMON@mx.here.test>\r\n\
        To: <alice@here.test>\r\n\
        Subject: Not delivered: Lunch?\r\n\
        Date: Fri, 20 Nov 2026 07:31:00 +0000\r\n\
        Message-ID: <abcdefghijkl@mx.here.test>\r\n\
        In-Reply-To: <1@here.test>\r\n\
        References: <1@here.test>\r\n\
        Auto-Submitted: auto-replied\r\n\
        MIME-Version: 1.0\r\n\
        Content-Type: multipart/report; report-type=delivery-status;\r\n\
        \tboundary=\"=_abcdefghijkl\"\r\n\
        \r\n\
        --=_abcdefghijkl\r\n\
        Content-Type: text/plain; charset=utf-8\r\n\
        Content-Transfer-Encoding: 7bit\r\n\
        Content-Description: Notification\r\n\
        \r\n\
        This is the mail system at mx.here.test.\r\n\
        \r\n\
        Your message could not be delivered to the recipients below, and no further\r\n\
        attempt will be made.\r\n\
        \r\n\
        \x20   bob@there.test\r\n\
        \x20       mx.there.test answered: 550 5.1.1 No such user Try another\r\n\
        \r\n\
        The message was:\r\n\
        \r\n\
        \x20   From: Alice <alice@here.test>\r\n\
        \x20   To: bob@there.test\r\n\
        \x20   Subject: Lunch?\r\n\
        \x20   Date: Fri, 20 Nov 2026 07:00:00 +0000\r\n\
        \x20   Message-ID: <1@here.test>\r\n\
        \x20   It was accepted here as mnopqrstuvwx.\r\n\
        \r\n\
        --=_abcdefghijkl\r\n\
        Content-Type: message/delivery-status\r\n\
        Content-Transfer-Encoding: 7bit\r\n\
        Content-Description: Delivery report\r\n\
        \r\n\
        Original-Envelope-Id: QQ 314\r\n\
        Reporting-MTA: dns; mx.here.test\r\n\
        Arrival-Date: Fri, 20 Nov 2026 07:30:00 +0000\r\n\
        Deliver-By-Date: Fri, 20 Nov 2026 07:40:00 +0000\r\n\
        Future-Release-Request: for;30\r\n\
        \r\n\
        Final-Recipient: rfc822; bob@there.test\r\n\
        Action: failed\r\n\
        Status: 5.1.1\r\n\
        Remote-MTA: dns; mx.there.test\r\n\
        Diagnostic-Code: smtp; 550 5.1.1 No such user Try another\r\n\
        Last-Attempt-Date: Fri, 20 Nov 2026 07:30:00 +0000\r\n\
        \r\n\
        --=_abcdefghijkl\r\n\
        Content-Type: message/rfc822\r\n\
        Content-Transfer-Encoding: 7bit\r\n\
        Content-Description: Undelivered message\r\n\
        \r\n";
    let want = format!("{want}{}\r\n--=_abcdefghijkl--\r\n", String::from_utf8_lossy(ORIGINAL));
    assert_eq!(text, want);
    assert_eq!((composed.body, composed.utf8), (Body::SevenBit, false));
}

/// The type of part `n` and its octets.
fn part(composed: &Composed, n: u32) -> (String, String) {
    let analysis = mime::analyse(&mut &composed.message[..]).unwrap();
    let octets = |what| {
        let range = analysis.parts.section(&[n], what).unwrap();
        String::from_utf8_lossy(&composed.message[range.start as usize..range.end as usize]).into_owned()
    };
    let header = octets(Section::Mime);
    let kind = header::find(header.as_bytes(), "content-type").unwrap().text();
    (kind, octets(Section::Whole))
}

#[test]
fn only_the_header_goes_back_unless_the_whole_was_asked_for_and_can_be() {
    let headers = "text/rfc822-headers";
    let delivered = Report { action: Action::Delivered, ..failed("bob@there.test") };
    let long = [ORIGINAL, b"x".repeat(100_000).as_slice(), b"\r\n"].concat();
    let long_line = [ORIGINAL, b"x".repeat(1200).as_slice(), b"\r\n"].concat();
    let bare = [ORIGINAL, b"a\nb\r\n"].concat();
    for (original, ret, report, want) in [
        (ORIGINAL, Ret::Full, failed("b@there.test"), "message/rfc822"),
        (ORIGINAL, Ret::Headers, failed("b@there.test"), headers),
        (ORIGINAL, Ret::Full, delivered, headers),
        (&long, Ret::Full, failed("b@there.test"), headers),
        (&long_line, Ret::Full, failed("b@there.test"), headers),
        (&bare, Ret::Full, failed("b@there.test"), headers),
    ] {
        let (text, composed) = compose_about(original, ret, &[report]);
        let (kind, content) = part(&composed, 3);
        assert_eq!(kind, want);
        assert_eq!(content.contains("At one?"), want == "message/rfc822");
        assert!(content.contains("Subject: Lunch?"));
        assert!(text.split("\r\n").all(|line| line.len() <= PASSED_LINE_MAX && !line.contains('\n')));
    }
}

#[test]
fn fates_are_told_together() {
    let delayed = Report {
        action: Action::Delayed,
        status: Status::transient(4, 1),
        remote: None,
        reply: Some(Reply::new(451, Status::transient(4, 1), "no host of there.test answers")),
        retry_until: Some(1_795_500_000),
        original: Some(OriginalRecipient { kind: "rfc822".to_owned(), address: "Bob@old.test".to_owned() }),
        ..failed("bob@there.test")
    };
    let (text, composed) = compose_about(ORIGINAL, Ret::Full, &[delayed.clone(), failed("eve@there.test")]);
    assert!(text.contains("Subject: Not delivered: Lunch?\r\n"));
    let (_, human) = part(&composed, 1);
    assert!(human.find("eve@there.test").unwrap() < human.find("bob@there.test").unwrap());
    assert!(human.contains("(you wrote to Bob@old.test)\r\n        no host of there.test answers\r\n"));
    let (_, status) = part(&composed, 2);
    assert!(status.contains(
        "Original-Recipient: rfc822; Bob@old.test\r\nFinal-Recipient: rfc822; bob@there.test\r\n\
         Action: delayed\r\nStatus: 4.4.1\r\n\
         Diagnostic-Code: x-maddy; 451 4.4.1 no host of there.test answers\r\n"
    ));
    assert!(status.contains("Will-Retry-Until: Tue, 24 Nov 2026 06:00:00 +0000\r\n"));
    let (text, _) = compose_about(ORIGINAL, Ret::Full, &[delayed]);
    assert!(text.contains("Subject: Delayed: Lunch?\r\n"));
}

#[test]
fn other_scripts() {
    // An encoded subject needs nothing special on its way.
    let encoded = b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nx\r\n";
    let (text, composed) = compose_about(encoded, Ret::Full, &[failed("bob@there.test")]);
    assert!(!composed.utf8 && composed.body == Body::SevenBit);
    let subject = header::find(text.as_bytes(), "subject").unwrap().text();
    assert_eq!(subject, "Not delivered: Grüße");
    assert!(part(&composed, 1).1.contains("Subject: Gr=C3=BC=C3=9Fe"));

    // What goes to an address in UTF-8 says so as it is (RFC 6533).
    let original = "Subject: Grüße\r\n\r\nx\r\n".as_bytes();
    let to_global =
        |ret| compose_to("ålice@here.test", Charset::Utf8, original, ret, &[failed("bøb@there.test")]).1;
    let composed = to_global(Ret::Full);
    assert!(composed.utf8);
    assert_eq!(part(&composed, 2).0, "message/global-delivery-status; charset=utf-8");
    assert_eq!(part(&composed, 3).0, "message/global");
    let headers = ("message/global-headers".to_owned(), "Subject: Grüße\r\n".to_owned());
    assert_eq!(part(&to_global(Ret::Headers), 3), headers);

    // A header that is neither ASCII nor UTF-8 is no reason to ask for SMTPUTF8.
    let (_, composed) =
        compose_about(b"Subject: Gr\xfc\xdfe\r\n\r\nx\r\n", Ret::Headers, &[failed("b@there.test")]);
    assert!(!composed.utf8);
    assert_eq!(part(&composed, 3), ("text/rfc822-headers".to_owned(), "Subject: Gr??e\r\n".to_owned()));
}

/// Its way back may be one without SMTPUTF8, and a notice that cannot pass is lost (RFC 6533 §4.5).
#[test]
fn an_ascii_sender_is_told_of_other_scripts_in_seven_bits() {
    let original = "Subject: Grüße\r\n\r\nx\r\n".as_bytes();
    let (text, composed) = compose_about(original, Ret::Full, &[failed("bøb@there.test")]);
    assert!(!composed.utf8 && composed.body == Body::SevenBit && text.is_ascii());
    let (kind, status) = part(&composed, 2);
    assert_eq!(kind, "message/delivery-status");
    assert!(status.contains("Final-Recipient: utf-8; b\\x{F8}b@there.test\r\n"));
    let (kind, returned) = part(&composed, 3);
    assert_eq!((kind.as_str(), returned.trim_end()), ("message/global", "Subject: Gr=C3=BC=C3=9Fe\r\n\r\nx"));
}

/// Many senders write raw UTF-8 without SMTPUTF8, and many servers lack it: they must hear of failures all the same.
#[test]
fn whoever_came_without_smtputf8_is_answered_without() {
    let original = "Subject: Grüße\r\n\r\nx\r\n".as_bytes();
    let mut report = failed("bøb@there.test");
    report.original =
        Some(OriginalRecipient { kind: "utf-8".to_owned(), address: "bøb+x@old.test".to_owned() });
    let (text, composed) = compose_in(Charset::Ascii, original, Ret::Full, &[report.clone()]);
    assert!(!composed.utf8 && composed.body == Body::EightBitMime);
    assert!(text.split_once("\r\n\r\n").unwrap().0.is_ascii());
    let (kind, status) = part(&composed, 2);
    assert_eq!(kind, "message/delivery-status");
    assert!(status.contains(
        "Original-Recipient: utf-8; b\\x{F8}b\\x{2B}x@old.test\r\nFinal-Recipient: utf-8; b\\x{F8}b@there.test\r\n"
    ));
    assert_eq!(part(&composed, 3).0, "message/rfc822");

    let (_, composed) = compose_in(Charset::Ascii, original, Ret::Headers, &[report]);
    assert!(!composed.utf8 && composed.body == Body::SevenBit);
    assert_eq!(
        part(&composed, 3),
        ("message/global-headers".to_owned(), "Subject: Gr=C3=BC=C3=9Fe\r\n".to_owned())
    );
}

#[test]
fn what_programs_compare_is_told_exactly() {
    let local = "x ".repeat(30) + " y";
    let mut report = failed(&format!("\"{local}\"@there.test"));
    report.original =
        Some(OriginalRecipient { kind: "RFC822".to_owned(), address: "Bob  X@old.test".to_owned() });
    let (_, composed) = compose_about(ORIGINAL, Ret::Full, &[report.clone()]);
    let (_, status) = part(&composed, 2);
    let want = format!(
        "Original-Recipient: RFC822; Bob  X@old.test\r\nFinal-Recipient: rfc822; \"{local}\"@there.test\r\n"
    );
    assert!(status.contains(&want), "{status}");
    report.original = Some(OriginalRecipient { kind: "utf-8".to_owned(), address: "é".repeat(250) });
    let (text, _) = compose_in(Charset::Ascii, ORIGINAL, Ret::Full, &[report]);
    assert!(can_be_quoted(text.as_bytes()), "{text}");
}

/// A notice that needs BINARYMIME itself would get through to hardly anybody.
#[test]
fn fields_that_no_line_can_hold_stay_away() {
    let mut original = b"Subject: hi\r\nX-Long: ".to_vec();
    original.extend(vec![b'x'; PASSED_LINE_MAX]);
    original.extend_from_slice(b"\r\nX-Bare: a\rb\r\nX-Zero: a\0b\r\nX-Feed: a\nX-Last: b\r\n\r\nx\r\n");
    for ret in [Ret::Full, Ret::Headers] {
        let (text, composed) = compose_about(&original, ret, &[failed("bob@there.test")]);
        let header = ("text/rfc822-headers".to_owned(), "Subject: hi\r\nX-Last: b\r\n".to_owned());
        assert_eq!(part(&composed, 3), header);
        assert!(can_be_quoted(text.as_bytes()));
    }
}

#[test]
fn nothing_that_was_said_adds_a_field_or_an_endless_line() {
    let mut report = failed("bob@there.test");
    report.reply = Some(Reply::bare(550, "a\r\nAction: delivered\r\n\r\nx".to_owned() + &"y".repeat(5000)));
    report.remote = Some("mx\r\nX: y".to_owned());
    let (text, composed) = compose_about(b"no header at all", Ret::Full, &[report]);
    let (_, status) = part(&composed, 2);
    assert_eq!(status.split("\r\n").filter(|line| line.starts_with("Action:")).count(), 1);
    assert_eq!(status.split("\r\n").filter(|line| line.starts_with("X:")).count(), 0);
    assert!(text.split("\r\n").all(|line| line.len() <= PASSED_LINE_MAX));
    assert!(text.contains("Subject: Not delivered: your message\r\n"));
    for endless in
        ["x".repeat(5000), "é".repeat(3000), "=?utf-8?q?=0D=0AX:_y?=".repeat(300), "\0".repeat(2000)]
    {
        for name in ["Subject", "From", "To", "Date"] {
            let original = format!("{name}: {endless}\r\nMessage-ID: <{endless}@x.test>\r\n\r\nx\r\n");
            let (text, _) = compose_about(original.as_bytes(), Ret::Full, &[failed("bob@there.test")]);
            assert!(can_be_quoted(text.as_bytes()), "{name}: {text}");
            assert!(!text.contains("\nX: y"), "{name}: {text}");
        }
    }
}
