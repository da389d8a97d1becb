//! Runs the checks of a stage side by side. Every check ends within its own time limit and answers with a finding.

use crate::author::Author;
use crate::config::Config;
use crate::decide::{Delay, Disposition, Verdict, decide, decide_with, disposition};
use crate::dmarc::{self, Evidence, Identifiers, Unanswered};
use crate::facts::Facts;
use crate::finding::{Finding, Identity, SpfFinding};
use crate::head::Head;
use crate::patience::Patience;
use crate::{arc, dkim, dnslist, helo, iprev, sender, spf};
use mail::{Domain, Message};
use spf::SpfResult;
use std::io;
use std::sync::Arc;
use tracing::{debug, info};
use world::World;

/// When checks are run.
#[derive(Clone, Copy, Debug)]
pub enum Stage<'a> {
    /// Who is it: iprev, what it calls itself, and what lists say.
    Client,
    /// May it use these names: SPF of MAIL FROM and HELO, and whether the sender can be answered.
    Sender,
    /// Is the message what it says: DKIM, ARC, and DMARC on top of all. `earlier` are the findings of the other
    /// stages.
    Content { message: &'a Message, earlier: &'a [Finding] },
}

/// What became of a message, and of what that was made.
#[derive(Clone, Debug)]
pub struct Judgement {
    pub findings: Vec<Finding>,
    pub verdict: Verdict,
    /// What DMARC alone came to, for reports to the author's domain; `None` where it has no record.
    pub disposition: Option<Disposition>,
}

/// The checks as configured. Clones are cheap enough to have one for each door.
#[derive(Clone)]
pub struct Pipeline {
    config: Config,
    hostname: Domain,
    /// Domains that nobody else sends for.
    domains: Vec<Domain>,
    world: World,
    patience: Arc<Patience>,
    lists: Arc<dnslist::Known>,
}

impl Pipeline {
    /// `hostname` is our own name, which SPF macros can show.
    pub fn new(config: Config, hostname: Domain, world: World) -> Self {
        let (patience, lists) = (Arc::default(), Arc::default());
        Self { config, hostname, domains: Vec::new(), world, patience, lists }
    }

    /// `domains` are ours: no stranger has their names.
    pub fn for_domains(mut self, domains: &[Domain]) -> Self {
        self.domains = domains.to_vec();
        self
    }

