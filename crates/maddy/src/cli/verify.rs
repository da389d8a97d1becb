//! `verify`: reads everything that there is, and says what is wrong.

use crate::admin::{Mended, Reindex, VerifyRepair};
use crate::cli::args::Global;
use crate::cli::import::Progress;
use crate::cli::{Connection, Trouble, output};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use storage::{AccountId, Inspection};

/// Most findings that are kept.
const FINDINGS_MAX: usize = 1000;

#[derive(Clone, Debug, Args)]
pub(crate) struct VerifyCommand {
    /// Mend what can be mended: counters, indexes, what nobody uses
    #[arg(long)]
    repair: bool,
}

/// What was found and done.
#[derive(Debug, Default, Serialize)]
struct Report {
    bodies: u64,
    octets: u64,
    /// What is wrong; after repairs: what still is.
    findings: Vec<String>,
    repaired: Vec<Mended>,
}

/// What is wrong, by how it can be mended.
#[derive(Debug, Default)]
struct Found {
    database: Vec<String>,
    bodies: Vec<String>,
    strays: Vec<PathBuf>,
    indexes: Vec<(AccountId, String)>,
}

impl Found {
    fn sentences(&self) -> Vec<String> {
        let strays = self.strays.iter().map(|path| format!("{}: no message uses this file", path.display()));
        let indexes = self.indexes.iter().map(|(id, why)| format!("search index of account {id}: {why}"));
        let all = self.database.iter().chain(&self.bodies).cloned().chain(strays).chain(indexes);
        all.take(FINDINGS_MAX).collect()
    }
}

pub(crate) async fn run(command: &VerifyCommand, global: &Global) -> Result<(), Trouble> {
    Connection::with(global, async |server| {
        // What follows reads in a directory that is not root's.
        server.become_owner()?;
        let inspection = Inspection::open(server.state_dir()?).await.map_err(failed)?;
        let mut report = Report::default();
        let mut found = look(server, &inspection, &mut report, global).await?;
        if command.repair {
            report.repaired = repair(server, &inspection, &mut found).await?;
        }
        inspection.close().await;
        report.findings = found.sentences();
        print(&report, global)?;
        if report.findings.is_empty() { Ok(()) } else { Err(Trouble::new("")) }
    })
    .await
}

fn failed(error: storage::Error) -> Trouble {
    Trouble::new(error.to_string())
}

async fn look(
    server: &Connection,
    inspection: &Inspection,
    report: &mut Report,
    global: &Global,
) -> Result<Found, Trouble> {
    let mut progress = Progress::start(global);
    let mut found = Found::default();
    let (count, all) = inspection.count_bodies().await.map_err(failed)?;
    let mut after = 0;
    while let Some(read) = inspection.bodies(after).await.map_err(failed)? {
        after = read.last;
        report.bodies += read.bodies;
        report.octets += read.octets;
        let room = FINDINGS_MAX.saturating_sub(found.bodies.len());
        found.bodies.extend(read.findings.into_iter().take(room));
        progress.bar(report.octets, all, &format!("{} of {count} bodies read", report.bodies));
    }
    progress.show("looking at the database");
    found.database = inspection.database().await.map_err(failed)?;
    found.strays = inspection.strays(server.now()).await.map_err(failed)?;
    found.indexes = inspection.search_indexes().await.map_err(failed)?;
    progress.end();
    Ok(found)
}

/// Mends, and looks at the database once more.
async fn repair(
    server: &Connection,
    inspection: &Inspection,
    found: &mut Found,
) -> Result<Vec<Mended>, Trouble> {
    let damaged = found.database.iter().any(|line| line.starts_with("database: "));
    let reindex = if damaged { Reindex::Yes } else { Reindex::No };
    let search_indexes = found.indexes.drain(..).map(|(id, _)| id.get()).collect::<Vec<_>>();
    let again = search_indexes.len() as u64;
    let mut mended = server.call(VerifyRepair { reindex, search_indexes }).await?;
    if again > 0 {
        mended.push(Mended { what: "search indexes, made anew".to_owned(), rows: again });
    }
    found.strays = inspection.strays(server.now()).await.map_err(failed)?;
    found.database = inspection.database().await.map_err(failed)?;
    Ok(mended)
}

fn print(report: &Report, global: &Global) -> Result<(), Trouble> {
    if global.json {
        return output::json(report);
    }
    for mended in &report.repaired {
        output::line(&format!("mended: {} {}", mended.rows, mended.what))?;
    }
    for finding in &report.findings {
        output::line(&output::printable(finding))?;
    }
    let (bodies, octets) = (report.bodies, output::size(report.octets));
    let words = match report.findings.len() {
        0 => "all is well".to_owned(),
        1 => "1 finding".to_owned(),
        count => format!("{count} findings"),
    };
    output::line(&format!("{bodies} bodies ({octets}) and the database were read: {words}"))
}
