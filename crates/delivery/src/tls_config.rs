//! The `delivery { tls { … } }` node: how the way to other servers is protected, for all and for single destinations.

use crate::tls_policy::Minimum;
use config::{Arg, Network, Section};
use mail::Domain;
use net::Reach;
use policy::mtasts::HostPattern;
use std::fmt;

/// Checked options of transport security.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// For destinations without an entry of their own.
    pub minimum: Minimum,
    /// Whether TLSA records are asked for (RFC 7672).
    pub dane: bool,
    /// Whether policies are fetched (RFC 8461).
    pub mta_sts: bool,
    /// Where the web servers with the policies listen.
    pub policy_port: u16,
    /// Networks besides the public Internet in which web servers of others may be asked.
    pub private_networks: Vec<Network>,
    pub destinations: Vec<Destination>,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            minimum: Minimum::None,
            dane: true,
            mta_sts: true,
            policy_port: 443,
            private_networks: Vec::new(),
            destinations: Vec::new(),
        }
    }
}

/// What holds for some destinations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    pub domains: Vec<Domains>,
    pub minimum: Minimum,
    /// Mail hosts whose names are trusted although no signed record names them.
    pub hosts: Vec<HostPattern>,
}

/// A domain, or all domains below one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Domains {
    One(Domain),
    Below(Domain),
}

impl Domains {
    fn parse(text: &str) -> Result<Self, String> {
        let (kind, name): (fn(Domain) -> Self, &str) = match text.strip_prefix("*.") {
            Some(name) => (Self::Below, name),
            None => (Self::One, text),
        };
        let domain = Domain::parse(name).map_err(|error| error.to_string())?;
        Ok(kind(domain))
    }

    /// How closely it fits: the longer the better, the domain itself best. `None` if it does not.
    fn fit(&self, domain: &Domain) -> Option<usize> {
        match self {
            Self::One(one) => (one == domain).then_some(usize::MAX),
            Self::Below(top) => (domain != top && domain.is_within(top)).then_some(top.as_str().len()),
        }
    }
}

impl fmt::Display for Domains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(domain) => write!(f, "{domain}"),
            Self::Below(domain) => write!(f, "*.{domain}"),
        }
    }
}

impl TlsConfig {
    /// Where web servers of others may be asked at this port.
    pub fn reach(&self, port: u16) -> Reach {
        Reach { also: self.private_networks.clone(), port }
    }

    /// What holds for a destination: the entry that fits most closely, or what holds for all.
    pub fn of(&self, domain: &Domain) -> (Minimum, &[HostPattern]) {
        let fits = self.destinations.iter().filter_map(|destination| {
            let best = destination.domains.iter().filter_map(|domains| domains.fit(domain)).max()?;
            Some((best, destination))
        });
        match fits.reduce(|best, other| if other.0 > best.0 { other } else { best }) {
            Some((_, destination)) => (destination.minimum, &destination.hosts),
            None => (self.minimum, &[]),
        }
    }
}

const MINIMA: [(&str, Minimum); 3] =
    [("none", Minimum::None), ("encrypted", Minimum::Encrypted), ("authenticated", Minimum::Authenticated)];

/// Reads the node.
pub fn decode(section: &mut Section<'_>) -> TlsConfig {
    let usual = TlsConfig::default();
    TlsConfig {
        minimum: section
            .choice(
                "minimum",
                &MINIMA,
                "The least for every destination; with \"none\" TLS is used where it is offered.",
            )
            .or(usual.minimum),
        dane: section
            .flag("dane", "Whether signed TLSA records decide which certificate a host must show.")
            .or(usual.dane),
        mta_sts: section
            .flag("mta-sts", "Whether the MTA-STS policies of destinations are fetched and obeyed.")
            .or(usual.mta_sts),
        policy_port: section
            .count("policy-port", "Port of the web servers that publish MTA-STS policies.")
            .within(1..=u16::MAX)
            .or(usual.policy_port),
        private_networks: section
            .parsed(
                "private-networks",
                "an address or a network",
                Network::parse,
                "Networks besides the public Internet in which others may have the web servers with their policies, and those for TLS reports; may repeat.",
            )
            .many(),
        destinations: section.each("destination", "What holds for some destinations.", decode_destination),
    }
}

fn decode_destination(section: &mut Section<'_>) -> Destination {
    let domains = section
        .parsed(
            Arg("domain"),
            "a domain, or \"*.\" and a domain",
            Domains::parse,
            "The destinations; \"*.example.org\" is all that is below example.org.",
        )
        .many();
    if domains.is_empty() && section.is_present() {
        section.problem(section.span(), "`destination` names no domain", "name one or more");
    }
    Destination {
        domains,
        minimum: section
            .choice("minimum", &MINIMA, "The least for these destinations.")
            .or(Minimum::Authenticated),
        hosts: section
            .parsed(
                "mx",
                "a host name, or \"*.\" and a domain",
                |text| HostPattern::parse(text).ok_or("is no host name"),
                "Mail hosts whose names are trusted although no signed record names them.",
            )
            .many(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::Tree;

    fn read(text: &str) -> Result<TlsConfig, String> {
        Tree::from_text("test", text, &|_| None)
            .decode(|top| top.child("tls", "", decode))
            .map_err(|problems| problems.to_string())
    }

    #[test]
    fn the_entry_that_fits_most_closely_holds() {
        let config = read(
            r#"tls {
                minimum "encrypted"
                dane #false; mta-sts #false; policy-port 8443; private-networks "10.0.0.0/8"
                destination "bank.example" "*.gov.example" { mx "*.mail.example" }
                destination "*.example" minimum="none"
                destination "old.gov.example" minimum="encrypted"
            }"#,
        )
        .unwrap();
        assert!(!config.dane && !config.mta_sts);
        assert_eq!(config.policy_port, 8443);
        for (domain, want) in [
            ("bank.example", "Authenticated *.mail.example"),
            ("tax.gov.example", "Authenticated *.mail.example"),
            ("a.b.gov.example", "Authenticated *.mail.example"),
            ("old.gov.example", "Encrypted "),
            ("gov.example", "None "),
            ("other.example", "None "),
            ("example", "Encrypted "),
            ("elsewhere.test", "Encrypted "),
        ] {
            let (minimum, hosts) = config.of(&Domain::parse(domain).unwrap());
            let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
            assert_eq!(format!("{minimum:?} {}", hosts.join(" ")), want, "{domain}");
        }
        assert_eq!(read("").unwrap(), TlsConfig::default());
    }

    #[test]
    fn mistakes_are_said() {
        for (text, want) in [
            ("minimum \"strong\"", "strong"),
            ("policy-port 0", "must be between 1 and 65535"),
            ("destination minimum=\"none\"", "names no domain"),
            ("destination \"a..b\"", "a..b"),
            ("destination \"a.example\" { mx \"a*.example\" }", "is no host name"),
        ] {
            let got = read(&format!("tls {{ {text} }}")).unwrap_err();
            assert!(got.contains(want), "{text}\n{got}");
        }
    }
}
