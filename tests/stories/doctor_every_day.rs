//! The server looks after itself: postmaster is told what is new and what is gone, each once, also over a restart.

use tests::{Daemon, Setup, field};

const GOOD: &str = "mx.example.org A 127.0.0.1\nexample.org TXT \"v=spf1 a:mx.example.org -all\"\n_dmarc.example.org TXT \"v=DMARC1; p=none\"\n";
const MX: &str = "example.org MX 10 mx.example.org\n";

/// The letters of the doctor, the oldest first.
fn letters(maddy: &Daemon, count: usize) -> Vec<String> {
    let mut imap = maddy.imap("alice@example.org");
    imap.wait_messages("INBOX", count);
    let texts = imap.texts("INBOX");
    texts
        .into_iter()
        .filter(|text| field(text, "Subject").unwrap().contains("findings of the doctor"))
        .collect()
}

/// Waits until the doctor has looked twice more: the first of the two may have begun before.
fn another_look(maddy: &Daemon) {
    let looks = |log: &str| log.matches("the doctor has looked").count();
    let before = looks(&maddy.log());
    tests::eventually("the doctor looks again", || (looks(&maddy.log()) >= before + 2).then_some(()));
}

fn get(port: u16) -> String {
    let url = format!("http://127.0.0.1:{port}/status");
    tests::Output::of(std::process::Command::new("curl").args(["-sS", &url]).output().unwrap()).ok()
}

#[test]
fn postmaster_is_told_what_has_changed() {
    let mut setup = Setup::named("mx.example.org", &["example.org"]);
    setup.account("alice@example.org");
    let private = tests::free_port();
    setup.config(&format!(
        "doctor {{ every \"1s\"; }}\nweb {{ listen \"127.0.0.1:{private}\" private=#true; }}"
    ));
    setup.names().set(GOOD);
    let mut maddy = setup.start();
    maddy.wait_log("*the doctor has found something*mx*example.org*");
    let first = letters(&maddy, 1).remove(0);
    assert!(field(&first, "Subject").unwrap().starts_with("mx.example.org: "), "{first}");
    assert_eq!(field(&first, "Auto-Submitted").unwrap(), "auto-generated");
    for want in [
        "  WRONG mx (example.org): it has no MX record\r\n    why: other servers do not bring mail",
        "    do: put this into the zone: example.org. IN MX 10 mx.example.org.\r\n",
        "WRONG dkim (maddy._domainkey.example.org): there is no record",
        "note dmarc (example.org): its policy is to do nothing",
    ] {
        assert!(first.contains(want), "{want}\n{first}");
    }
    another_look(&maddy);
    assert_eq!(letters(&maddy, 1).len(), 1);

    // One thing is mended and another broken.
    maddy.setup.names().set(&format!("{MX}{}", GOOD.replace("a:mx.example.org", "ip4:192.0.2.1")));
    maddy.wait_log("*what the doctor had found is gone*mx*example.org*");
    let second = letters(&maddy, 2).remove(1);
    assert!(second.contains("1 new, 1 gone"), "{second}");
    let (new, gone) = second.split_once("Gone:").unwrap();
    assert!(new.contains("WRONG spf (example.org): ") && !new.contains("dkim"), "{second}");
    assert!(gone.contains("  mx (example.org)\r\n") && gone.contains("are as they were"), "{second}");

    // The page of the private listener knows it, too.
    let page = get(private);
    assert!(page.contains("found by the doctor on") && page.contains("WRONG spf (example.org)"), "{page}");

    // A restart tells nothing twice.
    maddy.stop();
    maddy.start();
    another_look(&maddy);
    assert_eq!(letters(&maddy, 2).len(), 2);
    assert!(maddy.setup.state_dir().join("doctor.json").exists());
}

#[test]
fn nothing_is_said_by_mail_where_nobody_wants_it() {
    let mut setup = Setup::named("mx.example.org", &["example.org"]);
    setup.account("alice@example.org");
    setup.config("doctor { every \"1s\"; mail #false; database \"1s\"; }");
    setup.names().set(GOOD);
    let maddy = setup.start();
    maddy.wait_log("*the doctor has found something*mx*example.org*");
    another_look(&maddy);
    maddy.imap("alice@example.org").wait_messages("INBOX", 0);
}
