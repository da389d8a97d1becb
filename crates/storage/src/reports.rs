//! Reports that others sent about our domains: kept for a time, and never more than so many.

use crate::error::Result;
use crate::ids::Unix;
use crate::sql::{self, Row};
use crate::store::Store;
use crate::writer::Tx;
use serde_json::json;

/// Most reports that are kept; the oldest go first.
pub const REPORTS_MAX: u32 = 10_000;
/// Most rows of all reports together.
pub const REPORT_ROWS_MAX: u32 = 500_000;
/// Most reports that one call of [`Store::reports`] returns.
pub const REPORTS_PAGE_MAX: u32 = 500;
/// The word of reports that anybody may have written.
pub const UNPROVEN: &str = "unproven";
/// Most of these that are kept, and most rows of theirs: they never displace others.
pub const UNPROVEN_MAX: u32 = 100;
const UNPROVEN_ROWS_MAX: u32 = 10_000;
/// Most lines of a summary.
pub const SUMMARY_MAX: u32 = 500;

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReportKind {
    /// A DMARC aggregate report.
    Dmarc,
    /// A TLS report.
    Tls,
}

impl ReportKind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Dmarc => "dmarc",
            Self::Tls => "tls",
        }
    }

    fn number(self) -> i64 {
        match self {
            Self::Dmarc => 0,
            Self::Tls => 1,
        }
    }

    fn read(number: i64) -> Self {
        if number == 0 { Self::Dmarc } else { Self::Tls }
    }
}

/// A report that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewReport {
    pub kind: ReportKind,
    pub arrived: Unix,
    pub organization: String,
    pub contact: String,
    /// What the reporter calls it: the same name from the same reporter is the same report.
    pub name: String,
    pub domain: String,
    pub begins: Unix,
    pub ends: Unix,
    pub policy: String,
    /// What proves who wrote it, as a word; [`UNPROVEN`] if nothing does.
    pub proof: String,
    pub rows: Vec<ReportRow>,
    /// Rows that were too many to be kept.
    pub dropped: u64,
}

/// One line of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportRow {
    /// The address that sent, or our host that was not reached.
    pub source: String,
    pub good: u64,
    pub bad: u64,
    /// What was done, or what failed.
    pub result: String,
    pub detail: String,
}

/// A report as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportInfo {
    pub id: i64,
    pub kind: ReportKind,
    pub arrived: Unix,
    pub organization: String,
    pub contact: String,
    pub name: String,
    pub domain: String,
    pub begins: Unix,
    pub ends: Unix,
    pub policy: String,
    pub proof: String,
    pub good: u64,
    pub bad: u64,
    pub dropped: u64,
}

/// What all reports say of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportSummary {
    pub kind: ReportKind,
    pub domain: String,
    pub source: String,
    pub good: u64,
    pub bad: u64,
    /// How many reports name it.
    pub reports: u64,
}

/// Whether a report was new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FiledReport {
    New(i64),
    /// The same reporter sent it before.
    Known,
}

impl Store {
    /// Keeps a report, unless it is there already, and lets those go that arrived before `oldest`.
    pub async fn add_report(&self, report: NewReport, oldest: Unix) -> Result<FiledReport> {
        let octets = 512 + 128 * u64::try_from(report.rows.len()).unwrap_or(u64::MAX / 256);
        self.write(octets, move |tx| Box::pin(add(tx, report, oldest))).await
    }

    /// Reports with a smaller number than `before`, the newest first.
    pub async fn reports(&self, before: Option<i64>, limit: u32) -> Result<Vec<ReportInfo>> {
        let sql = "SELECT id, kind, arrived, organization, contact, name, domain, begins, ends, policy, good, bad, dropped, proof \
                   FROM report WHERE id < ?1 ORDER BY id DESC LIMIT ?2 + 0";
        let rows = sql::query(sql)
            .bind(before.unwrap_or(i64::MAX))
            .bind(limit.min(REPORTS_PAGE_MAX))
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(read_info).collect()
    }

    /// One report with its rows.
    pub async fn report(&self, id: i64) -> Result<Option<(ReportInfo, Vec<ReportRow>)>> {
        let sql = "SELECT id, kind, arrived, organization, contact, name, domain, begins, ends, policy, good, bad, dropped, proof \
                   FROM report WHERE id = ?1";
        let Some(row) = sql::query(sql).bind(id).fetch_optional(self.readers()).await? else {
            return Ok(None);
        };
        let sql = "SELECT source, good, bad, result, detail FROM report_row WHERE report = ?1 ORDER BY at";
        let rows = sql::query(sql).bind(id).fetch_all(self.readers()).await?;
        let read = |row: &Row| {
            Ok(ReportRow {
                source: row.try_get(0)?,
                good: number(row, 1)?,
                bad: number(row, 2)?,
                result: row.try_get(3)?,
                detail: row.try_get(4)?,
            })
        };
        Ok(Some((read_info(&row)?, rows.iter().map(read).collect::<Result<_>>()?)))
    }

