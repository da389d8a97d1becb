//! Reports about our domains that arrive as mail: recognised, read and kept. They are delivered like any mail beside that.

use crate::arrival::Arrival;
use crate::owed::Sending;
use config::Section;
use mail::mime::{self, Kind, Part, decode};
use mail::{Address, Blob, Domain, Mail, header};
use policy::Authorship;
use policy::report::{self, Aggregate, Report, TlsReport};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use storage::{FiledReport, NewReport, ReportKind, ReportRow, Store};
use tokio::sync::Semaphore;
use tracing::{Instrument, info, warn};
use world::World;

/// Largest message in which a report is looked for, in octets.
const MESSAGE_MAX: u64 = 15 * 1024 * 1024;
/// Parts of a message that are looked at.
const PARTS_MAX: usize = 8;
/// Messages that may wait to be read; more are only delivered.
const WAITING_MAX: usize = 16;
/// How long reports are kept, if nothing else is said.
const KEEP: Duration = Duration::from_secs(180 * 24 * 3600);

/// What is done with reports that arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportsConfig {
    /// `false`: they are only delivered.
    pub read: bool,
    /// Only mail to these addresses is looked at; empty: mail to any address of ours.
    pub addresses: Vec<Address>,
    pub keep: Duration,
    /// What is done with reports of whose author nothing is proven.
    pub unproven: Unproven,
    /// Whether domains that mailed us get the reports that they ask for.
    pub sending: Sending,
    /// Whether domains that ask for it hear of each message that failed DMARC.
    pub failures: Sending,
    /// Who tells of connections, in TLS reports: a name, and where people can ask.
    pub organization: Option<String>,
    pub contact: Option<Address>,
}

/// What is done with a report of which anybody may be the author.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unproven {
    /// It is only delivered, as RFC 8460 §3 asks, and RFC 9990 means.
    Ignored,
    /// It is kept and shown like others, with a word that says so.
    Kept,
}

impl Default for ReportsConfig {
    fn default() -> Self {
        Self {
            read: true,
            addresses: Vec::new(),
            keep: KEEP,
            unproven: Unproven::Ignored,
            sending: Sending::On,
            failures: Sending::Off,
            organization: None,
            contact: None,
        }
    }
}

impl ReportsConfig {
    /// Reads the node `reports`.
    pub fn decode(section: &mut Section<'_>) -> Self {
        let usual = Self::default();
        Self {
            read: section
                .flag("read", "DMARC aggregate reports and TLS reports about our domains are read and kept.")
                .or(usual.read),
            addresses: section
                .parsed(
                    "address",
                    "an address",
                    Address::parse,
                    "Where reports arrive, may repeat; any address of ours if not given.",
                )
                .many(),
            keep: section
                .duration("keep", "How long reports are kept; the 10000 newest at most.")
                .within(Duration::from_secs(24 * 3600)..=Duration::from_secs(10 * 365 * 24 * 3600))
                .or(usual.keep),
            unproven: section
                .choice(
                    "unproven",
                    &[("ignore", Unproven::Ignored), ("keep", Unproven::Kept)],
                    "What is done with a DMARC report for whose author neither SPF nor DKIM vouches, and with a TLS report \
                     without a good signature of its author: only delivered, or kept and marked.",
                )
                .or(usual.unproven),
            sending: section
                .choice(
                    "send",
                    &[("daily", Sending::On), ("never", Sending::Off)],
                    "Whether domains whose mail came here, or to which mail went, get the DMARC and TLS reports that they ask for.",
                )
                .or(usual.sending),
            failures: section
                .choice(
                    "failures",
                    &[("send", Sending::On), ("never", Sending::Off)],
                    "Whether domains that ask for it (`ruf`) are told at once of a message in their name that failed DMARC, with a \
                     few fields of its header: 10 in an hour at most for a domain, and no two that are alike.",
                )
                .or(usual.failures),
            organization: section
                .text("organization", "Who reports, in TLS reports; default: the server's hostname.")
                .optional(),
            contact: section
                .parsed(
                    "contact",
                    "an address",
                    Address::parse,
                    "Whom people can ask about TLS reports, at one of our domains; default: postmaster of the first domain.",
                )
                .optional(),
        }
    }
}

