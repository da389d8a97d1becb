//! The evaluation of `check_host()`: terms in order, look-ups counted (RFC 7208 §4, §5, §6).

use super::macros::{MacroString, Place, Values};
use super::names::{best_name, fit, is_at_or_below, is_well_formed, within};
use super::record::{Directive, Mechanism, Prefix, Record, is_spf};
use super::{
    EXPLANATION_MAX, LOOKUPS_MAX, Lookup, NAMES_MAX, Outcome, Question, SpfResult, TIME_MAX, VOID_LOOKUPS_MAX,
};
use mail::Domain;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use world::{Data, DnsError, DnsName, Kind, Proof, World};

/// How much of a text that strangers had a hand in is kept, in characters.
const TEXT_MAX: usize = 300;

/// Why an evaluation ends before a mechanism has matched.
enum Stop {
    Temporary(String),
    Permanent(String),
}

/// What one run of `check_host()` comes to.
struct Found {
    result: SpfResult,
    reason: String,
    /// Where the explanation is, if the domain that decided has one.
    explained_at: Option<Explained>,
}

struct Explained {
    spec: MacroString,
    domain: String,
}

/// One evaluation: its arguments, and what has been counted so far.
struct Evaluation<'a> {
    question: &'a Question<'a>,
    ip: IpAddr,
    world: &'a World,
    lookups: Vec<Lookup>,
    terms: usize,
    voids: usize,
}

pub(super) async fn run(question: &Question<'_>, world: &World) -> Outcome {
    let mut evaluation = Evaluation {
        question,
        ip: question.ip.to_canonical(),
        world,
        lookups: Vec::new(),
        terms: 0,
        voids: 0,
    };
    let run = async {
        let found = match evaluation.check(question.domain.to_owned()).await {
            Ok(found) => found,
            Err(Stop::Temporary(reason)) => plain(SpfResult::TempError, reason),
            Err(Stop::Permanent(reason)) => plain(SpfResult::PermError, reason),
        };
        let explanation = match &found.explained_at {
            Some(explained) if found.result == SpfResult::Fail => evaluation.explain(explained).await,
            _ => None,
        };
        (found, explanation)
    };
    let ended = tokio::time::timeout(TIME_MAX, run).await;
    let (found, explanation) = ended.unwrap_or_else(|_| {
        let reason = format!("the evaluation took more than {} seconds", TIME_MAX.as_secs());
        (plain(SpfResult::TempError, reason), None)
    });
    let reason = printable(&found.reason);
    Outcome { result: found.result, reason, explanation, lookups: evaluation.lookups }
}

fn plain(result: SpfResult, reason: String) -> Found {
    Found { result, reason, explained_at: None }
}

/// What macros and records make may hold anything; what is logged may not.
fn printable(text: &str) -> String {
    text.chars().take(TEXT_MAX).map(|c| if c.is_control() { '?' } else { c }).collect()
}

