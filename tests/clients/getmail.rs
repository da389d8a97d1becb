//! getmail: takes all that is new and leaves nothing behind.

use crate::program::{is_missing, run};
use crate::{deliver, reader, scene};
use std::fs;
use tests::PASSWORD;

#[test]
fn what_is_fetched_is_gone() {
    if is_missing("getmail", "getmail") {
        return;
    }
    let maddy = scene().start();
    let mut imap = reader(&maddy, "alice@example.org");
    deliver(&maddy, &["one", "two"]);
    imap.wait_messages("INBOX", 2);
    let dir = maddy.setup.dir().join("getmail");
    fs::create_dir_all(&dir).unwrap();
    // It takes mail as root only for a program that it is told to trust.
    let rc = format!(
        "[retriever]\ntype = SimpleIMAPSSLRetriever\nserver = localhost\nport = {}\n\
         username = alice@example.org\npassword = {PASSWORD}\nmailboxes = (\"INBOX\",)\nca_certs = {}\n\n\
         [destination]\ntype = MDA_external\npath = /usr/bin/tee\narguments = (\"-a\", \"{dir}/got\")\n\
         allow_root_commands = true\n\n[options]\nread_all = false\ndelete = true\nverbose = 2\n\
         delivered_to = false\nreceived = false\n",
        maddy.ports().imaps,
        maddy.setup.ca().display(),
        dir = dir.display(),
    );
    fs::write(dir.join("getmailrc"), rc).unwrap();
    let call = ["--getmaildir", &dir.display().to_string(), "--rcfile", "getmailrc"].map(str::to_owned);
    let call: Vec<&str> = call.iter().map(String::as_str).collect();
    run(&dir, "getmail", &call).fine().says("2 messages");
    let got = fs::read_to_string(dir.join("got")).unwrap();
    assert!(["Subject: one", "Subject: two"].iter().all(|subject| got.contains(subject)), "{got}");
    assert_eq!(imap.count("INBOX"), 0);

    // Only what is new comes, and a second time nothing.
    deliver(&maddy, &["three"]);
    imap.wait_messages("INBOX", 1);
    run(&dir, "getmail", &call).fine().says("1 messages");
    run(&dir, "getmail", &call).fine().says("0 messages");
    let got = fs::read_to_string(dir.join("got")).unwrap();
    assert_eq!(got.matches("Subject: ").count(), 3, "{got}");
}
