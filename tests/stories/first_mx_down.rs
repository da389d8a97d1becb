//! The best mail host is down, or has no time: the next one gets the mail.

use tests::{Setup, message};

#[test]
fn the_next_host_is_tried_at_once() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone("remote.test MX 10 down.remote.test\nremote.test MX 20 busy.remote.test\nremote.test MX 30 mx.remote.test");
    let down = setup.remote("down.remote.test", 2);
    down.stop();
    let busy = setup.remote("busy.remote.test", 3);
    busy.rule("CONNECT", "421 4.3.2 no time");
    let remote = setup.remote("mx.remote.test", 4);
    let maddy = setup.start();
    let text = message("alice@example.org", "carl@remote.test", "Hello", "text");
    maddy.submit("alice@example.org").deliver("alice@example.org", &["carl@remote.test"], &text);
    assert_eq!(remote.wait_mails(1).len(), 1);
    assert_eq!(busy.connections(), 1, "the hosts were not tried in one attempt, each once");
    assert_eq!(busy.mails().len() + down.mails().len(), 0);
}

#[test]
fn a_domain_without_mx_is_reached_at_its_own_address() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let remote = setup.remote("host.test", 2);
    let maddy = setup.start();
    let text = message("alice@example.org", "carl@host.test", "Hello", "text");
    maddy.submit("alice@example.org").deliver("alice@example.org", &["carl@host.test"], &text);
    assert_eq!(remote.wait_mails(1).len(), 1);
}

#[test]
fn trouble_in_the_dns_delays_and_does_not_lose() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone("remote.test SERVFAIL");
    let remote = setup.remote("mx.remote.test", 2);
    let maddy = setup.start();
    let text = message("alice@example.org", "carl@remote.test", "Hello", "text");
    maddy.submit("alice@example.org").deliver("alice@example.org", &["carl@remote.test"], &text);
    let names = maddy.setup.names();
    tests::eventually("the DNS is asked twice", || {
        (names.asked().iter().filter(|asked| *asked == "remote.test MX").count() >= 2).then_some(())
    });
    names.set("remote.test MX 10 mx.remote.test\nmx.remote.test A 127.0.0.2");
    assert_eq!(remote.wait_mails(1).len(), 1);
}
