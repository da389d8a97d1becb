//! Hosts with ways of their own, and what a sender is told of them.

use crate::fake_mx::{DROP, FakeMx};
use crate::house::{House, config};
use crate::{HOUR, TEXT, one_host};
use delivery::config::Config;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn a_notice_tells_the_words_of_hosts_from_ours() {
    for (what, command, reply, mouth, words) in [
        ("the host refuses", "RCPT", "451 4.7.1 not yet", "mx1.e.ex", "smtp; 451 4.7.1 not yet"),
        ("the host sends us away", "greeting", "421 4.3.2 busy", "mx1.e.ex", "smtp; 421 4.3.2 busy"),
        ("it goes in the middle", "content", DROP, "", "x-maddy; 451 4.4.2 mx1.e.ex: "),
        ("it goes before", "MAIL", DROP, "", "x-maddy; 451 4.4.2 mx1.e.ex: "),
        ("it goes at once", "greeting", DROP, "", "x-maddy; 451 4.4.2 mx1.e.ex: "),
        ("it speaks something else", "greeting", "hello", "", "x-maddy; 451 4.4.2 mx1.e.ex: "),
        ("it is not there", "", "", "", "x-maddy; 451 4.4.1 mx1.e.ex at 127.0.0.2:"),
    ] {
        let (mut house, mx, config) = one_host().await;
        if command.is_empty() {
            mx.close().await;
        } else {
            mx.rule(command, &[reply; 4]);
        }
        // The second host of the domain knows no more; what is told is of the first.
        let dns = "e.ex MX 10 mx1.e.ex\nmx1.e.ex A 127.0.0.2\n";
        house.world.dns = Arc::new(world::fake::FakeResolver::zone(dns).unwrap());
        house.send("alice@o.ex", &["a@e.ex"], TEXT).await;
        house.clock.advance(Duration::from_secs(4 * HOUR));
        house.work(config);
        house.queue_is(&["a@e.ex 1 4"]).await;
        let notice = house.inbox().await.concat();
        assert_eq!(notice.contains("Remote-MTA: dns; mx1.e.ex\r\n"), !mouth.is_empty(), "{what}: {notice}");
        assert!(notice.contains(&format!("Diagnostic-Code: {words}")), "{what}: {notice}");
        assert_eq!(notice.contains("answered: "), !mouth.is_empty(), "{what}: {notice}");
        house.stop().await;
    }
}

#[tokio::test]
async fn whoever_wrote_to_an_alias_hears_of_that_alias() {
    let (mut house, mx, config) = one_host().await;
    mx.rule("RCPT", &["550 5.1.1 who"]);
    house.send("alice@o.ex", &["out@o.ex"], TEXT).await;
    house.work(config);
    house.queue_is(&[]).await;
    assert_eq!(mx.heard()[2], "RCPT TO:<far@e.ex> ORCPT=rfc822;out@o.ex");
    let notice = house.inbox().await.concat();
    let fields = "Original-Recipient: rfc822; out@o.ex\r\nFinal-Recipient: rfc822; far@e.ex\r\n";
    assert!(notice.contains(fields) && notice.contains("(you wrote to out@o.ex)"), "{notice}");
    house.stop().await;
}

#[tokio::test]
async fn a_host_that_does_not_master_its_chunks_gets_data() {
    for (reply, want) in [
        ("502 5.5.2 what is that", "DATA"),
        ("500 unrecognized", "DATA"),
        ("503 5.5.1 bad sequence", "DATA"),
        ("554 5.7.1 spam", "failed 5.7.1"),
        ("451 4.3.0 later", "waits"),
    ] {
        let mx = FakeMx::start("127.0.0.2:0", "mx.e.ex", &["PIPELINING", "CHUNKING"]).await;
        mx.rule("BDAT", &[reply; 9]);
        let mut house = House::build().await;
        house.send("alice@o.ex", &["a@e.ex"], TEXT).await;
        house.work(config(mx.address.port()));
        house.queue_is(&["a@e.ex 1 451"][..usize::from(want == "waits")]).await;
        let heard = mx.heard();
        assert_eq!(heard.contains(&"DATA".to_owned()), want == "DATA", "{reply}: {heard:#?}");
        let notices = house.notices().await;
        assert_eq!(notices.len(), usize::from(want.starts_with("failed")), "{reply}: {notices:?}");
        assert!(notices.iter().all(|notice| notice.ends_with(want)), "{reply}: {notices:?}");
        house.stop().await;
    }
}

