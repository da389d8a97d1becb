//! Responses of ACL, and what NOTIFY adds to LIST.

use crate::parse::Names;
use crate::response::{AclTold, Listed, Untagged};

fn line(told: AclTold) -> String {
    let mut out = Vec::new();
    Untagged::Acl(told).encode(Names::Utf7, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn an_old_name_is_told() {
    let listed = Listed { name: "Entwürfe".into(), old_name: Some("b\"ü".into()), ..Listed::default() };
    let mut out = Vec::new();
    Untagged::List(listed).encode(Names::Utf7, &mut out);
    let want = "* LIST () NIL \"Entw&APw-rfe\" (\"OLDNAME\" (\"b\\\"&APw-\"))\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), want);
}

#[test]
fn rights_are_told() {
    let owned = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, rights)| ((*name).to_owned(), (*rights).to_owned())).collect()
    };
    let told = AclTold::Acl { mailbox: "Entwürfe".into(), entries: owned(&[]) };
    assert_eq!(line(told), "* ACL \"Entw&APw-rfe\"\r\n");
    let entries = owned(&[("a@x", "lrsa"), ("-ü\"", ""), ("any\none", "k")]);
    let told = AclTold::Acl { mailbox: "a".into(), entries };
    assert_eq!(line(told), "* ACL \"a\" \"a@x\" lrsa {4}\r\n-ü\" \"\" {7}\r\nany\none k\r\n");
    let told = AclTold::ListRights {
        mailbox: "a".into(),
        identifier: "anyone".into(),
        required: String::new(),
        optional: vec!["l".into(), "rs".into()],
    };
    assert_eq!(line(told), "* LISTRIGHTS \"a\" \"anyone\" \"\" l rs\r\n");
    let told = AclTold::MyRights { mailbox: "a".into(), rights: "lr".into() };
    assert_eq!(line(told), "* MYRIGHTS \"a\" lr\r\n");
}
