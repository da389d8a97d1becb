//! DMARC aggregate reports that we owe to domains whose mail came here: counted, and told once a day (RFC 9990).
//!
//! Messages that are reports themselves are not counted, and reports go out with the null sender: nobody reports about
//! reports for ever, and nothing bounces. Failure reports are never sent: they would show what is in a message.

use crate::arrival::Arrival;
use crate::intake::Intake;
use crate::reports::may_hold_report;
use crate::tls_seen::TlsCounters;
use mail::mime::decode::to_base64;
use mail::{
    Address, Blob, Domain, Envelope, Mail, MailParams, Message, Notify, Recipient, ReversePath, date,
};
use policy::report::compose::{from_text, gzip, to_text};
use policy::report::{Owed, PublishedPolicy, Seen, destination, xml};
use policy::{Authorship, Facts, Finding, Identity, Verdict};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use storage::{DmarcDue, DmarcSeen, Folder, Store};
use tracing::{debug, info, warn};
use world::{DnsError, World};

/// How often counters go to the database, and it is seen whether a day is over.
pub const PERIOD: Duration = Duration::from_secs(60);
/// Kinds of mail that are counted in memory until then; more are not counted.
const KINDS_MAX: usize = 10_000;
/// Reports that are sent at a time.
const REPORTS_AT_A_TIME: usize = 100;
/// Addresses of one domain that get a report.
const DESTINATIONS_MAX: usize = 4;
/// Signatures of one message that are told.
const SIGNATURES_MAX: usize = 5;
/// Days after which a report that could not be sent is given up.
const GIVE_UP_DAYS: i64 = 3;
const DAY: i64 = 24 * 3600;
/// How much of a message is read to see whether it is a report itself.
const HEADER_MAX: usize = 64 * 1024;
/// Octets of a line of base64.
const LINE: usize = 76;

/// What a door knows when a message was judged.
#[derive(Clone, Copy)]
pub struct Observed<'a> {
    pub facts: &'a Facts,
    pub findings: &'a [Finding],
    pub verdict: &'a Verdict,
    pub message: &'a Message,
}

/// Counts. Cloning is cheap.
#[derive(Clone, Default)]
pub struct Counters {
    inner: Arc<Counting>,
    tls: TlsCounters,
}

#[derive(Default)]
struct Counting {
    on: AtomicBool,
    kinds: Mutex<HashMap<Kind, (PublishedPolicy, u64)>>,
}

#[derive(PartialEq, Eq, Hash)]
struct Kind {
    day: i64,
    domain: String,
    seen: Seen,
}

/// Whether mail is counted, and reports are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    On,
    Off,
}

impl Counters {
    /// Counts for TLS reports.
    pub fn tls(&self) -> &TlsCounters {
        &self.tls
    }

    pub fn set(&self, sending: Sending) {
        self.inner.on.store(sending == Sending::On, Ordering::Relaxed);
    }

    /// Counts a message that was judged, if its author's domain wants to hear of it. Messages that were put off are counted
    /// when they come again.
    pub fn observe(&self, observed: Observed<'_>, now: i64) {
        if !self.inner.on.load(Ordering::Relaxed) || matches!(observed.verdict, Verdict::Defer(_)) {
            return;
        }
        let Some((domain, policy, seen)) = read(observed) else { return };
        let is_report =
            observed.message.received.read_at(0, HEADER_MAX).is_ok_and(|head| may_hold_report(&head));
        if is_report {
            return;
        }
        let mut kinds = self.inner.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = Kind { day: now.div_euclid(DAY), domain, seen };
        if kinds.len() >= KINDS_MAX && !kinds.contains_key(&kind) {
            return;
        }
        let counted = kinds.entry(kind).or_insert_with(|| (policy.clone(), 0));
        *counted = (policy, counted.1.saturating_add(1));
    }

    fn take(&self) -> Vec<DmarcSeen> {
        let kinds = std::mem::take(&mut *self.inner.kinds.lock().unwrap_or_else(PoisonError::into_inner));
        let row = |(kind, (policy, count)): (Kind, (PublishedPolicy, u64))| DmarcSeen {
            day: kind.day,
            domain: kind.domain,
            policy: to_text(&policy),
            detail: to_text(&kind.seen),
            count,
        };
        kinds.into_iter().map(row).collect()
    }
}

