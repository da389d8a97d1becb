//! What became of every message of an import.

use crate::admin::ImportOutcome;
use crate::cli::args::Global;
use crate::cli::{Trouble, output};
use serde::Serialize;

/// Most refusals that are listed one by one; all are counted.
const REFUSALS_MAX: usize = 1000;

#[derive(Debug, Serialize)]
pub(super) struct Ledger {
    account: String,
    folders: Vec<Folder>,
    pub(super) imported: u64,
    /// Brought in by an earlier import.
    before: u64,
    pub(super) refused: u64,
    /// Of those imported: without their keywords, for which the mailbox has no room.
    without_keywords: u64,
    refusals: Vec<Refusal>,
    notes: Vec<String>,
}

#[derive(Debug, Default, Serialize)]
struct Folder {
    folder: String,
    mailbox: String,
    imported: u64,
    before: u64,
    refused: u64,
}

#[derive(Debug, Serialize)]
struct Refusal {
    folder: String,
    message: String,
    why: String,
}

impl Ledger {
    pub(super) fn new(account: &str) -> Self {
        Self {
            account: account.to_owned(),
            folders: Vec::new(),
            imported: 0,
            before: 0,
            refused: 0,
            without_keywords: 0,
            refusals: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Whether nothing was begun.
    pub(super) fn is_empty(&self) -> bool {
        self.folders.is_empty()
    }

    pub(super) fn begin(&mut self, folder: &str, mailbox: &str) {
        let (folder, mailbox) = (folder.to_owned(), mailbox.to_owned());
        self.folders.push(Folder { folder, mailbox, ..Folder::default() });
    }

    pub(super) fn count(&mut self, message: &str, outcome: &ImportOutcome) {
        let mut nobody = Folder::default();
        let folder = self.folders.last_mut().unwrap_or(&mut nobody);
        match outcome {
            ImportOutcome::Imported | ImportOutcome::WithoutKeywords => {
                folder.imported += 1;
                self.imported += 1;
                self.without_keywords += u64::from(*outcome == ImportOutcome::WithoutKeywords);
            }
            ImportOutcome::Before => {
                folder.before += 1;
                self.before += 1;
            }
            ImportOutcome::Refused(why) => self.refuse(message, why),
        }
    }

    pub(super) fn refuse(&mut self, message: &str, why: &str) {
        self.refused += 1;
        let Some(folder) = self.folders.last_mut() else { return };
        folder.refused += 1;
        if self.refusals.len() < REFUSALS_MAX {
            let folder = folder.folder.clone();
            self.refusals.push(Refusal { folder, message: message.to_owned(), why: why.to_owned() });
        }
    }

    pub(super) fn note(&mut self, sentence: String) {
        self.notes.push(sentence);
    }

    /// Where it stands, in one line.
    pub(super) fn line(&self) -> String {
        let folder = self.folders.last().map_or("", |folder| folder.folder.as_str());
        let (imported, before, refused) = (self.imported, self.before, self.refused);
        format!(
            "{}: {imported} imported, {before} there before, {refused} refused",
            output::printable(folder)
        )
    }

    pub(super) fn print(&self, global: &Global) -> Result<(), Trouble> {
        if global.json {
            return output::json(self);
        }
        for refusal in &self.refusals {
            let text = format!("{}: {}: {}", refusal.folder, refusal.message, refusal.why);
            eprintln!("refused: {}", output::printable(&text));
        }
        if self.refused > self.refusals.len() as u64 {
            eprintln!("and {} more", self.refused - self.refusals.len() as u64);
        }
        let cells = |folder: &str, mailbox: &str, counts: [u64; 3]| {
            let mut row = vec![folder.to_owned(), mailbox.to_owned()];
            row.extend(counts.iter().map(ToString::to_string));
            row
        };
        let mut rows: Vec<Vec<String>> = self
            .folders
            .iter()
            .map(|row| cells(&row.folder, &row.mailbox, [row.imported, row.before, row.refused]))
            .collect();
        rows.push(cells("all", "", [self.imported, self.before, self.refused]));
        let head = ["folder", "mailbox", "imported", "there before", "refused"];
        output::octets(output::table(&head, &rows).as_bytes())?;
        for note in &self.notes {
            eprintln!("note: {}", output::printable(note));
        }
        if self.without_keywords > 0 {
            eprintln!("{} have not kept all their keywords", self.without_keywords);
        }
        Ok(())
    }
}
