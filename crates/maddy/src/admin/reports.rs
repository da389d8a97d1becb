//! Reports that others sent about our domains.

use crate::admin::{Context, Effect, Operation, failure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use storage::{ReportInfo, ReportRow, ReportSummary};
use web::{Failure, Kind};

/// Reports that one call lists.
const PAGE: u32 = 200;

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ReportLine {
    pub(crate) id: i64,
    /// dmarc or tls
    pub(crate) kind: String,
    /// Seconds since 1970, like all times here.
    pub(crate) arrived: i64,
    pub(crate) organization: String,
    pub(crate) contact: String,
    /// What the reporter calls it.
    pub(crate) name: String,
    pub(crate) domain: String,
    pub(crate) begins: i64,
    pub(crate) ends: i64,
    pub(crate) policy: String,
    /// What proves who wrote it: own, dkim, spf, unproven, or unknown.
    pub(crate) proof: String,
    /// Messages or sessions with which all was well, and others.
    pub(crate) good: u64,
    pub(crate) bad: u64,
    /// Rows that were too many to be kept.
    pub(crate) dropped: u64,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RowLine {
    pub(crate) source: String,
    pub(crate) good: u64,
    pub(crate) bad: u64,
    pub(crate) result: String,
    pub(crate) detail: String,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct WholeReport {
    #[serde(flatten)]
    pub(crate) report: ReportLine,
    pub(crate) rows: Vec<RowLine>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SummaryLine {
    pub(crate) kind: String,
    pub(crate) domain: String,
    pub(crate) source: String,
    pub(crate) good: u64,
    pub(crate) bad: u64,
    pub(crate) reports: u64,
}

impl From<ReportInfo> for ReportLine {
    fn from(info: ReportInfo) -> Self {
        Self {
            id: info.id,
            kind: info.kind.word().to_owned(),
            arrived: info.arrived,
            organization: info.organization,
            contact: info.contact,
            name: info.name,
            domain: info.domain,
            begins: info.begins,
            ends: info.ends,
            policy: info.policy,
            proof: info.proof,
            good: info.good,
            bad: info.bad,
            dropped: info.dropped,
        }
    }
}

impl From<ReportRow> for RowLine {
    fn from(row: ReportRow) -> Self {
        Self { source: row.source, good: row.good, bad: row.bad, result: row.result, detail: row.detail }
    }
}

impl From<ReportSummary> for SummaryLine {
    fn from(line: ReportSummary) -> Self {
        Self {
            kind: line.kind.word().to_owned(),
            domain: line.domain,
            source: line.source,
            good: line.good,
            bad: line.bad,
            reports: line.reports,
        }
    }
}

/// The newest first, a page at a time.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ReportsList {
    pub(crate) before: Option<i64>,
}

impl Operation for ReportsList {
    const NAME: &'static str = "reports-list";
    const EFFECT: Effect = Effect::Reads;
    type Answer = Vec<ReportLine>;

    async fn run(self, context: &Context) -> Result<Self::Answer, Failure> {
        let reports = context.store.reports(self.before, PAGE).await.map_err(failure)?;
        Ok(reports.into_iter().map(ReportLine::from).collect())
    }
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ReportsShow {
    pub(crate) id: i64,
}

impl Operation for ReportsShow {
    const NAME: &'static str = "reports-show";
    const EFFECT: Effect = Effect::Reads;
    type Answer = WholeReport;

    async fn run(self, context: &Context) -> Result<Self::Answer, Failure> {
        let found = context.store.report(self.id).await.map_err(failure)?;
        let (report, rows) = found.ok_or_else(|| {
            let id = self.id;
            Failure::new(Kind::NotFound, format!("there is no report {id}; `maddy reports list` shows them"))
        })?;
        Ok(WholeReport { report: report.into(), rows: rows.into_iter().map(RowLine::from).collect() })
    }
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ReportsSummary {
    /// How far it looks back.
    pub(crate) days: u32,
}

impl Operation for ReportsSummary {
    const NAME: &'static str = "reports-summary";
    const EFFECT: Effect = Effect::Reads;
    type Answer = Vec<SummaryLine>;

    async fn run(self, context: &Context) -> Result<Self::Answer, Failure> {
        let since = context.now().saturating_sub(i64::from(self.days) * 24 * 3600);
        let lines = context.store.report_summary(since).await.map_err(failure)?;
        Ok(lines.into_iter().map(SummaryLine::from).collect())
    }
}
