//! TLS reports that we owe to domains to which mail went: sent once a day, by mail or by POST (RFC 8460 §5).
//!
//! Reports themselves are not counted, ours go out with the null sender and whatever TLS can be had: nobody reports about
//! reports, and nothing bounces.

use crate::intake::{Arrival, Intake};
use crate::retries::Retries;
use mail::mime::decode::to_base64;
use mail::{
    Address, Blob, Domain, Envelope, Mail, MailParams, Message, Notify, Recipient, ReversePath, date,
};
use net::{FetchError, FetchLimits, Fetcher, Reach, Request, Url};
use policy::report::compose::{from_text, gzip};
use policy::tlsrpt::{self, Applied, Counted, Destination, Failure, Owed};
use std::collections::HashSet;
use std::time::Duration;
use storage::{Store, TlsDue, TlsSeen};
use tracing::{debug, info, warn};
use world::url::Host;
use world::{DnsError, World};

/// How often counters go to the database, and it is seen whether a day is over.
pub const PERIOD: Duration = Duration::from_secs(60);
/// Reports that are sent at a time.
const REPORTS_AT_A_TIME: usize = 100;
/// How long a web server may take to accept a report.
const POST_TIME_MAX: Duration = Duration::from_secs(60);
/// Most octets of its answer that are read.
const ANSWER_MAX: usize = 64 * 1024;
/// How long after its first attempt a report that could not be sent is given up, in seconds (RFC 8460 §5.5).
const GIVE_UP: i64 = DAY;
/// Reports go out within so many seconds after the end of the day, each at its own time (RFC 8460 §4.1).
const SPREAD: u64 = 4 * 3600;
const DAY: i64 = 24 * 3600;
/// Octets of a line of base64.
const LINE: usize = 76;
const GZIP: &str = "application/tlsrpt+gzip";
const MAIL_ID_LETTERS: usize = 12;

/// Who reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reporter {
    /// Our main domain: reports come from its postmaster, so that they are signed (RFC 8460 §3).
    pub domain: Domain,
    /// The name of who reports; without it, the name of this server.
    pub organization: Option<String>,
    /// Where people can ask; without it, and where it is in no domain of ours, the postmaster of the domain.
    pub contact: Option<Address>,
    /// Where reports may be sent by POST.
    pub reach: Reach,
}

/// Sends what is owed.
pub struct TlsReportSender {
    pub intake: Intake,
    pub store: Store,
    pub world: World,
    /// For reports by POST. Their certificates need not be good (RFC 8460 §3).
    pub fetcher: Fetcher,
    retries: Retries,
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Done,
    Later,
}

/// A report, ready to go.
struct Ready<'a> {
    reporter: &'a Reporter,
    organization: &'a str,
    domain: &'a Domain,
    id: String,
    begin: i64,
    end: i64,
    file: Vec<u8>,
    from: Address,
}

impl TlsReportSender {
    pub fn new(intake: Intake, store: Store, world: World, fetcher: Fetcher) -> Self {
        Self { intake, store, world, fetcher, retries: Retries::default() }
    }

