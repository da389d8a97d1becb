//! Sessions that were damaged at random, and plain noise: the daemon answers or hangs up, never panics, and serves on.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};
use tests::{Chat, PASSWORD, Setup, message};
use world::Random;
use world::fake::FakeRandom;

/// Damaged sessions for each door.
const SESSIONS: u64 = 150;
/// Words that mean much in one place and nothing in another.
const WORDS: [&[u8]; 16] = [
    b"\r\n",
    b"\n",
    b"\0",
    b"{10}\r\n",
    b"{99999999999999999999}\r\n",
    b"\"",
    b"(",
    b"))))",
    b"*",
    b"BODY[1.2.3.MIME]",
    b"<",
    b"=?utf-8?b?",
    b"\xff\xfe",
    b"BDAT 5 LAST\r\n",
    b"\r\n.\r\n",
    b"4294967296:*",
];

fn damaged(session: &[u8], random: &FakeRandom) -> Vec<u8> {
    let mut octets = session.to_vec();
    for _ in 0..=random.below(6) {
        let at = usize::try_from(random.below(octets.len() as u64)).unwrap();
        let to = octets.len().min(at + usize::try_from(random.below(40)).unwrap());
        match random.below(5) {
            0 => drop(octets.drain(at..to)),
            1 => {
                let copy = octets[at..to].to_vec();
                octets.splice(at..at, copy);
            }
            2 => octets[at] = random.u64().to_le_bytes()[0],
            3 => {
                let word = WORDS[usize::try_from(random.below(16)).unwrap()];
                octets.splice(at..at, word.iter().copied());
            }
            _ => {
                let mut noise = vec![0; to - at];
                random.fill(&mut noise);
                octets.splice(at..to, noise);
            }
        }
        if octets.is_empty() {
            octets.push(b'\n');
        }
    }
    octets
}

/// Says all of it, then that there is no more, and hears what comes.
fn speak(port: u16, octets: &[u8]) -> Vec<String> {
    let mut chat = Chat::connect(port);
    if chat.try_send(octets).is_ok() {
        chat.end_ours();
    }
    chat.hear_rest()
}

#[test]
fn nothing_that_is_sent_brings_the_daemon_down() {
    let seed = std::env::var("MADDY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| u64::from(since.subsec_nanos()))
    });
    println!("MADDY_SEED={seed}");
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.option("imap", "failure-delay \"0s\"");
    // Damaged logins are guesses, too; how those are held up is the story of guessing_is_refused.
    setup.config("logins { exempt \"127.0.0.0/8\"; }");
    let maddy = setup.start();
    let text = message("alice@example.org", "alice@example.org", "One", "text");
    maddy.smtp().deliver("eve@remote.test", &["alice@example.org"], &text);
    let login = STANDARD.encode(format!("\0alice@example.org\0{PASSWORD}"));
    let transaction = format!(
        "MAIL FROM:<alice@example.org> SIZE=500 BODY=8BITMIME RET=FULL ENVID=a+2Bb SMTPUTF8\r\n\
         RCPT TO:<alice@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@b\r\nDATA\r\n{text}.\r\n\
         MAIL FROM:<>\r\nRCPT TO:<\"alice\"@example.org>\r\nBDAT 25\r\nFrom: alice@example.org\r\nBDAT 4 LAST\r\n\r\n\r\nRSET\r\nVRFY x\r\nQUIT\r\n"
    );
    let imap = format!(
        "a LOGIN alice@example.org \"{PASSWORD}\"\r\nb ENABLE IMAP4rev2\r\nc SELECT INBOX\r\n\
         d FETCH 1:* (UID FLAGS ENVELOPE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (From To)] BINARY.SIZE[1])\r\n\
         e UID SEARCH RETURN (MIN MAX COUNT) OR SUBJECT \"one\" NOT (SINCE 1-Jan-2020 LARGER 5)\r\n\
         f APPEND Drafts (\\Seen $Label1) \"01-Jan-2026 00:00:00 +0000\" {{12+}}\r\nSubject: x\r\n\r\n\
         g LIST (SUBSCRIBED) \"\" (\"*\" \"%\") RETURN (STATUS (MESSAGES UNSEEN) SPECIAL-USE)\r\nh STORE 1 +FLAGS.SILENT (\\Deleted kw)\r\n\
         i COPY 1 Archive\r\nj CREATE \"x/&Jjo-\"\r\nk STATUS x (UIDNEXT SIZE)\r\nl IDLE\r\nDONE\r\nm UID EXPUNGE 1:*\r\nn LOGOUT\r\n"
    );
    let ports = maddy.ports();
    let doors = [
        (ports.smtp, format!("EHLO a\r\n{transaction}")),
        (ports.submission, format!("EHLO a\r\nAUTH PLAIN {login}\r\n{transaction}")),
        (ports.imap, imap.clone()),
        (ports.imaps, imap),
    ];
    let threads = doors.into_iter().zip(1..).map(|((port, session), n)| {
        thread::spawn(move || {
            let random = FakeRandom::seeded(seed + n);
            let whole = speak(port, session.as_bytes());
            let is_bad =
                |line: &&String| line.starts_with('5') || line.contains(" BAD ") || line.contains(" NO ");
            assert_eq!(whole.iter().find(is_bad), None, "not worth damaging: {whole:#?}");
            for _ in 0..SESSIONS {
                speak(port, &damaged(session.as_bytes(), &random));
            }
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().unwrap();
    }
    let mut alice = maddy.imap("alice@example.org");
    let before = alice.count("INBOX");
    maddy.smtp().deliver("eve@remote.test", &["alice@example.org"], &text);
    assert_eq!(alice.count("INBOX"), before + 1);
}