    /// A pipeline with other options, which still knows who was put off.
    pub fn reconfigured(&self, config: Config, hostname: Domain, domains: &[Domain]) -> Self {
        Self { config, hostname, domains: domains.to_vec(), ..self.clone() }
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Runs all checks over a message that has come in whole, and says what becomes of it.
    ///
    /// Who is put off again and again because the DNS gives no answer is let in to Junk after
    /// [`Config::defer_at_most`]. The only error is that the message cannot be read from our own disk.
    pub async fn judge(&self, facts: &Facts, message: &Message) -> io::Result<Judgement> {
        let findings = self.examine_all(facts, message).await?;
        let rules = &self.config.rules;
        let verdict = self.wait_or_let_in(decide(&findings, rules), facts, &findings);
        let disposition = disposition(&findings, rules);
        Ok(Judgement { findings, verdict, disposition })
    }

    fn wait_or_let_in(&self, verdict: Verdict, facts: &Facts, findings: &[Finding]) -> Verdict {
        let author = findings.iter().find_map(|finding| match finding {
            Finding::Dmarc(one) => one.author.as_ref(),
            _ => None,
        });
        let author = author.map_or("", Domain::as_str);
        // Large senders come again from another address, so the address counts only where there is no sender.
        let sender = match facts.mail_from.address() {
            Some(address) => format!("{} {author}", address.key()),
            None => format!("{} {author}", facts.peer),
        };
        if !matches!(verdict, Verdict::Defer(_)) {
            self.patience.forget(&sender);
            return verdict;
        }
        let waited = self.patience.put_off(&sender, self.world.clock.unix());
        if u64::try_from(waited).unwrap_or(0) < self.config.defer_at_most.as_secs() {
            return verdict;
        }
        let mut verdict = decide_with(findings, &self.config.rules, Delay::Over);
        if let Verdict::Quarantine(reasons) = &mut verdict {
            reasons.push(format!("put off for {} minutes before", waited / 60));
        }
        verdict
    }

    /// Runs all checks, those that do not need each other side by side.
    pub async fn examine_all(&self, facts: &Facts, message: &Message) -> io::Result<Vec<Finding>> {
        if self.is_exempt(facts) {
            return Ok(Vec::new());
        }
        let author = read_author(message).await?;
        let (mut findings, sender, signatures) =
            tokio::join!(self.client(facts), self.sender(facts), self.signatures(message, &author, facts));
        findings.extend(sender);
        findings.extend(signatures?);
        findings.extend(self.policy(author, &findings).await);
        log(&findings);
        Ok(findings)
    }

    /// Runs the checks of one stage. The only error is that the message cannot be read from our own disk; whatever
    /// the DNS does is a finding.
    pub async fn examine(&self, stage: Stage<'_>, facts: &Facts) -> io::Result<Vec<Finding>> {
        if self.is_exempt(facts) {
            return Ok(Vec::new());
        }
        let findings = match stage {
            Stage::Client => self.client(facts).await,
            Stage::Sender => self.sender(facts).await,
            Stage::Content { message, earlier } => {
                let author = read_author(message).await?;
                let mut all = earlier.to_vec();
                all.extend(self.signatures(message, &author, facts).await?);
                all.extend(self.policy(author, &all).await);
                all.split_off(earlier.len())
            }
        };
        log(&findings);
        Ok(findings)
    }

    /// Whether the configuration believes the client without any check.
    pub fn is_exempt(&self, facts: &Facts) -> bool {
        facts.client().is_some_and(|client| self.config.is_exempt(client))
    }

    fn scene(&self, facts: &Facts) -> helo::Scene<'_> {
        helo::Scene {
            peer: facts.client(),
            local: facts.local,
            hostname: &self.hostname,
            domains: &self.domains,
        }
    }

    async fn client(&self, facts: &Facts) -> Vec<Finding> {
        let iprev = async {
            let client = facts.client().filter(|_| self.config.iprev.is_on())?;
            Some(Finding::Iprev(iprev::check(client, &self.world).await))
        };
        let helo = async {
            let on = self.config.helo.is_on();
            let scene = self.scene(facts);
            if on { Some(Finding::Helo(helo::check(&facts.helo, scene, &self.world).await)) } else { None }
        };
        let lists = async {
            let lists = &self.config.lists;
            if lists.is_empty() {
                return None;
            }
            Some(Finding::Lists(dnslist::check(lists, facts, &self.lists, &self.world).await))
        };
        let (iprev, helo, lists) = tokio::join!(iprev, helo, lists);
        [iprev, helo, lists].into_iter().flatten().collect()
    }

    async fn sender(&self, facts: &Facts) -> Vec<Finding> {
        let (spf, reachable) = tokio::join!(self.spf(facts), self.reachable(facts));
        reachable.into_iter().chain(spf).collect()
    }

    /// Whether the sender can be answered.
    async fn reachable(&self, facts: &Facts) -> Option<Finding> {
        let address = facts.mail_from.address().filter(|_| self.config.sender.is_on())?;
        let is_home = self.scene(facts).is_at_home();
        let ours: &[Domain] = if is_home { &[] } else { &self.domains };
        Some(Finding::Sender(sender::check(address, ours, &self.world).await))
    }

