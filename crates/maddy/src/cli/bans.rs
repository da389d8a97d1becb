//! `bans`: who is not let in, seen, added to and lifted by hand.

use crate::bans::{ADD, BanAdd, BanInfo, BanLift, LIFT, LIST};
use crate::cli::args::Global;
use crate::cli::{Connection, Trouble, output};
use ::config::{Network, parse_duration};
use clap::Subcommand;
use serde::Serialize;
use serde_json::{Value, json};

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum BansCommand {
    /// List addresses and networks that are not let in, with the reason, the end and how often they came
    List,
    /// Do not let an address or a network in; connections that are open stay
    Add {
        /// An address, or a network like 192.0.2.0/24
        network: String,
        /// How long, like 12h or 30d; until it is lifted, if not given
        #[arg(long = "for", value_name = "TIME")]
        time: Option<String>,
    },
    /// Let an address or a network in again, and forget what it did
    Lift {
        /// An address, or a network like 192.0.2.0/24
        network: String,
    },
}

pub(crate) async fn run(command: &BansCommand, global: &Global) -> Result<(), Trouble> {
    Connection::with(global, async |server| match command {
        BansCommand::List => {
            let answer = server.ask_daemon(LIST, &Value::Null).await?;
            let list: Vec<BanInfo> =
                serde_json::from_value(answer).map_err(|error| Trouble::new(error.to_string()))?;
            print(&list, global)
        }
        BansCommand::Add { network, time } => {
            let network = parse(network)?;
            let time = time.as_deref().map(parse_duration).transpose();
            let time = time.map_err(|why| Trouble::usage(format!("--for: {why}")))?;
            let seconds = time.map(|time| time.as_secs());
            server.ask_daemon(ADD, &value(&BanAdd { network: network.clone(), seconds })?).await?;
            output::done(global, &json!({ "banned": network }), &format!("{network} is not let in"))
        }
        BansCommand::Lift { network } => {
            let network = parse(network)?;
            server.ask_daemon(LIFT, &value(&BanLift { network: network.clone() })?).await?;
            output::done(global, &json!({ "lifted": network }), &format!("{network} is let in again"))
        }
    })
    .await
}

/// A network as the daemon writes it.
fn parse(text: &str) -> Result<String, Trouble> {
    let network = Network::parse(text).map_err(|why| Trouble::usage(format!("{text:?}: {why}")))?;
    Ok(network.to_string())
}

fn value(arguments: &impl Serialize) -> Result<Value, Trouble> {
    serde_json::to_value(arguments).map_err(|error| Trouble::new(error.to_string()))
}

fn print(list: &[BanInfo], global: &Global) -> Result<(), Trouble> {
    let row = |ban: &BanInfo| {
        let until = ban.until.map_or_else(
            || "lifted".to_owned(),
            |until| output::time(i64::try_from(until).unwrap_or(i64::MAX)),
        );
        vec![ban.network.clone(), ban.why.clone(), until, ban.refused.to_string()]
    };
    let head = ["network", "why", "until", "refused"];
    output::list(global, list, &head, row, "nobody is banned")
}
