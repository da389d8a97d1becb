//! The filters that are asked about a message: connections to them, and what they said.

use delivery::refusal;
use mail::{Message, Reply};
use net::fetch::FetchLimits;
use net::{Connector, Fetcher, Request};
use policy::filter::{Command, Endpoint, Filters, Milter, Outcome, Rspamd};
use policy::milter::{Change, Client, Conclusion, Decision, Session, Stream, Trouble, edited, show};
use policy::{Action, Facts, program, rspamd};
use std::path::Path;
use std::sync::Arc;
use std::{fmt, io};
use tracing::{debug, info, warn};

/// Filters as configured, with the ways to reach them. Cloning is cheap.
#[derive(Clone)]
pub struct Desk {
    filters: Arc<Filters>,
    connector: Connector,
    fetcher: Fetcher,
}

impl Desk {
    pub fn new(filters: Filters, connector: Connector, fetcher: Fetcher) -> Self {
        Self { filters: Arc::new(filters), connector, fetcher }
    }

    /// The same ways to other filters.
    #[must_use]
    pub fn with(self, filters: Filters) -> Self {
        Self { filters: Arc::new(filters), ..self }
    }
}

/// The client as filters are told of it.
pub(crate) struct Stranger<'a> {
    pub(crate) client: Client,
    pub(crate) helo: Option<&'a str>,
    /// Our own name.
    pub(crate) hostname: &'a str,
}

/// What all filters make of one message.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) outcomes: Vec<Outcome>,
    /// Changes of the header, in order.
    pub(crate) changes: Vec<Change>,
    /// Fields that stand in front of the message.
    pub(crate) fields: Vec<String>,
}

/// The filters of one connection.
pub(crate) struct Filtering {
    desk: Desk,
    open: Vec<Open>,
    /// What was found before the message came.
    early: Vec<Outcome>,
    recipients: Vec<String>,
}

struct Open {
    milter: Milter,
    session: Session,
}

impl Filtering {
    pub(crate) fn new(desk: Desk) -> Self {
        Self { desk, open: Vec::new(), early: Vec::new(), recipients: Vec::new() }
    }

    /// A message begins. A filter that cannot be asked counts when the message is there.
    pub(crate) async fn mail(&mut self, stranger: &Stranger<'_>, id: &str, from: &str) -> Result<(), Reply> {
        self.early.clear();
        self.recipients.clear();
        self.connect(stranger).await?;
        let mut said = Ok(());
        let mut open = std::mem::take(&mut self.open);
        for mut one in open.drain(..) {
            let told = one.session.mail(id, from, &[]).await;
            said = said.and(self.heard(one, told));
        }
        said
    }

    /// A recipient that we would take.
    pub(crate) async fn rcpt(&mut self, to: &str) -> Result<(), Reply> {
        let mut said = Ok(());
        let mut open = std::mem::take(&mut self.open);
        for mut one in open.drain(..) {
            let told = one.session.rcpt(to).await;
            said = said.and(self.heard(one, told));
        }
        if said.is_ok() {
            self.recipients.push(to.to_owned());
        }
        said
    }

    /// The client is another, or calls itself otherwise: filters hear of it from the start.
    pub(crate) fn begin_anew(&mut self) {
        self.part();
        self.early.clear();
    }

