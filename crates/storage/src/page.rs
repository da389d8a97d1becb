//! Reads a page of rows as one row of SQLite's: sqlx hands over each row by itself, from one thread to another, and that
//! costs many times what SQLite needs for the row.

use crate::body::{Folder, PLACE_FILE};
use crate::error::{Error, Result};
use crate::fetch::{HEAD, blank};
use crate::ids::MailboxId;
use crate::message::{Columns, Row as Message};
use crate::uidset::UidSet;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use std::fmt::Write;
use std::str::Split;

/// What a value of variable length belongs to.
#[derive(Clone, Copy)]
enum Slot {
    Envelope,
    BodyStructure,
    Parts,
    Prefix,
    KeyFields,
    Octets,
}

/// A value of variable length: who wants it, its octets in memory, and where it is.
struct Value {
    slot: Slot,
    wanted_by: Columns,
    weight: &'static str,
    from: &'static str,
}

/// Of the values, those that lie in `body`.
const IN_BODY: [Columns; 4] = [Columns::ENVELOPE, Columns::BODYSTRUCTURE, Columns::PARTS, Columns::MESSAGE];

/// All values. A NULL weighs NULL, so it is made a number where it may be one. What lies in a file fits in no page (2 is
/// [`PLACE_FILE`]), so that files are opened as soon as their row is read.
const VALUES: [Value; 6] = [
    Value {
        slot: Slot::Envelope,
        wanted_by: Columns::ENVELOPE,
        weight: "octet_length(b.envelope)",
        from: "b.envelope",
    },
    Value {
        slot: Slot::BodyStructure,
        wanted_by: Columns::BODYSTRUCTURE,
        weight: "octet_length(b.bodystructure)",
        from: "b.bodystructure",
    },
    Value { slot: Slot::Parts, wanted_by: Columns::PARTS, weight: "octet_length(b.parts)", from: "b.parts" },
    Value {
        slot: Slot::Prefix,
        wanted_by: Columns::PREFIX,
        weight: "octet_length(c.prefix)",
        from: "c.prefix",
    },
    Value {
        slot: Slot::KeyFields,
        wanted_by: Columns::KEY_FIELDS,
        weight: "ifnull(octet_length(k.fields), 0)",
        from: "k.fields",
    },
    Value {
        slot: Slot::Octets,
        wanted_by: Columns::MESSAGE,
        weight: "iif(b.place = 2, ?4 + 1, b.size)",
        from: "o.octets",
    },
];
const _: () = assert!(PLACE_FILE == 2);

/// A page as SQLite returned it.
pub(crate) struct Page {
    row: SqliteRow,
    columns: Columns,
}

/// The rows of a page, one after the other.
pub(crate) struct Rows<'p> {
    numbers: Option<Split<'p, char>>,
    values: Vec<(Slot, &'p [u8])>,
    columns: Columns,
}

/// A row of a page.
pub(crate) struct Paged {
    pub(crate) message: Message,
    /// False: it is too large for the page, or in a file, and its values are not here.
    pub(crate) fits: bool,
}

impl Page {
    /// The first `count` rows of `uids`; those with more than `fit` octets by their UIDs only.
    pub(crate) async fn read(
        connection: &mut SqliteConnection,
        mailbox: MailboxId,
        uids: &UidSet,
        columns: Columns,
        (count, fit): (u64, u64),
    ) -> Result<Self> {
        let row = sqlx::query(sqlx::AssertSqlSafe(statement(columns)))
            .bind(mailbox.0)
            .bind(uids.to_json())
            .bind(count.cast_signed())
            .bind(fit.cast_signed())
            .fetch_one(connection)
            .await?;
        Ok(Self { row, columns })
    }

    /// Those that are too large for the page.
    pub(crate) fn large(&self) -> Result<UidSet> {
        let mut uids = UidSet::new();
        let list: Option<&str> = self.row.try_get(1)?;
        for uid in list.iter().flat_map(|list| list.split(' ')) {
            uids.insert(uid.parse().map_err(|_| mangled())?);
        }
        Ok(uids)
    }

    pub(crate) fn rows(&self) -> Result<Rows<'_>> {
        let heads: Option<&str> = self.row.try_get(0)?;
        let mut values = Vec::new();
        for (at, value) in wanted(self.columns).enumerate() {
            let octets: Option<&[u8]> = self.row.try_get(at + 2)?;
            values.push((value.slot, octets.unwrap_or_default()));
        }
        Ok(Rows { numbers: heads.map(|heads| heads.split(' ')), values, columns: self.columns })
    }
}

