//! The manual and the completions, held to the programs that read them.

use crate::program::{is_missing, run};
use std::fs;

#[test]
fn the_manual_is_well_formed() {
    let test = "the_manual_is_well_formed";
    if is_missing(test, "mandoc") || is_missing(test, "man") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    crate::maddy(&["man", "--dir", dir.path().to_str().unwrap()]);
    let mut pages = 0;
    for section in ["man1", "man5", "man8"] {
        for entry in fs::read_dir(dir.path().join(section)).unwrap().map(Result::unwrap) {
            let path = format!("{section}/{}", entry.file_name().to_str().unwrap());
            let heard = run(dir.path(), "mandoc", &["-Tlint", "-W", "warning", &path]).fine();
            assert_eq!(heard.text, "", "{path}");
            pages += 1;
        }
    }
    assert!(pages > 25, "{pages} pages");
    // As people read it, without a word of complaint.
    for page in
        ["man1/maddy.1", "man1/maddy-queue.1", "man5/maddy.conf.5", "man1/sendmail.1", "man8/sendmail.8"]
    {
        let text = run(dir.path(), "man", &["--warnings", "-l", page]).fine().text;
        assert!(text.contains("NAME") && !text.contains("warning:"), "{page}: {text}");
    }
    // It does complain of what is wrong.
    fs::write(dir.path().join("bad.1"), ".TH BAD 1\n.SH NAME\n.XX\n").unwrap();
    run(dir.path(), "mandoc", &["-Tlint", "-W", "warning", "bad.1"]).says("unknown macro").status(3);
}

#[test]
fn one_page_can_be_asked_for() {
    for (page, has) in [
        ("account", "MADDY-ACCOUNT"),
        ("maddy.conf", "MADDY.CONF"),
        ("sendmail", "SENDMAIL"),
        ("maddy", "MADDY"),
    ] {
        let text = crate::maddy(&["man", page]);
        assert!(text.lines().any(|line| line.starts_with(".TH") && line.contains(has)), "{page}: {text}");
    }
    let output = std::process::Command::new(tests::binary()).args(["man", "nothing"]).output().unwrap();
    assert!(tests::Output::of(output).fails().contains("there is no page nothing"));
}

#[test]
fn every_shell_understands_its_completions() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        if is_missing("every_shell_understands_its_completions", shell) {
            continue;
        }
        let script = crate::maddy(&["completions", shell]);
        fs::write(dir.path().join("script"), &script).unwrap();
        run(dir.path(), shell, &["-n", "script"]).fine();
        for word in ["imap-mboxes", "app-password", "dry-run", "quickstart"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

/// What bash offers behind some words.
#[test]
fn bash_completes_commands_and_options() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("script"), crate::maddy(&["completions", "bash"])).unwrap();
    for (words, wants) in
        [("maddy queue rel", "release"), ("maddy install --dr", "--dry-run"), ("maddy im", "imap-acct")]
    {
        let list: Vec<&str> = words.split(' ').collect();
        let line = format!(
            "source ./script; COMP_WORDS=({words}); COMP_CWORD={}; _maddy maddy '{}' '{}'; echo \"${{COMPREPLY[@]}}\"",
            list.len() - 1,
            list[list.len() - 1],
            list[list.len() - 2],
        );
        run(dir.path(), "bash", &["-c", &line]).fine().says(wants);
    }
}
