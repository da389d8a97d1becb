//! A configuration of several parts: files that include files, sections that are joined, names with variables.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use config::{Arg, Section, Spanned, Tree};
use std::path::Path;

type Aliases = Vec<(String, Vec<String>)>;

fn decode(section: &mut Section<'_>) -> (Option<String>, Aliases) {
    let hostname = section.text("hostname", "A name.").required();
    let aliases = section.joined("aliases", "Other names.", |aliases| {
        aliases.entries("address", "Where its mail goes.", |name: Spanned<String>, entry| {
            if !name.contains('@') {
                entry.problem(name.span, format!("{} is no address", name.value), "");
            }
            (name.value, entry.text(Arg("target"), "An address.").many())
        })
    });
    (hostname, aliases)
}

fn env(name: &str) -> Option<String> {
    (name == "PLACE").then(|| "env.test".to_owned())
}

fn aliases(text: &str) -> String {
    match Tree::from_text("t", text, &env).decode(decode) {
        Ok((_, aliases)) => {
            aliases.iter().map(|(name, targets)| format!("{name} -> {}\n", targets.join(" "))).collect()
        }
        Err(problems) => problems.0.iter().map(|problem| format!("{problem}\n")).collect(),
    }
}

#[test]
fn names_take_variables_as_values_do() {
    for (text, want) in [
        ("let z one.test\nhostname a\naliases { \"x@$(z)\" \"y@$(z)\"; }", "x@one.test -> y@one.test\n"),
        ("hostname a\naliases { \"*@$(env:PLACE)\" y; }", "*@env.test -> y\n"),
        ("hostname a\naliases { \"x@$$(z)\" y; }", "x@$(z) -> y\n"),
        ("let n hostname\n\"$(n)\" a", ""),
        (
            "let zone x\nhostname a\naliases { \"x@$(zoen)\" \"y@$(nope)\"; }",
            "t:3:11: the variable `zoen` is not set (did you mean $(zone)?)\n\
             t:3:23: the variable `nope` is not set (set it above this line: let nope \"…\"; the environment is $(env:NAME))\n",
        ),
        ("let z one.test\nhostname a\naliases { \"$(z)\" y; }", "t:3:11: one.test is no address\n"),
    ] {
        assert_eq!(aliases(text), want, "{text}");
    }
}

#[test]
fn parts_of_a_section_are_one_section() {
    let text = "aliases { a@x b@x; }\nhostname a\naliases { c@x d@x; }\naliases\n";
    assert_eq!(aliases(text), "a@x -> b@x\nc@x -> d@x\n");
    let text = "aliases { a@x b@x; }\nhostname a\naliases { c d@x; }\naliases 5\n";
    assert_eq!(aliases(text), "t:3:11: c is no address\nt:4:9: `aliases` does not take the value 5\n");
    assert_eq!(aliases("hostname a"), "");
}

fn read(dir: &Path) -> String {
    let problems = Tree::read(&dir.join("main.conf"), &env).decode(decode).unwrap_err();
    let lines: String = problems.0.iter().map(|problem| format!("{problem}\n")).collect();
    lines.replace(&format!("{}/", dir.display()), "")
}

#[test]
fn a_circle_of_files_is_one_problem() {
    let dir = tempfile::tempdir().unwrap();
    let main = dir.path().join("main.conf");
    std::fs::create_dir(dir.path().join("d")).unwrap();
    std::fs::write(&main, "hostname a\nlet z one\ninclude \"d/*.conf\"\n").unwrap();
    std::fs::write(dir.path().join("d/x.conf"), "aliases { a@x b; }\ninclude \"../main.conf\"\n").unwrap();
    assert_eq!(
        read(dir.path()),
        "d/x.conf:2:9: d/../main.conf is included within itself, or more than 8 files deep (remove this `include`)\n"
    );
}
