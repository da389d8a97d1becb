//! A next host that trusts us hears who brought a message: by XCLIENT or a PROXY header, over a restart, and never of the wrong
//! client.

use tests::{Chat, Daemon, Setup, Smtp, assert_like, field, free_port, message};

const ZONE: &str = "\
far.test MX 10 mx.far.test
mx.far.test A 192.0.2.1
example.org MX 10 mx.example.org
mx.example.org A 127.0.0.1
";

/// A server in front, which hands other.test on to one behind it; `client` is how that hears of the client.
fn in_front(client: &str) -> (Daemon, Daemon) {
    let mut behind = Setup::named("mx.other.test", &["other.test"]);
    behind.account("bob@other.test");
    behind.account("carol@other.test");
    let port = free_port();
    if client == "xclient" {
        behind.option("smtp", &format!("listen \"127.0.0.1:{port}\""));
        behind.option("smtp", "xclient-from \"127.0.0.1\"");
    } else {
        behind.option("smtp", &format!("listen \"127.0.0.1:{port}\" {{ proxy {{ from \"127.0.0.1\"; }}; }}"));
    }
    behind.zone(ZONE);
    let mut front = Setup::new();
    front.account("alice@example.org");
    front.config("aliases { \"out@example.org\" \"bob@other.test\"; }");
    front.option("smtp", "xclient-from \"127.0.0.1\"");
    front.zone(ZONE);
    let route = "route \"behind\" { recipients \"other.test\"; to \"127.0.0.1:PORT\" tls=\"none\" client=\"CLIENT\"; }";
    front.option("delivery", &route.replace("PORT", &port.to_string()).replace("CLIENT", client));
    (front.start(), behind.start())
}

/// A stranger at this address writes to somebody who is behind.
fn write_from(front: &Daemon, ip: &str, subject: &str) {
    let mut relay = front.smtp();
    relay.command(&format!("XCLIENT ADDR={ip} PORT=4711 HELO=far.test PROTO=ESMTP"), "220*");
    relay.command("EHLO far.test", "250*");
    relay.deliver(
        "eve@far.test",
        &["out@example.org"],
        &message("eve@far.test", "out@example.org", subject, "x"),
    );
}

/// The first Received field of each message, by subject.
fn seen(behind: &Daemon, account: &str, count: usize) -> Vec<(String, String)> {
    let mut reader = behind.imap(account);
    reader.wait_messages("INBOX", count);
    let texts = reader.texts("INBOX");
    texts.iter().map(|text| (field(text, "Subject").unwrap(), field(text, "Received").unwrap())).collect()
}

#[test]
fn the_true_client_is_told_by_each_way() {
    for client in ["xclient", "proxy-v1", "proxy-v2"] {
        let (front, behind) = in_front(client);
        write_from(&front, "192.0.2.1", "One");
        write_from(&front, "2001:db8::7", "Two");
        write_from(&front, "192.0.2.1", "Three");
        let all = seen(&behind, "bob@other.test", 3);
        for (subject, received) in all {
            let ip = if subject == "Two" { "IPv6:2001:db8::7" } else { "192.0.2.1" };
            assert_like(&received, &format!("from * (*[{ip}]) by mx.other.test *"));
        }
        // One of our own, who has logged in: its address goes to the next host, and nowhere into the message.
        let mut alice = Smtp::begin(Chat::connect_from(7, front.ports().submission));
        alice.log_in("alice@example.org", tests::PASSWORD);
        let text = message("alice@example.org", "carol@other.test", "Ours", "x");
        alice.deliver("alice@example.org", &["carol@other.test"], &text);
        let (_, received) = seen(&behind, "carol@other.test", 1).remove(0);
        assert_like(&received, "from * (*[127.0.0.7]) by mx.other.test *");
    }
}

/// Who brought a message is kept with it; and a host that does not want to hear it gets nothing in our name.
#[test]
fn what_waits_remembers_who_brought_it() {
    let (mut front, mut behind) = in_front("xclient");
    behind.stop();
    write_from(&front, "192.0.2.9", "Kept");
    front.wait_log("*attempt: no way through*");
    front.kill();
    behind.start();
    front.start();
    front.cli(&["queue", "flush"]).ok();
    let (_, received) = seen(&behind, "bob@other.test", 1).remove(0);
    assert_like(&received, "from far.test (*[192.0.2.9]) by mx.other.test *");

    behind.setup.replace_option("smtp", "xclient-from \"198.51.100.1\"");
    behind.write_config();
    behind.cli(&["reload"]).ok();
    write_from(&front, "192.0.2.10", "Not trusted");
    front.wait_log("*does not offer the XCLIENT that is set for it*");
    assert_like(&front.cli(&["queue", "list"]).ok(), "*bob@other.test*");
}