#[tokio::test]
async fn a_host_that_takes_one_message_for_a_connection_is_called_again() {
    let all = ["a@e.ex", "b@e.ex", "c@e.ex", "d@e.ex", "e@e.ex"];
    let usual = "250 2.0.0 ok";
    for (what, extension, mails, connections, left) in [
        ("it says so before", "LIMITS RCPTMAX=2 MAILMAX=1", &[usual; 3][..], 3, 0),
        ("it hangs up", "PIPELINING", &[usual, DROP, usual, DROP, usual], 3, 0),
        ("it sends us away", "PIPELINING", &[usual, "421 4.7.0 enough", usual, usual], 2, 0),
        ("it refuses the second", "PIPELINING", &[usual, "450 4.7.0 enough", usual, usual], 2, 0),
        ("it means it", "PIPELINING", &[usual, "421 4.7.0 enough", "421 4.7.0 enough"], 2, 3),
        ("it never took any", "PIPELINING", &[DROP], 1, 5),
    ] {
        let mx = FakeMx::start("127.0.0.2:0", "mx.e.ex", &[extension]).await;
        mx.rule("MAIL", mails);
        let mut house = House::build().await;
        house.send("alice@o.ex", &all, TEXT).await;
        house.work(Config { recipients: 2, ..config(mx.address.port()) });
        house.queue_is(&vec![" 1 4"; left]).await;
        let heard = mx.heard();
        assert_eq!(heard.iter().filter(|line| *line == "--").count() + 1, connections, "{what}: {heard:#?}");
        house.stop().await;
    }
}

#[tokio::test]
async fn chunks_where_they_are_taken() {
    let mx = FakeMx::start("127.0.0.2:0", "mx.e.ex", &["PIPELINING", "CHUNKING"]).await;
    let mut house = House::build().await;
    house.send("alice@o.ex", &["a@e.ex"], TEXT).await;
    house.work(config(mx.address.port()));
    house.queue_is(&[]).await;
    assert_eq!(mx.heard()[3], format!("BDAT {} LAST", TEXT.len()));
    assert_eq!(mx.messages(), [TEXT]);
    house.stop().await;
}

#[tokio::test]
async fn many_recipients_are_several_transactions_on_one_connection() {
    let all = ["a@e.ex", "b@e.ex", "c@e.ex", "d@e.ex", "e@e.ex"];
    for (what, extensions, recipients, rule, want) in [
        ("our option", &["PIPELINING"][..], 2, None, vec![2, 2, 1]),
        ("the host's limit", &["PIPELINING", "LIMITS RCPTMAX=3"], 100, None, vec![3, 2]),
        ("the host says so", &[], 100, Some("RCPT TO:<d@"), vec![5, 1]),
    ] {
        let mx = FakeMx::start("127.0.0.2:0", "mx.e.ex", extensions).await;
        if let Some(command) = rule {
            mx.rule(command, &["452 4.5.3 too many recipients"]);
        }
        let mut house = House::build().await;
        house.send("alice@o.ex", &all, TEXT).await;
        house.work(Config { recipients, ..config(mx.address.port()) });
        house.queue_is(&[]).await;
        let heard = mx.heard();
        let transactions: Vec<usize> = heard
            .split(|line| line.starts_with("MAIL"))
            .skip(1)
            .map(|commands| commands.iter().filter(|line| line.starts_with("RCPT")).count())
            .collect();
        assert_eq!(transactions, want, "{what}: {heard:#?}");
        assert!(!heard.contains(&"--".to_owned()), "{what}");
        house.stop().await;
    }
}
