//! What is too long, too deep or too much: it is refused with a word or cut off, it takes no memory to speak of, and the
//! others are served meanwhile.

use flate2::Compression;
use flate2::write::DeflateEncoder;
use std::io::Write;
use std::thread;
use tests::{Chat, Daemon, Imap, PASSWORD, Setup, message};

const MIB: u64 = 1024 * 1024;
const ALICE: &str = "alice@example.org";

fn scene() -> Daemon {
    let mut setup = Setup::new();
    setup.account(ALICE);
    setup.account("bob@example.org");
    setup.config("logins { exempt \"127.0.0.0/8\"; }");
    setup.start()
}

/// Serves both doors as before.
fn serves_on(maddy: &Daemon) {
    let text = message("eve@remote.test", "bob@example.org", "Still here", "text");
    let mut bob = maddy.imap("bob@example.org");
    let before = bob.count("INBOX");
    maddy.smtp().deliver("eve@remote.test", &["bob@example.org"], &text);
    assert_eq!(bob.count("INBOX"), before + 1);
}

/// Sends octets, says that there is no more, and hears what comes.
fn speak(mut chat: Chat, octets: &[u8]) -> Vec<String> {
    if chat.try_send(octets).is_ok() {
        chat.end_ours();
    }
    chat.hear_rest()
}

#[track_caller]
fn has(heard: &[String], words: &[&str]) {
    let is_there = heard.iter().any(|line| words.iter().any(|word| line.contains(word)));
    assert!(is_there, "none of {words:?} in {heard:?}");
}

/// What the daemon took for `work` beyond what it had, in MiB.
fn grown(maddy: &Daemon, work: impl FnOnce()) -> u64 {
    let before = maddy.peak_memory();
    work();
    (maddy.peak_memory() - before) / MIB
}

#[test]
fn endless_lines_are_refused_and_take_no_memory() {
    let maddy = scene();
    serves_on(&maddy);
    let line = vec![b'A'; 16 * 1024 * 1024];
    let ports = maddy.ports();
    let grown = grown(&maddy, || {
        for port in [ports.smtp, ports.submission, ports.imap] {
            for head in ["", "EHLO a\r\nMAIL FROM:<", "EHLO a\r\nAUTH PLAIN ", "a LOGIN ", "a NOOP\r\nb "] {
                let octets = [head.as_bytes(), &line, b"\r\nNOOP\r\n"].concat();
                let heard = speak(Chat::connect(port), &octets);
                has(&heard, &["500 5", "501 5", "502 5", "530 5", "BAD", "BYE", "421 4"]);
            }
        }
    });
    println!("{grown} MiB for endless lines");
    assert!(grown < 8, "{grown} MiB");
    serves_on(&maddy);
}

#[test]
fn parameters_recipients_and_paths_without_end_are_refused() {
    let maddy = scene();
    let mut eve = maddy.smtp();
    let many: String = (0..200).map(|n| format!(" X{n}=1")).collect();
    eve.command(&format!("MAIL FROM:<eve@remote.test>{many}"), "5*");
    eve.command(&format!("MAIL FROM:<{}@remote.test>", "a".repeat(1500)), "5*");
    eve.command(&format!("MAIL FROM:<{}eve@remote.test>", "@a.test,".repeat(200)), "5*");
    eve.command(&format!("MAIL FROM:<eve@{}test>", "a.".repeat(500)), "5*");
    eve.command("MAIL FROM:<eve@remote.test> SIZE=99999999999999999999999", "5*");
    eve.command("MAIL FROM:<eve@remote.test> SIZE=-1", "5*");
    // Decoded, it would be a line of its own.
    eve.command("MAIL FROM:<eve@remote.test> ENVID=a+0D+0AMAIL", "501*");
    serves_on(&maddy);
}

