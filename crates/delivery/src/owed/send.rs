//! Sends the DMARC reports that are owed: aggregate reports when their day is over, failure reports at once.

use super::DAY;
use crate::arrival::Arrival;
use crate::intake::Intake;
use mail::mime::decode::to_base64;
use mail::{
    Address, Blob, Domain, Envelope, Mail, MailParams, Message, Notify, Recipient, ReversePath, date,
};
use policy::dmarc::{Consent, ReportKind, consent};
use policy::report::compose::{from_text, gzip};
use policy::report::{Owed, PublishedPolicy, Seen, destination, xml};
use std::time::Duration;
use storage::{DmarcDue, Store};
use tracing::{debug, info, warn};
use world::World;

/// How often counters go to the database, and it is seen whether a day is over.
pub const PERIOD: Duration = Duration::from_secs(60);
/// Reports that are sent at a time.
const REPORTS_AT_A_TIME: usize = 100;
/// Addresses of one domain that get a report.
const DESTINATIONS_MAX: usize = 4;
/// Days after which a report that could not be sent is given up.
const GIVE_UP_DAYS: i64 = 3;
/// How long telling failures may take at a time: they are told at once or not at all.
const FAILURES_TIME_MAX: Duration = Duration::from_secs(300);
const MAIL_ID_LETTERS: usize = 12;
/// Octets of a line of base64.
const LINE: usize = 76;

/// Sends what is owed.
pub struct ReportSender {
    pub intake: Intake,
    pub store: Store,
    pub world: World,
    /// Our main domain: reports come from its postmaster, so that they are signed.
    pub domain: Domain,
}

/// Whether a report that cannot be sent now may wait.
#[derive(Clone, Copy)]
enum Patience {
    Left,
    Over,
}

/// What became of a report.
enum Fate {
    Done,
    Later,
}

/// Who reads reports, with the most octets that each takes; and whether there may be more of them another time.
struct Readers {
    all: Vec<(Address, Option<u64>)>,
    fate: Fate,
}

impl ReportSender {
    /// Works until `stop`; what was counted is kept then.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return self.keep().await,
                () = tokio::time::sleep(PERIOD) => {}
            }
            self.keep().await;
            // Others decide how long their name servers take. What is cut off goes out at the next start, under the same number.
            tokio::select! {
                () = &mut stop => return self.keep().await,
                () = self.tell() => {}
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
        self.tell().await;
    }

    async fn tell(&self) {
        self.tell_failures().await;
        let today = self.world.clock.unix().div_euclid(DAY);
        let mut after = None;
        for _ in 0..REPORTS_AT_A_TIME {
            let due = match self.store.dmarc_due(today, after).await {
                Ok(Some(due)) => due,
                Ok(None) => return,
                Err(error) => return warn!(%error, "DMARC reports cannot be made"),
            };
            after = Some((due.day, due.domain.clone()));
            let patience = if due.day + GIVE_UP_DAYS < today { Patience::Over } else { Patience::Left };
            if matches!(self.send(&due, patience).await, Fate::Done)
                && let Err(error) = self.store.forget_dmarc(due.day, &due.domain).await
            {
                return warn!(%error, "DMARC reports cannot be taken off the list");
            }
        }
    }

    /// All readers are told at the same time, so that nobody hears again and again what another could not be told.
    async fn send(&self, due: &DmarcDue, patience: Patience) -> Fate {
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
        let readers = self.readers(&domain, &policy.rua, ReportKind::Aggregate).await;
        if matches!((readers.fate, patience), (Fate::Later, Patience::Left)) {
            return Fate::Later;
        }
        let mut told = 0;
        for (to, limit) in readers.all {
            let mail_id = self.world.random.word(MAIL_ID_LETTERS);
            let text = self.compose(&report, &file, &from, &to, &mail_id);
            // What counts is the report as it travels.
            if limit.is_some_and(|limit| text.len() as u64 > limit) {
                info!(%domain, %to, octets = text.len(), "a DMARC report is larger than its reader wants");
                continue;
            }
            info!(mail = mail_id, %domain, %to, rows = report.rows.len(), "a DMARC report goes out");
            match (self.post(text, to, mail_id).await, patience) {
                (Fate::Later, Patience::Left) if told == 0 => return Fate::Later,
                _ => told += 1,
            }
        }
        Fate::Done
    }

    /// Where reports about a domain go: those of its URIs whose hosts have agreed to it.
    async fn readers(&self, domain: &Domain, uris: &[String], kind: ReportKind) -> Readers {
        let mut readers = Readers { all: Vec::new(), fate: Fate::Done };
        for (to, limit) in uris.iter().filter_map(|uri| destination(uri)).take(DESTINATIONS_MAX) {
            match consent(domain, to.domain(), kind, self.world.dns.as_ref()).await {
                Ok(Consent::Given) => readers.all.push((to, limit)),
                Ok(Consent::Instead(uris)) => {
                    let others = uris.iter().filter_map(|uri| destination(uri));
                    readers.all.extend(others.take(DESTINATIONS_MAX));
                }
                Ok(Consent::Refused) => {
                    debug!(%domain, %to, "a DMARC report is not sent: its reader has not agreed to it");
                }
                Err(trouble) => {
                    debug!(%domain, %to, trouble, "a DMARC report waits");
                    readers.fate = Fate::Later;
                }
            }
        }
        readers.all.dedup_by(|one, other| one.0 == other.0);
        readers
    }

    /// Tells domains of the messages that failed since the last time. What cannot be sent is not told later.
    async fn tell_failures(&self) {
        let Ok(from) = Address::new("postmaster", self.domain.clone()) else { return };
        let hostname = self.intake.router().hostname().clone();
        let end = tokio::time::Instant::now() + FAILURES_TIME_MAX;
        for failed in self.intake.counters().failures().take() {
            if tokio::time::Instant::now() > end {
                return debug!("the DNS takes too long: some failures of DMARC are not told");
            }
            let readers = self.readers(&failed.at, &failed.ruf, ReportKind::Failure).await;
            for (to, limit) in readers.all {
                let mail_id = self.world.random.word(MAIL_ID_LETTERS);
                let text = format!(
                    "From: <{from}>\r\nTo: <{to}>\r\nDate: {}\r\nMessage-ID: <{mail_id}@{hostname}>\r\n\
                     Subject: DMARC failure report\r\n about {}\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n{}",
                    date::print(self.world.clock.unix()),
                    failed.author,
                    failed.body(&format!("report-{mail_id}")),
                );
                if limit.is_none_or(|limit| text.len() as u64 <= limit) {
                    info!(mail = mail_id, domain = %failed.author, %to, source = %failed.source, "a DMARC failure report goes out");
                    self.post(text, to, mail_id).await;
                }
            }
        }
    }

    /// Signs a report and hands it in.
    async fn post(&self, text: String, to: Address, mail_id: String) -> Fate {
        let recipient = Recipient { address: to.clone(), notify: Notify::Never, original: None };
        let mut message = Message::new(Blob::from_bytes(text.into_bytes()));
        if self.intake.sign(&mut message).await.is_err() {
            return Fate::Later;
        }
        let envelope =
            Envelope { from: ReversePath::Null, params: MailParams::default(), recipients: vec![recipient] };
        let arrival = Arrival::own(mail_id.as_str());
        match self.intake.accept(Mail { envelope, message }, arrival).await {
            Ok(_) => Fate::Done,
            Err(reply) if reply.is_permanent() => {
                info!(mail = mail_id, %to, %reply, "a DMARC report cannot be sent");
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
