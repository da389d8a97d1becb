//! `maddy completions`: what bash, zsh and fish need to complete our command line, from its grammar.

use crate::cli::args::Cli;
use crate::cli::{Trouble, output};
use clap::{CommandFactory, ValueEnum};
use clap_complete::{Shell as Kind, generate};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Prints the script for a shell.
pub(crate) fn run(shell: Shell) -> Result<(), Trouble> {
    output::octets(script(shell).as_bytes())
}

/// The scripts for all shells.
pub(crate) fn all() -> [(Shell, String); 3] {
    [Shell::Bash, Shell::Zsh, Shell::Fish].map(|shell| (shell, script(shell)))
}

fn script(shell: Shell) -> String {
    let kind = match shell {
        Shell::Bash => Kind::Bash,
        Shell::Zsh => Kind::Zsh,
        Shell::Fish => Kind::Fish,
    };
    let mut octets = Vec::new();
    generate(kind, &mut Cli::command(), "maddy", &mut octets);
    String::from_utf8_lossy(&octets).into_owned()
}
