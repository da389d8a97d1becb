//! The DNS of our domains, compared with what it should say.

use crate::config::Config;
use crate::setup::compare_host;
use crate::setup::finding::{Finding, State};
use crate::setup::records::{Facts, Need, Says, Wanted, wanted};
use mail::{Address, Domain};
use policy::spf::{self, Question, SpfResult};
use std::collections::BTreeSet;
use std::net::IpAddr;
use world::{Data, DnsError, DnsName, Kind, Proof, World};

/// Everything that the DNS says of us.
pub(crate) async fn compare(config: &Config, facts: &Facts, world: &World) -> Vec<Finding> {
    let silence = resolver(world).await;
    if silence.state != State::Good {
        return vec![silence];
    }
    let list = wanted(config, facts);
    let reached = world.dns.addresses(&config.hostname).await;
    let mut findings = vec![silence];
    findings.extend(compare_host::compare(config, facts, &reached, world).await);
    let eye = Eye { config, list: &list, addresses: reached.unwrap_or_default(), world };
    for domain in config.domains.iter().filter(|domain| domain.literal().is_none()) {
        findings.push(eye.mx(domain).await);
        findings.push(eye.spf(domain).await);
        for record in facts.dkim_of(domain) {
            findings.push(eye.dkim(&record.name, &record.text).await);
        }
        findings.push(eye.dmarc(domain).await);
        findings.push(eye.tlsrpt(domain).await);
        findings.extend(eye.web(domain).await);
        findings.extend(eye.services(domain).await);
        findings.extend(eye.caa(domain).await);
    }
    findings
}

/// Whether anybody answers questions at all: any answer about the root will do.
pub(crate) async fn resolver(world: &World) -> Finding {
    let root = world.dns.ask(&DnsName::root(), Kind::Ns, Proof::Usual).await.answer;
    match root {
        Err(DnsError::Trouble(what)) => Finding::new(
            "resolver",
            "server",
            State::Bad,
            format!("the name server gives no answer: {what}"),
            "without the DNS no mail goes out, and none that comes in can be checked",
            "let `dns { server }` or /etc/resolv.conf name one that answers; an unbound on this machine is best",
        ),
        _ => Finding::good("resolver", "server", "the name server answers"),
    }
}

struct Eye<'a> {
    config: &'a Config,
    list: &'a [Wanted],
    /// Those to which the name of our host leads.
    addresses: Vec<IpAddr>,
    world: &'a World,
}

/// What to do about a record.
pub(crate) fn add(record: &Wanted) -> String {
    format!("put this into the zone: {}", record.line())
}

