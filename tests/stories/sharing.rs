//! Two accounts share a mailbox: given from either side, used by both, waited for, and taken back.

use tests::{Chat, Imap, Setup, assert_like, message};

const ALICE: &str = "alice@example.org";
const BOB: &str = "bob@example.org";
const SHARED: &str = "\"Other Users/alice@example.org/Team\"";

#[test]
fn a_mailbox_is_shared_and_taken_back() {
    let mut setup = Setup::new();
    setup.account(ALICE);
    setup.account(BOB);
    let maddy = setup.start();
    let mut alice = maddy.imap(ALICE);
    let mut bob = maddy.imap(BOB);
    alice.ok("CREATE Team");
    assert_like(&bob.no(&format!("SELECT {SHARED}")), "NO [NONEXISTENT]*");
    // From the command line, as an administrator does it.
    let command = |arguments: &[&str]| maddy.cli(arguments).ok();
    assert_eq!(command(&["imap-mboxes", "rights", ALICE, "Team", "--json"]).trim(), "[]");
    command(&["imap-mboxes", "rights", ALICE, "Team", BOB, "lrswite"]);
    command(&["imap-mboxes", "rights", ALICE, "Team", BOB, "-w"]);
    command(&["imap-mboxes", "rights", ALICE, "Team", "-anyone", "x"]);
    assert_like(&command(&["imap-mboxes", "rights", ALICE, "Team"]), "*bob@example.org*lrsite*-anyone*x*");
    let listed = command(&["imap-mboxes", "rights", ALICE, "Team", "--json"]);
    assert_like(&listed, "*bob@example.org*lrsite*-anyone*x*");
    maddy.cli(&["imap-mboxes", "rights", ALICE, "Team", BOB, "lq"]).fails();
    maddy.cli(&["imap-mboxes", "rights", ALICE, "Team", BOB]).fails();
    maddy.cli(&["imap-mboxes", "rights", ALICE, "Team", "nobody@example.org", "lr"]).fails();
    maddy.cli(&["imap-mboxes", "rights", ALICE, "None"]).fails();

    // Both wait for what the other does.
    assert_eq!(bob.count("Other Users/alice@example.org/Team"), 0);
    alice.ok("SELECT Team");
    bob.idle();
    let text = message("note@example.org", ALICE, "For the team", "text");
    assert_like(&alice.try_append("Team", &text).unwrap(), "OK [APPENDUID*");
    bob.wait_for("* 1 EXISTS");
    bob.done();
    alice.idle();
    assert!(bob.text(1).ends_with(&text));
    bob.ok("FETCH 1 BODY[]");
    alice.wait_for("* 1 FETCH (*FLAGS (\\Seen)*)");
    assert_like(&bob.no("STORE 1 +FLAGS (\\Flagged)"), "NO [NOPERM]*");
    bob.ok("MOVE 1 INBOX");
    alice.wait_for("* 1 EXPUNGE");
    alice.done();
    assert_eq!(bob.count("INBOX"), 1);

    // By the client, and while it is looked at.
    bob.ok(&format!("SELECT {SHARED}"));
    bob.idle();
    alice.ok(&format!("SETACL Team {BOB} -e"));
    alice.ok(&format!("SETACL Team {BOB} lr"));
    bob.wait_for("* OK [READ-ONLY]*");
    command(&["imap-mboxes", "rights", ALICE, "Team", BOB, "none"]);
    bob.wait_for("* BYE The selected mailbox may not be read any more.");
}

#[test]
fn one_connection_hears_of_all_mailboxes() {
    let mut setup = Setup::new();
    setup.account(ALICE);
    setup.account(BOB);
    let maddy = setup.start();
    let mut alice = maddy.imap(ALICE);
    let mut bob = maddy.imap(BOB);
    bob.ok("SELECT INBOX");
    bob.ok("NOTIFY SET (selected (MessageNew (UID ENVELOPE) MessageExpunge)) \
            (personal (MessageNew MessageExpunge MailboxName)) \
            (subtree \"Other Users\" (MessageNew MessageExpunge FlagChange MailboxName))");
    // Mail from outside, for the mailbox that is selected.
    let text = |to: &str, subject: &str| message("eve@remote.test", to, subject, "text");
    maddy.smtp().deliver("eve@remote.test", &[BOB], &text(BOB, "For bob"));
    bob.wait_for("* 1 EXISTS");
    assert_like(&bob.wait_for("* 1 FETCH (*"), "* 1 FETCH (UID 1 ENVELOPE (*For bob*");
    // What an administrator makes, and what another user shares.
    maddy.cli(&["imap-mboxes", "create", BOB, "Projects"]).ok();
    bob.wait_for("* LIST (*) \"/\" \"Projects\"");
    alice.ok("CREATE Team");
    alice.ok(&format!("SETACL Team {BOB} lr"));
    bob.wait_for("* LIST (*) \"/\" \"Other Users/alice@example.org/Team\"");
    assert_like(&alice.try_append("Team", &text(ALICE, "For all")).unwrap(), "OK *");
    bob.wait_for("* STATUS \"Other Users/alice@example.org/Team\" (MESSAGES 1 *");
    alice.ok("DELETE Team");
    bob.wait_for("* LIST (\\NonExistent) \"/\" \"Other Users/alice@example.org/Team\"");
    // Commands go on as ever.
    assert_eq!(bob.count("Projects"), 0);
}

#[test]
fn a_login_that_may_only_read_shares_nothing_and_changes_nothing() {
    let mut setup = Setup::new();
    setup.account(ALICE);
    setup.account(BOB);
    setup.config("logins { exempt \"127.0.0.0/8\"; }");
    let maddy = setup.start();
    maddy.cli(&["imap-mboxes", "rights", ALICE, "INBOX", BOB, "lrswipkxtea"]).ok();
    let create = ["--json", "creds", "app-password", "create", BOB, "reader", "--for", "read-only"];
    let made: serde_json::Value = serde_json::from_str(&maddy.cli(&create).ok()).unwrap();
    let password = made["password"].as_str().unwrap();
    let mut reader = Imap::begin(Chat::connect(maddy.ports().imap));
    reader.log_in(BOB, password);
    let inbox = "\"Other Users/alice@example.org/INBOX\"";
    assert_like(&reader.ok(&format!("MYRIGHTS {inbox}")).concat(), "*INBOX\" lr");
    assert_like(&reader.ok("MYRIGHTS INBOX").concat(), "*INBOX\" lr");
    for command in [
        format!("SETACL {inbox} anyone lr"),
        "SETACL INBOX anyone lr".to_owned(),
        format!("DELETEACL {inbox} {BOB}"),
        format!("GETACL {inbox}"),
        format!("CREATE {inbox}"),
        format!("DELETE {inbox}"),
    ] {
        assert_like(&reader.no(&command), "NO [NOPERM]*");
    }
    assert_like(&reader.run(&format!("SELECT {inbox}")).pop().unwrap(), "OK [READ-ONLY]*");
    for command in ["STORE 1 +FLAGS (\\Seen)", "EXPUNGE", "UID MOVE 1 INBOX", "UID COPY 1 INBOX"] {
        reader.no(command);
    }
    assert_like(&reader.try_append(inbox, "Subject: x\r\n\r\nx").unwrap(), "NO [NOPERM]*");
    // A change of rights makes it no more than it is.
    maddy.cli(&["imap-mboxes", "rights", ALICE, "INBOX", BOB, "lrswi"]).ok();
    reader.no("STORE 1 +FLAGS (\\Seen)");
    reader.ok("NOOP");
}
