//! A log, or a panel, that nobody reads holds up no mail and no stop.

use crate::house::{House, LISTEN, port_base};
use crate::line::Line;

/// More than what a pipe holds, at any level.
const MAILS: usize = 300;

fn send(port: u16, to: &str) {
    let mut line = Line::connect(port);
    line.until("220 ");
    line.say("EHLO client.example", "250 ");
    for n in 0..MAILS {
        // 100 on one connection at most.
        if n % 50 == 49 {
            line.say("QUIT", "221 ");
            line = Line::connect(port);
            line.until("220 ");
            line.say("EHLO client.example", "250 ");
        }
        line.say("MAIL FROM:<eve@elsewhere.example>", "250 ");
        line.say(&format!("RCPT TO:<{to}>"), "250 ");
        line.say("DATA", "354 ");
        line.say(&format!("From: eve@elsewhere.example\r\nSubject: {n}\r\n\r\ntext\r\n."), "250 ");
    }
    line.say("QUIT", "221 ");
}

#[test]
fn a_demo_goes_on_when_nobody_reads_its_log() {
    let house = House::new();
    let mut demo = house.start_unread(&["demo", "--json", "--port-base", &port_base().to_string()]);
    let panel: serde_json::Value = serde_json::from_str(&demo.first_line()).unwrap();
    send(u16::try_from(panel["ports"]["smtp"].as_u64().unwrap()).unwrap(), "bob@demo.test");
    assert_eq!(demo.stop(), 0);
}

#[test]
fn a_daemon_goes_on_when_nobody_reads_its_log_at_any_level() {
    for level in ["debug", "trace"] {
        let house = House::new();
        house.run_with(&["account", "add", "a@example.org"], b"secret\n").ok();
        // Nobody sees the log, so nobody could see which port the system chose.
        let base = port_base();
        let smtp = LISTEN.replacen("127.0.0.1:0", &format!("127.0.0.1:{}", base + 25), 1);
        house.configure(&format!("{smtp}log level={level}"));
        let mut daemon = house.start_unread(&["run"]);
        daemon.wait_port(base + 25);
        send(base + 25, "a@example.org");
        assert_eq!(daemon.stop(), 0);
    }
}
