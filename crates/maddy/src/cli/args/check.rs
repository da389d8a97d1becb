//! Arguments of `maddy check`.

use clap::{Args, Subcommand};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum CheckCommand {
    /// May a host send in the name of a domain?
    Spf(Sender),
    /// Are the signatures of a message good?
    Dkim(DkimFile),
    /// Does anybody vouch for the author of a message, and what does its domain want done if not?
    Dmarc(MailFile),
    /// Is the MTA-STS policy of a domain good, and true of its mail hosts?
    MtaSts(StsDomain),
    /// Which TLSA records does a mail host have, and does it show a certificate that they name?
    Dane(OneHost),
    /// Is the chain whole of those who handed a message on, and what do they say?
    Arc(DkimFile),
    /// Would others believe what we send? Our own SPF, DKIM, DMARC, reverse names and HELO, as the running server finds them
    Egress,
    /// What do lists in the DNS say of an address?
    Dnsbl(Listed),
}

impl CheckCommand {
    /// `None` for what the running server looks at.
    pub(crate) fn asking(&self) -> Option<&Asking> {
        Some(match self {
            Self::Egress => return None,
            Self::Spf(sender) => &sender.asking,
            Self::Dkim(file) | Self::Arc(file) => &file.asking,
            Self::Dmarc(mail) => &mail.sender.asking,
            Self::MtaSts(domain) => &domain.asking,
            Self::Dane(host) => &host.asking,
            Self::Dnsbl(listed) => &listed.asking,
        })
    }
}

/// How the DNS is asked.
#[derive(Clone, Debug, Args)]
pub(crate) struct Asking {
    /// The name server to ask, on port 53 if none is given; those of the configuration or of the system, if not given
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = name_server)]
    pub(crate) resolver: Option<SocketAddr>,
    /// Prove every answer with DNSSEC; what is bogus counts as no answer
    #[arg(long)]
    pub(crate) dnssec: bool,
    /// The same, with the DNSKEY and DS records of a file in place of the keys of the root
    #[arg(long, value_name = "FILE")]
    pub(crate) trust_anchor: Option<PathBuf>,
}

/// An address, with a port or without.
fn name_server(text: &str) -> Result<SocketAddr, String> {
    let with_port = text.parse::<SocketAddr>().ok();
    let bare = || Some(SocketAddr::new(text.trim_matches(['[', ']']).parse().ok()?, 53));
    with_port.or_else(bare).ok_or_else(|| {
        "this must be an address with or without a port, like 192.0.2.53, 127.0.0.1:5353 or [::1]:53"
            .to_owned()
    })
}

#[derive(Clone, Debug, Args)]
pub(crate) struct StsDomain {
    pub(crate) domain: String,
    /// The port of the web server, for one that is not yet where senders will look; theirs is 443
    #[arg(long, value_name = "PORT", default_value_t = 443)]
    pub(crate) port: u16,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct OneHost {
    /// The name of the mail host, as MX records have it
    pub(crate) host: String,
    #[arg(long, default_value_t = 25)]
    pub(crate) port: u16,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Sender {
    /// The address of the client
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) ip: IpAddr,
    /// What it says in MAIL FROM; <> is the null sender
    #[arg(long, value_name = "SENDER", required_unless_present = "helo")]
    pub(crate) from: Option<String>,
    /// What it says in HELO; the domain of the sender, if not given
    #[arg(long, value_name = "NAME")]
    pub(crate) helo: Option<String>,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct DkimFile {
    /// The message; - is standard input
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Listed {
    /// The address of the client
    pub(crate) ip: IpAddr,
    /// A list to ask; may be given several times. Those of the configuration, if not given
    #[arg(long, value_name = "ZONE")]
    pub(crate) list: Vec<String>,
    /// What the client says in HELO, for lists of names
    #[arg(long, value_name = "NAME")]
    pub(crate) helo: Option<String>,
    /// What it says in MAIL FROM, for lists of domains
    #[arg(long, value_name = "SENDER")]
    pub(crate) from: Option<String>,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct MailFile {
    /// The message; - is standard input
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) sender: Sender,
}
