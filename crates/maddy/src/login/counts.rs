//! What is counted of failed logins, for whoever runs the server: to be seen, and to be lifted.

use super::{Judge, lock};
use crate::admin::{account_name, failure};
use auth::{Count, Source};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use web::{Failure, Kind};

/// Most lines of a listing: the worst are shown.
const SHOWN_MAX: usize = 1000;

/// What is counted under one name.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct GuessInfo {
    /// `address`, `network` or `account`.
    pub(crate) kind: String,
    /// An address, a network as `192.0.2.0/24`, or the name of an account.
    pub(crate) of: String,
    /// Failures that are not forgotten yet.
    pub(crate) failures: u32,
    /// When the last of them was, in seconds since 1970.
    pub(crate) last: u64,
    /// How long the next try has to wait, in seconds.
    pub(crate) wait: u64,
}

/// Whom to forgive.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct GuessLift {
    /// An address, with its network, or an account.
    pub(crate) of: String,
}

impl GuessInfo {
    fn new(kind: &str, of: String, count: Count) -> Self {
        let wait = count.wait.as_secs() + u64::from(count.wait.subsec_nanos() > 0);
        Self { kind: kind.to_owned(), of, failures: count.failures, last: count.last, wait }
    }
}

impl Judge {
    /// What is counted, of addresses and networks, and of accounts that there are: what else people typed as a name is
    /// not kept.
    pub(crate) async fn guesses(&self) -> Result<Vec<GuessInfo>, Failure> {
        let names = self.names().await?;
        let now = self.now();
        let memory = lock(&self.memory);
        let mut list: Vec<GuessInfo> = names
            .into_iter()
            .filter_map(|name| {
                let count = memory.guesses.count_of(&name, now)?;
                Some(GuessInfo::new("account", name, count))
            })
            .collect();
        list.extend(memory.guesses.counts(now).into_iter().take(SHOWN_MAX).map(
            |(source, count)| match source {
                Source::Address(ip) => GuessInfo::new("address", shown(ip, 64), count),
                Source::Network(ip) => {
                    let prefix = if ip.is_ipv4() { "24" } else { "48" };
                    GuessInfo::new("network", format!("{ip}/{prefix}"), count)
                }
            },
        ));
        list.truncate(SHOWN_MAX);
        Ok(list)
    }

    /// Forgets what an address or an account is counted for.
    pub(crate) async fn lift(&self, lift: &GuessLift) -> Result<(), Failure> {
        let names = self.names().await?;
        let is_known = match lift.of.parse::<IpAddr>() {
            Ok(ip) => lock(&self.memory).guesses.lift(ip, &names),
            Err(_) => lock(&self.memory).guesses.lift_account(&account_name(&lift.of)),
        };
        if is_known {
            return Ok(());
        }
        let why = format!("nothing is counted of {}; `maddy creds guesses list` shows what is", lift.of);
        Err(Failure::new(Kind::NotFound, why))
    }

    async fn names(&self) -> Result<Vec<String>, Failure> {
        let all = self.store.credentials().await.map_err(failure)?;
        Ok(all.into_iter().map(|credential| credential.name).collect())
    }
}

/// An address of IPv6 stands for its network of that length.
fn shown(ip: IpAddr, prefix: u8) -> String {
    if ip.is_ipv4() { ip.to_string() } else { format!("{ip}/{prefix}") }
}