impl Eye<'_> {
    /// The records of a name that should be there.
    fn records(&self, name: &str, kind: &str) -> impl Iterator<Item = &Wanted> {
        self.list.iter().filter(move |record| record.name == name && record.kind() == kind)
    }

    fn fix(&self, name: &str, kind: &str) -> String {
        self.records(name, kind).next().map_or(String::new(), add)
    }

    async fn mx(&self, domain: &Domain) -> Finding {
        const WHY: &str = "other servers do not bring mail for the domain here";
        let us = &self.config.hostname;
        let fix = self.fix(domain.as_str(), "MX");
        let found = match self.world.dns.mx(domain).await {
            Ok(found) => found,
            Err(error @ DnsError::Trouble(_)) => return Finding::unknown("mx", domain, &error),
            Err(_) if domain == us => {
                return Finding::good("mx", domain, "it is the host itself, which needs no MX record");
            }
            Err(_) => return Finding::new("mx", domain, State::Bad, "it has no MX record", WHY, fix),
        };
        let hosts: Vec<String> =
            found.iter().map(|mx| mx.exchange.as_ref().map_or(".".to_owned(), ToString::to_string)).collect();
        let best = found.iter().map(|mx| mx.preference).min();
        let ours = found.iter().find(|mx| mx.exchange.as_ref() == Some(us));
        let what = format!("its mail hosts are {}", hosts.join(", "));
        match ours {
            None => {
                Finding::new("mx", domain, State::Bad, format!("{what}; {us} is not among them"), WHY, fix)
            }
            Some(mx) if Some(mx.preference) != best => {
                let why = "mail comes here only where the others are out of reach";
                Finding::new("mx", domain, State::Note, format!("{what}; others come first"), why, fix)
            }
            Some(_) => Finding::good("mx", domain, what),
        }
    }

    /// Not what the record looks like counts, but what a receiver makes of it.
    async fn spf(&self, domain: &Domain) -> Finding {
        const WHY: &str = "others take what you send for forged, and refuse it or put it to junk";
        let fix = self.fix(domain.as_str(), "TXT");
        if self.config.delivery.smarthost.is_some() {
            return match spf_records(self.world, domain).await {
                Ok(1) => Finding::good("spf", domain, "there is a record; the smarthost sends for us"),
                Ok(n) => Finding::new("spf", domain, State::Bad, format!("it has {n} SPF records"), WHY, fix),
                Err(error) => Finding::unknown("spf", domain, &error),
            };
        }
        let us = &self.config.hostname;
        let Ok(from) = Address::parse(&format!("postmaster@{domain}")) else {
            return Finding::good("spf", domain, "nobody sends in its name");
        };
        let sources = self.sources();
        if sources.is_empty() {
            let what = "the address that we send from is not known";
            let fix = "give it with --address";
            return Finding::new("spf", domain, State::Unknown, what, WHY, fix);
        }
        for ip in sources {
            let outcome = spf::check_host(&Question::mail_from(ip, &from, us.as_str(), us), self.world).await;
            let what = format!("mail from {ip} has SPF {}: {}", outcome.result, outcome.reason);
            match outcome.result {
                SpfResult::Pass => {}
                SpfResult::TempError => {
                    let state = State::Unknown;
                    return Finding::new("spf", domain, state, what, WHY, "try again");
                }
                _ => return Finding::new("spf", domain, State::Bad, what, WHY, fix),
            }
        }
        Finding::good("spf", domain, "what we send passes")
    }

    /// The addresses that mail goes out from.
    fn sources(&self) -> Vec<IpAddr> {
        let configured = &self.config.delivery.source_addresses;
        if configured.is_empty() { self.addresses.clone() } else { configured.clone() }
    }

    async fn dkim(&self, name: &str, text: &str) -> Finding {
        const WHY: &str = "others cannot verify your signatures, and believe your mail less";
        let fix = self.fix(name, "TXT");
        let published = match self.world.dns.txt(name).await {
            Ok(texts) => texts,
            Err(error @ DnsError::Trouble(_)) => return Finding::unknown("dkim", name, &error),
            Err(_) => return Finding::new("dkim", name, State::Bad, "there is no record", WHY, fix),
        };
        match published.as_slice() {
            [one] if key_of(one) == key_of(text) => Finding::good("dkim", name, "the key is published"),
            [_] => {
                let what = "the record holds another key than the one that signs";
                Finding::new("dkim", name, State::Bad, what, WHY, fix)
            }
            more => {
                let what = format!("there are {} records where there may be one", more.len());
                Finding::new("dkim", name, State::Bad, what, WHY, fix)
            }
        }
    }

    async fn dmarc(&self, domain: &Domain) -> Finding {
        const WHY: &str = "large providers ask for it, and without it anybody can write in your name";
        let name = format!("_dmarc.{domain}");
        let fix = self.fix(&name, "TXT");
        let records = match self.tagged(&name, "v=DMARC1").await {
            Ok(records) => records,
            Err(error) => return Finding::unknown("dmarc", domain, &error),
        };
        match records.as_slice() {
            [] => Finding::new("dmarc", domain, State::Bad, "it has no DMARC record", WHY, fix),
            [one] => match tag(one, "p").as_deref() {
                Some("quarantine" | "reject") => Finding::good("dmarc", domain, one.clone()),
                Some("none") => {
                    let why = "forged mail in your name is delivered as if it were yours";
                    let fix = "once the reports show that all your mail passes, write p=quarantine";
                    Finding::new("dmarc", domain, State::Note, "its policy is to do nothing", why, fix)
                }
                _ => Finding::new(
                    "dmarc",
                    domain,
                    State::Bad,
                    format!("the record has no policy: {one}"),
                    WHY,
                    fix,
                ),
            },
            more => {
                let what = format!("it has {} DMARC records, which is as good as none", more.len());
                Finding::new("dmarc", domain, State::Bad, what, WHY, fix)
            }
        }
    }

    async fn tlsrpt(&self, domain: &Domain) -> Finding {
        let name = format!("_smtp._tls.{domain}");
        let why = "nobody tells you when mail to you fails for want of TLS";
        match self.tagged(&name, "v=TLSRPTv1").await {
            Ok(records) if records.len() == 1 => Finding::good("tlsrpt", domain, "reports are asked for"),
            Ok(_) => {
                let what = "no reports about TLS are asked for";
                Finding::new("tlsrpt", domain, State::Note, what, why, self.fix(&name, "TXT"))
            }
            Err(error) => Finding::unknown("tlsrpt", domain, &error),
        }
    }

    /// The names under which pages are looked for.
    async fn web(&self, domain: &Domain) -> Vec<Finding> {
        let mut findings = Vec::new();
        let sts = format!("_mta-sts.{domain}");
        if let Some(record) = self.records(&sts, "TXT").next() {
            findings.push(self.sts_record(domain, record).await);
        }
        let names = self.list.iter().filter(|record| {
            matches!(record.says, Says::Cname(_))
                && record.name.split_once('.').is_some_and(|(_, rest)| rest == domain.as_str())
        });
        for record in names {
            findings.push(self.same_host(record).await);
        }
        findings
    }

    async fn sts_record(&self, domain: &Domain, record: &Wanted) -> Finding {
        let why = "senders do not know your policy, or keep an old one, and may be led to a wrong server";
        match self.tagged(&record.name, "v=STSv1").await {
            Err(error) => Finding::unknown("mta-sts-record", domain, &error),
            Ok(texts) => match (texts.as_slice(), &record.says) {
                ([one], Says::Txt(text)) if tag(one, "id") == tag(text, "id") => {
                    Finding::good("mta-sts-record", domain, "it names the policy that is served")
                }
                ([_], _) => {
                    let what = "its id is not that of the policy which is served here";
                    Finding::new("mta-sts-record", domain, State::Note, what, why, add(record))
                }
                ([], _) => {
                    let what = "there is a policy, and no record that says so";
                    Finding::new("mta-sts-record", domain, State::Note, what, why, add(record))
                }
                (more, _) => {
                    let what = format!("there are {} records, which is as good as none", more.len());
                    Finding::new("mta-sts-record", domain, State::Bad, what, why, add(record))
                }
            },
        }
    }

    /// Whether a name leads where the name of our host leads.
    async fn same_host(&self, record: &Wanted) -> Finding {
        let why = record.purpose;
        let Ok(name) = Domain::parse(&record.name) else {
            return Finding::good("web-name", &record.name, "no name of a host");
        };
        let why = format!("nobody finds it there: {why}");
        match self.world.dns.addresses(&name).await {
            Err(error @ DnsError::Trouble(_)) => Finding::unknown("web-name", &name, &error),
            Err(_) => {
                let state = if record.need == Need::May { State::Note } else { State::Bad };
                Finding::new("web-name", &name, state, "it is not in the DNS", &why, add(record))
            }
            Ok(found) => {
                let (ours, theirs): (BTreeSet<_>, BTreeSet<_>) =
                    (self.addresses.iter().collect(), found.iter().collect());
                if ours == theirs {
                    return Finding::good("web-name", &name, "it leads here");
                }
                let what = format!("it leads to {}", join(&found));
                Finding::new("web-name", &name, State::Note, what, &why, add(record))
            }
        }
    }

    async fn services(&self, domain: &Domain) -> Vec<Finding> {
        let mut findings = Vec::new();
        let suffix = format!("._tcp.{domain}");
        for record in self.list.iter().filter(|record| record.name.ends_with(&suffix)) {
            if let Says::Srv { port, target } = &record.says {
                findings.push(self.service(record, *port, target).await);
            }
        }
        findings
    }

    async fn service(&self, record: &Wanted, port: u16, target: &Domain) -> Finding {
        let why = "mail programs that ask the DNS find no settings, or wrong ones";
        let Ok(name) = DnsName::parse(&record.name) else {
            return Finding::good("srv", &record.name, "no name");
        };
        let found = self.world.dns.ask(&name, Kind::Srv, Proof::Usual).await.read(|data| match data {
            Data::Srv { port, target, .. } => Some((port, target)),
            _ => None,
        });
        match found {
            Err(error @ DnsError::Trouble(_)) => Finding::unknown("srv", &record.name, &error),
            Err(_) => Finding::new("srv", &record.name, State::Note, "there is no record", why, add(record)),
            Ok(list) => {
                let is_ours =
                    |(at, host): &(u16, DnsName)| *at == port && host.to_domain().as_ref() == Some(target);
                if list.iter().any(is_ours) {
                    return Finding::good("srv", &record.name, format!("{target} port {port}"));
                }
                let said: Vec<String> =
                    list.iter().map(|(port, host)| format!("{host} port {port}")).collect();
                let what = format!("it says {}, not {target} port {port}", said.join(", "));
                Finding::new("srv", &record.name, State::Bad, what, why, add(record))
            }
        }
    }

    /// Whether our authority may make certificates. Without any record of the kind every authority may (RFC 8659 §3).
    async fn caa(&self, domain: &Domain) -> Option<Finding> {
        let record = self.records(domain.as_str(), "CAA").next()?;
        let (Says::Caa(ours), Some(name)) = (&record.says, DnsName::of(domain)) else { return None };
        let found = self.world.dns.ask(&name, Kind::Caa, Proof::Usual).await.read(|data| match data {
            Data::Caa(caa) if caa.tag.eq_ignore_ascii_case("issue") => Some(caa),
            _ => None,
        });
        let allowed = |caa: &world::Caa| {
            let text = String::from_utf8_lossy(&caa.value).into_owned();
            text.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case(ours))
        };
        Some(match found {
            Err(error @ DnsError::Trouble(_)) => Finding::unknown("caa", domain, &error),
            Ok(list) if list.iter().any(allowed) => {
                Finding::good("caa", domain, format!("{ours} may make certificates"))
            }
            Ok(list) if !list.is_empty() => {
                let why = "our authority refuses to renew the certificates";
                let what = format!("only others than {ours} may make certificates");
                Finding::new("caa", domain, State::Bad, what, why, add(record))
            }
            _ => {
                let why = "a certificate for your names could come from any authority in the world";
                Finding::new(
                    "caa",
                    domain,
                    State::Note,
                    "every authority may make certificates",
                    why,
                    add(record),
                )
            }
        })
    }

    /// TXT records that begin with a version.
    async fn tagged(&self, name: &str, version: &str) -> Result<Vec<String>, DnsError> {
        tagged(self.world, name, version).await
    }
}

