//! `dkim`: our signing keys, and what belongs into the DNS, so that others can verify our signatures.

use crate::admin::{DKIM, DkimAnswer, DkimCall, KeyLine, dkim_carry_out};
use crate::cli::args::Global;
use crate::cli::{Connection, Trouble, output};
use crate::config::{Config, Source};
use crate::keys;
use clap::Subcommand;
use world::{SystemResolver, World};

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum DkimCommand {
    /// Print the DNS records of our keys, as lines of a zone file
    List,
    /// Make the keys of the next rotation, so that their records can be published early
    Generate {
        /// One domain; all, if not given
        domain: Option<String>,
    },
    /// Have new keys sign as soon as the DNS shows their records
    ///
    /// Makes the keys, if `generate` has not. Say it again to see how far it is; a running server looks by itself.
    Rotate {
        /// One domain; all, if not given
        domain: Option<String>,
        /// Do not wait until the record has been seen for the time that `settle` says
        #[arg(long)]
        now: bool,
    },
    /// Give up a key that does not sign any more, and delete it
    Retire { domain: String, selector: String },
}

pub(crate) async fn run(command: &DkimCommand, source: &Source, global: &Global) -> Result<(), Trouble> {
    if source.state_dir.is_some() {
        return Err(Trouble::usage("dkim goes by a configuration, which names the domains: use --config"));
    }
    let config = source.read_settings()?;
    if !config.dkim.signing.is_on() {
        eprintln!("signing is switched off: dkim {{ enabled #false }}");
    }
    match command {
        DkimCommand::List => {
            let (answer, _) = dkim_carry_out(DkimCall::List, &keyring(&config)?).await?;
            print_list(&answer, global)
        }
        DkimCommand::Generate { domain } => {
            let call = DkimCall::Generate { domain: domain.clone() };
            let answer = ask(call, &config, global).await?;
            print_changes(
                &answer,
                global,
                "there are keys for the next rotation already: see `maddy dkim list`",
            )
        }
        DkimCommand::Rotate { domain, now } => {
            let call = DkimCall::Rotate { domain: domain.clone(), at_once: *now };
            let answer = ask(call, &config, global).await?;
            print_changes(
                &answer,
                global,
                "the DNS shows the records; the keys sign when that has lasted a while",
            )
        }
        DkimCommand::Retire { domain, selector } => {
            let call = DkimCall::Retire { domain: domain.clone(), selector: selector.clone() };
            let answer = ask(call, &config, global).await?;
            print_changes(&answer, global, "nothing has changed")
        }
    }
}

/// Through the daemon, which signs with what it knows; without one, here.
async fn ask(call: DkimCall, config: &Config, global: &Global) -> Result<DkimAnswer, Trouble> {
    let mut answer = None;
    Connection::with(global, async |server| {
        answer = Some(if server.is_daemon() {
            let arguments = serde_json::to_value(&call).map_err(|error| Trouble::new(error.to_string()))?;
            let said = server.ask_daemon(DKIM, &arguments).await?;
            serde_json::from_value(said).map_err(|error| Trouble::new(error.to_string()))?
        } else {
            let (answer, changes) = dkim_carry_out(call.clone(), &keyring(config)?).await?;
            let world = world::system::without_dns();
            keys::publish(config, &world, &changes, &mut keys::Reminders::default()).await;
            answer
        });
        Ok(())
    })
    .await?;
    answer.ok_or_else(|| Trouble::new("there was no answer"))
}

fn keyring(config: &Config) -> Result<policy::dkim::Keyring, Trouble> {
    let dns = SystemResolver::new(&config.dns).map_err(Trouble::new)?;
    let world = World { dns: std::sync::Arc::new(dns), ..world::system::without_dns() };
    Ok(keys::keyring(config, &world))
}

fn print_list(answer: &DkimAnswer, global: &Global) -> Result<(), Trouble> {
    let mut domains: Vec<&str> = answer.missing.iter().filter_map(|one| one.split(' ').next()).collect();
    domains.dedup();
    for domain in domains {
        eprintln!("{domain} lacks keys; the server makes them at its next start or reload");
    }
    if global.json {
        return output::json(&answer.lines);
    }
    output::octets(answer.lines.iter().map(zone).collect::<String>().as_bytes())
}

/// A line of a zone file with where the key stands; the record of a retired key is no more than a remark.
fn zone(line: &KeyLine) -> String {
    let stage = line.stage.as_deref().unwrap_or_default();
    let since = output::time(line.since.unwrap_or_default());
    let about = format!("; {} {}: {stage} since {since} UTC", line.domain, line.selector);
    match stage {
        "retired" => format!("{about}; remove its record, or revoke it:\n; {}\n", line.zone),
        _ => format!("{about}\n{}\n", line.zone),
    }
}

fn print_changes(answer: &DkimAnswer, global: &Global, nothing: &str) -> Result<(), Trouble> {
    if global.json {
        return output::json(&answer.lines);
    }
    if answer.lines.is_empty() {
        return output::line(nothing);
    }
    for line in &answer.lines {
        let change = line.change.as_deref().unwrap_or_default();
        output::line(&format!("; {} {}: {change}\n{}", line.domain, line.selector, line.zone))?;
    }
    Ok(())
}