impl Rows<'_> {
    pub(crate) fn next(&mut self, bodies: &Folder) -> Result<Option<Paged>> {
        let Some(numbers) = &mut self.numbers else { return Ok(None) };
        let Some(first) = numbers.next() else {
            // Every octet was somebody's, or lengths and octets do not belong together.
            let over = self.values.iter().any(|(_, rest)| !rest.is_empty());
            return if over { Err(mangled()) } else { Ok(None) };
        };
        let number = |text: Option<&str>| -> Result<i64> {
            text.and_then(|text| text.parse().ok()).ok_or_else(mangled)
        };
        let mut head = [0; HEAD];
        head[0] = number(Some(first))?;
        for place in &mut head[1..] {
            *place = number(numbers.next())?;
        }
        let mut message = blank(head);
        let fits = number(numbers.next())? != 0;
        let (size, place) = (number(numbers.next())?.unsigned_abs(), number(numbers.next())?);
        for (slot, rest) in &mut self.values {
            let Ok(length) = usize::try_from(number(numbers.next())?) else { continue };
            let (octets, after) = rest.split_at_checked(length).ok_or_else(mangled)?;
            *rest = after;
            let held = match slot {
                Slot::Envelope => &mut message.envelope,
                Slot::BodyStructure => &mut message.bodystructure,
                Slot::Parts => &mut message.parts,
                Slot::Prefix => &mut message.prefix,
                Slot::KeyFields => &mut message.key_fields,
                Slot::Octets => {
                    let received = bodies.open(size, place, None, Some(octets))?;
                    message.message = Some(mail::Message { added: Vec::new(), received });
                    continue;
                }
            };
            *held = Some(octets.to_vec());
        }
        if !fits {
            return Ok(Some(Paged { message, fits }));
        }
        if self.columns.contains(Columns::MESSAGE) {
            let whole = message.message.as_mut().ok_or_else(|| Error::corrupt("a body without octets"))?;
            whole.added = if self.columns.contains(Columns::PREFIX) {
                message.prefix.clone().unwrap_or_default()
            } else {
                message.prefix.take().unwrap_or_default()
            };
        }
        Ok(Some(Paged { message, fits }))
    }
}

fn wanted(columns: Columns) -> impl Iterator<Item = &'static Value> {
    // The prefix is part of a message.
    let columns = if columns.contains(Columns::MESSAGE) { columns | Columns::PREFIX } else { columns };
    VALUES.iter().filter(move |value| columns.contains(value.wanted_by))
}

/// One row: the numbers of all rows, the UIDs of those that do not fit, and the values of all rows, each kind in one run.
/// The aggregates see the rows in one order, whichever it is, and that is the order of the scan. Octets of any kind pass
/// unchanged, NUL too: SQLite counts them.
fn statement(columns: Columns) -> String {
    let body = IN_BODY.iter().any(|column| columns.contains(*column));
    let weight: Vec<_> = wanted(columns).map(|value| value.weight).collect();
    let fits = if weight.is_empty() { "1".to_owned() } else { format!("({}) <= ?4", weight.join(" + ")) };
    let stored =
        if columns.contains(Columns::MESSAGE) { "b.size AS stored, b.place" } else { "0 AS stored, 0" };
    let (mut lengths, mut runs, mut inner) = (String::new(), String::new(), String::new());
    // Writing to a String does not fail.
    for (at, value) in wanted(columns).enumerate() {
        let _ = write!(lengths, ", ifnull(octet_length(v{at}), -1)");
        let _ = write!(runs, ", CAST(group_concat(v{at}, '') AS BLOB)");
        let _ = write!(inner, ", CASE WHEN {fits} THEN {} END AS v{at}", value.from);
    }
    let mut joins = String::new();
    if body {
        joins += " CROSS JOIN body b ON b.id = c.body";
    }
    if columns.contains(Columns::KEY_FIELDS) {
        joins += " LEFT JOIN body_key_fields k ON k.body = c.body";
    }
    if columns.contains(Columns::MESSAGE) {
        joins += " LEFT JOIN body_octets o ON o.body = c.body";
    }
    format!(
        "SELECT group_concat(concat_ws(' ', uid, flags, keywords, modseq, received, saved, size, content, lead, \
         fits, stored, place{lengths}), ' '), group_concat(iif(fits, NULL, uid), ' '){runs} \
         FROM (SELECT m.uid, m.flags, m.keywords, m.modseq, m.received, m.saved, m.size, m.content, \
         octet_length(c.prefix) AS lead, {fits} AS fits, {stored} AS place{inner} \
         FROM json_each(?2) r CROSS JOIN message m CROSS JOIN content c ON c.id = m.content{joins} \
         WHERE m.mailbox = ?1 AND m.uid BETWEEN r.value ->> 0 AND r.value ->> 1 LIMIT ?3)"
    )
}

fn mangled() -> Error {
    Error::corrupt("a page of rows does not add up")
}