async fn tagged(world: &World, name: &str, version: &str) -> Result<Vec<String>, DnsError> {
    match world.dns.txt(name).await {
        Ok(texts) => Ok(texts.into_iter().filter(|text| is_tagged(text, version)).collect()),
        Err(error @ DnsError::Trouble(_)) => Err(error),
        Err(_) => Ok(Vec::new()),
    }
}

fn is_tagged(text: &str, version: &str) -> bool {
    text.strip_prefix(version).is_some_and(|rest| rest.is_empty() || rest.starts_with([';', ' ']))
}

async fn spf_records(world: &World, domain: &Domain) -> Result<usize, DnsError> {
    Ok(tagged(world, domain.as_str(), "v=spf1").await?.len())
}

/// The value of a tag, in small letters.
fn tag(text: &str, name: &str) -> Option<String> {
    let pairs = text.split(';').filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name));
    values.next().map(|(_, value)| value.trim().to_ascii_lowercase())
}

/// The key in a record, without blanks that somebody's editor has put in.
fn key_of(text: &str) -> Option<String> {
    let (_, key) =
        text.split(';').filter_map(|pair| pair.split_once('=')).find(|(name, _)| name.trim() == "p")?;
    Some(key.chars().filter(|c| !c.is_whitespace()).collect())
}

pub(crate) fn join(list: &[IpAddr]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
