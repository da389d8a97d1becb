//! Options of the node `smtp`.

use crate::early::EarlyTalkers;
use crate::greylist::Greylist;
use config::Network;
use mail::{Address, Domain, Reply, ReversePath, Status};
use net::ListenTls;
use smtp_door::{Entrance, Pattern};

/// The checked options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What both SMTP doors can be told.
    pub door: smtp_door::Config,
    /// Who may send to anybody without a login, and is not judged.
    pub relay_from: Vec<Network>,
    /// The only senders of those networks; any, if it is empty.
    pub relay_senders: Vec<Pattern>,
    /// The only addresses elsewhere to whom those networks may write; any, if it is empty.
    pub relay_recipients: Vec<Pattern>,
    pub early_talkers: EarlyTalkers,
    pub greylist: Greylist,
    /// Sender domains, and all below them, whose mail must come over TLS.
    pub require_tls_from: Vec<Domain>,
}

impl Default for Config {
    fn default() -> Self {
        let listen = vec![Entrance::anywhere(25, ListenTls::StartTls)];
        Self {
            door: smtp_door::Config::usual(listen, 100),
            relay_from: Vec::new(),
            relay_senders: Vec::new(),
            relay_recipients: Vec::new(),
            early_talkers: EarlyTalkers::default(),
            greylist: Greylist::default(),
            require_tls_from: Vec::new(),
        }
    }
}

impl Config {
    /// What a network that may send to anybody hears of a sender that it may not use.
    pub(crate) fn relay_sender(&self, from: &ReversePath) -> Option<Reply> {
        let address = from.address()?;
        let is_listed = self.relay_senders.iter().any(|pattern| pattern.matches(address));
        (!self.relay_senders.is_empty() && !is_listed).then(|| {
            let text = format!("<{address}> is not among the senders that may be used here (relay-sender)");
            Reply::new(550, Status::permanent(7, 1), text)
        })
    }

    /// The same of a recipient elsewhere.
    pub(crate) fn relay_recipient(&self, address: &Address) -> Option<Reply> {
        let is_listed = self.relay_recipients.iter().any(|pattern| pattern.matches(address));
        (!self.relay_recipients.is_empty() && !is_listed).then(|| {
            let text = format!(
                "<{address}> is not among the recipients who may be written to from here (relay-recipient)"
            );
            Reply::new(550, Status::permanent(7, 1), text)
        })
    }

    /// Whether mail of this domain must come over TLS.
    pub(crate) fn demands_tls_of(&self, domain: &Domain) -> bool {
        let is_within = |one: &Domain| {
            let (name, one) = (domain.as_str(), one.as_str());
            name == one || name.strip_suffix(one).is_some_and(|head| head.ends_with('.'))
        };
        self.require_tls_from.iter().any(is_within)
    }
}

/// Reads the node.
pub fn decode(section: &mut config::Section<'_>) -> Config {
    let usual = Config::default();
    let door = smtp_door::Config::decode(section, usual.door, |_| net::ClientCertificates::NotAsked);
    let relay_from = section
        .parsed(
            "relay-from",
            "an address or a network",
            Network::parse,
            "Whose mail is taken for anybody, without a login and without checks; may repeat. Nobody's, if nothing is given.",
        )
        .many();
    let mut patterns =
        |name, doc| section.parsed(name, "an address, \"@domain\" or \"*\"", Pattern::parse, doc).many();
    let relay_senders = patterns("relay-sender", "The only senders of `relay-from`; any, if none is given.");
    let relay_recipients = patterns(
        "relay-recipient",
        "The only addresses elsewhere to whom `relay-from` may write; any, if none is given.",
    );
    let early_talkers = section.child(
        "early-talkers",
        "Clients that speak before they are greeted, which no honest server does.",
        EarlyTalkers::decode,
    );
    let greylist = section.child(
        "greylist",
        "Strangers are asked to come again (451), which servers do and programs that only throw mail do not.",
        Greylist::decode,
    );
    let require_tls_from = section
        .parsed(
            "require-tls-from",
            "a domain",
            Domain::parse,
            "Sender domains, with all below them, whose mail is taken over TLS only; may repeat.",
        )
        .many();
    Config { door, relay_from, relay_senders, relay_recipients, early_talkers, greylist, require_tls_from }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_that_must_use_tls_hold_those_below_them() {
        let text = "require-tls-from \"bank.example\" \"b\u{fc}cher.example\"";
        let config = config::Tree::from_text("test", text, &|_| None).decode(decode).unwrap();
        for (domain, want) in [
            ("bank.example", true),
            ("BANK.example", true),
            ("mail.bank.example", true),
            ("mybank.example", false),
            ("example", false),
            ("xn--bcher-kva.example", true),
        ] {
            assert_eq!(config.demands_tls_of(&Domain::parse(domain).unwrap()), want, "{domain}");
        }
    }
}
