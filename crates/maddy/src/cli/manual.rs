//! `maddy man`: the manual, made from the grammar of the command line and from the list of options that the configuration is
//! decoded by, so that it cannot say anything else than they do.

use crate::cli::args::Cli;
use crate::cli::{Trouble, output};
use crate::config::options;
use ::config::{Default, OptionDoc};
use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};
use std::io;
use std::path::PathBuf;

/// The flags of sendmail are not read by the grammar of the command line, so its page is written by hand.
const SENDMAIL: &str = include_str!("../../../../dist/man/sendmail.1");
/// When the manual was last changed; a page needs a date, and building it twice must give the same octets.
const DATE: &str = "2026-11-20";
/// What stands at the foot of each page.
const SOURCE: &str = concat!("maddy ", env!("CARGO_PKG_VERSION"));
/// What stands at the top of each page.
const MANUAL: &str = "maddy mail server";
/// Options that every command takes: told of once for each page.
const GLOBAL: [&str; 4] = ["config", "state_dir", "json", "help"];

#[derive(Clone, Debug, Args)]
pub(crate) struct ManArgs {
    /// Which page: a command like `account`, or maddy.conf, or sendmail; the first page, if not given
    pub(crate) page: Option<String>,
    /// Write all pages into this directory, below man1, man5 and man8, and print none
    #[arg(long, value_name = "DIR", conflicts_with = "page")]
    pub(crate) dir: Option<PathBuf>,
}

/// A page of the manual.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// Like `maddy-account.1`.
    pub(crate) name: String,
    /// What man(1) reads.
    pub(crate) text: String,
}

pub(crate) fn run(args: &ManArgs) -> Result<(), Trouble> {
    let pages = pages();
    if let Some(dir) = &args.dir {
        for page in &pages {
            let section = page.name.rsplit('.').next().unwrap_or("1");
            let dir = dir.join(format!("man{section}"));
            std::fs::create_dir_all(&dir)?;
            std::fs::write(dir.join(&page.name), &page.text)?;
        }
        return Ok(());
    }
    let asked = args.page.as_deref().unwrap_or("maddy");
    let names = [asked.to_owned(), format!("maddy-{asked}")];
    let found = pages.iter().find(|page| {
        let bare = page.name.rsplit_once('.').map_or(page.name.as_str(), |(bare, _)| bare);
        names.iter().any(|name| name == bare || *name == page.name)
    });
    match found {
        Some(page) => output::octets(page.text.as_bytes()),
        None => Err(Trouble::usage(format!(
            "there is no page {asked}: name a command, maddy.conf or sendmail; `maddy --help` lists the commands"
        ))),
    }
}

/// All pages.
pub(crate) fn pages() -> Vec<Page> {
    let mut cli = Cli::command().about("all-in-one mail server");
    cli.build();
    let mut pages = vec![Page { name: "maddy.1".to_owned(), text: first(&cli) }];
    for command in shown(&cli).filter(|command| command.get_name() != "sendmail") {
        let name = format!("maddy-{}.1", command.get_name());
        pages.push(Page { name, text: of_command(command) });
    }
    pages.push(Page { name: "maddy.conf.5".to_owned(), text: of_options(&options()) });
    pages.push(Page { name: "sendmail.1".to_owned(), text: SENDMAIL.to_owned() });
    for other in ["maddy-sendmail.1", "mailq.1", "newaliases.1", "sendmail.8"] {
        let section = other.rsplit('.').next().unwrap_or("1");
        let text = SENDMAIL.replacen(".TH SENDMAIL 1", &format!(".TH SENDMAIL {section}"), 1);
        pages.push(Page { name: other.to_owned(), text });
    }
    pages.iter_mut().for_each(|page| page.text = tidy(&page.text));
    pages
}

/// Without the empty lines, doubled breaks and repeated macros that the sections come with.
fn tidy(text: &str) -> String {
    let macros: Vec<&str> = text.lines().take_while(|line| is_preamble(line)).collect();
    let rest = text.lines().filter(|line| !line.trim().is_empty() && !is_preamble(line));
    let mut lines: Vec<&str> = macros.into_iter().chain(rest).collect();
    lines.dedup_by(|next, before| *next == ".br" && *before == ".br");
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|inner| !inner.is_hide_set())
}

