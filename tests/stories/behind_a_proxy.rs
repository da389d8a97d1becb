//! Behind a proxy or another relay: the true client is judged, counted and logged, if one says who it is that may.

use tests::{Chat, Daemon, Setup, Smtp, assert_like, field, free_port, message};

/// What the DNS says of the senders here.
const ZONE: &str = "\
honest.test TXT \"v=spf1 ip4:192.0.2.1 -all\"
_dmarc.honest.test TXT \"v=DMARC1; p=reject\"
";

fn scene() -> Setup {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone(ZONE);
    setup
}

/// A message to alice; the reply at its end.
fn offer(smtp: &mut Smtp, subject: &str) -> String {
    smtp.command("MAIL FROM:<eve@honest.test>", "250*");
    smtp.command("RCPT TO:<alice@example.org>", "250*");
    smtp.data(&message("eve@honest.test", "alice@example.org", subject, "Hello"), "*")
}

/// Says a PROXY header, and begins.
fn behind(port: u16, header: &[u8]) -> Smtp {
    let mut chat = Chat::connect(port);
    chat.send(header);
    Smtp::begin(chat)
}

fn only_letter(maddy: &Daemon) -> String {
    let mut alice = maddy.imap("alice@example.org");
    alice.wait_messages("INBOX", 1);
    let texts = alice.texts("INBOX");
    assert_eq!(texts.len(), 1, "{texts:?}");
    texts[0].clone()
}

#[test]
fn a_proxy_names_the_client_on_every_door() {
    let mut setup = scene();
    let (smtp, imap, closed) = (free_port(), free_port(), free_port());
    for (node, port) in [("smtp", smtp), ("imap", imap)] {
        setup.option(node, &format!("listen \"127.0.0.1:{port}\" {{ proxy {{ from \"127.0.0.1\"; }}; }}"));
    }
    setup.option(
        "smtp",
        &format!("listen \"127.0.0.1:{closed}\" {{ proxy {{ from \"198.51.100.0/24\"; }}; }}"),
    );
    let maddy = setup.start();

    let mut liar = behind(smtp, b"PROXY TCP4 192.0.2.66 127.0.0.1 5025 25\r\n");
    assert_like(&offer(&mut liar, "Forged"), "550 5.7.26*");
    let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    v2.extend([192, 0, 2, 1, 127, 0, 0, 1, 0x13, 0xa1, 0, 25]);
    let mut honest = behind(smtp, &v2);
    assert_like(&offer(&mut honest, "Honest"), "250*");
    maddy.wait_log("*peer=192.0.2.1*mail in*");
    let letter = only_letter(&maddy);
    assert_like(&field(&letter, "Received").unwrap(), "*[192.0.2.1]*");

    // Without a header nobody is greeted, and from elsewhere it is no header.
    let mut silent = Chat::connect(smtp);
    silent.send(b"EHLO client.test\r\n");
    silent.expect_end();
    let mut stranger = Chat::connect(closed);
    let _ = stranger.try_send(b"PROXY TCP4 192.0.2.1 127.0.0.1 5025 25\r\n");
    assert!(!matches!(stranger.try_hear(), Ok(Some(_))));
    let mut direct = maddy.smtp();
    direct.command("PROXY TCP4 192.0.2.1 127.0.0.1 5025 25", "500*");
    assert_like(&offer(&mut direct, "Not from there"), "550 5.7.26*");

    let mut reader = Chat::connect(imap);
    reader.send(b"PROXY TCP6 2001:db8::7 ::1 5143 143\r\n");
    reader.expect("* OK*");
}

#[test]
fn xclient_and_xforward_are_for_those_who_may() {
    let mut setup = scene();
    setup.option("smtp", "xclient-from \"127.0.0.1\"");
    setup.option("smtp", "xforward-from \"127.0.0.1\"");
    let maddy = setup.start();
    let mut stranger = Smtp::begin(Chat::connect_from(2, maddy.ports().smtp));
    assert!(!stranger.offers.iter().any(|line| line.starts_with('X')), "{:?}", stranger.offers);
    stranger.command("XCLIENT ADDR=192.0.2.1", "500 5.5.1*");

    let mut relay = maddy.smtp();
    assert_like(&offer(&mut relay, "The relay's own"), "550 5.7.26*");
    relay.command("XFORWARD ADDR=192.0.2.1 HELO=honest.test PROTO=SMTP", "250*");
    assert_like(&offer(&mut relay, "Passed on"), "250*");
    // It was said of one message.
    assert_like(&offer(&mut relay, "The next"), "550 5.7.26*");
    let letter = only_letter(&maddy);
    assert_like(&field(&letter, "Received").unwrap(), "from honest.test ([192.0.2.1])*with SMTP id *");

    relay.command("XCLIENT ADDR=192.0.2.1 NAME=mx.honest.test", "220 mx.example.org*");
    relay.command("MAIL FROM:<eve@honest.test>", "503*");
    relay.hello();
    assert_like(&offer(&mut relay, "Behind the relay"), "250*");
    maddy.wait_log("*the connection speaks for another client*client=192.0.2.1*");
    maddy.wait_log("*mail in*client=192.0.2.1*accepted*");
    // From here on it may be the client who speaks.
    assert!(!relay.offers.iter().any(|line| line.starts_with('X')), "{:?}", relay.offers);
    relay.command("XCLIENT ADDR=127.0.0.1", "500 5.5.1*");
}

