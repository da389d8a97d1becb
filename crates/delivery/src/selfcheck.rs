//! Would others believe what we send? Our own SPF, DKIM and DMARC records, and the names of our addresses, looked at as a
//! stranger's server looks at them.

use mail::{Address, Domain};
use policy::author::Author;
use policy::dkim::{DnsRecord, Published, published};
use policy::dmarc::{self, DmarcResult, Evidence, Identifiers, Policy, Unanswered};
use policy::iprev::{self, IprevResult};
use policy::spf::{self, SpfResult};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use world::{DnsError, World};

/// Most addresses that are looked at.
const ADDRESSES_MAX: usize = 16;

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// May our addresses send for the domain?
    Spf,
    /// Does the DNS show the keys that sign?
    Dkim,
    /// Would a message of the domain be aligned?
    Dmarc,
    /// Does the reverse name of an address lead back to it?
    Ptr,
    /// Does the name that we say lead to the address that says it?
    Helo,
}

impl Check {
    pub fn word(self) -> &'static str {
        match self {
            Self::Spf => "spf",
            Self::Dkim => "dkim",
            Self::Dmarc => "dmarc",
            Self::Ptr => "ptr",
            Self::Helo => "helo",
        }
    }
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Good,
    Bad,
    /// The DNS gave no answer, or nobody here can know.
    Unknown,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Unknown => "unknown",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    pub check: Check,
    /// A domain, or an address.
    pub about: String,
    pub state: State,
    /// What is so.
    pub text: String,
    /// What to do; empty where nothing is to be done.
    pub help: String,
}

/// Everything that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Seconds since 1970.
    pub at: i64,
    pub points: Vec<Point>,
    /// Domains whose mail would fail their own DMARC policy, which asks to refuse or to quarantine it, and why.
    pub burning: Vec<(String, String)>,
}

impl Report {
    /// Why mail of this domain would fail the domain's own DMARC policy.
    pub fn burns(&self, domain: &Domain) -> Option<&str> {
        let found = self.burning.iter().find(|(name, _)| name == domain.as_str());
        found.map(|(_, why)| why.as_str())
    }
}

/// How mail leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From our own addresses.
    Direct,
    /// Through another server, whose addresses others see.
    Smarthost,
}

/// What is looked at, and whom to ask.
pub struct Inspector {
    /// The name that we say in EHLO.
    pub hostname: Domain,
    pub domains: Vec<Domain>,
    /// The addresses that we send from; without any, those of `hostname`.
    pub sources: Vec<IpAddr>,
    pub way: Way,
    /// The records of the keys that sign.
    pub keys: Vec<(Domain, DnsRecord)>,
    pub world: World,
}

/// Whether a message of a domain could be vouched for in one way.
enum Vouched {
    Yes,
    No,
    Unknown(String),
}

impl Inspector {
    pub async fn inspect(&self) -> Report {
        let mut report = Report { at: self.world.clock.unix(), ..Report::default() };
        let addresses = self.addresses(&mut report).await;
        if self.way == Way::Direct {
            for ip in &addresses {
                report.points.push(self.ptr(*ip).await);
            }
        }
        for domain in self.domains.iter().filter(|domain| domain.literal().is_none()) {
            let spf = self.spf(domain, &addresses, &mut report).await;
            let dkim = self.dkim(domain, &mut report).await;
            self.dmarc(domain, spf, dkim, &mut report).await;
        }
        report
    }

