//! The node `filters` of the configuration.

use super::{Command, Endpoint, Filters, Milter, Rspamd};
use crate::Action;
use crate::config::{ANY, UNANSWERED};
use crate::milter::Patience;
use crate::program::Program;
use config::{Arg, Section};
use std::path::PathBuf;
use std::time::Duration;
use world::Url;
use world::url::Scheme;

const ON_FAILURE: &str = "What to do with a message if the filter cannot be asked.";
/// Longest that a filter may be waited for: shorter than clients wait for the end of DATA (RFC 5321 §4.5.3.2.6).
const PATIENCE_MAX: Duration = Duration::from_secs(300);

/// Reads the node `filters`.
pub fn decode(section: &mut Section<'_>) -> Filters {
    let milters = section.each("milter", "A filter that speaks the milter protocol.", milter);
    let mut rspamds = section.each("rspamd", "rspamd, asked over HTTP.", rspamd);
    let commands = section.each("command", "A program that is run over each message.", command);
    if rspamds.len() > 1 {
        section.problem(section.child_span("rspamd"), "there are several rspamd", "leave one");
    }
    Filters {
        milters: milters.into_iter().flatten().collect(),
        rspamd: rspamds.pop().flatten(),
        commands: commands.into_iter().flatten().collect(),
    }
}

fn patience(section: &mut Section<'_>, usual: Duration) -> Duration {
    section
        .duration("timeout", "How long to wait for an answer.")
        .within(Duration::from_secs(1)..=PATIENCE_MAX)
        .or(usual)
}

fn milter(section: &mut Section<'_>) -> Option<Milter> {
    let endpoint = section
        .parsed(
            Arg("endpoint"),
            "an endpoint",
            Endpoint::parse,
            "Where it listens: \"unix:/path\" or \"tcp:127.0.0.1:8891\".",
        )
        .required();
    let content = patience(section, Duration::from_secs(120));
    let step = content.min(Duration::from_secs(30));
    let on_failure = section.choice("on-failure", UNANSWERED, ON_FAILURE).or(Action::Defer);
    Some(Milter { endpoint: endpoint?, patience: Patience { step, content }, on_failure })
}

fn rspamd(section: &mut Section<'_>) -> Option<Rspamd> {
    let url = section
        .parsed(Arg("url"), "a URL", address, "Its normal worker: \"http://127.0.0.1:11333\".")
        .required();
    let patience = patience(section, Duration::from_secs(30));
    let max_size = section
        .size("max-size", "Larger messages are not shown to it.")
        .within(1024..=64 * 1024 * 1024)
        .or(10 * 1024 * 1024);
    let mut action = |name: &'static str, usual: Action| {
        section.choice(name, ANY, &format!("What to do if it says \"{}\".", name.replace('-', " "))).or(usual)
    };
    let add_header = action("add-header", Action::Quarantine);
    let rewrite_subject = action("rewrite-subject", Action::Quarantine);
    let greylist = action("greylist", Action::Nothing);
    let soft_reject = action("soft-reject", Action::Defer);
    let reject = action("reject", Action::Reject);
    let on_failure = section.choice("on-failure", UNANSWERED, ON_FAILURE).or(Action::Nothing);
    let url = url?;
    Some(Rspamd {
        url,
        patience,
        max_size,
        add_header,
        rewrite_subject,
        greylist,
        soft_reject,
        reject,
        on_failure,
    })
}

/// The address of rspamd: messages go there in clear only on this machine.
fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if url.scheme() == Scheme::Http && !url.is_loopback() {
        return Err(
            "mail would be sent in clear over the network; use https:// or an address of this machine"
                .to_owned(),
        );
    }
    if url.target() != "/" {
        return Err("the path is fixed; write the address without one".to_owned());
    }
    Url::parse(&format!("{url}checkv2")).map_err(|error| error.to_string())
}

fn command(section: &mut Section<'_>) -> Option<Command> {
    let mut words =
        section.text(Arg("program"), "Its path, and its arguments; there is no shell.").many().into_iter();
    let path = words.next().map(PathBuf::from);
    let span = section.span();
    match &path {
        None => section.problem(span, "there is no program", "name one: command \"/usr/local/bin/check\""),
        Some(path) if !path.is_absolute() => {
            section.problem(span, "the path of the program is not absolute", "begin it with a slash");
        }
        Some(_) => {}
    }
    let arguments = words.collect();
    let patience = patience(section, Duration::from_secs(60));
    let codes = section.each("code", "What to do if it ends with this status.", |code| {
        let status = code.count(Arg("status"), "The exit status.").within(0..=255u8).required();
        let action = code.choice(Arg("action"), ANY, "The action.").required();
        Some((status?, action?))
    });
    let mut codes: Vec<(u8, Action)> = codes.into_iter().flatten().collect();
    if codes.is_empty() {
        codes = vec![(1, Action::Reject), (2, Action::Quarantine)];
    }
    let on_failure = section.choice("on-failure", UNANSWERED, ON_FAILURE).or(Action::Defer);
    Some(Command { program: Program { path: path?, arguments, patience }, codes, on_failure })
}
