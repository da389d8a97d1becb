//! `account`, `creds`, `imap-acct`, `imap-mboxes` and `hash` without a daemon.

use crate::house::House;
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn an_account_from_its_first_to_its_last_day() {
    let house = House::new();
    assert_eq!(
        house.run(&["account", "list"]).err,
        "there are no accounts; make one with `maddy account add <address>`\n"
    );
    let add = house.run_with(&["account", "add", "Alice@Example.org"], b"first secret\n");
    assert_eq!(add.ok(), "alice@example.org can log in and receive mail\n");
    let again = house.run_with(&["account", "add", "alice@example.org"], b"x\n").fails(1);
    assert_eq!(again, "maddy: alice@example.org exists already\n");

    let verify =
        |password: &str| house.run_with(&["creds", "verify", "alice@example.org"], password.as_bytes());
    assert_eq!(verify("first secret").ok(), "the password is right\n");
    assert_eq!(verify("first secrets").fails(1), "maddy: the password is wrong\n");
    house.run_with(&["account", "password", "alice@example.org"], "zweites Gehöft\r\n".as_bytes()).ok();
    verify("first secret").fails(1);
    verify("zweites Gehöft").ok();

    let list = json(&house.run(&["account", "list", "--json"]).ok());
    assert_eq!(list[0]["name"], "alice@example.org");
    assert_eq!((&list[0]["login"], &list[0]["mailboxes"]), (&Value::Bool(true), &Value::from(6)));
    house.run(&["account", "rename", "alice@example.org", "al@example.org"]).ok();
    let table = house.run(&["account", "list"]).ok();
    assert!(table.lines().nth(1).unwrap().starts_with("al@example.org  yes"), "{table}");

    let refused = house.run(&["account", "remove", "al@example.org"]).fails(1);
    assert_eq!(
        refused,
        "maddy: al@example.org and all its mail will be gone for good. Add --yes to do it without being asked.\n"
    );
    assert_eq!(house.run(&["account", "remove", "al@example.org", "--yes"]).ok(), "al@example.org is gone\n");
    let gone = house.run(&["account", "remove", "al@example.org", "--yes"]).fails(1);
    assert!(gone.starts_with("maddy: there is no account al@example.org; `maddy account list`"), "{gone}");
}

#[test]
fn login_and_mailboxes_apart() {
    let house = House::new();
    house.run_with(&["creds", "create", "bob@example.org"], b"secret").ok();
    let list = house.run(&["account", "list"]).ok();
    assert!(list.lines().nth(1).unwrap().contains("none"), "{list}");
    house.run(&["imap-acct", "create", "bob@example.org"]).ok();
    let stat = json(&house.run(&["imap-acct", "stat", "bob@example.org", "--json"]).ok());
    assert_eq!((&stat["login"], &stat["mailboxes"]), (&Value::Bool(true), &Value::from(6)));
    house.run(&["imap-acct", "appendlimit", "bob@example.org", "10MB"]).ok();
    assert_eq!(house.run(&["imap-acct", "appendlimit", "bob@example.org"]).ok(), "10MB\n");
    house.run(&["imap-acct", "appendlimit", "bob@example.org", "none"]).ok();
    assert_eq!(house.run(&["imap-acct", "appendlimit", "bob@example.org"]).ok(), "as configured\n");
    house.run(&["imap-acct", "appendlimit", "bob@example.org", "much"]).fails(2);
    house.run(&["creds", "remove", "bob@example.org", "-y"]).ok();
    assert_eq!(house.run(&["creds", "list", "--json"]).ok(), "[]\n");
    house.run(&["imap-acct", "remove", "bob@example.org", "-y"]).ok();
    assert_eq!(house.run(&["imap-acct", "list", "--json"]).ok(), "[]\n");
}

#[test]
fn mailboxes() {
    let house = House::new();
    house.run(&["imap-acct", "create", "bob@example.org"]).ok();
    house.run(&["imap-mboxes", "create", "bob@example.org", "Lists/Rust"]).ok();
    house.run(&["imap-mboxes", "create", "bob@example.org", "Starred", "--special", "flagged"]).ok();
    house.run(&["imap-mboxes", "rename", "bob@example.org", "Lists", "News"]).ok();
    let list = json(&house.run(&["imap-mboxes", "list", "bob@example.org", "--json"]).ok());
    let names: Vec<&str> =
        list.as_array().unwrap().iter().map(|mailbox| mailbox["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["INBOX", "Archive", "Drafts", "Junk", "News", "News/Rust", "Sent", "Starred", "Trash"]
    );
    let starred = list.as_array().unwrap().iter().find(|mailbox| mailbox["name"] == "Starred").unwrap();
    assert_eq!(starred["special_use"], "\\Flagged");
    house.run(&["imap-mboxes", "remove", "bob@example.org", "News/Rust", "-y"]).ok();
    let err = house.run(&["imap-mboxes", "remove", "bob@example.org", "News/Rust", "-y"]).fails(1);
    assert!(err.starts_with("maddy: there is no mailbox News/Rust"), "{err}");
    house.run(&["imap-mboxes", "remove", "bob@example.org", "INBOX", "-y"]).fails(1);
    house.run(&["imap-mboxes", "create", "bob@example.org", "X", "--special", "wrong"]).fails(1);
    house.run(&["imap-mboxes", "list", "nobody@example.org"]).fails(1);
}

#[test]
fn what_cannot_be() {
    let house = House::new();
    let err = house.run_with(&["account", "add", "alice"], b"x").fails(1);
    assert_eq!(
        err,
        "maddy: \"alice\" is no mail address: the address has no @; write it like alice@example.org\n"
    );
    let err = house.run(&["account", "add", "a@example.org"]).fails(1);
    assert_eq!(err, "maddy: no password came on standard input; write it there as one line\n");
    let err = house.run_with(&["account", "add", "a@example.org"], b"a\tb\n").fails(1);
    assert_eq!(err, "maddy: the password has a control character\n");
    let elsewhere = house.run_with(&["account", "add", "a@other.example"], b"x\n");
    assert_eq!(
        elsewhere.err,
        "note: other.example is not in `domains`, so no mail from outside reaches a@other.example\n"
    );
    assert_eq!(elsewhere.status, 0);
    let creds = house.run_with(&["creds", "create", "b@other.example"], b"x\n");
    assert_eq!((creds.status, creds.err), (0, elsewhere.err.replace("a@", "b@")));
}

/// Only root can show this; for others there is nothing to show.
#[test]
fn root_leaves_no_files_that_the_server_cannot_open() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    const NOBODY: u32 = 65534;
    let house = House::new();
    let state = house.path("state");
    std::fs::create_dir(&state).unwrap();
    if chown(&state, Some(NOBODY), Some(NOBODY)).is_err() {
        return;
    }
    std::fs::set_permissions(house.dir(), std::fs::Permissions::from_mode(0o755)).unwrap();
    house.run_with(&["account", "add", "a@example.org"], b"x\n").ok();
    for entry in std::fs::read_dir(&state).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(std::fs::metadata(&path).unwrap().uid(), NOBODY, "{}", path.display());
    }
}

#[test]
fn hashes() {
    let house = House::new();
    let hash = house.run_with(&["hash"], b"secret\n").ok();
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    assert!(house.run(&["hash"]).fails(1).contains("no password came"));
}

#[test]
fn the_state_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let house = House::new();
    house.run_with(&["account", "add", "a@example.org"], b"x\n").ok();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&house.path("state")), 0o700);
    for entry in std::fs::read_dir(house.path("state")).unwrap() {
        let path = entry.unwrap().path();
        let want = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), want, "{}", path.display());
    }
}
