//! Filters outside of this program: which there are, and what they do to the verdict. Pure; the door talks to them.

mod config;

pub use config::decode;

use crate::decide::Verdict;
use crate::milter::Patience;
use crate::program::Program;
use crate::rspamd::Advice;
use crate::{Action, rspamd};
use mail::{Reply, Status};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use world::Url;

/// Where a milter listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

impl Endpoint {
    /// Reads `unix:/run/opendkim.sock`, `tcp:127.0.0.1:8891` or `tcp:[::1]:8891`. The error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let help = "write unix:/path/to/socket or tcp:127.0.0.1:8891";
        match text.split_once(':') {
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(("tcp" | "inet", address)) => address.parse().map(Self::Tcp).map_err(|_| help.to_owned()),
            _ => Err(help.to_owned()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}

/// A filter that speaks the milter protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Milter {
    pub endpoint: Endpoint,
    pub patience: Patience,
    pub on_failure: Action,
}

/// rspamd, asked over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rspamd {
    /// Where its `/checkv2` is.
    pub url: Url,
    pub patience: Duration,
    /// Larger messages, in octets, are not shown to it.
    pub max_size: u64,
    pub add_header: Action,
    pub rewrite_subject: Action,
    pub greylist: Action,
    pub soft_reject: Action,
    pub reject: Action,
    pub on_failure: Action,
}

impl Rspamd {
    /// What to do about its advice.
    pub fn action(&self, advice: Advice) -> Action {
        match advice {
            Advice::Nothing => Action::Nothing,
            Advice::Greylist => self.greylist,
            Advice::AddHeader => self.add_header,
            Advice::RewriteSubject => self.rewrite_subject,
            Advice::SoftReject => self.soft_reject,
            Advice::Reject => self.reject,
        }
    }

    /// What its answer means.
    pub fn outcome(&self, scan: &rspamd::Scan) -> Outcome {
        let action = self.action(scan.advice);
        let reason =
            format!("rspamd scores it {:.1} of {:.1} ({})", scan.score, scan.required, scan.advice.word());
        Outcome { filter: "rspamd".to_owned(), action, reason, reply: scan.message.clone().map(Words::Text) }
    }
}

/// A program that is run over each message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub program: Program,
    /// What to do for which exit status; 0 is good.
    pub codes: Vec<(u8, Action)>,
    /// What to do for any other end.
    pub on_failure: Action,
}

impl Command {
    /// What the end of the program means.
    pub fn outcome(&self, status: u8) -> Outcome {
        let filter = self.program.path.display().to_string();
        let known = self.codes.iter().find(|(code, _)| *code == status).map(|(_, action)| *action);
        let action = known.or((status == 0).then_some(Action::Nothing)).unwrap_or(self.on_failure);
        let name = self.program.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let reason = match known {
            Some(_) => format!("the filter {name} says so"),
            None => format!("the filter {name} ended with status {status}"),
        };
        Outcome { filter, action, reason, reply: None }
    }
}

/// All filters, in the order in which they are asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    pub milters: Vec<Milter>,
    pub rspamd: Option<Rspamd>,
    pub commands: Vec<Command>,
}

impl Filters {
    pub fn is_empty(&self) -> bool {
        self.milters.is_empty() && self.rspamd.is_none() && self.commands.is_empty()
    }
}

/// What a client hears in the words of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Words {
    /// A whole reply.
    Reply(Reply),
    /// The text of one.
    Text(String),
}

/// What one filter makes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its name for the log.
    pub filter: String,
    pub action: Action,
    /// For the log and for the header of a message that is marked or kept apart.
    pub reason: String,
    pub reply: Option<Words>,
}

impl Outcome {
    /// The filter could not be asked, or did not answer.
    pub fn failed(filter: String, why: &dyn fmt::Display, action: Action) -> Self {
        let reason = format!("a filter could not be asked: {why}");
        Self { filter, action, reason, reply: None }
    }

    /// The reply of a filter that refuses.
    pub fn refused(filter: String, reply: Reply) -> Self {
        let action = if reply.is_permanent() { Action::Reject } else { Action::Defer };
        let reason = format!("a filter refuses it: {reply}");
        Self { filter, action, reason, reply: Some(Words::Reply(reply)) }
    }

    fn reply(&self) -> Reply {
        let (code, status, usual) = match self.action {
            Action::Reject => (550, Status::permanent(7, 1), "A filter refuses this message"),
            _ => (451, Status::transient(7, 1), "A filter asks to try again later"),
        };
        match &self.reply {
            Some(Words::Reply(reply)) => reply.clone(),
            Some(Words::Text(text)) if !text.is_empty() => Reply::new(code, status, text.clone()),
            _ => Reply::new(code, status, usual),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.filter, self.action.word(), self.reason)
    }
}