    /// Says good-bye to all, which some of them take for an error if it is missing.
    fn part(&mut self) {
        let open = std::mem::take(&mut self.open);
        if let (false, Ok(runtime)) = (open.is_empty(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                for one in open {
                    one.session.quit().await;
                }
            });
        }
    }

    /// The message is dropped.
    pub(crate) async fn reset(&mut self) {
        let mut open = std::mem::take(&mut self.open);
        for mut one in open.drain(..) {
            if one.session.abort().await.is_ok() {
                self.open.push(one);
            }
        }
    }

    /// Asks all filters about a message that is whole.
    pub(crate) async fn content(&mut self, facts: &Facts, id: &str, message: &Message) -> Found {
        let desk = self.desk.clone();
        let mut found = Found { outcomes: std::mem::take(&mut self.early), ..Found::default() };
        let mut open = std::mem::take(&mut self.open);
        for mut one in open.drain(..) {
            let shown = show(&mut one.session, message).await;
            if let Some(one) = concluded(one, shown, &mut found) {
                self.open.push(one);
            }
        }
        if let Some(rspamd) = &desk.filters.rspamd {
            self.scan(rspamd, facts, id, message, &mut found).await;
        }
        for command in &desk.filters.commands {
            self.run(command, facts, id, message, &mut found).await;
        }
        for outcome in &found.outcomes {
            info!(mail = id, %outcome, "filtered");
        }
        found
    }

    /// Opens what is not open.
    async fn connect(&mut self, stranger: &Stranger<'_>) -> Result<(), Reply> {
        let desk = self.desk.clone();
        for milter in &desk.filters.milters {
            if self.open.iter().any(|one| one.milter.endpoint == milter.endpoint) {
                continue;
            }
            let mut session = match begin(&desk, milter).await {
                Ok(session) => session,
                Err(trouble) => {
                    self.failed(milter, &trouble);
                    continue;
                }
            };
            let mut told = session.connect(&stranger.client, stranger.hostname).await;
            if let (Ok(Decision::Go), Some(name)) = (&told, stranger.helo) {
                told = session.hello(name).await;
            }
            // Not kept: whoever it refuses is refused with each message, not only with the first.
            if let Ok(Decision::Refuse(reply)) = told {
                return Err(reply);
            }
            self.heard(Open { milter: milter.clone(), session }, told)?;
        }
        Ok(())
    }

    /// Keeps a filter that goes on.
    fn heard(&mut self, one: Open, told: Result<Decision, Trouble>) -> Result<(), Reply> {
        match told {
            Ok(Decision::Go) => self.open.push(one),
            Ok(Decision::Refuse(reply)) => {
                self.open.push(one);
                return Err(reply);
            }
            Ok(Decision::Discard) => {
                self.early.push(discarded(&one.milter));
                self.open.push(one);
            }
            Err(trouble) => self.failed(&one.milter, &trouble),
        }
        Ok(())
    }

    fn failed(&mut self, milter: &Milter, trouble: &dyn fmt::Display) {
        let name = name(milter);
        warn!(filter = name, %trouble, "a filter could not be asked");
        self.early.push(Outcome::failed(name, trouble, milter.on_failure));
    }

    async fn scan(&self, rspamd: &Rspamd, facts: &Facts, id: &str, message: &Message, found: &mut Found) {
        if message.len() > rspamd.max_size {
            debug!(mail = id, octets = message.len(), "too large for rspamd");
            return;
        }
        match self.ask(rspamd, facts, id, message).await {
            Ok(scan) => {
                debug!(mail = id, score = scan.score, symbols = scan.symbols.join(","), "rspamd");
                let outcome = rspamd.outcome(&scan);
                let flag = if outcome.action >= Action::Mark { "Yes" } else { "No" };
                found.fields.push(format!("X-Spam-Flag: {flag}"));
                found.fields.push(format!("X-Spam-Score: {:.2} of {:.2}", scan.score, scan.required));
                found.outcomes.push(outcome);
            }
            Err(why) => {
                warn!(filter = "rspamd", %why, "a filter could not be asked");
                found.outcomes.push(Outcome::failed("rspamd".to_owned(), &why, rspamd.on_failure));
            }
        }
    }

    async fn ask(
        &self,
        rspamd: &Rspamd,
        facts: &Facts,
        id: &str,
        message: &Message,
    ) -> Result<rspamd::Scan, String> {
        let of = message.clone();
        let read = tokio::task::spawn_blocking(move || of.to_vec()).await.map_err(io::Error::other);
        let octets = read.and_then(|read| read).map_err(|error| error.to_string())?;
        let mut request = Request::post(rspamd.url.clone(), "message/rfc822", octets);
        for (name, value) in rspamd::fields(facts, id, &self.recipients, None) {
            request = request.field(name, &value);
        }
        let limits = FetchLimits { time: rspamd.patience, octets: rspamd::ANSWER_MAX };
        let response = self.desk.fetcher.fetch(&request, limits).await.map_err(|error| error.to_string())?;
        if response.status != 200 {
            return Err(format!("rspamd answers {}", response.status));
        }
        rspamd::read(&response.body)
    }

    async fn run(&self, command: &Command, facts: &Facts, id: &str, message: &Message, found: &mut Found) {
        let variables = [
            ("MADDY_SOURCE_IP", facts.peer.to_string()),
            ("MADDY_HELO", facts.helo.clone()),
            ("MADDY_SENDER", facts.mail_from.address().map(ToString::to_string).unwrap_or_default()),
            ("MADDY_RECIPIENTS", self.recipients.join("\n")),
            ("MADDY_MAIL_ID", id.to_owned()),
        ];
        let ended = program::run(&command.program, &variables, message).await;
        let ended = ended.and_then(|ended| Ok((ended.status, program::fields(&ended.output)?)));
        match ended {
            Ok((status, fields)) => {
                found.outcomes.push(command.outcome(status));
                found.fields.extend(fields);
            }
            Err(why) => {
                let filter = command.program.path.display().to_string();
                warn!(filter, %why, "a filter could not be asked");
                found.outcomes.push(Outcome::failed(filter, &why, command.on_failure));
            }
        }
    }
}

