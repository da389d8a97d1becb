//! What `top` shows, as lines. Pure: overviews in, lines out.

use crate::cli::output;
use crate::overview::{JobLine, Overview, SessionLine, Totals};
use std::time::Duration;

/// Columns of a word and of a number in the table of rates.
const WORD: usize = 22;
const NUMBER: usize = 12;

/// The last look, and what has changed since the one before.
pub(super) struct Shown {
    now: Overview,
    /// What was counted between the last two looks, and the time between them.
    change: Option<(Totals, Duration)>,
    /// Why the last look brought nothing.
    pub(super) trouble: Option<String>,
}

impl Shown {
    pub(super) fn first(now: Overview) -> Self {
        Self { now, change: None, trouble: None }
    }

    /// A further look.
    pub(super) fn next(&mut self, now: Overview, after: Duration) {
        // Another process counts anew.
        let same = self.now.since == now.since;
        self.change = same.then(|| (difference(&now.totals, &self.now.totals), after));
        self.now = now;
        self.trouble = None;
    }

    /// Everything, without a limit of rows.
    pub(super) fn whole(&self, width: usize) -> String {
        self.lines(width, usize::MAX).into_iter().map(|line| line + "\n").collect()
    }

    /// At most so many rows of so many columns.
    pub(super) fn lines(&self, width: usize, height: usize) -> Vec<String> {
        let mut lines = self.head();
        lines.push(String::new());
        lines.extend(self.rates());
        if !self.now.jobs.is_empty() {
            lines.push(String::new());
            lines.extend(self.jobs());
        }
        lines.push(String::new());
        lines.extend(self.sessions());
        lines.truncate(height);
        lines.iter().map(|line| cut(line.trim_end(), width)).collect()
    }

    fn head(&self) -> Vec<String> {
        let now = &self.now;
        let up = span(now.now.saturating_sub(now.since));
        let clock = mail::date::print_iso(now.now);
        let mut lines = vec![
            format!("maddy {}  {}  up {up}  {clock}", now.version, now.hostname),
            format!(
                "sessions: smtp {}, submission {}, imap {}; connections {}",
                now.smtp, now.submission, now.imap, now.connections
            ),
            match now.queued {
                0 => "queue: empty".to_owned(),
                queued => format!("queue: {queued} messages, the oldest for {}", span(now.oldest)),
            },
        ];
        lines.extend(self.trouble.iter().map(|trouble| {
            let first = trouble.lines().next().unwrap_or_default();
            format!("no answer: {}", output::printable(first))
        }));
        lines
    }

    fn rates(&self) -> Vec<String> {
        let mut lines =
            vec![format!("{:WORD$}{:>NUMBER$}{:>NUMBER$}", "SINCE THE START", "TOTAL", "PER SECOND")];
        let changes = self.change.as_ref().map(|(change, _)| rows(change));
        for (at, (word, total)) in rows(&self.now.totals).into_iter().enumerate() {
            let rate = match (&self.change, changes.as_ref().and_then(|rows| rows.get(at))) {
                (Some((_, time)), Some((_, count))) if !time.is_zero() => {
                    format!("{:.1}", *count as f64 / time.as_secs_f64())
                }
                _ => "-".to_owned(),
            };
            lines.push(format!("{word:WORD$}{total:>NUMBER$}{rate:>NUMBER$}"));
        }
        lines
    }

    fn jobs(&self) -> Vec<String> {
        let head = ["queue", "waits", "from", "to", "last words"];
        let row = |job: &JobLine| {
            let more = match job.recipients {
                0 | 1 => String::new(),
                many => format!(" +{}", many - 1),
            };
            vec![
                format!("#{}", job.id),
                span(self.now.now.saturating_sub(job.arrived)),
                output::shorten(&job.from, 30),
                format!("{}{more}", output::shorten(&job.to, 30)),
                job.last.clone(),
            ]
        };
        let rows: Vec<Vec<String>> = self.now.jobs.iter().map(row).collect();
        output::table(&head, &rows).lines().map(str::to_owned).collect()
    }

    fn sessions(&self) -> Vec<String> {
        if self.now.sessions.is_empty() {
            return vec!["nobody is connected".to_owned()];
        }
        let row = |session: &SessionLine| {
            vec![
                session.door.clone(),
                session.peer.clone(),
                session.tls.clone().unwrap_or_else(|| "clear".to_owned()),
                session.account.clone().unwrap_or_default(),
                span(self.now.now.saturating_sub(session.since)),
                session.id.clone(),
            ]
        };
        let rows: Vec<Vec<String>> = self.now.sessions.iter().map(row).collect();
        let head = ["door", "peer", "tls", "account", "for", "id"];
        output::table(&head, &rows).lines().map(str::to_owned).collect()
    }
}

