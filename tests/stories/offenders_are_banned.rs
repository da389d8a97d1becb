//! Who guesses passwords or abuses the protocols is not let in for a while, before a word is said.

use tests::{Chat, Daemon, Imap, PASSWORD, Setup, Smtp, eventually};

fn scene(bans: &str) -> Daemon {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.option("imap", "failure-delay \"0s\"");
    setup.option("imap", "login-failures 100");
    setup.option("smtp", "max-errors 3");
    setup.config(&format!("bans {{ private #true; {bans} }}"));
    setup.start()
}

/// Guesses from 127.0.0.`n`, on one connection.
fn guess(maddy: &Daemon, n: u8, times: u32) {
    let mut eve = Imap::begin(Chat::connect_from(n, maddy.ports().imap));
    for guess in 0..times {
        eve.no(&format!("LOGIN alice@example.org guess{guess}"));
    }
}

fn is_let_in(n: u8, port: u16) -> bool {
    matches!(Chat::connect_from(n, port).try_hear(), Ok(Some(_)))
}

#[test]
fn guessing_bans_an_address_from_all_logins_and_nobody_else() {
    let maddy = scene("offences 6");
    guess(&maddy, 2, 5);
    assert!(is_let_in(2, maddy.ports().imap));
    // The first five are known to be wrong, and are no guesses when they come again.
    guess(&maddy, 2, 5);
    assert!(is_let_in(2, maddy.ports().imap));
    guess(&maddy, 2, 6);
    let line = maddy.wait_log("*banned*127.0.0.2/32*password guessing*");
    assert!(line.contains("seconds=900"), "{line}");
    let ports = maddy.ports();
    assert!(is_let_in(2, ports.smtp), "its mail may come: others may have made it guess");
    for port in [ports.submission, ports.imap] {
        assert!(!is_let_in(2, port) && is_let_in(3, port), "{port}");
    }
    // Not even a handshake: the connection is over at once.
    let mut eve = Chat::connect_from(2, ports.imaps);
    assert!(matches!(eve.try_hear(), Ok(None) | Err(_)));
    let list = maddy.cli(&["bans", "list"]).ok();
    assert!(list.contains("127.0.0.2/32") && list.contains("password guessing"), "{list}");
    maddy.cli(&["bans", "lift", "127.0.0.2"]).ok();
    assert!(is_let_in(2, ports.imap));
    assert!(maddy.cli(&["bans", "lift", "127.0.0.2"]).fails().contains("nothing is kept of 127.0.0.2/32"));
    assert_eq!(maddy.log().lines().filter(|line| line.contains(" banned ")).count(), 1, "it is said once");
}

#[test]
fn errors_on_many_connections_ban_and_a_network_of_offenders_goes_as_a_whole() {
    let maddy = scene("offences 10; addresses 2");
    for n in [2, 3] {
        assert!(is_let_in(9, maddy.ports().smtp));
        for _ in 0..2 {
            let mut eve = Smtp::begin(Chat::connect_from(n, maddy.ports().smtp));
            (0..3).for_each(|_| eve.say("NONSENSE"));
            assert!(eve.hear_rest().last().unwrap().starts_with("421"), "{}", eve.said());
        }
        maddy.wait_log(&format!("*banned*127.0.0.{n}/32*protocol abuse*"));
    }
    maddy.wait_log("*banned*127.0.0.0/24*many banned addresses*");
    assert!(!is_let_in(9, maddy.ports().smtp));
    maddy.cli(&["bans", "lift", "127.0.0.0/24"]).ok();
    assert_eq!(maddy.cli(&["--json", "bans", "list"]).ok().trim(), "[]", "what it holds is lifted with it");
    assert!(is_let_in(2, maddy.ports().smtp));
}

#[test]
fn the_owner_and_the_trusted_are_not_banned() {
    let maddy = scene("offences 3; never \"127.0.0.4\"");
    // An address from which somebody has logged in.
    Imap::begin(Chat::connect_from(5, maddy.ports().imap)).log_in("alice@example.org", PASSWORD);
    for n in [4, 5] {
        guess(&maddy, n, 6);
        assert!(is_let_in(n, maddy.ports().imap), "127.0.0.{n}");
    }
    assert_eq!(maddy.cli(&["--json", "bans", "list"]).ok().trim(), "[]");
}

#[test]
fn bans_end_are_made_by_hand_and_outlive_a_restart() {
    let mut maddy = scene("offences 3; time \"2s\"");
    guess(&maddy, 2, 3);
    assert!(!is_let_in(2, maddy.ports().imap));
    eventually("the ban ends", || is_let_in(2, maddy.ports().imap).then_some(()));
    maddy.cli(&["bans", "add", "127.0.0.6", "--for", "1h"]).ok();
    maddy.cli(&["bans", "add", "192.0.2.0/24"]).ok();
    assert!(maddy.cli(&["bans", "add", "0.0.0.0/0"]).fails().contains("everybody"));
    assert!(maddy.cli(&["bans", "add", "192.0.2.1/24"]).fails().contains("bits behind"));
    assert!(!is_let_in(6, maddy.ports().smtp));
    maddy.stop();
    maddy.start();
    assert!(!is_let_in(6, maddy.ports().smtp) && is_let_in(7, maddy.ports().smtp));
    let list = maddy.cli(&["bans", "list"]).ok();
    for want in ["127.0.0.6/32", "192.0.2.0/24", "by hand", "lifted"] {
        assert!(list.contains(want), "{want}: {list}");
    }
}