    /// Our addresses, and whether the name that we say leads to them.
    async fn addresses(&self, report: &mut Report) -> Vec<IpAddr> {
        if self.way == Way::Smarthost {
            return Vec::new();
        }
        let found = self.world.dns.addresses(&self.hostname).await;
        let mut point = |about: String, state, text: String, help: &str| {
            report.points.push(Point { check: Check::Helo, about, state, text, help: help.to_owned() });
        };
        let name = self.hostname.to_string();
        let of_name: Vec<IpAddr> = match found {
            Ok(found) => found.into_iter().map(|ip| ip.to_canonical()).take(ADDRESSES_MAX).collect(),
            Err(DnsError::Trouble(why)) => {
                point(name, State::Unknown, format!("the DNS does not say where we are: {why}"), "");
                return self.sources.clone();
            }
            Err(why) => {
                let help = "publish A and AAAA records of the host name";
                point(name, State::Bad, format!("the name that we say has no address: {why}"), help);
                return self.sources.clone();
            }
        };
        if self.sources.is_empty() {
            let list = of_name.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            point(name, State::Good, format!("the name that we say leads to {list}"), "");
            return of_name;
        }
        for ip in &self.sources {
            let leads = of_name.contains(&ip.to_canonical());
            let (state, help) = match leads {
                true => (State::Good, ""),
                false => (State::Bad, "publish this address for the name, or send from one that it has"),
            };
            let words = if leads { "leads" } else { "does not lead" };
            point(
                ip.to_string(),
                state,
                format!("the name that we say, {name}, {words} to this address"),
                help,
            );
        }
        self.sources.clone()
    }

    async fn ptr(&self, ip: IpAddr) -> Point {
        let outcome = iprev::check(ip, &self.world).await;
        let is_ours = outcome.name.as_ref() == Some(&self.hostname);
        let (state, help) = match outcome.result {
            IprevResult::Pass if is_ours => (State::Good, String::new()),
            IprevResult::Pass => {
                (State::Good, format!("some servers want the reverse name to be {}", self.hostname))
            }
            IprevResult::TempError => (State::Unknown, String::new()),
            _ => {
                let help =
                    format!("have whoever gave you the address set its reverse name to {}", self.hostname);
                (State::Bad, help)
            }
        };
        Point { check: Check::Ptr, about: ip.to_string(), state, text: outcome.reason, help }
    }

    async fn spf(&self, domain: &Domain, addresses: &[IpAddr], report: &mut Report) -> Vouched {
        let mut point = |state, text: String, help: String| {
            report.points.push(Point { check: Check::Spf, about: domain.to_string(), state, text, help });
        };
        if self.way == Way::Smarthost {
            let text = "mail goes through another server: whether the domain lets that one send, only its operator knows";
            point(State::Unknown, text.to_owned(), String::new());
            return Vouched::Unknown("mail goes through another server".to_owned());
        }
        if addresses.is_empty() {
            let text = "no address is known that mail leaves from, so there is none to ask about".to_owned();
            point(State::Unknown, text.clone(), String::new());
            return Vouched::Unknown(text);
        }
        let (mut all, mut unknown) = (true, None);
        let Ok(sender) = Address::new("postmaster", domain.clone()) else { return Vouched::No };
        for ip in addresses {
            let question = spf::Question::mail_from(*ip, &sender, self.hostname.as_str(), &self.hostname);
            let outcome = spf::check_host(&question, &self.world).await;
            let text = format!("{ip}: {}: {}", outcome.result, outcome.reason);
            match outcome.result {
                SpfResult::Pass => point(State::Good, text, String::new()),
                SpfResult::TempError => {
                    unknown = Some(outcome.reason);
                    point(State::Unknown, text, String::new());
                }
                _ => {
                    all = false;
                    let kind = if ip.is_ipv4() { "ip4" } else { "ip6" };
                    point(
                        State::Bad,
                        text,
                        format!("put {kind}:{ip}, or mx, into the SPF record of {domain}"),
                    );
                }
            }
        }
        match unknown {
            Some(why) if all => Vouched::Unknown(why),
            _ if all => Vouched::Yes,
            _ => Vouched::No,
        }
    }

