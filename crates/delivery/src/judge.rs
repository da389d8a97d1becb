//! What the outcome of a transaction means for each recipient: settled, another host, or another transaction.

use crate::link::unreachable;
use crate::schedule::Fate;
use mail::Reply;
use smtp_proto::client::{Loss, Need, Outcome, Stage};

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Fresh,
    /// Used before, for this message or another: that it is gone by now says nothing about the host.
    Kept,
}

/// Words and who said them: a notice must not put ours into the mouth of a host (RFC 3464 §2.3.5, §2.3.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    ByHost(Reply),
    ByUs(Reply),
}

impl Said {
    pub(crate) fn reply(&self) -> &Reply {
        match self {
            Self::ByHost(reply) | Self::ByUs(reply) => reply,
        }
    }
}

/// What an outcome means for the attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    Result(Fate, Said),
    /// The host is of no use now; another may be.
    NextHost(Said),
    /// Another transaction will tell.
    Again,
}

/// What the outcomes of one transaction mean, each in its place.
pub(crate) fn judge(outcomes: Vec<Outcome>, source: Source) -> impl Iterator<Item = Judged> {
    let some_taken = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Accepted(_)));
    outcomes.into_iter().map(move |outcome| match some_taken && is_too_many(&outcome) {
        true => Judged::Again,
        false => judge_one(outcome, source),
    })
}

/// The host takes no more recipients in this transaction: the others get one of their own (RFC 5321 §4.5.3.1.10, which has
/// 552 mean the same).
fn is_too_many(outcome: &Outcome) -> bool {
    let Outcome::Refused { at: Stage::Rcpt, reply } = outcome else { return false };
    let says_so = reply.status.is_none_or(|status| (status.subject, status.detail) == (5, 3));
    matches!(reply.code, 452 | 552) && says_so
}

/// Whether a chunk was answered as if there were no such command: a host behind something that does not let it through.
pub(crate) fn knows_no_chunks(outcomes: &[Outcome]) -> bool {
    outcomes.iter().any(|outcome| {
        matches!(outcome, Outcome::Refused { at: Stage::Content, reply } if matches!(reply.code, 500 | 502 | 503))
    })
}

