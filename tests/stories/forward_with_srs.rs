//! An alias leads outside: the mail goes on with a sender of ours, so that SPF holds, and its bounce finds the
//! way back.

use tests::{Setup, assert_like, message};

#[test]
fn a_forwarded_mail_has_a_sender_of_ours_and_its_bounce_returns() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.config("aliases { \"ext@example.org\" \"carl@remote.test\" \"alice@example.org\" }");
    setup.zone("remote.test MX 10 mx.remote.test\nelsewhere.test MX 10 mx.elsewhere.test");
    let remote = setup.remote("mx.remote.test", 2);
    let elsewhere = setup.remote("mx.elsewhere.test", 3);
    let maddy = setup.start();
    let text = message("eve@elsewhere.test", "ext@example.org", "Forward me", "text");
    maddy.smtp().deliver("eve@elsewhere.test", &["ext@example.org"], &text);

    let mails = remote.wait_mails(1);
    assert_like(&mails[0].from, "<SRS0=*=*=elsewhere.test=eve@example.org>*");
    assert_like(&mails[0].to.join(" "), "<carl@remote.test>*");
    assert!(mails[0].message.ends_with(&text), "the message was changed on its way");
    assert_eq!(maddy.imap("alice@example.org").count("INBOX"), 1);

    let sender = mails[0].from.trim_start_matches('<').split('>').next().unwrap().to_owned();
    let bounce = message("mailer-daemon@remote.test", &sender, "Undelivered", "text");
    let mut stranger = maddy.smtp();
    // Some servers do not keep the case of an address.
    stranger.deliver("", &[&sender.to_ascii_uppercase()], &bounce);
    let back = elsewhere.wait_mails(1);
    assert_like(&back[0].from, "<>*");
    assert_like(&back[0].to.join(" ").to_ascii_lowercase(), "<eve@elsewhere.test>*");

    // An address of that form that we never made is nobody's.
    stranger.command("MAIL FROM:<>", "250*");
    stranger.command("RCPT TO:<SRS0=AAAAAA=AA=elsewhere.test=victim@example.org>", "550 5*");
}
