//! What an account may send in a day: a stolen password is good for so much, over restarts, and its owner hears of it.

use tests::{Setup, assert_like, eventually, field, is_like, message};

const ALICE: &str = "alice@example.org";

#[test]
fn a_stolen_password_is_good_for_so_much_and_no_more() {
    let mut setup = Setup::new();
    setup.account(ALICE);
    setup.account("postmaster@example.org");
    setup.option("delivery", "daily-limits { messages 3; new-recipients 4; }");
    setup.zone("remote.test MX 10 mx.remote.test");
    let remote = setup.remote("mx.remote.test", 2);
    let mut maddy = setup.start();

    let text = message(ALICE, "a@remote.test", "One", "text\n");
    let mut alice = maddy.submit(ALICE);
    alice.deliver(ALICE, &["a@remote.test", "b@remote.test"], &text);
    // The fifth address is one too many; who was written to before is not new.
    alice.command("MAIL FROM:<alice@example.org>", "250*");
    for known_or_new in ["a", "b", "c", "d"] {
        alice.command(&format!("RCPT TO:<{known_or_new}@remote.test>"), "250*");
    }
    let said = "450 4.7.1 alice@example.org has written to as many new recipients as it may in a day (4); this ends at *";
    alice.command("RCPT TO:<e@remote.test>", said);
    alice.command("RCPT TO:<f@remote.test>", said);
    alice.data(&text, "250*");
    remote.wait_mails(2);
    drop(alice);
    maddy.wait_log("*a daily limit is reached*");

    // Nothing of it is forgotten when the server dies.
    maddy.kill();
    maddy.start();
    let mut alice = maddy.submit(ALICE);
    alice.deliver(ALICE, &["d@remote.test"], &text);
    let said =
        "451 4.7.1 alice@example.org has sent the 3 messages that it may send in a day; this ends at *";
    alice.command("MAIL FROM:<alice@example.org>", said);
    alice.command("MAIL FROM:<alice@example.org>", said);

    // One notice for the day, to the owner and to postmaster, however often the limits were met.
    for reader in [ALICE, "postmaster@example.org"] {
        let mut reader = maddy.imap(reader);
        reader.wait_messages("INBOX", 1);
        let notice = reader.text(1);
        assert_like(&field(&notice, "Subject").unwrap(), "alice@example.org may send no more today");
        assert_like(&notice, "*4 addresses in a day to which it never wrote before*");
        assert_like(&notice, "*maddy account sending alice@example.org --messages*");
        assert_eq!(field(&notice, "Return-Path").unwrap(), "<>");
        assert_eq!(reader.texts("INBOX").len(), 1);
    }
    let shown = maddy.cli(&["account", "sending", "--json"]).ok();
    assert_like(&shown, "*\"sender\": \"alice@example.org\"*\"messages\": 3*\"messages_limit\": 3*");
    assert_like(&shown, "*\"new_recipients\": 4*\"new_recipients_limit\": 4*\"told\": true*");
    eventually("the trace tells of it", || {
        let told = maddy.cli(&["trace", ALICE]).stdout;
        is_like(&told, "*sender put off*has sent the 3 messages*").then_some(())
    });

    // The administrator lets one have more.
    let set = maddy.cli(&["account", "sending", ALICE, "--messages", "none", "--new-recipients", "5"]).ok();
    assert_like(&set, "*sent today      3, no limit*new recipients  4, of 5*limits of its own*");
    alice.deliver(ALICE, &["e@remote.test"], &text);
    alice.command("MAIL FROM:<alice@example.org>", "250*");
    alice.command("RCPT TO:<f@remote.test>", "450 4.7.1 *(5); this ends at *");
    maddy.cli(&["account", "sending", ALICE, "--reset"]).ok();
    alice.command("RSET", "250*");
    alice.deliver(ALICE, &["f@remote.test"], &text);
    maddy.cli(&["account", "sending", ALICE, "--messages", "lots"]).fails();

    // Other limits for all take no restart.
    maddy.cli(&["account", "sending", ALICE, "--messages", "default", "--new-recipients", "default"]).ok();
    maddy.setup.replace_option("delivery", "daily-limits { messages 7; new-recipients 0; }");
    maddy.write_config();
    maddy.cli(&["reload"]).ok();
    let shown = maddy.cli(&["account", "sending", ALICE]).ok();
    assert_like(&shown, "*sent today      1, of 7*no limit*as configured*");
}
