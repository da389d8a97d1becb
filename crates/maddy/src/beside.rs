//! What a daemon that runs by a file has besides: those who read the log, and the doctor.

use crate::control::Reloading;
use crate::daemon::{StartError, fetcher};
use crate::otlp::{self, Exporting, Record};
use crate::reload::Running;
use crate::setup;
use crate::trace::{self, Noted, Noting};
use net::Stop;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinHandle;

/// What there is to begin.
pub(crate) struct Beside {
    noted: Option<(Noting, Receiver<Noted>)>,
    exported: Option<(Exporting, Receiver<Record>)>,
    file: PathBuf,
}

impl Beside {
    pub(crate) fn of(reloading: &Reloading) -> Self {
        let (noted, exported) = (reloading.logging.take_noted(), reloading.logging.take_exported());
        Self { noted, exported, file: reloading.source.config.clone() }
    }

    /// Begins it.
    pub(crate) fn begin(
        self,
        running: &Arc<Running>,
        stop: &Stop,
    ) -> Result<Vec<(&'static str, JoinHandle<()>)>, StartError> {
        let mut tasks = Vec::new();
        if running.asks_dns() {
            let looking = setup::watch(running.clone(), self.file, stop.clone());
            tasks.push(("doctor", tokio::spawn(looking)));
        }
        if let Some((exporting, records)) = self.exported {
            let fetcher = fetcher(&running.config(), running.world())?;
            let sending = otlp::run(records, exporting, fetcher, running.clone(), stop.clone());
            tasks.push(("otlp", tokio::spawn(sending)));
        }
        if let Some((noting, noted)) = self.noted {
            let keeping = trace::run(noted, noting, running.clone(), stop.clone());
            tasks.push(("trace", tokio::spawn(keeping)));
        }
        Ok(tasks)
    }
}
