//! Reports about our domains arrive as mail: they are delivered, read and shown; what only looks like one is delivered too.

use tests::{Daemon, Setup, assert_like, message};

/// Reports about example.org and about a domain that is not ours.
fn aggregate(name: &str, domain: &str) -> String {
    format!(
        "<feedback><report_metadata><org_name>receiver.test</org_name><email>d@receiver.test</email>\
         <report_id>{name}</report_id><date_range><begin>1767225600</begin><end>1767311999</end></date_range>\
         </report_metadata><policy_published><domain>{domain}</domain><p>reject</p></policy_published>\
         <record><row><source_ip>192.0.2.66</source_ip><count>7</count><policy_evaluated>\
         <disposition>reject</disposition><dkim>fail</dkim><spf>fail</spf></policy_evaluated></row>\
         <identifiers><header_from>{domain}</header_from></identifiers></record>\
         <record><row><source_ip>192.0.2.1</source_ip><count>40</count><policy_evaluated>\
         <disposition>none</disposition><dkim>pass</dkim><spf>pass</spf></policy_evaluated></row>\
         <identifiers><header_from>{domain}</header_from></identifiers></record></feedback>"
    )
}

const TLS: &str = "{\"organization-name\":\"Sender\",\"date-range\":{\"start-datetime\":\"2026-01-01T00:00:00Z\",\
\"end-datetime\":\"2026-01-01T23:59:59Z\"},\"contact-info\":\"t@sender.test\",\"report-id\":\"t1\",\"policies\":[{\
\"policy\":{\"policy-type\":\"sts\",\"policy-domain\":\"example.org\"},\"summary\":{\
\"total-successful-session-count\":90,\"total-failure-session-count\":10},\"failure-details\":[{\
\"result-type\":\"certificate-expired\",\"receiving-mx-hostname\":\"mx.example.org\",\"failed-session-count\":10}]}]}";

/// A mail with a file.
fn mail(subject: &str, kind: &str, file: &str) -> String {
    let base64 = mail::mime::decode::to_base64(file.as_bytes());
    let lines: Vec<String> =
        base64.as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    let text = message("d@receiver.test", "alice@example.org", subject, "%BODY%");
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    let head: Vec<&str> = head
        .split("\r\n")
        .filter(|line| !line.starts_with("Content-") && !line.starts_with("MIME-Version"))
        .collect();
    format!(
        "{}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nSee the file.\r\n--b\r\n\
         Content-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n--b--\r\n",
        head.join("\r\n"),
        lines.join("\r\n")
    )
}

/// Two servers: ours, and that of somebody who reports, whose mail is signed. Each sends to the other's port.
fn scene() -> (Daemon, Daemon) {
    let mut here = Setup::new();
    here.account("alice@example.org");
    let mut there = Setup::named("mx.receiver.test", &["receiver.test"]);
    there.account("d@receiver.test");
    let records = "example.org MX 10 mx.example.org\nmx.example.org A 127.0.0.1";
    here.zone(records);
    there.zone(records);
    let port = format!("port {}", here.ports().smtp);
    there.replace_option("delivery", &port);
    let there = there.start();
    for line in there.cli(&["dkim", "list"]).ok().lines().filter(|line| !line.starts_with(';')) {
        let (name, strings) = line.split_once(". IN TXT ").expect("a line of a zone file");
        here.zone(&format!("{name} TXT {strings}"));
    }
    (here.start(), there)
}

/// Sends a report unsigned, from this machine.
fn send(maddy: &Daemon, text: &str) {
    let mut smtp = maddy.smtp();
    smtp.command("MAIL FROM:<d@receiver.test>", "250*");
    smtp.command("RCPT TO:<alice@example.org>", "250*");
    assert_like(&smtp.data(text, "*"), "250*");
}

