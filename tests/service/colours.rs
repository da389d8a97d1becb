//! Colours are for terminals, and only for people who want them.

use crate::program::{is_missing, run};
use tests::{Setup, binary};

/// What the program says on a terminal; `script` makes one.
fn on_a_terminal(variables: &str, line: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let command = format!("env TERM=xterm {variables} {line}");
    run(dir.path(), "script", &["-qec", &command, "/dev/null"]).text
}

#[test]
fn there_are_none_where_they_are_not_wanted() {
    if is_missing("there_are_none_where_they_are_not_wanted", "script") {
        return;
    }
    let wrong = format!("{} no-such-command", binary().display());
    assert!(on_a_terminal("", &wrong).contains('\x1b'), "a terminal has colours");
    assert!(!on_a_terminal("NO_COLOR=1", &wrong).contains('\x1b'));
    let dir = tempfile::tempdir().unwrap();
    let piped = run(dir.path(), binary().to_str().unwrap(), &["no-such-command"]).status(2);
    assert!(!piped.text.contains('\x1b'), "{piped}");
}

/// The log of a daemon that is started by hand.
#[test]
fn so_it_is_with_the_log() {
    if is_missing("so_it_is_with_the_log", "script") {
        return;
    }
    let mut maddy = Setup::new().start();
    maddy.stop();
    let script = maddy.setup.dir().join("until-ready");
    let program = format!("{} --config {}", binary().display(), maddy.setup.config_file().display());
    let text = format!(
        "{program} run & daemon=$!\nuntil {program} creds guesses list >/dev/null 2>&1; do sleep 0.1; done\n\
         kill $daemon; wait $daemon\n"
    );
    std::fs::write(&script, text).unwrap();
    let said = |variables: &str| on_a_terminal(variables, &format!("sh {}", script.display()));
    let coloured = said("");
    assert!(coloured.contains("ready") && coloured.contains('\x1b'), "{coloured}");
    for variables in ["NO_COLOR=1", "TERM=dumb"] {
        let plain = said(variables);
        assert!(plain.contains("ready") && !plain.contains('\x1b'), "{plain}");
    }
}