/// Reads reports beside the delivery. Cloning is cheap.
#[derive(Clone)]
pub struct ReportReader {
    inner: Arc<Inner>,
}

struct Inner {
    config: ReportsConfig,
    domains: Vec<Domain>,
    store: Store,
    world: World,
    waiting: Arc<Semaphore>,
    /// One at a time: unpacking takes memory.
    turn: Semaphore,
}

impl ReportReader {
    /// Keeps reports about these domains and those below them.
    pub fn new(config: ReportsConfig, domains: Vec<Domain>, store: Store, world: World) -> Self {
        let (waiting, turn) = (Arc::new(Semaphore::new(WAITING_MAX)), Semaphore::new(1));
        Self { inner: Arc::new(Inner { config, domains, store, world, waiting, turn }) }
    }

    /// Looks at a message that was accepted, in a task of its own if it may hold a report.
    pub(crate) fn offer(&self, mail: &Mail, header: &[u8], arrival: &Arrival) {
        let (id, authorship) = (arrival.id.as_str(), arrival.authorship);
        let inner = &self.inner;
        if !inner.config.read || mail.message.received.len() > MESSAGE_MAX || !may_hold_report(header) {
            return;
        }
        let wanted = &inner.config.addresses;
        let is_for = mail.envelope.recipients.iter().any(|to| wanted.contains(&to.address));
        if !wanted.is_empty() && !is_for {
            return;
        }
        let Ok(place) = inner.waiting.clone().try_acquire_owned() else {
            warn!(mail = id, "a report is delivered, but not read: too many others wait");
            return;
        };
        let (reader, blob) = (self.clone(), mail.message.received.clone());
        let span = tracing::info_span!(parent: None, "report", mail = id);
        tokio::spawn(
            async move {
                reader.take(blob, authorship).await;
                drop(place);
            }
            .instrument(span),
        );
    }

    async fn take(&self, blob: Blob, authorship: Authorship) {
        let Ok(_turn) = self.inner.turn.acquire().await else { return };
        let found = tokio::task::spawn_blocking(move || find(&blob)).await;
        let report = match found {
            Ok(Ok(Some(report))) => report,
            Ok(Ok(None)) => return,
            Ok(Err(error)) => return info!(%error, "the message looked like a report and is none"),
            Err(error) => return warn!(%error, "the report could not be read"),
        };
        if !is_proven(&report, authorship) && self.inner.config.unproven == Unproven::Ignored {
            return info!(author = authorship.word(), "a report is ignored: nothing proves who wrote it");
        }
        let proof = if is_proven(&report, authorship) { authorship } else { Authorship::Unproven };
        for report in self.rows_of(report, proof) {
            self.keep(report).await;
        }
    }

    async fn keep(&self, report: NewReport) {
        let keep = i64::try_from(self.inner.config.keep.as_secs()).unwrap_or(i64::MAX);
        let oldest = self.inner.world.clock.unix().saturating_sub(keep);
        let (kind, domain, from) = (report.kind.word(), report.domain.clone(), report.organization.clone());
        match self.inner.store.add_report(report, oldest).await {
            Ok(FiledReport::New(number)) => info!(kind, domain, from, number, "a report was read"),
            Ok(FiledReport::Known) => info!(kind, domain, from, "a report came again"),
            Err(error) => warn!(%error, "a report could not be kept"),
        }
    }

    /// What is to be kept of a report; nothing of what is not about us.
    fn rows_of(&self, report: Report, proof: Authorship) -> Vec<NewReport> {
        let now = self.inner.world.clock.unix();
        let mut all = match report {
            Report::Aggregate(report) => vec![of_aggregate(report, now)],
            Report::Tls(report) => of_tls(report, now),
        };
        all.iter_mut().for_each(|report| report.proof = proof.word().to_owned());
        let is_ours = |report: &NewReport| {
            Domain::parse(&report.domain)
                .is_ok_and(|domain| self.inner.domains.iter().any(|ours| domain.is_within(ours)))
        };
        let (ours, others): (Vec<NewReport>, Vec<NewReport>) = all.into_iter().partition(is_ours);
        for other in others {
            info!(
                domain = other.domain,
                from = other.organization,
                "a report about a domain that is not ours"
            );
        }
        ours
    }
}