impl Drop for Filtering {
    fn drop(&mut self) {
        self.part();
    }
}

/// What a milter found; the filter is kept if it can hear of another message.
fn concluded(one: Open, shown: Result<(Decision, Conclusion), Trouble>, found: &mut Found) -> Option<Open> {
    let (decision, conclusion) = match shown {
        Ok(shown) => shown,
        Err(trouble) => {
            warn!(filter = name(&one.milter), %trouble, "a filter could not be asked");
            found.outcomes.push(Outcome::failed(name(&one.milter), &trouble, one.milter.on_failure));
            return None;
        }
    };
    found.changes.extend(conclusion.changes);
    if let Some(reason) = conclusion.quarantine {
        let reason = format!("a filter keeps it apart: {reason}");
        let outcome = Outcome { filter: name(&one.milter), action: Action::Quarantine, reason, reply: None };
        found.outcomes.push(outcome);
    }
    match decision {
        Decision::Go => {}
        Decision::Refuse(reply) => found.outcomes.push(Outcome::refused(name(&one.milter), reply)),
        Decision::Discard => found.outcomes.push(discarded(&one.milter)),
    }
    Some(one)
}

fn name(milter: &Milter) -> String {
    format!("milter {}", milter.endpoint)
}

/// Nothing vanishes here: what a filter wants to be dropped in silence goes to Junk.
fn discarded(milter: &Milter) -> Outcome {
    let reason = "a filter would drop it in silence".to_owned();
    Outcome { filter: name(milter), action: Action::Quarantine, reason, reply: None }
}

async fn begin(desk: &Desk, milter: &Milter) -> Result<Session, Trouble> {
    let connecting = async {
        Ok::<Box<dyn Stream>, io::Error>(match &milter.endpoint {
            Endpoint::Unix(path) => Box::new(net::connect_local(path).await?),
            Endpoint::Tcp(address) => {
                Box::new(desk.connector.stream(*address).await.map_err(io::Error::other)?)
            }
        })
    };
    let patience = milter.patience;
    let stream = tokio::time::timeout(patience.step, connecting)
        .await
        .map_err(|_| Trouble::TimedOut(patience.step))??;
    Session::open(stream, patience).await
}

/// The message with the header that the filters want.
pub(crate) async fn changed(message: Message, changes: Vec<Change>, dir: &Path) -> Result<Message, Reply> {
    if changes.is_empty() {
        return Ok(message);
    }
    let dir = dir.to_owned();
    let work = move || Ok(edited(&message, &changes, &dir)?.unwrap_or(message));
    let done = tokio::task::spawn_blocking(work).await.map_err(io::Error::other).and_then(|done| done);
    done.map_err(|cause| {
        tracing::error!(%cause, "the message cannot be written anew for a filter");
        refusal::of_disk(&cause)
    })
}
