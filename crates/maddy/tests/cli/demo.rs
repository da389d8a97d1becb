//! `maddy demo`.

use crate::house::{House, port_base};
use crate::line::Line;
use serde_json::Value;
use std::net::{TcpListener, TcpStream};

fn start(house: &House, base: u16, more: &[&str]) -> (crate::house::Daemon, Value) {
    let base = base.to_string();
    let args = [&["demo", "--json", "--port-base", &base], more].concat();
    let mut demo = house.start(&args);
    let line = demo.first_line();
    (demo, serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
}

#[test]
fn the_panel_is_what_programs_expect_and_stays() {
    let house = House::new();
    let base = port_base();
    let (mut demo, panel) = start(&house, base, &[]);
    let keys: Vec<&String> = panel.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["accounts", "ca", "domain", "ports"]);
    assert_eq!(panel["domain"], "demo.test");
    for (door, well_known) in
        [("smtp", 25), ("submission", 587), ("submissions", 465), ("imap", 143), ("imaps", 993)]
    {
        let port = base + well_known;
        assert_eq!(panel["ports"][door], port, "{door}");
        TcpStream::connect(("127.0.0.1", port)).unwrap();
    }
    assert_eq!(panel["accounts"][0]["address"], "alice@demo.test");
    assert_eq!(panel["accounts"][1]["address"], "bob@demo.test");
    let ca = std::fs::read_to_string(panel["ca"].as_str().unwrap()).unwrap();
    assert!(ca.starts_with("-----BEGIN CERTIFICATE-----"), "{ca}");

    let password = panel["accounts"][0]["password"].as_str().unwrap();
    let verify = ["-s", "maddy-demo", "creds", "verify", "alice@demo.test"];
    house.run_with(&verify, password.as_bytes()).ok();
    house.run(&["-c", "maddy-demo/maddy.conf", "config", "check"]).ok();
    assert_eq!(demo.stop(), 0);
    let (mut demo, again) = start(&house, base, &[]);
    assert_eq!(again, panel);
    demo.signal("INT");
    assert_eq!(demo.wait(), 0);
}

/// What IMAP says to LOGIN without TLS.
fn login_in_clear(panel: &Value) -> String {
    use std::io::{BufRead, BufReader, Write};
    let port = u16::try_from(panel["ports"]["imap"].as_u64().unwrap()).unwrap();
    let account = &panel["accounts"][0];
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "1 LOGIN {} {}\r\n", account["address"], account["password"]).unwrap();
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    lines.into_iter().find(|line| line.starts_with("1 ")).unwrap()
}

#[test]
fn logins_in_clear_are_for_those_who_ask_for_them() {
    let house = House::new();
    let base = port_base();
    let (mut demo, panel) = start(&house, base, &[]);
    assert!(login_in_clear(&panel).starts_with("1 NO [PRIVACYREQUIRED]"), "{}", login_in_clear(&panel));
    assert_eq!(demo.stop(), 0);
    let (mut demo, panel) = start(&house, base, &["--insecure-auth"]);
    assert!(login_in_clear(&panel).starts_with("1 OK"), "{}", login_in_clear(&panel));
    assert_eq!(demo.stop(), 0);
}

#[test]
fn mail_for_other_domains_is_refused_with_a_sentence() {
    let house = House::new();
    let (mut demo, panel) = start(&house, port_base(), &["--insecure-auth"]);
    let port = u16::try_from(panel["ports"]["submission"].as_u64().unwrap()).unwrap();
    let account = &panel["accounts"][0];
    let (user, password) = (account["address"].as_str().unwrap(), account["password"].as_str().unwrap());
    let mut line = Line::connect(port);
    line.log_in(user, password);
    line.say(&format!("MAIL FROM:<{user}>"), "250 ");
    line.say(
        "RCPT TO:<someone@example.org>",
        "550 5.7.1 <someone@example.org> is elsewhere, and this server delivers to its own domains only",
    );
    line.say("RCPT TO:<bob@demo.test>", "250 ");
    assert_eq!(demo.stop(), 0);
}

#[test]
fn a_taken_port_is_one_sentence() {
    let house = House::new();
    let base = port_base();
    let _taken = TcpListener::bind(("127.0.0.1", base + 143)).unwrap();
    let run = house.run(&["demo", "--port-base", &base.to_string()]).fails(1);
    let want = format!(
        "maddy: port {} is taken by another program: stop it, or choose other ports with --port-base ",
        base + 143
    );
    assert!(run.starts_with(&want) && run.lines().count() == 1, "{run}");
}

#[test]
fn a_second_demo_on_the_same_state_is_one_sentence() {
    let house = House::new();
    let base = port_base();
    let (mut demo, _) = start(&house, base, &["--state-dir", "here"]);
    let run = house.run(&["demo", "-s", "here", "--port-base", &base.to_string()]).fails(1);
    assert!(run.starts_with("maddy: a demo runs already on here: stop it, or name another place"), "{run}");
    assert_eq!(demo.stop(), 0);
}

#[test]
fn the_panel_for_people_has_lines_to_paste() {
    let house = House::new();
    let base = port_base();
    let mut demo = house.start(&["demo", "--port-base", &base.to_string()]);
    let text = demo.output_until("INBOX;UID=*'");
    assert!(text.starts_with("maddy demo is ready."), "{text}");
    assert_eq!(text.lines().filter(|line| line.contains("curl")).count(), 3, "{text}");
    assert!(text.contains(&format!("SMTP {}", base + 25)), "{text}");
    assert_eq!(demo.stop(), 0);
}
