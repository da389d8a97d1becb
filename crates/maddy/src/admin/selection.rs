//! Which messages of a mailbox are meant: `5`, `2:4,7`, `10:*`, by number or by UID.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use storage::{Mark, UidSet};
use web::{Failure, Kind};

/// Most ranges of one selection.
const RANGES_MAX: usize = 10_000;

/// What the numbers count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum By {
    /// Place in the mailbox, from 1. Changes when messages go away.
    Number,
    /// The message's own number, which never changes.
    Uid,
}

/// From and to, both included; `None` stands for `*`.
type Range = (Option<u32>, Option<u32>);

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Selection {
    /// Numbers and ranges with commas; `*` is the last message.
    pub(crate) set: String,
    pub(crate) by: By,
}

impl Selection {
    /// The messages that are there and meant, as UIDs.
    pub(crate) fn resolve(&self, marks: &[Mark]) -> Result<UidSet, Failure> {
        let ranges = self.ranges()?;
        let last_number = u32::try_from(marks.len()).unwrap_or(u32::MAX);
        let last_uid = marks.last().map_or(0, |mark| mark.uid);
        let mut uids = UidSet::new();
        for (from, to) in ranges {
            let last = if self.by == By::Uid { last_uid } else { last_number };
            let (from, to) = (from.unwrap_or(last), to.unwrap_or(last));
            let (from, to) = (from.min(to), from.max(to));
            match self.by {
                By::Uid => {
                    let first = marks.partition_point(|mark| mark.uid < from);
                    let there = marks[first..].iter().take_while(|mark| mark.uid <= to);
                    there.for_each(|mark| uids.insert(mark.uid));
                }
                By::Number => {
                    let start = from.max(1) as usize - 1;
                    let end = (to as usize).min(marks.len());
                    marks.get(start..end).into_iter().flatten().for_each(|mark| uids.insert(mark.uid));
                }
            }
        }
        Ok(uids)
    }

    /// The ranges as written.
    fn ranges(&self) -> Result<Vec<Range>, Failure> {
        let parts: Vec<&str> = self.set.split(',').take(RANGES_MAX + 1).collect();
        if parts.len() > RANGES_MAX {
            return Err(Failure::new(Kind::BadRequest, format!("more than {RANGES_MAX} ranges")));
        }
        parts
            .into_iter()
            .map(|part| {
                let (from, to) = part.split_once(':').unwrap_or((part, part));
                Ok((self.number(from)?, self.number(to)?))
            })
            .collect()
    }

    fn number(&self, text: &str) -> Result<Option<u32>, Failure> {
        match text {
            "*" => Ok(None),
            _ => text.parse().ok().filter(|number| *number > 0).map(Some).ok_or_else(|| {
                let message = format!("{:?} names no messages; write it like 5, 2:4,7 or 10:*", self.set);
                Failure::new(Kind::BadRequest, message)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::{Flags, Keywords};

    fn resolve(set: &str, by: By) -> String {
        let marks: Vec<Mark> = [3, 5, 8, 13]
            .map(|uid| Mark { uid, flags: Flags::NONE, keywords: Keywords::NONE, modseq: 1 })
            .to_vec();
        match (Selection { set: set.to_owned(), by }).resolve(&marks) {
            Ok(uids) => uids.iter().map(|uid| uid.to_string()).collect::<Vec<_>>().join(" "),
            Err(failure) => failure.message,
        }
    }

    #[test]
    fn resolves() {
        let wrong = |set: &str| format!("{set:?} names no messages; write it like 5, 2:4,7 or 10:*");
        for (set, by, want) in [
            ("1", By::Number, "3".to_owned()),
            ("2:3,1", By::Number, "3 5 8".to_owned()),
            ("*", By::Number, "13".to_owned()),
            ("9", By::Number, String::new()),
            ("*:3", By::Number, "8 13".to_owned()),
            ("1:*", By::Uid, "3 5 8 13".to_owned()),
            ("5", By::Uid, "5".to_owned()),
            ("6", By::Uid, String::new()),
            ("9:4", By::Uid, "5 8".to_owned()),
            ("99:*", By::Uid, "13".to_owned()),
            ("0", By::Uid, wrong("0")),
            ("", By::Uid, wrong("")),
            ("1,,2", By::Uid, wrong("1,,2")),
            ("a:b", By::Uid, wrong("a:b")),
        ] {
            assert_eq!(resolve(set, by), want, "{set}");
        }
    }
}