    async fn dkim(&self, domain: &Domain, report: &mut Report) -> Vouched {
        let (mut any, mut unknown) = (false, None);
        let keys: Vec<&DnsRecord> =
            self.keys.iter().filter(|(of, _)| of == domain).map(|(_, key)| key).collect();
        let mut point = |state, text: String, help: String| {
            report.points.push(Point { check: Check::Dkim, about: domain.to_string(), state, text, help });
        };
        if keys.is_empty() && self.way == Way::Smarthost {
            let text =
                "nothing signs for this domain here; whether the smarthost does is not known".to_owned();
            point(State::Unknown, text.clone(), String::new());
            return Vouched::Unknown(text);
        }
        if keys.is_empty() {
            point(
                State::Bad,
                "nothing signs for this domain".to_owned(),
                "switch signing on: dkim".to_owned(),
            );
        }
        for key in keys {
            match published(self.world.dns.as_ref(), key).await {
                Published::Right => {
                    any = true;
                    point(State::Good, format!("{} shows the key that signs", key.name), String::new());
                }
                Published::Absent(why) | Published::Wrong(why) => {
                    let help = format!("publish {}", key.zone_line());
                    point(State::Bad, format!("{}: {why}", key.name), help);
                }
                Published::Unknown(why) => {
                    point(State::Unknown, format!("{}: {why}", key.name), String::new());
                    unknown = Some(why);
                }
            }
        }
        match unknown {
            _ if any => Vouched::Yes,
            Some(why) => Vouched::Unknown(why),
            None => Vouched::No,
        }
    }

