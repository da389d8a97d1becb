//! Whether the reverse name of a client leads back to it (RFC 8601 §2.7.3, there called iprev; also FCrDNS).

use mail::Domain;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;
use world::{DnsError, World};

/// Most names of an address that are followed.
pub const NAMES_MAX: usize = 10;
/// Longest that the whole may take.
pub const TIME_MAX: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IprevResult {
    Pass,
    /// There is a name, but it does not lead back.
    Fail,
    /// The DNS gave no answer.
    TempError,
    /// The address has no name.
    PermError,
}

impl IprevResult {
    /// The word of Authentication-Results.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

impl fmt::Display for IprevResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The result, and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub result: IprevResult,
    pub reason: String,
    pub ip: IpAddr,
    /// The first name that leads back.
    pub name: Option<Domain>,
}

/// Looks up the names of an address, and the addresses of the names.
pub async fn check(ip: IpAddr, world: &World) -> Outcome {
    let ip = ip.to_canonical();
    match tokio::time::timeout(TIME_MAX, look_up(ip, world)).await {
        Ok(outcome) => outcome,
        Err(_) => outcome(ip, IprevResult::TempError, "no answer in time".to_owned()),
    }
}

fn outcome(ip: IpAddr, result: IprevResult, reason: String) -> Outcome {
    Outcome { result, reason, ip, name: None }
}

async fn look_up(ip: IpAddr, world: &World) -> Outcome {
    let names = match world.dns.names(ip).await {
        Ok(names) => names,
        Err(DnsError::Trouble(text)) => return outcome(ip, IprevResult::TempError, text),
        Err(_) => return outcome(ip, IprevResult::PermError, "the address has no name".to_owned()),
    };
    let mut trouble = None;
    for name in names.iter().take(NAMES_MAX) {
        match world.dns.addresses(name).await {
            Ok(ips) if ips.contains(&ip) => {
                let reason = format!("{name} leads back");
                return Outcome { name: Some(name.clone()), ..outcome(ip, IprevResult::Pass, reason) };
            }
            Err(DnsError::Trouble(text)) => trouble = Some(format!("{name} A: {text}")),
            Ok(_) | Err(_) => {}
        }
    }
    match (trouble, names.first()) {
        (Some(text), _) => outcome(ip, IprevResult::TempError, text),
        (None, Some(name)) => outcome(ip, IprevResult::Fail, format!("{name} does not lead back")),
        (None, None) => outcome(ip, IprevResult::PermError, "the address has no name".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use world::fake;

    #[tokio::test]
    async fn names_must_lead_back() {
        let world = fake::world_with(
            1,
            "1.2.0.192.in-addr.arpa PTR wrong.example\n1.2.0.192.in-addr.arpa PTR mx.example\nmx.example A 192.0.2.1\n\
             wrong.example A 192.0.2.9\n2.2.0.192.in-addr.arpa PTR wrong.example\n3.2.0.192.in-addr.arpa TIMEOUT\n\
             4.2.0.192.in-addr.arpa PTR slow.example\nslow.example TIMEOUT\n5.2.0.192.in-addr.arpa PTR gone.example\n",
        )
        .unwrap();
        for (ip, want, name) in [
            ("192.0.2.1", "pass: mx.example leads back", Some("mx.example")),
            ("::ffff:192.0.2.1", "pass: mx.example leads back", Some("mx.example")),
            ("192.0.2.2", "fail: wrong.example does not lead back", None),
            ("192.0.2.3", "temperror: no answer in time", None),
            ("192.0.2.4", "temperror: slow.example A: no answer in time", None),
            ("192.0.2.5", "fail: gone.example does not lead back", None),
            ("192.0.2.6", "permerror: the address has no name", None),
            ("2001:db8::1", "permerror: the address has no name", None),
        ] {
            let outcome = check(ip.parse().unwrap(), &world).await;
            assert_eq!(format!("{}: {}", outcome.result, outcome.reason), want, "{ip}");
            assert_eq!(outcome.name.as_ref().map(Domain::as_str), name, "{ip}");
        }
    }
}
