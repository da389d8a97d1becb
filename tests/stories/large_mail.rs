//! A mail of forty megabytes comes in, is read in parts, is put back by a client, and goes out again, without the daemon
//! ever holding it in memory.

use std::fmt::Write;
use tests::{Imap, Setup, field};

const MIB: u64 = 1024 * 1024;

/// Forty megabytes of numbered lines, so that what is missing or doubled shows.
fn large() -> String {
    let mut text =
        String::from("From: <eve@remote.test>\r\nTo: <alice@example.org>\r\nSubject: Large\r\n\r\n");
    for n in 0..650_000 {
        let _ = write!(text, "line {n:07} of a text that is long enough to matter to memory\r\n");
    }
    text
}

fn part(imap: &mut Imap, from: usize, most: usize) -> String {
    let responses = imap.ok(&format!("FETCH 1 BODY.PEEK[TEXT]<{from}.{most}>"));
    let (_, rest) = responses[0].split_once("}\r\n").unwrap();
    rest[..rest.len().min(most)].to_owned()
}

#[test]
fn a_large_mail_takes_no_large_memory() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone("remote.test MX 10 mx.remote.test");
    let remote = setup.remote("mx.remote.test", 2);
    let maddy = setup.start();
    let text = large();
    assert!(text.len() as u64 > 38 * MIB);
    // A login takes the memory that its hash is made to take.
    let mut alice = maddy.imap("alice@example.org");
    let mut submission = maddy.submit("alice@example.org");
    let before = maddy.peak_memory();

    maddy.smtp().deliver("eve@remote.test", &["alice@example.org"], &text);
    let after_in = maddy.peak_memory();
    assert_eq!(alice.count("INBOX"), 1);
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    for from in [0, 20_000_000, body.len() - 10] {
        let most = 1000.min(body.len() - from);
        assert_eq!(part(&mut alice, from, most), body[from..from + most], "at {from}");
    }
    assert!(alice.text(1).ends_with(&text));
    let after_read = maddy.peak_memory();
    assert!(alice.try_append("Archive", &text).unwrap().starts_with("OK"));
    let after_append = maddy.peak_memory();

    let out = text.replacen("eve@remote.test", "alice@example.org", 1);
    submission.deliver("alice@example.org", &["carl@remote.test"], &out);
    let mails = remote.wait_mails(1);
    assert_eq!(field(&mails[0].message, "Subject").unwrap(), "Large");
    assert!(mails[0].message.ends_with(body), "the text was changed on its way out");
    let after_out = maddy.peak_memory();

    let grown = [after_in, after_read, after_append, after_out].map(|peak| (peak - before) / MIB);
    println!("MiB over {}: came in, read, put back, gone out: {grown:?}", before / MIB);
    assert!(grown[3] < 10, "the daemon held too much of it: {grown:?} MiB more than {}", before / MIB);
}