/// One section of a page as the grammar gives it.
fn part(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
    let mut octets = Vec::new();
    // A vector takes everything.
    let _ = write(&mut octets);
    String::from_utf8_lossy(&octets).into_owned()
}

/// What our own code writes.
fn roff(build: impl FnOnce(&mut Roff)) -> String {
    let mut roff = Roff::new();
    build(&mut roff);
    roff.render()
}

fn head(command: &Command) -> String {
    let man = page_of(command.clone());
    part(|out| man.render_title(out)) + &part(|out| man.render_name_section(out))
}

fn page_of(command: Command) -> Man {
    let title = command.get_display_name().unwrap_or_else(|| command.get_name()).to_uppercase();
    Man::new(command).title(title).date(DATE).source(SOURCE).manual(MANUAL)
}

fn first(cli: &Command) -> String {
    let man = page_of(cli.clone());
    let mut text = head(cli);
    text += &part(|out| man.render_synopsis_section(out));
    text += &roff(|page| {
        page.control("SH", ["DESCRIPTION"]);
        page.text([roman(
            "One daemon takes mail for its domains by SMTP, judges and keeps it, gives it to readers by IMAP, and sends what \
             its users submit. The same program manages it, while the daemon runs and while it does not.",
        )]);
        page.control("SH", ["COMMANDS"]);
        for command in shown(cli) {
            page.control("TP", []);
            page.text([bold(format!("maddy-{}", command.get_name())), roman("(1)")]);
            page.text([roman(about(command))]);
        }
    });
    text += &part(|out| man.render_options_section(out));
    text += &foot(&["maddy.conf(5)", "sendmail(1)", "maddy-quickstart(1)", "maddy-doctor(1)"]);
    text
}

/// A command, with all that stand below it.
fn of_command(command: &Command) -> String {
    let mut text = head(command);
    if shown(command).next().is_none() {
        let man = page_of(command.clone());
        text += &part(|out| man.render_synopsis_section(out));
        text += &part(|out| man.render_description_section(out));
        text += &part(|out| man.render_options_section(out));
        return text + &foot(&["maddy(1)", "maddy.conf(5)"]);
    }
    let mut leaves = Vec::new();
    collect(command, &mut leaves);
    text += ".SH SYNOPSIS\n";
    for (place, leaf) in leaves.iter().enumerate() {
        text += if place > 0 { ".br\n" } else { "" };
        text += &inner(leaf, Man::render_synopsis_section);
    }
    text += &part(|out| page_of(command.clone()).render_description_section(out));
    text += ".SH COMMANDS\n";
    for leaf in &leaves {
        let name = leaf.get_bin_name().unwrap_or_else(|| leaf.get_name());
        text += &roff(|page| {
            page.control("SS", [name]);
        });
        text += &inner(leaf, Man::render_description_section);
        text += &inner(leaf, Man::render_options_section);
    }
    text += ".SH OPTIONS OF EVERY COMMAND\n";
    let of_group = page_of(command.clone());
    text += &without_heading(&part(|out| of_group.render_options_section(out)));
    text + &foot(&["maddy(1)", "maddy.conf(5)"])
}

/// The commands that do something, whatever they stand below.
fn collect<'a>(command: &'a Command, leaves: &mut Vec<&'a Command>) {
    for inner in shown(command) {
        if shown(inner).next().is_none() { leaves.push(inner) } else { collect(inner, leaves) }
    }
}

/// A section of a command without its heading, and without the options that every command takes.
fn inner(command: &Command, section: fn(&Man, &mut dyn io::Write) -> io::Result<()>) -> String {
    let mut command = command.clone();
    for id in GLOBAL {
        if command.get_arguments().any(|argument| argument.get_id() == id) {
            command = command.mut_arg(id, |argument| argument.hide(true));
        }
    }
    let man = page_of(command);
    without_heading(&part(|out| section(&man, out)))
}

fn without_heading(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with(".SH "));
    lines.map(|line| format!("{line}\n")).collect()
}