fn judge_one(outcome: Outcome, source: Source) -> Judged {
    use Said::{ByHost, ByUs};
    match outcome {
        Outcome::Accepted(reply) => Judged::Result(Fate::Delivered, ByHost(reply)),
        // Another host of the domain may promise it (RFC 8689 §4.2.1).
        Outcome::Unsupported(Need::RequireTls) => Judged::NextHost(ByUs(Need::RequireTls.reply())),
        Outcome::Unsupported(need) => Judged::Result(Fate::Failed, ByUs(need.reply())),
        Outcome::NotTried => Judged::Again,
        // It may be tired of this connection; over a new one it says what it means.
        Outcome::Refused { at: Stage::Mail, .. } if source == Source::Kept => Judged::Again,
        // RFC 3207 §4, RFC 4954 §6: about the way between us, which a failed handshake or a change of the smarthost can make,
        // and not about the message.
        Outcome::Refused { at: Stage::Mail, reply } if reply.code == 530 => {
            let text = format!("it demands TLS or a login first: {reply}");
            Judged::NextHost(ByUs(unreachable(7, 0, text)))
        }
        Outcome::Refused { reply, .. } if reply.is_permanent() => Judged::Result(Fate::Failed, ByHost(reply)),
        // The host sends us away, or does not want to hear of the sender now: that is about the host.
        Outcome::Refused { at: Stage::Mail, reply } => Judged::NextHost(ByHost(reply)),
        Outcome::Refused { at: Stage::Rcpt | Stage::Data, reply } if reply.code == 421 => {
            Judged::NextHost(ByHost(reply))
        }
        Outcome::Refused { reply, .. } => Judged::Result(Fate::Deferred, ByHost(reply)),
        Outcome::Lost { why: Loss::Content, .. } => Judged::Result(
            Fate::Deferred,
            ByUs(unreachable(3, 0, "the message could not be read from our disk".into())),
        ),
        // The host may have taken it: not at once to another one, or there would be two for sure.
        Outcome::Lost { at: Stage::Content, why } => Judged::Result(
            Fate::Deferred,
            ByUs(unreachable(4, 2, format!("{why} before the message was confirmed"))),
        ),
        Outcome::Lost { .. } if source == Source::Kept => Judged::Again,
        Outcome::Lost { at, why } => Judged::NextHost(ByUs(unreachable(4, 2, format!("{why} at {at}")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::Status;

    /// `stage: reply`, `lost: stage`, `accepted`, `not tried` or `unsupported`.
    fn outcome(text: &str) -> Outcome {
        let stage = |name: &str| match name {
            "mail" => Stage::Mail,
            "rcpt" => Stage::Rcpt,
            "data" => Stage::Data,
            "content" => Stage::Content,
            other => panic!("stage {other}"),
        };
        match text.split_once(": ") {
            None if text == "accepted" => Outcome::Accepted(Reply::bare(250, "ok")),
            None if text == "unsupported" => Outcome::Unsupported(Need::SmtpUtf8),
            None if text == "no requiretls" => Outcome::Unsupported(Need::RequireTls),
            None => Outcome::NotTried,
            Some(("lost", at)) => Outcome::Lost { at: stage(at), why: Loss::Connection },
            Some(("unreadable", at)) => Outcome::Lost { at: stage(at), why: Loss::Content },
            Some((at, reply)) => {
                let (code, status) = reply.split_once(' ').unwrap_or((reply, ""));
                let status = Status::parse(status);
                Outcome::Refused {
                    at: stage(at),
                    reply: Reply { code: code.parse().unwrap(), status, text: "x".into() },
                }
            }
        }
    }

    fn shown(judged: &Judged) -> String {
        let code = |said: &Said| {
            let reply = said.reply();
            let ours = if matches!(said, Said::ByUs(_)) { " ours" } else { "" };
            match reply.status {
                Some(status) => format!("{} {status}{ours}", reply.code),
                None => format!("{}{ours}", reply.code),
            }
        };
        match judged {
            Judged::Result(fate, said) => format!("{fate:?} {}", code(said)).to_lowercase(),
            Judged::NextHost(said) => format!("next host {}", code(said)),
            Judged::Again => "again".to_owned(),
        }
    }

    #[test]
    fn the_table() {
        for (input, fresh, kept) in [
            ("accepted", "delivered 250", "delivered 250"),
            ("not tried", "again", "again"),
            ("unsupported", "failed 553 5.6.7 ours", "failed 553 5.6.7 ours"),
            ("no requiretls", "next host 550 5.7.30 ours", "next host 550 5.7.30 ours"),
            ("mail: 550 5.7.1", "failed 550 5.7.1", "again"),
            ("mail: 530 5.7.0", "next host 451 4.7.0 ours", "again"),
            ("mail: 451 4.3.0", "next host 451 4.3.0", "again"),
            ("mail: 421 4.3.2", "next host 421 4.3.2", "again"),
            ("rcpt: 550 5.1.1", "failed 550 5.1.1", "failed 550 5.1.1"),
            ("rcpt: 451 4.7.1", "deferred 451 4.7.1", "deferred 451 4.7.1"),
            ("rcpt: 421 4.3.2", "next host 421 4.3.2", "next host 421 4.3.2"),
            ("rcpt: 452 4.5.3", "deferred 452 4.5.3", "deferred 452 4.5.3"),
            ("data: 554 5.6.0", "failed 554 5.6.0", "failed 554 5.6.0"),
            ("data: 421", "next host 421", "next host 421"),
            ("content: 452 4.2.2", "deferred 452 4.2.2", "deferred 452 4.2.2"),
            ("content: 421", "deferred 421", "deferred 421"),
            ("lost: mail", "next host 451 4.4.2 ours", "again"),
            ("lost: rcpt", "next host 451 4.4.2 ours", "again"),
            ("lost: content", "deferred 451 4.4.2 ours", "deferred 451 4.4.2 ours"),
            ("unreadable: content", "deferred 451 4.3.0 ours", "deferred 451 4.3.0 ours"),
        ] {
            for (source, want) in [(Source::Fresh, fresh), (Source::Kept, kept)] {
                let got: Vec<String> = judge(vec![outcome(input)], source).map(|one| shown(&one)).collect();
                assert_eq!(got, [want], "{input} {source:?}");
            }
        }
    }

    #[test]
    fn too_many_recipients_are_no_failure_beside_others() {
        for (input, want) in [
            ("rcpt: 452 4.5.3", "again"),
            ("rcpt: 452", "again"),
            ("rcpt: 552", "again"),
            ("rcpt: 552 5.5.3", "again"),
            ("rcpt: 452 4.2.2", "deferred 452 4.2.2"),
            ("rcpt: 552 5.2.2", "failed 552 5.2.2"),
            ("rcpt: 451 4.5.3", "deferred 451 4.5.3"),
        ] {
            let outcomes = vec![outcome("accepted"), outcome(input)];
            let got = judge(outcomes, Source::Fresh).last().map(|one| shown(&one));
            assert_eq!(got.as_deref(), Some(want), "{input}");
        }
    }
}