impl Evaluation<'_> {
    /// `check_host()` for one domain. Calls itself for `include` and `redirect`; [`LOOKUPS_MAX`] bounds the depth.
    fn check(&mut self, domain: String) -> Pin<Box<dyn Future<Output = Result<Found, Stop>> + Send + '_>> {
        Box::pin(async move {
            let domain = domain.strip_suffix('.').unwrap_or(&domain).to_owned();
            if !is_well_formed(&domain) {
                return Ok(plain(SpfResult::None, "not a domain that could have a record".to_owned()));
            }
            let Some(text) = self.record_of(&domain).await? else {
                return Ok(plain(SpfResult::None, format!("{domain} has no SPF record")));
            };
            let record = Record::parse(&text)
                .map_err(|error| Stop::Permanent(format!("the SPF record of {domain} has {error}")))?;
            self.evaluate(&record, domain).await
        })
    }

    /// The one SPF record of a domain (RFC 7208 §4.4, §4.5).
    async fn record_of(&mut self, domain: &str) -> Result<Option<String>, Stop> {
        let answer = self.world.dns.txt(domain).await;
        self.note(domain, "TXT", &answer.as_ref().map(|texts| texts.join(" | ")));
        let mut records = match answer {
            Ok(texts) => texts.into_iter().filter(|text| is_spf(text)).collect::<Vec<_>>(),
            Err(DnsError::Trouble(text)) => {
                return Err(Stop::Temporary(format!("{domain} TXT: {text}")));
            }
            Err(_) => return Ok(None),
        };
        if records.len() > 1 {
            return Err(Stop::Permanent(format!("{domain} has {} SPF records", records.len())));
        }
        Ok(records.pop())
    }

    async fn evaluate(&mut self, record: &Record, domain: String) -> Result<Found, Stop> {
        for directive in &record.directives {
            if self.matches(directive, &domain).await? {
                let reason = format!("{} matched in the record of {domain}", directive.text);
                let explained_at = record.exp.clone().map(|spec| Explained { spec, domain });
                return Ok(Found { result: directive.result, reason, explained_at });
            }
        }
        let Some(redirect) = &record.redirect else {
            return Ok(plain(SpfResult::Neutral, format!("nothing matched in the record of {domain}")));
        };
        self.count_term()?;
        if self.cannot_expand(redirect) {
            let reason = format!("{domain} redirects by a local part that is not ASCII");
            return Ok(plain(SpfResult::Neutral, reason));
        }
        let target = self.target(redirect, &domain).await?;
        let found = self.check(target.clone()).await?;
        if found.result == SpfResult::None {
            let reason = format!("{domain} redirects to {target}, which has no record");
            return Err(Stop::Permanent(reason));
        }
        Ok(found)
    }

    async fn matches(&mut self, directive: &Directive, domain: &str) -> Result<bool, Stop> {
        if directive.mechanism.target().is_some_and(|target| self.cannot_expand(target)) {
            self.count_term()?;
            return Ok(false);
        }
        match &directive.mechanism {
            Mechanism::All => Ok(true),
            Mechanism::Ip4(network, bits) => {
                Ok(within(self.ip, IpAddr::V4(*network), Prefix { v4: *bits, v6: 128 }))
            }
            Mechanism::Ip6(network, bits) => {
                Ok(within(self.ip, IpAddr::V6(*network), Prefix { v4: 32, v6: *bits }))
            }
            Mechanism::Include(target) => self.matches_include(target, domain).await,
            Mechanism::A { target, prefix } => {
                self.count_term()?;
                let name = self.target_or(target.as_ref(), domain).await?;
                let ips = self.addresses(&name).await?;
                if ips.is_empty() {
                    self.count_void()?;
                }
                Ok(ips.into_iter().any(|ip| within(self.ip, ip, *prefix)))
            }
            Mechanism::Mx { target, prefix } => self.matches_mx(target.as_ref(), *prefix, domain).await,
            Mechanism::Ptr { target } => self.matches_ptr(target.as_ref(), domain).await,
            Mechanism::Exists(target) => {
                self.count_term()?;
                let name = self.target(target, domain).await?;
                // Always A, whatever the client's family is (RFC 7208 §5.7).
                let found = match DnsName::from_octets(name.as_bytes()) {
                    Ok(name) => !self.addresses_of(&name, Kind::A).await?.is_empty(),
                    Err(_) => false,
                };
                if !found {
                    self.count_void()?;
                }
                Ok(found)
            }
        }
    }

    async fn matches_include(&mut self, target: &MacroString, domain: &str) -> Result<bool, Stop> {
        self.count_term()?;
        let name = self.target(target, domain).await?;
        match self.check(name.clone()).await?.result {
            SpfResult::Pass => Ok(true),
            SpfResult::None => Err(Stop::Permanent(format!("{domain} includes {name}, which has no record"))),
            _ => Ok(false),
        }
    }

    async fn matches_mx(
        &mut self,
        target: Option<&MacroString>,
        prefix: Prefix,
        domain: &str,
    ) -> Result<bool, Stop> {
        self.count_term()?;
        let name = self.target_or(target, domain).await?;
        let exchange = |data| match data {
            Data::Mx { exchange, .. } => Some(exchange),
            _ => None,
        };
        let Ok(asked) = DnsName::from_octets(name.as_bytes()) else { return Ok(false) };
        let mut hosts = match self.ask(&asked, Kind::Mx, exchange).await {
            Ok(hosts) => hosts,
            Err(DnsError::Trouble(text)) => return Err(Stop::Temporary(format!("{name} MX: {text}"))),
            Err(_) => {
                self.count_void()?;
                return Ok(false);
            }
        };
        // The limit is on what is asked for, so it does not depend on the order of the answer.
        if hosts.len() > NAMES_MAX {
            return Err(Stop::Permanent(format!("{name} has more than {NAMES_MAX} MX hosts")));
        }
        hosts.retain(|host| !host.is_root());
        let mut any_address = hosts.is_empty();
        for host in hosts {
            let ips = self.addresses_of(&host, self.kind()).await?;
            if ips.iter().any(|ip| within(self.ip, *ip, prefix)) {
                return Ok(true);
            }
            any_address |= !ips.is_empty();
        }
        if !any_address {
            self.count_void()?;
        }
        Ok(false)
    }

    async fn matches_ptr(&mut self, target: Option<&MacroString>, domain: &str) -> Result<bool, Stop> {
        self.count_term()?;
        let name = self.target_or(target, domain).await?.to_ascii_lowercase();
        let names = self.validated_names().await;
        if names.is_empty() {
            self.count_void()?;
        }
        Ok(names.iter().any(|validated| is_at_or_below(validated, &name)))
    }

    /// Names of the client that lead back to it (RFC 7208 §5.5). DNS trouble only means fewer names.
    async fn validated_names(&mut self) -> Vec<String> {
        let answer = self.world.dns.names(self.ip).await;
        let shown = |names: &Vec<Domain>| names.iter().map(Domain::as_str).collect::<Vec<_>>().join(" ");
        self.note(&self.ip.to_string(), "PTR", &answer.as_ref().map(shown));
        let mut validated = Vec::new();
        for name in answer.unwrap_or_default().into_iter().take(NAMES_MAX) {
            let ips = self.addresses(name.as_str()).await.unwrap_or_default();
            if ips.contains(&self.ip) {
                validated.push(name.as_str().to_owned());
            }
        }
        validated
    }

    /// Addresses of the client's family (RFC 7208 §5). What is no name has none.
    async fn addresses(&mut self, name: &str) -> Result<Vec<IpAddr>, Stop> {
        match DnsName::from_octets(name.as_bytes()) {
            Ok(host) => self.addresses_of(&host, self.kind()).await,
            Err(_) => Ok(Vec::new()),
        }
    }

    /// The type of the client's addresses.
    fn kind(&self) -> Kind {
        if self.ip.is_ipv4() { Kind::A } else { Kind::Aaaa }
    }

    async fn addresses_of(&mut self, host: &DnsName, kind: Kind) -> Result<Vec<IpAddr>, Stop> {
        let ip = |data| match data {
            Data::A(ip) => Some(IpAddr::V4(ip)),
            Data::Aaaa(ip) => Some(IpAddr::V6(ip)),
            _ => None,
        };
        match self.ask(host, kind, ip).await {
            Ok(ips) => Ok(ips),
            Err(DnsError::Trouble(text)) => Err(Stop::Temporary(format!("{host} {}: {text}", kind.word()))),
            Err(_) => Ok(Vec::new()),
        }
    }

    async fn ask<T>(
        &mut self,
        name: &DnsName,
        kind: Kind,
        read: impl Fn(Data) -> Option<T>,
    ) -> Result<Vec<T>, DnsError> {
        let reply = self.world.dns.ask(name, kind, Proof::Usual).await;
        let shown = |records: &world::resolver::Records| {
            records.data.iter().map(Data::to_string).collect::<Vec<_>>().join(" ")
        };
        self.note(&name.to_string(), kind.word(), &reply.answer.as_ref().map(shown));
        reply.read(read)
    }

    async fn target_or(&mut self, spec: Option<&MacroString>, domain: &str) -> Result<String, Stop> {
        match spec {
            Some(spec) => self.target(spec, domain).await,
            None => Ok(domain.to_owned()),
        }
    }

    /// Whether it names a local part that no label can hold: such a term matches nothing (RFC 8616 §4).
    fn cannot_expand(&self, spec: &MacroString) -> bool {
        spec.names_local() && !self.question.local.is_ascii()
    }

    /// Expands a domain-spec (RFC 7208 §4.8).
    async fn target(&mut self, spec: &MacroString, domain: &str) -> Result<String, Stop> {
        let expanded = self.expand(spec, domain).await?;
        Ok(fit(&expanded).to_owned())
    }

    async fn expand(&mut self, text: &MacroString, domain: &str) -> Result<String, Stop> {
        let validated = if text.needs_name() {
            self.count_term()?;
            best_name(self.validated_names().await, domain)
        } else {
            None
        };
        let local = self.question.local;
        Ok(text.expand(&Values {
            local: if local.is_empty() { "postmaster" } else { local },
            sender_domain: self.question.domain,
            domain,
            ip: self.ip,
            helo: self.question.helo,
            receiver: self.question.receiver,
            validated: validated.as_deref(),
            now: self.world.clock.unix(),
        }))
    }

    /// The explanation of a fail; any trouble with it means that there is none (RFC 7208 §6.2).
    async fn explain(&mut self, explained: &Explained) -> Option<String> {
        if self.cannot_expand(&explained.spec) {
            return None;
        }
        let name = self.target(&explained.spec, &explained.domain).await.ok()?;
        if !is_well_formed(&name) {
            return None;
        }
        let answer = self.world.dns.txt(&name).await;
        self.note(&name, "TXT", &answer.as_ref().map(|texts| texts.join(" | ")));
        let texts = answer.ok()?;
        let [text] = texts.as_slice() else { return None };
        let parsed = MacroString::parse(text, Place::Explanation).ok()?;
        let mut expanded = self.expand(&parsed, &explained.domain).await.ok()?;
        // A local part can hold anything; what is passed on may not.
        if expanded.is_empty() || !expanded.bytes().all(|b| matches!(b, b' '..=b'~')) {
            return None;
        }
        expanded.truncate(EXPLANATION_MAX);
        Some(expanded)
    }

    fn count_term(&mut self) -> Result<(), Stop> {
        self.terms += 1;
        if self.terms > LOOKUPS_MAX {
            return Err(Stop::Permanent(format!("more than {LOOKUPS_MAX} terms ask the DNS")));
        }
        Ok(())
    }

    fn count_void(&mut self) -> Result<(), Stop> {
        self.voids += 1;
        if self.voids > VOID_LOOKUPS_MAX {
            return Err(Stop::Permanent(format!("more than {VOID_LOOKUPS_MAX} look-ups have no answer")));
        }
        Ok(())
    }

    fn note(&mut self, name: &str, kind: &'static str, answer: &Result<String, &DnsError>) {
        let answer = match answer {
            Ok(text) => text.clone(),
            Err(error) => error.to_string(),
        };
        self.lookups.push(Lookup { name: printable(name), kind, answer: printable(&answer) });
    }
}