fn rows(totals: &Totals) -> Vec<(&'static str, u64)> {
    vec![
        ("messages accepted", totals.accepted),
        ("  put off", totals.put_off),
        ("  refused", totals.refused),
        ("callers refused", totals.turned_away),
        ("copies filed", totals.filed),
        ("recipients sent to", totals.sent),
        ("  deferred", totals.deferred),
        ("  failed", totals.failed),
        ("logins", totals.logins),
        ("  failed", totals.failed_logins),
        ("IMAP commands", totals.commands),
        ("commits", totals.commits),
    ]
}

fn difference(now: &Totals, before: &Totals) -> Totals {
    Totals {
        accepted: now.accepted.saturating_sub(before.accepted),
        put_off: now.put_off.saturating_sub(before.put_off),
        refused: now.refused.saturating_sub(before.refused),
        turned_away: now.turned_away.saturating_sub(before.turned_away),
        filed: now.filed.saturating_sub(before.filed),
        sent: now.sent.saturating_sub(before.sent),
        deferred: now.deferred.saturating_sub(before.deferred),
        failed: now.failed.saturating_sub(before.failed),
        logins: now.logins.saturating_sub(before.logins),
        failed_logins: now.failed_logins.saturating_sub(before.failed_logins),
        commands: now.commands.saturating_sub(before.commands),
        commits: now.commits.saturating_sub(before.commits),
    }
}

/// `3d 4h`, `5m 6s`.
fn span(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, ..) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// Text from elsewhere steers no terminal, and no line is longer than the terminal is wide.
fn cut(line: &str, width: usize) -> String {
    output::printable(line).chars().take(width).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overview() -> Overview {
        let session = SessionLine {
            id: "abcdefghij".to_owned(),
            door: "imap".to_owned(),
            peer: "192.0.2.1".to_owned(),
            since: 900,
            tls: Some("TLSv1.3".to_owned()),
            account: Some("a@b.example\u{1b}[2J".to_owned()),
        };
        let job = JobLine {
            id: 7,
            from: "a@b.example".to_owned(),
            to: "c@d.example".to_owned(),
            recipients: 3,
            arrived: 400,
            last: "451 4.7.1 come again".to_owned(),
        };
        Overview {
            version: "1.2.3".to_owned(),
            hostname: "mx.example.org".to_owned(),
            now: 1000,
            since: 100,
            connections: 3,
            imap: 1,
            sessions: vec![session],
            queued: 1,
            oldest: 600,
            jobs: vec![job],
            totals: Totals { accepted: 10, commands: 100, ..Totals::default() },
            ..Overview::default()
        }
    }

    #[test]
    fn everything_is_there_and_fits() {
        let mut shown = Shown::first(overview());
        let text = shown.whole(120);
        for want in ["mx.example.org  up 15m 0s", "oldest for 10m 0s", "#7", "c@d.example +2", "192.0.2.1"] {
            assert!(text.contains(want), "{want}\n{text}");
        }
        assert!(!text.contains('\u{1b}'));
        let mut later = overview();
        later.totals.accepted = 15;
        shown.next(later, Duration::from_secs(2));
        let text = shown.whole(120);
        let line = text.lines().find(|line| line.starts_with("messages accepted")).unwrap();
        assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["messages", "accepted", "15", "2.5"]);
        for (width, height) in [(1, 1), (20, 5), (39, 24), (200, 3)] {
            let lines = shown.lines(width, height);
            assert!(lines.len() <= height && lines.iter().all(|line| line.chars().count() <= width));
        }
    }

    #[test]
    fn a_restart_has_no_rates_and_trouble_is_said() {
        let mut shown = Shown::first(overview());
        shown.trouble = Some("it is gone\nentirely".to_owned());
        assert!(shown.whole(80).contains("no answer: it is gone\n"));
        shown.next(Overview { since: 950, ..overview() }, Duration::from_secs(1));
        assert!(shown.change.is_none() && shown.trouble.is_none());
    }

    #[test]
    fn spans() {
        for (seconds, want) in [(0, "0s"), (59, "59s"), (61, "1m 1s"), (7322, "2h 2m"), (90_000, "1d 1h")] {
            assert_eq!(span(seconds), want);
        }
    }
}