/// The verdict of the checks and what the filters say, as one. A refusal for good is said at once; before it only one
/// of the checks' own comes.
pub fn join(verdict: Verdict, outcomes: &[Outcome]) -> Verdict {
    let first = |action: Action| outcomes.iter().find(|one| one.action == action);
    if matches!(verdict, Verdict::Reject(_)) {
        return verdict;
    }
    if let Some(one) = first(Action::Reject) {
        return Verdict::Reject(one.reply());
    }
    if matches!(verdict, Verdict::Defer(_)) {
        return verdict;
    }
    if let Some(one) = first(Action::Defer) {
        return Verdict::Defer(one.reply());
    }
    let is_apart = matches!(verdict, Verdict::Quarantine(_)) || first(Action::Quarantine).is_some();
    let mut reasons = match verdict {
        Verdict::Mark(reasons) | Verdict::Quarantine(reasons) => reasons,
        _ => Vec::new(),
    };
    let told = outcomes.iter().filter(|one| one.action > Action::Nothing);
    reasons.extend(told.map(|one| one.reason.clone()));
    match (is_apart, reasons.is_empty()) {
        (true, _) => Verdict::Quarantine(reasons),
        (false, false) => Verdict::Mark(reasons),
        (false, true) => Verdict::Accept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(action: Action, reply: Option<&str>) -> Outcome {
        let reply = reply.map(|text| Words::Text(text.to_owned()));
        Outcome { filter: "f".to_owned(), action, reason: format!("f says {}", action.word()), reply }
    }

    fn shown(verdict: &Verdict) -> String {
        match verdict {
            Verdict::Accept => "accept".to_owned(),
            Verdict::Mark(reasons) => format!("mark: {}", reasons.join(", ")),
            Verdict::Quarantine(reasons) => format!("quarantine: {}", reasons.join(", ")),
            Verdict::Reject(reply) | Verdict::Defer(reply) => reply.to_string(),
        }
    }

    #[test]
    fn the_stronger_counts() {
        use Action::{Defer, Mark, Nothing, Quarantine, Reject};
        let refused = Verdict::Reject(Reply::new(550, Status::permanent(7, 26), "DMARC"));
        let later = Verdict::Defer(Reply::new(451, Status::transient(4, 3), "DNS"));
        let marked = || Verdict::Mark(vec!["odd".to_owned()]);
        let apart = || Verdict::Quarantine(vec!["SPF".to_owned()]);
        for (verdict, filters, want) in [
            (Verdict::Accept, vec![], "accept"),
            (Verdict::Accept, vec![(Nothing, None)], "accept"),
            (Verdict::Accept, vec![(Mark, None), (Nothing, None)], "mark: f says mark"),
            (marked(), vec![(Nothing, None)], "mark: odd"),
            (marked(), vec![(Quarantine, None)], "quarantine: odd, f says quarantine"),
            (apart(), vec![(Mark, None)], "quarantine: SPF, f says mark"),
            (apart(), vec![], "quarantine: SPF"),
            (apart(), vec![(Defer, None)], "451 4.7.1 A filter asks to try again later"),
            (marked(), vec![(Defer, None), (Reject, Some("Spam"))], "550 5.7.1 Spam"),
            (later.clone(), vec![(Reject, None)], "550 5.7.1 A filter refuses this message"),
            (later, vec![(Defer, Some("x")), (Quarantine, None)], "451 4.4.3 DNS"),
            (refused, vec![(Reject, Some("Spam"))], "550 5.7.26 DMARC"),
        ] {
            let outcomes: Vec<Outcome> =
                filters.iter().map(|(action, text)| outcome(*action, *text)).collect();
            assert_eq!(shown(&join(verdict.clone(), &outcomes)), want, "{verdict:?} {filters:?}");
        }
    }

    #[test]
    fn where_milters_listen() {
        for (text, want) in [
            ("unix:/run/a.sock", Some("unix:/run/a.sock")),
            ("tcp:127.0.0.1:8891", Some("tcp:127.0.0.1:8891")),
            ("inet:[::1]:8891", Some("tcp:[::1]:8891")),
            ("unix:relative", None),
            ("tcp:localhost:1", None),
            ("/run/a.sock", None),
            ("", None),
        ] {
            assert_eq!(Endpoint::parse(text).ok().map(|one| one.to_string()).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn what_the_end_of_a_program_means() {
        let program = Program {
            path: "/usr/bin/check".into(),
            arguments: Vec::new(),
            patience: Duration::from_secs(1),
        };
        let codes = vec![(1, Action::Reject), (2, Action::Quarantine)];
        let command = Command { program, codes, on_failure: Action::Defer };
        for (status, want) in
            [(0, Action::Nothing), (1, Action::Reject), (2, Action::Quarantine), (3, Action::Defer)]
        {
            assert_eq!(command.outcome(status).action, want, "{status}");
        }
    }
}
