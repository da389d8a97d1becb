//! The node `notifications`: in one line a server that does nothing but carry the notices of one machine to a few
//! people, through a server that knows it.

use crate::config::Config;
use ::config::Section;
use delivery::AliasKey;
use delivery::config::{Smarthost, decode_smarthost};
use mail::{Address, Domain};
use net::ListenTls;
use policy::Switch;
use smtp_door::{Entrance, Pattern};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The port for programs that speak SMTP.
const PORT: u16 = 25;

/// The checked node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Notifications {
    smarthost: Smarthost,
    /// Who may write; without any, addresses of our domains.
    from: Vec<Pattern>,
    /// To whom.
    to: Vec<Pattern>,
}

/// What else the configuration says, and what therefore stays as it says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said {
    submission: bool,
    imap: bool,
    dkim: bool,
}

impl Said {
    pub(crate) fn of(section: &Section<'_>) -> Self {
        Self { submission: section.has("submission"), imap: section.has("imap"), dkim: section.has("dkim") }
    }
}

/// Reads the node.
pub(crate) fn decode(section: &mut Section<'_>) -> Option<Notifications> {
    let smarthost = decode_smarthost(section);
    let mut patterns =
        |name, doc| section.parsed(name, "an address, \"@domain\" or \"*\"", Pattern::parse, doc).many();
    let from = patterns(
        "from",
        "Who may write: an address or \"@domain\", may repeat; addresses of `domains`, if not given.",
    );
    let to = patterns(
        "to",
        "To whom, in the same form. What goes to names of this machine, like root, goes to the first that is an address.",
    );
    if !to.iter().any(|pattern| matches!(pattern, Pattern::One(_))) {
        let help = "name who gets the notices: to \"ops@example.org\"";
        section.problem(section.span(), "`notifications` needs an address in `to`", help);
    }
    if smarthost.as_ref().is_some_and(|smarthost| !smarthost.security.is_verified()) {
        let help = "leave `tls` out, or use \"required\" or \"implicit\"; `delivery { ca-file }` names an authority of your own";
        section.problem(section.span(), "the way to the smarthost must be verified TLS", help);
    }
    Some(Notifications { smarthost: smarthost?, from, to })
}

impl Notifications {
    /// Makes the rest of the configuration do this and no more.
    pub(crate) fn apply(self, config: &mut Config, said: Said) {
        let from = if self.from.is_empty() {
            config.domains.iter().cloned().map(Pattern::Domain).collect()
        } else {
            self.from
        };
        if let Some(first) = self.to.iter().find_map(|pattern| match pattern {
            Pattern::One(address) => Some(address.clone()),
            Pattern::Domain(_) | Pattern::Any => None,
        }) {
            names_of_this_machine(config, &first);
        }
        config.delivery.smarthost = Some(self.smarthost);
        if config.smtp.relay_from.is_empty() {
            config.smtp.relay_from = loopback();
        }
        (config.smtp.relay_senders, config.smtp.relay_recipients) = (from.clone(), self.to.clone());
        (config.sendmail.senders, config.sendmail.recipients) = (from, self.to);
        if config.smtp.door.listen == smtp_in::Config::default().door.listen {
            let at = |ip: IpAddr| Entrance {
                listen: net::Listen {
                    address: SocketAddr::new(ip, PORT),
                    ..net::Listen::anywhere(PORT, ListenTls::StartTls)
                },
                ..Entrance::anywhere(PORT, ListenTls::StartTls)
            };
            config.smtp.door.listen = vec![at(Ipv4Addr::LOCALHOST.into()), at(Ipv6Addr::LOCALHOST.into())];
        }
        if !said.submission {
            config.submission.door.listen.clear();
        }
        if !said.imap {
            config.imap.listen.clear();
        }
        if !said.dkim {
            config.dkim.signing = Switch::Off;
        }
    }
}

/// Everybody here is the one who gets the notices, where no alias says otherwise.
fn names_of_this_machine(config: &mut Config, to: &Address) {
    let domains: Vec<Domain> =
        config.domains.iter().filter(|domain| *domain != to.domain()).cloned().collect();
    for domain in domains {
        if let Ok(all) = AliasKey::parse(&format!("*@{domain}")) {
            config.aliases.insert_if_absent(&all, vec![to.clone()]);
        }
    }
}

fn loopback() -> Vec<::config::Network> {
    ["127.0.0.0/8", "::1"].iter().filter_map(|text| ::config::Network::parse(text).ok()).collect()
}