/// A proxy that does not know its client says nothing of it: its own address vouches for nobody, and relays for nobody.
#[test]
fn a_client_that_nobody_knows_is_not_the_proxy() {
    let mut setup = scene();
    let port = free_port();
    setup.option("smtp", &format!("listen \"127.0.0.1:{port}\" {{ proxy {{ from \"127.0.0.1\"; }}; }}"));
    setup.option("smtp", "relay-from \"127.0.0.1\"");
    setup.option("smtp", "xclient-from \"127.0.0.1\"");
    setup.config("checks { exempt \"127.0.0.1\"; }");
    setup.zone("local.test TXT \"v=spf1 ip4:127.0.0.1 -all\"\n_dmarc.local.test TXT \"v=DMARC1; p=reject\"");
    let _maddy = setup.start();
    let send = |smtp: &mut Smtp| {
        smtp.command("MAIL FROM:<eve@local.test>", "250*");
        smtp.command("RCPT TO:<victim@elsewhere.test>", "550 5.7.1*");
        smtp.command("RCPT TO:<alice@example.org>", "250*");
        smtp.data(&message("eve@local.test", "alice@example.org", "Nameless", "Hello"), "*")
    };
    // SPF of the proxy's own address would pass; of the client nothing is known, so the mail waits.
    let mut nameless = behind(port, b"PROXY UNKNOWN\r\n");
    assert_like(&send(&mut nameless), "451 4.4.3*the proxy does not say who the client is*");
    let mut relay = behind(port, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
    relay.command("MAIL FROM:<cron@local.test>", "250*");
    relay.command("RCPT TO:<somebody@elsewhere.test>", "250*");
    relay.command("RSET", "250*");
    relay.command("XCLIENT ADDR=[UNAVAILABLE]", "220*");
    relay.hello();
    assert_like(&send(&mut relay), "451 4.4.3*the proxy does not say who the client is*");
}

/// Whose word counts may change while the server runs, for connections from then on.
#[test]
fn new_proxies_are_believed_after_a_reload() {
    let mut setup = scene();
    let port = free_port();
    setup.option("smtp", &format!("listen \"127.0.0.1:{port}\" {{ proxy {{ from \"198.51.100.7\"; }}; }}"));
    let mut maddy = setup.start();
    let header = b"PROXY TCP4 192.0.2.1 127.0.0.1 5025 25\r\n";
    let mut stranger = Chat::connect(port);
    let _ = stranger.try_send(header);
    assert!(!matches!(stranger.try_hear(), Ok(Some(_))));

    maddy.setup.replace_option(
        "smtp",
        &format!("listen \"127.0.0.1:{port}\" {{ proxy {{ from \"127.0.0.1\"; }}; }}"),
    );
    maddy.setup.option("smtp", "xclient-from \"192.0.2.1\"");
    maddy.write_config();
    maddy.hang_up();
    maddy.wait_log("*the configuration was read again*");
    let mut honest = behind(port, header);
    assert!(honest.offers.iter().any(|line| line.starts_with("XCLIENT")), "{:?}", honest.offers);
    assert_like(&offer(&mut honest, "After the reload"), "250*");

    // And back: who was a proxy is a stranger again, and who is connected stays.
    maddy.setup.replace_option(
        "smtp",
        &format!("listen \"127.0.0.1:{port}\" {{ proxy {{ from \"198.51.100.7\"; }}; }}"),
    );
    maddy.setup.replace_option("smtp", "xclient-from \"198.51.100.7\"");
    maddy.write_config();
    maddy.hang_up();
    tests::eventually("the proxy is a stranger", || {
        let mut stranger = Chat::connect(port);
        let _ = stranger.try_send(header);
        (!matches!(stranger.try_hear(), Ok(Some(_)))).then_some(())
    });
    honest.command("NOOP", "250*");
}
