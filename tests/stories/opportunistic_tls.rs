//! Towards other servers: TLS where it can be had, with any certificate; in clear rather than not at all.

use tests::{Remote, Setup, message};

fn one_mail(prepare: impl Fn(&Setup, &Remote)) -> (Remote, bool) {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone("remote.test MX 10 mx.remote.test");
    let remote = setup.remote("mx.remote.test", 2);
    prepare(&setup, &remote);
    let maddy = setup.start();
    let text = message("alice@example.org", "carl@remote.test", "Hello", "text");
    maddy.submit("alice@example.org").deliver("alice@example.org", &["carl@remote.test"], &text);
    let mails = remote.wait_mails(1);
    assert_eq!(mails.len(), 1);
    let tls = mails[0].tls;
    (remote, tls)
}

#[test]
fn a_certificate_that_proves_nothing_still_encrypts() {
    let (remote, tls) = one_mail(|setup, remote| remote.offer_tls(&setup.certificate()));
    assert!(tls);
    assert_eq!(remote.connections(), 1);
}

#[test]
fn without_an_offer_it_goes_in_clear() {
    let (remote, tls) = one_mail(|_, _| {});
    assert!(!tls);
    assert!(!remote.commands().contains(&"STARTTLS".to_owned()));
}

#[test]
fn an_offer_that_is_not_kept_does_not_stop_the_mail() {
    for reply in ["454 4.7.0 not now", "220 2.0.0 but this is no TLS"] {
        let (remote, tls) = one_mail(|setup, remote| {
            remote.offer_tls(&setup.certificate());
            match reply.split_once(' ') {
                Some(("220", _)) => remote.drop_once("STARTTLS"),
                _ => remote.rule("STARTTLS", reply),
            }
        });
        assert!(remote.commands().contains(&"STARTTLS".to_owned()), "{reply}");
        // A connection that breaks in the handshake may be tried with TLS once more.
        assert!(!tls || reply.starts_with("220"), "{reply}");
    }
}

#[test]
fn recipients_of_one_domain_share_a_transaction_and_mails_a_connection() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone("remote.test MX 10 mx.remote.test");
    setup.option("delivery", "concurrency-per-destination 1");
    let remote = setup.remote("mx.remote.test", 2);
    let maddy = setup.start();
    let mut alice = maddy.submit("alice@example.org");
    let to = ["carl@remote.test", "dora@remote.test", "emil@remote.test"];
    for n in 0..5 {
        let text = message("alice@example.org", "all@remote.test", &format!("mail {n}"), "text");
        alice.deliver("alice@example.org", &to, &text);
    }
    let mails = remote.wait_mails(5);
    assert_eq!(mails.len(), 5);
    assert!(mails.iter().all(|mail| mail.to.len() == 3), "{mails:?}");
    assert!(remote.connections() < 5, "no connection was used twice");
}

#[test]
fn an_address_that_does_not_answer_is_followed_by_the_next() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone("remote.test MX 10 mx.remote.test\nmx.remote.test AAAA ::1\nmx.remote.test A 127.0.0.9");
    let remote = setup.remote("mx.remote.test", 2);
    let maddy = setup.start();
    let text = message("alice@example.org", "carl@remote.test", "Hello", "text");
    maddy.submit("alice@example.org").deliver("alice@example.org", &["carl@remote.test"], &text);
    assert_eq!(remote.wait_mails(1).len(), 1);
    assert_eq!(remote.commands().iter().filter(|command| command.starts_with("MAIL")).count(), 1);
}
