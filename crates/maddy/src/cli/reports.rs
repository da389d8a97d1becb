//! `reports`.

use crate::admin::{ReportLine, ReportsList, ReportsShow, ReportsSummary, RowLine, SummaryLine, WholeReport};
use crate::cli::args::Global;
use crate::cli::{Connection, Trouble, output};
use clap::Subcommand;
use mail::date;

/// How many days a summary looks back, if nothing is said.
const DAYS: u32 = 30;

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ReportsCommand {
    /// List the reports that have arrived, the newest first
    List,
    /// Show one report with its rows
    Show {
        /// The number from `maddy reports list`
        id: i64,
    },
    /// What all reports say of each address or host, the worst first; the same without a command
    Summary {
        /// How far to look back
        #[arg(long, value_name = "N", default_value_t = DAYS)]
        days: u32,
    },
}

impl Default for ReportsCommand {
    fn default() -> Self {
        Self::Summary { days: DAYS }
    }
}

pub(crate) async fn run(command: &ReportsCommand, global: &Global) -> Result<(), Trouble> {
    Connection::with(global, async |server| carry_out(command, server, global).await).await
}

async fn carry_out(
    command: &ReportsCommand,
    connection: &Connection,
    global: &Global,
) -> Result<(), Trouble> {
    match *command {
        ReportsCommand::List => list(connection, global).await,
        ReportsCommand::Show { id } => {
            let report = connection.call(ReportsShow { id }).await?;
            output::done(global, &report, describe(&report).trim_end())
        }
        ReportsCommand::Summary { days } => {
            let lines = connection.call(ReportsSummary { days }).await?;
            let head = ["kind", "domain", "source", "good", "bad", "reports"];
            output::list(global, &lines, &head, summary_row, "no report has arrived")
        }
    }
}

async fn list(connection: &Connection, global: &Global) -> Result<(), Trouble> {
    let mut all: Vec<ReportLine> = Vec::new();
    loop {
        let page = connection.call(ReportsList { before: all.last().map(|report| report.id) }).await?;
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    let head = ["id", "kind", "domain", "from", "proof", "until", "good", "bad"];
    output::list(global, &all, &head, row, "no report has arrived")
}

fn row(report: &ReportLine) -> Vec<String> {
    vec![
        report.id.to_string(),
        report.kind.clone(),
        report.domain.clone(),
        report.organization.clone(),
        report.proof.clone(),
        date::print_iso(report.ends),
        report.good.to_string(),
        report.bad.to_string(),
    ]
}

fn summary_row(line: &SummaryLine) -> Vec<String> {
    vec![
        line.kind.clone(),
        line.domain.clone(),
        line.source.clone(),
        line.good.to_string(),
        line.bad.to_string(),
        line.reports.to_string(),
    ]
}

fn describe(whole: &WholeReport) -> String {
    let report = &whole.report;
    let span = format!("{} to {}", date::print_iso(report.begins), date::print_iso(report.ends));
    let mut text = format!(
        "{} report {} about {}\nfrom      {} {} ({})\nfor       {span}\npolicy    {}\ngood      {}\nbad       {}\n",
        report.kind,
        output::printable(&report.name),
        output::printable(&report.domain),
        output::printable(&report.organization),
        output::printable(&report.contact),
        report.proof,
        output::printable(&report.policy),
        report.good,
        report.bad,
    );
    if report.dropped > 0 {
        text.push_str(&format!("left out  {} rows, because there were too many\n", report.dropped));
    }
    for row in &whole.rows {
        text.push_str(&line(row));
    }
    text
}

fn line(row: &RowLine) -> String {
    let (source, result, detail) =
        (output::printable(&row.source), output::printable(&row.result), output::printable(&row.detail));
    format!("{source}  good {}  bad {}  {result}  {detail}\n", row.good, row.bad)
}
