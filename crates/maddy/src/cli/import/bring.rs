//! Takes what was read to the server, batch by batch, and keeps account of every message.

use super::Into;
use super::feed::{self, Event, Ready};
use super::ledger::Ledger;
use super::progress::Progress;
use crate::admin::{ImportFolder, ImportKnown, ImportMessage, ImportMessages, ImportOutcome};
use crate::cli::{Connection, Trouble};
use mail::mime::decode;
use moving::{Found, Source, SourceFolder};
use std::sync::Arc;
use storage::ImportKey;

/// An import under way.
pub(super) struct Bringing<'c> {
    server: &'c Connection,
    into: &'c Into,
    progress: Progress,
    ledger: Ledger,
    /// The mailbox for the present folder, or why there is none.
    target: Result<String, String>,
}

impl<'c> Bringing<'c> {
    pub(super) fn new(server: &'c Connection, into: &'c Into, progress: Progress) -> Self {
        let target = Err("it is in no folder".to_owned());
        Self { server, into, progress, ledger: Ledger::new(&into.account), target }
    }

    pub(super) fn end(self) -> Ledger {
        self.progress.end();
        self.ledger
    }

    /// Brings everything. What went wrong with single messages stands in the ledger.
    pub(super) async fn bring(&mut self, source: Arc<dyn Source + Sync>) -> Result<(), Trouble> {
        let folders = source.folders().iter().enumerate();
        let wanted: Vec<usize> =
            folders.filter(|(_, folder)| self.into.wants(&folder.name)).map(|(at, _)| at).collect();
        if wanted.is_empty() {
            let names: Vec<_> = source.folders().iter().map(|folder| folder.name.as_str()).collect();
            return Err(Trouble::usage(format!("there is no such folder; there are {}", names.join(", "))));
        }
        let mut events = feed::start(source, wanted);
        while let Some(event) = events.recv().await {
            match event {
                Event::Folder(folder) => self.begin(&folder).await?,
                Event::Batch(batch) => self.batch(batch).await?,
                Event::Bad(bad) => self.ledger.refuse(&bad.name, &bad.why),
                Event::Broken(error) => {
                    self.ledger.refuse("the rest of the folder", &error.to_string());
                }
            }
            self.progress.show(&self.ledger.line());
        }
        Ok(())
    }

    /// What follows is of this folder.
    pub(super) async fn begin(&mut self, folder: &SourceFolder) -> Result<(), Trouble> {
        let name = self.into.target(&folder.name);
        let mapped = name != folder.name;
        let call = ImportFolder {
            account: self.into.account.clone(),
            name: name.clone(),
            // Where somebody says where it goes, its name is no reason to give it a use.
            special_use: folder.special_use.clone().filter(|_| !mapped),
            subscribed: folder.subscribed,
        };
        self.target = match self.server.call(call).await {
            Ok(name) => Ok(name),
            Err(trouble) if self.ledger.is_empty() => return Err(trouble),
            Err(trouble) => Err(trouble.to_string()),
        };
        self.ledger.begin(&folder.name, self.target.as_deref().unwrap_or(&name));
        Ok(())
    }

    async fn batch(&mut self, batch: Vec<Ready>) -> Result<(), Trouble> {
        let keys: Vec<ImportKey> = batch.iter().map(|ready| ready.key).collect();
        let known = self.known(&keys).await?;
        let mut new = Vec::new();
        for (ready, known) in batch.into_iter().zip(known) {
            if known {
                self.before();
            } else {
                new.push((ready.key, ready.found));
            }
        }
        self.put(new).await
    }

    /// Which of these were brought in before.
    pub(super) async fn known(&self, keys: &[ImportKey]) -> Result<Vec<bool>, Trouble> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let keys = keys.iter().map(ToString::to_string).collect();
        self.server.call(ImportKnown { account: self.into.account.clone(), keys }).await
    }

    /// One more message was brought in before.
    pub(super) fn before(&mut self) {
        self.ledger.count("", &ImportOutcome::Before);
    }

    /// A message of the present folder cannot be brought in.
    pub(super) fn refuse(&mut self, message: &str, why: &str) {
        self.ledger.refuse(message, why);
    }

    /// Something that is to be told at the end.
    pub(super) fn note(&mut self, sentence: String) {
        self.ledger.note(sentence);
    }

    /// Files messages in the mailbox for the present folder.
    pub(super) async fn put(&mut self, batch: Vec<(ImportKey, Found)>) -> Result<(), Trouble> {
        let mailbox = match &self.target {
            Ok(mailbox) => mailbox.clone(),
            Err(why) => {
                batch.iter().for_each(|(_, found)| self.ledger.refuse(&found.name, why));
                return Ok(());
            }
        };
        let (mut messages, mut names) = (Vec::new(), Vec::new());
        for (key, found) in batch {
            if found.octets.is_empty() {
                self.ledger.refuse(&found.name, "it is empty");
                continue;
            }
            names.push(found.name);
            messages.push(ImportMessage {
                key: key.to_string(),
                flags: found.flags,
                received: found.received,
                message: decode::to_base64(&found.octets),
            });
        }
        if messages.is_empty() {
            return Ok(());
        }
        let (account, quota) = (self.into.account.clone(), self.into.quota());
        let outcomes = self.server.call(ImportMessages { account, mailbox, messages, quota }).await?;
        for (name, outcome) in names.iter().zip(&outcomes) {
            self.ledger.count(name, outcome);
        }
        self.progress.show(&self.ledger.line());
        Ok(())
    }
}
