//! Whether what a client calls itself makes sense (RFC 5321 §2.3.5, §4.1.1.1, §4.1.3).
//!
//! RFC 5321 §4.1.4 forbids to refuse a client because its name does not lead to its address: that is found out, and
//! nothing comes of it unless the configuration wants so.

use mail::Domain;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;
use world::{DnsError, DnsName, Proof, World};

/// Longest that the questions to the DNS may take together.
pub const TIME_MAX: Duration = Duration::from_secs(15);
/// Longest name of a client's making that is kept, in characters.
const HELO_MAX: usize = 255;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeloResult {
    Pass,
    /// Neither a name nor an address literal.
    BadSyntax,
    /// An IP address without brackets.
    BareAddress,
    /// An address literal that is neither the client's nor ours.
    WrongAddress,
    /// Our host name or one of our domains.
    OwnName,
    /// Our address.
    OwnAddress,
    /// A name without a dot.
    ShortName,
    /// The name has neither an address nor a mail host.
    Unresolvable,
    /// The name does not lead to the client.
    Mismatch,
    /// The DNS gave no answer.
    TempError,
}

impl HeloResult {
    /// The word of the configuration and of Authentication-Results.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::BadSyntax => "syntax",
            Self::BareAddress => "bare-address",
            Self::WrongAddress => "wrong-address",
            Self::OwnName => "own-name",
            Self::OwnAddress => "own-address",
            Self::ShortName => "short-name",
            Self::Unresolvable => "unresolvable",
            Self::Mismatch => "mismatch",
            Self::TempError => "temperror",
        }
    }
}

impl fmt::Display for HeloResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The result, and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub result: HeloResult,
    pub reason: String,
    /// What the client called itself, as written.
    pub helo: String,
}

/// Who we are, and who asks.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The client; `None` if nobody knows it.
    pub peer: Option<IpAddr>,
    /// Where the client came to, if that is known.
    pub local: Option<IpAddr>,
    pub hostname: &'a Domain,
    pub domains: &'a [Domain],
}

impl Scene<'_> {
    /// Whether the client is on this very machine: then our name is its own.
    pub(crate) fn is_at_home(&self) -> bool {
        self.peer.map(|peer| peer.to_canonical()).is_some_and(|peer| {
            peer.is_loopback() || self.local.is_some_and(|local| local.to_canonical() == peer)
        })
    }
}

/// Looks at the name; asks the DNS for the addresses of a name, or for ours where an address is given.
pub async fn check(helo: &str, scene: Scene<'_>, world: &World) -> Outcome {
    let looked = tokio::time::timeout(TIME_MAX, look(helo, scene, world)).await;
    let (result, reason) = looked.unwrap_or_else(|_| (HeloResult::TempError, "no answer in time".to_owned()));
    Outcome { result, reason, helo: helo.chars().take(HELO_MAX).collect() }
}

async fn look(helo: &str, scene: Scene<'_>, world: &World) -> (HeloResult, String) {
    if helo.parse::<IpAddr>().is_ok() {
        return (HeloResult::BareAddress, "an IP address must stand in brackets".to_owned());
    }
    let Ok(name) = Domain::parse(helo) else {
        return (HeloResult::BadSyntax, "neither a name nor an address literal".to_owned());
    };
    if let Some(ip) = name.literal() {
        return about_literal(ip.to_canonical(), scene, world).await;
    }
    if (name == *scene.hostname || scene.domains.contains(&name)) && !scene.is_at_home() {
        return (HeloResult::OwnName, format!("{name} is a name of ours"));
    }
    if !name.as_str().contains('.') {
        return (HeloResult::ShortName, format!("{name} is no full name"));
    }
    about_name(&name, scene, world).await
}

async fn about_literal(ip: IpAddr, scene: Scene<'_>, world: &World) -> (HeloResult, String) {
    if scene.peer.is_some_and(|peer| peer.to_canonical() == ip) {
        return (HeloResult::Pass, "the address of the client".to_owned());
    }
    let is_here = scene.local.is_some_and(|local| local.to_canonical() == ip);
    let is_ours = is_here || world.dns.addresses(scene.hostname).await.is_ok_and(|ips| ips.contains(&ip));
    match is_ours {
        true if scene.is_at_home() => (HeloResult::Pass, "an address of this machine".to_owned()),
        true => (HeloResult::OwnAddress, format!("{ip} is an address of ours")),
        false => (HeloResult::WrongAddress, format!("{ip} is not the address of the client")),
    }
}

