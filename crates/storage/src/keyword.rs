//! Keywords of mailboxes: names to bits, new names made as needed.

use crate::error::{Error, Result};
use crate::flags::{KEYWORD_LEN_MAX, KEYWORDS_MAX, Keywords};
use crate::ids::MailboxId;
use crate::writer::Tx;
use serde_json::json;
use sqlx::sqlite::SqliteConnection;
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
pub(crate) async fn list(connection: &mut SqliteConnection, mailbox: MailboxId) -> Result<Vec<String>> {
    let sql = "SELECT bit, name FROM keyword WHERE mailbox = ?1 ORDER BY bit";
    let rows: Vec<(i64, String)> = sqlx::query_as(sql).bind(mailbox.0).fetch_all(connection).await?;
    let mut names = Vec::with_capacity(rows.len());
    for (bit, name) in rows {
        let bit = usize::try_from(bit).unwrap_or(KEYWORDS_MAX);
        if bit < KEYWORDS_MAX {
            names.resize(names.len().max(bit + 1), String::new());
            names[bit] = name;
        }
    }
    Ok(names)
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
    if wanted.iter().all(|(_, names)| names.is_empty()) {
        return Ok(vec![Ok(Keywords::NONE); wanted.len()]);
    }
    let mut tables: HashMap<MailboxId, Vec<String>> = HashMap::new();
    for (mailbox, _) in wanted.iter().filter(|(_, names)| !names.is_empty()) {
        if !tables.contains_key(mailbox) {
            tables.insert(*mailbox, list(&mut tx.connection, *mailbox).await?);
        }
    }
    let mut fresh = Vec::new();
    let mut outcomes = Vec::with_capacity(wanted.len());
    for (mailbox, names) in wanted {
        let table = tables.entry(*mailbox).or_default();
        let before = (table.len(), fresh.len());
        let outcome = bits(*mailbox, names, table, &mut fresh, unknown);
        if outcome.is_err() {
            table.truncate(before.0);
            fresh.truncate(before.1);
        }
        outcomes.push(outcome);
    }
    if !fresh.is_empty() {
        let sql = "INSERT INTO keyword (mailbox, bit, name) \
                   SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?1)";
        sqlx::query(sql).bind(json!(fresh).to_string()).execute(&mut tx.connection).await?;
    }
    Ok(outcomes)
}

fn bits(
    mailbox: MailboxId,
    names: &[String],
    table: &mut Vec<String>,
    fresh: &mut Vec<(i64, usize, String)>,
    unknown: Unknown,
) -> Result<Keywords> {
    let mut keywords = Keywords::NONE;
    for name in names {
        let known = table.iter().position(|known| known.eq_ignore_ascii_case(name));
        let bit = match (known, unknown) {
            (Some(bit), _) => bit,
            (None, Unknown::Skip) => continue,
            (None, Unknown::Make) => {
                check(name)?;
                if table.len() >= KEYWORDS_MAX {
                    let limit = KEYWORDS_MAX as u64;
                    return Err(Error::TooMany { what: "keywords in the mailbox", limit });
                }
                table.push(name.clone());
                fresh.push((mailbox.0, table.len() - 1, name.clone()));
                table.len() - 1
            }
        };
        keywords = keywords.with(bit);
    }
    Ok(keywords)
}