/// What `roff` writes before each text, and a page needs once.
fn is_preamble(line: &str) -> bool {
    [".ie \\n(.g .ds Aq", ".el .ds Aq"].iter().any(|start| line.starts_with(start))
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn foot(others: &[&str]) -> String {
    roff(|page| {
        page.control("SH", ["EXIT STATUS"]);
        page.text([roman(
            "0 if it was done; 1 if not, or if something was found to be wrong; 2 if the command line or the configuration \
             makes no sense.",
        )]);
        page.control("SH", ["FILES"]);
        for (file, what) in [
            ("/etc/maddy/maddy.conf", "the configuration, unless --config or $MADDY_CONFIG name another"),
            ("/var/lib/maddy", "mail, accounts, queue and keys"),
        ] {
            page.control("TP", []);
            page.text([italic(file)]);
            page.text([roman(what)]);
        }
        page.control("SH", ["SEE ALSO"]);
        page.text([roman(others.join(", "))]);
    })
}

/// The configuration: a heading for each section, an entry for each option.
fn of_options(list: &[OptionDoc]) -> String {
    roff(|page| {
        page.control("TH", ["MADDY.CONF", "5", DATE, SOURCE, MANUAL]);
        page.control("SH", ["NAME"]);
        page.text([roman("maddy.conf - configuration of the maddy mail server")]);
        page.control("SH", ["DESCRIPTION"]);
        page.text([roman(
            "The file is written in KDL: an option is a name with its values behind it, a section is a name with options in \
             braces. Text with anything but letters, digits, hyphens and dots stands in quotes. A comment begins with two \
             slashes. `include \"conf.d/*.conf\"` reads other files as if they stood here; `let zone \"example.org\"` makes \
             \"$(zone)\" stand for a text that repeats, and \"$(env:NAME)\" is a variable of the environment.",
        )]);
        page.control("PP", []);
        page.text([
            roman("Only "),
            bold("hostname"),
            roman(", "),
            bold("domains"),
            roman(" and "),
            bold("tls"),
            roman(" have no default. "),
            bold("maddy config check"),
            roman(" says what a file means and all that is wrong with it; "),
            bold("maddy reload"),
            roman(" takes it over without dropping a connection. Options below are named from the top, joined by dots."),
        ]);
        page.control("SH", ["OPTIONS"]);
        let mut section = "";
        for option in list {
            let top = option.path.split('.').next().unwrap_or_default();
            let is_of_section = option.path.contains('.') || option.default == Default::Section;
            let wanted = if is_of_section { top } else { "general" };
            if wanted != section {
                page.control("SS", [wanted]);
                section = wanted;
            }
            entry(page, option);
        }
        page.control("SH", ["EXAMPLE"]);
        page.control("nf", []);
        page.text([roman("hostname \"mx.example.org\"\ndomains \"example.org\"\ntls {\n    acme\n}")]);
        page.control("fi", []);
        page.control("SH", ["SEE ALSO"]);
        page.text([roman("maddy(1), maddy-config(1), maddy-reload(1)")]);
    })
}

fn entry(page: &mut Roff, option: &OptionDoc) {
    page.control("TP", []);
    let mut line = vec![bold(option.path.clone())];
    if !option.kind.is_empty() {
        line.extend([roman(" "), italic(option.kind.clone())]);
    }
    if option.repeats {
        line.push(roman(" (may repeat)"));
    }
    page.text(line);
    let default = match &option.default {
        Default::Required => " Required.".to_owned(),
        Default::Value(value) => format!(" Default: {value}."),
        Default::None | Default::Section => String::new(),
    };
    let stop = if option.doc.ends_with(['.', ':']) || option.doc.is_empty() { "" } else { "." };
    page.text([roman(format!("{}{stop}{default}", option.doc).trim())]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_for_every_command_and_an_entry_for_every_option() {
        let pages = pages();
        let cli = Cli::command();
        for command in shown(&cli) {
            let name = format!("maddy-{}.1", command.get_name());
            let page = pages.iter().find(|page| page.name == name);
            let page = page.unwrap_or_else(|| panic!("{name} is missing"));
            for inner in shown(command) {
                let named = inner.get_name().replace('-', "\\-");
                assert!(page.text.contains(&named), "{name} does not name {}", inner.get_name());
            }
        }
        let conf = pages.iter().find(|page| page.name == "maddy.conf.5").unwrap();
        for option in options() {
            let path = option.path.replace('-', "\\-");
            assert!(conf.text.contains(&format!("\\fB{path}\\fR")), "maddy.conf.5 does not name {path}");
        }
    }
}
