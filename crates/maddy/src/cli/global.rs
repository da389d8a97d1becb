//! The options that every command takes.

use clap::{Arg, Args};
use std::path::PathBuf;

/// Names the configuration file for commands that do not.
const CONFIG_VARIABLE: &str = "MADDY_CONFIG";
/// The usual configuration file.
const CONFIG_FILE: &str = "/etc/maddy/maddy.conf";

/// Options that every command takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// The configuration file
    #[arg(short, long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Work on this state directory, without a configuration; the demo's is ./maddy-demo
    #[arg(short, long, global = true, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Ask the server at this URL, like https://mx.example.org:9981, in place of the one on this machine
    #[arg(long, global = true, value_name = "URL", env = "MADDY_CONTROL", hide_short_help = true)]
    pub(crate) control: Option<String>,
    /// The file with the token of that server
    #[arg(long, global = true, value_name = "FILE", env = "MADDY_CONTROL_TOKEN", hide_short_help = true)]
    pub(crate) control_token: Option<PathBuf>,
    /// Certificates that are believed of that server besides the public ones (PEM)
    #[arg(long, global = true, value_name = "FILE", env = "MADDY_CONTROL_CA", hide_short_help = true)]
    pub(crate) control_ca: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl Global {
    /// Whether somebody has named the configuration file.
    pub(crate) fn names_config(&self) -> bool {
        self.config.is_some() || std::env::var_os(CONFIG_VARIABLE).is_some()
    }

    /// The configuration file: named here, by the environment, or the usual one.
    pub(crate) fn config(&self) -> PathBuf {
        let named = self.config.clone().or_else(|| std::env::var_os(CONFIG_VARIABLE).map(PathBuf::from));
        named.unwrap_or_else(|| PathBuf::from(CONFIG_FILE))
    }
}

/// The options of every command that mean nothing to this one: understood, so that it can say so, but not shown.
pub(crate) fn without(ids: &[&str]) -> Vec<Arg> {
    let every = Global::augment_args(clap::Command::new("every"));
    let unused = every.get_arguments().filter(|option| ids.contains(&option.get_id().as_str()));
    unused.map(|option| option.clone().hide(true)).collect()
}
