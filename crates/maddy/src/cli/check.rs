//! `config check` and `config options`.

use crate::cli::args::Global;
use crate::cli::{Trouble, output};
use crate::config::{Config, Source, options};
use crate::listeners::{TlsStart, wanted};
use net::TlsOptions;
use serde_json::{Value, json};

pub(crate) fn check(source: &Source, global: &Global) -> Result<(), Trouble> {
    let shown = source.config.display();
    match source.read() {
        Ok(config) => {
            let value = json!({ "file": source.config, "problems": [] });
            output::done(global, &value, format!("{shown} is good\n\n{}", explain(&config)).trim_end())
        }
        Err(problems) if global.json => {
            let list: Vec<Value> = problems
                .0
                .iter()
                .map(|problem| {
                    json!({
                        "file": problem.file,
                        "line": problem.line,
                        "column": problem.column,
                        "message": problem.message,
                        "help": problem.help,
                    })
                })
                .collect();
            output::json(&json!({ "file": source.config, "problems": list }))?;
            Err(Trouble::usage(""))
        }
        Err(problems) => {
            let count = problems.0.len();
            let plural = if count == 1 { "" } else { "s" };
            Err(Trouble::usage(format!("{shown} has {count} problem{plural}\n\n{problems}")))
        }
    }
}

/// What a configuration means, in words.
fn explain(config: &Config) -> String {
    let mut rows: Vec<(&str, String)> = Vec::new();
    let list = |items: Vec<String>| items.join(", ");
    rows.push(("hostname", config.hostname.to_string()));
    rows.push(("domains", list(config.domains.iter().map(ToString::to_string).collect())));
    for listening in wanted(config) {
        let tls = match listening.tls {
            TlsStart::OnRequest => "STARTTLS",
            TlsStart::AtOnce => "TLS",
        };
        rows.push((listening.door.name(), format!("{} ({tls})", listening.address)));
    }
    match &config.tls {
        TlsOptions::SelfSigned => {
            rows.push(("certificate", "made by the server itself; clients will warn".to_owned()))
        }
        TlsOptions::Acme(options) => {
            rows.push(("certificate", format!("from {}, by itself", options.directory)));
        }
        TlsOptions::Files(files) => {
            rows.extend(files.iter().map(|files| ("certificate", files.chain.display().to_string())));
        }
    }
    let postmaster = config.postmaster.as_ref().map_or("the first account".to_owned(), ToString::to_string);
    rows.push(("postmaster", postmaster));
    rows.push(("state", config.state_dir().display().to_string()));
    rows.push(("control socket", config.socket().display().to_string()));
    let servers: Vec<String> = config.dns.servers.iter().map(ToString::to_string).collect();
    rows.push((
        "name servers",
        if servers.is_empty() { "of /etc/resolv.conf".to_owned() } else { list(servers) },
    ));
    rows.push(("checks", checks(&config.checks)));
    rows.push(("signatures", signatures(config)));
    rows.push(("other mail", outgoing(config)));
    rows.into_iter().map(|(name, value)| format!("  {name:<16}{value}\n")).collect()
}

/// Which checks arriving mail goes through.
fn checks(checks: &policy::Config) -> String {
    let all = [
        ("iprev", checks.iprev),
        ("HELO", checks.helo),
        ("sender", checks.sender),
        ("SPF", checks.spf),
        ("DKIM", checks.dkim),
        ("ARC", checks.arc),
        ("DMARC", checks.dmarc),
    ];
    let on = all.iter().filter(|(_, switch)| switch.is_on()).map(|(name, _)| (*name).to_owned());
    let on: Vec<String> = on.chain(checks.lists.iter().map(|list| list.name.clone())).collect();
    if on.is_empty() { "none: arriving mail is believed".to_owned() } else { on.join(", ") }
}

fn signatures(config: &Config) -> String {
    if !config.dkim.signing.is_on() {
        return "none".to_owned();
    }
    format!("with the keys in {}", config.keys_dir().display())
}

fn outgoing(config: &Config) -> String {
    if config.delivery.exit == delivery::Exit::Closed {
        return "is refused: this server delivers to its own domains only".to_owned();
    }
    match &config.delivery.smarthost {
        Some(smarthost) => format!("goes to {} port {}", smarthost.host, smarthost.port),
        None => format!("goes to the mail hosts that the DNS names, port {}", config.delivery.port),
    }
}

/// Prints every option, as a page for the documentation or as JSON.
pub(crate) fn options_list(global: &Global) -> Result<(), Trouble> {
    let list = options();
    if global.json {
        let items: Vec<Value> = list
            .iter()
            .map(|option| {
                let default = match &option.default {
                    ::config::Default::Value(value) => Some(value.clone()),
                    _ => None,
                };
                json!({
                    "path": option.path,
                    "kind": option.kind,
                    "default": default,
                    "required": option.default == ::config::Default::Required,
                    "repeats": option.repeats,
                    "doc": option.doc,
                })
            })
            .collect();
        return output::json(&items);
    }
    output::octets(::config::markdown(&list).trim_start().as_bytes())
}