    /// Works until `stop`; what was counted is kept then.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return self.keep(self.intake.counters().tls().take()).await,
                () = tokio::time::sleep(PERIOD) => self.turn().await,
            }
        }
    }

    async fn keep(&self, counted: Vec<TlsSeen>) {
        if !counted.is_empty()
            && let Err(error) = self.store.count_tls(counted).await
        {
            warn!(%error, "what TLS reports are made of could not be kept");
        }
    }

    /// Takes the counters of domains that want reports to the database, and sends the reports about days that are over.
    pub async fn turn(&self) {
        let mut counted = self.intake.counters().tls().take();
        let mut silent = HashSet::new();
        let domains: HashSet<String> = counted.iter().map(|one| one.domain.clone()).collect();
        for domain in domains {
            // One that cannot be asked now may want them all the same.
            if matches!(self.destinations(&domain).await, Ok(found) if found.is_empty()) {
                silent.insert(domain);
            }
        }
        counted.retain(|one| !silent.contains(&one.domain));
        self.keep(counted).await;
        self.send_all().await;
    }

    async fn send_all(&self) {
        let now = self.world.clock.unix();
        let today = now.div_euclid(DAY);
        let Some(reporter) = self.intake.counters().tls().reporter() else { return };
        // Those that wait keep nobody else from theirs.
        let (mut after, mut tried) = (None, 0);
        while tried < REPORTS_AT_A_TIME {
            let due = match self.store.tls_due(today, after).await {
                Ok(Some(due)) => due,
                Ok(None) => return,
                Err(error) => return warn!(%error, "TLS reports cannot be made"),
            };
            let report = (due.day, due.domain.clone());
            after = Some(report.clone());
            let begin = (due.day + 1) * DAY + delay(&due.domain);
            if now < begin || !self.retries.is_due(&report, now) {
                continue;
            }
            tried += 1;
            if self.send(&reporter, &due).await == Fate::Later && now < begin + GIVE_UP {
                self.retries.put_off(&report, now);
                continue;
            }
            self.retries.forget(&report);
            if let Err(error) = self.store.forget_tls(due.day, &due.domain).await {
                return warn!(%error, "TLS reports cannot be taken off the list");
            }
        }
    }

    async fn destinations(&self, domain: &str) -> Result<Vec<Destination>, String> {
        let Ok(domain) = Domain::parse(domain) else { return Ok(Vec::new()) };
        match self.world.dns.txt(&tlsrpt::record_name(&domain)).await {
            Ok(texts) => Ok(tlsrpt::destinations(&texts)),
            Err(DnsError::Trouble(text)) => Err(text),
            Err(_) => Ok(Vec::new()),
        }
    }

    async fn send(&self, reporter: &Reporter, due: &TlsDue) -> Fate {
        let Ok(domain) = Domain::parse(&due.domain) else { return Fate::Done };
        let destinations = match self.destinations(&due.domain).await {
            Ok(found) => found,
            Err(trouble) => {
                debug!(%domain, trouble, "a TLS report waits");
                return Fate::Later;
            }
        };
        let counted: Vec<Counted> = due.kinds.iter().filter_map(read).collect();
        if destinations.is_empty() || counted.is_empty() {
            return Fate::Done;
        }
        let hostname = self.intake.router().hostname().to_string();
        let organization = reporter.organization.as_deref().unwrap_or(&hostname);
        let Some((from, contact)) = self.authors(reporter) else { return Fate::Done };
        let begin = due.day * DAY;
        let (id, end) = (format!("{begin}.{domain}@{}", from.domain()), begin + DAY - 1);
        let owed = Owed { organization, contact: &contact, id: &id, begin, end, counted: &counted };
        let Ok(file) = gzip(&tlsrpt::write(&owed)) else { return Fate::Done };
        let ready = Ready { reporter, organization, domain: &domain, id, begin, end, file, from };
        let report = (due.day, due.domain.clone());
        let mut fate = Fate::Done;
        for destination in destinations {
            let name = destination.to_string();
            if self.retries.has_served(&report, &name) {
                continue;
            }
            let sent = match destination {
                Destination::Mail(to) => self.mail(&ready, to).await,
                Destination::Https(url) => self.post(&ready, &url).await,
            };
            match sent {
                Fate::Done => self.retries.serve(&report, &name),
                Fate::Later => fate = Fate::Later,
            }
        }
        fate
    }

    /// From whom reports come, and who is to be asked about them: both of the same domain (RFC 8460 §5.3), which signs. A
    /// contact elsewhere cannot be named.
    fn authors(&self, reporter: &Reporter) -> Option<(Address, String)> {
        let router = self.intake.router();
        let contact = reporter.contact.as_ref().filter(|contact| router.is_local(contact.domain()));
        let domain = contact.map_or(&reporter.domain, Address::domain);
        let from = Address::new("postmaster", domain.clone()).ok()?;
        let contact = contact.unwrap_or(&from).to_string();
        Some((from, contact))
    }

    async fn post(&self, ready: &Ready<'_>, url: &str) -> Fate {
        let domain = ready.domain;
        let parsed = match Url::parse(url) {
            // Whoever owns a domain could point us at machines of our own network by their numbers.
            Ok(parsed) if is_public(parsed.host()) => parsed,
            _ => {
                info!(%domain, url, "a TLS report is not sent: no public web server has this address");
                return Fate::Done;
            }
        };
        let limits = FetchLimits { time: POST_TIME_MAX, octets: ANSWER_MAX };
        let request = Request::post(parsed, GZIP, ready.file.clone());
        // A public name may lead to machines of our own network as well.
        match self.fetcher.within(ready.reporter.reach.clone()).fetch(&request, limits).await {
            Ok(response) if (200..300).contains(&response.status) => {
                info!(%domain, url, "a TLS report was sent");
                Fate::Done
            }
            Ok(response) => {
                info!(%domain, url, status = response.status, "a TLS report was refused");
                if (400..500).contains(&response.status) { Fate::Done } else { Fate::Later }
            }
            Err(FetchError::OutOfReach) => {
                info!(%domain, url, "a TLS report is not sent: no public web server has this address");
                Fate::Done
            }
            Err(error) => {
                info!(%domain, url, %error, "a TLS report could not be sent");
                Fate::Later
            }
        }
    }

    async fn mail(&self, ready: &Ready<'_>, to: Address) -> Fate {
        let mail_id = self.world.random.word(MAIL_ID_LETTERS);
        let text = self.compose(ready, &to, &mail_id);
        let recipient = Recipient { address: to.clone(), notify: Notify::Never, original: None };
        let mut message = Message::new(Blob::from_bytes(text.into_bytes()));
        if self.intake.sign(&mut message).await.is_err() {
            return Fate::Later;
        }
        let envelope =
            Envelope { from: ReversePath::Null, params: MailParams::default(), recipients: vec![recipient] };
        let arrival = Arrival::own(mail_id.as_str());
        let domain = ready.domain;
        match self.intake.accept(Mail { envelope, message }, arrival).await {
            Ok(_) => {
                info!(mail = mail_id, %domain, %to, "a TLS report goes out");
                Fate::Done
            }
            Err(reply) if reply.is_permanent() => {
                info!(%domain, %to, %reply, "a TLS report cannot be sent");
                Fate::Done
            }
            Err(_) => Fate::Later,
        }
    }

    /// The message (RFC 8460 §5.3). TLS that is broken is what it may be about, so it must not be held up by it
    /// (RFC 8460 §3, RFC 8689 §3).
    fn compose(&self, ready: &Ready<'_>, to: &Address, mail_id: &str) -> String {
        let Ready { organization, domain, id, begin, end, file, from, .. } = ready;
        let submitter = from.domain();
        let boundary = format!("report-{mail_id}");
        let base64 = to_base64(file);
        let lines: Vec<String> =
            base64.as_bytes().chunks(LINE).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        // It stands in a line of its own text; what is not ASCII goes into the file only.
        let who: String =
            organization.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(60).collect();
        format!(
            "From: <{from}>\r\nTo: <{to}>\r\nDate: {}\r\nMessage-ID: <{mail_id}@{submitter}>\r\n\
             Subject: Report Domain: {domain}\r\n Submitter: {submitter}\r\n Report-ID: <{id}>\r\n\
             TLS-Report-Domain: {domain}\r\nTLS-Report-Submitter: {submitter}\r\nTLS-Required: No\r\n\
             Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n boundary=\"{boundary}\"\r\n\r\n\
             --{boundary}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n\
             This is a TLS report of {who}\r\nabout connections for mail to {domain}.\r\n\r\n\
             --{boundary}\r\nContent-Type: {GZIP}\r\nContent-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment;\r\n filename=\"{submitter}!{domain}!{begin}!{end}.json.gz\"\r\n\r\n\
             {}\r\n--{boundary}--\r\n",
            date::print(self.world.clock.unix()),
            lines.join("\r\n"),
        )
    }
}

/// A row of the database as it was counted; `None` if another version wrote it otherwise.
fn read((policy, detail, count): &(String, String, u64)) -> Option<Counted> {
    let applied: Applied = from_text(policy)?;
    let failure: Option<Failure> = match detail.as_str() {
        "" => None,
        detail => Some(from_text(detail)?),
    };
    Some(Counted { applied, failure, count: *count })
}

/// Seconds after the end of a day at which a domain gets its report: always the same for one, and different for others, so that
/// who reads the reports of many domains does not get them all at once.
fn delay(domain: &str) -> i64 {
    // FNV-1a: nothing depends on it being hard to guess.
    let hash = domain.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash % SPREAD).cast_signed()
}

fn is_public(host: &Host) -> bool {
    matches!(host, Host::Name(name) if name.as_str() != "localhost")
}
