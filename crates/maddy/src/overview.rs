//! What `maddy top` shows: sessions, the queue, and what was counted, at one moment.

use crate::metrics::View;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use world::Meter;
use world::meter::{Door, Fate, ImapVerb, Label, Login, Outcome, Reason, Refused};

/// Name of the operation on the control socket.
pub(crate) const OVERVIEW: &str = "overview";
/// Most sessions that are listed, the oldest first; all are counted.
const SESSIONS_MAX: usize = 1000;
/// Jobs that are listed.
const JOBS_MAX: usize = 20;

/// How it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Overview {
    pub(crate) version: String,
    pub(crate) hostname: String,
    /// When it was looked, and when the server started, in seconds since 1970.
    pub(crate) now: i64,
    pub(crate) since: i64,
    /// Connections that live, those of the web included.
    pub(crate) connections: usize,
    /// By the door by which they came.
    pub(crate) smtp: usize,
    pub(crate) submission: usize,
    pub(crate) imap: usize,
    /// The oldest first.
    pub(crate) sessions: Vec<SessionLine>,
    /// Messages that wait to go out.
    pub(crate) queued: u64,
    /// How long the oldest of them waits, in seconds.
    pub(crate) oldest: i64,
    /// The oldest first.
    pub(crate) jobs: Vec<JobLine>,
    pub(crate) totals: Totals,
}

/// A connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SessionLine {
    /// As in the log.
    pub(crate) id: String,
    pub(crate) door: String,
    pub(crate) peer: String,
    /// In seconds since 1970.
    pub(crate) since: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<String>,
}

/// A message that waits to go out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct JobLine {
    pub(crate) id: i64,
    /// Empty for notices.
    pub(crate) from: String,
    /// The first recipient, and how many there are.
    pub(crate) to: String,
    pub(crate) recipients: usize,
    pub(crate) arrived: i64,
    /// What a host said last.
    pub(crate) last: String,
}

/// Since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Totals {
    /// Messages at the doors.
    pub(crate) accepted: u64,
    pub(crate) put_off: u64,
    pub(crate) refused: u64,
    /// Senders, recipients and clients that were refused.
    pub(crate) turned_away: u64,
    /// Copies put into mailboxes.
    pub(crate) filed: u64,
    /// Recipients elsewhere.
    pub(crate) sent: u64,
    pub(crate) deferred: u64,
    pub(crate) failed: u64,
    pub(crate) logins: u64,
    pub(crate) failed_logins: u64,
    /// Commands of IMAP.
    pub(crate) commands: u64,
    /// Commits of the database.
    pub(crate) commits: u64,
}

impl Totals {
    fn of(meter: &Meter) -> Self {
        let messages = |outcome| Door::ALL.iter().map(|door| meter.messages_in.get(*door, outcome)).sum();
        let logins = |result| Door::ALL.iter().map(|door| meter.logins.get(*door, result)).sum::<u64>();
        let sent = |fate| meter.sent.get(fate, ());
        let turned_away =
            |what| Reason::ALL.iter().map(|reason| meter.refused.get(what, *reason)).sum::<u64>();
        Self {
            accepted: messages(Outcome::Accepted),
            put_off: messages(Outcome::PutOff),
            refused: messages(Outcome::Refused),
            turned_away: [Refused::Client, Refused::Sender, Refused::Recipient].map(turned_away).iter().sum(),
            filed: meter.filed.get((), ()),
            sent: sent(Fate::Sent),
            deferred: sent(Fate::Deferred),
            failed: sent(Fate::Failed) + sent(Fate::GivenUp),
            logins: logins(Login::Good),
            failed_logins: logins(Login::Failed) + logins(Login::Blocked),
            commands: ImapVerb::ALL.iter().map(|verb| meter.imap_commands.count(*verb)).sum(),
            commits: meter.commits.count(()),
        }
    }
}

impl View {
    /// How it stands now.
    pub(crate) async fn overview(&self, hostname: String) -> storage::Result<Overview> {
        let sessions = self.gate.sessions();
        let at = |door: Door| sessions.iter().filter(|session| session.door == door.word()).count();
        let (smtp, submission, imap) = (at(Door::Smtp), at(Door::Submission), at(Door::Imap));
        let now = self.world.clock.unix();
        let jobs = self.store.queue(None, JOBS_MAX).await?;
        Ok(Overview {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hostname,
            now,
            since: self.since,
            connections: self.gate.live(),
            smtp,
            submission,
            imap,
            sessions: sessions.into_iter().take(SESSIONS_MAX).map(SessionLine::from).collect(),
            queued: self.store.queue_length().await?,
            oldest: jobs.first().map_or(0, |job| (now - job.arrived).max(0)),
            jobs: jobs.into_iter().map(JobLine::from).collect(),
            totals: Totals::of(&self.world.meter),
        })
    }
}

impl From<net::Session> for SessionLine {
    fn from(session: net::Session) -> Self {
        Self {
            id: session.id,
            door: session.door.to_owned(),
            peer: session.peer.to_string(),
            since: session.since,
            tls: session.tls.map(str::to_owned),
            account: session.account,
        }
    }
}

impl From<storage::Job> for JobLine {
    fn from(job: storage::Job) -> Self {
        let first = job.recipients.first();
        let last = job.recipients.iter().filter_map(|one| one.last.as_ref()).max_by_key(|last| last.at);
        Self {
            id: job.id.get(),
            from: job.from.to_string(),
            to: first.map(|one| one.recipient.address.to_string()).unwrap_or_default(),
            recipients: job.recipients.len(),
            arrived: job.arrived,
            last: last.map(|last| last.reply.to_string()).unwrap_or_default(),
        }
    }
}