/// Where the record stands, what it says, and what is told of the message. `None` where nobody wants to know.
fn read(observed: Observed<'_>) -> Option<(String, PublishedPolicy, Seen)> {
    let dmarc = observed.findings.iter().find_map(|finding| match finding {
        Finding::Dmarc(one) => Some(one),
        _ => None,
    })?;
    let (applied, author, at) = (dmarc.applied.as_ref()?, dmarc.author.as_ref()?, dmarc.record_at.as_ref()?);
    if applied.record.rua.is_empty() {
        return None;
    }
    let vouched = |yes: bool| if yes { "pass" } else { "fail" }.to_owned();
    let (disposition, reason) = match (applied.dkim || applied.spf, dmarc.wanted.word(), observed.verdict) {
        (true, ..) => ("pass", ""),
        (false, "reject", Verdict::Reject(_)) => ("reject", ""),
        (false, "reject", Verdict::Quarantine(_)) => ("quarantine", "local_policy"),
        (false, "quarantine", Verdict::Reject(_) | Verdict::Quarantine(_)) => ("quarantine", ""),
        (false, "none", _) => ("none", ""),
        (false, ..) => ("none", "local_policy"),
    };
    let mail_from = observed.facts.mail_from.address().map(|address| address.domain().to_string());
    let seen = Seen {
        source: observed.facts.peer.to_canonical(),
        disposition: disposition.to_owned(),
        dkim: vouched(applied.dkim),
        spf: vouched(applied.spf),
        reason: reason.to_owned(),
        header_from: author.to_string(),
        envelope_from: mail_from.clone().unwrap_or_default(),
        signatures: signatures(observed.findings),
        spf_result: spf(observed.findings, mail_from),
    };
    Some((at.to_string(), PublishedPolicy::of(&applied.record), seen))
}

fn signatures(findings: &[Finding]) -> Vec<(String, String, String)> {
    let all = findings.iter().filter_map(|finding| match finding {
        Finding::Dkim(all) => Some(all),
        _ => None,
    });
    all.flatten()
        .filter_map(|one| {
            let domain = one.domain.as_ref()?.to_string();
            Some((domain, one.selector.clone().unwrap_or_default(), one.result.word().to_owned()))
        })
        .take(SIGNATURES_MAX)
        .collect()
}

fn spf(findings: &[Finding], mail_from: Option<String>) -> Option<(String, String)> {
    findings.iter().find_map(|finding| match finding {
        Finding::Spf(one) if one.identity != Identity::Helo => {
            let domain = mail_from.clone().unwrap_or_else(|| one.who.clone());
            Some((domain, one.outcome.result.word().to_owned()))
        }
        _ => None,
    })
}

/// Sends what is owed.
pub struct ReportSender {
    pub intake: Intake,
    pub store: Store,
    pub world: World,
    /// Our main domain: reports come from its postmaster, so that they are signed.
    pub domain: Domain,
}

/// What became of a report.
enum Fate {
    Done,
    Later,
}