    async fn spf(&self, facts: &Facts) -> Vec<Finding> {
        if !self.config.spf.is_on() {
            return Vec::new();
        }
        let helo_identity = match facts.mail_from.address() {
            Some(_) => Identity::Helo,
            None => Identity::HeloForNullPath,
        };
        let name = facts.helo_name();
        let helo = async {
            let outcome = match facts.client() {
                Some(client) => {
                    let question = spf::Question::helo(client, &name, &self.hostname);
                    spf::check_host(&question, &self.world).await
                }
                None => spf::Outcome::of_nobody(),
            };
            Finding::Spf(SpfFinding { identity: helo_identity, who: facts.helo.clone(), outcome })
        };
        let Some(address) = facts.mail_from.address() else { return vec![helo.await] };
        let mail_from = async {
            let outcome = match facts.client() {
                Some(client) => {
                    let question = spf::Question::mail_from(client, address, &name, &self.hostname);
                    spf::check_host(&question, &self.world).await
                }
                None => spf::Outcome::of_nobody(),
            };
            Finding::Spf(SpfFinding { identity: Identity::MailFrom, who: address.to_string(), outcome })
        };
        let (mail_from, helo) = tokio::join!(mail_from, helo);
        vec![mail_from, helo]
    }

    async fn signatures(
        &self,
        message: &Message,
        author: &Author,
        facts: &Facts,
    ) -> io::Result<Vec<Finding>> {
        let dkim = async {
            if !self.config.dkim.is_on() {
                return Ok(None);
            }
            dkim::verify(message, author.domains(), &self.world).await.map(|all| Some(Finding::Dkim(all)))
        };
        let arc = async {
            if !self.config.arc.is_on() {
                return Ok(None);
            }
            arc::verify(message, facts.peer, &self.world).await.map(|one| one.map(Finding::Arc))
        };
        let (dkim, arc) = tokio::join!(dkim, arc);
        Ok([dkim?, arc?].into_iter().flatten().collect())
    }

    /// DMARC, which stands on SPF and DKIM.
    async fn policy(&self, author: Author, findings: &[Finding]) -> Option<Finding> {
        if !self.config.dmarc.is_on() {
            return None;
        }
        let identifiers = identifiers(findings);
        let evidence = Evidence::gather(author, &identifiers, self.world.dns.as_ref()).await;
        Some(Finding::Dmarc(dmarc::judge(&evidence, &identifiers)))
    }
}

fn log(findings: &[Finding]) {
    for finding in findings {
        info!(%finding, "checked");
        if let Finding::Spf(one) = finding {
            for lookup in &one.outcome.lookups {
                debug!(%lookup, "asked for SPF");
            }
        }
    }
}

async fn read_author(message: &Message) -> io::Result<Author> {
    let message = message.clone();
    // What is in memory is looked at on the spot: handing it over would take longer.
    let is_here = message.received.as_memory().is_some();
    let work = move || Head::read(&message).map(|head| Author::of(&head.octets));
    if is_here {
        return work();
    }
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Who vouches for a message, as DMARC counts it: SPF only for MAIL FROM, or for HELO in its place.
fn identifiers(findings: &[Finding]) -> Identifiers {
    let mut identifiers = Identifiers::default();
    for finding in findings {
        match finding {
            Finding::Spf(one) if one.identity != Identity::Helo => {
                let name = one.who.rsplit_once('@').map_or(one.who.as_str(), |(_, domain)| domain);
                let Ok(domain) = Domain::parse(name) else { continue };
                match one.outcome.result {
                    SpfResult::Pass => identifiers.spf.push(domain),
                    SpfResult::TempError => {
                        let reason = one.outcome.reason.clone();
                        identifiers.unanswered.push(Unanswered { domain, reason });
                    }
                    _ => {}
                }
            }
            Finding::Dkim(all) => {
                for one in all {
                    let Some(domain) = one.domain.clone() else { continue };
                    match one.result {
                        dkim::DkimResult::Pass => identifiers.dkim.push(domain),
                        dkim::DkimResult::TempError => {
                            let reason = one.reason.clone();
                            identifiers.unanswered.push(Unanswered { domain, reason });
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    identifiers
}