    /// What reports that arrived from `since` on say of each source, the worst first.
    pub async fn report_summary(&self, since: Unix) -> Result<Vec<ReportSummary>> {
        let sql = "SELECT r.kind, r.domain, w.source, sum(w.good), sum(w.bad), count(DISTINCT r.id) \
                   FROM report r JOIN report_row w ON w.report = r.id WHERE r.arrived >= ?1 \
                   GROUP BY r.kind, r.domain, w.source ORDER BY sum(w.bad) DESC, sum(w.good) DESC, r.domain, w.source \
                   LIMIT ?2 + 0";
        let rows = sql::query(sql).bind(since).bind(SUMMARY_MAX).fetch_all(self.readers()).await?;
        let read = |row: &Row| {
            Ok(ReportSummary {
                kind: ReportKind::read(row.try_get(0)?),
                domain: row.try_get(1)?,
                source: row.try_get(2)?,
                good: number(row, 3)?,
                bad: number(row, 4)?,
                reports: number(row, 5)?,
            })
        };
        rows.iter().map(read).collect()
    }
}

async fn add(tx: &mut Tx, report: NewReport, oldest: Unix) -> Result<FiledReport> {
    let sum = |of: fn(&ReportRow) -> u64| {
        let all = report.rows.iter().map(of).fold(0_u64, u64::saturating_add);
        i64::try_from(all).unwrap_or(i64::MAX)
    };
    if report.proof != UNPROVEN {
        // Who guesses the name of a report cannot keep it out.
        let sql = "DELETE FROM report WHERE kind = ?1 AND domain = ?2 AND organization = ?3 AND name = ?4 AND proof = ?5";
        sql::query(sql)
            .bind(report.kind.number())
            .bind(report.domain.clone())
            .bind(report.organization.clone())
            .bind(report.name.clone())
            .bind(UNPROVEN)
            .execute(&mut tx.connection)
            .await?;
    }
    let sql = "INSERT INTO report (kind, arrived, organization, contact, name, domain, begins, ends, policy, good, bad, dropped, lines, proof) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) \
               ON CONFLICT (kind, domain, organization, name) DO NOTHING RETURNING id";
    let id: Option<i64> = sql::query_scalar(sql)
        .bind(report.kind.number())
        .bind(report.arrived)
        .bind(report.organization.clone())
        .bind(report.contact.clone())
        .bind(report.name.clone())
        .bind(report.domain.clone())
        .bind(report.begins)
        .bind(report.ends)
        .bind(report.policy.clone())
        .bind(sum(|row| row.good))
        .bind(sum(|row| row.bad))
        .bind(i64::try_from(report.dropped).unwrap_or(i64::MAX))
        .bind(i64::try_from(report.rows.len()).unwrap_or(i64::MAX))
        .bind(report.proof.clone())
        .fetch_optional(&mut tx.connection)
        .await?;
    let Some(id) = id else { return Ok(FiledReport::Known) };
    let capped = |count: u64| count.min(u64::from(u32::MAX));
    let rows: Vec<_> = report
        .rows
        .iter()
        .map(|row| json!([row.source, capped(row.good), capped(row.bad), row.result, row.detail]))
        .collect();
    let sql = "INSERT INTO report_row (report, at, source, good, bad, result, detail) \
               SELECT ?1, key, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(?2)";
    sql::query(sql).bind(id).bind(json!(rows).to_string()).execute(&mut tx.connection).await?;
    forget(tx, oldest).await?;
    Ok(FiledReport::New(id))
}

/// What is too old goes, and the oldest of what is too much.
async fn forget(tx: &mut Tx, oldest: Unix) -> Result<()> {
    let sql = "DELETE FROM report WHERE proof = ?1 AND ( \
               id <= (SELECT id FROM report WHERE proof = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2) \
               OR id <= (SELECT max(id) FROM (SELECT id, sum(lines) OVER (ORDER BY id DESC) AS total FROM report \
               WHERE proof = ?1) WHERE total > ?3))";
    sql::query(sql)
        .bind(UNPROVEN)
        .bind(UNPROVEN_MAX)
        .bind(UNPROVEN_ROWS_MAX)
        .execute(&mut tx.connection)
        .await?;
    let sql = "DELETE FROM report WHERE arrived < ?1 \
               OR id <= (SELECT id FROM report ORDER BY id DESC LIMIT 1 OFFSET ?2) \
               OR id <= (SELECT max(id) FROM (SELECT id, sum(lines) OVER (ORDER BY id DESC) AS total FROM report) \
               WHERE total > ?3)";
    sql::query(sql).bind(oldest).bind(REPORTS_MAX).bind(REPORT_ROWS_MAX).execute(&mut tx.connection).await?;
    Ok(())
}

fn number(row: &Row, at: usize) -> Result<u64> {
    Ok(row.try_get::<i64>(at)?.unsigned_abs())
}

fn read_info(row: &Row) -> Result<ReportInfo> {
    Ok(ReportInfo {
        id: row.try_get(0)?,
        kind: ReportKind::read(row.try_get(1)?),
        arrived: row.try_get(2)?,
        organization: row.try_get(3)?,
        contact: row.try_get(4)?,
        name: row.try_get(5)?,
        domain: row.try_get(6)?,
        begins: row.try_get(7)?,
        ends: row.try_get(8)?,
        policy: row.try_get(9)?,
        good: number(row, 10)?,
        bad: number(row, 11)?,
        dropped: number(row, 12)?,
        proof: row.try_get(13)?,
    })
}