impl ReportSender {
    /// Works until `stop`; what was counted is kept then.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return self.keep().await,
                () = tokio::time::sleep(PERIOD) => self.turn().await,
            }
        }
    }

    /// Takes the counters to the database.
    async fn keep(&self) {
        let counted = self.intake.counters().take();
        if !counted.is_empty()
            && let Err(error) = self.store.count_dmarc(counted).await
        {
            warn!(%error, "what DMARC reports are made of could not be kept");
        }
    }

    /// Takes the counters to the database, and sends the reports about days that are over.
    pub async fn turn(&self) {
        self.keep().await;
        let today = self.world.clock.unix().div_euclid(DAY);
        let mut after = None;
        for _ in 0..REPORTS_AT_A_TIME {
            let due = match self.store.dmarc_due(today, after).await {
                Ok(Some(due)) => due,
                Ok(None) => return,
                Err(error) => return warn!(%error, "DMARC reports cannot be made"),
            };
            after = Some((due.day, due.domain.clone()));
            let fate = self.send(&due).await;
            if (matches!(fate, Fate::Done) || due.day + GIVE_UP_DAYS < today)
                && let Err(error) = self.store.forget_dmarc(due.day, &due.domain).await
            {
                return warn!(%error, "DMARC reports cannot be taken off the list");
            }
        }
    }

    async fn send(&self, due: &DmarcDue) -> Fate {
        let (Some(policy), Ok(domain)) =
            (from_text::<PublishedPolicy>(&due.policy), Domain::parse(&due.domain))
        else {
            return Fate::Done;
        };
        let rows: Vec<(Seen, u64)> =
            due.kinds.iter().filter_map(|(detail, count)| Some((from_text(detail)?, *count))).collect();
        let Ok(from) = Address::new("postmaster", self.domain.clone()) else { return Fate::Done };
        let hostname = self.intake.router().hostname().clone();
        let begin = due.day * DAY;
        let id = format!("{begin}.{domain}@{hostname}");
        let report = Owed {
            organization: hostname.as_str(),
            email: &from.to_string(),
            id: &id,
            begin,
            end: begin + DAY - 1,
            domain: domain.as_str(),
            policy: &policy,
            rows: &rows,
        };
        let Ok(file) = gzip(&xml(&report)) else { return Fate::Done };
        let mut fate = Fate::Done;
        for (to, limit) in policy.rua.iter().filter_map(|uri| destination(uri)).take(DESTINATIONS_MAX) {
            if limit.is_some_and(|limit| file.len() as u64 > limit) {
                info!(%domain, %to, octets = file.len(), "a DMARC report is larger than its reader wants");
                continue;
            }
            match self.wants(&domain, to.domain()).await {
                Ok(true) => {}
                Ok(false) => {
                    debug!(%domain, %to, "a DMARC report is not sent: its reader has not agreed to it");
                    continue;
                }
                Err(trouble) => {
                    debug!(%domain, %to, trouble, "a DMARC report waits");
                    fate = Fate::Later;
                    continue;
                }
            }
            if let Fate::Later = self.post(&report, &file, &from, to).await {
                fate = Fate::Later;
            }
        }
        fate
    }

    /// Whether a host elsewhere has agreed to get reports about a domain (RFC 9990, "Verifying External Destinations").
    async fn wants(&self, domain: &Domain, host: &Domain) -> Result<bool, String> {
        if host.is_within(domain) || domain.is_within(host) {
            return Ok(true);
        }
        match self.world.dns.txt(&format!("{domain}._report._dmarc.{host}")).await {
            Ok(texts) => Ok(texts.iter().any(|text| {
                let version = text.split(';').next().unwrap_or_default();
                version
                    .split_once('=')
                    .is_some_and(|(name, value)| name.trim() == "v" && value.trim() == "DMARC1")
            })),
            Err(DnsError::Trouble(text)) => Err(text),
            Err(_) => Ok(false),
        }
    }

    async fn post(&self, report: &Owed<'_>, file: &[u8], from: &Address, to: Address) -> Fate {
        let mail_id = self.world.random.word(12);
        let text = self.compose(report, file, from, &to, &mail_id);
        let recipient = Recipient { address: to.clone(), notify: Notify::Never, original: None };
        let mut message = Message::new(Blob::from_bytes(text.into_bytes()));
        if self.intake.sign(&mut message).await.is_err() {
            return Fate::Later;
        }
        let envelope =
            Envelope { from: ReversePath::Null, params: MailParams::default(), recipients: vec![recipient] };
        let arrival = Arrival { id: mail_id.clone(), folder: Folder::Inbox, authorship: Authorship::Own };
        match self.intake.accept(Mail { envelope, message }, arrival).await {
            Ok(_) => {
                info!(mail = mail_id, domain = report.domain, %to, rows = report.rows.len(), "a DMARC report goes out");
                Fate::Done
            }
            Err(reply) if reply.is_permanent() => {
                info!(domain = report.domain, %to, %reply, "a DMARC report cannot be sent");
                Fate::Done
            }
            Err(_) => Fate::Later,
        }
    }

    /// The message (RFC 9990, "Email").
    fn compose(&self, report: &Owed<'_>, file: &[u8], from: &Address, to: &Address, mail_id: &str) -> String {
        let Owed { organization, id, domain, begin, end, .. } = report;
        let boundary = format!("report-{mail_id}");
        let base64 = to_base64(file);
        let lines: Vec<String> =
            base64.as_bytes().chunks(LINE).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        format!(
            "From: <{from}>\r\nTo: <{to}>\r\nDate: {}\r\nMessage-ID: <{mail_id}@{organization}>\r\n\
             Subject: Report Domain: {domain}\r\n Submitter: {organization}\r\n Report-ID: <{id}>\r\n\
             Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\r\n--{boundary}\r\n\
             Content-Type: text/plain; charset=us-ascii\r\n\r\n\
             This is a DMARC aggregate report about mail in the name of\r\n{domain}.\r\n\r\n--{boundary}\r\n\
             Content-Type: application/gzip\r\nContent-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment;\r\n filename=\"{organization}!{domain}!{begin}!{end}.xml.gz\"\r\n\r\n\
             {}\r\n--{boundary}--\r\n",
            date::print(self.world.clock.unix()),
            lines.join("\r\n"),
        )
    }
}
