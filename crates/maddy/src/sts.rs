//! Whether the MTA-STS policies that our domains publish are true: looked at in the beginning and once a day, so that a
//! policy in `enforce` locks no sender out unnoticed (RFC 8461 §5, §8).

use crate::certificates;
use crate::config::Config;
use crate::reload::Running;
use delivery::sts;
use mail::Domain;
use net::{ClientTls, Connector, Fetcher, Roots, Stop};
use policy::mtasts::{self, Harm, Reality, StsPolicy, Warning};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing::{debug, error, warn};
use world::meter::{Family, Kind, Sample};
use world::{DnsError, World};

/// How long after the start the first look is taken: the doors are open by then.
const FIRST_LOOK: Duration = Duration::from_secs(60);
/// Time between two looks.
const PERIOD: Duration = Duration::from_secs(24 * 3600);
/// Where senders look for policies (RFC 8461 §3.3).
const HTTPS: u16 = 443;

/// What came of a look at one domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The domain says nothing of MTA-STS.
    NoRecord,
    /// It could not be found out now.
    Unknown(String),
    /// There is a record, but senders find no policy.
    NoPolicy { id: String, why: String },
    /// A policy, and what of it is not true.
    Policy { id: String, policy: StsPolicy, warnings: Vec<Warning> },
}

impl Found {
    /// How bad it is, for the metrics; `None` while it cannot be found out.
    fn harm(&self) -> Option<u8> {
        match self {
            Self::Unknown(_) => None,
            Self::NoRecord => Some(0),
            Self::NoPolicy { .. } => Some(2),
            Self::Policy { warnings, .. } => {
                let all = warnings.iter().map(|warning| match warning.harm {
                    Harm::NoMail => 3,
                    Harm::HostUnused => 2,
                    Harm::Later => 1,
                });
                Some(all.max().unwrap_or(0))
            }
        }
    }
}

/// What was wrong with the policies of our domains at the last look. Cloning is cheap.
#[derive(Clone, Default)]
pub(crate) struct Harms(Arc<Mutex<BTreeMap<String, u8>>>);

impl Harms {
    fn note(&self, domain: &Domain, found: &Found) {
        if let Some(harm) = found.harm() {
            self.lock().insert(domain.to_string(), harm);
        }
    }

    /// Domains that are not ours any more are forgotten.
    fn keep(&self, domains: &[Domain]) {
        self.lock().retain(|known, _| domains.iter().any(|domain| domain.as_str() == known));
    }

