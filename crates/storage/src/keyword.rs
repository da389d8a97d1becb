//! Keywords of mailboxes: names to bits, new names made as needed.

use crate::error::{Error, Result};
use crate::flags::{KEYWORD_LEN_MAX, KEYWORDS_MAX, Keywords};
use crate::ids::MailboxId;
use crate::sql;
use crate::writer::Tx;
use serde_json::json;
use std::collections::HashMap;

/// Whether `name` can be a keyword: an atom (RFC 9051 §9, `flag-keyword`).
fn check(name: &str) -> Result<()> {
    let bad = |why| Err(Error::BadName(name.to_owned(), why));
    if name.is_empty() {
        return bad("a keyword cannot be empty");
    }
    if name.len() > KEYWORD_LEN_MAX {
        return bad("a keyword cannot be longer than 200 octets");
    }
    let special = |b: u8| b <= b' ' || b >= 0x7f || b"(){%*\"\\]".contains(&b);
    if name.bytes().any(special) {
        return bad("a keyword has letters, digits and $-_.+ and the like only");
    }
    Ok(())
}

/// Names by bit; a bit that is not used has an empty name.
pub(crate) fn list(connection: &rusqlite::Connection, mailbox: MailboxId) -> Result<Vec<String>> {
    let mut statement =
        connection.prepare_cached("SELECT bit, name FROM keyword WHERE mailbox = ?1 ORDER BY bit")?;
    let rows = statement.query_map([mailbox.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(by_bit(rows.collect::<rusqlite::Result<_>>()?))
}

fn by_bit(rows: Vec<(i64, String)>) -> Vec<String> {
    let mut names = Vec::with_capacity(rows.len());
    for (bit, name) in rows {
        let bit = usize::try_from(bit).unwrap_or(KEYWORDS_MAX);
        if bit < KEYWORDS_MAX {
            names.resize(names.len().max(bit + 1), String::new());
            names[bit] = name;
        }
    }
    names
}

/// Whether unknown names become keywords of the mailbox.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    Make,
    Skip,
}

/// The bits of `names` in each mailbox. An error of one does not touch the others.
pub(crate) async fn resolve(
    tx: &mut Tx,
    wanted: &[(MailboxId, &[String])],
    unknown: Unknown,
) -> Result<Vec<Result<Keywords>>> {
    let mut tables: HashMap<MailboxId, Table> = HashMap::new();
    for (mailbox, names) in wanted.iter().filter(|(_, names)| !names.is_empty()) {
        if !tables.contains_key(mailbox) {
            let names = list(&tx.connection, *mailbox)?;
            tables.insert(*mailbox, Table { names, ..Table::default() });
        }
        if let Some(table) = tables.get_mut(mailbox) {
            table.want(names);
        }
    }
    if unknown == Unknown::Make {
        for (mailbox, table) in tables.iter_mut().filter(|(_, table)| table.is_short()) {
            table.spare = unused(tx, *mailbox, table.wanted).await?;
        }
    }
    let mut outcomes = Vec::with_capacity(wanted.len());
    for (mailbox, names) in wanted {
        outcomes.push(match tables.get_mut(mailbox) {
            Some(table) => table.bits(names, unknown),
            None => Ok(Keywords::NONE),
        });
    }
    let fresh: Vec<_> = tables
        .iter()
        .flat_map(|(mailbox, table)| table.fresh.iter().map(|bit| (mailbox.0, *bit, &table.names[*bit])))
        .collect();
    if !fresh.is_empty() {
        let sql = "INSERT OR REPLACE INTO keyword (mailbox, bit, name) \
                   SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?1)";
        sql::query(sql).bind(json!(fresh).to_string()).execute(&mut tx.connection).await?;
    }
    Ok(outcomes)
}

/// Bits whose keyword no message has, and that are not wanted now: their names may make room for others.
async fn unused(tx: &mut Tx, mailbox: MailboxId, wanted: Keywords) -> Result<Vec<usize>> {
    let sql = "SELECT DISTINCT keywords FROM message WHERE mailbox = ?1";
    let masks: Vec<i64> = sql::query_scalar(sql).bind(mailbox.0).fetch_all(&mut tx.connection).await?;
    let used = masks.into_iter().fold(wanted, |used, mask| used | Keywords::from_bits(mask.cast_unsigned()));
    Ok((0..KEYWORDS_MAX).rev().filter(|bit| !used.contains(*bit)).collect())
}

/// The keywords of one mailbox while names become bits.
#[derive(Default)]
struct Table {
    names: Vec<String>,
    /// Known bits that this call wants.
    wanted: Keywords,
    /// How many names it wants that are not known, at most.
    unknown: usize,
    /// Bits that may change their name, the first to be taken last.
    spare: Vec<usize>,
    /// Bits that this call has given out: they keep their name.
    given: Keywords,
    /// Bits that have a new name.
    fresh: Vec<usize>,
}

impl Table {
    fn find(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known.eq_ignore_ascii_case(name))
    }

    fn want(&mut self, names: &[String]) {
        for name in names {
            match self.find(name) {
                Some(bit) => self.wanted = self.wanted.with(bit),
                None => self.unknown += 1,
            }
        }
    }

    /// Whether there may be too few bits for what is wanted.
    fn is_short(&self) -> bool {
        self.names.len() + self.unknown > KEYWORDS_MAX
    }

    fn bits(&mut self, names: &[String], unknown: Unknown) -> Result<Keywords> {
        let mut keywords = Keywords::NONE;
        for name in names {
            let bit = match (self.find(name), unknown) {
                (Some(bit), _) => bit,
                (None, Unknown::Skip) => continue,
                (None, Unknown::Make) => self.make(name)?,
            };
            keywords = keywords.with(bit);
            self.given = self.given.with(bit);
        }
        Ok(keywords)
    }

    fn make(&mut self, name: &str) -> Result<usize> {
        check(name)?;
        let bit = if self.names.len() < KEYWORDS_MAX {
            self.names.push(name.to_owned());
            self.names.len() - 1
        } else {
            let limit = KEYWORDS_MAX as u64;
            let full = Error::TooMany { what: "keywords in the mailbox", limit };
            let given = self.given;
            let bit =
                std::iter::from_fn(|| self.spare.pop()).find(|bit| !given.contains(*bit)).ok_or(full)?;
            name.clone_into(&mut self.names[bit]);
            bit
        };
        self.fresh.push(bit);
        Ok(bit)
    }
}