async fn about_name(name: &Domain, scene: Scene<'_>, world: &World) -> (HeloResult, String) {
    let Some(asked) = DnsName::of(name) else {
        return (HeloResult::BadSyntax, format!("{name} is no name"));
    };
    let found = world.dns.families(&asked, Proof::Usual).await;
    // Whoever is on this very machine may use any of its names.
    let client = scene.peer.filter(|_| !scene.is_at_home());
    let at_client = match client.map(|peer| peer.to_canonical()) {
        Some(peer) if peer.is_ipv4() => Some((peer, &found.four)),
        Some(peer) => Some((peer, &found.six)),
        None => None,
    };
    let leads_there = at_client.map(|(peer, ips)| match ips {
        Ok(ips) => Ok(ips.contains(&peer)),
        Err(DnsError::Trouble(text)) => Err(text.clone()),
        Err(_) => Ok(false),
    });
    match found.joined() {
        Ok(_) => return led(name, leads_there),
        Err(DnsError::Trouble(text)) => return (HeloResult::TempError, format!("{name} A: {text}")),
        Err(DnsError::NoName) => return (HeloResult::Unresolvable, format!("{name} does not exist")),
        Err(DnsError::NoRecord) => {}
    }
    match world.dns.mx(name).await {
        Ok(_) => (HeloResult::Mismatch, format!("{name} has a mail host, and no address of its own")),
        Err(DnsError::Trouble(text)) => (HeloResult::TempError, format!("{name} MX: {text}")),
        Err(_) => (HeloResult::Unresolvable, format!("{name} has neither an address nor a mail host")),
    }
}

/// A name with an address: whether it is the client's, if that is known.
fn led(name: &Domain, leads_there: Option<Result<bool, String>>) -> (HeloResult, String) {
    match leads_there {
        None => (HeloResult::Pass, format!("{name} has an address")),
        Some(Ok(true)) => (HeloResult::Pass, format!("{name} leads to the client")),
        Some(Ok(false)) => (HeloResult::Mismatch, format!("{name} does not lead to the client")),
        Some(Err(text)) => (HeloResult::TempError, format!("{name} of the client's family: {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use world::fake;

    const ZONE: &str = "mx.receiver.example A 192.0.2.25\nhost.example A 203.0.113.9\nmail.example MX 10 host.example\n\
                        text.example TXT \"x\"\nslow.example TIMEOUT\nbad.example SERVFAIL\nhalf.example TXT \"x\"\nhalf.example MX SERVFAIL\n\
                        xn--bcher-kva.example A 203.0.113.9\nsix.example AAAA 2001:db8::9\n\
                        lame.example A 203.0.113.9\nlame.example AAAA SERVFAIL\n";

    #[tokio::test]
    async fn names_make_sense_or_have_a_name_for_their_trouble() {
        let world = fake::world_with(1, ZONE).unwrap();
        let (hostname, ours) =
            (Domain::parse("mx.receiver.example").unwrap(), [Domain::parse("receiver.example").unwrap()]);
        for (peer, helo, want) in [
            ("203.0.113.9", "host.example", "pass"),
            ("203.0.113.10", "host.example", "mismatch"),
            ("2001:db8::1", "host.example", "mismatch"),
            ("::ffff:203.0.113.9", "host.example", "pass"),
            ("203.0.113.9", "mail.example", "mismatch"),
            ("203.0.113.9", "six.example", "mismatch"),
            ("2001:db8::9", "six.example", "pass"),
            // Of one family nothing can be told; the other is enough to be there, and to be the client.
            ("203.0.113.9", "lame.example", "pass"),
            ("2001:db8::9", "lame.example", "temperror"),
            // Nobody knows the client: its name can still be there or not.
            ("-", "host.example", "pass"),
            ("-", "gone.example", "unresolvable"),
            ("-", "[203.0.113.9]", "wrong-address"),
            ("-", "mx.receiver.example", "own-name"),
            ("203.0.113.9", "bücher.example", "pass"),
            ("203.0.113.9", "xn--bcher-kva.example", "pass"),
            ("203.0.113.9", "text.example", "unresolvable"),
            ("203.0.113.9", "gone.example", "unresolvable"),
            ("203.0.113.9", "slow.example", "temperror"),
            ("203.0.113.9", "bad.example", "temperror"),
            ("203.0.113.9", "half.example", "temperror"),
            ("203.0.113.9", "localhost", "short-name"),
            ("203.0.113.9", "203.0.113.9", "bare-address"),
            ("203.0.113.9", "2001:db8::1", "bare-address"),
            ("203.0.113.9", "[203.0.113.9]", "pass"),
            ("::ffff:203.0.113.9", "[203.0.113.9]", "pass"),
            ("2001:db8::1", "[IPv6:2001:db8::1]", "pass"),
            ("203.0.113.9", "[192.0.2.77]", "wrong-address"),
            ("203.0.113.9", "[192.0.2.25]", "own-address"),
            ("203.0.113.9", "[192.0.2.26]", "own-address"),
            ("203.0.113.9", "mx.receiver.example", "own-name"),
            ("203.0.113.9", "MX.Receiver.example", "own-name"),
            ("203.0.113.9", "receiver.example", "own-name"),
            // At home it is no lie
            ("127.0.0.1", "mx.receiver.example", "pass"),
            ("192.0.2.26", "mx.receiver.example", "pass"),
            ("::1", "[192.0.2.25]", "pass"),
            ("203.0.113.9", "", "syntax"),
            ("203.0.113.9", "(helo;x=y)", "syntax"),
            ("203.0.113.9", "a..example", "syntax"),
            ("203.0.113.9", "a b", "syntax"),
        ] {
            let scene = Scene {
                peer: peer.parse().ok(),
                local: Some([192, 0, 2, 26].into()),
                hostname: &hostname,
                domains: &ours,
            };
            let outcome = check(helo, scene, &world).await;
            assert_eq!(outcome.result.word(), want, "{peer} {helo}: {}", outcome.reason);
        }
    }
}