#[test]
fn headers_and_parts_without_end_are_filed_or_refused_and_can_be_read() {
    let maddy = scene();
    serves_on(&maddy);
    let mut deep = String::from("From: eve@remote.test\r\nMIME-Version: 1.0\r\n");
    for n in 0..5000 {
        deep.push_str(&format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n"));
    }
    let mut wide = String::from(
        "From: eve@remote.test\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n",
    );
    (0..20_000).for_each(|_| wide.push_str("--b\r\n\r\nx\r\n"));
    let mut messages = "Content-Type: message/rfc822\r\n\r\n".repeat(3000);
    messages.insert_str(0, "From: eve@remote.test\r\n");
    let folded = format!("From: eve@remote.test\r\nX-Long: {}\r\n\r\ntext\r\n", "a\r\n ".repeat(300_000));
    let fields = format!("From: eve@remote.test\r\n{}\r\ntext\r\n", "X: y\r\n".repeat(100_000));
    let people =
        format!("From: eve@remote.test\r\nTo: {}x@y.test\r\n\r\ntext\r\n", "a@b.test,\r\n ".repeat(20_000));
    let groups = format!("From: eve@remote.test\r\nTo: {}\r\n\r\ntext\r\n", "(((((".repeat(10_000));
    let words =
        format!("From: eve@remote.test\r\nSubject: {}\r\n\r\ntext\r\n", "=?utf-8?q?a?=\r\n ".repeat(20_000));
    let grown = grown(&maddy, || {
        for text in [deep, wide, messages, folded, fields, people, groups, words] {
            let mut eve = maddy.smtp();
            eve.command("MAIL FROM:<eve@remote.test>", "250*");
            eve.command(&format!("RCPT TO:<{ALICE}>"), "250*");
            eve.command("DATA", "354*");
            eve.send(text.as_bytes());
            eve.send(b"\r\n.\r\n");
            let reply = eve.reply();
            assert!(reply.starts_with("250") || reply.starts_with('5'), "{reply}: {}", &text[..60]);
        }
        let mut alice = maddy.imap(ALICE);
        let count = alice.count("INBOX");
        assert!(count > 0, "nothing was taken");
        for n in 1..=count {
            alice.ok(&format!(
                "FETCH {n} (ENVELOPE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (Subject)] RFC822.SIZE)"
            ));
        }
        alice.ok("SEARCH TEXT nowhere");
        alice.ok("SORT (SUBJECT FROM) UTF-8 ALL");
        alice.ok("THREAD REFERENCES UTF-8 ALL");
    });
    println!("{grown} MiB for headers and parts");
    assert!(grown < 96, "{grown} MiB");
    serves_on(&maddy);
}

#[test]
fn imap_commands_without_end_are_refused() {
    let maddy = scene();
    serves_on(&maddy);
    let ports = maddy.ports();
    let login = format!("a LOGIN {ALICE} \"{PASSWORD}\"\r\nb SELECT INBOX\r\n");
    let sets = (1..12_000).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let patterns = "*%".repeat(2000);
    let grown = grown(&maddy, || {
        // Before login.
        for command in [
            "a LOGIN {4294967295}\r\n".to_owned(),
            "a LOGIN {99999999999999999999999}\r\n".to_owned(),
            format!("a LOGIN {{4096+}}\r\n{} {{4096+}}\r\n{}\r\n", "u".repeat(4096), "p".repeat(4096)),
            format!("a {}\r\n", "(".repeat(7000)),
            "a AUTHENTICATE PLAIN {99999}\r\n".to_owned(),
        ] {
            let heard = speak(Chat::connect(ports.imap), command.as_bytes());
            has(&heard, &["a BAD", "a NO", "* BYE", "* BAD"]);
        }
        // After it.
        for command in [
            format!("c SEARCH {}1{}\r\n", "(".repeat(20_000), ")".repeat(20_000)),
            format!("c SEARCH {}ALL\r\n", "NOT ".repeat(10_000)),
            format!("c SEARCH {}ALL ALL\r\n", "OR ALL ".repeat(5000)),
            format!("c FETCH 1 ({})\r\n", "BODY[1.2.3.4.5.6.7.8.9] ".repeat(2600)),
            format!("c FETCH 1 BODY[{}1]\r\n", "1.".repeat(20_000)),
            format!("c SEARCH {sets}\r\n"),
            format!("c STORE 1 +FLAGS ({})\r\n", "a ".repeat(20_000)),
            format!("c LIST \"\" \"{patterns}\"\r\n"),
            format!("c CREATE {}\r\n", "a/".repeat(1500)),
            "c APPEND INBOX {9999999999999}\r\n".to_owned(),
            "c FETCH 4294967295:* BODY[]<4294967295.4294967295>\r\n".to_owned(),
            format!("c ID ({})\r\n", "\"a\" \"b\" ".repeat(5000)),
        ] {
            let heard = speak(Chat::connect(ports.imap), format!("{login}{command}").as_bytes());
            has(&heard, &["c BAD", "c NO", "c OK", "* BYE"]);
        }
    });
    println!("{grown} MiB for commands");
    assert!(grown < 64, "{grown} MiB");
    serves_on(&maddy);
}

#[test]
fn a_compression_bomb_does_not_go_off() {
    let maddy = scene();
    let mut eve = maddy.imap(ALICE);
    let before = maddy.peak_memory();
    eve.ok("COMPRESS DEFLATE");
    // 64 MiB of one line in 64 KiB.
    let mut bomb = DeflateEncoder::new(Vec::new(), Compression::best());
    let piece = vec![b'A'; 1024 * 1024];
    (0..64).for_each(|_| bomb.write_all(&piece).unwrap());
    let bomb = bomb.finish().unwrap();
    assert!((bomb.len() as u64) < MIB / 8, "{}", bomb.len());
    if eve.try_send(&bomb).is_ok() {
        eve.end_ours();
    }
    eve.hear_rest();
    let grown = (maddy.peak_memory() - before) / MIB;
    println!("{grown} MiB for 64 MiB in {} KiB", bomb.len() / 1024);
    assert!(grown < 8, "{grown} MiB");
    serves_on(&maddy);
}

#[test]
fn who_asks_for_everything_and_reads_nothing_waits_alone() {
    let maddy = scene();
    let body = "0123456789abcdef\r\n".repeat(6000);
    let text = message("eve@remote.test", ALICE, "Large", &body);
    let mut smtp = maddy.smtp();
    (0..20).for_each(|_| drop(smtp.deliver("eve@remote.test", &[ALICE], &text)));
    let mut greedy: Vec<Imap> = (0..8).map(|_| maddy.imap(ALICE)).collect();
    let before = maddy.peak_memory();
    for (n, eve) in greedy.iter_mut().enumerate() {
        eve.ok("SELECT INBOX");
        // 2 MiB each time, and four hundred times of it: what is not read is not made.
        let all = "x FETCH 1:* (BODY.PEEK[] ENVELOPE BODYSTRUCTURE)\r\ny SEARCH TEXT nowhere\r\n"
            .repeat(if n == 0 { 400 } else { 40 });
        eve.send(all.as_bytes());
    }
    serves_on(&maddy);
    let grown = (maddy.peak_memory() - before) / MIB;
    println!("{grown} MiB for 8 greedy readers");
    assert!(grown < 48, "{grown} MiB");
}

#[test]
fn garbage_in_a_pipeline_ends_with_the_limit_of_errors() {
    let maddy = scene();
    let ports = maddy.ports();
    let noise: Vec<u8> =
        (0..4 * 1024 * 1024_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let commands = "MAIL FROM:<a@b.test>\r\nRCPT TO:<x@elsewhere.test>\r\nRSET\r\n".repeat(20_000);
    let grown = grown(&maddy, || {
        let jobs = [ports.smtp, ports.submission, ports.imap, ports.imaps].into_iter().flat_map(|port| {
            [noise.clone(), commands.clone().into_bytes(), b"\r\n".repeat(500_000)]
                .map(|octets| (port, octets))
        });
        let crowd: Vec<_> = jobs
            .map(|(port, octets)| thread::spawn(move || speak(Chat::connect(port), &octets).len()))
            .collect();
        crowd.into_iter().for_each(|one| assert!(one.join().unwrap() < 10_000));
    });
    println!("{grown} MiB for noise");
    assert!(grown < 32, "{grown} MiB");
    serves_on(&maddy);
}
