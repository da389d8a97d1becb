//! Networks of our own that send to anybody without a login, if the configuration names them, and nobody else does.

use tests::{Chat, Setup, Smtp, field, message};

#[test]
fn a_named_network_may_send_to_anybody_and_is_signed() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone("remote.test MX 10 mx.remote.test");
    setup.option("smtp", "relay-from \"127.0.0.3\"");
    let remote = setup.remote("mx.remote.test", 2);
    let maddy = setup.start();

    let mut printer = Smtp::begin(Chat::connect_from(3, maddy.ports().smtp));
    printer.command("MAIL FROM:<printer@example.org>", "250*");
    printer.command("RCPT TO:<bob@remote.test>", "250*");
    printer.data(&message("printer@example.org", "bob@remote.test", "Scan", "text"), "250*");
    let mail = remote.wait_mails(1).remove(0);
    assert!(field(&mail.message, "DKIM-Signature").is_some(), "{}", mail.message);

    let mut stranger = maddy.smtp();
    stranger.command("MAIL FROM:<printer@example.org>", "250*");
    stranger.command("RCPT TO:<bob@remote.test>", "550 5.7.1*");
}

#[test]
fn an_open_relay_is_warned_of() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.option("smtp", "relay-from \"0.0.0.0/0\"");
    let maddy = setup.start();
    maddy.wait_log("*WARN*open relay*0.0.0.0/0*");
}