#[test]
fn reports_are_delivered_and_read() {
    let (maddy, there) = scene();
    let subject = "Report Domain: example.org Submitter: receiver.test Report-ID: <r1>";
    let ours = mail(subject, "text/xml", &aggregate("r1", "example.org"));
    // Anybody may have written this.
    send(&maddy, &ours);
    maddy.wait_log("*a report is ignored: nothing proves who wrote it*author=*unproven*");
    assert_eq!(maddy.cli(&["reports", "list"]).ok(), "");

    maddy.setup.zone(
        "receiver.test TXT \"v=spf1 ip4:127.0.0.1 -all\"\n_dmarc.receiver.test TXT \"v=DMARC1; p=none\"",
    );
    send(&maddy, &ours);
    maddy.wait_log("*a report was read*kind=*dmarc*domain=*example.org*");
    send(&maddy, &ours);
    maddy.wait_log("*a report came again*");
    send(&maddy, &mail(subject, "application/xml", &aggregate("r2", "elsewhere.test")));
    maddy.wait_log("*a report about a domain that is not ours*elsewhere.test*");
    send(&maddy, &mail(subject, "application/gzip", "nonsense"));
    maddy.wait_log("*the message looked like a report and is none*");
    // A TLS report needs a signature: that the client may send for its author is not enough (RFC 8460).
    let tls = mail("Report Domain: example.org Submitter: sender.test", "application/tlsrpt+json", TLS);
    send(&maddy, &tls);
    maddy.wait_log("*a report is ignored: nothing proves who wrote it*author=*spf*");
    there.submit("d@receiver.test").deliver("d@receiver.test", &["alice@example.org"], &tls);
    maddy.wait_log("*a report was read*kind=*tls*domain=*example.org*");

    // All of them are mail as well.
    let mut alice = maddy.imap("alice@example.org");
    alice.wait_messages("INBOX", 7);

    assert_like(
        &maddy.cli(&["reports", "list"]).ok(),
        "*tls*example.org*Sender*dkim*90*10*dmarc*receiver.test*spf*40*7*",
    );
    let shown = maddy.cli(&["reports", "show", "1"]).ok();
    assert_like(
        &shown,
        "dmarc report r1 about example.org*(spf)*policy *reject*192.0.2.66  good 0  bad 7  reject*",
    );
    assert_like(&maddy.cli(&["reports", "show", "1", "--json"]).ok(), "*\"proof\": \"spf\"*192.0.2.66*");
    assert_like(
        &maddy.cli(&["reports", "summary"]).ok(),
        "*mx.example.org*0*10*192.0.2.66*0*7*192.0.2.1 *40*0*",
    );
    // Without a word that says what, a summary is shown.
    assert_eq!(maddy.cli(&["reports"]).ok(), maddy.cli(&["reports", "summary"]).ok());
    maddy.cli(&["reports", "show", "99"]).fails();
}

/// Who wants to see what nobody has proven sees that nobody has.
#[test]
fn unproven_reports_can_be_kept_and_are_marked() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.config("reports unproven=\"keep\"");
    setup.zone("receiver.test MX 10 mx.receiver.test");
    let maddy = setup.start();
    let subject = "Report Domain: example.org Submitter: receiver.test Report-ID: <r1>";
    let ours = mail(subject, "text/xml", &aggregate("r1", "example.org"));
    send(&maddy, &ours);
    maddy.wait_log("*a report was read*");
    assert_like(&maddy.cli(&["reports", "list"]).ok(), "*dmarc*receiver.test*unproven*40*7*");
    // The same report with a proof takes its place.
    maddy.setup.zone("receiver.test TXT \"v=spf1 ip4:127.0.0.1 -all\"");
    send(&maddy, &ours);
    maddy.wait_log("*a report was read*number=2*");
    let list = maddy.cli(&["reports", "list"]).ok();
    assert_like(&list, "*dmarc*receiver.test*spf*40*7*");
    assert!(!list.contains("unproven"), "{list}");
}
