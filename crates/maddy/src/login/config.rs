//! Options of the node `logins`.

use super::oauth::OAuth;
use ::config::{Network, Section};
use auth::GuessLimits;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Checked node `logins`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Logins {
    pub(crate) limits: GuessLimits,
    /// From where logins may fail as often as they like.
    pub(crate) exempt: Vec<Network>,
    pub(crate) scram: Scram,
    /// Who is asked about tokens.
    pub(crate) oauth: Option<Arc<OAuth>>,
}

/// When the mechanisms SCRAM-… are announced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Scram {
    /// As soon as every account can use them.
    #[default]
    Auto,
    Always,
    Never,
}

impl Scram {
    pub(crate) fn is_announced(self, can_all: bool) -> bool {
        match self {
            Self::Auto => can_all,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

impl Logins {
    pub(crate) fn decode(section: &mut Section<'_>) -> Self {
        let usual = GuessLimits::default();
        let seconds = Duration::from_secs;
        let most = |section: &mut Section<'_>, key: &'static str, doc: &str, usual: u32| {
            section.count(key, doc).within(1..=100_000).or(usual)
        };
        let limits = GuessLimits {
            per_address: most(
                section,
                "failures-per-address",
                "Failed logins of one address (of a /64 of IPv6) before it has to wait.",
                usual.per_address,
            ),
            per_network: most(
                section,
                "failures-per-network",
                "Failed logins of one network (a /24 of IPv4, a /48 of IPv6) before it has to wait.",
                usual.per_network,
            ),
            per_account: most(
                section,
                "failures-per-account",
                "Failed logins with one account, from everywhere, after which an address has one try and then waits.",
                usual.per_account,
            ),
            delay: section
                .duration("delay", "The first wait; each further failure doubles it.")
                .within(seconds(1)..=seconds(3600))
                .or(usual.delay),
            max_delay: section
                .duration("max-delay", "No wait is longer.")
                .within(seconds(1)..=seconds(24 * 3600))
                .or(usual.max_delay),
            forget: section
                .duration("forget", "Time after which one failure is forgotten, and then the next.")
                .within(seconds(1)..=seconds(7 * 24 * 3600))
                .or(usual.forget),
        };
        let exempt = section
            .parsed(
                "exempt",
                "an address or a network",
                Network::parse,
                "From where logins are never counted or made to wait; may repeat.",
            )
            .many();
        let scram = section
            .choice(
                "scram",
                &[("auto", Scram::Auto), ("always", Scram::Always), ("never", Scram::Never)],
                "When the mechanisms SCRAM-… are announced: \"auto\" as soon as every account can use them, \"always\", \"never\".",
            )
            .or(Scram::Auto);
        let oauth = section
            .child_if_present(
                "oauth",
                "Tokens of an authorization server as logins: OAUTHBEARER and XOAUTH2.",
                OAuth::decode,
            )
            .flatten();
        Self { limits, exempt, scram, oauth: oauth.map(Arc::new) }
    }

    pub(crate) fn is_exempt(&self, from: IpAddr) -> bool {
        self.exempt.iter().any(|network| network.contains(from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Logins, String> {
        let tree = ::config::Tree::from_text("t", text, &|_| None);
        tree.decode(Logins::decode).map_err(|problems| problems.to_string())
    }

    #[test]
    fn options_are_read() {
        assert_eq!(read(""), Ok(Logins::default()));
        let logins = read(
            "failures-per-address 1\nfailures-per-network 2\nfailures-per-account 3\ndelay \"4s\"\n\
             max-delay \"5m\"\nforget \"6m\"\nexempt \"127.0.0.0/8\" \"::1\"\nexempt \"192.0.2.1\"",
        )
        .unwrap();
        let seconds = Duration::from_secs;
        let limits = GuessLimits {
            per_address: 1,
            per_network: 2,
            per_account: 3,
            delay: seconds(4),
            max_delay: seconds(300),
            forget: seconds(360),
        };
        assert_eq!(logins.limits, limits);
        for (ip, is_exempt) in [
            ("127.1.2.3", true),
            ("::ffff:127.0.0.1", true),
            ("::1", true),
            ("192.0.2.1", true),
            ("192.0.2.2", false),
            ("::2", false),
        ] {
            assert_eq!(logins.is_exempt(ip.parse().unwrap()), is_exempt, "{ip}");
        }
        assert!(read("exempt \"192.0.2.1/24\"").unwrap_err().contains("bits behind"));
        assert!(read("failures-per-address 0").is_err());
        assert!(read("delay \"0s\"").is_err());
    }
}
