//! `restore`: a backup into a state directory on which no daemon works.

use crate::cli::args::Global;
use crate::cli::backup::watcher;
use crate::cli::import::Progress;
use crate::cli::{Trouble, ask, output, source};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Mutex;
use storage::backup::{self, Former, Queued, RestorePlan, RestoreReport};

#[derive(Clone, Debug, Args)]
pub(crate) struct RestoreCommand {
    /// The directory of the backup
    dir: PathBuf,
    /// Which one, as `maddy backup DIR --list` has it; the newest, if not given
    #[arg(long, value_name = "NAME")]
    backup: Option<String>,
    /// What is in the state directory goes into a directory `before-restore-…` in it
    #[arg(long)]
    set_aside: bool,
    /// Without the mail that waited to go out: it may have gone since, or this is for trying
    #[arg(long)]
    without_queue: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

pub(crate) async fn run(command: &RestoreCommand, global: &Global) -> Result<(), Trouble> {
    let (state_dir, user) = match &global.state_dir {
        Some(dir) => (dir.clone(), None),
        None => {
            let config = source(global).read_settings()?;
            (config.state_dir().to_owned(), config.user)
        }
    };
    if command.set_aside {
        let question = format!("What is in {} will be set aside.", state_dir.display());
        ask::confirm(&question, command.yes)?;
    }
    let plan = RestorePlan {
        from: command.dir.clone(),
        generation: command.backup.clone(),
        state_dir,
        former: if command.set_aside { Former::SetAside } else { Former::Refused },
        queued: if command.without_queue { Queued::Dropped } else { Queued::Kept },
        owner: owner(user.as_deref())?,
        now: world::system::without_dns().clock.unix(),
    };
    let progress = Mutex::new(Progress::start(global));
    let done = backup::restore(plan, &watcher(&progress)).await;
    progress.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).end();
    let report = done.map_err(|error| advice(&error))?;
    print(&report, global)?;
    if report.damaged.is_empty() { Ok(()) } else { Err(Trouble::new("")) }
}

/// What root restores is to be opened by whom the daemon becomes.
fn owner(user: Option<&str>) -> Result<Option<(u32, u32)>, Trouble> {
    if user.is_none() || !guard::present().1 {
        return Ok(None);
    }
    let user = guard::wanted(user).map_err(|error| Trouble::new(error.to_string()))?;
    Ok(user.map(|user| user.numbers()))
}

fn advice(error: &storage::Error) -> Trouble {
    let more = match error {
        storage::Error::NotAllowed("the state directory is not empty") => {
            ": restore into an empty one, or add --set-aside"
        }
        storage::Error::Trouble(storage::Trouble::InUse) => ": stop the daemon first",
        _ => "",
    };
    Trouble::new(format!("{error}{more}"))
}

fn print(report: &RestoreReport, global: &Global) -> Result<(), Trouble> {
    for hash in &report.damaged {
        eprintln!("damaged: the body {hash} is missing or damaged in the backup");
    }
    for path in &report.elsewhere {
        eprintln!("note: {} was not in the state directory; put it where it belongs", path.display());
    }
    if let Some(path) = &report.set_aside {
        eprintln!("note: what was there is in {} now", path.display());
    }
    let value = json!({
        "backup": report.generation,
        "made": report.made,
        "files": report.files,
        "bodies": report.bodies,
        "octets": report.octets,
        "damaged": report.damaged,
        "set_aside": report.set_aside,
        "elsewhere": report.elsewhere,
    });
    let (name, made, octets) = (&report.generation, output::time(report.made), output::size(report.octets));
    let sentence =
        format!("backup {name} of {made} is restored: {octets}; readers will fetch their mail anew");
    output::done(global, &value, &sentence)
}