/// Whether the author of a report is known well enough: mail with DMARC reports must pass DMARC (RFC 9990), mail with TLS
/// reports must be signed (RFC 8460 §3).
fn is_proven(report: &Report, authorship: Authorship) -> bool {
    match (report, authorship) {
        (_, Authorship::Unproven) => false,
        (Report::Tls(_), Authorship::Sent) => false,
        (_, Authorship::Sent | Authorship::Signed | Authorship::Own) => true,
    }
}

/// Whether the header is one of a report (RFC 7489 §7.2.1.1, RFC 8460 §5.3).
pub(crate) fn may_hold_report(header: &[u8]) -> bool {
    let says = |name: &str, what: &str| {
        header::find(header, name).is_some_and(|field| field.text().to_ascii_lowercase().contains(what))
    };
    says("Subject", "report domain:")
        || says("Content-Type", "tlsrpt")
        || header::find(header, "TLS-Report-Domain").is_some()
}

/// The first report among the parts of a message. The error is what was wrong with the last part that could have been one.
fn find(blob: &Blob) -> Result<Option<Report>, String> {
    let trouble = |error: io::Error| error.to_string();
    let analysis = mime::analyse(&mut blob.reader()).map_err(trouble)?;
    let may_be = |part: &&Part| matches!(part.kind, Kind::Other | Kind::Text);
    let mut wrong = None;
    for part in analysis.parts.iter().filter(may_be).take(PARTS_MAX) {
        let length = part.body.end.saturating_sub(part.body.start);
        let length = usize::try_from(length).map_err(|error| error.to_string())?;
        let raw = blob.read_at(part.body.start, length).map_err(trouble)?;
        let Some(file) = decode::decode(part.encoding, &raw) else { continue };
        match report::read(&file) {
            Ok(report) => return Ok(Some(report)),
            Err(error) => wrong = Some(error.to_string()),
        }
    }
    wrong.map_or(Ok(None), Err)
}

fn of_aggregate(report: Aggregate, now: i64) -> NewReport {
    let rows = report.rows.into_iter().map(|row| {
        let is_good = row.dkim == "pass" || row.spf == "pass";
        let reason = if row.reason.is_empty() { String::new() } else { format!(" reason={}", row.reason) };
        ReportRow {
            source: row.source.map_or_else(|| "unknown".to_owned(), |ip| ip.to_string()),
            good: if is_good { row.count } else { 0 },
            bad: if is_good { 0 } else { row.count },
            result: row.disposition,
            detail: format!("from={} dkim={} spf={}{reason}", row.from, row.dkim, row.spf),
        }
    });
    NewReport {
        kind: ReportKind::Dmarc,
        arrived: now,
        organization: report.organization,
        contact: report.email,
        name: report.id,
        domain: report.domain,
        begins: report.begin,
        ends: report.end,
        policy: report.policy,
        proof: String::new(),
        rows: rows.collect(),
        dropped: report.dropped,
    }
}

/// A report for each domain that it names.
fn of_tls(report: TlsReport, now: i64) -> Vec<NewReport> {
    let mut by_domain: BTreeMap<String, NewReport> = BTreeMap::new();
    for policy in report.policies {
        let kept = by_domain.entry(policy.domain.clone()).or_insert_with(|| NewReport {
            kind: ReportKind::Tls,
            arrived: now,
            organization: report.organization.clone(),
            contact: report.contact.clone(),
            name: report.id.clone(),
            domain: policy.domain.clone(),
            begins: report.begin,
            ends: report.end,
            policy: policy.kind.clone(),
            proof: String::new(),
            rows: Vec::new(),
            dropped: 0,
        });
        let told = policy.details.iter().map(|one| one.count).fold(0_u64, u64::saturating_add);
        let row = |source: &str, good, bad, result: &str| ReportRow {
            source: source.to_owned(),
            good,
            bad,
            result: result.to_owned(),
            detail: format!("policy={}", policy.kind),
        };
        kept.rows.push(row("all", policy.successes, policy.failures.saturating_sub(told), "sessions"));
        kept.rows.extend(policy.details.iter().map(|one| {
            let host = if one.host.is_empty() { "unknown" } else { &one.host };
            row(host, 0, one.count, &one.kind)
        }));
    }
    by_domain.into_values().collect()
}
