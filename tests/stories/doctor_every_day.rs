//! The server looks after itself: postmaster is told what is new and what is gone, each once, also over a restart.

use tests::{Daemon, Setup, field};

const GOOD: &str = "mx.example.org A 127.0.0.1\nexample.org TXT \"v=spf1 a:mx.example.org -all\"\n_dmarc.example.org TXT \"v=DMARC1; p=none\"\n";
const MX: &str = "example.org MX 10 mx.example.org\n";

/// The letters of the doctor that tell of our domain, the oldest first. What it says of the machine, such as its disk, is
/// not ours to foresee.
fn letters(maddy: &Daemon, count: usize) -> Vec<String> {
    tests::eventually(&format!("there are {count} letters"), || {
        let mut imap = maddy.imap("alice@example.org");
        let texts = imap.texts("INBOX").into_iter();
        let ours = texts.filter(|text| {
            field(text, "Subject").unwrap().contains("findings of the doctor")
                && text.contains("(example.org)")
        });
        let ours: Vec<String> = ours.collect();
        (ours.len() >= count).then_some(ours)
    })
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
    // In one letter or in two: a look may have begun before the change.
    let rest = tests::eventually("both are told", || {
        let rest = letters(&maddy, 2)[1..].concat();
        let both = ["WRONG spf (example.org): ", "\r\n  mx (example.org)\r\n", "are as they were"];
        both.iter().all(|want| rest.contains(want)).then_some(rest)
    });
    assert!(rest.contains("Gone:") && !rest.contains("dkim"), "{rest}");

    // The page of the private listener knows it, too.
    tests::eventually("the page has it", || {
        let page = get(private);
        (page.contains("found by the doctor on") && page.contains("WRONG spf (example.org)")).then_some(())
    });

    // A restart tells nothing twice.
    let told = letters(&maddy, 2).len();
    maddy.stop();
    maddy.start();
    another_look(&maddy);
    assert_eq!(letters(&maddy, told).len(), told);
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