    /// For the metrics, domain by domain.
    pub(crate) fn family(&self) -> Family {
        let sample = |(domain, harm): (&String, &u8)| Sample {
            suffix: "",
            labels: vec![("domain", domain.clone())],
            value: f64::from(*harm),
        };
        Family {
            name: "maddy_mta_sts_harm",
            help: "What was wrong with the MTA-STS policy of a domain at the last look: 0 nothing, 1 it needs a change before it can be \
                   enforced, 2 none is found or a mail host is missing in it, 3 it locks senders out.",
            kind: Kind::Gauge,
            samples: self.lock().iter().map(sample).collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at policies.
pub(crate) struct Inspector {
    world: World,
    fetcher: Fetcher,
    us: Domain,
    certificate_names: Vec<String>,
    port: u16,
}

impl Inspector {
    pub(crate) fn new(
        world: &World,
        roots: &Roots,
        us: Domain,
        certificate_names: Vec<String>,
    ) -> Result<Self, net::TlsError> {
        let tls = ClientTls::authenticated(roots, world.clock.clone())?;
        let fetcher = Fetcher::new(world.dns.clone(), Connector::new(world), tls);
        Ok(Self { world: world.clone(), fetcher, us, certificate_names, port: HTTPS })
    }

    /// Looks for policies at another port than senders do.
    pub(crate) fn at_port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// As the configuration says who we are and which certificates we show.
    pub(crate) fn of(config: &Config, world: &World) -> Result<Self, net::TlsError> {
        let roots = config.delivery.ca_file.clone().map_or(Roots::WebPki, Roots::WebPkiAndFile);
        let names = certificates::believed_names(config, world.clock.unix())?;
        Self::new(world, &roots, config.hostname.clone(), names)
    }

    /// Asks for the record, the policy and the hosts of a domain.
    pub(crate) async fn inspect(&self, domain: &Domain) -> Found {
        let id = match self.world.dns.txt(&mtasts::record_name(domain)).await {
            Ok(texts) => mtasts::record_id(&texts),
            Err(DnsError::Trouble(text)) => return Found::Unknown(text),
            Err(_) => None,
        };
        let Some(id) = id else { return Found::NoRecord };
        match sts::fetch(&self.fetcher, domain, self.port).await {
            Ok((policy, _)) => self.judge(domain, id, policy).await,
            Err(trouble) => Found::NoPolicy { id, why: trouble.to_string() },
        }
    }

    async fn judge(&self, domain: &Domain, id: String, policy: StsPolicy) -> Found {
        let mx: Vec<Domain> = match self.world.dns.mx(domain).await {
            Ok(records) => records.into_iter().filter_map(|mx| mx.exchange).collect(),
            Err(DnsError::Trouble(text)) => return Found::Unknown(text),
            Err(_) => vec![domain.clone()],
        };
        let ours = self.names_of_us(&mx).await;
        let reality = Reality { mx: &mx, ours: &ours, certificate_names: &self.certificate_names };
        let warnings = mtasts::compare(&policy, &reality);
        Found::Policy { id, policy, warnings }
    }
}

impl Inspector {
    /// Our name, and those of the hosts that lead to where it leads.
    async fn names_of_us(&self, mx: &[Domain]) -> Vec<Domain> {
        let here = self.world.dns.addresses(&self.us).await.unwrap_or_default();
        let mut ours = vec![self.us.clone()];
        for host in mx.iter().filter(|host| **host != self.us) {
            let there = self.world.dns.addresses(host).await.unwrap_or_default();
            if there.iter().any(|ip| here.contains(ip)) {
                ours.push(host.clone());
            }
        }
        ours
    }
}

/// Looks at all domains in the beginning and daily, until the server stops.
pub(crate) async fn watch(running: Arc<Running>, world: World, mut stop: Stop) {
    let mut pause = FIRST_LOOK;
    loop {
        tokio::select! {
            () = stop.wait() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = PERIOD;
        let config = running.config();
        let inspector = match Inspector::of(&config, &world) {
            Ok(inspector) => inspector,
            Err(error) => {
                warn!(%error, "the MTA-STS policies of our domains cannot be checked");
                continue;
            }
        };
        for domain in &config.domains {
            tokio::select! {
                () = stop.wait() => return,
                found = inspector.inspect(domain) => {
                    running.harms().note(domain, &found);
                    tell(domain, &found);
                }
            }
        }
        running.harms().keep(&config.domains);
    }
}

/// Says in the log what an administrator must know.
fn tell(domain: &Domain, found: &Found) {
    match found {
        Found::NoRecord => debug!(%domain, "the domain has no MTA-STS record"),
        Found::Unknown(why) => debug!(%domain, why, "the MTA-STS policy of the domain cannot be checked now"),
        Found::NoPolicy { why, .. } => {
            warn!(
                %domain,
                why,
                "the domain has an MTA-STS record, but senders find no policy: publish it, or take the record away"
            );
        }
        Found::Policy { policy, warnings, .. } => {
            for warning in warnings {
                let (mode, text) = (policy.mode, &warning.text);
                match warning.harm {
                    Harm::NoMail => error!(%domain, %mode, text, "the MTA-STS policy locks senders out"),
                    Harm::HostUnused => {
                        warn!(%domain, %mode, text, "the MTA-STS policy keeps senders from a mail host");
                    }
                    Harm::Later => warn!(%domain, %mode, text, "the MTA-STS policy needs a change"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use world::fake;

    async fn look(zone: &str, policy: &str) -> Found {
        let world = fake::world_with(1, zone).unwrap();
        let us = Domain::parse("mx.example.org").unwrap();
        let names = vec!["mx.example.org".to_owned()];
        let inspector = Inspector::new(&world, &Roots::WebPki, us, names).unwrap();
        let domain = Domain::parse("example.org").unwrap();
        match policy {
            "" => inspector.inspect(&domain).await,
            policy => {
                let policy = StsPolicy::parse(policy.as_bytes()).unwrap();
                inspector.judge(&domain, "1".to_owned(), policy).await
            }
        }
    }

    #[tokio::test]
    async fn harm_is_a_number() {
        let domain = Domain::parse("example.org").unwrap();
        let harms = Harms::default();
        let shown = || {
            let out = crate::metrics::text(&[harms.family()]);
            out.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(shown(), "");
        let policy =
            |mode: &str, mx: &str| format!("version: STSv1\nmode: {mode}\nmax_age: 604800\nmx: {mx}\n");
        let zone = "example.org MX 10 mx.example.org\n";
        for (policy, harm) in [
            (policy("enforce", "mx.example.org"), 0),
            (policy("enforce", "other.example.org"), 3),
            (policy("none", "other.example.org"), 0),
        ] {
            harms.note(&domain, &look(zone, &policy).await);
            assert_eq!(shown(), format!("maddy_mta_sts_harm{{domain=\"example.org\"}} {harm}"), "{policy}");
        }
        harms.note(&domain, &look("_mta-sts.example.org TXT \"v=STSv1; id=7;\"\n", "").await);
        assert_eq!(shown(), "maddy_mta_sts_harm{domain=\"example.org\"} 2");
        harms.note(&domain, &look("_mta-sts.example.org TIMEOUT\n", "").await);
        assert_eq!(
            shown(),
            "maddy_mta_sts_harm{domain=\"example.org\"} 2",
            "what is unknown changes nothing"
        );
        harms.keep(&[]);
        assert_eq!(shown(), "");
    }

    #[tokio::test]
    async fn what_is_published_is_compared_with_what_is_so() {
        assert_eq!(look("example.org MX 10 mx.example.org\n", "").await, Found::NoRecord);
        assert!(matches!(look("_mta-sts.example.org TIMEOUT\n", "").await, Found::Unknown(_)));
        // There is a record, and no web server behind it.
        let Found::NoPolicy { id, why } = look("_mta-sts.example.org TXT \"v=STSv1; id=7;\"\n", "").await
        else {
            panic!("a policy was found");
        };
        assert_eq!(id, "7");
        assert!(why.contains("https://mta-sts.example.org/.well-known/mta-sts.txt"), "{why}");

        let policy = "version: STSv1\nmode: enforce\nmax_age: 604800\nmx: mx.example.org\n";
        let zone = "example.org MX 10 mx.example.org\n";
        assert!(matches!(look(zone, policy).await, Found::Policy { warnings, .. } if warnings.is_empty()));
        // Another name of ours needs a certificate as well; that of another host is none of our business.
        let both = policy.replace("mx: ", "mx: mail.example.org\nmx: ");
        let zone = "example.org MX 10 mx.example.org\nexample.org MX 20 mail.example.org\nmx.example.org A 192.0.2.1\n";
        for (address, wanted) in [("192.0.2.1", 1), ("192.0.2.2", 0)] {
            let zone = format!("{zone}mail.example.org A {address}\n");
            let Found::Policy { warnings, .. } = look(&zone, &both).await else { panic!("no policy") };
            assert_eq!(warnings.len(), wanted, "{warnings:?}");
            assert!(
                warnings.iter().all(|one| one.text.contains("the MX host mail.example.org, but has no cert"))
            );
        }
        let Found::Policy { warnings, .. } = look("example.org MX 10 mx2.example.org\n", policy).await else {
            panic!("the policy was not judged");
        };
        assert_eq!(warnings[0].harm, Harm::NoMail);
        // What has no answer is not known, in whichever way it has none.
        for (_, failure) in world::zone::Failure::ALL {
            let record = format!("_mta-sts.example.org TXT {failure}\n");
            assert!(matches!(look(&record, "").await, Found::Unknown(_)), "{failure}");
            let hosts = format!("example.org MX {failure}\n");
            assert!(matches!(look(&hosts, policy).await, Found::Unknown(_)), "{failure}");
        }
        // Whatever stands there instead of a record is none.
        for text in ["v=STSv1", "v=STSv1; id=;", "v=spf1 -all", "\\000\\255", "v=STSv1; id=a b;"] {
            let record = format!("_mta-sts.example.org TXT \"{text}\"\n");
            assert_eq!(look(&record, "").await, Found::NoRecord, "{text}");
        }
    }
}
