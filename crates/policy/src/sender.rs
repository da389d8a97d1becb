//! Whether the domain in MAIL FROM can receive mail: who cannot be answered has something to hide, or something to
//! repair (RFC 5321 §5.1, RFC 7505 §4.2).

use mail::{Address, Domain};
use std::fmt;
use std::time::Duration;
use world::{DnsError, World};

/// Longest that the questions to the DNS may take together.
pub const TIME_MAX: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SenderResult {
    /// There is a mail host, or an address.
    Pass,
    /// The domain says that it takes no mail.
    NullMx,
    /// There is no such domain.
    Nonexistent,
    /// The domain exists and has neither a mail host nor an address.
    NoMailHost,
    /// One of our own domains, used by a stranger.
    OwnDomain,
    /// The DNS gave no answer.
    TempError,
}

impl SenderResult {
    /// The word of the configuration and of Authentication-Results.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::NullMx => "null-mx",
            Self::Nonexistent => "nonexistent",
            Self::NoMailHost => "no-mail-host",
            Self::OwnDomain => "own-domain",
            Self::TempError => "temperror",
        }
    }
}

impl fmt::Display for SenderResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The result, and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub result: SenderResult,
    pub reason: String,
    /// The address in MAIL FROM.
    pub sender: String,
}

/// Asks for mail hosts, and for addresses where there are none. `ours` are the domains that nobody else sends for;
/// empty for a client that may.
pub async fn check(sender: &Address, ours: &[Domain], world: &World) -> Outcome {
    let domain = sender.domain();
    let looked = tokio::time::timeout(TIME_MAX, look(domain, ours, world)).await;
    let (result, reason) =
        looked.unwrap_or_else(|_| (SenderResult::TempError, "no answer in time".to_owned()));
    Outcome { result, reason, sender: sender.to_string() }
}

async fn look(domain: &Domain, ours: &[Domain], world: &World) -> (SenderResult, String) {
    if ours.contains(domain) {
        return (SenderResult::OwnDomain, format!("{domain} is a domain of ours"));
    }
    if domain.literal().is_some() {
        return (SenderResult::Pass, format!("{domain} is an address"));
    }
    match world.dns.mx(domain).await {
        Ok(hosts) if hosts.iter().all(|mx| mx.exchange.is_none()) => {
            return (SenderResult::NullMx, format!("{domain} takes no mail"));
        }
        Ok(_) => return (SenderResult::Pass, format!("{domain} has a mail host")),
        Err(DnsError::Trouble(text)) => return (SenderResult::TempError, format!("{domain} MX: {text}")),
        Err(DnsError::NoName) => return (SenderResult::Nonexistent, format!("{domain} does not exist")),
        Err(DnsError::NoRecord) => {}
    }
    match world.dns.addresses(domain).await {
        Ok(_) => (SenderResult::Pass, format!("{domain} has an address")),
        Err(DnsError::Trouble(text)) => (SenderResult::TempError, format!("{domain} A: {text}")),
        Err(_) => (SenderResult::NoMailHost, format!("{domain} has neither a mail host nor an address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use world::fake;

    #[tokio::test]
    async fn the_domain_must_be_able_to_take_mail() {
        let zone = "mx.example MX 10 host.example\nnull.example MX 0 .\naddress.example A 192.0.2.1\nsix.example AAAA 2001:db8::1\n\
                    text.example TXT \"x\"\nslow.example TIMEOUT\nbad.example MX SERVFAIL\nhalf.example TXT \"x\"\nhalf.example A SERVFAIL\n\
                    half.example AAAA SERVFAIL\nxn--bcher-kva.example MX 10 host.example\n";
        let world = fake::world_with(1, zone).unwrap();
        let ours = [Domain::parse("receiver.example").unwrap()];
        for (sender, want) in [
            ("a@mx.example", "pass"),
            ("a@address.example", "pass"),
            ("a@six.example", "pass"),
            ("ä@bücher.example", "pass"),
            ("a@[192.0.2.1]", "pass"),
            ("a@null.example", "null-mx"),
            ("a@gone.example", "nonexistent"),
            ("a@text.example", "no-mail-host"),
            ("a@slow.example", "temperror"),
            ("a@bad.example", "temperror"),
            ("a@half.example", "temperror"),
            ("a@receiver.example", "own-domain"),
            ("a@RECEIVER.example", "own-domain"),
            ("a@sub.receiver.example", "nonexistent"),
        ] {
            let outcome = check(&Address::parse(sender).unwrap(), &ours, &world).await;
            assert_eq!(outcome.result.word(), want, "{sender}: {}", outcome.reason);
        }
    }
}