    /// As a receiver judges: with what SPF and DKIM would say of a message in the domain's own name.
    async fn dmarc(&self, domain: &Domain, spf: Vouched, dkim: Vouched, report: &mut Report) {
        let mut identifiers = Identifiers { dkim: Vec::new(), spf: Vec::new(), unanswered: Vec::new() };
        let mut take = |vouched: Vouched, into: &mut Vec<Domain>| match vouched {
            Vouched::Yes => into.push(domain.clone()),
            Vouched::No => {}
            Vouched::Unknown(reason) => {
                identifiers.unanswered.push(Unanswered { domain: domain.clone(), reason });
            }
        };
        let (mut by_spf, mut by_dkim) = (Vec::new(), Vec::new());
        take(spf, &mut by_spf);
        take(dkim, &mut by_dkim);
        (identifiers.spf, identifiers.dkim) = (by_spf, by_dkim);
        let author = Author::One(domain.clone());
        let evidence = Evidence::gather(author, &identifiers, self.world.dns.as_ref()).await;
        let outcome = dmarc::judge(&evidence, &identifiers);
        let (state, help) = match outcome.result {
            DmarcResult::Pass => (State::Good, String::new()),
            DmarcResult::None => (
                State::Bad,
                format!(
                    "publish a DMARC record: _dmarc.{domain} TXT \"v=DMARC1; p=none; rua=mailto:postmaster@{domain}\""
                ),
            ),
            DmarcResult::TempError => (State::Unknown, String::new()),
            DmarcResult::Fail | DmarcResult::PermError => {
                (State::Bad, "mend what is bad of SPF or DKIM of this domain".to_owned())
            }
        };
        if outcome.result == DmarcResult::Fail
            && outcome.published.is_some_and(|policy| policy != Policy::None)
        {
            report.burning.push((domain.as_str().to_owned(), outcome.reason.clone()));
        }
        let about = domain.to_string();
        report.points.push(Point { check: Check::Dmarc, about, state, text: outcome.reason, help });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "mx.o.ex A 192.0.2.1\n1.2.0.192.in-addr.arpa PTR mx.o.ex\no.ex TXT \"v=spf1 a:mx.o.ex -all\"\n\
        s._domainkey.o.ex TXT \"v=DKIM1; k=ed25519; p=AAAA\"\n_dmarc.o.ex TXT \"v=DMARC1; p=reject\"\n";

    async fn inspected(zone: &str, way: Way, sources: &[&str]) -> Report {
        inspector(zone, way, sources).inspect().await
    }

    fn inspector(zone: &str, way: Way, sources: &[&str]) -> Inspector {
        let domain = |text: &str| Domain::parse(text).unwrap();
        let record =
            DnsRecord { name: "s._domainkey.o.ex".to_owned(), text: "v=DKIM1; k=ed25519; p=AAAA".to_owned() };
        Inspector {
            hostname: domain("mx.o.ex"),
            domains: vec![domain("o.ex")],
            sources: sources.iter().map(|ip| ip.parse().unwrap()).collect(),
            way,
            keys: vec![(domain("o.ex"), record)],
            world: world::fake::world_with(1, zone).unwrap(),
        }
    }

    /// The smarthost may sign, and nobody here knows.
    #[tokio::test]
    async fn who_hands_all_to_a_smarthost_need_not_sign() {
        for (way, want) in [
            (Way::Smarthost, "spf=unknown dkim=unknown dmarc=unknown"),
            (Way::Direct, "helo=good ptr=good spf=good dkim=bad dmarc=good"),
        ] {
            let mut inspector = inspector(GOOD, way, &["192.0.2.1"]);
            inspector.keys.clear();
            assert_eq!(states(&inspector.inspect().await), want);
        }
    }

    fn states(report: &Report) -> String {
        let word = |point: &Point| format!("{}={}", point.check.word(), point.state.word());
        report.points.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    #[tokio::test]
    async fn each_mistake_is_found() {
        for (old, new, want, burns) in [
            ("", "", "helo=good ptr=good spf=good dkim=good dmarc=good", false),
            ("mx.o.ex A 192.0.2.1\n", "", "helo=bad spf=unknown dkim=good dmarc=good", false),
            ("PTR mx.o.ex", "PTR other.ex", "helo=good ptr=bad spf=good dkim=good dmarc=good", false),
            ("a:mx.o.ex", "mx", "helo=good ptr=good spf=bad dkim=good dmarc=good", false),
            ("p=AAAA", "p=BBBB", "helo=good ptr=good spf=good dkim=bad dmarc=good", false),
            (
                "_dmarc.o.ex TXT \"v=DMARC1; p=reject\"\n",
                "",
                "helo=good ptr=good spf=good dkim=good dmarc=bad",
                false,
            ),
            (
                "s._domainkey.o.ex TXT \"v=DKIM1; k=ed25519; p=AAAA\"",
                "s._domainkey.o.ex TIMEOUT",
                "helo=good ptr=good spf=good dkim=unknown dmarc=good",
                false,
            ),
        ] {
            let report = inspected(&GOOD.replace(old, new), Way::Direct, &[]).await;
            if old.is_empty() {
                assert_eq!(states(&inspected(GOOD, Way::Direct, &[]).await), want);
                continue;
            }
            assert_eq!(states(&report), want, "{old}");
            assert_eq!(report.burns(&Domain::parse("o.ex").unwrap()).is_some(), burns, "{old}");
            assert!(report.points.iter().all(|point| point.state != State::Bad || !point.help.is_empty()));
        }
    }

    #[tokio::test]
    async fn only_a_certain_failure_of_a_strict_policy_burns() {
        let broken = GOOD.replace("a:mx.o.ex", "mx").replace("p=AAAA", "p=BBBB");
        let domain = Domain::parse("o.ex").unwrap();
        for (zone, way, want) in [
            (broken.clone(), Way::Direct, true),
            (broken.replace("p=reject", "p=quarantine"), Way::Direct, true),
            (broken.replace("p=reject", "p=none"), Way::Direct, false),
            (
                broken.replace("s._domainkey.o.ex TXT", "s._domainkey.o.ex SERVFAIL\nx.ex TXT"),
                Way::Direct,
                false,
            ),
            (broken.clone(), Way::Smarthost, false),
            (GOOD.to_owned(), Way::Direct, false),
        ] {
            let report = inspected(&zone, way, &[]).await;
            assert_eq!(report.burns(&domain).is_some(), want, "{zone} {}", states(&report));
        }
    }

    #[tokio::test]
    async fn our_own_addresses_are_told_from_those_of_the_name() {
        let report = inspected(GOOD, Way::Direct, &["192.0.2.1", "192.0.2.9"]).await;
        assert_eq!(
            states(&report),
            "helo=good helo=bad ptr=good ptr=bad spf=good spf=bad dkim=good dmarc=good"
        );
        assert_eq!(states(&inspected(GOOD, Way::Smarthost, &[]).await), "spf=unknown dkim=good dmarc=good");
    }
}
