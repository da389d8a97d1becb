//! Mutt, with its keys pressed by itself: reads, flags, copies and deletes.

use crate::program::{is_missing, run};
use crate::{deliver, reader, scene};
use std::fs;
use tests::PASSWORD;

#[test]
fn reads_flags_copies_and_deletes() {
    if is_missing("mutt", "mutt") || is_missing("mutt", "script") {
        return;
    }
    let maddy = scene().start();
    let mut imap = reader(&maddy, "alice@example.org");
    deliver(&maddy, &["one", "two", "three"]);
    imap.wait_messages("INBOX", 3);
    let dir = maddy.setup.dir().join("mutt");
    fs::create_dir_all(&dir).unwrap();
    let keys = "<search>~s one<enter><flag-message><search>~s two<enter><display-message><exit>\
                <search>~s two<enter><copy-message>=Archive<enter>\
                <search>~s three<enter><delete-message><sync-mailbox><quit>";
    let rc = format!(
        "set folder=\"imaps://localhost:{}/\"\nset imap_user=\"alice@example.org\"\nset imap_pass=\"{PASSWORD}\"\n\
         set ssl_ca_certificates_file=\"{}\"\nset ssl_usesystemcerts=no\nset imap_qresync=yes\nset imap_condstore=yes\n\
         set delete=yes\nset quit=yes\nset move=no\nset confirmappend=no\nset wait_key=no\nset sleep_time=0\n\
         set wrap_search=yes\npush \"{keys}\"\n",
        maddy.ports().imaps,
        maddy.setup.ca().display(),
    );
    fs::write(dir.join("rc"), rc).unwrap();
    // It wants a terminal.
    let heard = run(&dir, "script", &["-qec", "TERM=xterm mutt -n -F rc -f =INBOX", "screen"]);
    assert_eq!(imap.count("Archive"), 1, "{heard}");
    assert!(imap.ok("FETCH 1 BODY.PEEK[HEADER.FIELDS (Subject)]").join(" ").contains("two"));
    assert_eq!(imap.count("INBOX"), 2, "{heard}");
    let flags = imap.ok("FETCH 1:2 FLAGS").join("\n");
    assert_eq!(flags.matches("\\Flagged").count(), 1, "{flags}");
    assert_eq!(flags.matches("\\Seen").count(), 1, "{flags}");
}
