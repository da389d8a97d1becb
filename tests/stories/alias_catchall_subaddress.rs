//! The many ways in which an address leads to a mailbox.

use tests::{Setup, field, message};

#[test]
fn each_address_leads_where_it_should() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.account("bob@example.net");
    setup.config("subaddress \"+\"");
    setup.config("postmaster \"bob@example.net\"");
    setup.config(
        "aliases {\n    \"sales@example.org\" \"team@example.org\"\n    \
         \"team@example.org\" \"alice@example.org\" \"bob@example.net\"\n    \"*@example.net\" \"alice@example.org\"\n}",
    );
    let maddy = setup.start();
    let mut stranger = maddy.smtp();
    let mut wanted = [Vec::new(), Vec::new()];
    for (to, alice, bob) in [
        ("alice+shop@example.org", true, false),
        ("ALICE+Shop+two@Example.ORG", true, false),
        ("sales@example.org", true, true),
        ("sales+x@example.org", true, true),
        ("anything@example.net", true, false),
        ("bob@example.net", false, true),
        ("bob+tag@example.net", false, true),
        ("postmaster@example.org", false, true),
        ("postmaster@example.net", false, true),
        ("Postmaster", false, true),
    ] {
        stranger.deliver(
            "eve@remote.test",
            &[to],
            &message("eve@remote.test", "you@example.org", to, "text"),
        );
        for (list, expected) in wanted.iter_mut().zip([alice, bob]) {
            if expected {
                list.push(to.to_owned());
            }
        }
    }
    stranger.command("MAIL FROM:<eve@remote.test>", "250*");
    stranger.command("RCPT TO:<unknown@example.org>", "550 5.1.1*");
    stranger.command("RCPT TO:<unknown+alice@example.org>", "550 5.1.1*");
    for (name, wanted) in ["alice@example.org", "bob@example.net"].iter().zip(wanted) {
        let texts = maddy.imap(name).texts("INBOX");
        let subjects: Vec<String> = texts.iter().map(|text| field(text, "Subject").unwrap()).collect();
        assert_eq!(subjects, wanted, "{name}");
    }
}

#[test]
fn who_is_reached_twice_gets_one_copy() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.config("aliases { \"team@example.org\" \"alice@example.org\" }");
    let maddy = setup.start();
    let to = ["alice@example.org", "team@example.org", "alice@EXAMPLE.org"];
    maddy.smtp().deliver("eve@remote.test", &to, &message("eve@remote.test", to[0], "Once", "text"));
    assert_eq!(maddy.imap("alice@example.org").count("INBOX"), 1);
}
