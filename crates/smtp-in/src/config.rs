//! Options of the node `smtp`.

use net::{Listen, ListenTls};

/// The checked options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What both SMTP doors can be told.
    pub door: smtp_door::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self { door: smtp_door::Config::usual(vec![Listen::anywhere(25, ListenTls::StartTls)], 100) }
    }
}

/// Reads the node.
pub fn decode(section: &mut config::Section<'_>) -> Config {
    let usual = Config::default();
    Config { door: smtp_door::Config::decode(section, usual.door) }
}
